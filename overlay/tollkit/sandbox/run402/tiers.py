"""The tiers of the platform: what a lease costs and holds.

Source: Run402 1.57, `GET /tiers/v1`; its document gives names, durations and prices, the limits are ours.
"""

from __future__ import annotations

from typing import Any

import attrs

__all__ = ["DAY", "TIERS", "Lease", "Tier"]

DAY = 86_400.0


@attrs.frozen(kw_only=True)
class Tier:
    """One tier."""

    name: str
    price: int
    """Micro-dollars, the smallest unit of USDC too."""
    lease_days: int
    storage_mb: int
    api_calls: int
    max_functions: int
    description: str

    def quote(self, price: int) -> dict[str, Any]:
        """The tier as it is offered at a price."""
        return {
            "price": f"${price / 1_000_000:.2f}",
            "lease_days": self.lease_days,
            "storage_mb": self.storage_mb,
            "api_calls": self.api_calls,
            "max_functions": self.max_functions,
            "description": self.description,
        }


TIERS: dict[str, Tier] = {
    tier.name: tier
    for tier in (
        Tier(
            name="prototype",
            price=100_000,
            lease_days=7,
            storage_mb=250,
            api_calls=500_000,
            max_functions=15,
            description="For trying things out",
        ),
        Tier(
            name="hobby",
            price=5_000_000,
            lease_days=30,
            storage_mb=1_024,
            api_calls=5_000_000,
            max_functions=25,
            description="For small projects",
        ),
        Tier(
            name="team",
            price=20_000_000,
            lease_days=30,
            storage_mb=10_240,
            api_calls=50_000_000,
            max_functions=100,
            description="For teams and production",
        ),
    )
}
"""The tiers by name, the smallest first."""


@attrs.frozen(kw_only=True)
class Lease:
    """What a wallet has paid for, and until when."""

    wallet: str
    """Address in lower case."""
    tier: str
    started_at: float
    expires_at: float
