"""tollkit: the Python SDK for platforms on which applications meter, sell and pay for AI work.

    from tollkit import PymtHouse

Nothing is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tollkit.core.settings import Connection, Timeout
    from tollkit.errors import TollkitError
    from tollkit.pymthouse.client import AsyncPymtHouse, PymtHouse
    from tollkit.secrets import Secret

__version__ = "0.1.0"

__all__ = ["AsyncPymtHouse", "Connection", "PymtHouse", "Secret", "Timeout", "TollkitError", "__version__"]

_HOME = {
    "AsyncPymtHouse": "pymthouse.client",
    "Connection": "core.settings",
    "PymtHouse": "pymthouse.client",
    "Secret": "secrets",
    "Timeout": "core.settings",
    "TollkitError": "errors",
}


def __getattr__(name: str) -> Any:
    from tollkit_api.runtime.lazy import resolve

    return resolve(__name__, _HOME, name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
