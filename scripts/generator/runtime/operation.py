"""An operation without any I/O: its facts, one request of it, and the two shapes that a client needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import attrs

from .encode import form, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ApiClient", "HttpResponse", "Operation", "Request", "Response"]

T_co = TypeVar("T_co", covariant=True)


@attrs.frozen(eq=False)
class Operation:
    """What the platform's document says of one operation; constant, one object a module.

    Attributes:
        id: `operationId` of the document, for example "getUsage".
        method: HTTP method in capitals.
        path: path template, for example "/api/v1/apps/{clientId}/usage".
        security: alternatives, each a tuple of scheme names that go together; `((),)` or `()` is none.
        idempotent: sending it twice has the effect of sending it once.
        success: documented statuses that are no error (2xx, and 304 where the document has it).
        percent_query: the query is percent-encoded (a blank is "%20"), and not a form (a blank is "+").
        hints: status -> what it means here, and what to do about it.
    """

    id: str
    method: str
    path: str
    security: tuple[tuple[str, ...], ...]
    idempotent: bool
    success: tuple[int, ...]
    percent_query: bool = False
    hints: Mapping[int, str] = attrs.field(factory=dict[int, str])

    @property
    def secured(self) -> bool:
        """Whether the operation asks for credentials (an optional scheme counts)."""
        return any(self.security)


@attrs.frozen(kw_only=True)
class Request:
    """One request, ready to send, as the pure `request()` of an operation module makes it.

    Its repr shows neither headers nor body, which may hold secrets.

    Attributes:
        operation: the operation that this is a request of.
        url: path with its parameters percent-encoded; relative to the base URL, starts with "/".
        params: query in the order of the document; what was not given is left out.
        headers: header parameters, and Content-Type where there is a body.
        content: the body, already serialised, or None.
    """

    operation: Operation
    url: str
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    content: bytes | None = attrs.field(default=None, repr=False)

    @property
    def method(self) -> str:
        """HTTP method in capitals."""
        return self.operation.method

    @property
    def query(self) -> str:
        """`params` in the form style of URLSearchParams (WHATWG URL, section 5.2), without the "?".

        Where the operation says so, in that of encodeURIComponent.
        """
        return percent(self.params) if self.operation.percent_query else form(self.params)

    @property
    def url_with_query(self) -> str:
        """The exact request target below the base URL.

        Give this to an HTTP client, not `url` and `params`: it would encode the query in its own way.
        """
        return f"{self.url}?{self.query}" if self.params else self.url


class HttpResponse(Protocol):
    """What `parse` reads of an answer; `httpx.Response` has this shape."""

    @property
    def status_code(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields; look-up ignores case."""
        ...

    @property
    def content(self) -> bytes:
        """The body, whole and decompressed."""
        ...


class ApiClient(Protocol):
    """What generated functions take as `client=`: anything that can send a `Request`, either way."""

    def send(self, request: Request) -> HttpResponse:
        """Send it and wait for the whole answer."""
        ...

    async def asend(self, request: Request) -> HttpResponse:
        """The same as a coroutine."""
        ...


@attrs.frozen
class Response(Generic[T_co]):
    """An answer with everything around it, from `sync_detailed` and `asyncio_detailed`.

    Attributes:
        status_code: HTTP status, also one that has no name (520).
        content: the body as it came; not in the repr, since it may hold secrets.
        headers: header fields; not in the repr for the same reason.
        parsed: the body as the type of the document for that status; None where the document has none.
    """

    status_code: int
    content: bytes = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)
    parsed: T_co | None
