"""What a program may pay without asking, what it must ask for, and what it never pays."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

import attrs

from tollkit.errors import ArgumentError
from tollkit.run402.address import checked_address
from tollkit.run402.errors import raised
from tollkit.run402.x402 import BASE, BASE_SEPOLIA, USDC, Requirement, chain_id_of

__all__ = ["Ask", "Asset", "PaymentRequest", "SpendingPolicy", "usdc", "usdc_assets"]

_DOLLARS = re.compile(r"(?P<whole>[0-9]{1,72})(?:\.(?P<part>[0-9]{1,6})0*)?")
DAY = 86_400.0
"""Seconds that the limits of a day look back."""


def usdc(dollars: str | int | Decimal) -> int:
    """An amount of USDC in its smallest unit: `usdc("0.10")` is 100000.

    Args:
        dollars: Text or a whole number of dollars; no float, which cannot hold a tenth.

    Raises:
        ArgumentError: It is no amount, is negative, or has more than six decimals.
    """
    # digits, not arithmetic: the decimal context of a program may round
    found = None
    if isinstance(dollars, str | int | Decimal) and not isinstance(dollars, bool):
        with contextlib.suppress(ValueError):  # a number of thousands of digits
            found = _DOLLARS.fullmatch(format(dollars, "f") if isinstance(dollars, Decimal) else str(dollars))
    if found is None:
        raise raised(
            ArgumentError("dollars", 'must be text such as "0.10" with at most six decimals, and not negative')
        )
    return int(found["whole"]) * 1_000_000 + int((found["part"] or "").ljust(6, "0"))


def _limit(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        problem = "must be a whole number of the smallest unit, 0 or more, or None"
        raise raised(ArgumentError(attribute.name, problem))


def _callable(_instance: object, _attribute: object, value: Any) -> None:
    if value is not None and not callable(value):
        raise raised(ArgumentError("ask", "must be something to call with a PaymentRequest"))


def _at_least(least: int) -> Callable[[object, attrs.Attribute[int], object], None]:
    def check(_instance: object, attribute: attrs.Attribute[int], value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise raised(ArgumentError(attribute.name, f"must be a whole number, {least} or more"))

    return check


def _network(name: str) -> str:
    return f"eip155:{chain_id_of(name)}"


def _contract(address: str) -> str:
    return checked_address("address", address)


@attrs.frozen(kw_only=True)
class Asset:
    """A token that may be paid with.

    A limit that is not told here is the policy's. Limits count each asset by itself.

    Args:
        network: CAIP-2, such as `eip155:8453`, or `base` and `base-sepolia`.
        address: Its contract.
        symbol: For people.
        decimals: How many digits of an amount stand behind the point.
        per_call: Most for one call, in the smallest unit.
        per_day: Most within 24 hours.
        ask_above: Most for one call without asking.
        unasked_per_day: Most within 24 hours without asking.

    Raises:
        ArgumentError: A value is unusable.
    """

    network: str = attrs.field(converter=_network)
    address: str = attrs.field(converter=_contract)
    symbol: str = "USDC"
    decimals: int = attrs.field(default=6, validator=_at_least(0))
    per_call: int | None = attrs.field(default=None, validator=_limit)
    per_day: int | None = attrs.field(default=None, validator=_limit)
    ask_above: int | None = attrs.field(default=None, validator=_limit)
    unasked_per_day: int | None = attrs.field(default=None, validator=_limit)

    def is_of(self, requirement: Requirement) -> bool:
        """Whether it is what a requirement asks for."""
        return self.network == requirement.network and self.address.lower() == requirement.asset.lower()

    def told(self, amount: int) -> str:
        """An amount for people: `0.1 USDC`.

        Args:
            amount: In the smallest unit of the asset.
        """
        return f"{self.whole(amount)} {self.symbol}"

    def whole(self, amount: int) -> Decimal:
        """An amount in whole tokens, exact whatever its size."""
        digits = str(amount).rjust(self.decimals + 1, "0")
        point = len(digits) - self.decimals
        text = f"{digits[:point]}.{digits[point:]}".rstrip("0").rstrip(".")
        return Decimal(text)


def usdc_assets() -> tuple[Asset, ...]:
    """USDC on Base and on Base Sepolia, a test network.

    Raises:
        MissingExtraError: The extra `payments` is not installed.
    """
    return tuple(Asset(network=network, address=USDC[network]) for network in (BASE, BASE_SEPOLIA))


@attrs.frozen(kw_only=True)
class PaymentRequest:
    """A payment that a person or a program is asked about.

    Attributes:
        amount: In the smallest unit of the asset.
        asset: What is paid with.
        payer: Address that pays.
        payee: Address that is paid.
        method: HTTP method of the request that is paid for.
        url: Address of that request, without its query.
        description: What the server says it is for.
        spent: What had been spent of this asset within 24 hours when this was asked. Calls side by side are asked
            about side by side: a limit that has to hold is `per_day`.
        because: The setting that asks: `ask_above` or `unasked_per_day`.
    """

    amount: int
    asset: Asset
    payer: str
    payee: str
    method: str
    url: str
    description: str | None
    spent: int
    because: str

    def __str__(self) -> str:
        spent = f"{self.asset.told(self.spent)} spent within a day"
        return f"{self.asset.told(self.amount)} to {self.payee} for {self.method} {self.url} ({spent})"


Ask: TypeAlias = Callable[[PaymentRequest], "bool | Awaitable[bool]"]


def _addresses(recipients: Collection[str] | None) -> frozenset[str] | None:
    if recipients is None:
        return None
    if isinstance(recipients, str):
        raise raised(ArgumentError("recipients", "must be a collection of addresses"))
    return frozenset(checked_address("recipients", address).lower() for address in recipients)


def _networks(networks: Collection[str] | None) -> frozenset[str] | None:
    if networks is None:
        return None
    if isinstance(networks, str):
        raise raised(ArgumentError("networks", "must be a collection of networks"))
    return frozenset(map(_network, networks))


def _assets(assets: Sequence[Asset]) -> tuple[Asset, ...]:
    if not all(isinstance(asset, Asset) for asset in assets):
        raise raised(ArgumentError("assets", "must be a sequence of Asset"))
    return tuple(assets)


@attrs.frozen(kw_only=True)
class SpendingPolicy:
    """What may be paid. Amounts are in the smallest unit of the asset; see `usdc`.

    Args:
        per_call: Most for one call; `None` for no limit.
        per_day: Most within 24 hours, of each asset; `None` for no limit. It holds for all processes that share a
            journal.
        assets: What may be paid with: USDC on Base and Base Sepolia when nothing is said. A token that is not named
            is refused, since nobody knows what a number of it is worth.
        networks: On which networks; `None` for those of the assets.
        recipients: Whom; `None` for anybody.
        ask_above: A call that costs more is asked about.
        unasked_per_day: What would bring the last 24 hours above it is asked about, however small; `None` for never.
        ask: Called with a `PaymentRequest`; pays when it returns `True`. A coroutine function needs an async client.
            Without it, what would be asked about is refused.
        longest: Most seconds for which a signed payment may be good; a server that wants longer is refused.

    Raises:
        ArgumentError: A value is unusable.
        MissingExtraError: The extra `payments` is not installed.
    """

    per_call: int | None = attrs.field(default=None, validator=_limit)
    per_day: int | None = attrs.field(default=None, validator=_limit)
    assets: tuple[Asset, ...] = attrs.field(factory=usdc_assets, converter=_assets)
    networks: frozenset[str] | None = attrs.field(default=None, converter=_networks)
    recipients: frozenset[str] | None = attrs.field(default=None, converter=_addresses)
    ask_above: int | None = attrs.field(default=100_000, validator=_limit)
    unasked_per_day: int | None = attrs.field(default=1_000_000, validator=_limit)
    ask: Ask | None = attrs.field(default=None, validator=_callable)
    longest: int = attrs.field(default=3_600, validator=_at_least(1))

    def limit(self, name: str, asset: Asset) -> int | None:
        """The limit of this name that counts for an asset: its own, or the policy's.

        Args:
            name: `per_call`, `per_day` or another that both have.
            asset: The asset.
        """
        own: int | None = getattr(asset, name)
        of_all: int | None = getattr(self, name)
        return of_all if own is None else own

    def forbids(self, requirement: Requirement) -> tuple[str, str] | None:
        """Which setting forbids it whatever was spent, and why; `None` when none does."""
        if self.networks is not None and requirement.network not in self.networks:
            return "networks", f"the network {requirement.network} is not allowed"
        asset = next((asset for asset in self.assets if asset.is_of(requirement)), None)
        if asset is None:
            return "assets", f"the token {requirement.asset} on {requirement.network} is not allowed"
        if self.recipients is not None and requirement.pay_to.lower() not in self.recipients:
            return "recipients", f"the payee {requirement.pay_to} is not allowed"
        most = self.limit("per_call", asset)
        if most is not None and requirement.amount > most:
            return "per_call", f"{asset.told(requirement.amount)} is more than {asset.told(most)} for one call"
        if requirement.max_timeout_seconds > self.longest:
            seconds = requirement.max_timeout_seconds
            return "longest", f"a signature would be good for {seconds} s, which is longer than {self.longest} s"
        return None
