"""Rows of bulk answers, read by msgspec in C; needs msgspec.

What this reads is what the models read, or it reads nothing: at the first doubt the caller goes the other way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec

__all__ = ["ABSENT", "Row", "reader"]


class Row(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """Base of generated rows. They hold no cycles, and refuse a field that the document does not know."""


ABSENT: Final[Any] = None
"""The default of a field that may be absent: None, which is not among the values that JSON may give it."""

_WHOLE = frozenset({int, type(None)})


def reader(answer: type[Any], numbers: Iterable[tuple[str, bool, Sequence[str]]]) -> Reader:
    """The reader of one kind of answer.

    Args:
        answer: generated class.
        numbers: attribute of the answer, whether it is a list, and attributes of the whole numbers in it.
    """
    return Reader(answer, numbers)


class Reader:
    """Reads one kind of answer."""

    def __init__(self, answer: type[Any], numbers: Iterable[tuple[str, bool, Sequence[str]]]) -> None:
        # not strict, so that decimal text becomes a number in C; what else that lets pass is refused in `_plain`
        self._decoder = msgspec.json.Decoder(answer, strict=False)
        self._numbers = [(name, many, [attrgetter(one) for one in names]) for name, many, names in numbers]

    def read(self, content: bytes) -> Any:
        """The answer, or None if anything about it is unusual."""
        try:
            answer: Any = self._decoder.decode(content)
        except (ValueError, RecursionError):  # all errors of msgspec are the former
            return None
        return answer if all(self._plain(answer, *one) for one in self._numbers) else None

    @staticmethod
    def _plain(answer: Any, name: str, many: bool, numbers: Sequence[attrgetter[Any]]) -> bool:
        """Whether the numbers are whole as written: "5.0", "1e3" and "NaN" have become floats."""
        found = getattr(answer, name)
        if found is None:
            return True
        rows: list[Any] = found if many else [found]
        return all(_WHOLE.issuperset(map(type, map(number, rows))) for number in numbers)
