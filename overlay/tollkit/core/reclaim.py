"""Takes back what a cancelled request of httpx has left behind in its pool.

httpcore 1.0 protects its cleaning up from the cancellations of anyio, and not from those of asyncio. When a task is
cancelled at one of a few moments, its connection belongs to nobody and is neither idle nor closed, or its request
stays in the pool for ever (encode/httpcore, issues 830 and 1093). Each takes a place of the pool until none is left;
then every request ends in a time-out. The frames that the cancellation has passed know the request and the pool.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

__all__ = ["reclaim"]


async def reclaim(cancelled: asyncio.CancelledError) -> None:
    """Remove the request that was cancelled from its pool, with the connection that it alone has used.

    Args:
        cancelled: As it was caught; another HTTP client's is left alone.
    """
    if "httpcore" not in sys.modules:
        return
    closing: list[Any] = []
    for pool, request in set(_passed(cancelled)):
        closing += _taken_back(pool, request)
    if closing:
        # a task of its own, which a second cancellation does not end
        await asyncio.shield(asyncio.ensure_future(_closed(closing)))


def _passed(cancelled: asyncio.CancelledError) -> Iterator[tuple[Any, Any]]:
    from httpcore import AsyncConnectionPool

    trace = cancelled.__traceback__
    while trace is not None:
        known = trace.tb_frame.f_locals
        trace = trace.tb_next
        owner: Any = known.get("self")
        if isinstance(owner, AsyncConnectionPool):
            yield owner, known.get("pool_request")
        elif isinstance(pool := getattr(owner, "_pool", None), AsyncConnectionPool):  # the body of an answer
            yield pool, getattr(owner, "_pool_request", None)


def _taken_back(pool: Any, request: Any) -> list[Any]:
    """The connections that are to be closed."""
    if request is None:
        return []
    closing: list[Any] = []
    if request in pool._requests:
        pool._requests.remove(request)
    connection = request.connection
    if connection in pool._connections and not any(one.connection is connection for one in pool._requests):
        usable = connection.is_idle() or connection.is_closed()
        if not usable:
            pool._connections.remove(connection)
            closing.append(connection)
    return closing + list(pool._assign_requests_to_connections())  # whoever waits for a place gets it


async def _closed(connections: list[Any]) -> None:
    await asyncio.gather(*(connection.aclose() for connection in connections), return_exceptions=True)
