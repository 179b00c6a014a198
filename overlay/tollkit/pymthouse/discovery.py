"""Discovery of the issuer, for programs that have no client: functions over one cache for the whole process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import attrs

from tollkit.core.locks import forkable_lock
from tollkit.errors import ArgumentError, DecodeError
from tollkit.oidc.client import AsyncOidcClient, OidcClient
from tollkit.oidc.discovery import Discovery
from tollkit.oidc.models import ProviderMetadata
from tollkit.pymthouse.errors import PmtHouseError, family, raised

if TYPE_CHECKING:
    from tollkit.core.http import AsyncHttpClient, HttpClient

__all__ = [
    "OidcDiscoveryDocument",
    "authorization_server_to_oidc_document",
    "clear_discovery_cache",
    "fetch_discovery_document",
    "fetch_discovery_document_async",
    "load_authorization_server",
    "load_authorization_server_async",
]

_MEMBERS = (
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "userinfo_endpoint",
    "device_authorization_endpoint",
)


@attrs.frozen
class OidcDiscoveryDocument:
    """The members of the discovery document that PymtHouse's clients work with.

    Attributes:
        issuer: The issuer as it names itself.
        authorization_endpoint: Empty when the issuer has none.
        token_endpoint: Where tokens are asked for.
        jwks_uri: Where the issuer's public keys are.
        userinfo_endpoint: `None` when the issuer has none.
        device_authorization_endpoint: `None` when the issuer has no device flow.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    device_authorization_endpoint: str | None = None

    def to_dict(self) -> dict[str, str]:
        """The document in wire names, without what the issuer does not have."""
        return {name: value for name in _MEMBERS if (value := getattr(self, name)) is not None}


def authorization_server_to_oidc_document(
    metadata: ProviderMetadata | Mapping[str, Any],
) -> OidcDiscoveryDocument:
    """The members that matter here, of metadata or of a discovery document as decoded JSON.

    Raises:
        DecodeError: Token endpoint or key address is missing (code `oidc_discovery_invalid`, status 500).
    """
    found: Mapping[str, Any] = metadata.to_dict() if isinstance(metadata, ProviderMetadata) else metadata
    texts: dict[str, str | None] = {
        name: value if isinstance(value := found.get(name), str) else None for name in _MEMBERS
    }
    if not texts["token_endpoint"] or not texts["jwks_uri"]:
        raise raised(
            DecodeError(
                "OIDC discovery document is missing token_endpoint or jwks_uri",
                code="oidc_discovery_invalid",
                status=500,
            )
        )
    texts["issuer"] = texts["issuer"] or ""
    texts["authorization_endpoint"] = texts["authorization_endpoint"] or ""
    return OidcDiscoveryDocument(**cast("dict[str, str]", texts))


def issuer_discovery(
    issuer_url: str, *, allow_insecure_http: bool = False, trusted_origins: Iterable[str] = ()
) -> Discovery:
    """A cache entry for an issuer.

    Raises:
        ArgumentError: `issuer_url` or one of `trusted_origins` is no http(s) address.
    """
    with family():
        try:
            return Discovery(issuer_url, allow_insecure_http=allow_insecure_http, trusted_origins=trusted_origins)
        except ArgumentError as error:
            if error.argument != "issuer":
                raise
            raise ArgumentError("issuer_url", error.problem) from None


_lock = forkable_lock()
_shared: dict[tuple[str, bool], Discovery] = {}


def shared_discovery(issuer_url: str, *, allow_insecure_http: bool = False) -> Discovery:
    """The process's one cache entry for an issuer.

    Raises:
        ArgumentError: `issuer_url` is no http(s) address.
    """
    made = issuer_discovery(issuer_url, allow_insecure_http=allow_insecure_http)
    with _lock:
        return _shared.setdefault((made.issuer, allow_insecure_http), made)


def clear_discovery_cache(issuer_url: str | None = None) -> None:
    """Forget what these functions keep of one issuer, or of all; clients keep caches of their own."""
    try:
        wanted = issuer_discovery(issuer_url).issuer if issuer_url else ""
    except ArgumentError:
        return  # nothing is ever kept of what is no address
    with _lock:
        for key in [key for key in _shared if not wanted or key[0] == wanted]:
            _shared.pop(key).clear()


def issuer_client(
    issuer_url: str, client_id: str, *, allow_insecure_http: bool, http_client: HttpClient | None
) -> OidcClient:
    """A client without secret, for one call, that shares the process's cache entry of the issuer.

    Raises:
        ArgumentError: `issuer_url` is no http(s) address, or `client_id` is empty.
    """
    discovery = shared_discovery(issuer_url, allow_insecure_http=allow_insecure_http)
    with family():
        client = OidcClient(issuer_url, client_id, auth="none", discovery=discovery, http_client=http_client)
    client.family = PmtHouseError
    return client


def async_issuer_client(
    issuer_url: str, client_id: str, *, allow_insecure_http: bool, http_client: AsyncHttpClient | None
) -> AsyncOidcClient:
    """`issuer_client` for async programs."""
    discovery = shared_discovery(issuer_url, allow_insecure_http=allow_insecure_http)
    with family():
        client = AsyncOidcClient(issuer_url, client_id, auth="none", discovery=discovery, http_client=http_client)
    client.family = PmtHouseError
    return client


def load_authorization_server(
    issuer_url: str,
    *,
    force: bool = False,
    allow_insecure_http: bool = False,
    http_client: HttpClient | None = None,
) -> ProviderMetadata:
    """The whole metadata of an issuer (OpenID Connect Discovery 1.0 section 4), kept for 5 minutes.

    Args:
        issuer_url: The issuer.
        force: Ask even if a kept document is fresh.
        allow_insecure_http: Allow an `http://` issuer.
        http_client: An HTTP client of your own.

    Raises:
        ArgumentError: `issuer_url` is no http(s) address.
        TransportError: The issuer does not answer (code `oidc_discovery_failed`).
        StatusError, DecodeError: The answer is not this issuer's document (code `oidc_discovery_invalid`).
    """
    with issuer_client(
        issuer_url, "discovery", allow_insecure_http=allow_insecure_http, http_client=http_client
    ) as client:
        return client.discover(force=force)


async def load_authorization_server_async(
    issuer_url: str,
    *,
    force: bool = False,
    allow_insecure_http: bool = False,
    http_client: AsyncHttpClient | None = None,
) -> ProviderMetadata:
    """`load_authorization_server` as a coroutine."""
    async with async_issuer_client(
        issuer_url, "discovery", allow_insecure_http=allow_insecure_http, http_client=http_client
    ) as client:
        return await client.discover(force=force)


def fetch_discovery_document(
    issuer_url: str,
    *,
    force: bool = False,
    allow_insecure_http: bool = False,
    http_client: HttpClient | None = None,
) -> OidcDiscoveryDocument:
    """The members that matter here of an issuer's document; arguments and errors of `load_authorization_server`."""
    metadata = load_authorization_server(
        issuer_url, force=force, allow_insecure_http=allow_insecure_http, http_client=http_client
    )
    return authorization_server_to_oidc_document(metadata)


async def fetch_discovery_document_async(
    issuer_url: str,
    *,
    force: bool = False,
    allow_insecure_http: bool = False,
    http_client: AsyncHttpClient | None = None,
) -> OidcDiscoveryDocument:
    """`fetch_discovery_document` as a coroutine."""
    metadata = await load_authorization_server_async(
        issuer_url, force=force, allow_insecure_http=allow_insecure_http, http_client=http_client
    )
    return authorization_server_to_oidc_document(metadata)
