"""A server as cheap as Python allows, in a process of its own: a fixed answer for each platform, keep-alive.

Prints its port, answers until its standard input closes.
"""

from __future__ import annotations

import asyncio
import sys
import threading

BODY = (
    b'{"clientId":"app_0a1b2c3d4e5f60718293a4b5","period":{"start":null,"end":null},"totals":{"requestCount":3,'
    b'"currency":"USD","networkFeeUsdMicros":"1900000","ownerChargeUsdMicros":"2000000",'
    b'"platformFeeUsdMicros":"100000","endUserBillableUsdMicros":"2100000"}}'
)
PROJECT = (  # what Run402 tells of a project's usage
    b'{"project_id":"prj_1","tier":"hobby","api_calls":1234,"api_calls_limit":5000000,"storage_bytes":1048576,'
    b'"storage_limit_bytes":1073741824,"status":"active","lease_expires_at":"2026-12-01T00:00:00.000Z"}'
)


def answer(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


ANSWER, OF_PROJECT = answer(BODY), answer(PROJECT)


class Fixed(asyncio.Protocol):
    """Answers each request that ends in an empty line; the requests here have no bodies."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            self.transport.write(OF_PROJECT if self.buffer.startswith(b"GET /projects/") else ANSWER)
            self.buffer = self.buffer[end + 4 :]


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Fixed, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    gone = asyncio.Event()
    watch = threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(gone.set)), daemon=True)
    watch.start()
    await gone.wait()


if __name__ == "__main__":
    asyncio.run(main())
