"""What all scripted vendors share: what was asked, what is answered, and what it counts.

Nothing here thinks. The answer to a prompt is `You said: ` and the prompt; a token is four characters, begun ones
count. When the prompt names one of the request's tools, or the request demands a tool, the answer is a use of it with
arguments made from its schema. All of it follows from the request alone, so that a test can say what it expects.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

import attrs

from tollkit.sandbox.http import members
from tollkit.sandbox.tokenite import catalog

__all__ = [
    "ANY_TOOL",
    "MADE_AT",
    "Asked",
    "Reply",
    "Tool",
    "ToolUse",
    "VendorAnswer",
    "dump",
    "entries",
    "identity",
    "json_answer",
    "limit_of",
    "listed",
    "pieces",
    "reply_to",
    "sse",
    "stream_answer",
    "text_of",
    "tokens",
]

ANY_TOOL = "*"
"""Stands for "whichever tool" where a request demands one."""
MADE_AT = 1_767_225_600
"""The time that vendors stamp on what they make: 2026-01-01T00:00:00Z."""

_CHARACTERS = 4
_PIECE = re.compile(r"\s*\S+\s*|\s+")
_INNER = ("content", "parts", "output", "toolResult", "functionResponse", "function_response")
_DATA = ("response", "json")


@attrs.frozen(kw_only=True)
class VendorAnswer:
    """A vendor's answer to one request.

    Attributes:
        status: HTTP status.
        content_type: Media type of the body.
        body: The whole body; `None` for a stream.
        chunks: The pieces of a stream, each one or more whole events; `None` for a plain answer.
        model: The model that the request named; empty when it named none.
        input_tokens: What is charged for the request; 0 for what vendors do for nothing, and for errors.
        output_tokens: What is charged for the answer.
        known: Whether the vendor has such a path.
    """

    status: int
    content_type: str
    body: bytes | None = None
    chunks: Iterable[bytes] | None = None
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    known: bool = True


@attrs.frozen(kw_only=True)
class Tool:
    """A tool that a request offers, with the JSON schema of its arguments."""

    name: str
    schema: Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Asked:
    """A request, whichever vendor's.

    Attributes:
        texts: All text that was sent, instructions included: what input tokens are counted from.
        prompt: The text of the last turn.
        tools: The tools on offer.
        demanded: The name of the tool that must be used, `ANY_TOOL`, or `None`.
        told: Whether the last turn brings a tool's result: it is answered with text.
        limit: Output tokens at most.
    """

    texts: tuple[str, ...]
    prompt: str
    tools: tuple[Tool, ...] = ()
    demanded: str | None = None
    told: bool = False
    limit: int | None = None


@attrs.frozen(kw_only=True)
class ToolUse:
    """A use of a tool."""

    name: str
    arguments: Mapping[str, Any]

    @property
    def json(self) -> str:
        """The arguments as JSON text."""
        return json.dumps(self.arguments, ensure_ascii=False)


@attrs.frozen(kw_only=True)
class Reply:
    """What is answered: text, or the use of a tool.

    Attributes:
        text: Empty when a tool is used.
        tool: `None` when there is text.
        cut: Whether the limit of the request ended the text.
        input_tokens: Tokens of what was asked.
        output_tokens: Tokens of this answer.
    """

    text: str
    tool: ToolUse | None
    cut: bool
    input_tokens: int
    output_tokens: int


def listed(creator: str) -> tuple[str, ...]:
    """The models that a vendor lists: its own ones of the sandbox's catalog."""
    return tuple(model.slug for model in catalog.MODELS if model.creator == creator)


