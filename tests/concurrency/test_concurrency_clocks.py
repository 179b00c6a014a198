"""Clocks that jump forward and backward by hours: the wall's and the monotonic one, here and at the platform."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from support.pymthouse import arguments
from support.run402_wallet import ADDRESS, KEY
from tollkit import Connection, PymtHouse
from tollkit.core import answers
from tollkit.core.token_cache import TokenCache
from tollkit.oidc import FileTokenStore, MemoryTokenStore, OidcClient, TokenSession
from tollkit.pymthouse import ManifestCache
from tollkit.run402 import PrivateKeySigner, Run402
from tollkit.run402.credentials import MemoryCredentials
from tollkit.run402.errors import PaymentNotMadeError, Run402Error
from tollkit.run402.payments import MemoryJournal, SpendingPolicy, X402Payer
from tollkit.run402.siwx import LIFETIME, SiwxSigner
from tollkit.run402.x402 import BASE_SEPOLIA
from tollkit.sandbox import Fault, Run402Sandbox, Sandbox

HOUR = 3600.0
JUMPS = [-30 * 24 * HOUR, -5 * HOUR, 5 * HOUR, 30 * 24 * HOUR]


class Wall:
    """The time of day of this machine, which can be moved; what never goes back is left alone."""

    def __init__(self) -> None:
        self._real = time.time
        self.ahead = 0.0

    def __call__(self) -> float:
        return self._real() + self.ahead


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    """This machine's wall clock. The sandbox, which is another machine, keeps its own time."""
    made = Wall()
    real = time.time

    def told() -> float:
        caller = sys._getframe(1).f_globals.get("__name__", "")
        return made() if caller.startswith("tollkit.") and not caller.startswith("tollkit.sandbox") else real()

    monkeypatch.setattr(time, "time", told)
    return made


# --- PymtHouse -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", JUMPS)
def test_machine_tokens_and_discovery_do_not_look_at_the_wall_clock(
    wall: Wall, tollkit_sandbox: Sandbox, connection: Connection, jump: float
) -> None:
    requests = tollkit_sandbox.requests
    with PymtHouse(**arguments(tollkit_sandbox.pymthouse, connection=connection)) as client:
        token = client.issue_machine_access_token()
        wall.ahead = jump
        again = client.issue_machine_access_token()
    assert again.access_token == token.access_token
    assert again.expires_in is not None
    assert token.expires_in is not None
    assert 0 <= token.expires_in - again.expires_in <= 60
    assert requests.count("POST */token") == 1
    assert requests.count("GET */.well-known/*") == 1


@pytest.mark.parametrize("back", [1.0, 5 * HOUR])
def test_a_clock_that_goes_back_although_it_must_not_keeps_no_token_beyond_its_life(back: float) -> None:
    """By the cache's clock a token's life gets longer by the jump at most, and the next fetch puts it right."""
    now = 10 * HOUR
    fetched: list[float] = []

    def fetch() -> Any:
        fetched.append(now)
        yield from ()
        return "token"

    def get() -> str:
        steps = tokens.get("key", fetch)
        value: Any = None
        while True:
            try:
                effect: Any = steps.send(value)
            except StopIteration as stop:
                return str(stop.value.token)
            flow = effect.start()
            try:
                next(flow)
            except StopIteration as stop:
                value = stop.value

    tokens: TokenCache[str] = TokenCache(lambda _: 900.0, clock=lambda: now)
    get()
    now -= back
    get()
    assert len(fetched) == 1
    now += back + 901
    get()
    assert len(fetched) == 2
    get()
    assert len(fetched) == 2


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("stored", ["memory", "file"])
def test_a_session_outlives_the_jump(
    wall: Wall, tollkit_sandbox: Sandbox, connection: Connection, tmp_path: Path, jump: float, stored: str
) -> None:
    """Its times are the wall's, since processes share them. What a wrong clock keeps too long, a server refuses."""
    place = tollkit_sandbox.pymthouse
    place.seed_user("alice")
    store = MemoryTokenStore() if stored == "memory" else FileTokenStore(tmp_path / "tokens.json")
    with OidcClient(
        place.issuer_url, place.public_client_id, auth="none", allow_insecure_http=True, connection=connection
    ) as client:
        login = client.device_login(
            lambda shown: place.approve_device(shown.user_code) and None, scope="offline_access sign:job"
        )
        client.flows._now = wall
        session = TokenSession(client.flows, store, tokens=login)
        first = client.run(session.access_token())
        tollkit_sandbox.requests.clear()
        wall.ahead = jump
        second = client.run(session.access_token())
        assert tollkit_sandbox.requests.count("POST */token") == (1 if jump > 0 else 0)
        assert (second != first) == (jump > 0)
        session.refused(second)
        third = client.run(session.access_token())
        assert third != second
        assert client.run(session.access_token()) == third
        wall.ahead = 0.0
        assert client.run(session.access_token())


