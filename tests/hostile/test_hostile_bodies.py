"""Bodies with a content coding: undone in small steps, never further than somebody counts."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from tollkit.core.bodies import Inflater
from tollkit.core.received import Gathering
from tollkit.errors import TransportError

PLAIN = bytes(range(256)) * 40 + b"x" * 3_000_000
STEP = 1 << 20


def inflated(coding: str | None, body: bytes, size: int) -> list[bytes]:
    """The pieces that come of a body in pieces of that size."""
    inflater = Inflater({} if coding is None else {"content-encoding": coding})
    found = [piece for at in range(0, len(body), size) for piece in inflater.pieces(body[at : at + size])]
    inflater.end()
    return found


BODIES = {
    "gzip": ("gzip", gzip.compress(PLAIN)),
    "x-gzip": ("X-GZip", gzip.compress(PLAIN)),
    "identity and gzip": ("identity, gzip", gzip.compress(PLAIN)),
    "two members": ("gzip", gzip.compress(PLAIN[:9_000]) + gzip.compress(PLAIN[9_000:])),
    "gzip and zeros": ("gzip", gzip.compress(PLAIN) + bytes(50)),
    "deflate": ("deflate", zlib.compress(PLAIN)),
    "deflate without a header": ("deflate", zlib.compress(PLAIN, wbits=-15)),
    "deflate and more": ("deflate", zlib.compress(PLAIN) + b"more"),
}


@pytest.mark.parametrize("size", [1, 3, 1_000, 1 << 30])
@pytest.mark.parametrize("name", BODIES)
def test_a_coding_is_undone(name: str, size: int) -> None:
    coding, body = BODIES[name]
    pieces = inflated(coding, body, size)
    assert b"".join(pieces) == PLAIN
    assert max(map(len, pieces)) <= STEP


@pytest.mark.parametrize("coding", [None, "", "identity", "br", "rot13"])
def test_what_is_not_known_stays_as_it_is(coding: str | None) -> None:
    assert b"".join(inflated(coding, PLAIN, 100_000)) == PLAIN


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_an_empty_body_has_no_coding(coding: str) -> None:
    assert inflated(coding, b"", 1) == []


@pytest.mark.parametrize("size", [1, 1 << 30])
@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"{}"),
        ("gzip", b"\x1f\x8b\x07"),
        ("gzip", gzip.compress(PLAIN)[:-20]),
        ("gzip", gzip.compress(PLAIN)[:-8] + bytes(8)),
        ("gzip", b"\x1f"),
        ("deflate", b"\xff\xff\xff"),
        ("deflate", zlib.compress(PLAIN)[:-20]),
        ("deflate", zlib.compress(PLAIN)[:-4] + bytes(4)),
        ("deflate", b"x"),
    ],
)
def test_what_its_coding_rules_out(coding: str, body: bytes, size: int) -> None:
    with pytest.raises(TransportError) as caught:
        inflated(coding, body, size)
    assert caught.value.code == "content_encoding"
    assert coding in str(caught.value)


@pytest.mark.parametrize("coding", ["gzip, gzip", "gzip,gzip", "br, gzip", "deflate, identity, gzip", "a, b"])
def test_several_codings_are_refused(coding: str) -> None:
    with pytest.raises(TransportError, match="several content codings") as caught:
        Inflater({"content-encoding": coding})
    assert caught.value.retryable is False


def test_memory_stays_small_whatever_it_inflates_to() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 22)) for _ in range(64)) + packer.flush()
    inflater = Inflater({"content-encoding": "gzip"})
    tracemalloc.start()
    try:
        assert sum(len(piece) for piece in inflater.pieces(bomb)) == 64 << 22
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * STEP


@pytest.mark.parametrize("size", [1, 2, 40, 4_095, 4_096, 70_000])
def test_pieces_of_any_size_take_about_their_size(size: int) -> None:
    """One by one, each would be an object of its own with a head of 33 bytes."""
    total = 80_000 // size * size
    piece = b"x" * size
    tracemalloc.start()
    try:
        parts = Gathering({}, total)
        for _ in range(total // size):
            parts.add(bytes(bytearray(piece)))
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 2 * total + 10_000
    assert parts.whole() == b"x" * total


def test_a_byte_too_many() -> None:
    parts = Gathering({}, 10)
    parts.add(b"x" * 10)
    parts.add(b"")
    with pytest.raises(TransportError) as caught:
        parts.add(b"x")
    assert caught.value.code == "answer_too_large"
