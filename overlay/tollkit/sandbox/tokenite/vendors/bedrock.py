"""Amazon Bedrock's runtime, scripted: Converse for every model, InvokeModel for Anthropic's.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html. Its streams are a binary framing
of their own and not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from tollkit.sandbox.http import members
from tollkit.sandbox.tokenite.vendors import anthropic
from tollkit.sandbox.tokenite.vendors.script import (
    ANY_TOOL,
    Asked,
    Tool,
    VendorAnswer,
    entries,
    identity,
    json_answer,
    limit_of,
    reply_to,
    text_of,
)

__all__ = ["answer"]

_PATH = re.compile(r"/model/([^/]+)/(converse|invoke)")
_MODEL = re.compile(r"(?:(?:us|eu|apac|global)\.)?(anthropic|amazon|meta|mistral)\..+")


def answer(method: str, path: str, body: Any) -> VendorAnswer:
    """What Bedrock answers."""
    found = _PATH.fullmatch(path)
    if found is None or method != "POST":
        unknown = {"Output": {"__type": "com.amazon.coral.service#UnknownOperationException"}, "Version": "1.0"}
        return json_answer(unknown, 404, known=False)
    model, action = unquote(found[1]), found[2]
    maker = _MODEL.fullmatch(model)
    if maker is None or (action == "invoke" and maker[1] != "anthropic"):
        return _refused("The provided model identifier is invalid.", model)
    request = members(body)
    turns = [members(turn) for turn in entries(request.get("messages"))]
    if not turns:
        return _refused("Value null at 'messages' failed to satisfy constraint: Member must not be null", model)
    return _converse(model, request, turns) if action == "converse" else _invoke(model, request)


def _refused(message: str, model: str) -> VendorAnswer:
    return json_answer({"message": message}, 400, model=model)


def _converse(model: str, request: Mapping[str, Any], turns: list[dict[str, Any]]) -> VendorAnswer:
    config = members(request.get("toolConfig"))
    choice = members(config.get("toolChoice"))
    specs = [members(members(tool).get("toolSpec")) for tool in entries(config.get("tools"))]
    reply = reply_to(
        Asked(
            texts=(text_of(request.get("system")), *map(text_of, turns)),
            prompt=text_of(turns[-1]),
            tools=tuple(
                Tool(name=str(spec.get("name")), schema=members(members(spec.get("inputSchema")).get("json")))
                for spec in specs
            ),
            demanded=ANY_TOOL if "any" in choice else members(choice.get("tool")).get("name"),
            told=any("toolResult" in members(part) for part in entries(turns[-1].get("content"))),
            limit=limit_of(members(request.get("inferenceConfig")).get("maxTokens")),
        )
    )
    content: dict[str, Any] = {"text": reply.text}
    if reply.tool:
        use_id = identity("tooluse_", request)
        content = {"toolUse": {"toolUseId": use_id, "name": reply.tool.name, "input": reply.tool.arguments}}
    document = {
        "output": {"message": {"role": "assistant", "content": [content]}},
        "stopReason": anthropic.stop_reason(reply),
        "usage": {
            "inputTokens": reply.input_tokens,
            "outputTokens": reply.output_tokens,
            "totalTokens": reply.input_tokens + reply.output_tokens,
        },
        "metrics": {"latencyMs": 1},
    }
    return json_answer(document, model=model, reply=reply)


def _invoke(model: str, request: Mapping[str, Any]) -> VendorAnswer:
    """Anthropic's own request, whose model stands in the path."""
    if type(request.get("max_tokens")) is not int:
        return _refused("max_tokens: Field required", model)
    reply = reply_to(anthropic.asked(request))
    return json_answer(anthropic.message(request, model, reply), model=model, reply=reply)
