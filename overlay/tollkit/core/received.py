"""What came back, whole, from whichever engine; never more of it than a caller is ready to hold."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from tollkit.errors import TransportError

__all__ = ["Gathering", "Received"]

_SMALL = 4096


@attrs.frozen
class Received:
    """An answer that was read to its end."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class Gathering:
    """The decompressed pieces of a body, counted as they come: a small answer can be made to inflate without end.

    Args:
        most: Bytes at most.
    """

    __slots__ = ("_left", "_most", "_parts")

    def __init__(self, most: int) -> None:
        self._most = self._left = most
        self._parts: list[bytes | bytearray] = []

    def add(self, piece: bytes) -> None:
        """Take the next piece.

        Raises:
            TransportError: The body is larger than allowed (code `answer_too_large`).
        """
        self._left -= len(piece)
        if self._left < 0:
            self._parts.clear()
            raise TransportError(
                f"The answer is larger than {self._most:,} bytes, and the rest of it was not read",
                code="answer_too_large",
                hint="Ask for less, or raise Connection(max_answer_bytes=...) if answers are that large",
                retryable=False,
            )
        parts = self._parts
        if parts and len(piece) < _SMALL:  # each by itself, single bytes would take fifty times their size
            if not isinstance(parts[-1], bytearray):
                parts.append(bytearray())
            parts[-1] += piece
        else:
            parts.append(piece)

    def joined(self) -> bytes:
        """The whole body."""
        parts = self._parts
        return parts[0] if len(parts) == 1 and isinstance(parts[0], bytes) else b"".join(parts)
