"""Signing a delegation with a wallet, for `ci.create_binding`."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta

from tollkit.core.arguments import instant, wire_time
from tollkit.core.weburl import parse_http_url
from tollkit.errors import ArgumentError, ConfigurationError
from tollkit.run402.ci.delegation import normalize_ci_delegation_values
from tollkit.run402.config import api_base as api_base_of_environment
from tollkit.run402.credentials import wallet_of
from tollkit.run402.errors import family, raised
from tollkit.run402.local import LocalCredentials
from tollkit.run402.namespaces.checks import preparing
from tollkit.run402.signer import Signer
from tollkit.run402.siwx import DEFAULT_CHAIN_ID, LIFETIME, SiwxMessage, siwx_header_value
from tollkit.secrets import Secret

__all__ = ["sign_ci_delegation"]

_SIGNING = "signing CI delegation"


def sign_ci_delegation(
    values: object,
    *,
    signer: Signer | None = None,
    api_base: str | None = None,
    allowance_path: str | os.PathLike[str] | None = None,
    chain_id: str | int = DEFAULT_CHAIN_ID,
    issued_at: datetime | str | None = None,
    expiration_time: datetime | str | None = None,
    nonce: str | None = None,
) -> Secret:
    """Sign the leave for workflows to deploy: the `signed_delegation` of `ci.create_binding`.

    Args:
        values: See `normalize_ci_delegation_values`; the same go to `ci.create_binding`.
        signer: The wallet; the local one when left out.
        api_base: The gateway; `RUN402_API_BASE`, or the platform's, when left out. Its origin alone is signed.
        allowance_path: File of the local wallet; the platform's when left out.
        chain_id: CAIP-2, or a number.
        issued_at: Now when left out. Text is signed as it stands.
        expiration_time: Until when the gateway takes the signature; five minutes from now when left out.
        nonce: Of the signature; the first 16 digits of the delegation's when left out.

    Raises:
        LocalError: There is no wallet, or a value is missing or wrong (also an `ArgumentError`, which names it).
        MissingExtraError: The extra `payments` is not installed.

    Source: Run402 1.57, CI delegation; EIP-4361, EIP-191.
    """
    with family(), preparing(_SIGNING):
        wallet = signer or _local(allowance_path)
        delegation = normalize_ci_delegation_values(values)
        base = api_base_of_environment() if api_base is None else api_base
        url = parse_http_url(base)
        if url is None:
            raise raised(
                ArgumentError("api_base", "must be an http(s) address such as https://api.run402.com"), _SIGNING
            )
        now = datetime.fromtimestamp(time.time(), UTC)
        message = SiwxMessage(
            domain=url.host,
            uri=f"{url.origin}/ci/v1/bindings",
            statement=delegation.statement,
            chain_id=chain_id,
            nonce=delegation.nonce[:16] if nonce is None else nonce,
            issued_at=_moment("issued_at", now if issued_at is None else issued_at),
            expiration_time=_moment(
                "expiration_time", now + timedelta(seconds=LIFETIME) if expiration_time is None else expiration_time
            ),
            resources=[delegation.resource_uri],
        )
        return siwx_header_value(message, wallet)


def _local(allowance_path: str | os.PathLike[str] | None) -> Signer:
    file = LocalCredentials(allowance_path=allowance_path).allowance
    found = file.read()
    if found is None:
        raise raised(
            ConfigurationError(
                f"There is no wallet in {file.path}", hint="Make one with client.allowance.create(), or pass signer="
            ),
            _SIGNING,
        )
    return wallet_of(found)


def _moment(name: str, value: datetime | str) -> str:
    return value if isinstance(value, str) else wire_time(instant(name, value))
