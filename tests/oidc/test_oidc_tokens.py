"""Client-credentials tokens that are kept, bearer credentials over them, and sessions with refresh tokens."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.fake_provider import ISSUER, NOW, FakeProvider
from support.scripted_http import Clock, Reply, Sent
from tollkit.core import drivers
from tollkit.core.flows import Flow, Flows, Send, flow, send
from tollkit.core.service import Service
from tollkit.core.token_cache import TokenCache
from tollkit.errors import ConfigurationError, ConnectError, LocalError, MissingExtraError, OAuthError
from tollkit.oidc import (
    AsyncOidcClient,
    BearerCredentials,
    ClientCredentialsSource,
    FileTokenStore,
    LoginRequiredError,
    MemoryTokenStore,
    OidcClient,
    OidcFlows,
    TokenSession,
    TokenSet,
)
from tollkit_api.runtime import Operation, Request


class Tokens:
    """Answers of the token endpoint: a new token each time, good for `lifetime` seconds."""

    def __init__(self, lifetime: float | None = 3600) -> None:
        self.lifetime = lifetime
        self.given = 0
        self.before: Callable[[], None] = lambda: None
        self.failure: Reply | Exception | None = None
        self.lock = threading.Lock()

    def __call__(self, sent: Sent) -> Reply | Exception:
        self.before()
        if self.failure is not None:
            return self.failure
        with self.lock:
            self.given += 1
        lifetime = {} if self.lifetime is None else {"expires_in": self.lifetime}
        refresh = {"refresh_token": f"refresh-{self.given}"} if "refresh_token" in sent.form else {}
        return Reply.json({"access_token": f"access-{self.given}", "token_type": "Bearer", **lifetime, **refresh})


class Side:
    """A provider, its token endpoint, a clock, and flows of one client."""

    def __init__(self, lifetime: float | None = 3600) -> None:
        self.tokens = Tokens(lifetime)
        self.provider = FakeProvider(token=self.tokens)
        self.clock = Clock(0)
        self.flows = OidcFlows(
            issuer=ISSUER,
            client_id="app",
            client_secret="the-secret",
            clock=self.clock,
            now=lambda: NOW + self.clock.now,
        )
        self.client = OidcClient(
            ISSUER,
            "app",
            "the-secret",
            discovery=self.flows.discovery,
            tokens=self.flows.tokens,
            http_client=self.provider.script.client,
            max_retries=0,
        )
        self.client.flows = self.flows  # the one with the clock
        self.asynchronous = AsyncOidcClient(
            ISSUER, "app", http_client=self.provider.script.async_client, max_retries=0
        )
        self.asynchronous.flows = self.flows

    def token(self, **options: Any) -> str:
        return self.client.client_credentials(**options).access_token

    @property
    def requests(self) -> int:
        return len(self.provider.asked("/token"))


def test_fresh_stale_and_invalid(caplog: pytest.LogCaptureFixture) -> None:
    side = Side()
    assert side.token() == "access-1"
    side.clock.now = 3539
    assert side.token() == "access-1"
    assert side.client.client_credentials().expires_in == 61
    side.clock.now = 3541  # stale: renewed by whoever asks
    assert side.token() == "access-2"
    side.clock.now += 3550
    side.tokens.failure = Reply(503)
    assert side.token() == "access-2"  # stale, and it cannot be renewed
    assert "could not be renewed" in caplog.text
    asked = side.requests
    assert side.token() == "access-2"
    assert side.requests == asked  # not again at once
    side.clock.now += 6
    assert side.token() == "access-2"
    assert side.requests == asked + 1
    side.clock.now += 40
    with pytest.raises(Exception, match="conform"):
        side.token()
    side.tokens.failure = None
    assert side.token() == "access-3"


def test_stale_token_is_served_while_one_renews() -> None:
    side = Side()
    side.token()
    side.clock.now = 3550
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert go_on.wait(10)

    side.tokens.before = hold
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(side.token)
        assert begun.wait(10)
        assert [side.token() for _ in range(3)] == ["access-1"] * 3
        go_on.set()
        assert renewing.result() == "access-2"
    assert side.requests == 2


@pytest.mark.parametrize("lifetime", [0, 1, 10])
def test_short_lives(lifetime: float) -> None:
    side = Side(lifetime)
    assert side.client.client_credentials().expires_in == lifetime
    side.clock.now = lifetime * 0.74
    assert side.token() == ("access-1" if lifetime else "access-2")
    side.clock.now = lifetime * 0.96
    assert side.token() != "access-1"


def test_unknown_life() -> None:
    side = Side(None)
    assert side.client.client_credentials().expires_in is None
    side.clock.now = 239
    assert side.client.client_credentials().expires_in is None
    side.clock.now = 296
    assert side.token() == "access-2"


def test_what_makes_a_difference() -> None:
    side = Side()
    wanted: list[dict[str, Any]] = [
        {},
        {"scope": "a"},
        {"scope": "b"},
        {"resource": ["https://r"]},
        {"audience": "x"},
        {"audience": ["x", "y"]},
        {"extra": {"k": ["v"]}},
    ]
    assert len({side.token(**one) for one in wanted}) == len(wanted)
    assert len({side.token(**one) for one in wanted}) == len(wanted)
    assert side.requests == len(wanted)
    assert side.token(scope="a", force=True) == "access-8"


def test_refused_token_is_given_up_once() -> None:
    side = Side()
    side.token()
    side.client.forget_token("access-1")
    assert side.token() == "access-2"
    side.client.forget_token("access-1")  # somebody who is late
    assert side.token() == "access-2"
    side.client.tokens.clear()
    assert side.token() == "access-3"


def test_clients_share_a_cache_but_not_tokens() -> None:
    tokens: TokenCache[Any] = TokenCache(lambda token: token.expires_in)
    provider = FakeProvider(token=Tokens())
    one, two, again = (
        OidcClient(ISSUER, name, "secret", tokens=tokens, http_client=provider.script.client)
        for name in ("one", "two", "one")
    )
    assert one.client_credentials().access_token != two.client_credentials().access_token
    assert again.client_credentials().access_token == one.client_credentials().access_token


def test_whoever_comes_late_takes_what_is_there() -> None:
    side = Side()
    late = side.flows.client_credentials()
    effect = next(late)  # has seen that there is nothing, and would begin now
    assert side.token() == "access-1"
    assert side.client.run(effect.start()).token.access_token == "access-1"
    late_document = side.flows.discovery.load(force=True)
    effect = next(late_document)
    metadata = side.client.discover(force=True)
    assert side.client.run(effect.start()).value is metadata
    kept = session(side)
    side.clock.now = 4000
    opening = kept.tokens()
    late_session = opening.send(side.client.run(next(opening).start()))
    fresh = side.client.run(kept.tokens())
    assert side.client.run(late_session.start()) is fresh
    assert side.requests == 2


def test_cancelled_task_does_not_take_the_others_along() -> None:
    side = Side()

    async def main() -> list[Any]:
        first = asyncio.ensure_future(side.asynchronous.client_credentials())
        await asyncio.sleep(0)
        others = [asyncio.ensure_future(side.asynchronous.client_credentials()) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        return [tokens.access_token for tokens in await asyncio.gather(*others)]

    assert asyncio.run(main()) == ["access-1"] * 3
    assert side.requests == 1


def test_blocking_call_inside_a_task_does_not_wait_for_its_own_thread() -> None:
    side = Side()

    async def main() -> tuple[str, str]:
        first = asyncio.ensure_future(side.asynchronous.client_credentials())
        await asyncio.sleep(0)
        return side.token(), (await first).access_token

    inner, outer = asyncio.run(main())
    assert {inner, outer} <= {"access-1", "access-2"}


THING = Operation("getThing", "GET", "/thing", (("bearer",),), idempotent=True, success=(200,))
OPEN = Operation("getHealth", "GET", "/health", (), idempotent=True, success=(200,))


class _Things(Flows):
    def __init__(self, service: Service) -> None:
        self.service = service

    @flow
    def get(self, operation: Operation) -> Flow[int]:
        """Ask for something."""
        request = Request(operation=operation, url=operation.path)
        return (yield from send(Send(request, lambda response: response.status_code, self.service)))


def test_bearer_credentials_renew_once_after_a_401() -> None:
    side = Side()
    refused = {"Bearer access-1"}
    side.provider.answers["/thing"] = lambda sent: Reply(401 if sent.headers["authorization"] in refused else 200)
    side.provider.answers["/health"] = lambda sent: Reply(500 if "authorization" in sent.headers else 200)
    source = ClientCredentialsSource(side.flows, scope="things")
    things = _Things(Service(name="things", base_url=ISSUER, credentials=BearerCredentials(source)))
    assert side.client.run(things.get(OPEN)) == 200
    assert side.client.run(things.get(THING)) == 200
    assert [sent.headers["authorization"] for sent in side.provider.asked("/thing")] == [
        "Bearer access-1",
        "Bearer access-2",
    ]
    refused.update(f"Bearer access-{n}" for n in range(9))
    with pytest.raises(Exception, match="401"):
        side.client.run(things.get(THING))
    assert len(side.provider.asked("/thing")) == 4
    assert BearerCredentials(source).rejected(THING, {}) is False


# --- sessions -------------------------------------------------------------------------------------------


def session(side: Side, store: Any = None, **options: Any) -> TokenSession:
    start = TokenSet(
        access_token="access-0",
        expires_at=datetime.fromtimestamp(NOW + 3600, UTC),
        expires_in=3600,
        refresh_token="refresh-0",
        scope="a",
        id_token="id",
        **options,
    )
    if store is None:
        store = MemoryTokenStore(start)
    else:
        store.save(start)
    return TokenSession(side.flows, store)


def test_session_refreshes_in_time_and_keeps_the_newest_refresh_token() -> None:
    side = Side()
    kept = session(side)
    assert side.client.run(kept.access_token()) == "access-0"
    side.clock.now = 3541
    assert side.client.run(kept.access_token()) == "access-1"
    side.clock.now += 3541
    tokens = side.client.run(kept.tokens())
    assert (tokens.access_token, tokens.refresh_token, tokens.scope, tokens.id_token) == (
        "access-2",
        "refresh-2",
        "a",
        "id",
    )
    assert [sent.form["refresh_token"] for sent in side.provider.asked("/token")] == ["refresh-0", "refresh-1"]


def test_session_from_a_login() -> None:
    side = Side()
    login = side.client.refresh("from-elsewhere")
    store = MemoryTokenStore()
    kept = TokenSession(side.flows, store, tokens=login)
    assert side.client.run(kept.access_token()) == "access-1"
    assert store.load() == TokenSet.of(login, NOW)
    assert store.load().seconds_left(NOW) == 3600


def test_session_serves_the_old_token_while_it_is_good(caplog: pytest.LogCaptureFixture) -> None:
    side = Side()
    kept = session(side)
    side.clock.now = 3550
    side.tokens.failure = Reply(503)
    assert side.client.run(kept.access_token()) == "access-0"
    assert "could not be refreshed" in caplog.text
    side.clock.now = 3596
    with pytest.raises(Exception, match="conform"):
        side.client.run(kept.access_token())


def test_session_refreshes_once_for_all() -> None:
    side = Side()
    kept = session(side)
    side.clock.now = 4000
    gate = threading.Barrier(16)

    def one(_: int) -> str:
        gate.wait(10)
        return side.client.run(kept.access_token())

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(one, range(16))) == {"access-1"}
    assert side.requests == 1


def test_refused_session_token_is_refreshed() -> None:
    side = Side()
    kept = session(side)
    kept.refused("access-0")
    assert side.client.run(kept.access_token()) == "access-1"
    kept.refused("access-0")
    assert side.client.run(kept.access_token()) == "access-1"
    assert side.client.run(kept.tokens(force=True)).access_token == "access-2"


def test_dead_refresh_token() -> None:
    side = Side()
    side.tokens.failure = Reply.json({"error": "invalid_grant", "error_description": "revoked"}, 400)
    with pytest.raises(LoginRequiredError) as caught:
        side.client.run(session(side).tokens(force=True))
    assert (caught.value.error, caught.value.error_description) == ("invalid_grant", "revoked")
    assert "Log in again" in str(caught.value)
    assert "refresh-0" not in f"{caught.value.to_dict()}"
    assert side.requests == 1
    for nothing in (
        MemoryTokenStore(),
        MemoryTokenStore(TokenSet(access_token="a", expires_in=1, expires_at=datetime.fromtimestamp(1, UTC))),
    ):
        with pytest.raises(LoginRequiredError) as caught:
            side.client.run(TokenSession(side.flows, nothing).tokens())
        assert caught.value.code == "login_required"


def test_other_refusals_come_out_as_they_are() -> None:
    side = Side()
    side.tokens.failure = Reply.json({"error": "invalid_client"}, 401)
    with pytest.raises(OAuthError) as caught:
        side.client.run(session(side).tokens(force=True))
    assert not isinstance(caught.value, LoginRequiredError)


@pytest.mark.parametrize("theirs_is_good", [True, False])
def test_somebody_without_our_lock_was_faster(theirs_is_good: bool) -> None:
    side = Side()
    store = MemoryTokenStore()
    kept = session(side, store)
    theirs = TokenSet(
        access_token="theirs",
        refresh_token="their-refresh-token",
        expires_at=datetime.fromtimestamp(NOW + (9999 if theirs_is_good else -1), UTC),
        expires_in=3600,
    )

    def answer(sent: Sent) -> Reply | Exception:
        if sent.form["refresh_token"] == "refresh-0":
            store.save(theirs)
            return Reply.json({"error": "invalid_grant"}, 400)
        return side.tokens(sent)

    side.provider.answers["/token"] = answer
    found = side.client.run(kept.tokens(force=True))
    assert found.access_token == ("theirs" if theirs_is_good else "access-1")
    assert store.load() == found


def test_lock_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    side = Side()
    monkeypatch.setattr(drivers.time, "sleep", side.clock.sleep)
    store = MemoryTokenStore()
    kept = session(side, store)
    assert store.try_lock()
    with pytest.raises(LocalError) as caught:
        side.client.run(kept.tokens(force=True))
    assert caught.value.code == "token_store_busy"
    assert 59 < side.clock.now < 61
    store.unlock()
    assert side.client.run(kept.tokens(force=True)).access_token == "access-1"


def test_lock_is_given_back_when_the_refresh_fails() -> None:
    side = Side()
    store = MemoryTokenStore()
    kept = session(side, store)
    side.tokens.failure = httpx.ConnectError("x")
    with pytest.raises(ConnectError):
        side.client.run(kept.tokens(force=True))
    assert store.try_lock()


def test_cancelled_caller_does_not_lose_the_rotated_token() -> None:
    side = Side()
    store = MemoryTokenStore()
    kept = session(side, store)

    async def main() -> None:
        caller = asyncio.ensure_future(side.asynchronous.run(kept.tokens(force=True)))
        while not side.requests:
            await asyncio.sleep(0)
        caller.cancel()
        while store.load().refresh_token == "refresh-0":
            await asyncio.sleep(0.001)

    asyncio.run(main())
    assert store.load().refresh_token == "refresh-1"


def test_file_store(tmp_path: Path) -> None:
    side = Side()
    path = tmp_path / "new" / "tokens.json"
    store = FileTokenStore(path)
    assert store.load() is None
    kept = session(side, store)
    assert side.client.run(kept.tokens(force=True)) == FileTokenStore(path).load()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert json.loads(path.read_text())["refresh_token"] == "refresh-1"
    assert sorted(file.name for file in path.parent.iterdir()) in (
        ["tokens.json"],
        ["tokens.json", "tokens.json.lock"],
    )
    assert "refresh-1" not in repr(store) + repr(store.load()) + repr(kept)


def test_file_store_lock_holds_between_objects_and_threads(tmp_path: Path) -> None:
    one, two = FileTokenStore(tmp_path / "t"), FileTokenStore(tmp_path / "t")
    assert one.try_lock()
    assert not one.try_lock()
    assert not two.try_lock()
    unlocking = threading.Thread(target=one.unlock)
    unlocking.start()
    unlocking.join()
    assert two.try_lock()
    two.unlock()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"access_token": 5}',
        '{"access_token": "a", "expires_at": "x"}',
        '{"access_token": "a", "expires_at": "2026-01-01T00:00:00"}',
    ],
)
def test_file_that_holds_something_else(tmp_path: Path, content: str) -> None:
    (tmp_path / "t").write_text(content)
    with pytest.raises(ConfigurationError, match="holds no tokens"):
        FileTokenStore(tmp_path / "t").load()


def test_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileTokenStore(tmp_path / "t")
    store.save(TokenSet(access_token="old"))
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        store.save(TokenSet(access_token="new"))
    assert store.load().access_token == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["t"]


def test_without_filelock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "filelock", None)
    with pytest.raises(MissingExtraError, match="oidc"):
        FileTokenStore(tmp_path / "t")


def test_token_set_round_trip() -> None:
    full = TokenSet(
        access_token="a",
        expires_at=datetime.fromtimestamp(NOW, UTC),
        expires_in=5,
        refresh_token="r",
        scope="s",
        id_token="i",
    )
    assert TokenSet.from_dict(json.loads(json.dumps(full.to_dict()))) == full
    assert TokenSet.from_dict({"access_token": "a"}).seconds_left(0) == float("inf")
    assert TokenSet.from_dict({"access_token": "a"}).to_dict() == {"access_token": "a"}
    assert "'a'" not in repr(full)


def test_no_log_line_holds_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    side = Side()
    side.token(scope="x")
    side.client.run(session(side).tokens(force=True))
    side.clock.now = 3550
    side.tokens.failure = Reply.json({"error": "invalid_request", "error_description": "bad the-secret"}, 400)
    side.token(scope="x")
    assert caplog.records
    for secret in ("the-secret", "access-1", "refresh-0", "refresh-1", "Basic "):
        assert secret not in caplog.text
