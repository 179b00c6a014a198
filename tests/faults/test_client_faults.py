"""Every misbehaviour of the sandbox, through both clients: which error comes out, and how often was asked.

What may have had an effect is asked for once: no minted token, no exchange and no poll of a device is ever sent
twice. What can be repeated is, and comes to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from support.pymthouse import Side
from support.scripted_http import Clock, Reply, Script
from support.server import Hold, Reset, Server
from tollkit import Timeout
from tollkit.errors import (
    DecodeError,
    DeviceFlowError,
    NotFoundError,
    OAuthError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    TokenError,
    TollkitError,
    TransportError,
)
from tollkit.pymthouse import PmtHouseError
from tollkit.sandbox import Fault, PymtHouseSandbox, Sandbox

TOKEN = "POST */oidc/token"
JWT = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"


@attrs.frozen
class Doing:
    """A call, and the one request of it that is spoilt.

    Attributes:
        call: Makes the call.
        match: The request.
        where: Its form fields.
        repeatable: Whether it may be sent again when nobody knows whether it had an effect.
        rest: Whether it is one of the Builder and Usage APIs, and not of the issuer.
    """

    call: Callable[[Any], Any]
    match: str
    where: dict[str, str] = attrs.field(factory=dict)
    repeatable: bool = True
    rest: bool = True

    def fault(self, **facts: Any) -> Fault:
        return Fault(match=self.match, where=self.where, **facts)

    def seen(self, place: PymtHouseSandbox) -> int:
        """How often the sandbox got the request."""
        return sum(
            all((sent.value(name) or "").endswith(value.lstrip("*")) for name, value in self.where.items())
            for sent in place.requests.matching(self.match)
        )


def _device_login(client: Any) -> Any:
    return client.poll_device_token()


REPEATABLE = {
    "list": Doing(lambda client: client.list_app_users(), "GET */users"),
    "upsert": Doing(lambda client: client.upsert_app_user("alice"), "POST */users"),
    "update": Doing(lambda client: client.update_app_user("alice", status="active"), "PUT */users"),
    "delete": Doing(lambda client: client.delete_app_user("alice"), "DELETE */users"),
    "usage": Doing(lambda client: client.get_usage(group_by="user"), "GET */usage"),
    "manifest": Doing(lambda client: client.get_app_manifest(), "GET */manifest"),
    "catalog": Doing(lambda client: client.get_pipeline_catalog(), "GET */pipeline-catalog"),
}
ONCE = {
    "mint": Doing(
        lambda client: client.mint_user_access_token("alice"), "POST */users/alice/token", repeatable=False
    ),
    "machine": Doing(
        lambda client: client.issue_machine_access_token(),
        TOKEN,
        {"grant_type": "client_credentials"},
        repeatable=False,
        rest=False,
    ),
    "exchange": Doing(
        lambda client: client.exchange_for_signer_session(JWT),
        TOKEN,
        {"grant_type": "*token-exchange"},
        repeatable=False,
        rest=False,
    ),
    "approve": Doing(
        lambda client: client.complete_device_approval(user_jwt=JWT, user_code="BCDF-GHJK"),
        TOKEN,
        {"grant_type": "*token-exchange"},
        repeatable=False,
        rest=False,
    ),
    "device": Doing(_device_login, "POST */device/auth", repeatable=False, rest=False),
    "poll": Doing(_device_login, TOKEN, {"grant_type": "*device_code"}, repeatable=False, rest=False),
}
ALL = {**REPEATABLE, **ONCE}


@pytest.fixture
def client(side: Side, pymthouse_sandbox: PymtHouseSandbox, naps: list[float]) -> Any:
    pymthouse_sandbox.seed_user("alice")
    return side.client(pymthouse_sandbox)


def failure(side: Side, call: Callable[[], Any]) -> Any:
    with pytest.raises(TollkitError) as caught:
        side.do(call())
    assert isinstance(caught.value, PmtHouseError)
    assert str(caught.value)
    return caught.value


# --- the connection breaks ----------------------------------------------------------------------------------

BREAKS: dict[str, dict[str, Any]] = {
    "before the request is read": {"kind": "reset", "when": "before"},
    "after the request is read": {"kind": "reset", "when": "after_read"},
    "after it has had its effect": {"kind": "reset", "when": "after_processing"},
    "in the middle of the answer": {"kind": "half_answer"},
}


@pytest.mark.parametrize("breaks", BREAKS)
@pytest.mark.parametrize("name", REPEATABLE)
def test_what_can_be_repeated_survives_a_break(
    side: Side, client: Any, tollkit_sandbox: Sandbox, name: str, breaks: str, naps: list[float]
) -> None:
    doing = REPEATABLE[name]
    tollkit_sandbox.faults.add(doing.fault(**BREAKS[breaks], times=2))
    side.do(doing.call(client))
    assert doing.seen(tollkit_sandbox.pymthouse) == 3
    assert len(naps) == 2
    assert 0 <= naps[0] <= 0.5
    assert 0 <= naps[1] <= 1.0

    tollkit_sandbox.requests.clear()
    tollkit_sandbox.faults.add(doing.fault(**BREAKS[breaks], times=None))
    error = failure(side, lambda: doing.call(client))
    assert isinstance(error, TransportError)
    assert (error.kind, error.code, error.status) == ("network", "network_error", None)
    assert (error.retryable, error.safe_to_retry) == (True, True)
    assert error.context["attempts"] == doing.seen(tollkit_sandbox.pymthouse) == 3


@pytest.mark.parametrize("breaks", BREAKS)
@pytest.mark.parametrize("name", ONCE)
def test_what_may_have_had_an_effect_is_sent_once(
    side: Side, client: Any, tollkit_sandbox: Sandbox, name: str, breaks: str, naps: list[float]
) -> None:
    doing = ONCE[name]
    tollkit_sandbox.faults.add(doing.fault(**BREAKS[breaks]))
    error = failure(side, lambda: doing.call(client))
    if name == "poll":
        assert isinstance(error, DeviceFlowError)
        assert error.code == "device_poll_lost"
    else:
        assert isinstance(error, TransportError)
        assert (error.kind, error.code) == ("network", "network_error")
        assert (error.retryable, error.safe_to_retry) == (True, False)
    assert error.context["attempts"] == doing.seen(tollkit_sandbox.pymthouse) == 1
    assert naps == []


def test_the_users_of_a_broken_upsert_are_one(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, tollkit_sandbox: Sandbox
) -> None:
    tollkit_sandbox.faults.add(Fault(kind="reset", match="POST */users", when="after_processing"))
    user = side.do(client.upsert_app_user("bob", email="bob@example.com"))
    assert list(pymthouse_sandbox.app.users) == ["alice", "bob"]
    assert user.id == pymthouse_sandbox.app.users["bob"].id


# --- no answer in time --------------------------------------------------------------------------------------


def test_no_answer_in_time(side: Side, pymthouse_sandbox: PymtHouseSandbox, naps: list[float]) -> None:
    with Server(default=Hold()) as server:
        client = side.client(
            pymthouse_sandbox, issuer_url=f"{server.url}/api/v1/oidc", timeout=Timeout(read=0.05), max_retries=1
        )
        error = failure(side, lambda: client.list_app_users())
        assert isinstance(error, RequestTimeoutError)
        assert isinstance(error, TimeoutError)
        assert (error.kind, error.safe_to_retry, error.context["attempts"]) == ("timeout", True, 2)
        error = failure(side, lambda: client.mint_user_access_token("alice"))
        assert (error.kind, error.safe_to_retry, error.context["attempts"]) == ("timeout", False, 1)
        error = failure(side, lambda: client.get_discovery())
        assert (error.kind, error.code, error.status) == ("timeout", "oidc_discovery_failed", 502)
        server.wait_for(5)
        assert sorted(seen.method for seen in server.seen) == ["GET"] * 4 + ["POST"]


def test_a_slow_answer_is_an_answer(side: Side, client: Any, tollkit_sandbox: Sandbox) -> None:
    tollkit_sandbox.faults.add(Fault(kind="latency", seconds=0.05))
    assert [user.external_user_id for user in side.do(client.list_app_users()).users] == ["alice"]
    assert len(tollkit_sandbox.requests) == 1


# --- error statuses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("name", REPEATABLE)
def test_too_many_requests(
    side: Side, client: Any, tollkit_sandbox: Sandbox, name: str, form: Any, naps: list[float]
) -> None:
    doing = REPEATABLE[name]
    limit = {"kind": "status", "status": 429, "body": {"error": "rate_limited"}, "retry_after": 7}
    tollkit_sandbox.faults.add(doing.fault(**limit, retry_after_form=form, times=2))
    side.do(doing.call(client))
    assert doing.seen(tollkit_sandbox.pymthouse) == 3
    assert len(naps) == 2
    assert all(5 <= nap <= 7 for nap in naps)

    tollkit_sandbox.requests.clear()
    tollkit_sandbox.faults.add(doing.fault(**limit, retry_after_form=form, times=3))
    error = failure(side, lambda: doing.call(client))
    assert isinstance(error, RateLimitError)
    assert (error.kind, error.code, error.status) == ("rate_limited", "rate_limited", 429)
    assert 5 <= (error.retry_after or 0) <= 7
    assert (error.retryable, error.safe_to_retry) == (True, True)
    assert doing.seen(tollkit_sandbox.pymthouse) == 3


def test_a_wait_that_is_too_long_is_told_at_once(
    side: Side, client: Any, tollkit_sandbox: Sandbox, naps: list[float]
) -> None:
    tollkit_sandbox.faults.add(Fault(kind="status", status=429, retry_after=3600))
    error = failure(side, lambda: client.list_app_users())
    assert error.retry_after == 3600
    assert (naps, len(tollkit_sandbox.requests)) == ([], 1)


@pytest.mark.parametrize("name", ONCE)
def test_too_many_requests_of_what_is_sent_once(
    side: Side, client: Any, tollkit_sandbox: Sandbox, name: str, naps: list[float]
) -> None:
    doing = ONCE[name]
    tollkit_sandbox.faults.add(doing.fault(kind="status", status=429, retry_after=7))
    error = failure(side, lambda: doing.call(client))
    assert isinstance(error, RateLimitError)
    assert (error.retry_after, error.retryable, error.safe_to_retry) == (7, True, True)
    assert doing.seen(tollkit_sandbox.pymthouse) == 1
    assert naps == []


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("fault", [{"kind": "status", "status": 500}, {"kind": "html", "status": 502}])
@pytest.mark.parametrize("when", ["after_read", "after_processing"])
def test_a_server_that_fails(
    side: Side, client: Any, tollkit_sandbox: Sandbox, name: str, fault: dict[str, Any], when: Any
) -> None:
    doing = ALL[name]
    tollkit_sandbox.faults.add(doing.fault(**fault, when=when, times=None))
    error = failure(side, lambda: doing.call(client))
    assert isinstance(error, ServerError)
    assert (error.kind, error.retryable, error.safe_to_retry) == ("server", True, doing.repeatable)
    assert error.hint
    if doing.rest:
        assert (error.status, error.code) == (fault["status"], "pymthouse_http_error")
        assert error.message == f"Request failed ({fault['status']})"
    else:
        assert (error.status, error.code) == (502, "OAUTH_RESPONSE_IS_NOT_CONFORM")
        assert error.context["http_status"] == fault["status"]
    attempts = 3 if doing.repeatable else 1
    assert error.context["attempts"] == doing.seen(tollkit_sandbox.pymthouse) == attempts


@pytest.mark.parametrize("name", ALL)
def test_a_web_page_that_says_there_is_nothing(side: Side, client: Any, tollkit_sandbox: Sandbox, name: str) -> None:
    doing = ALL[name]
    tollkit_sandbox.faults.add(doing.fault(kind="html", status=404, times=None))
    error = failure(side, lambda: doing.call(client))
    assert isinstance(error, NotFoundError)
    assert (error.kind, error.retryable) == ("not_found", False)
    assert error.code == ("pymthouse_http_error" if doing.rest else "OAUTH_RESPONSE_IS_NOT_JSON")
    assert error.hint
    assert "<h1>" not in str(error)
    assert doing.seen(tollkit_sandbox.pymthouse) == 1


def test_discovery_is_repeated(side: Side, client: Any, tollkit_sandbox: Sandbox, naps: list[float]) -> None:
    tollkit_sandbox.faults.add(Fault(kind="status", match="*/.well-known/*", status=503))
    tollkit_sandbox.faults.add(Fault(kind="reset", match="*/.well-known/*"))
    assert side.do(client.issue_machine_access_token()).access_token
    assert tollkit_sandbox.requests.count("*/.well-known/*") == 3
    assert len(naps) == 2


def test_no_retries_when_none_are_wanted(side: Side, client: Any, tollkit_sandbox: Sandbox) -> None:
    tollkit_sandbox.faults.add(Fault(kind="status", status=503, times=None))
    error = failure(side, lambda: client.with_options(max_retries=0).list_app_users())
    assert error.context["attempts"] == len(tollkit_sandbox.requests) == 1
    tollkit_sandbox.requests.clear()
    failure(side, lambda: client.with_options(max_retries=5).list_app_users())
    assert len(tollkit_sandbox.requests) == 6


# --- answers that cannot be used ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*REPEATABLE, "mint", "machine", "device"])
def test_half_of_the_json(side: Side, client: Any, tollkit_sandbox: Sandbox, name: str) -> None:
    doing = ALL[name]
    tollkit_sandbox.faults.add(doing.fault(kind="truncated_json", times=None))
    error = failure(side, lambda: doing.call(client))
    assert isinstance(error, DecodeError)
    assert (error.kind, error.status, error.retryable) == ("decode", 502, False)
    assert error.code == ("invalid_response" if doing.rest else "OAUTH_PARSE_ERROR")
    assert doing.seen(tollkit_sandbox.pymthouse) == 1


@pytest.mark.parametrize("name", [*REPEATABLE, "mint"])
def test_the_wrong_content_type(side: Side, client: Any, tollkit_sandbox: Sandbox, name: str) -> None:
    doing = ALL[name]
    tollkit_sandbox.faults.add(doing.fault(kind="content_type", times=None))
    error = failure(side, lambda: doing.call(client))
    assert isinstance(error, DecodeError)
    assert (error.code, error.status, error.retryable) == ("invalid_response", 502, False)
    assert error.details["contentType"] == "text/html; charset=utf-8"
    assert "eyJ" not in str(error.to_dict())
    assert doing.seen(tollkit_sandbox.pymthouse) == 1


def test_the_wrong_content_type_of_a_token_does_not_matter(side: Side, client: Any, tollkit_sandbox: Sandbox) -> None:
    tollkit_sandbox.faults.add(Fault(kind="content_type", match=TOKEN))
    assert side.do(client.issue_machine_access_token()).access_token


@pytest.mark.parametrize("name", ["list", "upsert", "usage", "mint", "machine"])
def test_an_answer_of_megabytes(side: Side, client: Any, tollkit_sandbox: Sandbox, name: str) -> None:
    doing = ALL[name]
    tollkit_sandbox.faults.add(doing.fault(kind="huge_body", size=8 << 20))
    result = side.do(doing.call(client))
    assert len(repr(result)) < 10_000
    assert doing.seen(tollkit_sandbox.pymthouse) == 1


def test_an_error_of_megabytes_is_told_in_a_line(side: Side, client: Any, tollkit_sandbox: Sandbox) -> None:
    body = "<html>" + "x" * (8 << 20)
    tollkit_sandbox.faults.add(
        Fault(kind="status", status=200, body=body, headers={"content-type": "text/html"}, times=2)
    )
    error = failure(side, lambda: client.list_app_users())
    assert len(str(error.to_dict())) < 2000


# --- tokens and keys ----------------------------------------------------------------------------------------


def test_a_token_that_has_expired_is_refused(side: Side, client: Any, tollkit_sandbox: Sandbox) -> None:
    tollkit_sandbox.faults.add(Fault(kind="expired_token", match=TOKEN))
    token = side.do(client.issue_machine_access_token()).access_token
    with pytest.raises(TokenError) as caught:
        side.do(client.verify_access_token(token))
    assert caught.value.code == "OAUTH_JWT_TIMESTAMP_CHECK_FAILED"


def test_a_user_token_that_has_expired_makes_no_session(side: Side, client: Any, tollkit_sandbox: Sandbox) -> None:
    tollkit_sandbox.faults.add(Fault(kind="expired_token", match="POST */users/alice/token"))
    error = failure(side, lambda: client.mint_user_signer_session_token("alice"))
    assert isinstance(error, OAuthError)
    assert (error.error, error.status, error.retryable) == ("invalid_grant", 400, False)
    assert tollkit_sandbox.pymthouse.sessions == []


def test_a_new_key_is_found(side: Side, client: Any, tollkit_sandbox: Sandbox) -> None:
    clock = Clock()
    discovery = client.flows._oidc.discovery
    discovery._keys._clock = clock
    before = side.do(client.issue_machine_access_token()).access_token
    side.do(client.verify_access_token(before))

    tollkit_sandbox.faults.add(Fault(kind="rotated_key", match=TOKEN))
    after = side.do(client.issue_machine_access_token(force=True)).access_token
    # keys are asked for again once a minute at most, so that tokens with made-up keys cost nothing
    with pytest.raises(TokenError) as caught:
        side.do(client.verify_access_token(after))
    assert caught.value.code == "OAUTH_KEY_SELECTION_FAILED"
    assert tollkit_sandbox.requests.count("*/jwks") == 1
    clock.now += 60
    assert side.do(client.verify_access_token(after)).scopes == ("sign:job",)
    assert tollkit_sandbox.requests.count("*/jwks") == 2
    # the old key is gone
    clock.now += 60
    with pytest.raises(TokenError):
        side.do(client.verify_access_token(before))


def test_keys_that_cannot_be_had_are_kept_ones(side: Side, client: Any, tollkit_sandbox: Sandbox) -> None:
    clock = Clock()
    client.flows._oidc.discovery._keys._clock = clock
    token = side.do(client.issue_machine_access_token()).access_token
    side.do(client.verify_access_token(token))
    clock.now += 301
    tollkit_sandbox.faults.add(Fault(kind="status", match="*/jwks", status=503, times=3))
    assert side.do(client.verify_access_token(token)).scopes == ("sign:job",)
    assert tollkit_sandbox.requests.count("*/jwks") == 4


def test_a_machine_token_that_cannot_be_renewed_is_used_while_it_is_good(
    side: Side, client: Any, tollkit_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    client.flows._oidc.tokens._clock = clock
    token = side.do(client.issue_machine_access_token()).access_token
    clock.now += 3600 - 30
    tollkit_sandbox.faults.add(Fault(kind="status", match=TOKEN, status=503))
    assert side.do(client.issue_machine_access_token()).access_token == token
    assert len(caplog.records) == 1
    clock.now += 10
    assert side.do(client.issue_machine_access_token()).access_token != token
    assert tollkit_sandbox.requests.count(TOKEN) == 3


def test_64_callers_with_an_expired_token_ask_once(side: Side, client: Any, tollkit_sandbox: Sandbox) -> None:
    clock = Clock()
    client.flows._oidc.tokens._clock = clock
    first = side.do(client.issue_machine_access_token()).access_token
    for _ in range(3):
        clock.now += 3601
        tollkit_sandbox.requests.clear()
        tollkit_sandbox.faults.add(Fault(kind="latency", match=TOKEN, seconds=0.05))
        found = side.all(client.issue_machine_access_token, 64)
        assert {type(token).__name__ for token in found} == {"ClientCredentialsTokenResponse"}
        [token] = {token.access_token for token in found}
        assert token != first
        assert tollkit_sandbox.requests.count(TOKEN) == 1


def test_64_callers_of_a_new_client_ask_once(
    side: Side, pymthouse_sandbox: PymtHouseSandbox, tollkit_sandbox: Sandbox
) -> None:
    client = side.client(pymthouse_sandbox)
    tollkit_sandbox.faults.add(Fault(kind="latency", seconds=0.05))
    found = side.all(client.issue_machine_access_token, 64)
    assert len({token.access_token for token in found}) == 1
    assert pymthouse_sandbox.requests.counts() == {
        "GET /api/v1/oidc/.well-known/openid-configuration": 1,
        "POST /api/v1/oidc/token": 1,
    }


def test_one_refusal_for_all_who_ask_at_once(side: Side, client: Any, tollkit_sandbox: Sandbox) -> None:
    tollkit_sandbox.faults.add(Fault(kind="latency", match=TOKEN, seconds=0.05))
    body = {"error": "invalid_client"}
    tollkit_sandbox.faults.add(Fault(kind="status", match=TOKEN, status=401, body=body, times=None))
    found = side.all(client.issue_machine_access_token, 16)
    assert {(type(error).__name__, error.code) for error in found} == {("OAuthError", "invalid_client")}
    assert len({id(error) for error in found}) == 16
    assert all(isinstance(error, PmtHouseError) for error in found)
    assert tollkit_sandbox.requests.count(TOKEN) <= 16


# --- in the middle of a composed call -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(kind="reset", match="POST */users/*/token", when="after_processing"), TransportError),
        (Fault(kind="reset", match=TOKEN, when="after_processing"), TransportError),
        (Fault(kind="status", match=TOKEN, status=500), ServerError),
    ],
)
def test_a_composed_call_ends_where_it_breaks(
    side: Side, client: Any, tollkit_sandbox: Sandbox, fault: Fault, kind: type[TollkitError]
) -> None:
    tollkit_sandbox.faults.add(fault)
    error = failure(side, lambda: client.mint_signer_session_for_external_user("alice"))
    assert isinstance(error, kind)
    assert tollkit_sandbox.requests.count("POST */users/alice/token") == 1
    assert tollkit_sandbox.requests.count(TOKEN) <= 1


def test_one_of_many_requests_breaks(
    side: Side, client: Any, tollkit_sandbox: Sandbox, pymthouse_sandbox: PymtHouseSandbox
) -> None:
    pymthouse_sandbox.demo_data(month="2026-05")
    where = {"groupBy": "pipeline_model"}
    tollkit_sandbox.faults.add(Fault(kind="reset", match="*/usage", where=where))
    tollkit_sandbox.faults.add(Fault(kind="status", match="*/usage", where=where, status=503))
    mine = side.do(client.fetch_usage_for_external_user("alice"))
    assert mine.current_user.request_count == 46
    assert tollkit_sandbox.requests.count("*/usage") == 6

    tollkit_sandbox.faults.add(Fault(kind="status", match="*/usage", where=where, status=404))
    error = failure(side, lambda: client.fetch_usage_for_external_user("alice"))
    assert isinstance(error, NotFoundError)


def test_a_server_that_breaks_every_connection(
    side: Side, pymthouse_sandbox: PymtHouseSandbox, naps: list[float]
) -> None:
    with Server(default=Reset()) as server:
        client = side.client(pymthouse_sandbox, issuer_url=f"{server.url}/api/v1/oidc")
        for call, attempts in (
            (client.list_app_users, 3),
            (lambda: client.mint_user_access_token("alice"), 1),
            (client.issue_machine_access_token, 3),  # discovery
        ):
            before = len(server.seen)
            failure(side, call)
            assert len(server.seen) - before == attempts


def test_an_error_that_is_nested_too_deeply_is_still_one(side: Side) -> None:
    """However deep: neither reading nor looking through it may end in a RecursionError."""
    depths = [*range(900, 1000, 3), 5000, 200_000]
    replies = [
        Reply(400, {"content-type": "application/json"}, b'{"error":' + b"[" * depth + b"]" * depth + b"}")
        for depth in depths
    ]
    script = Script(replies)
    settings = {"public_client_id": "app_1", "m2m_client_id": "m2m_1", "m2m_client_secret": "secret"}
    client = side.made(
        side.kind(issuer_url="https://p.example/api/v1/oidc", http_client=side.http_client(script), **settings)
    )
    for _ in depths:
        assert failure(side, client.list_app_users).code == "pymthouse_http_error"
