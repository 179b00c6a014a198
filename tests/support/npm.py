"""Software of others that comes from npm and speaks on a loopback port of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock


def _tool(name: str, what: str) -> str:
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed; it runs {what}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _installed(folder: Path, what: str) -> None:
    wanted = (folder / "package.json").read_bytes()
    modules = folder / "node_modules"
    modules.mkdir(exist_ok=True)
    done = modules / ".package.json"
    with FileLock(modules / ".installing"):  # workers of one run share the folder
        if done.exists() and done.read_bytes() == wanted:
            return
        ran = subprocess.run(
            [_tool("npm", what), "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        if ran.returncode:
            pytest.fail(f"npm install failed: {ran.stderr}")
        done.write_bytes(wanted)


@contextmanager
def running(folder: Path, program: str, what: str) -> Iterator[dict[str, Any]]:
    """A program of Node, until the end of the block; the line of JSON that it says when it can be spoken to.

    Args:
        folder: Where it stands, with its `package.json`.
        program: Its file.
        what: What it is, for who does not have Node.
    """
    node = _tool("node", what)
    _installed(folder, what)
    with subprocess.Popen(
        [node, program], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(10)
