"""What an import brings and takes."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator

from scripts.bench.figures import Aim, Figure, at_most
from scripts.bench.measure import Sizes

METHOD = "median of fresh interpreters: modules that the statement adds, and its wall time"
PROGRAM = (
    "import sys, time; before = set(sys.modules); t = time.perf_counter(); {}; "
    "print(len(set(sys.modules) - before), time.perf_counter() - t)"
)
FLOOR = "import httpx, attrs"


def measure(statement: str, starts: int) -> tuple[int, float]:
    """Modules and milliseconds of a statement."""
    command = [sys.executable, "-c", PROGRAM.format(statement)]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() for _ in range(starts)]
    return int(runs[0][0]), statistics.median(float(seconds) for _, seconds in runs) * 1e3


def figures(sizes: Sizes) -> Iterator[Figure]:
    """Modules and time of the usual imports."""
    floor, floor_time = measure(FLOOR, sizes.starts)
    for name, statement, most, words in (
        ("tollkit", "import tollkit", 60, "< 60 modules"),
        ("pymthouse", "import tollkit.pymthouse; tollkit.pymthouse.PymtHouse", floor + 60, "< 60 more than the peer"),
        ("run402", "import tollkit.run402; tollkit.run402.Run402", floor + 60, "< 60 more than the peer"),
    ):
        modules, seconds = measure(statement, sizes.starts)
        title = "import tollkit" if name == "tollkit" else f"import the client of {name}"
        aim = at_most(most, words)
        yield _figure(f"{name}.modules", f"{title}: modules", "", modules, floor, aim)
        yield _figure(f"{name}.time", f"{title}: wall time", "ms", seconds, floor_time, None)


def _figure(name: str, title: str, unit: str, ours: float, peer: float, aim: Aim | None) -> Figure:
    return Figure(
        topic="import", name=name, title=title, unit=unit, ours=ours, peer_name=FLOOR, peer=peer, aim=aim,
        method=METHOD,
    )  # fmt: skip
