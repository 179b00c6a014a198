"""Answers with many rows: read by msgspec where it is installed and the answer is plain, as models otherwise.

Both ways give the same values and the same errors. Whole numbers may be JSON numbers or decimal text in both:
msgspec cannot tell them apart at its full speed, and both say the same number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, cast

import attrs

from .answers import UNIQUE_UP_TO, json_answer, load_json
from .decode import is_array
from .errors import DecodeError

if TYPE_CHECKING:
    from .operation import HttpResponse, Operation
    from .rows import Reader

__all__ = ["Bulk", "Numbers"]

_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)  # as JSON has it


class Model(Protocol):
    """A generated model."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self: ...


@attrs.frozen(kw_only=True)
class Numbers:
    """Where an answer has whole numbers.

    Attributes:
        wire: name in JSON of the object or the list.
        name: attribute.
        many: whether it is a list.
        texts: wire name -> attribute of those that are text in JSON.
        integers: wire name -> attribute of those that are numbers in JSON.
    """

    wire: str
    name: str
    many: bool
    texts: Mapping[str, str]
    integers: Mapping[str, str]


class Bulk:
    """Both ways of reading one kind of answer.

    Args:
        model: generated model of the answer.
        rows: module of the generated rows, which has a class of the model's name.
        numbers: whole numbers of the answer.
    """

    def __init__(self, *, model: type[Model], rows: str, numbers: tuple[Numbers, ...]) -> None:
        self._model = model
        self._rows = rows
        self._numbers = numbers
        self._reader: Reader | None = None
        self._absent = False

    def read(self, content: bytes) -> Any:
        """Read the body of an answer.

        Raises:
            DecodeError: it is not what the document says.
        """
        found = self._fast(content)
        return self.model(load_json(content)) if found is None else found

    def answer(self, response: HttpResponse, operation: Operation) -> Any:
        """Read a success.

        Raises:
            DecodeError: its body is not what the document says; carries status, operation and a preview.
        """
        found = self._fast(response.content)
        return json_answer(response, operation, self.model) if found is None else found

    def model(self, data: Any) -> Any:
        """The answer as models, from JSON values.

        Raises:
            DecodeError: it is not what the document says.
        """
        try:
            return self._model.from_dict(data)
        except DecodeError:
            if not self._respelt(data):
                raise
            return self._model.from_dict(data)

    def rows(self, content: bytes) -> Any:
        """The answer as rows; None without msgspec, or if anything about the answer is unusual."""
        if self._reader is None and not self._absent:
            try:
                module = import_module(self._rows)
                make = import_module(".rows", __package__).reader
            except ImportError:
                self._absent = True
            else:
                places = [
                    (one.name, one.many, [*one.texts.values(), *one.integers.values()]) for one in self._numbers
                ]
                self._reader = make(getattr(module, self._model.__name__), places)
        return None if self._reader is None else self._reader.read(content)

    def _fast(self, content: bytes) -> Any:
        # smaller bodies are compared for keys that stand twice, which msgspec cannot do
        return self.rows(content) if len(content) > UNIQUE_UP_TO else None

    def _respelt(self, data: Any) -> bool:
        """Spell whole numbers as the document does, where the platform did not; tells whether there were any."""
        changed = False
        for place in self._numbers:
            found: Any = cast("Mapping[str, Any]", data).get(place.wire) if isinstance(data, Mapping) else None
            rows: list[Any] = [found]
            if place.many and is_array(found):
                rows = found
            for row in rows:
                if not isinstance(row, dict):
                    continue
                fields = cast("dict[str, Any]", row)
                for wire in place.texts:
                    if type(value := fields.get(wire)) is int:
                        fields[wire] = str(value)
                        changed = True
                for wire in place.integers:
                    if isinstance(value := fields.get(wire), str) and _INTEGER.fullmatch(value):
                        with suppress(ValueError):  # beyond sys.get_int_max_str_digits()
                            fields[wire] = int(value)
                            changed = True
        return changed
