"""What an import and a call cost, in modules; and that the libraries of wallets wait until a wallet signs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache

import pytest

CLIENT = """
from types import SimpleNamespace
from tollkit.run402 import MemoryCredentials, Run402

def answer(code, **body):
    content = json.dumps(body).encode()
    return SimpleNamespace(status_code=code, headers={"content-type": "application/json"}, content=content)

class Http:
    def request(self, method, url, **arguments):
        return answers.pop(0)

    def close(self):
        pass

answers = [answer(200, status="ok", rows=[]), answer(402, message="renew")]
credentials = MemoryCredentials({"prj_1": {"anon_key": "a", "service_key": "s"}}, active_project_id="prj_1")
client = Run402(credentials=credentials, http_client=Http(), **options)
client.project().projects.sql("select 1")
try:
    client.project().projects.get_usage()
except Exception as error:
    assert error.kind == "payment_required", error
"""
WALLETS = ("coincurve", "Crypto", "filelock", "eth_account", "sqlite3", "tollkit.run402.payments.payer")


@cache
def modules(program: str) -> frozenset[str]:
    """What a fresh interpreter has loaded after the program."""
    program = f"import json, sys\n{program}\nprint(json.dumps(sorted(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    environment.pop("COVERAGE_PROCESS_CONFIG", None)  # which would bring modules of its own
    found = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    )
    return frozenset(json.loads(found.stdout))


@pytest.fixture(scope="module")
def libraries() -> frozenset[str]:
    return modules("import httpx, attrs")


def test_the_platform_adds_few_modules_to_those_of_its_libraries(libraries: frozenset[str]) -> None:
    added = modules("import tollkit.run402") - libraries
    assert len(added) <= 60, sorted(added)


def test_its_client_adds_no_more_than_another_platforms(libraries: frozenset[str]) -> None:
    added = modules("import tollkit.run402; tollkit.run402.Run402") - libraries
    peer = modules("import tollkit.pymthouse; tollkit.pymthouse.PymtHouse") - libraries
    assert len(added) <= len(peer), sorted(added - peer)


def test_a_namespace_is_loaded_when_it_is_asked_for() -> None:
    loaded = modules("options = {}\n" + CLIENT)
    namespaces = {name for name in loaded if name.startswith("tollkit.run402.namespaces.")}
    assert "tollkit.run402.namespaces.projects" in namespaces
    assert not {f"tollkit.run402.namespaces.{name}" for name in ("email", "contracts", "functions")} & namespaces


@pytest.mark.parametrize("options", ["{}", "{'payments': True}", "{'payments': False}"])
@pytest.mark.parametrize("library", WALLETS)
def test_what_wallets_need_waits_until_one_signs(library: str, options: str) -> None:
    """A 402 that is no price asks for no payment either."""
    assert library not in modules(f"options = {options}\n{CLIENT}")


def test_it_is_loaded_then() -> None:
    loaded = modules(
        "from tollkit.run402 import PrivateKeySigner, SiwxSigner\n"
        "SiwxSigner(PrivateKeySigner.generate(), 'https://api.run402.com').headers('/tiers/v1/status')"
    )
    assert {"coincurve", "Crypto"} <= {name.partition(".")[0] for name in loaded}
