"""Both clients, and a sandbox."""

from __future__ import annotations

from support.pymthouse import naps
from support.tokenite import side
from tollkit.sandbox.pytest_plugin import tokenite_sandbox, tollkit_sandbox, tollkit_sandbox_server

__all__ = ["naps", "side", "tokenite_sandbox", "tollkit_sandbox", "tollkit_sandbox_server"]
