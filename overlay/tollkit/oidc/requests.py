"""The requests of OAuth 2.0 and OpenID Connect, built without any I/O.

Every form has its parameters in the order of the arguments, then `grant_type`, then what the client's
authentication adds. What is not given is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tollkit.core.arguments import required_text, secret_text
from tollkit.errors import ArgumentError
from tollkit.oidc import urns
from tollkit.oidc.client_auth import ClientAuth
from tollkit_api.runtime import Operation, Request
from tollkit_api.runtime.encode import form_body

__all__ = [
    "client_credentials_request",
    "device_authorization_request",
    "device_token_request",
    "discovery_request",
    "introspection_request",
    "jwks_request",
    "refresh_request",
    "revocation_request",
    "token_exchange_request",
]

Extra = Mapping[str, str | Sequence[str]]
"""Further form fields; a list becomes a repeated field."""


def _operation(name: str, method: str, *, idempotent: bool) -> Operation:
    # Security is () throughout: a request has its client's proof in it, since that may be a part of the form.
    return Operation(id=name, method=method, path="", security=(), idempotent=idempotent, success=(200,))


DISCOVERY = _operation("discovery", "GET", idempotent=True)
JWKS = _operation("jwks", "GET", idempotent=True)
CLIENT_CREDENTIALS = _operation("clientCredentials", "POST", idempotent=False)
TOKEN_EXCHANGE = _operation("tokenExchange", "POST", idempotent=False)
DEVICE_AUTHORIZATION = _operation("deviceAuthorization", "POST", idempotent=False)
DEVICE_TOKEN = _operation("deviceToken", "POST", idempotent=False)
REFRESH = _operation("refreshToken", "POST", idempotent=False)
REVOCATION = _operation("revocation", "POST", idempotent=True)
INTROSPECTION = _operation("introspection", "POST", idempotent=True)


def discovery_request(url: str) -> Request:
    """Ask for the provider metadata at this address (OpenID Connect Discovery 1.0 section 4.1)."""
    return Request(operation=DISCOVERY, url=url, headers={"Accept": "application/json"})


def jwks_request(jwks_uri: str) -> Request:
    """Ask for the provider's keys (RFC 7517 section 5)."""
    return Request(operation=JWKS, url=jwks_uri, headers={"Accept": "application/json, application/jwk-set+json"})


def client_credentials_request(
    token_endpoint: str,
    auth: ClientAuth,
    *,
    scope: str | None = None,
    resource: str | Sequence[str] | None = None,
    audience: str | Sequence[str] | None = None,
    extra: Extra | None = None,
) -> Request:
    """Ask for a token for the client itself (RFC 6749 section 4.4.2).

    Args:
        token_endpoint: Where to send it.
        auth: The client's proof.
        scope: Scopes, separated by spaces; an empty text is sent as such and asks for none.
        resource: Resource indicators (RFC 8707 section 2).
        audience: Names of the services that the token is for.
        extra: Further form fields.
    """
    fields = {"scope": scope, "resource": resource, "audience": audience}
    grant = urns.CLIENT_CREDENTIALS_GRANT
    return _form(CLIENT_CREDENTIALS, token_endpoint, auth, fields, extra, grant, empty=("scope",))


def token_exchange_request(
    token_endpoint: str,
    auth: ClientAuth,
    subject_token: str,
    *,
    subject_token_type: str = urns.ACCESS_TOKEN_TYPE,
    actor_token: str | None = None,
    actor_token_type: str | None = None,
    requested_token_type: str | None = None,
    resource: str | Sequence[str] | None = None,
    audience: str | Sequence[str] | None = None,
    scope: str | None = None,
    extra: Extra | None = None,
) -> Request:
    """Ask for another token in exchange for one (RFC 8693 section 2.1).

    Args:
        token_endpoint: Where to send it.
        auth: The client's proof.
        subject_token: The token of whoever the new one is about.
        subject_token_type: What `subject_token` is.
        actor_token: The token of whoever acts for the subject.
        actor_token_type: What `actor_token` is; given if and only if that is.
        requested_token_type: What the new token should be.
        resource: Addresses of the services that it is for; more than one are sent as repeated fields.
        audience: Names of the services that it is for; likewise.
        scope: Scopes, separated by spaces.
        extra: Further form fields.

    Raises:
        ArgumentError: A token is empty, or only one of `actor_token` and its type is given.
    """
    if (actor_token is None) != (actor_token_type is None):
        raise ArgumentError("actor_token_type", "must be given with actor_token, and only with it")
    fields = {
        "subject_token": secret_text("subject_token", subject_token),
        "subject_token_type": required_text("subject_token_type", subject_token_type),
        "actor_token": None if actor_token is None else secret_text("actor_token", actor_token),
        "actor_token_type": actor_token_type,
        "requested_token_type": requested_token_type,
        "resource": resource,
        "audience": audience,
        "scope": scope,
    }
    return _form(TOKEN_EXCHANGE, token_endpoint, auth, fields, extra, urns.TOKEN_EXCHANGE_GRANT)


