"""One client of each platform for a thousand tasks, for 64 threads, and for several event loops."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from typing import Any

import attrs
import pytest
from concurrency_leaks import TALLY, Pools, outcomes, sockets_to, threads, until

from support.pymthouse import arguments
from support.run402_wallet import KEY
from support.tokenite import arguments as tokenite_arguments
from tollkit import AsyncPymtHouse, AsyncTokenite, Connection, PymtHouse, Tokenite
from tollkit.core.flows import Flow, offload, share
from tollkit.core.single_flight import SingleFlight
from tollkit.run402 import AsyncRun402, PrivateKeySigner, Run402
from tollkit.run402.credentials import MemoryCredentials
from tollkit.sandbox import Sandbox

TASKS = 1000
THREADS = 64
CALLS = 5
PLACES = 8
"""Connections that a thousand tasks share. With more, httpx takes longer: its pool walks over all requests that wait,
and for each of them over all connections, whenever one comes or goes."""


class Platform(ABC):
    """A platform's clients, and one call of them."""

    def __init__(self, sandbox: Sandbox, connection: Connection) -> None:
        self.sandbox = sandbox
        self.connection = connection

    @abstractmethod
    def client(self, *, waits: bool) -> Any:
        """The async or the blocking client."""

    @abstractmethod
    def call(self, client: Any, number: int) -> Any:
        """One call; awaited of the async client."""

    @abstractmethod
    def good(self, found: Any, number: int) -> bool:
        """Whether it brought what belongs to this number and no other."""


class OfPymtHouse(Platform):
    def client(self, *, waits: bool) -> Any:
        given = arguments(self.sandbox.pymthouse, connection=self.connection)
        return AsyncPymtHouse(**given) if waits else PymtHouse(**given)

    def call(self, client: Any, number: int) -> Any:
        return client.upsert_app_user(f"user-{number}")

    def good(self, found: Any, number: int) -> bool:
        return bool(found.external_user_id == f"user-{number}")


class OfTokenite(Platform):
    def __init__(self, sandbox: Sandbox, connection: Connection) -> None:
        super().__init__(sandbox, connection)
        place = sandbox.tokenite
        self.tokens = [place.grant(f"user{number}@example.com") for number in range(8)]

    def client(self, *, waits: bool) -> Any:
        given = {**tokenite_arguments(self.sandbox.tokenite), "connection": self.connection}
        return AsyncTokenite(**given) if waits else Tokenite(**given)

    def call(self, client: Any, number: int) -> Any:
        return client.get_access_context(self.tokens[number % 8])

    def good(self, found: Any, number: int) -> bool:
        return bool(found.user.email == f"user{number % 8}@example.com")


class OfRun402(Platform):
    def __init__(self, sandbox: Sandbox, connection: Connection) -> None:
        super().__init__(sandbox, connection)
        self.project = sandbox.run402.seed_project()

    def client(self, *, waits: bool) -> Any:
        api_base = self.sandbox.run402.api_base
        keys = {self.project.id: {"anon_key": self.project.anon_key, "service_key": self.project.service_key}}
        given: dict[str, Any] = {
            "api_base": api_base,
            "credentials": MemoryCredentials(keys, signer=PrivateKeySigner(KEY), api_base=api_base),
            "allow_insecure_http": True,
            "connection": self.connection,
        }
        return AsyncRun402(**given) if waits else Run402(**given)

    def call(self, client: Any, number: int) -> Any:
        return client.projects.sql(self.project.id, f"SELECT {number} AS number")

    def good(self, found: Any, number: int) -> bool:
        return bool(found.rows == [{"number": number}])


@pytest.fixture(params=[OfPymtHouse, OfTokenite, OfRun402], ids=["pymthouse", "tokenite", "run402"])
def platform(request: pytest.FixtureRequest, tollkit_sandbox: Sandbox, connection: Connection) -> Platform:
    made: Platform = request.param(tollkit_sandbox, connection)
    return made


def port(sandbox: Sandbox) -> int:
    return int(sandbox.url.rpartition(":")[2])


