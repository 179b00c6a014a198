"""Recorded cases of another client of such a provider: what is sent and what comes out must be the same here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.scripted_http import Clock, Script, assert_as_recorded, vector_script
from tollkit.core import drivers
from tollkit.errors import (
    ArgumentError,
    CancelledError,
    InsecureTransportError,
    OAuthError,
    TollkitError,
    TransportError,
)
from tollkit.oidc import urns
from tollkit.oidc.client import AsyncOidcClient, OidcClient
from tollkit.oidc.flows import OidcFlows

CASES = json.loads((Path(__file__).parent / "data" / "provider_cases.json").read_text("utf-8"))


def _name(case: dict[str, Any]) -> str:
    outcome = case.get("error", {}).get("message") or "ok"
    return f"{case['flow']}-{case['level']}-{case['note'] or outcome}"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(drivers.time, "sleep", clock.sleep)
    monkeypatch.setattr(drivers.asyncio, "sleep", clock.asleep)
    return clock


class _Blocking:
    """Calls methods of the blocking client."""

    @staticmethod
    def client(script: Script, **arguments: Any) -> Any:
        return OidcClient(http_client=script.client, max_retries=0, **arguments)

    @staticmethod
    def run(call: Callable[[], Any]) -> Any:
        return call()


class _Async:
    """Calls methods of the async client."""

    @staticmethod
    def client(script: Script, **arguments: Any) -> Any:
        return AsyncOidcClient(http_client=script.async_client, max_retries=0, **arguments)

    @staticmethod
    def run(call: Callable[[], Any]) -> Any:
        async def main() -> Any:
            return await call()

        return asyncio.run(main())


def _play(kind: Any, case: dict[str, Any], script: Script, clock: Clock) -> Any:
    public = case["flow"] == "device_login"
    client = kind.client(
        script,
        issuer=case["issuer"].rstrip("/"),
        client_id="app_pub" if public else "m2m_1",
        client_secret=None if public else "secret",
        allow_insecure_http=case["allow_insecure_http"],
    )
    if public:
        client.flows._clock = clock  # the deadline of a device login
    args = case["args"]
    match case["flow"]:
        case "discovery":
            if "second call" in case["note"] or args == [{"force": True}]:
                kind.run(client.discover)
            return kind.run(lambda: client.discover(**(args[0] if args else {}))).to_dict()
        case "client_credentials":
            tokens = kind.run(lambda: client.client_credentials(scope=args[0] if args else "sign:job")).to_dict()
            assert tokens.pop("token_type") == "bearer"
            return {**tokens, "token_type": "Bearer"}
        case "exchange":
            return kind.run(lambda: client.exchange_token(**_exchange(args[0])))
        case "device_login":
            shown: list[Any] = []
            options = {} if args[0].get("scope") is None else {"scope": args[0]["scope"]}
            cancel = _Set() if "abort" in case["note"] else None
            tokens = kind.run(lambda: client.device_login(shown.append, cancel=cancel, **options)).to_dict()
            return {"tokens": tokens, "onUserCode": [_code(one.to_dict()) for one in shown]}
        case "verify_access_token":
            options = {"required_scopes": args[1]["requiredScopes"]} if "requiredScopes" in args[1] else {}
            return kind.run(
                lambda: client.verify_access_token(args[0], audience=args[1]["audience"], **options)
            ).to_dict()


class _Set:
    def is_set(self) -> bool:
        return True


def _code(body: dict[str, Any]) -> dict[str, Any]:
    names = {
        "user_code": "userCode",
        "verification_uri": "verificationUri",
        "verification_uri_complete": "verificationUriComplete",
        "expires_in": "expiresIn",
        "interval": "intervalSeconds",
    }
    return {there: body[here] for here, there in names.items() if here in body}


def _exchange(arguments: dict[str, Any]) -> dict[str, Any]:
    issuer = "https://pymthouse.example/api/v1/oidc"
    if "userCode" in arguments:
        code = arguments["userCode"].upper().replace("-", "")
        return {"subject_token": arguments["userJwt"], "resource": f"urn:pmth:device_code:{code}"}
    return {
        "subject_token": arguments["userJwt"],
        "requested_token_type": urns.ACCESS_TOKEN_TYPE,
        "resource": None if arguments.get("omitResource") else issuer,
        "scope": arguments.get("scope", "").strip(),
        "issued": (urns.ACCESS_TOKEN_TYPE,),
    }


@pytest.mark.parametrize("kind", [_Blocking, _Async], ids=["blocking", "async"])
@pytest.mark.parametrize("case", CASES, ids=_name)
def test_case(case: dict[str, Any], kind: Any, clock: Clock) -> None:
    script = vector_script(case["exchanges"])
    expected = case.get("error")
    if expected is None:
        result = _play(kind, case, script, clock)
        if case["flow"] == "exchange":
            assert result.token_type == "bearer"
            result = {**result.to_dict(), "token_type": "Bearer"}
        assert result == case["result"]
    else:
        with pytest.raises(TollkitError) as caught:
            _play(kind, case, script, clock)
        _compare(caught.value, expected, case)
    assert_as_recorded(script, case["exchanges"])
    script.assert_done()


def _compare(error: TollkitError, expected: dict[str, Any], case: dict[str, Any]) -> None:
    """Departures, each with the reason that the project gives for it, and then the rule."""
    if expected["message"].startswith("server responded with a challenge"):
        # the provider's own words are kept, which a challenge header makes the other client lose
        assert isinstance(error, OAuthError)
        assert (error.code, error.status, error.message) == ("invalid_client", 401, "client authentication failed")
    elif expected["message"] == "socket hang up":
        assert isinstance(error, TransportError)  # typed, instead of code unexpected_error with status 500
        assert "socket hang up" in error.message
    elif expected["message"] in ("stop", "Aborted"):
        assert isinstance(error, CancelledError)
    elif expected["message"] == "Invalid URL":
        assert isinstance(error, ArgumentError)  # when the client is made, instead of a TypeError at the first call
    else:
        assert (error.message, error.code, error.status) == (
            expected["message"],
            expected["code"],
            expected["status"],
        )
        if isinstance(error, OAuthError) and "details" in expected:
            assert error.body == expected["details"]
        if "HTTPS" in expected["message"]:
            assert isinstance(error, InsecureTransportError)


def test_flows_are_plain_generators() -> None:
    flows = OidcFlows(issuer="https://id.example", client_id="c")
    flow = flows.discover()
    assert next(flow).key == "fetch"
