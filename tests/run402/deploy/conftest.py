"""A project in the sandbox, and a client that deploys to it."""

from __future__ import annotations

import types

import pytest

from support.run402 import Side
from support.run402_deploys import Kit
from tollkit.run402.deploy import engine
from tollkit.sandbox import Sandbox


@pytest.fixture
def slept(naps: list[float], monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited; nothing waits, and for the engine it took that long nevertheless."""
    monkeypatch.setattr(engine, "time", types.SimpleNamespace(monotonic=lambda: sum(naps)))
    return naps


@pytest.fixture
def kit(side: Side, tollkit_sandbox: Sandbox, slept: list[float]) -> Kit:
    """One project and its owner's client, blocking or async; nothing waits."""
    return Kit(side, tollkit_sandbox)
