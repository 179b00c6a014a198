"""Which texts pass for a date: what Node's Date.parse says, to the millisecond."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkit.pymthouse.js_date import parse_js_date

TEXTS: list[tuple[str, int | None]] = json.loads((Path(__file__).parent / "data" / "js-dates.json").read_text())


def test_texts_of_all_kinds() -> None:
    """Made by `oracles/dates.mjs` with TZ=UTC: ISO forms, legacy forms, junk, and all of these damaged."""
    differing = [(text, instant, parse_js_date(text)) for text, instant in TEXTS if parse_js_date(text) != instant]
    assert not differing
    assert sum(instant is not None for _, instant in TEXTS) > 500


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-02-30", "2026-03-02T00:00:00.000"),
        ("0", "2000-01-01T00:00:00.000"),
        ("12", "2001-12-01T00:00:00.000"),
        ("Jan 5 2026", "2026-01-05T00:00:00.000"),
        ("2026-1-1", "2026-01-01T00:00:00.000"),
        ("2026-01-01T24:00:00Z", "2026-01-02T00:00:00.000"),
        ("2026-01-01T00:00:00+02:00", "2025-12-31T22:00:00.000"),
        ("Thu, 28 May 2026 10:00:00 GMT", "2026-05-28T10:00:00.000"),
        ("5/28/2026 1:30 pm", "2026-05-28T13:30:00.000"),
    ],
)
def test_accepted(text: str, expected: str) -> None:
    instant = parse_js_date(text)
    assert instant is not None
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant)
    assert moment.isoformat(timespec="milliseconds") == expected + "+00:00"


@pytest.mark.parametrize(
    "text", ["", "2026-13-01", "20260101", "1780000000000", "not-a-date", "2026-01-01T24:00:01Z"]
)
def test_refused(text: str) -> None:
    assert parse_js_date(text) is None


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)))
def test_iso_texts_are_read_exactly(moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
    text = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    instant = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parse_js_date(text) == instant


@given(st.text(alphabet="0123456789-+:./ TZGMTamp()JanFeb\0\u2028", max_size=30) | st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    found = parse_js_date(text)
    assert found is None or isinstance(found, int)
