"""The clients against the sandbox's gateway, which verifies every payment and carries it out once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.run402 import Side
from support.run402_wallet import ADDRESS
from support.x402_till import wallet
from tollkit.errors import ServerError
from tollkit.run402 import AsyncRun402, Run402
from tollkit.run402.credentials import AllowanceData, MemoryCredentials
from tollkit.run402.errors import PaymentNotMadeError, PaymentRequired, PaymentUncertainError
from tollkit.run402.payments import MemoryJournal, RpcBalances, SpendingPolicy, X402Payer
from tollkit.run402.signer import PrivateKeySigner, new_private_key
from tollkit.run402.x402 import BASE, BASE_SEPOLIA
from tollkit.sandbox import Fault, Run402Sandbox, Sandbox

PROTOTYPE = 100_000


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def gateway(server: Sandbox) -> Run402Sandbox:
    server.reset()
    server.run402.fund(ADDRESS, 10_000_000)
    return server.run402


def client(side: Side, gateway: Run402Sandbox, **changes: Any) -> Any:
    kind = Run402 if side.name == "blocking" else AsyncRun402
    found = wallet().read_allowance()
    credentials = MemoryCredentials(allowance=found, api_base=gateway.api_base)
    given = {"api_base": gateway.api_base, "credentials": credentials, "allow_insecure_http": True, **changes}
    return side.made(kind(**given))


def payer(gateway: Run402Sandbox, **changes: Any) -> X402Payer:
    nodes = {network: gateway.rpc_url(network) for network in (BASE, BASE_SEPOLIA)}
    given = {"journal": MemoryJournal(), "balances": RpcBalances(nodes, keep=0), **changes}
    return X402Payer(**given)


@pytest.mark.parametrize("version", [1, 2])
def test_a_tier_is_bought(side: Side, gateway: Run402Sandbox, version: Any) -> None:
    gateway.set_payments(version=version)
    paying = payer(gateway)
    result = side.do(client(side, gateway, payments=paying).tier.set("prototype"))
    assert result.tier == "prototype"
    (settled,) = gateway.settlements
    (kept,) = paying.journal.payments()
    assert (kept.state, kept.nonce, kept.transaction) == ("settled", settled.nonce, settled.transaction)
    assert (settled.amount, settled.payer) == (PROTOTYPE, ADDRESS)
    assert gateway.wallet_balance(ADDRESS) == 10_000_000 - PROTOTYPE


def test_the_network_with_money_pays(side: Side, gateway: Run402Sandbox) -> None:
    gateway.fund(ADDRESS, -10_000_000)
    gateway.fund(ADDRESS, PROTOTYPE, BASE)
    side.do(client(side, gateway, payments=payer(gateway)).tier.set("prototype"))
    assert [settled.network for settled in gateway.settlements] == [BASE]


def test_an_empty_wallet(side: Side, gateway: Run402Sandbox) -> None:
    key = new_private_key()
    poor = AllowanceData(address=PrivateKeySigner(key).address, private_key=key)
    credentials = MemoryCredentials(allowance=poor, api_base=gateway.api_base)
    asked = client(side, gateway, credentials=credentials, payments=payer(gateway))
    with pytest.raises(PaymentNotMadeError, match="has 0 USDC"):
        side.do(asked.tier.set("prototype"))
    assert not gateway.refused_payments
    gateway.set_payments(networks=[BASE_SEPOLIA])
    blind = client(side, gateway, credentials=credentials, payments=X402Payer(journal=MemoryJournal()))
    with pytest.raises(PaymentRequired) as caught:
        side.do(blind.tier.set("prototype"))
    assert caught.value.payment is not None
    assert caught.value.payment.reason == "insufficient_funds"
    assert len(gateway.refused_payments) == 1


def test_what_costs_more_than_a_dime_is_asked_about(side: Side, gateway: Run402Sandbox) -> None:
    gateway.set_payments(networks=[BASE_SEPOLIA])
    with pytest.raises(PaymentNotMadeError, match="5 USDC") as caught:
        side.do(client(side, gateway).tier.set("hobby"))
    assert caught.value.setting == "ask_above"
    side.do(client(side, gateway, payments=SpendingPolicy(ask=lambda _one: True)).tier.set("hobby"))
    assert [settled.amount for settled in gateway.settlements] == [5_000_000]


def test_a_settlement_that_fails(side: Side, gateway: Run402Sandbox) -> None:
    gateway.fail_settlement()
    paying = payer(gateway)
    with pytest.raises(PaymentRequired) as caught:
        side.do(client(side, gateway, payments=paying).tier.set("prototype"))
    assert "transaction_failed" in str(caught.value)
    assert [kept.state for kept in paying.journal.payments()] == ["refused"]
    assert not gateway.settlements


def test_an_answer_that_is_lost_after_the_settlement(side: Side, gateway: Run402Sandbox) -> None:
    gateway.drop_after_settlement()
    paying = payer(gateway)
    with pytest.raises(PaymentUncertainError) as caught:
        side.do(client(side, gateway, payments=paying).tier.set("prototype"))
    (settled,) = gateway.settlements
    assert caught.value.payment.nonce == settled.nonce
    assert not gateway.double_payments
    assert not gateway.replayed_payments
    assert [kept.state for kept in paying.journal.payments()] == ["uncertain"]


def test_64_calls_at_once_settle_once_each_within_the_day(side: Side, gateway: Run402Sandbox) -> None:
    paying = payer(gateway, policy=SpendingPolicy(per_day=20 * PROTOTYPE, unasked_per_day=None))
    calls = client(side, gateway, payments=paying)
    outcomes = side.all(lambda: calls.tier.set("prototype"), 64)
    assert sum(isinstance(one, PaymentNotMadeError) for one in outcomes) == 44
    assert len(gateway.settlements) == len({settled.nonce for settled in gateway.settlements}) == 20
    assert {kept.state for kept in paying.journal.payments()} == {"settled"}


def test_a_gateway_that_fails_after_it_was_paid(side: Side, server: Sandbox, gateway: Run402Sandbox) -> None:
    server.faults.add(Fault(kind="status", match="POST */tiers/*", skip=1, status=503, retry_after=0))
    with pytest.raises(ServerError) as caught:
        side.do(client(side, gateway, payments=payer(gateway)).tier.set("prototype"))
    assert caught.value.payment.state == "uncertain"  # type: ignore[attr-defined]
    assert gateway.requests.count("POST */tiers/*") == 2
    assert not gateway.settlements
