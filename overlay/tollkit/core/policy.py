"""What happens around one request: credentials, attempts, back-off, events, and which error comes out.

The policy is a flow, so that it is the same for both drivers, for generated modules and for any HTTP client.
It retries only what is safe: an operation that its document calls idempotent, or a request of which nothing
left. Statuses 408, 425, 429 and 5xx and transport failures are worth another try; `Retry-After` is obeyed up
to a limit, beyond it the error comes out at once; without it the wait is exponential with full jitter.

A 402 is paid where the service can (`Service.pay`), once for a call. After a payment has left, nothing is sent again,
whatever the answer and whatever the operation.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, cast

from tollkit.core import answers, events
from tollkit.core.flows import Sleep, Wire
from tollkit.core.settings import merged
from tollkit.errors import InsecureTransportError, StatusError, TollkitError, TransportError

if TYPE_CHECKING:
    from tollkit.core.service import Paid, Service
    from tollkit.core.settings import Options
    from tollkit_api.runtime import HttpResponse, Request

__all__ = ["BACKOFF_BASE", "BACKOFF_CAP", "RETRY_AFTER_CAP", "exchange"]

BACKOFF_BASE = 0.5
"""Seconds: the longest wait before the first retry."""
BACKOFF_CAP = 8.0
"""Seconds: the longest wait between any two attempts that no server asked for."""
RETRY_AFTER_CAP = 60.0
"""Seconds: a server that asks for a longer wait gets no retry."""

_RETRY_STATUSES = frozenset({408, 425, 429})
_log = logging.getLogger("tollkit.http")


def exchange(request: Request, service: Service, options: Options) -> Generator[Any, Any, HttpResponse]:
    """Send a request as its operation allows; return the first success answer.

    Raises:
        TollkitError: What the service's `read_error` makes of an error answer, or a `TransportError`.
    """
    response, error = yield from settle(request, service, options)
    if error is not None:
        raise error
    return response


def settle(
    request: Request, service: Service, options: Options
) -> Generator[Any, Any, tuple[HttpResponse, TollkitError | None]]:
    """Send a request as its operation allows; return the last answer, and the error that it means if it is one.

    Raises:
        TransportError: No answer came, or plain http was refused.
    """
    operation = request.operation
    url = service.base_url + request.url
    if not service.allow_http and not url.lower().startswith("https:"):
        raise InsecureTransportError(
            "only requests to HTTPS are allowed",
            hint="Use https, or allow_insecure_http=True in development",
            context=service.context(request),
        )
    attempt = 0
    renewed = False
    while True:
        attempt += 1
        authorization = yield from service.credentials.authorize(operation)
        headers = merged(service.headers, request.headers, authorization, options.headers)
        if options.on_event:
            _tell(options.on_event, events.RequestSent(service.name, operation.id, operation.method, url, attempt))
        started = time.monotonic()
        error: TollkitError
        response: Any = None
        try:
            wire = Wire(operation.method, service.base_url + request.url_with_query, headers, request.content)
            response = yield wire
        except TransportError as failure:
            seconds = time.monotonic() - started
            error = failure
            sendable = error.safe_to_retry = error.safe_to_retry or operation.idempotent
            worth_it = error.retryable
            wait = None
            _log.debug("%s %s failed after %.3f s: %s", operation.method, url, seconds, failure.kind)
            if options.on_event:
                _tell(
                    options.on_event,
                    events.ExchangeFailed(
                        service.name, operation.id, operation.method, url, attempt, failure, seconds
                    ),
                )
        else:
            _answered(request, service, options, attempt, response, started)
            paid: Paid | None = None if service.paid is None else service.paid(response)
            if paid is None and response.status_code == 402 and service.pay is not None:
                started = time.monotonic()
                try:
                    paid = yield from service.pay(wire, response, options.on_event)
                except TollkitError as failure:
                    failure.context = {**service.context(request), "attempts": attempt, **failure.context}
                    raise
                if paid is not None:
                    response = paid.response
                    _answered(request, service, options, attempt, response, started)
            if paid is not None:
                if _succeeded(request, response):
                    return response, None
                error = service.read_error(request, response)
                error.context = {**service.context(request), "attempts": attempt, **error.context}
                paid.concerning(error)
                return response, error
            status = response.status_code
            if _succeeded(request, response):
                return response, None
            if status == 401 and not renewed and service.credentials.rejected(operation, authorization):
                renewed = True
                attempt -= 1
                continue
            error = service.read_error(request, response)
            worth_it = status in _RETRY_STATUSES or status >= 500
            error.retryable = worth_it = worth_it and not _hopeless(error.body)
            sendable = operation.idempotent
            error.safe_to_retry = sendable or status in (425, 429)
            wait = error.retry_after if isinstance(error, StatusError) else answers.retry_after(response.headers)
        error.context = {**service.context(request), "attempts": attempt, **error.context}
        delay = _delay(attempt, wait)
        if not (worth_it and sendable) or attempt > options.max_retries or delay > RETRY_AFTER_CAP:
            if response is None:
                raise error
            return response, error
        _log.info("%s: %s; attempt %d follows in %.2f s", operation.id, error.kind, attempt + 1, delay)
        if options.on_event:
            _tell(
                options.on_event,
                events.RetryScheduled(service.name, operation.id, operation.method, url, attempt, error, delay),
            )
        yield Sleep(delay)


def _hopeless(body: object) -> bool:
    """Whether a platform says itself that another try would not help."""
    return isinstance(body, dict) and cast("dict[str, Any]", body).get("retryable") is False


def _succeeded(request: Request, response: HttpResponse) -> bool:
    return 200 <= response.status_code < 300 or response.status_code in request.operation.success


def _answered(
    request: Request, service: Service, options: Options, attempt: int, response: HttpResponse, started: float
) -> None:
    operation = request.operation
    seconds = time.monotonic() - started
    url = service.base_url + request.url
    if _log.isEnabledFor(logging.DEBUG):
        _log.debug("%s %s -> %d in %.3f s", operation.method, url, response.status_code, seconds)
    if options.on_event:
        told = (service.name, operation.id, operation.method, url, attempt, response.status_code, seconds)
        _tell(options.on_event, events.AnswerReceived(*told))


def _delay(attempt: int, wait: float | None) -> float:
    if wait is not None:
        return wait
    return random.uniform(0, min(BACKOFF_CAP, BACKOFF_BASE * 2 ** (attempt - 1)))


def _tell(watch: Callable[[events.Event], None], event: events.Event) -> None:
    try:
        watch(event)
    except Exception:  # noqa: BLE001 - an observer must not break the call that it observes
        _log.exception("on_event raised")
