"""What every request passes first: the log, the `Date` header, and the faults, done on the real socket."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from email.utils import formatdate
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import attrs
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from tollkit.sandbox.http import Form, html, json_answer
from tollkit.sandbox.recorder import RecordedRequest, read_json, redact_fields, redact_headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from tollkit.sandbox.clock import Clock
    from tollkit.sandbox.faults import Fault, Faults
    from tollkit.sandbox.recorder import RequestLog

__all__ = ["CONTROL_PREFIX", "TRANSPORT", "Gate", "abort", "error_page"]

CONTROL_PREFIX = "/__sandbox__"
TRANSPORT = "tollkit.transport"
"""Key of the scope under which the server puts the asyncio transport of the connection."""

_RST_ON_CLOSE = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
"""Value of `SO_LINGER` with which closing a socket resets the connection."""
_LOGGED_BODY = 1 << 20


def error_page(status: int) -> str:
    """The HTML of an error page as proxies and frameworks send it."""
    phrase = escape(HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error")
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{status}: {phrase}</title></head>'
        f"<body><h1>{status}</h1><h2>{phrase}.</h2></body></html>"
    )


def abort(transport: asyncio.Transport) -> None:
    """Reset a connection."""
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
    transport.abort()


class _Body:
    """The body of a request: passed on as it comes, with its beginning kept for the log.

    Where it must be known before the application runs, it is read first, and handed on as if it had not been.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._begun = False
        self._waiting: bytes | None = None
        self.data = b""
        """What came so far, cut after what the log keeps."""

    async def read(self) -> bytes:
        """The whole body, which the application has not begun to read.

        Raises:
            ClientDisconnect: The client went before it had sent all of it.
        """
        if self._waiting is None and not self._begun:
            pieces: list[bytes] = []
            more = True
            while more:
                message = await self._next()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                pieces.append(message.get("body", b""))
                more = message.get("more_body", False)
            self._waiting = b"".join(pieces)
        return self._waiting or b""

    async def receive(self) -> Message:
        """What the application receives."""
        if self._waiting is not None:
            whole, self._waiting = self._waiting, None
            return {"type": "http.request", "body": whole, "more_body": False}
        return await self._next()

    async def _next(self) -> Message:
        message = await self._receive()
        self._begun = True
        room = _LOGGED_BODY - len(self.data)
        if room > 0:
            self.data += message.get("body", b"")[:room]
        return message

    async def disconnected(self) -> None:
        """Wait until the connection is gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


@attrs.define
class _Captured:
    """An answer that was kept instead of sent."""

    status: int = 500
    headers: list[tuple[bytes, bytes]] = attrs.field(factory=list[tuple[bytes, bytes]])
    body: bytes = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message.get("headers", []))
        else:
            self.body += message.get("body", b"")

    def with_header(self, name: bytes, value: bytes) -> list[tuple[bytes, bytes]]:
        return [(key, kept) for key, kept in self.headers if key.lower() != name] + [(name, value)]


class Gate:
    """The outermost ASGI application.

    Args:
        app: What answers when nothing is wrong.
        control: What answers below `/__sandbox__`; neither logged nor harmed.
        rotate_keys: Called by the fault `rotated_key` with `keep_old`.
    """

    def __init__(
        self,
        app: ASGIApp,
        control: ASGIApp,
        *,
        clock: Clock,
        faults: Faults,
        log: RequestLog,
        rotate_keys: Callable[[bool], Any],
    ) -> None:
        self._app = app
        self._control = control
        self._clock = clock
        self._faults = faults
        self._log = log
        self._rotate_keys = rotate_keys
        self.stopping: asyncio.Event = asyncio.Event()
        """Set by the server when it stops: whoever waits out a latency goes on at once."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        path = scope["raw_path"].decode("ascii")
        if path == CONTROL_PREFIX or path.startswith(CONTROL_PREFIX + "/"):
            await self._control(scope, receive, send)
        else:
            await _Passage(self, scope, path, receive, send).run()


