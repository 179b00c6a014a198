"""Whom tollkit is compared with, on the same requests of the same server."""

from __future__ import annotations

import contextlib
import importlib
import subprocess
import sys
import tempfile
import types
from collections.abc import Generator, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scripts.bench.measure import ROOT

APP, M2M, SECRET = "app_0a1b2c3d4e5f60718293a4b5", "m2m_0a1b2c3d4e5f60718293a4b5", "bench-secret"
LIBRARIES = ("httpx", "aiohttp", "openai", "stripe", "joserfc", "msgspec", "openapi-python-client")


def versions() -> Mapping[str, str]:
    """The versions of what was there to compare with."""
    found: dict[str, str] = {}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    pins = (ROOT / "constraints-generate.txt").read_text("utf-8").splitlines()
    found |= dict(pin.split("==") for pin in pins if pin.startswith("openapi-python-client=="))
    return found


def fast() -> bool:
    """Whether the faster engine is installed."""
    return find_spec("aiohttp") is not None


def settings(origin: str) -> dict[str, Any]:
    """Of a PymtHouse client at the fixed server."""
    return {
        "issuer_url": f"{origin}/api/v1/oidc",
        "public_client_id": APP,
        "m2m_client_id": M2M,
        "m2m_client_secret": SECRET,
        "allow_insecure_http": True,
    }


@contextlib.contextmanager
def fixed_server() -> Generator[str]:
    """The address of a server with fixed answers."""
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts/bench/server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin
    assert server.stdout
    try:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
    finally:
        server.stdin.close()
        server.wait()
        server.stdout.close()


@lru_cache(maxsize=1)
def stock_package() -> types.ModuleType:
    """The usage document through openapi-python-client as it comes, imported."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.yaml").write_text("package_name_override: stock_usage\npost_hooks: []\n")
        subprocess.run(
            [
                str(ROOT / ".venv-generate/bin/openapi-python-client"), "generate", "--meta", "none",
                "--path", str(ROOT / "specs/usage/v2026_05.yaml"),
                "--config", str(folder / "config.yaml"), "--output-path", str(folder / "stock_usage"),
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip
        sys.path.insert(0, str(folder))
        try:
            package = importlib.import_module("stock_usage")
            for module in ("models", "client", "types", "api.usage.get_usage"):
                importlib.import_module(f"stock_usage.{module}")
        finally:
            sys.path.remove(str(folder))
    return package
