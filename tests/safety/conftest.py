"""Both kinds of client, both engines, and two servers of different origins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_args, get_type_hints

import pytest

from support.certificates import Authority
from support.pymthouse import naps
from support.run402 import side
from support.server import Answer, Seen, Server
from tollkit.core.settings import Connection

__all__ = ["naps", "side"]

ENGINES = [name for name in get_args(get_type_hints(Connection)["engine"]) if name != "auto"]
Connect = Callable[..., Connection]


@pytest.fixture(params=ENGINES)
def connect(request: pytest.FixtureRequest) -> Connect:
    """Makes the connection settings of each engine."""
    return lambda **settings: Connection(engine=request.param, **settings)


@pytest.fixture(autouse=True)
def _nothing_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine sets must not change where requests go, nor whom they trust."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def stranger() -> Iterator[Server]:
    """A server of another origin, which nobody has configured."""
    with Server() as server:
        yield server


@pytest.fixture(params=[302, 307])
def turncoat(request: pytest.FixtureRequest, stranger: Server) -> Iterator[Server]:
    """A server that sends everybody on to the stranger, with any cookie to take along."""

    def onward(seen: Seen) -> Any:
        told = {"location": f"{stranger.url}{seen.target}", "set-cookie": "taken=along; Path=/"}
        return Answer(request.param, b"", told)

    with Server(default=onward) as server:
        yield server


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority that nobody trusts unless told to."""
    return Authority(tmp_path_factory.mktemp("authority"))
