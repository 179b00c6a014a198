"""Tokens under load: one renewal for everybody who needs it, no call that fails, no token that is over on its way."""

from __future__ import annotations

import asyncio
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from concurrency_leaks import TALLY, Pools, outcomes

from support.pymthouse import arguments
from tollkit import AsyncPymtHouse, Connection, PymtHouse
from tollkit.core.flows import Flow, Send, send
from tollkit.core.service import Service
from tollkit.core.token_cache import TokenCache
from tollkit.errors import ArgumentError
from tollkit.oidc import BearerCredentials
from tollkit.sandbox import PymtHouseSandbox, Sandbox
from tollkit_api.runtime import Operation, Request

LIFE = 900
"""Seconds that the sandbox's user tokens are good."""
SIGN = Operation(
    id="sign",
    method="POST",
    path="/api/signer/sign-orchestrator-info",
    security=(("bearer",),),
    idempotent=True,
    success=(200,),
    hints={},
)
TASKS = 1000
THREADS = 64


class UserTokens:
    """A source of one user's tokens, minted by PymtHouse and kept by the clock of the sandbox."""

    def __init__(self, flows: Any, clock: Callable[[], float], user: str = "alice") -> None:
        self.cache: TokenCache[Any] = TokenCache(lambda minted: minted.expires_in, clock=clock)
        self._flows = flows
        self._user = user

    def access_token(self) -> Flow[str]:
        lease = yield from self.cache.get(self._user, lambda: self._flows.mint_user_access_token(self._user))
        return str.__str__(lease.token.access_token)

    def refused(self, access_token: str) -> None:
        self.cache.invalidate(lambda minted: minted.access_token == access_token)


class Signer:
    """Asks the signer's routes, which look at the token's end by the sandbox's clock."""

    def __init__(self, sandbox: Sandbox, client: Any, clock: Callable[[], float]) -> None:
        self.client = client
        self.tokens = UserTokens(client.flows, clock)
        self._service = Service(name="signer", base_url=sandbox.url, credentials=BearerCredentials(self.tokens))

    def ask(self) -> Any:
        """One call: an int for the blocking client, to be awaited of the async one."""
        request = Request(operation=SIGN, url=SIGN.path)
        return self.client.run(send(Send(request, lambda response: response.status_code, self._service)))


@pytest.fixture
def place(tollkit_sandbox: Sandbox) -> PymtHouseSandbox:
    """A user, a running signer, and a clock that stands still unless it is moved."""
    place = tollkit_sandbox.pymthouse
    place.seed_user("alice")
    place.signer_running = True
    tollkit_sandbox.clock.freeze()
    return place


@pytest.fixture
def counts(tollkit_sandbox: Sandbox) -> Callable[[], tuple[int, list[int | None]]]:
    """How many tokens were minted, and how the signer answered, since it was asked last."""
    requests = tollkit_sandbox.requests

    def told() -> tuple[int, list[int | None]]:
        minted = requests.count("POST */token")
        answers = [one.status for one in requests.matching("POST */sign-orchestrator-info")]
        requests.clear()
        return minted, answers

    return told


def test_1000_tasks_while_the_token_expires_again_and_again(
    tollkit_sandbox: Sandbox, place: PymtHouseSandbox, counts: Any, connection: Connection, pools: Pools
) -> None:
    clock = tollkit_sandbox.clock
    # few, since httpx looks at all that wait whenever a request comes or goes, for each of its connections
    few = attrs.evolve(connection, max_connections=8, max_keepalive_connections=8)

    async def main() -> None:
        async with AsyncPymtHouse(**arguments(place, connection=few, timeout=110)) as client:
            signer = Signer(tollkit_sandbox, client, clock.now)

            async def everybody(count: int) -> list[int]:
                TALLY["tasks"] += count
                return await asyncio.gather(*(signer.ask() for _ in range(count)))

            for moved, count in (
                (0, TASKS),  # nobody has a token
                (LIFE - 50, 100),  # it is good for a moment more, and somebody should renew it
                (LIFE + 1, 100),  # it is over
                (30 * 86_400, 100),  # the machine slept for a month
            ):
                clock.advance(moved)
                assert await everybody(count) == [200] * count
                assert counts() == (1, [200] * count)
            assert await everybody(100) == [200] * 100
            assert counts() == (0, [200] * 100)
            assert pools.leaks() == []

    asyncio.run(main())


