"""Tokens that are kept until they expire, and renewed before that, once for all who need them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import attrs

from tollkit.core.flows import Flow, share
from tollkit.core.locks import forkable_lock
from tollkit.core.single_flight import SingleFlight
from tollkit.errors import ArgumentError, TollkitError

__all__ = ["Lease", "TokenCache"]

T = TypeVar("T")
_log = logging.getLogger("tollkit.tokens")

REFRESH_AHEAD = 60.0
"""Seconds before its end at which a token is renewed, a quarter of its lifetime at most."""
END_MARGIN = 5.0
"""Seconds before its end at which a token is no longer used, a twentieth of its lifetime at most."""
UNKNOWN_LIFETIME = 300.0
"""Seconds that a token is used when its issuer does not say how long it is good."""
RETRY_PAUSE = 5.0
"""Seconds between attempts to renew a token that is still good, after one has failed."""
_FIRST_SWEEP = 64
"""How many tokens are kept before it is looked for the first time which of them are over."""


@attrs.frozen
class Lease(Generic[T]):
    """A token with the times, by the cache's clock, between which it is of use.

    It is fresh until `renew_at`, then stale: still good, but somebody should renew it; from `end` on it is
    invalid.
    """

    token: T
    taken_at: float
    renew_at: float
    end: float


class TokenCache(Generic[T]):
    """Keeps one token a key. Safe to share between threads, tasks, event loops, clients and forked processes.

    A stale token is handed out at once while one caller renews it; if that fails, the caller gets the stale
    token too, and the failure is logged. Only when there is no usable token do all callers wait for the one
    who fetches it.

    Tokens that are over are dropped as new ones come. Beyond `max_entries` the one that was fetched longest ago goes
    too; whoever asks for it again gets a new one.

    Args:
        lifetime: Seconds that a token is good from the moment it was asked for; `None` when nobody knows.
        clock: A clock that never goes back.
        max_entries: Tokens kept at most, such as one for each user.

    Raises:
        ArgumentError: `max_entries` is less than 1.
    """

    def __init__(
        self,
        lifetime: Callable[[T], float | None],
        *,
        clock: Callable[[], float] = time.monotonic,
        max_entries: int = 10_000,
    ) -> None:
        if max_entries < 1:
            raise ArgumentError("max_entries", "must be 1 or more")
        self._lifetime = lifetime
        self._clock = clock
        self._max_entries = max_entries
        self._flight = SingleFlight()
        self._lock = forkable_lock()
        self._leases: dict[Hashable, Lease[T]] = {}
        self._sweep_at = _FIRST_SWEEP

    def get(self, key: Hashable, fetch: Callable[[], Flow[T]], *, force: bool = False) -> Flow[Lease[T]]:
        """A usable token for `key`.

        Args:
            key: Whatever makes a difference: client, scope, audience.
            fetch: The flow that gets a new token.
            force: Get a new one even if the kept one is fresh.

        Raises:
            TollkitError: What `fetch` raised, when there is no usable token.
        """
        seen = self._leases.get(key)
        now = self._clock()
        if seen is not None and now >= seen.end:
            seen = None
        if seen is not None and not force and now < seen.renew_at:
            return seen
        usable = None if force else seen
        try:
            return (yield from share(self._flight, key, lambda: self._renew(key, fetch, seen), meanwhile=usable))
        except TollkitError as error:
            if usable is None:
                raise
            _log.warning(
                "A token could not be renewed; the old one is good for %.0f s more: %s", usable.end - now, error
            )
            self._postpone(key, usable)
            return usable

    def _renew(self, key: Hashable, fetch: Callable[[], Flow[T]], seen: Lease[T] | None) -> Flow[Lease[T]]:
        # Somebody else may have done it between our look and our turn.
        found = self._leases.get(key)
        taken_at = self._clock()
        if found is not None and found is not seen and taken_at < found.renew_at:
            return found
        token = yield from fetch()
        lifetime = self._lifetime(token)
        if lifetime is None:
            lifetime = UNKNOWN_LIFETIME
        end = taken_at + lifetime
        lease = Lease(
            token,
            taken_at,
            renew_at=end - min(REFRESH_AHEAD, lifetime / 4),
            end=end - min(END_MARGIN, lifetime / 20),
        )
        with self._lock:
            self._leases.pop(key, None)  # so that the order is that of the fetches
            self._leases[key] = lease
            self._sweep()
        return lease

    def _sweep(self) -> None:
        """Drop what is over. Each look costs as much as there are tokens, so the next one waits for twice as many."""
        if len(self._leases) >= self._sweep_at:
            now = self._clock()
            for key in [key for key, lease in self._leases.items() if now >= lease.end]:
                del self._leases[key]
            self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._leases))
        while len(self._leases) > self._max_entries:
            del self._leases[next(iter(self._leases))]

    def _postpone(self, key: Hashable, lease: Lease[T]) -> None:
        with self._lock:
            if self._leases.get(key) is lease:
                self._leases[key] = attrs.evolve(lease, renew_at=min(lease.end, self._clock() + RETRY_PAUSE))

    def invalidate(self, matches: Callable[[T], bool]) -> None:
        """Forget the token that somebody refused, unless it has been replaced in the meantime.

        Args:
            matches: Whether a token is the one that was refused.
        """
        with self._lock:
            for key in [key for key, lease in self._leases.items() if matches(lease.token)]:
                del self._leases[key]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._leases.clear()
