"""Checks of what callers pass."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tollkit.core.arguments import built, instant, required_text, secret_text, wire_time
from tollkit.errors import ArgumentError
from tollkit_api.runtime import Request, encode
from tollkit_api.usage.v2026_05.api.usage import get_usage

OFFSETS = st.integers(-24 * 60 + 1, 24 * 60 - 1).map(lambda minutes: timezone(timedelta(minutes=minutes)))
AWARE = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=OFFSETS | st.just(UTC))
WIRE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
DAY = timedelta(days=1)
MILLISECOND = timedelta(milliseconds=1)


def refused(name: str, value: Any, check: Any, **arguments: Any) -> str:
    with pytest.raises(ArgumentError) as caught:
        check(name, value, **arguments)
    assert caught.value.argument == name
    assert (caught.value.code, caught.value.status) == ("invalid_argument", 400)
    return caught.value.problem


def outcome(do: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return do(*args, **kwargs)
    except ArgumentError as error:
        return error


# --- times -------------------------------------------------------------------------------------------------


@given(AWARE)
def test_an_aware_datetime_is_the_same_instant_in_utc(moment: datetime) -> None:
    found = instant("start", moment)
    assert found == moment
    assert found.tzinfo is UTC
    assert instant("end", moment, end=True) == moment, "only a date stands for a whole day"


@given(AWARE)
def test_iso_text_is_the_same_instant(moment: datetime) -> None:
    assert instant("start", moment.isoformat()) == moment
    assert instant("start", f"  {moment.isoformat(' ')}\n") == moment
    assert instant("start", moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z") == moment


@given(AWARE)
def test_what_goes_out_has_milliseconds_and_z_and_is_never_later(moment: datetime) -> None:
    text = wire_time(moment)
    assert WIRE.fullmatch(text)
    back = instant("start", text)
    assert timedelta(0) <= moment - back < MILLISECOND
    assert wire_time(back) == text


@given(AWARE, AWARE)
def test_text_has_the_order_of_time(one: datetime, other: datetime) -> None:
    """The platforms compare texts."""
    if abs(one - other) >= MILLISECOND:
        assert (wire_time(one) < wire_time(other)) is (one < other)


@given(st.dates())
@example(date.min)
@example(date.max)
def test_a_date_is_a_whole_day_of_utc(day: date) -> None:
    begin, last = instant("start", day), instant("end", day, end=True)
    assert wire_time(begin) == f"{day.isoformat()}T00:00:00.000Z"
    assert wire_time(last) == f"{day.isoformat()}T23:59:59.999Z"
    assert (instant("start", day.isoformat()), instant("end", day.isoformat(), end=True)) == (begin, last)


@given(st.dates() | st.datetimes().map(lambda moment: moment.replace(tzinfo=None)), st.booleans())
def test_a_time_without_a_zone_is_refused(value: date, end: bool) -> None:
    if isinstance(value, datetime):
        assert "time zone" in refused("start", value, instant, end=end)
        assert "time zone" in refused("start", value.isoformat(), instant, end=end)
    else:
        instant("start", value, end=end)


@given(st.text())
@example("2026-02-30")
@example("2026-05-31T24:01Z")
@example("")
@example("May 28 2026")
def test_text_is_a_time_or_an_argument_error(text: str) -> None:
    found = outcome(instant, "start", text)
    if isinstance(found, ArgumentError):
        assert found.argument == "start"
        assert "ISO 8601" in found.problem or "time zone" in found.problem
    else:
        assert found.tzinfo is UTC


@pytest.mark.parametrize("value", [None, 0, 1.5, b"2026-05-31", ["2026-05-31"], timedelta(1)], ids=repr)
def test_other_things_are_no_times(value: Any) -> None:
    assert type(value).__name__ in refused("start", value, instant)


@pytest.mark.parametrize(
    "value",
    [
        datetime.max.replace(tzinfo=timezone(-DAY / 24)),
        datetime.min.replace(tzinfo=timezone(DAY / 24)),
        "9999-12-31T23:59:59-01:00",
        "0001-01-01T00:00:00+01:00",
    ],
    ids=str,
)
def test_instants_beyond_the_calendar(value: Any) -> None:
    assert "9999" in refused("start", value, instant)


def test_a_zone_that_does_not_know_its_offset_is_none() -> None:
    class Unknown(tzinfo):
        def utcoffset(self, moment: datetime | None) -> None:
            return None

    assert "time zone" in refused("start", datetime(2026, 5, 31, tzinfo=Unknown()), instant)


def test_both_hours_of_the_night_when_summer_time_ends() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first, second = (datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=fold) for fold in (0, 1))
    assert wire_time(instant("start", first)) == "2026-10-25T00:30:00.000Z"
    assert wire_time(instant("start", second)) == "2026-10-25T01:30:00.000Z"


# --- texts -------------------------------------------------------------------------------------------------


@given(st.text())
@example("\u2028")
@example("a\0")
@example("\ud800")
def test_required_text_comes_back_as_it_is_or_not_at_all(text: str) -> None:
    sendable = "\0" not in text and not any(0xD800 <= ord(sign) <= 0xDFFF for sign in text)
    if text.strip() and sendable:
        assert required_text("user", text) is text
        assert text.encode()
    else:
        refused("user", text, required_text)


@given(st.text())
@example("tok\ten")
@example("tok\u200ben")
@example("tok\u00a0en")
@example("tok\x01en")
def test_a_secret_has_no_blanks_and_nothing_invisible(text: str) -> None:
    if text and text.isprintable() and not any(sign.isspace() for sign in text):
        assert secret_text("token", text) is text
    else:
        problem = refused("token", text, secret_text)
        assert len(text) < 4 or text not in problem


@pytest.mark.parametrize("value", [None, 7, b"text", ["text"], True], ids=repr)
def test_what_is_no_text(value: Any) -> None:
    for check in (required_text, secret_text):
        assert type(value).__name__ in refused("user", value, check)


# --- building requests ---------------------------------------------------------------------------------------


def test_a_request_that_can_be_built_is_returned() -> None:
    request = built(get_usage.request, "app_1", user_id="u")
    assert request == get_usage.request("app_1", user_id="u")


@pytest.mark.parametrize(
    ("argument", "arguments", "options"),
    [
        ("client_id", ("",), {}),
        ("client_id", ("..",), {}),
        ("client_id", (None,), {}),
        ("client_id", ("\ud800",), {}),
        ("userId", ("app_1",), {"user_id": "\ud800"}),
        ("startDate", ("app_1",), {"start_date": datetime(2026, 5, 31)}),
        ("userId", ("app_1",), {"user_id": object()}),
    ],
)
def test_what_a_generated_operation_refuses_is_an_argument_error(argument: str, arguments: Any, options: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        built(get_usage.request, *arguments, **options)
    assert caught.value.argument == argument
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("body", [{"a": float("nan")}, {"a": object}, {"a": {1, 2}}], ids=repr)
def test_a_body_that_json_cannot_say(body: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        built(encode.json_body, body)
    assert caught.value.argument == "request"
    assert str(caught.value.__cause__) in caught.value.problem


@given(st.text() | st.integers() | st.none() | st.floats(), st.text())
def test_building_raises_nothing_else(value: Any, client_id: str) -> None:
    found = outcome(built, get_usage.request, client_id, user_id=value)
    assert isinstance(found, Request) or found.argument in ("client_id", "userId")
