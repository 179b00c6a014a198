"""The text order that PymtHouse and its clients sort by: JavaScript's `localeCompare` under `en-US`.

Rows and manifest hashes depend on this order (`black-forest-labs/...` before `SG161222/...`), which code points
do not give. Printable ASCII has a short exact procedure. Any other text takes the root collation of CLDR, from
a table that `scripts/collation/` derives from Node's own collator; it is read once, when first needed.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeAlias
from zlib import decompress

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["SortKey", "compare", "sort_keys"]

SortKey: TypeAlias = tuple[Any, ...]
Element: TypeAlias = tuple[int, int, int]

_ASCII_ORDER = " _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789abcdefghijklmnopqrstuvwxyz"
_ASCII_RANKS = {ord(character): rank for rank, character in enumerate(_ASCII_ORDER, 1)}


def sort_keys(texts: Iterable[str]) -> dict[str, SortKey]:
    """Keys that order these texts as `localeCompare` does, one a distinct text.

    Keys of two calls must not be compared with each other: they are short when every text is printable ASCII.

    Returns:
        The key of each text. Keys of texts that the collation holds equal are equal.
    """
    distinct = set(texts)
    if all(text.isascii() and text.isprintable() for text in distinct):
        return {text: _ascii_key(text) for text in distinct}
    table = _table()
    return {text: table.key(text) for text in distinct}


def compare(left: str, right: str) -> int:
    """-1, 0 or 1, as `left.localeCompare(right)` tells."""
    keys = sort_keys((left, right))
    return (keys[left] > keys[right]) - (keys[left] < keys[right])


def _ascii_key(text: str) -> SortKey:
    # With equal letters the first difference of case decides, lower case first: "a" turns to "A", which is less.
    return text.lower().translate(_ASCII_RANKS), text.swapcase()


@attrs.frozen(slots=True)
class _Table:
    """Collation elements (primary, secondary, tertiary weight) of every assigned character.

    Most characters have one element with the primary weight of their place in the order, kept as runs of
    consecutive code points; `entries` has the others, and the contractions as texts of several characters.
    """

    starts: list[int]
    ranks: list[int]
    lengths: list[int]
    top: int
    entries: dict[str, tuple[Element, ...]]
    contraction_starts: frozenset[str]

    def key(self, text: str) -> SortKey:
        elements = list(self.elements(unicodedata.normalize("NFD", text)))
        return (
            [primary for primary, _, _ in elements if primary],
            [secondary for _, secondary, _ in elements],
            [tertiary for _, _, tertiary in elements],
        )

    def elements(self, text: str) -> Iterator[Element]:
        characters = list(text)
        at = 0
        while at < len(characters):
            unit = characters[at]
            at += 1
            if unit in self.contraction_starts:
                unit, at = self.contraction(characters, at)
            found = self.entries.get(unit)
            if found is None:
                yield (self.primary(ord(unit)), 1, 1)
            else:
                yield from found

    def contraction(self, characters: list[str], at: int) -> tuple[str, int]:
        """The longest contraction that begins before `at`, and where to go on (UTS #10, section 7.1)."""
        unit = characters[at - 1]
        for length in (2, 1):
            longer = unit + "".join(characters[at : at + length])
            if len(longer) == length + 1 and longer in self.entries:
                unit = longer
                at += length
                break
        # Marks further on may belong to it as well, when no mark of their class or above stands between.
        skipped = 0
        last_class = 0
        while at + skipped < len(characters):
            mark = characters[at + skipped]
            mark_class = unicodedata.combining(mark)
            if mark_class == 0:
                break
            if mark_class > last_class and unit + mark in self.entries:
                unit += mark
                del characters[at + skipped]
            else:
                last_class = mark_class
                skipped += 1
        return unit, at

    def primary(self, code: int) -> int:
        if 0xFFFD <= code <= 0xFFFF:  # replacement character, merge separator, and the highest of all
            return 1 if code == 0xFFFE else self.top + 0x110000 + code
        run = bisect_right(self.starts, code) - 1
        offset = code - self.starts[run]
        return self.ranks[run] + offset if run >= 0 and offset < self.lengths[run] else self.top + code


@cache
def _table() -> _Table:
    """The table as `scripts/collation/build.py` wrote it: columns of numbers, each led by its length."""
    numbers = _numbers(decompress(files("tollkit.pymthouse").joinpath("collation.bin").read_bytes()))

    def column() -> list[int]:
        return [next(numbers) for _ in range(next(numbers))]

    blocks, jumps, lengths = column(), column(), column()
    cursors: dict[int, int] = {}
    rank = 2
    runs: list[tuple[int, int, int]] = []
    for block, jump, length in zip(blocks, jumps, lengths, strict=True):
        start = cursors.get(block, block << 11) + _signed(jump)
        runs.append((start, rank, length))
        rank += length
        cursors[(start + length - 1) >> 11] = start + length
    runs.sort()

    steps, sizes, others, counts = column(), column(), iter(column()), column()
    primaries, secondaries, tertiaries = column(), column(), column()
    entries: dict[str, tuple[Element, ...]] = {}
    code = primary = at = 0
    for step, size, count in zip(steps, sizes, counts, strict=True):
        code += step
        text = chr(code) + "".join(chr(next(others)) for _ in range(size))
        found: list[Element] = []
        for place in range(at, at + count):
            delta = primaries[place]
            if delta:
                primary += _signed(delta - 1)
            found.append((primary + 1 if delta else 0, secondaries[place], tertiaries[place]))
        at += count
        entries[text] = tuple(found)
    return _Table(
        starts=[start for start, _, _ in runs],
        ranks=[first for _, first, _ in runs],
        lengths=[length for _, _, length in runs],
        top=rank,
        entries=entries,
        contraction_starts=frozenset(text[0] for text in entries if len(text) > 1),
    )


def _numbers(packed: bytes) -> Iterator[int]:
    """Little-endian base 128, as protobuf writes unsigned numbers."""
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            yield number
            number = shift = 0
        else:
            shift += 7


def _signed(number: int) -> int:
    return -(number >> 1) - 1 if number & 1 else number >> 1
