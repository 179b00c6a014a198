"""Both clients of Tokenite behind one way to call them, as `support.pymthouse` has it for PymtHouse."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from support import pymthouse
from tollkit import AsyncTokenite, Connection, Tokenite
from tollkit.sandbox import Person
from tollkit.tokenite import CallbackSuccess, parse_callback

# to load the certificates of the machine takes 20 ms a client, and nothing in these tests speaks TLS
_TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
QUICK = Connection(verify=_TRUSTS_NOBODY, trust_env=False)


def arguments(place: Any, **changes: Any) -> dict[str, Any]:
    """What a client of the sandbox's app is made with."""
    return {
        "client_id": place.client_id,
        "client_secret": place.client_secret,
        "redirect_uri": place.redirect_uri,
        "base_url": place.base_url,
        "proxy_base": place.proxy_base,
        "allow_insecure_http": True,
        "connection": QUICK,
        **changes,
    }


def authorization_code(place: Any, **changes: Any) -> str:
    """A code that a person has approved in the sandbox's pages."""
    with Tokenite(**arguments(place, **changes)) as client:
        asked = client.get_authorize_url(suggested_budget=5)
    found = parse_callback(Person().approve(asked.url), asked.state)
    assert isinstance(found, CallbackSuccess)
    return found.code


class BlockingSide(pymthouse.BlockingSide):
    """Calls the blocking clients."""

    def client(self, place: Any, **changes: Any) -> Any:
        """A client of the sandbox's app; closed at the end of the test."""
        return self.made(Tokenite(**arguments(place, **changes)))

    def admin(self, place: Any, **changes: Any) -> Any:
        """A client of the admin API; closed at the end of the test."""
        from tollkit.tokenite.admin import TokeniteAdmin

        settings = {"base_url": place.proxy_base, "allow_insecure_http": True, "connection": QUICK}
        return self.made(TokeniteAdmin(**{**settings, **changes}))


class AsyncSide(pymthouse.AsyncSide):
    """Calls the async clients, all calls of a test in one event loop."""

    def client(self, place: Any, **changes: Any) -> Any:
        """A client of the sandbox's app; closed at the end of the test."""
        return self.made(AsyncTokenite(**arguments(place, **changes)))

    def admin(self, place: Any, **changes: Any) -> Any:
        """A client of the admin API; closed at the end of the test."""
        from tollkit.tokenite.admin import AsyncTokeniteAdmin

        settings = {"base_url": place.proxy_base, "allow_insecure_http": True, "connection": QUICK}
        return self.made(AsyncTokeniteAdmin(**{**settings, **changes}))


Side = BlockingSide | AsyncSide


@pytest.fixture(params=[BlockingSide, AsyncSide], ids=lambda kind: kind.name)
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    """The blocking or the async client."""
    chosen = request.param()
    yield chosen
    chosen.end()
