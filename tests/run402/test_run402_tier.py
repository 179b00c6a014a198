"""`client.tier`: what is sent and how answers are read."""

from __future__ import annotations

from typing import Any

import pytest

from support.run402 import Side, method_requests, run_case, seen
from support.scripted_http import Reply
from tollkit import errors as tree
from tollkit.run402.errors import LocalError, PaymentRequired, Unauthorized

CASES = method_requests("c")
STATUS: dict[str, Any] = {
    "wallet": "0xabc",
    "tier": "hobby",
    "lease_started_at": "2026-04-01T00:00:00Z",
    "lease_expires_at": "2026-05-01T00:00:00Z",
    "active": True,
    "pool_usage": {
        "projects": 2,
        "total_api_calls": 10,
        "total_storage_bytes": 20,
        "api_calls_limit": 30,
        "storage_bytes_limit": 40,
    },
}
SET = {"wallet": "0xabc", "tier": "hobby", "action": "upgrade", "allowance_remaining_usd_micros": 5_000_000}


def test_set_as_recorded(side: Side) -> None:
    result = run_case(side, CASES["tier.set('hobby')"], "tier.set", "hobby", answers=[SET])
    assert (result.action, result.allowance_remaining_usd_micros) == ("upgrade", 5_000_000)


def test_status(side: Side) -> None:
    play = side.play([Reply.json(STATUS)])
    result = play.do("tier.status")
    assert result.to_dict() == STATUS
    assert seen(play.script.sent[0]) == ("GET", "/tiers/v1/status", {"sign-in-with-x": "SIWX"}, None)


def test_a_wallet_without_a_lease(side: Side) -> None:
    nothing = {**STATUS, "tier": None, "lease_started_at": None, "lease_expires_at": None, "active": False}
    result = side.play([Reply.json(nothing)]).do("tier.status")
    assert (result.tier, result.lease_expires_at, result.active) == (None, None, False)


@pytest.mark.parametrize("tier", ["", " ", None, 5, ".."])
def test_no_tier_is_refused_before_anything_is_sent(side: Side, tier: object) -> None:
    play = side.play()
    error = play.raises(tree.ArgumentError, "tier.set", tier)
    assert isinstance(error, LocalError)
    assert (error.argument, error.doing, error.status) == ("tier", "setting tier", None)
    assert not play.script.sent


def test_a_name_cannot_leave_its_segment(side: Side) -> None:
    play = side.play([Reply.json(SET)])
    play.do("tier.set", "a/b?c")
    assert seen(play.script.sent[0])[1] == "/tiers/v1/a%2Fb%3Fc"


def test_refusals(side: Side) -> None:
    error = side.play([Reply.json({}, 401)]).raises(Unauthorized, "tier.status")
    assert error.message == "Unauthorized while checking tier status (HTTP 401)"
    play = side.play([Reply.json({"error": "price"}, 402)])
    error = play.raises(PaymentRequired, "tier.set", "hobby")
    assert (error.message, error.doing) == ("price while setting tier", "setting tier")


def test_an_order_is_not_sent_twice(side: Side) -> None:
    play = side.play([Reply.json({}, 503)])
    assert play.raises(tree.ServerError, "tier.set", "hobby").doing == "setting tier"
    play.script.assert_done()
