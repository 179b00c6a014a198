"""Cancels a coroutine at its n-th suspension, for each n there is, and counts what is left over each time.

There are two moments. `early` cancels as soon as the coroutine waits: what it waits for is cancelled with it. `late`
cancels when what it waited for has come and the coroutine has not been told yet: an answer, an open connection or a
lock that nobody takes any more. Asyncio has both, and the second one is where things leak.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import attrs
from concurrency_leaks import PATIENCE, TALLY, settled

Moment = Literal["early", "late"]
MOMENTS: tuple[Moment, ...] = ("early", "late")
_MOST = 3000
"""Suspensions of one call at most: beyond it the harness goes round in a circle."""


@types.coroutine
def _stepped(coro: Coroutine[Any, Any, Any], at: int, moment: Moment) -> Generator[Any, Any, tuple[Any, int]]:
    task = asyncio.current_task()
    assert task is not None
    passed = 0
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            waits_for = coro.send(value) if error is None else coro.throw(error)
        except StopIteration as stop:
            return stop.value, passed
        passed += 1
        if passed == at:
            if moment == "early":
                task.cancel()
            elif waits_for is None:  # asyncio.sleep(0) and the like: the next round of the loop
                asyncio.get_running_loop().call_soon(task.cancel)
            else:
                # before the task adds its own: so it is cancelled when it is about to be woken
                waits_for.add_done_callback(lambda _done: task.cancel())
        value, error = None, None
        try:
            value = yield waits_for
        except BaseException as thrown:
            error = thrown


@attrs.define
class Outcome:
    """What came of one run: cancelled, or a result after so many suspensions."""

    cancelled: bool
    result: Any = None
    suspensions: int = 0


async def cancelled_at(coro: Coroutine[Any, Any, Any], at: int, moment: Moment) -> Outcome:
    """Run a coroutine, and cancel it at its suspension number `at`."""
    task = asyncio.ensure_future(_wrapped(coro, at, moment))
    await asyncio.wait({task}, timeout=PATIENCE)
    assert task.done(), f"hangs when it is cancelled at {at} ({moment})"
    if task.cancelled():
        return Outcome(cancelled=True)
    result, suspensions = task.result()
    return Outcome(cancelled=False, result=result, suspensions=suspensions)


async def _wrapped(coro: Coroutine[Any, Any, Any], at: int, moment: Moment) -> tuple[Any, int]:
    return await _stepped(coro, at, moment)


class Threads:
    """The event loop's threads; they can be waited for, as nobody can who was cancelled."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._begin()

    def _begin(self) -> None:
        self._executor = ThreadPoolExecutor(8, thread_name_prefix="of the loop")
        self._loop.set_default_executor(self._executor)

    async def drained(self) -> None:
        """Wait until no thread works any more."""
        with ThreadPoolExecutor(1) as waiter:
            await self._loop.run_in_executor(waiter, self._executor.shutdown)
        self._begin()


async def cancel_everywhere(
    begin: Callable[[], Coroutine[Any, Any, Any]],
    *,
    after: Callable[[Outcome], Awaitable[None]],
    moment: Moment,
) -> int:
    """Cancel what `begin` makes at each of its suspensions, and ask `after` each time what is left over.

    Returns:
        How many suspensions it has.
    """
    threads = Threads()
    for at in range(1, _MOST):
        outcome = await cancelled_at(begin(), at, moment)
        await settled()
        await threads.drained()
        await settled()
        await after(outcome)
        if not outcome.cancelled:
            assert outcome.suspensions < at, f"the cancellation at {at} ({moment}) was swallowed"
            return outcome.suspensions
        TALLY["cancellations"] += 1
    raise AssertionError("it never ends")
