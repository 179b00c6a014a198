"""What the scripted vendors answer, form by form; that the real SDKs can read it is tested in `tests/tokenite`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkit.sandbox.tokenite.vendors import VendorAnswer, answer, tokens

PROMPT = "Say hello to Ada, please."
SAID = "You said: Say hello to Ada, please."
USER = {"role": "user", "content": PROMPT}
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"enum": ["celsius", "kelvin"]},
        "days": {"type": "INTEGER"},
        "exact": {"type": "number"},
        "now": {"type": "boolean"},
        "tags": {"type": "array"},
        "at": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]},
        "odd": {"type": "null"},
        "note": {"type": "string"},
    },
    "required": ["city", "unit", "days", "exact", "now", "tags", "at", "odd"],
}


def arguments(prompt: str) -> dict[str, Any]:
    """What `SCHEMA` is given: all that it requires."""
    made = {"days": 1, "exact": 1.5, "now": True, "tags": [], "at": {"lat": 1.5}, "odd": None}
    return {"city": prompt, "unit": "celsius", **made}


def post(provider: str, path: str, body: Any, **headers: str) -> VendorAnswer:
    return answer(provider, "POST", path, headers, body)


def document(found: VendorAnswer, status: int = 200) -> Any:
    """The JSON of a plain answer."""
    assert found.status == status
    assert found.content_type == "application/json"
    assert found.chunks is None
    assert found.body is not None
    return json.loads(found.body)


def events(found: VendorAnswer) -> list[tuple[str | None, Any]]:
    """Names and data of a stream of server-sent events, one a chunk."""
    assert found.status == 200
    assert found.body is None
    assert found.chunks is not None
    assert found.content_type.startswith("text/event-stream")
    return [_event(chunk.decode()) for chunk in found.chunks]


def _event(text: str) -> tuple[str | None, Any]:
    assert text.endswith(("\n\n", "\r\n\r\n"))
    fields = dict(line.split(": ", 1) for line in text.split("\n") if line.strip())
    assert set(fields) <= {"event", "data"}
    data = fields["data"].strip()
    return fields.get("event"), data if data == "[DONE]" else json.loads(data)


def metered(found: VendorAnswer) -> tuple[str, int, int]:
    return found.model, found.input_tokens, found.output_tokens


# --- Anthropic ------------------------------------------------------------------------------------------------------

CLAUDE = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [USER]}


def test_anthropic_plain() -> None:
    found = post("anthropic", "/v1/messages", CLAUDE)
    told = document(found)
    assert told["content"] == [{"type": "text", "text": SAID}]
    assert (told["type"], told["role"], told["stop_reason"]) == ("message", "assistant", "end_turn")
    assert (told["usage"]["input_tokens"], told["usage"]["output_tokens"]) == (7, 9)
    assert metered(found) == ("claude-haiku-4-5", 7, 9)
    assert post("anthropic", "/v1/messages", CLAUDE) == found  # the same again


def test_anthropic_stream() -> None:
    told = events(post("anthropic", "/v1/messages", {**CLAUDE, "stream": True}))
    assert [name for name, _ in told] == [
        "message_start",
        "content_block_start",
        "ping",
        *["content_block_delta"] * 7,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert all(name == data["type"] for name, data in told)
    begun, block = told[0][1]["message"], told[1][1]
    assert (begun["content"], begun["stop_reason"], begun["usage"]["input_tokens"]) == ([], None, 7)
    assert block == {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    assert "".join(data["delta"]["text"] for name, data in told if name == "content_block_delta") == SAID
    assert told[-2][1]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert told[-2][1]["usage"] == {"output_tokens": 9}


def test_anthropic_tools() -> None:
    asked = {**CLAUDE, "tools": [{"name": "weather", "input_schema": SCHEMA}]}
    prompt = "What is the weather?"
    wanted = {**asked, "messages": [{"role": "user", "content": [{"type": "text", "text": prompt}]}]}
    told = document(post("anthropic", "/v1/messages", wanted))
    (use,) = told["content"]
    assert (use["type"], use["name"], use["input"]) == ("tool_use", "weather", arguments(prompt))
    assert told["stop_reason"] == "tool_use"
    streamed = events(post("anthropic", "/v1/messages", {**wanted, "stream": True}))
    parts = [data["delta"]["partial_json"] for name, data in streamed if name == "content_block_delta"]
    assert json.loads("".join(parts)) == arguments(prompt)
    assert streamed[1][1]["content_block"]["input"] == {}
    # not named, forced, forbidden, answered
    assert document(post("anthropic", "/v1/messages", asked))["stop_reason"] == "end_turn"
    for choice, reason in (
        ({"type": "any"}, "tool_use"),
        ({"type": "tool", "name": "weather"}, "tool_use"),
        ({"type": "tool", "name": "other"}, "end_turn"),
        ({"type": "none"}, "end_turn"),
        ({"type": "auto"}, "end_turn"),
    ):
        assert document(post("anthropic", "/v1/messages", {**asked, "tool_choice": choice}))["stop_reason"] == reason
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": [{"type": "text", "text": "weather: mild"}]}
    answered = {**asked, "messages": [*wanted["messages"], {"role": "user", "content": [result]}]}
    assert document(post("anthropic", "/v1/messages", answered))["content"][0]["text"] == "You said: weather: mild"


def test_anthropic_counts_and_cuts() -> None:
    asked = {**CLAUDE, "system": "Be brief.", "messages": [USER, {"role": "assistant", "content": "Hello"}, USER]}
    counted = post("anthropic", "/v1/messages/count_tokens", asked)
    assert document(counted) == {"input_tokens": tokens("Be brief.", PROMPT, "Hello", PROMPT)}
    assert metered(counted)[1:] == (0, 0)
    cut = document(post("anthropic", "/v1/messages", {**CLAUDE, "max_tokens": 2}))
    assert (cut["content"][0]["text"], cut["stop_reason"], cut["usage"]["output_tokens"]) == (
        SAID[:8],
        "max_tokens",
        2,
    )


def test_anthropic_models() -> None:
    listed = document(answer("anthropic", "GET", "/v1/models", {}, None))
    ids = [entry["id"] for entry in listed["data"]]
    assert "claude-haiku-4-5" in ids
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == (ids[0], ids[-1], False)
    assert document(answer("anthropic", "GET", f"/v1/models/{ids[0]}", {}, None)) == listed["data"][0]
    assert document(answer("anthropic", "GET", "/v1/models/nobody", {}, None), 404)["type"] == "error"


@pytest.mark.parametrize(
    ("surface", "beta"),
    [
        ("agents", "managed-agents-2026-04-01"),
        ("environments", "managed-agents-2026-04-01"),
        ("sessions", "managed-agents-2026-04-01"),
        ("vaults", "managed-agents-2026-04-01"),
        ("files", "files-api-2025-04-14"),
        ("skills", "skills-2025-10-02"),
    ],
)
def test_anthropics_beta_surfaces_want_their_header(surface: str, beta: str) -> None:
    path = f"/v1/{surface}"
    assert document(answer("anthropic", "GET", path, {"Anthropic-Beta": f"other, {beta}"}, None))["data"] == []
    refused = document(answer("anthropic", "GET", path, {"anthropic-beta": "other"}, None), 400)
    assert beta in refused["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "kind", "message"),
    [
        (None, 400, "invalid_request_error", "model: Field required"),
        ({**CLAUDE, "model": 3}, 400, "invalid_request_error", "model: Input should be a valid string"),
        ({"model": "claude-x", "messages": [USER]}, 400, "invalid_request_error", "max_tokens: Field required"),
        ({"model": "claude-x", "max_tokens": 3}, 400, "invalid_request_error", "messages: Field required"),
        ({**CLAUDE, "messages": []}, 400, "invalid_request_error", "messages: at least one message is required"),
        (
            {**CLAUDE, "messages": [USER, {"role": "system", "content": "x"}]},
            400,
            "invalid_request_error",
            "messages.1.role: Input should be 'user' or 'assistant'",
        ),
        (
            {**CLAUDE, "max_tokens": 0},
            400,
            "invalid_request_error",
            "max_tokens: Input should be greater than or equal to 1",
        ),
        ({**CLAUDE, "model": "gpt-5"}, 404, "not_found_error", "model: gpt-5"),
    ],
)
def test_anthropics_errors(body: Any, status: int, kind: str, message: str) -> None:
    found = post("anthropic", "/v1/messages", body)
    told = document(found, status)
    assert told["type"] == "error"
    assert told["error"] == {"type": kind, "message": message}
    assert told["request_id"].startswith("req_")
    assert found.known
    assert metered(found)[1:] == (0, 0)


# --- OpenAI and xAI -------------------------------------------------------------------------------------------------

GPT = {"model": "gpt-5", "messages": [USER]}
GROK = {"model": "grok-4", "messages": [USER]}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions"])
@pytest.mark.parametrize(("provider", "body"), [("openai", GPT), ("grok", GROK)])
def test_chat_completions(provider: str, body: dict[str, Any], path: str) -> None:
    found = post(provider, path, body)
    told = document(found)
    (choice,) = told["choices"]
    assert (choice["message"]["role"], choice["message"]["content"]) == ("assistant", SAID)
    assert (choice["finish_reason"], told["object"], told["model"]) == ("stop", "chat.completion", body["model"])
    usage = told["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (7, 9, 16)
    assert metered(found) == (body["model"], 7, 9)
    *chunks, end = events(post(provider, path, {**body, "stream": True}))
    assert end == (None, "[DONE]")
    assert {data["object"] for _, data in chunks} == {"chat.completion.chunk"}
    assert "".join(data["choices"][0]["delta"].get("content", "") for _, data in chunks) == SAID
    assert [data["choices"][0]["finish_reason"] for _, data in chunks] == [None] * 8 + ["stop"]
    assert all("usage" not in data for _, data in chunks)
    asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
    *with_usage, counted, _ = events(post(provider, path, asked))
    assert (counted[1]["choices"], counted[1]["usage"]) == ([], usage)
    assert [data["usage"] for _, data in with_usage] == [None] * len(with_usage)


def test_chat_completions_with_tools() -> None:
    function = {"name": "weather", "parameters": SCHEMA}
    prompt = "weather, please"
    asked = {"model": "gpt-5", "messages": [{"role": "user", "content": prompt}]}
    asked["tools"] = [{"type": "function", "function": function}]
    (choice,) = document(post("openai", "/chat/completions", asked))["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    assert (call["type"], call["function"]["name"]) == ("function", "weather")
    assert json.loads(call["function"]["arguments"]) == arguments(prompt)
    *chunks, _ = events(post("openai", "/chat/completions", {**asked, "stream": True}))
    deltas = [data["choices"][0]["delta"] for _, data in chunks]
    parts = [part["function"]["arguments"] for delta in deltas for part in delta.get("tool_calls", [])]
    assert json.loads("".join(parts)) == arguments(prompt)
    assert deltas[0]["tool_calls"][0]["id"] == "call_" + deltas[0]["tool_calls"][0]["id"].removeprefix("call_")
    for tool_choice, reason in (
        ("none", "stop"),
        ("auto", "tool_calls"),
        ("required", "tool_calls"),
        ({"type": "function", "function": {"name": "weather"}}, "tool_calls"),
        ({"type": "function", "function": {"name": "other"}}, "stop"),
    ):
        (found,) = document(post("openai", "/chat/completions", {**asked, "tool_choice": tool_choice}))["choices"]
        assert found["finish_reason"] == reason
    result = {"role": "tool", "tool_call_id": call["id"], "content": "weather: mild"}
    answered = {**asked, "messages": [*asked["messages"], result]}
    (found,) = document(post("openai", "/chat/completions", answered))["choices"]
    assert found["message"]["content"] == "You said: weather: mild"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_chat_completions_are_cut(name: str) -> None:
    (choice,) = document(post("openai", "/chat/completions", {**GPT, name: 2}))["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (SAID[:8], "length")


def test_responses() -> None:
    items = [{"role": "user", "content": [{"type": "input_text", "text": PROMPT}]}]
    for given_input in (PROMPT, items):
        found = post("openai", "/v1/responses", {"model": "gpt-5", "input": given_input, "instructions": "Be brief"})
        told = document(found)
        (item,) = told["output"]
        assert (item["type"], item["content"][0]["text"], told["status"]) == ("message", SAID, "completed")
        assert (told["usage"]["input_tokens"], told["usage"]["output_tokens"]) == (9, 9)
        assert metered(found) == ("gpt-5", 9, 9)
    asked = {"model": "gpt-5", "input": PROMPT, "stream": True}
    streamed = events(post("openai", "/responses", asked))
    assert [name for name, _ in streamed] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * 7,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [data["sequence_number"] for _, data in streamed] == list(range(len(streamed)))
    assert streamed[0][1]["response"]["usage"] is None
    assert streamed[-1][1]["response"]["output"][0]["content"][0]["text"] == SAID
    cut = events(post("openai", "/responses", {**asked, "max_output_tokens": 2}))
    assert cut[-1][0] == "response.incomplete"
    assert cut[-1][1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_responses_with_tools() -> None:
    tool = {"type": "function", "name": "weather", "parameters": SCHEMA}
    asked = {"model": "gpt-5", "input": "weather, please", "tools": [tool]}
    (item,) = document(post("openai", "/responses", asked))["output"]
    assert (item["type"], item["name"]) == ("function_call", "weather")
    assert json.loads(item["arguments"]) == arguments("weather, please")
    streamed = events(post("openai", "/responses", {**asked, "stream": True}))
    parts = [data["delta"] for name, data in streamed if name == "response.function_call_arguments.delta"]
    assert "".join(parts) == item["arguments"]
    assert streamed[2][1]["item"]["arguments"] == ""
    forced = {**asked, "input": "Hello", "tool_choice": {"type": "function", "name": "weather"}}
    assert document(post("openai", "/responses", forced))["output"][0]["type"] == "function_call"
    result = {"type": "function_call_output", "call_id": item["call_id"], "output": "weather: mild"}
    answered = {**asked, "input": [item, result]}
    assert document(post("openai", "/responses", answered))["output"][0]["content"][0]["text"] == (
        "You said: weather: mild"
    )


@pytest.mark.parametrize(("provider", "model", "owner"), [("openai", "gpt-5", "openai"), ("grok", "grok-4", "xai")])
def test_openai_models(provider: str, model: str, owner: str) -> None:
    for path in ("/v1/models", "/models"):
        listed = document(answer(provider, "GET", path, {}, None))
        assert model in [entry["id"] for entry in listed["data"]]
        assert {entry["owned_by"] for entry in listed["data"]} == {owner}
        assert document(answer(provider, "GET", f"{path}/{model}", {}, None))["id"] == model
        assert document(answer(provider, "GET", f"{path}/nobody", {}, None), 404)


@pytest.mark.parametrize(
    ("path", "body", "status", "param", "code"),
    [
        ("/chat/completions", [], 400, "model", "missing_required_parameter"),
        ("/chat/completions", {"model": "gpt-5"}, 400, "messages", "missing_required_parameter"),
        ("/chat/completions", {"model": "gpt-5", "messages": []}, 400, "messages", "empty_array"),
        ("/chat/completions", {"model": "claude-x", "messages": [USER]}, 404, None, "model_not_found"),
        ("/responses", {"model": "gpt-5"}, 400, "input", "missing_required_parameter"),
        ("/responses", {"model": "grok-4", "input": "x"}, 404, None, "model_not_found"),
    ],
)
def test_openais_errors(path: str, body: Any, status: int, param: str | None, code: str) -> None:
    found = post("openai", path, body)
    error = document(found, status)["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert error["message"]
    assert found.known


def test_xais_errors() -> None:
    assert document(post("grok", "/chat/completions", {"model": "gpt-5", "messages": [USER]}), 404) == {
        "code": "Some requested entity was not found",
        "error": "The model `gpt-5` does not exist or you do not have access to it.",
    }
    missing = document(post("grok", "/chat/completions", {"model": "grok-4"}), 422)
    assert "missing field `messages`" in missing["error"]
    empty = document(post("grok", "/chat/completions", {"model": "grok-4", "messages": []}), 400)
    assert empty["code"] == "Client specified an invalid argument"


# --- Google ---------------------------------------------------------------------------------------------------------

GEMINI = {"contents": [{"role": "user", "parts": [{"text": PROMPT}]}]}
MODEL = "/v1beta/models/gemini-2.5-flash"


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
def test_google_plain(version: str) -> None:
    found = post("google", f"/{version}/models/gemini-2.5-flash:generateContent", GEMINI)
    told = document(found)
    (candidate,) = told["candidates"]
    assert candidate == {
        "content": {"parts": [{"text": SAID}], "role": "model"},
        "index": 0,
        "finishReason": "STOP",
    }
    usage = told["usageMetadata"]
    assert (usage["promptTokenCount"], usage["candidatesTokenCount"], usage["totalTokenCount"]) == (7, 9, 16)
    assert told["modelVersion"] == "gemini-2.5-flash"
    assert metered(found) == ("gemini-2.5-flash", 7, 9)


def test_google_streams_both_ways() -> None:
    found = post("google", f"{MODEL}:streamGenerateContent?alt=sse", GEMINI)
    told = [data for _, data in events(found)]
    assert [data["candidates"][0]["content"]["parts"][0]["text"] for data in told] == SAID.replace(" ", " |").split(
        "|"
    )
    assert [data["candidates"][0].get("finishReason") for data in told] == [None] * 6 + ["STOP"]
    assert told[-1]["usageMetadata"]["totalTokenCount"] == 16
    array = post("google", f"{MODEL}:streamGenerateContent", GEMINI)
    assert array.content_type == "application/json; charset=UTF-8"
    assert json.loads(b"".join(array.chunks or ())) == told
    assert metered(array) == metered(found) == ("gemini-2.5-flash", 7, 9)


@pytest.mark.parametrize("names", ["camel", "snake"])
def test_google_tools(names: str) -> None:
    camel = names == "camel"
    tools = "functionDeclarations" if camel else "function_declarations"
    prompt = "weather, please"
    asked: dict[str, Any] = {"contents": {"parts": [{"text": prompt}]}}
    asked["tools"] = [{tools: [{"name": "weather", "parameters": SCHEMA}]}]
    part = document(post("google", f"{MODEL}:generateContent", asked))["candidates"][0]["content"]["parts"][0]
    assert part == {"functionCall": {"name": "weather", "args": arguments(prompt)}}
    ((_, streamed),) = events(post("google", f"{MODEL}:streamGenerateContent?alt=sse", asked))
    assert streamed["candidates"][0]["content"]["parts"] == [part]
    config, calling, allowed = (
        ("toolConfig", "functionCallingConfig", "allowedFunctionNames")
        if camel
        else ("tool_config", "function_calling_config", "allowed_function_names")
    )
    hello = {**asked, "contents": [{"parts": [{"text": "Hello"}]}]}
    for setting, used in (
        ({"mode": "ANY"}, True),
        ({"mode": "ANY", allowed: ["other"]}, False),
        ({"mode": "AUTO"}, False),
        ({"mode": "NONE"}, False),
    ):
        told = document(post("google", f"{MODEL}:generateContent", {**hello, config: {calling: setting}}))
        assert ("functionCall" in told["candidates"][0]["content"]["parts"][0]) is used
    response = "functionResponse" if camel else "function_response"
    result = {"role": "user", "parts": [{response: {"name": "weather", "response": {"result": "weather: mild"}}}]}
    told = document(post("google", f"{MODEL}:generateContent", {**asked, "contents": [asked["contents"], result]}))
    assert told["candidates"][0]["content"]["parts"][0]["text"] == 'You said: {"result": "weather: mild"}'


def test_google_counts_cuts_and_reads_instructions() -> None:
    counted = post("google", f"{MODEL}:countTokens", GEMINI)
    assert document(counted)["totalTokens"] == 7
    assert metered(counted)[1:] == (0, 0)
    wrapped = {"generateContentRequest": {**GEMINI, "systemInstruction": {"parts": [{"text": "Be brief"}]}}}
    assert document(post("google", f"{MODEL}:countTokens", wrapped))["totalTokens"] == 9
    cut = document(post("google", f"{MODEL}:generateContent", {**GEMINI, "generationConfig": {"maxOutputTokens": 2}}))
    assert cut["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert cut["candidates"][0]["content"]["parts"] == [{"text": SAID[:8]}]


def test_google_models_and_errors() -> None:
    listed = document(answer("google", "GET", "/v1beta/models?pageSize=50", {}, None))
    assert "models/gemini-2.5-flash" in [entry["name"] for entry in listed["models"]]
    assert document(answer("google", "GET", MODEL, {}, None))["name"] == "models/gemini-2.5-flash"
    unknown = answer("google", "GET", "/v1beta/models/gpt-5", {}, None)
    assert document(unknown, 404)["error"]["status"] == "NOT_FOUND"
    refused = post("google", "/v1beta/models/gpt-5:generateContent", GEMINI)
    told = document(refused, 404)["error"]
    assert (told["code"], told["status"]) == (404, "NOT_FOUND")
    assert "models/gpt-5 is not found for API version v1beta" in told["message"]
    empty = document(post("google", f"{MODEL}:generateContent", {}), 400)["error"]
    assert (empty["status"], empty["message"]) == (
        "INVALID_ARGUMENT",
        "* GenerateContentRequest.contents: contents is not specified\n",
    )


# --- Bedrock --------------------------------------------------------------------------------------------------------


def test_bedrock_converse() -> None:
    body = {"messages": [{"role": "user", "content": [{"text": PROMPT}]}], "system": [{"text": "Be brief"}]}
    found = post("bedrock", "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse", body)
    told = document(found)
    assert told["output"]["message"] == {"role": "assistant", "content": [{"text": SAID}]}
    assert told["usage"] == {"inputTokens": 9, "outputTokens": 9, "totalTokens": 18}
    assert told["stopReason"] == "end_turn"
    assert metered(found) == ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", 9, 9)
    cut = document(
        post("bedrock", "/model/amazon.nova-lite-v1:0/converse", {**body, "inferenceConfig": {"maxTokens": 2}})
    )
    assert cut["stopReason"] == "max_tokens"


def test_bedrock_tools() -> None:
    spec = {"toolSpec": {"name": "weather", "inputSchema": {"json": SCHEMA}}}
    body = {
        "messages": [{"role": "user", "content": [{"text": "weather"}]}],
        "toolConfig": {"tools": [spec], "toolChoice": {"tool": {"name": "weather"}}},
    }
    told = document(post("bedrock", "/model/amazon.nova-lite-v1:0/converse", body))
    (part,) = told["output"]["message"]["content"]
    assert (part["toolUse"]["name"], part["toolUse"]["input"]) == ("weather", arguments("weather"))
    assert told["stopReason"] == "tool_use"
    result = {"toolResult": {"toolUseId": part["toolUse"]["toolUseId"], "content": [{"json": {"weather": "mild"}}]}}
    answered = {**body, "messages": [*body["messages"], {"role": "user", "content": [result]}]}
    told = document(post("bedrock", "/model/amazon.nova-lite-v1:0/converse", answered))
    assert told["output"]["message"]["content"] == [{"text": 'You said: {"weather": "mild"}'}]


def test_bedrock_invoke_takes_anthropics_own_request() -> None:
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 100, "messages": [USER]}
    found = post("bedrock", "/model/anthropic.claude-haiku-4-5-v1:0/invoke", body)
    assert document(found)["content"] == [{"type": "text", "text": SAID}]
    assert metered(found) == ("anthropic.claude-haiku-4-5-v1:0", 7, 9)


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/model/nobody/converse", {"messages": [USER]}, "The provided model identifier is invalid."),
        ("/model/amazon.nova-lite-v1:0/invoke", {"messages": [USER]}, "The provided model identifier is invalid."),
        ("/model/anthropic.claude-x/invoke", {"messages": [USER]}, "max_tokens: Field required"),
        (
            "/model/amazon.nova-lite-v1:0/converse",
            {},
            "Value null at 'messages' failed to satisfy constraint: Member must not be null",
        ),
    ],
)
def test_bedrocks_errors(path: str, body: Any, message: str) -> None:
    assert document(post("bedrock", path, body), 400) == {"message": message}


# --- all ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["anthropic", "openai", "google", "grok", "bedrock", "nobody"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_unknown_paths_are_told_apart(provider: str, method: str) -> None:
    found = answer(provider, method, "/v9/nothing", {}, None)
    assert isinstance(document(found, 404), dict)
    assert not found.known
    assert metered(found) == ("", 0, 0)


ASKS: list[tuple[str, str, dict[str, Any]]] = [
    ("anthropic", "/v1/messages", CLAUDE),
    ("openai", "/chat/completions", GPT),
    ("openai", "/responses", {"model": "gpt-5", "input": PROMPT}),
    ("grok", "/chat/completions", GROK),
    ("google", f"{MODEL}:generateContent", GEMINI),
    ("bedrock", "/model/amazon.nova-lite-v1:0/converse", {"messages": [USER]}),
    ("bedrock", "/model/anthropic.claude-x/invoke", CLAUDE),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(ask=st.sampled_from(ASKS), name=st.integers(min_value=0), value=JSON, extra=JSON)
def test_odd_bodies_are_answered_and_never_raise(
    ask: tuple[str, str, dict[str, Any]], name: int, value: Any, extra: Any
) -> None:
    provider, path, body = ask
    names = [*body, "tools", "tool_choice", "stream", "system", "toolConfig", "generationConfig", "contents"]
    changed = {**body, names[name % len(names)]: value}
    for found in (post(provider, path, changed), post(provider, path, extra)):
        assert found.status in (200, 400, 404, 422)
        assert found.input_tokens >= 0
        assert (found.body is None) is (found.chunks is not None)


@given(text=st.text())
def test_streamed_pieces_are_the_text(text: str) -> None:
    asked = {**GPT, "messages": [{"role": "user", "content": text}]}
    plain = document(post("openai", "/chat/completions", asked))["choices"][0]["message"]["content"]
    *chunks, _ = events(post("openai", "/chat/completions", {**asked, "stream": True}))
    streamed = "".join(data["choices"][0]["delta"].get("content") or "" for _, data in chunks)
    assert streamed == plain == f"You said: {text}"


def test_half_a_surrogate_pair_is_survived() -> None:
    asked = {**GPT, "messages": [{"role": "user", "content": "\ud83d"}]}
    assert document(post("openai", "/chat/completions", asked))["choices"][0]["message"]["content"] == "You said: ?"


@pytest.mark.parametrize(("text", "count"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2)])
def test_a_token_is_four_characters(text: str, count: int) -> None:
    assert tokens(text) == count
    assert tokens(text, text) == 2 * count
