"""Both clients."""

from __future__ import annotations

from support.pymthouse import naps
from support.run402 import side

__all__ = ["naps", "side"]
