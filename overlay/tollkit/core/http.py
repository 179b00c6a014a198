"""Builds the clients of httpx, and translates their failures; only `core/transports.py` imports httpx besides.

httpx stays out of every public signature but `http_client=`, which takes anything of the shape below.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import logging
import os
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

from tollkit.core import engine
from tollkit.core.bodies import ACCEPT_ENCODING
from tollkit.core.locks import forkable_lock
from tollkit.core.loops import client_closed
from tollkit.core.pools import Pools
from tollkit.core.received import Gathering, Received
from tollkit.core.settings import Connection, Timeout
from tollkit.errors import (
    ConfigurationError,
    ConnectError,
    MissingExtraError,
    RequestTimeoutError,
    TollkitError,
    TransportError,
)

if TYPE_CHECKING:
    import httpx

    from tollkit_api.runtime import HttpResponse

__all__ = [
    "USER_AGENT",
    "AsyncConnections",
    "AsyncHttpClient",
    "Connections",
    "HttpClient",
    "sdk_arguments",
    "sdk_client",
    "translate",
]

C = TypeVar("C")
USER_AGENT = "tollkit-python"
_inherited: list[object] = []
"""Clients that a fork has found made: their sockets and threads are the parent's."""


class HttpClient(Protocol):
    """What tollkit needs of a blocking HTTP client; `httpx.Client` has it."""

    def request(
        self,
        method: str,
        url: str,
        *,
        content: Any = ...,
        headers: Mapping[str, str] | None = ...,
        follow_redirects: bool = ...,
        timeout: Any = ...,
    ) -> HttpResponse:
        """Send one request and read its whole answer.

        `content` is bytes, `None`, or, for uploads alone, an iterator of bytes.
        """
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


class AsyncHttpClient(Protocol):
    """What tollkit needs of an async HTTP client; `httpx.AsyncClient` has it."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        content: Any = ...,
        headers: Mapping[str, str] | None = ...,
        follow_redirects: bool = ...,
        timeout: Any = ...,
    ) -> HttpResponse:
        """Send one request and read its whole answer.

        `content` is bytes, `None`, or, for uploads alone, an async iterator of bytes.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


def _arguments(connection: Connection) -> dict[str, Any]:
    import httpx

    if connection.http2:
        if importlib.util.find_spec("h2") is None:
            raise MissingExtraError("HTTP/2", "http2")
        # it logs every header field in clear, keys and signatures among them; who sets its level decides otherwise
        compression = logging.getLogger("hpack")
        if compression.level == logging.NOTSET:
            compression.setLevel(logging.INFO)
    timeout = Timeout()
    return {
        "verify": connection.verify,
        "proxy": connection.proxy,
        "http2": connection.http2,
        "trust_env": connection.trust_env,
        "follow_redirects": False,
        "timeout": (timeout.connect, timeout.read, timeout.write, timeout.pool),
        "limits": httpx.Limits(
            max_connections=connection.max_connections,
            max_keepalive_connections=connection.max_keepalive_connections,
            keepalive_expiry=connection.keepalive_expiry,
        ),
        "headers": {"user-agent": USER_AGENT},
    }


def _make(client: Callable[..., C], connection: Connection) -> C:
    try:
        return client(**_arguments(connection))
    except (ValueError, ImportError) as problem:
        if isinstance(problem, TollkitError):
            raise
        raise ConfigurationError(f"No HTTP client can be made with these settings: {problem}") from problem


def sdk_arguments(connection: Connection, timeout: Timeout | None, *, library: str) -> dict[str, Any]:
    """Arguments for an HTTP client that somebody else's SDK makes of its own library, with the settings of ours.

    Args:
        connection: Proxy, certificates, pool sizes, HTTP/2.
        timeout: Left to the library when `None`.
        library: `httpx`, or a library of the same shape, such as `httpx2`.

    Raises:
        ConfigurationError: There is no such library, or it lacks the shape.
        MissingExtraError: HTTP/2 is asked for and h2 is not there.
    """
    arguments = _arguments(connection)
    limits: httpx.Limits = arguments.pop("limits")
    del arguments["timeout"]
    try:
        module: Any = importlib.import_module(library)
        arguments["limits"] = module.Limits(
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
        )
        if timeout is not None:
            arguments["timeout"] = module.Timeout((timeout.connect, timeout.read, timeout.write, timeout.pool))
    except (ImportError, AttributeError) as problem:
        raise ConfigurationError(f"No HTTP client of {library} can be made: {problem}") from problem
    return arguments


def sdk_client(connection: Connection, timeout: Timeout | None, *, library: str, asynchronous: bool) -> Any:
    """An HTTP client for somebody else's SDK, which then owns and closes it: as `sdk_arguments` says.

    Raises:
        ConfigurationError: No client can be made with these settings, or of this library.
        MissingExtraError: HTTP/2 is asked for and h2 is not there.
    """
    arguments = sdk_arguments(connection, timeout, library=library)
    module: Any = importlib.import_module(library)
    kind: Callable[..., Any] = module.AsyncClient if asynchronous else module.Client

    def made(**_of_httpx: Any) -> Any:
        return kind(**arguments)

    return _make(made, connection)


