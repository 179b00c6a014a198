"""docs/performance.md from docs/performance.json.

python scripts/bench/page.py           write the page and the chart
python scripts/bench/page.py --check   fail when they are not what the JSON gives
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from scripts.bench import chart
from scripts.bench.figures import shown

DOCS = Path(__file__).parents[2] / "docs"
JSON_NAME, SVG_NAME, PAGE_NAME = "performance.json", "performance.svg", "performance.md"
SECTIONS: Mapping[str, tuple[str, str]] = {
    "import": (
        "Import",
        "A command line tool or a function in the cloud pays for its imports at each start. `import tollkit` loads no"
        " HTTP library; a client's name loads its platform alone, and generated models come when they are needed.",
    ),
    "percall": (
        "A call",
        "One small request with a small typed answer, which is where an SDK's own work shows. With the extra `fast`"
        " tollkit sends through aiohttp, below the same interface; without it through httpx, whose cost with many"
        " requests in flight is the larger part of each call. The peers ask the same server for the same answer: the"
        " stock package, which openapi-python-client generates from the same document, by its own operation; openai"
        " by `models.retrieve`, stripe by `customers.retrieve`.",
    ),
    "decode": (
        "Bulk answers",
        "A usage answer of 50,000 rows. `get_usage` gives models, which keep fields that the document does not know;"
        " `get_usage_rows` gives the same values as rows that msgspec reads in C, with the extra `rows` installed and"
        " as long as the answer is larger than 1 MiB and holds nothing unusual. What is unusual (an unknown field,"
        " another currency or user type, a null where a field may be absent) is read as models: slower, never"
        " wrong. From decoded JSON means that the parser's time"
        " is left out on both sides. Amounts are integers here and text in the stock models.",
    ),
    "aggregate": (
        "A million rows",
        "`aggregate` adds up answers from an iterator: by user, and by pipeline and model. The sums are integers of"
        " any size, checked against arithmetic in each run. Memory is that of one answer and of the groups.",
    ),
    "tokens": (
        "Tokens and manifests",
        "What a request to the platform's issuer costs beside the bare requests, and how fast a server of yours can"
        " check tokens. tollkit checks what RFC 9068 asks for; the peer's checks are fewer, which the method names."
        " A kept token costs no request.",
    ),
    "deploy": (
        "Deploys",
        "A site of many small files, shipped to the sandbox. Uploads run side by side within bounds; a large file is"
        " streamed.",
    ),
    "wallets": (
        "Signatures",
        "A wallet's signatures of requests and payments, beside the bare libraries that do the arithmetic.",
    ),
    "starts": ("Development", "What a developer waits for."),
}
HOW = """\
* **Ours** and **peer** are values of the same run on the same machine: {machine}.
* **Ratio** is the one by the other, as the median of the rounds' quotients where there are rounds ({rounds} here, all
  sides in turn). Values change with the machine, ratios hardly: trust the ratios.
* CPU time is that of the client's process alone, since servers run in processes of their own; it counts what the
  machine does for nobody else. Wall time is told where a person waits for it.
* Less is better, but for values by the second (`/s`).
* **Aim** is what the project promises; `make bench` fails when one is missed.

Compared with: {peers}.
"""


def text(told: Mapping[str, Any]) -> str:
    """The page."""
    machine = told["machine"]
    parts = [
        "<!-- Made by scripts/bench/page.py from performance.json; do not edit. -->",
        "# Performance",
        "What tollkit costs, measured by `make bench` against bare httpx, a package as openapi-python-client"
        " generates it, and two well-known SDKs, all in the same run. `make bench ONLY=percall` measures one topic.",
        f"![Ratios of tollkit to its peers]({SVG_NAME})",
        "## How to read it",
        HOW.format(
            machine=f"{machine['cores']} cores ({machine['processor']}), {machine['system']}, {machine['python']}",
            rounds=told["rounds"],
            peers=", ".join(f"{name} {version}" for name, version in sorted(told["peers"].items())),
        ).rstrip(),
    ]
    for topic, listed in groupby(told["figures"], key=lambda figure: figure["topic"]):
        title, about = SECTIONS[topic]
        parts += [f"## {title}", about, *_tables(list(listed))]
    return "\n\n".join(parts) + "\n"


def _tables(figures: Sequence[Mapping[str, Any]]) -> list[str]:
    head = "| measured | tollkit | peer | | ratio | aim |\n| --- | ---: | --- | ---: | ---: | --- |"
    rows = "\n".join(_row(figure) for figure in figures)
    methods: dict[str, list[str]] = {}
    for figure in figures:
        methods.setdefault(figure["method"], []).append(figure["title"])
    if len(methods) == 1:
        return [f"{head}\n{rows}", f"How: {next(iter(methods))}."]
    told = "\n".join(f"* {'; '.join(dict.fromkeys(titles))}: {method}." for method, titles in methods.items())
    return [f"{head}\n{rows}", f"How:\n\n{told}"]


def _row(figure: Mapping[str, Any]) -> str:
    ratio = "" if figure["ratio"] is None else f"{figure['ratio']:.2f}"
    aim = "" if not figure["aim"] else f"{figure['aim']['words']} {'✓' if figure['met'] else '✗ missed'}"
    ours, peer = shown(figure["ours"], figure["unit"]), shown(figure["peer"], figure["unit"])
    return f"| {figure['title']} | {ours} | {figure['peerName']} | {peer} | {ratio} | {aim} |".replace("<", "&lt;")


def main(arguments: Sequence[str]) -> int:
    """Write the page and the chart, or check them."""
    told = json.loads((DOCS / JSON_NAME).read_text("utf-8"))
    made = {PAGE_NAME: text(told), SVG_NAME: chart.svg(told)}
    if "--check" in arguments:
        stale = [name for name, content in made.items() if _read(DOCS / name) != content]
        for name in stale:
            print(f"docs/{name} is not what docs/{JSON_NAME} gives: run scripts/bench/page.py", file=sys.stderr)
        return 1 if stale else 0
    for name, content in made.items():
        (DOCS / name).write_text(content, encoding="utf-8")
    return 0


def _read(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
