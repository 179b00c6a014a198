"""A provider's keys: which of them a token names, and whether a signature is of it (RFC 7515, RFC 7517, RFC 7518)."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from tollkit.errors import MissingExtraError, TokenError

if TYPE_CHECKING:
    from joserfc.jwk import Key

__all__ = ["ALGORITHMS", "KeySet", "VerifyingKey"]

ALGORITHMS: Mapping[str, str] = {
    **{f"{family}{bits}": "RSA" for family in ("RS", "PS") for bits in (256, 384, 512)},
    **{f"ES{bits}": "EC" for bits in (256, 384, 512)},
    "EdDSA": "OKP",
    "Ed25519": "OKP",
}
"""The signature algorithms that are taken, with the type of their keys: asymmetric ones only, since a secret that
both sides know proves nothing, and `none` proves less."""

_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519", "Ed25519": "Ed25519"}
_RSA_BITS = 2048


class _Algorithm(Protocol):
    def verify(self, msg: bytes, sig: bytes, key: Any) -> bool: ...


class VerifyingKey:
    """One key, ready for one algorithm."""

    __slots__ = ("_algorithm", "_key")

    def __init__(self, algorithm: _Algorithm, key: Key) -> None:
        self._algorithm = algorithm
        self._key = key

    def verify(self, signed: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's over `signed`."""
        return self._algorithm.verify(signed, signature, self._key)


class KeySet:
    """The keys of a JWK Set. Each is parsed when a token first names it, and kept ready for the next token.

    Args:
        keys: The members of `keys`, as they came.
    """

    def __init__(self, keys: Sequence[Mapping[str, Any]]) -> None:
        self._keys = tuple(keys)
        self._ready: dict[tuple[str, str | None], VerifyingKey] = {}

    def find(self, alg: str, kid: str | None) -> VerifyingKey | None:
        """The one key that can have signed with `alg` and is called `kid`; `None` when there is none.

        Args:
            alg: One of `ALGORITHMS`.
            kid: The key's id in the token's header; without one, the only fitting key is taken.

        Raises:
            TokenError: More than one fits (code `OAUTH_KEY_SELECTION_FAILED`), or the one cannot be used.
            MissingExtraError: joserfc is not installed.
        """
        ready = self._ready.get((alg, kid))
        if ready is None:
            fitting = [key for key in self._keys if _fits(key, alg, kid)]
            if not fitting:
                return None
            if len(fitting) > 1:
                raise TokenError(
                    "error when selecting a JWT verification key, multiple applicable keys found, "
                    'a "kid" JWT Header Parameter is required',
                    code="OAUTH_KEY_SELECTION_FAILED",
                    status=502,
                )
            ready = self._ready[alg, kid] = _ready(alg, fitting[0])
        return ready


def _fits(key: Mapping[str, Any], alg: str, kid: str | None) -> bool:
    operations = key.get("key_ops")
    return (
        key.get("kty") == ALGORITHMS[alg]
        and (kid is None or key.get("kid") == kid)
        and key.get("alg", alg) == alg
        and key.get("use", "sig") == "sig"
        and (not isinstance(operations, list) or "verify" in operations)
        and (alg not in _CURVES or key.get("crv") == _CURVES[alg])
    )


def _ready(alg: str, key: Mapping[str, Any]) -> VerifyingKey:
    try:
        from joserfc.errors import JoseError
        from joserfc.jwk import import_key
        from joserfc.jws import JWSRegistry
    except ImportError as missing:
        raise MissingExtraError("JWT verification", "oidc") from missing
    # Only what makes the key: other members may be of kinds that a strict reader refuses.
    parts = {name: key[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in key}
    try:
        if ALGORITHMS[alg] == "RSA" and _bits(parts["n"]) < _RSA_BITS:
            raise TokenError(
                f"unsupported RSA modulusLength: {_RSA_BITS} bits at least", code="unexpected_error", status=500
            )
        return VerifyingKey(JWSRegistry.algorithms[alg], import_key(cast("Any", parts)))
    except (JoseError, ValueError, TypeError, KeyError) as problem:
        raise TokenError(
            "The provider's key cannot be used", code="OAUTH_KEY_SELECTION_FAILED", status=502
        ) from problem


def _bits(number: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(number + "==")).bit_length()
