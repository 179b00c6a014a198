"""`client.contracts`: wallets of the platform, and what they send."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from support.pymthouse import naps
from support.run402 import PROJECT, Side, method_requests, run_case, seen
from support.scripted_http import Reply
from tollkit import errors as tree
from tollkit.errors import ArgumentError
from tollkit.run402.errors import LocalError, NetworkError, ProjectNotFound

__all__ = ["naps"]

CASES = method_requests("c")
WALLET: dict[str, Any] = {
    "wallet_id": "cw",
    "address": "0x1",
    "chain": "base-sepolia",
    "status": "active",
    "balance_wei": "123456789012345678901234567890",
    "threshold_wei": "5",
    "recovery_address": "0x3",
    "created_at": "2026-04-01T00:00:00Z",
}
FRESH = {"wallet_id": "cw", "address": "0x1", "chain": "base-sepolia"}
CALL = {"call_id": "call/1", "status": "submitted", "tx_hash": "0x9"}
DELETED = {"wallet_id": "cw", "scheduled_deletion_at": "2026-05-01T00:00:00Z"}
ABI = [{"a": 1}]
CANONICAL: dict[str, Any] = {
    "wallet_id": "cw",
    "chain": "base-mainnet",
    "contract_address": "0x4",
    "abi_fragment": ABI,
    "function_name": "ping",
}
RECORDED: list[tuple[str, str, tuple[Any, ...], dict[str, Any], Any]] = [
    (
        "contracts.provisionWallet recovery",
        "provision_wallet",
        (),
        {"chain": "base-sepolia", "recovery_address": "0x3"},
        FRESH,
    ),
    ("contracts.listWallets", "list_wallets", (), {}, {"wallets": [WALLET]}),
    ("contracts.setRecovery(null)", "set_recovery", ("cw", None), {}, None),
    ("contracts.call canonical", "call", (), {**CANONICAL, "args": [], "value": 5, "idempotency_key": "ik"}, CALL),
    ("contracts.callStatus", "call_status", ("call/1",), {}, CALL),
    ("contracts.status", "status", ("call/1",), {}, CALL),
    ("contracts.drain", "drain", ("cw", "0x5"), {}, CALL),
    ("contracts.deleteWallet", "delete_wallet", ("cw",), {}, DELETED),
    ("contracts.delete", "delete", ("cw",), {}, DELETED),
]
JSON = {"authorization": "Bearer SVC", "content-type": "application/json"}


@pytest.mark.parametrize(("call", "method", "args", "named", "body"), RECORDED, ids=lambda value: str(value)[:40])
def test_as_recorded(side: Side, call: str, method: str, args: Any, named: Any, body: Any) -> None:
    result = run_case(side, CASES[call], f"contracts.{method}", PROJECT, *args, answers=[body], **named)
    assert (None if result is None else result.to_dict()) == body


def test_all_recorded_cases_are_here() -> None:
    assert {call for call in CASES if call.startswith("contracts.")} == {row[0] for row in RECORDED}


def test_amounts_are_whole_numbers(side: Side) -> None:
    play = side.play([Reply.json(WALLET), Reply(204), Reply(204), Reply(204)])
    assert play.do("contracts.get_wallet", PROJECT, "c/w").balance_wei == 123456789012345678901234567890
    play.do("contracts.set_low_balance_alert", PROJECT, "cw", 10**20)
    play.do("contracts.set_alert", PROJECT, "cw", 0)
    play.do("contracts.set_alert", PROJECT, "cw", "100000000000000000001")
    assert [seen(sent) for sent in play.script.sent] == [
        ("GET", "/contracts/v1/wallets/c%2Fw", {"authorization": "Bearer SVC"}, None),
        ("POST", "/contracts/v1/wallets/cw/alert", JSON, b'{"threshold_wei":"100000000000000000000"}'),
        ("POST", "/contracts/v1/wallets/cw/alert", JSON, b'{"threshold_wei":"0"}'),
        ("POST", "/contracts/v1/wallets/cw/alert", JSON, b'{"threshold_wei":"100000000000000000001"}'),
    ]


def test_what_is_left_out(side: Side) -> None:
    play = side.play([Reply.json(FRESH), Reply.json(CALL), Reply.json(CALL)])
    play.do("contracts.provision_wallet", PROJECT, chain="base-sepolia", recovery_address="")
    play.do("contracts.call", PROJECT, **CANONICAL, value=0, idempotency_key="")
    play.do("contracts.call", PROJECT, **CANONICAL, value="0")
    first, second, third = (seen(sent) for sent in play.script.sent)
    assert json.loads(third[3] or b"") == {**CANONICAL, "args": [], "value": "0"}  # as the platform's client does
    assert first == ("POST", "/contracts/v1/wallets", JSON, b'{"chain":"base-sepolia"}')
    assert second[2] == JSON
    assert json.loads(second[3] or b"") == {**CANONICAL, "args": []}


def test_recovery(side: Side) -> None:
    play = side.play([Reply(204)])
    play.do("contracts.set_recovery", PROJECT, "cw", "0x7")
    assert seen(play.script.sent[0])[3] == b'{"recovery_address":"0x7"}'


def test_short_names(side: Side) -> None:
    short = {"wallet_id": "cw", "chain": "base-mainnet", "to": "0x4", "abi": ABI, "fn": "ping"}
    both = {**CANONICAL, "to": "0x0", "abi": [], "fn": "pong"}
    play = side.play([Reply.json(CALL)] * 3)
    for named in (CANONICAL, short, both):
        play.do("contracts.call", PROJECT, **named)
    assert len({sent.content for sent in play.script.sent}) == 1


def test_read_needs_no_credentials(side: Side) -> None:
    play = side.play([Reply.json({"result": ["1", {"a": None}]})])
    result = play.do("contracts.read", chain="base-sepolia", to="0x4", abi=ABI, fn="balanceOf", args=["0x1"])
    assert result.result == ["1", {"a": None}]
    assert seen(play.script.sent[0]) == (
        "POST",
        "/contracts/v1/read",
        {"content-type": "application/json"},
        b'{"chain":"base-sepolia","contract_address":"0x4","abi_fragment":[{"a":1}],'
        b'"function_name":"balanceOf","args":["0x1"]}',
    )
    assert play.credentials.reads == []


def test_no_number_is_rounded(side: Side) -> None:
    args = (2**53 - 1, 2**53, [-(2**64)], {"amount": 2**256 - 1}, True, None, 1.5, "x")
    play = side.play([Reply.json({"result": None})])
    play.do("contracts.read", chain="base-sepolia", to="0x4", abi=tuple(ABI), fn="f", args=args)
    assert json.loads(play.script.sent[0].text)["args"] == [
        2**53 - 1,
        str(2**53),
        [str(-(2**64))],
        {"amount": str(2**256 - 1)},
        True,
        None,
        1.5,
        "x",
    ]


def test_only_a_key_makes_sending_again_harmless(side: Side, naps: list[float]) -> None:
    gone = httpx.ReadError("gone")
    play = side.play([gone])
    error = play.raises(NetworkError, "contracts.call", PROJECT, **CANONICAL)
    assert (error.safe_to_retry, len(play.script.sent)) == (False, 1)
    play = side.play([gone, Reply.json(CALL)])
    assert play.do("contracts.call", PROJECT, **CANONICAL, idempotency_key="ik").call_id == "call/1"
    assert [sent.headers["idempotency-key"] for sent in play.script.sent] == ["ik", "ik"]
    assert len(naps) == 1


@pytest.mark.parametrize(
    ("method", "args", "named", "argument", "doing"),
    [
        ("provision_wallet", (), {"chain": ""}, "chain", "provisioning KMS contract wallet"),
        ("provision_wallet", (), {"chain": "c", "recovery_address": 5}, "recovery_address", None),
        ("get_wallet", ("",), {}, "wallet_id", "fetching wallet"),
        ("set_recovery", ("cw", ""), {}, "recovery_address", "setting recovery address"),
        ("set_recovery", ("..", None), {}, "wallet_id", "setting recovery address"),
        ("set_low_balance_alert", ("cw", "5.0"), {}, "threshold_wei", "setting low-balance threshold"),
        ("set_low_balance_alert", ("cw", "05"), {}, "threshold_wei", "setting low-balance threshold"),
        ("set_low_balance_alert", ("cw", str(2**256)), {}, "threshold_wei", "setting low-balance threshold"),
        ("set_low_balance_alert", ("cw", -1), {}, "threshold_wei", "setting low-balance threshold"),
        ("set_low_balance_alert", ("cw", 1e18), {}, "threshold_wei", "setting low-balance threshold"),
        ("set_low_balance_alert", ("cw", 2**256), {}, "threshold_wei", "setting low-balance threshold"),
        ("call", (), {**CANONICAL, "contract_address": None}, "contract_address", "submitting contract call"),
        ("call", (), {**CANONICAL, "abi_fragment": None}, "abi_fragment", "submitting contract call"),
        ("call", (), {**CANONICAL, "abi_fragment": None, "abi": "[]"}, "abi", "submitting contract call"),
        ("call", (), {**CANONICAL, "function_name": None}, "function_name", "submitting contract call"),
        ("call", (), {**CANONICAL, "function_name": None, "fn": ""}, "fn", "submitting contract call"),
        ("call", (), {**CANONICAL, "args": "x"}, "args", "submitting contract call"),
        ("call", (), {**CANONICAL, "value": True}, "value", "submitting contract call"),
        ("call", (), {**CANONICAL, "idempotency_key": 5}, "idempotency_key", "submitting contract call"),
        ("call", (), {**CANONICAL, "args": [object()]}, "request", "submitting contract call"),
        ("call_status", ("",), {}, "call_id", "fetching call status"),
        ("drain", ("", "0x5"), {}, "wallet_id", "draining wallet"),
        ("drain", ("cw", ""), {}, "destination_address", "draining wallet"),
        ("delete_wallet", ("",), {}, "wallet_id", "deleting wallet"),
    ],
)
def test_arguments(side: Side, method: str, args: Any, named: Any, argument: str, doing: str | None) -> None:
    play = side.play()
    error = play.raises(ArgumentError, f"contracts.{method}", PROJECT, *args, **named)
    assert isinstance(error, LocalError)
    assert error.argument == argument
    assert doing in (None, error.doing)
    # the project is looked for first
    assert play.raises(ProjectNotFound, f"contracts.{method}", "prj_x", *args, **named).doing == error.doing
    assert not play.script.sent


def test_arguments_of_read(side: Side) -> None:
    play = side.play()
    error = play.raises(ArgumentError, "contracts.read", chain="base-sepolia", abi=ABI, fn="f")
    assert (error.argument, error.doing) == ("contract_address", "reading contract")
    assert not play.script.sent


def test_an_unknown_project(side: Side) -> None:
    error = side.play().raises(ProjectNotFound, "contracts.list_wallets", "prj_x")
    assert (error.doing, error.status) == ("listing wallets", None)


def test_refusals(side: Side) -> None:
    play = side.play([Reply.json({"error": "not empty", "code": "WALLET_NOT_EMPTY"}, 409)])
    error = play.raises(tree.ConflictError, "contracts.delete", PROJECT, "cw")
    assert error.message == "not empty while deleting wallet (HTTP 409)"
