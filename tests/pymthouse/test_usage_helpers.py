"""Sums and merges over usage answers: exact, the same for JSON and models, and never silently wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollkit.errors import ArgumentError
from tollkit.pymthouse import usage
from tollkit.pymthouse.errors import PmtHouseError
from tollkit_api.usage.v2026_05.models import UsageResponse

MICROS = ("networkFeeUsdMicros", "ownerChargeUsdMicros", "endUserBillableUsdMicros")


def answer(**groups: Any) -> dict[str, Any]:
    totals = {"requestCount": 0, "currency": "USD", **dict.fromkeys((*MICROS, "platformFeeUsdMicros"), "0")}
    return {"clientId": "app_1", "period": {"start": "2026-05-01", "end": None}, "totals": totals, **groups}


def user_row(external: str | None = "u", end_user: str = "e", **members: Any) -> dict[str, Any]:
    return {"endUserId": end_user, "externalUserId": external, "requestCount": 1, **members}


def model_row(pipeline: str = "p", model: str = "m", **members: Any) -> dict[str, Any]:
    return {"pipeline": pipeline, "modelId": model, "requestCount": 1, **dict.fromkeys(MICROS, "1"), **members}


amounts = st.integers(min_value=-(10**40), max_value=10**40)
user_rows = st.lists(
    st.builds(
        lambda external, end, count, fees: user_row(external, end, requestCount=count, **fees),
        st.sampled_from(["u", "v", None]),
        st.sampled_from(["a", "b", "unknown"]),
        st.integers(0, 10**6),
        st.fixed_dictionaries({}, optional=dict.fromkeys((*MICROS, "feeWei"), amounts.map(str))),
    ),
    max_size=12,
)
model_rows = st.lists(
    st.builds(
        lambda pipeline, model, count, fees: {
            "pipeline": pipeline,
            "modelId": model,
            "requestCount": count,
            **dict(zip(MICROS, map(str, fees), strict=True)),
        },
        st.sampled_from(["p", "P", "text-to-image", "é"]),
        st.sampled_from(["m", "M", "a/b"]),
        st.integers(0, 10**6),
        st.tuples(amounts, amounts, amounts),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(user_rows, st.randoms())
def test_sums_are_exact_and_order_does_not_matter(rows: list[dict[str, Any]], chosen: Any) -> None:
    shuffled = rows.copy()
    chosen.shuffle(shuffled)
    mine = [row for row in rows if row["externalUserId"] == "u"]
    found = usage.summarize_usage_fiat_for_external_user(answer(byUser=shuffled), "u")
    wei = usage.aggregate_usage_by_external_user_id(shuffled, "u")
    assert found.request_count == wei.request_count == sum(row["requestCount"] for row in mine)
    assert found.network_fee_usd_micros == sum(int(row.get("networkFeeUsdMicros", 0)) for row in mine)
    assert wei.fee_wei == sum(int(row.get("feeWei", 0)) for row in mine)


@settings(deadline=None)
@given(user_rows)
def test_models_and_json_give_the_same(rows: list[dict[str, Any]]) -> None:
    plain = answer(byUser=rows)
    model = UsageResponse.from_dict(plain)
    for function in (
        usage.summarize_usage_fiat_for_external_user,
        usage.summarize_usage_for_external_user,
        usage.get_end_user_ids_for_external_user,
        usage.build_me_scope_usage_payload,
    ):
        assert function(plain, "u") == function(model, "u")


@settings(deadline=None)
@given(model_rows, model_rows, model_rows)
def test_merging_is_associative(one: Any, two: Any, three: Any) -> None:
    """Merging what was merged gives what merging all at once gives."""
    answers = [answer(byPipelineModel=rows) for rows in (one, two, three)]
    at_once = usage.merge_usage_by_pipeline_model(answers)
    first = usage.merge_usage_by_pipeline_model(answers[:2])
    again = answer(byPipelineModel=[row.to_dict() for row in first])
    assert usage.merge_usage_by_pipeline_model([again, answers[2]]) == at_once
    assert usage.merge_usage_by_pipeline_model(UsageResponse.from_dict(again)) == first
    assert sum(row.network_fee_usd_micros or 0 for row in at_once) == sum(
        int(row["networkFeeUsdMicros"]) for rows in (one, two, three) for row in rows
    )


def test_merging_takes_one_answer_many_or_none() -> None:
    one = answer(byPipelineModel=[model_row()])
    assert usage.merge_usage_by_pipeline_model(None) == []
    assert usage.merge_usage_by_pipeline_model(one) == usage.merge_usage_by_pipeline_model([one])

    def answers() -> Iterator[dict[str, Any]]:
        yield one
        yield one

    assert usage.merge_usage_by_pipeline_model(answers())[0].request_count == 2


def test_merging_counts_a_missing_amount_as_nothing_once_there_are_two_rows() -> None:
    rows = [{"pipeline": "p", "modelId": "m", "requestCount": 1}] * 2
    (single,) = usage.merge_usage_by_pipeline_model(answer(byPipelineModel=rows[:1]))
    (double,) = usage.merge_usage_by_pipeline_model(answer(byPipelineModel=rows))
    assert single.to_dict() == {"pipeline": "p", "modelId": "m", "requestCount": 1, "currency": "USD"}
    assert double.to_dict() == {
        "pipeline": "p", "modelId": "m", "requestCount": 2, "currency": "USD", **dict.fromkeys(MICROS, "0"),
    }  # fmt: skip


def test_merged_rows_of_texts_that_sort_alike_keep_their_order() -> None:
    """Only equal texts of the pipeline let the models decide; Array.prototype.sort of Node gives the same."""
    for pairs, expected in (
        ([("p\x01", "b"), ("p", "a"), ("p\x01", "a")], [("p\x01", "b"), ("p", "a"), ("p\x01", "a")]),
        ([("p\x01", "b"), ("p\x01", "a"), ("p", "a")], [("p\x01", "a"), ("p\x01", "b"), ("p", "a")]),
    ):
        merged = usage.merge_usage_by_pipeline_model(answer(byPipelineModel=[model_row(*pair) for pair in pairs]))
        assert [(row.pipeline, row.model_id) for row in merged] == expected


@pytest.mark.parametrize("bad", ["bad", "1.5", "1e18", "1_000", "5n", "0x", "-0x1", 1.5, True, [], {}])
def test_an_amount_that_cannot_be_read_is_an_error_that_names_it(bad: Any) -> None:
    rows = [model_row(), model_row(), model_row(ownerChargeUsdMicros=bad)]
    with pytest.raises(ArgumentError) as caught:
        usage.merge_usage_by_pipeline_model([answer(), answer(byPipelineModel=rows)])
    assert isinstance(caught.value, PmtHouseError)
    assert caught.value.argument == "answers[1].by_pipeline_model[2].ownerChargeUsdMicros"
    for function in (usage.summarize_usage_fiat_for_external_user, usage.build_me_scope_usage_payload):
        if bad:
            with pytest.raises(ArgumentError, match=r"by_user\[1\]\.networkFeeUsdMicros"):
                function(answer(byUser=[user_row(), user_row(networkFeeUsdMicros=bad)]), "u")


@pytest.mark.parametrize("bad", [None, "3", 1.5, float("nan"), True])
def test_a_count_that_is_none_is_an_error(bad: Any) -> None:
    with pytest.raises(ArgumentError, match=r"by_user\[0\]\.requestCount"):
        usage.aggregate_usage_by_external_user_id([user_row(requestCount=bad)], "u")
    with pytest.raises(ArgumentError, match=r"by_pipeline_model\[0\]\.requestCount"):
        usage.merge_usage_by_pipeline_model(answer(byPipelineModel=[model_row(requestCount=bad)]))


@pytest.mark.parametrize("written", ["7", " 7 ", "+7", "007", "0x7", "0b111", "0O7", "\ufeff7\u2028", 7, 7.0])
def test_every_spelling_of_an_amount(written: Any) -> None:
    found = usage.aggregate_usage_by_external_user_id([user_row(feeWei=written)] * 2, "u")
    assert found.fee_wei == 14


def test_amounts_have_no_longest_length() -> None:
    """Also beyond the digits that Python reads and writes by itself."""
    digits = "9" * (sys.get_int_max_str_digits() + 1000)
    rows = [user_row(feeWei=digits), user_row(feeWei="1"), user_row(feeWei="-" + digits)]
    found = usage.aggregate_usage_by_external_user_id(rows[:2], "u")
    assert found.to_dict()["feeWei"] == "1" + "0" * len(digits)
    assert usage.aggregate_usage_by_external_user_id(rows, "u").fee_wei == 1


def test_requests_may_be_a_float_without_a_fraction() -> None:
    assert usage.aggregate_usage_by_external_user_id([user_row(requestCount=2.0)], "u").request_count == 2


@pytest.mark.parametrize("rows", ["text", {"endUserId": "a"}, 5])
def test_what_is_no_list_of_rows(rows: Any) -> None:
    with pytest.raises(PmtHouseError, match="by_user"):
        usage.summarize_usage_fiat_for_external_user(answer(byUser=rows), "u")


@pytest.mark.parametrize("row", ["text", 5, None, ["a"], object()])
def test_what_is_no_row(row: Any) -> None:
    with pytest.raises(PmtHouseError, match=r"rows\[0\]"):
        usage.get_end_user_ids_for_external_user(answer(byUser=[row]), "u")


@pytest.mark.parametrize("what", ["text", None, 5, ["a"]])
def test_what_is_no_answer(what: Any) -> None:
    with pytest.raises(PmtHouseError, match="usage: must be an answer"):
        usage.summarize_usage_for_external_user(what, "u")
    if what is not None:
        with pytest.raises((PmtHouseError, TypeError)):
            usage.merge_usage_by_pipeline_model([what])


def test_listing_sorts_and_leaves_the_rows_as_they_are() -> None:
    names = ["Zebra", "apple", "text-to-image", "zebra", "Äpfel", "text to image"]
    rows = [model_row(name) for name in names]
    plain = answer(byPipelineModel=rows)
    listed = usage.list_usage_by_pipeline_model(plain)
    assert [row["pipeline"] for row in listed] == [
        "Äpfel",
        "apple",
        "text to image",
        "text-to-image",
        "zebra",
        "Zebra",
    ]
    assert all(any(row is one for one in rows) for row in listed)
    assert plain["byPipelineModel"] == rows
    model = UsageResponse.from_dict(plain)
    assert [row.to_dict() for row in usage.list_usage_by_pipeline_model(model)] == listed
    assert usage.list_usage_by_pipeline_model(answer()) == []


def test_listing_needs_texts_to_sort_by() -> None:
    with pytest.raises(PmtHouseError, match=r"by_pipeline_model\[1\]\.modelId"):
        usage.list_usage_by_pipeline_model(answer(byPipelineModel=[model_row(), model_row(modelId=None)]))
    with pytest.raises(PmtHouseError, match=r"by_pipeline_model\[0\]\.pipeline"):
        usage.merge_usage_by_pipeline_model(answer(byPipelineModel=[model_row(pipeline=5)]))


def test_end_user_ids_come_once_in_order_without_unknown() -> None:
    rows = [user_row(end_user=one) for one in ("b", "a", "unknown", "b")] + [user_row("v", "c")]
    assert usage.get_end_user_ids_for_external_user(answer(byUser=rows), "u") == ["b", "a"]
    with pytest.deprecated_call():
        assert usage.get_usage_record_user_ids_for_external_user(answer(byUser=rows), "u") == ["b", "a"]


def test_a_payload_holds_sums_of_all_rows_and_merged_pipelines() -> None:
    by_user = answer(byUser=[user_row(end_user=one, networkFeeUsdMicros="5", currency="EUR") for one in "abc"])
    pipelines = [answer(byPipelineModel=[model_row()])] * 2
    payload = usage.build_me_scope_usage_payload(by_user, "u", pipelines)
    assert payload.current_user.network_fee_usd_micros == 15
    assert payload.current_user.currency == "EUR"
    assert [row.request_count for row in payload.current_user.pipeline_models] == [2]
    assert payload.to_dict()["period"] == {"start": "2026-05-01", "end": None}
    assert usage.DEFAULT_MAX_END_USER_IDS == 25


@settings(deadline=None)
@given(st.datetimes(timezones=st.just(UTC)))
def test_month_bounds_hold_their_moment(moment: datetime) -> None:
    bounds = usage.get_utc_calendar_month_iso_bounds(moment)
    start, end = map(datetime.fromisoformat, (bounds.start_date, bounds.end_date))
    assert start <= moment.replace(microsecond=moment.microsecond // 1000 * 1000) <= end
    assert (start.day, start.hour) == (1, 0)
    assert bounds.end_date.endswith("T23:59:59.999Z")
    assert len(bounds.start_date) == len("2026-02-01T00:00:00.000Z")
    assert bounds == usage.get_utc_calendar_month_iso_bounds(moment.date())


def test_month_bounds_are_those_of_utc() -> None:
    local = datetime(2026, 3, 1, 0, 30, tzinfo=timezone(timedelta(hours=2)))
    assert usage.get_utc_calendar_month_iso_bounds(local).start_date == "2026-02-01T00:00:00.000Z"
    now = usage.get_utc_calendar_month_iso_bounds()
    assert now.start_date <= datetime.now(UTC).isoformat() <= now.end_date
    assert usage.get_utc_calendar_month_iso_bounds(date(9999, 12, 1)).end_date == "9999-12-31T23:59:59.999Z"


@pytest.mark.parametrize("bad", [datetime(2026, 1, 1), float("nan"), "now", 5])
def test_month_bounds_of_what_is_no_moment(bad: Any) -> None:
    with pytest.raises(PmtHouseError):
        usage.get_utc_calendar_month_iso_bounds(bad)


def test_date_params_come_back_trimmed_and_as_they_were() -> None:
    assert usage.parse_usage_date_param("\ufeff 2026-1-1\n") == "2026-1-1"
    assert usage.parse_usage_date_param(" \u2003") is None
    assert usage.parse_usage_date_param("2026-01-01\x1f") == "2026-01-01\x1f"
    assert usage.parse_usage_date_param("yesterday") is None
