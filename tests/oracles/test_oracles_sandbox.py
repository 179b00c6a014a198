"""The sandbox's gateway against the official x402 client: what it asks for is understood, and what comes is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from eth_account import Account
from x402 import x402Client
from x402.http.clients.httpx import wrapHttpxWithPayment
from x402.mechanisms.evm.exact import register_exact_evm_client
from x402.mechanisms.evm.signers import EthAccountSigner

from support.run402_wallet import KEY
from tollkit.run402.signer import AccountSigner
from tollkit.run402.siwx import HEADER, SiwxMessage, siwx_header_value
from tollkit.run402.x402 import BASE, BASE_SEPOLIA, read_settlement
from tollkit.sandbox import Run402Sandbox, Sandbox

ACCOUNT = Account.from_key(KEY)
PRICE = 100_000


@pytest.fixture
def sandbox() -> Iterator[Run402Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox.run402


def paid(sandbox: Run402Sandbox) -> httpx.Response:
    """What the official client gets for a tier, with a wallet of eth-account that signs in."""
    path = "/tiers/v1/prototype"
    message = SiwxMessage.new(sandbox.api_base, path)
    headers = {HEADER: str.__str__(siwx_header_value(message, AccountSigner(ACCOUNT)))}

    async def main() -> httpx.Response:
        payer = register_exact_evm_client(x402Client(), EthAccountSigner(ACCOUNT))
        async with wrapHttpxWithPayment(payer) as http:
            return await http.post(sandbox.api_base + path, headers=headers, json={})

    return asyncio.run(main())


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("network", [BASE, BASE_SEPOLIA])
def test_the_official_client_pays(sandbox: Run402Sandbox, version: int, network: str) -> None:
    sandbox.set_payments(version=version, networks=[network])  # type: ignore[arg-type]
    sandbox.fund(ACCOUNT.address, PRICE, network)
    answer = paid(sandbox)
    assert answer.status_code == 200, answer.text
    (settled,) = sandbox.settlements
    assert (settled.payer, settled.amount, settled.network) == (ACCOUNT.address, PRICE, network)
    told = read_settlement(answer.headers)
    assert told is not None
    assert told.transaction == settled.transaction
    assert sandbox.wallet_balance(ACCOUNT.address, network) == 0


def test_the_official_client_without_money(sandbox: Run402Sandbox) -> None:
    answer = paid(sandbox)
    assert answer.status_code == 402
    assert {one.reason for one in sandbox.refused_payments} == {"insufficient_funds"}
