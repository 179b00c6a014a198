"""JSON from outside: decoded strictly, and looked at without trusting it."""

from __future__ import annotations

import sys
from typing import Any, TypeGuard

from tollkit_api.runtime.json_text import json_value

__all__ = ["decode", "is_list", "is_number", "is_object"]


_MOST = sys.float_info.max


def decode(content: bytes) -> Any:
    """The value of a JSON text in UTF-8 (RFC 8259); NaN and Infinity, which Python knows, are none.

    Raises:
        ValueError: It is no JSON, or nested too deeply.
    """
    return json_value(content)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether it is a JSON object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether it is a JSON array."""
    return isinstance(value, list)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a JSON number that a float can hold; `true` is none, although Python takes it for 1."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_MOST <= value <= _MOST
