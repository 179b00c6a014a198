"""Both ways to call a client, and waits that take no time."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Iterator
from typing import Any

import pytest

from support.toy import SIDES, Side
from tollkit.core import drivers

_asyncio_sleep = asyncio.sleep


@pytest.fixture(params=SIDES, ids=lambda kind: f"{kind.name}-{kind.engine}")
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    """A client of either kind and engine: `side.client(url)` makes one, `side.do(client.method())` calls it."""
    chosen = request.param()
    yield chosen
    chosen.end()


class _Asyncio(types.SimpleNamespace):
    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the drivers were told to wait; they do not."""
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)
        await _asyncio_sleep(0)

    monkeypatch.setattr(drivers, "time", types.SimpleNamespace(sleep=taken.append))
    monkeypatch.setattr(drivers, "asyncio", _Asyncio(sleep=sleep))
    return taken


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine sets must not change where requests go."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
