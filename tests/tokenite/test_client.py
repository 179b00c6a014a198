"""The clients against the sandbox: code exchange, proxied calls, recovery, access context."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from support.scripted_http import Reply, Script
from support.tokenite import Side, arguments, authorization_code
from tollkit import AsyncTokenite, Tokenite
from tollkit.errors import (
    ArgumentError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    DecodeError,
    InsecureTransportError,
    PaymentRequiredError,
    RateLimitError,
    ServerError,
    StatusError,
)
from tollkit.secrets import Secret
from tollkit.tokenite import (
    FUNDING_CODES,
    FundingNeeded,
    ProxyError,
    ProxySuccess,
    TokeniteError,
    is_proxy_error,
    is_proxy_success,
)
from tollkit.tokenite.client import absolute
from tollkit.tokenite.proxy import read_error_envelope

PROMPT = {
    "model": "claude-haiku-4-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Say hello"}],
}
PROXY = "https://proxy.example"


def refused(side: Side, call: Any, kind: type[BaseException]) -> Any:
    """The error that a call raised."""
    with pytest.raises(kind) as caught:
        side.do(call())
    return caught.value


# --- the exchange ---------------------------------------------------------------------------------------------------


def test_a_code_becomes_a_token_once(side: Side, tokenite_sandbox: Any) -> None:
    client = side.client(tokenite_sandbox)
    code = authorization_code(tokenite_sandbox)
    token = side.do(client.exchange_code(code))
    assert token.token_type.lower() == "bearer"
    assert token.access_token not in repr(token)
    assert side.do(client.get_access_context(token.access_token)).user.email == "ada@example.com"
    error = refused(side, lambda: client.exchange_code(code), BadRequestError)
    assert (error.code, error.status) == ("INVALID_CODE", 400)
    assert isinstance(error, TokeniteError)


def test_a_code_lives_300_seconds(side: Side, tokenite_sandbox: Any, tollkit_sandbox: Any) -> None:
    client = side.client(tokenite_sandbox)
    code = authorization_code(tokenite_sandbox)
    tollkit_sandbox.clock.advance(301)
    assert refused(side, lambda: client.exchange_code(code), BadRequestError).code == "INVALID_CODE"


def test_another_redirect_uri_is_refused(side: Side, tokenite_sandbox: Any) -> None:
    client = side.client(tokenite_sandbox)
    code = authorization_code(tokenite_sandbox)
    error = refused(side, lambda: client.exchange_code(code, redirect_uri="http://127.0.0.1/other"), BadRequestError)
    assert error.code == "INVALID_CODE"


def test_a_wrong_secret_is_told_and_not_shown(side: Side, tokenite_sandbox: Any) -> None:
    client = side.client(tokenite_sandbox, client_secret="sentinel-secret")
    error = refused(side, lambda: client.exchange_code(authorization_code(tokenite_sandbox)), AuthenticationError)
    assert error.code == "INVALID_CLIENT"
    assert "sentinel-secret" not in f"{error!r} {error.to_dict()}"


def test_without_secret_or_redirect_uri_nothing_is_sent(side: Side, tokenite_sandbox: Any) -> None:
    before = len(tokenite_sandbox.requests)
    client = side.client(tokenite_sandbox, client_secret=None)
    error = refused(side, lambda: client.exchange_code("c"), ConfigurationError)
    assert error.code == "missing_client_secret"
    assert isinstance(error, TokeniteError)
    client = side.client(tokenite_sandbox, redirect_uri=None)
    assert refused(side, lambda: client.exchange_code("c"), ConfigurationError).code == "missing_redirect_uri"
    whole = side.client(tokenite_sandbox)
    for code in ("", " ", "a b", None):
        assert refused(side, lambda code=code: whole.exchange_code(code), ArgumentError).argument == "code"
    assert len(tokenite_sandbox.requests) == before


def scripted(side: Side, script: Script, **changes: Any) -> Any:
    """A client over scripted HTTP."""
    settings = {
        "client_id": "app_1",
        "client_secret": "s3cret-of-the-app",
        "redirect_uri": "https://app.example/callback",
        "base_url": "https://dash.example",
        "proxy_base": PROXY,
        "http_client": side.http_client(script),
        **changes,
    }
    kind = Tokenite if side.name == "blocking" else AsyncTokenite
    return side.made(kind(**settings))


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (400, {"error": {"message": "Bad code", "code": "INVALID_CODE"}}, "Bad code"),
        (400, {"error": "just text"}, "just text"),
        (418, {"error": {"nothing": 1}}, "Token exchange failed (418)"),
        (500, {"error": {"message": ""}}, "Token exchange failed (500)"),
        (400, [1], "Token exchange failed (400)"),
    ],
)
def test_the_message_of_a_failed_exchange(side: Side, status: int, body: Any, message: str) -> None:
    script = Script([Reply.json(body, status)])
    client = scripted(side, script, max_retries=0)
    error = refused(side, lambda: client.exchange_code("the-code"), StatusError)
    assert (error.message, error.status) == (message, status)
    (sent,) = script.sent
    assert (sent.method, sent.url) == ("POST", "https://dash.example/api/oauth/token")
    assert json.loads(sent.text) == {
        "code": "the-code",
        "client_id": "app_1",
        "client_secret": "s3cret-of-the-app",
        "redirect_uri": "https://app.example/callback",
    }


class Recording:
    """A real HTTP client that keeps what it was told to send."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.sent: list[tuple[str, str]] = []

    def request(self, method: str, url: str, **what: Any) -> Any:
        self.sent.append((url, repr(what)))
        return self._client.request(method, url, **what)

    def close(self) -> None:
        """The client underneath is closed by the test."""

    async def aclose(self) -> None:
        """As above."""


