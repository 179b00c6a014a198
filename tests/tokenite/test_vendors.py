"""The real SDKs of the vendors against the sandbox's proxy over HTTP, blocking and async, plain and streaming."""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from vendor_sdks import VENDORS, Anthropic, Google, Vendor, first, items, needed

from support.certificates import Authority
from support.server import Answer, Hold, Server, forward
from support.tokenite import QUICK, Side
from tollkit import Connection
from tollkit.sandbox.tokenite.catalog import ERRORS
from tollkit.tokenite import ProxyError, openai_options, proxy_error

PROMPT = "Say hello to Ada, please."
SAID = ["You ", "said: ", "Say ", "hello ", "to ", "Ada, ", "please."]
INPUT_TOKENS = 7  # 25 characters
OUTPUT_TOKENS = 9  # 35 characters


@pytest.fixture(params=VENDORS, ids=repr)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    """An SDK with a provider."""
    return needed(request.param)


@pytest.fixture
def sdk(vendor: Vendor, side: Side, tokenite_sandbox: Any) -> Iterator[tuple[Any, str]]:
    """The SDK's client for a user with a budget of five dollars, and the user's access token."""
    token = tokenite_sandbox.grant()
    with vendor.opened(side, side.client(tokenite_sandbox, max_retries=0), token) as made:
        yield made, token


def price(vendor: Vendor, input_tokens: int, output_tokens: int) -> Decimal:
    """What a call costs with the platform's fee of 5 %."""
    price_in, price_out = map(Decimal, vendor.prices)
    cost = (price_in * input_tokens + price_out * output_tokens) / 1_000_000
    return cost + (cost * Decimal("0.05")).quantize(Decimal("0.000001"), ROUND_HALF_UP)


def refused(vendor: Vendor, call: Any) -> ProxyError:
    """What Tokenite said in the SDK's error."""
    with pytest.raises(vendor.status_error) as caught:
        call()
    told = proxy_error(caught.value)
    assert told is not None
    return told


# --- answers, tokens, money -----------------------------------------------------------------------------------------


def test_a_plain_answer_comes_whole_and_is_metered(
    vendor: Vendor, side: Side, sdk: tuple[Any, str], tokenite_sandbox: Any
) -> None:
    made, token = sdk
    said = vendor.plain(side, made, PROMPT)
    assert said.text == "".join(SAID)
    assert (said.input_tokens, said.output_tokens, said.model) == (INPUT_TOKENS, OUTPUT_TOKENS, vendor.model)
    assert tokenite_sandbox.spent(token) == price(vendor, INPUT_TOKENS, OUTPUT_TOKENS)


def test_a_stream_comes_word_by_word_and_costs_the_same(
    vendor: Vendor, side: Side, sdk: tuple[Any, str], tokenite_sandbox: Any
) -> None:
    made, token = sdk
    said = vendor.stream(side, made, PROMPT)
    assert said.pieces == SAID
    assert (said.input_tokens, said.output_tokens, said.model) == (INPUT_TOKENS, OUTPUT_TOKENS, vendor.model)
    assert tokenite_sandbox.spent(token) == price(vendor, INPUT_TOKENS, OUTPUT_TOKENS)


def test_the_first_piece_does_not_wait_for_the_others(
    vendor: Vendor, side: Side, sdk: tuple[Any, str], tokenite_sandbox: Any
) -> None:
    made, _ = sdk
    tokenite_sandbox.proxy.chunk_seconds = 3_600.0
    stream = vendor.begin(side, made, PROMPT)
    assert first(side, stream) is not None
    if not isinstance(vendor, Google):  # its streams are generators, which end with the client
        side.do(stream.close())
    elif side.name == "async":
        side.do(stream.aclose())
    else:
        stream.close()


def test_a_tool_is_used_when_the_prompt_names_it(vendor: Vendor, side: Side, sdk: tuple[Any, str]) -> None:
    prompt = "What does weather say of Paris?"
    assert vendor.use_tool(side, sdk[0], prompt) == ("weather", {"city": prompt})


# --- errors ---------------------------------------------------------------------------------------------------------


