"""Tokenite's admin API: accounts, apps, vendors' keys, connections and what was spent.

    from tollkit.tokenite import TokeniteAdmin

    with TokeniteAdmin.from_env() as admin:
        for row in admin.spending.iterate(from_="2026-11-01"):
            print(row.app_name, row.cost_usd)

The clients are in `client`; each group of calls is in the module of its name.
"""

from __future__ import annotations

from tollkit.tokenite.admin.client import AsyncTokeniteAdmin, TokeniteAdmin

__all__ = ["AsyncTokeniteAdmin", "TokeniteAdmin"]
