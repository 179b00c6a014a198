"""What fuzzers begin with, and what they have found, through the same functions; no fuzzer is needed for that.

`make fuzz` looks for more; what it finds goes to found/<target>/ and stays there.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from targets import TARGETS, target

HERE = Path(__file__).parent

INPUTS = [
    (name, path)
    for name in TARGETS
    for room in ("corpus", "found")
    for path in sorted((HERE / room / name).glob("*"))
]


@pytest.mark.parametrize(("name", "path"), INPUTS, ids=[f"{name}-{path.name}" for name, path in INPUTS])
def test_an_input(name: str, path: Path) -> None:
    target(name)(path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_shreds_of_an_input(name: str) -> None:
    """Each input, cut short, with a byte of another value, and in halves that are swapped."""
    paths = [path for found, path in INPUTS if found == name]
    assert paths, "a target without a seed"
    for path in paths:
        data = path.read_bytes()
        step = max(1, len(data) // 8)
        for at in range(0, len(data), step):
            target(name)(data[:at])
            target(name)(data[at:] + data[:at])
            target(name)(data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :])
    target(name)(b"")


def test_no_input_is_without_a_target() -> None:
    rooms = {path.name for room in ("corpus", "found") for path in (HERE / room).glob("*")}
    assert rooms <= set(TARGETS)