def test_an_empty_budget_is_told_by_the_sdks_own_error(
    vendor: Vendor, side: Side, sdk: tuple[Any, str], tokenite_sandbox: Any
) -> None:
    made, token = sdk
    tokenite_sandbox.set_budget(token, "0.000001")
    vendor.stream(side, made, PROMPT)  # the last that fits: something was left when it began
    spent = tokenite_sandbox.spent(token)
    for call in (vendor.plain, vendor.stream):
        told = refused(vendor, lambda call=call: call(side, made, PROMPT))
        assert (told.code, told.status, told.source, told.is_funding) == ("BUDGET_EXCEEDED", 402, "proxy", True)
        assert told.message == ERRORS["BUDGET_EXCEEDED"].message
    assert tokenite_sandbox.spent(token) == spent
    tokenite_sandbox.set_budget(token, "1")
    assert vendor.stream(side, made, PROMPT).pieces == SAID


def test_every_error_code_comes_through(
    vendor: Vendor, side: Side, sdk: tuple[Any, str], tokenite_sandbox: Any
) -> None:
    for code, kind in ERRORS.items():
        tokenite_sandbox.answer_next(code, details={"provider": vendor.provider, "providerMessage": "no"})
        told = refused(vendor, lambda: vendor.stream(side, sdk[0], PROMPT))
        assert (told.code, told.status, told.source, told.message) == (code, kind.status, kind.source, kind.message)
        assert (told.provider, told.provider_message) == (vendor.provider, "no")
    assert len(ERRORS) == 22


def test_a_code_that_is_newer_comes_through(vendor: Vendor, side: Side, sdk: tuple[Any, str]) -> None:
    asked = {"model": "error/BUDGET_FROZEN"}
    told = refused(vendor, lambda: _with(vendor, side, sdk[0], asked))
    assert told.code == "BUDGET_FROZEN"
    assert not told.is_funding


def _with(vendor: Vendor, side: Side, made: Any, changes: dict[str, Any]) -> Any:
    if isinstance(vendor, Google):
        return side.do(vendor.models(side, made).generate_content(contents=PROMPT, **changes))
    asked = {**vendor.ask(PROMPT), **changes}  # type: ignore[attr-defined]  # the others have it
    create = made.messages.create if isinstance(vendor, Anthropic) else made.chat.completions.create
    return side.do(create(**asked))


def test_a_wrong_token_is_told(vendor: Vendor, side: Side, tokenite_sandbox: Any) -> None:
    client = side.client(tokenite_sandbox, max_retries=0)
    with vendor.opened(side, client, "tkn_of-nobody") as made:
        told = refused(vendor, lambda: vendor.plain(side, made, PROMPT))
    assert (told.code, told.status) == ("TOKEN_INVALID", 401)


