"""`client.billing`: accounts; no credentials go out."""

from __future__ import annotations

from typing import Any

import pytest

from support.run402 import Side, method_requests, run_case, seen
from support.scripted_http import Reply
from tollkit import errors as tree
from tollkit.errors import ArgumentError
from tollkit.run402.errors import ApiError, LocalError

CASES = method_requests("c")
BALANCE = {
    "identifier_type": "wallet",
    "available_usd_micros": 9_007_199_254_740_993,
    "email_credits_remaining": 3,
    "tier": None,
    "lease_expires_at": None,
    "auto_recharge_enabled": False,
    "auto_recharge_threshold": 100,
}
ENTRY: dict[str, Any] = {
    "id": "e1",
    "direction": "debit",
    "kind": "tier_subscribe",
    "amount_usd_micros": 5_000_000,
    "balance_after_available": 1,
    "balance_after_held": 0,
    "reference_type": None,
    "reference_id": None,
    "metadata": {"a": 1},
    "created_at": "2026-04-01T00:00:00Z",
}
HISTORY = {"identifier": "0xabc", "identifier_type": "wallet", "entries": [ENTRY]}
CHECKOUT = {"checkout_url": "https://pay.test/1", "topup_id": "t1"}
ACCOUNT = {"id": "acct", "email": "a@b.c", "email_credits_remaining": 0, "verification_sent": True}
RECORDED = [
    ("billing.checkBalance('0xABC')", "check_balance", ("0xABC",), {}, BALANCE),
    ("billing.balance('0xABC')", "balance", ("0xABC",), {}, BALANCE),
    ("billing.history('0xABC')", "history", ("0xABC",), {}, HISTORY),
    ("billing.history('0xABC',50)", "history", ("0xABC", 50), {}, HISTORY),
    ("billing.createCheckout('0xABC',5000000)", "create_checkout", ("0xABC", 5_000_000), {}, CHECKOUT),
    ("billing.createEmail", "create_email", ("a@b.c",), {}, ACCOUNT),
    ("billing.linkWallet('acct','0xABC')", "link_wallet", ("acct", "0xABC"), {}, None),
    (
        "billing.tierCheckout('hobby',{email,wallet})",
        "tier_checkout",
        ("hobby",),
        {"email": "a@b.c", "wallet": "0xABC"},
        CHECKOUT,
    ),
]


@pytest.mark.parametrize(("call", "method", "args", "named", "body"), RECORDED, ids=lambda value: str(value)[:40])
def test_as_recorded(side: Side, call: str, method: str, args: Any, named: Any, body: Any) -> None:
    result = run_case(side, CASES[call], f"billing.{method}", *args, answers=[body], **named)
    assert (None if result is None else result.to_dict()) == body


def test_all_recorded_cases_are_here() -> None:
    assert {call for call in CASES if call.startswith("billing.")} == {row[0] for row in RECORDED}


@pytest.mark.parametrize(
    ("method", "args", "named", "path", "body", "answer"),
    [
        ("create_email_account", ("a@b.c",), {}, "/billing/v1/accounts", b'{"email":"a@b.c"}', ACCOUNT),
        (
            "tier_checkout",
            ("team",),
            {"email": "a@b.c", "wallet": ""},
            "/billing/v1/tiers/team/checkout",
            b'{"email":"a@b.c"}',
            CHECKOUT,
        ),
        (
            "buy_email_pack",
            (),
            {"wallet": "0xABC", "email": "a@b.c"},
            "/billing/v1/email-packs/checkout",
            b'{"wallet":"0xABC"}',
            CHECKOUT,
        ),
        (
            "buy_email_pack",
            (),
            {"email": "a@b.c"},
            "/billing/v1/email-packs/checkout",
            b'{"email":"a@b.c"}',
            CHECKOUT,
        ),
        (
            "set_auto_recharge",
            (),
            {"billing_account_id": "acct", "enabled": True},
            "/billing/v1/email-packs/auto-recharge",
            b'{"billing_account_id":"acct","enabled":true}',
            {"status": "ok"},
        ),
        (
            "auto_recharge",
            (),
            {"billing_account_id": "acct", "enabled": False, "threshold": 0},
            "/billing/v1/email-packs/auto-recharge",
            b'{"billing_account_id":"acct","enabled":false,"threshold":0}',
            {},
        ),
    ],
)
def test_what_is_sent(
    side: Side, method: str, args: Any, named: Any, path: str, body: bytes, answer: dict[str, Any]
) -> None:
    play = side.play([Reply.json(answer)])
    play.do(f"billing.{method}", *args, **named)
    assert seen(play.script.sent[0]) == ("POST", path, {"content-type": "application/json"}, body)
    assert play.credentials.reads == []


