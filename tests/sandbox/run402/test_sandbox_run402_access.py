"""Wallets and keys at the sandboxed gateway: every member of a signature is checked, and each signs in once."""

from __future__ import annotations

import base64
import builtins
import json
import sys
from typing import Any

import httpx
import pytest
from run402_caller import OTHER, SIGNER, Caller

from tollkit.errors import MissingExtraError
from tollkit.run402.siwx import HEADER, SiwxMessage, siwx_header_value
from tollkit.sandbox import Run402Sandbox, Sandbox
from tollkit.sandbox.run402.access import recovered_address
from tollkit.sandbox.run402.gateway import GatewayError

PATH = "/tiers/v1/status"


def status(caller: Caller, header: dict[str, str], path: str = PATH) -> httpx.Response:
    return caller.get(path, headers=header)


def edited(caller: Caller, **changes: Any) -> dict[str, str]:
    """A right signature, with members changed afterwards; None takes one out."""
    payload = json.loads(base64.b64decode(caller.signed(PATH)[HEADER])) | changes
    payload = {name: value for name, value in payload.items() if value is not None}
    return {HEADER: base64.b64encode(json.dumps(payload).encode()).decode()}


def reason(answer: httpx.Response) -> str:
    assert answer.status_code == 402
    assert "payment-required" not in answer.headers
    told = answer.json()
    assert (told["code"], told["category"], told["retryable"]) == ("INVALID_WALLET_SIGNATURE", "auth", False)
    return told["details"]["reason"]


def test_a_wallet_signs_in(caller: Caller) -> None:
    answer = status(caller, caller.signed(PATH))
    assert answer.json()["wallet"] == SIGNER.address.lower()


def test_without_a_signature(caller: Caller) -> None:
    answer = status(caller, {})
    assert answer.status_code == 401
    assert answer.json()["code"] == "AUTHENTICATION_REQUIRED"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"domain": "api.run402.com"}, "the domain is 'api.run402.com'"),
        ({"uri": "http://127.0.0.1/other"}, "the uri is"),
        ({"statement": "Sign in to something else"}, "the statement must be"),
        ({"version": "2"}, "the version"),
        ({"chain_id": "eip155:1"}, "the chainId"),
        ({"nonce": "short"}, "the nonce"),
        ({"issued_at": "2099-01-01T00:00:00.000Z"}, "issued in the future"),
        ({"issued_at": "2026-01-01T00:00:00Z"}, "issuedAt must be a time"),
        ({"issued_at": "2026-13-01T00:00:00.000Z"}, "issuedAt must be a time"),
        ({"expiration_time": "2020-01-01T00:00:00.000Z"}, "expired"),
        ({"expiration_time": "soon"}, "expirationTime must be a time"),
        ({"expiration_time": None}, "expirationTime must be a text"),
    ],
)
def test_what_is_signed_must_be_for_this_call(caller: Caller, changes: dict[str, Any], told: str) -> None:
    assert told in reason(status(caller, caller.signed(PATH, **changes)))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"chainId": 84532}, "chainId must be a text"),
        ({"statement": None}, "statement must be a text"),
        ({"statement": ""}, "statement must be a text"),
        ({"type": "eip1271"}, "the type"),
        ({"address": OTHER.address}, "not of this address"),
        ({"address": SIGNER.address.lower()}, "with its checksum"),
        ({"address": "0x12"}, "with its checksum"),
        ({"nonce": "another0"}, "not of this address"),
        ({"signature": "0x12"}, "not of this address"),
        ({"signature": "0x" + "11" * 64 + "1b"}, "not of this address"),
        ({"signature": "0x" + "00" * 64 + "1b"}, "not of this address"),
        ({"resources": "x"}, "resources must be a list"),
        ({"resources": [1]}, "resources must be a list"),
        ({"resources": ["urn:more"]}, "not of this address"),
        ({"domain": "a\nb"}, "line break"),
    ],
)
def test_what_is_changed_afterwards_is_refused(caller: Caller, changes: dict[str, Any], told: str) -> None:
    assert told in reason(status(caller, edited(caller, **changes)))


@pytest.mark.parametrize("value", ["~~", "bm8=", "W10=", "e30=", "/w=="])
def test_what_is_no_signature_is_refused(caller: Caller, value: str) -> None:
    assert reason(status(caller, {HEADER: value}))


def test_the_query_is_signed_too(caller: Caller) -> None:
    assert status(caller, caller.signed(PATH + "?a=1%20b"), PATH + "?a=1%20b").status_code == 200
    assert "the uri is" in reason(status(caller, caller.signed(PATH), PATH + "?a=1"))


def test_resources_may_be_signed(caller: Caller) -> None:
    assert status(caller, caller.signed(PATH, resources=["urn:one", "urn:two"])).status_code == 200


def test_the_gateway_goes_by_the_name_it_is_called_by(caller: Caller, run402_sandbox: Run402Sandbox) -> None:
    base = run402_sandbox.api_base.replace("127.0.0.1", "localhost")
    message = SiwxMessage.new(base, PATH)
    assert message.domain == "localhost"
    header = {HEADER: str.__str__(siwx_header_value(message, SIGNER)), "host": httpx.URL(base).netloc.decode()}
    assert status(caller, header).status_code == 200


