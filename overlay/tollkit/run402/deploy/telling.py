"""Brings the events of a deploy to those who listen: a callback, and the iterators of an operation.

Whoever has something to tell puts it into a queue, and whoever finds nobody delivering delivers all there is. So
events come one after the other, from whatever thread or task, and nobody waits for a callback but who calls it.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tollkit.core.flows import Flow, call, offload
from tollkit.errors import ArgumentError
from tollkit.run402.deploy.events import DeployEvent
from tollkit.run402.errors import raised

__all__ = ["EventCallback", "Teller"]

EventCallback: TypeAlias = Callable[[DeployEvent], Awaitable[object] | object]
"""What `on_event` takes: a function; on an async client a coroutine function too."""
_log = logging.getLogger("tollkit.run402")


class Teller:
    """Tells events.

    Args:
        on_event: Called with each event, one at a time and in order; what it raises is logged and dropped.
        publish: Gets each event at once, in whatever thread it happens.

    Raises:
        LocalError: `on_event` cannot be called (also an `ArgumentError`).
    """

    def __init__(
        self, on_event: EventCallback | None = None, publish: Callable[[DeployEvent], object] | None = None
    ) -> None:
        if on_event is not None and not callable(on_event):
            raise raised(ArgumentError("on_event", "must be something to call with an event"))
        self._on_event = on_event
        self.publish = publish
        self._lock = threading.Lock()
        self._queue: deque[DeployEvent] = deque()
        self._delivering = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def tell(self, event: DeployEvent) -> Flow[None]:
        """Tell an event from within the flow.

        Raises:
            LocalError: `on_event` is a coroutine function and the client a blocking one (also an `ArgumentError`).
        """
        self._put(event)
        while (taken := self._take()) is not None:
            try:
                yield from call("on_event", self._calling(taken))
            except ArgumentError as error:
                if error.argument == "on_event":
                    raise
                _logged()
            except Exception:  # noqa: BLE001 - who listens must not break the deploy
                _logged()
            finally:
                self._delivering = False

    def listen_in_bodies(self) -> Flow[None]:
        """Find out how `tell_from_body` can deliver: in a thread of ours, or by way of an event loop."""
        if self._on_event is not None:
            here = yield from call("on_event", threading.get_ident)
            there = yield from offload(threading.get_ident)
            if here != there:
                self._loop = yield from call("on_event", asyncio.get_running_loop)

    def tell_from_body(self, event: DeployEvent) -> None:
        """Tell an event from where a body is read: there is no flow to yield to, and it may be any thread.

        A coroutine function hears of it with the next event of the flow.
        """
        self._put(event)
        if inspect.iscoroutinefunction(self._on_event):
            return
        if self._loop is None:
            self._deliver()
        else:
            self._loop.call_soon_threadsafe(self._deliver)

    def _put(self, event: DeployEvent) -> None:
        if self.publish is not None:
            self.publish(event)
        if self._on_event is not None:
            with self._lock:
                self._queue.append(event)

    def _take(self) -> DeployEvent | None:
        """The next event, and with it the duty to set `_delivering` back; `None` when there is nothing to do."""
        with self._lock:
            if self._delivering or not self._queue:
                return None
            self._delivering = True
            return self._queue.popleft()

    def _calling(self, event: DeployEvent) -> Callable[[], Awaitable[object] | object]:
        def calling() -> Awaitable[object] | object:
            try:
                return self._on_event(event) if self._on_event is not None else None
            except Exception:  # noqa: BLE001 - who listens must not break the deploy
                _logged()
                return None

        return calling

    def _deliver(self) -> None:
        while (taken := self._take()) is not None:
            try:
                result = self._calling(taken)()
                if inspect.iscoroutine(result):  # a function that makes coroutines without saying so
                    result.close()
            finally:
                self._delivering = False


def _logged() -> None:
    _log.exception("on_event raised")
