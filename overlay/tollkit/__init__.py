"""tollkit: the Python SDK for platforms on which applications meter, sell and pay for AI work.

    from tollkit import PymtHouse, Tokenite

Nothing is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tollkit.core.settings import Connection, Timeout
    from tollkit.errors import TollkitError
    from tollkit.pymthouse.client import AsyncPymtHouse, PymtHouse
    from tollkit.run402.client import AsyncRun402, Run402
    from tollkit.secrets import Secret
    from tollkit.tokenite.admin import AsyncTokeniteAdmin, TokeniteAdmin
    from tollkit.tokenite.client import AsyncTokenite, Tokenite

__version__ = "0.1.0"

__all__ = [
    "AsyncPymtHouse",
    "AsyncRun402",
    "AsyncTokenite",
    "AsyncTokeniteAdmin",
    "Connection",
    "PymtHouse",
    "Run402",
    "Secret",
    "Timeout",
    "Tokenite",
    "TokeniteAdmin",
    "TollkitError",
    "__version__",
]

_HOME = {
    "AsyncPymtHouse": "pymthouse.client",
    "AsyncRun402": "run402.client",
    "AsyncTokenite": "tokenite.client",
    "AsyncTokeniteAdmin": "tokenite.admin",
    "Connection": "core.settings",
    "PymtHouse": "pymthouse.client",
    "Run402": "run402.client",
    "Secret": "secrets",
    "Timeout": "core.settings",
    "Tokenite": "tokenite.client",
    "TokeniteAdmin": "tokenite.admin",
    "TollkitError": "errors",
}


def __getattr__(name: str) -> Any:
    from tollkit_api.runtime.lazy import resolve

    return resolve(__name__, _HOME, name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
