"""The platforms of tollkit, served from one loopback process for tests and demos.

    from tollkit.sandbox import Sandbox

    with Sandbox() as sandbox:
        sandbox.pymthouse.demo_data()
        print(sandbox.env())

No account, no network and no money is involved. Needs `pip install 'tollkit[sandbox]'`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tollkit.sandbox.clock import Clock
    from tollkit.sandbox.faults import Fault, Faults
    from tollkit.sandbox.pymthouse.platform import PymtHouseSandbox
    from tollkit.sandbox.recorder import RecordedRequest, RequestLog
    from tollkit.sandbox.run402.platform import Run402Sandbox
    from tollkit.sandbox.server import Sandbox, banner, env_lines, run_forever
    from tollkit.sandbox.tokenite.person import Person
    from tollkit.sandbox.tokenite.platform import TokeniteSandbox

__all__ = [
    "Clock",
    "Fault",
    "Faults",
    "Person",
    "PymtHouseSandbox",
    "RecordedRequest",
    "RequestLog",
    "Run402Sandbox",
    "Sandbox",
    "TokeniteSandbox",
    "banner",
    "env_lines",
    "run_forever",
]

_HOMES = {
    "Clock": "clock",
    "Fault": "faults",
    "Faults": "faults",
    "Person": "tokenite.person",
    "PymtHouseSandbox": "pymthouse.platform",
    "RecordedRequest": "recorder",
    "RequestLog": "recorder",
    "Run402Sandbox": "run402.platform",
    "Sandbox": "server",
    "TokeniteSandbox": "tokenite.platform",
    "banner": "server",
    "env_lines": "server",
    "run_forever": "server",
}
_EXTRA = ("cryptography", "joserfc", "starlette", "uvicorn", "h11")


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{home}"), name)
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in _EXTRA:
            raise
        from tollkit.errors import MissingExtraError

        raise MissingExtraError("the sandbox", "sandbox") from missing


def __dir__() -> list[str]:
    return sorted(__all__)
