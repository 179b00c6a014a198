"""Transports for `httpx.Client` and `httpx.AsyncClient` that pay; beside `core/http.py` the only import of httpx.

What pays is a flow, which is run here around one request. The inner transport sends, the answer goes back as it came.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Protocol, cast

import httpx

from tollkit.core.drivers import Async, Blocking
from tollkit.core.flows import Effect, Flow, Gather, Offload, Wire
from tollkit.core.received import Gathering
from tollkit.core.settings import Options
from tollkit.errors import TollkitError, TransportError
from tollkit_api.runtime import HttpResponse

__all__ = ["AsyncPayingTransport", "PayingTransport"]

EXTENSION = "x402"
_MOST_OF_A_REFUSAL = 1 << 20
"""Bytes of a 402 that are looked at, as they come and decoded."""
_KNOWN_CODINGS = ("identity", "gzip", "x-gzip", "deflate")


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


Pay = Callable[[Wire, HttpResponse, Callable[[Any], None]], Flow["Paid | None"]]
"""A flow that pays; it tells the function of the payment before that leaves."""


def _exchange(wire: Wire, request: httpx.Request, pay: Pay) -> Flow[httpx.Response]:
    answer: httpx.Response | _Refusal = yield wire
    response = answer.response if isinstance(answer, _Refusal) else answer
    # What is marked was paid for: a redirect, another try of the same request, one at the same time.
    marks = request.extensions
    mine = _Pending()
    mark: Any = marks.setdefault(EXTENSION, mine) if isinstance(answer, _Refusal) else marks.get(EXTENSION)
    if not isinstance(answer, _Refusal) or mark is not mine:
        if not (mark is None or isinstance(mark, _Pending)):
            response.extensions[EXTENSION] = mark
        return response

    def leaving(record: Any) -> None:
        # before it leaves: who tries the same request again after a failure must not pay again
        marks[EXTENSION] = record

    try:
        paid = yield from pay(wire, answer, leaving)
    finally:
        if marks[EXTENSION] is mine:  # nothing left
            del marks[EXTENSION]
    if paid is None:
        return response
    bought: Any = paid.response
    response = bought.response if isinstance(bought, _Refusal) else bought
    marks[EXTENSION] = response.extensions[EXTENSION] = paid.record
    # what was read already can no longer break
    return response if response.is_stream_consumed else _PaidResponse(response, paid)


class _Pending:
    """Stands where the payment will, while it is being made."""


class _Refusal:
    """A 402 as those see it who look for what it asks.

    Attributes:
        response: For whoever called: its bytes are still to be read.
        status_code: 402.
        headers: As they came.
        content: The body, decoded; empty where it cannot be, would be too long, or is gone.
    """

    def __init__(self, response: httpx.Response, body: bytes | None) -> None:
        self.response = response
        self.status_code = response.status_code
        self.headers = response.headers
        self.content = b""
        with contextlib.suppress(TollkitError, httpx.DecodingError, httpx.StreamError):
            self.content = response.read() if body is None else _decoded(response.headers, body)


def _decoded(headers: httpx.Headers, body: bytes) -> bytes:
    if headers.get("content-encoding", "identity").lower() in _KNOWN_CODINGS:
        decoded = Gathering(headers, _MOST_OF_A_REFUSAL)
        decoded.add(body)
        return decoded.whole()
    # of brotli and zstandard httpx knows, where they are installed and it has asked for them
    return httpx.Response(402, headers={"content-encoding": headers["content-encoding"]}, content=body).content


class _PaidResponse(httpx.Response):
    """An answer that was paid for: whatever breaks while it is read is told with the payment."""

    def __init__(self, answer: httpx.Response, paid: Paid) -> None:
        stream = _Watched(answer.stream, paid)
        super().__init__(answer.status_code, headers=answer.headers, stream=stream, extensions=answer.extensions)
        self._paid = paid

    def __getstate__(self) -> dict[str, Any]:
        # the proof of the payment is a secret, and stays here, as all extensions do
        return {name: value for name, value in super().__getstate__().items() if name != "_paid"}

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        try:
            yield from super().iter_bytes(chunk_size)
        except httpx.DecodingError as failure:
            raise self._paid.broken(failure) from failure

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        try:
            async for piece in super().aiter_bytes(chunk_size):
                yield piece
        except httpx.DecodingError as failure:
            raise self._paid.broken(failure) from failure


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


def _of_httpx(error: BaseException) -> Exception | None:
    """A failure of the inner transport with no payment on its way, as the users of httpx's clients expect it."""
    cause = error.__cause__
    return cause if isinstance(error, TransportError) and isinstance(cause, httpx.HTTPError) else None


