"""A server as cheap as Python allows, in a process of its own: fixed answers of the platforms, keep-alive.

Prints its port, answers until its standard input closes.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading

USAGE = (
    b'{"clientId":"app_0a1b2c3d4e5f60718293a4b5","period":{"start":null,"end":null},"totals":{"requestCount":3,'
    b'"currency":"USD","networkFeeUsdMicros":"1900000","ownerChargeUsdMicros":"2000000",'
    b'"platformFeeUsdMicros":"100000","endUserBillableUsdMicros":"2100000"}}'
)
PROJECT = (  # what Run402 tells of a project's usage
    b'{"project_id":"prj_1","tier":"hobby","api_calls":1234,"api_calls_limit":5000000,"storage_bytes":1048576,'
    b'"storage_limit_bytes":1073741824,"status":"active","lease_expires_at":"2026-12-01T00:00:00.000Z"}'
)
TOKEN = b'{"access_token":"bench-token","token_type":"Bearer","expires_in":3600,"scope":"sign:job"}'
ETAG = b'"bench-manifest"'
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


def answer(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


def metadata(origin: str) -> bytes:
    """The discovery document of the issuer that this server is."""
    issuer = f"{origin}/api/v1/oidc"
    return json.dumps(
        {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/auth",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
    ).encode()


class Fixed(asyncio.Protocol):
    """Answers each request by its first line."""

    def __init__(self, answers: list[tuple[bytes, bytes]]) -> None:
        self._answers = answers
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._buffer, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            self._transport.write(next(found for start, found in self._answers if self._buffer.startswith(start)))
            self._buffer = self._buffer[whole:]


async def main() -> None:
    loop = asyncio.get_running_loop()
    answers: list[tuple[bytes, bytes]] = []
    server = await loop.create_server(lambda: Fixed(answers), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    answers += [
        (b"GET /projects/", answer(PROJECT)),
        (b"GET /api/v1/oidc/.well-known/", answer(metadata(f"http://127.0.0.1:{port}"))),
        (b"GET /api/v1/apps/app_0a1b2c3d4e5f60718293a4b5/manifest", b"HTTP/1.1 304 \r\netag: %s\r\n\r\n" % ETAG),
        (b"POST /api/v1/oidc/token", answer(TOKEN)),
        (b"", answer(USAGE)),
    ]
    print(port, flush=True)
    gone = asyncio.Event()
    watch = threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(gone.set)), daemon=True)
    watch.start()
    await gone.wait()


if __name__ == "__main__":
    asyncio.run(main())
