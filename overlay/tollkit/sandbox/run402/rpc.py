"""The chains as a payer sees them: balances of USDC over JSON-RPC, from the gateway's ledger.

`POST /rpc/{network}` takes `eth_chainId`, `eth_blockNumber`, and `eth_call` of USDC with `balanceOf(address)`,
`decimals()` and `authorizationState(address,bytes32)` (EIP-3009: whether a nonce was carried out).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tollkit.oidc.json_values import is_list
from tollkit.run402.x402 import USDC, chain_id_of
from tollkit.sandbox.http import members
from tollkit.sandbox.run402.calls import Call, GatewayError, route
from tollkit.sandbox.run402.payments import network_id

if TYPE_CHECKING:
    from starlette.routing import Route

    from tollkit.sandbox.run402.gateway import Gateway

__all__ = ["RpcRoutes"]

_DATA = re.compile(r"0x([0-9a-f]{8})((?:[0-9a-f]{64})*)")
_BALANCE_OF = "70a08231"
_DECIMALS = "313ce567"
_AUTHORIZATION_STATE = "e94a0102"
_BLOCK_SECONDS = 2


class _RpcError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class RpcRoutes:
    """JSON-RPC of the two networks.

    Args:
        gateway: Whose ledger it shows.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def routes(self) -> list[Route]:
        """The routes."""
        return [route(self._gateway, "POST", "/rpc/{network}", self._rpc)]

    def forget(self) -> None:
        """Nothing is kept here: the ledger is the gateway's."""

    def _rpc(self, call: Call) -> Any:
        try:
            network = network_id(call.path["network"])
        except ValueError as unknown:
            raise GatewayError(404, "NOT_FOUND", str(unknown)) from None
        asked: Any = call.json
        if is_list(asked):
            return [self._one(network, request) for request in asked]
        return self._one(network, asked)

    def _one(self, network: str, request: Any) -> dict[str, Any]:
        asked = members(request)
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": asked.get("id")}
        try:
            return {**answer, "result": self._result(network, asked)}
        except _RpcError as error:
            return {**answer, "error": {"code": error.code, "message": str(error)}}

    def _result(self, network: str, asked: dict[str, Any]) -> str:
        match asked.get("method"):
            case "eth_chainId":
                return hex(chain_id_of(network))
            case "eth_blockNumber":
                return hex(int(self._gateway.clock.now()) // _BLOCK_SECONDS)
            case "eth_call":
                return f"0x{self._call(network, asked.get('params')):064x}"
            case method:
                raise _RpcError(-32601, f"the method {method} does not exist")

    def _call(self, network: str, params: Any) -> int:
        first = params[:1] if is_list(params) else []
        told = members(first[0] if first else None)
        to, data = told.get("to"), told.get("data", told.get("input"))
        found = _DATA.fullmatch(data.lower()) if isinstance(data, str) else None
        if not isinstance(to, str) or found is None:
            raise _RpcError(-32602, "the call needs to and data")
        if to.lower() != USDC[network].lower():
            raise _RpcError(-32000, "there is no contract but USDC")
        words = [found[2][at : at + 64] for at in range(0, len(found[2]), 64)]
        match found[1], words:
            case (code, [holder]) if code == _BALANCE_OF:
                return self._gateway.payments.balance("0x" + holder[24:], network)
            case (code, []) if code == _DECIMALS:
                return 6
            case (code, [payer, nonce]) if code == _AUTHORIZATION_STATE:
                return int(self._gateway.payments.used("0x" + payer[24:], "0x" + nonce, network))
            case _:
                raise _RpcError(-32000, "execution reverted")
