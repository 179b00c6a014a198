"""Passwords of the sandboxed Tokenite: kept as scrypt hashes (RFC 7914), compared in constant time."""

from __future__ import annotations

import hashlib
import secrets

import attrs

__all__ = ["PasswordHash"]


@attrs.frozen
class PasswordHash:
    """A password that cannot be read back."""

    _salt: bytes = attrs.field(repr=False)
    _digest: bytes = attrs.field(repr=False)

    @classmethod
    def of(cls, password: str) -> PasswordHash:
        """The hash of a password, with a salt of its own."""
        salt = secrets.token_bytes(16)
        return cls(salt, _scrypt(password, salt))

    def fits(self, password: str) -> bool:
        """Whether this is the password."""
        return secrets.compare_digest(self._digest, _scrypt(password, self._salt))


def _scrypt(password: str, salt: bytes) -> bytes:
    # a sixteenth of the usual cost: the passwords are made up, and every reset of the sandbox hashes one
    return hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=salt, n=2**10, r=8, p=1, dklen=32)
