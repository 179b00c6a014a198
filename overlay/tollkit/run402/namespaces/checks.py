"""Checks of arguments that the namespaces share."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeGuard, cast

from tollkit.core.arguments import required_text
from tollkit.errors import ArgumentError, TollkitError
from tollkit.run402.errors import raised

__all__ = [
    "EXACT",
    "choice_or_none",
    "flag",
    "members",
    "preparing",
    "sendable",
    "wei",
    "whole",
]

EXACT = 2**53 - 1
"""The largest whole number that readers of JSON, which take numbers for doubles, surely get as it was sent."""
_UINT256 = 2**256 - 1
_WHOLE = re.compile("0|[1-9][0-9]{0,77}")


@contextmanager
def preparing(doing: str) -> Generator[None]:
    """What is refused within the block is told as the platform's error, with what was being done."""
    try:
        yield
    except TollkitError as error:
        raised(error, doing)
        raise


def choice_or_none(name: str, value: object) -> str | None:
    """Text that may be left out; empty is the same as left out, as it is for the platform's client.

    Raises:
        ArgumentError: It is something else.
    """
    return None if value is None or value == "" else required_text(name, value)


def flag(name: str, value: object) -> bool:
    """True or False, and nothing that is only taken for one of them.

    Raises:
        ArgumentError: It is something else.
    """
    if not isinstance(value, bool):
        raise ArgumentError(name, f"must be True or False, not {type(value).__name__}")
    return value


def whole(name: str, value: object, *, least: int = 0, most: int = EXACT) -> int:
    """A whole number.

    Raises:
        ArgumentError: It is something else, or out of bounds.
    """
    if type(value) is not int or not least <= value <= most:
        raise ArgumentError(name, f"must be a whole number from {least} to {most}")
    return value


def wei(name: str, value: object) -> int:
    """An amount of wei: a whole number, as contracts count money (uint256), or the same as decimal text.

    Raises:
        ArgumentError: It is something else, such as a float.
    """
    amount = int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else value
    if type(amount) is not int or not 0 <= amount <= _UINT256:
        raise ArgumentError(name, "must be a whole number of wei from 0 to 2**256 - 1, an int or decimal text")
    return amount


def members(name: str, value: object) -> dict[str, Any]:
    """An object for JSON.

    Raises:
        ArgumentError: It is no mapping of texts.
    """
    if not _is_mapping(value):
        raise ArgumentError(name, f"must be a mapping from texts, not {type(value).__name__}")
    return dict(value)


def _is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in cast("Mapping[object, object]", value))


def sendable(value: Any) -> Any:
    """A value for JSON in which whole numbers too big for readers of JSON are decimal text."""
    if type(value) is int and abs(value) > EXACT:
        return str(value)
    if isinstance(value, Mapping):
        return {name: sendable(item) for name, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [sendable(item) for item in cast("Sequence[Any]", value)]
    return value
