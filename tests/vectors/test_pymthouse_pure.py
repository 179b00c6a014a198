"""The platform's own client, version 0.1.0, on inputs of its pure functions: ours does the same.

A vector is `{function, args, result | error, ...}`; `$undefined`, `$date`, `$number`, `$error` and
`$searchParams` stand for values that JSON lacks. What differs on purpose is in `DEPARTURES`, and the test checks
that it does differ and how.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tollkit.core.credentials import basic_header
from tollkit.errors import ArgumentError, TollkitError
from tollkit.pymthouse import config, device, device_initiate, discovery, env, errors, manifest, tokens, usage
from tollkit.pymthouse import format as formats

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "pymthouse-pure-0.1.0.json").read_text("utf-8")
)
INVALID_DATE = float("nan")

# (function, arguments as JSON): what ours does instead. An exception type stands for raising it.
DEPARTURES: dict[tuple[str, str], Any] = {
    ("const:USER_CODE_RE.source", "[]"): r"^(?=.*[A-Z0-9])[A-Z0-9-]{4,16}\Z",
    ("formatWeiToEth", '["-1500000000000000000"]'): "-1.500000 ETH",
    ("formatWeiToEth", '["-1000000000000"]'): "-0.000001 ETH",
    ("computeSignerSessionExpiry", '["nonsense"]'): ArgumentError,
    ("computeSignerSessionExpiry", '[""]'): ArgumentError,
    ("decodeJwtExp", '["eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjEwMDAwMDAwMDAwMDAwMDB9.c2ln"]'): None,
}
# mergeUsageByPipelineModel, by the amount that it does not refuse but ours does
UNREADABLE_AMOUNTS = ('"bad"', '"1.5"', ": 1.5,")


def decoded(value: Any) -> Any:
    """A value of a vector as Python has it."""
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$undefined" in value:
        return None
    if "$date" in value:
        return datetime.fromisoformat(value["$date"]) if value["$date"] else INVALID_DATE
    if "$number" in value:
        return float(value["$number"])
    if "$searchParams" in value:
        return value["$searchParams"]
    if "$error" in value:
        return Exception(value["$error"]["message"])
    return {name: decoded(item) for name, item in value.items()}


def encoded(value: Any) -> Any:
    """A result of ours as a vector has it."""
    if isinstance(value, TollkitError):
        told = {"name": "PmtHouseError", "message": value.message, "code": value.code, "status": value.status}
        return {"$error": told | ({"details": value.body} if value.body is not None else {})}
    if isinstance(value, datetime):
        return {"$date": value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}
    if isinstance(value, list):
        return [encoded(item) for item in value]
    return value.to_dict() if hasattr(value, "to_dict") else value


def call(vector: dict[str, Any]) -> Any:
    """Run the function that the vector names."""
    name, args = vector["function"], [decoded(item) for item in vector["args"]]
    variables = vector.get("env")
    issuer = vector.get("client", {}).get("issuerUrl")
    functions: dict[str, Callable[..., Any]] = {
        "PmtHouseClient.parseDeviceApprovalRedirect": lambda query: device_initiate.parse_device_approval_redirect(
            config.strip_trailing_slashes(issuer), query
        ),
        "PmtHouseClient.verifyIssuer": lambda iss: device_initiate.verify_issuer(
            config.strip_trailing_slashes(issuer), iss
        ),
        "USER_CODE_RE.test": lambda text: device_initiate.USER_CODE_RE.search(text) is not None,
        "aggregateUsageByExternalUserId": usage.aggregate_usage_by_external_user_id,
        "authorizationServerToOidcDocument": discovery.authorization_server_to_oidc_document,
        "buildDeviceCodeResource": device.build_device_code_resource,
        "buildMeScopeUsagePayload": usage.build_me_scope_usage_payload,
        "computeManifestRevision": manifest.compute_manifest_revision,
        "computePymthouseExpiry": tokens.compute_pymthouse_expiry,
        "computeSignerSessionExpiry": tokens.compute_signer_session_expiry,
        "const:PYMTHOUSE_SIGNER_SESSION_TTL_MS": lambda: tokens.PYMTHOUSE_SIGNER_SESSION_TTL_MS,
        "const:USER_CODE_RE.source": lambda: device_initiate.USER_CODE_RE.pattern,
        "createPmtHouseClientFromEnv": lambda: env.require_pymthouse_env(variables),
        "decodeJwtExp": tokens.decode_jwt_exp,
        "encodeClientSecretBasic": basic_header,
        "extractDeviceApprovalFromTargetLink": lambda href, options=None: (
            device_initiate.extract_device_approval_from_target_link(href, **snake(options or {}))
        ),
        "formatWeiToEth": formats.format_wei_to_eth,
        "formatWeiToUsd": formats.format_wei_to_usd,
        "getBuilderApiV1BaseFromIssuerUrl": config.get_builder_api_v1_base_from_issuer_url,
        "getEndUserIdsForExternalUser": usage.get_end_user_ids_for_external_user,
        "getPymthouseBaseUrl": lambda: env.get_pymthouse_base_url(variables),
        "getPymthouseIssuerOrigin": config.get_pymthouse_issuer_origin,
        "getPymthouseIssuerUrlFromEnv": lambda: config.get_pymthouse_issuer_url_from_env(variables),
        "getPymthousePublicClientIdFromEnv": lambda: config.get_pymthouse_public_client_id_from_env(variables),
        "getUsageRecordUserIdsForExternalUser": usage.get_usage_record_user_ids_for_external_user,
        "getUtcCalendarMonthIsoBounds": usage.get_utc_calendar_month_iso_bounds,
        "isLikelyOidcJwt": tokens.is_likely_oidc_jwt,
        "isOpaqueSignerSessionToken": tokens.is_opaque_signer_session_token,
        "isPymthouseConfigured": lambda: config.is_pymthouse_configured(variables),
        "listUsageByPipelineModel": usage.list_usage_by_pipeline_model,
        "mapOAuthError": lambda error: errors.to_pmt_house_error(error, "Unexpected error"),
        "mergeUsageByPipelineModel": usage.merge_usage_by_pipeline_model,
        "new PmtHouseError": lambda message, options=None: errors.PmtHouseError(message, **(options or {})),
        "normalizeUserCode": device.normalize_user_code,
        "parseAppManifestResponse": manifest.parse_app_manifest_response,
        "parseSignerSessionExchange": tokens.parse_signer_session_exchange,
        "parseUsageDateParam": usage.parse_usage_date_param,
        "readPymthouseEnv": lambda: config.read_pymthouse_env(variables),
        "stripTrailingSlashes": config.strip_trailing_slashes,
        "summarizeUsageFiatForExternalUser": usage.summarize_usage_fiat_for_external_user,
        "summarizeUsageForExternalUser": usage.summarize_usage_for_external_user,
        "toPmtHouseError": errors.to_pmt_house_error,
        "tokenEndpointResponseToClientCredentials": tokens.client_credentials_result,
        "tokenEndpointResponseToExchange": tokens.token_exchange_result,
        "validateDeviceInitiateLogin": lambda options: device_initiate.validate_device_initiate_login(
            **snake(options)
        ),
    }
    with warnings.catch_warnings():
        if name in {"computePymthouseExpiry", "getUsageRecordUserIdsForExternalUser"}:
            warnings.simplefilter("ignore", DeprecationWarning)
        return functions[name](*args)


def snake(options: dict[str, Any]) -> dict[str, Any]:
    """An options object as keyword arguments."""
    return {re.sub(r"([A-Z])", lambda found: "_" + found[1].lower(), name): value for name, value in options.items()}


def departure(vector: dict[str, Any]) -> tuple[bool, Any]:
    """Whether ours differs on purpose, and what it does instead."""
    key = (vector["function"], json.dumps(vector["args"], ensure_ascii=False))
    if key in DEPARTURES:
        return True, DEPARTURES[key]
    unreadable = vector["function"] == "mergeUsageByPipelineModel" and any(
        one in key[1] for one in UNREADABLE_AMOUNTS
    )
    return unreadable, ArgumentError


def check_error(vector: dict[str, Any], raised: TollkitError) -> None:
    """Compare what was raised with what the platform's client raises."""
    expected = vector["error"]
    assert isinstance(raised, errors.PmtHouseError), "everything that PymtHouse's functions raise is of its family"
    assert raised.message == expected["message"]
    if expected["name"] == "PmtHouseError":
        assert (raised.code, raised.status) == (expected["code"], expected["status"])
        assert raised.details == expected.get("details", {})


@pytest.mark.parametrize("index", range(len(VECTORS)), ids=lambda index: f"{index}-{VECTORS[index]['function']}")
def test_vector(index: int) -> None:
    """The same result or the same error; or the departure that is written down."""
    vector = VECTORS[index]
    differs, instead = departure(vector)
    if differs and instead is ArgumentError:
        assert "error" not in vector
        with pytest.raises(ArgumentError) as caught:
            call(vector)
        assert isinstance(caught.value, errors.PmtHouseError)
    elif differs:
        found = call(vector)
        assert encoded(found) == instead
        assert encoded(found) != vector["result"]
    elif "error" in vector:
        with pytest.raises(TollkitError) as caught:
            call(vector)
        check_error(vector, caught.value)
    else:
        expected = {} if vector["result"] == {"$undefined": True} else vector["result"]
        assert encoded(call(vector)) == expected


def test_departures_are_few() -> None:
    """Nearly all of the vectors pass as they are, and each departure stands for one of them."""
    assert len(VECTORS) == 220
    assert sum(departure(vector)[0] for vector in VECTORS) == len(DEPARTURES) + 4
