"""`with_retry` and `with_retry_async`."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tollkit import errors as tree
from tollkit.run402.errors import LocalError, is_retryable_run402_error, raised
from tollkit.run402.retry import with_retry, with_retry_async

VECTORS = json.loads(Path(__file__).parent.joinpath("data/retry-1.57.0.json").read_text())


def again() -> tree.TollkitError:
    return raised(tree.TransportError("gone"), "running SQL")


def never() -> tree.TollkitError:
    return raised(tree.ArgumentError("sql", "must not be empty"), "running SQL")


class Caller:
    """A function that fails as told and then returns `"done"`, and the two ways to call it again."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.calls = 0
        self.slept: list[float] = []

    def __call__(self) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"

    def blocking(self, **options: Any) -> Any:
        return with_retry(self, sleep=self.slept.append, **options)

    def waiting(self, **options: Any) -> Any:
        async def fn() -> str:
            await asyncio.sleep(0)
            return self()

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        return asyncio.run(with_retry_async(fn, sleep=sleep, **options))


Run = Callable[..., Any]


async def _waiting(*_told: Any) -> bool:
    return False


@pytest.fixture(params=["blocking", "waiting"])
def run(request: pytest.FixtureRequest) -> Run:
    return lambda caller, **options: getattr(caller, request.param)(**options)


@pytest.mark.parametrize("case", VECTORS["retry"]["cases"], ids=str)
def test_waits_as_recorded(run: Run, case: dict[str, Any]) -> None:
    caller = Caller(*(again() for _ in range(case["attempts"])))
    told: list[float] = []
    with pytest.raises(tree.TransportError):
        run(
            caller,
            attempts=case["attempts"],
            base_delay=case["baseDelayMs"] / 1000,
            max_delay=case["maxDelayMs"] / 1000,
            on_retry=lambda error, attempt, delay: told.append(delay),
        )
    assert caller.calls == case["attempts"]
    assert [round(seconds * 1000) for seconds in caller.slept] == case["delays"]
    assert told == caller.slept


def test_what_succeeds_is_called_once(run: Run) -> None:
    caller = Caller()
    assert run(caller) == "done"
    assert (caller.calls, caller.slept) == (1, [])


def test_defaults(run: Run) -> None:
    caller = Caller(again(), again())
    assert run(caller) == "done"
    assert (caller.calls, caller.slept) == (3, [0.25, 0.5])
    error = again()
    caller = Caller(again(), again(), error)
    with pytest.raises(tree.TransportError) as caught:
        run(caller)
    assert caught.value is error
    assert caller.calls == 3


def test_the_longest_wait(run: Run) -> None:
    caller = Caller(*(again() for _ in range(1200)))
    assert run(caller, attempts=1201) == "done"
    assert caller.slept[:6] == [0.25, 0.5, 1.0, 2.0, 4.0, 5]
    assert caller.slept[-1] == 5


@pytest.mark.parametrize("failure", [never(), ValueError("x"), OSError("x")])
def test_what_the_platform_does_not_call_retryable_comes_out(run: Run, failure: Exception) -> None:
    caller = Caller(failure)
    with pytest.raises(type(failure)) as caught:
        run(caller)
    assert caught.value is failure
    assert (caller.calls, caller.slept) == (1, [])


def test_one_attempt_is_no_retry(run: Run) -> None:
    asked: list[object] = []
    caller = Caller(again())
    with pytest.raises(tree.TransportError):
        run(caller, attempts=1, retry_if=asked.append)
    assert (caller.calls, asked) == (1, [])


def test_the_caller_decides(run: Run) -> None:
    first, second, third = ValueError("1"), OSError("2"), KeyError("3")
    asked: list[tuple[Exception, int]] = []

    def retry_if(error: Exception, attempt: int) -> bool:
        asked.append((error, attempt))
        return True

    with pytest.raises(KeyError):
        run(Caller(first, second, third), retry_if=retry_if)
    assert asked == [(first, 1), (second, 2)]  # not after the last attempt

    kinds = (ValueError, OSError)
    assert run(Caller(first, second), retry_if=lambda error, kinds=kinds: isinstance(error, kinds)) == "done"
    assert run(Caller(again()), retry_if=is_retryable_run402_error) == "done"


