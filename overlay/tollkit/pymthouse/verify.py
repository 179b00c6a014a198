"""Verification of PymtHouse's JWTs, for programs that have no client."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tollkit.pymthouse.discovery import async_issuer_client, issuer_client
from tollkit.secrets import Secret

if TYPE_CHECKING:
    from tollkit.core.http import AsyncHttpClient, HttpClient
    from tollkit.oidc.access_tokens import AccessTokenClaims

__all__ = ["USER_TOKEN_TYP", "verify_jwt", "verify_jwt_async"]

USER_TOKEN_TYP = "JWT"  # noqa: S105 - the name of a type
"""Header `typ` of the user tokens that the Builder API of May 2026 mints; RFC 9068 wants `at+jwt`."""


def verify_jwt(
    token: str,
    *,
    issuer_url: str,
    audience: str | Sequence[str],
    required_scopes: Iterable[str] = (),
    accept_user_tokens: bool = False,
    allow_insecure_http: bool = False,
    http_client: HttpClient | None = None,
) -> AccessTokenClaims:
    """Check a JWT access token by RFC 9068 section 4. Needs the extra `oidc`.

    Document and keys are kept for 5 minutes for the whole process. A program that verifies many tokens does
    better with a client's `verify_access_token`, which keeps its connections too.

    Args:
        token: The token.
        issuer_url: The issuer; it must have issued the token.
        audience: Who the token must be for; PymtHouse's tokens are for the issuer itself.
        required_scopes: Scopes that the token must have.
        accept_user_tokens: Accept user tokens of the Builder API, whose header says `typ: JWT`.
        allow_insecure_http: Allow an `http://` issuer.
        http_client: An HTTP client of your own.

    Raises:
        TokenError: The token is refused; `code` says why.
        ArgumentError: `issuer_url` or `audience` is unusable.
        TransportError, StatusError, DecodeError: The issuer's document or keys cannot be had.
        MissingExtraError: joserfc is not installed.
    """
    token = Secret(token)  # so that no traceback with local variables shows it
    with issuer_client(
        issuer_url, "verify", allow_insecure_http=allow_insecure_http, http_client=http_client
    ) as client:
        return client.verify_access_token(
            token,
            audience=audience,
            required_scopes=required_scopes,
            accept_typ=(USER_TOKEN_TYP,) if accept_user_tokens else (),
        )


async def verify_jwt_async(
    token: str,
    *,
    issuer_url: str,
    audience: str | Sequence[str],
    required_scopes: Iterable[str] = (),
    accept_user_tokens: bool = False,
    allow_insecure_http: bool = False,
    http_client: AsyncHttpClient | None = None,
) -> AccessTokenClaims:
    """`verify_jwt` as a coroutine."""
    token = Secret(token)
    async with async_issuer_client(
        issuer_url, "verify", allow_insecure_http=allow_insecure_http, http_client=http_client
    ) as client:
        return await client.verify_access_token(
            token,
            audience=audience,
            required_scopes=required_scopes,
            accept_typ=(USER_TOKEN_TYP,) if accept_user_tokens else (),
        )
