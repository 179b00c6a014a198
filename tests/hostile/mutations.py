"""Answers that are not what they should be, made of one that is.

for mutation in of_fields(answer): ...      # one field of its JSON is something else
for mutation in of_whole(answer): ...       # the answer as a whole is
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import attrs
import httpx


@attrs.frozen
class Answer:
    """An answer, of the shape that clients of HTTP give."""

    status_code: int
    headers: httpx.Headers = attrs.field(converter=lambda given: _headers(given))
    content: bytes = b""

    def with_body(self, content: bytes) -> Answer:
        """Another body."""
        return Answer(self.status_code, self.headers, content)

    def with_headers(self, **changes: str) -> Answer:
        """Other headers; underscores stand for dashes."""
        named = {name.replace("_", "-"): value for name, value in changes.items()}
        return Answer(self.status_code, {**self.headers, **named}, self.content)


def _headers(given: Mapping[str, str]) -> httpx.Headers:
    """As they are read from the wire, where any bytes may stand."""
    if isinstance(given, httpx.Headers):
        return given
    return httpx.Headers([(name.encode(), value.encode()) for name, value in given.items()])


@attrs.frozen
class Mutation:
    """One answer that was changed.

    Attributes:
        path: Where: `$.users[0].id`, or `$` for the whole.
        change: What is there now.
        answer: The result.
    """

    path: str
    change: str
    answer: Answer


DEEP: Final = 100_000
DIGITS: Final = 5_000  # more than `sys.get_int_max_str_digits()`
TOKENS: Final[Mapping[str, bytes]] = {
    "null": b"null",
    "true": b"true",
    "negative": b"-1",
    "fraction": b"1.5",
    "beyond a double": b"1" + b"0" * 400,
    "too many digits": b"9" * DIGITS,
    "infinite": b"1e999",
    "NaN": b"NaN",
    "no text": b'""',
    "text": b'"\\u00e9 %2F../?#"',
    "control characters": b'"a\\r\\nx-injected: 1\\u0000"',
    "lone surrogate": b'"\\ud800"',
    "no items": b"[]",
    "items": b"[null, 1, [], {}]",
    "members": b'{"": null, "__proto__": {}, "message": 1, "code": []}',
    "deep arrays": b"[" * DEEP + b"]" * DEEP,
    "false": b"false",
    "zero": b"0",
    "beyond 64 bits": b"18446744073709551617",
    "-Infinity": b"-Infinity",
    "digits as text": b'"' + b"9" * DIGITS + b'"',
    "exponent as text": b'"1e999999"',
    "address": b'"http://[::1"',
    "date that is none": b'"9999-99-99T99:99:99Z"',
    "huge text": b'"' + b"A" * 65_536 + b'"',
    "no members": b"{}",
    "twice the same key": b'{"a": 1, "a": 2}',
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep and not closed": b"[" * DEEP,
    "as deep as is read": b"[" * 150 + b"]" * 150,
}
"""What stands in place of a value. Text of JSON, since some of it is none and some has no value in Python."""
ALWAYS: Final = 16
"""The first ones stand everywhere, the rest at every fourth place."""
SOMETIMES: Final = 4
FAMILIAR: Final = 6

_HERE: Final = "\u0001here\u0001"
_MARK: Final = json.dumps(_HERE).encode()


def paths_of(value: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every place in a JSON value, from the root; of lists the first item."""
    pending: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while pending:
        where, found = pending.pop(0)
        yield where, found
        if isinstance(found, dict):
            pending += [((*where, name), item) for name, item in found.items()]
        elif isinstance(found, list) and found:
            pending.append(((*where, 0), found[0]))


