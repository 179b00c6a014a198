"""`make demo` walks through every platform to the end."""

from __future__ import annotations

import os
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
    pymthouse, tokenite, run402 = (done.stdout.index(f"{name} ") for name in ("PymtHouse", "Tokenite", "Run402"))
    assert pymthouse < tokenite < run402
    assert done.stdout.count("✓") >= 35
    assert "402 BUDGET_EXCEEDED" in done.stdout
    assert "topped up, called again" in done.stdout
    assert "402 PAYMENT_REQUIRED" in done.stdout
    assert "settled by transaction 0x" in done.stdout
    assert "is 'Notes of Ada'" in done.stdout
    assert "0.10 USDC in 1 payment" in done.stdout


def test_the_tour_leaves_the_files_of_its_person_alone(tmp_path: Path) -> None:
    own = tmp_path / "own"
    env = os.environ | {
        "HOME": str(tmp_path),
        "RUN402_CONFIG_DIR": str(own),
        "RUN402_ALLOWANCE_PATH": str(own / "allowance.json"),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "scripts/demo.py"], cwd=ROOT, capture_output=True, env=env, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert not own.exists()
    assert not (tmp_path / ".config").exists()
