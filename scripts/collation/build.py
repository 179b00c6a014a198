"""Writes overlay/tollkit/pymthouse/collation.bin: the root collation, packed from what `derive.mjs` finds.

Needs Node with full ICU data; run it when a new Unicode matters: `python scripts/collation/build.py`.
The layout is read by `tollkit.pymthouse.collation._table`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
TARGET = HERE.parents[1] / "overlay" / "tollkit" / "pymthouse" / "collation.bin"
BLOCK_BITS = 11  # runs are stored relative to the last run of the same block of 2048 code points


def column(numbers: Sequence[int]) -> bytes:
    """The numbers in base 128, led by their count."""
    packed = bytearray()
    for number in (len(numbers), *numbers):
        while number >= 0x80:
            packed.append(number & 0x7F | 0x80)
            number >>= 7
        packed.append(number)
    return bytes(packed)


def signed(number: int) -> int:
    """Small numbers of either sign as small numbers without one."""
    return number * 2 if number >= 0 else -number * 2 - 1


def order_columns(order: list[int]) -> list[list[int]]:
    """The characters in their order, as runs of consecutive code points."""
    runs: list[tuple[int, int]] = []
    for code in order:
        if runs and code == sum(runs[-1]):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((code, 1))
    cursors: dict[int, int] = {}
    blocks: list[int] = []
    jumps: list[int] = []
    for start, length in runs:
        block = start >> BLOCK_BITS
        blocks.append(block)
        jumps.append(signed(start - cursors.get(block, block << BLOCK_BITS)))
        cursors[(start + length - 1) >> BLOCK_BITS] = start + length
    return [blocks, jumps, [length for _, length in runs]]


def entry_columns(entries: list[tuple[list[int], list[list[int]]]]) -> list[list[int]]:
    """Characters and contractions with elements of their own."""
    entries = sorted(entries)
    firsts = [text[0] for text, _ in entries]
    primaries: list[int] = []
    last = 0
    for _, elements in entries:
        for primary, _, _ in elements:
            primaries.append(signed(primary - last) + 1 if primary else 0)
            last = primary or last
    return [
        [code - before for code, before in zip(firsts, [0, *firsts], strict=False)],
        [len(text) - 1 for text, _ in entries],
        [code for text, _ in entries for code in text[1:]],
        [len(elements) for _, elements in entries],
        primaries,
        [secondary for _, elements in entries for _, secondary, _ in elements],
        [tertiary for _, elements in entries for _, _, tertiary in elements],
    ]


def main() -> None:
    """Derive, pack, write."""
    done = subprocess.run(["node", HERE / "derive.mjs"], check=True, capture_output=True)
    found: dict[str, Any] = json.loads(done.stdout)
    columns = order_columns(found["order"]) + entry_columns(found["entries"])
    TARGET.write_bytes(zlib.compress(b"".join(column(numbers) for numbers in columns), 9))
    sys.stdout.write(f"{TARGET.name}: {TARGET.stat().st_size} bytes, from {found['source']}\n")


if __name__ == "__main__":
    main()
