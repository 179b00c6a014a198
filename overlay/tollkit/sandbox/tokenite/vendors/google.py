"""Google's Gemini API, scripted: https://ai.google.dev/api/generate-content."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tollkit.sandbox.http import members
from tollkit.sandbox.tokenite.vendors.script import (
    ANY_TOOL,
    Asked,
    Reply,
    Tool,
    VendorAnswer,
    dump,
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

__all__ = ["answer"]

MODELS = listed("google")
_PATH = re.compile(r"/(v1(?:beta|alpha)?)/models(?:/([^/:]+)(?::(\w+))?)?")
_METHODS = ("generateContent", "streamGenerateContent", "countTokens")


def answer(method: str, path: str, query: Mapping[str, str], body: Any) -> VendorAnswer:
    """What Google answers; `alt=sse` in the query asks for server-sent events instead of one growing array."""
    found = _PATH.fullmatch(path)
    version, model, action = found.groups() if found else ("", None, None)
    if found and method == "GET" and action is None:
        if model is None:
            return json_answer({"models": [_model(name) for name in MODELS]})
        return json_answer(_model(model)) if model in MODELS else _no_model(model, version, "GetModel")
    if found is None or method != "POST" or model is None or action not in _METHODS:
        return _error(404, "NOT_FOUND", "Method not found.", known=False)
    if not model.startswith("gemini-"):
        return _no_model(model, version, action)
    request = members(body)
    if action == "countTokens" and "generateContentRequest" in request:
        request = members(request["generateContentRequest"])
    contents = _contents(request)
    if not contents:
        told = "* GenerateContentRequest.contents: contents is not specified\n"
        return _error(400, "INVALID_ARGUMENT", told, model=model)
    asked = _asked(request, contents)
    if action == "countTokens":
        return json_answer({"totalTokens": tokens(*asked.texts), **_details("prompt", asked.texts)}, model=model)
    reply = reply_to(asked)
    if action == "generateContent":
        return json_answer(_whole(request, model, reply), model=model, reply=reply)
    parts = _streamed(request, model, reply)
    if query.get("alt") == "sse":
        return stream_answer(
            (sse(part, end="\r\n") for part in parts), reply, model=model, content_type="text/event-stream"
        )
    return stream_answer(_array(parts), reply, model=model, content_type="application/json; charset=UTF-8")


def _error(status: int, word: str, message: str, *, model: str = "", known: bool = True) -> VendorAnswer:
    error = {"code": status, "message": message, "status": word}
    return json_answer({"error": error}, status, model=model, known=known)


def _no_model(model: str, version: str, action: str) -> VendorAnswer:
    told = (
        f"models/{model} is not found for API version {version}, or is not supported for {action}. "
        "Call ListModels to see the list of available models and their supported methods."
    )
    return _error(404, "NOT_FOUND", told, model=model)


def _model(name: str) -> dict[str, Any]:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name.replace("-", " ").title(),
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }


def _member(document: Mapping[str, Any], name: str) -> Any:
    """A member by its name in JSON, or by the name that the Protocol Buffer has; Google takes both."""
    return document.get(name, document.get(re.sub(r"[A-Z]", lambda big: f"_{big[0].lower()}", name)))


def _contents(request: Mapping[str, Any]) -> list[Any]:
    """The turns; a lone one may stand without its array, as Protocol Buffers' JSON allows."""
    given = request.get("contents")
    return [given] if isinstance(given, dict) else entries(given)


def _asked(request: Mapping[str, Any], contents: list[Any]) -> Asked:
    turns = [members(turn) for turn in contents]
    config = members(_member(request, "generationConfig"))
    calling = members(_member(members(_member(request, "toolConfig")), "functionCallingConfig"))
    mode = str(calling.get("mode", "AUTO")).upper()
    allowed = entries(_member(calling, "allowedFunctionNames"))
    offered = [
        members(declared)
        for tool in map(members, entries(request.get("tools")))
        for declared in entries(_member(tool, "functionDeclarations"))
        if mode != "NONE"
    ]
    last = entries(turns[-1].get("parts"))
    return Asked(
        texts=(text_of(_member(request, "systemInstruction")), *map(text_of, turns)),
        prompt=text_of(turns[-1]),
        tools=tuple(
            Tool(
                name=str(function.get("name")),
                schema=members(function.get("parameters") or _member(function, "parametersJsonSchema")),
            )
            for function in offered
            if not allowed or function.get("name") in allowed
        ),
        demanded=ANY_TOOL if mode == "ANY" else None,
        told=any(_member(members(part), "functionResponse") is not None for part in last),
        limit=limit_of(_member(config, "maxOutputTokens")),
    )


def _details(name: str, texts: tuple[str, ...]) -> dict[str, Any]:
    return {f"{name}TokensDetails": [{"modality": "TEXT", "tokenCount": tokens(*texts)}]}


def _answered(
    request: Any, model: str, reply: Reply, part: Mapping[str, Any], *, so_far: int, finish: str | None
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [part], "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": reply.input_tokens,
            "candidatesTokenCount": so_far,
            "totalTokenCount": reply.input_tokens + so_far,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": reply.input_tokens}],
        },
        "modelVersion": model,
        "responseId": identity("", [request, model]),
    }


def _finish(reply: Reply) -> str:
    return "MAX_TOKENS" if reply.cut else "STOP"


def _whole(request: Any, model: str, reply: Reply) -> dict[str, Any]:
    part: dict[str, Any] = {"text": reply.text}
    if reply.tool:
        part = {"functionCall": {"name": reply.tool.name, "args": reply.tool.arguments}}
    return _answered(request, model, reply, part, so_far=reply.output_tokens, finish=_finish(reply))


def _streamed(request: Any, model: str, reply: Reply) -> Iterator[dict[str, Any]]:
    """Answers with a word each; a function call comes in one."""
    words = pieces(reply.text)
    if reply.tool or len(words) < 2:
        yield _whole(request, model, reply)
        return
    told = ""
    for word in words[:-1]:
        told += word
        yield _answered(request, model, reply, {"text": word}, so_far=tokens(told), finish=None)
    last = {"text": words[-1]}
    yield _answered(request, model, reply, last, so_far=reply.output_tokens, finish=_finish(reply))


def _array(parts: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    before = b"["
    for part in parts:
        yield before + dump(part)
        before = b"\n,\r\n"
    yield b"\n]\n"
