"""JWT access tokens, checked as RFC 9068 section 4 says, and what can be told of a JWT without its key.

Only the signature needs a library (joserfc, extra `oidc`); everything else is here, in the order in which it is
checked.
"""

from __future__ import annotations

import binascii
import math
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

import attrs

from tollkit.errors import ArgumentError, TokenError
from tollkit.oidc.json_values import decode, is_list, is_number, is_object
from tollkit.oidc.keys import ALGORITHMS, VerifyingKey

__all__ = ["AccessTokenClaims", "CheckedToken", "check_access_token", "check_id_token", "check_scopes", "parse_jwt"]

LEEWAY = 30.0
"""Seconds by which clocks may differ."""

_REQUIRED = ("iss", "exp", "aud", "sub", "iat", "jti", "client_id")
_NAMES = {
    "iss": "issuer",
    "exp": "expiration time",
    "aud": "audience",
    "sub": "subject",
    "iat": "issued at",
    "jti": "jwt id",
    "client_id": "client id",
}


@attrs.frozen(kw_only=True)
class AccessTokenClaims:
    """What a verified access token says (RFC 9068 section 2.2)."""

    iss: str
    """The issuer."""
    sub: str
    """Whom the token is about: a user, or the client itself."""
    aud: tuple[str, ...]
    """For whom it is, one or more."""
    client_id: str
    """To which client it was given."""
    jti: str
    """The token's own id."""
    exp: float
    """Seconds since 1970 at which it expires."""
    iat: float
    """Seconds since 1970 at which it was issued."""
    scopes: tuple[str, ...] = ()
    """What it allows."""
    claims: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)
    """All claims as they came."""

    @property
    def expires_at(self) -> datetime:
        """When it expires, in UTC.

        Raises:
            ValueError, OverflowError: The claim is beyond the year 9999.
        """
        return datetime.fromtimestamp(self.exp, UTC)

    @property
    def issued_at(self) -> datetime:
        """When it was issued, in UTC.

        Raises:
            ValueError, OverflowError: The claim is beyond the year 9999.
        """
        return datetime.fromtimestamp(self.iat, UTC)

    def to_dict(self) -> dict[str, Any]:
        """The claims as they came."""
        return dict(self.claims)


