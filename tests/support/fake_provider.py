"""An OpenID provider behind a scripted HTTP client: every path has an answer, and what was asked is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from joserfc import jws
from joserfc.jwk import RSAKey

from support.scripted_http import Reply, Script, Sent

ISSUER = "https://id.example"
AUDIENCE = "https://api.example"
NOW = 1_800_000_000
METADATA: dict[str, Any] = {
    "issuer": ISSUER,
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/jwks",
    "device_authorization_endpoint": f"{ISSUER}/device",
    "revocation_endpoint": f"{ISSUER}/revoke",
    "introspection_endpoint": f"{ISSUER}/introspect",
    "userinfo_endpoint": f"{ISSUER}/me",
}
KEY = RSAKey.generate_key(2048, {"kid": "k1", "alg": "RS256", "use": "sig"})

Answer = Reply | Exception | Callable[[Sent], "Reply | Exception"]


def claims(**changes: Any) -> dict[str, Any]:
    """Claims of a good access token; a change to `...` leaves a claim out."""
    full = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "user-1",
        "client_id": "app",
        "jti": "t1",
        "iat": NOW - 10,
        "exp": NOW + 600,
        "scope": "read write",
        **changes,
    }
    return {name: value for name, value in full.items() if value is not ...}


def signed(payload: Any, key: Any = KEY, **header: Any) -> str:
    """A JWT over any payload, with any header; `...` leaves a header out."""
    import json

    named = {"alg": "RS256", "typ": "at+jwt", "kid": key.kid, **header}
    named = {name: value for name, value in named.items() if value is not ... and value is not None}
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    registry = jws.JWSRegistry(algorithms=[named["alg"]], strict_check_header=False)
    return jws.serialize_compact(named, content, key, registry=registry)


class FakeProvider:
    """Answers by path; `answers` can be changed between requests."""

    def __init__(self, **answers: Answer) -> None:
        self.answers: dict[str, Answer] = {
            "/.well-known/openid-configuration": Reply.json(METADATA),
            "/jwks": Reply.json({"keys": [KEY.as_dict(private=False)]}),
            **{f"/{name}": answer for name, answer in answers.items()},
        }
        self.script = Script(self._answer)

    def _answer(self, sent: Sent) -> Reply | Exception:
        answer = self.answers[sent.url.removeprefix(ISSUER)]
        return answer(sent) if callable(answer) else answer

    def asked(self, path: str) -> list[Sent]:
        """The requests for one path."""
        return [sent for sent in self.script.sent if sent.url.removeprefix(ISSUER) == path]
