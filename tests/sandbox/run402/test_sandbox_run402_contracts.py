"""Contract wallets and calls at the sandboxed gateway, through the real clients."""

from __future__ import annotations

from typing import Any

import pytest
from cases_rest import ABI, ADDRESS
from run402_caller import Caller, Side

from tollkit.errors import ConflictError, NotFoundError, PaymentRequiredError
from tollkit.run402.errors import ApiError
from tollkit.sandbox import Run402Sandbox, Sandbox
from tollkit.sandbox.run402.contracts import GAS, GAS_PRICE_WEI, STARTING_WEI, ContractRoutes, LowBalanceAlert
from tollkit.sandbox.run402.gateway import Project

FEE = GAS * GAS_PRICE_WEI


@pytest.fixture
def project(run402_sandbox: Run402Sandbox) -> Project:
    return run402_sandbox.seed_project()


@pytest.fixture
def contracts(run402_sandbox: Run402Sandbox) -> ContractRoutes:
    return run402_sandbox.groups.contracts


def mint(wallet_id: str, **changes: Any) -> dict[str, Any]:
    usual = {"wallet_id": wallet_id, "chain": "base-sepolia", "to": ADDRESS, "abi": ABI, "fn": "mint"}
    return {**usual, "args": [ADDRESS, 2**200], **changes}


def test_wallets_are_made_and_told(
    side: Side, caller: Caller, run402_sandbox: Run402Sandbox, project: Project, contracts: ContractRoutes
) -> None:
    client, other = side.client(run402_sandbox, project), run402_sandbox.seed_project()
    made = side.do(client.contracts.provision_wallet(project.id, chain="base-mainnet", recovery_address=ADDRESS))
    assert (made.chain, made.status, made.balance_wei) == ("base-mainnet", "active", STARTING_WEI)
    assert (made.recovery_address, made.threshold_wei) == (ADDRESS, None)
    contracts.start_with(2**200)
    rich = side.do(client.contracts.provision_wallet(project.id, chain="base-sepolia"))
    assert rich.balance_wei == 2**200
    assert rich.address != made.address
    assert side.do(client.contracts.list_wallets(project.id)).wallets == [made, rich]
    side.do(client.contracts.set_recovery(project.id, made.wallet_id, None))
    side.do(client.contracts.set_low_balance_alert(project.id, made.wallet_id, 2**70))
    found = side.do(client.contracts.get_wallet(project.id, made.wallet_id))
    assert (found.recovery_address, found.threshold_wei) == (None, 2**70)
    with pytest.raises(NotFoundError):
        side.do(client.contracts.get_wallet(project.id, "cwlt_no"))
    assert caller.get(f"/contracts/v1/wallets/{made.wallet_id}", key=other.service_key).status_code == 404
    assert caller.get("/contracts/v1/wallets", key=other.service_key).json() == {"wallets": []}


def test_a_call_is_confirmed_by_the_clock(
    side: Side,
    run402_sandbox: Run402Sandbox,
    tollkit_sandbox: Sandbox,
    project: Project,
    contracts: ContractRoutes,
) -> None:
    client = side.client(run402_sandbox, project)
    wallet = side.do(client.contracts.provision_wallet(project.id, chain="base-sepolia")).wallet_id
    tollkit_sandbox.clock.freeze()
    sent = side.do(client.contracts.call(project.id, **mint(wallet, value=10**15)))
    assert (sent.status, sent.gas_used, sent.receipt) == ("submitted", None, None)
    assert sent.tx_hash.startswith("0x")
    assert len(sent.tx_hash) == 66
    tollkit_sandbox.clock.advance(1.9)
    assert side.do(client.contracts.call_status(project.id, sent.call_id)).status == "submitted"
    tollkit_sandbox.clock.advance(0.1)
    done = side.do(client.contracts.call_status(project.id, sent.call_id))
    assert (done.status, done.tx_hash, done.gas_used, done.gas_cost_usd_micros) == (
        "confirmed",
        sent.tx_hash,
        str(GAS),
        20,
    )
    assert done.receipt["status"] == "success"
    (seen,) = contracts.calls(project.id)
    assert (seen.kind, seen.function_name, seen.args, seen.value_wei) == (
        "call",
        "mint",
        [ADDRESS, str(2**200)],
        10**15,
    )
    assert (seen.status, seen.to, seen.chain, seen.idempotency_key) == ("confirmed", ADDRESS, "base-sepolia", None)
    left = side.do(client.contracts.get_wallet(project.id, wallet)).balance_wei
    assert left == STARTING_WEI - 10**15 - FEE
    with pytest.raises(NotFoundError):
        side.do(client.contracts.call_status(project.id, "call_no"))


