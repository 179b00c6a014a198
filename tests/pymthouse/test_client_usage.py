"""Usage: sums that are exact, spans of time that mean what they say, and one person under several ids."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from support.pymthouse import Side
from tollkit.errors import ArgumentError, NotFoundError
from tollkit.pymthouse import DEFAULT_MAX_END_USER_IDS, PmtHouseError, get_utc_calendar_month_iso_bounds
from tollkit.sandbox import PymtHouseSandbox

MAY = {"start_date": date(2026, 5, 1), "end_date": date(2026, 5, 31)}
HUGE = 10**30


@pytest.fixture
def client(side: Side, pymthouse_sandbox: PymtHouseSandbox) -> Any:
    pymthouse_sandbox.demo_data(month="2026-05")
    return side.client(pymthouse_sandbox)


# --- sums ---------------------------------------------------------------------------------------------------


def test_totals(side: Side, client: Any) -> None:
    usage = side.do(client.get_usage())
    assert usage.client_id == client.public_client_id
    assert (usage.period.start, usage.period.end) == (None, None)
    assert usage.totals.request_count == 28 + 14 + 4 + 10
    assert usage.totals.network_fee_usd_micros == 28 * 12_500 + 18 * 700 + 10 * 40_000
    assert type(usage.totals.network_fee_usd_micros) is int
    assert usage.by_user is None
    assert usage.by_pipeline_model is None
    assert usage.to_dict()["totals"]["networkFeeUsdMicros"] == str(usage.totals.network_fee_usd_micros)


def test_groups(side: Side, client: Any) -> None:
    by_user = side.do(client.get_usage(group_by="user")).by_user
    assert [(row.external_user_id, row.request_count) for row in by_user] == [
        ("alice", 28),
        ("alice", 14),
        ("alice", 4),
        ("bob", 10),
    ]
    by_model = side.do(client.get_usage(group_by="pipeline_model")).by_pipeline_model
    assert {(row.pipeline, row.request_count) for row in by_model} == {
        ("text-to-image", 28),
        ("llm", 18),
        ("live-video-to-video", 10),
    }
    assert side.do(client.get_usage(group_by="none")).by_user is None


def test_one_user_and_one_gateway_request(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    bob = pymthouse_sandbox.app.users["bob"]
    assert side.do(client.get_usage(user_id=bob.id)).totals.request_count == 10
    found = side.do(client.get_usage(gateway_request_id="gw-01"))
    assert found.totals.request_count == 1
    assert [event.gateway_request_id for event in found.events] == ["gw-01"]
    assert side.do(client.get_usage(gateway_request_id="unknown")).events == []


def test_amounts_of_any_size_stay_exact(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    pymthouse_sandbox.record("bob", network_fee_usd_micros=HUGE + 1, owner_charge_usd_micros=HUGE)
    totals = side.do(client.get_usage(user_id="bob")).totals
    assert (totals.network_fee_usd_micros, totals.owner_charge_usd_micros) == (HUGE + 1, HUGE)
    mine = side.do(client.fetch_usage_for_external_user("bob"))
    assert mine.current_user.network_fee_usd_micros == HUGE + 1 + 10 * 40_000


def test_what_is_said_goes_out_in_the_recorded_order(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox
) -> None:
    side.do(client.get_usage(gateway_request_id="g 1", user_id="u1", group_by="user", **MAY))
    assert pymthouse_sandbox.requests[-1].query == (
        ("startDate", "2026-05-01T00:00:00.000Z"),
        ("endDate", "2026-05-31T23:59:59.999Z"),
        ("groupBy", "user"),
        ("userId", "u1"),
        ("gatewayRequestId", "g 1"),
    )
    side.do(client.get_usage(start_date="", end_date=None, group_by="", user_id="", gateway_request_id=""))
    assert pymthouse_sandbox.requests[-1].query == ()


# --- spans --------------------------------------------------------------------------------------------------

MADRID = ZoneInfo("Europe/Madrid")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (date(2026, 5, 7), "2026-05-07T00:00:00.000Z"),
        ("2026-05-07", "2026-05-07T00:00:00.000Z"),
        (" 2026-05-07 ", "2026-05-07T00:00:00.000Z"),
        ("20260507", "2026-05-07T00:00:00.000Z"),
        ("2026-05-07T10:00:00Z", "2026-05-07T10:00:00.000Z"),
        ("2026-05-07T10:00:00+02:00", "2026-05-07T08:00:00.000Z"),
        ("2026-05-07T10:00:00.123456Z", "2026-05-07T10:00:00.123Z"),
        (datetime(2026, 5, 7, 10, tzinfo=UTC), "2026-05-07T10:00:00.000Z"),
        (datetime(2026, 5, 7, 10, 0, 0, 999_999, tzinfo=UTC), "2026-05-07T10:00:00.999Z"),
        (datetime(2026, 5, 7, 1, tzinfo=MADRID), "2026-05-06T23:00:00.000Z"),
        (datetime(2026, 5, 7, 1, tzinfo=timezone(timedelta(hours=-9))), "2026-05-07T10:00:00.000Z"),
        (date(1, 1, 1), "0001-01-01T00:00:00.000Z"),
    ],
)
def test_times_go_out_in_utc_with_milliseconds(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, given: Any, sent: str
) -> None:
    side.do(client.get_usage(start_date=given))
    assert pymthouse_sandbox.requests[-1].query == (("startDate", sent),)


@pytest.mark.parametrize("given", [date(2026, 5, 7), "2026-05-07"])
def test_a_date_as_the_end_means_the_whole_day(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, given: Any
) -> None:
    usage = side.do(client.get_usage(start_date=given, end_date=given))
    assert pymthouse_sandbox.requests[-1].value("endDate") == "2026-05-07T23:59:59.999Z"
    # alice's jobs of that day, at noon and at one o'clock, and bob's
    assert usage.totals.request_count == 3
    assert usage.period.end == "2026-05-07T23:59:59.999Z"


def test_a_time_as_the_end_is_that_time(side: Side, client: Any) -> None:
    usage = side.do(client.get_usage(start_date="2026-05-07", end_date=datetime(2026, 5, 7, 12, tzinfo=UTC)))
    assert usage.totals.request_count == 1


def test_the_bounds_of_a_month(side: Side, client: Any) -> None:
    bounds = get_utc_calendar_month_iso_bounds(date(2026, 5, 15))
    usage = side.do(client.get_usage(start_date=bounds.start_date, end_date=bounds.end_date))
    assert usage.totals.request_count == 56


@pytest.mark.parametrize("argument", ["start_date", "end_date"])
@pytest.mark.parametrize(
    "bad",
    [
        datetime(2026, 5, 7),  # whose noon would it be?
        "2026-05-07T10:00:00",
        "May 28 2026",
        "yesterday",
        "2026-13-01",
        "2026-05-07T25:00:00Z",
        1_780_000_000,
        3.5,
        b"2026-05-07",
        True,
    ],
)
def test_what_is_no_time_or_names_no_zone_is_refused(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, argument: str, bad: Any
) -> None:
    for call in (client.get_usage, lambda **span: client.fetch_usage_for_external_user("alice", **span)):
        with pytest.raises(ArgumentError) as caught:
            side.do(call(**{argument: bad}))
        assert caught.value.argument == argument
        assert isinstance(caught.value, PmtHouseError)
    assert len(pymthouse_sandbox.requests) == 0


def test_a_reversed_span_is_refused(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    for span in (
        {"start_date": date(2026, 5, 8), "end_date": date(2026, 5, 7)},
        {"start_date": "2026-05-07T10:00:00+02:00", "end_date": "2026-05-07T07:59:59Z"},
    ):
        for call in (client.get_usage, lambda **span: client.fetch_usage_for_external_user("alice", **span)):
            with pytest.raises(ArgumentError, match="must not be before start_date") as caught:
                side.do(call(**span))
            assert caught.value.argument == "end_date"
    assert len(pymthouse_sandbox.requests) == 0


@pytest.mark.parametrize("argument", ["group_by", "user_id", "gateway_request_id"])
def test_other_arguments_must_be_something_that_a_query_can_hold(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, argument: str
) -> None:
    for bad in (object(), "\ud83e"):
        with pytest.raises(ArgumentError) as caught:
            side.do(client.get_usage(**{argument: bad}))
        assert caught.value.argument == argument
    assert len(pymthouse_sandbox.requests) == 0


def test_wrong_credentials_look_like_a_missing_app(side: Side, pymthouse_sandbox: PymtHouseSandbox) -> None:
    client = side.client(pymthouse_sandbox, m2m_client_secret="wrong")
    with pytest.raises(NotFoundError) as caught:
        side.do(client.get_usage())
    error = caught.value
    assert (error.code, error.message, error.status) == ("Not found", "Not found", 404)
    assert error.hint is not None
    assert "secret" in error.hint
    assert str(error).startswith(error.hint.rstrip("."))


# --- one user, by your own id -------------------------------------------------------------------------------


def test_all_ids_of_a_person_are_merged(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    mine = side.do(client.fetch_usage_for_external_user("alice", **MAY))
    assert mine.client_id == client.public_client_id
    assert mine.to_dict()["period"] == {"start": "2026-05-01T00:00:00.000Z", "end": "2026-05-31T23:59:59.999Z"}
    user = mine.current_user
    assert (user.external_user_id, user.request_count, user.currency) == ("alice", 46, "USD")
    assert user.network_fee_usd_micros == 28 * 12_500 + 18 * 700
    assert [
        (row.pipeline, row.model_id, row.request_count, row.network_fee_usd_micros) for row in user.pipeline_models
    ] == [
        ("llm", "meta-llama/Llama-3.1-8B-Instruct", 18, 18 * 700),
        ("text-to-image", "black-forest-labs/FLUX.1-dev", 28, 28 * 12_500),
    ]
    # the totals, then one request for each of her ids, all over the same span
    sent = list(pymthouse_sandbox.requests)
    assert [one.value("groupBy") for one in sent] == ["user"] + ["pipeline_model"] * 3
    assert len({one.value("userId") for one in sent[1:]}) == 3
    assert {(one.value("startDate"), one.value("endDate")) for one in sent} == {
        ("2026-05-01T00:00:00.000Z", "2026-05-31T23:59:59.999Z")
    }


def test_an_unknown_user_has_no_usage(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    mine = side.do(client.fetch_usage_for_external_user("nobody"))
    assert (mine.current_user.request_count, mine.current_user.network_fee_usd_micros) == (0, 0)
    assert mine.current_user.pipeline_models == ()
    assert len(pymthouse_sandbox.requests) == 1


def test_more_ids_than_are_asked_for_is_told(
    side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    for limit, asked in ((2, 2), (1, 1), (0, 0)):
        caplog.clear()
        pymthouse_sandbox.requests.clear()
        mine = side.do(client.fetch_usage_for_external_user("alice", max_end_user_ids=limit))
        assert mine.current_user.request_count == 46
        assert len(pymthouse_sandbox.requests) == 1 + asked
        [warning] = caplog.records
        assert (warning.name, warning.levelno) == ("tollkit.pymthouse", logging.WARNING)
        assert f"3 ids of one user, asked for {limit}" in warning.getMessage()
    caplog.clear()
    side.do(client.fetch_usage_for_external_user("alice", max_end_user_ids=3))
    assert caplog.records == []


@pytest.mark.parametrize("limit", [-1, 1.5, "3", None, True])
def test_a_limit_that_is_none(side: Side, client: Any, pymthouse_sandbox: PymtHouseSandbox, limit: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        side.do(client.fetch_usage_for_external_user("alice", max_end_user_ids=limit))
    assert caught.value.argument == "max_end_user_ids"
    assert len(pymthouse_sandbox.requests) == 0


def test_a_person_with_more_ids_than_the_usual_limit(
    side: Side, pymthouse_sandbox: PymtHouseSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Thirty end users of one external id, which only a platform with a fault has."""
    app = pymthouse_sandbox.app
    count = DEFAULT_MAX_END_USER_IDS + 5
    for _ in range(count):
        end_user = pymthouse_sandbox.seed_end_user()
        end_user.external_user_id = "many"
        pymthouse_sandbox.record(end_user, network_fee_usd_micros=1)
    assert len(app.end_users) == count
    mine = side.do(side.client(pymthouse_sandbox).fetch_usage_for_external_user("many"))
    assert mine.current_user.request_count == count
    assert sum(row.request_count for row in mine.current_user.pipeline_models) == DEFAULT_MAX_END_USER_IDS
    assert len(pymthouse_sandbox.requests) == 1 + DEFAULT_MAX_END_USER_IDS
    assert len(caplog.records) == 1


def test_raw_answers_of_a_call_with_many(side: Side, client: Any) -> None:
    raw = side.do(client.fetch_usage_for_external_user.raw("alice", **MAY))
    assert raw.result.current_user.request_count == 46
    assert len(raw.answers) == 4
    assert {answer.status for answer in raw.answers} == {200}
    assert {answer.url for answer in raw.answers} == {
        f"{client.issuer_url.removesuffix('/api/v1/oidc')}/api/v1/apps/{client.public_client_id}/usage"
    }
