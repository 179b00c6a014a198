"""Policies and amounts: what is taken, and what is refused when it is made."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import pytest

import tollkit.run402.payments as front
from support.run402_wallet import ADDRESS, OTHER_ADDRESS
from tollkit.errors import ArgumentError
from tollkit.run402.payments import Asset, SpendingPolicy, usdc, usdc_assets
from tollkit.run402.x402 import BASE, BASE_SEPOLIA, USDC


@pytest.mark.parametrize(
    ("dollars", "units"),
    [
        ("0.10", 100_000),
        (5, 5_000_000),
        (Decimal("1e-6"), 1),
        (Decimal("1e2"), 100_000_000),
        ("0", 0),
        ("1.5000000000", 1_500_000),
        ("123456789.123456", 123_456_789_123_456),
    ],
)
def test_dollars(dollars: Any, units: int) -> None:
    assert usdc(dollars) == units
    with localcontext(prec=3):  # of a program that rounds
        assert usdc(dollars) == units


@pytest.mark.parametrize(
    "wrong", [0.1, True, "x", "", "-1", "0.0000001", "NaN", "Infinity", None, "1_000", " 1", "٣", "1e2"]
)
def test_what_are_no_dollars(wrong: Any) -> None:
    with pytest.raises(ArgumentError, match="dollars"):
        usdc(wrong)


def test_amounts_are_told_exactly() -> None:
    asset = usdc_assets()[0]
    assert asset.told(100_000) == "0.1 USDC"
    assert asset.told(0) == "0 USDC"
    assert asset.told(2_000_000) == "2 USDC"
    assert asset.whole(int("9" * 78)) == Decimal("9" * 72 + "." + "9" * 6)
    whole = Asset(network=BASE, address=USDC[BASE], decimals=0, symbol="X")
    assert whole.told(120) == "120 X"


@pytest.mark.parametrize(
    ("wrong", "argument"),
    [
        ({"per_call": -1}, "per_call"),
        ({"per_day": 1.5}, "per_day"),
        ({"ask_above": True}, "ask_above"),
        ({"unasked_per_day": "5"}, "unasked_per_day"),
        ({"recipients": ["bob"]}, "recipients"),
        ({"recipients": ADDRESS}, "recipients"),
        ({"networks": ["bitcoin"]}, "network"),
        ({"networks": BASE}, "networks"),
        ({"networks": [5]}, "network"),
        ({"longest": 0}, "longest"),
        ({"ask": True}, "ask"),
        ({"assets": [USDC[BASE]]}, "assets"),
    ],
)
def test_policies_that_are_none(wrong: dict[str, Any], argument: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        SpendingPolicy(**wrong)
    assert caught.value.argument == argument


@pytest.mark.parametrize(
    "wrong", [{"network": "x"}, {"address": "x"}, {"per_call": -1}, {"decimals": -1}, {"decimals": True}]
)
def test_assets_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        Asset(**{"network": BASE, "address": USDC[BASE], **wrong})


def test_by_default_a_dime_and_a_dollar_a_day() -> None:
    policy = SpendingPolicy()
    assert (policy.ask_above, policy.unasked_per_day) == (usdc("0.10"), usdc(1))
    assert (policy.per_call, policy.per_day, policy.recipients, policy.networks) == (None, None, None, None)
    assert [asset.network for asset in policy.assets] == [BASE, BASE_SEPOLIA]


def test_recipients_in_any_capitals() -> None:
    assert SpendingPolicy(recipients=[OTHER_ADDRESS]).recipients == {OTHER_ADDRESS.lower()}
    assert SpendingPolicy(networks=[BASE]).networks == {BASE}


def test_the_front_has_what_it_says() -> None:
    assert {name for name in dir(front) if name in front.__all__} == set(front.__all__)
    for name in front.__all__:
        assert getattr(front, name) is not None
    with pytest.raises(AttributeError):
        _ = front.nothing


def test_networks_have_short_names() -> None:
    assert SpendingPolicy(networks=["base", BASE_SEPOLIA]).networks == {BASE, BASE_SEPOLIA}
    assert Asset(network="base-sepolia", address=USDC[BASE_SEPOLIA]) == usdc_assets()[1]


def test_a_number_that_is_too_long_to_be_read() -> None:
    with pytest.raises(ArgumentError, match="dollars"):
        usdc(10**5000)
