"""Flows: a method is written once and runs blocking or async.

A flow is a generator that yields effects and returns its result; it does no I/O itself. A method marked
`@flow` is a plain call on a client that derives from `Blocking`, a coroutine on one that derives from
`Async`, and a generator to `yield from` on the `Flows` object in which it stands. Types, docstrings and the
debugger see one body.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeAlias, TypeVar, overload

import attrs

if TYPE_CHECKING:
    import inspect

    from tollkit.core.drivers import Async, Blocking
    from tollkit.core.namespaces import Namespace
    from tollkit.core.raw import Raw
    from tollkit.core.service import Service
    from tollkit.core.single_flight import SingleFlight
    from tollkit_api.runtime import HttpResponse, Request

__all__ = [
    "Body",
    "Call",
    "Download",
    "Effect",
    "Flow",
    "Flows",
    "Gather",
    "Offload",
    "Send",
    "Share",
    "Sleep",
    "Wire",
    "flow",
]

T = TypeVar("T")
P = ParamSpec("P")
F = TypeVar("F", bound="Flows")


@attrs.frozen
class Send(Generic[T]):
    """Effect: one call of an operation, with credentials, retries and errors as the policy says."""

    request: Request = attrs.field(repr=lambda request: f"<{request.operation.id}>")
    parse: Callable[[HttpResponse], T]
    service: Service


class Body(Protocol):
    """A request body that is read while it is sent, so that it may be larger than memory."""

    @property
    def size(self) -> int:
        """How many bytes it has; sent as `Content-Length`."""
        ...

    def open(self) -> Iterator[bytes]:
        """The bytes from their start, in pieces; called once for each time the request is sent. May block."""
        ...


@attrs.frozen
class Wire:
    """Effect: one HTTP exchange, exactly as told; the answer comes back whatever its status."""

    method: str
    url: str = attrs.field(repr=lambda url: repr(url.partition("?")[0]))
    headers: dict[str, str] = attrs.field(repr=False)
    content: bytes | Body | None = attrs.field(repr=False)


@attrs.frozen
class Download:
    """Effect: one HTTP exchange whose body goes to a function piece by piece, so that it may be larger than memory.

    `sink` gets the status and the headers. It returns the function that takes the pieces, which may block; with
    `None` instead, the body is read whole, as that of an error is. The answer that comes back has no body then.
    """

    wire: Wire
    sink: Callable[[int, Mapping[str, str]], Callable[[bytes], object] | None]


@attrs.frozen
class Sleep:
    """Effect: wait this many seconds."""

    seconds: float


@attrs.frozen
class Gather(Generic[T]):
    """Effect: run flows side by side, at most `limit` at once; results in order, the first error ends all.

    Those that have not begun never do; of those that run, tasks are cancelled and threads are waited for.
    """

    flows: Sequence[Flow[T]]
    limit: int


@attrs.frozen
class Share(Generic[T]):
    """Effect: run the flow unless the same key is already being run somewhere; then wait for that result.

    With `meanwhile`, a caller who finds the key being run gets that value at once instead of waiting.
    """

    flight: SingleFlight
    key: object = attrs.field(repr=False)
    start: Callable[[], Flow[T]]
    meanwhile: T | None = attrs.field(default=None, repr=False)


@attrs.frozen
class Offload(Generic[T]):
    """Effect: call a function that blocks (a file, a database) without blocking an event loop.

    A task that is cancelled meanwhile does not wait for the function; what it returns then goes to `undo`, such as to
    close what it has opened.
    """

    call: Callable[[], T]
    undo: Callable[[T], object] | None = None


@attrs.frozen
class Call(Generic[T]):
    """Effect: call a function of the user's where the flow runs; an async client awaits what can be awaited."""

    name: str
    call: Callable[[], T | Awaitable[T]]


Effect: TypeAlias = "Send[Any] | Wire | Download | Sleep | Gather[Any] | Share[Any] | Offload[Any] | Call[Any]"
Flow: TypeAlias = Generator[Effect, Any, T]


def send(effect: Send[T]) -> Flow[T]:
    """Yield the effect with the type of its result."""
    result: T = yield effect
    return result


def sleep(seconds: float) -> Flow[None]:
    """Wait this many seconds."""
    yield Sleep(seconds)


def gather(flows: Sequence[Flow[T]], *, limit: int = 8) -> Flow[list[T]]:
    """Run flows side by side, at most `limit` at once; results in order."""
    results: list[T] = yield Gather(flows, limit)
    return results


def share(flight: SingleFlight, key: object, start: Callable[[], Flow[T]], *, meanwhile: T | None = None) -> Flow[T]:
    """Run the flow once for all who ask for `key` at the same time."""
    result: T = yield Share(flight, key, start, meanwhile)
    return result


