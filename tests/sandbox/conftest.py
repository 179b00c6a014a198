"""Shared parts of the sandbox's tests."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from sandbox_caller import Caller

from tollkit.sandbox import PymtHouseSandbox, Sandbox


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server: Sandbox) -> Sandbox:
    server.reset()
    return server


@pytest.fixture
def platform(sandbox: Sandbox) -> PymtHouseSandbox:
    return sandbox.pymthouse


@pytest.fixture
def caller(sandbox: Sandbox) -> Iterator[Caller]:
    with httpx.Client(base_url=sandbox.url) as http:
        yield Caller(http, sandbox.pymthouse)