def test_what_the_vendor_says_without_the_envelope_is_none_of_tokenites(vendor: Vendor, side: Side) -> None:
    own = {
        "anthropic": {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}},
        "google": {"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}},
        "grok": {"code": "Client specified an invalid argument", "error": "no"},
        "openai": {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": "empty_array"}},
    }
    html = Answer(502, b"<html>Bad gateway</html>", {"content-type": "text/html"})
    with Server(Answer.json(own[vendor.provider], 400), html) as server:
        client = side.client(_Place(server.url), max_retries=0)
        with vendor.opened(side, client, "tkn_1") as made:
            for _ in range(2):
                with pytest.raises(vendor.status_error) as caught:
                    vendor.plain(side, made, PROMPT)
                assert proxy_error(caught.value) is None


def test_the_wait_that_the_platform_asks_for(vendor: Vendor, side: Side) -> None:
    body = {"error": {"code": "RATE_LIMITED", "message": "slow down", "source": "provider"}}
    named = {"error": {**body["error"], "details": {"retryAfter": 7}}}
    answers = [Answer.json(body, 429, retry_after="3", x_request_id="req-1"), Answer.json(named, 429)]
    with Server(*answers) as server:
        client = side.client(_Place(server.url), max_retries=0)
        with vendor.opened(side, client, "tkn_1") as made:
            told = refused(vendor, lambda: vendor.stream(side, made, PROMPT))
            assert (told.retry_after, told.request_id, told.retryable) == (3.0, "req-1", True)
            assert refused(vendor, lambda: vendor.stream(side, made, PROMPT)).retry_after == 7.0


# --- what goes out --------------------------------------------------------------------------------------------------


class _Place:
    """Where a client calls when it is not the sandbox."""

    client_id = "app_1"
    client_secret = "tkn_secret_of-the-app"  # a made-up one
    redirect_uri = "https://app.example/callback"

    def __init__(self, url: str) -> None:
        self.base_url = self.proxy_base = url


OWN_KEYS = {
    "ANTHROPIC_API_KEY": "own-key-1",
    "ANTHROPIC_AUTH_TOKEN": "own-key-2",
    "OPENAI_API_KEY": "own-key-3",
    "OPENAI_ADMIN_KEY": "own-key-4",
    "GOOGLE_API_KEY": "own-key-5",
    "GOOGLE_GENAI_USE_VERTEXAI": "true",
    "GOOGLE_CLOUD_PROJECT": "own-key-6",
    "GOOGLE_CLOUD_LOCATION": "own-key-7",
    "ANTHROPIC_BASE_URL": "https://own-key-8.example",
    "OPENAI_BASE_URL": "https://own-key-9.example",
    "GOOGLE_GEMINI_BASE_URL": "https://own-key-10.example",
}


def test_the_users_token_goes_out_and_no_other_secret(
    vendor: Vendor, side: Side, tokenite_sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in OWN_KEYS.items():
        monkeypatch.setenv(name, value)
    token = tokenite_sandbox.grant()
    with Server(default=forward) as proxy:
        # a forward proxy sees every byte that goes out
        client = side.client(tokenite_sandbox, connection=Connection(proxy=proxy.url, trust_env=False))
        with vendor.opened(side, client, token) as made:
            assert vendor.plain(side, made, PROMPT).text == "".join(SAID)
            assert vendor.stream(side, made, PROMPT).text == "".join(SAID)
        assert len(proxy.seen) == 2
        for seen in proxy.seen:
            assert seen.target.startswith(f"{tokenite_sandbox.proxy_base}/{vendor.provider}/")
            values = [value for _, value in seen.fields]
            assert sum(token in value for value in values) == 1
            places = [name for name, value in seen.headers.items() if token in value]
            assert places == (["x-goog-api-key"] if isinstance(vendor, Google) else ["authorization"])
            told = f"{seen.target} {values} {seen.body!r}"
            assert tokenite_sandbox.client_secret not in told
            assert "own-key" not in told


def test_the_paths_are_the_vendors_own(
    vendor: Vendor, side: Side, sdk: tuple[Any, str], tokenite_sandbox: Any
) -> None:
    vendor.plain(side, sdk[0], PROMPT)
    (request,) = tokenite_sandbox.proxy.vendor_requests
    expected = {
        "anthropic": r"/v1/messages",
        "openai": r"/chat/completions",
        "grok": r"/chat/completions",
        "google": rf"/{sdk[0]._api_client._http_options.api_version}/models/{vendor.model}:generateContent"
        if isinstance(vendor, Google)
        else "",
    }
    assert request.path == expected[vendor.provider]


def test_openais_path_with_v1_when_asked(side: Side, tokenite_sandbox: Any) -> None:
    vendor = needed(VENDORS[1])
    with vendor.opened(side, side.client(tokenite_sandbox), tokenite_sandbox.grant(), base_path="/v1") as made:
        assert vendor.stream(side, made, PROMPT).pieces == SAID
    (request,) = tokenite_sandbox.proxy.vendor_requests
    assert request.path == "/v1/chat/completions"


def test_headers_and_retries_are_the_clients(vendor: Vendor, side: Side) -> None:
    with Server(default=Answer.json({}, 503)) as server:
        client = side.client(_Place(server.url), max_retries=0, headers={"x-trace": "abc"})
        with vendor.opened(side, client, "tkn_1") as made, contextlib.suppress(vendor.status_error):
            vendor.plain(side, made, PROMPT)
        (seen,) = server.seen
        assert seen.values("x-trace") == ["abc"]
        (agent,) = seen.values("user-agent")
        assert "tollkit-python" in agent
        named = side.client(_Place(server.url), max_retries=0, headers={"user-agent": "my-app"})
        with vendor.opened(side, named, "tkn_1") as made, contextlib.suppress(vendor.status_error):
            vendor.plain(side, made, PROMPT)
        (agent,) = server.seen[-1].values("user-agent")
        assert "my-app" in agent
        assert "tollkit-python" not in agent


def test_a_private_authority_is_trusted_where_the_client_trusts_it(
    vendor: Vendor, side: Side, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    trusting = Connection(verify=ssl.create_default_context(cafile=str(authority.file)), trust_env=False)
    envelope = {"error": {"code": "TOKEN_INVALID", "message": "no", "source": "proxy"}}
    with Server(default=Answer.json(envelope, 401), tls=authority.server()) as server:
        client = side.client(_Place(server.url), connection=trusting, max_retries=0, allow_insecure_http=False)
        with vendor.opened(side, client, "tkn_1") as made:
            assert refused(vendor, lambda: vendor.plain(side, made, PROMPT)).code == "TOKEN_INVALID"
        doubting = side.client(_Place(server.url), connection=QUICK, max_retries=0)
        with (
            vendor.opened(side, doubting, "tkn_1") as made,
            pytest.raises(Exception, match=r"(?i)connect|certificate"),
        ):
            vendor.plain(side, made, PROMPT)
        assert len(server.seen) == 1


def test_no_redirect_is_followed(vendor: Vendor, side: Side) -> None:
    with Server() as elsewhere:
        away = Answer(307, b"", {"location": f"{elsewhere.url}/v1/messages"})
        with Server(default=away) as server:
            client = side.client(_Place(server.url), max_retries=0)
            with vendor.opened(side, client, "tkn_1") as made, pytest.raises(vendor.status_error):
                vendor.plain(side, made, PROMPT)
            assert len(server.seen) == 1
        assert elsewhere.seen == []


def test_time_outs_are_the_clients(vendor: Vendor, side: Side) -> None:
    held = Hold()
    with Server(held) as server:
        client = side.client(_Place(server.url), max_retries=0, timeout=0.05)
        with vendor.opened(side, client, "tkn_1") as made, pytest.raises(vendor.time_out):
            vendor.plain(side, made, PROMPT)
        held.release.set()


# --- many users -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", VENDORS[:3], ids=repr)
def test_one_pool_serves_many_users(vendor: Vendor, side: Side, tokenite_sandbox: Any) -> None:
    needed(vendor)
    ada, bob = tokenite_sandbox.grant(), tokenite_sandbox.grant("bob@example.com")
    with Server(default=forward) as proxy:
        client = side.client(tokenite_sandbox, connection=Connection(proxy=proxy.url, trust_env=False))
        with vendor.opened(side, client, ada) as made:
            vendor.plain(side, made, PROMPT)
            vendor.plain(side, made.with_options(api_key=bob), PROMPT)
        assert proxy.accepted == 1
    expected = price(vendor, INPUT_TOKENS, OUTPUT_TOKENS)
    assert (tokenite_sandbox.spent(ada), tokenite_sandbox.spent(bob)) == (expected, expected)


# --- what else OpenAI's SDK speaks ----------------------------------------------------------------------------------


def test_openais_responses(side: Side, tokenite_sandbox: Any) -> None:
    vendor = needed(VENDORS[1])
    token = tokenite_sandbox.grant()
    with vendor.opened(side, side.client(tokenite_sandbox), token) as made:
        found = side.do(made.responses.create(model=vendor.model, input=PROMPT))
        assert found.output_text == "".join(SAID)
        assert (found.usage.input_tokens, found.usage.output_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS)
        events = items(side, side.do(made.responses.create(model=vendor.model, input=PROMPT, stream=True)))
        assert [event.delta for event in events if event.type == "response.output_text.delta"] == SAID
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
        assert events[-1].response.output_text == "".join(SAID)
        assert events[-1].response.usage == found.usage
    assert tokenite_sandbox.spent(token) == 2 * price(vendor, INPUT_TOKENS, OUTPUT_TOKENS)


def test_models_and_counts(side: Side, tokenite_sandbox: Any) -> None:
    """What the vendors do for nothing."""
    token = tokenite_sandbox.grant()
    client = side.client(tokenite_sandbox)
    claude, gpt, grok, gemini = map(needed, VENDORS)
    with claude.opened(side, client, token) as made:
        counted = side.do(
            made.messages.count_tokens(model=claude.model, messages=[{"role": "user", "content": PROMPT}])
        )
        assert counted.input_tokens == INPUT_TOKENS
        assert side.do(made.models.retrieve(claude.model)).id == claude.model
    for vendor in (gpt, grok):
        with vendor.opened(side, client, token) as made:
            listed = items(side, made.models.list())
            assert vendor.model in [model.id for model in listed]
    with gemini.opened(side, client, token) as made:
        counted = side.do(gemini.models(side, made).count_tokens(model=gemini.model, contents=PROMPT))  # type: ignore[attr-defined]
        assert counted.total_tokens == INPUT_TOKENS
    assert tokenite_sandbox.spent(token) == 0


def test_the_arguments_hide_the_token(side: Side, tokenite_sandbox: Any) -> None:
    options = openai_options(side.client(tokenite_sandbox), "tkn_hidden", http_client=object())
    assert "tkn_hidden" not in repr(options)
    assert json.loads(json.dumps(options["api_key"])) == "tkn_hidden"