def device_authorization_request(
    device_authorization_endpoint: str,
    auth: ClientAuth,
    *,
    scope: str | None = None,
    resource: str | Sequence[str] | None = None,
    extra: Extra | None = None,
) -> Request:
    """Ask for a device code and a user code (RFC 8628 section 3.1).

    Args:
        device_authorization_endpoint: Where to send it.
        auth: The client's proof.
        scope: Scopes, separated by spaces.
        resource: Resource indicators (RFC 8707 section 2).
        extra: Further form fields.
    """
    fields = {"scope": scope, "resource": resource, **(extra or {}), "client_id": auth.client_id}
    return _form(DEVICE_AUTHORIZATION, device_authorization_endpoint, auth, fields)


def device_token_request(token_endpoint: str, auth: ClientAuth, device_code: str) -> Request:
    """Ask whether the user has approved (RFC 8628 section 3.4).

    Raises:
        ArgumentError: `device_code` is empty.
    """
    fields = {"device_code": secret_text("device_code", device_code)}
    return _form(DEVICE_TOKEN, token_endpoint, auth, fields, None, urns.DEVICE_CODE_GRANT)


def refresh_request(
    token_endpoint: str,
    auth: ClientAuth,
    refresh_token: str,
    *,
    scope: str | None = None,
    resource: str | Sequence[str] | None = None,
    extra: Extra | None = None,
) -> Request:
    """Ask for new tokens in place of old ones (RFC 6749 section 6).

    Args:
        token_endpoint: Where to send it.
        auth: The client's proof.
        refresh_token: The newest refresh token.
        scope: Fewer scopes than before, separated by spaces; the same when nothing is said.
        resource: Resource indicators (RFC 8707 section 2).
        extra: Further form fields.

    Raises:
        ArgumentError: `refresh_token` is empty.
    """
    fields = {"refresh_token": secret_text("refresh_token", refresh_token), "scope": scope, "resource": resource}
    return _form(REFRESH, token_endpoint, auth, fields, extra, urns.REFRESH_TOKEN_GRANT)


def revocation_request(
    revocation_endpoint: str, auth: ClientAuth, token: str, *, token_type_hint: str | None = None
) -> Request:
    """Ask to make a token useless (RFC 7009 section 2.1).

    Raises:
        ArgumentError: `token` is empty.
    """
    fields = {"token": secret_text("token", token), "token_type_hint": token_type_hint}
    return _form(REVOCATION, revocation_endpoint, auth, fields)


def introspection_request(
    introspection_endpoint: str, auth: ClientAuth, token: str, *, token_type_hint: str | None = None
) -> Request:
    """Ask what a token is worth (RFC 7662 section 2.1).

    Raises:
        ArgumentError: `token` is empty.
    """
    fields = {"token": secret_text("token", token), "token_type_hint": token_type_hint}
    return _form(INTROSPECTION, introspection_endpoint, auth, fields)


def _form(
    operation: Operation,
    url: str,
    auth: ClientAuth,
    fields: Mapping[str, Any],
    extra: Extra | None = None,
    grant_type: str | None = None,
    empty: tuple[str, ...] = (),
) -> Request:
    given = {
        name: value
        for name, value in {**fields, **(extra or {})}.items()
        if value not in (None, "") or (value == "" and name in empty)
    }
    if grant_type:
        given.pop("grant_type", None)
        given["grant_type"] = grant_type
    try:
        content = form_body({**given, **auth.fields()})
    except ValueError as problem:
        name, _, told = str(problem).partition(": ")
        raise ArgumentError(name, told) from problem
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded;charset=UTF-8",
        **auth.headers(),
    }
    return Request(operation=operation, url=url, headers=headers, content=content)
