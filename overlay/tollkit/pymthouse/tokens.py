"""What PymtHouse's tokens are, and how long they are good."""

from __future__ import annotations

import base64
import math
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import attrs

from tollkit.errors import ArgumentError, DecodeError
from tollkit.pymthouse.errors import raised
from tollkit.pymthouse.js_date import parse_js_date
from tollkit.pymthouse.js_text import trim
from tollkit.secrets import Secret
from tollkit_api.runtime.json_text import json_value

__all__ = [
    "ACCESS_TOKEN_TYPE",
    "PYMTHOUSE_SIGNER_SESSION_TTL_MS",
    "REMOTE_SIGNER_SESSION_TYPE",
    "SIGNER_SESSION_EXPIRES_IN_SEC",
    "SIGNER_SESSION_TTL_MS",
    "SIGN_JOB_SCOPE",
    "ClientCredentialsTokenResponse",
    "SignerSessionToken",
    "TokenExchangeResponse",
    "client_credentials_result",
    "compute_pymthouse_expiry",
    "compute_signer_session_expiry",
    "decode_jwt_exp",
    "is_likely_oidc_jwt",
    "is_opaque_signer_session_token",
    "parse_signer_session_exchange",
    "token_exchange_result",
]

SIGNER_SESSION_TTL_MS = 7_776_000_000
"""How long a signer session is good, in milliseconds: 90 days."""
PYMTHOUSE_SIGNER_SESSION_TTL_MS = SIGNER_SESSION_TTL_MS
"""Old name of `SIGNER_SESSION_TTL_MS`."""
SIGNER_SESSION_EXPIRES_IN_SEC = 7_776_000
"""The same in seconds."""
SIGN_JOB_SCOPE = "sign:job"
"""The scope that lets a user sign jobs."""
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - RFC 8693 section 3
BEARER = "Bearer"
REMOTE_SIGNER_SESSION_TYPE = "urn:pmth:token-type:remote-signer-session"
"""The other `issued_token_type` that a signer session may have."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STANDARD = str.maketrans("-_", "+/", "\t\n\f\r ")


@attrs.frozen(kw_only=True)
class TokenExchangeResponse:
    """The answer to a token exchange (RFC 8693 section 2.2.1). `expires_in` is in seconds."""

    access_token: Secret
    token_type: str
    expires_in: float
    scope: str
    issued_token_type: str

    def to_dict(self) -> dict[str, Any]:
        """The answer in wire names; the token in the clear."""
        return {
            "access_token": self.access_token.reveal(),
            "token_type": self.token_type,
            "expires_in": self.expires_in,
            "scope": self.scope,
            "issued_token_type": self.issued_token_type,
        }


@attrs.frozen(kw_only=True)
class ClientCredentialsTokenResponse:
    """An access token for the app itself (RFC 6749 section 4.4.3). `expires_in` is in seconds."""

    access_token: Secret
    token_type: str
    expires_in: float | None = None
    scope: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The answer in wire names; the token in the clear."""
        told = {"expires_in": self.expires_in, "scope": self.scope}
        return {
            "access_token": self.access_token.reveal(),
            "token_type": self.token_type,
            **{name: value for name, value in told.items() if value is not None},
        }


@attrs.frozen(kw_only=True)
class SignerSessionToken:
    """A signer session to hand to a user's program. `expires_in` is in seconds."""

    access_token: Secret
    token_type: str
    expires_in: int
    scope: str

    def to_dict(self) -> dict[str, Any]:
        """The session in the names of the platform's client; the token in the clear."""
        return {
            "accessToken": self.access_token.reveal(),
            "tokenType": self.token_type,
            "expiresIn": self.expires_in,
            "scope": self.scope,
        }


def _unusable(message: str, details: Mapping[str, Any] | None = None) -> DecodeError:
    return raised(DecodeError(message, code="invalid_token_response", status=502, body=details))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bearer(answer: Mapping[str, Any]) -> Secret:
    token_type, token = answer.get("token_type"), answer.get("access_token")
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        told = {} if token_type is None else {"token_type": token_type}
        raise _unusable("Token endpoint returned a non-Bearer token_type", told)
    if not isinstance(token, str) or not token:
        raise _unusable("Token endpoint returned no access_token")
    return Secret(token)


def token_exchange_result(answer: Mapping[str, Any]) -> TokenExchangeResponse:
    """A token exchange answer, checked; members that are not known are dropped.

    Args:
        answer: The JSON of the token endpoint.

    Raises:
        DecodeError: It is of another kind, not Bearer, or does not say how long it is good (code
            `invalid_token_response`).
    """
    issued = answer.get("issued_token_type")
    if issued not in (ACCESS_TOKEN_TYPE, REMOTE_SIGNER_SESSION_TYPE):
        told = {} if issued is None else {"issued_token_type": issued}
        raise _unusable("Token exchange returned an unexpected issued_token_type", told)
    token = _bearer(answer)
    expires_in, scope = answer.get("expires_in"), answer.get("scope")
    if not _is_number(expires_in):
        raise _unusable("Token response missing expires_in")
    return TokenExchangeResponse(
        access_token=token,
        token_type=BEARER,
        expires_in=cast("float", expires_in),
        scope=scope if isinstance(scope, str) else "",
        issued_token_type=issued,
    )