def test_a_call_is_settled_by_a_lever(
    side: Side,
    run402_sandbox: Run402Sandbox,
    tollkit_sandbox: Sandbox,
    project: Project,
    contracts: ContractRoutes,
) -> None:
    client = side.client(run402_sandbox, project)
    wallet = side.do(client.contracts.provision_wallet(project.id, chain="base-sepolia")).wallet_id
    contracts.confirm_after(None)
    good, bad = (side.do(client.contracts.call(project.id, **mint(wallet, value=10**15))).call_id for _ in range(2))
    tollkit_sandbox.clock.advance(3_600)
    assert side.do(client.contracts.status(project.id, good)).status == "submitted"
    contracts.confirm(good)
    contracts.fail(bad, "out of luck")
    contracts.fail(bad, "out of luck")
    assert side.do(client.contracts.status(project.id, good)).status == "confirmed"
    failed = side.do(client.contracts.status(project.id, bad))
    assert (failed.status, failed.receipt["error"], failed.receipt["status"]) == ("failed", "out of luck", "reverted")
    # what it sent along has come back, once
    left = side.do(client.contracts.get_wallet(project.id, wallet)).balance_wei
    assert left == STARTING_WEI - 10**15 - 2 * FEE
    with pytest.raises(ValueError, match="no contract call"):
        contracts.confirm("call_no")


def test_the_same_key_gives_the_same_call(
    side: Side, run402_sandbox: Run402Sandbox, project: Project, contracts: ContractRoutes
) -> None:
    other = run402_sandbox.seed_project()
    client = side.client(run402_sandbox, project, other)
    wallet = side.do(client.contracts.provision_wallet(project.id, chain="base-sepolia")).wallet_id
    elsewhere = side.do(client.contracts.provision_wallet(other.id, chain="base-sepolia")).wallet_id

    def call(owner: Project, wallet_id: str, key: str | None, **changes: Any) -> Any:
        return side.do(client.contracts.call(owner.id, **mint(wallet_id, **changes), idempotency_key=key))

    first = call(project, wallet, "order-17")
    assert call(project, wallet, "order-17") == first
    assert call(other, elsewhere, "order-17").call_id != first.call_id
    assert call(project, wallet, None).call_id != call(project, wallet, None).call_id
    with pytest.raises(ConflictError) as caught:
        call(project, wallet, "order-17", value=1)
    assert caught.value.code == "IDEMPOTENCY_KEY_REUSED"
    assert [one.idempotency_key for one in contracts.calls(project.id)] == ["order-17", None, None]
    assert side.do(client.contracts.get_wallet(project.id, wallet)).balance_wei == STARTING_WEI - 3 * FEE


def test_a_lost_answer_costs_no_second_call(
    side: Side, run402_sandbox: Run402Sandbox, tollkit_sandbox: Sandbox, project: Project, contracts: ContractRoutes
) -> None:
    client = side.client(run402_sandbox, project)
    wallet = side.do(client.contracts.provision_wallet(project.id, chain="base-sepolia")).wallet_id
    key = {"authorization": f"Bearer {project.service_key}", "idempotency-key": "order-17"}
    body = {
        "wallet_id": wallet,
        "chain": "base-sepolia",
        "contract_address": ADDRESS,
        "abi_fragment": ABI,
        "function_name": "mint",
        "args": [ADDRESS, str(2**200)],
    }
    import httpx

    lost = httpx.post(f"{run402_sandbox.api_base}/contracts/v1/call", headers=key, json=body, trust_env=False)
    assert lost.status_code == 201
    again = side.do(client.contracts.call(project.id, **mint(wallet), idempotency_key="order-17"))
    assert again.call_id == lost.json()["call_id"]
    assert len(contracts.calls()) == 1


