"""One way to call both OIDC clients, for tests that must hold for either."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tollkit.core.settings import Connection
from tollkit.oidc import AsyncOidcClient, OidcClient

OPTIONS: dict[str, Any] = {"allow_insecure_http": True, "connection": Connection(trust_env=False)}
"""What a client of a provider on the loopback interface needs."""


class BlockingKind:
    """The blocking client."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.client = OidcClient(*args, **{**OPTIONS, **options})

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return getattr(self.client, name)

    def close(self) -> None:
        self.client.close()


class AsyncKind:
    """The async client, with an event loop of its own that runs during each call."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.loop = asyncio.Runner()
        self.client = AsyncOidcClient(*args, **{**OPTIONS, **options})

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)
        return lambda *args, **kwargs: self.loop.run(method(*args, **kwargs))

    def close(self) -> None:
        self.loop.run(self.client.aclose())
        self.loop.close()
