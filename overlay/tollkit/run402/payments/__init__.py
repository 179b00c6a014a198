"""Payments by x402: what answers a 402, within which limits, and where it is written down.

Nothing is loaded before it is used; paying needs the extra `payments`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tollkit.run402.payments.balances import RPC_URLS, Balances, RpcBalances
    from tollkit.run402.payments.journal import Journal, MemoryJournal, SqliteJournal
    from tollkit.run402.payments.payer import Paid, X402Payer
    from tollkit.run402.payments.record import PaymentRecord, PaymentState, Proof
    from tollkit.run402.payments.spending import Ask, Asset, PaymentRequest, SpendingPolicy, usdc, usdc_assets

__all__ = [
    "RPC_URLS",
    "Ask",
    "Asset",
    "Balances",
    "Journal",
    "MemoryJournal",
    "Paid",
    "PaymentRecord",
    "PaymentRequest",
    "PaymentState",
    "Proof",
    "RpcBalances",
    "SpendingPolicy",
    "SqliteJournal",
    "X402Payer",
    "usdc",
    "usdc_assets",
]

_HOME = {
    "Ask": "spending",
    "Asset": "spending",
    "Balances": "balances",
    "Journal": "journal",
    "MemoryJournal": "journal",
    "Paid": "payer",
    "PaymentRecord": "record",
    "PaymentRequest": "spending",
    "PaymentState": "record",
    "Proof": "record",
    "RPC_URLS": "balances",
    "RpcBalances": "balances",
    "SpendingPolicy": "spending",
    "SqliteJournal": "journal",
    "X402Payer": "payer",
    "usdc": "spending",
    "usdc_assets": "spending",
}


def __getattr__(name: str) -> Any:
    from tollkit_api.runtime.lazy import resolve

    return resolve(__name__, _HOME, name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
