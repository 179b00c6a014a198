"""Every target by its name: a function of bytes that ends quietly, or raises when something does not hold."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

TARGETS = {
    "callback": "tokenite_targets",
    "top_up": "tokenite_targets",
    "state": "tokenite_targets",
    "web_address": "tokenite_targets",
    "envelope": "tokenite_targets",
    "token": "oidc_targets",
    "keys": "oidc_targets",
    "oauth_answers": "oidc_targets",
    "payments": "run402_targets",
    "sign_in": "run402_targets",
    "manifest": "run402_targets",
    "release": "run402_targets",
    "bundle": "run402_targets",
    "keystore": "run402_targets",
    "allowance": "run402_targets",
    "events": "run402_targets",
    "ci_token": "run402_targets",
    "file_answers": "run402_targets",
    "environment": "platform_targets",
    "error_answers": "platform_targets",
    "etag_entry": "platform_targets",
    "usage": "platform_targets",
    "app_manifest": "platform_targets",
    "dates": "platform_targets",
}
"""The module of each target, which has its name."""


def target(name: str) -> Callable[[bytes], None]:
    """A target; of the modules only its own is imported, which a fuzzer has to instrument first."""
    found: Callable[[bytes], None] = getattr(import_module(TARGETS[name]), name)
    return found
