"""What a wallet holds, where somebody can tell. A balance that could not be read is not a balance of zero."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import attrs

from tollkit.core.http import Connections, HttpClient
from tollkit.core.locks import forkable_lock
from tollkit.core.settings import Connection, Timeout
from tollkit.errors import ArgumentError
from tollkit.oidc.json_values import decode, is_object
from tollkit.run402.address import checked_address
from tollkit.run402.errors import raised
from tollkit.run402.x402 import BASE, BASE_SEPOLIA

__all__ = ["RPC_URLS", "Balances", "RpcBalances"]

RPC_URLS: Mapping[str, str] = {BASE: "https://mainnet.base.org", BASE_SEPOLIA: "https://sepolia.base.org"}
"""Public nodes of each network; they learn which address is asked for."""
_BALANCE_OF = "0x70a08231"
_WORD = re.compile(r"0x[0-9a-fA-F]{64}")
_log = logging.getLogger("tollkit.run402")


@runtime_checkable
class Balances(Protocol):
    """Tells what a wallet holds. May block; an async client calls it in a thread."""

    def balance(self, network: str, asset: str, address: str) -> int | None:
        """In the smallest unit of the asset; `None` when it could not be read.

        Args:
            network: The network in CAIP-2 form, such as `eip155:8453`.
            asset: Address of the token's contract.
            address: The wallet.
        """
        ...


class RpcBalances:
    """Asks a node of the network (JSON-RPC, `eth_call` of the token's `balanceOf`). Safe to share.

    Args:
        urls: Address of a node for each network; public ones when nothing is said.
        timeout: Seconds for each read.
        keep: Seconds for which a balance is not read again.
        connection: Proxy, certificates, pool sizes.
        http_client: An HTTP client of your own; you close it.
        clock: Seconds that never go back.

    Raises:
        ArgumentError: `timeout` is unusable.
    """

    def __init__(
        self,
        urls: Mapping[str, str] | None = None,
        *,
        timeout: float = 5.0,
        keep: float = 15.0,
        connection: Connection | None = None,
        http_client: HttpClient | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            seconds = Timeout.of(timeout)
        except ArgumentError as error:
            raise raised(error) from None
        self._timeout = (seconds.connect, seconds.read, seconds.write, seconds.pool)
        self._urls = dict(RPC_URLS if urls is None else urls)
        self._keep = keep
        self._clock = clock
        # the faster engine would keep an event loop for what is asked so rarely, and nobody closes this
        quiet = attrs.evolve(connection or Connection(), engine="httpx")
        self._connections = Connections(quiet, http_client)
        self._lock = forkable_lock()
        self._known: dict[tuple[str, str, str], tuple[float, int]] = {}

    def balance(self, network: str, asset: str, address: str) -> int | None:
        """In the smallest unit of the asset; `None` when it could not be read.

        Args:
            network: The network in CAIP-2 form, such as `eip155:8453`.
            asset: Address of the token's contract.
            address: The wallet.
        """
        key = (network, asset.lower(), address.lower())
        now = self._clock()
        with self._lock:
            known = self._known.get(key)
        if known is not None and now - known[0] < self._keep:
            return known[1]
        url = self._urls.get(network)
        if url is None:
            return None
        try:
            found = self._read(url, asset, address)
        except Exception as problem:  # noqa: BLE001 - whatever it is, the balance is not known, and that is no error
            _log.info("the balance on %s could not be read (%s)", network, type(problem).__name__)
            return None
        with self._lock:
            self._known[key] = (now, found)
        return found

    def _read(self, url: str, asset: str, address: str) -> int:
        data = _BALANCE_OF + checked_address("address", address)[2:].lower().rjust(64, "0")
        call = [{"to": checked_address("asset", asset), "data": data}, "latest"]
        asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": call}
        answer = self._connections.client().request(
            "POST",
            url,
            content=json.dumps(asked).encode(),
            # closed after each answer: balances are read so rarely that nobody should have to close this
            headers={"Content-Type": "application/json", "Connection": "close"},
            follow_redirects=False,
            timeout=self._timeout,
        )
        told: Any = decode(answer.content)
        result = told.get("result") if answer.status_code == 200 and is_object(told) else None
        if not (isinstance(result, str) and _WORD.fullmatch(result)):
            raise ValueError("no balance")
        return int(result, 16)
