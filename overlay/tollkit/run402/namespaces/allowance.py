"""The local wallet."""

from __future__ import annotations

import logging
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from tollkit.core.arguments import built, required_text
from tollkit.core.flows import Flow, flow
from tollkit.core.namespaces import Namespace
from tollkit.run402.allowance import allowance_status, create_allowance, export_allowance, note_faucet
from tollkit.run402.credentials import AllowanceData, ask
from tollkit.run402.errors import LocalError
from tollkit.run402.namespaces.checks import preparing

if TYPE_CHECKING:
    from tollkit.run402.allowance import AllowanceCreated, AllowanceStatus
    from tollkit.run402.client import Run402Flows

__all__ = ["Allowance", "FaucetFunds"]

D = TypeVar("D")
_log = logging.getLogger("tollkit.run402")
_CENT = Decimal("0.01")


@attrs.frozen(kw_only=True)
class FaucetFunds:
    """Test money that is on its way.

    Attributes:
        transaction_hash: Hash on the chain.
        amount_usd_micros: How much, in millionths of a US dollar.
        amount: The same in US dollars with two decimals, to be shown: `0.25`.
        token: The token.
        network: The chain.
    """

    transaction_hash: str
    amount_usd_micros: int
    amount: str
    token: str
    network: str

    def to_dict(self) -> dict[str, Any]:
        """In the platform's words."""
        return {
            "transactionHash": self.transaction_hash,
            "amountUsdMicros": self.amount_usd_micros,
            "amount": self.amount,
            "token": self.token,
            "network": self.network,
        }


class Allowance(Namespace[D]):
    """`client.allowance`: the wallet that the credentials keep. Its private key never comes out here."""

    _root: Run402Flows

    @flow
    def status(self) -> Flow[AllowanceStatus]:
        """What is known of the wallet; nothing goes over the network.

        Raises:
            LocalError: What is kept is no wallet.

        Source: Run402 1.57, `allowance.status`.
        """
        with preparing("checking allowance"):
            return (yield from allowance_status(self._root.provider))

    @flow
    def create(self) -> Flow[AllowanceCreated]:
        """Make a wallet and keep it; nothing goes over the network.

        Raises:
            LocalError: The credentials cannot, or there is a wallet already, which is left as it is.

        Source: Run402 1.57, `allowance.create`.
        """
        with preparing("creating allowance"):
            return (yield from create_allowance(self._root.provider))

    @flow
    def export(self) -> Flow[str]:
        """The wallet's address, as it is kept; nothing goes over the network.

        Raises:
            LocalError: There is no wallet.

        Source: Run402 1.57, `allowance.export`.
        """
        with preparing("exporting allowance"):
            return (yield from export_allowance(self._root.provider))

    @flow
    def faucet(self, address: str | None = None) -> Flow[FaucetFunds]:
        """Get test money. The wallet that is kept notes that it was funded, when it was.

        Args:
            address: Whom to fund, sent as it is; the wallet that is kept when left out.

        Raises:
            LocalError: There is no wallet, or `address` is of the wrong kind (also an `ArgumentError`).

        Source: Run402 gateway, `POST /faucet/v1`.
        """
        from tollkit_api.run402.v1_57.api.allowance import allowance_faucet as operation
        from tollkit_api.run402.v1_57.models import FaucetRequest

        doing = "requesting faucet funds"
        provider = self._root.provider
        with preparing(doing):
            if not address:
                kept: AllowanceData | None = yield from ask(provider, "read_allowance")
                if kept is None:
                    raise LocalError("There is no allowance to fund", hint="Make one: allowance.create()")
                address = kept.address
            request = built(operation.request, body=FaucetRequest(address=required_text("address", address)))
        sent = yield from self._root.call(request, operation.parse, doing)
        try:
            yield from note_faucet(provider, address)
        except Exception as problem:  # noqa: BLE001 - the money is on its way, whether that can be noted or not
            _log.warning("The faucet's use could not be noted: %s", type(problem).__name__)
        return FaucetFunds(
            transaction_hash=sent.transaction_hash,
            amount_usd_micros=sent.amount_usd_micros,
            amount=_dollars(sent.amount_usd_micros),
            token=sent.token,
            network=sent.network,
        )


def _dollars(micros: int) -> str:
    """The amount as the platform's client shows it: the nearest double, to the cent (ECMA-262, toFixed)."""
    try:
        dollars = micros / 1_000_000
    except OverflowError:  # beyond a double, which JavaScript calls infinite
        return "Infinity" if micros > 0 else "-Infinity"
    with localcontext(prec=400):  # as many digits as a double may have before its point
        return str(Decimal(dollars).quantize(_CENT, ROUND_HALF_UP))
