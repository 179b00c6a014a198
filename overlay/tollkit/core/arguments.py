"""Checks of what callers pass, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time
from typing import ParamSpec, TypeVar, cast, overload

from tollkit.errors import ArgumentError
from tollkit.secrets import Secret

__all__ = ["built", "hidden", "instant", "required_text", "secret_text", "texts", "wire_time"]

P = ParamSpec("P")
T = TypeVar("T")
_LAST = time(23, 59, 59, 999_000)


def required_text(name: str, value: object) -> str:
    """The value, if it is text with something in it besides white space.

    Raises:
        ArgumentError: It is not; the error names the argument.
    """
    if not isinstance(value, str):
        raise ArgumentError(name, f"must be text, not {type(value).__name__}")
    if not value.strip():
        raise ArgumentError(name, "must not be empty")
    if "\0" in value:
        raise ArgumentError(name, "must not contain NUL")
    if any("\ud800" <= sign <= "\udfff" for sign in value):
        raise ArgumentError(name, "must not contain half a surrogate pair")
    return value


def texts(name: str, value: object) -> list[str]:
    """A list of texts.

    Raises:
        ArgumentError: It is something else, such as one text.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise ArgumentError(name, "must be a list of texts")
    return [required_text(name, item) for item in cast("Iterable[object]", value)]


def secret_text(name: str, value: object) -> str:
    """The same for a token or secret, which must not hold white space or line breaks either.

    Raises:
        ArgumentError: It is not usable; the value is not shown.
    """
    text = required_text(name, value)
    if any(sign.isspace() or not sign.isprintable() for sign in text):
        raise ArgumentError(
            name, "must not contain white space or invisible signs; was it copied whole, and nothing else with it?"
        )
    return text


@overload
def hidden(secret: str) -> str: ...
@overload
def hidden(secret: str | None) -> str | None: ...
def hidden(secret: str | None) -> str | None:
    """The secret in a type that does not show it, so that no traceback with local variables does."""
    return Secret(secret) if isinstance(secret, str) else secret


def built(build: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call the `request` half of a generated operation; what it refuses comes out as an `ArgumentError`.

    Raises:
        ArgumentError: A value cannot be put into a request.
    """
    try:
        return build(*args, **kwargs)
    except ArgumentError:
        raise
    except (ValueError, TypeError) as problem:
        name, _, told = str(problem).partition(": ")
        if not told or " " in name:  # a message that begins with no name
            name, told = "request", f"cannot be sent: {problem}"
        raise ArgumentError(name, told) from problem


def instant(name: str, value: datetime | date | str, *, end: bool = False) -> datetime:
    """An aware instant in UTC from what people have at hand.

    Args:
        name: Of the argument, for the error.
        value: An aware datetime, ISO 8601 text with an offset or `Z`, a date, or ISO text of a date.
        end: For a date: take its last millisecond instead of its first.

    Raises:
        ArgumentError: It is none of these, or it does not say which time zone it means.
    """
    if isinstance(value, str):
        value = _parsed(name, value.strip())
    if isinstance(value, datetime):
        if value.tzinfo is None or value.utcoffset() is None:
            raise ArgumentError(name, "must say its time zone: add tzinfo (such as datetime.UTC), or Z to the text")
        try:
            return value.astimezone(UTC)
        except OverflowError as problem:
            raise ArgumentError(name, "is beyond the years 1 to 9999") from problem
    if isinstance(value, date):
        return datetime.combine(value, _LAST if end else time.min, UTC)
    raise ArgumentError(name, f"must be a date, an aware datetime or ISO 8601 text, not {type(value).__name__}")


def _parsed(name: str, text: str) -> datetime | date:
    try:
        return date.fromisoformat(text) if len(text) <= 10 and "T" not in text else datetime.fromisoformat(text)
    except ValueError as problem:
        raise ArgumentError(
            name, "must be a date or time in ISO 8601, such as 2026-05-31 or 2026-05-31T23:59:59.999Z"
        ) from problem


def wire_time(moment: datetime) -> str:
    """An instant as the platforms store it: UTC, milliseconds (rounded down), `Z`."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