class _Passage:
    """One request on its way through the gate."""

    def __init__(self, gate: Gate, scope: Scope, path: str, receive: Receive, send: Send) -> None:
        self.gate = gate
        self.scope = scope
        self.path = path
        self.method: str = scope["method"]
        self.body = _Body(receive)
        self._send = send
        self.number = gate._log.arrived()
        self.faults: list[Fault] = []

    async def run(self) -> None:
        """Let the request through, or do to it what the faults say."""
        try:
            await self._run()
        except ClientDisconnect:
            self.record(None)

    async def _run(self) -> None:
        gate = self.gate
        fields = Form(self.scope["query_string"].decode("ascii")).pairs
        if gate._faults.reading(self.method, self.path):
            fields = fields + Form((await self.body.read()).decode("utf-8", "replace")).pairs
        self.faults = gate._faults.take(self.method, self.path, fields)
        age = 0.0
        spoil: Fault | None = None
        for fault in self.faults:
            if fault.kind == "latency":
                await self.pause(fault.delay)
            elif fault.kind == "rotated_key":
                gate._rotate_keys(fault.keep_old)
            elif fault.kind == "expired_token":
                age = fault.age
            else:
                spoil = fault
        with gate._clock.backdated(age):
            if spoil is None:
                await gate._app(self.scope, self.body.receive, self.send)
            else:
                await self.spoil(spoil)

    async def pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.gate.stopping.wait(), seconds)
        except TimeoutError:
            return

    async def spoil(self, fault: Fault) -> None:
        if fault.kind in ("reset", "status", "html", "slow_down") and fault.when != "after_processing":
            if fault.when == "after_read":
                await self.body.read()
            await self.replace(fault)
            return
        captured = _Captured()
        await self.gate._app(self.scope, self.body.receive, captured.send)
        match fault.kind:
            case "half_answer":
                length = max(len(captured.body), 64)
                headers = captured.with_header(b"content-length", str(length).encode())
                await self.send_all(captured.status, headers, captured.body[: len(captured.body) // 2], more=True)
                self.transport.close()
                await self.body.disconnected()
            case "content_type":
                headers = captured.with_header(b"content-type", fault.content_type.encode())
                await self.send_all(captured.status, headers, captured.body)
            case "truncated_json":
                half = captured.body[: len(captured.body) // 2]
                headers = captured.with_header(b"content-length", str(len(half)).encode())
                await self.send_all(captured.status, headers, half)
            case "huge_body":
                body = _padded(captured.body, fault.size)
                headers = captured.with_header(b"content-length", str(len(body)).encode())
                await self.send_all(captured.status, headers, body)
            case _:
                await self.replace(fault)

    async def replace(self, fault: Fault) -> None:
        """Reset, or answer something else than the platform would."""
        if fault.kind == "reset":
            self.record(None)
            abort(self.transport)
            await self.body.disconnected()
            return
        await _made_up(fault, self.gate._clock.now())(self.scope, self.body.receive, self.send)

    @property
    def transport(self) -> asyncio.Transport:
        transport: asyncio.Transport = self.scope[TRANSPORT]
        return transport

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.record(message["status"])
            date = formatdate(self.gate._clock.now(), usegmt=True).encode()
            message = {**message, "headers": [*message.get("headers", []), (b"date", date)]}
        await self._send(message)

    async def send_all(
        self, status: int, headers: list[tuple[bytes, bytes]], body: bytes, *, more: bool = False
    ) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    def record(self, status: int | None) -> None:
        """Log the request, before its answer leaves: who has the answer finds it in the log."""
        headers = dict(Headers(scope=self.scope))
        data = self.body.data
        is_form = "x-www-form-urlencoded" in headers.get("content-type", "").lower()
        self.gate._log.add(
            RecordedRequest(
                number=self.number,
                method=self.method,
                path=self.path,
                query=redact_fields(self.scope["query_string"].decode("ascii")),
                headers=redact_headers(headers),
                form=redact_fields(data.decode("utf-8", "replace")) if is_form else (),
                json=None if is_form or not data else read_json(data),
                status=status,
                faults=tuple(fault.kind for fault in self.faults),
            )
        )


def _made_up(fault: Fault, now: float) -> Response:
    headers = fault.answer_headers(now)
    if fault.kind == "slow_down":
        return json_answer({"error": "slow_down", "error_description": "polling too fast"}, 400, headers)
    if fault.kind == "html":
        return html(error_page(fault.status), fault.status, headers)
    if fault.body is None or isinstance(fault.body, str):
        return Response(fault.body, fault.status, headers)
    return json_answer(fault.body, fault.status, headers)


def _padded(body: bytes, size: int) -> bytes:
    """A JSON object with one more member of that many bytes; other bodies become such an object."""
    padding = b'"padding":"' + b"x" * size + b'"}'
    if not body.startswith(b"{"):
        return b"{" + padding
    return (b"{" if body == b"{}" else body[:-1] + b",") + padding
