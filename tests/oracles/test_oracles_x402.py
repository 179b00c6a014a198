"""Payments as data, against the official Python package."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st
from x402.http import utils as official_http
from x402.mechanisms.evm.eip712 import build_typed_data_for_signing, hash_typed_data
from x402.mechanisms.evm.exact.client import ExactEvmScheme
from x402.mechanisms.evm.exact.v1.client import ExactEvmSchemeV1
from x402.mechanisms.evm.types import ExactEIP3009Authorization
from x402.schemas import PaymentPayload, PaymentRequired, PaymentRequirements, ResourceInfo, SettleResponse
from x402.schemas.v1 import PaymentPayloadV1, PaymentRequiredV1, PaymentRequirementsV1

from support.run402_wallet import ADDRESS, KEY, NOW, OTHER_ADDRESS
from tollkit.errors import ArgumentError
from tollkit.run402 import x402
from tollkit.run402.eip712 import typed_data_digest
from tollkit.run402.eip3009 import TransferAuthorization, new_nonce, transfer_typed_data
from tollkit.run402.signer import AccountSigner, PrivateKeySigner
from tollkit.secrets import Secret

NONCE = "0x" + "11" * 32
OFFER: dict[str, Any] = {
    "scheme": "exact",
    "network": "eip155:84532",
    "amount": "100000",
    "asset": x402.USDC[x402.BASE_SEPOLIA],
    "payTo": OTHER_ADDRESS,
    "maxTimeoutSeconds": 300,
    "extra": {"name": "USDC", "version": "2"},
}
OFFER_1: dict[str, Any] = {
    **{name: value for name, value in OFFER.items() if name != "amount"},
    "network": "base-sepolia",
    "maxAmountRequired": "100000",
    "resource": "https://api.run402.com/tiers/v1/hobby",
    "description": "",
    "mimeType": "application/json",
}
SIGNER = PrivateKeySigner(KEY)


def challenge(*offers: Any, version: int = 2, **more: Any) -> x402.Challenge:
    found = x402.read_challenge({}, json.dumps({"x402Version": version, "accepts": offers, **more}).encode())
    assert found is not None
    return found


def paid(asked: x402.Challenge, signer: Any = SIGNER, now: int = NOW, nonce: str = NONCE) -> dict[str, Any]:
    return x402.payment_payload(asked, asked.accepts[0], signer, now=now, nonce=nonce)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**256 - 1),
    st.integers(0, 2**64),
    st.integers(0, 2**64),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=20, max_size=20),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=10),
    st.integers(1, 2**53),
)
def test_the_digest_is_the_official_packages(
    value: int, after: int, before: int, nonce: bytes, payee: bytes, name: str, chain: int
) -> None:
    ours = TransferAuthorization(
        payer=ADDRESS,
        payee="0x" + payee.hex(),
        value=value,
        valid_after=after,
        valid_before=before,
        nonce="0x" + nonce.hex(),
    )
    theirs = ExactEIP3009Authorization(ADDRESS, ours.payee, str(value), str(after), str(before), ours.nonce)
    data = transfer_typed_data(ours, asset=OFFER["asset"].lower(), name=name, version="2", chain_id=chain)
    digest = hash_typed_data(*build_typed_data_for_signing(theirs, chain, OFFER["asset"], name, "2"))
    assert typed_data_digest(data) == digest
    account = Account.from_key(KEY)
    assert bytes(account.sign_typed_data(full_message=data).signature) == SIGNER.sign_typed_data(data)


def frozen(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setattr(time, "time", lambda: float(NOW))
    monkeypatch.setattr(f"x402.mechanisms.evm.exact.{module}.create_nonce", lambda: NONCE)


def test_version_1_is_the_official_packages_byte_for_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen(monkeypatch, "v1.client")
    requirements = PaymentRequirementsV1.model_validate(OFFER_1)
    inner = ExactEvmSchemeV1(Account.from_key(KEY)).create_payment_payload(requirements)
    theirs = PaymentPayloadV1(scheme="exact", network="base-sepolia", payload=inner)
    ours = paid(challenge(OFFER_1, version=1))
    assert ours == theirs.model_dump(by_alias=True)
    name, value = x402.payment_header(ours)
    assert name == "X-PAYMENT"
    assert value == official_http.encode_payment_signature_header(theirs)
    assert official_http.decode_payment_signature_header(value) == theirs


def test_version_2_is_the_official_packages_but_for_when_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python package begins at 0; the platform's client, whose form this is, ten minutes ago (see the vector)."""
    frozen(monkeypatch, "client")
    monkeypatch.setattr(x402, "EARLY", NOW)
    resource = {"url": "https://api.run402.com/tiers/v1/hobby", "description": "", "mimeType": "application/json"}
    extensions = {"anything": {"info": {}}}
    requirements = PaymentRequirements.model_validate(OFFER)
    theirs = PaymentPayload(
        payload=ExactEvmScheme(Account.from_key(KEY)).create_payment_payload(requirements),
        accepted=requirements,
        resource=ResourceInfo.model_validate(resource),
        extensions=extensions,
    )
    ours = paid(challenge(OFFER, resource=resource, extensions=extensions))
    assert list(ours) == ["x402Version", "payload", "extensions", "resource", "accepted"]
    assert ours == theirs.model_dump(by_alias=True, exclude_none=True)
    name, value = x402.payment_header(ours)
    assert name == "PAYMENT-SIGNATURE"
    assert isinstance(value, Secret)
    assert official_http.decode_payment_signature_header(value) == theirs


def test_a_wallet_of_others_signs_the_same() -> None:
    assert paid(challenge(OFFER)) == paid(challenge(OFFER), signer=AccountSigner(Account.from_key(KEY)))