@attrs.frozen
class CheckedToken:
    """A JWT of which everything is good but the signature, which nobody has looked at yet."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes = attrs.field(repr=False)
    signature: str = attrs.field(repr=False)

    @property
    def alg(self) -> str:
        """The signature algorithm, one of `ALGORITHMS`."""
        alg: str = self.header["alg"]
        return alg

    @property
    def kid(self) -> str | None:
        """The id of the key, `None` when the header has none; one that is no text is that of no key."""
        if "kid" not in self.header:
            return None
        kid = self.header["kid"]
        return kid if isinstance(kid, str) else "\0"

    def check_signature(self, key: VerifyingKey | None) -> None:
        """Check the signature.

        Raises:
            TokenError: There is no such key (code `OAUTH_KEY_SELECTION_FAILED`), the signature is not this key's
                (`OAUTH_INVALID_RESPONSE`), or the token is bound to a key that its sender must prove to have.
        """
        if key is None:
            _refuse(
                "OAUTH_KEY_SELECTION_FAILED", "error when selecting a JWT verification key, no applicable keys found"
            )
        try:
            good = key.verify(self.signed, _decoded(self.signature))
        except ValueError:  # no base64url
            good = False
        if not good:
            _refuse("OAUTH_INVALID_RESPONSE", "JWT signature verification failed")
        if "jkt" in (self.claims.get("cnf") or ()):
            # RFC 9449 section 6: worth nothing without a proof, which a caller with only the token cannot have
            _refuse("OAUTH_INVALID_RESPONSE", "operation indicated DPoP use but the request has no DPoP HTTP Header")


def check_access_token(
    token: str,
    *,
    issuer: str,
    audience: str | Iterable[str],
    now: float,
    leeway: float = LEEWAY,
    accept_typ: Iterable[str] = (),
) -> CheckedToken:
    """Check everything of an access token but its signature and scopes (RFC 9068 section 4).

    Args:
        token: The token.
        issuer: The text that `iss` must be.
        audience: Who you are, as the issuer calls you; of more than one, any will do.
        now: Seconds since 1970.
        leeway: Seconds by which clocks may differ.
        accept_typ: Header types besides `at+jwt`, such as `JWT`, for issuers whose access tokens have another. A
            JWT of such a type may have been made for another purpose.

    Raises:
        TokenError: The token is refused; `code` tells the check.
        ArgumentError: `audience` is empty.
    """
    if not token or " " in token:
        _refuse("OAUTH_INVALID_REQUEST", "invalid Authorization HTTP Header format")
    audiences = (audience,) if isinstance(audience, str) else tuple(audience)
    if not audiences or not all(audiences):
        raise ArgumentError("audience", "must not be empty", code="unexpected_error", status=500)
    checked = parse_jwt(token, now=now, leeway=leeway)
    typ = checked.header.get("typ")
    types = {"at+jwt", *(_typ(one) for one in accept_typ)}
    if not isinstance(typ, str) or _typ(typ) not in types:
        _refuse("OAUTH_INVALID_RESPONSE", 'unexpected JWT "typ" header parameter value', typ=typ)
    claims = checked.claims
    _check_presence(claims, _REQUIRED)
    _check_issuer_and_audience(claims, issuer, audiences)
    for name in ("client_id", "jti", "sub"):
        if not isinstance(claims[name], str):
            _refuse("OAUTH_INVALID_REQUEST", f'unexpected JWT "{name}" claim type', claim=name)
    if "cnf" in claims:
        _check_confirmation(claims["cnf"])
    return checked


def check_id_token(
    token: str, *, issuer: str, client_id: str, algorithms: Iterable[str], now: float
) -> Mapping[str, Any]:
    """Check an ID token that came straight from the token endpoint (OpenID Connect Core section 3.1.3.7).

    The signature is not looked at: TLS has proved who sent it (item 6 there).

    Args:
        token: The ID token.
        issuer: The text that `iss` must be.
        client_id: Who asked for it.
        algorithms: What the provider signs ID tokens with; RS256 when it does not say.
        now: Seconds since 1970.

    Returns:
        The claims.

    Raises:
        TokenError: It is not for this client, not from this issuer, or out of time.
    """
    checked = parse_jwt(token, now=now, algorithms=tuple(algorithms) or ("RS256",))
    claims = checked.claims
    _check_presence(claims, ("aud", "exp", "iat", "iss", "sub"))
    _check_issuer_and_audience(claims, issuer, (client_id,))
    if is_list(claims["aud"]) and len(claims["aud"]) != 1 and claims.get("azp") != client_id:
        if "azp" in claims:
            _refuse(_COMPARISON, 'unexpected ID Token "azp" (authorized party) claim value', claim="azp")
        _refuse(_COMPARISON, 'ID Token "aud" (audience) claim includes additional untrusted audiences', claim="aud")
    return claims


def parse_jwt(
    token: str, *, now: float, leeway: float = LEEWAY, algorithms: Collection[str] = ALGORITHMS.keys()
) -> CheckedToken:
    """Take a signed JWT apart and check what needs no key (RFC 7519 section 7.2).

    Raises:
        TokenError: It is no such JWT, of another algorithm, not yet or no longer good, or a claim is of a wrong
            type.
    """
    parts = token.split(".")
    if len(parts) == 5:
        _unsupported("JWE decryption is not configured")
    if len(parts) != 3:
        _refuse("OAUTH_INVALID_RESPONSE", "Invalid JWT")
    header = _part(parts[0], "Header")
    alg = header.get("alg")
    if not isinstance(alg, str) or alg not in algorithms:
        _refuse("OAUTH_INVALID_RESPONSE", 'unexpected JWT "alg" header parameter', alg=alg)
    if "crit" in header:
        _unsupported('no JWT "crit" header parameter extensions are supported')
    claims = _part(parts[1], "Payload")
    _check_times(claims, math.floor(now), leeway)
    return CheckedToken(header, claims, f"{parts[0]}.{parts[1]}".encode("ascii"), parts[2])


def check_scopes(claims: Mapping[str, Any], required: Iterable[str], *, read_scp: bool = False) -> tuple[str, ...]:
    """The scopes of a token, after a look whether all of `required` are there.

    Args:
        claims: The token's claims.
        required: What it must allow.
        read_scp: Read the claim `scp` too, a list or a text, which some issuers use beside or instead of `scope`.

    Raises:
        TokenError: One is missing (code `insufficient_scope`, status 403).
    """
    scope = claims.get("scope")
    scopes = scope.split() if isinstance(scope, str) else []
    if read_scp:
        scp = claims.get("scp")
        found = scp.split() if isinstance(scp, str) else scp if is_list(scp) else []
        scopes = list(dict.fromkeys([*scopes, *(one for one in found if isinstance(one, str))]))
    for one in required:
        if one not in scopes:
            raise TokenError(
                f"Missing required scope: {one}", code="insufficient_scope", status=403, body={"scope": one}
            )
    return tuple(scopes)


def verified(claims: Mapping[str, Any], scopes: tuple[str, ...]) -> AccessTokenClaims:
    """The claims of an access token that has passed every check."""
    aud = claims["aud"]
    return AccessTokenClaims(
        iss=claims["iss"],
        sub=claims["sub"],
        aud=(aud,) if isinstance(aud, str) else tuple(aud),
        client_id=claims["client_id"],
        jti=claims["jti"],
        exp=claims["exp"],
        iat=claims["iat"],
        scopes=scopes,
        claims=claims,
    )


_COMPARISON = "OAUTH_JWT_CLAIM_COMPARISON_FAILED"


def _refuse(code: str, message: str, **details: Any) -> NoReturn:
    raise TokenError(message, code=code, status=502, body=details or None)


def _unsupported(message: str) -> NoReturn:
    raise TokenError(message, code="unexpected_error", status=500)


def _typ(text: str) -> str:
    return text.lower().removeprefix("application/")


def _decoded(part: str) -> bytes:
    # Strict: the lenient decoders skip signs that are not of the alphabet, so that many texts mean one token.
    raw = part.replace("-", "+").replace("_", "/")
    return binascii.a2b_base64(raw.rstrip("=") + "=" * (-len(raw.rstrip("=")) % 4), strict_mode=True)


def _part(part: str, name: str) -> dict[str, Any]:
    try:
        found = decode(_decoded(part))
    except ValueError:
        _refuse("OAUTH_PARSE_ERROR", f"failed to parse JWT {name} body as base64url encoded JSON")
    if not is_object(found):
        _refuse("OAUTH_INVALID_RESPONSE", f"JWT {name} must be a top level object")
    return found


def _check_times(claims: Mapping[str, Any], now: float, leeway: float) -> None:
    if "exp" in claims:
        _check_type(claims, "exp", is_number(claims["exp"]))
        if claims["exp"] <= now - leeway:
            _refuse(
                "OAUTH_JWT_TIMESTAMP_CHECK_FAILED",
                'unexpected JWT "exp" (expiration time) claim value, expiration is past current timestamp',
                claim="exp",
                now=now,
                tolerance=leeway,
            )
    if "iat" in claims:
        _check_type(claims, "iat", is_number(claims["iat"]))
    if "iss" in claims:
        _check_type(claims, "iss", isinstance(claims["iss"], str))
    if "nbf" in claims:
        _check_type(claims, "nbf", is_number(claims["nbf"]))
        if claims["nbf"] > now + leeway:
            _refuse(
                "OAUTH_JWT_TIMESTAMP_CHECK_FAILED",
                'unexpected JWT "nbf" (not before) claim value',
                claim="nbf",
                now=now,
                tolerance=leeway,
            )
    if "aud" in claims:
        _check_type(claims, "aud", isinstance(claims["aud"], (str, list)))


def _check_type(claims: Mapping[str, Any], name: str, right: bool) -> None:
    if not right:
        title = {**_NAMES, "nbf": "not before"}[name]
        _refuse("OAUTH_INVALID_RESPONSE", f'unexpected JWT "{name}" ({title}) claim type', claim=name)


def _check_presence(claims: Mapping[str, Any], names: Iterable[str]) -> None:
    for name in names:
        if name not in claims:
            _refuse("OAUTH_INVALID_RESPONSE", f'JWT "{name}" ({_NAMES[name]}) claim missing', claim=name)


def _check_issuer_and_audience(claims: Mapping[str, Any], issuer: str, audiences: tuple[str, ...]) -> None:
    if claims["iss"] != issuer:
        _refuse(_COMPARISON, 'unexpected JWT "iss" (issuer) claim value', claim="iss", expected=issuer)
    found = claims["aud"] if is_list(claims["aud"]) else [claims["aud"]]
    if not any(one in found for one in audiences):
        _refuse(_COMPARISON, 'unexpected JWT "aud" (audience) claim value', claim="aud", expected=list(audiences))


def _check_confirmation(cnf: Any) -> None:
    if not is_object(cnf):
        _refuse("OAUTH_INVALID_REQUEST", 'unexpected JWT "cnf" (confirmation) claim value', claim="cnf")
    if len(cnf) > 1:
        _unsupported("multiple confirmation claims are not supported")
    if cnf and "jkt" not in cnf:
        _unsupported("unsupported JWT Confirmation method")
