"""What type checkers tell the users of tollkit: right programs pass, and each mistake has its error at its line.

`uses_*.py` are programs as users write them; `misuses_*.py` are mistakes, whose lines end in the errors that mypy and
pyright, both strict, must have there: `# E: mypy[call-arg] / pyright[reportCallIssue]`. A mistake that no checker
finds any more fails as well as an error where none was expected.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = sorted(HERE.glob("*uses_*.py"))
EXPECTED = re.compile(r"#\ E:\ mypy\[(?P<mypy>[a-z, -]+)\]\ /\ pyright\[(?P<pyright>[A-Za-z, ]+)\]$")
FOUND = re.compile(r"(?P<file>[^:]+):(?P<line>\d+): error: .*\[(?P<code>[a-z-]+)\]")
CONSEQUENCES = ("reportUnknown", "reportUnusedVariable")
"""Rules that pyright tells beside the mistake itself: of a method that is not there, nothing is known."""

Place = tuple[str, int]
Found = dict[Place, set[str]]


def expected(checker: str) -> Found:
    """Where the files say that an error is, and of which kind."""
    told: Found = {}
    for path in FILES:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if "# E:" in line:
                match = EXPECTED.search(line)
                assert match, f"{path.name}:{number}: cannot be read"
                told[path.name, number] = set(match[checker].split(", "))
    return told


def run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command, *map(str, FILES)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, f"no mistake was found at all: {done.stdout[-500:]} {done.stderr[-500:]}"
    return done.stdout


def test_there_is_a_program_and_its_mistakes_for_each_platform() -> None:
    assert [path.stem for path in FILES] == [
        f"{kind}_{platform}" for kind in ("misuses", "uses") for platform in ("pymthouse", "run402", "tokenite")
    ]
    for checker in ("mypy", "pyright"):
        places = expected(checker)
        assert all(sum(name == path.name for name, _ in places) >= 25 for path in FILES if "misuses" in path.name)
        assert not any(name.startswith("uses") for name, _ in places)


@pytest.mark.timeout(240)  # a checker begins with an empty cache on a new machine
def test_mypy() -> None:
    found: Found = defaultdict(set)
    for line in run("mypy", "--no-error-summary", "--hide-error-context").splitlines():
        match = FOUND.fullmatch(line)
        assert match or ": note: " in line, line
        if match:
            found[Path(match["file"]).name, int(match["line"])].add(match["code"])
    assert dict(found) == expected("mypy")


@pytest.mark.timeout(240)
def test_pyright() -> None:
    found: Found = defaultdict(set)
    for told in json.loads(run("pyright", "--outputjson"))["generalDiagnostics"]:
        place = Path(told["file"]).name, told["range"]["start"]["line"] + 1
        rule = told.get("rule", "none")
        if rule.startswith(CONSEQUENCES):
            found.setdefault(place, set())  # a line of its own would still be an error where none is expected
        else:
            found[place].add(rule)
    assert dict(found) == expected("pyright")
