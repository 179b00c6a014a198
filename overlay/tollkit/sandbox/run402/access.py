"""Who calls: the keys of projects, and wallets that sign in.

Checking a wallet's signature needs the extra `payments`; keys do not.
"""

from __future__ import annotations

import base64
import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import attrs

from tollkit.errors import ArgumentError, MissingExtraError
from tollkit.oidc.json_values import is_list
from tollkit.run402.address import checksum_address, is_address, keccak256
from tollkit.run402.siwx import HEADER, STATEMENT, SiwxMessage, siwx_text
from tollkit.run402.x402 import BASE, BASE_SEPOLIA
from tollkit.sandbox.http import members
from tollkit.sandbox.run402 import PREFIX
from tollkit.sandbox.run402.calls import GatewayError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from tollkit.sandbox.run402.gateway import Gateway, Project

__all__ = ["Access", "SignedIn", "recovered_address"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS siwx_nonces (
    wallet TEXT NOT NULL,
    nonce TEXT NOT NULL,
    expires_at REAL NOT NULL,
    PRIMARY KEY (wallet, nonce)
);
CREATE INDEX IF NOT EXISTS siwx_nonces_by_end ON siwx_nonces (expires_at);
"""
_SKEW = 30.0
"""Seconds that the caller's clock may be ahead."""
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_NONCE = re.compile(r"[0-9A-Za-z]{8,}")
_SIGNATURE = re.compile(r"0x[0-9a-fA-F]{130}")
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_MEMBERS = (
    "domain",
    "address",
    "statement",
    "uri",
    "version",
    "chainId",
    "type",
    "nonce",
    "issuedAt",
    "expirationTime",
    "signature",
)


@attrs.frozen(kw_only=True)
class SignedIn:
    """A wallet's message whose signature is right."""

    address: str
    """With its checksum."""
    domain: str
    uri: str
    statement: str
    chain_id: str
    nonce: str
    issued_at: float
    expires_at: float
    resources: tuple[str, ...]


class _RefusedError(Exception):
    """Why a signature is refused."""


class Access:
    """Keys and wallet signatures of one gateway.

    Attributes:
        nonces_once: Whether a nonce of a wallet signs in once. A request that was answered with a price may come
            again with its nonce and a payment.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.nonces_once: bool = True
        gateway.db.executescript(_SCHEMA)

    def forget(self) -> None:
        """Forget the nonces."""
        self._gateway.db.execute("DELETE FROM siwx_nonces")
        self.nonces_once = True

    # ---------------------------------------------------------------- keys

    def by_service_key(self, request: Request, project_id: str | None, *, paid: bool) -> Project:
        """See `Gateway.by_service_key`."""
        key = _bearer(request) or request.headers.get("apikey")
        if not key:
            raise GatewayError(401, "AUTHENTICATION_REQUIRED", "A project service key is required")
        found = self._by_key(key)
        if found is None:
            raise GatewayError(401, "UNAUTHORIZED", "The service key is not known")
        project, kind = found
        if project_id is not None:
            self._gateway.project(project_id)
            if project.id != project_id:
                raise GatewayError(403, "UNAUTHORIZED", "The service key does not belong to this project")
        if kind != "service":
            raise GatewayError(403, "UNAUTHORIZED", "The service key is needed for this, not the anon key")
        return self._counted(project, paid=paid)

    def by_any_key(self, request: Request, *, paid: bool) -> tuple[Project, Literal["anon", "service"]]:
        """See `Gateway.by_any_key`."""
        key = request.headers.get("apikey") or _bearer(request)
        if not key:
            raise GatewayError(401, "AUTHENTICATION_REQUIRED", "A project key is required")
        found = self._by_key(key)
        if found is None:
            raise GatewayError(401, "UNAUTHORIZED", "The project key is not known")
        project, kind = found
        return self._counted(project, paid=paid), kind

    def _by_key(self, key: str) -> tuple[Project, Literal["anon", "service"]] | None:
        row = self._gateway.db.execute(
            "SELECT id, service_key FROM projects WHERE (anon_key = ? OR service_key = ?) AND NOT deleted", (key, key)
        ).fetchone()
        if row is None:
            return None
        return self._gateway.project(row["id"]), "service" if row["service_key"] == key else "anon"

    def _counted(self, project: Project, *, paid: bool) -> Project:
        gateway = self._gateway
        if paid and project.status(gateway.clock.now()) == "past_due":
            raise GatewayError(
                402,
                "PROJECT_PAST_DUE",
                "The project's lease has ended",
                category="lifecycle",
                details={"project_id": project.id},
                next_actions=[{"type": "renew_tier"}],
            )
        gateway.db.execute("UPDATE projects SET api_calls = api_calls + 1 WHERE id = ?", (project.id,))
        return project

    # ---------------------------------------------------------------- wallets

    def wallet(self, request: Request) -> str:
        """See `Gateway.wallet`."""
        value = request.headers.get(HEADER)
        if not value:
            raise GatewayError(
                401, "AUTHENTICATION_REQUIRED", f"A wallet's signature is required, in the header {HEADER}"
            )
        address = _address_asked_for(request)
        signed = self.signed_in(value, domain=urlsplit(address).hostname or "", uri=address)
        if signed.statement != STATEMENT:
            raise _refused(f"the statement must be {STATEMENT!r}")
        self._use(signed)
        request.state.wallet = signed.address
        request.state.siwx_nonce = signed.nonce
        return signed.address

    def release_nonce(self, request: Request) -> None:
        """Let the request come again with what it signed in with: it was told a price, and will bring a payment."""
        used = (getattr(request.state, name, None) for name in ("wallet", "siwx_nonce"))
        self._gateway.db.execute("DELETE FROM siwx_nonces WHERE wallet = ? AND nonce = ?", tuple(used))

    def signed_in(self, value: str, *, domain: str, uri: str) -> SignedIn:
        """What a wallet signed, when the signature is right and good now; its nonce may have been used.

        Args:
            value: Of the header, or of another place where such a message stands.
            domain: Host name that it must be for.
            uri: Address that it must be for.

        Raises:
            GatewayError: 402, it is refused.
            MissingExtraError: The extra `payments` is not installed.
        """
        try:
            signed = _read(value)
            now = self._gateway.clock.now()
            if signed.domain != domain:
                raise _RefusedError(f"the domain is {signed.domain!r} instead of {domain!r}")
            if signed.uri != uri:
                raise _RefusedError(f"the uri is {signed.uri!r} instead of {uri!r}")
            if signed.issued_at > now + _SKEW:
                raise _RefusedError("it was issued in the future")
            if not now < signed.expires_at:
                raise _RefusedError("it has expired")
        except _RefusedError as reason:
            raise _refused(str(reason)) from None
        return signed

    def _use(self, signed: SignedIn) -> None:
        db, now = self._gateway.db, self._gateway.clock.now()
        db.execute("DELETE FROM siwx_nonces WHERE expires_at <= ?", (now,))
        known = db.execute(
            "SELECT 1 FROM siwx_nonces WHERE wallet = ? AND nonce = ?", (signed.address, signed.nonce)
        ).fetchone()
        if known and self.nonces_once:
            raise _refused("the nonce was used before")
        db.execute(
            "INSERT OR REPLACE INTO siwx_nonces (wallet, nonce, expires_at) VALUES (?, ?, ?)",
            (signed.address, signed.nonce, signed.expires_at),
        )


def recovered_address(digest: bytes, signature: object) -> str | None:
    """Whose signature of these 32 bytes it is, with the address's checksum; None when it is no signature.

    Args:
        digest: What was signed.
        signature: `0x` and 130 hex digits: r, s in the lower half of the order, and 27 or 28.

    Raises:
        MissingExtraError: The extra `payments` is not installed.
    """
    try:
        import coincurve
    except ImportError as missing:
        raise MissingExtraError("Checking a wallet's signature", "payments") from missing
    if not isinstance(signature, str) or _SIGNATURE.fullmatch(signature) is None:
        return None
    raw = bytes.fromhex(signature[2:])
    if raw[64] not in (27, 28) or int.from_bytes(raw[32:64], "big") > _HALF_ORDER:
        return None
    try:
        key = coincurve.PublicKey.from_signature_and_message(raw[:64] + bytes([raw[64] - 27]), digest, hasher=None)
    except ValueError:
        return None
    return checksum_address("0x" + keccak256(key.format(compressed=False)[1:])[-20:].hex())


def _bearer(request: Request) -> str | None:
    header = request.headers.get("authorization", "")
    return header[7:].strip() or None if header[:7].lower() == "bearer " else None


def _address_asked_for(request: Request) -> str:
    """The whole address that the caller asked for, as it stood on the wire."""
    scope = request.scope
    query: str = scope["query_string"].decode("ascii")
    address = f"{request.url.scheme}://{request.headers.get('host', '')}{PREFIX}{scope['path']}"
    return f"{address}?{query}" if query else address


def _refused(reason: str) -> GatewayError:
    # 402 and not 401: so the platform answers a signature that it does not take
    return GatewayError(
        402,
        "INVALID_WALLET_SIGNATURE",
        f"The wallet's signature is refused: {reason}",
        category="auth",
        details={"reason": reason},
    )


def _read(value: str) -> SignedIn:
    from tollkit.run402.signer import message_digest

    told = _decoded(value)
    found = _texts(told)
    if found["type"] != "eip191":
        raise _RefusedError("the type must be 'eip191'")
    if found["version"] != "1":
        raise _RefusedError("the version must be '1'")
    if found["chainId"] not in (BASE_SEPOLIA, BASE):
        raise _RefusedError(f"the chainId must be {BASE_SEPOLIA} or {BASE}")
    if _NONCE.fullmatch(found["nonce"]) is None:
        raise _RefusedError("the nonce must be 8 letters and digits, or more")
    if not is_address(found["address"]) or checksum_address(found["address"]) != found["address"]:
        raise _RefusedError("the address must be one, with its checksum")
    resources = _resources(told.get("resources"))
    message = _message(found, resources)
    text = siwx_text(message, found["address"])
    if recovered_address(message_digest(text.encode()), found["signature"]) != found["address"]:
        raise _RefusedError("the signature is not of this address over this message")
    return SignedIn(
        address=found["address"],
        domain=found["domain"],
        uri=found["uri"],
        statement=found["statement"],
        chain_id=found["chainId"],
        nonce=found["nonce"],
        issued_at=_moment("issuedAt", found["issuedAt"]),
        expires_at=_moment("expirationTime", found["expirationTime"]),
        resources=tuple(resources or ()),
    )


def _decoded(value: str) -> dict[str, Any]:
    try:
        told = json.loads(base64.b64decode(value, validate=True).decode("utf-8"))
    except (ValueError, RecursionError):
        raise _RefusedError("it is not base64 of JSON") from None
    if not isinstance(told, dict):
        raise _RefusedError("it is not base64 of a JSON object")
    return members(told)


def _texts(told: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _MEMBERS:
        text = told.get(name)
        if not isinstance(text, str) or not text:
            raise _RefusedError(f"{name} must be a text")
        found[name] = text
    return found


def _resources(value: object) -> Sequence[str] | None:
    if value is None:
        return None
    if not is_list(value) or not all(isinstance(uri, str) for uri in value):
        raise _RefusedError("resources must be a list of texts")
    return value


def _message(found: dict[str, str], resources: Sequence[str] | None) -> SiwxMessage:
    try:
        return SiwxMessage(
            domain=found["domain"],
            uri=found["uri"],
            statement=found["statement"],
            chain_id=found["chainId"],
            nonce=found["nonce"],
            issued_at=found["issuedAt"],
            expiration_time=found["expirationTime"],
            resources=resources,
        )
    except ArgumentError as slip:
        raise _RefusedError(slip.message) from None


def _moment(name: str, text: str) -> float:
    try:
        if _TIME.fullmatch(text) is None:
            raise ValueError(text)
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise _RefusedError(f"{name} must be a time such as 2026-05-04T10:00:00.000Z") from None
