"""The check of docstrings finds what it is there for, in a package made for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))
import check_docstrings as check  # noqa: E402 - a script of this repository

Found = Callable[[str], list[str]]
HEAD = "from __future__ import annotations\nimport attrs\nfrom tollkit.errors import ArgumentError\n\n"


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Found:
    """What is found in a package `tollkit` that exports `it`, whose source is given."""

    def look(source: str) -> list[str]:
        folder = tmp_path / "overlay" / "tollkit"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").write_text('from tollkit.part import it, other\n__all__ = ["it", "other"]\n')
        (folder / "errors.py").write_text('class ArgumentError(Exception):\n    """It is wrong."""\n')
        (folder / "part.py").write_text(f"{HEAD}{source}\n")
        names = tmp_path / "names.txt"
        names.write_text(
            "tollkit.errors.ArgumentError\ntollkit.part.it\ntollkit.part.it.method\ntollkit.part.hidden\n"
        )
        monkeypatch.setattr(check, "ROOT", tmp_path)
        monkeypatch.setattr(check, "PINNED", names)
        caches = (check.packages, check.exported, check.known_errors, check._tree)
        for cached in caches:
            cached.cache_clear()
        try:
            return [
                told
                for item in check.public()
                if item.path != "tollkit.errors.ArgumentError"
                for told in check.findings(item)
            ]
        finally:
            for cached in caches:
                cached.cache_clear()

    return look


GOOD = '''
def it(name, *, timeout=1.0):
    """Do it.

    Args:
        name: Whose.
        timeout: Seconds to wait.

    Raises:
        ArgumentError: `name` is empty.
    """
    if not name:
        raise ArgumentError(name)
'''


def test_a_good_one(found: Found) -> None:
    assert found(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("        name: Whose.\n", "", "does not describe name"),
        ("name: Whose.", "nme: Whose.", "does not describe name"),
        ("name: Whose.", "name: Whose.\n        age: How old.", "describes age, which it does not take"),
        ("Seconds to wait.", "How long to wait.", "does not say in what timeout is measured"),
        ("\n    Raises:\n        ArgumentError: `name` is empty.\n", "", "does not say when it raises ArgumentError"),
        (GOOD[GOOD.index('    """') : GOOD.index("    if not")], "", "has no docstring"),
    ],
)
def test_what_is_missing(found: Found, old: str, new: str, told: str) -> None:
    assert old in GOOD
    assert told in found(GOOD.replace(old, new))


@pytest.mark.parametrize(
    "source",
    [
        'def it(name):\n    """Whether it is the name of a thing."""',
        'def it(left, right):\n    """Whether `left` is before `right`."""',
        f'{GOOD.replace("def it", "def other")}\nasync def it(name, *, timeout=1.0):\n    """`other`, but async."""',
        'def it(_inner, name):\n    """Do it with `name`."""',
        '@attrs.frozen\nclass it:\n    """A record."""\n    name: str\n    age: int',
        'class it:\n    """From `other`."""\n    def __init__(self, a, b):\n        self.a = a',
    ],
)
def test_what_may_be_short(found: Found, source: str) -> None:
    assert found(source) == []


def test_a_class(found: Found) -> None:
    source = '''
class it:
    """It.

    Args:
        name: Whose.

    Attributes:
        gone: Was here.
        later: Comes.
    """

    def __init__(self, name, size):
        self.name = name

    def method(self, first, *, limit=1):
        """Do it."""
        self.later = 1
'''
    assert found(source) == [
        "does not describe size",
        "describes gone, which it does not take",
        "does not say in what size is measured",
        "does not describe first, limit",
        "does not say in what limit is measured",
    ]


def test_parts_that_nobody_calls_may_be_shorter(found: Found) -> None:
    assert found(f'{GOOD}\ndef hidden(a, b):\n    """Do it."""') == []
    assert found(f"{GOOD}\ndef hidden(a, b):\n    pass") == ["has no docstring"]


def test_an_error_that_is_raised_by_a_function_within_is_its_own(found: Found) -> None:
    source = 'def it(a):\n    """Make a function of it."""\n    def inner():\n        raise ArgumentError(a)\n'
    assert found(source) == []


def test_it_looks_at_all_that_users_call() -> None:
    items = list(check.public())
    assert len(items) > 1500
    called = {item.path for item in items if check.called(item)}
    assert len(called) > 700
    for name in (
        "tollkit.pymthouse.client.PymtHouse",
        "tollkit.pymthouse.client.PymtHouseFlows.get_usage",
        "tollkit.tokenite.client.TokeniteFlows.call",
        "tollkit.tokenite.admin.apps.Apps.create",
        "tollkit.run402.namespaces.projects.Projects.sql",
        "tollkit.oidc.flows.OidcFlows.device_login",
        "tollkit.core.settings.Connection",
        "tollkit.sandbox.server.Sandbox",
    ):
        assert name in called
