"""Wallet, signatures and payments against eth-account and the official x402 package.

They stand in an environment of their own (`make test` makes it; constraints-oracles.txt says why), and so do their
tests, in tests/oracles.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-oracles" / "bin" / "python"


@pytest.mark.timeout(300)
def test_the_oracles_agree() -> None:
    if not PYTHON.exists():
        pytest.skip("no .venv-oracles here: `make test` makes it")
    measured = ["-m", "coverage", "run"] if "COVERAGE_RUN" in os.environ else []
    others = "--ignore-glob=*schemathesis*"  # tests/specs/test_specs_schemathesis.py runs those
    done = subprocess.run(
        [PYTHON, *measured, "-m", "pytest", "-q", "tests/oracles", others], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) > 100
    assert "skipped" not in done.stdout
