"""A certified OpenID provider (npm's oidc-provider), started on a loopback port of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx

from support import npm

HERE = Path(__file__).parent


@attrs.frozen
class Provider:
    """The provider, and what tells it to misbehave."""

    issuer: str
    api: str
    http: httpx.Client

    def control(self, what: str, **told: Any) -> None:
        self.http.post(f"{self.issuer}/control/{what}", json=told).raise_for_status()

    def counts(self) -> dict[str, int]:
        return self.http.get(f"{self.issuer}/control/counts").json()

    def forget_counts(self) -> None:
        self.http.post(f"{self.issuer}/control/counts").raise_for_status()


@contextmanager
def running() -> Iterator[Provider]:
    """The provider, until the end of the `with` block."""
    with (
        npm.running(HERE, "provider.mjs", "the certified OpenID provider") as told,
        httpx.Client(trust_env=False) as http,
    ):
        yield Provider(**told, http=http)
