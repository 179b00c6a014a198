"""What every client of a platform is: flows, a driver, options and connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypedDict

from tollkit.core import policy
from tollkit.core.drivers import Async, Blocking
from tollkit.core.flows import Flows
from tollkit.core.http import AsyncConnections, AsyncHttpClient, Connections, HttpClient
from tollkit.core.settings import KEEP, Connection, Keep, Options, Timeout
from tollkit.errors import ArgumentError, LocalError, TollkitError, brand

if TYPE_CHECKING:
    from tollkit.core.events import Event
    from tollkit.core.service import Service
    from tollkit_api.runtime import HttpResponse, Request

__all__ = ["AsyncApi", "AsyncClient", "BlockingApi", "BlockingClient", "ClientOptions"]


class ClientOptions(TypedDict, total=False):
    """The options that every client takes.

    Attributes:
        timeout: Seconds for each HTTP exchange, a `Timeout`, or `None` for no limit; 5 s to connect and 30 s for
            everything else when nothing is said.
        max_retries: How often a failed exchange is sent again where that is safe; 2 when nothing is said.
        headers: Further headers for every request.
        on_event: Called with each event of the transport (`tollkit.core.events`).
        connection: Proxy, certificates, pool sizes, HTTP/2.
    """

    timeout: Timeout | float | None
    max_retries: int
    headers: Mapping[str, str]
    on_event: Callable[[Event], None]
    connection: Connection


class _Optioned:
    family: type[TollkitError]
    _options: Options

    def with_options(
        self,
        *,
        timeout: Timeout | float | Keep | None = KEEP,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> Self:
        """A client with some options changed; it shares connections, tokens and caches with this one.

        Args:
            timeout: Seconds for each HTTP exchange, a `Timeout`, or `None` for no limit.
            max_retries: How often a failed exchange is sent again where that is safe.
            headers: More headers for every request.
            on_event: Called with each event of the transport.

        Raises:
            ArgumentError: A value is of the wrong kind.
        """
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        try:
            other._options = self._options.changed(
                timeout=timeout, max_retries=max_retries, headers=headers, on_event=on_event
            )
        except ArgumentError as error:
            brand(error, self.family)
            raise
        return other


def _split(options: ClientOptions) -> tuple[Options, Connection]:
    changes: dict[str, Any] = {"timeout": KEEP, "max_retries": None, "headers": None, "on_event": None, **options}
    connection = changes.pop("connection", None)
    if connection is None:
        connection = Connection()
    if not isinstance(connection, Connection):
        raise ArgumentError("connection", "must be a Connection")
    return Options().changed(**changes), connection


class BlockingClient(_Optioned, Blocking):
    """A client for blocking programs: a context manager, safe to share between threads."""

    def _start(self, flows: Flows, options: ClientOptions, http_client: HttpClient | None) -> None:
        self.flows = flows
        self._options, connection = _split(options)
        self._connections = Connections(connection, http_client)

    def close(self) -> None:
        """Close the connections that this client and its copies made; a client that was brought stays open."""
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class AsyncClient(_Optioned, Async):
    """A client for async programs: an async context manager, safe to share between tasks and event loops."""

    def _start(self, flows: Flows, options: ClientOptions, http_client: AsyncHttpClient | None) -> None:
        self.flows = flows
        self._options, connection = _split(options)
        self._connections = AsyncConnections(connection, http_client)

    async def aclose(self) -> None:
        """Close the connections that this client and its copies made; a client that was brought stays open."""
        await self._connections.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


def _wrong_client(problem: str, client: Blocking | Async) -> LocalError:
    return brand(LocalError(problem, code="wrong_client"), client.family)


class BlockingApi:
    """What the functions of generated modules take as `client=`: sends with a client's credentials and policy.

    Error statuses come back as answers, as those functions expect; failures of the transport are raised.
    """

    def __init__(self, client: Blocking, service: Service) -> None:
        self._client = client
        self._service = service

    def send(self, request: Request) -> HttpResponse:
        """Send a request and return the last answer, whatever its status.

        Raises:
            TransportError: No answer came.
        """
        return self._client.run(policy.settle(request, self._service, self._client._options))[0]

    async def asend(self, request: Request) -> HttpResponse:
        """Not here: an async function needs the async client.

        Raises:
            LocalError: Always.
        """
        raise _wrong_client("this client is blocking; use the async client of the platform", self._client)


class AsyncApi:
    """`BlockingApi` for an async client."""

    def __init__(self, client: Async, service: Service) -> None:
        self._client = client
        self._service = service

    def send(self, request: Request) -> HttpResponse:
        """Not here: a blocking function needs the blocking client.

        Raises:
            LocalError: Always.
        """
        raise _wrong_client("this client is async; use the blocking client of the platform", self._client)

    async def asend(self, request: Request) -> HttpResponse:
        """Send a request and return the last answer, whatever its status.

        Raises:
            TransportError: No answer came.
        """
        return (await self._client.run(policy.settle(request, self._service, self._client._options)))[0]
