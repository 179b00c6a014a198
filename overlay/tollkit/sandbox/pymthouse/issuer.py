"""The OIDC issuer: signing keys, tokens, the discovery document."""

from __future__ import annotations

import secrets
import uuid
from typing import TYPE_CHECKING, Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey

from tollkit.sandbox.pymthouse.state import SERVER_SCOPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tollkit.sandbox.clock import Clock
    from tollkit.sandbox.pymthouse.state import App, AppUser

__all__ = ["ISSUER_PATH", "Issuer"]

ISSUER_PATH = "/api/v1/oidc"
ACCESS_TOKEN_LIFETIME = 3600
USER_TOKEN_LIFETIME = 900
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_MAX_KEYS = 5


def _new_key() -> RSAKey:
    return RSAKey.generate_key(2048, parameters={"kid": str(uuid.uuid4()), "use": "sig", "alg": "RS256"})


class Issuer:
    """Signs and checks the platform's JWTs.

    Args:
        clock: What tokens take their times from.
        origin: Gives scheme and host of the issuer.
    """

    def __init__(self, clock: Clock, origin: Callable[[], str]) -> None:
        self._clock = clock
        self._origin = origin
        self._keys = [_new_key()]

    @property
    def url(self) -> str:
        """The issuer identifier; it stays, whatever host a request names."""
        return self._origin() + ISSUER_PATH

    def rotate_keys(self, *, keep_old: bool = True) -> str:
        """Sign with a new key from now on; `kid` of the new key.

        Args:
            keep_old: Whether tokens signed with the former keys stay valid (the last five are published).
        """
        kept = self._keys if keep_old else []
        self._keys = [_new_key(), *kept][:_MAX_KEYS]
        return self.kid

    def forget_old_keys(self) -> None:
        """Publish and accept the signing key alone."""
        self._keys = self._keys[:1]

    @property
    def kid(self) -> str:
        """`kid` of the key that signs."""
        return str(self._keys[0].kid)

    def jwks(self) -> dict[str, Any]:
        """The published key set."""
        order = ("kty", "use", "kid", "alg", "e", "n")
        public = [key.as_dict(private=False) for key in self._keys]
        return {"keys": [{name: key[name] for name in order} for key in public]}

    def discovery(self, origin: str) -> dict[str, Any]:
        """The discovery document for a request that reached the server at that origin."""
        base = origin + ISSUER_PATH
        return {
            "authorization_endpoint": f"{base}/auth",
            "device_authorization_endpoint": f"{base}/device/auth",
            "claims_parameter_supported": False,
            "claims_supported": ["sub", "sid", "auth_time", "iss"],
            "code_challenge_methods_supported": ["S256"],
            "end_session_endpoint": f"{base}/session/end",
            "grant_types_supported": [
                "authorization_code",
                "refresh_token",
                "client_credentials",
                DEVICE_GRANT,
            ],
            "issuer": self.url,
            "jwks_uri": f"{base}/jwks",
            "authorization_response_iss_parameter_supported": True,
            "response_modes_supported": ["form_post", "fragment", "query"],
            "response_types_supported": ["code"],
            "scopes_supported": list(SERVER_SCOPES),
            "subject_types_supported": ["public"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "client_secret_basic"],
            "token_endpoint": f"{base}/token",
            "id_token_signing_alg_values_supported": ["RS256"],
            "pushed_authorization_request_endpoint": f"{base}/request",
            "request_uri_parameter_supported": False,
            "userinfo_endpoint": f"{base}/me",
            "introspection_endpoint": f"{base}/token/introspection",
            "dpop_signing_alg_values_supported": ["ES256", "Ed25519", "EdDSA"],
            "revocation_endpoint": f"{base}/token/revocation",
            "claim_types_supported": ["normal"],
        }

    def access_token(self, subject: str, client_id: str, scopes: Iterable[str]) -> str:
        """An RFC 9068 access token of one hour; without scopes it has no `scope` claim."""
        now = int(self._clock.issue_time())
        scope = " ".join(scopes)
        claims = {
            "jti": secrets.token_urlsafe(32),
            "sub": subject,
            "iat": now,
            "exp": now + ACCESS_TOKEN_LIFETIME,
            **({"scope": scope} if scope else {}),
            "client_id": client_id,
            "iss": self.url,
            "aud": self.url,
        }
        return self._sign(claims, typ="at+jwt")

    def user_token(self, app: App, user: AppUser, scopes: tuple[str, ...]) -> str:
        """A Builder-minted user token of 15 minutes; its header says `JWT`, not `at+jwt`."""
        now = int(self._clock.issue_time())
        claims = {
            "scope": " ".join(scopes),
            "scp": list(scopes),
            "client_id": app.public_client_id,
            "user_type": "app_user",
            "iss": self.url,
            "aud": self.url,
            "sub": user.id,
            "jti": str(uuid.uuid4()),
            "iat": now,
            "nbf": now,
            "exp": now + USER_TOKEN_LIFETIME,
        }
        return self._sign(claims, typ="JWT")

    def id_token(self, subject: str, client_id: str) -> str:
        """An ID token of one hour."""
        now = int(self._clock.issue_time())
        claims = {
            "sub": subject,
            "aud": client_id,
            "exp": now + ACCESS_TOKEN_LIFETIME,
            "iat": now,
            "iss": self.url,
        }
        return self._sign(claims, typ=None)

    def _sign(self, claims: dict[str, Any], *, typ: str | None) -> str:
        header = {"alg": "RS256", **({"typ": typ} if typ else {}), "kid": self.kid}
        return jwt.encode(header, claims, self._keys[0], algorithms=["RS256"], default_type=None)

    def verify(self, token: str) -> dict[str, Any] | None:
        """The claims of a token of this issuer; None unless signature, `iss`, `aud`, `exp` and `nbf` hold.

        There is no leeway, and `typ` is not looked at: this is how the server checks its own tokens.
        """
        try:
            claims = jwt.decode(token, KeySet(list(self._keys)), algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            return None
        now = self._clock.now()
        expires, starts = claims.get("exp"), claims.get("nbf", 0)
        if not isinstance(expires, int | float) or not isinstance(starts, int | float):
            return None
        sound = claims.get("iss") == self.url and claims.get("aud") == self.url and starts <= now < expires
        return claims if sound else None
