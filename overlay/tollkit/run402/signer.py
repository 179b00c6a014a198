"""Who signs: a wallet behind a small protocol, so that a key in memory, a KMS or eth-account fits.

Ours, `PrivateKeySigner`, stands on coincurve and pycryptodome (extra `payments`), which are imported when the first
one is made.
"""

from __future__ import annotations

import inspect
import os
import re
from importlib import import_module
from typing import Any, NoReturn, Protocol, runtime_checkable

from tollkit.core.arguments import hidden
from tollkit.errors import ArgumentError, MissingExtraError
from tollkit.run402.address import checked_address, checksum_address, keccak256
from tollkit.run402.eip712 import TypedData, typed_data_digest
from tollkit.run402.errors import raised
from tollkit.secrets import Secret

__all__ = [
    "AccountSigner",
    "PrivateKeySigner",
    "Signer",
    "join_signature",
    "message_digest",
    "new_private_key",
    "signature_text",
]

_PRIVATE_KEY = re.compile(r"0x[0-9a-fA-F]{64}")
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@runtime_checkable
class Signer(Protocol):
    """A wallet that signs. A signature is 65 bytes: r, s in the lower half of the curve's order, and 27 or 28."""

    @property
    def address(self) -> str:
        """With its checksum (EIP-55)."""
        ...

    def sign_message(self, message: bytes) -> bytes:
        """Sign a personal message (EIP-191)."""
        ...

    def sign_typed_data(self, data: TypedData) -> bytes:
        """Sign typed data (EIP-712)."""
        ...


def message_digest(message: bytes) -> bytes:
    """The 32 bytes that are signed of a personal message (EIP-191, version `E`).

    Raises:
        MissingExtraError: The extra `payments` is not installed.
    """
    return keccak256(b"\x19Ethereum Signed Message:\n%d" % len(message) + message)


def join_signature(digest: bytes, r: int, s: int, address: str) -> bytes:
    """The 65 bytes of a signature of which only r and s are known, as a KMS or a hardware module gives them.

    Args:
        digest: The 32 bytes that were signed: of `message_digest` or `typed_data_digest`.
        r: First half.
        s: Second half; turned to the lower half of the order.
        address: Whose signature it is.

    Raises:
        ArgumentError: It is not a signature of this address.
        MissingExtraError: The extra `payments` is not installed.
    """
    coincurve = _coincurve()
    wanted = checksum_address(address)
    if not (0 < r < _ORDER and 0 < s < _ORDER):
        raise raised(ArgumentError("signature", "must have r and s between 0 and the order of secp256k1"))
    pair = r.to_bytes(32, "big") + min(s, _ORDER - s).to_bytes(32, "big")
    for recovery in (0, 1):
        try:
            key = coincurve.PublicKey.from_signature_and_message(pair + bytes([recovery]), digest, hasher=None)
        except ValueError:  # no point of the curve belongs to it
            continue
        if _address(key.format(compressed=False)) == wanted:
            return pair + bytes([27 + recovery])
    raise raised(ArgumentError("signature", f"was not made by {wanted}"))


def signature_text(signature: object) -> str:
    """A signature as it is sent: `0x` and 130 hex digits.

    Args:
        signature: What a `Signer` returned.

    Raises:
        ArgumentError: It is no signature of 65 bytes that ends in 27 or 28.
    """
    if not (isinstance(signature, bytes) and len(signature) == 65 and signature[64] in (27, 28)):
        told = f"{len(signature)} bytes" if isinstance(signature, bytes) else type(signature).__name__
        if inspect.iscoroutine(signature):
            signature.close()
        raise raised(
            ArgumentError("signer", f"must sign with 65 bytes of which the last is 27 or 28; it returned {told}")
        )
    return "0x" + bytes.hex(signature)  # its own `hex` may begin with 0x, as that of older HexBytes does


def new_private_key() -> Secret:
    """A new key, from 32 bytes of the system's randomness: `0x` and 64 hex digits in lower case."""
    while True:
        key = os.urandom(32)
        if 0 < int.from_bytes(key, "big") < _ORDER:
            return Secret("0x" + key.hex())


class PrivateKeySigner:
    """A wallet whose private key is in the memory of this process, and is never shown, pickled or copied.

    Args:
        private_key: `0x` and 64 hex digits.

    Raises:
        ArgumentError: It is no private key.
        MissingExtraError: The extra `payments` is not installed.
    """

    __slots__ = ("_key", "address")

    def __init__(self, private_key: str) -> None:
        private_key = hidden(private_key)
        coincurve = _coincurve()
        try:
            if _PRIVATE_KEY.fullmatch(private_key) is None:
                raise ValueError("form")
            self._key: Any = coincurve.PrivateKey(bytes.fromhex(private_key[2:]))
        except (TypeError, ValueError):
            # without its cause, which may show the key
            raise raised(
                ArgumentError("private_key", "must be 0x and 64 hex digits, a number below the order of secp256k1")
            ) from None
        self.address: str = _address(self._key.public_key.format(compressed=False))
        """With its checksum (EIP-55)."""

    @classmethod
    def generate(cls) -> PrivateKeySigner:
        """A wallet with a new key, for tests and for payments that nobody must find again."""
        return cls(new_private_key())

    def sign_message(self, message: bytes) -> bytes:
        """Sign a personal message (EIP-191); the same message always gets the same signature (RFC 6979)."""
        return self._sign(message_digest(message))

    def sign_typed_data(self, data: TypedData) -> bytes:
        """Sign typed data (EIP-712).

        Raises:
            ArgumentError: It cannot be hashed.
        """
        return self._sign(typed_data_digest(data))

    def _sign(self, digest: bytes) -> bytes:
        signature: bytes = self._key.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes([27 + signature[64]])

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key does not leave the memory of its process")

    def __repr__(self) -> str:
        # shown in a traceback of the constructor, it has no address yet
        return f"PrivateKeySigner({getattr(self, 'address', '...')})"


class AccountSigner:
    """An account of eth-account (`Account.from_key(...)`, or whatever has its methods) as a `Signer`.

    Args:
        account: Has `address`, `sign_message(SignableMessage)` and `sign_typed_data(full_message=...)`.

    Raises:
        ArgumentError: Its address is none.
    """

    __slots__ = ("_account", "address")

    def __init__(self, account: Any) -> None:
        self._account = account
        self.address: str = checked_address("account", account.address)

    def sign_message(self, message: bytes) -> bytes:
        """Sign a personal message (EIP-191)."""
        encode_defunct = import_module("eth_account.messages").encode_defunct

        return bytes(self._account.sign_message(encode_defunct(primitive=message)).signature)

    def sign_typed_data(self, data: TypedData) -> bytes:
        """Sign typed data (EIP-712)."""
        return bytes(self._account.sign_typed_data(full_message=dict(data)).signature)

    def __repr__(self) -> str:
        return f"AccountSigner({self.address})"


def _coincurve() -> Any:
    try:
        import coincurve
    except ImportError as missing:
        raise raised(MissingExtraError("Signing with a wallet", "payments")) from missing
    return coincurve


def _address(public_key: bytes) -> str:
    return checksum_address("0x" + keccak256(public_key[1:])[-20:].hex())
