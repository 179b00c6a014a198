"""A transfer that somebody else may carry out: `TransferWithAuthorization` (EIP-3009), which x402 pays with."""

from __future__ import annotations

import re
import secrets
from typing import Any

import attrs

from tollkit.errors import ArgumentError
from tollkit.run402.address import checked_address, checksum_address
from tollkit.run402.eip712 import TypedData
from tollkit.run402.errors import raised

__all__ = ["NONCE", "TransferAuthorization", "new_nonce", "transfer_typed_data"]

NONCE = re.compile(r"0x[0-9a-fA-F]{64}")
_WORD = 1 << 256
_TYPES = {
    "EIP712Domain": [
        {"name": "name", "type": "string"},
        {"name": "version", "type": "string"},
        {"name": "chainId", "type": "uint256"},
        {"name": "verifyingContract", "type": "address"},
    ],
    "TransferWithAuthorization": [
        {"name": "from", "type": "address"},
        {"name": "to", "type": "address"},
        {"name": "value", "type": "uint256"},
        {"name": "validAfter", "type": "uint256"},
        {"name": "validBefore", "type": "uint256"},
        {"name": "nonce", "type": "bytes32"},
    ],
}


def _payer(address: str) -> str:
    return checked_address("payer", address)


@attrs.frozen(kw_only=True)
class TransferAuthorization:
    """Who allows which transfer, and when.

    Args:
        payer: Address that pays; kept with its checksum.
        payee: Address that is paid; kept with its checksum.
        value: In the smallest unit of the token.
        valid_after: Seconds since 1970 after which it may be carried out.
        valid_before: Seconds since 1970 before which it may be.
        nonce: 32 bytes, `0x` and hex: the token's contract carries out each nonce of a payer once.

    Raises:
        ArgumentError: A value is unusable.
        MissingExtraError: The extra `payments` is not installed.
    """

    payer: str = attrs.field(converter=_payer)
    # a gateway that writes the capitals wrongly is paid like any other, as by the platform's client
    payee: str = attrs.field(converter=checksum_address)
    value: int
    valid_after: int
    valid_before: int
    nonce: str

    def __attrs_post_init__(self) -> None:
        for name in ("value", "valid_after", "valid_before"):
            found: object = getattr(self, name)
            if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < _WORD:
                raise raised(ArgumentError(name, "must be a whole number that fits in 256 bits"))
        if NONCE.fullmatch(self.nonce) is None:
            raise raised(ArgumentError("nonce", "must be 0x and 64 hex digits"))

    def to_dict(self) -> dict[str, str]:
        """As it goes over the wire: numbers are decimal text."""
        return {
            "from": self.payer,
            "to": self.payee,
            "value": str(self.value),
            "validAfter": str(self.valid_after),
            "validBefore": str(self.valid_before),
            "nonce": self.nonce,
        }


def new_nonce() -> str:
    """32 random bytes, `0x` and hex."""
    return "0x" + secrets.token_hex(32)


def transfer_typed_data(
    authorization: TransferAuthorization, *, asset: str, name: str, version: str, chain_id: int
) -> TypedData:
    """What a wallet signs to allow a transfer.

    Args:
        authorization: The transfer.
        asset: Address of the token's contract.
        name: The token's name in its EIP-712 domain, such as `USDC`.
        version: The version there, such as `2`.
        chain_id: Number of the network, such as 8453.

    Raises:
        ArgumentError: `asset` is no address.
        MissingExtraError: The extra `payments` is not installed.
    """
    message: dict[str, Any] = authorization.to_dict()
    for field in ("value", "validAfter", "validBefore"):
        message[field] = int(message[field])
    return {
        "types": _TYPES,
        "primaryType": "TransferWithAuthorization",
        "domain": {
            "name": name,
            "version": version,
            "chainId": chain_id,
            "verifyingContract": checksum_address(asset),
        },
        "message": message,
    }
