"""Requests that nobody should send: whatever they are, the gateway refuses or answers them as documented.

Each operation's own successful request, as the cases of its group make it, is sent again and again with one thing in
it changed: a member of the body, a parameter of the path or the query, a header field, the whole body.
"""

from __future__ import annotations

import functools
import json
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

import httpx
import pytest
from run402_answers import DOCUMENT, OPERATIONS, Operation, all_cases, complaints
from run402_caller import SIGNER, Caller

from tollkit.run402.siwx import HEADER

MARK = "@hostile@"
DEEP = "[" * 300 + "]" * 300

VALUES = (
    "null",
    "true",
    "0",
    "-1",
    "1.5",
    "1e400",  # a number for JSON, infinity for Python
    str(2**63),
    str(10**400),
    "9" * 5000,
    '""',
    '" "',
    '"\\ud800"',  # half of a character
    '"a\\u0000b"',
    '"\U0001f4a5"',
    '"\\u00b2"',  # a digit, and no number
    '"9999999999999999999999"',
    '"1e400"',
    '"../../x"',
    '"a\'; b\\"`%s"',
    '"2026-01-01T00:00:00+99:99"',
    "[]",
    "[null]",
    '["\\ud800"]',
    '[{"a": [0]}]',
    "{}",
    '{"\\ud800": null}',
    '{"name": 1, "type": [], "sha256": {}}',
    DEEP,
)
"""Of members of a body, as JSON: where it has a text, a number, a list, another is as bad as half a character."""

KINDS = ("null", "true", "0", str(2**63), '""', '"a\\u0000b"', "[0]", "{}")
"""The same in short, for members deep inside."""

BODIES = (
    b"",
    b"null",
    b"0",
    b'"text"',
    b"[]",
    b"{",
    b"{}",
    b"\xff\xfe",
    b'{"a": NaN}',
    b'{"a": 1e400}',
    b'{"\\ud800": "\\udfff"}',
    b"[" * 100_000,
    '{"name": "x"}'.encode("utf-16"),
    b"\xef\xbb\xbf{}",
    b'{"a": ' + DEEP.encode() + b"}",
)

TEXTS = (
    "",
    " ",
    "\x00",
    "\u00b2",
    "-1",
    "0",
    "1e400",
    "nan",
    str(2**63),
    "9" * 5000,
    "\U0001f4a5",
    "../..",
    "a/b",
    "a'b\"`;--",
    "*",
    "[",
    "%",
    "x" * 2000,
    "1,2",
    "%FF",  # sent as the octet 255, which is no UTF-8
)
"""Of parameters, not encoded but for the last one."""


@functools.cache
def cases() -> Mapping[str, Any]:
    """The first successful case of each operation."""
    found: dict[str, Any] = {}
    for name, status, way in all_cases():
        if status < 400:
            found.setdefault(name, way)
    return found


def encoded(text: str) -> str:
    return text if text == "%FF" else quote(text, safe="")


def replaced(value: Any, depth: int = 0) -> Iterator[tuple[int, Any]]:
    """The value with a mark in the place of each of its parts, and how deep that is."""
    yield depth, MARK
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for at, part in parts:
        for deep, changed in replaced(part, depth + 1):
            copy = value.copy()
            copy[at] = changed
            yield deep, copy


def documented(operation: Operation) -> Iterator[str]:
    """The members that the document knows of the operation's body."""
    body, pointer = DOCUMENT.resolve(operation.data.get("requestBody", {}), operation.pointer)
    media = body.get("content", {}).get("application/json", {})
    schema, _ = DOCUMENT.resolve(media.get("schema", {}), pointer)
    for part in (schema, *schema.get("allOf", ()), *schema.get("oneOf", ()), *schema.get("anyOf", ())):
        yield from DOCUMENT.resolve(part, pointer)[0].get("properties", {})


