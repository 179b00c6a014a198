"""Servers that speak HTTP badly, over a real socket: the error is one of the platform's, and memory has an end."""

from __future__ import annotations

import contextlib
import functools
import gzip
import json
import socket
import ssl
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Self, get_args, get_type_hints

import pytest

from support.pymthouse import AsyncSide, BlockingSide
from tollkit import AsyncPymtHouse, AsyncTokenite, Connection, PymtHouse, Tokenite
from tollkit.errors import TollkitError, TransportError
from tollkit.pymthouse import PmtHouseError
from tollkit.run402 import AsyncRun402, MemoryCredentials, Run402, Run402Error
from tollkit.tokenite import TokeniteError

Pieces = Callable[[], Iterator[bytes]]
LIMIT = 20.0
MOST = 4 << 20
"""What the clients read of an answer."""
PEAK = 48 << 20
"""Bytes of memory that a call may need for an answer that is larger than `MOST`, with all that lies on the way."""
_TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Server:
    """Reads a request, then sends what it is told to, until the client is gone."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(LIMIT)
        assert not self._thread.is_alive(), "the server did not end"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, contextlib.suppress(OSError):
                    self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(LIMIT)
        seen = b""
        while b"\r\n\r\n" not in seen:
            data = connection.recv(65_536)
            if not data:
                return
            seen += data
        for piece in self._pieces():
            connection.sendall(piece)


def once(*pieces: bytes) -> Pieces:
    return lambda: iter(pieces)


def forever(head: bytes, piece: bytes) -> Pieces:
    """At most a GiB: what goes on to there had no end."""

    def made() -> Iterator[bytes]:
        yield head
        for _ in range((1 << 30) // len(piece)):
            yield piece

    return made


OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
MORE = {"max_functions": 5, "description": "small"}
QUOTES = json.dumps(
    {"tiers": {"prototype": {"price": "$0.10", "lease_days": 7, "storage_mb": 250, "api_calls": 500_000, **MORE}}}
).encode()
GOOD = json.dumps({"status": "ok", "users": []}).encode()


def sized(body: bytes, more: bytes = b"") -> Pieces:
    return once(OK + more + b"content-length: %d\r\n\r\n" % len(body) + body)


@functools.cache
def bomb(size: int, *, wbits: int = 31) -> bytes:
    """Zeros, compressed: a thousandth of `size`."""
    block = zlib.compressobj(9, zlib.DEFLATED, -15)
    begin = block.compress(bytes(1 << 24)) + block.flush(zlib.Z_FULL_FLUSH)
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" if wbits == 31 else b"\x78\x9c" if wbits == 15 else b""
    return head + begin * (size >> 24) + b"\x03\x00"


GARBAGE: dict[str, Pieces] = {
    "nothing": once(),
    "an empty line": once(b"\r\n\r\n"),
    "bytes": once(bytes(range(256)) * 16),
    "another protocol": once(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "TLS": once(b"\x15\x03\x01\x00\x02\x02\x28"),
    "no such version": once(b"HTTP/9.9 200 OK\r\n\r\n"),
    "no number as status": once(b"HTTP/1.1 abc OK\r\n\r\n"),
    "a huge number as status": once(b"HTTP/1.1 " + b"9" * 5_000 + b" OK\r\n\r\n"),
    "the head begun": once(b"HTTP/1.1 200 OK\r\ncontent-"),
    "the head alone": once(OK + b"content-length: 10\r\n\r\n"),
    "half of the body": once(OK + b"content-length: 1000\r\n\r\n" + GOOD),
    "more than the body": once(OK + b"content-length: 2\r\n\r\n" + GOOD * 9),
    "a header without a colon": once(OK + b"nonsense\r\n\r\n" + GOOD),
    "a header without a name": once(OK + b": x\r\n\r\n" + GOOD),
    "a header with zeros": once(OK + b"x: a\x00b\r\ncontent-length: 2\r\n\r\n{}"),
    "a header that is no text": once(OK + b"x-request-id: \xff\xfe\r\netag: \xc3\x28\r\ncontent-length: 2\r\n\r\n{}"),
    "a folded header": once(OK + b"x: a\r\n b\r\ncontent-length: 2\r\n\r\n{}"),
    "a huge header": once(OK + b"x: " + b"a" * (8 << 20) + b"\r\n\r\n{}"),
    "many headers": once(OK + b"x: a\r\n" * 200_000 + b"\r\n{}"),
    "two lengths": once(OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}\n"),
    "a negative length": once(OK + b"content-length: -5\r\n\r\n{}"),
    "a huge length": once(OK + b"content-length: " + b"9" * 5_000 + b"\r\n\r\n{}"),
    "a length and chunks": once(OK + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    "another transfer coding": once(OK + b"transfer-encoding: gzip, rot13\r\n\r\n{}"),
    "204 with a body": once(b"HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\n{}"),
    "304 with a body": once(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 2\r\n\r\n{}"),
    "101": once(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n\x81\x00"),
    "many times 100": once(b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000),
    "a redirect to itself": once(b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n"),
    "a chunk of no size": once(CHUNKED + b"ZZ\r\n{}\r\n0\r\n\r\n"),
    "a chunk of negative size": once(CHUNKED + b"-5\r\n{}\r\n0\r\n\r\n"),
    "a chunk of huge size": once(CHUNKED + b"F" * 40 + b"\r\n{}"),
    "a chunk without its end": once(CHUNKED + b"2\r\n{}0\r\n\r\n"),
    "a chunk cut": once(CHUNKED + b"ff\r\n{"),
    "chunks without the last": once(CHUNKED + b"2\r\n{}\r\n"),
    "a chunk with a huge extension": once(CHUNKED + b"2;" + b"a" * (8 << 20) + b"\r\n{}\r\n0\r\n\r\n"),
    "a trailer without end": once(CHUNKED + b"2\r\n{}\r\n0\r\n" + b"x: a\r\n" * 200_000),
    "gzip that is none": sized(GOOD, b"content-encoding: gzip\r\n"),
    "gzip cut": sized(gzip.compress(bytes(9_000))[:-12], b"content-encoding: gzip\r\n"),
    "gzip with a wrong sum": sized(gzip.compress(GOOD)[:-8] + bytes(8), b"content-encoding: gzip\r\n"),
    "gzip twice": sized(gzip.compress(gzip.compress(GOOD)), b"content-encoding: gzip, gzip\r\n"),
    "deflate that is none": sized(b"\xff" * 40, b"content-encoding: deflate\r\n"),
    "an unknown coding": sized(b"\x01\x02", b"content-encoding: rot13\r\n"),
    "brotli": sized(b"\x8b\x00\x80\x41\x03", b"content-encoding: br\r\n"),
    "zstandard": sized(b"\x28\xb5\x2f\xfd\x00\x58\x00\x00", b"content-encoding: zstd\r\n"),
}
"""Everything but an answer that a client of the platforms could use."""
LARGE: dict[str, Pieces] = {
    "a length beyond the limit": forever(OK + b"content-length: 1099511627776\r\n\r\n", bytes(65_536)),
    "no length and no end": forever(OK + b"connection: close\r\n\r\n", b" " * 65_536),
    "chunks without end": forever(CHUNKED, b"10000\r\n" + b" " * 65_536 + b"\r\n"),
    "small chunks": forever(CHUNKED, (b"100\r\n" + b" " * 256 + b"\r\n") * 1_000),
    "a gzip bomb": lambda: sized(bomb(1 << 30), b"content-encoding: gzip\r\n")(),
    "a gzip bomb of an error": lambda: iter(
        [b"HTTP/1.1 500 X\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n\r\n", bomb(1 << 30)]
    ),
    "a deflate bomb": lambda: sized(bomb(1 << 30, wbits=15), b"content-encoding: deflate\r\n")(),
    "a bomb within a bomb": lambda: sized(gzip.compress(bomb(1 << 30)), b"content-encoding: gzip, gzip\r\n")(),
}
ENGINES = [each for each in get_args(get_type_hints(Connection)["engine"]) if each != "auto"]


def connection(engine: str) -> Connection:
    """Settings with a small limit; httpx loads certificates for each client, which nothing here needs."""
    own: Any = {"engine": engine, **({"verify": _TRUSTS_NOBODY} if engine == "httpx" else {})}
    return Connection(trust_env=False, max_answer_bytes=MOST, **own)


def pymthouse(side: Any, url: str, engine: str) -> Any:
    kind = PymtHouse if side.name == "blocking" else AsyncPymtHouse
    given = {"public_client_id": "app_1", "m2m_client_id": "m2m_1", "m2m_client_secret": "pmth_cs_sentinel"}
    common: Any = {"allow_insecure_http": True, "connection": connection(engine), "max_retries": 0, "timeout": LIMIT}
    return side.made(kind(issuer_url=f"{url}/api/v1/oidc", **given, **common)).list_app_users()


def tokenite(side: Any, url: str, engine: str) -> Any:
    kind = Tokenite if side.name == "blocking" else AsyncTokenite
    common: Any = {"allow_insecure_http": True, "connection": connection(engine), "max_retries": 0, "timeout": LIMIT}
    client = kind(client_id="app_1", client_secret="secret-sentinel", base_url=url, proxy_base=url, **common)
    return side.made(client).get_access_context("token-sentinel")


def run402(side: Any, url: str, engine: str) -> Any:
    kind = Run402 if side.name == "blocking" else AsyncRun402
    common: Any = {"allow_insecure_http": True, "connection": connection(engine), "max_retries": 0, "timeout": LIMIT}
    return side.made(kind(api_base=url, credentials=MemoryCredentials(), **common)).projects.get_quote()


CALLS: dict[str, tuple[Callable[[Any, str, str], Any], type[Exception]]] = {
    "pymthouse": (pymthouse, PmtHouseError),
    "tokenite": (tokenite, TokeniteError),
    "run402": (run402, Run402Error),
}


@pytest.fixture(params=[BlockingSide, AsyncSide], ids=lambda kind: kind.name)
def side(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Blocking or async."""
    chosen = request.param()
    yield chosen
    chosen.end()


