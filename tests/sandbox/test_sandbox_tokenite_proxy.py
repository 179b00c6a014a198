"""Tokenite's metering proxy and access context over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tollkit.sandbox import Fault, Sandbox, TokeniteSandbox
from tollkit.sandbox.tokenite.catalog import ERRORS, MODELS, PROVIDERS, cost_of, find_model
from tollkit.sandbox.tokenite.state import number, platform_fee

MESSAGE = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Tell me about the Analytical Engine"}],
}
CHAT = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client() as http:
        yield http


class Calls:
    """An app that calls vendors with a user's token."""

    def __init__(self, http: httpx.Client, platform: TokeniteSandbox) -> None:
        self.http = http
        self.platform = platform
        self.token = platform.grant()

    def __call__(
        self,
        path: str = "/anthropic/v1/messages",
        body: Any = MESSAGE,
        *,
        method: str = "POST",
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        sent = {"authorization": f"Bearer {self.token}"} if headers is None else headers
        return self.http.request(method, self.platform.proxy_base + path, json=body, headers=sent)

    def context(self) -> Any:
        return self("/me/providers", None, method="GET").json()

    @property
    def spent(self) -> Decimal:
        return self.platform.spent(self.token)


@pytest.fixture
def call(http: httpx.Client, tokenite_sandbox: TokeniteSandbox) -> Calls:
    return Calls(http, tokenite_sandbox)


def refused(answer: httpx.Response, code: str) -> dict[str, Any]:
    """The error of an envelope, checked against the table."""
    error = answer.json()["error"]
    assert set(answer.json()) == {"error"}
    assert error["code"] == code
    kind = ERRORS[code]
    assert (answer.status_code, error["source"]) == (kind.status, kind.source)
    assert error["message"]
    return dict(error)


# -------------------------------------------------------------------- plain calls and metering


def test_a_plain_call_is_wrapped_and_metered(call: Calls, tokenite_sandbox: TokeniteSandbox) -> None:
    answer = call()
    assert answer.status_code == 200
    envelope = answer.json()
    assert set(envelope) == {"provider", "model", "usage", "data"}
    assert (envelope["provider"], envelope["model"]) == ("anthropic", "claude-sonnet-4-5")
    usage = envelope["usage"]
    assert envelope["data"]["usage"]["input_tokens"] == usage["inputTokens"] > 0
    assert envelope["data"]["usage"]["output_tokens"] == usage["outputTokens"] > 0
    cost = (3 * Decimal(usage["inputTokens"]) + 15 * Decimal(usage["outputTokens"])) / 1_000_000
    (row,) = tokenite_sandbox.state.spending
    assert (row.provider, row.model, row.cost) == ("anthropic", "claude-sonnet-4-5", cost)
    assert row.platform_fee == platform_fee(cost)
    assert call.spent == cost + row.platform_fee


def test_what_costs_nothing(call: Calls) -> None:
    envelope = call("/openai/v1/models", None, method="GET").json()
    assert envelope["usage"] is None
    assert envelope["data"]["data"]
    assert call.spent == 0


@pytest.mark.parametrize(
    ("path", "body", "provider"),
    [
        ("/anthropic/v1/messages", MESSAGE, "anthropic"),
        ("/openai/v1/chat/completions", CHAT, "openai"),
        ("/grok/v1/chat/completions", {**CHAT, "model": "grok-4"}, "grok"),
        (
            "/google/v1beta/models/gemini-2.5-flash:generateContent",
            {"contents": [{"parts": [{"text": "Hello"}]}]},
            "google",
        ),
        (
            "/bedrock/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse",
            {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]},
            "bedrock",
        ),
    ],
)
def test_every_provider(call: Calls, path: str, body: Any, provider: str) -> None:
    envelope = call(path, body).json()
    assert envelope["provider"] == provider
    assert find_model(envelope["model"]) is not None
    assert call.spent > 0


