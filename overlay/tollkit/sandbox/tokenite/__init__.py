"""Tokenite: consent and top-up pages, token endpoint, metering proxy and admin API of the sandbox."""

from __future__ import annotations

__all__ = ["PREFIX", "PROXY_PREFIX"]

PREFIX = "/tokenite"
"""Path of `base_url`, below which everything is."""
PROXY_PREFIX = f"{PREFIX}/proxy"
"""Path of `proxy_base`."""
