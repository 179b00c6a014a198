"""Paying: what a 402 asks for, the check of what is sent for it, and the ledger of the test money (x402, EIP-3009).

No chain is involved: balances, nonces and transactions are in the gateway's tables. Checking a payment's signature
needs the extra `payments`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol

import attrs

from tollkit.errors import ArgumentError
from tollkit.run402.address import is_address
from tollkit.run402.eip712 import typed_data_digest
from tollkit.run402.eip3009 import TransferAuthorization, transfer_typed_data
from tollkit.run402.x402 import BASE, BASE_SEPOLIA, USDC, chain_id_of
from tollkit.sandbox.http import members
from tollkit.sandbox.run402.access import recovered_address
from tollkit.sandbox.run402.calls import ConnectionDropped, GatewayError
from tollkit.sandbox.run402.tables import record

if TYPE_CHECKING:
    from starlette.requests import Request

    from tollkit.sandbox.run402.gateway import Gateway

__all__ = ["NONCE_USED", "PAYEE", "Books", "Payments", "RefusedPayment", "Settlement", "network_id"]

PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
"""Who is paid; an account that Ethereum's development tools know."""
_NAMES = {BASE: "base", BASE_SEPOLIA: "base-sepolia"}
_TOKENS = {BASE: "USD Coin", BASE_SEPOLIA: "USDC"}
"""Name of USDC in its EIP-712 domain: it is not the same on both networks."""
_TIMEOUT = 300
NONCE_USED = "invalid_exact_evm_nonce_already_used"
"""Why a payment that was carried out is refused when it comes again."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS balances (
    network TEXT NOT NULL,
    address TEXT NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (network, address)
);
CREATE TABLE IF NOT EXISTS settlements (
    sequence INTEGER PRIMARY KEY,
    "transaction" TEXT NOT NULL,
    network TEXT NOT NULL,
    payer TEXT NOT NULL,
    payee TEXT NOT NULL,
    amount INTEGER NOT NULL,
    nonce TEXT NOT NULL,
    what TEXT NOT NULL,
    resource TEXT NOT NULL,
    settled_at REAL NOT NULL,
    repeated INTEGER NOT NULL,
    UNIQUE (network, payer, nonce)
);
CREATE TABLE IF NOT EXISTS refused_payments (
    sequence INTEGER PRIMARY KEY,
    reason TEXT NOT NULL,
    what TEXT NOT NULL,
    resource TEXT NOT NULL,
    payer TEXT,
    nonce TEXT,
    refused_at REAL NOT NULL
);
"""


@attrs.frozen(kw_only=True)
class Settlement:
    """A payment that was carried out."""

    transaction: str
    """Its hash."""
    network: str
    """CAIP-2."""
    payer: str
    """Address, with its checksum."""
    payee: str
    amount: int
    """Smallest unit of USDC: micro-dollars."""
    nonce: str
    what: str
    """E.g. `tier:hobby`."""
    resource: str
    """Method and address that it was sent to."""
    settled_at: float
    repeated: bool
    """Whether this payer had paid for the same method, address and thing before: perhaps a double payment."""


@attrs.frozen(kw_only=True)
class RefusedPayment:
    """A payment that was sent and not carried out."""

    reason: str
    """As x402 calls it, e.g. `insufficient_funds`."""
    what: str
    resource: str
    payer: str | None
    nonce: str | None
    refused_at: float


class Books(Protocol):
    """The accounts that payments show up in."""

    def spend(self, wallet: str, amount: int, what: str) -> bool:
        """Pay from what the wallet's account holds; False, and nothing is paid, when that is not enough."""
        ...

    def settled(self, settlement: Settlement) -> None:
        """Note a payment that was carried out."""
        ...


class _RefusedError(Exception):
    """Why a payment is refused, in a word of x402."""


@attrs.frozen(kw_only=True)
class _Offered:
    """What a request is asked for."""

    price: int
    what: str
    url: str
    resource: str


@attrs.define
class _Drop:
    """Answers that are to be lost after a settlement."""

    left: int
    effect: bool


