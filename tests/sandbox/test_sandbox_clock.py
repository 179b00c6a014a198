"""The clock that tests move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tollkit.sandbox import Clock


def test_runs_and_moves() -> None:
    clock = Clock()
    assert abs(clock.utcnow() - datetime.now(UTC)) < timedelta(minutes=1)
    before = clock.now()
    clock.advance(3600)
    assert 3600 <= clock.now() - before < 3660
    clock.set(datetime(2026, 5, 28, tzinfo=UTC))
    assert clock.iso().startswith("2026-05-28T00:0")
    clock.reset()
    assert abs(clock.utcnow() - datetime.now(UTC)) < timedelta(minutes=1)


def test_frozen() -> None:
    clock = Clock()
    clock.freeze()
    assert clock.now() == clock.now()
    clock.freeze()
    clock.set(1_000.25)
    assert clock.iso() == "1970-01-01T00:16:40.250Z"
    clock.advance(-0.25)
    assert clock.now() == 1_000


def test_naive_times_are_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        Clock().set(datetime(2026, 5, 28))


def test_backdating_is_seen_by_what_is_issued_alone() -> None:
    clock = Clock()
    clock.freeze()
    with clock.backdated(60):
        assert clock.issue_time() == clock.now() - 60
    assert clock.issue_time() == clock.now()
