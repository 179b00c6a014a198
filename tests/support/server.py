"""A real HTTP server on a loopback port that does as a script says, down to the socket.

    with Server(Answer(503), Reset(), Answer.json({"ok": True})) as server:
        ...                                 # each request takes the next step; after the last comes `default`
        assert [seen.method for seen in server.seen] == ["GET", "GET", "GET"]
        assert server.accepted == 2         # connections

Nothing in here waits for a time: `Hold` waits for an event that the test sets, `wait_for` and `wait_closed` for
what they say. The time limits only keep a broken test from hanging.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import urlsplit

import attrs
import h2.config
import h2.connection
import h2.events

LIMIT = 20.0
"""Seconds after which a wait counts as failed."""


@attrs.frozen
class Seen:
    """A request as it came.

    Attributes:
        fields: The header fields in order, names as sent.
        connection: The number of the connection it came on, from 1.
    """

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    body: bytes
    connection: int
    protocol: str = "http/1.1"

    @property
    def headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.fields}

    def values(self, name: str) -> list[str]:
        return [value for field, value in self.fields if field.lower() == name.lower()]


@attrs.frozen
class Answer:
    """A whole answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = attrs.field(factory=dict)

    @classmethod
    def json(cls, body: Any, status: int = 200, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, json.dumps(body).encode(), {"content-type": "application/json", **named})

    def head(self) -> bytes:
        length = {} if self.status in (204, 304) else {"content-length": str(len(self.body))}
        lines = [f"HTTP/1.1 {self.status} X", *(f"{k}: {v}" for k, v in {**length, **self.headers}.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


@attrs.frozen
class Slam:
    """Breaks the next connection before anything is read."""


@attrs.frozen
class Reset:
    """Reads the request, then breaks the connection."""


@attrs.frozen
class Half:
    """Sends the head and half of the body, then ends the connection."""

    answer: Answer = attrs.field(factory=lambda: Answer.json({"never": "whole"}))


@attrs.frozen
class Raw:
    """Sends these bytes, whatever they are, then ends the connection."""

    data: bytes


@attrs.frozen
class Hold:
    """Keeps the request until `release` is set, then goes on with `then`; with `head`, sends the head before."""

    then: Answer = attrs.field(factory=lambda: Answer.json({}))
    release: threading.Event = attrs.field(factory=threading.Event)
    head: bool = False


@attrs.frozen
class Tunnel:
    """Answers a CONNECT and carries bytes both ways; with `to`, to that host and port instead."""

    to: str | None = None


Step = Answer | Slam | Reset | Half | Raw | Hold | Tunnel | Callable[[Seen], "Step"]


class Server:
    """See the module's docstring.

    Args:
        script: A step for each request.
        default: The step after those.
        tls: Speak TLS with this context.
    """

    def __init__(self, *script: Step, default: Step | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._script = list(script)
        self._default = default or Answer.json({})
        self._tls = tls
        self._changed = threading.Condition()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._holds: set[threading.Event] = set()
        self._closing = False
        self.seen: list[Seen] = []
        self.accepted = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, *exc: object) -> None:
        self._closing = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(LIMIT)
        with self._changed:
            for held in self._holds:
                held.set()
            for open_socket in self._sockets:
                with contextlib.suppress(OSError):
                    open_socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LIMIT)
            assert not thread.is_alive(), "a thread of the server did not end"
        self._listener.close()

    # --- what tests ask ---------------------------------------------------------------------------------

    def then(self, *steps: Step) -> None:
        """Add steps to the script."""
        with self._changed:
            self._script.extend(steps)

    @property
    def open(self) -> int:
        """How many connections are open now."""
        with self._changed:
            return len(self._sockets)

    def wait_for(self, requests: int) -> None:
        """Wait until that many requests have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.seen) >= requests, LIMIT), (
                f"{len(self.seen)} requests came"
            )

    def wait_for_connections(self, count: int) -> None:
        """Wait until that many connections have been accepted."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.accepted >= count, LIMIT), f"{self.accepted} were accepted"

    def wait_closed(self) -> None:
        """Wait until the clients have closed all connections."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._sockets, LIMIT), f"{len(self._sockets)} are still open"

    def hang_up(self) -> None:
        """End all connections from this side, as servers do with idle ones."""
        with self._changed:
            for connection in self._sockets:
                connection.shutdown(socket.SHUT_RDWR)
        self.wait_closed()

    # --- connections ------------------------------------------------------------------------------------

    def _spawn(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, name="test-server", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self.accepted += 1
                self._sockets.add(plain)
                slammed = bool(self._script) and isinstance(self._script[0], Slam)
                if slammed:
                    self._script.pop(0)
                self._changed.notify_all()
            self._spawn(self._serve, plain, self.accepted, slammed)

    def _serve(self, plain: socket.socket, number: int, slammed: bool) -> None:
        connection = plain
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if slammed:
                _break(plain)
                return
            if self._tls:
                connection = self._tls.wrap_socket(plain, server_side=True)
                with self._changed:
                    self._sockets.remove(plain)
                    self._sockets.add(connection)
            if isinstance(connection, ssl.SSLSocket) and connection.selected_alpn_protocol() == "h2":
                self._serve_http2(connection, number)
                return
            with connection.makefile("rb") as reader:
                while (seen := _read(reader, number)) is not None:
                    if not self._do(self._next(seen), seen, connection):
                        return
        except (OSError, ValueError):  # the client went away
            return
        finally:
            with contextlib.suppress(OSError):
                connection.close()
            with self._changed:
                self._sockets -= {plain, connection}
                self._changed.notify_all()

    def _next(self, seen: Seen) -> Step:
        with self._changed:
            self.seen.append(seen)
            self._changed.notify_all()
            return self._script.pop(0) if self._script else self._default

    def _serve_http2(self, connection: socket.socket, number: int) -> None:
        """Whole answers only (RFC 9113)."""
        protocol = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        protocol.initiate_connection()
        heads: dict[int, list[tuple[str, str]]] = {}
        bodies: dict[int, bytes] = {}
        while True:
            connection.sendall(protocol.data_to_send())
            data = connection.recv(65536)
            if not data:
                return
            for event in protocol.receive_data(data):
                stream: int = getattr(event, "stream_id", 0)
                if isinstance(event, h2.events.RequestReceived):
                    heads[stream] = event.headers
                elif isinstance(event, h2.events.DataReceived):
                    bodies[stream] = bodies.get(stream, b"") + event.data
                elif isinstance(event, h2.events.StreamEnded):
                    told = dict(heads[stream])
                    fields = tuple((name, value) for name, value in heads[stream] if not name.startswith(":"))
                    seen = Seen(told[":method"], told[":path"], fields, bodies.get(stream, b""), number, "h2")
                    answer = self._next(seen)
                    assert isinstance(answer, Answer)
                    protocol.send_headers(stream, [(":status", str(answer.status)), *answer.headers.items()])
                    protocol.send_data(stream, answer.body, end_stream=True)

    def _do(self, step: Step, seen: Seen, connection: socket.socket) -> bool:
        match step:
            case Answer():
                bare = seen.method == "HEAD" or step.status in (204, 304)
                connection.sendall(step.head() + (b"" if bare else step.body))
                return True
            case Hold():
                if step.head:
                    connection.sendall(step.then.head())
                with self._changed:
                    self._holds.add(step.release)
                assert step.release.wait(LIMIT), "nobody released the request"
                if self._closing:
                    return False
                connection.sendall(step.then.body if step.head else step.then.head() + step.then.body)
                return True
            case Half():
                connection.sendall(step.answer.head() + step.answer.body[: len(step.answer.body) // 2])
            case Raw():
                connection.sendall(step.data)
            case Reset() | Slam():
                _break(connection)
            case Tunnel():
                self._tunnel(step.to or seen.target, connection)
            case _:
                return self._do(step(seen), seen, connection)
        return False

    def _tunnel(self, target: str, near: socket.socket) -> None:
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port)), LIMIT) as far:
            near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=_pump, args=(far, near), daemon=True)
            back.start()
            _pump(near, far)
            back.join(LIMIT)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _break(connection: socket.socket) -> None:
    """Close with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _read(reader: Any, number: int) -> Seen | None:
    line = reader.readline().decode("latin-1").strip()
    if not line:
        return None
    method, target, _ = line.split(" ")
    fields: list[tuple[str, str]] = []
    while line := reader.readline().decode("latin-1").rstrip("\r\n"):
        name, _, value = line.partition(":")
        fields.append((name, value.strip()))
    length = next((int(value) for name, value in fields if name.lower() == "content-length"), 0)
    return Seen(method, target, tuple(fields), reader.read(length), number)


def forward(seen: Seen) -> Answer:
    """The step of a forward proxy (RFC 9112 section 3.2.2): asks whom it is for, and passes the answer on."""
    target = urlsplit(seen.target)
    upstream = http.client.HTTPConnection(target.netloc, timeout=LIMIT)
    try:
        path = f"{target.path}?{target.query}" if target.query else target.path
        upstream.request(seen.method, path, seen.body, {**seen.headers, "via": "1.1 test-proxy"})
        answer = upstream.getresponse()
        kept = {"content-type": answer.headers.get("content-type", "")}
        return Answer(answer.status, answer.read(), kept)
    finally:
        upstream.close()


def closed_port() -> int:
    """A port of the loopback interface on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
