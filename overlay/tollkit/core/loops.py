"""The event loops in which the requests of a blocking client run, whose engine is async."""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from tollkit.core.locks import forkable_lock
from tollkit.core.received import Received
from tollkit.errors import LocalError

__all__ = ["Asked", "Loops", "Seconds", "Session", "client_closed"]

_PATIENCE = 5.0
"""Seconds to wait for a connection to close, and after which a waiting thread looks whether the other one lives."""
Seconds = tuple[float | None, float | None, float | None, float | None]
"""Time-outs in seconds to connect, to read, to write and for a place in the pool."""
Asked = tuple[str, str, bytes | None, Mapping[str, str] | None, Seconds | None]
"""A request: method, address, body, header fields, time-outs."""


_MOST_UNHEARD = 0.05
"""Seconds after which a loop that has always something to do asks the system what has arrived."""


class _Selector(selectors.DefaultSelector):
    """Leaves the system in peace while its loop has something to do.

    The steps of a request follow one another at once, and to ask before each of them what has arrived takes a
    twentieth of the time of the whole.
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What has arrived."""
        now = time.monotonic()
        if timeout == 0 and now - self._asked < _MOST_UNHEARD:
            return []
        self._asked = now
        return super().select(timeout)


def _new_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    return asyncio.SelectorEventLoop(_Selector())


def client_closed() -> LocalError:
    """The error of a client that is used after its end (code `client_closed`)."""
    return LocalError("The client has been closed; make a new one", code="client_closed")


class Session(Protocol):
    """What sends in one event loop, in which it is made."""

    async def request(self, asked: Asked) -> Received:
        """Send one request and read its whole answer."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class Loops:
    """The event loops of a blocking client: that of whoever calls, and that of a thread.

    Args:
        near: Makes what sends in the loop of the caller's thread; None leaves all to the thread.
        far: Makes what sends in the loop of the thread.
    """

    def __init__(self, near: Callable[[], Session] | None, far: Callable[[], Session]) -> None:
        self._near = _Near(near) if near is not None else None
        self._make_far = far
        self._far: _Far | None = None
        self._lock = forkable_lock()
        self._open = True
        self._process = os.getpid()

    def run(self, asked: Asked) -> Received:
        """The answer to a request."""
        near, far = self._near, self._far
        if (
            near is not None
            # one loop that waits for many takes less than two that wait for some each
            and not (far is not None and far.busy)
            and _is_free()
            and near.taken.acquire(blocking=False)
        ):
            try:
                return near.run(asked)
            finally:
                near.taken.release()
        with self._lock:
            if not self._open:
                raise client_closed()
            if self._far is None:
                self._far = _Far(self._make_far)
            far = self._far
        return far.run(asked)

    def end(self) -> None:
        """Close the connections."""
        if self._process != os.getpid():
            return  # of the parent, whose thread does not live here
        with self._lock:
            self._open, far = False, self._far
        if far is not None:
            far.end()
        if self._near is None:
            return
        if _is_free():
            self._near.end()
        else:  # closed, or dropped, by code in an event loop, in which no other can run
            helper = threading.Thread(target=self._near.end, name="tollkit-engine", daemon=True)
            helper.start()
            helper.join(_PATIENCE)


def _is_free() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


class _Near:
    """An event loop that runs while somebody calls, in the caller's thread; `taken` is held meanwhile."""

    def __init__(self, make: Callable[[], Session]) -> None:
        self._make = make
        self.taken = forkable_lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: Session | None = None
        self._open = True

    def run(self, asked: Asked) -> Received:
        """The answer to a request."""
        if not self._open:
            raise client_closed()
        if self._loop is None:
            self._loop = _new_loop()
        task = self._loop.create_task(self._answer(asked))
        try:
            return self._loop.run_until_complete(task)
        except BaseException:
            if not task.done():  # a signal came
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    self._loop.run_until_complete(task)
            raise
        finally:
            del task  # which would hold the failure, and that this frame

    async def _answer(self, asked: Asked) -> Received:
        if self._session is None:
            self._session = self._make()
        return await self._session.request(asked)

    def end(self) -> None:
        """Close the connections when no call is under way, and let none begin."""
        self._open = False
        if not self.taken.acquire(timeout=_PATIENCE):
            return
        try:
            loop, self._loop = self._loop, None
            session, self._session = self._session, None
            if loop is not None:
                if session is not None:
                    loop.run_until_complete(session.close())
                loop.run_until_complete(loop.shutdown_default_executor())  # names are looked up in its threads
                loop.close()
        finally:
            self.taken.release()


class _Far:
    """An event loop in a thread of its own."""

    def __init__(self, make: Callable[[], Session]) -> None:
        self._loop = _new_loop()
        self._session: Session | None = None
        self._make = make
        self.busy = 0
        """How many requests are under way in it."""
        self._thread = threading.Thread(target=self._live, name="tollkit-engine", daemon=True)
        self._thread.start()

    def _live(self) -> None:
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._leave())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()

    async def _leave(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _answer(self, asked: Asked) -> Received:
        if self._session is None:
            self._session = self._make()
        return await self._session.request(asked)

    def run(self, asked: Asked) -> Received:
        """The answer to a request, which is cancelled when the wait for it ends early."""
        waiting = threading.Lock()
        waiting.acquire()
        tasks: list[asyncio.Task[Received]] = []

        def ended(_: object) -> None:
            self.busy -= 1
            waiting.release()

        def begin() -> None:
            self.busy += 1
            task = self._loop.create_task(self._answer(asked))
            tasks.append(task)
            task.add_done_callback(ended)

        def give_up() -> None:
            for task in tasks:
                task.cancel()

        try:
            self._loop.call_soon_threadsafe(begin)
        except RuntimeError:
            raise client_closed() from None
        try:
            while not waiting.acquire(timeout=_PATIENCE):
                if not self._thread.is_alive():  # the request came to it in its last moment
                    raise client_closed()
        except BaseException:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(give_up)
                waiting.acquire(timeout=_PATIENCE)
            raise
        try:
            return tasks[0].result()
        except asyncio.CancelledError:
            raise LocalError("The client was closed while it waited", code="client_closed") from None
        finally:
            tasks.clear()

    def end(self) -> None:
        """Close the connections, and end the thread."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join(_PATIENCE)
