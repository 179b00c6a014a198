"""Recorded network vectors of the platform's own client (0.1.0), played back through ours.

Each vector is a script of HTTP exchanges with the outcome. A vector passes when we send the same requests (method,
address, body, the header fields below) and come to the same outcome: the same result in wire names, or an error with
the same message, code, status and, where they are not a library's diagnostics, details. What is done otherwise on
purpose stands in DEPARTURES with the reason, and then must be otherwise.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from support.pymthouse import Side
from support.scripted_http import Clock, Script, vector_script
from tollkit.core import drivers
from tollkit.errors import (
    CancelledError,
    DecodeError,
    InsecureTransportError,
    OAuthError,
    TollkitError,
    TransportError,
)
from tollkit.pymthouse import PmtHouseError

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "pymthouse-http-0.1.0.json").read_text("utf-8")
)
COMPARED = ("accept", "authorization", "content-type", "if-none-match")


@attrs.frozen
class Departure:
    """What we do otherwise.

    Attributes:
        reason: Why.
        error: Class of our error.
        facts: What our error or the requests have instead.
        requests: Whether the requests are as recorded.
    """

    reason: str
    error: type[TollkitError] | None = None
    facts: Mapping[str, Any] = attrs.field(factory=dict)
    requests: bool = True


DEPARTURES: dict[str, Departure] = {
    "listAppUsers: transport errors are not wrapped": Departure(
        "a failure of the transport is a TransportError that says whether it is safe to send again",
        TransportError,
        {"code": "network_error"},
    ),
    "listAppUsers: Builder REST over http is allowed even without allowInsecureHttp": Departure(
        "no secret is ever sent in the clear",
        InsecureTransportError,
        {"code": "insecure_transport"},
        requests=False,
    ),
    "fetchUsageForExternalUser: cap applies to pipeline_model follow-ups only, totals still include every bucket": (
        Departure(
            "the platform compares times as texts, so a bare end date would leave out its whole day: dates go out as "
            "full times in UTC",
            requests=False,
        )
    ),
    "getAppManifest: wrong shape parses to an empty manifest": Departure(
        "an empty manifest means no restriction, so garbage must not be taken for one",
        DecodeError,
        {"code": "invalid_response", "status": 502},
    ),
    "issueMachineAccessToken: 401 with a challenge loses the OAuth code": Departure(
        "the platform's own words are kept",
        OAuthError,
        {"code": "invalid_client", "status": 401, "message": "client authentication failed"},
    ),
    "pollDeviceToken: already aborted with a string reason: 0.1.0 says Aborted, 0.7.0 uses the string": Departure(
        "an error without type gets one", CancelledError, {"code": "cancelled"}
    ),
}


def _name(vector: Mapping[str, Any]) -> str:
    method = vector["method"].removeprefix("PmtHouseClient.")
    return f"{method}: {vector['note']}" if "note" in vector else method


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(drivers.time, "sleep", clock.sleep)
    monkeypatch.setattr(drivers.asyncio, "sleep", clock.asleep)
    return clock


# --- one vector through one of the clients ----------------------------------------------------------------


def _client(side: Side, options: Mapping[str, Any], script: Script) -> Any:
    return side.made(
        side.kind(
            issuer_url=options["issuerUrl"],
            public_client_id=options["publicClientId"],
            m2m_client_id=options["m2mClientId"],
            m2m_client_secret=options["m2mClientSecret"],
            allow_insecure_http=options.get("allowInsecureHttp", False),
            http_client=side.http_client(script),
            max_retries=0,
        )
    )


def _renamed(given: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """Keyword arguments from an options object; every member must be known."""
    return {names[name]: value for name, value in given.items()}


class _Set:
    def is_set(self) -> bool:
        return True


def _code(shown: Any) -> dict[str, Any]:
    told = {
        "userCode": shown.user_code,
        "verificationUri": shown.verification_uri,
        "verificationUriComplete": shown.verification_uri_complete,
        "expiresIn": shown.expires_in,
        "intervalSeconds": shown.interval,
    }
    return {name: value for name, value in told.items() if value is not None}


def _play(side: Side, client: Any, vector: Mapping[str, Any], clock: Clock) -> Any:
    """The outcome of a vector as plain data."""
    args = list(vector["args"])
    first: dict[str, Any] = args[0] if args and isinstance(args[0], dict) else {}
    user = first.get("externalUserId")
    rest = {name: value for name, value in first.items() if name != "externalUserId"}
    match vector["method"].removeprefix("PmtHouseClient."):
        case "getDiscovery":
            if "second call" in vector.get("note", "") or first.get("force"):
                side.do(client.get_discovery())
            result = client.get_discovery(**first)
        case "listAppUsers":
            result = client.list_app_users()
        case "upsertAppUser":
            result = client.upsert_app_user(user, **rest)
        case "deleteAppUser":
            result = client.delete_app_user(user)
        case "mintUserAccessToken":
            result = client.mint_user_access_token(user, **rest)
        case "issueMachineAccessToken":
            result = client.issue_machine_access_token(*args)
        case "completeDeviceApproval":
            result = client.complete_device_approval(**_renamed(first, userJwt="user_jwt", userCode="user_code"))
        case "mintUserSignerSessionToken":
            result = client.mint_user_signer_session_token(user, **rest)
        case "createSignerSessionToken":
            result = client.create_signer_session_token(**_renamed(first, userJwt="user_jwt"))
        case "mintSignerSessionForExternalUser":
            result = client.mint_signer_session_for_external_user(user, **rest)
        case "approveDeviceLogin":
            code = rest.pop("userCode")
            result = client.approve_device_login(user, code, **_renamed(rest, publicClientId="public_client_id"))
        case "getUsage":
            names = {"startDate": "start_date", "endDate": "end_date", "groupBy": "group_by", "userId": "user_id"}
            result = client.get_usage(**_renamed(first, gatewayRequestId="gateway_request_id", **names))
        case "fetchUsageForExternalUser":
            names = {"startDate": "start_date", "endDate": "end_date", "maxEndUserIds": "max_end_user_ids"}
            result = client.fetch_usage_for_external_user(user, **_renamed(rest, **names))
        case "getAppManifest":
            result = client.get_app_manifest(**_renamed(first, ifNoneMatch="if_none_match"))
        case "verifyJwt":
            options = args[1]
            scopes = {"required_scopes": options["requiredScopes"]} if "requiredScopes" in options else {}
            result = client.verify_access_token(args[0], audience=options["audience"], **scopes)
        case "pollDeviceToken":
            client.flows._device._clock = clock
            shown: list[Any] = []
            cancel = _Set() if "abort" in vector.get("note", "") else None
            tokens = side.do(client.poll_device_token(shown.append, scope=first.get("scope"), cancel=cancel))
            return {"tokens": tokens.to_dict(), "onUserCode": [_code(one) for one in shown]}
    found = side.do(result)
    return found if found is None else found.to_dict()


def _wire(method: str, url: str, headers: Mapping[str, str], body: str) -> dict[str, Any]:
    kept = {name: headers[name] for name in COMPARED if name in headers}
    return {"method": method, "url": url, "headers": kept, "body": body}


def _sent(script: Script) -> list[dict[str, Any]]:
    return [_wire(sent.method, sent.url, sent.headers, sent.text) for sent in script.sent]


def _recorded(exchanges: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    asked = [exchange["request"] for exchange in exchanges]
    return [_wire(one["method"], one["url"], one["headers"], one.get("body", "")) for one in asked]


def _error(error: TollkitError, like: Mapping[str, Any]) -> dict[str, Any]:
    """Our error with the members that the recorded one has; `name` says that a vector's error is typed."""
    told: dict[str, Any] = {"name": "PmtHouseError" if isinstance(error, PmtHouseError) else type(error).__name__}
    told |= {"message": error.message, "code": error.code, "status": error.status, "details": dict(error.details)}
    return {name: told[name] for name in like}


