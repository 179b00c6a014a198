"""The sandbox's clock: real time with an offset that tests move."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["Clock", "iso"]

_backdate: ContextVar[float] = ContextVar("tollkit_sandbox_backdate", default=0.0)


def iso(seconds: float) -> str:
    """Write an epoch time as the platforms store it: UTC, milliseconds, `Z`."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


class Clock:
    """A clock that runs with real time and can be moved or stopped.

    Everything in the sandbox that has an age (tokens, device codes, the `Date` header) reads this clock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset = 0.0
        self._frozen: float | None = None

    def now(self) -> float:
        """Seconds since the epoch, as the sandbox sees it."""
        with self._lock:
            return self._frozen if self._frozen is not None else time.time() + self._offset

    def utcnow(self) -> datetime:
        """The same moment as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    def iso(self) -> str:
        """The same moment as text: UTC, milliseconds, `Z`."""
        return iso(self.now())

    def advance(self, seconds: float) -> None:
        """Move the clock by that many seconds; negative moves it back."""
        with self._lock:
            if self._frozen is None:
                self._offset += seconds
            else:
                self._frozen += seconds

    def set(self, moment: datetime | float) -> None:
        """Set the clock to an aware datetime or to epoch seconds; it goes on running unless frozen.

        Raises:
            ValueError: The datetime is naive.
        """
        if isinstance(moment, datetime):
            if moment.tzinfo is None:
                raise ValueError("the sandbox's clock takes an aware datetime")
            moment = moment.timestamp()
        with self._lock:
            if self._frozen is None:
                self._offset = moment - time.time()
            else:
                self._frozen = moment

    def freeze(self) -> None:
        """Stop the clock where it is; `advance` and `set` still move it."""
        with self._lock:
            if self._frozen is None:
                self._frozen = time.time() + self._offset

    def reset(self) -> None:
        """Go back to real time."""
        with self._lock:
            self._offset, self._frozen = 0.0, None

    def issue_time(self) -> float:
        """The moment from which something that is being issued counts its age (see `backdated`)."""
        return self.now() - _backdate.get()

    @contextmanager
    def backdated(self, seconds: float) -> Generator[None]:
        """Within the block, and only in this task or thread, things are issued as if `seconds` ago."""
        token = _backdate.set(seconds)
        try:
            yield
        finally:
            _backdate.reset(token)
