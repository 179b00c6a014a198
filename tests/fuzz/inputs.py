"""How the bytes of a fuzzer become what a parser takes, and what holds for every error.

An input has parts, divided by a line of two dashes, so that people can read and write them too.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import httpx

from tollkit.errors import TollkitError
from tollkit_api.runtime import DecodeError

DIVIDER = b"\n--\n"


def parts(data: bytes, count: int) -> list[bytes]:
    """So many parts; those that are missing are empty."""
    found = data.split(DIVIDER, count - 1)
    return found + [b""] * (count - len(found))


def texts(data: bytes, count: int) -> list[str]:
    """Parts as texts; what is no UTF-8 becomes halves of surrogate pairs, which are hostile enough."""
    return [part.decode("utf-8", "surrogateescape") for part in parts(data, count)]


def json_of(data: bytes) -> Any:
    """The value of a JSON text, as `json` reads it; `None` for what is none."""
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(data)
    return None


def object_of(data: bytes) -> dict[str, Any]:
    """A JSON object; an empty one for what is none."""
    found = json_of(data)
    return found if isinstance(found, dict) else {}


@attrs.frozen
class Answer:
    """An answer as `parse` functions read it."""

    status_code: int
    headers: httpx.Headers
    content: bytes


def answer_of(head: bytes, body: bytes) -> Answer:
    """An answer: its status in the first line of the head, then its fields."""
    first, _, rest = head.partition(b"\n")
    digits = bytes(sign for sign in first if sign in b"0123456789")[:3]
    fields: list[tuple[bytes, bytes]] = []
    for line in rest.split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon and name.isascii():
            # a server cannot send a line break or a NUL in a field, and clients strip the blanks around it
            fields.append((name.strip(), value.replace(b"\r", b"").replace(b"\0", b"").strip()))
    return Answer(int(digits) if digits else 200, httpx.Headers(fields), body)


@contextlib.contextmanager
def only_ours(*, secrets: Iterable[object] = (), others: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Errors of tollkit end the run in peace, if they show none of these secrets; all others are findings."""
    try:
        yield
    except TollkitError as error:
        shown = f"{error}{error!r}{error.hint}{getattr(error, 'body', None)!r}"
        for secret in secrets:
            assert not (isinstance(secret, str) and len(secret) >= 8 and secret in shown), "a secret is shown"
    except (DecodeError, *others):
        pass  # the runtime's own, which every client brands
