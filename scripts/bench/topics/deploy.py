"""A site of many files, shipped by both clients and, one thing after the other, by a plain script of Node."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.bench.figures import Aim, Figure, at_most, ratio_of
from scripts.bench.measure import ROOT, Sizes

WALLET = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""Of an account that everybody knows; the sandbox's projects are its."""

NODE = "a plain script of Node"
METHOD = (
    "one run in a fresh process against the sandbox in another; hashing, planning, uploading and committing included;"
    " the peer does the same steps one after the other"
)
MIB = 1 << 20


class Gateway:
    """The sandbox in a process of its own, with projects to deploy to.

    Args:
        latency: Seconds that each request takes on the way.
    """

    def __init__(self, latency: float = 0.0) -> None:
        command = [sys.executable, str(ROOT / "scripts/bench/deploys.py"), "gateway", str(latency)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        told = self._read()
        self.api_base: str = told["api_base"]
        self._projects: list[list[str]] = told["projects"]

    def _read(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())

    def cpu(self) -> float:
        """CPU seconds that it has taken so far."""
        assert self._process.stdin
        self._process.stdin.write("cpu\n")
        self._process.stdin.flush()
        found: float = self._read()["cpu"]
        return found

    def project(self) -> list[str]:
        """Id and key of a project that nothing was deployed to."""
        return self._projects.pop()

    def ship(self, client: str, project: list[str], folder: Path) -> dict[str, float]:
        """Deploy a folder with a client in a process of its own; what that took."""
        arguments = [self.api_base, *project, WALLET, str(folder)]
        command = (
            ["node", str(ROOT / "scripts/bench/deploy.mjs"), *arguments]
            if client == "node"
            else [sys.executable, str(ROOT / "scripts/bench/deploys.py"), "ship", *arguments, client]
        )
        before = self.cpu()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found: dict[str, float] = json.loads(done.stdout)
        found["server"] = self.cpu() - before
        return found

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def tree(folder: Path, files: int) -> Path:
    """A site of that many small files, all different."""
    for number in range(files):
        path = folder / f"{number % 100:02}" / f"page-{number}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"<h1>Page %d</h1>\n" % number * 40)
    return folder


VALUES: Mapping[str, tuple[str, str, str]] = {
    "wall": ("seconds", "s", "wall time"),
    "cpu": ("cpu", "s", "CPU of the client"),
    "server": ("server", "s", "CPU of the sandbox"),
    "memory": ("peak_mib", "MiB", "memory at most"),
}


def figures(sizes: Sizes) -> Iterator[Figure]:
    """Many small files without and with a way to go, three files changed, and one large file."""
    for name, files, latency in (("near", sizes.files, 0.0), ("far", sizes.files // 10 or 1, 0.01)):
        way = f"{latency * 1000:.0f} ms a request" if latency else "no way to go"
        with tempfile.TemporaryDirectory() as folder, Gateway(latency) as gateway:
            site = tree(Path(folder), files)
            node = gateway.ship("node", gateway.project(), site) if shutil.which("node") else None
            for client in sizes.deployers:
                project = gateway.project()
                found = gateway.ship(client, project, site)
                title = f"{files:,} files, {way}, {client}"
                for value in VALUES:
                    aim = ratio_of(0.50, "<= 0.50 of Node") if value == "wall" else None
                    yield _figure(f"{name}.{client}.{value}", title, value, found, node, aim)
                for number in range(3):
                    path = site / f"{number:02}" / f"page-{number}.html"
                    path.parent.mkdir(exist_ok=True)
                    path.write_text(f"changed by {client}")
                again = gateway.ship(client, project, site)
                yield _figure(f"{name}.{client}.again", f"{title}, three changed, again", "wall", again, None, None)
    yield from _large_file(sizes)


def _large_file(sizes: Sizes) -> Iterator[Figure]:
    """A file that is larger than the memory that it may take."""
    size = f"{sizes.large_file / (1 << 30):.0f} GiB" if sizes.large_file >= 1 << 30 else f"{sizes.large_file:,} bytes"
    for client in sizes.deployers:
        with tempfile.TemporaryDirectory() as folder, Gateway() as gateway:
            with (Path(folder) / "large.bin").open("wb") as file:
                file.truncate(sizes.large_file)
            found = gateway.ship(client, gateway.project(), Path(folder))
        title = f"one file of {size}, {client}"
        yield _figure(f"large.{client}.wall", title, "wall", found, None, None)
        yield Figure(
            topic="deploy", name=f"large.{client}.memory", title=f"{title}: memory for the deploy", unit="MiB",
            ours=found["extra_mib"], aim=at_most(64, "< 64 MiB"), method=METHOD,
        )  # fmt: skip


def _figure(
    name: str,
    title: str,
    value: str,
    found: Mapping[str, float],
    node: Mapping[str, float] | None,
    aim: Aim | None,
) -> Figure:
    key, unit, words = VALUES[value]
    return Figure(
        topic="deploy", name=name, title=f"{title}: {words}", unit=unit, ours=found[key],
        peer_name=NODE if node else "", peer=node[key] if node else None, aim=aim if node else None, method=METHOD,
    )  # fmt: skip
