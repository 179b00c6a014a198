"""Device logins: the whole of them, from the code on the screen to the tokens, and every way to end without."""

from __future__ import annotations

import asyncio
import threading
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from support.pymthouse import Side
from support.scripted_http import Clock
from tollkit.errors import (
    ArgumentError,
    CancelledError,
    DecodeError,
    DeviceFlowError,
    NotFoundError,
    OAuthError,
)
from tollkit.pymthouse import PmtHouseError, clear_discovery_cache, device
from tollkit.sandbox import Fault, PymtHouseSandbox, Sandbox

TOKEN = "POST /api/v1/oidc/token"
DEVICE = {"grant_type": "*device_code"}
EXCHANGE = {"grant_type": "*token-exchange"}


@pytest.fixture
def client(side: Side, pymthouse_sandbox: PymtHouseSandbox) -> Any:
    return side.client(pymthouse_sandbox)


@pytest.fixture(autouse=True)
def _no_shared_discovery() -> None:
    clear_discovery_cache()


def polls(place: PymtHouseSandbox) -> int:
    return len(
        [sent for sent in place.requests.matching(TOKEN) if (sent.value("grant_type") or "").endswith("device_code")]
    )


# --- the redirect to the approval page ----------------------------------------------------------------------


def redirect(client: Any, **changes: str) -> dict[str, str]:
    target = client.issuer_url.replace("/api/v1/oidc", "/oidc/device")
    given = {"user_code": "bcdf-ghjk", "client_id": client.public_client_id}
    return {"iss": client.issuer_url, "target_link_uri": f"{target}?{urlencode(given)}", **changes}