def test_the_secret_goes_to_base_url_alone(side: Side, tokenite_sandbox: Any) -> None:
    kind = httpx.Client if side.name == "blocking" else httpx.AsyncClient
    real = side.made(kind(trust_env=False))
    recording = Recording(real)
    client = side.client(tokenite_sandbox, http_client=recording)
    token = side.do(client.exchange_code(authorization_code(tokenite_sandbox))).access_token
    side.do(client.get_access_context(token))
    assert side.do(client.call(token, "anthropic", "/v1/messages", PROMPT)).ok
    told = [url for url, what in recording.sent if tokenite_sandbox.client_secret in url + what]
    assert told == [tokenite_sandbox.base_url + "/api/oauth/token"]
    assert len(recording.sent) == 3


def test_a_redirect_is_not_followed_with_the_secret(side: Side) -> None:
    script = Script([Reply(307, {"location": "https://elsewhere.example/api/oauth/token"})])
    client = scripted(side, script, max_retries=0)
    error = refused(side, lambda: client.exchange_code("the-code"), StatusError)
    assert error.status == 307
    assert len(script.sent) == 1


def test_plain_http_must_be_allowed(side: Side, tokenite_sandbox: Any) -> None:
    client = side.client(tokenite_sandbox, allow_insecure_http=False)
    refused(side, lambda: client.exchange_code("c"), InsecureTransportError)
    refused(side, lambda: client.call("t", "anthropic", "/v1/messages"), InsecureTransportError)


# --- proxied calls --------------------------------------------------------------------------------------------------


def test_a_call_is_metered(side: Side, tokenite_sandbox: Any) -> None:
    client = side.client(tokenite_sandbox)
    token = tokenite_sandbox.grant()
    result = side.do(client.call(token, "anthropic", "v1/messages", PROMPT))
    match result:
        case ProxySuccess(provider="anthropic", usage=usage, data=data):
            assert usage.input_tokens > 0
            assert data["content"][0]["type"] == "text"
        case _:
            pytest.fail(f"no success: {result}")
    assert result.ok
    assert is_proxy_success(result)
    assert not is_proxy_error(result)
    assert result.raise_for_error() is result
    assert is_proxy_success(result.to_dict())
    assert tokenite_sandbox.spent(token) > 0


