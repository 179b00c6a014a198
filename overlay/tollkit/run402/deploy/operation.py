"""A deploy that runs beside the program: `deploy.start` gives one, blocking or async.

What went wrong comes out of `result()`, and nowhere else; an error that nobody looks at is logged when the operation
is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future, InvalidStateError
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from tollkit.core.flows import AsyncCall, BlockingCall, Flow, Flows, _Call, _Doc, flow
from tollkit.errors import CancelledError
from tollkit.run402.deploy.engine import TERMINAL
from tollkit.run402.deploy.events import Ready
from tollkit.run402.errors import raised

if TYPE_CHECKING:
    from tollkit.core.drivers import Async, Blocking
    from tollkit.core.namespaces import Namespace
    from tollkit.run402.deploy.engine import Deployment, DeployResult, Planned, Spec
    from tollkit.run402.deploy.events import DeployEvent
    from tollkit_api.run402.v1_57.models import DeployOperation as Snapshot

__all__ = ["AsyncDeployOperation", "DeployOperation", "Started", "started"]

P = ParamSpec("P")
F = TypeVar("F", bound=Flows)
_log = logging.getLogger("tollkit.run402")


_ending = threading.Event()
"""Set when the program begins to end. Before it does so, Python waits for the threads of pools, such as upload parts;
there is no public way to hear of it, and the pools themselves use this one."""
with contextlib.suppress(AttributeError, RuntimeError):
    getattr(threading, "_register_atexit")(_ending.set)  # noqa: B009 - it stands in no stub
_running: set[asyncio.Task[None]] = set()
"""Keeps tasks alive while they run; an event loop alone holds them weakly."""


class _Feed:
    """All events so far, for any number of listeners in any thread or event loop."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._events: list[DeployEvent] = []
        self._ended = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def publish(self, event: DeployEvent) -> None:
        """Add an event; after `ready` there are no more."""
        with self._changed:
            self._events.append(event)
            self._tell(ended=isinstance(event, Ready))

    def end(self) -> None:
        """Nothing more comes."""
        with self._changed:
            self._tell(ended=True)

    def _tell(self, *, ended: bool) -> None:
        self._ended = self._ended or ended
        self._changed.notify_all()
        waiting, self._waiting = self._waiting, []
        for loop, future in waiting:
            _wake(loop, future)

    def __iter__(self) -> Iterator[DeployEvent]:
        at = 0
        while True:
            with self._changed:
                while not (self._ended or len(self._events) > at):
                    self._changed.wait()
                found = self._events[at:]
                if not found:
                    return
            at += len(found)
            yield from found

    async def __aiter__(self) -> AsyncIterator[DeployEvent]:
        at = 0
        while True:
            loop = asyncio.get_running_loop()
            more: asyncio.Future[None] = loop.create_future()
            with self._changed:
                found = self._events[at:]
                if not found and self._ended:
                    return
                if not found:
                    self._waiting.append((loop, more))
            if not found:
                await more
            at += len(found)
            for event in found:
                yield event


