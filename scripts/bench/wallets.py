"""CPU microseconds of a wallet's signatures, as JSON: ours, the bare libraries below it, eth-account where it is.

    python wallets.py [TIMES ROUNDS]

`make bench` runs this with the interpreter that has eth-account, so that all are measured in one process.
"""

from __future__ import annotations

import base64
import json
import secrets
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import coincurve
from Crypto.Hash import keccak

from tollkit.run402 import (
    BASE_SEPOLIA,
    USDC,
    PrivateKeySigner,
    SiwxSigner,
    TransferAuthorization,
    transfer_typed_data,
)

KEY = "0x" + "4c" * 32
GATEWAY = "https://api.run402.com"
PATH = "/projects/v1"
PAYEE = "0x1111111111111111111111111111111111111111"
TIMES, ROUNDS = (int(sys.argv[1]), int(sys.argv[2])) if len(sys.argv) > 2 else (300, 7)

signer = PrivateKeySigner(KEY)
siwx = SiwxSigner(signer, GATEWAY)
bare_key: Any = coincurve.PrivateKey(bytes.fromhex(KEY[2:]))


def hashed(data: bytes) -> bytes:
    return keccak.new(data=data, digest_bits=256).digest()


def signed(digest: bytes) -> str:
    """The 65 bytes in hex, by coincurve alone."""
    signature: bytes = bare_key.sign_recoverable(digest, hasher=None)
    return "0x" + signature[:64].hex() + f"{27 + signature[64]:02x}"


# ---------------------------------------------------------------- the header that signs in


def siwx_ours() -> object:
    return siwx.headers(PATH)


def siwx_text() -> tuple[str, dict[str, Any]]:
    """What anybody has to write down to sign in; checks nothing."""
    now = time.time()
    nonce = secrets.token_hex(16)
    issued, ends = (
        datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for moment in (now, now + 300)
    )
    text = (
        f"api.run402.com wants you to sign in with your Ethereum account:\n{signer.address}\n\nSign in to Run402\n\n"
        f"URI: {GATEWAY}{PATH}\nVersion: 1\nChain ID: 84532\nNonce: {nonce}\nIssued At: {issued}\n"
        f"Expiration Time: {ends}"
    )
    return text, {
        "domain": "api.run402.com", "address": signer.address, "statement": "Sign in to Run402",
        "uri": GATEWAY + PATH, "version": "1", "chainId": "eip155:84532", "type": "eip191", "nonce": nonce,
        "issuedAt": issued, "expirationTime": ends,
    }  # fmt: skip


def encoded(payload: Mapping[str, Any]) -> str:
    return base64.b64encode(json.dumps(payload, separators=(",", ":")).encode()).decode()


def siwx_bare() -> object:
    text, payload = siwx_text()
    message = text.encode()
    payload["signature"] = signed(hashed(b"\x19Ethereum Signed Message:\n%d" % len(message) + message))
    return {"SIGN-IN-WITH-X": encoded(payload)}


# ---------------------------------------------------------------- a payment (EIP-3009)


def transfer() -> dict[str, Any]:
    now = int(time.time())
    return {"valid_after": now - 600, "valid_before": now + 300, "nonce": "0x" + secrets.token_hex(32)}


def typed() -> Any:
    authorization = TransferAuthorization(payer=signer.address, payee=PAYEE, value=100_000, **transfer())
    return transfer_typed_data(authorization, asset=USDC[BASE_SEPOLIA], name="USDC", version="2", chain_id=84532)


def payment_ours() -> object:
    return signer.sign_typed_data(typed())


_DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_TRANSFER_TYPE = (
    b"TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,"
    b"bytes32 nonce)"
)


def _address(text: str) -> bytes:
    return bytes.fromhex(text[2:]).rjust(32, b"\x00")


def payment_bare() -> object:
    """With nothing kept from one payment to the next, and nothing checked."""
    chosen = transfer()
    domain = hashed(
        hashed(_DOMAIN_TYPE) + hashed(b"USDC") + hashed(b"2") + (84532).to_bytes(32, "big")
        + _address(USDC[BASE_SEPOLIA])
    )  # fmt: skip
    message = hashed(
        hashed(_TRANSFER_TYPE) + _address(signer.address) + _address(PAYEE) + (100_000).to_bytes(32, "big")
        + chosen["valid_after"].to_bytes(32, "big") + chosen["valid_before"].to_bytes(32, "big")
        + bytes.fromhex(chosen["nonce"][2:])
    )  # fmt: skip
    return signed(hashed(b"\x19\x01" + domain + message))


# ---------------------------------------------------------------- measuring


def cpu(work: Callable[[], object]) -> float:
    """Microseconds of one call."""
    started = time.process_time()
    for _ in range(TIMES):
        work()
    return (time.process_time() - started) / TIMES * 1e6


def medians(**works: Callable[[], object]) -> dict[str, float]:
    """The median of the rounds, in which the works take turns."""
    for work in works.values():
        work()
    rounds = [{name: cpu(work) for name, work in works.items()} for _ in range(ROUNDS)]
    return {name: statistics.median(found[name] for found in rounds) for name in works}


def main() -> None:
    """Print the figures."""
    sign_in: dict[str, Callable[[], object]] = {
        "ours": siwx_ours,
        "bare": siwx_bare,
        "signature": lambda: signed(b"x" * 32),
    }
    payment: dict[str, Callable[[], object]] = {"ours": payment_ours, "bare": payment_bare}
    if find_spec("eth_account"):
        messages = import_module("eth_account.messages")
        account = import_module("eth_account").Account.from_key(KEY)

        def siwx_of_account() -> object:
            text, payload = siwx_text()
            made = account.sign_message(messages.encode_defunct(text=text))
            return encoded({**payload, "signature": "0x" + bytes(made.signature).hex()})

        sign_in["eth-account"] = siwx_of_account
        payment["eth-account"] = lambda: account.sign_typed_data(full_message=typed())
        assert bytes(account.sign_typed_data(full_message=(one := typed())).signature) == signer.sign_typed_data(one)
    print(json.dumps({"sign-in": medians(**sign_in), "payment": medians(**payment)}))


if __name__ == "__main__":
    main()