def bodies(operation: Operation, request: httpx.Request) -> Iterator[bytes]:
    if "requestBody" not in operation.data:
        return
    yield from BODIES
    try:
        usual = json.loads(request.content or b"{}")
    except ValueError:
        usual = {}
    changed = {json.dumps(each): VALUES if depth == 1 else KINDS for depth, each in replaced(usual) if depth}
    if isinstance(usual, dict):
        for name in documented(operation):
            changed.setdefault(json.dumps({**usual, name: MARK}), VALUES)
    for text, values in changed.items():
        yield from (text.replace(f'"{MARK}"', value).encode() for value in values)
    if isinstance(usual, dict):
        for name in usual:
            yield json.dumps({key: value for key, value in usual.items() if key != name}).encode()


def urls(operation: Operation, request: httpx.Request) -> Iterator[str]:
    address, _, query = str(request.url).partition("?")
    origin, prefix, path = address.partition("/run402")
    origin += prefix
    found = re.fullmatch(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(operation.path)), path)
    assert found is not None
    for name in found.groupdict():
        for text in filter(None, TEXTS):
            yield f"{origin}{path[: found.start(name)]}{encoded(text)}{path[found.end(name) :]}?{query}"
    names = {part.partition("=")[0] for part in query.split("&")} | {
        parameter["name"] for parameter, _ in DOCUMENT.parameters(operation) if parameter["in"] == "query"
    }
    for name in sorted(filter(None, names)):
        kept = "".join(f"{part}&" for part in query.split("&") if part and part.partition("=")[0] != name)
        for text in TEXTS:
            yield f"{address}?{kept}{name}={encoded(text)}"
        yield f"{address}?{kept}{name}=1&{name}=2"


def headers(operation: Operation, request: httpx.Request) -> Iterator[Mapping[str, bytes]]:
    own = {parameter["name"] for parameter, _ in DOCUMENT.parameters(operation) if parameter["in"] == "header"}
    for name in sorted({*own, *(name for name in ("authorization", "apikey", HEADER) if name in request.headers)}):
        for text in (b"", b"x", b"\xff", b"Bearer \xe4", b"e30=", b"bnVsbA==", b"W10=", b"9" * 5000, b"Bearer a.b.c"):
            yield {name: text}


class Sender:
    """Sends changed requests, and tells what is wrong with the answers."""

    def __init__(self, caller: Caller, operation: Operation, request: httpx.Request) -> None:
        self.caller = caller
        self.operation = operation
        self.request = request
        self.wrong: list[str] = []
        self.count = 0

    def send(self, url: str | None = None, content: bytes | None = None, **changed: bytes) -> None:
        told = {name: value for name, value in self.request.headers.raw if name.lower() != b"content-length"}
        told = {name.decode().lower(): value for name, value in told.items()}
        address = url or str(self.request.url)
        if HEADER.lower() in told and url is not None:
            path = address.partition("/run402")[2].partition("?")[0]
            told |= {
                name.lower(): value.encode() for name, value in self.caller.signed(unquote(path), SIGNER).items()
            }
        told |= {name.lower(): value for name, value in changed.items()}
        answer = self.caller.http.request(
            self.request.method,
            address,
            headers=[(name.encode(), value) for name, value in told.items()],
            content=self.request.content if content is None else content,
        )
        self.count += 1
        problems = complaints(self.operation.data["operationId"], answer) if answer.status_code != 500 else ["failed"]
        if problems:
            body = (content or b"")[:150]
            self.wrong.append(f"{answer.status_code} {address[:150]} {changed} {body!r}: {problems[:2]}")


@pytest.mark.parametrize("name", sorted(cases()))
def test_nothing_makes_an_operation_fail(caller: Caller, name: str, caplog: pytest.LogCaptureFixture) -> None:
    caller.sandbox.set_nonces_once(False)
    answer = cases()[name](caller)
    sender = Sender(caller, OPERATIONS[name], answer.request)
    with caplog.at_level(logging.ERROR, "tollkit.sandbox"):
        for content in bodies(sender.operation, answer.request):
            sender.send(content=content)
        for url in urls(sender.operation, answer.request):
            sender.send(url=url)
        for changed in headers(sender.operation, answer.request):
            sender.send(**changed)
    assert sender.wrong == [], caplog.text[-3000:]
    assert sender.count or not OPERATIONS[name].data.get("security")
