"""Tokens that are kept: fresh, stale, invalid, refused, and asked for by many at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.toy import BlockingSide, Side
from tollkit.core.flows import Flow, call
from tollkit.core.token_cache import Lease, TokenCache
from tollkit.errors import AuthenticationError, TransportError


class Issuer:
    """Gives tokens that are good for `lifetime` seconds of its clock; raises `error` when there is one."""

    def __init__(self, lifetime: float | None = 1000.0) -> None:
        self.now = 50.0
        self.given = 0
        self.error: Exception | None = None
        self.while_fetching: Callable[[], Any] = lambda: None
        self.tokens: TokenCache[str] = TokenCache(lambda token: lifetime, clock=lambda: self.now)

    def fetch(self) -> Flow[str]:
        yield from call("given", self.while_fetching)
        if self.error:
            raise self.error
        self.given += 1
        return f"token {self.given}"

    def get(self, *, key: str = "key", force: bool = False) -> Callable[[Any], Flow[Lease[str]]]:
        return lambda flows: self.tokens.get(key, self.fetch, force=force)


class Asks:
    """Calls the cache as a client does."""

    def __init__(self, side: Side, toy: Any, issuer: Issuer) -> None:
        self._side = side
        self._toy = toy
        self._issuer = issuer

    def __call__(self, **how: Any) -> str:
        lease: Lease[str] = self._side.do(self._toy.perform(self._issuer.get(**how)))
        return lease.token


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def ask(side: Side, issuer: Issuer) -> Any:
    with side.client("http://h") as toy:
        yield Asks(side, toy, issuer)


def test_a_fresh_token_is_kept(ask: Asks, issuer: Issuer) -> None:
    assert ask() == "token 1"
    issuer.now += 939.9
    assert ask() == "token 1"
    assert issuer.given == 1


def test_a_stale_token_is_renewed(ask: Asks, issuer: Issuer) -> None:
    ask()
    issuer.now += 940
    assert ask() == "token 2"
    assert ask() == "token 2"


def test_keys_have_tokens_of_their_own(ask: Asks) -> None:
    assert [ask(key="a"), ask(key="b"), ask(key="a")] == ["token 1", "token 2", "token 1"]


def test_a_new_token_can_be_asked_for(ask: Asks) -> None:
    ask()
    assert ask(force=True) == "token 2"
    assert ask() == "token 2"


def test_a_stale_token_serves_when_it_cannot_be_renewed(
    ask: Asks, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    ask()
    issuer.now += 940
    issuer.error = TransportError("down")
    with caplog.at_level(logging.WARNING, "tollkit.tokens"):
        assert ask() == "token 1"
    assert "good for 55 s more" in caplog.text
    assert "token 1" not in caplog.text


def test_after_a_failed_renewal_there_is_a_pause(ask: Asks, issuer: Issuer) -> None:
    attempts: list[float] = []
    issuer.while_fetching = lambda: attempts.append(issuer.now)
    ask()
    issuer.now += 940
    issuer.error = TransportError("down")
    for _ in range(4):
        assert ask() == "token 1"
        issuer.now += 2
    assert attempts == [50.0, 990.0, 996.0], "at once, and after 5 s"
    issuer.error = None
    issuer.now += 5
    assert ask() == "token 2"


def test_near_its_end_a_token_is_not_used_any_more(ask: Asks, issuer: Issuer) -> None:
    ask()
    issuer.now += 995
    issuer.error = AuthenticationError("refused", status=401)
    with pytest.raises(AuthenticationError):
        ask()
    issuer.error = None
    assert ask() == "token 2"


def test_the_pause_does_not_go_beyond_the_end(ask: Asks, issuer: Issuer) -> None:
    ask()
    issuer.now += 994
    issuer.error = TransportError("down")
    assert ask() == "token 1"
    issuer.now += 1
    with pytest.raises(TransportError):
        ask()


def test_a_new_token_that_was_asked_for_is_not_replaced_by_an_old_one(ask: Asks, issuer: Issuer) -> None:
    ask()
    issuer.error = TransportError("down")
    with pytest.raises(TransportError):
        ask(force=True)
    assert ask() == "token 1", "which is still there for others"


def test_an_error_that_is_not_ours_comes_out(ask: Asks, issuer: Issuer) -> None:
    ask()
    issuer.now += 940
    issuer.error = KeyError("a bug")
    with pytest.raises(KeyError):
        ask()


def test_a_refused_token_is_forgotten_unless_it_has_been_replaced(ask: Asks, issuer: Issuer) -> None:
    assert ask() == "token 1"
    issuer.tokens.invalidate(lambda token: token == "another")
    assert ask() == "token 1"
    issuer.tokens.invalidate(lambda token: token == "token 1")
    assert ask() == "token 2"
    issuer.tokens.invalidate(lambda token: token == "token 1")
    assert ask() == "token 2"


def test_all_can_be_forgotten(ask: Asks, issuer: Issuer) -> None:
    ask()
    issuer.tokens.clear()
    assert ask() == "token 2"


def test_a_token_refused_while_it_is_renewed_is_not_kept_by_a_failure(ask: Asks, issuer: Issuer) -> None:
    ask()
    issuer.now += 940
    issuer.error = TransportError("down")
    issuer.while_fetching = issuer.tokens.clear
    assert ask() == "token 1", "this caller had it already"
    issuer.error = None
    issuer.while_fetching = lambda: None
    assert ask() == "token 2"


def test_a_token_of_unknown_lifetime_is_kept_for_five_minutes(side: Side) -> None:
    issuer = Issuer(lifetime=None)
    with side.client("http://h") as toy:
        ask = Asks(side, toy, issuer)
        ask()
        issuer.now += 239
        assert ask() == "token 1"
        issuer.now += 1
        assert ask() == "token 2"


@pytest.mark.parametrize("lifetime", [0.0, -5.0])
def test_a_token_that_is_over_when_it_comes_serves_once(side: Side, lifetime: float) -> None:
    issuer = Issuer(lifetime=lifetime)
    with side.client("http://h") as toy:
        ask = Asks(side, toy, issuer)
        assert [ask(), ask()] == ["token 1", "token 2"]


@given(st.floats(0.001, 1e9))
def test_the_times_of_a_lease_are_in_order(lifetime: float) -> None:
    issuer = Issuer(lifetime=lifetime)
    side = BlockingSide()
    with side.client("http://h") as toy:
        lease: Lease[str] = toy.perform(issuer.get())
    assert lease.taken_at == 50.0
    assert lease.taken_at <= lease.renew_at <= lease.end <= 50.0 + lifetime
    assert lease.end - lease.renew_at <= 60


def in_threads(count: int, do: Callable[[], Any]) -> list[Any]:
    found: list[Any] = []
    gate = threading.Barrier(count, timeout=20)

    def one() -> None:
        gate.wait()
        found.append(do())

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_many_threads_get_one_token(issuer: Issuer) -> None:
    side = BlockingSide()
    with side.client("http://h") as toy:
        ask = Asks(side, toy, issuer)
        assert in_threads(32, ask) == ["token 1"] * 32
        issuer.now += 996  # over
        assert in_threads(32, ask) == ["token 2"] * 32
    assert issuer.given == 2


def test_while_one_renews_the_others_use_the_old_one(issuer: Issuer) -> None:
    side = BlockingSide()
    fetching, release = threading.Event(), threading.Event()
    renewed: list[str] = []

    def slowly() -> None:
        fetching.set()
        assert release.wait(20)

    with side.client("http://h") as toy:
        ask = Asks(side, toy, issuer)
        ask()
        issuer.now += 940
        issuer.while_fetching = slowly
        leader = threading.Thread(target=lambda: renewed.append(ask()))
        leader.start()
        assert fetching.wait(20)
        assert in_threads(8, ask) == ["token 1"] * 8
        release.set()
        leader.join()
    assert renewed == ["token 2"]


def test_a_token_renewed_between_look_and_turn_is_taken(issuer: Issuer) -> None:
    """Two callers see no token; the second gets its turn when the first is done."""
    looked = issuer.tokens.get("key", issuer.fetch)
    effect: Any = next(looked)
    side = BlockingSide()
    with side.client("http://h") as toy:
        ask = Asks(side, toy, issuer)
        assert ask() == "token 1"
        lease: Lease[str] = toy.perform(lambda flows: effect.start())
    looked.close()
    assert lease.token == "token 1"
    assert issuer.given == 1