def test_an_answer_without_a_body(side: Side) -> None:
    play = side.play([Reply(204), Reply(200, {}, b"")])
    assert play.do("billing.link_wallet", "acct", "0xABC") is None
    assert play.do("billing.set_auto_recharge", billing_account_id="acct", enabled=True) is None


def test_no_limit(side: Side) -> None:
    play = side.play([Reply.json(HISTORY), Reply.json(HISTORY)])
    play.do("billing.history", "a@B.c", limit=0)
    play.do("billing.history", "a@B.c", limit=None)
    assert [seen(sent)[1] for sent in play.script.sent] == ["/billing/v1/accounts/a%40b.c/history"] * 2


ACCOUNT_AND = {"billing_account_id": "acct", "enabled": True}


@pytest.mark.parametrize(
    ("method", "args", "named", "argument", "doing"),
    [
        ("check_balance", ("",), {}, "wallet", "checking balance"),
        ("history", ("0xabc", -1), {}, "limit", "fetching billing history"),
        ("history", ("0xabc", "5"), {}, "limit", "fetching billing history"),
        ("history", ("0xabc", True), {}, "limit", "fetching billing history"),
        ("create_checkout", ("0xabc", 0), {}, "amount_usd_micros", "creating checkout"),
        ("create_checkout", ("0xabc", 5.0), {}, "amount_usd_micros", "creating checkout"),
        ("create_checkout", ("0xabc", 2**53), {}, "amount_usd_micros", "creating checkout"),
        ("create_email_account", ("",), {}, "email", "creating email billing account"),
        ("link_wallet", ("", "0xabc"), {}, "billing_account_id", "linking wallet"),
        ("link_wallet", ("acct", ""), {}, "wallet", "linking wallet"),
        ("tier_checkout", ("hobby",), {}, "wallet", "creating tier checkout"),
        ("tier_checkout", ("hobby",), {"email": "", "wallet": ""}, "wallet", "creating tier checkout"),
        ("tier_checkout", ("hobby",), {"wallet": 5}, "wallet", "creating tier checkout"),
        ("tier_checkout", ("",), {"wallet": "0xabc"}, "tier", "creating tier checkout"),
        ("buy_email_pack", (), {}, "wallet", "creating email pack checkout"),
        ("buy_email_pack", (), {"email": 5}, "email", "creating email pack checkout"),
        ("set_auto_recharge", (), {**ACCOUNT_AND, "enabled": 1}, "enabled", "setting auto-recharge"),
        ("set_auto_recharge", (), {**ACCOUNT_AND, "threshold": -1}, "threshold", "setting auto-recharge"),
    ],
)
def test_arguments(side: Side, method: str, args: Any, named: Any, argument: str, doing: str) -> None:
    play = side.play()
    error = play.raises(ArgumentError, f"billing.{method}", *args, **named)
    assert isinstance(error, LocalError)
    assert (error.argument, error.doing) == (argument, doing)
    assert not play.script.sent


def test_refusals(side: Side) -> None:
    error = side.play([Reply.json({"message": "no account"}, 404)]).raises(ApiError, "billing.balance", "0xabc")
    assert isinstance(error, tree.NotFoundError)
    assert error.message == "no account while checking balance (HTTP 404)"