class Payments:
    """Prices, balances and payments of one gateway.

    Attributes:
        version: Of the protocol in which prices are told: 2 in the header `PAYMENT-REQUIRED`, 1 in the body.
        networks: Where money is taken, the favourite first.
        payee: Who is paid.
        prices: Micro-dollars for things that have another price than usual, e.g. `{"tier:hobby": 1}`.
        books: The accounts of the platform; set by billing.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.books: Books | None = None
        gateway.db.executescript(_SCHEMA)
        self._begin()

    def _begin(self) -> None:
        self.version: Literal[1, 2] = 2
        self.networks: tuple[str, ...] = (BASE_SEPOLIA, BASE)
        self.payee: str = PAYEE
        self.prices: dict[str, int] = {}
        self._drops: list[_Drop] = []
        self._failures: list[str] = []

    def forget(self) -> None:
        """Forget balances, payments and prices."""
        self._gateway.db.executescript("DELETE FROM balances; DELETE FROM settlements; DELETE FROM refused_payments;")
        self._begin()

    # ---------------------------------------------------------------- the ledger

    def balance(self, address: str, network: str = BASE_SEPOLIA) -> int:
        """USDC of an address, in its smallest unit."""
        row = self._gateway.db.execute(
            "SELECT amount FROM balances WHERE network = ? AND address = ?", (network_id(network), address.lower())
        ).fetchone()
        return 0 if row is None else row["amount"]

    def add(self, address: str, amount: int, network: str = BASE_SEPOLIA) -> None:
        """Give an address that much USDC, in its smallest unit; a negative amount takes it away.

        Raises:
            ValueError: It is no address, no network, or there is not that much to take.
        """
        if not is_address(address):
            raise ValueError(f"{address!r} is no address")
        left = self.balance(address, network) + amount
        if left < 0:
            raise ValueError("a balance cannot be negative")
        self._gateway.db.execute(
            "INSERT OR REPLACE INTO balances (network, address, amount) VALUES (?, ?, ?)",
            (network_id(network), address.lower(), left),
        )

    def used(self, payer: str, nonce: str, network: str) -> bool:
        """Whether an authorization with this nonce was carried out."""
        return (
            self._gateway.db.execute(
                "SELECT 1 FROM settlements WHERE network = ? AND lower(payer) = ? AND nonce = ?",
                (network_id(network), payer.lower(), nonce.lower()),
            ).fetchone()
            is not None
        )

    def settlements(self) -> list[Settlement]:
        """The payments that were carried out, the oldest first."""
        rows = self._gateway.db.execute("SELECT * FROM settlements ORDER BY sequence")
        return [record(Settlement, row) for row in rows]

    def refused(self) -> list[RefusedPayment]:
        """The payments that were sent and not carried out, the oldest first."""
        rows = self._gateway.db.execute("SELECT * FROM refused_payments ORDER BY sequence")
        return [record(RefusedPayment, row) for row in rows]

    # ---------------------------------------------------------------- misbehaviour

    def fail_settlement(self, reason: str = "transaction_failed", times: int = 1) -> None:
        """Refuse the next payments that are right, at the last moment: no money is moved."""
        self._failures.extend([reason] * times)

    def drop_after_settlement(self, times: int = 1, *, effect: bool = False) -> None:
        """Take the next payments and lose the connection instead of answering.

        Args:
            times: How many.
            effect: Whether what was paid for happens nevertheless.
        """
        self._drops.append(_Drop(times, effect))

    def loses_answer(self, request: Request) -> bool:
        """Whether this request was paid for and its answer is to be lost."""
        return bool(getattr(request.state, "answer_lost", False))

    def _lose(self, request: Request) -> None:
        if not self._drops:
            return
        drop = self._drops[0]
        drop.left -= 1
        if drop.left <= 0:
            self._drops.pop(0)
        if not drop.effect:
            raise ConnectionDropped
        request.state.answer_lost = True

    # ---------------------------------------------------------------- a request that has a price

    def price(self, what: str, amount: int) -> int:
        """What something costs, in micro-dollars: `amount` unless another price was set for it."""
        return self.prices.get(what, amount)

    def pay(self, request: Request, amount: int, what: str) -> Mapping[str, str]:
        """See `Gateway.pay`."""
        price = self.price(what, amount)
        if price <= 0:
            return {}
        url = self._url(request)
        offered = _Offered(price=price, what=what, url=url, resource=f"{request.method} {url}")
        header = request.headers.get("payment-signature") or request.headers.get("x-payment")
        if not header:
            wallet: str | None = getattr(request.state, "wallet", None)
            if wallet is not None and self.books is not None and self.books.spend(wallet, price, what):
                return {}
            raise self._challenge(request, offered, "Payment required")
        payer = nonce = network = None
        try:
            network, wire, signature = self._accepted(header, offered)
            try:
                transfer = _transfer(wire)
            except (ArgumentError, KeyError, TypeError, ValueError):
                raise _RefusedError("invalid_payload") from None
            payer, nonce = transfer.payer, transfer.nonce.lower()
            self._verify(transfer, signature, network, price)
            if self._failures:
                raise _RefusedError(self._failures.pop(0))
        except _RefusedError as refusal:
            self._refuse(request, offered, str(refusal), network, payer, nonce)
        settled = self._settle(transfer, network, offered)
        receipt = self._receipt(
            {"success": True, "transaction": settled, "network": self._shown(network), "payer": transfer.payer}
        )
        request.state.receipt = receipt
        self._lose(request)
        return receipt

    def receipt(self, request: Request) -> Mapping[str, str]:
        """Headers for whatever this request is answered with; none when nothing was paid."""
        found: Mapping[str, str] = getattr(request.state, "receipt", {})
        return found

    def _url(self, request: Request) -> str:
        path: str = request.scope["path"]
        query: str = request.scope["query_string"].decode("ascii")
        return self._gateway.api_base + path + (f"?{query}" if query else "")

    def _offers(self, offered: _Offered) -> list[dict[str, Any]]:
        return [self._offer(network, offered) for network in self.networks]

    def _offer(self, network: str, offered: _Offered) -> dict[str, Any]:
        common = {
            "asset": USDC[network],
            "payTo": self.payee,
            "maxTimeoutSeconds": _TIMEOUT,
            "extra": {"name": _TOKENS[network], "version": "2"},
        }
        if self.version == 1:
            return {
                "scheme": "exact",
                "network": _NAMES[network],
                "maxAmountRequired": str(offered.price),
                "resource": offered.url,
                "description": offered.what,
                "mimeType": "application/json",
                **common,
            }
        return {"scheme": "exact", "network": network, "amount": str(offered.price), **common}

    def _challenge(
        self, request: Request, offered: _Offered, error: str, headers: Mapping[str, str] | None = None
    ) -> GatewayError:
        # the same request comes again with a payment, and with what it signed in with
        self._gateway.access.release_nonce(request)
        told: dict[str, Any] = {"x402Version": self.version, "error": error}
        if self.version == 2:
            told["resource"] = {
                "url": offered.url,
                "description": offered.what,
                "mimeType": "application/json",
            }
        told["accepts"] = self._offers(offered)
        sent = dict(headers or {})
        if self.version == 2:
            sent["PAYMENT-REQUIRED"] = _encoded(told)
        return GatewayError(402, "PAYMENT_REQUIRED", "A payment is required", headers=sent, **told)

    def _refuse(
        self,
        request: Request,
        offered: _Offered,
        reason: str,
        network: str | None,
        payer: str | None,
        nonce: str | None,
    ) -> NoReturn:
        self._gateway.db.execute(
            "INSERT INTO refused_payments (reason, what, resource, payer, nonce, refused_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (reason, offered.what, offered.resource, payer, nonce, self._gateway.clock.now()),
        )
        shown = self._shown(network) if network else ""
        receipt = self._receipt(
            {"success": False, "errorReason": reason, "transaction": "", "network": shown, "payer": payer}
        )
        raise self._challenge(request, offered, reason, receipt)

    def _accepted(self, header: str, offered: _Offered) -> tuple[str, dict[str, Any], object]:
        """Network, authorization and signature of a payment that takes one of the offers."""
        try:
            payload = members(json.loads(base64.b64decode(header, validate=True)))
        except (ValueError, RecursionError):
            raise _RefusedError("invalid_payload") from None
        if payload.get("x402Version") != self.version:
            raise _RefusedError("invalid_x402_version")
        offers = self._offers(offered)
        if self.version == 2:
            chosen = next((offer for offer in offers if offer == payload.get("accepted")), None)
            if chosen is None:
                raise _RefusedError("invalid_payment_requirements")
        else:
            if payload.get("scheme") != "exact":
                raise _RefusedError("unsupported_scheme")
            chosen = next((offer for offer in offers if offer["network"] == payload.get("network")), None)
            if chosen is None:
                raise _RefusedError("invalid_network")
        signed = members(payload.get("payload"))
        return network_id(chosen["network"]), members(signed.get("authorization")), signed.get("signature")

    def _verify(self, transfer: TransferAuthorization, signature: object, network: str, price: int) -> None:
        typed = transfer_typed_data(
            transfer, asset=USDC[network], name=_TOKENS[network], version="2", chain_id=chain_id_of(network)
        )
        now = self._gateway.clock.now()
        if recovered_address(typed_data_digest(typed), signature) != transfer.payer:
            raise _RefusedError("invalid_exact_evm_payload_signature")
        if transfer.payee != self.payee:
            raise _RefusedError("invalid_exact_evm_payload_recipient_mismatch")
        if transfer.value != price:
            raise _RefusedError("invalid_exact_evm_payload_authorization_value_mismatch")
        if not transfer.valid_after < now:
            raise _RefusedError("invalid_exact_evm_payload_authorization_valid_after")
        if not now < transfer.valid_before:
            raise _RefusedError("invalid_exact_evm_payload_authorization_valid_before")
        if self.used(transfer.payer, transfer.nonce, network):
            raise _RefusedError(NONCE_USED)
        if self.balance(transfer.payer, network) < transfer.value:
            raise _RefusedError("insufficient_funds")

    def _settle(self, transfer: TransferAuthorization, network: str, offered: _Offered) -> str:
        db = self._gateway.db
        self.add(transfer.payer, -transfer.value, network)
        self.add(transfer.payee, transfer.value, network)
        repeated = db.execute(
            "SELECT 1 FROM settlements WHERE payer = ? AND resource = ? AND what = ?",
            (transfer.payer, offered.resource, offered.what),
        ).fetchone()
        settlement = Settlement(
            transaction=self._gateway.new_id("0x", 64),
            network=network,
            payer=transfer.payer,
            payee=transfer.payee,
            amount=transfer.value,
            nonce=transfer.nonce.lower(),
            what=offered.what,
            resource=offered.resource,
            settled_at=self._gateway.clock.now(),
            repeated=repeated is not None,
        )
        db.execute(
            'INSERT INTO settlements ("transaction", network, payer, payee, amount, nonce, what, resource,'
            " settled_at, repeated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            attrs.astuple(settlement),
        )
        if self.books is not None:
            self.books.settled(settlement)
        return settlement.transaction

    def _shown(self, network: str) -> str:
        return _NAMES[network] if self.version == 1 else network

    def _receipt(self, told: Mapping[str, Any]) -> dict[str, str]:
        name = "X-PAYMENT-RESPONSE" if self.version == 1 else "PAYMENT-RESPONSE"
        return {name: _encoded({key: value for key, value in told.items() if value is not None})}


def network_id(name: str) -> str:
    """The CAIP-2 id of a network that is taken: `eip155:84532` for itself and for `base-sepolia`.

    Raises:
        ValueError: It is none.
    """
    for network, short in _NAMES.items():
        if name in (network, short):
            return network
    raise ValueError(f"{name!r} is no network of the sandbox; there are {', '.join(_NAMES)}")


def _transfer(wire: Mapping[str, Any]) -> TransferAuthorization:
    def number(name: str) -> int:
        text = wire[name]
        if not isinstance(text, str) or not text.isascii() or not text.isdigit():
            raise ValueError(name)
        return int(text)

    return TransferAuthorization(
        payer=wire["from"],
        payee=wire["to"],
        value=number("value"),
        valid_after=number("validAfter"),
        valid_before=number("validBefore"),
        nonce=wire["nonce"],
    )


def _encoded(told: Mapping[str, Any]) -> str:
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(text.encode()).decode("ascii")