def test_a_nonce_signs_in_once(caller: Caller, run402_sandbox: Run402Sandbox, tollkit_sandbox: Sandbox) -> None:
    header = caller.signed(PATH)
    assert status(caller, header).status_code == 200
    assert "used before" in reason(status(caller, header))
    run402_sandbox.set_nonces_once(False)
    assert status(caller, header).status_code == 200
    tollkit_sandbox.clock.advance(301)
    assert "expired" in reason(status(caller, header))


def test_another_wallet_may_use_the_same_nonce(caller: Caller) -> None:
    for signer in (SIGNER, OTHER):
        assert status(caller, caller.signed(PATH, signer, nonce="0123456789abcdef")).status_code == 200


def test_a_price_takes_no_nonce_of_others(caller: Caller) -> None:
    mine = caller.signed(PATH, nonce="0123456789abcdef")
    assert status(caller, mine).status_code == 200
    theirs = caller.signed("/tiers/v1/hobby", OTHER, nonce="0123456789abcdef")
    assert caller.post("/tiers/v1/hobby", headers=theirs, json={}).headers["payment-required"]
    assert "used before" in reason(status(caller, mine))


def test_the_clock_of_a_caller_may_be_a_little_ahead(caller: Caller, tollkit_sandbox: Sandbox) -> None:
    tollkit_sandbox.clock.freeze()
    header, late = caller.signed(PATH), caller.signed(PATH)
    tollkit_sandbox.clock.advance(-20)
    assert status(caller, header).status_code == 200
    tollkit_sandbox.clock.advance(-20)
    assert "future" in reason(status(caller, late))


def test_recovering_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "coincurve", None)
    with pytest.raises(MissingExtraError, match="payments"):
        recovered_address(b"\x01" * 32, "0x" + "11" * 64 + "1b")


def test_a_signature_may_be_recovered_as_by_contracts() -> None:
    digest = b"\x01" * 32
    assert recovered_address(digest, None) is None
    high = "0x" + "11" * 32 + "ff" * 32 + "1b"
    assert recovered_address(digest, high) is None
    assert recovered_address(digest, "0x" + "11" * 64 + "1d") is None


def test_without_the_extra_it_says_what_to_install(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, run402_sandbox: Run402Sandbox
) -> None:
    headers = caller.signed(PATH)
    found = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] in ("coincurve", "Crypto"):
            raise ImportError(name)
        return found(name, *args, **kwargs)

    for name in list(sys.modules):
        if name.partition(".")[0] in ("coincurve", "Crypto"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    answer = status(caller, headers)
    assert answer.status_code == 501
    assert "tollkit[payments]" in answer.json()["message"]
    # keys, and what needs neither, work without it
    project = run402_sandbox.seed_project()
    assert caller.get(f"/projects/v1/admin/{project.id}/usage", key=project.service_key).status_code == 200
    assert caller.post("/faucet/v1", json={"address": SIGNER.address}).status_code == 200


# ---------------------------------------------------------------- keys


def test_keys(caller: Caller, run402_sandbox: Run402Sandbox) -> None:
    project = run402_sandbox.seed_project()
    path = f"/projects/v1/admin/{project.id}/usage"
    assert caller.get(path, key=project.service_key).status_code == 200
    assert caller.get(path, apikey=project.service_key).status_code == 200
    assert caller.get(path, key="guessed").status_code == 401
    refused = caller.get(path, key=project.anon_key)
    assert refused.status_code == 403
    assert "anon key" in refused.json()["message"]
    assert caller.get("/projects/v1/admin/prj_no/usage", key=project.service_key).status_code == 404


def _request(**headers: str) -> Any:
    from starlette.requests import Request

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw})


def test_any_key(run402_sandbox: Run402Sandbox, tollkit_sandbox: Sandbox) -> None:
    gateway = run402_sandbox.gateway
    project = run402_sandbox.seed_project()
    assert gateway.by_any_key(_request(apikey=project.anon_key))[1] == "anon"
    assert gateway.by_any_key(_request(authorization=f"Bearer {project.service_key}"))[1] == "service"
    for headers, status_code in (({}, 401), ({"apikey": "guessed"}, 401)):
        with pytest.raises(GatewayError) as caught:
            gateway.by_any_key(_request(**headers))
        assert caught.value.status == status_code
    run402_sandbox.end_lease(project.id)
    with pytest.raises(GatewayError, match="lease has ended") as caught:
        gateway.by_any_key(_request(apikey=project.anon_key))
    assert (caught.value.status, caught.value.code) == (402, "PROJECT_PAST_DUE")
    assert gateway.by_any_key(_request(apikey=project.anon_key), paid=False)[0].id == project.id


def test_credentials_are_not_in_the_log(caller: Caller, run402_sandbox: Run402Sandbox) -> None:
    project = run402_sandbox.seed_project()
    caller.get(PATH, signer=SIGNER, apikey=project.service_key)
    (entry,) = run402_sandbox.requests.matching(f"*{PATH}")
    assert entry.headers["sign-in-with-x"] == entry.headers["apikey"] == "****"