def test_64_threads_while_the_token_expires_again_and_again(
    tollkit_sandbox: Sandbox, place: PymtHouseSandbox, counts: Any, connection: Connection
) -> None:
    clock = tollkit_sandbox.clock
    with PymtHouse(**arguments(place, connection=connection)) as client:
        signer = Signer(tollkit_sandbox, client, clock.now)
        for moved in (0, LIFE - 50, LIFE + 1, LIFE - 50, 7 * 86_400):
            clock.advance(moved)
            assert outcomes(THREADS, lambda _: signer.ask()) == [200] * THREADS
            assert counts() == (1, [200] * THREADS)


def test_a_token_that_ends_while_requests_are_on_their_way(
    tollkit_sandbox: Sandbox, place: PymtHouseSandbox, counts: Any, connection: Connection
) -> None:
    """The server's clock is ahead: all are refused with the same token, which is replaced once, and all succeed."""
    with PymtHouse(**arguments(place, connection=connection)) as client:
        signer = Signer(tollkit_sandbox, client, lambda: 0.0)
        assert signer.ask() == 200
        assert counts() == (1, [200])
        for _ in range(3):
            tollkit_sandbox.clock.advance(LIFE + 1)
            assert outcomes(THREADS, lambda _: signer.ask()) == [200] * THREADS
            minted, answers = counts()
            assert minted == 1
            assert answers.count(200) == THREADS
            assert 1 <= answers.count(401) <= THREADS
            assert set(answers) == {200, 401}


# --- many users ------------------------------------------------------------------------------------------------


class Store:
    """A cache with a token for each user, which costs nothing to fetch."""

    def __init__(self, *, lifetime: float = 900.0, **options: Any) -> None:
        self.now = 0.0
        self.fetched = 0
        self.cache: TokenCache[str] = TokenCache(lambda _: lifetime, clock=lambda: self.now, **options)

    def get(self, user: object) -> str:
        steps = self.cache.get(user, self._fetch)
        value: Any = None
        try:
            while True:
                effect: Any = steps.send(value)
                value = _done(effect.start())
        except StopIteration as stop:
            return str(stop.value.token)

    def _fetch(self) -> Flow[str]:
        self.fetched += 1
        yield from ()
        return f"{self.fetched:040d}"


def _done(flow: Iterator[Any]) -> Any:
    try:
        next(flow)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


def test_what_is_over_is_dropped_as_new_tokens_come() -> None:
    """100,000 users come by, a few hundred at a time: what is kept is what is good."""
    store = Store()
    most = 0
    for number in range(100_000):
        store.now += 900 / 400  # four hundred are good at a time
        store.get(number)
        most = max(most, len(store.cache._leases))
    assert store.fetched == 100_000
    assert most <= 2 * 400 + 64


def test_100000_users_at_once_take_bounded_memory() -> None:
    store = Store()
    for number in range(80_000):
        store.get(number)
    tracemalloc.start()
    try:
        for number in range(80_000, 100_000):
            store.get(number)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(store.cache._leases) == 10_000
    # the 10,000 that were kept before were not traced, those that took their place are: some 400 bytes each
    assert grown < 10_000 * 1000
    assert sys.getsizeof(store.cache._leases) < 2_000_000
    for number in range(99_000, 100_000):
        store.get(number)
    assert store.fetched == 100_000, "the last ones are kept"
    store.get(0)
    assert store.fetched == 100_001, "the first ones are fetched again"


def test_whoever_was_renewed_last_is_kept_longest() -> None:
    store = Store(max_entries=2)
    store.get("a")
    store.get("b")
    store.now += 890  # stale
    store.get("a")
    store.get("c")
    assert list(store.cache._leases) == ["a", "c"]


@pytest.mark.parametrize("most", [0, -1])
def test_a_cache_keeps_at_least_one(most: int) -> None:
    with pytest.raises(ArgumentError, match="max_entries"):
        Store(max_entries=most)


def test_many_users_in_64_threads() -> None:
    """Threads that insert and drop at the same time lose nothing and never disagree."""
    store = Store(max_entries=500)
    turns = iter(range(THREADS))
    lock = threading.Lock()

    def one() -> int:
        with lock:
            mine = next(turns)
        return sum(len(store.get((mine, number))) for number in range(200))

    with_client: list[Any] = outcomes(THREADS, lambda _: one())
    assert with_client == [200 * 40] * THREADS
    assert store.fetched <= THREADS * 200
    assert len(store.cache._leases) == 500
    assert store.cache._flight._running == {}
