"""Calls of a client with the answers that they got, to be played again with one answer changed."""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import httpx
from mutations import Answer, fields_of

from tollkit.core.paging import AsyncPages, Page, Pages

MOST_REQUESTS = 300
"""Requests of one call after which it counts as endless."""


class EndlessError(AssertionError):
    """A call that goes on for ever."""


class Tape:
    """A client of HTTP that sends, and keeps what came back."""

    def __init__(self) -> None:
        self._client = httpx.Client(trust_env=False, timeout=20)
        self._lock = threading.Lock()
        self.answers: list[tuple[str, Answer]] = []

    def request(self, method: str, url: str, *, content: Any = None, headers: Any = None, **_: Any) -> Any:
        """Send, and keep the answer."""
        with self._lock:
            got = self._client.request(method, url, content=content, headers=headers)
            kept = {k: v for k, v in got.headers.items() if k not in ("content-encoding", "content-length")}
            answer = Answer(got.status_code, kept, got.content)
            self.answers.append((f"{method} {httpx.URL(url).path}", answer))
        return answer

    def taken(self) -> tuple[tuple[str, Answer], ...]:
        """What came since the last time."""
        taken, self.answers = tuple(self.answers), []
        return taken

    @property
    def blocking(self) -> Tape:
        """Itself."""
        return self

    def close(self) -> None:
        """Close connections."""
        self._client.close()


class Player:
    """Clients of HTTP that play answers in order, one of them changed. After the last, no connection is there."""

    def __init__(self, answers: Sequence[Answer], number: int, changed: Answer) -> None:
        self._answers = answers
        self._number = number
        self._changed = changed
        self._lock = threading.Lock()
        self.asked = 0

    def _next(self, content: Any) -> Answer:
        if content is not None and not isinstance(content, bytes):
            for _ in content:  # a body that is read while it is sent
                pass
        return self._answer()

    def _answer(self) -> Answer:
        with self._lock:
            number, self.asked = self.asked, self.asked + 1
        if number > MOST_REQUESTS:
            raise EndlessError(f"{number} requests and no end")
        if number == self._number:
            return self._changed
        if number < len(self._answers):
            return self._answers[number]
        raise httpx.ReadError("the tape is over")

    def request(self, method: str, url: str, *, content: Any = None, **_: Any) -> Answer:
        """The next answer."""
        return self._next(content)

    def close(self) -> None:
        """Nothing to close."""

    @property
    def blocking(self) -> Any:
        """The same answers in the same order for a blocking client."""
        return _Blocking(self)


class _Blocking:
    def __init__(self, player: Player) -> None:
        self._player = player

    def request(self, method: str, url: str, **_: Any) -> Answer:
        return self._player._answer()

    def close(self) -> None:
        """Nothing to close."""


class AsyncPlayer(Player):
    """The same for async clients."""

    async def request(self, method: str, url: str, *, content: Any = None, **_: Any) -> Answer:  # type: ignore[override]
        """The next answer."""
        if content is not None and not isinstance(content, bytes):
            async for _piece in content:
                pass
        return self._answer()

    async def aclose(self) -> None:
        """Nothing to close."""


@attrs.frozen
class Take:
    """One call and the answers that it got.

    Attributes:
        name: `namespace.method`, with what is special about it in brackets.
        client: Makes a client as it was before the call, over a client of HTTP: `client(http, asynchronous)`.
        call: Calls the method.
        answers: Path and answer of each request, in order.
        family: What every error of the client is.
        secrets: What nobody may see.
    """

    name: str
    client: Callable[[Any, bool], Any] = attrs.field(repr=False)
    call: Callable[[Any], Any] = attrs.field(repr=False)
    answers: tuple[tuple[str, Answer], ...] = attrs.field(repr=False)
    family: type[Exception] = attrs.field(repr=False)
    secrets: tuple[str, ...] = attrs.field(repr=False)

    @property
    def method(self) -> str:
        """The name without brackets."""
        return self.name.partition(" [")[0]

    def play(self, number: int, changed: Answer, runner: asyncio.Runner | None) -> Any:
        """Call again; the answer of that number is another. With a runner, by the async client."""
        answers = [answer for _, answer in self.answers]
        if runner is None:
            return whole(self.call(self.client(Player(answers, number, changed), False)))
        return runner.run(_awaited(self.call, self.client(AsyncPlayer(answers, number, changed), True)))


def whole(result: Any) -> Any:
    """Of a paged method all rows, as one page; any other result as it is."""
    return Page(list(result)) if isinstance(result, Pages) else result


async def _awaited(call: Callable[[Any], Any], client: Any) -> Any:
    result = call(client)
    return Page([row async for row in result]) if isinstance(result, AsyncPages) else await result


def bound(client: Any, method: str) -> Any:
    """The method `namespace.method` of a client."""
    for name in method.split("."):
        client = getattr(client, name)
    return client


_OWN_ID = re.compile(r"[a-z]+_[0-9a-f]{8,}|[0-9a-f]{32,}|0x[0-9a-f]{40}")
LONG = 4
"""Answers of a call from which on each gets a quarter of the changes of the whole."""


@attrs.frozen
class Chosen:
    """An answer of a call that is changed.

    Attributes:
        number: Its number.
        familiar: Fields that answers before it had too: each gets some of the changes.
    """

    number: int
    familiar: frozenset[str] = frozenset()


Plan = Mapping[str, tuple[Take, tuple[Chosen, ...]]]
OFTEN = 1
"""Answers after which a field of the same name, in a parent of the same name, is familiar."""


def plan(takes: Sequence[Take]) -> Plan:
    """The takes by their names, with the answers that are changed: those to requests that none before them has made,
    or else the last.

    So that discovery, which comes before every token, is not changed in the same way for each of them.
    """
    known: set[str] = set()
    times: Counter[str] = Counter()
    found: dict[str, tuple[Take, tuple[Chosen, ...]]] = {}
    for take in takes:
        assert take.name not in found, f"two takes are called {take.name}"
        kinds = {
            _OWN_ID.sub("*", request): number for number, (request, _) in reversed(list(enumerate(take.answers)))
        }
        numbers = [number for kind, number in kinds.items() if kind not in known] or [len(take.answers) - 1]
        known |= set(kinds)
        chosen: list[Chosen] = []
        for number in sorted(numbers):
            fields = fields_of(take.answers[number][1])
            chosen.append(Chosen(number, frozenset(field for field in fields if times[field] >= OFTEN)))
            times.update(fields)
        found[take.name] = (take, tuple(chosen))
    return found
