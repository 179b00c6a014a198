"""Every operation of every document against the sandbox, with what schemathesis makes of the documents.

Schemathesis stands in the environment of the oracles (`make test` makes it; constraints-oracles.txt says why), and so
does its test, tests/oracles/test_oracles_schemathesis.py. Here it runs in parts, which run side by side.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-oracles" / "bin" / "python"
PARTS = 3
OPERATIONS = 176
"""At least so many there are; the test checks that none of the documents' is left out."""
TEST = "tests/oracles/test_oracles_schemathesis.py"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", range(PARTS))
def test_answers_are_the_documents(part: int) -> None:
    if not PYTHON.exists():
        pytest.skip("no .venv-oracles here: `make test` makes it")
    measured = ["-m", "coverage", "run"] if "COVERAGE_RUN" in os.environ else []
    done = subprocess.run(
        [PYTHON, *measured, "-m", "pytest", "-q", TEST],
        cwd=ROOT,
        env={**os.environ, "TOLLKIT_FUZZ_PART": f"{part}/{PARTS}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) >= OPERATIONS // PARTS, "an operation was left out"
    assert "skipped" not in done.stdout
