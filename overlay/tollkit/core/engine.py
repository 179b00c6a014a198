"""The faster engine: aiohttp (extra `fast`) in the shape of `HttpClient`, for all that it does as httpx does.

Under load it takes a seventh of httpx' CPU. It is used directly and not as a transport of httpx, which would build
each request and answer twice. pyreqwest is faster still, and was left: it takes a server that hangs up or keeps
silent for a failure to connect, after which a payment would be sent again, and a request that is cancelled keeps
its connection. Streams, bodies beyond `SMALL`, HTTP/2 and SOCKS go to httpx.
"""

from __future__ import annotations

import asyncio
import functools
import os
import ssl
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from tollkit.core.bodies import ACCEPT_ENCODING
from tollkit.core.locks import forkable_lock
from tollkit.core.loops import Asked, Loops, Seconds, client_closed
from tollkit.core.received import Gathering, Received
from tollkit.core.settings import Connection, Timeout
from tollkit.errors import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    import aiohttp

    from tollkit.core.http import AsyncHttpClient, HttpClient
    from tollkit_api.runtime import HttpResponse

__all__ = ["AsyncFast", "Fast", "Headers", "chosen"]

T = TypeVar("T")

SMALL = 65_536
"""Bytes of a body that a socket takes at once; larger ones have a time-out for writing, which httpx alone knows."""
_LONGEST_HEADER = 65_536
_QUIET = 0.2
"""Seconds after which an event loop may have missed that a server closed an idle connection."""


class TransportError(Exception):
    """The base of these failures; `core.http.translate` goes by the names that they share with httpx."""


class ConnectError(TransportError):
    """No connection; nothing has left."""


class ConnectTimeout(TransportError):
    """No connection in time; nothing has left."""


class ReadTimeout(TransportError, TimeoutError):
    """No answer in time."""


class InvalidURL(TransportError):
    """The address is none."""


class LocalProtocolError(TransportError):
    """A header is none."""


