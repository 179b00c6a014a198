"""Projects and the tiers that pay for them: provisioning, deletion, usage, leases.

Source: Run402 1.57, tags `projects` (but for database and users) and `tier`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tollkit.run402.address import is_address
from tollkit.run402.x402 import USDC
from tollkit.sandbox.clock import iso
from tollkit.sandbox.http import json_answer
from tollkit.sandbox.run402.calls import Call, GatewayError, route
from tollkit.sandbox.run402.tiers import TIERS

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

    from tollkit.sandbox.run402.gateway import Gateway, Project

__all__ = ["ProjectRoutes", "checked_tier"]

_MB = 1024 * 1024


class ProjectRoutes:
    """The routes of projects and tiers.

    Args:
        gateway: Whose they are.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def routes(self) -> list[Route]:
        """The routes."""
        gateway = self._gateway
        return [
            route(gateway, "POST", "/projects/v1", self._provision),
            route(gateway, "DELETE", "/projects/v1/{project_id}", self._delete),
            route(gateway, "GET", "/wallets/v1/{wallet}/projects", self._list),
            route(gateway, "GET", "/projects/v1/admin/{project_id}/usage", self._usage),
            route(gateway, "POST", "/projects/v1/admin/{project_id}/pin", self._pin),
            route(gateway, "GET", "/tiers/v1", self._quotes),
            route(gateway, "GET", "/tiers/v1/status", self._tier_status),
            route(gateway, "POST", "/tiers/v1/{tier}", self._set_tier),
        ]

    def forget(self) -> None:
        """Nothing is kept here: projects and leases are the gateway's."""

    # ---------------------------------------------------------------- projects

    def _provision(self, call: Call) -> Response:
        gateway = self._gateway
        wallet = gateway.wallet(call.request)
        name = call.text("name", required=False)
        tier = checked_tier(call.text("tier", required=False) or "prototype")
        lease = gateway.active_lease(wallet)
        # without a lease the first project pays for one; with one it is part of it, unless a price was set
        usual = 0 if lease else gateway.payments.price(f"tier:{tier}", TIERS[tier].price)
        gateway.pay(call.request, usual, "project")
        lease = lease or gateway.set_lease(wallet, tier)
        project = gateway.add_project(name=name, tier=lease.tier, wallet=wallet)
        told = {
            "project_id": project.id,
            "anon_key": project.anon_key,
            "service_key": project.service_key,
            "schema_slot": project.schema_slot,
        }
        return json_answer(told, 201)

    def _delete(self, call: Call) -> Any:
        project = self._gateway.by_service_key(call.request, call.path["project_id"], paid=False)
        self._gateway.delete_project(project.id)
        return {"status": "deleted", "project_id": project.id}

    def _list(self, call: Call) -> Any:
        wallet = call.path["wallet"]
        if not is_address(wallet):
            raise GatewayError(400, "VALIDATION_ERROR", "The wallet must be 0x and 40 hex digits")
        now = self._gateway.clock.now()
        return {
            "wallet": wallet.lower(),
            "projects": [
                {
                    "id": project.id,
                    "name": project.name,
                    "tier": project.tier,
                    "status": project.status(now),
                    "api_calls": project.api_calls,
                    "storage_bytes": project.storage_bytes,
                    "lease_expires_at": iso(project.lease_expires_at),
                    "created_at": iso(project.created_at),
                }
                for project in self._gateway.projects_of(wallet)
            ],
        }

    def _usage(self, call: Call) -> Any:
        project = self._gateway.by_service_key(call.request, call.path["project_id"], paid=False)
        project = self._gateway.project(project.id)  # with this call counted
        tier = TIERS[project.tier]
        return {
            "project_id": project.id,
            "tier": project.tier,
            "api_calls": project.api_calls,
            "api_calls_limit": tier.api_calls,
            "storage_bytes": project.storage_bytes,
            "storage_limit_bytes": tier.storage_mb * _MB,
            "lease_expires_at": iso(project.lease_expires_at),
            "status": project.status(self._gateway.clock.now()),
        }

    def _pin(self, call: Call) -> Any:
        project = self._gateway.by_service_key(call.request, call.path["project_id"], paid=False)
        self._gateway.pin(project.id)
        return {"status": "pinned", "project_id": project.id}

    # ---------------------------------------------------------------- tiers

    def _quotes(self, call: Call) -> Any:
        price = self._gateway.payments.price
        return {
            "tiers": {name: tier.quote(price(f"tier:{name}", tier.price)) for name, tier in TIERS.items()},
            "auth": {"header": "SIGN-IN-WITH-X"},
        }

    def _tier_status(self, call: Call) -> Any:
        gateway = self._gateway
        wallet = gateway.wallet(call.request)
        lease = gateway.lease(wallet)
        projects = gateway.projects_of(wallet)
        return {
            "wallet": wallet.lower(),
            "tier": lease and lease.tier,
            "lease_started_at": lease and iso(lease.started_at),
            "lease_expires_at": lease and iso(lease.expires_at),
            "active": gateway.active_lease(wallet) is not None,
            "pool_usage": self._pool(projects, lease.tier if lease else None),
        }

    def _pool(self, projects: list[Project], tier: str | None) -> dict[str, int]:
        limits = TIERS[tier] if tier else None
        return {
            "projects": len(projects),
            "total_api_calls": sum(project.api_calls for project in projects),
            "total_storage_bytes": sum(project.storage_bytes for project in projects),
            "api_calls_limit": limits.api_calls if limits else 0,
            "storage_bytes_limit": limits.storage_mb * _MB if limits else 0,
        }

    def _set_tier(self, call: Call) -> Any:
        gateway = self._gateway
        wallet = gateway.wallet(call.request)
        tier = checked_tier(call.path["tier"])
        before = gateway.active_lease(wallet)
        gateway.pay(call.request, TIERS[tier].price, f"tier:{tier}")
        lease = gateway.set_lease(wallet, tier)
        return {
            "wallet": wallet.lower(),
            "action": _action(before.tier if before else None, tier),
            "tier": tier,
            "previous_tier": before and before.tier,
            "lease_started_at": iso(lease.started_at),
            "lease_expires_at": iso(lease.expires_at),
            "allowance_remaining_usd_micros": sum(gateway.payments.balance(wallet, network) for network in USDC),
        }


def checked_tier(name: str) -> str:
    """The name of a tier.

    Raises:
        GatewayError: 400, there is none of that name.
    """
    if name not in TIERS:
        raise GatewayError(
            400,
            "INVALID_TIER",
            f"There is no tier {name!r}; there are {', '.join(TIERS)}",
            details={"tiers": list(TIERS)},
        )
    return name


def _action(before: str | None, after: str) -> str:
    if before is None:
        return "subscribe"
    order = list(TIERS)
    difference = order.index(after) - order.index(before)
    return "renew" if difference == 0 else "upgrade" if difference > 0 else "downgrade"