class _Requests:
    """Builds requests as tollkit needs them.

    `Client.build_request` merges cookies, query parameters and a base address into each request, which costs a
    tenth of a call and which nothing here uses; and no cookie of one answer belongs into the next request.
    """

    def __init__(self, client: httpx.Client | httpx.AsyncClient) -> None:
        import httpx

        self._make = httpx.Request
        self._url = lru_cache(maxsize=128)(httpx.URL)
        self._timeout_of = httpx.Timeout
        self._headers = {name.lower(): value for name, value in client.headers.items()}
        self._headers["accept-encoding"] = ACCEPT_ENCODING
        self._timeout = client.timeout.as_dict()

    def build(
        self, method: str, url: str, content: Any, headers: Mapping[str, str] | None, timeout: Any
    ) -> httpx.Request:
        """The request, with the client's own headers below those that are given."""
        merged = {**self._headers, **{name.lower(): value for name, value in (headers or {}).items()}}
        seconds = self._timeout if timeout is _CLIENTS_OWN else self._timeout_of(timeout).as_dict()
        return self._make(method, self._url(url), headers=merged, content=content, extensions={"timeout": seconds})


_CLIENTS_OWN = object()


class _Made:
    """`HttpClient` over a client of httpx that was made here."""

    def __init__(self, client: httpx.Client, most: int) -> None:
        self._client = client
        self._most = most
        self._requests = _Requests(client)
        self.close = client.close

    def request(
        self,
        method: str,
        url: str,
        *,
        content: Any = None,
        headers: Mapping[str, str] | None = None,
        follow_redirects: bool = False,
        timeout: Any = _CLIENTS_OWN,
    ) -> HttpResponse:
        request = self._requests.build(method, url, content, headers, timeout)
        response = self._client.send(request, follow_redirects=follow_redirects, stream=True)
        try:
            body = Gathering(response.headers, self._most)
            for data in response.iter_raw():
                body.add(data)
            return Received(response.status_code, response.headers, body.whole())
        finally:
            response.close()

    @contextlib.contextmanager
    def stream(
        self,
        method: str,
        url: str,
        *,
        content: Any = None,
        headers: Mapping[str, str] | None = None,
        follow_redirects: bool = False,
        timeout: Any = _CLIENTS_OWN,
    ) -> Generator[Any]:
        request = self._requests.build(method, url, content, headers, timeout)
        response = self._client.send(request, follow_redirects=follow_redirects, stream=True)
        try:
            yield response
        finally:
            response.close()


class _AsyncMade:
    """`AsyncHttpClient` over clients of httpx that are made here."""

    def __init__(self, connection: Connection) -> None:
        import httpx

        def make(connections: int, idle: int) -> httpx.AsyncClient:
            own = attrs.evolve(connection, max_connections=connections, max_keepalive_connections=idle)
            return _make(httpx.AsyncClient, own)

        most = connection.max_connections
        if connection.verify is True:  # one for all pools, since to read the authorities takes 20 ms
            connection = attrs.evolve(connection, verify=httpx.create_ssl_context(trust_env=connection.trust_env))
        streams = 100 if connection.http2 else 1  # what servers usually allow (RFC 9113 section 6.5.2)
        self._pools = Pools(make, most, connection.max_keepalive_connections, streams=streams)
        self._most = connection.max_answer_bytes
        self._requests = _Requests(self._pools.pools[0].client)

    async def request(
        self,
        method: str,
        url: str,
        *,
        content: Any = None,
        headers: Mapping[str, str] | None = None,
        follow_redirects: bool = False,
        timeout: Any = _CLIENTS_OWN,
    ) -> HttpResponse:
        request = self._requests.build(method, url, content, headers, timeout)
        pool = await self._pools.take(request.extensions["timeout"]["pool"])
        try:
            response = await pool.client.send(request, follow_redirects=follow_redirects, stream=True)
            try:
                body = Gathering(response.headers, self._most)
                async for data in response.aiter_raw():
                    body.add(data)
                return Received(response.status_code, response.headers, body.whole())
            finally:
                await response.aclose()
        finally:
            self._pools.give(pool)

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        content: Any = None,
        headers: Mapping[str, str] | None = None,
        follow_redirects: bool = False,
        timeout: Any = _CLIENTS_OWN,
    ) -> AsyncGenerator[Any]:
        request = self._requests.build(method, url, content, headers, timeout)
        pool = await self._pools.take(request.extensions["timeout"]["pool"])
        try:
            response = await pool.client.send(request, follow_redirects=follow_redirects, stream=True)
            try:
                yield response
            finally:
                await response.aclose()
        finally:
            self._pools.give(pool)

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools.pools:
            await pool.client.aclose()


def _blocking(connection: Connection) -> HttpClient:
    def of_httpx() -> HttpClient:
        import httpx

        return _Made(_make(httpx.Client, connection), connection.max_answer_bytes)

    if engine.chosen(connection):
        return engine.Fast(connection, USER_AGENT, of_httpx)
    return of_httpx()


