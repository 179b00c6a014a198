"""Arithmetic over usage of any platform: exact, in one pass, the same for JSON and models."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollkit.errors import ArgumentError
from tollkit.usage import UsageTotals, by_pipeline_model, by_user, micros_to_usd, to_rows, totals, wei_to_eth
from tollkit.usage.amounts import integer_text, parse_integer
from tollkit_api.usage.v2026_05.models import UsageResponse

ROW = {"endUserId": "e", "externalUserId": "u", "requestCount": 2, "currency": "USD", "networkFeeUsdMicros": "7"}
ANSWER = {
    "clientId": "app_1",
    "period": {"start": None, "end": None},
    "totals": {"requestCount": 5, "currency": "USD", "networkFeeUsdMicros": "9", "platformFeeUsdMicros": "1"},
    "byUser": [ROW, {**ROW, "externalUserId": None, "feeWei": "3"}],
}
PIPELINES = {
    **ANSWER,
    "byUser": None,
    "byPipelineModel": [
        {
            "pipeline": "p",
            "modelId": model,
            "requestCount": 1,
            "networkFeeUsdMicros": str(10**20),
            "networkFeeWei": "5",
        }
        for model in "aba"
    ],
}
EVENT = {
    "id": "x", "usageRecordId": "r", "pipeline": "p", "modelId": "m", "attributionSource": "direct_api",
    "gatewayRequestId": "g", "paymentMetadataVersion": "1", "pipelineModelConstraintHash": "0" * 64,
    "orchAddress": "0x1", "currency": "USD", "networkFeeUsdMicros": str(2**60 + 1), "platformFeeUsdMicros": "1",
    "ownerChargeUsdMicros": "2", "upchargePercentBps": 250, "pricingRuleSource": "unpriced",
    "endUserBillableUsdMicros": "3", "createdAt": "2026-05-28T10:00:00.123Z",
}  # fmt: skip
sums = st.builds(
    UsageTotals,
    request_count=st.integers(),
    network_fee_usd_micros=st.integers(),
    fee_wei=st.integers(),
    currency=st.sampled_from([None, "USD"]),
)


def test_totals_of_answers_are_the_answers_own() -> None:
    found = totals(ANSWER)
    assert (found.request_count, found.network_fee_usd_micros, found.platform_fee_usd_micros) == (5, 9, 1)
    assert totals(UsageResponse.from_dict(ANSWER)) == found
    assert totals([ANSWER, ANSWER]) == found + found
    assert totals([]) == UsageTotals()
    assert totals(ANSWER["byUser"]).request_count == 4


def test_groups_of_answers_and_of_rows() -> None:
    plain = by_user(ANSWER)
    assert list(plain) == ["u", None]
    assert plain[None].fee_wei == 3
    assert by_user(ANSWER["byUser"]) == by_user(UsageResponse.from_dict(ANSWER)) == plain
    assert list(by_user([ANSWER, *ANSWER["byUser"]], key="end_user_id")) == ["e"]
    pairs = by_pipeline_model([PIPELINES, UsageResponse.from_dict(PIPELINES)])
    assert {key: found.request_count for key, found in pairs.items()} == {("p", "a"): 4, ("p", "b"): 2}
    assert pairs["p", "a"].network_fee_usd_micros == 4 * 10**20
    assert pairs["p", "a"].fee_wei == 20


def test_sums_need_no_memory_of_the_rows() -> None:
    def rows() -> Iterator[Any]:
        for _ in range(20_000):
            yield MappingProxyType(ROW)

    assert by_user(rows())["u"].request_count == 40_000


@settings(deadline=None)
@given(sums, sums, sums)
def test_adding_is_associative_and_commutative(one: UsageTotals, two: UsageTotals, three: UsageTotals) -> None:
    assert (one + two) + three == one + (two + three)
    assert one + two == two + one
    assert one + UsageTotals() == one


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 10**30)), max_size=20))
def test_groups_add_up_to_the_whole(rows: list[tuple[str, int]]) -> None:
    plain = [{**ROW, "externalUserId": user, "networkFeeUsdMicros": str(fee)} for user, fee in rows]
    groups = by_user(plain)
    assert functools.reduce(operator.add, groups.values(), UsageTotals()) == totals(plain)
    assert sum(found.network_fee_usd_micros for found in groups.values()) == sum(fee for _, fee in rows)


def test_adding_two_currencies_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"by_user\[1\]\.currency is|by_user\[1\]\.currency: is EUR"):
        by_user([ROW, {**ROW, "currency": "EUR"}])
    with pytest.raises(ArgumentError, match="currencies"):
        UsageTotals(currency="EUR") + UsageTotals(currency="USD")
    with pytest.raises(TypeError):
        UsageTotals() + 1  # type: ignore[operator]


def test_totals_in_wire_names() -> None:
    assert UsageTotals(request_count=1, fee_wei=2).to_dict() == {
        "requestCount": 1, "currency": None, "networkFeeUsdMicros": "0", "ownerChargeUsdMicros": "0",
        "endUserBillableUsdMicros": "0", "feeWei": "2", "platformFeeUsdMicros": "0",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: totals("text"), "source"),
        (lambda: totals(5), "source"),
        (lambda: totals([5]), r"rows\[0\]"),
        (lambda: by_user([{**ROW, "requestCount": None}]), r"by_user\[0\]\.requestCount"),
        (lambda: by_user([{**ROW, "ownerChargeUsdMicros": "1.5"}]), r"by_user\[0\]\.ownerChargeUsdMicros"),
        (lambda: by_user({"byUser": "text"}), "by_user"),
        (lambda: by_pipeline_model([ROW]), "pipeline"),
        (lambda: to_rows({"byUser": [{"networkFeeUsdMicros": "x"}]}), r"by_user\[0\]\.networkFeeUsdMicros"),
        (lambda: to_rows({"byUser": [{"networkFeeEth": "x"}]}), r"by_user\[0\]\.networkFeeEth"),
        (lambda: to_rows({"events": [{"createdAt": "x"}]}), r"events\[0\]\.createdAt"),
        (lambda: to_rows({"byUser": [5]}), r"by_user\[0\]"),
        (lambda: to_rows({"byUser": [ROW], "events": [EVENT]}), "group"),
    ],
)
def test_what_cannot_be_read_is_named(call: Any, told: str) -> None:
    with pytest.raises(ArgumentError, match=told):
        call()


def test_rows_for_dataframes_are_flat_typed_and_without_floats() -> None:
    rows = to_rows({**ANSWER, "byUser": None, "events": [{**EVENT, "ratio": 0.5, "nested": {"a": 1}, "none": None}]})
    assert rows == to_rows({"events": [{**EVENT, "ratio": 0.5}]})
    (row,) = rows
    assert row["network_fee_usd_micros"] == 2**60 + 1
    assert row["upcharge_percent_bps"] == 250
    assert row["created_at"] == datetime(2026, 5, 28, 10, 0, 0, 123_000, UTC)
    assert row["pipeline_model_constraint_hash"] == "0" * 64
    assert row["ratio"] == Decimal("0.5")
    assert not any(isinstance(value, float) for value in row.values())


def test_rows_of_models_are_those_of_json() -> None:
    plain = {**ANSWER, "byUser": [{**ROW, "userType": "new_type", "later": "field"}], "events": [EVENT]}
    model = UsageResponse.from_dict(plain)
    for group in ("by_user", "events"):
        assert to_rows(model, group) == to_rows(plain, group)


def test_rows_have_no_holes_that_would_make_floats() -> None:
    rows = to_rows([ANSWER, ANSWER])
    assert [row["fee_wei"] for row in rows] == [0, 3, 0, 3]
    assert [row["external_user_id"] for row in rows] == ["u", None, "u", None]
    assert len({tuple(row) for row in rows}) <= 2
    assert to_rows({}) == to_rows([]) == to_rows({"byUser": []}) == []


def test_rows_of_objects_that_are_not_ours() -> None:
    @attrs.frozen
    class Row:
        external_user_id: str
        request_count: int

    assert by_user([Row("u", 2), Row("u", 3)])["u"].request_count == 5
    assert to_rows({"byUser": [Row("u", 2)]}) == [{"external_user_id": "u", "request_count": 2}]
    naive = to_rows({"events": [{"createdAt": "2026-05-28T10:00:00", "ethUsdPrice": "3.50"}]})
    assert naive == [{"created_at": datetime(2026, 5, 28, 10, tzinfo=UTC), "eth_usd_price": Decimal("3.50")}]


def test_dollars_and_ether_are_exact_at_any_size() -> None:
    assert micros_to_usd(1_500_000) == Decimal("1.5")
    assert str(micros_to_usd(10**40 + 1)) == "1" + "0" * 34 + ".000001"
    assert wei_to_eth(-1) == Decimal("-1E-18")


@settings(deadline=None)
@given(st.integers())
def test_integers_survive_as_text(number: int) -> None:
    assert parse_integer(integer_text(number)) == number
    if number >= 0:
        assert (
            parse_integer(f" {number:#x} ")
            == parse_integer(f"{number:#o}")
            == parse_integer(f"{number:#b}")
            == number
        )


@settings(deadline=None)
@given(st.text(max_size=12))
def test_only_what_bigint_takes_is_a_number(text: str) -> None:
    found = parse_integer(text)
    assert found is None or isinstance(found, int)
    assert parse_integer("\uff11\uff12") is None
    assert parse_integer("1_000") is None
    assert parse_integer(" \u2003\ufeff") == 0
    assert parse_integer("\x1f1") is None


amounts = st.one_of(
    st.none(), st.sampled_from(["", "-3", " 4", "1_0", "٣", "7.5", True, 1.0, 2.5]), st.integers(0).map(str)
)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"externalUserId": st.sampled_from(["a", "b", None]), "requestCount": st.integers(0, 9)},
            optional={
                "currency": st.sampled_from(["USD", "USD", "EUR", None]),
                "networkFeeUsdMicros": amounts,
                "feeWei": amounts,
            },
        ),
        max_size=6,
    )
)
def test_a_whole_answer_sums_as_its_rows_one_by_one(rows: list[dict[str, Any]]) -> None:
    """An answer of one kind of rows is summed by columns, a mixed iterable row by row: the same sums and errors."""

    class Other(dict[str, Any]):
        """Not exactly a dict, so that columns are not tried."""

    def outcome(source: object) -> object:
        try:
            return by_user(source)
        except ArgumentError as error:
            return error.message

    assert outcome({"byUser": rows}) == outcome({"byUser": [Other(row) for row in rows]})


def test_columns_of_any_number_and_of_two_keys() -> None:
    rows = [
        {"pipeline": "p", "modelId": model, "requestCount": 1, "currency": "USD", "networkFeeUsdMicros": "7"}
        for model in "aba"
    ]
    found = by_pipeline_model({"byPipelineModel": rows})
    assert {key: (sums.request_count, sums.network_fee_usd_micros) for key, sums in found.items()} == {
        ("p", "a"): (2, 14),
        ("p", "b"): (1, 7),
    }


def test_a_fraction_in_a_model_is_named_by_its_place() -> None:
    answer = UsageResponse.from_dict({**ANSWER, "byUser": [ROW, ROW]})
    assert answer.by_user is not None
    answer.by_user[1].network_fee_usd_micros = 0.5  # type: ignore[assignment]
    with pytest.raises(ArgumentError, match=r"by_user\[1\]"):
        by_user(answer)
    answer.by_user[1].network_fee_usd_micros = "x"  # type: ignore[assignment]
    with pytest.raises(ArgumentError, match=r"by_user\[1\]"):
        by_user(answer)


@pytest.mark.parametrize("typed", [True, False])
def test_a_count_and_three_amounts(typed: bool) -> None:
    row = {**ROW, "ownerChargeUsdMicros": "5", "endUserBillableUsdMicros": "3"}
    answer: Any = {**ANSWER, "byUser": [row, {**row, "externalUserId": "v"}, row]}
    found = by_user(UsageResponse.from_dict(answer) if typed else answer)
    assert {user: sums.request_count for user, sums in found.items()} == {"u": 4, "v": 2}
    assert found["u"] == UsageTotals(
        request_count=4,
        currency="USD",
        network_fee_usd_micros=14,
        owner_charge_usd_micros=10,
        end_user_billable_usd_micros=6,
    )
