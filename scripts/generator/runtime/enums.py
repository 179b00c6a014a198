"""Enumerations to which the platform may add."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

__all__ = ["OpenEnum"]


class OpenEnum(StrEnum):
    """An enumeration of texts that stays open: a value it does not know passes as a plain `str`.

    Members are texts (`Status.ACTIVE == "active"`), so that code which compares with the text goes on
    working on the day the platform adds a value.
    """

    @classmethod
    def of(cls, value: str) -> Self | str:
        """The member with this value, or the value itself if no member has it."""
        try:
            return cls(value)
        except ValueError:
            return value
