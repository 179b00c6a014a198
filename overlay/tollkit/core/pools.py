"""Spreads the requests of an async client over several small pools of httpx.

For each request that comes or goes, httpcore looks at every connection of its pool and at every request that waits
for one. That costs the square of what is under way: 1,000 tasks on 100 connections took a minute. In pools of eight,
with those who wait kept outside, it costs the same for each request however many there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

__all__ = ["SIZE", "Pool", "PoolTimeout", "Pools"]

C = TypeVar("C")
SIZE = 8
"""Connections of one pool."""


class PoolTimeout(Exception):
    """No free connection in time; `core.http.translate` goes by the name, which is that of httpx."""


@attrs.define(eq=False)
class Pool(Generic[C]):
    """One of the pools.

    Attributes:
        client: Its client.
        size: Requests at once at most.
        busy: Requests under way.
    """

    client: C
    size: int
    busy: int = 0


class Pools(Generic[C]):
    """Pools of one event loop, made when they are needed; the first that has a place serves.

    Args:
        make: Makes the client of a pool with so many connections, and so many idle ones kept.
        connections: Connections at most, of all pools.
        keepalive: Idle connections kept at most, of all pools.
        streams: Requests that one connection carries at once. When it is more than one, there is one pool, since
            the more connections there are, the less they are shared.
    """

    def __init__(self, make: Callable[[int, int], C], connections: int, keepalive: int, *, streams: int = 1) -> None:
        self._make = make
        self._left = connections
        self._idle = keepalive
        self._size = SIZE if streams == 1 else connections
        self._streams = streams
        self._free = asyncio.Semaphore(connections * streams)
        self.pools: list[Pool[C]] = []
        self._grow()

    def _grow(self) -> Pool[C]:
        size, idle = min(self._size, self._left), min(self._size, self._idle)
        self._left -= size
        self._idle -= idle
        made = Pool(self._make(size, idle), size * self._streams)
        self.pools.append(made)
        return made

    async def take(self, seconds: float | None) -> Pool[C]:
        """A pool that has a place; `give` it back.

        Args:
            seconds: How long to wait for one; `None` waits for ever.

        Raises:
            PoolTimeout: None got free in time.
        """
        if self._free.locked():
            try:
                async with asyncio.timeout(seconds):
                    await self._free.acquire()
            except TimeoutError:
                raise PoolTimeout("no free connection") from None
        else:
            await self._free.acquire()
        try:
            found = next((pool for pool in self.pools if pool.busy < pool.size), None) or self._grow()
        except BaseException:
            self._free.release()
            raise
        found.busy += 1
        return found

    def give(self, pool: Pool[C]) -> None:
        """The request is over."""
        pool.busy -= 1
        self._free.release()
