"""The small pools of an async client without the engine: as few as needed, never more places than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from support.server import Answer, Hold, Server
from support.toy import AsyncToy
from tollkit.core.pools import SIZE, Pool, Pools, PoolTimeout
from tollkit.core.settings import Connection
from tollkit.errors import RequestTimeoutError

Made = list[tuple[int, int]]


def run(test: Callable[[Callable[..., Pools[int]], Made], Coroutine[Any, Any, None]]) -> Made:
    """Run a test in an event loop; the sizes of the pools that it made."""
    made: Made = []

    def make(size: int, idle: int) -> int:
        made.append((size, idle))
        return len(made)

    def pools(*arguments: Any, **named: Any) -> Pools[int]:
        return Pools(make, *arguments, **named)

    asyncio.run(test(pools, made))
    return made


def test_one_after_the_other_needs_one_pool() -> None:
    async def main(pools: Callable[..., Pools[int]], made: Made) -> None:
        of = pools(20, 20)
        for _ in range(50):
            of.give(await of.take(1))

    assert run(main) == [(SIZE, SIZE)]


def test_all_places_are_there_and_no_more() -> None:
    async def main(pools: Callable[..., Pools[int]], made: Made) -> None:
        of = pools(20, 10)
        taken = [await of.take(1) for _ in range(20)]
        assert [pool.client for pool in taken] == [1] * 8 + [2] * 8 + [3] * 4
        with pytest.raises(PoolTimeout):
            await of.take(0.001)
        of.give(taken[3])
        assert (await of.take(None)).client == 1
        for pool in taken[:-1]:
            of.give(pool)
        assert [pool.busy for pool in of.pools] == [0, 0, 1]

    assert run(main) == [(8, 8), (8, 2), (4, 0)]


def test_who_waits_gets_the_place_that_gets_free() -> None:
    async def main(pools: Callable[..., Pools[int]], made: Made) -> None:
        of = pools(1, 1)
        first = await of.take(1)
        order: list[int] = []

        async def wait(number: int) -> None:
            pool = await of.take(60)
            order.append(number)
            of.give(pool)

        waiting = [asyncio.ensure_future(wait(number)) for number in range(5)]
        await asyncio.sleep(0)
        waiting[2].cancel()
        await asyncio.sleep(0)
        of.give(first)
        await asyncio.gather(*waiting, return_exceptions=True)
        assert order == [0, 1, 3, 4]
        assert of.pools[0].busy == 0

    run(main)


def test_a_pool_that_cannot_be_made_takes_no_place() -> None:
    async def main() -> None:
        def make(size: int, idle: int) -> int:
            if len(made) == 1:
                raise ValueError("no")
            made.append(size)
            return 1

        made: list[int] = []
        of = Pools(make, 9, 9)
        taken: list[Pool[int]] = [await of.take(1) for _ in range(8)]
        for _ in range(2):
            with pytest.raises(ValueError, match="no"):
                await of.take(1)
        of.give(taken[0])
        assert (await of.take(1)).client == 1

    asyncio.run(main())


def test_connections_that_carry_many_requests_are_of_one_pool() -> None:
    async def main(pools: Callable[..., Pools[int]], made: Made) -> None:
        of = pools(20, 10, streams=3)
        assert {(await of.take(1)).client for _ in range(60)} == {1}
        with pytest.raises(PoolTimeout):
            await of.take(0.001)

    assert run(main) == [(20, 10)]


def test_as_many_connections_as_allowed() -> None:
    async def main(url: str) -> None:
        connection = Connection(engine="httpx", max_connections=11)
        async with AsyncToy(url, connection=connection) as toy:
            assert sum(await asyncio.gather(*(toy.ask() for _ in range(200)))) == 200

    with Server(default=Answer.json(1)) as server:
        asyncio.run(main(server.url))
        assert server.accepted == 11
        server.wait_closed()


def test_no_place_in_time() -> None:
    async def main(server: Server, held: Hold) -> None:
        connection = Connection(engine="httpx", max_connections=1)
        async with AsyncToy(server.url, connection=connection, max_retries=0) as toy:
            first = asyncio.ensure_future(toy.ask())
            await asyncio.to_thread(server.wait_for, 1)
            with pytest.raises(RequestTimeoutError, match="No connection in time") as caught:
                await toy.with_options(timeout=0.05).ask()
            assert caught.value.safe_to_retry
            held.release.set()
            await first

    held = Hold()
    with Server(held) as server:
        asyncio.run(main(server, held))
        assert len(server.seen) == 1
