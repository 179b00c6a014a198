"""Forks after use: parent and child go on, share no connection, wait for nobody who is gone, repeat no number."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from concurrency_forked import CASES
from concurrency_leaks import ENGINES, TALLY

from tollkit.sandbox import Sandbox

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked on Windows")
PROGRAM = Path(__file__).with_name("concurrency_forked.py")


OF_NO_ENGINE = ("locked_file", "collector", "numbers")


@pytest.mark.parametrize(
    ("case", "engine"),
    [(case, engine) for case in CASES for engine in (ENGINES[:1] if case in OF_NO_ENGINE else ENGINES)],
)
def test_a_program_that_forks(case: str, engine: str, tollkit_sandbox: Sandbox, tmp_path: Path) -> None:
    told = {**tollkit_sandbox.env(), "RUN402_CONFIG_DIR": str(tmp_path)}
    # what is left unclosed shows as a warning, and a program with threads that forks is what this is about
    warnings = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    ran = subprocess.run(
        [sys.executable, *warnings, str(PROGRAM), case, json.dumps(told), engine],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONFAULTHANDLER": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    TALLY["programs that fork"] += 1
