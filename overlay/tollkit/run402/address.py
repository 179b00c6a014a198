"""Ethereum addresses: their form, and the checksum in their capitals (EIP-55)."""

from __future__ import annotations

import functools
import re

from tollkit.errors import ArgumentError, MissingExtraError
from tollkit.run402.errors import raised

__all__ = ["checked_address", "checksum_address", "is_address", "keccak256"]

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


def is_address(value: object) -> bool:
    """Whether it is `0x` and 40 hex digits, in whatever capitals."""
    return isinstance(value, str) and _ADDRESS.fullmatch(value) is not None


def checksum_address(address: str) -> str:
    """The address with the capitals of EIP-55, whatever it had.

    Raises:
        ArgumentError: It is no address.
        MissingExtraError: The extra `payments` is not installed.
    """
    if not is_address(address):
        raise raised(ArgumentError("address", "must be 0x and 40 hex digits"))
    return _capitals(address[2:].lower())


@functools.lru_cache(maxsize=256)  # each signature asks for the same few
def _capitals(digits: str) -> str:
    digest = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if mark >= "8" else digit for digit, mark in zip(digits, digest, strict=False)
    )


def checked_address(name: str, address: str) -> str:
    """The address with the capitals of EIP-55; capitals that it has must be right, so that a slip is noticed.

    Args:
        name: Of the argument, for the error.
        address: All in lower or upper case, or with its checksum.

    Raises:
        ArgumentError: It is no address, or its checksum is wrong.
        MissingExtraError: The extra `payments` is not installed.
    """
    if not is_address(address):
        raise raised(ArgumentError(name, "must be 0x and 40 hex digits"))
    right = checksum_address(address)
    if address != right and address[2:] not in (address[2:].lower(), address[2:].upper()):
        raise raised(ArgumentError(name, f"has a wrong checksum: {address}; look for a slip in it"))
    return right


def keccak256(data: bytes) -> bytes:
    """Ethereum's hash, Keccak before it became SHA-3.

    Raises:
        MissingExtraError: The extra `payments` is not installed.
    """
    try:
        from Crypto.Hash import keccak
    except ImportError as missing:
        raise raised(MissingExtraError("Ethereum's hash", "payments")) from missing
    return keccak.new(data=data, digest_bits=256).digest()
