"""How the Builder and Usage APIs answer: which body is an answer, and what its error envelopes mean."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tollkit.core import answers
from tollkit.core.credentials import SchemeCredentials, basic_header
from tollkit.core.service import Service
from tollkit.errors import DecodeError, StatusError
from tollkit.oidc.json_values import is_object
from tollkit.secrets import Secret

if TYPE_CHECKING:
    from tollkit_api.runtime import HttpResponse, Request

__all__ = ["rest_service"]

UNREADABLE = "Expected JSON response from Builder or Usage API"
UNREADABLE_MANIFEST = "Expected JSON response from Builder manifest endpoint"


def rest_service(base_url: str, client_id: str, client_secret: str, *, allow_http: bool) -> Service:
    """The Builder and Usage APIs of one app, with its M2M credentials.

    The credentials are sent as they stand, not form-encoded first, as the platform's own client does.
    """
    authorization = basic_header(client_id, client_secret)
    sent = (Secret(client_secret), Secret(authorization.removeprefix("Basic ")))
    return Service(
        name="pymthouse",
        base_url=base_url,
        allow_http=allow_http,
        credentials=SchemeCredentials({"m2mBasic": {"Authorization": authorization}}),
        # on GET too: the platform's own client sends it, and the recorded exchanges have it
        headers={"Accept": "application/json", "Content-Type": "application/json"},
        read_error=functools.partial(read_error, sent=sent),
        accept=accept,
        unreadable=unreadable,
    )


def error_code(body: Mapping[str, Any]) -> str:
    """The platform's word for an error.

    At this API level `error` is a code on some routes and prose on others ("Not found"), and the platform's
    client passes on either; branch on `kind` or the class of the error, which are stable.
    """
    error = body.get("error")
    return error if isinstance(error, str) else "pymthouse_http_error"


def read_error(request: Request, response: HttpResponse, *, sent: Iterable[Secret] = ()) -> StatusError:
    """The error for an error status, whatever its envelope.

    Args:
        request: What was asked.
        response: What came back.
        sent: What must not be shown, should a server or something on the way repeat it.
    """
    found = answers.without(sent, answers.json_body(response))
    body: Mapping[str, Any] = found if is_object(found) else {}
    told = next((text for text in (body.get("error_description"), body.get("error")) if isinstance(text, str)), None)
    return answers.status_error(request, response, message=told, code=error_code(body), body=found)


def accept(request: Request, response: HttpResponse) -> None:
    """Refuse a success answer that is no JSON.

    Raises:
        DecodeError: Wrong content type, or nothing in it.
    """
    if response.status_code == 304:
        return
    if "json" not in answers.content_type(response) or response.content.strip() in (b"", b"null"):
        raise unreadable(request, response)


def unreadable(request: Request, response: HttpResponse) -> DecodeError:
    """The error for an answer that cannot be used at all."""
    manifest = request.operation.id == "getAppManifest"
    return DecodeError(
        UNREADABLE_MANIFEST if manifest else UNREADABLE,
        hint="Check the issuer URL and any proxy on the way",
        body={"contentType": answers.content_type(response), "preview": answers.preview(response)},
        request_id=answers.request_id(response, None),
    )
