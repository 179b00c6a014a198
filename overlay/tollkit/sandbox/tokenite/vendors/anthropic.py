"""Anthropic's Messages API, scripted: https://docs.anthropic.com/en/api/messages and .../messages-streaming."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tollkit.sandbox.http import members
from tollkit.sandbox.tokenite.catalog import BETAS
from tollkit.sandbox.tokenite.vendors.script import (
    ANY_TOOL,
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
    tokens,
)

__all__ = ["answer", "asked", "message", "stop_reason"]

MODELS = listed("anthropic")


def answer(method: str, path: str, headers: Mapping[str, str], body: Any) -> VendorAnswer:
    """What Anthropic answers."""
    if (method, path) == ("POST", "/v1/messages"):
        return _messages(members(body))
    if (method, path) == ("POST", "/v1/messages/count_tokens"):
        return _count(members(body))
    if method == "GET" and path == "/v1/models":
        return json_answer(_page([_model(name) for name in MODELS]))
    if method == "GET" and path.startswith("/v1/models/"):
        name = path.removeprefix("/v1/models/")
        return json_answer(_model(name)) if name in MODELS else _error(404, "not_found_error", f"model: {name}")
    if method == "GET" and path in BETAS:
        return _beta(path, headers)
    return _error(404, "not_found_error", "Not Found", known=False)


def _error(status: int, kind: str, message: str, *, model: str = "", known: bool = True) -> VendorAnswer:
    document = {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": identity("req_", [status, message]),
    }
    return json_answer(document, status, model=model, known=known)


def _page(data: list[dict[str, Any]]) -> dict[str, Any]:
    ids = [entry["id"] for entry in data] or [None]
    return {"data": data, "has_more": False, "first_id": ids[0], "last_id": ids[-1]}


def _model(name: str) -> dict[str, Any]:
    shown = name.replace("-", " ").title()
    return {"type": "model", "id": name, "display_name": shown, "created_at": "2026-01-01T00:00:00Z"}


def _beta(path: str, headers: Mapping[str, str]) -> VendorAnswer:
    sent = ",".join(value for name, value in headers.items() if name.lower() == "anthropic-beta")
    if BETAS[path] not in [word.strip() for word in sent.split(",")]:
        return _error(400, "invalid_request_error", f"this API needs the header anthropic-beta: {BETAS[path]}")
    return json_answer(_page([]))


def _problem(body: Mapping[str, Any], *needed: str) -> VendorAnswer | None:
    model = body.get("model")
    named = model if isinstance(model, str) else ""

    def refused(message: str) -> VendorAnswer:
        return _error(400, "invalid_request_error", message, model=named)

    for name in needed:
        if name not in body:
            return refused(f"{name}: Field required")
    if not isinstance(model, str):
        return refused("model: Input should be a valid string")
    if not entries(body["messages"]):
        return refused("messages: at least one message is required")
    for index, turn in enumerate(entries(body["messages"])):
        if members(turn).get("role") not in ("user", "assistant"):
            return refused(f"messages.{index}.role: Input should be 'user' or 'assistant'")
    limit = body.get("max_tokens", 1)
    if type(limit) is not int or limit < 1:
        return refused("max_tokens: Input should be greater than or equal to 1")
    if not model.startswith("claude-"):
        return _error(404, "not_found_error", f"model: {model}", model=named)
    return None


def asked(body: Mapping[str, Any]) -> Asked:
    """What a request with messages asks."""
    turns = [members(turn) for turn in entries(body["messages"])]
    choice = members(body.get("tool_choice"))
    demanded = {"any": ANY_TOOL, "tool": choice.get("name")}.get(str(choice.get("type")))
    return Asked(
        texts=(text_of(body.get("system")), *(text_of(turn.get("content")) for turn in turns)),
        prompt=text_of(turns[-1].get("content")),
        tools=tuple(
            Tool(name=str(tool.get("name")), schema=members(tool.get("input_schema")))
            for tool in map(members, entries(body.get("tools")))
            if choice.get("type") != "none"
        ),
        demanded=demanded,
        told=any(members(part).get("type") == "tool_result" for part in entries(turns[-1].get("content"))),
        limit=limit_of(body.get("max_tokens")),
    )


def _count(body: Mapping[str, Any]) -> VendorAnswer:
    problem = _problem(body, "model", "messages")
    return problem or json_answer({"input_tokens": tokens(*asked(body).texts)}, model=body["model"])


def _messages(body: Mapping[str, Any]) -> VendorAnswer:
    problem = _problem(body, "model", "max_tokens", "messages")
    if problem is not None:
        return problem
    model: str = body["model"]
    reply = reply_to(asked(body))
    if body.get("stream") is True:
        return stream_answer(_events(body, model, reply), reply, model=model)
    return json_answer(message(body, model, reply), model=model, reply=reply)


def _usage(reply: Reply, output_tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": reply.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def stop_reason(reply: Reply) -> str:
    """Why a reply ends; Bedrock has the same words."""
    return "tool_use" if reply.tool else "max_tokens" if reply.cut else "end_turn"


def message(body: Any, model: str, reply: Reply) -> dict[str, Any]:
    """The message that answers a request; Bedrock answers Anthropic's models with the same."""
    content: dict[str, Any]
    if reply.tool:
        tool_id = identity("toolu_", body)
        content = {"type": "tool_use", "id": tool_id, "name": reply.tool.name, "input": reply.tool.arguments}
    else:
        content = {"type": "text", "text": reply.text}
    return {
        "id": identity("msg_", body),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [content],
        "stop_reason": stop_reason(reply),
        "stop_sequence": None,
        "usage": _usage(reply, reply.output_tokens),
    }


def _events(body: Any, model: str, reply: Reply) -> Iterator[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return sse({"type": kind, **fields}, kind)

    whole = message(body, model, reply)
    (block,) = whole["content"]
    begun: dict[str, Any] = {**whole, "content": [], "stop_reason": None, "usage": _usage(reply, 1)}
    yield event("message_start", message=begun)
    yield event(
        "content_block_start",
        index=0,
        content_block={**block, "input" if reply.tool else "text": _EMPTY[block["type"]]},
    )
    yield event("ping")
    if reply.tool:
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(reply.tool.json)]]
    else:
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces(reply.text)]
    for delta in deltas:
        yield event("content_block_delta", index=0, delta=delta)
    yield event("content_block_stop", index=0)
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield event("message_delta", delta=ended, usage={"output_tokens": reply.output_tokens})
    yield event("message_stop")


_EMPTY: Mapping[str, Any] = {"text": "", "tool_use": {}}
