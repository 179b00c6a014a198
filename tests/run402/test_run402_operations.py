"""Every request that the clients can send is an operation of the document, and docs/run402/methods.md tells of it."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tollkit.run402.client import Groups
from tollkit_api.run402.v1_57._provenance import OPERATIONS

ROOT = Path(__file__).parents[2]
OVERLAY = ROOT / "overlay" / "tollkit" / "run402"
API = "tollkit_api.run402.v1_57.api"
COMING = {"blobs"} - set(vars(Groups))
"""Namespaces that the clients do not have yet."""
OTHER_ADDRESSES = {"namespaces/projects.py": 1}
"""Where a request gets an address that its operation did not make: `projects.rest` with a query as text."""
BY_HAND = {
    "kernel.py": "downloads: the request of an operation, whose body goes to a file",
    "ci/credentials.py": "the token service of GitHub Actions, at the address that the workflow is told",
    "deploy/upload.py": "presigned addresses, which the gateway hands out",
    "parts.py": "presigned addresses, which the gateway hands out",
}
"""What is sent elsewhere than to the gateway, or in another way."""


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("run402_methods", ROOT / "scripts" / "run402_methods.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["run402_methods"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["run402_methods"]


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(OVERLAY.rglob("*.py")):
        yield path.relative_to(OVERLAY).as_posix(), ast.parse(path.read_text("utf-8"))


def test_the_document_has_the_operations_of_the_platforms_client(script: ModuleType) -> None:
    assert len(script.operations()) == 116
    assert {operation.id: name for name, operation in script.operations().items()} == OPERATIONS


def test_every_operation_is_sent_by_a_method_or_comes_later(script: ModuleType) -> None:
    sent = {module for method in script.methods() for module in method.operations}
    assert sent <= set(script.operations())
    missing = set(script.operations()) - sent
    assert {name.partition(".")[0] for name in missing} == COMING


def test_every_operation_that_the_code_imports_is_one(script: ModuleType) -> None:
    """Whoever imports it: what a method reaches is found by its code, and this finds what it would overlook."""
    imported: set[str] = set()
    for _, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(API):
                imported |= {f"{str(node.module).removeprefix(f'{API}.')}.{alias.name}" for alias in node.names}
    reached = {module for method in script.methods() for module in method.operations}
    assert imported <= set(script.operations())
    assert {name for name in imported - reached if name.partition(".")[0] not in COMING} == set()
    assert {name.partition(".")[0] for name in reached - imported} == {"functions"}  # by the verb of `invoke`


def test_no_request_is_made_by_hand() -> None:
    addresses: dict[str, int] = {}
    for where, tree in sources():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func).rpartition(".")[2]
            assert name not in {"Request", "Wire"} or where in BY_HAND, f"{where}:{node.lineno} makes a request"
            if name == "evolve" and {keyword.arg for keyword in node.keywords} & {"url", "params"}:
                addresses[where] = addresses.get(where, 0) + 1
    assert addresses == OTHER_ADDRESSES


def test_every_method_tells_what_it_sends(script: ModuleType) -> None:
    """`Source:` in the docstring of a method names an operation that its code comes to."""
    for method in script.methods():
        group = script._groups(script.Groups)[method.namespace]
        told = re.search(r"Source: Run402 gateway, `(?:([A-Z]+) )?([^`?]+)", vars(group)[method.name].__doc__)
        if told:
            reached = [script.operations()[module] for module in method.operations]
            paths = {one.path for one in reached if told[1] in {one.method, None}}
            assert told[2] in paths, f"{method.namespace}.{method.name}"


def test_the_page_is_as_the_code(script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["run402_methods.py", "--check"])
    assert script.main() == 0, capsys.readouterr().out


def test_the_check_tells_of_another_page(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    page = script.ROOT / "docs" / "run402" / "nothing-of-the-kind.md"
    monkeypatch.setattr(script, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["run402_methods.py", "--check"])
    assert script.main() == 1
    assert "nothing-of-the-kind.md is not what the code gives" in capsys.readouterr().out
    assert not page.exists()


def test_the_page_has_every_name_once(script: ModuleType) -> None:
    page = script.page()
    for method in script.methods():
        section = page.partition(f"\n## {method.namespace}\n")[2].partition("\n## ")[0]
        for name in (method.name, *method.aliases):
            assert len(re.findall(rf"^\|[^|]*`{name}`", section, re.MULTILINE)) == 1, f"{method.namespace}.{name}"
