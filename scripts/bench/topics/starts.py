"""What a developer waits for: the sandbox, and the generation of all packages."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Iterator

import httpx
from scripts.bench.figures import Figure, at_most
from scripts.bench.measure import FULL, ROOT, Sizes

from tollkit.sandbox import Sandbox


def figures(sizes: Sizes) -> Iterator[Figure]:
    """Wall time of both."""
    times: list[float] = []
    for _ in range(sizes.starts):
        started = time.perf_counter()
        with Sandbox() as running:
            httpx.get(f"{running.pymthouse.issuer_url}/.well-known/openid-configuration").raise_for_status()
        times.append(time.perf_counter() - started)
    yield Figure(
        topic="starts", name="sandbox", title="sandbox: start, first answer, stop", unit="ms",
        ours=statistics.median(times) * 1e3, aim=at_most(1000, "< 1 s"), method="wall time; median of the starts",
    )  # fmt: skip
    if sizes.starts == FULL.starts:  # it cannot be made smaller
        started = time.perf_counter()
        subprocess.run(
            [str(ROOT / ".venv-generate/bin/python"), "scripts/generate.py", "--check"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        yield Figure(
            topic="starts", name="generation", title="make generate, all documents", unit="s",
            ours=time.perf_counter() - started, method="wall time of one run into a temporary folder",
        )  # fmt: skip
