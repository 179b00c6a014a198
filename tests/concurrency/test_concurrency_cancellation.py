"""Cancellation at every await of what the async clients do: nothing is left over, and the next call works."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import urllib.request
from typing import Any

import pytest
from concurrency_bench import Bench
from concurrency_cancelling import Moment, Outcome
from concurrency_leaks import until

from support.pymthouse import arguments
from support.tokenite import arguments as tokenite_arguments
from tollkit import AsyncPymtHouse, AsyncTokenite
from tollkit.core.etag_store import SqliteEtagStore
from tollkit.oidc import AsyncOidcClient, FileTokenStore, TokenSession
from tollkit.pymthouse import AsyncManifestCache
from tollkit.sandbox import Person
from tollkit.tokenite import login_local_async

# --- PymtHouse -------------------------------------------------------------------------------------------------


def pymthouse(bench: Bench, **changes: Any) -> Any:
    return bench.client(
        AsyncPymtHouse, **{**arguments(bench.sandbox.pymthouse), "connection": bench.connection, **changes}
    )


def test_usage_of_a_user(bench: Bench, moment: Moment) -> None:
    bench.sandbox.pymthouse.demo_data()

    async def again(client: Any, _: Outcome) -> None:
        assert (await client.get_usage()).totals is not None

    def begin(client: Any) -> Any:
        return client.fetch_usage_for_external_user("alice")

    assert bench.run(moment, lambda: pymthouse(bench), begin, again) >= 2


def test_a_signer_session(bench: Bench, moment: Moment) -> None:
    bench.sandbox.pymthouse.seed_user("alice")

    async def again(client: Any, _: Outcome) -> None:
        assert (await client.mint_user_signer_session_token("alice")).access_token

    bench.run(moment, lambda: pymthouse(bench), lambda client: client.mint_user_signer_session_token("alice"), again)


def test_a_machine_token_of_one_who_leads(bench: Bench, moment: Moment) -> None:
    """A caller who gives up does not end the fetch, so that the next one finds the token: one request for both."""
    requests = bench.sandbox.requests

    async def again(client: Any, _: Outcome) -> None:
        before = requests.count("POST */token")
        assert before <= 1
        assert (await client.issue_machine_access_token()).access_token
        assert requests.count("POST */token") == 1
        requests.clear()

    bench.run(moment, lambda: pymthouse(bench), lambda client: client.issue_machine_access_token(), again)


def test_a_machine_token_of_one_who_follows(bench: Bench, moment: Moment) -> None:
    requests = bench.sandbox.requests

    async def follow(client: Any) -> Any:
        leader = asyncio.ensure_future(client.issue_machine_access_token())
        await asyncio.sleep(0)  # so that it leads
        try:
            return await client.issue_machine_access_token()
        finally:
            client.led = leader

    async def again(client: Any, outcome: Outcome) -> None:
        if hasattr(client, "led"):
            token = await client.led
            assert requests.count("POST */token") == 1
            assert (await client.issue_machine_access_token()).access_token == token.access_token
            if not outcome.cancelled:
                assert outcome.result.access_token == token.access_token
        requests.clear()

    bench.run(moment, lambda: pymthouse(bench), follow, again)


def test_a_device_login(bench: Bench, moment: Moment, naps: list[float]) -> None:
    place = bench.sandbox.pymthouse
    place.seed_user("alice")

    def begin(client: Any) -> Any:
        return client.poll_device_token(lambda shown: place.approve_device(shown.user_code) and None)

    async def again(client: Any, _: Outcome) -> None:
        assert (await begin(client)).access_token

    bench.run(moment, lambda: pymthouse(bench), begin, again)


def test_the_cache_of_manifests(bench: Bench, moment: Moment) -> None:
    bench.allowed_files = {"etags.sqlite3", "etags.sqlite3-wal", "etags.sqlite3-shm"}
    store = SqliteEtagStore(bench.folder / "etags.sqlite3")

    def prepare() -> Any:
        return AsyncManifestCache(pymthouse(bench), store, fresh_for=0)

    async def again(cache: Any, _: Outcome) -> None:
        assert not (await cache.get()).stale
        await cache.clear()

    bench.run(moment, prepare, lambda cache: cache.get(), again)


def test_a_token_is_verified(bench: Bench, moment: Moment) -> None:
    place = bench.sandbox.pymthouse
    place.seed_user("alice")
    tokens: list[str] = []

    async def verify(client: Any) -> Any:
        if not tokens:
            tokens.append((await client.mint_user_access_token("alice")).access_token)
        return await client.verify_access_token(tokens[0], accept_user_tokens=True)

    async def again(client: Any, _: Outcome) -> None:
        assert (await verify(client)).client_id

    bench.run(moment, lambda: pymthouse(bench), verify, again)


def test_a_session_whose_refresh_tokens_rotate(bench: Bench, moment: Moment) -> None:
    """A refresh token can be used once: whoever is cancelled must not lose the one that came in its place."""
    bench.allowed_files = {"tokens.json", "tokens.json.lock"}
    place = bench.sandbox.pymthouse
    place.seed_user("alice")
    login: list[Any] = []
    sessions: list[TokenSession] = []

    def prepare() -> Any:
        return bench.client(
            AsyncOidcClient,
            issuer=place.issuer_url,
            client_id=place.public_client_id,
            auth="none",
            allow_insecure_http=True,
        )

    async def refresh(client: Any) -> Any:
        if not login:
            login.append(
                await client.device_login(
                    lambda shown: place.approve_device(shown.user_code) and None,
                    scope="openid offline_access sign:job",
                )
            )
            sessions.append(TokenSession(client.flows, FileTokenStore(bench.folder / "tokens.json"), tokens=login[0]))
        return await client.run(sessions[0].tokens(force=True))

    async def again(client: Any, _: Outcome) -> None:
        if sessions:
            assert (await client.run(sessions[0].tokens(force=True))).access_token

    bench.run(moment, prepare, refresh, again)


# --- Tokenite --------------------------------------------------------------------------------------------------


def tokenite(bench: Bench) -> Any:
    place = bench.sandbox.tokenite
    return bench.client(AsyncTokenite, **{**tokenite_arguments(place), "connection": bench.connection})


def test_a_call_through_the_proxy(bench: Bench, moment: Moment) -> None:
    place = bench.sandbox.tokenite
    place.seed_user("ada@example.com", providers=["openai"])
    token = place.grant("ada@example.com", budget=1000)
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}

    def begin(client: Any) -> Any:
        return client.call(token, "openai", "/v1/chat/completions", body)

    async def again(client: Any, _: Outcome) -> None:
        assert (await begin(client)).ok

    bench.run(moment, lambda: tokenite(bench), begin, again)


def test_a_sign_in_on_this_machine(bench: Bench, moment: Moment) -> None:
    """The port, its server's thread and the browser's connection end with the call, wherever it is cancelled."""

    def visit(url: str) -> bool:
        back = Person().approve(url)
        with contextlib.suppress(OSError):  # nobody listens any more
            urllib.request.urlopen(back, timeout=20).close()
        return True

    def ours() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("tokenite-")]

    def begin(client: Any) -> Any:
        return login_local_async(client, open_browser=visit, on_url=lambda _: None, timeout=20)

    async def again(client: Any, outcome: Outcome) -> None:
        await asyncio.to_thread(until, ours, [], "threads of the sign-in")
        if not outcome.cancelled:
            assert (await begin(client)).access_token
            await asyncio.to_thread(until, ours, [], "threads of the sign-in")

    bench.run(moment, lambda: tokenite(bench), begin, again)


@pytest.mark.parametrize("again_at", [1, 2, 3])
def test_a_second_cancellation_while_the_first_cleans_up(bench: Bench, moment: Moment, again_at: int) -> None:
    """Whoever is impatient cancels twice: what the first cancellation gave back stays given back."""

    async def twice(client: Any) -> Any:
        inner = asyncio.ensure_future(client.get_app())
        try:
            return await asyncio.shield(inner)
        finally:
            inner.cancel()
            for _ in range(again_at):
                await asyncio.sleep(0)
            inner.cancel()
            await asyncio.wait({inner})

    async def again(client: Any, _: Outcome) -> None:
        assert await client.get_app() is not None

    bench.run(moment, lambda: pymthouse(bench), twice, again)