def test_what_a_wallet_does_not_hold(
    side: Side, run402_sandbox: Run402Sandbox, project: Project, contracts: ContractRoutes
) -> None:
    client = side.client(run402_sandbox, project)
    wallet = side.do(client.contracts.provision_wallet(project.id, chain="base-sepolia")).wallet_id
    side.do(client.contracts.set_alert(project.id, wallet, STARTING_WEI))
    with pytest.raises(PaymentRequiredError) as caught:
        side.do(client.contracts.call(project.id, **mint(wallet, value=STARTING_WEI)))
    assert caught.value.code == "INSUFFICIENT_FUNDS"
    assert caught.value.body["details"]["missing_wei"] == str(FEE)
    assert contracts.alerts() == []
    side.do(client.contracts.call(project.id, **mint(wallet)))
    side.do(client.contracts.call(project.id, **mint(wallet)))  # it is below already
    (alert,) = contracts.alerts(wallet)
    assert alert == LowBalanceAlert(
        wallet_id=wallet, balance_wei=STARTING_WEI - FEE, threshold_wei=STARTING_WEI, at=alert.at
    )
    contracts.set_balance(wallet, 10**18)
    contracts.set_balance(wallet, 0)
    assert [one.balance_wei for one in contracts.alerts(wallet)] == [STARTING_WEI - FEE, 0]
    contracts.set_balance(wallet, 10**18)
    contracts.suspend(wallet)
    with pytest.raises(ConflictError, match="suspended"):
        side.do(client.contracts.call(project.id, **mint(wallet)))
    contracts.suspend(wallet, False)
    with pytest.raises(ApiError, match="must be the wallet's"):
        side.do(client.contracts.call(project.id, **mint(wallet, chain="base-mainnet")))
    for lever in (lambda: contracts.set_balance("cwlt_no", 1), lambda: contracts.suspend("cwlt_no")):
        with pytest.raises(ValueError, match="no contract wallet"):
            lever()


def test_a_wallet_is_emptied_and_deleted(
    side: Side, caller: Caller, run402_sandbox: Run402Sandbox, project: Project, contracts: ContractRoutes
) -> None:
    client = side.client(run402_sandbox, project)
    wallet = side.do(client.contracts.provision_wallet(project.id, chain="base-sepolia")).wallet_id
    full = side.do(client.contracts.provision_wallet(project.id, chain="base-sepolia")).wallet_id
    path = f"/contracts/v1/wallets/{wallet}"
    for headers in ({}, {"X-Confirm-Drain": full}, {"X-Confirm-Delete": wallet}):
        answer = caller.post(
            f"{path}/drain", key=project.service_key, headers=headers, json={"destination_address": ADDRESS}
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "CONFIRMATION_REQUIRED")
    assert caller.send("DELETE", path, key=project.service_key).status_code == 400
    drained = side.do(client.contracts.drain(project.id, wallet, ADDRESS))
    assert drained.status == "submitted"
    (seen,) = contracts.calls()
    assert (seen.kind, seen.to, seen.value_wei) == ("drain", ADDRESS, STARTING_WEI - FEE)
    assert side.do(client.contracts.call_status(project.id, drained.call_id)).tx_hash == drained.tx_hash
    with pytest.raises(ConflictError) as caught:
        side.do(client.contracts.drain(project.id, wallet, ADDRESS))
    assert caught.value.code == "NOTHING_TO_DRAIN"
    gone = side.do(client.contracts.delete_wallet(project.id, wallet))
    assert (gone.deleted_at is not None, gone.scheduled_deletion_at) == (True, None)
    # what holds money is kept for a week
    later = side.do(client.contracts.delete_wallet(project.id, full))
    assert (later.deleted_at, later.scheduled_deletion_at is not None) == (None, True)
    states = [one.status for one in side.do(client.contracts.list_wallets(project.id)).wallets]
    assert states == ["deleted", "deleted"]
    with pytest.raises(ConflictError):
        side.do(client.contracts.call(project.id, **mint(full)))
    side.do(client.contracts.drain(project.id, full, ADDRESS))