class _Watched(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of an answer that was paid for."""

    def __init__(self, inner: Any, paid: Paid) -> None:
        self._inner = inner
        self._paid = paid

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._inner
        except Exception as failure:
            raise self._paid.broken(failure) from failure

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._inner:
                yield piece
        except Exception as failure:
            raise self._paid.broken(failure) from failure

    def close(self) -> None:
        self._inner.close()

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Kept(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that was read, or the beginning of it with what is left."""

    def __init__(self, begun: bytes, inner: Any = None, rest: Any = None) -> None:
        self._begun = begun
        self._inner = inner
        self._rest = rest

    def __iter__(self) -> Iterator[bytes]:
        yield self._begun
        if self._rest is not None:
            yield from self._rest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._begun
        if self._rest is not None:
            async for piece in self._rest:
                yield piece

    def close(self) -> None:
        if self._inner is not None:
            if hasattr(self._rest, "close"):
                self._rest.close()
            self._inner.close()

    async def aclose(self) -> None:
        if self._inner is not None:
            if hasattr(self._rest, "aclose"):
                await self._rest.aclose()
            await self._inner.aclose()


def _again_readable(response: httpx.Response, stream: _Kept) -> httpx.Response:
    return httpx.Response(
        response.status_code, headers=response.headers, stream=stream, extensions=response.extensions
    )


class _One(Blocking):
    """Runs the flow of one request; it is its own connections."""

    def __init__(self, inner: httpx.BaseTransport, request: httpx.Request) -> None:
        self._inner = inner
        self._request = request
        self._options = Options()
        self._connections = cast("Any", self)
        self.last: httpx.Response | None = None
        """What the inner transport has answered last."""

    def client(self) -> _One:
        return self

    def request(
        self, _method: str, _url: str, *, headers: Mapping[str, str], **_told: Any
    ) -> httpx.Response | _Refusal:
        response = self.last = self._inner.handle_request(_again(self._request, headers))
        stream: Any = response.stream
        if response.status_code != 402:
            return response
        if response.is_stream_consumed:
            return _Refusal(response, None)
        pieces, begun = iter(stream), bytearray()
        try:
            while len(begun) <= _MOST_OF_A_REFUSAL and (piece := next(pieces, None)) is not None:
                begun += piece
        except BaseException:
            response.close()
            raise
        if len(begun) > _MOST_OF_A_REFUSAL:  # no challenge is that long
            return _again_readable(response, _Kept(bytes(begun), stream, pieces))
        response.close()  # its connection is free for the request that pays
        return _Refusal(_again_readable(response, _Kept(bytes(begun))), bytes(begun))


class _AsyncOne(Async):
    """`_One` for async clients."""

    def __init__(self, inner: httpx.AsyncBaseTransport, request: httpx.Request) -> None:
        self._inner = inner
        self._request = request
        self._options = Options()
        self._connections = cast("Any", self)
        self.last: httpx.Response | None = None
        """What the inner transport has answered last."""

    def client(self) -> _AsyncOne:
        return self

    async def request(
        self, _method: str, _url: str, *, headers: Mapping[str, str], **_told: Any
    ) -> httpx.Response | _Refusal:
        response = self.last = await self._inner.handle_async_request(_again(self._request, headers))
        stream: Any = response.stream
        if response.status_code != 402:
            return response
        if response.is_stream_consumed:
            return _Refusal(response, None)
        pieces, begun = aiter(stream), bytearray()
        try:
            while len(begun) <= _MOST_OF_A_REFUSAL and (piece := await anext(pieces, None)) is not None:
                begun += piece
        except BaseException:
            await response.aclose()
            raise
        if len(begun) > _MOST_OF_A_REFUSAL:
            return _again_readable(response, _Kept(bytes(begun), stream, pieces))
        await response.aclose()
        return _Refusal(_again_readable(response, _Kept(bytes(begun))), bytes(begun))

    async def _perform(self, effect: Effect, answers: Any) -> Any:
        import anyio  # httpx brings it; clients of httpx may run on trio, where asyncio cannot

        match effect:
            case Offload():
                return await anyio.to_thread.run_sync(effect.call)
            case Gather():
                results: dict[int, Any] = {}

                async def one(place: int, flow: Flow[Any]) -> None:
                    results[place] = await self._drive(flow, answers)

                async with anyio.create_task_group() as group:
                    for place, flow in enumerate(effect.flows):
                        group.start_soon(one, place, flow)
                return [results[place] for place in range(len(results))]
            case _:
                return await super()._perform(effect, answers)


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
        one = _One(self._inner, request)
        try:
            return one.run(_exchange(_wire(request), request, self._pay))
        except BaseException as error:
            if one.last is not None:  # nobody else has it
                one.last.close()
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
        import anyio

        await request.aread()
        one = _AsyncOne(self._inner, request)
        try:
            return await one.run(_exchange(_wire(request), request, self._pay))
        except BaseException as error:
            if one.last is not None:
                with anyio.CancelScope(shield=True):
                    await one.last.aclose()
            plain = _of_httpx(error)
            if plain is None:
                raise
        raise plain

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()