@pytest.mark.parametrize(
    ("code", "status", "source"),
    [
        ("TOKEN_INVALID", 401, "proxy"),
        ("TOKEN_REVOKED", 401, "proxy"),
        ("TOKEN_EXPIRED", 401, "proxy"),
        ("TOKEN_SUSPENDED", 403, "proxy"),
        ("MODEL_NOT_ALLOWED", 403, "proxy"),
        ("AGENT_SCOPE_MISSING", 403, "proxy"),
        ("BUDGET_EXCEEDED", 402, "proxy"),
        ("PROVIDER_KEY_MISSING", 402, "proxy"),
        ("CREDITS_DEPLETED", 402, "proxy"),
        ("POOL_EXHAUSTED", 402, "proxy"),
        ("SPONSORED_POOL_EXHAUSTED", 402, "proxy"),
        ("SPONSORED_KEY_UNAVAILABLE", 402, "proxy"),
        ("SPONSORED_PROVIDER_MISMATCH", 402, "proxy"),
        ("APP_NOT_FOUND", 404, "proxy"),
        ("CONTEXT_LENGTH_EXCEEDED", 400, "provider"),
        ("INVALID_REQUEST", 400, "provider"),
        ("CONTENT_FILTERED", 400, "provider"),
        ("AUTHENTICATION_FAILED", 401, "provider"),
        ("RATE_LIMITED", 429, "provider"),
        ("PROVIDER_ERROR", 502, "provider"),
        ("PROVIDER_OVERLOADED", 503, "provider"),
        ("PROVIDER_TIMEOUT", 504, "provider"),
    ],
)
def test_every_code_of_the_table(side: Side, tokenite_sandbox: Any, code: str, status: int, source: str) -> None:
    client = side.client(tokenite_sandbox, max_retries=0)
    token = tokenite_sandbox.grant()
    tokenite_sandbox.answer_next(code)
    result = side.do(client.call(token, "openai", "/v1/chat/completions", {"model": "gpt-5", "messages": []}))
    assert isinstance(result, ProxyError)
    assert not result.ok
    assert is_proxy_error(result)
    assert (result.code, result.status, result.source) == (code, status, source)
    assert result.is_funding == (code in FUNDING_CODES)
    assert result.retryable == (status in (429, 502, 503, 504))
    with pytest.raises(StatusError) as caught:
        result.raise_for_error()
    assert isinstance(caught.value, TokeniteError)
    assert (caught.value.code, caught.value.status) == (code, status)
    kinds = {401: AuthenticationError, 402: PaymentRequiredError, 429: RateLimitError, 502: ServerError}
    assert isinstance(caught.value, kinds.get(status, StatusError))


@pytest.mark.parametrize(
    ("status", "error", "want"),
    [
        (402, {"code": "NEWER_THAN_US", "message": "m"}, ("NEWER_THAN_US", "m", None, None)),
        (429, {"code": "RATE_LIMITED", "details": {"retryAfter": 7}}, ("RATE_LIMITED", "RATE_LIMITED", None, 7.0)),
        (429, {"code": "RATE_LIMITED", "message": 5, "source": 6, "details": 7}, ("RATE_LIMITED",) * 2 + (None, 3.0)),
        (
            400,
            {"code": "INVALID_REQUEST", "message": "m", "source": "provider", "details": {"provider": "grok"}},
            ("INVALID_REQUEST", "m", "provider", None),
        ),
        (200, {"code": "PROVIDER_ERROR", "message": "late"}, ("PROVIDER_ERROR", "late", None, None)),
    ],
)
def test_error_envelopes_of_any_status(side: Side, status: int, error: Any, want: tuple[Any, ...]) -> None:
    headers = {"retry_after": "3"} if status == 429 else {}
    script = Script([Reply.json({"error": error}, status, **headers)])
    client = scripted(side, script, max_retries=0)
    result = side.do(client.call("token", "grok", "/v1/chat/completions", {}))
    assert isinstance(result, ProxyError)
    assert (result.code, result.message, result.source, result.retry_after) == want
    assert result.status == status
    assert result.provider in (None, "grok")
    assert result.provider_message is None
    assert is_proxy_error(result.to_dict())


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (502, "text/html", StatusError),
        (500, "", StatusError),
        (200, "text/html", DecodeError),
        (200, "", DecodeError),
    ],
)
def test_a_page_or_nothing_instead_of_an_envelope(side: Side, status: int, content: str, kind: type) -> None:
    page = b"<html><h1>Gateway of sorrow</h1></html>" if content else b""
    script = Script([Reply(status, {"content-type": content} if content else {}, page)])
    client = scripted(side, script, max_retries=0)
    error = refused(side, lambda: client.call("token", "openai", "/v1/chat/completions", {}), kind)
    assert error.body["status"] == status
    assert ("sorrow" in error.body["preview"]) == bool(content)
    assert isinstance(error, TokeniteError)