class Headers(Mapping[str, str]):
    """Header fields of an answer, looked up without regard to case; several of one name are joined by commas."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        self._fields: dict[str, str] = {}
        known = self._fields
        for name, value in fields:
            lower = name.lower()
            if not value.isascii():  # bytes that are no UTF-8 come as lone surrogates
                value = _text(value.encode("utf-8", "surrogateescape"))
            known[lower] = f"{known[lower]}, {value}" if lower in known else value

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"<{len(self)} headers>"


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


# --- which engine ------------------------------------------------------------------------------------------------


def _unsuited(connection: Connection) -> str | None:
    if connection.http2:
        return "http2= is on"
    if any(proxy.startswith("socks") for proxy in _Proxies(connection).addresses):
        return "the proxy is one of SOCKS"
    return None


def chosen(connection: Connection) -> bool:
    """Whether a client with these settings sends through the engine.

    Raises:
        ConfigurationError: The engine is asked for by name, and another setting needs httpx.
        MissingExtraError: It is asked for by name and is not installed.
    """
    if connection.engine == "httpx":
        return False
    installed = find_spec("aiohttp") is not None
    if connection.engine == "auto":
        return installed and _unsuited(connection) is None
    if not installed:
        raise MissingExtraError("The engine aiohttp", "fast")
    if reason := _unsuited(connection):
        raise ConfigurationError(f'engine="aiohttp" cannot be: {reason}; leave engine= at "auto"')
    return True


class _Proxies:
    """Which proxy a request goes through: the one that is set, or that of the environment."""

    def __init__(self, connection: Connection) -> None:
        self._set = connection.proxy
        self._environment: dict[str, str] = {}
        if self._set is None and connection.trust_env:
            from urllib.request import getproxies

            found = {scheme: proxy for scheme, proxy in getproxies().items() if scheme in ("http", "https", "all")}
            self._environment = {
                scheme: proxy if "://" in proxy else f"http://{proxy}" for scheme, proxy in found.items() if proxy
            }
        self.addresses = [self._set] if self._set else list(self._environment.values())
        for proxy in self.addresses:
            scheme = proxy.partition("://")[0].lower()
            if scheme not in ("http", "https", "socks5", "socks5h"):
                raise ConfigurationError(
                    f"A proxy has the scheme {scheme!r}; http, https, socks5 and socks5h are known"
                )
        self.of = lru_cache(maxsize=128)(self._of)

    def _of(self, scheme: str, host: str) -> str | None:
        if self._set is not None:
            return self._set
        found = self._environment.get(scheme) or self._environment.get("all")
        if found is None:
            return None
        from urllib.request import proxy_bypass

        return None if proxy_bypass(host) else found


def _context(connection: Connection) -> ssl.SSLContext:
    # the authorities that httpx trusts, without its import
    if isinstance(connection.verify, ssl.SSLContext):
        return connection.verify
    if connection.trust_env and (file := os.environ.get("SSL_CERT_FILE")):
        return ssl.create_default_context(cafile=file)
    if connection.trust_env and (folder := os.environ.get("SSL_CERT_DIR")):
        return ssl.create_default_context(capath=folder)
    import certifi

    return ssl.create_default_context(cafile=certifi.where())


# --- one event loop ----------------------------------------------------------------------------------------------


class _Session:
    """A session of aiohttp in one event loop.

    Args:
        connection: Proxy, certificates, pool sizes, limits.
        user_agent: Sent where a request names none.
    """

    def __init__(self, connection: Connection, user_agent: str) -> None:
        import aiohttp
        from yarl import URL

        self._loop = asyncio.get_running_loop()
        self._most = connection.max_answer_bytes
        self._proxies = _Proxies(connection)
        self._failures = (aiohttp.ClientError, OSError, TimeoutError)
        self._timeout = lru_cache(maxsize=32)(_timeout)
        self._url = lru_cache(maxsize=256)(functools.partial(URL, encoded=True))
        self._usual = _timeout(_seconds_of(Timeout()))
        self._connection = connection
        self._tls: ssl.SSLContext | None = None
        expiry: dict[str, Any] = (
            {"keepalive_timeout": connection.keepalive_expiry}
            if connection.keepalive_expiry and connection.max_keepalive_connections
            else {"force_close": True}
        )
        self._session = aiohttp.ClientSession(
            connector=_connector()(limit=connection.max_connections, **expiry),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"user-agent": user_agent, "accept": "*/*", "accept-encoding": ACCEPT_ENCODING},
            skip_auto_headers=("content-type",),
            auto_decompress=False,
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
        )
        # its second attempt for idempotent methods would be one that no event tells of; the policy makes them
        self._session._retry_connection = False
        self._active = self._loop.time()

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    def __del__(self) -> None:
        # nobody is left to await its end; as with httpx, sockets that are left open tell of themselves
        if (session := getattr(self, "_session", None)) is not None:
            session.detach()

    async def request(self, asked: Asked) -> Received:
        """Send one request and read its whole answer."""
        method, url, content, headers, timeout = asked
        if self._session.closed:
            raise client_closed()
        fields = {name.lower(): value for name, value in (headers or {}).items()}
        fields.pop("content-length", None)  # which the engine counts itself
        if self._loop.time() - self._active > _QUIET:
            # the loop may have stood still: two rounds of it, and it knows which connections have been closed
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        failed: Exception
        try:
            address = self._url(url)
            scheme, host = address.scheme, address.host or ""
            if scheme == "https" and self._tls is None:
                self._tls = _context(self._connection)
            async with self._session.request(
                method,
                address,
                data=content,
                headers=fields,
                allow_redirects=False,
                proxy=self._proxies.of(scheme, host),
                ssl=self._tls or True,
                timeout=self._usual if timeout is None else self._timeout(timeout),
            ) as answer:
                found = Headers(answer.headers.items())
                body = Gathering(found, self._most)
                async for data in answer.content.iter_any():
                    body.add(data)
                return Received(answer.status, found, body.whole())
        except self._failures as failure:
            failed = _failure(failure)
        except ValueError:
            failed = LocalProtocolError("a header or the address is not valid HTTP")
        finally:
            self._active = self._loop.time()
        raise failed  # outside, so that the engine's own text, which may hold the address, is no part of it


@functools.cache
def _connector() -> type[aiohttp.TCPConnector]:
    import aiohttp

    class Connector(aiohttp.TCPConnector):
        def __del__(self, *_: object) -> None:
            """Write no error to the log of a program that ends without closing its client."""

    return Connector


def _seconds_of(timeout: Timeout) -> Seconds:
    return (timeout.connect, timeout.read, timeout.write, timeout.pool)


def _timeout(seconds: Seconds) -> aiohttp.ClientTimeout:
    import aiohttp

    connect, read, _, pool = seconds
    # `connect` of aiohttp is the wait for the pool and the connection together
    both = None if connect is None or pool is None else connect + pool
    return aiohttp.ClientTimeout(total=None, connect=both, sock_connect=connect, sock_read=read)


def _failure(failure: Exception) -> Exception:
    """What happened, in words that hold neither address nor header."""
    import aiohttp

    name = type(failure).__name__
    if isinstance(failure, aiohttp.ConnectionTimeoutError):
        return ConnectTimeout("no connection, or none free")
    if isinstance(failure, TimeoutError):
        return ReadTimeout("the server kept silent")
    if isinstance(failure, aiohttp.ClientConnectorError):
        return ConnectError(str(failure.os_error) or name)
    if isinstance(failure, aiohttp.ClientConnectorCertificateError):
        return ConnectError(str(failure.certificate_error))
    if isinstance(failure, aiohttp.ClientHttpProxyError):
        return ConnectError(f"the proxy answered {failure.status}")
    if isinstance(failure, (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)):
        return InvalidURL("the address is not one of http or https")
    if isinstance(failure, aiohttp.ClientResponseError):  # whose text has the address
        return TransportError("the answer is not HTTP")
    return TransportError(f"{name}: {failure}"[:300])


# --- both clients ------------------------------------------------------------------------------------------------


class _Once(Generic[T]):
    """Something that is made when it is first needed."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = forkable_lock()
        self.made: T | None = None

    def get(self) -> T:
        """The thing."""
        with self._lock:
            if self.made is None:
                self.made = self._make()
            return self.made