def _async(connection: Connection) -> AsyncHttpClient:
    def of_httpx() -> AsyncHttpClient:
        return _AsyncMade(connection)

    if engine.chosen(connection):
        return engine.AsyncFast(connection, USER_AGENT, of_httpx)
    return of_httpx()


class Connections:
    """The blocking HTTP client behind a tollkit client: made at the first request, shared by its copies.

    A process that was forked gets connections of its own, since sockets must not be shared.
    """

    def __init__(self, connection: Connection, brought: HttpClient | None) -> None:
        self._connection = connection
        self._brought = brought
        self._made: tuple[int, HttpClient] | None = None
        self._lock = forkable_lock()
        self._open = True

    def client(self) -> HttpClient:
        """The client to send with.

        Raises:
            LocalError: `close()` was called before.
        """
        if not self._open:
            raise client_closed()
        if self._brought is not None:
            return self._brought
        process = os.getpid()
        made = self._made
        if made is None or made[0] != process:
            with self._lock:
                made = self._made
                if not self._open:
                    raise client_closed()
                if made is None or made[0] != process:
                    if made is not None:  # the parent's, which nothing here may close or wait for
                        _inherited.append(made[1])
                    made = self._made = (process, _blocking(self._connection))
        return made[1]

    def close(self) -> None:
        """Close the connections that were made here; a client that was brought stays open."""
        with self._lock:
            self._open = False
            made, self._made = self._made, None
        if made is not None:
            made[1].close()


class AsyncConnections:
    """The async HTTP client behind a tollkit client, one for each event loop that uses it.

    A connection belongs to the loop in which it was opened; with one client for all loops, the second
    `asyncio.run` of a program would fail. What is not closed before is closed with its loop.
    """

    def __init__(self, connection: Connection, brought: AsyncHttpClient | None) -> None:
        self._connection = connection
        self._brought = brought
        self._made: dict[asyncio.AbstractEventLoop, tuple[AsyncHttpClient, AsyncGenerator[None]]] = {}
        self._open = True

    def client(self) -> AsyncHttpClient:
        """The client to send with in the running event loop.

        Raises:
            LocalError: `aclose()` was called before.
        """
        if not self._open:
            raise client_closed()
        if self._brought is not None:
            return self._brought
        loop = asyncio.get_running_loop()
        made = self._made.get(loop)
        if made is None:
            for ended in [other for other in list(self._made) if other.is_closed()]:
                self._made.pop(ended, None)
            client = _async(self._connection)
            made = self._made[loop] = (client, _closed_with_loop(client))
        return made[0]

    async def aclose(self) -> None:
        """Close the connections of the running loop; other loops close theirs."""
        self._open = False
        made = self._made.pop(asyncio.get_running_loop(), None)
        self._made.clear()
        if made is not None:
            await made[1].aclose()


def _closed_with_loop(client: AsyncHttpClient) -> AsyncGenerator[None]:
    """A guard that closes the client when it is closed itself or dropped, or when its event loop ends.

    Event loops finish the async generators that were begun in them (`loop.shutdown_asyncgens`); there is no other
    hook at the end of a loop.
    """

    async def guard() -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await client.aclose()

    begun = guard()
    with contextlib.suppress(StopIteration):
        begun.asend(None).send(None)  # up to its `yield`, which waits for nothing
    return begun


def translate(failure: Exception) -> TransportError | None:
    """The error for a failure of the HTTP client, with the cause that may be shown; `None` when it is none of HTTP.

    Goes by the names of the classes, which httpx and the clients made after it share.
    """
    names = {cls.__name__ for cls in type(failure).__mro__}
    told = f"{type(failure).__name__}: {failure}" if str(failure) else type(failure).__name__
    error: TransportError
    if isinstance(failure, TollkitError):
        return None
    elif "LocalProtocolError" in names:
        # its text, and that of its own cause, show the header that cannot be sent, which may be a secret
        return TransportError(
            "The request could not be sent: a header or the body is not valid HTTP",
            code="invalid_request",
            retryable=False,
        )
    elif "UnsupportedProtocol" in names or "InvalidURL" in names:
        error = TransportError(f"The request could not be sent ({told})", code="invalid_request", retryable=False)
    elif not names.isdisjoint({"ConnectTimeout", "PoolTimeout"}):
        error = RequestTimeoutError(
            f"No connection in time ({told})", hint="Check the address and the network", safe_to_retry=True
        )
    elif not names.isdisjoint({"TimeoutException", "TimeoutError"}):
        error = RequestTimeoutError(f"No answer in time ({told})", hint="Raise timeout= or try again later")
    elif not names.isdisjoint({"ConnectError", "ProxyError", "ConnectionRefusedError", "gaierror"}):
        error = ConnectError(
            f"No connection ({told})", hint="Check the address, proxy and network", safe_to_retry=True
        )
    elif not names.isdisjoint({"TransportError", "RequestError", "HTTPError", "OSError"}):
        error = TransportError(f"The connection broke before a whole answer came ({told})")
    else:
        return None
    error.__cause__ = failure
    return error