def offload(call: Callable[[], T], *, undo: Callable[[T], object] | None = None) -> Flow[T]:
    """Call a blocking function without blocking an event loop; `undo` gets a result that nobody waits for now."""
    result: T = yield Offload(call, undo)
    return result


def call(name: str, function: Callable[[], T | Awaitable[T]]) -> Flow[T]:
    """Call a function that a user passed as the argument `name`; coroutine functions need an async client."""
    result: T = yield Call(name, function)
    return result


class Flows:
    """Base of a set of flows: holds configuration, does no I/O."""


class _Doc:
    """The docstring of a bound call: its flow's on the call, the class's own on the class."""

    def __init__(self, of_class: str | None) -> None:
        self._of_class = of_class

    def __get__(self, obj: _Call | None, owner: type[Any]) -> str | None:
        return self._of_class if obj is None else obj._fn.__doc__


class _Call:
    """What both kinds of bound calls tell about themselves: name, docstring and signature are the flow's."""

    __slots__ = ("_client", "_fn")
    _client: Any
    _fn: Callable[..., Flow[Any]]

    @property
    def __signature__(self) -> inspect.Signature:
        import inspect

        return inspect.signature(MethodType(self._fn, self._client.flows))

    def __getattr__(self, name: str) -> Any:
        if name in _Call.__slots__:  # not filled yet, while a copy is made
            raise AttributeError(name)
        return getattr(self._fn, name)

    def __repr__(self) -> str:
        return f"<{type(self._client).__name__}.{self._fn.__name__}>"


class BlockingCall(_Call, Generic[P, T]):
    """A method of a blocking client: call it, or call `.raw` to get the HTTP answers beside the result."""

    __slots__ = ()
    _client: Blocking

    def __init__(self, client: Blocking, fn: Callable[..., Flow[T]]) -> None:
        self._client = client
        self._fn = fn

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the flow to its result."""
        client = self._client
        flow = self._fn(client.flows, *args, **kwargs)
        del args, kwargs  # so that no traceback with local variables shows a token that was passed
        result: T = client.run(flow)
        return result

    def raw(self, *args: P.args, **kwargs: P.kwargs) -> Raw[T]:
        """Run the flow; return its result with the status, headers and body of every answer it got."""
        client = self._client
        flow = self._fn(client.flows, *args, **kwargs)
        del args, kwargs
        return client.run_raw(flow)


class AsyncCall(_Call, Generic[P, T]):
    """A method of an async client: await it, or await `.raw` to get the HTTP answers beside the result."""

    __slots__ = ()
    _client: Async

    def __init__(self, client: Async, fn: Callable[..., Flow[T]]) -> None:
        self._client = client
        self._fn = fn

    # a coroutine function and not one that returns a coroutine: web frameworks look at which it is
    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the flow to its result."""
        client = self._client
        flow = self._fn(client.flows, *args, **kwargs)
        del args, kwargs
        result: T = await client.run(flow)
        return result

    def raw(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, Raw[T]]:
        """Run the flow; return its result with the status, headers and body of every answer it got."""
        client = self._client
        flow = self._fn(client.flows, *args, **kwargs)
        del args, kwargs
        return client.run_raw(flow)


for _kind in (BlockingCall, AsyncCall):
    setattr(_kind, "__doc__", _Doc(_kind.__doc__))  # noqa: B010 - a descriptor that gives text, which types cannot say


class flow(Generic[F, P, T]):  # noqa: N801 - used as a decorator, like property
    """Marks a method as a flow; see the module's docstring."""

    def __init__(self, fn: Callable[Concatenate[F, P], Flow[T]]) -> None:
        self._fn = fn
        functools.update_wrapper(self, fn)

    @overload
    def __get__(self, obj: None, owner: type[Any]) -> flow[F, P, T]: ...
    @overload
    def __get__(self, obj: Blocking | Namespace[Blocking], owner: type[Any]) -> BlockingCall[P, T]: ...
    @overload
    def __get__(self, obj: Async | Namespace[Async], owner: type[Any]) -> AsyncCall[P, T]: ...
    @overload
    def __get__(self, obj: F, owner: type[Any]) -> Callable[P, Flow[T]]: ...
    def __get__(self, obj: Any, owner: type[Any]) -> Any:
        """Bind to a client, or to the flows object itself."""
        return self if obj is None else self._bound(obj)

    def _bound(self, obj: Any) -> Any:
        bind = getattr(obj, "bind_flow", None)
        return MethodType(self._fn, obj) if bind is None else bind(self._fn)

    def __call__(self, obj: Any, *args: P.args, **kwargs: P.kwargs) -> Any:
        """`Class.method(client, ...)` is `client.method(...)`, as of any method."""
        return self._bound(obj)(*args, **kwargs)
