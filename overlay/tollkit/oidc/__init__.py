"""OAuth 2.0 and OpenID Connect for any provider: discovery, grants, device logins, JWT verification.

    from tollkit.oidc import OidcClient

    with OidcClient("https://id.example.com", "my-client", "its secret") as client:
        token = client.client_credentials(scope="things:read")

`OidcClient` and `AsyncOidcClient` are clients of one provider; `OidcFlows` is what both run, to be held by a client
of your own. `tollkit.oidc.requests` and `tollkit.oidc.answers` are the pure halves beneath them. Nothing is
imported before it is used, and joserfc only to check a signature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tollkit.oidc.access_tokens import AccessTokenClaims
    from tollkit.oidc.bearer import BearerCredentials, ClientCredentialsSource, TokenSource
    from tollkit.oidc.client import AsyncOidcClient, OidcClient
    from tollkit.oidc.client_auth import ClientAuth, ClientSecretBasic, ClientSecretPost, PublicClient
    from tollkit.oidc.device import Poll, ShowCode, Wait, device_steps
    from tollkit.oidc.discovery import Discovery
    from tollkit.oidc.flows import OidcFlows
    from tollkit.oidc.models import DeviceAuthorization, Introspection, ProviderMetadata, TokenResponse
    from tollkit.oidc.sessions import (
        FileTokenStore,
        LoginRequiredError,
        MemoryTokenStore,
        TokenSession,
        TokenSet,
        TokenStore,
    )

__all__ = [
    "AccessTokenClaims",
    "AsyncOidcClient",
    "BearerCredentials",
    "ClientAuth",
    "ClientCredentialsSource",
    "ClientSecretBasic",
    "ClientSecretPost",
    "DeviceAuthorization",
    "Discovery",
    "FileTokenStore",
    "Introspection",
    "LoginRequiredError",
    "MemoryTokenStore",
    "OidcClient",
    "OidcFlows",
    "Poll",
    "ProviderMetadata",
    "PublicClient",
    "ShowCode",
    "TokenResponse",
    "TokenSession",
    "TokenSet",
    "TokenSource",
    "TokenStore",
    "Wait",
    "device_steps",
]

_HOME = {
    "AccessTokenClaims": "access_tokens",
    "AsyncOidcClient": "client",
    "BearerCredentials": "bearer",
    "ClientAuth": "client_auth",
    "ClientCredentialsSource": "bearer",
    "ClientSecretBasic": "client_auth",
    "ClientSecretPost": "client_auth",
    "DeviceAuthorization": "models",
    "Discovery": "discovery",
    "FileTokenStore": "sessions",
    "Introspection": "models",
    "LoginRequiredError": "sessions",
    "MemoryTokenStore": "sessions",
    "OidcClient": "client",
    "OidcFlows": "flows",
    "Poll": "device",
    "ProviderMetadata": "models",
    "PublicClient": "client_auth",
    "ShowCode": "device",
    "TokenResponse": "models",
    "TokenSession": "sessions",
    "TokenSet": "sessions",
    "TokenSource": "bearer",
    "TokenStore": "sessions",
    "Wait": "device",
    "device_steps": "device",
}


def __getattr__(name: str) -> Any:
    from tollkit_api.runtime.lazy import resolve

    return resolve(__name__, _HOME, name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
