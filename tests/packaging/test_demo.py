"""`make demo` walks through every platform to the end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_tour_goes_through_all_platforms() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "scripts/demo.py"], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    pymthouse, tokenite = done.stdout.index("PymtHouse "), done.stdout.index("Tokenite ")
    assert pymthouse < tokenite
    assert done.stdout.count("✓") >= 18
    assert "402 BUDGET_EXCEEDED" in done.stdout
    assert "topped up, called again" in done.stdout
