"""Reading what every answer has in common, tolerant of anything a server or a gateway may send."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from tollkit import errors
from tollkit_api.runtime import DecodeError
from tollkit_api.runtime.encode import path_value
from tollkit_api.runtime.json_text import json_value
from tollkit_api.runtime.preview import preview as masked

if TYPE_CHECKING:
    from tollkit.secrets import Secret
    from tollkit_api.runtime import HttpResponse, Request

__all__ = [
    "content_type",
    "is_json",
    "json_body",
    "path_part",
    "preview",
    "request_id",
    "retry_after",
    "status_error",
    "without",
]

_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-correlation-id", "cf-ray")


def content_type(response: HttpResponse) -> str:
    """The Content-Type header, empty when there is none."""
    return response.headers.get("content-type", "")


def is_json(response: HttpResponse) -> bool:
    """Whether the answer says that it is JSON of any kind."""
    return "json" in content_type(response).lower()


def json_body(response: HttpResponse) -> Any:
    """The body as JSON; `None` when it is not, or does not say that it is."""
    if is_json(response):
        with contextlib.suppress(ValueError):
            return json_value(response.content)
    return None


def without(secrets: Iterable[Secret], found: Any) -> Any:
    """Decoded JSON in which `****` stands where a server, or something on the way, repeated what was sent."""
    return _without([secret for secret in secrets if secret], found)


def _without(secrets: list[Secret], found: Any) -> Any:
    if isinstance(found, str):
        for secret in secrets:
            found = found.replace(secret, "****")
        return found
    if _is_list(found):
        return [_without(secrets, item) for item in found]
    if _is_object(found):
        return {_without(secrets, name): _without(secrets, item) for name, item in found.items()}
    return found


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def path_part(value: str, *where: str | int) -> str:
    """An id that an answer tells, fit for the path of a request.

    Args:
        value: The id.
        where: The steps to it in the answer.

    Raises:
        tollkit_api.runtime.DecodeError: It is empty, or no path can carry it.
    """
    try:
        path_value("id", value)
    except ValueError:
        problem = DecodeError("an id that the path of a request can carry", "another string")
        for step in reversed(where):
            problem.at(step)
        raise problem from None
    return value


def preview(response: HttpResponse) -> str:
    """The first 200 characters of the body, without what looks like a secret."""
    return masked(response.content[:800].decode("utf-8", "replace")[:200].encode())


def request_id(response: HttpResponse, body: Any) -> str | None:
    """The platform's id of the request: a header, or `correlation_id` / `request_id` of the body."""
    for name in _REQUEST_ID_HEADERS:
        if value := response.headers.get(name):
            return value
    if isinstance(body, Mapping):
        for name in ("correlation_id", "request_id", "requestId", "trace_id"):
            told: object = cast("Mapping[str, Any]", body).get(name)
            if isinstance(told, str) and told:
                return told
    return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The wait that an answer asks for, in seconds (RFC 9110 section 10.2.3); `None` when it asks for none.

    Understands seconds (whole or not), an HTTP date, and `retry-after-ms`. A date counts from the answer's own
    `Date`, since the clocks of the two machines may differ.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "")
    seconds = _number(text)
    if seconds is None:
        moment = _moment(text)
        if moment is not None:
            now = _moment(headers.get("date", ""))
            seconds = max(0.0, moment - (time.time() if now is None else now))
    return seconds


def _moment(text: str) -> float | None:
    """An HTTP date in seconds since 1970."""
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        moment = parsedate_to_datetime(text)
        # the oldest of the three forms does not name its zone
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None


def _number(text: str) -> float | None:
    with contextlib.suppress(ValueError):
        number = float(text)
        return None if math.isnan(number) else max(0.0, number)
    return None


def status_error(
    request: Request,
    response: HttpResponse,
    *,
    message: str | None = None,
    code: str | None = None,
    body: Any = None,
) -> errors.StatusError:
    """The error for an answer with an error status.

    Args:
        request: What was asked.
        response: What came back.
        message: The platform's own text for it.
        code: The platform's own code for it.
        body: The parsed body.
    """
    operation = request.operation
    status = response.status_code
    error = errors.status_class(status)(
        message or f"Request failed ({status})",
        code=code,
        status=status,
        body=body,
        hint=operation.hints.get(status) or _hint(response),
        request_id=request_id(response, body),
    )
    error.retry_after = retry_after(response.headers)
    return error


def _hint(response: HttpResponse) -> str | None:
    status = response.status_code
    if 300 <= status < 400:
        # without its query, in which a server may repeat what was sent
        target = response.headers.get("location", "elsewhere").partition("?")[0]
        return f"The server redirects to {target!r}; check the base address"
    if "html" in content_type(response).lower():
        return "A web page came instead of an API answer; check the base address and any proxy on the way"
    if status == 429:
        return "Slow down and send again later"
    if status >= 500:
        return "The server failed; try again later"
    return None