def client_credentials_result(answer: Mapping[str, Any]) -> ClientCredentialsTokenResponse:
    """A client credentials answer, checked; members that are not known are dropped.

    Args:
        answer: The JSON of the token endpoint.

    Raises:
        DecodeError: It has no token or is not Bearer (code `invalid_token_response`).
    """
    expires_in, scope = answer.get("expires_in"), answer.get("scope")
    return ClientCredentialsTokenResponse(
        access_token=_bearer(answer),
        token_type=BEARER,
        expires_in=expires_in if _is_number(expires_in) else None,
        scope=scope if isinstance(scope, str) else None,
    )


def parse_signer_session_exchange(answer: TokenExchangeResponse | Mapping[str, Any]) -> SignerSessionToken:
    """A signer session from a token exchange answer; what is missing gets the platform's defaults.

    Args:
        answer: The answer, as JSON or as `exchange_for_signer_session` gave it.

    Raises:
        DecodeError: There is no token, or it is a JWT and so no signer session (code `invalid_token_response`).
    """
    found = answer.to_dict() if isinstance(answer, TokenExchangeResponse) else answer
    token = _told(found, "access_token")
    if not token:
        raise _unusable("PymtHouse signer session exchange returned no access_token")
    if is_likely_oidc_jwt(token):
        raise _unusable("PymtHouse signer session exchange returned a JWT; expected opaque signer session token")
    expires_in: Any = found.get("expires_in")
    said = _is_number(expires_in) and math.isfinite(expires_in) and expires_in > 0
    return SignerSessionToken(
        access_token=Secret(token),
        token_type=_told(found, "token_type") or BEARER,
        expires_in=math.floor(expires_in) if said else SIGNER_SESSION_EXPIRES_IN_SEC,
        scope=_told(found, "scope") or SIGN_JOB_SCOPE,
    )


def _told(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    return trim(value) if isinstance(value, str) else ""


def is_likely_oidc_jwt(token: str) -> bool:
    """Whether a token looks like a JWT: begins with `eyJ` and has three parts or more. Nothing is verified."""
    text = trim(token)
    return text.startswith("eyJ") and text.count(".") >= 2


def is_opaque_signer_session_token(token: str) -> bool:
    """Whether a token is anything but empty or a JWT."""
    return bool(trim(token)) and not is_likely_oidc_jwt(token)


def decode_jwt_exp(token: str) -> datetime | None:
    """When a JWT expires, in UTC to the millisecond, without verifying it.

    Returns:
        `None` when it does not say, or says what is no time between 1970 and the year 9999.
    """
    parts = token.split(".")
    if len(parts) < 2:
        return None
    try:
        claims: Any = json_value(_from_base64(parts[1]))
        expires: Any = claims["exp"]
        if not _is_number(expires):
            return None
        milliseconds = math.floor(float(expires) * 1000)
        return _EPOCH + timedelta(milliseconds=milliseconds) if milliseconds > 0 else None
    except (ValueError, TypeError, LookupError, OverflowError):
        return None


def _from_base64(text: str) -> str:
    """Base64 of either alphabet, padded or not, as JavaScript decodes it; bytes that are no UTF-8 are replaced."""
    plain = text.translate(_STANDARD).rstrip("=")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode("utf-8", "replace")


def compute_signer_session_expiry(created: datetime | str) -> datetime:
    """When a signer session ends that began at `created`: 90 days later, in UTC.

    Args:
        created: An aware datetime, or text that JavaScript's `Date` takes for a time; text without a zone is UTC.

    Raises:
        ArgumentError: `created` is no time, does not say its time zone, or the end is after the year 9999.
    """
    if isinstance(created, str):
        begun = parse_js_date(created)
    elif isinstance(created, datetime) and created.utcoffset() is not None:
        begun = (created - _EPOCH) // timedelta(milliseconds=1)
    else:
        begun = None
    if begun is None:
        problem = "must be an aware datetime, or text such as 2026-05-31T23:59:59Z"
        raise raised(ArgumentError("created", problem, message="Invalid time value"))
    try:
        return _EPOCH + timedelta(milliseconds=begun + SIGNER_SESSION_TTL_MS)
    except OverflowError as problem:
        raise raised(ArgumentError("created", "is beyond the years 1 to 9999")) from problem


def compute_pymthouse_expiry(created: datetime | str) -> datetime:
    """Old name of `compute_signer_session_expiry`."""
    warnings.warn("compute_pymthouse_expiry is now compute_signer_session_expiry", DeprecationWarning, stacklevel=2)
    return compute_signer_session_expiry(created)
