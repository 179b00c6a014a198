"""Two values that JSON has no word for: a field that was not given, and a text that must not be shown."""

from __future__ import annotations

from typing import Literal, Self

__all__ = ["UNSET", "Secret", "Unset", "as_secret", "as_secret_or_none"]


class Unset:
    """The type of `UNSET`: "not given", where `None` is a value of its own (JSON null).

    There is one instance.
    """

    __slots__ = ()

    _instance: Unset | None = None

    def __new__(cls) -> Self:
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance  # type: ignore[return-value]  # the one instance is of this very class

    def __init_subclass__(cls) -> None:
        raise TypeError("Unset has one instance and no subclasses")

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "UNSET"

    def __reduce__(self) -> str:
        return "UNSET"


UNSET = Unset()
"""Default of request parameters and of request fields that may be null: leaves them out of the request."""


class Secret(str):
    """A text that must not be shown: token, password, key.

    It is a `str` everywhere (headers, JSON, comparison, `str()`, f-strings), but its `repr` never tells the
    content, and so neither does the repr of a list, a dict or a class that holds it.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('****')"

    def reveal(self) -> str:
        """The content as a plain `str`, whose repr shows it."""
        return str(self)


def as_secret(value: str) -> Secret:
    """Mark a text as a secret: what constructors of models do with the fields that are one."""
    return Secret(value)


def as_secret_or_none(value: str | None) -> Secret | None:
    """The same for fields that may be absent."""
    return None if value is None else Secret(value)
