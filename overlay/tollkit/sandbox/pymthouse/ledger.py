"""The usage ledger: records, their billing events, and the selections that the usage and billing answers are of."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from decimal import Decimal

import attrs

__all__ = ["BillingEvent", "Ledger", "Micros", "Selection", "UsageRecord", "eth_text", "new_id"]

WEI_PER_MICRO = 10**18 // (3000 * 10**6)
"""Wei in a millionth of a dollar at the server's fall-back price of 3000 USD for one ETH."""


def new_id() -> str:
    """A random UUIDv4 as text."""
    return str(uuid.uuid4())


def eth_text(wei: int) -> str:
    """Wei as a decimal amount of ETH without trailing zeros."""
    return f"{Decimal(wei).scaleb(-18).normalize():f}" if wei else "0"


@attrs.frozen(kw_only=True)
class Micros:
    """The four amounts of a billing event, in millionths of a US dollar."""

    network: int = 0
    owner: int = 0
    platform: int = 0
    billable: int = 0

    def __add__(self, other: Micros) -> Micros:
        return Micros(
            network=self.network + other.network,
            owner=self.owner + other.owner,
            platform=self.platform + other.platform,
            billable=self.billable + other.billable,
        )


def total(amounts: Iterable[Micros]) -> Micros:
    """The sum of amounts."""
    return sum(amounts, Micros())


@attrs.frozen(kw_only=True)
class UsageRecord:
    """One metered request.

    `user_id` is what the platform stored: the id of an app user, of an end user, a raw external id, or nothing.
    """

    user_id: str | None
    created_at: str
    """ISO text in UTC with milliseconds and `Z`."""
    fee_wei: int = 0
    units: int = 0
    id: str = attrs.field(factory=new_id)


@attrs.frozen(kw_only=True)
class BillingEvent:
    """The priced side of a record; a record has none, one or several."""

    record_id: str
    pipeline: str
    model_id: str
    amounts: Micros
    created_at: str
    gateway_request_id: str | None = None
    attribution_source: str = "direct_api"
    upcharge_percent_bps: int = 0
    pricing_rule_source: str = "unpriced"
    orch_address: str = "0x0000000000000000000000000000000000000001"
    id: str = attrs.field(factory=new_id)

    def wire(self) -> dict[str, object]:
        """The event as the usage answer lists it."""
        return {
            "id": self.id,
            "usageRecordId": self.record_id,
            "pipeline": self.pipeline,
            "modelId": self.model_id,
            "attributionSource": self.attribution_source,
            "gatewayRequestId": self.gateway_request_id,
            "paymentMetadataVersion": "1",
            "pipelineModelConstraintHash": "0" * 64,
            "orchAddress": self.orch_address,
            "currency": "USD",
            "networkFeeUsdMicros": str(self.amounts.network),
            "platformFeeUsdMicros": str(self.amounts.platform),
            "ownerChargeUsdMicros": str(self.amounts.owner),
            "upchargePercentBps": self.upcharge_percent_bps,
            "pricingRuleSource": self.pricing_rule_source,
            "endUserBillableUsdMicros": str(self.amounts.billable),
            "createdAt": self.created_at,
        }


@attrs.frozen
class Selection:
    """Some records with their events."""

    records: list[UsageRecord]
    events: list[BillingEvent]

    def amounts_by_record(self) -> Mapping[str, Micros]:
        """Amounts of the records that were billed; of several events of one record the last counts."""
        return {event.record_id: event.amounts for event in self.events}

    def by_pipeline_model(self) -> dict[tuple[str, str], list[BillingEvent]]:
        """Events of each pipeline and model, in order of first appearance."""
        groups: dict[tuple[str, str], list[BillingEvent]] = {}
        for event in self.events:
            groups.setdefault((event.pipeline, event.model_id), []).append(event)
        return groups

    def by_user(self) -> dict[str | None, list[UsageRecord]]:
        """Records of each stored user id, in order of first appearance."""
        groups: dict[str | None, list[UsageRecord]] = {}
        for record in self.records:
            groups.setdefault(record.user_id, []).append(record)
        return groups


class Ledger:
    """The records and events of one app."""

    def __init__(self) -> None:
        self.records: list[UsageRecord] = []
        self.events: list[BillingEvent] = []

    def select(
        self,
        *,
        start: str | None = None,
        end: str | None = None,
        user_id: str | None = None,
        gateway_request_id: str | None = None,
    ) -> Selection:
        """What lies in a period, both ends included and compared as text, as the server does.

        Args:
            start: Lower bound; None or empty for none.
            end: Upper bound; None or empty for none.
            user_id: Exactly the stored user id.
            gateway_request_id: Only records with an event of that gateway id.
        """
        gateway = {event.record_id for event in self.events if event.gateway_request_id == gateway_request_id}
        records = [
            record
            for record in self.records
            if (not start or record.created_at >= start)
            and (not end or record.created_at <= end)
            and (not user_id or record.user_id == user_id)
            and (not gateway_request_id or record.id in gateway)
        ]
        kept = {record.id for record in records}
        return Selection(records, [event for event in self.events if event.record_id in kept])