@pytest.mark.parametrize("slip", [{"usage": "many"}, {"usage": {"inputTokens": "x"}}, {"model": 5}, {}])
def test_a_paid_answer_is_not_lost_for_a_slip_beside_it(side: Side, slip: dict[str, Any]) -> None:
    script = Script([Reply.json({"provider": "openai", "data": {"text": "paid"}, **slip})])
    result = side.do(scripted(side, script).call("token", "openai", "/v1/x", {}))
    assert isinstance(result, ProxySuccess)
    assert (result.data, result.usage, result.model) == ({"text": "paid"}, None, None)


def test_an_envelope_that_is_neither(side: Side) -> None:
    script = Script([Reply.json({"data": {}})])
    error = refused(side, lambda: scripted(side, script).call("token", "openai", "/v1/x", {}), DecodeError)
    assert "provider" in error.path


def test_what_a_call_sends(side: Side) -> None:
    script = Script([Reply.json({"provider": "x", "model": "m", "usage": None, "data": None})] * 2)
    client = scripted(side, script)
    body = {"model": "m", "text": "schön", "nothing": None}
    side.do(
        client.call("token", "anthropic", "v1/messages", body, headers={"anthropic-beta": "files-api-2025-04-14"})
    )
    side.do(client.call("token", "google", "/v1beta/models?pageSize=2&q=a b", method="GET"))
    first, second = script.sent
    assert (first.method, first.url) == ("POST", PROXY + "/anthropic/v1/messages")
    assert first.headers["authorization"] == "Bearer token"
    assert first.headers["content-type"] == "application/json"
    assert first.headers["anthropic-beta"] == "files-api-2025-04-14"
    assert json.loads(first.text) == body
    assert (second.method, second.url) == ("GET", PROXY + "/google/v1beta/models?pageSize=2&q=a+b")
    assert not second.content


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"access_token": ""}, "access_token"),
        ({"access_token": "two words"}, "access_token"),
        ({"provider": ""}, "provider"),
        ({"path": ""}, "path"),
        ({"path": "/v1/../../me/providers"}, "path"),
        ({"path": "/v1/x#y"}, "path"),
        ({"body": {1, 2}}, "body"),
        ({"body": {"x": float("nan")}}, "body"),
        ({"method": "TRACE"}, "method"),
        ({"headers": {"Authorization": "Bearer other"}}, "headers"),
    ],
)
def test_arguments_of_a_call(side: Side, changes: dict[str, Any], argument: str) -> None:
    client = scripted(side, Script([]))
    wanted = {"access_token": "t", "provider": "openai", "path": "/v1/x", "body": {}, **changes}
    error = refused(side, lambda: client.call(**wanted), ArgumentError)
    assert error.argument == argument
    assert isinstance(error, TokeniteError)


