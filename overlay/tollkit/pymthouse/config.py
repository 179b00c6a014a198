"""Where PymtHouse is and who the app is, from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import attrs

from tollkit.core.weburl import parse_http_url
from tollkit.errors import ArgumentError
from tollkit.pymthouse.errors import raised
from tollkit.pymthouse.js_text import trim
from tollkit.secrets import Secret

__all__ = [
    "PYMTHOUSE_NOT_CONFIGURED_MESSAGE",
    "PymthouseEnvConfig",
    "get_builder_api_v1_base_from_issuer_url",
    "get_pymthouse_issuer_origin",
    "get_pymthouse_issuer_url_from_env",
    "get_pymthouse_public_client_id_from_env",
    "is_pymthouse_configured",
    "read_pymthouse_env",
    "strip_trailing_slashes",
]

ISSUER_URL, PUBLIC_CLIENT_ID = "PYMTHOUSE_ISSUER_URL", "PYMTHOUSE_PUBLIC_CLIENT_ID"
M2M_CLIENT_ID, M2M_CLIENT_SECRET = "PYMTHOUSE_M2M_CLIENT_ID", "PYMTHOUSE_M2M_CLIENT_SECRET"
VARIABLES = (ISSUER_URL, PUBLIC_CLIENT_ID, M2M_CLIENT_ID, M2M_CLIENT_SECRET)

INVALID_URL = "ERR_INVALID_URL"  # the code that the platform's own client gives, which is Node's

PYMTHOUSE_NOT_CONFIGURED_MESSAGE = (
    "PymtHouse is not configured. Set PYMTHOUSE_ISSUER_URL, PYMTHOUSE_PUBLIC_CLIENT_ID, PYMTHOUSE_M2M_CLIENT_ID and "
    "PYMTHOUSE_M2M_CLIENT_SECRET."
)
"""What to tell an operator when `is_pymthouse_configured()` is false."""


@attrs.frozen(kw_only=True)
class PymthouseEnvConfig:
    """Where PymtHouse is and who the app is."""

    issuer_url: str
    public_client_id: str
    m2m_client_id: str
    m2m_client_secret: Secret = attrs.field(converter=Secret)

    def to_dict(self) -> dict[str, str]:
        """The settings in the names of the platform's client; the secret in the clear."""
        return {
            "issuerUrl": self.issuer_url,
            "publicClientId": self.public_client_id,
            "m2mClientId": self.m2m_client_id,
            "m2mClientSecret": self.m2m_client_secret.reveal(),
        }


def strip_trailing_slashes(text: str) -> str:
    """The text without the slashes at its end."""
    return text.rstrip("/")


def variable(name: str, env: Mapping[str, str] | None = None) -> str:
    """A variable, trimmed; empty when it is not set."""
    return trim((os.environ if env is None else env).get(name, ""))


def read_pymthouse_env(env: Mapping[str, str] | None = None) -> PymthouseEnvConfig | None:
    """The four PYMTHOUSE_* variables, trimmed; `None` when one is missing or blank. The address is not checked.

    Args:
        env: Read these variables instead of the process's.
    """
    found = [variable(name, env) for name in VARIABLES]
    if not all(found):
        return None
    return PymthouseEnvConfig(
        issuer_url=strip_trailing_slashes(found[0]),
        public_client_id=found[1],
        m2m_client_id=found[2],
        m2m_client_secret=Secret(found[3]),
    )


def is_pymthouse_configured(env: Mapping[str, str] | None = None) -> bool:
    """Whether all four PYMTHOUSE_* variables are set."""
    return read_pymthouse_env(env) is not None


def get_pymthouse_issuer_url_from_env(env: Mapping[str, str] | None = None) -> str | None:
    """`PYMTHOUSE_ISSUER_URL` in normal form, without trailing slashes; `None` when missing or no http(s) address."""
    url = parse_http_url(variable(ISSUER_URL, env))
    return strip_trailing_slashes(url.href) if url else None


def get_pymthouse_public_client_id_from_env(env: Mapping[str, str] | None = None) -> str | None:
    """`PYMTHOUSE_PUBLIC_CLIENT_ID`, trimmed; `None` when it is missing."""
    return variable(PUBLIC_CLIENT_ID, env) or None


def get_builder_api_v1_base_from_issuer_url(issuer_url: str) -> str:
    """The base of the Builder API from an issuer: `https://host/api/v1/oidc` gives `https://host/api/v1`.

    The address is not checked.
    """
    return re.sub(r"/oidc\Z", "", strip_trailing_slashes(trim(issuer_url)), flags=re.IGNORECASE | re.ASCII)


def get_pymthouse_issuer_origin(issuer_url: str) -> str:
    """Scheme, host and port of an issuer.

    Raises:
        ArgumentError: `issuer_url` is no http(s) address.
    """
    url = parse_http_url(trim(issuer_url))
    if url is None:
        problem = "must be an http(s) address such as https://pymthouse.com/api/v1/oidc"
        raise raised(ArgumentError("issuer_url", problem, code=INVALID_URL, message="Invalid URL"))
    return url.origin