def failure(side: Any, platform: str, url: str, engine: str) -> TollkitError | None:
    """The error of a call; `None` when it came to a result."""
    call, family = CALLS[platform]
    error: TollkitError | None = None
    try:
        side.do(call(side, url, engine))
    except TollkitError as caught:
        error = caught
    if error is not None:
        assert isinstance(error, family), f"{error!r} is no {family.__name__}"
        assert "sentinel" not in f"{error} {error!r} {error.to_dict()}"
    return error


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("what", GARBAGE)
def test_garbage(side: Any, engine: str, what: str) -> None:
    platform = list(CALLS)[list(GARBAGE).index(what) % len(CALLS)]
    with Server(GARBAGE[what]) as server:
        error = failure(side, platform, server.url, engine)
    # nothing in there is an answer of this operation, whatever a lenient reader of HTTP makes of it
    assert error is not None


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("what", LARGE)
def test_what_has_no_end_is_not_read_to_it(side: Any, engine: str, what: str) -> None:
    platform = list(CALLS)[list(LARGE).index(what) % len(CALLS)]
    bomb(1 << 30), bomb(1 << 30, wbits=15)  # made before memory is measured
    with Server(LARGE[what]) as server:
        tracemalloc.start()
        try:
            error = failure(side, platform, server.url, engine)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < PEAK, f"{peak >> 20} MiB"
    if "within" in what:
        assert error is not None
        return
    assert isinstance(error, TransportError)
    assert error.code == "answer_too_large"
    assert error.retryable is False
    assert f"{MOST:,}" in str(error)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity"])
def test_what_is_within_the_limit_is_read(side: Any, engine: str, coding: str) -> None:
    plain = b" " * (MOST - len(QUOTES)) + QUOTES
    body = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}[coding](plain)
    with Server(sized(body, b"content-encoding: %s\r\n" % coding.encode())) as server:
        error = failure(side, "run402", server.url, engine)
    assert error is None
