"""The two drivers: the only place that waits. They perform the effects of flows, blocking or async."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from tollkit.core import policy
from tollkit.core.bodies import Inflater
from tollkit.core.flows import (
    AsyncCall,
    BlockingCall,
    Body,
    Call,
    Download,
    Effect,
    Flow,
    Gather,
    Offload,
    Send,
    Share,
    Sleep,
    Wire,
)
from tollkit.core.http import AsyncConnections, Connections, translate
from tollkit.core.raw import Answer, Raw
from tollkit.core.received import Gathering, Received
from tollkit.core.reclaim import reclaim
from tollkit.core.settings import Options
from tollkit.core.tracebacks import forget_locals
from tollkit.errors import ArgumentError, TollkitError, brand

if TYPE_CHECKING:
    from tollkit.core.http import AsyncHttpClient
    from tollkit.core.single_flight import Seat
    from tollkit_api.runtime import HttpResponse

__all__ = ["Async", "Blocking"]

T = TypeVar("T")
P = ParamSpec("P")
Answers = list[Answer] | None
_MOST_OF_A_REFUSAL = 16 << 20
"""Bytes of an answer that are read where a download was asked for and refused."""
_AT_ONCE = 1 << 20
"""Bytes of a body up to which it is read before it is sent, which costs less than to send it in pieces."""
_leaders: set[asyncio.Future[Any]] = set()
"""Keeps tasks alive that nobody awaits any more; an event loop alone holds them weakly."""


class _Driver(ABC):
    """What both drivers hold: the flows they run, and the options they run them with."""

    family: type[TollkitError] = TollkitError
    flows: Any
    _options: Options

    def _leaving(self, error: TollkitError, handled: BaseException | None) -> None:
        brand(error, self.family)
        forget_locals(error, handled)

    @abstractmethod
    def _pieces(self, body: Body) -> object:
        """The body as the HTTP client takes it."""

    def _wire(self, wire: Wire, whole: bytes | None = None) -> dict[str, Any]:
        content: object = whole
        headers = wire.headers
        if whole is None:
            content = wire.content
            if wire.content is not None and not isinstance(wire.content, bytes):
                headers = {**headers, "Content-Length": str(wire.content.size)}
                content = self._pieces(wire.content)
        arguments: dict[str, Any] = {"content": content, "headers": headers, "follow_redirects": False}
        timeout = self._options.timeout
        if timeout is not None:
            arguments["timeout"] = (timeout.connect, timeout.read, timeout.write, timeout.pool)
        return arguments


class _OwnFailure(Exception):
    """What a body or a sink raised, carried past the translation of the HTTP client's failures."""

    def __init__(self, failure: Exception) -> None:
        super().__init__(failure)
        self.failure = failure


@contextlib.contextmanager
def _own() -> Generator[None]:
    try:
        yield
    except Exception as failure:
        raise _OwnFailure(failure) from failure


def _short(content: bytes | Body | None) -> Body | None:
    """A body that is better read before it is sent than while it is."""
    return None if content is None or isinstance(content, bytes) or content.size > _AT_ONCE else content


def _whole(body: Body) -> bytes:
    with _own():
        return b"".join(body.open())


@contextlib.contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except _OwnFailure as own:
        raise own.failure  # noqa: B904 - as it was raised, with the causes that it has
    except Exception as failure:
        translated = translate(failure)
        if translated is None:
            raise
        raise translated from translated.__cause__


def _extensions(response: object) -> Mapping[str, Any]:
    return getattr(response, "extensions", None) or {}


def _keep(answers: Answers, wire: Wire, response: HttpResponse) -> None:
    if answers is not None:
        url = wire.url.partition("?")[0]
        answers.append(Answer(response.status_code, response.headers, response.content, wire.method, url))


