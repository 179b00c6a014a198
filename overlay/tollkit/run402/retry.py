"""Calls again what may succeed later: the platform's `withRetry` (Run402 1.57), in seconds.

The clients already try again by themselves what is safe to send twice (`max_retries`). This is for what only the
caller knows to be harmless: several calls that belong together, or one with an idempotency key.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar, cast

import attrs

from tollkit.errors import ArgumentError
from tollkit.run402.errors import is_retryable_run402_error, is_run402_error, raised

__all__ = ["with_retry", "with_retry_async"]

T = TypeVar("T")
RetryIf: TypeAlias = Callable[[Exception], bool] | Callable[[Exception, int], bool]
OnRetry: TypeAlias = Callable[[Exception, int, float], object]

_log = logging.getLogger("tollkit.run402")
_MOST_DOUBLINGS = 1000  # 2.0 ** 1024 is no float any more


def with_retry(
    fn: Callable[[], T],
    *,
    attempts: int = 3,
    base_delay: float = 0.25,
    max_delay: float = 5.0,
    retry_if: RetryIf = is_retryable_run402_error,
    on_retry: OnRetry | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """Call a function until it succeeds, with waits that double.

    Nothing makes sending twice harmless: `fn` has to bring its idempotency key where it needs one.

    Args:
        fn: Called without arguments.
        attempts: How many calls in all; 1 is no retry.
        base_delay: Seconds before the second call; each wait is twice the one before, without jitter.
        max_delay: Seconds: the longest wait.
        retry_if: Told the error, and, when it must have two arguments, the number of the attempt from 1 on; whether
            to try again. Not asked after the last attempt. When left out, `is_retryable_run402_error`.
        on_retry: Told the error, the number of the attempt and the seconds of the wait, before it. What it raises is
            logged.
        sleep: Waits.

    Returns:
        What `fn` returns.

    Raises:
        LocalError: `attempts`, `base_delay` or `max_delay` are unusable (also an `ArgumentError`).

    The last error of `fn` comes out as it is. Source: Run402 1.57, `withRetry`.
    """
    plan = _Plan(attempts, base_delay, max_delay, retry_if, on_retry)
    attempt = 1
    while True:
        try:
            return fn()
        except Exception as error:
            delay = plan.delay(error, attempt)
            if delay is None:
                raise
            plan.tell(error, attempt, delay)
        sleep(delay)
        attempt += 1


async def with_retry_async(
    fn: Callable[[], Awaitable[T]],
    *,
    attempts: int = 3,
    base_delay: float = 0.25,
    max_delay: float = 5.0,
    retry_if: RetryIf = is_retryable_run402_error,
    on_retry: OnRetry | None = None,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> T:
    """Await a function's result until it succeeds; everything else is as in `with_retry`.

    A task that is cancelled stops at once.

    Args:
        fn: Called without arguments, and awaited.
        attempts: How many calls in all; 1 is no retry.
        base_delay: Seconds before the second call; each wait is twice the one before, without jitter.
        max_delay: Seconds: the longest wait.
        retry_if: Told the error, and, when it must have two arguments, the number of the attempt from 1 on; whether
            to try again. No coroutine function.
        on_retry: Told the error, the number of the attempt and the seconds of the wait, before it. No coroutine
            function.
        sleep: Waits.

    Returns:
        What `fn` returns when it is awaited.

    Raises:
        LocalError: `attempts`, `base_delay` or `max_delay` are unusable (also an `ArgumentError`).

    The last error of `fn` comes out as it is. Source: Run402 1.57, `withRetry`.
    """
    plan = _Plan(attempts, base_delay, max_delay, retry_if, on_retry)
    attempt = 1
    while True:
        try:
            return await fn()
        except Exception as error:
            delay = plan.delay(error, attempt)
            if delay is None:
                raise
            plan.tell(error, attempt, delay)
        await sleep(delay)
        attempt += 1


def _seconds(_plan: object, field: attrs.Attribute[float], value: object) -> None:
    longest = math.inf if field.name == "max_delay" else sys.float_info.max
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= longest:
        raise raised(ArgumentError(field.name, "must be a number of seconds, 0 or more"))


def _plain(_plan: object, field: attrs.Attribute[Any], value: object) -> None:
    if inspect.iscoroutinefunction(value):
        raise raised(ArgumentError(field.name, "must be a plain function: nobody awaits what it returns"))


def _attempts(_plan: object, field: attrs.Attribute[int], value: object) -> None:
    if type(value) is not int or value < 1:
        raise raised(ArgumentError(field.name, "must be a whole number, 1 or more"))


@attrs.frozen
class _Plan:
    """What both forms decide in the same way."""

    attempts: int = attrs.field(validator=_attempts)
    base_delay: float = attrs.field(validator=_seconds)
    max_delay: float = attrs.field(validator=_seconds)
    retry_if: RetryIf = attrs.field(validator=_plain)
    on_retry: OnRetry | None = attrs.field(validator=_plain)

    def delay(self, error: Exception, attempt: int) -> float | None:
        """Seconds to wait before the next attempt; `None` when there is none."""
        if attempt >= self.attempts or not self._worth_it(error, attempt):
            return None
        return min(self.max_delay, self.base_delay * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS))

    def _worth_it(self, error: Exception, attempt: int) -> bool:
        if is_run402_error(error) and getattr(error, "payment", None) is not None:
            return False  # whatever `retry_if` says: it would be paid for twice
        retry_if = cast("Callable[..., Any]", self.retry_if)
        answer = retry_if(error, attempt) if _needs_two(retry_if) else retry_if(error)
        if inspect.iscoroutine(answer):
            answer.close()
            raise raised(ArgumentError("retry_if", "must be a plain function: nobody awaits what it returns"))
        return bool(answer)

    def tell(self, error: Exception, attempt: int, delay: float) -> None:
        """Tell the caller; that must not change what happens."""
        if self.on_retry is None:
            return
        try:
            self.on_retry(error, attempt, delay)
        except Exception as problem:  # noqa: BLE001 - the platform swallows it, and the next attempt matters more
            _log.warning("on_retry raised %s", type(problem).__name__, exc_info=problem)


def _needs_two(function: Callable[..., Any]) -> bool:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C, says nothing
        return False
    try:
        signature.bind(None)
    except TypeError:
        return True
    return False
