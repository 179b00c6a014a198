"""What the wallet pays for."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tollkit.core.arguments import built, required_text
from tollkit.core.flows import Flow, flow
from tollkit.core.namespaces import Namespace
from tollkit.run402.namespaces.checks import preparing

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit_api.run402.v1_57.models import SetTierResult, TierName, TierStatus

__all__ = ["Tier"]

D = TypeVar("D")


class Tier(Namespace[D]):
    """`client.tier`: the wallet's lease, which its projects share."""

    _root: Run402Flows

    @flow
    def status(self) -> Flow[TierStatus]:
        """The wallet's lease, and what its projects have used of it together.

        Raises:
            Unauthorized: The wallet's signature is refused.

        Source: Run402 gateway, `GET /tiers/v1/status`.
        """
        from tollkit_api.run402.v1_57.api.tier import tier_status as operation

        return (yield from self._root.call(operation.request(), operation.parse, "checking tier status"))

    @flow
    def set(self, tier: TierName | str) -> Flow[SetTierResult]:
        """Lease a tier, or renew it. Costs money.

        Args:
            tier: Its name, such as `hobby`.

        Raises:
            LocalError: `tier` is empty (also an `ArgumentError`).
            PaymentRequired: The price was not paid.

        Source: Run402 gateway, `POST /tiers/v1/{tier}`.
        """
        from tollkit_api.run402.v1_57.api.tier import tier_set as operation

        doing = "setting tier"
        with preparing(doing):
            request = built(operation.request, required_text("tier", tier), body={})
        return (yield from self._root.call(request, operation.parse, doing))
