"""A client from the environment, made once for the process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tollkit.core.locks import forkable_lock
from tollkit.core.weburl import parse_http_url
from tollkit.errors import ConfigurationError
from tollkit.pymthouse import config
from tollkit.pymthouse.errors import raised

if TYPE_CHECKING:
    from tollkit.pymthouse.client import PymtHouse

__all__ = ["create_pmt_house_client_from_env", "get_pymthouse_base_url", "require_pymthouse_env"]


def require_pymthouse_env(env: Mapping[str, str] | None = None) -> config.PymthouseEnvConfig:
    """The four PYMTHOUSE_* variables.

    Args:
        env: Read these variables instead of the process's.

    Raises:
        ConfigurationError: One is missing; the first in the order issuer, public id, M2M id, M2M secret (code
            `missing_env`, status 500).
    """
    for name in config.VARIABLES:
        _required(name, env)
    found = config.read_pymthouse_env(env)
    assert found is not None, "all four were found"
    return found


def _required(name: str, env: Mapping[str, str] | None) -> str:
    value = config.variable(name, env)
    if not value:
        raise raised(
            ConfigurationError(f"Missing required environment variable: {name}", code="missing_env", status=500)
        )
    return value


def get_pymthouse_base_url(env: Mapping[str, str] | None = None) -> str:
    """Scheme, host and port of `PYMTHOUSE_ISSUER_URL`.

    Args:
        env: Read this variable instead of the process's.

    Raises:
        ConfigurationError: The variable is missing (code `missing_env`) or no http(s) address; status 500.
    """
    url = parse_http_url(_required(config.ISSUER_URL, env))
    if url is None:
        hint = f"Set {config.ISSUER_URL} to an http(s) address such as https://pymthouse.com/api/v1/oidc"
        raise raised(ConfigurationError("Invalid URL", code=config.INVALID_URL, status=500, hint=hint))
    return url.origin


_lock = forkable_lock()
_client: PymtHouse | None = None


def create_pmt_house_client_from_env() -> PymtHouse:
    """The process's one client, made from the PYMTHOUSE_* variables at the first call.

    Later changes of the variables do not count; a failed call is not remembered. For a client of your own, or an
    async one, see `PymtHouse.from_env`.

    Raises:
        ConfigurationError: A variable is missing (code `missing_env`).
        ArgumentError: A variable is unusable.
    """
    global _client  # noqa: PLW0603 - the platform's own client offers one for the process
    from tollkit.pymthouse.client import PymtHouse

    with _lock:
        if _client is None:
            _client = PymtHouse.from_env()
        return _client
