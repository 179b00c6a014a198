"""Nothing waits: the clock that waiting loops look at goes on by what was slept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from still import still


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Nothing waits."""
    with still():
        yield