def test_a_post_is_not_sent_twice_a_get_is(side: Side, naps: list[float]) -> None:
    envelope = {"error": {"code": "PROVIDER_OVERLOADED", "message": "m", "source": "provider"}}
    script = Script([Reply.json(envelope, 503)])
    assert side.do(scripted(side, script).call("t", "openai", "/v1/x", {})).code == "PROVIDER_OVERLOADED"
    assert (len(script.sent), naps) == (1, [])
    answer = {"provider": "openai", "model": "m", "usage": None, "data": 1}
    script = Script([Reply.json(envelope, 503), Reply.json(answer)])
    assert side.do(scripted(side, script).call("t", "openai", "/v1/models", method="GET")).ok
    assert (len(script.sent), len(naps)) == (2, 1)


# --- recovery -------------------------------------------------------------------------------------------------------


def test_an_empty_budget_is_topped_up_and_the_call_repeated(side: Side, tokenite_sandbox: Any) -> None:
    client = side.client(tokenite_sandbox)
    token = tokenite_sandbox.grant(budget="0.000001")
    side.do(client.call(token, "anthropic", "/v1/messages", PROMPT))
    asked: list[FundingNeeded] = []

    def top_up(needed: FundingNeeded) -> bool:
        asked.append(needed)
        tokenite_sandbox.set_budget(token, "5")
        return True

    result = side.do(
        client.call_with_recovery(
            token, "anthropic", "/v1/messages", PROMPT, on_funding_needed=top_up, state="s1", suggested_amount=5
        )
    )
    assert isinstance(result, ProxySuccess)
    (needed,) = asked
    assert (needed.error.code, needed.remedy, needed.top_up.state) == ("BUDGET_EXCEEDED", "top_up", "s1")
    query = parse_qs(urlsplit(str(needed.top_up)).query)
    assert query["suggested_amount"] == ["5"]
    assert str(needed.top_up).startswith(tokenite_sandbox.base_url + "/oauth/top-up?")


@pytest.mark.parametrize("code", ["CREDITS_DEPLETED", "POOL_EXHAUSTED", "PROVIDER_KEY_MISSING"])
def test_the_hook_may_decline(side: Side, tokenite_sandbox: Any, code: str) -> None:
    client = side.client(tokenite_sandbox)
    token = tokenite_sandbox.grant()
    tokenite_sandbox.answer_next(code)
    asked: list[FundingNeeded] = []

    def decline(needed: FundingNeeded) -> bool:
        asked.append(needed)
        return False

    result = side.do(client.call_with_recovery(token, "anthropic", "/v1/messages", PROMPT, on_funding_needed=decline))
    assert (result.code, len(asked)) == (code, 1)
    assert asked[0].remedy == ("add_key" if code == "PROVIDER_KEY_MISSING" else "top_up")


def test_one_more_try_and_no_more(side: Side, tokenite_sandbox: Any) -> None:
    client = side.client(tokenite_sandbox)
    token = tokenite_sandbox.grant()
    tokenite_sandbox.answer_next("CREDITS_DEPLETED", times=3)
    asked: list[str] = []

    def say_yes(needed: FundingNeeded) -> bool:
        asked.append(needed.error.code)
        return True

    result = side.do(client.call_with_recovery(token, "anthropic", "/v1/messages", PROMPT, on_funding_needed=say_yes))
    assert (result.code, asked) == ("CREDITS_DEPLETED", ["CREDITS_DEPLETED"])


def test_other_errors_do_not_ask(side: Side, tokenite_sandbox: Any) -> None:
    client = side.client(tokenite_sandbox)
    tokenite_sandbox.answer_next("SPONSORED_POOL_EXHAUSTED")

    def never(needed: FundingNeeded) -> bool:
        pytest.fail("asked")

    result = side.do(
        client.call_with_recovery(
            tokenite_sandbox.grant(), "anthropic", "/v1/messages", PROMPT, on_funding_needed=never
        )
    )
    assert result.code == "SPONSORED_POOL_EXHAUSTED"


