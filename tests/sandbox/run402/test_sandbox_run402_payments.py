"""Payments at the sandboxed gateway: what a 402 asks for, what it refuses and why, and that money moves once."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from run402_caller import OTHER, SIGNER, Caller, challenge

from tollkit.errors import PaymentRequiredError
from tollkit.run402.eip3009 import new_nonce
from tollkit.run402.x402 import BASE, BASE_SEPOLIA, USDC, payment_header, read_settlement
from tollkit.sandbox import Fault, Run402Sandbox, Sandbox
from tollkit.sandbox.run402.payments import PAYEE

PRICE = 5_000_000
PATH = "/tiers/v1/hobby"


@pytest.fixture
def funded(run402_sandbox: Run402Sandbox) -> Run402Sandbox:
    run402_sandbox.fund(SIGNER.address, 2 * PRICE)
    return run402_sandbox


def sent(caller: Caller, payload: Any, path: str = PATH) -> httpx.Response:
    name, value = payment_header(payload)
    return caller.post(path, signer=SIGNER, headers={name: str.__str__(value)}, json={})


def asked(caller: Caller, path: str = PATH) -> httpx.Response:
    answer = caller.post(path, signer=SIGNER, json={})
    assert answer.status_code == 402
    return answer


def test_a_price_is_told_in_the_header_and_in_the_body(caller: Caller) -> None:
    answer = asked(caller)
    told = json.loads(base64.b64decode(answer.headers["payment-required"]))
    assert told == {name: answer.json()[name] for name in told}
    assert answer.json()["code"] == "PAYMENT_REQUIRED"
    assert told["x402Version"] == 2
    assert told["resource"]["url"] == caller.sandbox.api_base + PATH
    assert [(offer["network"], offer["amount"], offer["asset"], offer["payTo"]) for offer in told["accepts"]] == [
        (network, str(PRICE), USDC[network], PAYEE) for network in (BASE_SEPOLIA, BASE)
    ]
    assert not [one.unusable for one in challenge(answer).accepts if one.unusable]


def test_a_payment_is_settled_once(caller: Caller, funded: Run402Sandbox) -> None:
    headers = caller.signed(PATH) | caller.payment(asked(caller))
    answer = caller.post(PATH, headers=headers, json={})
    assert answer.status_code == 200
    told = read_settlement(answer.headers)
    assert told is not None
    (settled,) = funded.settlements
    assert (told.success, told.transaction, told.network, told.payer) == (
        True,
        settled.transaction,
        BASE_SEPOLIA,
        SIGNER.address,
    )
    assert (settled.amount, settled.what, settled.payee) == (PRICE, "tier:hobby", PAYEE)
    assert (funded.wallet_balance(SIGNER.address), funded.wallet_balance(PAYEE)) == (PRICE, PRICE)

    again = caller.post(PATH, headers=headers | caller.signed(PATH), json={})
    assert again.status_code == 402
    assert challenge(again).error == "invalid_exact_evm_nonce_already_used"
    refused = read_settlement(again.headers)
    assert refused is not None
    assert (refused.success, refused.error_reason) == (False, "invalid_exact_evm_nonce_already_used")
    assert len(funded.settlements) == 1
    assert [one.nonce for one in funded.replayed_payments] == [settled.nonce]
    assert funded.double_payments == []
    assert funded.wallet_balance(SIGNER.address) == PRICE


def test_a_payment_that_comes_many_times_at_once_is_settled_once(caller: Caller, funded: Run402Sandbox) -> None:
    payment = caller.payment(asked(caller))

    def again(_: int) -> int:
        with httpx.Client() as http:
            return Caller(http, funded).post(PATH, signer=SIGNER, headers=payment, json={}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(again, range(8))) == [200] + [402] * 7
    assert (len(funded.settlements), len(funded.replayed_payments)) == (1, 7)
    assert funded.wallet_balance(SIGNER.address) == PRICE


def test_the_replay_signs_in_with_what_the_first_request_signed_in_with(
    caller: Caller, funded: Run402Sandbox
) -> None:
    assert caller.paid("POST", PATH, json={}).status_code == 200


def test_paying_for_the_same_thing_twice_is_told(caller: Caller, funded: Run402Sandbox) -> None:
    for _ in range(2):
        assert caller.paid("POST", PATH, json={}).status_code == 200
    first, second = funded.settlements
    assert funded.double_payments == [second]
    assert not first.repeated


def test_the_other_network(caller: Caller, run402_sandbox: Run402Sandbox) -> None:
    run402_sandbox.set_payments(networks=["base", "base-sepolia"])
    run402_sandbox.fund(SIGNER.address, PRICE, "base")
    assert [one.network for one in challenge(asked(caller)).accepts] == [BASE, BASE_SEPOLIA]
    assert caller.paid("POST", PATH, network=BASE, json={}).status_code == 200
    assert run402_sandbox.wallet_balance(SIGNER.address, BASE) == 0


def test_version_1(caller: Caller, funded: Run402Sandbox) -> None:
    funded.set_payments(version=1)
    answer = asked(caller)
    assert "payment-required" not in answer.headers
    assert challenge(answer).x402_version == 1
    paid = caller.paid("POST", PATH, json={})
    assert paid.status_code == 200
    told = read_settlement(paid.headers)
    assert told is not None
    assert (told.success, told.network) == (True, "base-sepolia")
    for reason, change in (("unsupported_scheme", {"scheme": "upto"}), ("invalid_network", {"network": "polygon"})):
        assert challenge(sent(caller, caller.payload(asked(caller)) | change)).error == reason
    with pytest.raises(ValueError, match="versions 1 and 2"):
        funded.set_payments(version=3)  # type: ignore[arg-type]


def _inner(change: Callable[[dict[str, str]], object]) -> Callable[[dict[str, Any]], None]:
    def spoil(payload: dict[str, Any]) -> None:
        change(payload["payload"]["authorization"])

    return spoil


SPOILT: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "another version": ("invalid_x402_version", lambda p: p.update(x402Version=3)),
    "another offer": ("invalid_payment_requirements", lambda p: p["accepted"].update(amount="1")),
    "no offer": ("invalid_payment_requirements", lambda p: p.pop("accepted")),
    "no payload": ("invalid_payload", lambda p: p.pop("payload")),
    "no nonce": ("invalid_payload", _inner(lambda a: a.pop("nonce"))),
    "number for text": ("invalid_payload", _inner(lambda a: a.update(value=PRICE))),  # type: ignore[arg-type]
    "another payee": ("invalid_exact_evm_payload_signature", _inner(lambda a: a.update(to=OTHER.address[:-1] + "0"))),
    "another payer": ("invalid_exact_evm_payload_signature", _inner(lambda a: a.update({"from": OTHER.address}))),
    "no signature": ("invalid_exact_evm_payload_signature", lambda p: p["payload"].update(signature="0x12")),
    "another signature": (
        "invalid_exact_evm_payload_signature",
        lambda p: p["payload"].update(signature="0x" + "11" * 64 + "1b"),
    ),
}


@pytest.mark.parametrize(("reason", "spoil"), SPOILT.values(), ids=SPOILT)
def test_what_is_spoilt_is_refused(
    caller: Caller, funded: Run402Sandbox, reason: str, spoil: Callable[[dict[str, Any]], object]
) -> None:
    payload = caller.payload(asked(caller))
    payload = json.loads(json.dumps(payload))
    spoil(payload)
    answer = sent(caller, {"x402Version": 2} | payload)
    assert answer.status_code == 402
    assert challenge(answer).error == reason
    assert [one.reason for one in funded.refused_payments] == [reason]
    assert funded.settlements == []


def test_what_is_no_payment_is_refused(caller: Caller, funded: Run402Sandbox) -> None:
    for value in ("~", "bm8=", "W10="):
        answer = caller.post(PATH, signer=SIGNER, headers={"PAYMENT-SIGNATURE": value}, json={})
        assert challenge(answer).error in ("invalid_payload", "invalid_x402_version")
    assert funded.settlements == []


def resigned(caller: Caller, **changes: Any) -> httpx.Response:
    """A payment whose authorization says something else and is signed rightly."""
    import attrs

    from tollkit.run402.eip3009 import transfer_typed_data
    from tollkit.run402.x402 import transfer_for

    payload = json.loads(json.dumps(caller.payload(asked(caller))))
    requirement = next(one for one in challenge(asked(caller)).accepts if one.network == BASE_SEPOLIA)
    transfer = transfer_for(requirement, SIGNER.address, now=int(caller.sandbox.clock.now()), nonce=new_nonce())
    transfer = attrs.evolve(transfer, **changes)
    typed = transfer_typed_data(transfer, asset=requirement.asset, name="USDC", version="2", chain_id=84532)
    payload["payload"] = {
        "authorization": transfer.to_dict(),
        "signature": "0x" + SIGNER.sign_typed_data(typed).hex(),
    }
    return sent(caller, payload)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"payee": SIGNER.address}, "invalid_exact_evm_payload_recipient_mismatch"),
        ({"value": PRICE - 1}, "invalid_exact_evm_payload_authorization_value_mismatch"),
        ({"value": PRICE + 1}, "invalid_exact_evm_payload_authorization_value_mismatch"),
        ({"valid_after": 1 << 40}, "invalid_exact_evm_payload_authorization_valid_after"),
        ({"valid_before": 1_000}, "invalid_exact_evm_payload_authorization_valid_before"),
    ],
)
def test_what_does_not_fit_is_refused(
    caller: Caller, funded: Run402Sandbox, changes: dict[str, Any], reason: str
) -> None:
    assert challenge(resigned(caller, **changes)).error == reason
    assert funded.settlements == []


def test_an_authorization_ends_by_the_sandboxes_clock(
    caller: Caller, tollkit_sandbox: Sandbox, funded: Run402Sandbox
) -> None:
    payment = caller.payment(asked(caller))
    tollkit_sandbox.clock.advance(301)
    answer = caller.post(PATH, signer=SIGNER, headers=payment, json={})
    assert challenge(answer).error == "invalid_exact_evm_payload_authorization_valid_before"


def test_too_little_money(caller: Caller, run402_sandbox: Run402Sandbox) -> None:
    run402_sandbox.fund(SIGNER.address, PRICE - 1)
    answer = caller.paid("POST", PATH, json={})
    assert challenge(answer).error == "insufficient_funds"
    assert run402_sandbox.wallet_balance(SIGNER.address) == PRICE - 1


def test_a_settlement_that_fails(caller: Caller, funded: Run402Sandbox) -> None:
    funded.fail_settlement()
    answer = caller.paid("POST", PATH, json={})
    assert challenge(answer).error == "transaction_failed"
    assert funded.wallet_balance(SIGNER.address) == 2 * PRICE
    assert caller.paid("POST", PATH, json={}).status_code == 200


@pytest.mark.parametrize("effect", [False, True])
def test_the_answer_to_a_payment_is_lost(caller: Caller, funded: Run402Sandbox, effect: bool) -> None:
    funded.drop_after_settlement(effect=effect)
    payment = caller.payment(asked(caller))
    with pytest.raises(httpx.TransportError):
        caller.post(PATH, signer=SIGNER, headers=payment, json={})
    assert len(funded.settlements) == 1
    assert caller.get("/tiers/v1/status", signer=SIGNER).json()["active"] is effect
    assert [entry.status for entry in funded.requests.matching(f"POST *{PATH}")] == [402, None]
    again = caller.post(PATH, signer=SIGNER, headers=payment, json={})
    assert again.status_code == 402
    assert len(funded.settlements) == len(funded.replayed_payments) == 1


def test_a_payment_is_told_also_when_what_was_paid_for_failed(caller: Caller, funded: Run402Sandbox) -> None:
    funded.price("message", 5)
    funded.gateway.db.execute("ALTER TABLE messages RENAME TO elsewhere")
    try:
        answer = caller.paid("POST", "/message/v1", json={"message": "hi"})
    finally:
        funded.gateway.db.execute("ALTER TABLE elsewhere RENAME TO messages")
    assert answer.status_code == 500
    told = read_settlement(answer.headers)
    assert told is not None
    assert told.transaction == funded.settlements[0].transaction


def test_several_answers_are_lost(caller: Caller, funded: Run402Sandbox) -> None:
    funded.drop_after_settlement(2)
    for _ in range(2):
        with pytest.raises(httpx.TransportError):
            caller.paid("POST", PATH, json={})
    funded.fund(SIGNER.address, PRICE)
    assert caller.paid("POST", PATH, json={}).status_code == 200
    assert len(funded.double_payments) == 2


def test_faults_work_below_the_prefix(caller: Caller, tollkit_sandbox: Sandbox, funded: Run402Sandbox) -> None:
    tollkit_sandbox.faults.add(Fault(kind="reset", match=f"POST */run402{PATH}", skip=1, when="after_processing"))
    with pytest.raises(httpx.TransportError):
        caller.paid("POST", PATH, json={})
    assert len(funded.settlements) == 1
    tollkit_sandbox.faults.add(
        Fault(kind="status", match="*/run402/tiers/v1", status=503, body={"code": "DOWN"}, retry_after=1)
    )
    assert caller.get("/tiers/v1").status_code == 503
    assert caller.get("/tiers/v1").status_code == 200


def test_what_an_account_holds_is_spent_first(caller: Caller, run402_sandbox: Run402Sandbox) -> None:
    body = {"wallet": SIGNER.address, "amount_usd_micros": PRICE}
    checkout = caller.post("/billing/v1/checkouts", json=body).json()
    page = caller.http.get(checkout["checkout_url"])
    assert "$5.00 for topup" in page.text
    assert "Paid." in caller.http.post(checkout["checkout_url"]).text
    run402_sandbox.pay_checkout(checkout["topup_id"])
    assert caller.post(PATH, signer=SIGNER, json={}).status_code == 200
    assert run402_sandbox.settlements == []
    assert asked(caller).status_code == 402
    with pytest.raises(ValueError, match="no such checkout"):
        run402_sandbox.pay_checkout("top_no")


def test_prices_can_be_set(caller: Caller, funded: Run402Sandbox) -> None:
    funded.price("tier:hobby", 0)
    assert caller.post(PATH, signer=SIGNER, json={}).status_code == 200
    funded.price("tier:hobby", 7)
    assert challenge(asked(caller)).accepts[0].amount == 7
    assert caller.get("/tiers/v1").json()["tiers"]["hobby"]["price"] == "$0.00"
    funded.price("tier:hobby", None)
    assert challenge(asked(caller)).accepts[0].amount == PRICE
    funded.price("project", 3)
    assert challenge(asked(caller, "/projects/v1")).accepts[0].amount == 3


def rpc(caller: Caller, network: str, *requests: Any) -> Any:
    body = list(requests) if len(requests) > 1 else requests[0]
    return caller.http.post(caller.sandbox.rpc_url(network), json=body)


def called(data: str, to: str = USDC[BASE_SEPOLIA]) -> dict[str, Any]:
    params = [{"to": to, "data": data}, "latest"]
    return {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": params}


def test_balances_over_json_rpc(caller: Caller, funded: Run402Sandbox) -> None:
    word = SIGNER.address[2:].lower().rjust(64, "0")
    answer = rpc(caller, "base-sepolia", called("0x70a08231" + word))
    assert int(answer.json()["result"], 16) == 2 * PRICE
    assert len(answer.json()["result"]) == 66
    assert int(rpc(caller, BASE, called("0x70a08231" + word, USDC[BASE])).json()["result"], 16) == 0
    several = [
        {"jsonrpc": "2.0", "id": n, "method": m} for n, m in enumerate(("eth_chainId", "eth_blockNumber", "x"))
    ]
    chain, block, unknown = rpc(caller, BASE_SEPOLIA, *several).json()
    assert int(chain["result"], 16) == 84532
    assert int(block["result"], 16) > 0
    assert unknown["error"]["code"] == -32601
    assert int(rpc(caller, BASE, called("0x313ce567", USDC[BASE])).json()["result"], 16) == 6


def test_whether_an_authorization_was_carried_out_over_json_rpc(caller: Caller, funded: Run402Sandbox) -> None:
    nonce = new_nonce()
    data = "0xe94a0102" + SIGNER.address[2:].lower().rjust(64, "0") + nonce[2:]
    assert int(rpc(caller, BASE_SEPOLIA, called(data)).json()["result"], 16) == 0
    payment = caller.payment(asked(caller), nonce=nonce)
    assert caller.post(PATH, signer=SIGNER, headers=payment, json={}).status_code == 200
    assert int(rpc(caller, BASE_SEPOLIA, called(data)).json()["result"], 16) == 1


def test_what_the_chain_does_not_know(caller: Caller, run402_sandbox: Run402Sandbox) -> None:
    assert caller.post("/rpc/eip155:1", json={}).status_code == 404
    for request in (
        called("0x12"),
        called("0x70a08231"),
        called("0x313ce567", SIGNER.address),
        {"method": "eth_call", "params": []},
    ):
        assert "error" in rpc(caller, BASE_SEPOLIA, request).json()
    with pytest.raises(ValueError, match="no network"):
        run402_sandbox.rpc_url("base-goerli")


def test_the_ledger_refuses_nonsense(run402_sandbox: Run402Sandbox) -> None:
    with pytest.raises(ValueError, match="no address"):
        run402_sandbox.fund("ada", 1)
    with pytest.raises(ValueError, match="negative"):
        run402_sandbox.fund(SIGNER.address, -1)
    with pytest.raises(ValueError, match="no network"):
        run402_sandbox.fund(SIGNER.address, 1, "solana")


def test_the_client_without_a_payer_is_told_the_price(side: Any, run402_sandbox: Run402Sandbox) -> None:
    client = side.client(run402_sandbox, signer=SIGNER)
    with pytest.raises(PaymentRequiredError) as caught:
        side.do(client.tier.set("hobby"))
    assert caught.value.code == "PAYMENT_REQUIRED"
    assert caught.value.body["accepts"][0]["amount"] == str(PRICE)