def test_what_the_official_server_asks_is_read() -> None:
    asked = PaymentRequired(error="pay", accepts=[PaymentRequirements.model_validate(OFFER)], extensions={"e": 1})
    header = official_http.encode_payment_required_header(asked)
    found = x402.read_challenge({"payment-required": header}, b"<html>")
    assert found == challenge(OFFER, error="pay", extensions={"e": 1})
    asked_1 = PaymentRequiredV1(error="pay", accepts=[PaymentRequirementsV1.model_validate(OFFER_1)])
    found_1 = x402.read_challenge({}, asked_1.model_dump_json(by_alias=True, exclude_none=True).encode())
    assert found_1 == challenge(OFFER_1, version=1, error="pay")
    assert found_1 is not None
    assert found_1.accepts[0].network == x402.BASE_SEPOLIA
    assert found_1.accepts[0].amount == 100_000


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"x402Version":3,"accepts":[]}',
        b'{"x402Version":true,"accepts":[]}',
        b'{"x402Version":2}',
        b'{"x402Version":"2","accepts":[]}',
        b'{"error":"payment required","code":"PROJECT_FROZEN"}',
        b"[" * 100_000,
    ],
)
def test_a_402_that_asks_for_something_else(content: bytes) -> None:
    assert x402.read_challenge({}, content) is None
    header = base64.b64encode(content).decode()
    assert x402.read_challenge({"payment-required": header}, content) is None
    assert x402.read_challenge({"payment-required": "%%%"}, content) is None


@pytest.mark.parametrize(
    "change",
    [
        {"scheme": None},
        {"network": 8453},
        {"asset": "USDC"},
        {"payTo": "0x12"},
        {"amount": 100000},
        {"amount": "-1"},
        {"amount": "1e3"},
        {"amount": "1.5"},
        {"amount": None},
        {"maxTimeoutSeconds": 0},
        {"maxTimeoutSeconds": "300"},
        {"maxTimeoutSeconds": True},
    ],
)
def test_offers_that_cannot_be_read_are_counted_and_left_out(change: dict[str, Any]) -> None:
    found = challenge({**OFFER, **change}, OFFER, "nonsense")
    assert (len(found.accepts), found.unread) == (1, 2)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"scheme": "upto"}, "the scheme 'upto'"),
        ({"network": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"}, "the network"),
        ({"network": "base"}, "the network"),
        ({"extra": {**OFFER["extra"], "assetTransferMethod": "permit2"}}, "the transfer method 'permit2'"),
        ({"extra": {"name": "USDC"}}, "name and version"),
        ({"extra": {"name": "", "version": "2"}}, "name and version"),
        ({"extra": None}, "name and version"),
    ],
)
def test_offers_that_cannot_be_met(change: dict[str, Any], why: str) -> None:
    asked = challenge({**OFFER, **change})
    assert why in str(asked.accepts[0].unusable)
    with pytest.raises(ArgumentError, match=why):
        paid(asked)


def test_a_method_that_is_told_outright() -> None:
    asked = challenge({**OFFER, "extra": {**OFFER["extra"], "assetTransferMethod": "eip3009"}})
    assert asked.accepts[0].unusable is None


def test_what_the_official_server_says_about_a_payment() -> None:
    done = SettleResponse(success=True, transaction="0xabc", network="eip155:84532", payer=ADDRESS)
    header = official_http.encode_payment_response_header(done)
    for name in ("payment-response", "x-payment-response"):
        found = x402.read_settlement({name: header})
        assert found is not None
        assert (found.success, found.transaction, found.network) == (True, "0xabc", "eip155:84532")
        assert (found.payer, found.error_reason) == (ADDRESS, None)
    failed = SettleResponse(
        success=False, error_reason="insufficient_funds", transaction="", network="eip155:84532", payer=None
    )
    found = x402.read_settlement({"payment-response": official_http.encode_payment_response_header(failed)})
    assert found is not None
    assert (found.success, found.error_reason, found.payer) == (False, "insufficient_funds", None)
    assert "wire" not in repr(found)
    for nonsense in ({}, {"payment-response": "%"}, {"payment-response": base64.b64encode(b"[1]").decode()}):
        assert x402.read_settlement(nonsense) is None


def test_networks() -> None:
    assert x402.chain_id_of("eip155:8453") == x402.chain_id_of("base") == 8453
    assert x402.chain_id_of("base-sepolia") == 84532
    for wrong in ("eip155:", "eip155:08", "eip155:x", "solana:1", "ethereum"):
        with pytest.raises(ArgumentError, match="CAIP-2"):
            x402.chain_id_of(wrong)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"payer": "0x1"}, "^payer"),
        ({"payee": "x"}, "40 hex"),
        ({"value": -1}, "^value"),
        ({"value": 2**256}, "^value"),
        ({"value": True}, "^value"),
        ({"value": "5"}, "^value"),
        ({"valid_after": -600}, "^valid_after"),
        ({"nonce": "0x11"}, "^nonce"),
    ],
)
def test_authorizations_that_are_none(change: dict[str, Any], match: str) -> None:
    right: dict[str, Any] = {
        "payer": ADDRESS,
        "payee": OTHER_ADDRESS,
        "value": 1,
        "valid_after": 0,
        "valid_before": 2,
        "nonce": new_nonce(),
    }
    TransferAuthorization(**right)
    with pytest.raises(ArgumentError, match=match):
        TransferAuthorization(**{**right, **change})


def test_nonces_differ() -> None:
    assert new_nonce() != new_nonce()
    assert len(new_nonce()) == 66
