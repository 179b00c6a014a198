"""Transports for `httpx.Client` and `httpx.AsyncClient` that pay; beside `core/http.py` the only import of httpx.

What pays is a flow, which is run here around one request. The inner transport sends, the answer goes back as it came.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Protocol, cast

import httpx

from tollkit.core.drivers import Async, Blocking
from tollkit.core.flows import Flow, Wire
from tollkit.core.settings import Options
from tollkit.errors import TollkitError, TransportError
from tollkit_api.runtime import HttpResponse

__all__ = ["AsyncPayingTransport", "PayingTransport"]

EXTENSION = "x402"


class Paid(Protocol):
    """An answer that was paid for."""

    @property
    def response(self) -> HttpResponse:
        """The answer."""
        ...

    @property
    def record(self) -> Any:
        """The payment."""
        ...

    def broken(self, failure: Exception) -> TollkitError:
        """The error for an answer that broke while its body was read."""
        ...


Pay = Callable[[Wire, HttpResponse], Flow["Paid | None"]]


def _exchange(wire: Wire, request: httpx.Request, pay: Pay) -> Flow[httpx.Response]:
    response: httpx.Response = yield wire
    # What is marked was paid for: a redirect and another try of the same request have the mark too.
    if response.status_code != 402 or EXTENSION in request.extensions:
        return response
    paid = yield from pay(wire, response)
    if paid is None:
        return response
    answer = cast("httpx.Response", paid.response)
    request.extensions[EXTENSION] = answer.extensions[EXTENSION] = paid.record
    if not answer.is_closed:
        stream: Any = answer.stream
        answer.stream = (
            _Stream(stream, paid) if isinstance(stream, httpx.SyncByteStream) else _AsyncStream(stream, paid)
        )
    return answer


def _wire(request: httpx.Request) -> Wire:
    return Wire(request.method, str(request.url), dict(request.headers.items()), request.content)


def _again(request: httpx.Request, headers: Mapping[str, str]) -> httpx.Request:
    """The same request with these headers beside its own."""
    more = {name: value for name, value in headers.items() if name.lower() not in request.headers}
    if not more:
        return request
    return httpx.Request(
        request.method,
        request.url,
        headers=[*request.headers.raw, *((name.encode(), str(value).encode()) for name, value in more.items())],
        stream=request.stream,
        extensions=request.extensions,
    )


def _of_httpx(error: TollkitError) -> Exception | None:
    """A failure of the inner transport with no payment on its way, as the users of httpx's clients expect it."""
    cause = error.__cause__
    return cause if isinstance(error, TransportError) and isinstance(cause, httpx.HTTPError) else None


class _Stream(httpx.SyncByteStream):
    """The body of an answer that was paid for."""

    def __init__(self, inner: httpx.SyncByteStream, paid: Paid) -> None:
        self._inner = inner
        self._paid = paid

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._inner
        except Exception as failure:
            raise self._paid.broken(failure) from failure

    def close(self) -> None:
        self._inner.close()


class _AsyncStream(httpx.AsyncByteStream):
    """`_Stream` for async clients."""

    def __init__(self, inner: httpx.AsyncByteStream, paid: Paid) -> None:
        self._inner = inner
        self._paid = paid

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._inner:
                yield piece
        except Exception as failure:
            raise self._paid.broken(failure) from failure

    async def aclose(self) -> None:
        await self._inner.aclose()


class _One(Blocking):
    """Runs the flow of one request; it is its own connections."""

    def __init__(self, inner: httpx.BaseTransport, request: httpx.Request) -> None:
        self._inner = inner
        self._request = request
        self._options = Options()
        self._connections = cast("Any", self)

    def client(self) -> _One:
        return self

    def request(self, _method: str, _url: str, *, headers: Mapping[str, str], **_told: Any) -> httpx.Response:
        response = self._inner.handle_request(_again(self._request, headers))
        if response.status_code == 402:
            try:
                response.read()
            finally:
                response.close()
        return response


class _AsyncOne(Async):
    """`_One` for async clients."""

    def __init__(self, inner: httpx.AsyncBaseTransport, request: httpx.Request) -> None:
        self._inner = inner
        self._request = request
        self._options = Options()
        self._connections = cast("Any", self)

    def client(self) -> _AsyncOne:
        return self

    async def request(self, _method: str, _url: str, *, headers: Mapping[str, str], **_told: Any) -> httpx.Response:
        response = await self._inner.handle_async_request(_again(self._request, headers))
        if response.status_code == 402:
            try:
                await response.aread()
            finally:
                await response.aclose()
        return response


class PayingTransport(httpx.BaseTransport):
    """A transport that pays what 402 answers ask for; see `tollkit.run402.payments.X402Payer.transport`.

    Args:
        inner: What sends; `httpx.HTTPTransport()` when it is `None`.
        pay: The flow that pays.
    """

    def __init__(self, inner: httpx.BaseTransport | None, pay: Pay) -> None:
        self._inner = httpx.HTTPTransport() if inner is None else inner
        self._pay = pay

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, pay if it must be paid for, and send it once more.

        Raises:
            TollkitError: The payment was not made, or it was and no answer came.
        """
        request.read()
        try:
            return _One(self._inner, request).run(_exchange(_wire(request), request, self._pay))
        except TollkitError as error:
            plain = _of_httpx(error)
            if plain is None:
                raise
        raise plain

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()


class AsyncPayingTransport(httpx.AsyncBaseTransport):
    """`PayingTransport` for `httpx.AsyncClient`; without `inner`, an `httpx.AsyncHTTPTransport()` sends."""

    def __init__(self, inner: httpx.AsyncBaseTransport | None, pay: Pay) -> None:
        self._inner = httpx.AsyncHTTPTransport() if inner is None else inner
        self._pay = pay

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, pay if it must be paid for, and send it once more.

        Raises:
            TollkitError: The payment was not made, or it was and no answer came.
        """
        await request.aread()
        try:
            return await _AsyncOne(self._inner, request).run(_exchange(_wire(request), request, self._pay))
        except TollkitError as error:
            plain = _of_httpx(error)
            if plain is None:
                raise
        raise plain

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()
