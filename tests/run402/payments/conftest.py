"""Both clients, and no journal outside the test's own folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.run402 import side

__all__ = ["side"]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the platform's files."""
    monkeypatch.setenv("RUN402_CONFIG_DIR", str(tmp_path / "run402"))
    return tmp_path / "run402"
