"""The audit of dependencies finds what it is there for, and says when it could not look."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))
import audit  # noqa: E402 - a script of this repository


def test_what_tollkit_brings_is_allowed() -> None:
    found, wrong = audit.licences()
    assert wrong == []
    assert {"httpx", "attrs", "certifi", "joserfc", "coincurve", "django", "uvicorn"} <= found.keys()
    assert not {"pytest", "mypy", "selenium", "tollkit"} & found.keys()
    assert audit.outdated(found) == []
    assert audit.outdated({**found, "httpx": "GPL-3.0-only"}) != []


def test_every_package_that_an_extra_names_is_looked_at() -> None:
    brought = audit.brought_by()
    assert brought["httpx"] == {""}
    assert brought["cryptography"] == {"oidc", "sandbox"}
    assert brought["h2"] == {"http2"}


@pytest.mark.parametrize(
    ("licence", "passes"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("Apache-2.0 AND (MIT OR AGPL-3.0-only)", True),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-3.0-or-later", False),
        ("LGPL-2.1-only", False),
        ("MPL-2.0", False),
        ("AGPL-3.0-only", False),
        ("SSPL-1.0", False),
        (None, False),
    ],
)
def test_licences(licence: str | None, passes: bool) -> None:
    assert [line for line in audit.judged({"certifi": "MPL-2.0", "x": licence}) if line.startswith("x:")] != passes


def test_an_exception_is_for_one_package_and_as_long_as_it_is_needed() -> None:
    assert list(audit.judged({"certifi": "MPL-2.0"})) == []
    assert [line.partition(":")[0] for line in audit.judged({"other": "MPL-2.0"})] == ["other", "certifi"]


@pytest.mark.parametrize(
    ("told", "licence"),
    [
        ({"License-Expression": "MIT"}, "MIT"),
        ({"License-Metadata": "Apache 2.0"}, "Apache-2.0"),
        ({"License-Classifier": "MIT License"}, "MIT"),
        ({"License-Classifier": "BSD License"}, None),  # which of them?
        ({"License-Metadata": "see LICENSE, or ask"}, None),
        ({"License-Metadata": "Copyright (c) 2014 " * 20, "License-Classifier": "MIT License"}, "MIT"),
        ({"License-Expression": "LicenseRef-Proprietary"}, None),
        ({}, None),
    ],
)
def test_what_metadata_say(told: dict[str, str], licence: str | None) -> None:
    unknown = dict.fromkeys(("License-Expression", "License-Metadata", "License-Classifier"), "UNKNOWN")
    assert audit.licence_of({"Name": "some-package", **unknown, **told}) == licence


# --- pins ----------------------------------------------------------------------------------------------------------


def test_pins_are_exact_and_stand_once(tmp_path: Path) -> None:
    file = tmp_path / "constraints.txt"
    file.write_text("# a comment\n\na==1.0\nb>=2\nA==1.1\nc==1.*\nd==1 ; python_version < '3.12'\ne_f==2.0.post1\n")
    found, wrong = audit.pins(file)
    assert found == {"a": "1.0", "e-f": "2.0.post1"}
    assert [line.partition(": ")[0].rpartition(":")[2] for line in wrong] == ["4", "5", "6", "7"]


def test_pins_are_what_the_project_takes() -> None:
    wanted = [audit.Requirement("httpx>=0.28,<0.29"), audit.Requirement("attrs>=25.1"), audit.Requirement("other")]
    assert list(audit.unfit({"httpx": "0.28.1", "attrs": "26.1.0"}, wanted, "x")) == []
    assert list(audit.unfit({"httpx": "0.27.0"}, wanted, "x")) == [
        "x: httpx<0.29,>=0.28 is asked for, and 0.27.0 is pinned"
    ]


def test_what_is_installed_is_pinned() -> None:
    found, wrong = audit.pins(ROOT / "constraints.txt")
    assert wrong == []
    assert not [
        line for line in audit.unpinned(found) if not line.endswith("is needed and not installed; make setup")
    ]
    assert any("attrs is pinned to 1.0" in line for line in audit.unpinned({**found, "attrs": "1.0"}))
    assert any(
        "httpx is installed" in line for line in audit.unpinned({k: v for k, v in found.items() if k != "httpx"})
    )


# --- advisories ----------------------------------------------------------------------------------------------------

CVE = {"id": "PYSEC-2014-8", "fix_versions": ["2.7.2"], "aliases": [], "description": ""}
Answer = Callable[[list[str]], Any]


def database(answer: Answer) -> tuple[audit.Run, list[list[str]]]:
    """pip-audit, as far as it is looked at: what it is asked, and what it would say."""
    asked: list[list[str]] = []

    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        lines = Path(command[command.index("--requirement") + 1]).read_text().split()
        asked.append(lines)
        told = answer(lines)
        text = told if isinstance(told, str) else json.dumps({"dependencies": told, "fixes": []})
        return subprocess.CompletedProcess(command, 1, text, "")

    return run, asked


def clean(line: str) -> dict[str, Any]:
    name, _, version = line.partition("==")
    return {"name": name, "version": version, "vulns": [CVE] if line == audit.KNOWN_BAD else []}


PINNED = {"constraints.txt": {"a": "1", "b": "2"}, "other.txt": {"a": "1", "b": "3"}}


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "a traceback of a connection that failed",
        [],
        [{"name": "jinja2", "skip_reason": "Dependency not found on PyPI"}],
        [{"name": "jinja2", "version": "2.4.1", "vulns": []}],
    ],
)
def test_no_database_is_told_and_not_taken_for_a_good_sign(answer: Any) -> None:
    run, asked = database(lambda lines: answer)
    assert audit.advisories(PINNED, run) == ("audit left out: no advisory database reachable", [])
    assert asked == [[audit.KNOWN_BAD]], "where one is not known, the others are not asked for"


def test_a_database_is_asked_about_every_pin() -> None:
    run, asked = database(lambda lines: [clean(line) for line in lines])
    assert audit.advisories(PINNED, run) == ("3 pinned versions audited", [])
    assert sorted(line for lines in asked[1:] for line in lines) == ["a==1", "b==2", "b==3"]
    assert all(len({line.partition("==")[0] for line in lines}) == len(lines) for lines in asked)


def test_findings_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = database(lambda lines: [{**clean(line), "vulns": [CVE]} for line in lines])
    told, wrong = audit.advisories({"x": {"a": "1"}}, run)
    assert wrong == ["a 1: PYSEC-2014-8; mended in 2.7.2"]
    monkeypatch.setattr(audit, "IGNORED", {"PYSEC-2014-8": "not used"})
    assert audit.advisories({"x": {"a": "1"}}, run) == (told, [])
    monkeypatch.setattr(audit, "IGNORED", {"PYSEC-2014-8": "not used", "GONE-1": "x"})
    assert audit.advisories({"x": {"a": "1"}}, run)[1] == [
        "GONE-1 is ignored, and is found no more; take it out of IGNORED"
    ]


def test_what_could_not_be_audited_fails() -> None:
    run, _ = database(
        lambda lines: [
            clean(line) if line == audit.KNOWN_BAD else {"name": "a", "skip_reason": "none"} for line in lines
        ]
    )
    assert audit.advisories({"x": {"a": "1"}}, run)[1] == ["a: could not be audited: none"]
    run, _ = database(lambda lines: [clean(line) for line in lines] if lines == [audit.KNOWN_BAD] else "broken")
    assert audit.advisories({"x": {"a": "1"}}, run)[1] == [
        "pip-audit could not read the pins, though it can reach its database"
    ]
