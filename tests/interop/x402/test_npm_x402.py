"""What agents in JavaScript pay, sell and sign in with: viem, x402 as the platform's tools lock it, and as of today.

Ours pays their shop, theirs pays our sandbox, and each reads what the other signs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from support import npm
from support.run402_wallet import ADDRESS, KEY, NOW, OTHER_ADDRESS
from tollkit.run402.errors import PaymentNotMadeError
from tollkit.run402.payments import MemoryJournal, SpendingPolicy, X402Payer
from tollkit.run402.signer import PrivateKeySigner
from tollkit.run402.siwx import HEADER, SiwxMessage, siwx_header_value, siwx_text
from tollkit.run402.x402 import BASE, BASE_SEPOLIA, read_settlement
from tollkit.sandbox import Run402Sandbox, Sandbox

PRICE = 100_000
TIER = "/tiers/v1/prototype"
CLIENTS = ["locked", "newest"]


@attrs.frozen
class Peer:
    """Their shop, and their wallet."""

    url: str
    http: httpx.Client

    def control(self, what: str, **told: Any) -> Any:
        answer = self.http.post(f"{self.url}/control/{what}", json=told)
        return answer.json()

    def book(self) -> dict[str, Any]:
        return self.http.get(f"{self.url}/control/book").json()

    def pay(self, client: str, sandbox: Run402Sandbox, sign_in: str) -> dict[str, Any]:
        headers = {HEADER: sign_in, "Content-Type": "application/json"}
        told: dict[str, Any] = self.control(
            "pay", client=client, key=KEY, url=sandbox.api_base + TIER, headers=headers, body="{}"
        )
        return told


@pytest.fixture(scope="module")
def _peer() -> Iterator[Peer]:
    with (
        npm.running(Path(__file__).parent, "peer.mjs", "a shop and a wallet of x402") as told,
        httpx.Client(trust_env=False, timeout=60) as http,
    ):
        yield Peer(**told, http=http)


@pytest.fixture
def peer(_peer: Peer) -> Peer:
    _peer.control("book", balance=10_000_000, payer=ADDRESS)
    return _peer


@pytest.fixture
def sandbox() -> Iterator[Run402Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox.run402


def post(paying: X402Payer, url: str) -> httpx.Response:
    with httpx.Client(transport=paying.transport(allow_insecure_http=True), timeout=60) as client:
        return client.post(url, content=b"hello")


def payer(policy: SpendingPolicy | None = None) -> X402Payer:
    return X402Payer(signer=PrivateKeySigner(KEY), policy=policy, journal=MemoryJournal())


def ours(sandbox: Run402Sandbox) -> str:
    """Our header for the tier."""
    return str.__str__(siwx_header_value(SiwxMessage.new(sandbox.api_base, TIER), PrivateKeySigner(KEY)))


def test_ours_pays_their_shop(peer: Peer) -> None:
    paying = payer()
    answer = post(paying, f"{peer.url}/cheap")
    assert (answer.status_code, answer.json()) == (200, {"name": "cheap", "body": "hello"})
    record = answer.extensions["x402"]
    assert (record.state, record.amount, record.payee, record.network) == (
        "settled",
        10_000,
        OTHER_ADDRESS,
        BASE_SEPOLIA,
    )
    assert peer.book() == {"nonces": [record.nonce], "balance": "9990000"}
    assert [kept.transaction for kept in paying.journal.payments()] == [record.transaction]
    assert record.transaction.endswith("1")


def test_what_their_shop_asks_is_read_by_the_policy(peer: Peer) -> None:
    asked: list[Any] = []
    with pytest.raises(PaymentNotMadeError, match="5 USDC"):
        post(payer(SpendingPolicy(ask=lambda one: bool(asked.append(one)))), f"{peer.url}/dear")
    assert [(one.amount, one.description) for one in asked] == [(5_000_000, "Dear")]
    assert peer.book()["nonces"] == []


def test_their_shop_refuses_what_is_not_covered(peer: Peer) -> None:
    peer.control("book", balance=9_999, payer=ADDRESS)
    paying = payer()
    answer = post(paying, f"{peer.url}/cheap")
    assert answer.status_code == 402
    assert [kept.state for kept in paying.journal.payments()] == ["refused"]
    assert peer.book()["nonces"] == []


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("network", [BASE, BASE_SEPOLIA])
def test_theirs_pays_our_sandbox(peer: Peer, sandbox: Run402Sandbox, client: str, network: str) -> None:
    sandbox.set_payments(version=2, networks=[network])
    sandbox.fund(ADDRESS, PRICE, network)
    answer = peer.pay(client, sandbox, ours(sandbox))
    assert answer["status"] == 200, answer
    (settled,) = sandbox.settlements
    assert (settled.payer, settled.amount, settled.network) == (ADDRESS, PRICE, network)
    told = read_settlement(answer["headers"])
    assert told is not None
    assert told.transaction == settled.transaction
    assert json.loads(answer["body"])["tier"] == "prototype"


@pytest.mark.parametrize("client", CLIENTS)
def test_theirs_without_money(peer: Peer, sandbox: Run402Sandbox, client: str) -> None:
    answer = peer.pay(client, sandbox, ours(sandbox))
    assert answer["status"] == 402
    assert {one.reason for one in sandbox.refused_payments} == {"insufficient_funds"}


@pytest.mark.parametrize(
    ("statement", "resources", "expires"),
    [
        ("Sign in to Run402", None, True),
        ("Sign in to Run402", None, False),
        ("Grüße aus Zürich, ☕ inclusive", ["https://api.run402.com/a", "https://example.com/b?c=d"], True),
    ],
)
def test_the_text_and_its_signature_are_viems(
    peer: Peer, statement: str, resources: list[str] | None, expires: bool
) -> None:
    new = SiwxMessage.new("https://api.run402.com", "/projects/v1?x=1", now=NOW, statement=statement)
    message = attrs.evolve(
        new, resources=resources, expiration_time=new.expiration_time if expires else None, nonce="0123456789abcdef"
    )
    theirs = peer.control(
        "siwe",
        key=KEY,
        domain=message.domain,
        uri=message.uri,
        statement=statement,
        version="1",
        chainId=84532,
        nonce=message.nonce,
        issuedAt=message.issued_at,
        expirationTime=message.expiration_time,
        resources=resources,
    )
    text = siwx_text(message, ADDRESS)
    assert theirs == {"text": text, "signature": "0x" + PrivateKeySigner(KEY).sign_message(text.encode()).hex()}


def test_viem_reads_what_is_signed_here(peer: Peer) -> None:
    message = SiwxMessage.new("https://api.run402.com", "/projects/v1", now=NOW)
    text = siwx_text(message, ADDRESS)
    signature = "0x" + PrivateKeySigner(KEY).sign_message(text.encode()).hex()
    told = peer.control("read", text=text, signature=signature, address=ADDRESS)
    assert told["valid"] is True
    fields = told["fields"]
    assert (fields["domain"], fields["address"], fields["chainId"]) == ("api.run402.com", ADDRESS, 84532)
    assert (fields["nonce"], fields["issuedAt"], fields["expirationTime"]) == (
        message.nonce,
        message.issued_at,
        message.expiration_time,
    )
    other = peer.control("read", text=text, signature=signature, address=OTHER_ADDRESS)
    assert other["valid"] is False
