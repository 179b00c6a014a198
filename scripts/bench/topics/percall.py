"""CPU of one call: against bare httpx, a stock generated package and two well-known SDKs on an equal request."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import openai
import stripe
from scripts.bench import peers
from scripts.bench.figures import Aim, Figure, ratio_of
from scripts.bench.measure import Compared, Loop, Sizes, Work, medians, repeated

from tollkit import AsyncPymtHouse, Connection, PymtHouse
from tollkit.core.credentials import basic_header
from tollkit.run402 import AsyncRun402, MemoryCredentials, Run402

METHOD = (
    "CPU time of the client's process per call; the server is another process, answers 300 bytes of JSON and keeps"
    " the connection; all clients take turns in each round; median of the rounds"
)
WAYS = {"blocking": "one after the other", "async": "32 in flight"}
AIMS: Mapping[tuple[str, str], Aim] = {
    ("httpx", "blocking"): ratio_of(1.10, "<= 1.10 of bare httpx"),
    ("httpx", "async"): ratio_of(1.10, "<= 1.10 of bare httpx"),
    ("aiohttp", "blocking"): ratio_of(0.60, "<= 0.60 of bare httpx"),
    ("aiohttp", "async"): ratio_of(0.20, "<= 0.20 of bare httpx"),
}
NAMES = {
    "httpx": "bare httpx",
    "stock": "stock generated package",
    "openai": "openai",
    "stripe": "stripe",
}
SLICES = 5
"""Rounds that each of the usual rounds is cut into."""
TWENTY = ratio_of(1.20, "<= 1.20 of bare httpx")


def engines() -> list[str]:
    """What tollkit may send with, here."""
    return ["httpx", "aiohttp"] if peers.fast() else ["httpx"]


def figures(sizes: Sizes) -> Iterator[Figure]:
    """Every client, blocking and async."""
    with peers.fixed_server() as origin:
        yield from _shown("blocking", _blocking(origin, sizes))
        yield from _shown("async", _async(origin, sizes))
        yield from _run402(origin, sizes)


def _shown(way: str, found: Compared) -> Iterator[Figure]:
    for engine in engines():
        ours = f"tollkit {engine}"
        for peer, name in NAMES.items():
            yield Figure(
                topic="percall",
                name=f"{way}.{engine}.{peer}",
                title=f"call, {WAYS[way]}" + (" (extra fast)" if engine == "aiohttp" else ""),
                unit="µs",
                ours=found[ours] * 1e6,
                peer_name=name,
                peer=found[peer] * 1e6,
                ratio=found.ratio(ours, peer),
                aim=AIMS[engine, way] if peer == "httpx" else None,
                method=METHOD,
            )


def _bare(origin: str) -> dict[str, Any]:
    """The request that tollkit sends, for httpx alone."""
    return {
        "url": f"{origin}/api/v1/apps/{peers.APP}/usage?groupBy=user",
        "headers": {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Authorization": str(basic_header(peers.M2M, peers.SECRET)),
        },
    }


def _per_call(works: Mapping[str, Callable[[int], Work]], sizes: Sizes, calls: int) -> Compared:
    """CPU seconds of one call of each, in many short rounds: the longer a round, the more the machine's pace changes
    while it lasts, and with it the quotient."""
    calls = max(1, calls // SLICES)
    found = medians({name: make(calls) for name, make in works.items()}, sizes.rounds * SLICES)
    return Compared([{name: seconds / calls for name, seconds in one.items()} for one in found.rounds])


def _blocking(origin: str, sizes: Sizes) -> Compared:
    stock = peers.stock_package()
    get_usage, by_user = stock.api.usage.get_usage, stock.models.UsageGroupBy.USER
    with contextlib.ExitStack() as stack:
        works: dict[str, Callable[[int], Work]] = {}

        def add(name: str, call: Callable[[], object]) -> None:
            works[name] = lambda times: repeated(call, times)

        for engine in engines():
            connection = Connection(engine=engine)  # type: ignore[arg-type]  # one of its names
            client = stack.enter_context(PymtHouse(**peers.settings(origin), connection=connection))
            add(f"tollkit {engine}", lambda client=client: client.get_usage(group_by="user"))  # type: ignore[misc]
        bare, request = stack.enter_context(httpx.Client()), _bare(origin)
        add("httpx", lambda: bare.get(**request).json())
        generated = stock.client.AuthenticatedClient(base_url=origin, token="bench", prefix="Basic")  # noqa: S106
        stack.enter_context(generated)
        add("stock", lambda: get_usage.sync(peers.APP, client=generated, group_by=by_user))
        of_openai = stack.enter_context(openai.OpenAI(api_key="bench", base_url=origin))
        add("openai", lambda: of_openai.models.retrieve("model"))
        http = stripe.RequestsClient()
        of_stripe = stripe.StripeClient("sk_bench", base_addresses={"api": origin}, http_client=http)
        add("stripe", lambda: of_stripe.v1.customers.retrieve("cus_1"))
        found = _per_call(works, sizes, sizes.calls)
        http.close()  # type: ignore[no-untyped-call]
        return found


def _async(origin: str, sizes: Sizes) -> Compared:
    stock = peers.stock_package()
    get_usage, by_user = stock.api.usage.get_usage, stock.models.UsageGroupBy.USER
    loop = Loop()
    works: dict[str, Callable[[int], Work]] = {}
    closers: list[Callable[[], Any]] = []

    def add(name: str, call: Callable[[], Any], close: Callable[[], Any]) -> None:
        async def one() -> None:
            await call()

        works[name] = lambda times: loop.flown(one, times)
        closers.append(close)

    try:
        for engine in engines():
            connection = Connection(engine=engine)  # type: ignore[arg-type]  # one of its names
            ours = AsyncPymtHouse(**peers.settings(origin), connection=connection)
            add(f"tollkit {engine}", lambda ours=ours: ours.get_usage(group_by="user"), ours.aclose)  # type: ignore[misc]
        bare, request = httpx.AsyncClient(), _bare(origin)

        async def bare_call() -> Any:
            return (await bare.get(**request)).json()

        add("httpx", bare_call, bare.aclose)
        generated = stock.client.AuthenticatedClient(base_url=origin, token="bench", prefix="Basic")  # noqa: S106
        add(
            "stock",
            lambda: get_usage.asyncio(peers.APP, client=generated, group_by=by_user),
            lambda: generated.get_async_httpx_client().aclose(),
        )
        of_openai = openai.AsyncOpenAI(api_key="bench", base_url=origin)
        add("openai", lambda: of_openai.models.retrieve("model"), of_openai.close)
        http = stripe.HTTPXClient()
        of_stripe = stripe.StripeClient("sk_bench", base_addresses={"api": origin}, http_client=http)
        add("stripe", lambda: of_stripe.v1.customers.retrieve_async("cus_1"), http.close_async)
        return _per_call(works, sizes, sizes.calls * 2)
    finally:
        for close in closers:
            loop.run(close())
        loop.close()


def _run402(origin: str, sizes: Sizes) -> Iterator[Figure]:
    """The same of Run402, whose calls have more to say: credentials by project, and payments."""

    def gateway() -> dict[str, Any]:
        keys = MemoryCredentials({"prj_1": {"anon_key": "anon", "service_key": peers.SECRET}})
        connection = Connection(engine="httpx")
        return {
            "api_base": origin, "credentials": keys, "allow_insecure_http": True, "connection": connection,
        }  # fmt: skip

    url, headers = f"{origin}/projects/v1/admin/prj_1/usage", {"Authorization": f"Bearer {peers.SECRET}"}
    with Run402(**gateway()) as client, httpx.Client() as bare:
        project = client.project("prj_1")
        found = _per_call(
            {
                "client": lambda times: repeated(lambda: client.projects.get_usage("prj_1"), times),
                "project": lambda times: repeated(project.projects.get_usage, times),
                "httpx": lambda times: repeated(lambda: bare.get(url, headers=headers).json(), times),
            },
            sizes,
            sizes.calls,
        )
    for name, title in (("client", "Run402"), ("project", "Run402 in a project")):
        yield _of_run402(name, f"{title}: call, one after the other", found)
    loop = Loop()
    flying, bare_async = AsyncRun402(**gateway()), httpx.AsyncClient()

    async def bare_call() -> None:
        (await bare_async.get(url, headers=headers)).json()

    async def call() -> None:
        await flying.projects.get_usage("prj_1")

    works: dict[str, Callable[[int], Work]] = {
        "async": lambda times: loop.flown(call, times),
        "httpx": lambda times: loop.flown(bare_call, times),
    }
    try:
        found = _per_call(works, sizes, sizes.calls * 2)
    finally:
        loop.run(flying.aclose())
        loop.run(bare_async.aclose())
        loop.close()
    yield _of_run402("async", "Run402: call, 32 in flight", found)


def _of_run402(name: str, title: str, found: Compared) -> Figure:
    return Figure(
        topic="percall",
        name=f"run402.{name}",
        title=title,
        unit="µs",
        ours=found[name] * 1e6,
        peer_name=NAMES["httpx"],
        peer=found["httpx"] * 1e6,
        ratio=found.ratio(name, "httpx"),
        aim=TWENTY,
        method=METHOD,
    )