def _comparable(error: Mapping[str, Any]) -> dict[str, Any]:
    details = error.get("details")
    diagnostic = details is not None and ("cause" in details or "$omitted" in details)
    return {name: value for name, value in error.items() if not (name == "details" and diagnostic)}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: _name(vector).replace(" ", "-"))
def test_vector(vector: dict[str, Any], side: Side, clock: Clock) -> None:
    script = vector_script(vector["exchanges"])
    error: TollkitError | None = None
    result: Any = None
    try:
        result = _play(side, _client(side, vector["client_options"], script), vector, clock)
    except TollkitError as caught:
        error = caught

    same_requests = _sent(script) == _recorded(vector["exchanges"])
    if "error" in vector:
        expected = _comparable(vector["error"])
        same_outcome = error is not None and _error(error, expected) == expected
    else:
        expected = None if vector["result"] == {"$undefined": True} else vector["result"]
        same_outcome = error is None and result == expected

    departure = DEPARTURES.get(_name(vector))
    if departure is None:
        assert _sent(script) == _recorded(vector["exchanges"])
        assert same_outcome, (error.to_dict() if error else result, vector.get("error", vector.get("result")))
        script.assert_done()
        return
    assert not (same_requests and same_outcome), "no departure any more: strike it from the table"
    assert same_requests is departure.requests
    if departure.error is None:
        assert same_outcome
    else:
        assert isinstance(error, departure.error)
        assert isinstance(error, PmtHouseError)
        assert {name: getattr(error, name) for name in departure.facts} == departure.facts


def test_each_departure_is_of_one_vector() -> None:
    names = [_name(vector) for vector in VECTORS]
    assert {name: names.count(name) for name in DEPARTURES} == dict.fromkeys(DEPARTURES, 1)
    assert all(departure.reason for departure in DEPARTURES.values())


def test_all_vectors_are_there() -> None:
    assert len(VECTORS) == 78
    assert {vector["since"] for vector in VECTORS} == {"0.1.0"}


def test_dates_go_out_as_full_times(side: Side, clock: Clock) -> None:
    vector = next(one for one in VECTORS if one["method"].endswith("fetchUsageForExternalUser"))
    script = vector_script(vector["exchanges"])
    _play(side, _client(side, vector["client_options"], script), vector, clock)
    span = "startDate=2026-05-01T00%3A00%3A00.000Z&endDate=2026-05-31T23%3A59%3A59.999Z"
    recorded = [one["url"] for one in _recorded(vector["exchanges"])]
    assert [one["url"] for one in _sent(script)] == [
        url.replace("startDate=2026-05-01&endDate=2026-05-31", span) for url in recorded
    ]


def test_requests_are_logged_without_secrets(side: Side, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "tollkit")
    for vector in (one for one in VECTORS if "log_calls" in one):
        script = vector_script(vector["exchanges"])
        _play(side, _client(side, vector["client_options"], script), vector, clock)
        for call in vector["log_calls"]:
            told = [record.getMessage() for record in caplog.records]
            assert any(all(text in line for text in call["details"].values()) for line in told)
    assert "bTJtXzE6c2VjcmV0" not in caplog.text
