"""Events of the transport, for programs that watch it (`on_event=`). They hold no header and no body."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from tollkit.errors import TollkitError

__all__ = ["AnswerReceived", "Event", "ExchangeFailed", "RequestSent", "RetryScheduled"]


@attrs.frozen
class RequestSent:
    """A request is about to leave. `attempt` counts from 1."""

    service: str
    operation: str
    method: str
    url: str
    attempt: int


@attrs.frozen
class AnswerReceived:
    """An answer came, whatever its status. `seconds` is the time since the request left."""

    service: str
    operation: str
    method: str
    url: str
    attempt: int
    status: int
    seconds: float


@attrs.frozen
class ExchangeFailed:
    """No whole answer came."""

    service: str
    operation: str
    method: str
    url: str
    attempt: int
    error: TollkitError
    seconds: float


@attrs.frozen
class RetryScheduled:
    """The request will be sent again after `delay` seconds, because of `error`."""

    service: str
    operation: str
    method: str
    url: str
    attempt: int
    error: TollkitError
    delay: float


Event: TypeAlias = RequestSent | AnswerReceived | ExchangeFailed | RetryScheduled
