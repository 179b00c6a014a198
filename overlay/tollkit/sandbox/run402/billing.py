"""Accounts at the platform, paying by card, and the faucet.

A wallet or an e-mail address has an account; what it holds (a top-up by card) is spent before a payment is asked for.
Checkouts are pages of the sandbox, which are paid by a press of their button, or with `pay_checkout`.

Source: Run402 1.57, tags `billing` and `allowance`.
"""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

import attrs

from tollkit.run402.address import is_address
from tollkit.run402.x402 import BASE_SEPOLIA
from tollkit.sandbox.clock import iso
from tollkit.sandbox.http import html, json_answer
from tollkit.sandbox.run402.calls import Call, GatewayError, route
from tollkit.sandbox.run402.projects import checked_tier
from tollkit.sandbox.run402.tables import record
from tollkit.sandbox.run402.tiers import DAY, TIERS

if TYPE_CHECKING:
    import sqlite3

    from starlette.responses import Response
    from starlette.routing import Route

    from tollkit.sandbox.run402.gateway import Gateway
    from tollkit.sandbox.run402.payments import Settlement

__all__ = ["Account", "BillingRoutes"]

FAUCET = 250_000
"""What the faucet gives, in micro-dollars."""
FAUCET_PAUSE = DAY
"""Seconds between two uses of the faucet by an address."""
EMAIL_PACK_PRICE = 10_000_000
EMAIL_PACK = 10_000
"""Mails of a pack."""
_THRESHOLD = 2_000
_ENTRIES = 50
_MOST_ENTRIES = 200

_SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (
    id TEXT PRIMARY KEY,
    email TEXT UNIQUE,
    wallet TEXT UNIQUE,
    available INTEGER NOT NULL DEFAULT 0,
    email_credits INTEGER NOT NULL DEFAULT 0,
    auto_recharge INTEGER NOT NULL DEFAULT 0,
    threshold INTEGER NOT NULL DEFAULT 2000
);
CREATE TABLE IF NOT EXISTS entries (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    direction TEXT NOT NULL,
    kind TEXT NOT NULL,
    amount INTEGER NOT NULL,
    balance_after INTEGER NOT NULL,
    reference_type TEXT,
    reference_id TEXT,
    metadata TEXT NOT NULL,
    created_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS checkouts (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    tier TEXT,
    amount INTEGER NOT NULL,
    paid INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS faucet_uses (
    address TEXT PRIMARY KEY,
    used_at REAL NOT NULL
);
"""


@attrs.frozen(kw_only=True)
class Account:
    """An account as it was when it was asked for."""

    id: str
    email: str | None
    wallet: str | None
    """Address in lower case."""
    available: int
    """Micro-dollars."""
    email_credits: int
    auto_recharge: bool
    threshold: int

    @property
    def holder(self) -> str:
        """Whose leases are this account's: the wallet, else the e-mail address."""
        return self.wallet or self.email or self.id


class BillingRoutes:
    """The routes of accounts, checkouts and the faucet.

    Args:
        gateway: Whose they are.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        gateway.db.executescript(_SCHEMA)
        gateway.payments.books = self

    def routes(self) -> list[Route]:
        """The routes."""
        gateway = self._gateway
        return [
            route(gateway, "GET", "/billing/v1/accounts/{wallet}", self._balance),
            route(gateway, "GET", "/billing/v1/accounts/{wallet}/history", self._history),
            route(gateway, "POST", "/billing/v1/checkouts", self._top_up),
            route(gateway, "POST", "/billing/v1/accounts", self._create_account),
            route(gateway, "POST", "/billing/v1/accounts/{account_id}/link-wallet", self._link_wallet),
            route(gateway, "POST", "/billing/v1/tiers/{tier}/checkout", self._tier_checkout),
            route(gateway, "POST", "/billing/v1/email-packs/checkout", self._email_pack),
            route(gateway, "POST", "/billing/v1/email-packs/auto-recharge", self._auto_recharge),
            route(gateway, "POST", "/faucet/v1", self._faucet),
            route(gateway, "GET", "/checkout/{checkout_id}", self._page),
            route(gateway, "POST", "/checkout/{checkout_id}", self._press),
        ]

    def forget(self) -> None:
        """Forget accounts, their entries, checkouts and uses of the faucet."""
        self._gateway.db.executescript(
            "DELETE FROM accounts; DELETE FROM entries; DELETE FROM checkouts; DELETE FROM faucet_uses;"
        )

    # ---------------------------------------------------------------- accounts

    def account(self, identifier: str) -> Account | None:
        """The account of a wallet or an e-mail address, or the account of that id; None when there is none."""
        row = self._gateway.db.execute(
            "SELECT * FROM accounts WHERE wallet = ? OR email = ? OR id = ?",
            (identifier.lower(), identifier.lower(), identifier),
        ).fetchone()
        return None if row is None else record(Account, row)

    def _account_of(self, *, wallet: str | None = None, email: str | None = None) -> Account:
        """The account of a wallet or an e-mail address, opened when there is none."""
        identifier = (wallet or email or "").lower()
        found = self.account(identifier)
        if found is not None:
            return found
        account_id = self._gateway.new_id("acct_")
        self._gateway.db.execute(
            "INSERT INTO accounts (id, email, wallet, threshold) VALUES (?, ?, ?, ?)",
            (account_id, None if wallet else identifier, identifier if wallet else None, _THRESHOLD),
        )
        return self._account_of(wallet=wallet, email=email)

    def _asked(self, identifier: str) -> tuple[str, str, Account | None]:
        """Kind of identifier, the identifier, its account; a wallet that never paid has none."""
        identifier = identifier.lower()
        account = self.account(identifier)
        if is_address(identifier):
            return "wallet", identifier, account
        if "@" not in identifier:
            raise GatewayError(400, "VALIDATION_ERROR", "The identifier must be a wallet or an e-mail address")
        if account is None:
            raise GatewayError(404, "ACCOUNT_NOT_FOUND", f"There is no account of {identifier}")
        return "email", identifier, account

    def _balance(self, call: Call) -> Any:
        kind, identifier, account = self._asked(call.path["wallet"])
        lease = self._gateway.lease(account.holder if account else identifier)
        return {
            "identifier_type": kind,
            "available_usd_micros": account.available if account else 0,
            "email_credits_remaining": account.email_credits if account else 0,
            "tier": lease and lease.tier,
            "lease_expires_at": lease and iso(lease.expires_at),
            "auto_recharge_enabled": account.auto_recharge if account else False,
            "auto_recharge_threshold": account.threshold if account else _THRESHOLD,
        }

    def _history(self, call: Call) -> Any:
        kind, identifier, account = self._asked(call.path["wallet"])
        text = call.query.get("limit", str(_ENTRIES))
        if not (text.isascii() and text.isdigit() and len(text) < 10 and 0 < int(text) <= _MOST_ENTRIES):
            raise GatewayError(400, "VALIDATION_ERROR", f"limit must be a number from 1 to {_MOST_ENTRIES}")
        rows = self._gateway.db.execute(
            "SELECT * FROM entries WHERE account_id = ? ORDER BY sequence DESC LIMIT ?",
            (account.id if account else "", int(text)),
        )
        entries = [
            {
                "id": row["id"],
                "direction": row["direction"],
                "kind": row["kind"],
                "amount_usd_micros": row["amount"],
                "balance_after_available": row["balance_after"],
                "balance_after_held": 0,
                "reference_type": row["reference_type"],
                "reference_id": row["reference_id"],
                "metadata": json.loads(row["metadata"]),
                "created_at": iso(row["created_at"]),
            }
            for row in rows
        ]
        return {"identifier": identifier, "identifier_type": kind, "entries": entries}

    def _create_account(self, call: Call) -> Response:
        account = self._account_of(email=_email(call.required("email")))
        told = {
            "id": account.id,
            "email": account.email,
            "email_credits_remaining": account.email_credits,
            "verification_sent": True,
        }
        return json_answer(told, 201)

    def _existing(self, account_id: str) -> Account:
        account = self.account(account_id)
        if account is None or account.id != account_id:
            raise GatewayError(404, "ACCOUNT_NOT_FOUND", f"There is no account {account_id}")
        return account

    def _link_wallet(self, call: Call) -> Any:
        account = self._existing(call.path["account_id"])
        wallet = _wallet(call.required("wallet")).lower()
        other = self.account(wallet)
        if other is not None and other.id != account.id:
            if other.email is not None:
                raise GatewayError(409, "WALLET_LINKED", "The wallet is linked to another account")
            self._merge(other, account)
        self._gateway.db.execute("UPDATE accounts SET wallet = ? WHERE id = ?", (wallet, account.id))
        self._gateway.move_lease(account.holder, wallet)
        return {"status": "linked", "billing_account_id": account.id, "wallet": wallet}

    def _merge(self, source: Account, target: Account) -> None:
        db = self._gateway.db
        db.execute("DELETE FROM accounts WHERE id = ?", (source.id,))
        db.execute("UPDATE entries SET account_id = ? WHERE account_id = ?", (target.id, source.id))
        db.execute("UPDATE checkouts SET account_id = ? WHERE account_id = ?", (target.id, source.id))
        db.execute(
            "UPDATE accounts SET available = available + ?, email_credits = email_credits + ? WHERE id = ?",
            (source.available, source.email_credits, target.id),
        )

    def _auto_recharge(self, call: Call) -> Any:
        account = self._existing(call.required("billing_account_id"))
        enabled = call.flag("enabled")
        threshold = account.threshold if call.body.get("threshold") is None else call.whole("threshold")
        if threshold < 0:
            raise GatewayError(400, "VALIDATION_ERROR", "threshold must not be negative")
        self._gateway.db.execute(
            "UPDATE accounts SET auto_recharge = ?, threshold = ? WHERE id = ?", (enabled, threshold, account.id)
        )
        return {"status": "ok", "auto_recharge_enabled": enabled, "auto_recharge_threshold": threshold}

    # ---------------------------------------------------------------- what moves

    def _move(self, account: Account, kind: str, amount: int, reference: tuple[str, str], **metadata: Any) -> None:
        """Book an amount; a negative one is a debit."""
        db = self._gateway.db
        db.execute("UPDATE accounts SET available = available + ? WHERE id = ?", (amount, account.id))
        after = db.execute("SELECT available FROM accounts WHERE id = ?", (account.id,)).fetchone()["available"]
        db.execute(
            "INSERT INTO entries (id, account_id, direction, kind, amount, balance_after, reference_type,"
            " reference_id, metadata, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._gateway.new_id("led_"),
                account.id,
                "credit" if amount >= 0 else "debit",
                kind,
                abs(amount),
                after,
                *reference,
                json.dumps(metadata),
                self._gateway.clock.now(),
            ),
        )

    def spend(self, wallet: str, amount: int, what: str) -> bool:
        """Pay from what the wallet's account holds; False, and nothing is paid, when that is not enough."""
        account = self.account(wallet)
        if account is None or account.available < amount:
            return False
        self._move(account, "purchase", -amount, ("purchase", what))
        return True

    def settled(self, settlement: Settlement) -> None:
        """Note a payment that was carried out: the money comes in and is spent at once."""
        account = self._account_of(wallet=settlement.payer)
        reference = ("transaction", settlement.transaction)
        self._move(account, "x402_payment", settlement.amount, reference, network=settlement.network)
        self._move(account, "purchase", -settlement.amount, ("purchase", settlement.what))

    # ---------------------------------------------------------------- checkouts

    def _top_up(self, call: Call) -> Response:
        amount = call.whole("amount_usd_micros")
        if amount <= 0:
            raise GatewayError(400, "VALIDATION_ERROR", "amount_usd_micros must be more than 0")
        return self._checkout(self._account_of(wallet=_wallet(call.required("wallet"))), "topup", amount)

    def _tier_checkout(self, call: Call) -> Response:
        tier = checked_tier(call.path["tier"])
        price = self._gateway.payments.price(f"tier:{tier}", TIERS[tier].price)
        return self._checkout(self._payer(call), "tier", price, tier)

    def _email_pack(self, call: Call) -> Response:
        price = self._gateway.payments.price("email-pack", EMAIL_PACK_PRICE)
        return self._checkout(self._payer(call), "email_pack", price)

    def _payer(self, call: Call) -> Account:
        wallet, email = call.text("wallet", required=False), call.text("email", required=False)
        if wallet:
            return self._account_of(wallet=_wallet(wallet))
        if not email:
            raise GatewayError(400, "VALIDATION_ERROR", "wallet or email must be given")
        return self._account_of(email=_email(email))

    def _checkout(self, account: Account, kind: str, amount: int, tier: str | None = None) -> Response:
        topup_id = self._gateway.new_id("top_")
        self._gateway.db.execute(
            "INSERT INTO checkouts (id, account_id, kind, tier, amount) VALUES (?, ?, ?, ?, ?)",
            (topup_id, account.id, kind, tier, amount),
        )
        url = f"{self._gateway.api_base}/checkout/{topup_id}"
        return json_answer({"checkout_url": url, "topup_id": topup_id}, 201)

    def pay_checkout(self, checkout_id: str) -> None:
        """Pay a checkout as its page does; once, however often it is paid.

        Raises:
            GatewayError: 404, there is none of that id.
        """
        gateway = self._gateway
        row = self._checkout_row(checkout_id)
        if row["paid"]:
            return
        gateway.db.execute("UPDATE checkouts SET paid = 1 WHERE id = ?", (checkout_id,))
        account = self._existing(row["account_id"])
        reference = ("topup", checkout_id)
        self._move(account, "topup", row["amount"], reference)
        if row["kind"] == "tier":
            self._move(account, "purchase", -row["amount"], ("purchase", f"tier:{row['tier']}"))
            gateway.set_lease(account.holder, row["tier"])
        elif row["kind"] == "email_pack":
            self._move(account, "purchase", -row["amount"], ("purchase", "email-pack"))
            gateway.db.execute(
                "UPDATE accounts SET email_credits = email_credits + ? WHERE id = ?", (EMAIL_PACK, account.id)
            )

    def _checkout_row(self, checkout_id: str) -> sqlite3.Row:
        row: sqlite3.Row | None = self._gateway.db.execute(
            "SELECT * FROM checkouts WHERE id = ?", (checkout_id,)
        ).fetchone()
        if row is None:
            raise GatewayError(404, "CHECKOUT_NOT_FOUND", "There is no such checkout")
        return row

    def _page(self, call: Call) -> Response:
        row = self._checkout_row(call.path["checkout_id"])
        what = f"the tier {row['tier']}" if row["kind"] == "tier" else row["kind"].replace("_", " ")
        act = "<p>Paid.</p>" if row["paid"] else '<form method="post"><button>Pay</button></form>'
        return html(
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Checkout of the sandbox</title></head>'
            f"<body><h1>Checkout</h1><p>${row['amount'] / 1_000_000:.2f} for {escape(what)}; no card is charged.</p>"
            f"{act}</body></html>"
        )

    def _press(self, call: Call) -> Response:
        self.pay_checkout(call.path["checkout_id"])
        return self._page(call)

    # ---------------------------------------------------------------- the faucet

    def _faucet(self, call: Call) -> Response:
        gateway = self._gateway
        address = _wallet(call.required("address"))
        now = gateway.clock.now()
        row = gateway.db.execute("SELECT used_at FROM faucet_uses WHERE address = ?", (address.lower(),)).fetchone()
        if row is not None and now < row["used_at"] + FAUCET_PAUSE:
            wait = int(row["used_at"] + FAUCET_PAUSE - now) + 1
            raise GatewayError(
                429,
                "RATE_LIMITED",
                "The faucet gives once a day",
                headers={"retry-after": str(wait)},
                retry_after=wait,
            )
        gateway.db.execute(
            "INSERT OR REPLACE INTO faucet_uses (address, used_at) VALUES (?, ?)", (address.lower(), now)
        )
        gateway.payments.add(address, FAUCET, BASE_SEPOLIA)
        told = {
            "transaction_hash": gateway.new_id("0x", 64),
            "amount_usd_micros": FAUCET,
            "token": "USDC",
            "network": "base-sepolia",
        }
        return json_answer(told, 200)


def _wallet(text: str) -> str:
    if not is_address(text):
        raise GatewayError(400, "VALIDATION_ERROR", "The address must be 0x and 40 hex digits")
    return text


def _email(text: str) -> str:
    name, at, domain = text.partition("@")
    if not (name and at and domain) or any(letter.isspace() for letter in text):
        raise GatewayError(400, "VALIDATION_ERROR", "email is no e-mail address", details={"field": "email"})
    return text