def test_1000_tasks_on_one_client(platform: Platform, pools: Pools) -> None:
    quick = platform.connection.engine != "httpx" or isinstance(platform, OfPymtHouse)
    tasks = TASKS if quick else TASKS // 4  # the time that httpx takes grows with the square
    platform.connection = attrs.evolve(platform.connection, max_connections=PLACES, max_keepalive_connections=PLACES)

    async def main() -> None:
        async with platform.client(waits=True) as client:
            patient = client.with_options(timeout=110)

            async def one(number: int) -> bool:
                return platform.good(await platform.call(patient, number), number)

            assert await asyncio.gather(*(one(number) for number in range(tasks))) == [True] * tasks
            assert len(asyncio.all_tasks()) == 1
            assert pools.leaks() == []
            assert sockets_to(port(platform.sandbox)) <= platform.connection.max_connections

    asyncio.run(main())
    TALLY["tasks"] += tasks
    until(lambda: sockets_to(port(platform.sandbox)), 0, "connections after")


def test_64_threads_on_one_client(platform: Platform, pools: Pools) -> None:
    before = threads()
    with platform.client(waits=False) as client:

        def one(number: int) -> bool:
            numbers = range(number * CALLS, (number + 1) * CALLS)
            return all(platform.good(platform.call(client, each), each) for each in numbers)

        assert outcomes(THREADS, one) == [True] * THREADS
        assert pools.leaks() == []
        assert sockets_to(port(platform.sandbox)) <= platform.connection.max_connections
    until(lambda: sockets_to(port(platform.sandbox)), 0, "connections after")
    until(lambda: threads() - before, set(), "threads after")


def test_one_event_loop_after_another(platform: Platform) -> None:
    client = platform.client(waits=True)

    async def use(number: int) -> bool:
        found = await asyncio.gather(*(platform.call(client, each) for each in range(number, number + 3)))
        return all(platform.good(one, number + at) for at, one in enumerate(found))

    for number in range(6):
        assert asyncio.run(use(number))
        until(lambda: sockets_to(port(platform.sandbox)), 0, "connections of a loop that has ended")
    assert len(client._connections._made) <= 1
    asyncio.run(client.aclose())
    TALLY["event loops"] += 7


def test_event_loops_in_threads_at_once(platform: Platform) -> None:
    client = platform.client(waits=True)

    async def use(number: int) -> bool:
        found = await asyncio.gather(*(platform.call(client, number * 10 + each) for each in range(5)))
        return all(platform.good(one, number * 10 + at) for at, one in enumerate(found))

    assert outcomes(8, lambda number: asyncio.run(use(number))) == [True] * 8
    until(lambda: sockets_to(port(platform.sandbox)), 0, "connections after")
    asyncio.run(client.aclose())
    TALLY["event loops"] += 9


def test_loops_and_threads_fetch_one_token(tollkit_sandbox: Sandbox, connection: Connection) -> None:
    """32 tasks in 8 loops, with one client: one request; and again when it is forced."""
    place = tollkit_sandbox.pymthouse
    client = AsyncPymtHouse(**arguments(place, connection=connection))
    requests = tollkit_sandbox.requests

    async def use() -> list[str]:
        tokens = await asyncio.gather(*(client.issue_machine_access_token() for _ in range(4)))
        return [str.__str__(token.access_token) for token in tokens]

    found = outcomes(8, lambda _: asyncio.run(use()))
    assert len({token for each in found for token in each}) == 1
    assert requests.count("POST */token") == 1
    assert requests.count("GET */.well-known/*") == 1
    assert client.flows._oidc.tokens._flight._running == {}
    asyncio.run(client.aclose())
    TALLY["event loops"] += 9


# --- leaders who go away ---------------------------------------------------------------------------------------


class Shared:
    """A flow that all share; its first run waits until it is let go."""

    def __init__(self) -> None:
        self.flight = SingleFlight()
        self.runs = 0
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def run(self) -> Flow[int]:
        self.runs += 1
        number = self.runs
        self.begun.set()
        if number == 1:
            yield from offload(lambda: self.go_on.wait(60))
        return number

    def flow(self) -> Flow[int]:
        return (yield from share(self.flight, "key", self.run))


