"""Bodies of answers, inflated in steps of a fixed size, so that whoever counts them can stop in time.

HTTP libraries inflate each piece of the wire at once: gzip a thousandfold, brotli and zstandard without any limit
worth the name, and all of it again for each coding when `Content-Encoding` names several.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Final

from tollkit.errors import TransportError

__all__ = ["ACCEPT_ENCODING", "Inflater"]

ACCEPT_ENCODING: Final = "gzip, deflate"
"""What `Inflater` can undo."""

_STEP = 1 << 20  # bytes that are inflated at once
_GZIP = 16 + zlib.MAX_WBITS
_GZIP_MAGIC = 0x1F


class Inflater:
    """Undoes the `Content-Encoding` of one answer, piece by piece (RFC 9110 section 8.4.1).

    A coding that is not known is left as it is, as HTTP libraries do.

    Args:
        headers: Of the answer; names in lower case must be found.

    Raises:
        TransportError: Several codings were applied, which no platform does.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        told = headers.get("content-encoding", "").split(",")
        codings = [coding for coding in (one.strip().lower() for one in told) if coding not in ("", "identity")]
        if len(codings) > 1:
            raise _unreadable("has several content codings", retryable=False)
        self._coding = codings[0] if codings else ""
        self._known = self._coding in ("gzip", "x-gzip", "deflate")
        self._inflate: zlib._Decompress | None = None
        self._held: bytes = b""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What comes of the next bytes, in pieces of at most 1 MiB when they are inflated.

        Raises:
            TransportError: They are not what the coding promises.
        """
        if not self._known:
            if data:
                yield data
            return
        while data:
            if self._inflate is None:
                data = self._held + data
                if len(data) < 2:
                    self._held = data
                    return
                self._inflate = self._begin(data)
            elif self._inflate.eof:
                # gzip may be several files in a row (RFC 1952 section 2.2); other bytes after the end are padding
                if self._coding == "deflate" or data[0] != _GZIP_MAGIC:
                    return
                self._inflate = zlib.decompressobj(_GZIP)
            inflate = self._inflate
            more = True
            while more:
                try:
                    piece = inflate.decompress(data, _STEP)
                except zlib.error:
                    raise _unreadable(f"is no {self._coding}") from None
                if piece:
                    yield piece
                data = inflate.unconsumed_tail
                # zlib may hold output back though it has taken all input
                more = not inflate.eof and (bool(data) or len(piece) == _STEP)
            data = inflate.unused_data

    def _begin(self, data: bytes) -> zlib._Decompress:
        if self._coding != "deflate":
            return zlib.decompressobj(_GZIP)
        # some servers mean the bare format by "deflate", without the header of zlib (RFC 1950 section 2.2)
        headed = data[0] & 15 == zlib.DEFLATED and (data[0] << 8 | data[1]) % 31 == 0
        return zlib.decompressobj(zlib.MAX_WBITS if headed else -zlib.MAX_WBITS)

    def end(self) -> None:
        """Tell it that no more comes.

        Raises:
            TransportError: The body is not whole.
        """
        if self._held if self._inflate is None else not self._inflate.eof:
            raise _unreadable(f"is only the beginning of its {self._coding}")


def _unreadable(problem: str, *, retryable: bool = True) -> TransportError:
    return TransportError(f"The body of the answer {problem}", code="content_encoding", retryable=retryable)
