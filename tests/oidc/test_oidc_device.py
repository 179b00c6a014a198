"""The device login: pace, cancellation, lost answers, and the machine beneath (RFC 8628)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support.fake_provider import ISSUER, METADATA
from support.scripted_http import Clock, Reply, Script
from tollkit.core import drivers
from tollkit.errors import ArgumentError, CancelledError, DeviceFlowError, OAuthError, ServerError
from tollkit.oidc import (
    AsyncOidcClient,
    DeviceAuthorization,
    Discovery,
    OidcClient,
    OidcFlows,
    Poll,
    ShowCode,
    Wait,
    device_steps,
)

START = {"device_code": "the-device-code", "user_code": "AB-CD", "verification_uri": "https://v", "expires_in": 600}
PENDING = Reply.json({"error": "authorization_pending"}, 400)
SLOW_DOWN = Reply.json({"error": "slow_down"}, 400)
TOKENS = Reply.json({"access_token": "at", "token_type": "Bearer"})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(drivers.time, "sleep", clock.sleep)
    return clock


def login(clock: Clock, *polls: Any, start: Any = START, retries: int = 0, **options: Any) -> tuple[Any, Script]:
    script = Script([Reply.json(METADATA), Reply.json(start), *polls])
    client = OidcClient(ISSUER, "app", http_client=script.client, max_retries=retries)
    client.flows = OidcFlows(issuer=ISSUER, client_id="app", clock=clock, discovery=Discovery(ISSUER))
    try:
        outcome: Any = client.device_login(**options)
    except Exception as error:
        outcome = error
    script.assert_done()
    return outcome, script


def test_pace(clock: Clock) -> None:
    shown: list[DeviceAuthorization] = []
    tokens, _ = login(
        clock, PENDING, PENDING, SLOW_DOWN, PENDING, SLOW_DOWN, PENDING, TOKENS, on_user_code=shown.append
    )
    assert tokens.access_token == "at"
    assert clock.slept == [5, 5, 10, 10, 15, 15]
    assert [one.user_code for one in shown] == ["AB-CD"]


def test_interval_of_the_provider(clock: Clock) -> None:
    tokens, _ = login(clock, PENDING, SLOW_DOWN, TOKENS, start={**START, "interval": 2})
    assert tokens.access_token == "at"
    assert clock.slept == [2, 7]


@pytest.mark.parametrize("word", ["access_denied", "expired_token", "invalid_grant", "something_new"])
def test_refusals(clock: Clock, word: str) -> None:
    error, _ = login(clock, PENDING, Reply.json({"error": word, "error_description": "so it is"}, 400))
    assert isinstance(error, DeviceFlowError)
    assert (error.error, error.code, error.status, error.message) == (word, word, 400, "so it is")


def test_time_is_up(clock: Clock) -> None:
    error, script = login(clock, *[PENDING] * 5, start={**START, "expires_in": 20})
    assert isinstance(error, DeviceFlowError)
    assert (error.code, error.status) == ("device_flow_expired", 408)
    assert error.message == "Device authorization expired before completion"
    assert len(script.sent) == 2 + 5


def test_deadline_counts_from_after_the_callback(clock: Clock) -> None:
    def slow(_: Any) -> None:
        clock.now += 1000

    tokens, _ = login(clock, TOKENS, on_user_code=slow)
    assert tokens.access_token == "at"


def test_no_connection_slows_down(clock: Clock) -> None:
    tokens, _ = login(clock, PENDING, httpx.ConnectError("x"), httpx.ConnectTimeout("x"), PENDING, TOKENS)
    assert tokens.access_token == "at"
    assert clock.slept == [5, 10, 20, 20]


def test_no_connection_till_the_end(clock: Clock) -> None:
    error, _ = login(clock, *[httpx.ConnectError("x")] * 6, start={**START, "expires_in": 300})
    assert error.code == "device_flow_expired"
    assert clock.slept == [10, 20, 40, 80, 160]


@pytest.mark.parametrize("failure", [httpx.ReadTimeout("x"), httpx.ReadError("x"), httpx.RemoteProtocolError("x")])
def test_lost_answer_ends_it(clock: Clock, failure: Exception) -> None:
    error, _ = login(clock, PENDING, failure, retries=3)
    assert isinstance(error, DeviceFlowError)
    assert error.code == error.error == "device_poll_lost"
    assert "may have been used up" in str(error)
    assert error.context["operation"] == "deviceToken"
    assert error.__cause__.kind in ("timeout", "network")


def test_failing_server_ends_it(clock: Clock) -> None:
    error, _ = login(clock, PENDING, Reply(503), retries=3)
    assert isinstance(error, ServerError)
    assert error.code == "OAUTH_RESPONSE_IS_NOT_CONFORM"


def test_cancel_while_waiting(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    cancel = threading.Event()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now >= 1002:
            cancel.set()

    monkeypatch.setattr(drivers.time, "sleep", sleep)
    error, script = login(clock, PENDING, cancel=cancel)
    assert isinstance(error, CancelledError)
    assert clock.now < 1002.5
    assert max(clock.slept) <= 0.2
    assert len(script.sent) == 3


def test_cancelled_before_it_starts(clock: Clock) -> None:
    cancel = threading.Event()
    cancel.set()
    error, script = login(clock, cancel=cancel)
    assert isinstance(error, CancelledError)
    assert len(script.sent) == 2


def test_coroutine_needs_the_async_client(clock: Clock) -> None:
    async def show(_: Any) -> None:
        raise AssertionError("never runs")

    error, _ = login(clock, on_user_code=show)
    assert isinstance(error, ArgumentError)
    assert error.argument == "on_user_code"


def test_async_callback_is_awaited() -> None:
    script = Script([Reply.json(METADATA), Reply.json(START), TOKENS])
    shown: list[str] = []

    async def show(authorization: DeviceAuthorization) -> None:
        await asyncio.sleep(0)
        shown.append(authorization.user_code)

    async def main() -> Any:
        return await AsyncOidcClient(ISSUER, "app", http_client=script.async_client).device_login(show)

    assert asyncio.run(main()).access_token == "at"
    assert shown == ["AB-CD"]


def test_error_of_the_callback_comes_out(clock: Clock) -> None:
    error, _ = login(clock, on_user_code=lambda _: 1 / 0)
    assert isinstance(error, ZeroDivisionError)


def test_the_machine_alone() -> None:
    clock = Clock()
    authorization = DeviceAuthorization(device_code="dc", user_code="u", verification_uri="v", expires_in=60)
    pending = OAuthError("not yet")
    pending.error = "authorization_pending"
    steps = device_steps(authorization, clock=clock)
    assert next(steps) == ShowCode(authorization)
    assert steps.send(None) == Poll(authorization)
    assert steps.send(pending) == Wait(5)
    assert steps.send(None) == Poll(authorization)
    with pytest.raises(TypeError, match="outcome"):
        steps.send(None)


def test_confidential_clients_can_log_in_too(clock: Clock) -> None:
    script = Script([Reply.json(METADATA), Reply.json(START), TOKENS])
    client = OidcClient(ISSUER, "app", "the-secret", http_client=script.client)
    client.device_login(scope="a", resource="https://r.example", extra={"x": "1"})
    assert script.sent[1].text == "scope=a&resource=https%3A%2F%2Fr.example&x=1&client_id=app"
    assert script.sent[1].headers["authorization"].startswith("Basic ")
    assert "client_id" not in script.sent[2].form
