"""The server, and a package generated from a document that has one of everything."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from raw_server import RawServer, raw_server

import tollkit_api

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parent / "data"
Generate = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def server() -> Iterator[RawServer]:
    with raw_server() as running:
        yield running


MANY = """
import contextlib, io, json, sys
from generator.main import main
outcomes = []
for folder in sys.argv[1:]:
    with contextlib.redirect_stderr(io.StringIO()) as said:
        outcomes.append((main(["--root", folder]), said.getvalue()))
print(json.dumps(outcomes))
"""


@pytest.fixture(scope="session")
def generator_python() -> str:
    """The interpreter that has the generators."""
    python = Path(os.environ.get("TOLLKIT_GENERATE_PYTHON", ROOT / ".venv-generate" / "bin" / "python"))
    if not python.exists():
        pytest.skip("the generator is not installed; `make generate` installs it")
    return str(python)


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="session")
def generate(generator_python: str) -> Generate:
    """Run the generator on a folder: `generate(folder, "--check")`."""
    program = str(ROOT / "scripts" / "generate.py")
    return lambda folder, *arguments: run([generator_python, program, "--root", str(folder), *arguments])


@pytest.fixture(scope="session")
def generate_many(generator_python: str) -> Callable[[list[Path]], list[tuple[int, str]]]:
    """Run the generator on folders, in one process; gives exit codes and what was said on stderr."""

    def run_many(folders: list[Path]) -> list[tuple[int, str]]:
        done = run([generator_python, "-c", MANY, *map(str, folders)])
        assert done.returncode == 0, done.stderr
        return [(code, said) for code, said in json.loads(done.stdout)]

    return run_many


@pytest.fixture(scope="session")
def sample_root(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose specs/ are the sample's, generated; tests leave it as it is."""
    root = tmp_path_factory.mktemp("sample")
    shutil.copytree(DATA / "specs", root / "specs")
    outcome = generate(root)
    assert outcome.returncode == 0, outcome.stderr
    return root


@pytest.fixture(scope="session")
def sample(sample_root: Path) -> Iterator[Callable[[str], ModuleType]]:
    """Import from the sample's package: `sample("models")`; it runs on the project's own runtime."""
    folder = str(sample_root / "generated" / "tollkit_api")
    tollkit_api.__path__.append(folder)
    yield lambda name: importlib.import_module(f"tollkit_api.sample.v1_0.{name}")
    tollkit_api.__path__.remove(folder)
