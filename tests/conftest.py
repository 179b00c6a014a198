"""What holds for all tests: in CI a test that is left out is a failure."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
UNMEASURED = (
    "bench",
    "concurrency",
    "docs",
    "faults",
    "fuzz",
    "generated",
    "hostile",
    "packaging",
    "run402/test_run402_keystore_killed.py",
    "specs",
    "types",
)
"""Tests that look at the whole from outside, and take twice as long when coverage follows every line of it. What they
run is measured by the tests of its own room."""
_FOR_PROCESSES = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_RUN")


class _Measuring:
    """Has coverage follow this process and those that it starts, or not."""

    def __init__(self) -> None:
        self._on = True
        self._put_away: dict[str, str] = {}

    def turn(self, on: bool) -> None:
        coverage = sys.modules.get("coverage")
        measuring = coverage.Coverage.current() if coverage else None
        if measuring is None or on is self._on:
            return
        self._on = on
        if on:
            os.environ.update(self._put_away)
            measuring.start()
        else:
            measuring.stop()
            self._put_away = {name: os.environ.pop(name) for name in _FOR_PROCESSES if name in os.environ}


_measuring = _Measuring()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure the tests that are there to be measured."""
    _measuring.turn(not item.path.relative_to(TESTS).as_posix().startswith(UNMEASURED))
    return (yield)


def pytest_configure() -> None:
    """Hear Ctrl-C, in this process and those that it starts, also where a shell has begun it in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _sendable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_sendable(key): _sendable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_sendable, value))
    return value


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_report_to_serializable() -> Generator[None, dict[str, Any] | None, dict[str, Any] | None]:
    """Let a report with half a surrogate pair, as hostile input has them, pass from one process to the other."""
    data = yield
    return _sendable(data)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI run in which anything was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and os.environ.get("CI"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line(f"CI: {len(skipped)} left out, and in CI nothing may be", red=True)
