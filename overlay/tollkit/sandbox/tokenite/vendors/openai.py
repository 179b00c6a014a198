"""OpenAI's Chat Completions and Responses APIs, scripted, and xAI's (grok), which speaks the first of them.

https://platform.openai.com/docs/api-reference/chat, .../responses, and https://docs.x.ai/docs/api-reference.
Paths are taken with and without their `/v1`: OpenAI's SDK leaves it to the base address, which may have it or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from tollkit.sandbox.http import members
from tollkit.sandbox.tokenite.vendors.script import (
    ANY_TOOL,
    MADE_AT,
    Asked,
    Reply,
    Tool,
    VendorAnswer,
    entries,
    identity,
    json_answer,
    limit_of,
    listed,
    pieces,
    reply_to,
    sse,
    stream_answer,
    text_of,
)

__all__ = ["answer", "answer_grok"]

_OPENAI_NAME = re.compile(r"(?:gpt-|chatgpt-|o[1-9]).*")
_GROK_NAME = re.compile(r"grok-.*")


@attrs.frozen(kw_only=True)
class _Vendor:
    models: tuple[str, ...]
    names: re.Pattern[str]
    owner: str
    xai: bool = False

    def refuse(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None, model: str = ""
    ) -> VendorAnswer:
        """An error in the vendor's own form; xAI's has a sentence for its code."""
        if self.xai:
            if code == "missing_required_parameter":
                told = f"Failed to deserialize the JSON body into the target type: missing field `{param}`"
                return json_answer({"error": told}, 422, model=model)
            told = "Some requested entity was not found" if status == 404 else "Client specified an invalid argument"
            return json_answer({"code": told, "error": message}, status, model=model)
        error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
        return json_answer({"error": error}, status, model=model)


_OPENAI = _Vendor(models=listed("openai"), names=_OPENAI_NAME, owner="openai")
_GROK = _Vendor(models=listed("grok"), names=_GROK_NAME, owner="xai", xai=True)


def answer(method: str, path: str, body: Any) -> VendorAnswer:
    """What OpenAI answers."""
    if (method, path.removeprefix("/v1")) == ("POST", "/responses"):
        return _responses(members(body))
    return _answer(_OPENAI, method, path, body)


def answer_grok(method: str, path: str, body: Any) -> VendorAnswer:
    """What xAI answers."""
    return _answer(_GROK, method, path, body)


def _answer(vendor: _Vendor, method: str, path: str, body: Any) -> VendorAnswer:
    short = path.removeprefix("/v1")
    if (method, short) == ("POST", "/chat/completions"):
        return _completions(vendor, members(body))
    if (method, short) == ("GET", "/models"):
        return json_answer({"object": "list", "data": [_model(vendor, name) for name in vendor.models]})
    if method == "GET" and short.startswith("/models/"):
        name = short.removeprefix("/models/")
        return json_answer(_model(vendor, name)) if name in vendor.models else _no_model(vendor, name)
    return attrs.evolve(vendor.refuse(404, f"Invalid URL ({method} {path})"), known=False)


def _model(vendor: _Vendor, name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": MADE_AT, "owned_by": vendor.owner}


def _no_model(vendor: _Vendor, name: str) -> VendorAnswer:
    told = f"The model `{name}` does not exist or you do not have access to it."
    return vendor.refuse(404, told, code="model_not_found", model=name)


def _wrong_model(vendor: _Vendor, body: Mapping[str, Any]) -> VendorAnswer | None:
    model = body.get("model")
    if not isinstance(model, str):
        told = "you must provide a model parameter"
        return vendor.refuse(400, told, param="model", code="missing_required_parameter")
    return None if vendor.names.fullmatch(model) else _no_model(vendor, model)


def _tools(body: Mapping[str, Any]) -> tuple[tuple[Tool, ...], str | None]:
    """The tools on offer and the one that is demanded; chat completions nest what responses do not."""
    choice = body.get("tool_choice")
    offered = [members(tool) for tool in entries(body.get("tools")) if choice != "none"]
    functions = [members(tool.get("function", tool)) for tool in offered if tool.get("type") == "function"]
    chosen = members(choice)
    demanded = members(chosen.get("function", chosen)).get("name") or (ANY_TOOL if choice == "required" else None)
    return (
        tuple(
            Tool(name=str(function.get("name")), schema=members(function.get("parameters"))) for function in functions
        ),
        demanded,
    )


def _completions(vendor: _Vendor, body: Mapping[str, Any]) -> VendorAnswer:
    wrong = _wrong_model(vendor, body)
    if wrong is not None:
        return wrong
    model: str = body["model"]
    if "messages" not in body:
        told = "Missing required parameter: 'messages'."
        return vendor.refuse(400, told, param="messages", code="missing_required_parameter", model=model)
    turns = [members(turn) for turn in entries(body["messages"])]
    if not turns:
        told = "Invalid 'messages': empty array. Expected an array with minimum length 1."
        return vendor.refuse(400, told, param="messages", code="empty_array", model=model)
    tools, demanded = _tools(body)
    reply = reply_to(
        Asked(
            texts=tuple(text_of(turn.get("content")) for turn in turns),
            prompt=text_of(turns[-1].get("content")),
            tools=tools,
            demanded=demanded,
            told=turns[-1].get("role") == "tool",
            limit=limit_of(body.get("max_completion_tokens"), body.get("max_tokens")),
        )
    )
    if body.get("stream") is True:
        with_usage = members(body.get("stream_options")).get("include_usage") is True
        return stream_answer(_chunks(body, reply, with_usage=with_usage), reply, model=model)
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None, "annotations": []}
    if reply.tool:
        function = {"name": reply.tool.name, "arguments": reply.tool.json}
        message["content"] = None
        message["tool_calls"] = [{"id": identity("call_", body), "type": "function", "function": function}]
    document = {
        **_completion(body, "chat.completion"),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(reply)}],
        "usage": _completion_usage(reply),
    }
    return json_answer(document, model=model, reply=reply)


def _completion(body: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {
        "id": identity("chatcmpl-", body),
        "object": kind,
        "created": MADE_AT,
        "model": body["model"],
        "service_tier": "default",
        "system_fingerprint": "fp_sandbox",
    }


def _completion_usage(reply: Reply) -> dict[str, Any]:
    return {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": reply.input_tokens + reply.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _finish_reason(reply: Reply) -> str:
    return "tool_calls" if reply.tool else "length" if reply.cut else "stop"


def _chunks(body: Mapping[str, Any], reply: Reply, *, with_usage: bool) -> Iterator[bytes]:
    head = _completion(body, "chat.completion.chunk")
    usage: dict[str, Any] = {"usage": None} if with_usage else {}

    def chunk(delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return sse({**head, "choices": [choice], **usage})

    if reply.tool:
        begun = {"name": reply.tool.name, "arguments": ""}
        call = {"index": 0, "id": identity("call_", body), "type": "function", "function": begun}
        yield chunk({"role": "assistant", "content": None, "tool_calls": [call], "refusal": None})
        for piece in pieces(reply.tool.json):
            yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    else:
        yield chunk({"role": "assistant", "content": "", "refusal": None})
        for piece in pieces(reply.text):
            yield chunk({"content": piece})
    yield chunk({}, _finish_reason(reply))
    if with_usage:
        yield sse({**head, "choices": [], "usage": _completion_usage(reply)})
    yield b"data: [DONE]\n\n"


def _responses(body: Mapping[str, Any]) -> VendorAnswer:
    wrong = _wrong_model(_OPENAI, body)
    if wrong is not None:
        return wrong
    model: str = body["model"]
    given = body.get("input")
    turns = [{"role": "user", "content": given}] if isinstance(given, str) else [*map(members, entries(given))]
    if not turns:
        told = 'One of "input" or "previous_response_id" or "prompt" or "conversation_id" must be provided.'
        return _OPENAI.refuse(400, told, param="input", code="missing_required_parameter", model=model)
    tools, demanded = _tools(body)
    reply = reply_to(
        Asked(
            texts=(text_of(body.get("instructions")), *map(text_of, turns)),
            prompt=text_of(turns[-1]),
            tools=tools,
            demanded=demanded,
            told=turns[-1].get("type") == "function_call_output",
            limit=limit_of(body.get("max_output_tokens")),
        )
    )
    if body.get("stream") is True:
        return stream_answer(_response_events(body, reply), reply, model=model)
    return json_answer(_response(body, reply, _item(body, reply)), model=model, reply=reply)


def _item(body: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
    """The one item of the output."""
    if reply.tool:
        return {
            "type": "function_call",
            "id": identity("fc_", body),
            "status": "completed",
            "call_id": identity("call_", body),
            "name": reply.tool.name,
            "arguments": reply.tool.json,
        }
    return {
        "type": "message",
        "id": identity("msg_", body),
        "status": "incomplete" if reply.cut else "completed",
        "role": "assistant",
        "content": [_text_part(reply.text)],
    }


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _response(body: Mapping[str, Any], reply: Reply, item: Mapping[str, Any] | None) -> dict[str, Any]:
    """The response object, finished when it has its item."""
    status = "in_progress" if item is None else "incomplete" if reply.cut else "completed"
    usage = {
        "input_tokens": reply.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": reply.input_tokens + reply.output_tokens,
    }
    return {
        "id": identity("resp_", body),
        "object": "response",
        "created_at": MADE_AT,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": body["model"],
        "output": [] if item is None else [item],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": entries(body.get("tools")),
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None if item is None else usage,
        "user": None,
        "metadata": {},
    }


def _response_events(body: Mapping[str, Any], reply: Reply) -> Iterator[bytes]:
    for number, (kind, fields) in enumerate(_numbered(body, reply)):
        yield sse({"type": kind, "sequence_number": number, **fields}, kind)


def _numbered(body: Mapping[str, Any], reply: Reply) -> Iterator[tuple[str, dict[str, Any]]]:
    item = _item(body, reply)
    begun: dict[str, Any] = {**item, "status": "in_progress"}
    begun["arguments" if reply.tool else "content"] = "" if reply.tool else []
    at = {"item_id": item["id"], "output_index": 0}
    opened = _response(body, reply, None)
    yield "response.created", {"response": opened}
    yield "response.in_progress", {"response": opened}
    yield "response.output_item.added", {"output_index": 0, "item": begun}
    if reply.tool:
        for piece in pieces(reply.tool.json):
            yield "response.function_call_arguments.delta", {**at, "delta": piece}
        done = {"name": reply.tool.name, "arguments": reply.tool.json}
        yield "response.function_call_arguments.done", {**at, **done}
    else:
        at = {**at, "content_index": 0}
        yield "response.content_part.added", {**at, "part": _text_part("")}
        for piece in pieces(reply.text):
            yield "response.output_text.delta", {**at, "delta": piece, "logprobs": []}
        yield "response.output_text.done", {**at, "text": reply.text, "logprobs": []}
        yield "response.content_part.done", {**at, "part": _text_part(reply.text)}
    yield "response.output_item.done", {"output_index": 0, "item": item}
    whole = _response(body, reply, item)
    yield f"response.{whole['status']}", {"response": whole}
