"""What is known of one payment: how much, to whom, and what has become of it."""

from __future__ import annotations

import base64
import json
from typing import Any, Literal, TypeAlias

import attrs

from tollkit.run402.x402 import Settlement
from tollkit.secrets import Secret

__all__ = ["PaymentRecord", "PaymentState", "Proof"]

PaymentState: TypeAlias = Literal["left", "settled", "refused", "uncertain"]
"""`left`: sent, and nothing is known yet. `settled`: the server says that it was carried out. `refused`: the server
says that it was not. `uncertain`: no answer came, or one that says nothing."""


@attrs.frozen
class Proof:
    """The signed payment as it was sent.

    Until it is carried out or its time is over, whoever has it can have the transfer carried out, to the payee alone.

    Attributes:
        header: Name of the header that carried it.
        value: Value of that header: base64 of JSON.
    """

    header: str
    value: Secret

    def payload(self) -> dict[str, Any]:
        """What was signed, with its signature as a `Secret`."""
        told: dict[str, Any] = json.loads(base64.b64decode(self.value))
        signed: dict[str, Any] = told["payload"]
        return {**told, "payload": {**signed, "signature": Secret(signed["signature"])}}


@attrs.frozen(kw_only=True)
class PaymentRecord:
    """One payment.

    Attributes:
        nonce: 32 bytes, `0x` and hex: the token's contract carries out each nonce of a payer once, and says whether
            it has (`authorizationState(payer, nonce)`).
        state: What has become of it.
        amount: In the smallest unit of the asset.
        asset: Address of the token's contract.
        network: CAIP-2, such as `eip155:8453`.
        payer: Address that pays.
        payee: Address that is paid.
        valid_before: Seconds since 1970 before which it can be carried out.
        left_at: Seconds since 1970 when it left.
        method: HTTP method of the request that it was for.
        url: Address of that request, without its query.
        transaction: Hash of the transaction that carried it out.
        reason: Why it was refused, or is uncertain.
        settlement: What the server said about it.
        proof: What was sent; not kept in journals.
    """

    nonce: str
    state: PaymentState
    amount: int
    asset: str
    network: str
    payer: str
    payee: str
    valid_before: int
    left_at: float
    method: str
    url: str
    transaction: str | None = None
    reason: str | None = None
    settlement: Settlement | None = attrs.field(default=None, eq=False, repr=False)
    proof: Proof | None = attrs.field(default=None, eq=False, repr=False)
