"""What providers answer, as frozen objects. Every one keeps the members it does not know."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from tollkit.oidc.json_values import is_list, is_object
from tollkit.secrets import Secret

__all__ = ["DeviceAuthorization", "Introspection", "ProviderMetadata", "TokenResponse"]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def is_secret_name(name: str) -> bool:
    """Whether a member or form field of this name holds something that must not be shown."""
    name = name.lower()
    return name.endswith(("token", "secret", "assertion")) or name in {
        "api_key",
        "code",
        "device_code",
        "password",
        "user_code",
        "verification_uri_complete",
    }


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    return value if isinstance(value, str) and value else None


def _texts(body: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = body.get(name)
    return tuple(item for item in value if isinstance(item, str)) if is_list(value) else ()


def _plain(value: Any) -> Any:
    """A copy of a JSON value, so that nobody changes what a cache holds."""
    if is_object(value):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if is_list(value) else value


@attrs.frozen(kw_only=True)
class ProviderMetadata:
    """What a provider says about itself (OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2).

    Optional members that are missing, empty or of a wrong type are `None` or an empty tuple; `to_dict()` has
    them as they came.
    """

    issuer: str
    """The issuer, as the provider writes it: tokens must have this very text as their `iss`."""
    token_endpoint: str
    jwks_uri: str
    authorization_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    revocation_endpoint: str | None = None
    introspection_endpoint: str | None = None
    end_session_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    registration_endpoint: str | None = None
    grant_types_supported: tuple[str, ...] = ()
    response_types_supported: tuple[str, ...] = ()
    scopes_supported: tuple[str, ...] = ()
    claims_supported: tuple[str, ...] = ()
    token_endpoint_auth_methods_supported: tuple[str, ...] = ()
    id_token_signing_alg_values_supported: tuple[str, ...] = ()
    code_challenge_methods_supported: tuple[str, ...] = ()
    received: Mapping[str, Any] = attrs.field(default=_NOTHING, repr=False)
    """The document as it came."""

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> ProviderMetadata:
        """From a document whose required members are known to be there.

        Raises:
            ValueError: `issuer`, `token_endpoint` or `jwks_uri` is missing.
        """
        members: dict[str, Any] = {}
        for field in attrs.fields(cls):
            if field.name.endswith("_supported"):
                members[field.name] = _texts(body, field.name)
            elif field.name != "received":
                members[field.name] = _text(body, field.name)
        for name in ("issuer", "token_endpoint", "jwks_uri"):
            if members[name] is None:
                raise ValueError(f"{name} is missing")
        return cls(**members, received=_plain(body))

    def to_dict(self) -> dict[str, Any]:
        """The document, with wire names and every member that came."""
        copy: dict[str, Any] = _plain(self.received)
        return copy


@attrs.frozen(kw_only=True)
class TokenResponse:
    """Tokens, as a token endpoint gives them (RFC 6749 section 5.1, RFC 8693 section 2.2.1)."""

    access_token: Secret
    token_type: str
    """In lower case (`bearer`), since it is compared without regard to case (RFC 6749 section 7.1)."""
    expires_in: float | None = None
    """Seconds from the answer until the access token expires; `None` when the provider does not say."""
    scope: str | None = None
    """Granted scopes, separated by spaces; `None` means those that were asked for."""
    refresh_token: Secret | None = None
    id_token: Secret | None = None
    issued_token_type: str | None = None
    """What `access_token` is, after a token exchange."""
    received: Mapping[str, Any] = attrs.field(default=_NOTHING, repr=False)
    """The answer as it came, with the conversions above; secrets are `Secret`."""

    @property
    def scopes(self) -> tuple[str, ...]:
        """The granted scopes one by one; empty when the provider does not say."""
        return tuple((self.scope or "").split())

    @property
    def authorization(self) -> Secret:
        """The value of an `Authorization` header with this token (RFC 6750 section 2.1)."""
        return Secret(f"Bearer {self.access_token}")

    def to_dict(self) -> dict[str, Any]:
        """The answer, with wire names and every member that came; secrets are `Secret`, which is `str`."""
        return {**self.received, **({} if self.expires_in is None else {"expires_in": self.expires_in})}


@attrs.frozen(kw_only=True)
class DeviceAuthorization:
    """The beginning of a device login (RFC 8628 section 3.2)."""

    device_code: Secret
    user_code: str
    """What the user types in at `verification_uri`."""
    verification_uri: str
    expires_in: float
    """Seconds until both codes expire."""
    verification_uri_complete: str | None = None
    """An address that has the user code in it, for a QR code or a link."""
    interval: float | None = None
    """Seconds to wait between polls; 5 when the provider does not say."""
    received: Mapping[str, Any] = attrs.field(default=_NOTHING, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The answer, with wire names and every member that came; the device code is `Secret`."""
        return dict(self.received)


@attrs.frozen(kw_only=True)
class Introspection:
    """What the provider says about a token (RFC 7662 section 2.2)."""

    active: bool
    scope: str | None = None
    client_id: str | None = None
    username: str | None = None
    token_type: str | None = None
    sub: str | None = None
    iss: str | None = None
    jti: str | None = None
    exp: int | None = None
    """Seconds since 1970; so are `iat` and `nbf`."""
    iat: int | None = None
    nbf: int | None = None
    received: Mapping[str, Any] = attrs.field(default=_NOTHING, repr=False)

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes of the token one by one."""
        return tuple((self.scope or "").split())

    def to_dict(self) -> dict[str, Any]:
        """The answer, with wire names and every member that came."""
        copy: dict[str, Any] = _plain(self.received)
        return copy
