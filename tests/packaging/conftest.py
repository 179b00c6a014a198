"""The wheel, built once, and an environment that has it and what it depends on, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tollkit.sandbox.pytest_plugin import pymthouse_sandbox, tollkit_sandbox, tollkit_sandbox_server

__all__ = ["pymthouse_sandbox", "tollkit_sandbox", "tollkit_sandbox_server"]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as `python -m build` makes it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    [made] = folder.glob("*.whl")
    return made


@pytest.fixture(scope="session")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment into which the wheel was installed without extras.

    The dependencies come from the environment of the tests, so that no network is needed.
    """
    home = tmp_path_factory.mktemp("bare")
    venv.create(home, with_pip=False)
    scheme = "nt" if os.name == "nt" else "posix_prefix"
    paths = sysconfig.get_paths(scheme, {"base": str(home), "platbase": str(home)})
    python = Path(paths["scripts"]) / ("python.exe" if os.name == "nt" else "python")
    target = Path(paths["purelib"])
    for name in _closure(["httpx", "attrs"]):
        _link(name, target)
    options = ["--no-deps", "--no-index", "--no-compile", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(wheel)],
        check=True,
        capture_output=True,
        env={**os.environ, "PIP_CONSTRAINT": "", "PIP_REQUIRE_VIRTUALENV": ""},
    )
    return python


def _closure(names: list[str]) -> set[str]:
    """The distributions and all that they need here, without extras."""
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop().lower()
        if name in found:
            continue
        found.add(name)
        for text in distribution(name).requires or []:
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                pending.append(needed.name)
    return found


def _link(name: str, target: Path) -> None:
    """Make a distribution of this environment importable from another."""
    here = distribution(name)
    for top in {path.parts[0] for path in here.files or [] if path.parts[0] not in ("..", "__pycache__")}:
        (target / top).symlink_to(str(here.locate_file(top)))


@pytest.fixture
def run(bare: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs code, or with `command` a program, in the bare environment; returns what came of it."""

    def go(
        code: str = "", *, command: str = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LANG") if name in os.environ}
        program = [str(bare.parent / command)] if command else [str(bare), "-I", "-W", "error", "-c", code]
        return subprocess.run(
            program, capture_output=True, text=True, check=False, cwd=tmp_path, env={**kept, **(env or {})}
        )

    return go
