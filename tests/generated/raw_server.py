"""An HTTP server on loopback that keeps what it received byte for byte, and answers as it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs


@attrs.frozen
class Received:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@attrs.define
class RawServer:
    url: str = ""
    status: int = 200
    content_type: str = "application/json"
    content: bytes = b"{}"
    received: list[Received] = attrs.field(factory=list)
    connections: int = 0

    def answers(self, status: int, content: bytes, content_type: str = "application/json") -> None:
        self.status, self.content, self.content_type = status, content, content_type

    @property
    def last(self) -> Received:
        return self.received[-1]


@contextmanager
def raw_server() -> Iterator[RawServer]:
    state = RawServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            state.connections += 1
            super().setup()

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            target = self.requestline.split(" ")[1]
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.received.append(Received(self.command, target, headers, body))
            bare = state.status in {204, 304}
            self.send_response(state.status, "Whatever")
            if not bare:
                self.send_header("Content-Type", state.content_type)
                self.send_header("Content-Length", str(len(state.content)))
            self.end_headers()
            if not bare:
                self.wfile.write(state.content)

        do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = handle_any

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
