"""One part of a file, PUT to a presigned address: no credentials go there, and nothing is ever paid there."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from tollkit.core import answers
from tollkit.core.addresses import request_address
from tollkit.core.flows import Body, Flow, Wire
from tollkit.core.policy import RETRY_AFTER_CAP
from tollkit.errors import DecodeError, InsecureTransportError, TransportError
from tollkit.run402.errors import raised

if TYPE_CHECKING:
    from tollkit_api.runtime import HttpResponse, Request

__all__ = ["ATTEMPTS", "MAX_UPLOADS", "RETRIED", "Counted", "Outcome", "again", "put_part"]

MAX_UPLOADS = 8
"""How many parts are sent side by side when nothing is said."""
ATTEMPTS = 5
"""How often each part is sent at most."""
RETRIED = frozenset({408, 425, 429})
"""Statuses below 500 after which the same may succeed."""
WAIT_CAP = 8.0
"""Seconds: the longest wait before a part is sent again that the storage did not ask for."""
_PASSING = ("BadDigest", "ChecksumMismatch", "IncompleteBody", "RequestTimeout")
"""What storages of this kind say in a 400 that concerns this sending alone."""
_SHOWN = 2000


def again(request: Request) -> Request:
    """The request as one that does no harm when it is sent more than once."""
    return attrs.evolve(request, operation=attrs.evolve(request.operation, idempotent=True))


@attrs.define(eq=False)
class Counted:
    """A body that counts what is taken of it, and takes it back when it is opened again.

    Args:
        inner: The body.
        count: Called with the number of bytes that were taken, or, below zero, that will be sent again. In the
            thread that reads the body.
        check: Called before each piece; what it raises ends the sending.
    """

    inner: Body
    count: Callable[[int], None]
    check: Callable[[], None]
    _sent: int = attrs.field(default=0, init=False)

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self.inner.size

    def open(self) -> Iterator[bytes]:
        """The bytes from their start."""
        self.forget()
        for piece in self.inner.open():
            self.check()
            yield piece
            self._sent += len(piece)
            self.count(len(piece))

    def forget(self) -> None:
        """What was counted will be sent again."""
        if self._sent:
            self.count(-self._sent)
            self._sent = 0


@attrs.frozen(kw_only=True)
class Outcome:
    """What came of sending a part.

    Attributes:
        arrived: Whether the storage has it.
        etag: What the storage calls it, as it was told; empty when nothing was.
        problem: Why it has not arrived, for people.
        retryable: Whether sending it again may help.
        expired: Whether a fresh address is needed for that.
        asked: Seconds that the storage asked to wait.
        status: Of its answer.
        body: The beginning of it.
        failure: What broke, when there was no answer.
    """

    arrived: bool
    etag: str = ""
    problem: str = ""
    retryable: bool = False
    expired: bool = False
    asked: float | None = None
    status: int | None = None
    body: str | None = None
    failure: TransportError | None = None

    def wait(self, attempt: int) -> float:
        """Seconds to wait before the next attempt, after so many."""
        most = min(WAIT_CAP, 2.0 ** (attempt - 1))
        return random.uniform(most / 2, most) if self.asked is None else min(self.asked, RETRY_AFTER_CAP)


def put_part(url: str, headers: Mapping[str, str], body: Body, *, base: str, doing: str) -> Flow[Outcome]:
    """Send one part once.

    Args:
        url: The presigned address.
        headers: What it asks for.
        body: The bytes.
        base: The gateway, which tells where its storage may be (`tollkit.core.addresses`).
        doing: What is being done, for errors.

    Raises:
        InsecureTransportError: The address is plain http, and the gateway is not (also a `NetworkError`).
        DecodeError: No upload may go to the address (code `unsafe_address`).
    """
    try:
        request_address(url, field="parts[].url", base=base)
    except (DecodeError, InsecureTransportError) as error:
        raise raised(error, doing) from None
    try:
        answer: HttpResponse = yield Wire("PUT", url, dict(headers), body)
    except TransportError as error:
        return Outcome(
            arrived=False,
            problem=f"The connection broke: {error.message}",
            retryable=error.retryable,
            failure=error,
        )
    status = answer.status_code
    if 200 <= status < 300:
        return Outcome(arrived=True, etag=answer.headers.get("etag", ""), status=status)
    text = answer.content[:_SHOWN].decode("utf-8", "replace")
    expired = status == 403 or (status == 400 and "expir" in text.lower())
    passing = status >= 500 or status in RETRIED or (status == 400 and any(code in text for code in _PASSING))
    return Outcome(
        arrived=False,
        problem=f"The storage refused it (HTTP {status})",
        retryable=expired or passing,
        expired=expired,
        asked=answers.retry_after(answer.headers),
        status=status,
        body=text,
    )