def test_which_codes_a_top_up_cures_is_a_setting(side: Side, tokenite_sandbox: Any) -> None:
    client = side.client(tokenite_sandbox, funding_codes=["SPONSORED_POOL_EXHAUSTED"])
    tokenite_sandbox.answer_next("SPONSORED_POOL_EXHAUSTED")
    result = side.do(client.call(tokenite_sandbox.grant(), "anthropic", "/v1/messages", PROMPT))
    assert result.is_funding


def test_an_async_client_awaits_the_hook(side: Side, tokenite_sandbox: Any) -> None:
    client = side.client(tokenite_sandbox)
    token = tokenite_sandbox.grant()
    tokenite_sandbox.answer_next("BUDGET_EXCEEDED")

    async def hook(needed: FundingNeeded) -> bool:
        return True

    def call() -> Any:
        return client.call_with_recovery(token, "anthropic", "/v1/messages", PROMPT, on_funding_needed=hook)

    if side.name == "async":
        assert side.do(call()).ok
    else:
        assert refused(side, call, ArgumentError).argument == "on_funding_needed"


# --- access context, addresses, construction ------------------------------------------------------------------------


def test_the_access_context(side: Side, tokenite_sandbox: Any) -> None:
    client = side.client(tokenite_sandbox)
    found = side.do(client.get_access_context(tokenite_sandbox.grant()))
    assert found.app.id == tokenite_sandbox.client_id
    assert found.user.email == "ada@example.com"
    assert {provider.id for provider in found.providers} >= {"anthropic", "openai", "google"}
    assert all(provider.logo_url.startswith("http") for provider in found.providers)
    model = found.models[0]
    assert isinstance(model.pricing.input_per_million, Decimal)
    assert set(model.callable_now) <= set(model.served_by)
    assert {tier.id for tier in found.tiers} == {"cheap", "fast", "smart", "reasoning"}


def test_a_bad_token_is_an_exception_here(side: Side, tokenite_sandbox: Any) -> None:
    client = side.client(tokenite_sandbox)
    error = refused(side, lambda: client.get_access_context("tkn_wrong"), AuthenticationError)
    assert error.code == "TOKEN_INVALID"
    assert "tkn_wrong" not in f"{error!r}{error.to_dict()}"


def test_the_path_of_the_access_context_is_a_setting(side: Side) -> None:
    script = Script([Reply(404)])
    client = scripted(side, script, access_context_path="/v2/me")
    error = refused(side, lambda: client.get_access_context("t"), StatusError)
    assert error.message == "Failed to fetch the access context (404)"
    assert script.sent[0].url == PROXY + "/v2/me"


def test_the_older_pin_reads_the_older_form(side: Side, tokenite_sandbox: Any) -> None:
    from tollkit_api.tokenite.v1_0.api.access import get_access_context

    tokenite_sandbox.set_access_context_version("1.0")
    client = side.client(tokenite_sandbox)
    token = tokenite_sandbox.grant()
    refused(side, lambda: client.get_access_context(token), DecodeError)
    call = get_access_context.sync if side.name == "blocking" else get_access_context.asyncio
    found = side.do(call(client=client.user_api(token)))
    assert found.app.allow_substitution in (True, False)
    assert found.providers


def test_addresses(tokenite_sandbox: Any) -> None:
    with Tokenite(**arguments(tokenite_sandbox)) as client:
        assert client.proxy_url("openai") == tokenite_sandbox.proxy_base + "/openai"
        request = client.get_authorize_url(suggested_budget=5, prompt="select_account", mode="popup", state="abc")
        assert str(request).startswith(tokenite_sandbox.base_url + "/oauth/authorize?client_id=")
        assert (request.state, parse_qs(urlsplit(request.url).query)["state"]) == ("abc", ["abc"])
        assert len(client.get_authorize_url().state) == 32
        assert client.parse_callback("?code=c&state=abc", "abc").ok
        assert tokenite_sandbox.client_secret not in repr(client)
        for bad in ("", "../x", "a/b", "?", None):
            with pytest.raises(ArgumentError) as caught:
                client.proxy_url(bad)  # type: ignore[arg-type]
            assert isinstance(caught.value, TokeniteError)


