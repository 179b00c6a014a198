"""A sandbox, an engine, and a count of what was tried and of what was left over."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from concurrency_bench import Bench
from concurrency_cancelling import MOMENTS, Moment
from concurrency_leaks import ENGINES, TALLY, Pools

from support.pymthouse import naps
from tollkit import AsyncPymtHouse, Connection, PymtHouse
from tollkit.sandbox import Sandbox
from tollkit.sandbox.pytest_plugin import (
    pymthouse_sandbox,
    run402_sandbox,
    tokenite_sandbox,
    tollkit_sandbox,
    tollkit_sandbox_server,
)

__all__ = [
    "naps",
    "pymthouse_sandbox",
    "run402_sandbox",
    "tokenite_sandbox",
    "tollkit_sandbox",
    "tollkit_sandbox_server",
]

# to load the certificates of the machine takes 20 ms a client, and nothing in these tests speaks TLS
_TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    return str(request.param)


@pytest.fixture
def connection(engine: str) -> Connection:
    """Settings with this engine."""
    if engine == "httpx":
        return Connection(engine="httpx", verify=_TRUSTS_NOBODY, trust_env=False)
    return Connection(engine="aiohttp", trust_env=False)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine sets must not change where requests go."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of the platform's tools outside the test's own folder."""
    monkeypatch.setenv("RUN402_CONFIG_DIR", str(tmp_path / "run402"))


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> Pools:
    """Every connection pool of httpx that the test makes."""
    found = Pools()
    found.watch(monkeypatch)
    return found


@pytest.fixture(scope="session")
def _engine_is_warm() -> None:
    """What the engine opens once for the process, its poll and its threads, counts to nobody."""
    if "aiohttp" in ENGINES:
        with Sandbox() as sandbox, PymtHouse.from_env(sandbox.pymthouse.env()) as client:
            client.get_app()

            async def once() -> None:
                async with AsyncPymtHouse.from_env(sandbox.pymthouse.env()) as other:
                    await other.get_app()

            asyncio.run(once())


@pytest.fixture
def bench(
    tollkit_sandbox: Sandbox, pools: Pools, tmp_path: Path, connection: Connection, _engine_is_warm: None
) -> Iterator[Bench]:
    yield Bench(tollkit_sandbox, pools, tmp_path, connection)
    TALLY["methods cancelled everywhere"] += 1


@pytest.fixture(params=MOMENTS)
def moment(request: pytest.FixtureRequest) -> Moment:
    found: Moment = request.param
    return found


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell what was tried; the counts of each worker are its own under pytest-xdist."""
    if TALLY:
        told = ", ".join(f"{count:,} {what}" for what, count in sorted(TALLY.items()))
        terminalreporter.write_line(f"tests/concurrency: {told}")