def _small(content: object) -> bool:
    return content is None or (isinstance(content, bytes) and len(content) <= SMALL)


def _arguments(content: Any, headers: Mapping[str, str] | None, timeout: Seconds | None) -> dict[str, Any]:
    own: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    return {"content": content, "headers": headers, **own}


class AsyncFast:
    """`AsyncHttpClient` over the engine, for the running event loop.

    Args:
        connection: Proxy, certificates, pool sizes, limits.
        user_agent: Sent where a request names none.
        otherwise: Makes the client of httpx, for what the engine does not do.
    """

    def __init__(self, connection: Connection, user_agent: str, otherwise: Callable[[], AsyncHttpClient]) -> None:
        self._session = _Session(connection, user_agent)
        self._otherwise = _Once(otherwise)

    async def request(
        self,
        method: str,
        url: str,
        *,
        content: Any = None,
        headers: Mapping[str, str] | None = None,
        follow_redirects: bool = False,
        timeout: Any = None,
    ) -> HttpResponse:
        """Send one request and read its whole answer."""
        if follow_redirects or not _small(content):
            arguments = _arguments(content, headers, timeout)
            return await self._otherwise.get().request(method, url, follow_redirects=follow_redirects, **arguments)
        return await self._session.request((method, url, content, headers, timeout))

    def stream(self, method: str, url: str, **arguments: Any) -> AbstractAsyncContextManager[Any]:
        """Send one request and read its answer piece by piece, with httpx."""
        client: Any = self._otherwise.get()
        found: AbstractAsyncContextManager[Any] = client.stream(method, url, **arguments)
        return found

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()
        if (other := self._otherwise.made) is not None:
            await other.aclose()


class Fast:
    """`HttpClient` over the engine; the arguments are those of `AsyncFast`.

    One call at a time runs in the thread that makes it, which is cheapest; what comes beside it, or in a thread whose
    own event loop is running, runs in a thread of the engine, and so do all calls while that one is at work. A wait
    that a signal ends, such as Ctrl-C, ends the request and its connection too.
    """

    def __init__(self, connection: Connection, user_agent: str, otherwise: Callable[[], HttpClient]) -> None:
        _Proxies(connection)  # a proxy that cannot be is told here, not in a thread
        others = attrs.evolve(connection, max_connections=max(1, connection.max_connections - 1))
        self._loops = Loops(
            # with one connection in all, both could not have one
            functools.partial(_Session, connection, user_agent) if connection.max_connections > 1 else None,
            functools.partial(_Session, others, user_agent),
        )
        self._otherwise = _Once(otherwise)
        self._end = weakref.finalize(self, self._loops.end)

    def request(
        self,
        method: str,
        url: str,
        *,
        content: Any = None,
        headers: Mapping[str, str] | None = None,
        follow_redirects: bool = False,
        timeout: Any = None,
    ) -> HttpResponse:
        """Send one request and read its whole answer."""
        if follow_redirects or not _small(content):
            arguments = _arguments(content, headers, timeout)
            return self._otherwise.get().request(method, url, follow_redirects=follow_redirects, **arguments)
        return self._loops.run((method, url, content, headers, timeout))

    def stream(self, method: str, url: str, **arguments: Any) -> AbstractContextManager[Any]:
        """Send one request and read its answer piece by piece, with httpx."""
        client: Any = self._otherwise.get()
        found: AbstractContextManager[Any] = client.stream(method, url, **arguments)
        return found

    def close(self) -> None:
        """Close all connections."""
        self._end()
        if (other := self._otherwise.made) is not None:
            other.close()