def test_contracts_are_asked(side: Side, run402_sandbox: Run402Sandbox, contracts: ContractRoutes) -> None:
    client = side.client(run402_sandbox)

    def read(kinds: list[str], args: list[Any], name: str = "ask") -> Any:
        abi = [
            {
                "type": "function",
                "name": name,
                "inputs": [{"type": "uint256"} for _ in args],
                "outputs": [{"type": kind} for kind in kinds],
            }
        ]
        return side.do(client.contracts.read(chain="base-mainnet", to=ADDRESS, abi=abi, fn=name, args=args)).result

    assert [read([kind], []) for kind in ("uint256", "int8", "bool", "address", "string", "bytes32", "uint8[]")] == [
        "0",
        "0",
        False,
        "0x" + "0" * 40,
        "",
        "0x",
        [],
    ]
    assert read(["uint256", "bool"], []) == ["0", False]
    assert read([], []) is None
    contracts.answer_read(ADDRESS, "ask", lambda args: str(2 * int(args[0])))
    assert read(["uint256"], [2**255]) == str(2**256)
    contracts.answer_read(ADDRESS.upper().replace("X", "x"), "ask", {"owner": None})
    assert read(["uint256"], [1]) == {"owner": None}
    assert read(["uint256"], [], "other") == "0"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"chain": "solana"}, "chain"),
        ({"contract_address": "0x12"}, "contract_address"),
        ({"contract_address": None}, "contract_address"),
        ({"abi_fragment": {}}, "abi_fragment"),
        ({"abi_fragment": []}, "abi_fragment"),
        ({"abi_fragment": [5]}, "function_name"),
        ({"function_name": "burn"}, "function_name"),
        ({"args": {}}, "args"),
        ({"args": []}, "args"),
        ({"value": 5}, "value"),
        ({"value": "-5"}, "value"),
        ({"value": "0x5"}, "value"),
    ],
)
def test_malformed_calls(caller: Caller, project: Project, change: dict[str, Any], field: str) -> None:
    body = {
        "wallet_id": "cwlt_no",
        "chain": "base-sepolia",
        "contract_address": ADDRESS,
        "abi_fragment": ABI,
        "function_name": "mint",
        "args": [ADDRESS, "1"],
        **change,
    }
    answer = caller.post("/contracts/v1/call", key=project.service_key, json=body)
    assert (answer.status_code, answer.json()["details"]) == (400, {"field": field})


def test_malformed_settings(caller: Caller, project: Project) -> None:
    key = project.service_key
    for body in ({"chain": "x"}, {}, {"chain": "base-sepolia", "recovery_address": "0x1"}):
        assert caller.post("/contracts/v1/wallets", key=key, json=body).status_code == 400
    wallet = caller.post("/contracts/v1/wallets", key=key, json={"chain": "base-sepolia"}).json()["wallet_id"]
    for tail, body in (
        ("recovery-address", {}),
        ("recovery-address", {"recovery_address": ""}),
        ("alert", {"threshold_wei": 5}),
        ("alert", {"threshold_wei": "1.5"}),
    ):
        assert caller.post(f"/contracts/v1/wallets/{wallet}/{tail}", key=key, json=body).status_code == 400


def test_a_wallet_may_have_a_price(caller: Caller, run402_sandbox: Run402Sandbox, project: Project) -> None:
    from run402_caller import SIGNER

    run402_sandbox.price("contract-wallet", 40_000)
    run402_sandbox.fund(SIGNER.address, 100_000)
    key = {"authorization": f"Bearer {project.service_key}"}
    body = {"chain": "base-sepolia"}
    asked = caller.post("/contracts/v1/wallets", headers=key, json=body)
    assert asked.status_code == 402
    paid = caller.post("/contracts/v1/wallets", headers={**key, **caller.payment(asked)}, json=body)
    assert paid.status_code == 201
    assert [one.amount for one in run402_sandbox.settlements] == [40_000]
