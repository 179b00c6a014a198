"""Both clients."""

from __future__ import annotations

from support.pymthouse import side

__all__ = ["side"]
