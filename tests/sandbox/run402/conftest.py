"""Shared parts of the tests of the sandboxed Run402."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from run402_caller import AsyncSide, BlockingSide, Caller, Side

from tollkit.sandbox import Run402Sandbox


@pytest.fixture(scope="session")
def run402_http() -> Iterator[httpx.Client]:
    """A plain HTTP client."""
    with httpx.Client() as http:
        yield http


@pytest.fixture
def caller(run402_sandbox: Run402Sandbox, run402_http: httpx.Client) -> Caller:
    """Plain HTTP with keys, wallets and payments made by hand."""
    return Caller(run402_http, run402_sandbox)


@pytest.fixture(params=[BlockingSide, AsyncSide], ids=["blocking", "async"])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    """The blocking or the async client."""
    chosen = request.param()
    yield chosen
    chosen.end()
