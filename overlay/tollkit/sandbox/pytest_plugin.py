"""Fixtures for test suites; pytest loads this module by itself when tollkit is installed.

* `tollkit_sandbox`: a running `Sandbox`, one server for the session, its state forgotten before each test;
* `pymthouse_sandbox`: the `PymtHouseSandbox` of it;
* `tokenite_sandbox`: the `TokeniteSandbox` of it;
* `run402_sandbox`: the `Run402Sandbox` of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tollkit.sandbox.pymthouse.platform import PymtHouseSandbox
    from tollkit.sandbox.run402.platform import Run402Sandbox
    from tollkit.sandbox.server import Sandbox
    from tollkit.sandbox.tokenite.platform import TokeniteSandbox

__all__ = [
    "pymthouse_sandbox",
    "run402_sandbox",
    "tokenite_sandbox",
    "tollkit_sandbox",
    "tollkit_sandbox_server",
]


@pytest.fixture(scope="session")
def tollkit_sandbox_server() -> Iterator[Sandbox]:
    """The server of the session; tests take `tollkit_sandbox`, which also forgets what the last one left."""
    from tollkit.sandbox import Sandbox  # a session without the fixture must not pay for it

    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def tollkit_sandbox(tollkit_sandbox_server: Sandbox) -> Sandbox:
    """A running sandbox in its first state."""
    tollkit_sandbox_server.reset()
    return tollkit_sandbox_server


@pytest.fixture
def pymthouse_sandbox(tollkit_sandbox: Sandbox) -> PymtHouseSandbox:
    """PymtHouse in a running sandbox in its first state."""
    return tollkit_sandbox.pymthouse


@pytest.fixture
def tokenite_sandbox(tollkit_sandbox: Sandbox) -> TokeniteSandbox:
    """Tokenite in a running sandbox in its first state."""
    return tollkit_sandbox.tokenite


@pytest.fixture
def run402_sandbox(tollkit_sandbox: Sandbox) -> Run402Sandbox:
    """Run402 in a running sandbox in its first state."""
    return tollkit_sandbox.run402