@pytest.mark.parametrize(
    "headers",
    [
        {"x-stainless-lang": "python"},
        {"anthropic-version": "2023-06-01"},
        {"x-goog-api-client": "google-genai-sdk/1.0"},
    ],
)
def test_a_vendors_sdk_is_answered_in_the_vendors_form(call: Calls, headers: dict[str, str]) -> None:
    answer = call(headers={"x-api-key": call.token, **headers})
    assert answer.json()["type"] == "message"
    assert call.spent > 0


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "x-goog-api-key"])
def test_the_token_comes_in_the_vendors_header(call: Calls, name: str) -> None:
    value = f"bearer {call.token}" if name == "authorization" else call.token
    assert call(headers={name: value}).status_code == 200


def test_prices() -> None:
    assert cost_of("gpt-5", 1_000_000, 0) == Decimal("1.25")
    assert cost_of("gpt-5-mini-2025-08-07", 0, 1_000_000) == 2
    assert cost_of("anthropic.claude-opus-4-1-20250805-v1:0", 1_000_000, 1_000_000) == 90
    assert cost_of("a-model-of-tomorrow", 1_000_000, 1_000_000) == 18
    assert find_model("gpt-50") is None
    assert platform_fee(Decimal("0.00001")) == Decimal("0.000001")
    assert platform_fee(Decimal("0.123456789")) == Decimal("0.006173")
    assert [number(Decimal(text)) for text in ("5", "5.00", "2.5")] == [5, 5, 2.5]


# -------------------------------------------------------------------- streams


