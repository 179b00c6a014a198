"""Namespaces: flows in groups, `client.apps.create(...)`, each group and each method written once.

A platform with many calls sorts them into groups. A group is one class, generic in who calls it:

    D = TypeVar("D")

    class Apps(Namespace[D]):
        _root: "PlatformFlows"

        @flow
        def create(self, name: str) -> Flow[App]: ...

    class Groups(Generic[D]):
        @property
        def apps(self) -> Apps[D]:
            return Apps(self)

    class PlatformFlows(Groups[Flows], Flows): ...
    class Platform(Groups[Blocking], BlockingClient): ...
    class AsyncPlatform(Groups[Async], AsyncClient): ...

`Platform().apps.create("x")` is then an `App` and `AsyncPlatform().apps.create("x")` a coroutine of one, for people
and for type checkers; inside a flow it is `yield from self._root.apps.create("x")`.

A group holds nothing but its client and is made when it is asked for: an import in the property's body costs nobody
who does not use the group, a client and its groups are no cycle for the garbage collector, and copies of a client
(`with_options`, or one whose `flows` are those of a project) have groups of their own without doing anything for it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from tollkit.core.flows import Flow, Flows

__all__ = ["Namespace"]

D = TypeVar("D")


class Namespace(Flows, Generic[D]):
    """A group of flows. `D` is who calls it: `Blocking`, `Async`, or `Flows` inside a flow.

    Args:
        root: The client that the group is of, or, inside a flow, that client's flows. While a flow runs, `_root` is
            the flows: a subclass says of which class, and finds services and settings there.
    """

    def __init__(self, root: Any) -> None:
        self._root = root

    @property
    def bind_flow(self) -> Callable[[Callable[..., Flow[Any]]], Any] | None:
        """How `@flow` binds a method to the client; `None` inside a flow, where there is nothing to bind."""
        bind = getattr(self._root, "bind_flow", None)
        group: Callable[[Any], Namespace[Any]] = type(self)
        return None if bind is None else lambda fn: bind(_of_group(group, fn))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._root!r}>"


@functools.cache
def _of_group(group: Callable[[Flows], Namespace[Any]], fn: Callable[..., Flow[Any]]) -> Callable[..., Flow[Any]]:
    """A group's flow as a flow of the client: a client calls it with its own flows, it wants the group's."""

    @functools.wraps(fn)
    def of_client(flows: Flows, /, *args: Any, **kwargs: Any) -> Flow[Any]:
        return fn(group(flows), *args, **kwargs)

    return of_client
