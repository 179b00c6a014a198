"""Events of the transport, for programs that watch it (`on_event=`). They hold no header and no body."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from tollkit.errors import TollkitError

__all__ = [
    "AnswerReceived",
    "Event",
    "ExchangeFailed",
    "PaymentEvent",
    "PaymentLeft",
    "PaymentRefused",
    "PaymentSettled",
    "PaymentUncertain",
    "RequestSent",
    "RetryScheduled",
]


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


@attrs.frozen(kw_only=True)
class PaymentEvent:
    """Base of what is told of a payment; holds nothing that could be carried out.

    Attributes:
        method: HTTP method of the request that is paid for.
        url: Its address, without its query.
        amount: In the smallest unit of the asset.
        asset: Address of the token's contract.
        network: CAIP-2, such as `eip155:8453`.
        payer: Address that pays.
        payee: Address that is paid.
        nonce: What the token's contract knows the payment by.
        valid_before: Seconds since 1970 before which it can be carried out.
    """

    method: str
    url: str
    amount: int
    asset: str
    network: str
    payer: str
    payee: str
    nonce: str
    valid_before: int


@attrs.frozen(kw_only=True)
class PaymentLeft(PaymentEvent):
    """A payment is written down and about to leave."""


@attrs.frozen(kw_only=True)
class PaymentSettled(PaymentEvent):
    """The server says that it was carried out, by the transaction with this hash."""

    transaction: str


@attrs.frozen(kw_only=True)
class PaymentRefused(PaymentEvent):
    """The server says that it was not carried out."""

    reason: str | None


@attrs.frozen(kw_only=True)
class PaymentUncertain(PaymentEvent):
    """It left, and nobody says what became of it."""

    reason: str | None


Event: TypeAlias = (
    RequestSent
    | AnswerReceived
    | ExchangeFailed
    | RetryScheduled
    | PaymentLeft
    | PaymentSettled
    | PaymentRefused
    | PaymentUncertain
)
