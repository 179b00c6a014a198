"""User codes of device logins, and a whole device login for programs that have no client of PymtHouse."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tollkit.core.http import AsyncHttpClient, HttpClient
    from tollkit.oidc.flows import Cancel
    from tollkit.oidc.models import DeviceAuthorization, TokenResponse

__all__ = ["build_device_code_resource", "normalize_user_code", "poll_device_token", "poll_device_token_async"]

_NO_WORD = re.compile(r"[^A-Za-z0-9_]")
_UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def normalize_user_code(value: str) -> str:
    """A user code as the platform compares it: ASCII letters in capitals, hyphens, blanks and the like left out."""
    return _NO_WORD.sub("", value.translate(_UPPER))


def build_device_code_resource(user_code: str) -> str:
    """The `resource` of a token exchange that approves the device login with this code."""
    return f"urn:pmth:device_code:{normalize_user_code(user_code)}"


def poll_device_token(
    *,
    issuer_url: str,
    client_id: str,
    scope: str | None = None,
    on_user_code: Callable[[DeviceAuthorization], object] | None = None,
    cancel: Cancel | None = None,
    allow_insecure_http: bool = False,
    http_client: HttpClient | None = None,
) -> TokenResponse:
    """Log a device in (RFC 8628): get a code, show it, wait until its user has approved.

    Args:
        issuer_url: The issuer.
        client_id: The app's public client id; no secret is involved.
        scope: Scopes, separated by spaces.
        on_user_code: Called once with what to show: `user_code`, `verification_uri`, `expires_in` (seconds).
        cancel: Ends the login soon after its `is_set()` turns true, e.g. a `threading.Event`.
        allow_insecure_http: Allow an `http://` issuer.
        http_client: An HTTP client of your own.

    Raises:
        DeviceFlowError: Denied (`access_denied`), expired (`expired_token`; `device_flow_expired` by our clock,
            status 408), or the answer to a poll was lost.
        CancelledError: `cancel` was set.
        OAuthError: The issuer refuses the client or the scope.
        DecodeError: The issuer has no device flow (code `unsupported_grant`), or an answer cannot be used.
    """
    from tollkit.pymthouse.discovery import issuer_client  # here, so that the two small functions above stay light

    with issuer_client(
        issuer_url, client_id, allow_insecure_http=allow_insecure_http, http_client=http_client
    ) as client:
        return client.device_login(on_user_code, scope=scope, cancel=cancel)


async def poll_device_token_async(
    *,
    issuer_url: str,
    client_id: str,
    scope: str | None = None,
    on_user_code: Callable[[DeviceAuthorization], Awaitable[object] | object] | None = None,
    cancel: Cancel | None = None,
    allow_insecure_http: bool = False,
    http_client: AsyncHttpClient | None = None,
) -> TokenResponse:
    """`poll_device_token` as a coroutine; `on_user_code` may be one too."""
    from tollkit.pymthouse.discovery import async_issuer_client

    async with async_issuer_client(
        issuer_url, client_id, allow_insecure_http=allow_insecure_http, http_client=http_client
    ) as client:
        return await client.device_login(on_user_code, scope=scope, cancel=cancel)
