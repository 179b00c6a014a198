"""What pages tell people to type: it exists, it runs, and what checks it can fail."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import click

from support.docs_site import ROOT
from tollkit.cli.app import app

CHECK = ROOT / "scripts" / "check_docs.py"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TARGETS = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
SHELL = re.compile(r"^ *```(?:console|bash|sh)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def commands(program: str) -> list[tuple[str, str]]:
    """Page and line of every use of a program, in blocks and in code spans."""
    found: list[tuple[str, str]] = []
    for page in PAGES:
        text = page.read_text("utf-8")
        lines = [line for block in SHELL.findall(text) for line in block.splitlines()] + INLINE.findall(text)
        told = [re.sub(r"\s+#.*", "", line.strip().removeprefix("$ ")) for line in lines]
        name = page.relative_to(ROOT).as_posix()
        found += [(name, line) for line in told if line == program or line.startswith(f"{program} ")]
    return found


def test_every_make_target_exists() -> None:
    used = commands("make")
    assert len(used) > 15
    wrong = [
        (page, word)
        for page, line in used
        for word in line.split()[1:]
        if "=" not in word and not word.startswith("-") and ">" not in word and word not in TARGETS
    ]
    assert wrong == []


def test_every_command_of_tollkit_is_understood() -> None:
    used = commands("tollkit")
    options = {name for option in app.get_params(click.Context(app)) for name in option.opts}
    assert len(used) > 3
    for page, line in used:
        _, *words = line.split()
        while words and words[0].startswith("-"):
            assert words.pop(0) in options, f"{page}: {line}"
        if not words:
            continue
        name, command, rest = app.resolve_command(click.Context(app), words)
        assert command is not None, f"{page}: {line}"
        command.make_context(name, rest)  # raises for an option that it does not have


def test_every_extra_that_is_installed_exists() -> None:
    used = [
        (page, extra.strip())
        for page in (path.relative_to(ROOT).as_posix() for path in PAGES)
        for named in re.findall(r"tollkit\[([\w, ]+)\]", (ROOT / page).read_text("utf-8"))
        for extra in named.split(",")
    ]
    assert len(used) > 10
    assert [one for one in used if one[1] not in EXTRAS] == []


def test_the_page_on_extras_has_each_and_what_it_brings() -> None:
    rows = {
        re.sub(r"[` ]", "", cells[1]): cells[2]
        for line in (ROOT / "docs" / "guide" / "extras.md").read_text("utf-8").splitlines()
        if line.startswith("| `") and (cells := line.split("|"))
    }
    assert rows.keys() == EXTRAS.keys()
    for extra, brought in rows.items():
        for need in EXTRAS[extra]:
            name = re.split(r"[\[<>=~!;, ]", need)[0]
            if extra != "all" and name not in ("tollkit", "httpx"):
                assert name in brought, f"{extra} brings {name}"


def test_the_tests_on_pages_pass_under_pytest(tmp_path: Path) -> None:
    """Functions with fixtures, which pages themselves call by hand at most."""
    wanted: list[str] = []
    for page in ("guide/testing.md", "run402/sandbox.md"):
        nodes = [
            node
            for block in PYTHON.findall((ROOT / "docs" / page).read_text("utf-8"))
            for node in ast.parse(textwrap.dedent(block)).body
            if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef)
        ]
        tests = [node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
        assert tests
        wanted += tests
        (tmp_path / f"test_{Path(page).stem}.py").write_text("\n".join(map(ast.unparse, nodes)))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout
    assert f"{len(wanted)} passed" in done.stdout


def check(page: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, CHECK, page], capture_output=True, text=True, check=False, timeout=100)


def test_a_snippet_that_fails_is_found_with_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\nprint('well')\n```\n\n```python\nx = 1\nassert x == 2\n```\n")
    done = check(page)
    assert done.returncode == 1
    assert "2 snippets run: FAILED" in done.stdout
    assert f'File "{page}", line 9' in done.stdout


def test_snippets_share_their_names_and_may_await(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nimport asyncio\nx = 1\n```\n```python\nawait asyncio.sleep(0)\nassert x == 1\n```\n")
    done = check(page)
    assert done.returncode == 0, done.stdout
    assert "2 snippets run: ok" in done.stdout


def test_a_snippet_that_is_not_run_is_compiled(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text\n```python no-run\nthis is no Python\n```\n")
    done = check(page)
    assert done.returncode == 1
    assert f"{page}:3" in done.stdout


def test_a_page_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = check(tmp_path / "nothing.md")
    assert done.returncode == 1
    assert "there is no page" in done.stderr
