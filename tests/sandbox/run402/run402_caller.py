"""Ways to call the sandboxed Run402: plain HTTP with everything made by hand, and the real clients.

caller.get("/tiers/v1/status", signer=SIGNER)              # signs in
caller.get(f"/projects/v1/admin/{id}/usage", key=project.service_key)
caller.paid("POST", "/tiers/v1/hobby", signer=SIGNER)      # pays the 402 that comes

client = side.client(run402_sandbox, signer=SIGNER, projects=[project])
side.do(client.tier.status())
"""

from __future__ import annotations

import ssl
from typing import Any

import httpx

from support import pymthouse
from support.run402_wallet import KEY, OTHER_KEY
from tollkit import Connection
from tollkit.run402.client import AsyncRun402, Run402
from tollkit.run402.credentials import MemoryCredentials
from tollkit.run402.eip3009 import new_nonce
from tollkit.run402.signer import PrivateKeySigner, Signer
from tollkit.run402.siwx import HEADER, SiwxMessage, siwx_header_value
from tollkit.run402.x402 import BASE_SEPOLIA, Challenge, payment_header, payment_payload, read_challenge
from tollkit.sandbox import Run402Sandbox
from tollkit.sandbox.run402.gateway import Project

SIGNER = PrivateKeySigner(KEY)
OTHER = PrivateKeySigner(OTHER_KEY)
_TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Caller:
    """Plain HTTP below `api_base`."""

    def __init__(self, http: httpx.Client, sandbox: Run402Sandbox) -> None:
        self.http = http
        self.sandbox = sandbox

    def send(
        self,
        method: str,
        path: str,
        *,
        signer: Signer | None = None,
        key: str | None = None,
        apikey: str | None = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """Send a request.

        Args:
            method: Of HTTP.
            path: Below `api_base`, with its query.
            signer: Whose wallet signs in.
            key: A key to send as Bearer.
            apikey: A key to send as `apikey`.
            headers: Further ones; they win.
            options: Of httpx: `json=`, `content=`.
        """
        sent: dict[str, str] = {}
        if signer is not None:
            sent |= self.signed(path, signer)
        if key is not None:
            sent["authorization"] = f"Bearer {key}"
        if apikey is not None:
            sent["apikey"] = apikey
        return self.http.request(method, self.sandbox.api_base + path, headers={**sent, **(headers or {})}, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.send("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.send("POST", path, **options)

    def signed(self, path: str, signer: Signer = SIGNER, **changes: Any) -> dict[str, str]:
        """The header that signs in; `changes` go over the message's fields."""
        import attrs

        message = SiwxMessage.new(self.sandbox.api_base, path, now=self.sandbox.clock.now())
        return {HEADER: str.__str__(siwx_header_value(attrs.evolve(message, **changes), signer))}

    def payment(
        self,
        answer: httpx.Response,
        signer: Signer = SIGNER,
        *,
        network: str = BASE_SEPOLIA,
        nonce: str | None = None,
    ) -> dict[str, str]:
        """The header that pays what a 402 asks for."""
        name, value = payment_header(self.payload(answer, signer, network=network, nonce=nonce))
        return {name: str.__str__(value)}

    def payload(
        self,
        answer: httpx.Response,
        signer: Signer = SIGNER,
        *,
        network: str = BASE_SEPOLIA,
        nonce: str | None = None,
    ) -> dict[str, Any]:
        """The payment of what a 402 asks for, to be spoilt or sent."""
        asked = challenge(answer)
        requirement = next(one for one in asked.accepts if one.network == network)
        now = int(self.sandbox.clock.now())
        return payment_payload(asked, requirement, signer, now=now, nonce=nonce or new_nonce())

    def paid(
        self, method: str, path: str, *, signer: Signer = SIGNER, network: str = BASE_SEPOLIA, **options: Any
    ) -> httpx.Response:
        """Send a request, and once more with the payment that it asks for."""
        headers = self.signed(path, signer)
        asked = self.send(method, path, headers=headers, **options)
        assert asked.status_code == 402
        return self.send(method, path, headers={**headers, **self.payment(asked, signer, network=network)}, **options)


def challenge(answer: httpx.Response) -> Challenge:
    """What a 402 asks for."""
    found = read_challenge(answer.headers, answer.content)
    assert found is not None
    return found


def _arguments(
    sandbox: Run402Sandbox, signer: Signer | None, projects: tuple[Project, ...], credentials: object, changes: Any
) -> dict[str, Any]:
    keys = {project.id: {"anon_key": project.anon_key, "service_key": project.service_key} for project in projects}
    return {
        "api_base": sandbox.api_base,
        "credentials": credentials or MemoryCredentials(keys, signer=signer, api_base=sandbox.api_base),
        "allow_insecure_http": True,
        "connection": Connection(verify=_TRUSTS_NOBODY, trust_env=False),
        **changes,
    }


class BlockingSide(pymthouse.BlockingSide):
    """Calls the blocking client."""

    def client(
        self,
        sandbox: Run402Sandbox,
        *projects: Project,
        signer: Signer | None = None,
        credentials: object = None,
        **changes: Any,
    ) -> Any:
        """A client that knows the keys of these projects and holds this wallet; closed at the end of the test."""
        return self.made(Run402(**_arguments(sandbox, signer, projects, credentials, changes)))


class AsyncSide(pymthouse.AsyncSide):
    """Calls the async client, all calls of a test in one event loop."""

    def client(
        self,
        sandbox: Run402Sandbox,
        *projects: Project,
        signer: Signer | None = None,
        credentials: object = None,
        **changes: Any,
    ) -> Any:
        """A client that knows the keys of these projects and holds this wallet; closed at the end of the test."""
        return self.made(AsyncRun402(**_arguments(sandbox, signer, projects, credentials, changes)))


Side = BlockingSide | AsyncSide
