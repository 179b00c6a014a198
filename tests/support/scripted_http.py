"""An HTTP client that plays back a script, for tests of what is sent and of how answers are read.

    script = Script([Reply.json({"issuer": ...}), Reply.json({"error": "slow_down"}, 400), httpx.ReadError("gone")])
    client = OidcClient(..., http_client=script.client)  # or AsyncOidcClient(..., http_client=script.async_client)
    ...
    assert [sent.url for sent in script.sent] == [...]
    script.assert_done()

An entry of the script is a `Reply`, an exception to raise, or a function from `Sent` to either. A request after
the last entry fails the test.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import attrs
import httpx


@attrs.frozen
class Sent:
    """A request as the client was told to send it; header names are in lower case."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None
    timeout: Any = None

    @property
    def text(self) -> str:
        return (self.content or b"").decode()

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.text, keep_blank_values=True))


@attrs.frozen
class Reply:
    """An answer; it has the shape of httpx's."""

    status_code: int = 200
    headers: httpx.Headers = attrs.field(factory=httpx.Headers, converter=httpx.Headers)
    content: bytes = b""

    @classmethod
    def json(cls, body: Any, status: int = 200, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, {"content-type": "application/json", **named}, json.dumps(body).encode())


Entry = Reply | Exception | Callable[[Sent], "Reply | Exception"]


class Script:
    """Plays entries back in order, or goes on for ever when `entries` is a function."""

    def __init__(self, entries: Iterable[Entry] | Callable[[Sent], Reply | Exception]) -> None:
        self._always = entries if callable(entries) else None
        self._entries = [] if callable(entries) else list(entries)
        self._lock = threading.Lock()
        self.sent: list[Sent] = []
        self.client = _Client(self)
        self.async_client = _AsyncClient(self)

    def answer(self, sent: Sent) -> Reply:
        with self._lock:
            self.sent.append(sent)
            if self._always is not None:
                entry: Entry = self._always
            elif self._entries:
                entry = self._entries.pop(0)
            else:
                raise AssertionError(f"a request too many: {sent.method} {sent.url} {sent.text}")
        if callable(entry):
            entry = entry(sent)
        if isinstance(entry, Exception):
            raise entry
        return entry

    def assert_done(self) -> None:
        assert not self._entries, f"{len(self._entries)} answers of the script were never asked for"


def _sent(method: str, url: str, arguments: Mapping[str, Any]) -> Sent:
    assert arguments.pop("follow_redirects") is False
    headers = {name.lower(): value for name, value in (arguments.pop("headers") or {}).items()}
    sent = Sent(method, url, headers, arguments.pop("content"), arguments.pop("timeout", None))
    assert not arguments, f"unknown arguments {sorted(arguments)}"
    return sent


class _Client:
    def __init__(self, script: Script) -> None:
        self._script = script
        self.closed = False

    def request(self, method: str, url: str, **arguments: Any) -> Reply:
        return self._script.answer(_sent(method, url, arguments))

    def close(self) -> None:
        self.closed = True


class _AsyncClient:
    def __init__(self, script: Script) -> None:
        self._script = script
        self.closed = False

    async def request(self, method: str, url: str, **arguments: Any) -> Reply:
        return self._script.answer(_sent(method, url, arguments))

    async def aclose(self) -> None:
        self.closed = True


class Clock:
    """A clock that only moves when told to, and what to put in place of sleeping."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)


def vector_script(exchanges: Iterable[Mapping[str, Any]]) -> Script:
    """The script of a recorded case: its answers, in order."""

    def entry(answer: Mapping[str, Any]) -> Entry:
        if "throw" in answer:
            text = answer["throw"]
            return httpx.ConnectError(text) if "ENOTFOUND" in text else httpx.RemoteProtocolError(text)
        return Reply(answer["status"], answer.get("headers", {}), answer.get("body_text", "").encode())

    return Script([entry(exchange["response"]) for exchange in exchanges])


def assert_as_recorded(script: Script, exchanges: Iterable[Mapping[str, Any]]) -> None:
    """What was sent is what a recorded case sends; the user agent is each client's own."""

    def wire(method: str, url: str, headers: Mapping[str, str], body: str) -> tuple[Any, ...]:
        return method, url, {name: value for name, value in headers.items() if name != "user-agent"}, body

    assert [wire(sent.method, sent.url, sent.headers, sent.text) for sent in script.sent] == [
        wire(request["method"], request["url"], request["headers"], request.get("body", ""))
        for request in (exchange["request"] for exchange in exchanges)
    ]
