"""The top-up page: its address, its messages and its way back."""

from __future__ import annotations

import json
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from tollkit.errors import ArgumentError
from tollkit.tokenite.errors import TokeniteError
from tollkit.tokenite.top_up import (
    TopUp,
    TopUpDone,
    TopUpFailed,
    TopUpRequest,
    parse_top_up_message,
    parse_top_up_return,
    top_up_request,
)
from tollkit_api.tokenite.v2_4.api.oauth import get_top_up_page

ARGUMENTS = {
    "base_url": "https://tokenite.ai",
    "client_id": "app_1",
    "redirect_uri": "https://app.example/topped-up",
    "state": "s",
}


def request(**changed: Any) -> TopUpRequest:
    return top_up_request(**{**ARGUMENTS, **changed})


def test_the_whole_address_letter_by_letter() -> None:
    made = request(base_url="http://127.0.0.1:4010/tokenite/", mode="window", suggested_amount=Decimal("12.50"))
    assert str(made) == (
        "http://127.0.0.1:4010/tokenite/oauth/top-up?client_id=app_1"
        "&redirect_uri=https%3A%2F%2Fapp.example%2Ftopped-up&state=s&mode=popup&suggested_amount=12.5"
    )
    assert made.state == "s"
    assert pickle.loads(pickle.dumps(made)) == made


def test_names_and_order_are_those_of_the_document() -> None:
    documented = get_top_up_page.request(
        client_id="app_1",
        redirect_uri="https://app.example/topped-up",
        state="s",
        mode="iframe",
        suggested_amount=Decimal(5),
    )
    url = urlsplit(request(mode="iframe", suggested_amount=5).url)
    assert (url.path, tuple(parse_qsl(url.query))) == (documented.url, documented.params)


def test_what_is_left_out_is_not_sent() -> None:
    for made in (request(), request(mode="redirect", suggested_amount=0)):
        assert made.url.endswith("topped-up&state=s")
    assert len(request(state=None).state) == 32


def test_the_path_can_be_another() -> None:
    assert request(path="/wallet/limit").url.startswith("https://tokenite.ai/wallet/limit?client_id=")


@pytest.mark.parametrize(
    ("name", "value"),
    [("suggested_amount", -1), ("suggested_amount", "a lot"), ("suggested_amount", float("nan")), ("mode", "tab"),
     ("state", ""), ("client_id", ""), ("redirect_uri", "/x"), ("base_url", "tokenite.ai"), ("path", "oauth/top-up"),
     ("path", "//evil.example"), ("path", "/top-up?x=1"), ("path", "/top-up#x"), ("path", ""), ("path", None)],
)  # fmt: skip
def test_errors_name_the_argument(name: str, value: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        request(**{name: value})
    assert caught.value.argument == name
    assert isinstance(caught.value, TokeniteError)


def test_outcomes_are_true_or_false_and_frozen() -> None:
    done, failed = TopUpDone(Decimal(20), Decimal("12.5")), TopUpFailed("popup-blocked")
    assert (bool(done), done.ok, bool(failed), failed.ok) == (True, True, False, False)
    match done:
        case TopUpDone(new_limit, remaining):
            assert (new_limit, remaining) == (Decimal(20), Decimal("12.5"))
    match failed:
        case TopUpFailed(reason):
            assert reason == "popup-blocked"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        failed.reason = "closed"


SUCCESS = {"type": "tokenite:topup-success"}


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        ({**SUCCESS, "newLimit": 20, "remaining": 12.34}, TopUpDone(Decimal(20), Decimal("12.34"))),
        ({**SUCCESS, "newLimit": "20.00", "remaining": -0.01}, TopUpDone(Decimal("20.00"), Decimal("-0.01"))),
        (SUCCESS, TopUpDone(None, None)),
        ({**SUCCESS, "newLimit": True, "remaining": None}, TopUpDone(None, None)),
        ({**SUCCESS, "newLimit": float("nan"), "remaining": float("inf")}, TopUpDone(None, None)),
        ({**SUCCESS, "newLimit": 10**400, "remaining": 1e300}, TopUpDone(None, None)),
        ({**SUCCESS, "newLimit": "1e999999999", "remaining": "9" * 10_000}, TopUpDone(None, None)),
        ({**SUCCESS, "newLimit": "20\n", "remaining": " 20"}, TopUpDone(None, None)),
        ({**SUCCESS, "newLimit": {"a": 1}, "remaining": [1]}, TopUpDone(None, None)),
        ({"type": "tokenite:topup-cancelled", "newLimit": 20}, TopUpFailed("cancelled")),
        ({"type": "tokenite:auth-success", "code": "c"}, None),
        ({"type": ["tokenite:topup-success"]}, None),
        ({}, None),
        ("tokenite:topup-success", None),
        ([SUCCESS], None),
        (None, None),
    ],
)
def test_messages(message: Any, outcome: TopUp | None) -> None:
    assert parse_top_up_message(message) == outcome


def test_messages_are_those_of_the_document() -> None:
    shape = Path(__file__).parents[2] / "specs" / "shapes" / "tokenite_top_up_message.json"
    examples = json.loads(shape.read_text("utf-8"))["examples"]
    assert [parse_top_up_message(example) for example in examples] == [
        TopUpDone(Decimal(10), Decimal("5.5")),
        TopUpFailed("cancelled"),
    ]


@pytest.mark.parametrize(
    ("query", "expected", "outcome"),
    [
        ("topup=success&new_limit=20&remaining=12.5&state=s", "s", TopUpDone(Decimal(20), Decimal("12.5"))),
        ("topup=success&state=s", "s", TopUpDone()),
        ("topup=success", None, TopUpDone()),
        ("topup=success&new_limit=abc&remaining=1e9", None, TopUpDone()),
        ("topup=cancelled&state=s", "s", TopUpFailed("cancelled")),
        ("topup=success&state=x", "s", TopUpFailed("invalid_state")),
        ("topup=success", "s", TopUpFailed("invalid_state")),
        ("topup=success&state=s&state=s", "s", TopUpFailed("invalid_state")),
        ("topup=success&topup=cancelled", None, TopUpFailed("malformed_return")),
        ("topup=success&new_limit=1&new_limit=2", None, TopUpFailed("malformed_return")),
        ("topup=yes", None, TopUpFailed("malformed_return")),
        ("topup=", None, TopUpFailed("malformed_return")),
        ("", None, TopUpFailed("malformed_return")),
        # a code beside it is not ours to read, and does not make the environ a mapping of parameters
        ("topup=success&code=c", None, TopUpDone()),
    ],
)
def test_returns(query: str, expected: str | None, outcome: TopUp) -> None:
    scope = {"type": "http", "query_string": query.encode(), "headers": []}
    for source in (query, f"https://app.example/topped-up?{query}", Request(scope), {"QUERY_STRING": query}):
        assert parse_top_up_return(source, expected) == outcome


def test_a_return_that_holds_nothing() -> None:
    assert parse_top_up_return(5, "s") == TopUpFailed("malformed_return")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(anything, anything, anything | st.just("tokenite:topup-success"))
def test_nothing_raises(new_limit: Any, remaining: Any, kind: Any) -> None:
    for found in (
        parse_top_up_message({"type": kind, "newLimit": new_limit, "remaining": remaining}),
        parse_top_up_return({"topup": "success", "new_limit": new_limit, "remaining": remaining}),
        parse_top_up_message(new_limit),
        parse_top_up_return(remaining, "s"),
    ):
        if isinstance(found, TopUpDone):
            for amount in (found.new_limit, found.remaining):
                assert amount is None or (abs(amount) < 10**15 and len(f"{amount:f}") < 400)
