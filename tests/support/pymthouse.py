"""Both clients of PymtHouse behind one way to call them, for tests against a sandbox.

    client = side.client(pymthouse_sandbox)
    user = side.do(client.upsert_app_user("alice"))

`side` is a fixture: each test that takes it runs once with the blocking and once with the async client. A
conftest takes over what it needs of the fixtures below, and those of `tollkit.sandbox.pytest_plugin`.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tollkit import AsyncPymtHouse, Connection, PymtHouse
from tollkit.core import drivers
from tollkit.pymthouse import AsyncManifestCache, ManifestCache
from tollkit.sandbox import PymtHouseSandbox

_asyncio_sleep = asyncio.sleep
# to load the certificates of the machine takes 20 ms a client, and nothing in these tests speaks TLS
_TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def arguments(place: PymtHouseSandbox, **changes: Any) -> dict[str, Any]:
    """What a client of the sandbox's first app is made with."""
    return {
        "issuer_url": place.issuer_url,
        "public_client_id": place.public_client_id,
        "m2m_client_id": place.m2m_client_id,
        "m2m_client_secret": place.m2m_client_secret,
        "allow_insecure_http": True,
        "connection": Connection(verify=_TRUSTS_NOBODY, trust_env=False),
        **changes,
    }


class BlockingSide:
    """Calls the blocking client."""

    name = "blocking"
    kind = PymtHouse
    cache_kind = ManifestCache

    def __init__(self) -> None:
        self._opened: list[PymtHouse] = []

    def client(self, place: PymtHouseSandbox, **changes: Any) -> Any:
        """A client of the sandbox's first app; closed at the end of the test."""
        return self.made(PymtHouse(**arguments(place, **changes)))

    def made(self, client: Any) -> Any:
        """Close a client at the end of the test."""
        self._opened.append(client)
        return client

    def do(self, value: Any) -> Any:
        """What the call returned."""
        return value

    def all(self, call: Callable[[], Any], times: int) -> list[Any]:
        """The outcomes of many calls that begin at once, each in a thread; errors are outcomes."""
        outcomes: list[Any] = []
        gate = threading.Barrier(times)

        def one() -> None:
            gate.wait()
            try:
                outcomes.append(call())
            except Exception as error:
                outcomes.append(error)

        threads = [threading.Thread(target=one) for _ in range(times)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return outcomes

    def function(self, module: Any, name: str) -> Callable[..., Any]:
        """A module's function."""
        return getattr(module, name)

    def http_client(self, script: Any) -> Any:
        """The client of a `support.scripted_http.Script`."""
        return script.client

    def end(self) -> None:
        """Close what was opened."""
        for client in self._opened:
            client.close()


class AsyncSide:
    """Calls the async client, all calls of a test in one event loop."""

    name = "async"
    kind = AsyncPymtHouse
    cache_kind = AsyncManifestCache

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._opened: list[AsyncPymtHouse] = []

    def client(self, place: PymtHouseSandbox, **changes: Any) -> Any:
        """A client of the sandbox's first app; closed at the end of the test."""
        return self.made(AsyncPymtHouse(**arguments(place, **changes)))

    def made(self, client: Any) -> Any:
        """Close a client at the end of the test."""
        self._opened.append(client)
        return client

    def do(self, value: Any) -> Any:
        """What the call returns when it is awaited."""
        return self._runner.run(value)

    def all(self, call: Callable[[], Any], times: int) -> list[Any]:
        """The outcomes of many calls that begin at once, each in a task; errors are outcomes."""

        async def main() -> Sequence[Any]:
            return await asyncio.gather(*(call() for _ in range(times)), return_exceptions=True)

        return list(self._runner.run(main()))

    def function(self, module: Any, name: str) -> Callable[..., Any]:
        """A module's function, in its async form."""
        return getattr(module, f"{name}_async")

    def http_client(self, script: Any) -> Any:
        """The async client of a `support.scripted_http.Script`."""
        return script.async_client

    def end(self) -> None:
        """Close what was opened, and the event loop."""
        for client in self._opened:
            self.do(client.aclose())
        self._runner.close()


Side = BlockingSide | AsyncSide


@pytest.fixture(params=[BlockingSide, AsyncSide], ids=lambda kind: kind.name)
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    """The blocking or the async client."""
    chosen = request.param()
    yield chosen
    chosen.end()


class _Asyncio(types.SimpleNamespace):
    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the drivers were told to wait; they do not."""
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)
        await _asyncio_sleep(0)

    monkeypatch.setattr(drivers, "time", types.SimpleNamespace(sleep=taken.append))
    monkeypatch.setattr(drivers, "asyncio", _Asyncio(sleep=sleep))
    return taken
