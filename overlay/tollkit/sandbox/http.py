"""Small HTTP parts that every platform of the sandbox is built from: a parsed request, routes, answers."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, unquote

import attrs
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from starlette.types import Receive, Scope, Send

__all__ = ["Call", "Credentials", "Form", "empty", "html", "json_answer", "malformed", "members", "route"]

logger: logging.Logger = logging.getLogger("tollkit.sandbox")

_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Form:
    """Name and value pairs of a query or a form body; `get` gives the first value, as `URLSearchParams` does."""

    def __init__(self, text: str) -> None:
        self.pairs: list[tuple[str, str]] = parse_qsl(text, keep_blank_values=True)

    def get(self, name: str) -> str | None:
        """The first value of a name; None when it is absent."""
        return next((value for key, value in self.pairs if key == name), None)

    def all(self, name: str) -> list[str]:
        """Every value of a name, in order."""
        return [value for key, value in self.pairs if key == name]

    def repeated(self) -> str | None:
        """The first name that stands there twice; None when all are unique."""
        seen: set[str] = set()
        for name, _ in self.pairs:
            if name in seen:
                return name
            seen.add(name)
        return None


@attrs.frozen
class Credentials:
    """A client id with its secret; the secret is None where only an id was sent."""

    client_id: str
    secret: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True, slots=False)
class Call:
    """One request, wholly read."""

    method: str
    path: str
    """The path as it stood on the wire, percent-encoded."""
    params: Mapping[str, str]
    """Path parameters, decoded."""
    query: Form
    headers: Headers
    body: bytes
    cookies: Mapping[str, str]
    scheme: str

    @cached_property
    def form(self) -> Form:
        """The body read as `application/x-www-form-urlencoded`."""
        return Form(self.body.decode("utf-8", "replace"))

    @property
    def origin(self) -> str:
        """Scheme and host by which the caller reached the server (forwarded headers first)."""
        host = self.headers.get("x-forwarded-host") or self.headers.get("host", "")
        scheme = self.headers.get("x-forwarded-proto") or self.scheme
        return f"{scheme}://{host}"

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: The body is not JSON (`NaN` and its like are not).
        """
        return json.loads(self.body.decode("utf-8"), parse_constant=_refuse_constant)

    def bearer(self) -> str | None:
        """The token of an `Authorization: Bearer` header; None without one."""
        header = self.headers.get("authorization", "")
        return header[7:].strip() or None if header.startswith("Bearer ") else None

    def basic(self) -> tuple[str, str] | None:
        """The two raw halves of an `Authorization: Basic` header, scheme in exactly that case; None without."""
        header = self.headers.get("authorization", "")
        return split_basic(header[6:]) if header.startswith("Basic ") else None


def split_basic(encoded: str) -> tuple[str, str] | None:
    """Decode the value of a Basic header and split it at the first colon; None when it has no such form."""
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, colon, secret = text.partition(":")
    return (name, secret) if colon and name else None


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def members(document: Any) -> dict[str, Any]:
    """The members of a JSON object; none for any other document."""
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}


def malformed(text: str) -> bool:
    """Whether percent-encoded text cannot be decoded as UTF-8."""
    if _BAD_PERCENT.search(text):
        return True
    try:
        unquote(text, errors="strict")
    except UnicodeDecodeError:
        return True
    return False


def empty(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """An answer without a body and without a content type."""
    return Response(status_code=status, headers=headers)


def html(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An HTML page."""
    return Response(text, status_code=status, headers=headers, media_type="text/html")


def json_answer(
    document: Any,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    content_type: str = "application/json",
) -> Response:
    """A JSON answer in the compact form of `JSON.stringify`."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")
    return Response(body, status_code=status, headers={"content-type": content_type, **(headers or {})})


if TYPE_CHECKING:
    Handler = Callable[[Call], Response]


class _Resource:
    """The ASGI application of one path: a handler for each method, run under the platform's lock.

    `HEAD` is answered as `GET` without its body. A method without handler gets an empty 405 and an exception in
    a handler an empty 500, which is how the platforms' framework answers both.
    """

    def __init__(self, lock: threading.RLock, handlers: Mapping[str, Handler]) -> None:
        self._lock = lock
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        call = Call(
            method=request.method,
            path=scope["path"],
            params={name: unquote(value) for name, value in request.path_params.items()},
            query=Form(request.url.query),
            headers=request.headers,
            body=body,
            cookies=request.cookies,
            scheme=request.url.scheme,
        )
        await self._answer(call)(scope, receive, send)

    def _answer(self, call: Call) -> Response:
        handler = self._handlers.get(call.method)
        if handler is None and call.method == "HEAD":
            handler = self._handlers.get("GET")
        if handler is None and call.method == "OPTIONS":
            return empty(204, {"allow": ", ".join(["OPTIONS", *self._handlers])})
        if handler is None:
            return empty(405)
        try:
            with self._lock:
                return handler(call)
        except Exception:
            logger.exception("a handler of the sandbox failed: %s %s", call.method, call.path)
            return empty(500)


def route(path: str, lock: threading.RLock, **handlers: Handler) -> Route:
    """A route with a handler for each method, e.g. `route("/users", lock, GET=list_users)`."""
    return Route(path, _Resource(lock, handlers))
