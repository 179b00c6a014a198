"""What a process holds, counted exactly: tasks, threads, descriptors, connections, files."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpcore
import pytest

from tollkit.core.single_flight import SingleFlight

ENGINES: list[str] = ["httpx", *(["aiohttp"] if find_spec("aiohttp") else [])]
"""The engines that are installed."""
TALLY: Counter[str] = Counter()
"""What was tried in this run."""
PATIENCE = 20.0
"""Seconds that the other end, which runs in threads of its own, is waited for before a count is taken as final."""


def until(told: Callable[[], Any], wanted: Any, what: str) -> None:
    """Wait until a count is what it should be: closing a connection takes two ends."""
    deadline = time.monotonic() + PATIENCE
    while (found := told()) != wanted:
        assert time.monotonic() < deadline, f"{what}: {found}, and not {wanted}"
        time.sleep(0.005)


def descriptors() -> dict[int, str]:
    """The open descriptors of this process, and what they are of."""
    found: dict[int, str] = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the listing's own
    return found


def sockets_to(port: int) -> int:
    """How many connections to a port this process has open at their client's end."""
    count = 0
    for number, link in descriptors().items():
        if not link.startswith("socket:"):
            continue
        try:
            seen = socket.socket(fileno=number)
        except OSError:
            continue
        try:
            peer: Any = seen.getpeername()
            count += isinstance(peer, tuple) and peer[1] == port
        except OSError:
            continue
        finally:
            seen.detach()
    return count


def files_below(folder: Path) -> list[str]:
    """The open files below a folder."""
    return sorted(link for link in descriptors().values() if link.startswith(str(folder)))


def outcomes(count: int, do: Callable[[int], Any]) -> list[Any]:
    """What threads that begin at once come to; errors are outcomes."""
    gate = threading.Barrier(count)
    found: list[Any] = [None] * count

    def one(number: int) -> None:
        gate.wait()
        try:
            found[number] = do(number)
        except BaseException as error:
            found[number] = error

    running = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    TALLY["threads"] += count
    return found


def threads() -> set[str]:
    """The threads of Python, without those that the sandbox's server keeps for its files."""
    found = {f"{thread.name} ({thread.ident})" for thread in threading.enumerate()}
    return {name for name in found if not name.startswith("AnyIO worker thread")}


class Pools:
    """The connection pools of httpx and aiohttp, and the single flights, that were made since `watch`."""

    def __init__(self) -> None:
        self._made: weakref.WeakSet[Any] = weakref.WeakSet()
        self._connectors: weakref.WeakSet[Any] = weakref.WeakSet()
        self._flights: weakref.WeakSet[SingleFlight] = weakref.WeakSet()

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Write down each of them that is made from now on."""
        if find_spec("aiohttp"):
            from aiohttp import TCPConnector

            begin_connector = TCPConnector.__init__

            def connector(one: Any, *args: Any, **kwargs: Any) -> None:
                begin_connector(one, *args, **kwargs)
                self._connectors.add(one)

            monkeypatch.setattr(TCPConnector, "__init__", connector)
        begin_flight = SingleFlight.__init__

        def flight(one: SingleFlight) -> None:
            begin_flight(one)
            self._flights.add(one)

        monkeypatch.setattr(SingleFlight, "__init__", flight)
        for kind in (httpcore.ConnectionPool, httpcore.AsyncConnectionPool):
            begin = kind.__init__

            def made(pool: Any, *args: Any, _begin: Any = begin, **kwargs: Any) -> None:
                _begin(pool, *args, **kwargs)
                self._made.add(pool)

            monkeypatch.setattr(kind, "__init__", made)

    def leaks(self) -> list[str]:
        """Connections that nobody uses and that are not idle, requests that wait, and keys that nobody lands."""
        found = [f"not landed: {list(one._running)}" for one in self._flights if one._running]
        found += [f"locked: {one!r}" for one in self._flights if one._lock.locked()]
        for pool in self._made:
            found += [f"busy: {one!r}" for one in pool.connections if not (one.is_idle() or one.is_closed())]
            found += [f"not removed: {one!r} of {one.connection!r}" for one in pool._requests]
        for connector in self._connectors:
            found += [f"busy: {one!r}" for one in connector._acquired]
            found += [f"queued: {list(one)}" for one in connector._waiters.values() if one]
        return found

    @property
    def open(self) -> int:
        """Connections that are kept."""
        count = sum(1 for pool in self._made for one in pool.connections if not one.is_closed())
        for connector in self._connectors:
            count += sum(protocol.is_connected() for kept in connector._conns.values() for protocol, _ in kept)
        return count


async def settled() -> None:
    """Wait for what goes on when its caller has been cancelled, such as a refresh that others wait for."""
    here = asyncio.current_task()
    async with asyncio.timeout(PATIENCE):
        while others := [task for task in asyncio.all_tasks() if task is not here]:
            await asyncio.wait(others)
            await asyncio.sleep(0)
