"""The text order: equal to what Node's localeCompare says, on pairs of many scripts."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkit.pymthouse import collation

PAIRS: list[tuple[str, str, int]] = json.loads((Path(__file__).parent / "data" / "collation-pairs.json").read_text())
PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=8)


def test_pairs_of_many_scripts() -> None:
    """Made by `scripts/collation/sample.mjs`: Latin to Hangul, marks, emoji, mutated pairs."""
    differing = [(left, right) for left, right, order in PAIRS if collation.compare(left, right) != order]
    assert not differing
    assert len(PAIRS) == 3000


def test_ascii_needs_no_table_and_agrees_with_it() -> None:
    """The short procedure for printable ASCII and the table order alike."""
    chosen = random.Random(1)
    texts = [
        "".join(chosen.choices([chr(code) for code in range(0x20, 0x7F)], k=chosen.randrange(6))) for _ in range(400)
    ]
    short = collation.sort_keys(texts)
    long = collation.sort_keys([*texts, "é"])
    assert sorted(texts, key=short.__getitem__) == sorted(texts, key=long.__getitem__)


@pytest.mark.parametrize(
    "ordered",
    [
        ["black-forest-labs/FLUX.1-dev", "ByteDance/SDXL", "SG161222/RealVisXL", "stabilityai/sdxl"],
        ["text to image", "text_to_image", "text-to-image", "texttoimage"],
        ["e", "E", "é", "É", "f"],
        ["m1", "m10", "m2"],
        ["*", "0", "a", "A", "aa", "B"],
        ["😀", "1", "a", "я", "あ", "漢"],
        ["Äpfel", "apple", "zebra", "Zebra", "Ζέβρα"],
    ],
)
def test_known_orders(ordered: list[str]) -> None:
    keys = collation.sort_keys(ordered)
    assert sorted(set(ordered), key=keys.__getitem__) == ordered


def test_canonical_equivalents_are_equal() -> None:
    assert collation.compare("é", "e\u0301") == 0
    assert collation.compare("가", "\u1100\u1161") == 0


@given(st.text(max_size=10), st.text(max_size=10), st.text(max_size=10))
def test_it_is_an_order(one: str, two: str, three: str) -> None:
    """Any text has a key; comparison is antisymmetric and transitive."""
    keys = collation.sort_keys((one, two, three, "é"))
    assert collation.compare(one, two) == -collation.compare(two, one)
    first, second, third = sorted((one, two, three), key=keys.__getitem__)
    assert collation.compare(first, second) <= 0
    assert collation.compare(second, third) <= 0
    assert collation.compare(first, third) <= 0


@given(PRINTABLE)
def test_only_equal_ascii_texts_are_equal(text: str) -> None:
    assert collation.compare(text, text) == 0
    assert collation.compare(text, text + "a") == -1
