"""docs/security.md promises what tests prove: each promise names some, and each that is named is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text("utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
DOES = TEXT.partition("\n## What tollkit does\n")[2].partition("\n## ")[0]


@cache
def functions(path: str) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


def promises() -> list[str]:
    """The items of the lists, each with its following lines."""
    return re.split(r"^\* ", DOES, flags=re.MULTILINE)[1:]


def test_each_promise_names_a_test() -> None:
    assert len(promises()) >= 30
    unproven = [item.splitlines()[0] for item in promises() if not NAMED.search(item.partition("\n\n")[0])]
    assert unproven == []


def test_each_test_that_is_named_is_there() -> None:
    named = NAMED.findall(TEXT)
    assert len(named) >= 60
    assert [f"{path}::{name}" for path, name in named if name not in functions(path)] == []


def test_each_file_of_this_folder_stands_behind_a_promise() -> None:
    named = {path for path, _ in NAMED.findall(TEXT)}
    here = {f"tests/safety/{path.name}" for path in Path(__file__).parent.glob("test_*.py")}
    assert here - named == {"tests/safety/test_threat_model.py"}


def test_what_is_not_done_is_said() -> None:
    left = TEXT.partition("\n## What tollkit does not do\n")[2]
    assert len(re.findall(r"^\* \*\*", left, re.MULTILINE)) >= 8
    assert "DNS" in left


def test_the_actors_meet_something() -> None:
    table = TEXT.partition("\n## Who may attack\n")[2].partition("\n## ")[0]
    anchors = re.findall(r"\]\(#([\w-]+)\)", table)
    headings = {
        re.sub(r"[^\w\- ]", "", line.lower()).strip().replace(" ", "-")
        for line in re.findall(r"^#{2,3} (.+)$", TEXT, re.MULTILINE)
    }
    assert len(anchors) >= 8
    assert set(anchors) <= headings
