"""Lists that come in pages: a method is written once and gives an iterator over all rows, blocking or async.

A method marked `@paged` is a flow that returns the first `Page`; a page knows how the next one is had:

    @paged
    def iterate(self, *, page_size: int = 100) -> Flow[Page[Row]]:
        return by_offset(lambda offset: self.list(limit=page_size, offset=offset))

On a blocking client the method gives `Pages`, for `for`; on an async one `AsyncPages`, for `async for`; inside a
flow it is `yield from`-ed to the first page.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

import attrs

from tollkit.core.flows import AsyncCall, BlockingCall, Flow, Flows, _Call, _Doc, flow

if TYPE_CHECKING:
    from tollkit.core.drivers import Async, Blocking
    from tollkit.core.namespaces import Namespace

__all__ = ["AsyncPages", "Page", "Pages", "by_offset", "paged"]

T = TypeVar("T")
P = ParamSpec("P")
F = TypeVar("F", bound=Flows)


@attrs.frozen
class Page(Generic[T]):
    """Some rows of a list, and how to get those after them.

    Attributes:
        rows: The rows, in the platform's order; a page in the middle of a list may be empty.
        next: Makes the flow of the next page; `None` on the last. May be called again after a failure.
    """

    rows: Sequence[T]
    next: Callable[[], Flow[Page[T]]] | None = attrs.field(default=None, repr=False)


def by_offset(
    fetch: Callable[[int], Flow[Sequence[T]]], *, key: Callable[[T], Hashable] | None = None
) -> Flow[Page[T]]:
    """The first page of a list that is asked for by limit and offset.

    The last page is the one that has fewer rows than the one before it, or none. (That it has fewer rows than were
    asked for says nothing on the first page: a platform may give fewer than it is asked for, and not tell.)

    Args:
        fetch: Makes the flow that gets the rows from an offset on.
        key: Tells rows apart. In a list that begins with the newest, each new row moves the others on, so that the
            last ones of a page come again on the next; with a key they are left out there.
    """
    return _from_offset(fetch, key, 0, 0, frozenset())


def _from_offset(
    fetch: Callable[[int], Flow[Sequence[T]]],
    key: Callable[[T], Hashable] | None,
    offset: int,
    least: int,
    seen: frozenset[Hashable],
) -> Flow[Page[T]]:
    found = yield from fetch(offset)
    keys = frozenset[Hashable]() if key is None else frozenset(map(key, found))
    rows = found if key is None else [row for row in found if key(row) not in seen]
    if not found or len(found) < least:
        return Page(rows)
    return Page(rows, lambda: _from_offset(fetch, key, offset + len(found), len(found), keys))


class _Walk(Generic[T]):
    """Where an iteration is: the rows at hand, and what makes the next page."""

    __slots__ = ("_client", "_next", "_rows")

    def __init__(self, client: Any, first: Callable[[], Flow[Page[T]]]) -> None:
        self._client = client
        self._rows: Iterator[T] = iter(())
        self._next: Callable[[], Flow[Page[T]]] | None = first

    def _turn(self, page: Page[T]) -> None:
        self._rows, self._next = iter(page.rows), page.next

    @staticmethod
    def _flow(make: Callable[[], Flow[Page[T]]]) -> Flow[Page[T]]:
        # a method that is no generator itself checks its arguments here, where its errors get the client's family
        return (yield from make())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"


class Pages(_Walk[T], Iterator[T]):
    """Iterates over the rows of all pages; holds one page, and asks for the next when its last row is taken.

    Nothing is sent, and no argument is checked, before the first row is asked for. After a failure, `next()` goes on
    where it stopped. For one thread at a time.
    """

    __slots__ = ()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        while True:
            for row in self._rows:
                return row
            if self._next is None:
                raise StopIteration
            self._turn(self._client.run(self._flow(self._next)))


class AsyncPages(_Walk[T], AsyncIterator[T]):
    """Iterates over the rows of all pages; holds one page, and asks for the next when its last row is taken.

    Nothing is sent, and no argument is checked, before the first row is asked for. After a failure, `anext()` goes on
    where it stopped. For one task at a time; nothing is left open when it is not iterated to its end.
    """

    __slots__ = ()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while True:
            for row in self._rows:
                return row
            if self._next is None:
                raise StopAsyncIteration
            self._turn(await self._client.run(self._flow(self._next)))


class _PagesCall(_Call, Generic[P, T]):
    """A paged method of a blocking client: call it for an iterator over all rows."""

    __slots__ = ()

    def __init__(self, call: BlockingCall[P, Page[T]]) -> None:
        self._client = call._client
        self._fn = call._fn

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Pages[T]:
        """An iterator over the rows of all pages."""
        return Pages(self._client, functools.partial(self._fn, self._client.flows, *args, **kwargs))


class _AsyncPagesCall(_Call, Generic[P, T]):
    """A paged method of an async client: call it, without `await`, for an async iterator over all rows."""

    __slots__ = ()

    def __init__(self, call: AsyncCall[P, Page[T]]) -> None:
        self._client = call._client
        self._fn = call._fn

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AsyncPages[T]:
        """An async iterator over the rows of all pages."""
        return AsyncPages(self._client, functools.partial(self._fn, self._client.flows, *args, **kwargs))


for _kind in (_PagesCall, _AsyncPagesCall):
    setattr(_kind, "__doc__", _Doc(_kind.__doc__))  # noqa: B010 - a descriptor that gives text, which types cannot say


_KINDS: dict[type[Any], Callable[[Any], Any]] = {BlockingCall: _PagesCall, AsyncCall: _AsyncPagesCall}


class paged(Generic[F, P, T]):  # noqa: N801 - used as a decorator, like `flow`
    """Marks a flow that returns a `Page` as a way through all pages; see the module's docstring."""

    def __init__(self, fn: Callable[Concatenate[F, P], Flow[Page[T]]]) -> None:
        self._flow = flow(fn)
        functools.update_wrapper(self, fn)

    @overload
    def __get__(self, obj: None, owner: type[Any]) -> paged[F, P, T]: ...
    @overload
    def __get__(self, obj: Blocking | Namespace[Blocking], owner: type[Any]) -> Callable[P, Pages[T]]: ...
    @overload
    def __get__(self, obj: Async | Namespace[Async], owner: type[Any]) -> Callable[P, AsyncPages[T]]: ...
    @overload
    def __get__(self, obj: F, owner: type[Any]) -> Callable[P, Flow[Page[T]]]: ...
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
