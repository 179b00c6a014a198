"""One run for all who ask for the same thing at the same time, across threads, tasks and event loops."""

from __future__ import annotations

import copy
import threading
from concurrent.futures import Future
from typing import Any

import attrs

__all__ = ["Landing", "Seat", "SingleFlight"]


@attrs.frozen
class Landing:
    """How a run ended.

    Attributes:
        result: What it returned.
        error: What it raised.
        abandoned: Whether the caller who ran it was cancelled, so that somebody else must run it.
    """

    result: Any = attrs.field(default=None, repr=False)
    error: Exception | None = None
    abandoned: bool = False

    def outcome(self) -> Any:
        """The result, or the error as one that only this caller has: a traceback must not be shared."""
        if self.error is None:
            return self.result
        error = _twin(self.error)
        # Not the error itself: in its traceback are frames of the caller who ran it, which may have handled it and
        # go on, and whoever gets the cause of an error may clear them.
        error.__cause__ = self.error.__cause__
        raise error


@attrs.frozen
class Seat:
    """A caller's place: the leader runs the flow and lands; everybody else waits for the landing.

    Attributes:
        leader: Whether this caller is it.
        landing: What everybody else waits for.
        thread: Which thread the leader runs in. Who blocks that thread waits for ever.
    """

    leader: bool
    landing: Future[Landing]
    thread: int


class SingleFlight:
    """Which keys are being run now. It keeps no results."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[object, Seat] = {}

    def take(self, key: object) -> Seat:
        """Take the seat for `key`."""
        with self._lock:
            running = self._running.get(key)
            if running is not None:
                return attrs.evolve(running, leader=False)
            seat = self._running[key] = Seat(leader=True, landing=Future(), thread=threading.get_ident())
            return seat

    def land(self, key: object, seat: Seat, *, result: Any = None, error: BaseException | None = None) -> None:
        """The leader is done: free the key, then tell everybody who waits."""
        with self._lock:
            self._running.pop(key, None)
        # the error is the value of the future and not its exception, which everybody who asks would raise
        if error is None or isinstance(error, Exception):
            seat.landing.set_result(Landing(result, error))
        else:
            seat.landing.set_result(Landing(abandoned=True))


def _twin(error: Exception) -> Exception:
    try:
        return copy.copy(error)
    except Exception:  # noqa: BLE001 - a constructor that takes something else than `args`
        other = type(error).__new__(type(error), *error.args)
        other.__dict__.update(error.__dict__)
        return other
