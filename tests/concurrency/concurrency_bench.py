"""Runs a method of an async client under the harness of cancellations, and counts what is held after each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from concurrency_cancelling import Moment, Outcome, cancel_everywhere
from concurrency_leaks import Pools, descriptors, files_below, sockets_to, threads, until

from tollkit import Connection
from tollkit.sandbox import Sandbox


class Bench:
    """Runs one method under the harness, and looks after each cancellation at what is held."""

    def __init__(self, sandbox: Sandbox, pools: Pools, folder: Path, connection: Connection) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.connection = connection
        self._pools = pools
        self._port = int(sandbox.url.rpartition(":")[2])
        self._open: list[Any] = []
        self.outcomes: list[Outcome] = []
        self.allowed_files: set[str] = set()
        """Names of files that may stay in the folder."""

    def client(self, kind: Any, **arguments: Any) -> Any:
        """An async client that is closed at the end of the run."""
        made = kind(**{"connection": self.connection, **arguments})
        self._open.append(made)
        return made

    def forget_clients(self) -> None:
        """Those so far have been closed."""
        self._open.clear()

    def run(
        self,
        moment: Moment,
        prepare: Callable[[], Any],
        begin: Callable[[Any], Coroutine[Any, Any, Any]],
        check: Callable[[Any, Outcome], Any] | None = None,
    ) -> int:
        """Cancel `begin(prepare())` at each suspension; `check` tells more of the state, and is awaited if it can be.

        Returns:
            How many suspensions it has.
        """
        before = threads()
        until(lambda: sockets_to(self._port), 0, "connections before")
        held = self._held()
        suspensions = asyncio.run(self._run(moment, prepare, begin, check))
        assert threads() - before == set()
        until(lambda: sockets_to(self._port), 0, "connections after")
        until(lambda: self._held() - held, Counter(), "descriptors more than before")
        assert suspensions > 0
        return suspensions

    def _held(self) -> Counter[str]:
        """What is open, and how often; without the numbers of sockets and pipes."""
        return Counter(link.partition(":[")[0] for link in descriptors().values())

    async def _run(self, moment: Moment, prepare: Any, begin: Any, check: Any) -> int:
        fresh: list[Any] = []

        def start() -> Coroutine[Any, Any, Any]:
            fresh.append(prepare())
            return begin(fresh[-1])

        async def after(outcome: Outcome) -> None:
            self.outcomes.append(outcome)
            assert self._pools.leaks() == [], self._pools.leaks()
            until(lambda: sockets_to(self._port) - self._pools.open, 0, "connections beside the pool's")
            assert files_below(self.folder) == []
            left = {entry.name for entry in self.folder.rglob("*") if entry.is_file()}
            assert left <= self.allowed_files, left - self.allowed_files
            if check is not None:
                told = check(fresh[-1], outcome)
                if told is not None:
                    await told
                assert self._pools.leaks() == [], self._pools.leaks()

        try:
            return await cancel_everywhere(start, after=after, moment=moment)
        finally:
            for client in self._open:
                await client.aclose()
            self._open.clear()