@pytest.mark.parametrize("jump", JUMPS)
def test_a_kept_manifest_is_asked_about_after_a_jump(
    wall: Wall, tollkit_sandbox: Sandbox, connection: Connection, jump: float
) -> None:
    requests = tollkit_sandbox.requests
    with PymtHouse(**arguments(tollkit_sandbox.pymthouse, connection=connection)) as client:
        cache = ManifestCache(client, clock=wall, fresh_for=60)
        first = cache.get()
        assert cache.get().manifest == first.manifest
        assert requests.count("GET */manifest") == 1
        wall.ahead = jump
        found = cache.get()
        assert requests.count("GET */manifest") == 2
        assert found.manifest == first.manifest
        assert 0 <= found.age < 60
        cache.get()
        assert requests.count("GET */manifest") == 2


@pytest.mark.parametrize("ahead", [-5 * HOUR, 0.0, 5 * HOUR])
def test_a_date_to_retry_at_counts_by_the_clock_of_who_wrote_it(wall: Wall, ahead: float) -> None:
    wall.ahead = ahead
    told = {"retry-after": "Sun, 22 Nov 2026 10:00:07 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}
    assert answers.retry_after(told) == 7.0
    assert answers.retry_after({**told, "date": "Sun, 22 Nov 2026 11:00:00 GMT"}) == 0.0
    assert answers.retry_after({**told, "date": "yesterday"}) is not None


@pytest.mark.parametrize("ahead", [-5 * HOUR, 5 * HOUR])
def test_a_server_with_another_clock_is_waited_for_as_long_as_it_says(
    wall: Wall, tollkit_sandbox: Sandbox, connection: Connection, naps: list[float], ahead: float
) -> None:
    wall.ahead = ahead
    busy = Fault(kind="status", match="GET */users", status=429, retry_after=9, retry_after_form="date")
    tollkit_sandbox.faults.add(busy)
    with PymtHouse(**arguments(tollkit_sandbox.pymthouse, connection=connection)) as client:
        assert client.list_app_users() is not None
    assert naps == [pytest.approx(9, abs=1)]


# --- Run402 ----------------------------------------------------------------------------------------------------


class Signs(MemoryCredentials):
    """Signs in with the wallet by a clock of the test's."""

    def __init__(self, gateway: Run402Sandbox, **options: Any) -> None:
        super().__init__(api_base=gateway.api_base)
        self.headers = SiwxSigner(PrivateKeySigner(KEY), gateway.api_base, **options).headers

    def get_auth(self, path: str) -> Any:
        return self.headers(path)


def wallet(gateway: Run402Sandbox, connection: Connection, **changes: Any) -> Run402:
    credentials = MemoryCredentials(signer=PrivateKeySigner(KEY), api_base=gateway.api_base)
    given: dict[str, Any] = {
        "api_base": gateway.api_base,
        "credentials": credentials,
        "allow_insecure_http": True,
        "connection": connection,
        **changes,
    }
    return Run402(**given)


@pytest.mark.parametrize("jump", JUMPS)
def test_a_header_that_may_be_used_again_is_not_after_a_jump(wall: Wall, jump: float) -> None:
    signer = SiwxSigner(PrivateKeySigner(KEY), "https://api.run402.test", reuse=200, clock=wall)
    first = signer.headers("/tiers/v1/status")
    assert signer.headers("/tiers/v1/status") == first
    wall.ahead = jump
    assert signer.headers("/tiers/v1/status") != first


@pytest.mark.parametrize("jump", JUMPS)
def test_a_wallet_that_signs_at_the_wrong_time_is_refused_and_is_fine_again(
    wall: Wall, run402_sandbox: Run402Sandbox, connection: Connection, jump: float
) -> None:
    run402_sandbox.set_nonces_once(False)
    reusing = Signs(run402_sandbox, reuse=250, clock=wall)
    with wallet(run402_sandbox, connection, credentials=reusing) as client:
        assert client.tier.status() is not None
        wall.ahead = jump
        with pytest.raises(Run402Error) as caught:
            client.tier.status()
        assert caught.value.code == "INVALID_WALLET_SIGNATURE"
        wall.ahead = 0.0
        assert client.tier.status() is not None


def test_a_header_is_not_used_again_when_it_is_over(
    wall: Wall, run402_sandbox: Run402Sandbox, connection: Connection
) -> None:
    """Both clocks go on together: each header is signed anew in time, and none is refused."""
    run402_sandbox.set_nonces_once(False)
    reusing = Signs(run402_sandbox, reuse=LIFETIME - 10, clock=wall)
    with wallet(run402_sandbox, connection, credentials=reusing) as client:
        for _ in range(6):
            assert client.tier.status() is not None
            wall.ahead += LIFETIME - 20
            run402_sandbox.clock.advance(LIFETIME - 20)
            assert client.tier.status() is not None
            wall.ahead += 20
            run402_sandbox.clock.advance(20)


@pytest.mark.parametrize("jump", JUMPS)
def test_a_payment_that_is_signed_at_the_wrong_time(
    wall: Wall, run402_sandbox: Run402Sandbox, connection: Connection, jump: float
) -> None:
    """It is refused or settled, never sent twice, and the journal agrees with the gateway."""
    gateway = run402_sandbox
    gateway.set_payments(networks=[BASE_SEPOLIA])
    gateway.fund(ADDRESS, 10_000_000)
    journal = MemoryJournal()
    payer = X402Payer(PrivateKeySigner(KEY), journal=journal, policy=SpendingPolicy(), clock=wall)
    with wallet(gateway, connection, credentials=Signs(gateway), payments=payer) as client:
        wall.ahead = jump
        with pytest.raises(Run402Error) as caught:
            client.tier.set("prototype")
        assert not isinstance(caught.value, PaymentNotMadeError)
        assert caught.value.safe_to_retry is False
        (kept,) = journal.payments()
        assert kept.state == "refused"
        assert gateway.settlements == []
        assert len(gateway.refused_payments) == 1
        # it counts for a day: that it was not carried out is the gateway's word
        for later, spent in ((0, kept.amount), (86_399, kept.amount), (86_401, 0)):
            assert journal.spent(ADDRESS, kept.network, kept.asset, now=wall() + later) == spent
        wall.ahead = 0.0
        assert client.tier.set("prototype").tier == "prototype"
    assert len(gateway.settlements) == 1
    assert gateway.wallet_balance(ADDRESS) == 9_900_000


def test_a_clock_that_is_set_back_does_not_free_the_limit_of_a_day(
    wall: Wall, run402_sandbox: Run402Sandbox, connection: Connection
) -> None:
    gateway = run402_sandbox
    gateway.set_payments(networks=[BASE_SEPOLIA])
    gateway.fund(ADDRESS, 10_000_000)
    policy = SpendingPolicy(per_day=150_000)
    payer = X402Payer(PrivateKeySigner(KEY), journal=MemoryJournal(), policy=policy, clock=wall)
    with wallet(gateway, connection, payments=payer) as client:
        assert client.tier.set("prototype").tier == "prototype"
        payer._clock = lambda: wall() - 26 * HOUR
        with pytest.raises(PaymentNotMadeError, match="for a day"):
            client.tier.set("prototype")
    assert len(gateway.settlements) == 1


def test_a_lease_of_a_project_that_has_ended_by_the_platform_s_clock(
    wall: Wall, tollkit_sandbox: Sandbox, connection: Connection
) -> None:
    """Whether a lease is over is for the platform to say: a wrong clock here changes nothing of it."""
    gateway = tollkit_sandbox.run402
    project = gateway.seed_project()
    keys = {project.id: {"anon_key": project.anon_key, "service_key": project.service_key}}
    credentials = MemoryCredentials(keys, signer=PrivateKeySigner(KEY), api_base=gateway.api_base)
    with wallet(gateway, connection, credentials=credentials, payments=False) as client:
        wall.ahead = 30 * 24 * HOUR
        assert client.projects.sql(project.id, "SELECT 1 AS one").rows == [{"one": 1}]
        wall.ahead = 0.0
        gateway.end_lease(project.id)
        with pytest.raises(Run402Error) as caught:
            client.projects.sql(project.id, "SELECT 1 AS one")
        assert caught.value.status == 402
