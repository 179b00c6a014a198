"""Measuring: CPU time of this process, in rounds in which all take turns; memory as Python counts it."""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import attrs

ROOT = Path(__file__).parents[2]
Work = Callable[[], object]


@attrs.frozen(kw_only=True)
class Sizes:
    """How much is measured.

    Attributes:
        rounds: Rounds of each comparison.
        calls: Calls of a round, one after the other; as many again by two where many are in flight.
        rows: Rows of the bulk answer.
        all_rows: Rows of all answers that are added up.
        files: Files of the large deploy.
        large_file: Bytes of the large file.
        starts: Fresh interpreters, sandboxes and cold clients.
        deployers: The clients that deploy.
    """

    rounds: int = 7
    calls: int = 400
    rows: int = 50_000
    all_rows: int = 1_000_000
    files: int = 10_000
    large_file: int = 2 << 30
    starts: int = 5
    deployers: tuple[str, ...] = ("blocking", "async")


FULL = Sizes()
TINY = Sizes(rounds=1, calls=3, rows=200, all_rows=400, files=8, large_file=1 << 20, starts=1, deployers=("async",))
"""Enough to see that a benchmark works."""


def cpu(work: Work) -> float:
    """CPU seconds of this process for one run of the work, its garbage included."""
    gc.collect()
    started = time.process_time()
    work()
    return time.process_time() - started


def medians(works: Mapping[str, Work], rounds: int) -> Compared:
    """CPU seconds of several works, which take turns in each round after one that does not count."""
    for work in works.values():
        work()
    found = [{name: cpu(work) for name, work in works.items()} for _ in range(rounds)]
    return Compared(found)


class Compared:
    """CPU seconds by round and work."""

    def __init__(self, rounds: list[dict[str, float]]) -> None:
        self.rounds = rounds

    def __getitem__(self, name: str) -> float:
        return statistics.median(one[name] for one in self.rounds)

    def __contains__(self, name: str) -> bool:
        return name in self.rounds[0]

    def ratio(self, ours: str, peer: str) -> float:
        """The median of the rounds' quotients: what disturbs a round disturbs both."""
        return statistics.median(one[ours] / one[peer] for one in self.rounds)


def repeated(call: Callable[[], object], times: int) -> Work:
    """A work of so many calls, one after the other."""

    def work() -> None:
        for _ in range(times):
            call()

    return work


class Loop:
    """An event loop, in which works of many calls in flight run."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def run(self, awaited: Coroutine[Any, Any, Any]) -> Any:
        """Wait for it."""
        return self._loop.run_until_complete(awaited)

    def flown(self, call: Callable[[], Coroutine[Any, Any, Any]], times: int, at_once: int = 32) -> Work:
        """A work of so many calls, always that many of them in flight."""

        async def all_of_them() -> None:
            left = iter(range(times))

            async def worker() -> None:
                for _ in left:
                    await call()

            await asyncio.gather(*(worker() for _ in range(at_once)))

        return lambda: self._loop.run_until_complete(all_of_them())

    def close(self) -> None:
        """End the loop."""
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


def memory(work: Callable[[], object]) -> tuple[int, int]:
    """Bytes that the result of a work holds, and bytes at most on the way to it."""
    gc.collect()
    tracemalloc.start()
    kept = work()
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return held, peak


def answer_of(program: str, *arguments: str, python: str = sys.executable) -> Any:
    """What a program of ours, run by itself, prints as JSON."""
    command = [python, str(ROOT / "scripts/bench" / program), *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
