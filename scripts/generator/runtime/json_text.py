"""JSON texts from outside, without what could harm whoever reads them.

The parser of Python recurses in C. Programs raise `sys.setrecursionlimit` (web3 does), and then a text of a hundred
thousand brackets overflows the stack and ends the process; what is a little less deep survives the parser, and breaks
the next function that walks the value.
"""

from __future__ import annotations

import json
import sys
from itertools import accumulate
from typing import Any, Final, NoReturn

__all__ = ["MOST_LEVELS", "json_value", "need_shallow"]

MOST_LEVELS: Final = 200
"""Levels of arrays and objects that are read."""

_ALWAYS_UP_TO = 1 << 20  # bytes; to look takes a fifth of the time of parsing
_SAFE_RECURSION = 3_000  # levels of C frames that fit the stack of any thread
_BRACKETS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_OTHERS = bytes(set(range(256)) - {*b'[]{}"'})


def need_shallow(text: bytes) -> None:
    """Refuse a JSON text that is nested deeper than anything that a platform sends.

    A text of more than 1 MiB is left to the parser's own limit, unless somebody has raised that.

    Args:
        text: UTF-8.

    Raises:
        ValueError: it has more than `MOST_LEVELS` levels.
    """
    if len(text) > _ALWAYS_UP_TO and sys.getrecursionlimit() <= _SAFE_RECURSION:
        return
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    # what is left of strings without brackets is two quotes
    signs = text.translate(None, _OTHERS).replace(b'""', b"")
    if b'"' in signs:
        signs = b"".join(signs.split(b'"')[::2])
    if len(signs) > MOST_LEVELS and any(map(MOST_LEVELS.__lt__, accumulate(map(_BRACKETS.__getitem__, signs)))):
        raise ValueError("it is nested too deeply")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_decode = json.JSONDecoder(parse_constant=_no_constant).decode


def json_value(content: bytes | str) -> Any:
    """The value of a JSON text (RFC 8259), in UTF-8 if it is bytes; NaN and Infinity, which Python knows, are none.

    Raises:
        ValueError: it is no JSON, or nested too deeply, or has a number of too many digits.
    """
    if isinstance(content, str):
        text = content
        content = text.encode("utf-8", "surrogatepass")
    else:
        text = content.decode("utf-8-sig")
    need_shallow(content)
    try:
        return _decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
