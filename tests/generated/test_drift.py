"""The drift report, with Redocly CLI as `make drift` installs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DRIFT = ROOT / "scripts" / "drift"
DATA = Path(__file__).parent / "data" / "drift"


def drift(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DRIFT / "drift.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    if not (DRIFT / "node_modules" / "@redocly" / "cli").exists():
        pytest.skip("Redocly CLI is not installed; `make drift` installs it")


def test_the_report_of_two_documents():
    done = drift(DATA / "before.yaml", DATA / "after.yaml")
    assert done.returncode == 0, done.stderr
    title, _, body = done.stdout.partition("\n")
    assert title.endswith("after.yaml: 13 breaking (!), 4 added (+), 4 other (~)")
    assert body == (DATA / "report.txt").read_text()


def test_breaking_changes_fail_where_that_is_asked_for(tmp_path: Path):
    assert drift(DATA / "before.yaml", DATA / "after.yaml", "--fail-on-breaking").returncode == 1
    wider = tmp_path / "wider.yaml"
    text = (DATA / "before.yaml").read_text()
    wider.write_text(text.replace("[on, off]", "[on, off, paused]").replace("summary: Get.", "summary: Get it."))
    done = drift(DATA / "before.yaml", wider, "--fail-on-breaking")
    assert done.returncode == 0, "a new value of an enumeration breaks nobody, since it passes as text"
    assert "0 breaking (!), 0 added (+), 2 other (~)" in done.stdout


def test_versions_have_short_names():
    done = drift("usage/v2026_05", "usage/v2026_05", "--fail-on-breaking")
    assert done.returncode == 0
    assert done.stdout == "usage/v2026_05 -> usage/v2026_05: 0 breaking (!), 0 added (+), 0 other (~)\n"


def test_the_page_on_versions_of_tokenite_shows_the_report():
    page = (ROOT / "docs" / "tokenite" / "versions.md").read_text()
    done = drift("tokenite/v1_0", "tokenite/v2_4")
    assert done.returncode == 0, done.stderr
    assert f"```text\n{done.stdout}```\n" in page


def test_what_cannot_be_compared(tmp_path: Path):
    assert "neither a file nor a document" in drift("usage/v2026_05", "usage/v1900_01").stderr
    broken = tmp_path / "broken.yaml"
    broken.write_text("{a: [")
    done = drift("usage/v2026_05", broken)
    assert done.returncode == 2
    assert done.stderr.startswith("broken.yaml: ")
    assert "Traceback" not in done.stderr
    broken.write_text("a: 1")
    assert drift("usage/v2026_05", broken).returncode == 2


def test_the_version_of_redocly_is_exact():
    package = json.loads((DRIFT / "package.json").read_text())
    assert package["dependencies"] == {"@redocly/cli": "2.77.0"}
    assert not (DRIFT / "package-lock.json").exists()
