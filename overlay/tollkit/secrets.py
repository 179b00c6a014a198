"""The type of everything that must not be shown: client secrets, access and refresh tokens, private keys."""

from __future__ import annotations

from tollkit_api.runtime import Secret

__all__ = ["Secret"]
