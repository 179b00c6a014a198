"""A certified OpenID provider (npm's oidc-provider), started on a loopback port of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

HERE = Path(__file__).parent


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed; it runs the certified OpenID provider"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _installed() -> None:
    wanted = json.loads((HERE / "package.json").read_text("utf-8"))["dependencies"]["oidc-provider"]
    there = HERE / "node_modules" / "oidc-provider" / "package.json"
    if there.exists() and json.loads(there.read_text("utf-8"))["version"] == wanted:
        return
    done = subprocess.run(
        [_tool("npm"), "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"npm install failed: {done.stderr}")


@attrs.frozen
class Provider:
    """The provider, and what tells it to misbehave."""

    issuer: str
    api: str
    http: httpx.Client

    def control(self, what: str, **told: Any) -> None:
        self.http.post(f"{self.issuer}/control/{what}", json=told).raise_for_status()

    def counts(self) -> dict[str, int]:
        return self.http.get(f"{self.issuer}/control/counts").json()

    def forget_counts(self) -> None:
        self.http.post(f"{self.issuer}/control/counts").raise_for_status()


@contextmanager
def running() -> Iterator[Provider]:
    """The provider, until the end of the `with` block."""
    node = _tool("node")
    _installed()
    with subprocess.Popen(
        [node, "provider.mjs"], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin
        assert process.stdout
        with httpx.Client(trust_env=False) as http:
            yield Provider(**json.loads(process.stdout.readline()), http=http)
        process.stdin.close()
        process.wait(10)
