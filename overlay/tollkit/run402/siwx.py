"""Signing in with a wallet: the header `SIGN-IN-WITH-X` (Run402 1.57; EIP-4361 text, EIP-191 signature).

A header is good for one address below the gateway and for five minutes.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from tollkit.core.arguments import required_text, wire_time
from tollkit.core.locks import forkable_lock
from tollkit.core.weburl import parse_http_url
from tollkit.errors import ArgumentError
from tollkit.run402.address import checked_address
from tollkit.run402.errors import raised
from tollkit.run402.signer import Signer, signature_text
from tollkit.secrets import Secret

__all__ = [
    "DEFAULT_CHAIN_ID",
    "HEADER",
    "LIFETIME",
    "STATEMENT",
    "SiwxMessage",
    "SiwxSigner",
    "siwx_header_value",
    "siwx_text",
]

HEADER = "SIGN-IN-WITH-X"
STATEMENT = "Sign in to Run402"
DEFAULT_CHAIN_ID = "eip155:84532"
"""Base Sepolia, whichever network is paid on."""
LIFETIME = 300
"""Seconds that a header is good for."""
_KEPT = 256
_ONE_LINE = ("domain", "uri", "chain_id", "nonce", "issued_at", "expiration_time", "version")
_UNFIT = re.compile("[\r\n\ud800-\udfff]")


@attrs.frozen(kw_only=True)
class SiwxMessage:
    """What a wallet signs to sign in.

    Args:
        domain: Host name of the gateway, without its port.
        uri: The whole address that is asked for, with its query.
        statement: What the signature is for; may have several lines.
        chain_id: CAIP-2 (`eip155:84532`), or a number.
        nonce: Must differ from one message to the next.
        issued_at: ISO 8601 in UTC with milliseconds and `Z`.
        expiration_time: In the same form; `None` for none.
        resources: URIs that the signature is about; `None` leaves them out.
        version: Of EIP-4361.

    Raises:
        ArgumentError: A value has a line break, which would change the meaning of the text, or cannot be encoded.
    """

    domain: str
    uri: str
    statement: str = STATEMENT
    chain_id: str | int = DEFAULT_CHAIN_ID
    nonce: str
    issued_at: str
    expiration_time: str | None = None
    resources: Sequence[str] | None = None
    version: str = "1"

    def __attrs_post_init__(self) -> None:
        if isinstance(self.chain_id, bool) or not isinstance(self.chain_id, str | int):
            raise raised(ArgumentError("chain_id", "must be CAIP-2 text such as eip155:84532, or a number"))
        if not isinstance(self.statement, str):
            raise raised(ArgumentError("statement", "must be text"))
        told = {name: str(getattr(self, name)) for name in _ONE_LINE}
        # the statement may have several lines: it is in the middle of the text, and what follows it is known
        told["statement"] = self.statement.replace("\r", "").replace("\n", "")
        told["resources"] = "".join(self.resources or ())
        for name, text in told.items():
            if _UNFIT.search(text):
                raise raised(ArgumentError(name, "must not have a line break or half a surrogate pair"))

    @classmethod
    def new(
        cls,
        api_base: str,
        path: str,
        *,
        now: float | None = None,
        nonce: str | None = None,
        statement: str = STATEMENT,
        resources: Sequence[str] | None = None,
    ) -> SiwxMessage:
        """The message for a path of the gateway, issued now and good for five minutes.

        Args:
            api_base: The gateway, as requests are sent to it.
            path: With its query; appended as it stands.
            now: Seconds since 1970.
            nonce: 16 random bytes in hex when none is given.
            statement: What the signature is for.
            resources: URIs that it is about.

        Raises:
            ArgumentError: `api_base` is no http(s) address.
        """
        url = parse_http_url(api_base)
        if url is None:
            raise raised(ArgumentError("api_base", "must be an http(s) address such as https://api.run402.com"))
        issued = datetime.fromtimestamp(time.time() if now is None else now, UTC)
        return cls(
            domain=url.host,
            uri=api_base + path,
            statement=statement,
            nonce=nonce or secrets.token_hex(16),
            issued_at=wire_time(issued),
            expiration_time=wire_time(issued + timedelta(seconds=LIFETIME)),
            resources=resources,
        )


def siwx_text(message: SiwxMessage, address: str) -> str:
    """The text that is signed (EIP-4361), lines joined by LF.

    Args:
        message: What it says.
        address: Whose signature it will be.

    Raises:
        ArgumentError: `address` is none.
        MissingExtraError: The extra `payments` is not installed.
    """
    chain = str(message.chain_id)
    digits = chain.removeprefix("eip155:")
    lines = [
        f"{message.domain} wants you to sign in with your Ethereum account:",
        checked_address("address", address),
        "",
        message.statement,
        "",
        f"URI: {message.uri}",
        f"Version: {message.version}",
        f"Chain ID: {digits if digits.isascii() and digits.isdigit() else chain}",
        f"Nonce: {message.nonce}",
        f"Issued At: {message.issued_at}",
    ]
    if message.expiration_time:
        lines.append(f"Expiration Time: {message.expiration_time}")
    if message.resources:
        lines += ["Resources:", *(f"- {uri}" for uri in message.resources)]
    return "\n".join(lines)


def siwx_header_value(message: SiwxMessage, signer: Signer) -> Secret:
    """The value of the header: base64 of compact JSON, with the signature.

    Args:
        message: What to sign.
        signer: The wallet.

    Raises:
        ArgumentError: The signer has no address.
        MissingExtraError: The extra `payments` is not installed.
    """
    address = checked_address("signer", signer.address)
    signature = signer.sign_message(siwx_text(message, address).encode())
    chain = message.chain_id
    payload: dict[str, Any] = {
        "domain": message.domain,
        "address": address,
        "statement": message.statement,
        "uri": message.uri,
        "version": message.version,
        "chainId": f"eip155:{chain}" if isinstance(chain, int) else chain,
        "type": "eip191",
        "nonce": message.nonce,
        "issuedAt": message.issued_at,
    }
    if message.expiration_time is not None:
        payload["expirationTime"] = message.expiration_time
    payload["signature"] = signature_text(signature)
    if message.resources is not None:
        payload["resources"] = list(message.resources)
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return Secret(base64.b64encode(text.encode()).decode("ascii"))


class SiwxSigner:
    """Makes the headers of one wallet for one gateway.

    Args:
        signer: The wallet.
        api_base: The gateway, as requests are sent to it.
        reuse: For how many seconds the header of a path may be sent again; at most the five minutes that it is good
            for. With 0 each call gets a header of its own, as the platform's client does it: what a gateway makes of
            a nonce that it has seen is not known.
        clock: Seconds since 1970.

    Raises:
        ArgumentError: `reuse` is no number of seconds below `LIFETIME`, or `api_base` is no http(s) address.
    """

    def __init__(
        self, signer: Signer, api_base: str, *, reuse: float = 0.0, clock: Callable[[], float] = time.time
    ) -> None:
        if not 0 <= reuse < LIFETIME:
            raise raised(ArgumentError("reuse", f"must be a number of seconds from 0 to less than {LIFETIME}"))
        SiwxMessage.new(required_text("api_base", api_base), "/", now=0)
        self.signer = signer
        self._api_base = api_base
        self._reuse = reuse
        self._clock = clock
        self._made: dict[str, tuple[float, Secret]] = {}
        self._lock = forkable_lock()

    def headers(self, path: str) -> dict[str, str]:
        """The header for a path, with its query.

        Raises:
            ArgumentError: The path has a line break.
            MissingExtraError: The extra `payments` is not installed.
        """
        now = self._clock()
        if not self._reuse:
            return {HEADER: self._sign(path, now)}
        with self._lock:
            made = self._made.get(path)
        # a clock that was set back makes a header of the future, which is refused
        if made is not None and 0 <= now - made[0] < self._reuse:
            return {HEADER: made[1]}
        value = self._sign(path, now)
        with self._lock:
            self._made.pop(path, None)
            self._made[path] = (now, value)
            while len(self._made) > _KEPT:
                del self._made[next(iter(self._made))]
        return {HEADER: value}

    def forget(self) -> None:
        """Send no header again that was sent before, as after a refusal."""
        with self._lock:
            self._made.clear()

    def _sign(self, path: str, now: float) -> Secret:
        return siwx_header_value(SiwxMessage.new(self._api_base, path, now=now), self.signer)

    def __repr__(self) -> str:
        return f"SiwxSigner({self.signer!r}, {self._api_base!r})"