def test_the_redirect_is_read(client: Any) -> None:
    query = redirect(client)
    for given in (query, urlencode(query), f"https://app.example/approve?{urlencode(query)}", list(query.items())):
        asked = client.parse_device_approval_redirect(given)
        assert (asked.user_code, asked.client_id) == ("BCDFGHJK", client.public_client_id)
        assert asked.issuer == client.issuer_url


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"iss": ""}, "invalid_request"),
        ({"iss": "https://evil.example/api/v1/oidc"}, "invalid_issuer"),
        ({"target_link_uri": "no address"}, "invalid_target"),
        ({"target_link_uri": "https://evil.example/oidc/device?user_code=A&client_id=b"}, "invalid_target"),
    ],
)
def test_a_redirect_from_elsewhere_is_refused(client: Any, changes: dict[str, str], code: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        client.parse_device_approval_redirect(redirect(client, **changes))
    assert (caught.value.code, caught.value.status) == (code, 400)
    assert isinstance(caught.value, PmtHouseError)


# --- approval -----------------------------------------------------------------------------------------------


def test_a_login_from_begin_to_end(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, naps: list[float]
) -> None:
    """The app approves while the device waits: between its first and its second poll."""
    shown: list[Any] = []
    other = side.client(pymthouse_sandbox)

    def show_and_approve(authorization: Any) -> Any:
        shown.append(authorization)
        query = redirect(
            client,
            target_link_uri=f"{authorization.verification_uri_complete}&client_id={quote(client.public_client_id)}",
        )
        asked = client.parse_device_approval_redirect(query)
        assert asked.user_code == authorization.user_code.replace("-", "")
        return other.approve_device_login(
            "user-42", asked.user_code, email="a@example.com", public_client_id=asked.client_id
        )

    tokens = side.do(client.poll_device_token(show_and_approve, scope="openid sign:job"))
    [authorization] = shown
    assert authorization.verification_uri == f"{pymthouse_sandbox.url}/oidc/device"
    assert (authorization.expires_in, authorization.interval) == (600, None)
    assert (tokens.token_type, tokens.expires_in, tokens.scope) == ("bearer", 3600, "openid sign:job")
    assert tokens.refresh_token
    assert tokens.id_token
    assert naps == []
    assert polls(pymthouse_sandbox) == 1
    user = pymthouse_sandbox.app.users["user-42"]
    assert (user.email, user.status) == ("a@example.com", "active")

    claims = side.do(client.verify_access_token(tokens.access_token))
    assert claims.client_id == client.public_client_id
    assert side.do(client.exchange_for_signer_session(tokens.access_token)).scope == "sign:job"


def test_the_device_waits_five_seconds_between_polls(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, naps: list[float], tollkit_sandbox: Sandbox
) -> None:
    codes: list[str] = []

    def show(authorization: Any) -> None:
        codes.append(authorization.user_code)

    pending = {"error": "authorization_pending"}
    tollkit_sandbox.faults.add(Fault(kind="status", match=TOKEN, where=DEVICE, status=400, body=pending, times=3))

    def approve(_event: Any) -> None:
        pymthouse_sandbox.approve_device(codes[0])

    watched = client.with_options(on_event=lambda event: approve(event) if codes else None)
    tokens = side.do(watched.poll_device_token(show))
    assert tokens.scope is None or "openid" not in tokens.scope
    assert naps == [5.0, 5.0, 5.0]
    assert polls(pymthouse_sandbox) == 4


def test_a_slow_poll(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, naps: list[float], tollkit_sandbox: Sandbox
) -> None:
    tollkit_sandbox.faults.add(Fault(kind="slow_down", match=TOKEN, times=2))
    tokens = side.do(
        client.poll_device_token(lambda shown: pymthouse_sandbox.approve_device(shown.user_code) and None)
    )
    assert tokens.access_token
    assert naps == [10.0, 15.0]
    assert polls(pymthouse_sandbox) == 3


def test_denied(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, naps: list[float]) -> None:
    with pytest.raises(DeviceFlowError) as caught:
        side.do(client.poll_device_token(lambda shown: pymthouse_sandbox.deny_device(shown.user_code) and None))
    assert (caught.value.code, caught.value.status, caught.value.kind) == ("access_denied", 400, "device_flow")
    assert isinstance(caught.value, PmtHouseError)
    assert polls(pymthouse_sandbox) == 1


def test_expired_as_the_platform_says(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, naps: list[float]
) -> None:
    with pytest.raises(DeviceFlowError) as caught:
        side.do(client.poll_device_token(lambda shown: pymthouse_sandbox.expire_device(shown.user_code) and None))
    assert caught.value.code == "expired_token"


def test_expired_by_our_clock(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, monkeypatch: pytest.MonkeyPatch, naps: list[float]
) -> None:
    clock = Clock()
    monkeypatch.setattr(client.flows._device, "_clock", clock)
    watched = client.with_options(on_event=lambda event: clock.sleep(100))
    with pytest.raises(DeviceFlowError) as caught:
        side.do(watched.poll_device_token())
    assert (caught.value.code, caught.value.status) == ("device_flow_expired", 408)
    assert caught.value.hint
    assert polls(pymthouse_sandbox) == 3


@pytest.mark.parametrize("event", [threading.Event, asyncio.Event])
def test_cancelled_before_the_first_poll(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, event: Any
) -> None:
    cancel = event()
    with pytest.raises(CancelledError) as caught:
        side.do(client.poll_device_token(lambda shown: cancel.set(), cancel=cancel))
    assert isinstance(caught.value, PmtHouseError)
    assert polls(pymthouse_sandbox) == 0


def test_cancelled_while_waiting(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, naps: list[float]
) -> None:
    class AfterTenLooks:
        looks = 0

        def is_set(self) -> bool:
            self.looks += 1
            return self.looks > 10

    with pytest.raises(CancelledError):
        side.do(client.poll_device_token(cancel=AfterTenLooks()))
    assert polls(pymthouse_sandbox) == 1
    assert max(naps) <= 0.2


def test_the_app_may_not_use_a_scope(side: Side, client: Any) -> None:
    with pytest.raises(OAuthError) as caught:
        side.do(client.poll_device_token(scope="admin"))
    assert caught.value.code == "invalid_scope"


def test_what_shows_the_code_may_fail(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    def fail(_shown: Any) -> None:
        raise KeyError("no screen")

    with pytest.raises(KeyError, match="no screen"):
        side.do(client.poll_device_token(fail))
    assert polls(pymthouse_sandbox) == 0


def test_a_coroutine_function_needs_the_async_client(pymthouse_sandbox: PymtHouseSandbox, side: Side) -> None:
    seen: list[str] = []

    async def show(shown: Any) -> None:
        await asyncio.sleep(0)
        seen.append(shown.user_code)
        pymthouse_sandbox.approve_device(shown.user_code)

    client = side.client(pymthouse_sandbox)
    if side.name == "async":
        side.do(client.poll_device_token(show))
        assert len(seen) == 1
    else:
        with pytest.raises(ArgumentError) as caught:
            client.poll_device_token(show)
        assert caught.value.argument == "on_user_code"


# --- without a client ---------------------------------------------------------------------------------------


def test_a_login_without_a_client(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    poll = side.function(device, "poll_device_token")
    where = {"issuer_url": client.issuer_url, "client_id": client.public_client_id, "allow_insecure_http": True}

    def approve(shown: Any) -> None:
        pymthouse_sandbox.approve_device(shown.user_code)

    tokens = side.do(poll(scope="sign:job", on_user_code=approve, **where))
    assert tokens.scope == "sign:job"
    with pytest.raises(DeviceFlowError) as caught:
        side.do(poll(on_user_code=lambda shown: pymthouse_sandbox.deny_device(shown.user_code) and None, **where))
    assert isinstance(caught.value, PmtHouseError)
    with pytest.raises(OAuthError) as unknown:
        side.do(poll(**{**where, "client_id": "app_unknown"}))
    assert unknown.value.error == "invalid_client"
    for argument in ("client_id", "issuer_url"):
        with pytest.raises(ArgumentError) as refused:
            side.do(poll(**{**where, argument: ""}))
        assert refused.value.argument == argument
        assert isinstance(refused.value, PmtHouseError)
    with pytest.raises(PmtHouseError, match="only requests to HTTPS are allowed"):
        side.do(poll(**{**where, "allow_insecure_http": False}))


def test_an_issuer_without_device_logins(side: Side, client: Any, tollkit_sandbox: Sandbox) -> None:
    issuer = client.issuer_url
    document = {"issuer": issuer, "token_endpoint": f"{issuer}/token", "jwks_uri": f"{issuer}/jwks"}
    tollkit_sandbox.faults.add(Fault(kind="status", match="*/.well-known/*", status=200, body=document))
    with pytest.raises(DecodeError) as caught:
        side.do(client.poll_device_token())
    assert (caught.value.code, caught.value.status) == ("unsupported_grant", 400)


# --- approval step by step, and what can go wrong -----------------------------------------------------------


@pytest.fixture
def code(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> str:
    """A device login that waits for approval."""
    cancel = threading.Event()
    with pytest.raises(CancelledError):
        side.do(client.poll_device_token(lambda shown: cancel.set(), cancel=cancel))
    return pymthouse_sandbox.devices[-1].shown


@pytest.mark.parametrize("spelling", ["{}", "  {}  "])
def test_approval_of_any_spelling_and_again(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, code: str, spelling: str
) -> None:
    pymthouse_sandbox.seed_user("alice")
    jwt = side.do(client.mint_user_access_token("alice")).access_token
    for text in (code, code.lower(), code.replace("-", " ")):
        answer = side.do(client.complete_device_approval(user_jwt=jwt, user_code=spelling.format(text)))
        assert answer.access_token == jwt
        assert 0 < answer.expires_in <= 900
    assert pymthouse_sandbox.devices[-1].status == "approved"


def test_approval_of_an_unknown_code(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    pymthouse_sandbox.seed_user("alice")
    jwt = side.do(client.mint_user_access_token("alice")).access_token
    with pytest.raises(OAuthError) as caught:
        side.do(client.complete_device_approval(user_jwt=jwt, user_code="BCDF-GHJK"))
    assert (caught.value.error, caught.value.status) == ("invalid_grant", 400)
    assert caught.value.message == "Invalid, expired, or already used device code"


def test_approval_that_is_switched_off(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, code: str
) -> None:
    pymthouse_sandbox.configure_app(device_login=False)
    with pytest.raises(OAuthError) as caught:
        side.do(client.approve_device_login("alice", code))
    assert caught.value.error == "invalid_client"


@pytest.mark.parametrize("bad", ["", "  ", "--", "\u2013", None, 5])
def test_a_code_that_can_be_none_changes_no_user(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, bad: Any
) -> None:
    for call in (
        lambda: client.approve_device_login("alice", bad),
        lambda: client.complete_device_approval(user_jwt="eyJ.a.b", user_code=bad),
    ):
        with pytest.raises(ArgumentError) as caught:
            side.do(call())
        assert caught.value.argument == "user_code"
    assert len(pymthouse_sandbox.requests) == 0


def test_another_apps_login_is_refused(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    with pytest.raises(ArgumentError) as caught:
        side.do(client.approve_device_login("alice", "BCDF-GHJK", public_client_id="app_other"))
    error = caught.value
    assert (error.code, error.status) == ("invalid_client", 400)
    assert error.message == "publicClientId does not match configured public client id"
    assert len(pymthouse_sandbox.requests) == 0


def test_an_inactive_user_is_made_active_by_approval(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, code: str
) -> None:
    pymthouse_sandbox.seed_user("idle", status="inactive")
    assert side.do(client.approve_device_login("idle", code)) is None
    assert pymthouse_sandbox.app.users["idle"].status == "active"


def test_an_app_that_may_not_mint(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, code: str) -> None:
    pymthouse_sandbox.configure_app(m2m_scopes=["users:write", "device:approve"])
    with pytest.raises(PmtHouseError) as caught:
        side.do(client.approve_device_login("alice", code))
    assert caught.value.code == "invalid_scope"
    assert not isinstance(caught.value, NotFoundError)
