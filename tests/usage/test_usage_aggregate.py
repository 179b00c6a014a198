"""Sums over many answers: one pass, exact, atomic, in memory of one answer."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollkit.core.raw import Raw
from tollkit.errors import ArgumentError
from tollkit.pymthouse import read_usage_rows
from tollkit.usage import UsageAggregate, UsageTotals, aggregate, by_pipeline_model, by_user, totals
from tollkit_api.usage.v2026_05 import bulk
from tollkit_api.usage.v2026_05.models import UsageResponse


def user(name: str | None = "u", fee: object = "7", **changes: Any) -> dict[str, Any]:
    return {
        "endUserId": f"end-{name}",
        "externalUserId": name,
        "requestCount": 2,
        "currency": "USD",
        "networkFeeUsdMicros": fee,
        **changes,
    }


def pipeline(name: str = "p", fee: object = "5", **changes: Any) -> dict[str, Any]:
    return {"pipeline": name, "modelId": "m", "requestCount": 1, "networkFeeUsdMicros": fee, **changes}


def answer(count: int = 3, **groups: Any) -> dict[str, Any]:
    return {
        "clientId": "app_1",
        "period": {"start": None, "end": None},
        "totals": {"requestCount": count, "currency": "USD", "networkFeeUsdMicros": "9"},
        **groups,
    }


def forms(plain: dict[str, Any]) -> list[object]:
    """One answer in every form that it may have."""
    model = UsageResponse.from_dict(plain)
    rows = bulk._BULK.rows(json.dumps(plain).encode())
    assert rows is not None
    return [plain, model, rows, Raw(model, ()), read_usage_rows(json.dumps(plain).encode())]


def test_one_pass_sums_both_ways_and_the_totals() -> None:
    of_users = answer(4, byUser=[user(), user("v", "1"), user(None)])
    of_models = answer(5, byPipelineModel=[pipeline(), pipeline("q"), pipeline()])
    listed = [*forms(of_users), *forms(of_models)]
    found = aggregate(iter(listed))
    assert found.totals == UsageTotals(request_count=45, currency="USD", network_fee_usd_micros=90)
    assert found.by_user == by_user([of_users] * 5)
    assert list(found.by_user) == ["u", "v", None]
    assert found.by_pipeline_model == by_pipeline_model([of_models] * 5)
    assert found.by_pipeline_model["p", "m"].network_fee_usd_micros == 50


def test_users_may_be_told_apart_by_the_platforms_own_id() -> None:
    found = aggregate([answer(byUser=[user(), user(endUserId="other")])], key="end_user_id")
    assert list(found.by_user) == ["end-u", "other"]


def test_nothing_gives_nothing() -> None:
    found = aggregate([])
    assert (found.totals, found.by_user, found.by_pipeline_model) == (UsageTotals(), {}, {})


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.integers(-(10**30), 10**30)), max_size=6), max_size=5
    )
)
def test_any_split_into_answers_gives_the_same_sums(split: list[list[tuple[str | None, int]]]) -> None:
    answers = [answer(byUser=[user(name, str(fee)) for name, fee in part]) for part in split]
    found = aggregate(answers)
    assert found.by_user == by_user([user(name, str(fee)) for part in split for name, fee in part])
    assert found.totals == totals(answers)
    expected = sum(fee for part in split for _, fee in part)
    assert sum(one.network_fee_usd_micros for one in found.by_user.values()) == expected


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (answer(byUser=[user(), user(fee="1.5")]), r"answers\[1\]\.by_user\[1\]\.networkFeeUsdMicros"),
        (answer(byUser=[user(requestCount=None)]), r"answers\[1\]\.by_user\[0\]\.requestCount"),
        (answer(byUser=[user(), user(currency="EUR")]), r"answers\[1\]\.by_user\[1\]\.currency"),
        (answer(byUser=[user(currency="EUR")]), r"answers\[1\]\.by_user\.currency"),
        (answer(byPipelineModel=[pipeline(), {**pipeline(), "modelId": None}]), r"answers\[1\]\.by_pipeline_model"),
        ({**answer(), "totals": {"requestCount": "x"}}, r"answers\[1\]\.totals\[0\]\.requestCount"),
        ({**answer(byUser=[user()]), "totals": {"requestCount": 1, "currency": "EUR"}}, r"answers\[1\]\.totals"),
        (user(), r"answers\[1\]"),
        (b"{}", r"answers\[1\].*read_usage_rows"),
        (None, r"answers\[1\]"),
    ],
)
def test_a_bad_answer_is_named_and_adds_nothing(bad: Any, told: str) -> None:
    sums = UsageAggregate()
    sums.add(answer(byUser=[user()], byPipelineModel=[pipeline()]))
    before = (sums.totals, sums.by_user, sums.by_pipeline_model)
    with pytest.raises(ArgumentError, match=told):
        sums.add(bad)
    assert (sums.totals, sums.by_user, sums.by_pipeline_model) == before
    sums.add(answer(byUser=[user()]))
    assert sums.by_user["u"].request_count == 4


@pytest.mark.parametrize("source", [answer(byUser=[user()]), b"{}", "text", 5, None])
def test_one_answer_is_no_iterable_of_them(source: Any) -> None:
    with pytest.raises(ArgumentError, match="answers"):
        aggregate(source)


def test_each_answer_is_let_go_before_the_next_is_made() -> None:
    class Watched(dict[str, Any]):
        """A dict that can be watched."""

    living: list[weakref.ref[Watched]] = []

    def answers() -> Iterator[object]:
        for _ in range(5):
            gc.collect()
            assert not any(made() for made in living), "the one before is still there"
            made = Watched(answer(byUser=[user()]))
            living.append(weakref.ref(made))
            one: Any = [made]
            del made
            yield one.pop()

    assert aggregate(answers()).by_user["u"].request_count == 10
