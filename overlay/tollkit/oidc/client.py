"""The clients for any provider: `OidcClient` for blocking programs, `AsyncOidcClient` for async ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Unpack

from tollkit.core.client import AsyncClient, BlockingClient, ClientOptions
from tollkit.oidc.flows import OidcFlows

if TYPE_CHECKING:
    from tollkit.core.http import AsyncHttpClient, HttpClient
    from tollkit.core.token_cache import TokenCache
    from tollkit.oidc.client_auth import AuthMethod, ClientAuth
    from tollkit.oidc.discovery import Discovery
    from tollkit.oidc.models import TokenResponse

__all__ = ["AsyncOidcClient", "OidcClient"]


class OidcClient(OidcFlows, BlockingClient):
    """A blocking client of one OpenID provider; safe to share between threads, to be made once and kept.

    Args:
        issuer: The provider's issuer, e.g. `https://accounts.example.com`.
        client_id: The client's id.
        client_secret: Its secret; `None` for a public client.
        auth: How the client proves who it is: `client_secret_basic` (usual), `client_secret_post`, `none`, or an
            object such as `ClientSecretBasic(client_id, client_secret, raw=True)`.
        allow_insecure_http: Allow plain http, for tests and development.
        trusted_origins: Origins besides the issuer's to which requests may go.
        discovery: Metadata and keys shared with other clients of the same issuer.
        tokens: Client-credentials tokens shared with other clients.
        http_client: An HTTP client of your own (of httpx's shape); it keeps its own time-outs unless `timeout` is
            given, and you close it.
        options: `timeout`, `max_retries`, `headers`, `on_event`, `connection`: see
            `tollkit.core.client.ClientOptions`.

    Raises:
        ArgumentError: An argument is missing or unusable.
    """

    flows: OidcFlows

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str | None = None,
        *,
        auth: AuthMethod | ClientAuth | None = None,
        allow_insecure_http: bool = False,
        trusted_origins: Iterable[str] = (),
        discovery: Discovery | None = None,
        tokens: TokenCache[TokenResponse] | None = None,
        http_client: HttpClient | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        flows = OidcFlows(
            issuer=issuer,
            client_id=client_id,
            client_secret=client_secret,
            auth=auth,
            allow_insecure_http=allow_insecure_http,
            trusted_origins=trusted_origins,
            discovery=discovery,
            tokens=tokens,
        )
        vars(self).update(vars(flows))  # what can be seen on the flows can be seen on the client
        self._start(flows, options, http_client)


class AsyncOidcClient(OidcFlows, AsyncClient):
    """The async client: every method of `OidcClient` as a coroutine. Safe to share between tasks and event loops.

    Takes the arguments of `OidcClient`; an `http_client` must be async.
    """

    flows: OidcFlows

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str | None = None,
        *,
        auth: AuthMethod | ClientAuth | None = None,
        allow_insecure_http: bool = False,
        trusted_origins: Iterable[str] = (),
        discovery: Discovery | None = None,
        tokens: TokenCache[TokenResponse] | None = None,
        http_client: AsyncHttpClient | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        flows = OidcFlows(
            issuer=issuer,
            client_id=client_id,
            client_secret=client_secret,
            auth=auth,
            allow_insecure_http=allow_insecure_http,
            trusted_origins=trusted_origins,
            discovery=discovery,
            tokens=tokens,
        )
        vars(self).update(vars(flows))  # what can be seen on the flows can be seen on the client
        self._start(flows, options, http_client)
