"""One run for all who ask for the same thing at the same time, across threads, tasks and event loops."""

from __future__ import annotations

import asyncio
import copy
import os
import threading
from concurrent.futures import Future
from typing import Any

import attrs

from tollkit.core.locks import forkable_lock

__all__ = ["Landing", "Seat", "SingleFlight"]

LOOK = 1.0
"""Seconds between two looks whether the leader whom one waits for can still land."""


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


@attrs.frozen(eq=False)
class Seat:
    """A caller's place: the leader runs the flow and lands; everybody else waits for the landing.

    Attributes:
        leader: Whether this caller is it.
        landing: What everybody else waits for.
        thread: Which thread the leader runs in.
        loop: The event loop that the leader runs in, if it does.
        process: The process that it runs in.
    """

    leader: bool
    landing: Future[Landing]
    thread: int
    loop: asyncio.AbstractEventLoop | None
    process: int

    @property
    def lost(self) -> bool:
        """Whether the leader cannot land any more.

        It stayed behind in the process from which this one was forked, or its event loop was closed before it was
        done. Without this, whoever asks for the same thing would wait for ever.
        """
        return self.process != os.getpid() or (self.loop is not None and self.loop.is_closed())

    def wait(self) -> Landing:
        """Block until the leader has landed; a leader who is lost has abandoned the run."""
        while not self.lost:
            try:
                return self.landing.result(LOOK)
            except TimeoutError:
                continue
        return self._landing_of_the_lost()

    async def join(self) -> Landing:
        """`wait` for tasks."""
        loop = asyncio.get_running_loop()
        landed = asyncio.Event()

        def tell(_landing: object) -> None:
            # not asyncio.wrap_future, which complains in the log when this loop has been closed meanwhile
            try:
                loop.call_soon_threadsafe(landed.set)
            except RuntimeError:
                return

        self.landing.add_done_callback(tell)
        while not (self.landing.done() or self.lost):
            try:
                async with asyncio.timeout(LOOK):
                    await landed.wait()
            except TimeoutError:
                continue
        return self._landing_of_the_lost()

    def _landing_of_the_lost(self) -> Landing:
        return self.landing.result() if self.landing.done() else Landing(abandoned=True)


class SingleFlight:
    """Which keys are being run now. It keeps no results."""

    def __init__(self) -> None:
        self._lock = forkable_lock()
        self._running: dict[object, Seat] = {}

    def take(self, key: object) -> Seat:
        """Take the seat for `key`."""
        mine = Seat(True, Future(), threading.get_ident(), _running_loop(), os.getpid())
        try:
            with self._lock:
                running = self._running.get(key)
                if running is None or running.lost:
                    self._running[key] = mine
                    return mine
                return attrs.evolve(running, leader=False)
        except BaseException as error:  # KeyboardInterrupt comes anywhere, and a seat without a leader blocks all
            self.land(key, mine, error=error)
            raise

    def land(self, key: object, seat: Seat, *, result: Any = None, error: BaseException | None = None) -> None:
        """The leader is done: free the key, then tell everybody who waits. Only the first landing counts."""
        try:
            with self._lock:
                # a leader who was taken for lost has a successor by now
                if self._running.get(key) is seat:
                    del self._running[key]
        finally:
            # the error is the value of the future and not its exception, which everybody who asks would raise
            if seat.landing.done():
                pass
            elif error is None or isinstance(error, Exception):
                seat.landing.set_result(Landing(result, error))
            else:
                seat.landing.set_result(Landing(abandoned=True))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _twin(error: Exception) -> Exception:
    try:
        return copy.copy(error)
    except Exception:  # noqa: BLE001 - a constructor that takes something else than `args`
        other = type(error).__new__(type(error), *error.args)
        other.__dict__.update(error.__dict__)
        return other