@pytest.fixture
def shared() -> Any:
    made = Shared()
    yield made
    made.go_on.set()
    assert made.flight._running == {}


def abandoned(shared: Shared, client: Any) -> asyncio.AbstractEventLoop:
    """An event loop that was left with a leader in it, as `run_until_complete` with a time-out leaves it."""
    loop = asyncio.new_event_loop()

    async def main() -> None:
        task = asyncio.ensure_future(client.run(shared.flow()))
        await asyncio.to_thread(shared.begun.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    loop.run_until_complete(main())
    return loop


def ended(loop: asyncio.AbstractEventLoop, shared: Shared) -> None:
    """End a loop for good, with what was left in it."""
    shared.go_on.set()
    loop.run_until_complete(loop.shutdown_default_executor())
    while tasks := asyncio.all_tasks(loop):
        loop.run_until_complete(asyncio.gather(*tasks))
    loop.close()


def close_roughly(loop: asyncio.AbstractEventLoop) -> list[asyncio.Task[Any]]:
    """Close a loop with tasks in it; they are kept, so that nobody complains of them before the test does."""
    tasks = list(asyncio.all_tasks(loop))
    loop._default_executor.shutdown(wait=False)  # type: ignore[attr-defined]
    loop._default_executor = None  # type: ignore[attr-defined]
    loop.close()
    return tasks


@pytest.fixture
def client(tollkit_sandbox: Sandbox, connection: Connection) -> AsyncPymtHouse:
    return AsyncPymtHouse(**arguments(tollkit_sandbox.pymthouse, connection=connection))


def test_a_leader_whose_loop_stands_still(shared: Shared, client: AsyncPymtHouse) -> None:
    """A second loop of the same thread does not wait for the first, which cannot go on meanwhile."""
    loop = abandoned(shared, client)

    async def main() -> int:
        async with asyncio.timeout(60):
            return await client.run(shared.flow())

    assert asyncio.run(main()) == 2
    ended(loop, shared)


@pytest.mark.parametrize("follower", ["loop", "thread"])
def test_a_leader_whose_loop_was_closed(
    shared: Shared, client: AsyncPymtHouse, tollkit_sandbox: Sandbox, connection: Connection, follower: str
) -> None:
    """Whoever comes later takes the seat, and so does whoever waits already."""
    loop = abandoned(shared, client)
    waiting = threading.Event()
    found: list[int] = []
    take = shared.flight.take

    def taken(key: object) -> Any:
        seat = take(key)
        waiting.set()
        return seat

    shared.flight.take = taken  # type: ignore[method-assign]
    blocking = PymtHouse(**arguments(tollkit_sandbox.pymthouse, connection=connection))

    def follow() -> None:
        if follower == "loop":
            found.append(asyncio.run(client.run(shared.flow())))
        else:
            found.append(blocking.run(shared.flow()))

    thread = threading.Thread(target=follow)
    thread.start()
    assert waiting.wait(60)
    tasks = close_roughly(loop)
    assert blocking.run(shared.flow()) >= 2
    thread.join(60)
    assert not thread.is_alive(), "it waits for a leader who is gone"
    assert found
    assert found[0] >= 2
    assert shared.runs <= 3
    blocking.close()
    shared.go_on.set()
    _dispose(tasks)


def _dispose(tasks: list[asyncio.Task[Any]]) -> None:
    from tollkit.core import drivers

    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        drivers._leaders.discard(task)
        task.get_coro().close()


def test_a_follower_whose_loop_was_closed_disturbs_nobody(
    shared: Shared, client: AsyncPymtHouse, caplog: pytest.LogCaptureFixture
) -> None:
    """The leader lands when the loop of one who waited is gone: it is not told, and nobody complains."""
    found: list[int] = []
    leader = threading.Thread(target=lambda: found.append(asyncio.run(client.run(shared.flow()))))
    leader.start()
    assert shared.begun.wait(60)
    loop = asyncio.new_event_loop()

    async def main() -> None:
        task = asyncio.ensure_future(client.run(shared.flow()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    loop.run_until_complete(main())
    loop.close()
    shared.go_on.set()
    leader.join(60)
    assert found == [1]
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []
