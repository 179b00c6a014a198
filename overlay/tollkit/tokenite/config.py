"""Where Tokenite is and who the app is: defaults, TOKENITE_* variables, and what the platform has not told."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from tollkit.core.addresses import is_local
from tollkit.core.arguments import required_text, secret_text
from tollkit.errors import ConfigurationError
from tollkit.secrets import Secret
from tollkit.tokenite import addresses

__all__ = [
    "ACCESS_CONTEXT_PATH",
    "DEFAULT_BASE_URL",
    "DEFAULT_PROXY_BASE",
    "FUNDING_CODES",
    "TOP_UP_PATH",
    "TokeniteSettings",
    "settings",
    "settings_from_env",
]

DEFAULT_BASE_URL = "https://tokenite.ai"
"""The dashboard: consent screen, token endpoint, top-up page."""
DEFAULT_PROXY_BASE = "https://api.tokenite.ai"
"""The metering proxy and the admin API."""

# --- assumed: known from an older level of the platform only, or from nobody outside it (see `x-provenance` of
# specs/tokenite/v2_4.yaml); each can be set on the client -----------------------------------------------------------
ACCESS_CONTEXT_PATH = "/me/providers"
"""Path of the access context below `proxy_base`."""
TOP_UP_PATH = "/oauth/top-up"
"""Path of the top-up page below `base_url`."""
FUNDING_CODES = frozenset({"BUDGET_EXCEEDED", "CREDITS_DEPLETED", "POOL_EXHAUSTED"})
"""Codes of 402 that a top-up cures."""


@attrs.frozen(kw_only=True)
class TokeniteSettings:
    """An app's settings, checked; `Tokenite` tells them one by one."""

    client_id: str
    client_secret: Secret | None
    redirect_uri: str | None
    base_url: str
    proxy_base: str
    access_context_path: str
    top_up_path: str
    funding_codes: frozenset[str]


def settings(
    *,
    client_id: str,
    client_secret: str | None,
    redirect_uri: str | None,
    base_url: str,
    proxy_base: str,
    access_context_path: str,
    top_up_path: str,
    funding_codes: Iterable[str],
) -> TokeniteSettings:
    """The settings of a client from its arguments.

    Raises:
        ArgumentError: One of them is unusable.
    """
    return TokeniteSettings(
        client_id=required_text("client_id", client_id).strip(),
        client_secret=None if client_secret is None else Secret(secret_text("client_secret", client_secret)),
        redirect_uri=None if redirect_uri is None else addresses.redirect_uri(redirect_uri),
        base_url=addresses.host("base_url", base_url),
        proxy_base=addresses.host("proxy_base", proxy_base),
        access_context_path=addresses.path("access_context_path", access_context_path),
        top_up_path=addresses.path("top_up_path", top_up_path),
        funding_codes=frozenset(funding_codes),
    )


VARIABLES = {
    "client_id": "TOKENITE_CLIENT_ID",
    "client_secret": "TOKENITE_CLIENT_SECRET",
    "redirect_uri": "TOKENITE_REDIRECT_URI",
    "base_url": "TOKENITE_BASE_URL",
    "proxy_base": "TOKENITE_PROXY_BASE",
}


def settings_from_env(
    variables: Mapping[str, str], given: Mapping[str, Any], env: Mapping[str, str] | None, *, required: str
) -> dict[str, Any]:
    """Arguments of a client from variables; those that are given count instead.

    Args:
        variables: From the name of the argument to that of its variable.
        given: Arguments that the caller has.
        env: Read these variables instead of the process's.
        required: The argument that must be there.

    Raises:
        ConfigurationError: It is not (code `missing_env`).
    """
    found = os.environ if env is None else env
    read = {name: text for name, variable in variables.items() if (text := found.get(variable, "").strip())}
    merged: dict[str, Any] = {**read, **given}
    if merged.get(required) is None:
        raise ConfigurationError(f"Missing required environment variable: {variables[required]}", code="missing_env")
    addresses = [merged.get(name) or "" for name in ("base_url", "proxy_base")]
    plain = [str(address) for address in addresses if str(address).startswith("http:")]
    # in the environment of a development machine; a slip in production must not send secrets in the clear
    merged.setdefault("allow_insecure_http", bool(plain) and all(is_local(address) for address in plain))
    return merged
