"""Where Run402 is and where its tools keep their files: defaults and the RUN402_* variables of the platform."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from tollkit.core.weburl import parse_http_url
from tollkit.errors import ConfigurationError
from tollkit.run402.errors import raised

__all__ = ["DEFAULT_API_BASE", "allowance_path", "api_base", "config_dir", "deploy_api_base", "keystore_path"]

DEFAULT_API_BASE = "https://api.run402.com"
"""The gateway."""
_log = logging.getLogger("tollkit.run402")


def api_base(env: Mapping[str, str] | None = None) -> str:
    """The gateway's address: `RUN402_API_BASE`, as it stands there, or the default.

    Args:
        env: Read these variables instead of the process's.

    Raises:
        ConfigurationError: The variable holds no http(s) address.
    """
    return _address("RUN402_API_BASE", DEFAULT_API_BASE, env)


def deploy_api_base(env: Mapping[str, str] | None = None) -> str:
    """The address for deploys: `RUN402_DEPLOY_API_BASE`, or the gateway's.

    Raises:
        ConfigurationError: A variable holds no http(s) address.
    """
    return _address("RUN402_DEPLOY_API_BASE", api_base(env), env)


def config_dir(env: Mapping[str, str] | None = None) -> Path:
    """The folder of the platform's files: `RUN402_CONFIG_DIR`, or `.config/run402` at home.

    Raises:
        ConfigurationError: There is no home, as in a container whose user has none.
    """
    told = _variables(env).get("RUN402_CONFIG_DIR")
    if told:
        return Path(told)
    try:
        return Path.home() / ".config" / "run402"
    except RuntimeError as missing:
        raise raised(
            ConfigurationError(
                "This user has no home folder for the platform's files",
                hint="Set RUN402_CONFIG_DIR, or pass credentials and a journal of your own",
            )
        ) from missing


def keystore_path(env: Mapping[str, str] | None = None) -> Path:
    """The file with the keys of projects: `projects.json`."""
    return config_dir(env) / "projects.json"


def allowance_path(env: Mapping[str, str] | None = None) -> Path:
    """The file with the local wallet: `RUN402_ALLOWANCE_PATH`, or `allowance.json`."""
    told = _variables(env).get("RUN402_ALLOWANCE_PATH")
    return Path(told) if told else config_dir(env) / "allowance.json"


def legacy_allowance_path(env: Mapping[str, str] | None = None) -> Path | None:
    """The file that older tools kept the wallet in; `None` where `RUN402_ALLOWANCE_PATH` names the file."""
    return None if _variables(env).get("RUN402_ALLOWANCE_PATH") else config_dir(env) / "wallet.json"


def _variables(env: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if env is None else env


def _address(variable: str, default: str, env: Mapping[str, str] | None) -> str:
    told = _variables(env).get(variable)
    if told is None:
        return default
    if not told:
        _log.warning("%s is set but empty; using %s", variable, default)
        return default
    if parse_http_url(told) is None:
        raise raised(ConfigurationError(f"{variable} must be an http(s) address such as {DEFAULT_API_BASE}"))
    return told