def _wake(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    def wake() -> None:
        if not future.done():
            future.set_result(None)

    with contextlib.suppress(RuntimeError):  # the loop has ended, and whoever waited in it too
        loop.call_soon_threadsafe(wake)


class _Stop:
    """Whether an operation was cancelled, or the program ends."""

    def __init__(self) -> None:
        self.asked = False

    def check(self) -> None:
        """Raise if so."""
        if self.asked or _ending.is_set():
            raise CancelledError("The deploy was cancelled here")


class Started:
    """A deploy that was planned and goes on in the background.

    Args:
        deployment: The deploy.
        planned: Its plan.
        feed: Where its events are.
    """

    def __init__(self, deployment: Deployment, planned: Planned, feed: _Feed) -> None:
        self.planned = planned
        self.feed = feed
        self.outcome: Future[DeployResult] = Future()
        self.outcome.set_running_or_notify_cancel()  # who waits for it cannot cancel it
        self.looked_at: bool = False
        self.stop: _Stop = _Stop()
        self._deployment = deployment
        self._last: Snapshot | None = None
        deployment.check = self.stop.check

    @classmethod
    def of(cls, deployment: Deployment, spec: Spec) -> Flow[Self]:
        """Plan a deploy whose events are kept from the first on."""
        feed = _Feed()
        deployment.teller.publish = feed.publish
        planned = yield from deployment.begin(spec)
        return cls(deployment, planned, feed)

    def finish(self) -> Flow[DeployResult]:
        """Upload, commit, watch."""
        return self._deployment.finish(self.planned)

    def settle(self, result: DeployResult | None, error: BaseException | None = None) -> None:
        """It has ended; how it ended first is how it ended."""
        with contextlib.suppress(InvalidStateError):
            if result is not None:
                self.outcome.set_result(result)
            else:
                self.outcome.set_exception(error)
        self.feed.end()

    def result(self, timeout: float | None) -> DeployResult:
        """How it ended; waits for that."""
        try:
            return self.outcome.result(timeout)
        finally:
            self.looked_at = self.outcome.done()

    def cancel(self) -> None:
        """End it here."""
        self.stop.asked = True
        error = CancelledError(
            "The deploy was cancelled here; what was committed goes on at the platform",
            hint=f"deploy.resume({self.planned.operation_id!r}) watches it",
        )
        raised(error)
        self.settle(None, error)

    def snapshot(self) -> Flow[Snapshot]:
        """What the platform says of the operation; what is final is not asked for again."""
        if self._last is None or self._last.status not in TERMINAL:
            self._last = yield from self._deployment.snapshot(self.planned)
        return self._last

    def __del__(self) -> None:
        if self.looked_at or not self.outcome.done():
            return
        error = self.outcome.exception()
        if error is not None and not isinstance(error, CancelledError):
            _log.error(
                "deploy operation %s failed, and nobody asked for its result",
                self.planned.operation_id,
                exc_info=error,
            )


class _Operation:
    """What is the same on both kinds."""

    def __init__(self, client: Any, started: Started) -> None:
        self._client = client
        self._started = started

    @property
    def id(self) -> str:
        """The operation, for `deploy.status`, `deploy.events` and `deploy.resume`, also on another machine."""
        return self._started.planned.operation_id

    @property
    def planned(self) -> Planned:
        """The plan: what would change, what is missing, warnings."""
        return self._started.planned

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self._started.outcome.done()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}{' done' if self.done else ''}>"


class DeployOperation(_Operation):
    """A deploy that goes on in a thread of its own, which keeps no program from ending. From `deploy.start`."""

    def __init__(self, client: Blocking, started: Started) -> None:
        super().__init__(client, started)
        threading.Thread(target=_run, args=(client, started), name=f"tollkit-{self.id}", daemon=True).start()

    def events(self) -> Iterator[DeployEvent]:
        """All events, from the first to the last; waits for those to come. Each call iterates by itself."""
        return iter(self._started.feed)

    def result(self, timeout: float | None = None) -> DeployResult:
        """Wait until it has ended. Every call gives the same result, or raises the same error.

        Args:
            timeout: Seconds to wait; the deploy itself goes on after that.

        Raises:
            DeployError: The deploy did not succeed.
            Run402Error: Something on the way failed; `operation_id` and `plan_id` say of what.
            CancelledError: It was cancelled.
            TimeoutError: It is not done yet.
        """
        return self._started.result(timeout)

    def snapshot(self) -> Snapshot:
        """What the platform says of the operation now.

        Raises:
            ApiError: The gateway refused.

        Source: Run402 gateway, `GET /deploy/v2/operations/{operation_id}`.
        """
        found: Snapshot = self._client.run(self._started.snapshot())
        return found

    def cancel(self) -> None:
        """Stop uploading, or watching, here. A release that was committed goes on at the platform."""
        self._started.cancel()


