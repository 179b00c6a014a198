"""A clock that goes on by what is slept, and by nothing else."""

from __future__ import annotations

import asyncio
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tollkit.core import drivers
from tollkit.oidc import flows
from tollkit.run402.deploy import engine, upload
from tollkit.run402.namespaces import blobs

_sleep = asyncio.sleep


class _Besides(types.SimpleNamespace):
    """A module with some names replaced."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


@contextmanager
def still() -> Iterator[None]:
    """Let nothing wait."""
    slept = [0.0]

    def nap(seconds: float) -> None:
        slept[0] += seconds

    async def doze(seconds: float) -> None:
        slept[0] += seconds
        await _sleep(0)

    def now() -> float:
        return time.monotonic() + slept[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drivers, "time", _Besides(_module=time, sleep=nap))
        patch.setattr(drivers, "asyncio", _Besides(_module=asyncio, sleep=doze))
        for module in (engine, upload, blobs):
            patch.setattr(module, "time", _Besides(_module=time, monotonic=now))
        made = flows.OidcFlows.__init__

        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            made(self, *args, **{"clock": now, **kwargs})

        patch.setattr(flows.OidcFlows, "__init__", init)
        yield
