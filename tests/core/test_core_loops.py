"""Which event loop a blocking client's request runs in, and what becomes of those whose loop ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import types
from collections.abc import Callable
from typing import Any

import pytest

from tollkit.core import loops
from tollkit.core.loops import Asked, Loops
from tollkit.core.received import Received
from tollkit.errors import LocalError

ASKED: Asked = ("GET", "http://a.example/", None, None, None)


class Notes:
    """Sends nothing: notes where it was asked, and answers when it may."""

    def __init__(self, name: str, places: list[str]) -> None:
        self._name = name
        self._places = places
        self.held: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self.hold = threading.Event()
        self.asked = threading.Semaphore(0)

    def make(self) -> Notes:
        return self

    async def request(self, asked: Asked) -> Received:
        self._places.append(self._name)
        if self.hold.is_set():
            event = asyncio.Event()
            self.held.append((asyncio.get_running_loop(), event))
            self.asked.release()
            await event.wait()
        return Received(200, {}, self._name.encode())

    async def close(self) -> None:
        """Nothing is open."""

    def let_go(self) -> None:
        loop, event = self.held.pop(0)
        loop.call_soon_threadsafe(event.set)


def started(do: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=do)
    thread.start()
    return thread


def test_a_loop_that_never_rests_hears_what_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(loops, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    near, far = socket.socketpair()
    loop = loops._new_loop()

    async def rounds() -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def main() -> None:
        heard = asyncio.Event()
        loop.add_reader(near, heard.set)
        await rounds()
        far.send(b"x")
        await rounds()
        assert not heard.is_set()  # it does not ask each time
        now[0] += 2 * loops._MOST_UNHEARD
        await rounds()
        assert heard.is_set()
        loop.remove_reader(near)

    with contextlib.closing(near), contextlib.closing(far), contextlib.closing(loop):
        loop.run_until_complete(main())


def test_while_the_other_loop_is_at_work_all_requests_run_in_it() -> None:
    places: list[str] = []
    near, far = Notes("near", places), Notes("far", places)
    both = Loops(near.make, far.make)
    both.run(ASKED)
    near.hold.set()
    far.hold.set()
    one = started(lambda: both.run(ASKED))
    assert near.asked.acquire(timeout=20)
    two = started(lambda: both.run(ASKED))
    assert far.asked.acquire(timeout=20)
    near.let_go()
    one.join(20)
    far.hold.clear()
    assert both.run(ASKED).content == b"far"  # though nobody has the near one
    far.let_go()
    two.join(20)
    near.hold.clear()
    while both.run(ASKED).content != b"near":  # the far loop tells a moment later that it is done
        pass
    assert places[:4] == ["near", "near", "far", "far"]
    both.end()


def test_what_cannot_be_made_is_told_to_who_asks() -> None:
    def broken() -> Any:
        raise ImportError("the engine cannot be loaded")

    both = Loops(None, broken)
    for _ in range(2):
        with pytest.raises(ImportError, match="cannot be loaded"):
            both.run(ASKED)
    both.end()


def test_a_request_that_comes_in_the_last_moment_of_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "_PATIENCE", 0.05)
    both = Loops(None, Notes("far", []).make)
    assert both.run(ASKED).content == b"far"
    far: Any = both._far
    far.end()
    far._loop = types.SimpleNamespace(call_soon_threadsafe=lambda _: None)  # taken, and never run
    with pytest.raises(LocalError, match="has been closed") as caught:
        both.run(ASKED)
    assert caught.value.code == "client_closed"