class Blocking(_Driver):
    """Runs flows on the calling thread. Safe to share between threads."""

    _connections: Connections

    def bind_flow(self, fn: Callable[P, Flow[T]]) -> BlockingCall[P, T]:
        """Bind a flow as a plain call; used by `@flow`."""
        return BlockingCall(self, fn)

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its result; errors get the family of this client."""
        handled = sys.exception()
        try:
            return self._drive(flow, None)
        except TollkitError as error:
            self._leaving(error, handled)
            raise

    def run_raw(self, flow: Flow[T]) -> Raw[T]:
        """Run a flow and keep every HTTP answer on the way."""
        handled = sys.exception()
        answers: list[Answer] = []
        try:
            result = self._drive(flow, answers)
        except TollkitError as error:
            self._leaving(error, handled)
            raise
        return Raw(result, tuple(answers))

    def _drive(self, flow: Flow[T], answers: Answers) -> T:
        try:
            effect = next(flow)
            while True:
                try:
                    value = self._perform(effect, answers)
                except Exception as error:  # noqa: BLE001 - whatever happens belongs to the flow
                    effect = flow.throw(error)
                else:
                    effect = flow.send(value)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            flow.close()

    def _perform(self, effect: Effect, answers: Answers) -> Any:
        match effect:
            case Wire():
                with _translated():
                    short = _short(effect.content)
                    arguments = self._wire(effect, None if short is None else _whole(short))
                    response = self._connections.client().request(effect.method, effect.url, **arguments)
                _keep(answers, effect, response)
                return response
            case Download():
                return self._download(effect, answers)
            case Send():
                response = self._drive(policy.exchange(effect.request, effect.service, self._options), answers)
                return effect.service.read(effect.request, response, effect.parse)
            case Sleep():
                time.sleep(effect.seconds)
                return None
            case Share():
                return self._share(effect, answers)
            case Gather():
                return self._gather(effect, answers)
            case Offload():
                return effect.call()
            case Call():
                result = effect.call()
                if inspect.isawaitable(result):
                    if inspect.iscoroutine(result):
                        result.close()
                    raise ArgumentError(effect.name, "must be a plain function for a blocking client")
                return result

    def _pieces(self, body: Body) -> Iterator[bytes]:
        with _own():
            yield from body.open()

    def _download(self, effect: Download, answers: Answers) -> HttpResponse:
        wire, client = effect.wire, self._connections.client()
        stream = getattr(client, "stream", None)
        answer: HttpResponse
        if stream is None:  # a client that was brought, and reads whole answers only
            with _translated():
                answer = client.request(wire.method, wire.url, **self._wire(wire))
            write = effect.sink(answer.status_code, answer.headers)
            if write is not None:
                write(answer.content)
                answer = Received(answer.status_code, answer.headers, b"", _extensions(answer))
        else:
            with _translated(), stream(wire.method, wire.url, **self._wire(wire)) as response:
                write = effect.sink(response.status_code, response.headers)
                if write is None:
                    body = Gathering(response.headers, _MOST_OF_A_REFUSAL)
                    for data in response.iter_raw():
                        body.add(data)
                    content = body.whole()
                else:
                    inflater, content = Inflater(response.headers), b""
                    # as they come: what a larger piece still lacked would be lost with the connection
                    for data in response.iter_raw():
                        for piece in inflater.pieces(data):
                            with _own():
                                write(piece)
                    inflater.end()
                answer = Received(response.status_code, response.headers, content, _extensions(response))
        _keep(answers, wire, answer)
        return answer

    def _share(self, effect: Share[Any], answers: Answers) -> Any:
        while True:
            seat: Seat | None = None
            try:
                seat = effect.flight.take(effect.key)
                if seat.leader:
                    result = self._drive(effect.start(), answers)
                    effect.flight.land(effect.key, seat, result=result)
                    return result
            except BaseException as error:  # Ctrl-C comes at any line, and nobody must wait for who is gone
                if seat is not None and seat.leader:
                    effect.flight.land(effect.key, seat, error=error)
                raise
            if effect.meanwhile is not None:
                return effect.meanwhile
            if seat.thread == threading.get_ident():
                # A blocking call in the middle of an async one, or in a hook of itself: do it twice rather than
                # wait for somebody who waits for us.
                return self._drive(effect.start(), answers)
            landing = seat.wait()
            if not landing.abandoned:
                return landing.outcome()

    def _gather(self, effect: Gather[Any], answers: Answers) -> list[Any]:
        flows = list(effect.flows)
        if len(flows) < 2 or effect.limit < 2:
            return [self._drive(flow, answers) for flow in flows]
        with ThreadPoolExecutor(min(effect.limit, len(flows)), thread_name_prefix="tollkit") as pool:
            futures = [
                pool.submit(contextvars.copy_context().run, functools.partial(self._drive, flow, answers))
                for flow in flows
            ]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return [future.result() for future in futures]


class _Undoable:
    """A call in a thread whose result is undone when nobody is there any more to take it."""

    def __init__(self, call: Callable[[], Any], undo: Callable[[Any], object]) -> None:
        self._call = call
        self._undo = undo
        self._lock = threading.Lock()
        self._given_up = False
        self._results: list[Any] = []

    def __call__(self) -> Any:
        result = self._call()
        with self._lock:
            self._results.append(result)
            given_up = self._given_up
        if given_up:
            self._undo(result)
        return result

    def give_up(self) -> None:
        """The caller was cancelled; the thread goes on to its end all the same."""
        with self._lock:
            self._given_up = True
            results = list(self._results)
        for result in results:
            self._undo(result)


async def _in_thread(effect: Offload[Any]) -> Any:
    if effect.undo is None:
        return await asyncio.to_thread(effect.call)
    work = _Undoable(effect.call, effect.undo)
    try:
        return await asyncio.to_thread(work)
    except asyncio.CancelledError:
        work.give_up()
        raise


async def _answer_of(client: AsyncHttpClient, wire: Wire, arguments: dict[str, Any]) -> HttpResponse:
    try:
        return await client.request(wire.method, wire.url, **arguments)
    except asyncio.CancelledError as cancelled:
        await reclaim(cancelled)
        raise


def _land(effect: Share[Any], seat: Seat, leader: asyncio.Task[Any]) -> None:
    # a callback, since a task that is cancelled before its first step runs nothing of its own
    _leaders.discard(leader)
    error = asyncio.CancelledError() if leader.cancelled() else leader.exception()
    effect.flight.land(effect.key, seat, result=None if error else leader.result(), error=error)


class Async(_Driver):
    """Runs flows on the running event loop. Safe to share between tasks, and between loops."""

    _connections: AsyncConnections

    def bind_flow(self, fn: Callable[P, Flow[T]]) -> AsyncCall[P, T]:
        """Bind a flow as a coroutine function; used by `@flow`."""
        return AsyncCall(self, fn)

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow to its result; errors get the family of this client."""
        handled = sys.exception()
        try:
            return await self._drive(flow, None)
        except TollkitError as error:
            self._leaving(error, handled)
            raise

    async def run_raw(self, flow: Flow[T]) -> Raw[T]:
        """Run a flow and keep every HTTP answer on the way."""
        handled = sys.exception()
        answers: list[Answer] = []
        try:
            result = await self._drive(flow, answers)
        except TollkitError as error:
            self._leaving(error, handled)
            raise
        return Raw(result, tuple(answers))

    async def _drive(self, flow: Flow[T], answers: Answers) -> T:
        try:
            effect = next(flow)
            while True:
                try:
                    value = await self._perform(effect, answers)
                except Exception as error:  # noqa: BLE001 - whatever happens belongs to the flow
                    effect = flow.throw(error)
                else:
                    effect = flow.send(value)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            flow.close()

    async def _perform(self, effect: Effect, answers: Answers) -> Any:
        match effect:
            case Wire():
                client = self._connections.client()
                with _translated():
                    short = _short(effect.content)
                    whole = None if short is None else await asyncio.to_thread(_whole, short)
                    response = await _answer_of(client, effect, self._wire(effect, whole))
                _keep(answers, effect, response)
                return response
            case Download():
                try:
                    return await self._download(effect, answers)
                except asyncio.CancelledError as cancelled:
                    await reclaim(cancelled)
                    raise
            case Send():
                response = await self._drive(policy.exchange(effect.request, effect.service, self._options), answers)
                return effect.service.read(effect.request, response, effect.parse)
            case Sleep():
                await asyncio.sleep(effect.seconds)
                return None
            case Share():
                return await self._share(effect, answers)
            case Gather():
                return await self._gather(effect, answers)
            case Offload():
                return await _in_thread(effect)
            case Call():
                result = effect.call()
                return await result if inspect.isawaitable(result) else result

    async def _pieces(self, body: Body) -> AsyncGenerator[bytes]:
        with _own():
            pieces = await asyncio.to_thread(body.open)
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                yield piece

    async def _download(self, effect: Download, answers: Answers) -> HttpResponse:
        wire, client = effect.wire, self._connections.client()
        stream = getattr(client, "stream", None)
        answer: HttpResponse
        if stream is None:  # a client that was brought, and reads whole answers only
            with _translated():
                answer = await client.request(wire.method, wire.url, **self._wire(wire))
            write = effect.sink(answer.status_code, answer.headers)
            if write is not None:
                await asyncio.to_thread(write, answer.content)
                answer = Received(answer.status_code, answer.headers, b"", _extensions(answer))
        else:
            with _translated():
                async with stream(wire.method, wire.url, **self._wire(wire)) as response:
                    write = effect.sink(response.status_code, response.headers)
                    if write is None:
                        body = Gathering(response.headers, _MOST_OF_A_REFUSAL)
                        async for data in response.aiter_raw():
                            body.add(data)
                        content = body.whole()
                    else:
                        inflater, content = Inflater(response.headers), b""
                        async for data in response.aiter_raw():
                            for piece in inflater.pieces(data):
                                with _own():
                                    await asyncio.to_thread(write, piece)
                        inflater.end()
                    answer = Received(response.status_code, response.headers, content, _extensions(response))
        _keep(answers, wire, answer)
        return answer

    async def _share(self, effect: Share[Any], answers: Answers) -> Any:
        while True:
            seat = effect.flight.take(effect.key)
            if seat.leader:
                # A task of its own: a caller who gives up must not end what others wait for, nor lose what
                # cannot be had twice, such as a refresh token that the old one has been given for.
                leader = asyncio.ensure_future(self._drive(effect.start(), answers))
                _leaders.add(leader)
                leader.add_done_callback(functools.partial(_land, effect, seat))
                return await asyncio.shield(leader)
            if effect.meanwhile is not None:
                return effect.meanwhile
            if seat.thread == threading.get_ident() and seat.loop is not asyncio.get_running_loop():
                # the leader's event loop stands still as long as this one runs
                return await self._drive(effect.start(), answers)
            landing = await seat.join()
            if not landing.abandoned:
                return landing.outcome()

    async def _gather(self, effect: Gather[Any], answers: Answers) -> list[Any]:
        gate = asyncio.Semaphore(max(1, effect.limit))

        async def one(flow: Flow[Any]) -> Any:
            async with gate:
                return await self._drive(flow, answers)

        tasks = [asyncio.ensure_future(one(flow)) for flow in effect.flows]
        try:
            return await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
