"""Run402: the gateway of the sandbox, with projects, wallets, payments and everything that projects have."""

from __future__ import annotations

__all__ = ["PREFIX"]

PREFIX = "/run402"
"""Path of `api_base`, below which everything is."""