class AsyncDeployOperation(_Operation):
    """A deploy that goes on in a task of its own. From `deploy.start`."""

    def __init__(self, client: Async, started: Started) -> None:
        super().__init__(client, started)
        task = asyncio.get_running_loop().create_task(_run_async(client, started), name=f"tollkit-{self.id}")
        _running.add(task)
        task.add_done_callback(_running.discard)
        self._task = task

    def events(self) -> AsyncIterator[DeployEvent]:
        """All events, from the first to the last; waits for those to come. Each call iterates by itself."""
        return aiter(self._started.feed)

    async def result(self, timeout: float | None = None) -> DeployResult:
        """Wait until it has ended. Every call gives the same result, or raises the same error.

        Args:
            timeout: Seconds to wait; the deploy itself goes on after that.

        Raises:
            DeployError: The deploy did not succeed.
            Run402Error: Something on the way failed; `operation_id` and `plan_id` say of what.
            CancelledError: It was cancelled.
            TimeoutError: It is not done yet.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        self._started.outcome.add_done_callback(lambda _: _wake(loop, ended))
        await asyncio.wait([ended], timeout=timeout)
        return self._started.result(0)

    async def snapshot(self) -> Snapshot:
        """What the platform says of the operation now.

        Raises:
            ApiError: The gateway refused.

        Source: Run402 gateway, `GET /deploy/v2/operations/{operation_id}`.
        """
        found: Snapshot = await self._client.run(self._started.snapshot())
        return found

    def cancel(self) -> None:
        """Stop uploading, or watching, here. A release that was committed goes on at the platform."""
        self._started.cancel()
        self._task.get_loop().call_soon_threadsafe(self._task.cancel)


def _run(client: Blocking, started: Started) -> None:
    try:
        started.settle(client.run(started.finish()))
    except BaseException as error:  # noqa: BLE001 - it comes out of result()
        if _ending.is_set():
            started.cancel()  # the program ends, and with it everything that threads need
        _without_this_frame(error)
        started.settle(None, error)


async def _run_async(client: Async, started: Started) -> None:
    try:
        started.settle(await client.run(started.finish()))
    except asyncio.CancelledError:
        started.cancel()
        raise
    except BaseException as error:  # noqa: BLE001 - it comes out of result()
        _without_this_frame(error)
        started.settle(None, error)


def _without_this_frame(error: BaseException) -> None:
    # in its locals is what holds the error: nobody would be left to tell that nobody has looked at it
    traceback = error.__traceback__
    error.__traceback__ = None if traceback is None else traceback.tb_next


class _StartCall(_Call, Generic[P]):
    """A method of a blocking client that starts a deploy: call it for a `DeployOperation`."""

    __slots__ = ()

    def __init__(self, call: BlockingCall[P, Started]) -> None:
        self._client = call._client
        self._fn = call._fn

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> DeployOperation:
        """Plan the deploy and let it go on in a thread."""
        client = self._client
        return DeployOperation(client, client.run(self._fn(client.flows, *args, **kwargs)))


class _AsyncStartCall(_Call, Generic[P]):
    """A method of an async client that starts a deploy: await it for an `AsyncDeployOperation`."""

    __slots__ = ()

    def __init__(self, call: AsyncCall[P, Started]) -> None:
        self._client = call._client
        self._fn = call._fn

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AsyncDeployOperation:
        """Plan the deploy and let it go on in a task."""
        client = self._client
        return AsyncDeployOperation(client, await client.run(self._fn(client.flows, *args, **kwargs)))


for _kind in (_StartCall, _AsyncStartCall):
    setattr(_kind, "__doc__", _Doc(_kind.__doc__))  # noqa: B010 - a descriptor that gives text, which types cannot say


_KINDS: dict[type[Any], Callable[[Any], Any]] = {BlockingCall: _StartCall, AsyncCall: _AsyncStartCall}


class started(Generic[F, P]):  # noqa: N801 - used as a decorator, like `flow`
    """Marks a flow that returns `Started` as one whose deploy goes on in the background."""

    def __init__(self, fn: Callable[Concatenate[F, P], Flow[Started]]) -> None:
        self._flow = flow(fn)
        functools.update_wrapper(self, fn)

    @overload
    def __get__(self, obj: None, owner: type[Any]) -> started[F, P]: ...
    @overload
    def __get__(self, obj: Blocking | Namespace[Blocking], owner: type[Any]) -> Callable[P, DeployOperation]: ...
    @overload
    def __get__(
        self, obj: Async | Namespace[Async], owner: type[Any]
    ) -> Callable[P, Coroutine[Any, Any, AsyncDeployOperation]]: ...
    @overload
    def __get__(self, obj: F, owner: type[Any]) -> Callable[P, Flow[Started]]: ...
    def __get__(self, obj: Any, owner: type[Any]) -> Any:
        """Bind to a client, or to the flows object itself."""
        return self if obj is None else self._bound(obj)

    def _bound(self, obj: Any) -> Any:
        call: Any = self._flow._bound(obj)
        kind = _KINDS.get(call.__class__)
        return call if kind is None else kind(call)

    def __call__(self, obj: Any, *args: P.args, **kwargs: P.kwargs) -> Any:
        """`Class.method(client, ...)` is `client.method(...)`, as of any method."""
        return self._bound(obj)(*args, **kwargs)
