"""Signing keys that are replaced while 64 threads verify: one fetch for each rotation, and none for a flood."""

from __future__ import annotations

import base64
import json
import random
import threading
from collections import Counter
from typing import Any

import pytest
from concurrency_leaks import outcomes

from support.pymthouse import arguments
from tollkit import Connection, PymtHouse
from tollkit.errors import TokenError
from tollkit.oidc import Discovery, OidcClient
from tollkit.sandbox import Fault, PymtHouseSandbox, Sandbox

THREADS = 64
ROTATIONS = 3


class Clock:
    """Seconds that go on when they are told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Verifier:
    """One client that verifies, by a clock of the test's, and the tokens of a user."""

    def __init__(self, sandbox: Sandbox, connection: Connection) -> None:
        self.place: PymtHouseSandbox = sandbox.pymthouse
        self.place.seed_user("alice")
        self._requests = sandbox.requests
        self.clock = Clock()
        issuer = self.place.issuer_url
        discovery = Discovery(issuer, allow_insecure_http=True, clock=self.clock)
        self.client = OidcClient(issuer, "verifier", auth="none", discovery=discovery, connection=connection)
        self._minter = PymtHouse(**arguments(self.place, connection=connection))

    def token(self) -> str:
        return str.__str__(self._minter.mint_user_access_token("alice").access_token)

    def verify(self, token: str) -> Any:
        return self.client.verify_access_token(token, audience=self.place.issuer_url, accept_typ=("JWT",))

    @property
    def fetches(self) -> int:
        return self._requests.count("GET */jwks")

    def close(self) -> None:
        self.client.close()
        self._minter.close()


@pytest.fixture
def verifier(tollkit_sandbox: Sandbox, connection: Connection) -> Any:
    made = Verifier(tollkit_sandbox, connection)
    yield made
    made.close()


def forged(token: str, kid: str) -> str:
    """A token that names another key."""
    header, payload, signature = token.split(".")
    told = json.loads(base64.urlsafe_b64decode(header + "=="))
    text = json.dumps({**told, "kid": kid}).encode()
    return f"{base64.urlsafe_b64encode(text).rstrip(b'=').decode()}.{payload}.{signature}"


def run(count: int, do: Any) -> list[BaseException]:
    """Run threads to their end; what they raised."""
    return [each for each in outcomes(count, do) if isinstance(each, BaseException)]


def test_keys_are_rotated_while_64_threads_verify(verifier: Verifier) -> None:
    """The threads never pause; each rotation comes between two of their steps, wherever they are."""
    tokens = [verifier.token()]
    verifier.verify(tokens[0])
    assert verifier.fetches == 1
    seen: Counter[str] = Counter()
    changed = threading.Condition()
    over = threading.Event()

    def verify(number: int) -> None:
        shuffled = random.Random(number)
        mine: set[str] = set()
        while not over.is_set():
            token = shuffled.choice(tokens)
            assert verifier.verify(token).scopes
            if token not in mine:
                mine.add(token)
                with changed:
                    seen[token] += 1
                    changed.notify_all()

    def rotate() -> None:
        try:
            for _ in range(ROTATIONS):
                verifier.clock.seconds += 61
                verifier.place.rotate_keys(keep_old=True)
                newest = verifier.token()
                tokens.append(newest)
                with changed:
                    assert changed.wait_for(lambda it=newest: seen[it] == THREADS, 60)
        finally:
            over.set()

    assert run(THREADS + 1, lambda number: rotate() if number == THREADS else verify(number)) == []
    assert verifier.fetches == 1 + ROTATIONS
    assert [seen[token] for token in tokens] == [THREADS] * (1 + ROTATIONS)


def test_a_key_that_was_withdrawn_is_refused_from_then_on(verifier: Verifier) -> None:
    old = verifier.token()
    verifier.verify(old)
    verifier.clock.seconds += 61
    verifier.place.rotate_keys(keep_old=False)
    new = verifier.token()
    assert run(THREADS, lambda _: verifier.verify(new)) == []
    assert verifier.fetches == 2
    failures = run(THREADS, lambda _: verifier.verify(old))
    assert [type(error) for error in failures] == [TokenError] * THREADS
    assert verifier.fetches == 2, "an unknown key is looked for once a minute at most"


def test_a_flood_of_unknown_keys_causes_one_fetch_a_minute(verifier: Verifier) -> None:
    good = verifier.token()
    verifier.verify(good)
    flood = [forged(good, f"unknown-{number}") for number in range(THREADS * 10)]

    def attack(number: int) -> None:
        for token in flood[number::THREADS]:
            with pytest.raises(TokenError):
                verifier.verify(token)
        verifier.verify(good)

    assert run(THREADS, attack) == []
    assert verifier.fetches == 1, "the keys are not a minute old"
    for minute in range(2):
        verifier.clock.seconds += 60.5
        assert run(THREADS, attack) == []
        assert verifier.fetches == 2 + minute
    # what was never a key is not kept either
    keys = verifier.client.discovery._keys._entry
    assert keys is not None
    assert len(keys.value._ready) == 1


def test_the_keys_cannot_be_had_while_64_threads_ask_for_an_unknown_one(
    verifier: Verifier, tollkit_sandbox: Sandbox
) -> None:
    """A provider that is down is asked once a minute, and good tokens stay good."""
    good = verifier.token()
    verifier.verify(good)
    bad = forged(good, "unknown")
    verifier.clock.seconds += 61
    tollkit_sandbox.faults.add(Fault(kind="reset", match="GET */jwks", times=None))
    client = verifier.client.with_options(max_retries=0)

    def ask(_: int) -> None:
        with pytest.raises(TokenError):
            client.verify_access_token(bad, audience=verifier.place.issuer_url, accept_typ=("JWT",))
        verifier.verify(good)

    assert run(THREADS, ask) == []
    assert verifier.fetches == 2, "one attempt for all"
    assert run(THREADS, ask) == []
    assert verifier.fetches == 2, "it has just failed"
