"""What is shipped: the files, the metadata, and that they work where nothing else is installed."""

from __future__ import annotations

import subprocess
import tomllib
import zipfile
from collections.abc import Callable
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import tollkit
from tollkit.sandbox import PymtHouseSandbox

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
DIST_INFO = f"tollkit-{PROJECT['version']}.dist-info"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def files(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def metadata(files: dict[str, bytes]) -> Message:
    return Parser().parsestr(files[f"{DIST_INFO}/METADATA"].decode())


# --- the files ----------------------------------------------------------------------------------------------


def test_only_the_two_packages_are_in_it(files: dict[str, bytes]) -> None:
    assert {name.partition("/")[0] for name in files} == {"tollkit", "tollkit_api", DIST_INFO}
    assert not [name for name in files if name.endswith((".pyc", ".yaml", ".jinja", ".orig", ".rej", "~"))]
    assert not [name for name in files if "/tests/" in name or "/specs/" in name or "__pycache__" in name]


def test_all_of_the_two_packages_is_in_it(files: dict[str, bytes]) -> None:
    for folder, package in (("overlay", "tollkit"), ("generated", "tollkit_api")):
        sources = {
            path.relative_to(ROOT / folder).as_posix(): path.read_bytes()
            for path in (ROOT / folder / package).rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
        assert {name: data for name, data in files.items() if name.startswith(f"{package}/")} == sources
        assert f"{package}/py.typed" in files


def test_no_path_of_the_machine_is_in_it(files: dict[str, bytes]) -> None:
    told = {str(ROOT).encode(), str(Path.home()).encode() + b"/"}
    assert not [name for name, data in files.items() if any(text in data for text in told)]


# --- the metadata -------------------------------------------------------------------------------------------


def test_metadata(metadata: Message, files: dict[str, bytes]) -> None:
    assert metadata["Name"] == "tollkit"
    assert metadata["Version"] == tollkit.__version__ == PROJECT["version"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    assert "# tollkit" in metadata.get_payload()
    assert f"{DIST_INFO}/licenses/LICENSE" in files


def test_it_needs_httpx_and_attrs_and_nothing_else(metadata: Message) -> None:
    needed = [text for text in metadata.get_all("Requires-Dist", []) if "extra ==" not in text]
    assert sorted(text.partition("<")[0].partition(">")[0] for text in needed) == ["attrs", "httpx"]


def test_extras(metadata: Message) -> None:
    extras = {"all", "cli", "django", "fast", "http2", "oidc", "payments", "redis", "rows", "sandbox", "starlette"}
    assert set(metadata.get_all("Provides-Extra", [])) == extras
    brings: dict[str, set[str]] = {}
    for text in metadata.get_all("Requires-Dist", []):
        name, _, marker = text.partition(";")
        if marker:
            brings.setdefault(marker.split("==")[1].strip(" '\""), set()).add(name.partition(">")[0].strip())
    assert {"joserfc", "filelock"} <= brings["oidc"]
    assert {"click"} <= brings["cli"]
    assert {"redis"} <= brings["redis"]
    assert (brings["fast"], brings["rows"]) == ({"aiohttp"}, {"msgspec"})
    assert {"starlette", "uvicorn"} <= brings["sandbox"]


def test_entry_points(files: dict[str, bytes]) -> None:
    told = files[f"{DIST_INFO}/entry_points.txt"].decode()
    assert "[console_scripts]\ntollkit = tollkit.cli:main" in told
    assert "[pytest11]\ntollkit = tollkit.sandbox.pytest_plugin" in told


# --- where nothing else is installed ------------------------------------------------------------------------


def told(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_it_is_imported_from_the_wheel(run: Run, bare: Path) -> None:
    code = "import tollkit, tollkit_api; print(tollkit.__version__, tollkit.__file__, tollkit_api.__file__)"
    version, *places = told(run(code))
    assert version == tollkit.__version__
    assert all(Path(place).is_relative_to(bare.parents[1]) for place in places)
    assert not any(Path(place).is_relative_to(ROOT) for place in places)


def test_nothing_else_is_there(run: Run) -> None:
    code = """
import importlib.util
names = ["joserfc", "redis", "starlette", "uvicorn", "click", "rich", "filelock", "h2", "pytest"]
print(*[name for name in names if importlib.util.find_spec(name)])
"""
    assert told(run(code)) == []


def test_every_module_can_be_imported_or_says_what_it_needs(run: Run) -> None:
    code = """
import importlib, pkgutil, tollkit, tollkit_api
count = 0
for package in (tollkit, tollkit_api):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + ".", onerror=lambda name: None):
        try:
            importlib.import_module(found.name)
            count += 1
        except ImportError:
            print(found.name)
assert count > 100, count
"""
    failing = told(run(code))
    assert failing
    optional = (
        "tollkit.sandbox.", "tollkit.cli.", "tollkit.tokenite.web.django", "tollkit.tokenite.web.starlette",
        "tollkit_api.runtime.rows", "tollkit_api.usage.v2026_05.rows",
    )  # fmt: skip
    assert [name for name in failing if not name.startswith(optional)] == []


WORK = """
import asyncio
from datetime import date
from tollkit import AsyncPymtHouse, PymtHouse
from tollkit.pymthouse import ManifestCache, PmtHouseError, SqliteEtagStore, compute_manifest_revision
from tollkit_api.usage.v2026_05.api.usage import get_usage

with PymtHouse.from_env() as client:
    session = client.mint_signer_session_for_external_user("user-42", email="ada@example.com")
    print(session.scope, session.expires_in)
    print(client.get_usage(start_date=date(2026, 5, 1), end_date=date(2026, 5, 31)).totals.request_count)
    print(type(get_usage.sync(client.public_client_id, client=client.api)).__name__)
    found = ManifestCache(client, SqliteEtagStore("manifests.sqlite")).get().manifest
    assert compute_manifest_revision({**found.to_dict(), "manifestVersion": None}) == found.manifest_version
    try:
        client.mint_user_access_token("nobody")
    except PmtHouseError as error:
        print(error.code)

async def main():
    async with AsyncPymtHouse.from_env() as client:
        print((await client.upsert_app_user("user-42")).status)

asyncio.run(main())
"""


def test_it_works(run: Run, pymthouse_sandbox: PymtHouseSandbox) -> None:
    assert told(run(WORK, env=pymthouse_sandbox.env())) == [
        *("sign:job", "7776000"),
        "0",
        "UsageResponse",
        "not_found",
        "active",
    ]
    assert list(pymthouse_sandbox.app.users) == ["user-42"]


NEEDS: dict[str, tuple[str, str]] = {
    "verification": (
        "oidc",
        """
from tollkit import PymtHouse
with PymtHouse.from_env() as client:
    token = client.issue_machine_access_token().access_token
    act = lambda: client.verify_access_token(token)
    attempt(act)
""",
    ),
    "verification without a client": (
        "oidc",
        """
from tollkit import PymtHouse
from tollkit.pymthouse import verify_jwt
with PymtHouse.from_env() as client:
    token = client.issue_machine_access_token().access_token
attempt(lambda: verify_jwt(token, issuer_url=client.issuer_url, audience=client.issuer_url, allow_insecure_http=True))
""",
    ),
    "a file of tokens": (
        "oidc",
        "from tollkit.oidc import FileTokenStore\nattempt(lambda: FileTokenStore('tokens.json'))",
    ),
    "redis": (
        "redis",
        "from tollkit.pymthouse import RedisEtagStore\nattempt(lambda: RedisEtagStore('redis://127.0.0.1/0'))",
    ),
    "HTTP/2": (
        "http2",
        """
from tollkit import Connection, PymtHouse
attempt(lambda: PymtHouse.from_env(connection=Connection(http2=True)).list_app_users())
""",
    ),
    "the sandbox": ("sandbox", "import tollkit.sandbox\nattempt(lambda: tollkit.sandbox.Sandbox())"),
}
ATTEMPT = """
from tollkit.errors import MissingExtraError

def attempt(call):
    try:
        call()
    except MissingExtraError as error:
        assert isinstance(error, ImportError)
        assert f"pip install 'tollkit[{error.extra}]'" in str(error), error
        print(error.extra)
"""


@pytest.mark.parametrize("case", NEEDS)
def test_a_missing_extra_is_named(run: Run, pymthouse_sandbox: PymtHouseSandbox, case: str) -> None:
    extra, code = NEEDS[case]
    assert told(run(ATTEMPT + code, env=pymthouse_sandbox.env())) == [extra]


def test_the_command_says_what_it_needs(run: Run) -> None:
    done = run(command="tollkit")
    assert done.returncode == 1
    assert "pip install 'tollkit[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_types_are_told_from_the_wheel(run: Run) -> None:
    code = """
from importlib.resources import files
print(*[(files(name) / "py.typed").is_file() for name in ("tollkit", "tollkit_api")])
"""
    assert told(run(code)) == ["True", "True"]
