"""Requests and answers of the gateway: a parsed call, a route, and the error envelope.

Source: Run402 1.57, error envelope; `POST /projects/v1` and others of a gateway of one's own, as recorded.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeGuard
from urllib.parse import unquote

import attrs
from starlette.datastructures import Headers, QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tollkit.errors import MissingExtraError
from tollkit.oidc.json_values import decode, is_list, is_object
from tollkit.sandbox.gate import TRANSPORT, abort
from tollkit.sandbox.http import json_answer

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from tollkit.sandbox.run402.gateway import Gateway

__all__ = ["Call", "ConnectionDropped", "GatewayError", "Handler", "json_of", "route"]

logger: logging.Logger = logging.getLogger("tollkit.sandbox")

_CATEGORIES = {
    401: "auth",
    402: "payment_required",
    403: "auth",
    404: "not_found",
    409: "conflict",
    429: "rate_limit",
}
_RETRYABLE = frozenset({408, 425, 429})
_HALF = re.compile("[\ud800-\udfff]")
"""Half of a character: JSON's escapes can write it, and UTF-8 cannot."""
_DEEPEST = 100
"""Levels that a body may have; Python writes no JSON of a thousand."""


class GatewayError(Exception):
    """A refusal; `route` makes the gateway's error envelope of it.

    Args:
        status: Of the answer.
        code: In upper case as most routes have it, or in lower case as those of CI; None where none is known.
        message: What is wrong, in words.
        headers: Of the answer.
        fields: Further members of the envelope, e.g. `details`, `next_actions`; they go over the usual ones.
    """

    def __init__(
        self, status: int, code: str | None, message: str, *, headers: Mapping[str, str] | None = None, **fields: Any
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers: Mapping[str, str] = headers or {}
        self.fields: Mapping[str, Any] = fields

    def answer(self, trace_id: str) -> Response:
        """The answer, with the platform's id of the request in it."""
        return json_answer(self.envelope(trace_id), self.status, self.headers)

    def envelope(self, trace_id: str) -> dict[str, Any]:
        """The body of the answer."""
        failed = self.status >= 500
        told: dict[str, Any] = {
            "code": self.code,
            "category": _CATEGORIES.get(self.status, "internal" if failed else "validation"),
            "message": self.message,
            "error": (self.code or "error").lower(),
            "retryable": failed or self.status in _RETRYABLE,
            # clients repeat whatever is said to be safe to repeat: only said of what may go well the next time
            "safe_to_retry": True if self.status in _RETRYABLE else None,
            "mutation_state": "unknown" if failed else "none",
            "trace_id": trace_id,
            **self.fields,
        }
        return {name: value for name, value in told.items() if value is not None or name in self.fields}


class ConnectionDropped(Exception):
    """Raised in a handler to lose the connection instead of answering."""


@attrs.frozen(kw_only=True, slots=False)
class Call:
    """One request, wholly read."""

    request: Request = attrs.field(repr=False)
    """What `Gateway.by_service_key`, `wallet` and `pay` take."""
    path: Mapping[str, str]
    """Path parameters, decoded."""
    content: bytes = attrs.field(repr=False)
    """The body as it came."""

    @property
    def method(self) -> str:
        """In upper case."""
        return self.request.method

    @property
    def query(self) -> QueryParams:
        """The query, decoded; `get` gives the last value of a name, `getlist` all."""
        return self.request.query_params

    @property
    def headers(self) -> Headers:
        """Header fields, names in any case."""
        return self.request.headers

    @cached_property
    def json(self) -> Any:
        """The body as JSON; see `json_of`.

        Raises:
            GatewayError: 400, it is none.
        """
        try:
            return json_of(self.content)
        except ValueError as error:
            raise GatewayError(400, "VALIDATION_ERROR", f"The body {error}") from None

    @cached_property
    def body(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            GatewayError: 400, it is no JSON, or no object.
        """
        told: Any = self.json
        if not is_object(told):
            raise GatewayError(400, "VALIDATION_ERROR", "The body must be a JSON object")
        return dict(told)

    def text(self, name: str, *, required: bool = True) -> str | None:
        """A text of the body; None when it may be, and is, absent or null.

        Raises:
            GatewayError: 400, it is no text, or it is empty or absent and required.
        """
        value = self.body.get(name)
        if value is None and not required:
            return None
        if not isinstance(value, str) or (required and not value.strip()):
            raise GatewayError(400, "VALIDATION_ERROR", f"{name} must be a text", details={"field": name})
        return value

    def required(self, name: str) -> str:
        """A text of the body that must be there.

        Raises:
            GatewayError: 400, it is no text, or empty.
        """
        return self.text(name) or ""

    def whole(self, name: str) -> int:
        """A whole number of the body.

        Raises:
            GatewayError: 400, it is none.
        """
        value = self.body.get(name)
        if not _is_whole(value):
            raise GatewayError(400, "VALIDATION_ERROR", f"{name} must be a whole number", details={"field": name})
        return value

    def flag(self, name: str) -> bool:
        """A boolean of the body.

        Raises:
            GatewayError: 400, it is none.
        """
        value = self.body.get(name)
        if not isinstance(value, bool):
            raise GatewayError(400, "VALIDATION_ERROR", f"{name} must be true or false", details={"field": name})
        return value


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def json_of(content: bytes) -> Any:
    """The value of a JSON text, without infinite numbers and halves of characters, and not nested too deeply.

    Raises:
        ValueError: It is no JSON, or none that can be kept and written again; the text ends a sentence.
    """
    try:
        told = decode(content)
    except ValueError:
        raise ValueError("is not valid JSON") from None
    if (wrong := _unusable(told)) is not None:
        raise ValueError(wrong)
    return told


def _unusable(told: object) -> str | None:
    """What is wrong with a JSON value that the grammar lets through; None for nothing."""
    level: list[object] = [told]
    for _ in range(_DEEPEST):
        inner: list[object] = []
        for value in level:
            if isinstance(value, str):
                if not value.isascii() and _HALF.search(value):
                    return "has half of a character"
            elif is_object(value):
                inner += (*value, *value.values())
            elif is_list(value):
                inner += value
            elif isinstance(value, float) and not isfinite(value):
                return "has a number that is too large"
        if not inner:
            return None
        level = inner
    return "is nested too deeply"


Handler = Callable[[Call], Any]
"""Returns a `Response`, or what is answered as JSON with 200."""


class _Endpoint:
    """The ASGI application of one method of one path: the handler, run under the gateway's lock."""

    def __init__(self, gateway: Gateway, handler: Handler) -> None:
        self._gateway = gateway
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        content = await request.body()
        path = {name: unquote(value) for name, value in request.path_params.items()}
        call = Call(request=request, path=path, content=content)
        try:
            answer = self._answer(call)
        except ConnectionDropped:
            abort(scope[TRANSPORT])
            raise ClientDisconnect from None
        await answer(scope, receive, send)

    def _answer(self, call: Call) -> Response:
        gateway = self._gateway
        with gateway.lock:
            answer = self._outcome(call)
            if answer.status_code < 400 and gateway.payments.loses_answer(call.request):
                raise ConnectionDropped
            # a payment that was carried out is told, also when what was paid for failed afterwards
            answer.headers.update(gateway.payments.receipt(call.request))
        return answer

    def _outcome(self, call: Call) -> Response:
        try:
            answer: object = self._handler(call)
        except ConnectionDropped:
            raise
        except GatewayError as refused:
            refusal = refused
        except MissingExtraError as missing:
            logger.warning("the sandbox cannot check a wallet's signature: %s", missing.message)
            refusal = GatewayError(501, "MISSING_EXTRA", missing.message)
        except Exception:
            logger.exception("a handler of the sandbox failed: %s %s", call.method, call.request.url.path)
            refusal = GatewayError(500, "INTERNAL_ERROR", "The sandbox failed")
        else:
            return answer if isinstance(answer, Response) else json_answer(answer)
        return refusal.answer(self._gateway.new_id("trc_"))


def route(gateway: Gateway, method: str, path: str, handler: Handler) -> Route:
    """A route of the gateway.

    Args:
        gateway: Whose lock is held while the handler runs.
        method: In upper case; `GET` answers `HEAD` as well.
        path: Of the document, e.g. `/mailboxes/v1/{mailbox_id}`; `{key:path}` takes slashes too.
        handler: Gets the `Call`; what it returns is answered as JSON with 200 unless it is a `Response`. A
            `GatewayError` becomes the error envelope.
    """
    return Route(path, _Endpoint(gateway, handler), methods=[method])
