"""Delegations: their values, the statement, the resource URI and the signature."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkit import errors as tree
from tollkit.run402 import siwx
from tollkit.run402.ci import delegation, signing
from tollkit.run402.ci.delegation import (
    CiDelegation,
    check_nonce,
    check_subject_match,
    normalize_ci_delegation_values,
)
from tollkit.run402.ci.signing import sign_ci_delegation
from tollkit.run402.credentials import AllowanceData
from tollkit.run402.errors import LocalError
from tollkit.run402.local import LocalCredentials
from tollkit.run402.signer import PrivateKeySigner

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "ci-1.57.0.json").read_text())
GOOD = VECTORS["ci_delegation"][0]["input"]
KEY = "0x" + "1" * 64


def payload(value: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(value))
    return found


# --- vectors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", VECTORS["ci_delegation"], ids=lambda case: case["name"])
def test_delegations(case: dict[str, Any]) -> None:
    found = normalize_ci_delegation_values(case["input"])
    statement = found.statement.encode()
    assert found.to_dict() == case["normalized"]
    assert found.statement == case["statement"]
    assert (len(statement), hashlib.sha256(statement).hexdigest()) == (
        case["statement_utf8_bytes"],
        case["statement_sha256"],
    )
    assert found.resource_uri == case["resource_uri"]
    assert normalize_ci_delegation_values(found) == found


@pytest.mark.parametrize("case", VECTORS["ci_subject_valid"], ids=lambda case: case["input"])
def test_subjects(case: dict[str, Any]) -> None:
    assert check_subject_match(case["input"]) == case["output"]


@pytest.mark.parametrize("case", VECTORS["ci_nonce_valid"], ids=lambda case: case["input"])
def test_nonces(case: dict[str, Any]) -> None:
    assert check_nonce(case["input"]) == case["output"]


@pytest.mark.parametrize(
    ("group", "check"),
    [
        ("ci_subject_invalid", check_subject_match),
        ("ci_nonce_invalid", check_nonce),
        ("ci_normalize_invalid", normalize_ci_delegation_values),
    ],
)
def test_refusals(group: str, check: Any) -> None:
    for case in VECTORS[group]:
        with pytest.raises(LocalError) as caught:
            check(case["input"])
        expected = case["error"]
        assert (caught.value.name, caught.value.kind, caught.value.doing) == (
            expected["class"],
            expected["kind"],
            expected["context"],
        )


def test_constants() -> None:
    told = VECTORS["constants"]
    assert told["CI_AUDIENCE"] == delegation.AUDIENCE
    assert told["CI_GITHUB_ACTIONS_ISSUER"] == delegation.ISSUER
    assert told["CI_GITHUB_ACTIONS_PROVIDER"] == delegation.PROVIDER
    assert told["DEFAULT_CI_DELEGATION_CHAIN_ID"] == siwx.DEFAULT_CHAIN_ID
    assert tuple(told["V1_CI_ALLOWED_ACTIONS"]) == delegation.ACTIONS
    assert tuple(told["V1_CI_ALLOWED_EVENTS_DEFAULT"]) == delegation.DEFAULT_EVENTS
    assert told["max_subject_match_chars"] == delegation.MOST_SUBJECT_UNITS
    assert told["max_resource_uri_bytes"] == delegation.MOST_RESOURCE_BYTES
    assert told["max_statement_bytes"] == delegation.MOST_STATEMENT_BYTES


# --- values --------------------------------------------------------------------------------------------------


def test_lists_are_sorted_as_the_platform_sorts_them_and_doubles_left_out() -> None:
    # by UTF-16 code units a character beyond U+FFFF comes before U+FF5E
    found = normalize_ci_delegation_values({**GOOD, "allowed_events": ["\uff5e", "push", "\U0001f600", "push"]})
    assert found.allowed_events == ("push", "\U0001f600", "\uff5e")


@pytest.mark.parametrize(
    ("given_values", "expires", "repository"),
    [
        ({"expires_at": datetime(2026, 7, 30, tzinfo=UTC)}, "2026-07-30T00:00:00.000Z", None),
        ({"expires_at": "whenever"}, "whenever", None),
        ({"github_repository_id": 892341}, None, "892341"),
        ({"github_repository_id": "892341", "issuer": None, "audience": None}, None, "892341"),
    ],
)
def test_values_that_may_be_told_in_more_than_one_way(
    given_values: dict[str, Any], expires: str | None, repository: str | None
) -> None:
    found = normalize_ci_delegation_values({**GOOD, **given_values})
    assert (found.expires_at, found.github_repository_id) == (expires, repository)
    assert (found.issuer, found.audience) == (delegation.ISSUER, delegation.AUDIENCE)


@pytest.mark.parametrize(
    ("name", "value", "argument"),
    [
        ("project_id", "", "project_id"),
        ("project_id", 5, "project_id"),
        ("project_id", "prj\nAudience: evil", "project_id"),
        ("project_id", "prj\ud800", "project_id"),
        ("subject_match", None, "subject_match"),
        ("subject_match", "", "subject_match"),
        ("subject_match", "*", "subject_match"),
        ("subject_match", "a*b", "subject_match"),
        ("subject_match", "**", "subject_match"),
        ("subject_match", "a\x00", "subject_match"),
        ("subject_match", "a\ud800", "subject_match"),
        ("subject_match", "x" * 257, "subject_match"),
        ("subject_match", "\U0001f600" * 129, "subject_match"),
        ("nonce", "abc", "nonce"),
        ("nonce", "A" * 16, "nonce"),
        ("nonce", "a" * 65, "nonce"),
        ("nonce", "a" * 16 + "\n", "nonce"),
        ("nonce", 5, "nonce"),
        ("allowed_actions", [], "allowed_actions"),
        ("allowed_actions", "deploy", "allowed_actions"),
        ("allowed_actions", ["deploy", "pay"], "allowed_actions"),
        ("allowed_actions", None, "allowed_actions"),
        ("allowed_events", None, "allowed_events"),
        ("allowed_events", [""], "allowed_events"),
        ("allowed_events", ["push\nExpires: never"], "allowed_events"),
        ("expires_at", 5, "expires_at"),
        ("expires_at", "soon\nNonce: 1", "expires_at"),
        ("expires_at", datetime(2026, 7, 30), "expires_at"),
        ("github_repository_id", True, "github_repository_id"),
        ("github_repository_id", "", "github_repository_id"),
        ("audience", "", "audience"),
        ("issuer", 5, "issuer"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: Any, argument: str) -> None:
    with pytest.raises(tree.ArgumentError) as caught:
        normalize_ci_delegation_values({**GOOD, name: value})
    assert isinstance(caught.value, LocalError)
    assert caught.value.argument == argument


def test_the_longest_subject_is_taken() -> None:
    assert check_subject_match("x" * 256) == "x" * 256


@pytest.mark.parametrize(("events", "part"), [(2000, "statement"), (900, "resource_uri")])
def test_what_would_be_too_long_is_refused(events: int, part: str) -> None:
    found = normalize_ci_delegation_values({**GOOD, "allowed_events": [f"e{number}" for number in range(events)]})
    with pytest.raises(tree.ArgumentError) as caught:
        getattr(found, part)
    assert caught.value.argument == part


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_whatever_is_given_is_refused_with_an_error_of_ours(value: Any) -> None:
    for name in ("project_id", "subject_match", "allowed_events", "allowed_actions", "nonce", "expires_at"):
        try:
            found = normalize_ci_delegation_values({**GOOD, name: value})
        except LocalError:
            continue
        # nothing that was given writes a line of its own
        assert len(found.statement.splitlines()) == len(normalize_ci_delegation_values(GOOD).statement.split("\n"))
    with pytest.raises(LocalError):
        normalize_ci_delegation_values(value)


# --- signing -------------------------------------------------------------------------------------------------


def test_signing() -> None:
    signer = PrivateKeySigner(KEY)
    value = sign_ci_delegation(
        GOOD,
        signer=signer,
        api_base="https://api.run402.test:8443/some/base",
        issued_at="2026-05-01T00:00:00.000Z",
        expiration_time=datetime(2026, 5, 1, 0, 5, tzinfo=UTC),
    )
    found, told = payload(value), normalize_ci_delegation_values(GOOD)
    assert {name: found[name] for name in found if name != "signature"} == {
        "domain": "api.run402.test",
        "address": signer.address,
        "statement": told.statement,
        "uri": "https://api.run402.test:8443/ci/v1/bindings",
        "version": "1",
        "chainId": "eip155:84532",
        "type": "eip191",
        "nonce": GOOD["nonce"][:16],
        "issuedAt": "2026-05-01T00:00:00.000Z",
        "expirationTime": "2026-05-01T00:05:00.000Z",
        "resources": [told.resource_uri],
    }
    message = siwx.SiwxMessage(
        domain=found["domain"],
        uri=found["uri"],
        statement=found["statement"],
        nonce=found["nonce"],
        issued_at=found["issuedAt"],
        expiration_time=found["expirationTime"],
        resources=found["resources"],
    )
    signature = signer.sign_message(siwx.siwx_text(message, signer.address).encode())
    assert found["signature"] == "0x" + signature.hex()
    assert value not in repr(value)


def test_signing_with_the_local_wallet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN402_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("RUN402_API_BASE", "https://elsewhere.test")
    monkeypatch.setattr(signing.time, "time", lambda: 1_777_593_600.5)
    local = LocalCredentials()
    made = local.create_allowance()
    local.save_allowance(made)
    found = payload(sign_ci_delegation(GOOD, chain_id=8453, nonce="fresh1234"))
    assert found["address"].lower() == made.address
    assert (found["domain"], found["chainId"], found["nonce"]) == ("elsewhere.test", "eip155:8453", "fresh1234")
    assert (found["issuedAt"], found["expirationTime"]) == ("2026-05-01T00:00:00.500Z", "2026-05-01T00:05:00.500Z")
    another = tmp_path / "another.json"
    LocalCredentials(allowance_path=another).save_allowance(
        AllowanceData(address=PrivateKeySigner(KEY).address, private_key=KEY)  # type: ignore[arg-type]  # text is taken
    )
    assert payload(sign_ci_delegation(GOOD, allowance_path=another))["address"] == PrivateKeySigner(KEY).address


def test_no_wallet_is_told_before_the_values_are_looked_at(tmp_path: Path) -> None:
    with pytest.raises(LocalError) as caught:
        sign_ci_delegation({}, allowance_path=tmp_path / "none.json")
    assert caught.value.doing == "signing CI delegation"
    assert str(tmp_path / "none.json") in str(caught.value)


@pytest.mark.parametrize("api_base", ["", "ftp://x", "api.run402.com"])
def test_a_gateway_that_is_none_is_refused(api_base: str) -> None:
    with pytest.raises(tree.ArgumentError) as caught:
        sign_ci_delegation(GOOD, signer=PrivateKeySigner(KEY), api_base=api_base)
    assert (caught.value.argument, caught.value.context["doing"]) == ("api_base", "signing CI delegation")


@pytest.mark.parametrize("moment", ["2026-05-01\nResources:", datetime(2026, 5, 1)])
def test_a_moment_that_cannot_be_signed_is_refused(moment: Any) -> None:
    with pytest.raises(LocalError):
        sign_ci_delegation(GOOD, signer=PrivateKeySigner(KEY), api_base="https://x.test", issued_at=moment)


def test_a_delegation_is_made_of_plain_values() -> None:
    found = normalize_ci_delegation_values(GOOD)
    assert isinstance(found, CiDelegation)
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()
