"""A document that is fetched now and then: kept for a while, fetched once for all who want it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

from tollkit.core.flows import Flow, share
from tollkit.core.single_flight import SingleFlight
from tollkit.errors import ServerError, TransportError

__all__ = ["Cached"]

T = TypeVar("T")
_log = logging.getLogger("tollkit.oidc")

STALE_LIMIT = 3600.0
"""Seconds: how old a document may be that is used because no newer one can be had."""
RETRY_PAUSE = 60.0
"""Seconds between attempts to fetch a document, while an old one does."""


@attrs.frozen
class _Entry(Generic[T]):
    value: T
    fetched_at: float
    """Before the request was sent."""
    failed_at: float | None = None
    """When a newer one was last asked for in vain."""


class Cached(Generic[T]):
    """Keeps the last document that `fetch` brought.

    When the server fails, a document is used beyond its time, for an hour at most; only a failure of the
    transport and a 5xx count as that, an answer that cannot be used does not.

    Args:
        name: For the log.
        fetch: The flow that brings a document.
        clock: A clock that never goes back.
    """

    def __init__(self, name: str, fetch: Callable[[], Flow[T]], clock: Callable[[], float]) -> None:
        self._name = name
        self._fetch = fetch
        self._clock = clock
        self._flight = SingleFlight()
        self._entry: _Entry[T] | None = None

    def get(self, within: float) -> Flow[T]:
        """The document, not older than `within` seconds; 0 fetches it in any case.

        Raises:
            TollkitError: What `fetch` raised, when no old document does.
        """
        seen = self._entry
        now = self._clock()
        if seen is not None and within > 0:
            if now - seen.fetched_at < within:
                return seen.value
            if seen.failed_at is not None and now - seen.failed_at < RETRY_PAUSE and self._does(seen):
                return seen.value
        try:
            entry = yield from share(self._flight, "fetch", lambda: self._renew(seen, within))
        except (TransportError, ServerError) as error:
            if seen is None or within <= 0 or not self._does(seen):
                raise
            _log.warning("%s cannot be fetched, the old one is used: %s", self._name, error)
            return seen.value
        return entry.value

    def _does(self, entry: _Entry[T]) -> bool:
        return self._clock() - entry.fetched_at < STALE_LIMIT

    def _renew(self, seen: _Entry[T] | None, within: float) -> Flow[_Entry[T]]:
        found = self._entry
        old_does = found is not None and within > 0 and self._does(found)
        if found is not None and found is not seen and (found.failed_at is None or old_does):
            return found  # somebody else fetched it between our look and our turn, or tried to in vain
        fetched_at = self._clock()
        try:
            value = yield from self._fetch()
        except (TransportError, ServerError):
            # before the others hear of it, each of whom would try once more
            if old_does and found is not None and self._entry is found:
                self._entry = attrs.evolve(found, failed_at=self._clock())
            raise
        entry = self._entry = _Entry(value, fetched_at)
        return entry

    def clear(self) -> None:
        """Forget the document."""
        self._entry = None