def shown(where: tuple[str | int, ...]) -> str:
    """A path as it is written: `$.users[0].id`."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)


def _changed(value: Any, where: tuple[str | int, ...], change: Any) -> Any:
    """A copy with `change(container, step)` applied at a place, along the path only."""
    if not where:
        return change
    copy: Any = list(value) if isinstance(value, list) else dict(value)
    copy[where[0]] = _changed(copy[where[0]], where[1:], change)
    return copy


def _without(value: Any, where: tuple[str | int, ...]) -> Any:
    copy: Any = list(value) if isinstance(value, list) else dict(value)
    if len(where) == 1:
        del copy[where[0]]
    else:
        copy[where[0]] = _without(copy[where[0]], where[1:])
    return copy


def field_of(where: tuple[str | int, ...]) -> str:
    """What a place is called, wherever it stands: the last two names."""
    return ".".join([step for step in where if isinstance(step, str)][-2:])


def fields_of(answer: Answer) -> frozenset[str]:
    """The fields of a JSON body."""
    try:
        value = json.loads(answer.content)
    except ValueError:
        return frozenset()
    return frozenset(field_of(where) for where, _ in paths_of(value)) - {""}


def of_json(value: Any, familiar: frozenset[str] = frozenset()) -> Iterator[tuple[str, str, bytes]]:
    """Path, change and text of every change of one place; the rarer ones at every fourth place.

    A familiar field gets a sixth of them.
    """
    for index, (where, _) in enumerate(paths_of(value)):
        path = shown(where)
        known = field_of(where) in familiar
        begin, mark, end = json.dumps(_changed(value, where, _HERE)).encode().partition(_MARK)
        assert mark
        for number, (name, token) in enumerate(TOKENS.items()):
            usual = number < ALWAYS or number % SOMETIMES == index % SOMETIMES
            if number % FAMILIAR == index % FAMILIAR if known else usual:
                yield path, name, begin + token + end
        if where:
            yield path, "removed", json.dumps(_without(value, where)).encode()
        if where and isinstance(where[-1], str) and not known:
            key = json.dumps(where[-1]).encode()
            yield path, "twice", begin + b"1, " + key + b": null" + end
            yield path, "twice, the first counts", begin + b"null, " + key + b": 1" + end


def of_fields(answer: Answer, familiar: frozenset[str] = frozenset()) -> Iterator[Mutation]:
    """Every field of a JSON body changed, one at a time; nothing for other bodies."""
    try:
        value = json.loads(answer.content)
    except ValueError:
        return
    for path, change, content in of_json(value, familiar):
        yield Mutation(path, change, answer.with_body(content))


def of_headers(answer: Answer) -> Iterator[Mutation]:
    """Other statuses and headers."""
    good = answer.content
    for status in _STATUSES:
        yield Mutation("status", str(status), Answer(status, answer.headers, good))
    for name, values in _HEADERS.items():
        for value in values:
            told = f"{value[:40]!r}"
            changed = answer.with_headers(**{name: value})
            yield Mutation(f"header {name}", told, changed)
            status = {"location": 307, "etag": 304, "www-authenticate": 401, "payment-required": 402}.get(name, 429)
            yield Mutation(f"header {name}", f"{status} and {told}", Answer(status, changed.headers, good))


_JSON: Final = {"content-type": "application/json"}
_STATUSES: Final = (
    *(100, 101, 199, 201, 202, 203, 204, 205, 206, 226, 299, 300, 301, 302, 303, 304, 305, 307, 308, 399, 400, 401),
    *(402, 403, 404, 405, 406, 408, 409, 410, 412, 413, 415, 418, 422, 425, 426, 428, 429, 431, 451, 499, 500, 501),
    *(502, 503, 504, 507, 511, 599, 600, 999),
)
_HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    "retry-after": (
        *("", " ", "soon", "-5", "nan", "inf", "1e999", "9" * 400, "0x10", "\u0661", "1,5"),
        *("Fri, 99 Foo 9999 99:99:99 GMT", "Thu, 01 Jan 1970 00:00:00 -9999", "Fri, 31 Dec 99999 00:00:00 GMT"),
    ),
    "retry-after-ms": ("", "soon", "nan", "-inf", "9" * 400),
    "date": ("", "today", "Fri, 31 Dec 9999 23:59:59 +0000", "Mon, 01 Jan 0001 00:00:00 -2359"),
    "etag": ("", '"', "W/", 'W/"', "\u00ff", "a b", "x" * 65_536, '"a", "b"'),
    "location": (
        "",
        "//",
        "http://[",
        "javascript:alert(1)",
        "/\u00e9\x00",
        "http://a@b:99999999/?q#f",
        "x" * 65_536,
    ),
    "www-authenticate": ("", "Bearer", 'Bearer error="', "Payment ", "\u00ff=", 'Basic realm="' + "a" * 65_536),
    "content-type": ("", "json", "application/json; charset=utf-16", "text/html", "text/plain", "; ;", "x" * 65_536),
    "content-length": ("-1", "nothing", "9" * 5_000),
    "content-range": ("bytes 0-0/0", "bytes */*", "bytes 9-1/5", "pages 1-2/3", "bytes 0-" + "9" * 5_000 + "/*"),
    "content-disposition": ("attachment; filename=../../x", "\u00ff"),
    "payment-required": ("", "!", "e30=", "bnVsbA==", "W10=", "//8=", "A" * 65_536, "NQ=="),
    "payment-response": ("", "!", "e30=", "bnVsbA==", "W10=", "//8="),
    "x-payment-response": ("!", "eyJzdWNjZXNzIjoxfQ=="),
    "x-request-id": ("", "\u00ff", "x" * 65_536),
    "set-cookie": ("a=b; Domain=.example; Path=/; " * 1_000,),
    "link": ('<>; rel="next"',),
}
"""Values of headers."""
_REFUSALS: Final[Mapping[str, Any]] = {
    "error": {"error": _HERE},
    "error.message": {"error": {"message": _HERE, "code": "CODE"}},
    "error.code": {"error": {"message": "text", "code": _HERE}},
    "error.details": {"error": {"message": "text", "code": "CODE", "details": _HERE, "source": _HERE}},
    "error_description": {"error": "invalid_request", "error_description": _HERE},
    "error_uri": {"error": "authorization_pending", "error_uri": _HERE, "interval": _HERE},
    "message": {"error": "error", "message": _HERE},
    "code": {"message": "text", "code": _HERE},
    "details": {"error": "error", "code": "CODE", "details": _HERE, "data": _HERE},
    "next_actions": {"error": "error", "next_actions": _HERE, "hint": _HERE, "fix": _HERE},
    "correlation_id": {"error": "error", "correlation_id": _HERE, "request_id": _HERE, "trace_id": _HERE},
    "retryable": {"error": "error", "retryable": _HERE, "safe_to_retry": _HERE, "mutation_state": _HERE},
    "category": {"error": "error", "category": _HERE, "phase": _HERE, "resource": _HERE, "operation_id": _HERE},
    "accepts": {"x402Version": 1, "accepts": _HERE, "error": _HERE},
    "accepts[0]": {"x402Version": 2, "accepts": [_HERE], "resource": _HERE, "extensions": _HERE},
    "x402Version": {"x402Version": _HERE, "accepts": []},
    "lease": {"error": "payment_required", "lifecycle_state": _HERE, "scheduled_purge_at": _HERE, "renew_url": _HERE},
    "$": _HERE,
}
_REFUSED: Final = (400, 401, 402, 403, 404, 409, 422, 429, 500, 503)


def _refusals() -> tuple[Mutation, ...]:
    found: list[Mutation] = []
    for place, shape in _REFUSALS.items():
        pieces = json.dumps(shape).encode().split(_MARK)
        for name, token in TOKENS.items():
            status = _REFUSED[len(found) % len(_REFUSED)]
            found.append(Mutation(place, f"{status} with {name}", Answer(status, _JSON, token.join(pieces))))
    return tuple(found)


REFUSALS: Final = _refusals()
"""Error answers of every shape that a platform has, with something else at one place."""


HEADER_PARTS: Final = 8
REFUSAL_PARTS: Final = 12
"""Headers and error answers are read in the same way for every method, so that each gets a part of them."""


def of_whole(answer: Answer, part: int) -> Iterator[Mutation]:
    """The whole answer changed: body, status, headers; and error answers in its place."""
    good = answer.content
    half = len(good) // 2
    bodies = {
        "empty": b"",
        "blanks": b" \r\n\t",
        "a web page": b"<!doctype html><html><h1>It works</h1></html>",
        "cut after 1 byte": good[:1],
        "cut in the middle": good[:half],
        "cut before the end": good[:-1],
        "twice": good + good,
        "bytes that are no UTF-8 before": b"\xff\xfe\xfd" + good,
        "bytes that are no UTF-8 within": good[:half] + b"\xc3\x28\xff" + good[half:],
        "bytes that are no UTF-8 after": good + b"\x80",
        "a byte order mark": b"\xef\xbb\xbf" + good,
        "two byte order marks": b"\xef\xbb\xbf" * 2 + good,
        "UTF-16": good.decode("utf-8", "replace").encode("utf-16"),
        "UTF-32": good.decode("utf-8", "replace").encode("utf-32"),
        "zeros": bytes(65_536),
        "a comment": b"/* */" + good,
        "a form": b"error=invalid_request&access_token=x",
        "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
    }
    for name, body in bodies.items():
        yield Mutation("$", name, answer.with_body(body))
        if name in ("empty", "a web page"):
            for status in (302, 404, 429, 502):
                page = Answer(status, {"content-type": "text/html"}, body)
                yield Mutation("$", f"{status} with {name}", page)
    for status in (204, 205, 304):
        yield Mutation("status", f"{status} with nothing", Answer(status, {}, b""))
    yield Mutation("headers", "none", Answer(answer.status_code, {}, good))
    many = {f"x-{number}": "y" * 100 for number in range(200)}
    yield Mutation("headers", "200 more", answer.with_headers(**many))
    yield from islice(of_headers(answer), part % HEADER_PARTS, None, HEADER_PARTS)
    yield from REFUSALS[part % REFUSAL_PARTS :: REFUSAL_PARTS]
