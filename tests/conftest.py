"""What holds for all tests: in CI a test that is left out is a failure."""

from __future__ import annotations

import os
import signal

import pytest


def pytest_configure() -> None:
    """Hear Ctrl-C, in this process and those that it starts, also where a shell has begun it in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI run in which anything was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and os.environ.get("CI"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line(f"CI: {len(skipped)} left out, and in CI nothing may be", red=True)