def test_a_rule_without_a_signature(run: Run) -> None:
    """Such as a type."""
    assert run(Caller(ValueError("x")), retry_if=bool) == "done"


def test_who_is_told(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    told: list[tuple[Exception, int, float]] = []

    def on_retry(error: Exception, attempt: int, delay: float) -> None:
        told.append((error, attempt, delay))
        raise RuntimeError("a slip in a log line")

    first, second = again(), again()
    with caplog.at_level(logging.WARNING, "tollkit.run402"):
        assert run(Caller(first, second), on_retry=on_retry) == "done"
    assert told == [(first, 1, 0.25), (second, 2, 0.5)]
    assert caplog.messages == ["on_retry raised RuntimeError"] * 2


@pytest.mark.parametrize(
    ("named", "argument"),
    [
        ({"attempts": 0}, "attempts"),
        ({"attempts": -1}, "attempts"),
        ({"attempts": 1.5}, "attempts"),
        ({"attempts": True}, "attempts"),
        ({"base_delay": -1}, "base_delay"),
        ({"base_delay": float("nan")}, "base_delay"),
        ({"max_delay": "5"}, "max_delay"),
        ({"max_delay": True}, "max_delay"),
        ({"base_delay": 10**400}, "base_delay"),
        ({"base_delay": float("inf")}, "base_delay"),
        ({"retry_if": _waiting}, "retry_if"),
        ({"on_retry": _waiting}, "on_retry"),
    ],
)
def test_arguments(run: Run, named: dict[str, Any], argument: str) -> None:
    caller = Caller()
    with pytest.raises(LocalError) as caught:
        run(caller, **named)
    error: Any = caught.value
    assert isinstance(error, tree.ArgumentError)
    assert error.argument == argument
    assert caller.calls == 0


def test_stopping_is_no_failure(run: Run) -> None:
    for stop in (KeyboardInterrupt(), SystemExit()):
        caller = Caller(stop)
        with pytest.raises(type(stop)):
            run(caller, retry_if=lambda error: True)
        assert caller.calls == 1


def test_a_cancelled_task_stops() -> None:
    calls: list[int] = []

    async def main() -> None:
        began = asyncio.Event()

        async def fn() -> None:
            calls.append(1)
            began.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(with_retry_async(fn, retry_if=lambda error: True))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert calls == [1]


def test_it_waits_by_itself() -> None:
    assert with_retry(Caller(again()), base_delay=0) == "done"
    caller = Caller(again())

    async def fn() -> str:
        return caller()

    assert asyncio.run(with_retry_async(fn, base_delay=0)) == "done"


def test_a_rule_that_would_have_to_be_awaited(run: Run) -> None:
    """Its coroutine is true, so everything would be called again."""
    caller = Caller(again())
    with pytest.raises(LocalError, match="plain function"):
        run(caller, retry_if=lambda _error: _waiting())
    assert caller.calls == 1


def test_a_payment_of_somebody_elses_error_is_theirs(run: Run) -> None:
    class Declined(Exception):
        payment = "pi_123"

    caller = Caller(Declined(), Declined())
    assert run(caller, retry_if=lambda _error: True) == "done"


def test_what_a_payment_had_left_for_is_not_called_again_whoever_says_so(run: Run) -> None:
    failure: Any = again()
    failure.payment = object()
    caller = Caller(failure)
    with pytest.raises(tree.TransportError):
        run(caller, retry_if=lambda _error: True)
    assert caller.calls == 1


def test_a_wait_without_an_upper_limit(run: Run) -> None:
    caller = Caller(again(), again())
    assert run(caller, max_delay=float("inf")) == "done"
    assert caller.slept == [0.25, 0.5]
