"""What an import costs, in modules: that is the same on every machine, and milliseconds are not."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


def modules(statement: str) -> set[str]:
    """What a fresh interpreter has loaded after the statement."""
    program = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    environment.pop("COVERAGE_PROCESS_CONFIG", None)  # which would bring modules of its own
    found = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    )
    return set(json.loads(found.stdout))


@pytest.fixture(scope="module")
def bare() -> set[str]:
    return modules("")


@pytest.fixture(scope="module")
def libraries() -> set[str]:
    return modules("import httpx, attrs")


@pytest.fixture(scope="module")
def pymthouse() -> set[str]:
    return modules("import tollkit.pymthouse")


def test_tollkit_alone_loads_next_to_nothing(bare: set[str]) -> None:
    loaded = modules("import tollkit") - bare
    assert len(loaded) < 60, sorted(loaded)
    assert "httpx" not in loaded
    assert {name for name in loaded if name.startswith("tollkit")} == {"tollkit"}


@pytest.mark.parametrize("statement", ["from tollkit import Timeout", "from tollkit import TollkitError, Secret"])
def test_its_names_load_what_they_need_and_no_http(statement: str, bare: set[str]) -> None:
    assert "httpx" not in modules(statement) - bare


def test_a_platform_adds_few_modules_to_those_of_its_libraries(libraries: set[str], pymthouse: set[str]) -> None:
    added = pymthouse - libraries
    assert len(added) <= 60, sorted(added)


@pytest.mark.parametrize(
    "library", ["httpx", "joserfc", "cryptography", "redis", "sqlite3", "msgspec", "pydantic", "yaml"]
)
def test_a_platform_loads_no_library_before_it_is_used(library: str, pymthouse: set[str]) -> None:
    assert library not in pymthouse


@pytest.mark.parametrize("library", ["httpx", "sqlite3", "redis"])
def test_a_client_loads_no_library_before_its_first_request(library: str) -> None:
    program = (
        "from tollkit.core.client import AsyncClient, BlockingClient\n"
        "from tollkit.core.etag_store import MemoryEtagStore\n"
        "from tollkit.core.settings import Connection\n"
        "MemoryEtagStore(); Connection()"
    )
    assert library not in modules(program)
