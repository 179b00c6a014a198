"""A platform made up for tests, and one way to call its blocking and its async client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, Unpack

import attrs

from tollkit.core.client import AsyncApi, AsyncClient, BlockingApi, BlockingClient, ClientOptions
from tollkit.core.credentials import Credentials, NoCredentials
from tollkit.core.flows import Flow, Flows, Send, flow, send
from tollkit.core.service import Service
from tollkit.core.settings import Connection
from tollkit.errors import TollkitError
from tollkit_api.runtime import HttpResponse, Operation, Request

T = TypeVar("T")
_TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class ToyError(TollkitError):
    """The family of the errors of this platform."""


def operation(method: str = "GET", **facts: Any) -> Operation:
    """An operation; a GET or PUT is idempotent unless told otherwise."""
    known = {
        "id": f"{method.lower()}Thing",
        "path": "/thing",
        "security": (),
        "idempotent": method in ("GET", "HEAD", "PUT", "DELETE"),
        "success": (200,),
        "hints": {},
    }
    return Operation(method=method, **{**known, **facts})


def request(method: str = "GET", path: str = "/thing", **facts: Any) -> Request:
    """A request; `params`, `headers` and `content` are its own, everything else is the operation's."""
    own = {name: facts.pop(name) for name in ("params", "headers", "content") if name in facts}
    return Request(operation=operation(method, **facts), url=path, **own)


def parse(response: HttpResponse) -> Any:
    return json.loads(response.content) if response.content else None


class ToyFlows(Flows):
    def __init__(self, service: Service) -> None:
        self._service = service

    @flow
    def ask(self, asked: Request | None = None) -> Flow[Any]:
        """Send one request.

        Args:
            asked: The request; a GET when nothing is said.
        """
        return (yield from send(Send(asked or request(), parse, self._service)))

    @flow
    def perform(self, body: Callable[[ToyFlows], Flow[T]]) -> Flow[T]:
        """Run any flow, which gets the flows of the platform."""
        return (yield from body(self))


def _service(base_url: str, credentials: Credentials | None, facts: Mapping[str, Any]) -> Service:
    return Service(name="toy", base_url=base_url, credentials=credentials or NoCredentials(), **facts)


class Toy(ToyFlows, BlockingClient):
    family = ToyError

    def __init__(
        self,
        base_url: str,
        *,
        credentials: Credentials | None = None,
        service: Mapping[str, Any] | None = None,
        http_client: Any = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        self._start(ToyFlows(_service(base_url, credentials, service or {})), options, http_client)

    @property
    def api(self) -> BlockingApi:
        return BlockingApi(self, self.flows._service)


class AsyncToy(ToyFlows, AsyncClient):
    family = ToyError

    def __init__(
        self,
        base_url: str,
        *,
        credentials: Credentials | None = None,
        service: Mapping[str, Any] | None = None,
        http_client: Any = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        self._start(ToyFlows(_service(base_url, credentials, service or {})), options, http_client)

    @property
    def api(self) -> AsyncApi:
        return AsyncApi(self, self.flows._service)


def _with_defaults(options: dict[str, Any], engine: Any) -> dict[str, Any]:
    # most servers of the tests speak no TLS, and to load the certificates of the machine takes 20 ms a client
    usual = Connection(verify=_TRUSTS_NOBODY) if engine == "httpx" else Connection()
    connection: Connection = options.get("connection", usual)
    if connection.engine == "auto":  # "auto" stays what it is where the engine would refuse a setting
        connection = attrs.evolve(connection, engine=engine if engine == "httpx" else "auto")
    return {**options, "connection": connection}


class BlockingSide:
    """Calls the blocking client."""

    name = "blocking"
    engine = "httpx"

    @contextlib.contextmanager
    def client(self, base_url: str, **options: Any) -> Iterator[Any]:
        with Toy(base_url, **_with_defaults(options, self.engine)) as toy:
            yield toy

    def do(self, value: Any) -> Any:
        """What the call returned."""
        return value

    def close(self, client: Any) -> None:
        client.close()

    def end(self) -> None:
        """Nothing is held."""


class AsyncSide:
    """Calls the async client, all calls of a test in one event loop."""

    name = "async"
    engine = "httpx"

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    @contextlib.contextmanager
    def client(self, base_url: str, **options: Any) -> Iterator[Any]:
        toy = AsyncToy(base_url, **_with_defaults(options, self.engine))
        try:
            yield toy
        finally:
            self.close(toy)

    def do(self, value: Any) -> Any:
        """What the call returns when it is awaited."""
        return self._runner.run(value)

    def close(self, client: Any) -> None:
        self.do(client.aclose())

    def end(self) -> None:
        """End the event loop."""
        self._runner.close()


class FastBlockingSide(BlockingSide):
    """Calls the blocking client over the engine of the extra `fast`."""

    engine = "aiohttp"


class FastAsyncSide(AsyncSide):
    """Calls the async client over the engine of the extra `fast`."""

    engine = "aiohttp"


Side = BlockingSide | AsyncSide
SIDES = (BlockingSide, AsyncSide, FastBlockingSide, FastAsyncSide)
