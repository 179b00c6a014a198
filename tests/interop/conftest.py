"""The certified provider, started once for all tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from certified_provider import Provider, running


@pytest.fixture(scope="session")
def _provider() -> Iterator[Provider]:
    with running() as provider:
        yield provider


@pytest.fixture
def provider(_provider: Provider) -> Provider:
    """The provider in good order, with all counts at 0."""
    _provider.control("jwks", status=200)
    _provider.control("delay", ms=0)
    _provider.forget_counts()
    return _provider
