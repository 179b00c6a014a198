"""x402 payments as data: what a 402 asks for, what pays it, what the gateway says about it. No I/O.

Protocol version 2 asks in the header `PAYMENT-REQUIRED` and is paid in `PAYMENT-SIGNATURE`; version 1 asks in the
body and is paid in `X-PAYMENT`. Of the schemes, `exact` with an EIP-3009 transfer is understood.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, cast

import attrs

from tollkit.errors import ArgumentError
from tollkit.oidc.json_values import decode, is_list, is_object
from tollkit.run402.address import is_address
from tollkit.run402.eip3009 import TransferAuthorization, transfer_typed_data
from tollkit.run402.errors import raised
from tollkit.run402.signer import Signer, signature_text
from tollkit.secrets import Secret

__all__ = [
    "BASE",
    "BASE_SEPOLIA",
    "USDC",
    "Challenge",
    "Requirement",
    "Settlement",
    "asks_for_payment",
    "chain_id_of",
    "payment_header",
    "payment_payload",
    "read_challenge",
    "read_settlement",
    "transfer_for",
]

BASE = "eip155:8453"
BASE_SEPOLIA = "eip155:84532"
USDC: Mapping[str, str] = {
    BASE: "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
    BASE_SEPOLIA: "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
}
"""Contract of USDC on each network."""
EARLY = 600
"""Seconds before now from which an authorization is good, for clocks that differ."""

_V1_NETWORKS = {"base": BASE, "base-sepolia": BASE_SEPOLIA}
_CAIP_2 = re.compile(r"eip155:([1-9][0-9]{0,18})")
_AMOUNT = re.compile(r"[0-9]{1,78}")
_UINT256 = 2**256 - 1


@attrs.frozen(kw_only=True)
class Requirement:
    """One way to pay that a gateway offers.

    Attributes:
        scheme: `exact` is the one that is understood.
        network: CAIP-2, such as `eip155:8453`; the short names of version 1 are translated.
        amount: In the smallest unit of the asset.
        asset: Address of the token's contract.
        pay_to: Address that is paid.
        max_timeout_seconds: How long the authorization has to be good for.
        extra: `name` and `version` of the token's EIP-712 domain, and whatever else.
        wire: As it came.
    """

    scheme: str
    network: str
    amount: int
    asset: str
    pay_to: str
    max_timeout_seconds: int
    extra: Mapping[str, Any]
    wire: Mapping[str, Any] = attrs.field(repr=False)

    @property
    def unusable(self) -> str | None:
        """Why it cannot be met whatever a wallet holds; `None` when it can."""
        method = self.extra.get("assetTransferMethod", "eip3009")
        if self.scheme != "exact":
            return f"the scheme {self.scheme!r} is not known"
        if _CAIP_2.fullmatch(self.network) is None:
            return f"the network {self.network!r} is not known"
        if method != "eip3009":
            return f"the transfer method {method!r} is not known"
        if not (_filled(self.extra.get("name")) and _filled(self.extra.get("version"))):
            return "the token's name and version are missing"
        return None


@attrs.frozen(kw_only=True)
class Challenge:
    """What a 402 asks for.

    Attributes:
        x402_version: 1 or 2.
        accepts: The ways to pay, in the gateway's order; what could not be read is left out.
        unread: How many were left out.
        resource: What is paid for (version 2), as it came.
        extensions: As they came (version 2).
        error: The gateway's text.
    """

    x402_version: int
    accepts: tuple[Requirement, ...]
    unread: int = 0
    resource: Any = None
    extensions: Any = None
    error: str | None = None


@attrs.frozen(kw_only=True)
class Settlement:
    """What the gateway says about a payment.

    Attributes:
        success: Whether it was carried out.
        transaction: Its hash; empty when there is none.
        network: CAIP-2, or the short name of version 1.
        payer: Address that paid, when it is told.
        error_reason: Why not.
        wire: As it came.
    """

    success: bool
    transaction: str
    network: str
    payer: str | None
    error_reason: str | None
    wire: Mapping[str, Any] = attrs.field(repr=False)


def read_challenge(headers: Mapping[str, str], content: bytes) -> Challenge | None:
    """What a 402 asks for; `None` when it asks for no x402 payment.

    Args:
        headers: Of the answer; names in lower case must be found, as in `httpx.Headers`.
        content: The body.
    """
    told = _decoded(headers.get("payment-required"))
    if told is None:
        try:
            told = decode(content)
        except ValueError:
            return None
    if not is_object(told):
        return None
    version, offers = told.get("x402Version"), told.get("accepts")
    if isinstance(version, bool) or version not in (1, 2) or not is_list(offers):
        return None
    read = [_requirement(offer, version) for offer in offers]
    accepts = tuple(one for one in read if one is not None)
    error = told.get("error")
    return Challenge(
        x402_version=version,
        accepts=accepts,
        unread=len(read) - len(accepts),
        resource=told.get("resource"),
        extensions=told.get("extensions"),
        error=error if isinstance(error, str) else None,
    )


def asks_for_payment(headers: Mapping[str, str], content: bytes) -> bool:
    """Whether a 402 asks for a payment, by x402 or by another protocol that says so (`WWW-Authenticate: Payment`)."""
    other = headers.get("www-authenticate", "").lower().startswith("payment ")
    return other or read_challenge(headers, content) is not None


def transfer_for(requirement: Requirement, payer: str, *, now: int, nonce: str) -> TransferAuthorization:
    """The transfer that meets a requirement: good from ten minutes ago until its time is over.

    Args:
        requirement: What is asked for.
        payer: Address that pays.
        now: Seconds since 1970.
        nonce: 32 bytes that were never used by this payer: see `new_nonce`.

    Raises:
        ArgumentError: The requirement cannot be met (see `Requirement.unusable`), or a value is unusable.
        MissingExtraError: The extra `payments` is not installed.
    """
    if requirement.unusable:
        raise raised(ArgumentError("requirement", f"cannot be met: {requirement.unusable}"))
    return TransferAuthorization(
        payer=payer,
        payee=requirement.pay_to,
        value=requirement.amount,
        valid_after=now - EARLY,
        valid_before=now + requirement.max_timeout_seconds,
        nonce=nonce,
    )


def payment_payload(
    challenge: Challenge, requirement: Requirement, signer: Signer, *, now: int, nonce: str
) -> dict[str, Any]:
    """The payment for a requirement, signed.

    Args:
        challenge: The 402.
        requirement: One of its `accepts`.
        signer: The wallet that pays.
        now: Seconds since 1970.
        nonce: 32 bytes that were never used by this payer: see `new_nonce`.

    Raises:
        ArgumentError: The requirement cannot be met, or a value is unusable.
        MissingExtraError: The extra `payments` is not installed.
    """
    authorization = transfer_for(requirement, signer.address, now=now, nonce=nonce)
    signature = signer.sign_typed_data(
        transfer_typed_data(
            authorization,
            asset=requirement.asset,
            name=requirement.extra["name"],
            version=requirement.extra["version"],
            chain_id=chain_id_of(requirement.network),
        )
    )
    signed = {"authorization": authorization.to_dict(), "signature": Secret(signature_text(signature))}
    if challenge.x402_version == 1:
        return {
            "x402Version": 1,
            "scheme": requirement.scheme,
            "network": requirement.wire["network"],
            "payload": signed,
        }
    payload: dict[str, Any] = {"x402Version": 2, "payload": signed}
    if challenge.extensions is not None:
        payload["extensions"] = challenge.extensions
    if challenge.resource is not None:
        payload["resource"] = challenge.resource
    payload["accepted"] = dict(requirement.wire)
    return payload


def payment_header(payload: Mapping[str, Any]) -> tuple[str, Secret]:
    """Name and value of the header that carries a payment: base64 of compact JSON.

    Until the gateway has taken it, whoever has the value can have the transfer carried out, to the payee alone.
    """
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    name = "X-PAYMENT" if payload["x402Version"] == 1 else "PAYMENT-SIGNATURE"
    return name, Secret(base64.b64encode(text).decode("ascii"))


def read_settlement(headers: Mapping[str, str]) -> Settlement | None:
    """What an answer says about the payment that its request carried; `None` when it says nothing readable.

    Args:
        headers: Of the answer; names in lower case must be found.
    """
    told = _decoded(headers.get("payment-response"))
    if told is None:
        told = _decoded(headers.get("x-payment-response"))
    if not is_object(told):
        return None
    body = told

    def text(name: str) -> str | None:
        value = body.get(name)
        return value if isinstance(value, str) and value else None

    return Settlement(
        success=body.get("success") is True,
        transaction=text("transaction") or "",
        network=text("network") or "",
        payer=text("payer"),
        error_reason=text("errorReason"),
        wire=body,
    )


def chain_id_of(network: str) -> int:
    """Number of a network: 8453 for `eip155:8453`, and for `base` (version 1).

    Raises:
        ArgumentError: It is no network of the Ethereum kind.
    """
    found = _CAIP_2.fullmatch(_V1_NETWORKS.get(network, network)) if isinstance(network, str) else None
    if found is None:
        raise raised(ArgumentError("network", f"must be CAIP-2 such as {BASE}, not {network!r}"))
    return int(found[1])


def _requirement(offer: object, version: int) -> Requirement | None:
    if not is_object(offer):
        return None
    wire = offer
    amount = wire.get("amount" if version == 2 else "maxAmountRequired")
    seconds = wire.get("maxTimeoutSeconds")
    extra = wire.get("extra")
    scheme, network, asset, pay_to = (wire.get(name) for name in ("scheme", "network", "asset", "payTo"))
    if not (isinstance(scheme, str) and isinstance(network, str) and is_address(asset) and is_address(pay_to)):
        return None
    if not isinstance(amount, str) or _AMOUNT.fullmatch(amount) is None or int(amount) > _UINT256:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds <= 0:
        return None
    return Requirement(
        scheme=scheme,
        network=_V1_NETWORKS.get(network, network) if version == 1 else network,
        amount=int(amount),
        asset=cast("str", asset),
        pay_to=cast("str", pay_to),
        max_timeout_seconds=seconds,
        extra=extra if is_object(extra) else {},
        wire=wire,
    )


def _filled(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _decoded(header: str | None) -> Any:
    if header is None:
        return None
    try:
        return decode(base64.b64decode(header, validate=True))
    except ValueError:  # of base64 too
        return None
