"""The usage route, and the billing snapshot that is computed from the same ledger."""

from __future__ import annotations

import calendar
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tollkit.pymthouse.js_date import parse_js_date
from tollkit.sandbox.clock import iso
from tollkit.sandbox.pymthouse.ledger import WEI_PER_MICRO, Micros, eth_text, total

if TYPE_CHECKING:
    from datetime import datetime

    from tollkit.sandbox.http import Form
    from tollkit.sandbox.pymthouse.ledger import BillingEvent, Selection
    from tollkit.sandbox.pymthouse.state import App, State

__all__ = ["BadQueryError", "billing_snapshot", "month_bounds", "usage_report"]


class BadQueryError(ValueError):
    """A usage query that the server refuses; the text is its message."""


def usage_report(state: State, app: App, query: Form) -> dict[str, Any]:
    """The answer of `GET /api/v1/apps/{clientId}/usage`.

    Raises:
        BadQueryError: A date that JavaScript's `Date.parse` does not accept.
    """
    start, end = query.get("startDate"), query.get("endDate")
    for name, text in (("startDate", start), ("endDate", end)):
        if text and parse_js_date(text) is None:
            raise BadQueryError(f"Invalid {name} format")
    gateway_request_id = query.get("gatewayRequestId")
    selection = app.ledger.select(
        start=start, end=end, user_id=query.get("userId"), gateway_request_id=gateway_request_id
    )
    amounts = selection.amounts_by_record()
    sums = total(amounts.values())
    report: dict[str, Any] = {
        "clientId": app.public_client_id,
        "period": {"start": start or None, "end": end or None},
        "totals": {
            "requestCount": len(selection.records),
            "currency": "USD",
            "networkFeeUsdMicros": str(sums.network),
            "ownerChargeUsdMicros": str(sums.owner),
            "platformFeeUsdMicros": str(sums.platform),
            "endUserBillableUsdMicros": str(sums.billable),
        },
    }
    match query.get("groupBy"):
        case "user":
            report["byUser"] = _by_user(state, selection)
        case "pipeline_model":
            report["byPipelineModel"] = [
                {
                    "pipeline": pipeline,
                    "modelId": model_id,
                    "currency": "USD",
                    "requestCount": len(events),
                    **_three(total(event.amounts for event in events)),
                }
                for (pipeline, model_id), events in selection.by_pipeline_model().items()
            ]
        case _:
            pass
    if gateway_request_id:
        report["events"] = [event.wire() for event in selection.events]
    return report


def _three(sums: Micros) -> dict[str, str]:
    return {
        "networkFeeUsdMicros": str(sums.network),
        "ownerChargeUsdMicros": str(sums.owner),
        "endUserBillableUsdMicros": str(sums.billable),
    }


def _by_user(state: State, selection: Selection) -> list[dict[str, Any]]:
    amounts = selection.amounts_by_record()
    rows: list[dict[str, Any]] = []
    for user_id, records in selection.by_user().items():
        external = state.external_id_of(user_id) if user_id is not None else None
        kind = "oidc_authorized" if external is None else "system_managed"
        rows.append(
            {
                "endUserId": user_id or "unknown",
                "externalUserId": external,
                "userType": kind if user_id is not None else "unknown",
                "identifier": user_id or "unknown",
                "currency": "USD",
                **_three(total(amounts[record.id] for record in records if record.id in amounts)),
                "requestCount": len(records),
            }
        )
    return rows


def month_bounds(moment: datetime) -> tuple[datetime, datetime]:
    """First and last millisecond of the UTC calendar month that a moment lies in."""
    first = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    days = calendar.monthrange(first.year, first.month)[1]
    return first, first + timedelta(days=days) - timedelta(milliseconds=1)


def billing_snapshot(state: State, app: App) -> dict[str, Any]:
    """The answer of `GET /api/v1/apps/{clientId}/billing` for the calendar month that the clock is in."""
    first, last = month_bounds(state.clock.utcnow())
    start, end = iso(first.timestamp()), iso(last.timestamp())
    selection = app.ledger.select(start=start, end=end)
    sums = total(selection.amounts_by_record().values())
    fee_wei = sum(record.fee_wei for record in selection.records)
    units = sum(record.units for record in selection.records)
    plan = app.plan
    included_units = int(plan.included_units or 0)
    overage_units = max(0, units - included_units) if plan.included_units is not None else 0
    included = int(plan.included_usd_micros or 0)
    consumed = min(included, sums.billable)
    return {
        "clientId": app.public_client_id,
        "plan": {
            "id": plan.id,
            "type": plan.type,
            "name": plan.name,
            "priceAmount": plan.price_amount,
            "priceCurrency": "USD",
            "includedUnits": plan.included_units,
            "overageRateWei": plan.overage_rate_wei,
            "includedUsdMicros": plan.included_usd_micros,
            "billingCycle": "monthly",
            "status": "active",
        },
        "subscription": None,
        "cycle": {
            "periodStart": start,
            "periodEnd": end,
            "usage": {
                "requestCount": len(selection.records),
                "totalFeeWei": str(fee_wei),
                "totalFeeEth": eth_text(fee_wei),
                "totalUnits": str(units),
            },
            "timeline": _timeline(selection, first, last),
            "overage": {
                "overageUnits": str(overage_units),
                "overageWei": str(overage_units * int(plan.overage_rate_wei or 0)),
            },
            "ownerCost": {
                "networkFeeWei": str(fee_wei),
                "networkFeeEth": eth_text(fee_wei),
                "networkFeeUsdMicros": str(sums.network),
                "platformFeeUsdMicros": str(sums.platform),
                "ownerChargeWei": str(fee_wei + sums.platform * WEI_PER_MICRO),
                "ownerChargeEth": eth_text(fee_wei + sums.platform * WEI_PER_MICRO),
                "ownerChargeUsdMicros": str(sums.owner),
            },
            "retail": {
                "endUserBillableUsdMicros": str(sums.billable),
                "includedUsdMicros": str(included),
                "consumedIncludedUsdMicros": str(consumed),
                "remainingIncludedUsdMicros": str(included - consumed),
            },
            "byPipelineModel": [
                _billed_pipeline(pipeline, model_id, events)
                for (pipeline, model_id), events in selection.by_pipeline_model().items()
            ],
        },
        "platformCutPercent": app.platform_cut_percent,
    }


def _timeline(selection: Selection, first: datetime, last: datetime) -> list[dict[str, Any]]:
    days = {f"{first + timedelta(days=day):%Y-%m-%d}": (0, 0) for day in range((last - first).days + 1)}
    for record in selection.records:
        count, fee = days[record.created_at[:10]]
        days[record.created_at[:10]] = (count + 1, fee + record.fee_wei)
    return [{"date": date, "requestCount": count, "feeWei": str(fee)} for date, (count, fee) in days.items()]


def _billed_pipeline(pipeline: str, model_id: str, events: list[BillingEvent]) -> dict[str, Any]:
    sums = total(event.amounts for event in events)
    wei = sums.network * WEI_PER_MICRO
    return {
        "pipeline": pipeline,
        "modelId": model_id,
        "requestCount": len(events),
        "networkFeeWei": str(wei),
        "networkFeeEth": eth_text(wei),
        **_three(sums),
    }
