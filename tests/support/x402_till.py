"""A gateway that wants money before it answers, for scripts (`Till.entry`) and for real servers (`Till.step`).

It looks at nothing but whether a payment came; whether that is right is for the official package and the sandbox.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from typing import Any

import attrs

from support.run402_wallet import ADDRESS, KEY, OTHER_ADDRESS
from support.scripted_http import Reply, Sent
from support.server import Answer, Seen
from tollkit.run402.credentials import AllowanceData, MemoryCredentials
from tollkit.run402.payments import MemoryJournal, SpendingPolicy, X402Payer
from tollkit.run402.signer import PrivateKeySigner
from tollkit.run402.x402 import BASE, BASE_SEPOLIA, USDC
from tollkit.secrets import Secret

TRANSACTION = "0x" + "ab" * 32
SET = {"wallet": ADDRESS, "tier": "hobby", "action": "upgrade", "allowance_remaining_usd_micros": 5_000_000}
SIGNER = PrivateKeySigner(KEY)


def offer(version: int = 2, **changes: Any) -> dict[str, Any]:
    """100000 of USDC on Base Sepolia."""
    told: dict[str, Any] = {
        "scheme": "exact",
        "network": BASE_SEPOLIA if version == 2 else "base-sepolia",
        "asset": USDC[BASE_SEPOLIA],
        "payTo": OTHER_ADDRESS,
        "maxTimeoutSeconds": 300,
        "extra": {"name": "USDC", "version": "2"},
        "amount" if version == 2 else "maxAmountRequired": "100000",
    }
    return {**told, **changes}


def on_base(**changes: Any) -> dict[str, Any]:
    """The same on Base."""
    return offer(network=BASE, asset=USDC[BASE], extra={"name": "USD Coin", "version": "2"}, **changes)


def coded(body: Any) -> str:
    return base64.b64encode(json.dumps(body).encode()).decode()


def challenge(*offers: Any, version: int = 2, **more: Any) -> Reply:
    """A 402: version 2 in the header, version 1 in the body."""
    told = {"x402Version": version, "accepts": list(offers) or [offer(version)], **more}
    if version == 1:
        return Reply.json(told, 402)
    return Reply.json({"error": "price"}, 402, payment_required=coded(told))


def settled(body: Any = SET, status: int = 200, **changes: Any) -> Reply:
    """An answer that was paid for."""
    told = {"success": True, "transaction": TRANSACTION, "network": BASE_SEPOLIA, "payer": ADDRESS, **changes}
    return Reply.json(body, status, payment_response=coded(told))


@attrs.define
class Till:
    """Asks for a payment; answers the requests that carry one with `then`, in order, and the last of it for ever."""

    asks: Reply = attrs.field(factory=challenge)
    then: list[Any] = attrs.field(factory=lambda: [settled()])
    payments: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]])
    bodies: list[bytes | None] = attrs.field(factory=list[Any])
    lock: Any = attrs.field(factory=threading.Lock)

    def entry(self, sent: Sent) -> Any:
        return self._answer(sent.headers, sent.content)

    def step(self, seen: Seen) -> Any:
        found = self._answer(seen.headers, seen.body)
        return Answer(found.status_code, found.content, dict(found.headers)) if isinstance(found, Reply) else found

    def _answer(self, headers: Mapping[str, str], body: bytes | None) -> Any:
        paid = headers.get("payment-signature") or headers.get("x-payment")
        with self.lock:
            self.bodies.append(body)
            if paid is None:
                return self.asks
            self.payments.append(json.loads(base64.b64decode(paid)))
            return self.then.pop(0) if len(self.then) > 1 else self.then[0]


def wallet(**changes: Any) -> MemoryCredentials:
    """Credentials with the wallet that everybody knows."""
    return MemoryCredentials(allowance=AllowanceData(address=ADDRESS, private_key=Secret(KEY), **changes))


def payer(*, policy: SpendingPolicy | None = None, **changes: Any) -> X402Payer:
    """A payer with that wallet and a journal in memory."""
    return X402Payer(**{"signer": SIGNER, "journal": MemoryJournal(), "policy": policy, **changes})