def tokens(*texts: str) -> int:
    """Tokens of texts: one for every four characters of each, rounded up."""
    return sum(-(-len(text) // _CHARACTERS) for text in texts)


def reply_to(asked: Asked) -> Reply:
    """The answer to a request."""
    sent = tokens(*asked.texts)
    tool = _tool_for(asked)
    if tool is not None:
        use = ToolUse(name=tool.name, arguments=members(_example(tool.schema, asked.prompt)))
        return Reply(text="", tool=use, cut=False, input_tokens=sent, output_tokens=tokens(use.name, use.json))
    text = f"You said: {asked.prompt}"
    whole = len(text)
    if asked.limit is not None:
        text = text[: asked.limit * _CHARACTERS]
    return Reply(text=text, tool=None, cut=len(text) < whole, input_tokens=sent, output_tokens=tokens(text))


def _tool_for(asked: Asked) -> Tool | None:
    if asked.told:
        return None
    if asked.demanded is not None:
        return next((tool for tool in asked.tools if asked.demanded in (ANY_TOOL, tool.name)), None)
    words = set(re.findall(r"[\w.-]+", asked.prompt))
    return next((tool for tool in asked.tools if tool.name in words), None)


def _example(schema: Mapping[str, Any], prompt: str) -> Any:
    """A value that a schema takes: what is required and nothing else; a text is the prompt itself."""
    choices = entries(schema.get("enum"))
    if choices:
        return choices[0]
    kind = str(schema.get("type", "object")).lower()
    if kind == "object":
        wanted = entries(schema.get("required"))
        properties = members(schema.get("properties"))
        return {name: _example(members(inner), prompt) for name, inner in properties.items() if name in wanted}
    simple: dict[str, Any] = {"string": prompt, "integer": 1, "number": 1.5, "boolean": True, "array": []}
    return simple.get(kind)


def entries(document: Any) -> list[Any]:
    """The entries of a JSON array; none for any other document."""
    return document if _is_array(document) else []


def _is_array(document: Any) -> TypeGuard[list[Any]]:
    return isinstance(document, list)


def limit_of(*values: Any) -> int | None:
    """The first that is a whole number above 0: a limit on output tokens; `None` when none is."""
    return next((value for value in values if type(value) is int and value > 0), None)


def text_of(content: Any) -> str:
    """The text of a message's content, in whichever of the vendors' forms; pictures and sounds have none."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(filter(None, map(text_of, entries(content))))
    found = members(content)
    if isinstance(text := found.get("text"), str):
        return text
    inner = next((found[name] for name in _INNER if name in found), None)
    if inner is not None:
        return text_of(inner)
    data = next((found[name] for name in _DATA if name in found), None)
    return "" if data is None else json.dumps(data, ensure_ascii=False)


def pieces(text: str) -> list[str]:
    """Text word by word, which is how it is streamed; the pieces joined are the text."""
    return _PIECE.findall(text)


def dump(document: Any) -> bytes:
    """Compact JSON in UTF-8; half a surrogate pair, which UTF-8 has no form for, becomes a question mark."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def identity(prefix: str, body: Any) -> str:
    """An identifier in a vendor's form that is the same for the same request."""
    return prefix + hashlib.sha256(dump(body)).hexdigest()[:24]


def sse(document: Any, event: str | None = None, *, end: str = "\n") -> bytes:
    """One server-sent event."""
    name = f"event: {event}{end}".encode() if event else b""
    return name + b"data: " + dump(document) + end.encode() * 2


def json_answer(
    document: Any,
    status: int = 200,
    *,
    model: str = "",
    reply: Reply | None = None,
    known: bool = True,
) -> VendorAnswer:
    """A plain answer; with a reply its tokens are charged."""
    return VendorAnswer(
        status=status,
        content_type="application/json",
        body=dump(document),
        model=model,
        input_tokens=reply.input_tokens if reply else 0,
        output_tokens=reply.output_tokens if reply else 0,
        known=known,
    )


def stream_answer(
    chunks: Iterable[bytes], reply: Reply, *, model: str, content_type: str = "text/event-stream; charset=utf-8"
) -> VendorAnswer:
    """A streamed answer, whose tokens are charged."""
    return VendorAnswer(
        status=200,
        content_type=content_type,
        chunks=tuple(chunks),
        model=model,
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
    )
