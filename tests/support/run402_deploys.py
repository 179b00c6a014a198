"""A project in the sandboxed Run402, and a client of either kind that deploys to it over HTTP.

kit.apply(site={"index.html": b"hi"})        # deploys, and gives the result
kit.fault("reset", "POST */commit")          # lose the connection of the next one
assert kit.live() == {"index.html": b"hi"}
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any

import pytest

from support.run402 import Side
from support.run402_wallet import KEY
from tollkit import Connection
from tollkit.run402.client import AsyncRun402, Run402
from tollkit.run402.credentials import MemoryCredentials
from tollkit.run402.deploy.events import DeployEvent
from tollkit.run402.signer import PrivateKeySigner
from tollkit.sandbox import Fault, Run402Sandbox, Sandbox

SIGNER = PrivateKeySigner(KEY)
OURS = ("content.hash.progress", "content.upload.bytes")
_TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Kit:
    """One project, its owner's client, and what it told."""

    def __init__(self, side: Side, server: Sandbox) -> None:
        self.side = side
        self.server = server
        self.sandbox: Run402Sandbox = server.run402
        self.project = self.sandbox.seed_project()
        self.told: list[DeployEvent] = []
        keys = {self.project.id: {"anon_key": self.project.anon_key, "service_key": self.project.service_key}}
        self.credentials = MemoryCredentials(keys, signer=SIGNER, api_base=self.sandbox.api_base)
        self.client = self.another()

    def another(self, **changes: Any) -> Any:
        """A client of the same kind; another machine, as it were."""
        kind = AsyncRun402 if self.side.name == "async" else Run402
        arguments = {
            "api_base": self.sandbox.api_base,
            "credentials": self.credentials,
            "allow_insecure_http": True,
            "connection": Connection(verify=_TRUSTS_NOBODY, trust_env=False),
            **changes,
        }
        return self.side.made(kind(**arguments))

    @property
    def deploys(self) -> Any:
        """The sandbox's levers on deploys."""
        return self.sandbox.deploys

    def spec(self, site: Mapping[str, Any] | None = None, **sections: Any) -> dict[str, Any]:
        """A spec of the project."""
        return {
            "project": self.project.id,
            **sections,
            **({} if site is None else {"site": {"replace": dict(site)}}),
        }

    def do(self, method: str, /, *args: Any, client: Any = None, **kwargs: Any) -> Any:
        """Call `namespace.method` to its result."""
        found = client or self.client
        for name in method.split("."):
            found = getattr(found, name)
        return self.side.do(found(*args, **kwargs))

    def raises(self, kind: type[Exception], method: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call it to its error."""
        with pytest.raises(kind) as caught:
            self.do(method, *args, **kwargs)
        return caught.value

    def apply(self, site: Mapping[str, Any] | None = None, sections: Any = None, **options: Any) -> Any:
        """Deploy."""
        return self.do("deploy.apply", self.spec(site, **(sections or {})), on_event=self.told.append, **options)

    def refused(self, site: Mapping[str, Any] | None = None, sections: Any = None, **options: Any) -> Any:
        """Deploy, to its error."""
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the test looks at what it is
            self.apply(site, sections, **options)
        return caught.value

    def events(self) -> list[dict[str, Any]]:
        """What the platform's client would have told."""
        return [event.to_dict() for event in self.told if event.type not in OURS]

    def fault(self, kind: Any, match: str, **facts: Any) -> None:
        """Let the next fitting request go wrong."""
        self.server.faults.add(Fault(kind=kind, match=match, **facts))

    def live(self) -> dict[str, bytes]:
        """The site as it is served."""
        found: dict[str, bytes] = self.deploys.site(self.project.id)
        return found

    def wait(self, seconds: float) -> None:
        """Let an event loop, or threads, go on."""
        if self.side.name == "async":
            self.side.do(asyncio.sleep(seconds))
