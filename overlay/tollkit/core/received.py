"""What came back, whole, from whichever engine; never more of it than a caller is ready to hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from tollkit.core.bodies import Inflater
from tollkit.errors import TransportError

__all__ = ["Gathering", "Received"]

_SMALL = 4096


@attrs.frozen
class Received:
    """An answer that was read to its end."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes
    extensions: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)
    """What the HTTP client says of it besides."""


class Gathering:
    """The body of an answer, inflated and counted as it comes: a small one can be made to inflate without end.

    Args:
        headers: Of the answer.
        most: Bytes at most, inflated.

    Raises:
        TransportError: Several content codings were applied (code `content_encoding`).
    """

    __slots__ = ("_inflater", "_left", "_most", "_parts")

    def __init__(self, headers: Mapping[str, str], most: int) -> None:
        self._inflater = Inflater(headers)
        self._most = self._left = most
        self._parts: list[bytes | bytearray] = []

    def add(self, data: bytes) -> None:
        """Take the next bytes, as they came over the wire.

        Raises:
            TransportError: The body is larger than allowed (code `answer_too_large`), or not what its coding promises
                (code `content_encoding`).
        """
        for piece in self._inflater.pieces(data):
            self._take(piece)

    def _take(self, piece: bytes) -> None:
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

    def whole(self) -> bytes:
        """The body, when all has come.

        Raises:
            TransportError: Its coding says that some is missing (code `content_encoding`).
        """
        self._inflater.end()
        parts = self._parts
        return parts[0] if len(parts) == 1 and isinstance(parts[0], bytes) else b"".join(parts)
