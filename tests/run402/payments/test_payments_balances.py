"""Balances of a node over a real server: what could not be read is not zero."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.run402_wallet import ADDRESS
from support.server import Answer, Reset, Server, closed_port
from tollkit.run402.errors import LocalError
from tollkit.run402.payments import Balances, RpcBalances
from tollkit.run402.x402 import BASE, BASE_SEPOLIA, USDC

ASSET = USDC[BASE]


def told(result: object) -> Answer:
    return Answer.json({"jsonrpc": "2.0", "id": 1, "result": result})


def test_a_balance_is_read_and_kept_for_a_while() -> None:
    now = 0.0
    with Server(told(f"0x{1_500_000:064x}"), told(f"0x{0:064x}")) as server:
        balances = RpcBalances({BASE: server.url}, clock=lambda: now)
        assert isinstance(balances, Balances)
        assert balances.balance(BASE, ASSET, ADDRESS) == 1_500_000
        assert balances.balance(BASE, ASSET.lower(), ADDRESS.lower()) == 1_500_000
        now = 15.0
        assert balances.balance(BASE, ASSET, ADDRESS) == 0
        assert len(server.seen) == 2
    asked = json.loads(server.seen[0].body)
    data = "0x70a08231" + "0" * 24 + ADDRESS[2:].lower()
    assert asked == {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "eth_call",
        "params": [{"to": ASSET, "data": data}, "latest"],
    }


@pytest.mark.parametrize(
    "answer",
    [
        told("0x"),
        told("0x5"),
        told(None),
        told(5),
        Answer.json({"error": {"code": -32005, "message": "rate limit"}}),
        Answer.json([]),
        Answer(200, b"<html>"),
        Answer(429, told(f"0x{5:064x}").body),
        Answer(302, b"", {"location": "https://elsewhere.test"}),
        Reset(),
    ],
)
def test_what_could_not_be_read_is_unknown_and_asked_for_again(answer: Any) -> None:
    with Server(answer, told(f"0x{7:064x}")) as server:
        balances = RpcBalances({BASE: server.url})
        assert balances.balance(BASE, ASSET, ADDRESS) is None
        assert balances.balance(BASE, ASSET, ADDRESS) == 7


def test_nobody_to_ask() -> None:
    assert RpcBalances({BASE: f"http://127.0.0.1:{closed_port()}"}).balance(BASE, ASSET, ADDRESS) is None
    assert RpcBalances({}).balance(BASE_SEPOLIA, ASSET, ADDRESS) is None
    assert RpcBalances({BASE: "https://x.test"}).balance(BASE, ASSET, "nobody") is None


def test_a_time_out_that_is_none() -> None:
    with pytest.raises(LocalError, match="timeout"):
        RpcBalances(timeout=0)
