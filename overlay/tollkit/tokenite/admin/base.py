"""What the groups of the admin API share: their base class, and checks of arguments."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from tollkit.core.arguments import required_text, texts
from tollkit.core.namespaces import Namespace
from tollkit.core.settings import Keep
from tollkit.errors import ArgumentError
from tollkit.secrets import Secret
from tollkit_api.runtime import UNSET, Unset
from tollkit_api.runtime.encode import decimal_number

if TYPE_CHECKING:
    from tollkit.tokenite.admin.client import AdminFlows

__all__ = ["AdminNamespace", "Amount"]

D = TypeVar("D")
T = TypeVar("T")
Amount: TypeAlias = int | float | Decimal | str
"""US dollars: `5`, `2.5`, `Decimal("2.50")` or `"2.50"`."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


class AdminNamespace(Namespace[D]):
    """A group of calls of the admin API."""

    _root: AdminFlows


def dollars(name: str, value: object) -> Decimal:
    """An amount of money; of a float, the digits that Python shows.

    Raises:
        ArgumentError: It is no number, negative, or no number that JSON can carry.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise ArgumentError(name, f"must be a number, not {type(value).__name__}")
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        raise ArgumentError(name, "must be a number such as 5 or 2.50")
    amount = Decimal(repr(value) if isinstance(value, float) else value)
    if not amount.is_finite():
        raise ArgumentError(name, "must be a finite number")
    if amount < 0:
        raise ArgumentError(name, "must not be negative")
    try:
        decimal_number(amount)
    except (ValueError, OverflowError) as problem:
        raise ArgumentError(name, f"cannot be sent: {problem}") from problem
    return amount


def dollars_or_none(name: str, value: object) -> Decimal | None:
    """The same; `None` for none."""
    return None if value is None else dollars(name, value)


def text_or_none(name: str, value: object) -> str | None:
    """Text with something in it; `None` for none.

    Raises:
        ArgumentError: It is something else.
    """
    return None if value is None else required_text(name, value)


def texts_or_none(name: str, value: object) -> list[str] | None:
    """The same; `None` for none."""
    return None if value is None else texts(name, value)


def secret(name: str, value: object) -> Secret:
    """Text of any kind that must not be shown, such as a password.

    Raises:
        ArgumentError: It is empty or no text; the value is not shown.
    """
    return Secret(required_text(name, value))


def count(name: str, value: object, *, least: int) -> int:
    """A whole number.

    Raises:
        ArgumentError: It is something else, or too small.
    """
    if type(value) is not int or value < least:
        raise ArgumentError(name, f"must be a whole number, {least} or more")
    return value


def given(value: T | Keep) -> T | Unset:
    """What a change says: a value, null, or nothing."""
    return UNSET if isinstance(value, Keep) else value