@pytest.mark.parametrize(
    ("changes", "argument"),
    [
        ({"client_id": ""}, "client_id"),
        ({"client_secret": "two words"}, "client_secret"),
        ({"base_url": "ftp://x"}, "base_url"),
        ({"base_url": "https://x/?q=1"}, "base_url"),
        ({"proxy_base": "https://u:p@x"}, "proxy_base"),
        ({"access_context_path": "me"}, "access_context_path"),
        ({"top_up_path": "//x"}, "top_up_path"),
        ({"redirect_uri": 5}, "redirect_uri"),
        ({"timeout": -1}, "timeout"),
    ],
)
def test_arguments_of_a_client(changes: dict[str, Any], argument: str) -> None:
    for kind in (Tokenite, AsyncTokenite):
        with pytest.raises(ArgumentError) as caught:
            kind(**{"client_id": "app_1", **changes})
        assert caught.value.argument == argument
        assert isinstance(caught.value, TokeniteError)


def test_from_the_environment(tokenite_sandbox: Any) -> None:
    client = Tokenite.from_env(tokenite_sandbox.env())
    assert (client.base_url, client.proxy_base) == (tokenite_sandbox.base_url, tokenite_sandbox.proxy_base)
    assert client.redirect_uri == tokenite_sandbox.redirect_uri
    assert AsyncTokenite.from_env({}, client_id="x").base_url == "https://tokenite.ai"
    with pytest.raises(ConfigurationError) as caught:
        Tokenite.from_env({})
    assert caught.value.code == "missing_env"
    assert isinstance(caught.value, TokeniteError)
    assert "TOKENITE_CLIENT_ID" in caught.value.message


def test_trailing_slashes_of_hosts_do_not_count() -> None:
    client = Tokenite(client_id="x", proxy_base="https://api.example//")
    assert client.proxy_url("openai") == "https://api.example/openai"


def test_the_generated_functions_over_our_client(side: Side, tokenite_sandbox: Any) -> None:
    from tollkit_api.tokenite.v2_4.api.oauth import exchange_code
    from tollkit_api.tokenite.v2_4.models import ExchangeCodeRequest

    client = side.client(tokenite_sandbox)
    body = ExchangeCodeRequest(
        code=Secret(authorization_code(tokenite_sandbox)),
        client_id=client.client_id,
        client_secret=Secret(tokenite_sandbox.client_secret),
        redirect_uri=tokenite_sandbox.redirect_uri,
    )
    call = exchange_code.sync if side.name == "blocking" else exchange_code.asyncio
    found = side.do(call(client=client.api, body=body))
    assert side.do(client.get_access_context(found.access_token)).user.email == "ada@example.com"


@pytest.mark.parametrize(
    ("address", "want"),
    [
        ("/logos/x.svg", "https://dash.example/logos/x.svg"),
        ("logos/x.svg", "https://dash.example/logos/x.svg"),
        ("https://cdn.example/x.svg", "https://cdn.example/x.svg"),
        ("data:image/svg+xml,x", "data:image/svg+xml,x"),
    ],
)
def test_addresses_of_logos_are_absolute(address: str, want: str) -> None:
    assert absolute("https://dash.example", address) == want


def test_a_client_that_could_not_be_made_can_still_be_shown() -> None:
    assert repr(Tokenite.__new__(Tokenite)) == "Tokenite(...)"


def test_a_body_that_is_no_envelope_at_all() -> None:
    assert read_error_envelope({"error": {"message": "no code"}}, 400, funding_codes=FUNDING_CODES) is None
    assert read_error_envelope({"error": "text"}, 400, funding_codes=FUNDING_CODES) is None
    assert read_error_envelope([], 400, funding_codes=FUNDING_CODES) is None