def test_a_stream_is_passed_on_and_metered_at_its_end(call: Calls) -> None:
    answer = call(body={**MESSAGE, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith("event: message_start\n")
    assert "event: message_stop" in answer.text
    streamed = call.spent
    assert streamed > 0
    call()
    assert call.spent == streamed * 2


def test_chunks_come_as_the_vendor_sends_them(call: Calls, tokenite_sandbox: TokeniteSandbox) -> None:
    """The first is here a minute before the second; and what nobody reads to its end is metered all the same."""
    tokenite_sandbox.set_chunk_seconds(60)
    url = f"{tokenite_sandbox.proxy_base}/anthropic/v1/messages"
    headers = {"authorization": f"Bearer {call.token}"}
    with call.http.stream("POST", url, json={**MESSAGE, "stream": True}, headers=headers) as answer:
        chunks = answer.iter_raw()
        assert next(chunks).startswith(b"event: message_start")
        assert call.spent == 0
    deadline = time.monotonic() + 5
    while call.spent == 0 and time.monotonic() < deadline:
        call.http.get(f"{tokenite_sandbox.base_url}/logos/openai.svg")
    assert call.spent > 0


def test_a_slow_stream_is_whole(call: Calls, tokenite_sandbox: TokeniteSandbox) -> None:
    body = {**CHAT, "stream": True}
    at_once = call("/openai/v1/chat/completions", body).text
    tokenite_sandbox.set_chunk_seconds(0.005)
    assert call("/openai/v1/chat/completions", body).text == at_once


def test_google_streams_by_its_path(call: Calls) -> None:
    path = "/google/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    answer = call(path, {"contents": [{"parts": [{"text": "Hello"}]}]})
    assert answer.text.startswith("data: {")
    assert call.spent > 0


# -------------------------------------------------------------------- refusals


@pytest.mark.parametrize("code", list(ERRORS))
def test_every_code_of_the_table(call: Calls, tokenite_sandbox: TokeniteSandbox, code: str) -> None:
    tokenite_sandbox.answer_next(code)
    refused(call(), code)
    refused(call(body={**MESSAGE, "model": f"error/{code}"}), code)
    assert call().status_code == 200


def test_the_table() -> None:
    by_status: dict[int, set[str]] = {}
    for code, kind in ERRORS.items():
        by_status.setdefault(kind.status, set()).add(code)
    assert by_status == {
        401: {"TOKEN_INVALID", "TOKEN_REVOKED", "TOKEN_EXPIRED", "AUTHENTICATION_FAILED"},
        403: {"TOKEN_SUSPENDED", "MODEL_NOT_ALLOWED", "AGENT_SCOPE_MISSING"},
        402: {
            "BUDGET_EXCEEDED",
            "PROVIDER_KEY_MISSING",
            "CREDITS_DEPLETED",
            "POOL_EXHAUSTED",
            "SPONSORED_POOL_EXHAUSTED",
            "SPONSORED_KEY_UNAVAILABLE",
            "SPONSORED_PROVIDER_MISMATCH",
        },
        404: {"APP_NOT_FOUND"},
        400: {"CONTEXT_LENGTH_EXCEEDED", "INVALID_REQUEST", "CONTENT_FILTERED"},
        429: {"RATE_LIMITED"},
        502: {"PROVIDER_ERROR"},
        503: {"PROVIDER_OVERLOADED"},
        504: {"PROVIDER_TIMEOUT"},
    }
    providers = {code for code, kind in ERRORS.items() if kind.source == "provider"}
    assert providers == by_status[400] | by_status[429] | by_status[502] | by_status[503] | by_status[504] | {
        "AUTHENTICATION_FAILED"
    }


def test_errors_in_other_words(call: Calls, tokenite_sandbox: TokeniteSandbox) -> None:
    tokenite_sandbox.answer_next("RATE_LIMITED", message="Slow down", details={"retryAfter": 30}, times=2)
    for _ in range(2):
        assert refused(call(), "RATE_LIMITED") == {
            "code": "RATE_LIMITED",
            "message": "Slow down",
            "source": "provider",
            "details": {"retryAfter": 30},
        }
    tokenite_sandbox.answer_next("BRAND_NEW", status=418, source="provider", details={})
    answer = call()
    assert answer.status_code == 418
    assert answer.json()["error"]["code"] == "BRAND_NEW"
    assert "details" not in answer.json()["error"]
    answer = call(body={"model": "error/BRAND_NEWER"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "BRAND_NEWER")


def test_an_error_is_asked_for_in_the_path_too(call: Calls) -> None:
    error = refused(call("/google/v1beta/models/error%2FRATE_LIMITED:generateContent", {}), "RATE_LIMITED")
    assert error["details"] == {"retryAfter": 1, "provider": "google", "providerMessage": "Rate limited (scripted)"}


def test_tokens_that_do_not_work(call: Calls, tokenite_sandbox: TokeniteSandbox, tollkit_sandbox: Sandbox) -> None:
    for headers in ({}, {"authorization": "Bearer guessed"}, {"authorization": call.token}, {"x-api-key": ""}):
        refused(call(headers=headers), "TOKEN_INVALID")
    tokenite_sandbox.suspend(call.token)
    refused(call(), "TOKEN_SUSPENDED")
    tokenite_sandbox.suspend(call.token, False)
    assert call().status_code == 200
    other = tokenite_sandbox.grant("grace@example.com")
    tokenite_sandbox.revoke(other)
    refused(call(headers={"authorization": f"Bearer {other}"}), "TOKEN_REVOKED")
    tollkit_sandbox.clock.advance(30 * 86_400 + 1)
    refused(call(), "TOKEN_EXPIRED")
    context = call("/me/providers", None, method="GET")
    assert (context.status_code, context.json()["error"]["code"]) == (401, "TOKEN_EXPIRED")


def test_an_app_that_is_gone(call: Calls, tokenite_sandbox: TokeniteSandbox) -> None:
    del tokenite_sandbox.state.apps[tokenite_sandbox.client_id]
    refused(call(), "APP_NOT_FOUND")


def test_a_provider_that_nobody_knows(call: Calls) -> None:
    answer = call("/acme/v1/messages")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "NOT_FOUND"
    assert answer.json()["error"]["source"] == "proxy"


def test_a_key_that_is_missing(call: Calls, tokenite_sandbox: TokeniteSandbox) -> None:
    tokenite_sandbox.seed_user("ada@example.com", providers=["openai"])
    assert refused(call(), "PROVIDER_KEY_MISSING")["details"] == {"provider": "anthropic"}
    assert call("/openai/v1/chat/completions", CHAT).status_code == 200


def test_the_budget(call: Calls, tokenite_sandbox: TokeniteSandbox) -> None:
    tokenite_sandbox.set_budget(call.token, "0.0001")
    answers = [call() for _ in range(4)]
    statuses = [answer.status_code for answer in answers]
    assert statuses[0] == 200
    assert statuses[-1] == 402
    refused(answers[-1], "BUDGET_EXCEEDED")
    assert call.spent >= Decimal("0.0001")
    tokenite_sandbox.set_budget(call.token, 5)
    assert call().status_code == 200
    tokenite_sandbox.spend(call.token, cost=5)
    refused(call(), "BUDGET_EXCEEDED")


def test_a_pool_and_a_members_cap(call: Calls, tokenite_sandbox: TokeniteSandbox, tollkit_sandbox: Sandbox) -> None:
    connection = tokenite_sandbox.connection(call.token)
    account = tokenite_sandbox.state.accounts[connection.account_id]
    account.pool_budget_limit = Decimal(1)
    tokenite_sandbox.spend(call.token, cost=1)
    refused(call(), "POOL_EXHAUSTED")
    account.pool_budget_limit = None
    account.members[connection.user_id].monthly_cap = Decimal(1)
    refused(call(), "BUDGET_EXCEEDED")
    tollkit_sandbox.clock.advance(32 * 86_400)
    call.token = tokenite_sandbox.grant()
    assert call().status_code == 200, "the cap is for a month"


@pytest.mark.parametrize(
    ("policy", "allowed", "refused_models"),
    [
        (
            {"model_strategy": "models", "allowed_models": ["claude-sonnet-4-5"]},
            "claude-sonnet-4-5",
            "claude-opus-4-1",
        ),
        ({"model_strategy": "models", "allowed_models": ["claude-x"]}, "claude-x", "claude-y"),
        ({"model_strategy": "tier", "required_tier": "fast"}, "claude-haiku-4-5", "claude-sonnet-4-5"),
        ({"model_strategy": "tier", "required_tier": "fast"}, "claude-haiku-4-5-20251001", "claude-x"),
        ({"model_strategy": "models"}, None, "claude-sonnet-4-5"),
    ],
)
def test_models_that_are_not_allowed(
    call: Calls, tokenite_sandbox: TokeniteSandbox, policy: dict[str, Any], allowed: str | None, refused_models: str
) -> None:
    tokenite_sandbox.configure_app(**policy)
    refused(call(body={**MESSAGE, "model": refused_models}), "MODEL_NOT_ALLOWED")
    if allowed:
        assert call(body={**MESSAGE, "model": allowed}).status_code == 200


def test_what_a_vendor_refuses(call: Calls) -> None:
    error = refused(call(body={"model": "claude-sonnet-4-5"}), "INVALID_REQUEST")
    assert error["details"]["provider"] == "anthropic"
    assert error["details"]["providerMessage"]
    refused(call("/openai/v1/nothing", {}), "INVALID_REQUEST")
    bedrock = refused(call("/bedrock/model/nothing/converse", {}), "INVALID_REQUEST")
    assert bedrock["details"]["providerMessage"]
    assert call.spent == 0


def test_a_body_that_is_no_json(call: Calls, tokenite_sandbox: TokeniteSandbox) -> None:
    headers = {"authorization": f"Bearer {call.token}", "content-type": "application/json"}
    url = f"{tokenite_sandbox.proxy_base}/anthropic/v1/messages"
    refused(call.http.post(url, content=b"{", headers=headers), "INVALID_REQUEST")
    upload = {**headers, "content-type": "application/octet-stream"}
    call.http.post(f"{tokenite_sandbox.proxy_base}/anthropic/v1/files", content=b"{", headers=upload)
    assert tokenite_sandbox.vendor_requests[-1].path == "/v1/files"
    assert tokenite_sandbox.vendor_requests[-1].body is None


@pytest.mark.parametrize("match", ["POST */proxy/anthropic/*", "*/anthropic/v1/messages"])
def test_gateways_in_front(call: Calls, tollkit_sandbox: Sandbox, match: str) -> None:
    tollkit_sandbox.faults.add(
        Fault(kind="html", match=match, status=502),
        Fault(kind="status", match=match, status=200),
        Fault(kind="truncated_json", match=match),
        Fault(kind="content_type", match=match),
    )
    page = call()
    assert (page.status_code, page.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert (call().content, call.spent) == (b"", 0)
    with pytest.raises(ValueError, match=r"JSON|Unterminated|Expecting"):
        call().json()
    assert call().headers["content-type"].startswith("text/html")
    tollkit_sandbox.faults.add(Fault(kind="half_answer", match=match), Fault(kind="reset", match=match))
    with pytest.raises(httpx.RemoteProtocolError):
        call(body={**MESSAGE, "stream": True})
    with pytest.raises(httpx.ReadError):
        call()


# -------------------------------------------------------------------- what the vendor would see


def test_the_vendor_never_sees_the_token(call: Calls, tokenite_sandbox: TokeniteSandbox) -> None:
    call(headers={"x-api-key": call.token, "anthropic-version": "2023-06-01", "cookie": "a=b"})
    (seen,) = tokenite_sandbox.vendor_requests
    assert (seen.provider, seen.method, seen.path, seen.body) == ("anthropic", "POST", "/v1/messages", MESSAGE)
    assert seen.headers["anthropic-version"] == "2023-06-01"
    assert call.token not in repr(seen)
    assert not {"x-api-key", "authorization", "cookie", "host"} & set(seen.headers)
    assert tokenite_sandbox.state.provider_keys[seen.key_id].provider == "anthropic"


def test_refused_calls_do_not_reach_the_vendor(call: Calls, tokenite_sandbox: TokeniteSandbox) -> None:
    tokenite_sandbox.set_budget(call.token, 0)
    call()
    call(body={"model": "error/RATE_LIMITED"})
    assert tokenite_sandbox.vendor_requests == []


@pytest.mark.parametrize(
    ("path", "beta"),
    [
        ("/v1/agents", "managed-agents-2026-04-01"),
        ("/v1/environments/env_1", "managed-agents-2026-04-01"),
        ("/v1/sessions/sess_1/events", "managed-agents-2026-04-01"),
        ("/v1/vaults", "managed-agents-2026-04-01"),
        ("/v1/files", "files-api-2025-04-14"),
        ("/v1/skills/skill_1", "skills-2025-10-02"),
        ("/v1/agentsmith", None),
    ],
)
def test_beta_headers_are_merged(call: Calls, tokenite_sandbox: TokeniteSandbox, path: str, beta: str | None) -> None:
    tokenite_sandbox.configure_app(allows_managed_agents=True)
    for given in (None, "context-1m-2025-08-07", f"{beta}, context-1m-2025-08-07"):
        headers = {"authorization": f"Bearer {call.token}", **({"anthropic-beta": given} if given else {})}
        call(f"/anthropic{path}", None, method="GET", headers=headers)
        seen = tokenite_sandbox.vendor_requests[-1].headers.get("anthropic-beta")
        if beta is None:
            assert seen == given
        else:
            assert seen == (f"{beta},context-1m-2025-08-07" if given else beta)


def test_managed_agents_need_the_scope(call: Calls, tokenite_sandbox: TokeniteSandbox) -> None:
    for surface in ("agents", "environments", "sessions", "vaults"):
        for path in (f"/anthropic/v1/{surface}", f"/anthropic/v1/{surface}/one"):
            refused(call(path, None, method="GET"), "AGENT_SCOPE_MISSING")
    assert tokenite_sandbox.vendor_requests == []
    call("/openai/v1/agents", None, method="GET")
    call("/anthropic/v1/files", None, method="GET")
    assert [seen.path for seen in tokenite_sandbox.vendor_requests] == ["/v1/agents", "/v1/files"]


# -------------------------------------------------------------------- access context


def test_the_access_context(call: Calls, tokenite_sandbox: TokeniteSandbox) -> None:
    context = call.context()
    assert set(context) == {"app", "user", "providers", "models", "tiers"}
    assert context["app"] == {
        "id": tokenite_sandbox.client_id,
        "name": "Sandbox App",
        "description": "The app that the sandbox begins with",
        "websiteUrl": None,
        "iconUrl": None,
    }
    assert context["user"]["email"] == "ada@example.com"
    assert [provider["id"] for provider in context["providers"]] == list(PROVIDERS)
    for provider in context["providers"]:
        assert call.http.get(tokenite_sandbox.base_url + provider["logoUrl"]).status_code == 200
        assert provider["logoStyle"] in ("symbol", "wordmark")
    assert {model["slug"] for model in context["models"]} == {model.slug for model in MODELS}
    assert all(model["callableNow"] == model["servedBy"] for model in context["models"])
    sonnet = context["models"][0]
    assert sonnet["pricing"] == {"inputPerMillion": 3, "outputPerMillion": 15}
    assert context["tiers"][0] == {"id": "cheap", "reachable": True, "recommendedModel": "gpt-5-mini"}


def test_the_access_context_of_somebody_with_one_key(call: Calls, tokenite_sandbox: TokeniteSandbox) -> None:
    tokenite_sandbox.seed_user("ada@example.com", providers=["bedrock"])
    context = call.context()
    assert [provider["id"] for provider in context["providers"]] == ["bedrock"]
    callable_now = {model["slug"]: model["callableNow"] for model in context["models"]}
    assert callable_now["claude-sonnet-4-5"] == ["bedrock"]
    assert callable_now["gpt-5"] == []
    assert context["tiers"][0] == {"id": "cheap", "reachable": False, "recommendedModel": None}
    tokenite_sandbox.configure_app(model_strategy="models", allowed_models=["gpt-5"])
    assert [model["slug"] for model in call.context()["models"]] == ["gpt-5"]


def test_the_access_context_of_1_0(call: Calls, tokenite_sandbox: TokeniteSandbox) -> None:
    tokenite_sandbox.set_access_context_version("1.0")
    context = call.context()
    assert set(context) == {"app", "providers"}
    assert context["app"]["requiredProviders"] == []
    assert context["app"]["preferredProviders"] == []
    assert context["app"]["allowSubstitution"] is True
    with pytest.raises(ValueError, match=r"2\.4"):
        tokenite_sandbox.set_access_context_version("3.0")


# -------------------------------------------------------------------- the levers


def test_levers_that_make_no_sense(call: Calls, tokenite_sandbox: TokeniteSandbox) -> None:
    with pytest.raises(ValueError, match="no such access token"):
        tokenite_sandbox.set_budget("guessed", 1)
    with pytest.raises(ValueError, match="acme"):
        tokenite_sandbox.seed_user("a@example.com", providers=["acme"])
    with pytest.raises(ValueError, match="app_nobody"):
        tokenite_sandbox.grant(client_id="app_nobody")
    for amount in ("much", "-1", "NaN", "Infinity"):
        with pytest.raises(ValueError, match="no amount of dollars"):
            tokenite_sandbox.grant(budget=amount)


def test_everything_driven_from_outside(http: httpx.Client, tollkit_sandbox: Sandbox) -> None:
    def lever(name: str, **arguments: Any) -> Any:
        answer = http.post(f"{tollkit_sandbox.url}/__sandbox__/tokenite/{name}", json=arguments)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    front = http.get(f"{tollkit_sandbox.url}/__sandbox__/").json()["result"]
    assert "grant" in front["levers"]["tokenite"]
    assert "seed_user" in front["levers"]["pymthouse"]
    env = front["env"]
    token = lever("grant", email="mary@example.com", budget=2.5)

    def call() -> httpx.Response:
        url = f"{env['TOKENITE_PROXY_BASE']}/anthropic/v1/messages"
        return http.post(url, json=MESSAGE, headers={"authorization": f"Bearer {token}"})

    lever("answer_next", code="CREDITS_DEPLETED")
    refused(call(), "CREDITS_DEPLETED")
    assert call().status_code == 200
    assert Decimal(lever("spent", token=token)) > 0
    assert lever("spend", token=token, cost="0.1")["platform_fee"] == "0.005000"
    lever("set_budget", token=token, budget="0.01")
    refused(call(), "BUDGET_EXCEEDED")
    lever("suspend", token=token)
    refused(call(), "TOKEN_SUSPENDED")
    lever("revoke", token=token)
    refused(call(), "TOKEN_REVOKED")
    assert [seen["provider"] for seen in lever("get_vendor_requests")] == ["anthropic"]
    assert "password" not in lever("seed_user", email="ada@example.com", password="another-password")
    lever("set_access_context_version", version="1.0")
    lever("set_chunk_seconds", seconds=0)
    lever("set_popup_lands", lands=True)
    assert lever("configure_app", allows_managed_agents=True)["allows_managed_agents"] is True
    assert set(lever("demo_data")) == {"ada", "grace"}
    unknown = http.post(f"{tollkit_sandbox.url}/__sandbox__/tokenite/reset", json={})
    assert unknown.status_code == 400


def test_demo_data_and_reset(tokenite_sandbox: TokeniteSandbox, tollkit_sandbox: Sandbox) -> None:
    state = tokenite_sandbox.state
    before = tokenite_sandbox.env()
    people = tokenite_sandbox.demo_data()
    spent = {user: sum(row.total for row in state.spending if row.user_id == people[user].id) for user in people}
    assert spent["ada"] > spent["grace"] > 0
    rows = len(state.spending)
    tokenite_sandbox.demo_data()
    assert len(state.spending) == rows
    assert max(row.created_at for row in state.spending) < tollkit_sandbox.clock.iso()
    connections = {connection.user_id: connection for connection in state.connections.values()}
    assert connections[people["ada"].id].budget_spent == spent["ada"]
    tollkit_sandbox.reset()
    assert not tokenite_sandbox.state.spending
    assert tokenite_sandbox.env() == before
    assert list(before) == [
        "TOKENITE_BASE_URL",
        "TOKENITE_PROXY_BASE",
        "TOKENITE_CLIENT_ID",
        "TOKENITE_CLIENT_SECRET",
        "TOKENITE_REDIRECT_URI",
        "TOKENITE_API_KEY",
    ]
    assert before.items() <= tollkit_sandbox.env().items()


def test_the_log_tells_no_secret(call: Calls, tollkit_sandbox: Sandbox) -> None:
    for name in ("authorization", "x-api-key", "x-goog-api-key"):
        call(headers={name: f"Bearer {call.token}"})
    call.http.post(
        f"{tollkit_sandbox.tokenite.base_url}/api/oauth/token",
        json={"code": "c0de", "client_id": "a", "client_secret": "s3cret", "redirect_uri": "u"},
    )
    text = json.dumps([[dict(entry.headers), entry.json] for entry in tollkit_sandbox.requests])
    assert call.token not in text
    assert "c0de" not in text
    assert "s3cret" not in text
