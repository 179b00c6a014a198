"""How Tokenite answers: where its two hosts are, which credentials they get, and what their error bodies mean."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from tollkit.core import answers
from tollkit.core.credentials import SchemeCredentials
from tollkit.core.service import Service
from tollkit.errors import DecodeError, StatusError
from tollkit.secrets import Secret

if TYPE_CHECKING:
    from tollkit_api.runtime import HttpResponse, Request

__all__ = ["bearer", "error_body", "service"]

_FALLBACKS = {
    "exchangeCode": "Token exchange failed ({status})",
    "getAccessContext": "Failed to fetch the access context ({status})",
}


def service(
    name: str,
    base_url: str,
    *,
    allow_http: bool,
    schemes: Mapping[str, Mapping[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
    sent: Iterable[str] = (),
) -> Service:
    """One host of Tokenite.

    Args:
        name: For logs, events and the `context` of errors.
        base_url: The host, without a slash at its end.
        allow_http: Whether requests may go over plain http.
        schemes: Headers for each security scheme of the document.
        headers: Sent with every request.
        sent: What must not be shown, should a server or something on the way repeat it.
    """
    return Service(
        name=name,
        base_url=base_url,
        allow_http=allow_http,
        credentials=SchemeCredentials(schemes or {}),
        headers={"Accept": "application/json", **(headers or {})},
        read_error=functools.partial(read_error, sent=tuple(Secret(text) for text in sent if text)),
        unreadable=unreadable,
    )


def bearer(scheme: str, token: str) -> dict[str, dict[str, str]]:
    """`schemes` for one bearer token (RFC 6750 section 2.1)."""
    return {scheme: {"Authorization": Secret(f"Bearer {token}")}}


def error_body(body: Any) -> Mapping[str, Any]:
    """What an error body says: of `{"error": {...}}` the inner object, of `{"error": "text"}` that as `message`."""
    error = cast("Mapping[str, Any]", body).get("error") if isinstance(body, Mapping) else None
    if isinstance(error, Mapping):
        return cast("Mapping[str, Any]", error)
    return {"message": error} if isinstance(error, str) else {}


def read_error(request: Request, response: HttpResponse, *, sent: Iterable[Secret] = ()) -> StatusError:
    """The error for an error status.

    Its message is `error.message`, or `error` when that is text; its code is `error.code`. Of a body that is no JSON,
    such as a gateway's page, the error keeps the beginning.
    """
    body = answers.without(sent, answers.json_body(response))
    told = error_body(body)
    fallback = _FALLBACKS.get(request.operation.id, "{method} {path} failed ({status})")
    return answers.status_error(
        request,
        response,
        message=_text(told.get("message"))
        or fallback.format(method=request.operation.method, path=request.url, status=response.status_code),
        code=_text(told.get("code")),
        body=_outline(response) if body is None else body,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _outline(response: HttpResponse) -> dict[str, Any]:
    return {
        "status": response.status_code,
        "contentType": answers.content_type(response),
        "preview": answers.preview(response),
    }


def unreadable(request: Request, response: HttpResponse) -> DecodeError:
    """The error for an answer that cannot be used at all; keeps its status and its beginning."""
    what = "an empty body" if not response.content.strip() else "something else"
    return DecodeError(
        f"Tokenite should have answered {request.operation.id} with JSON; {what} came ({response.status_code})",
        hint="Check the base address and any proxy on the way",
        body=_outline(response),
    )
