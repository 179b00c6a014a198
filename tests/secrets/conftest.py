"""Both clients, and a sandbox."""

from __future__ import annotations

from support.pymthouse import naps, side
from tollkit.sandbox.pytest_plugin import pymthouse_sandbox, tollkit_sandbox, tollkit_sandbox_server

__all__ = ["naps", "pymthouse_sandbox", "side", "tollkit_sandbox", "tollkit_sandbox_server"]
