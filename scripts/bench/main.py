"""`make bench`: what tollkit costs, against peers measured in the same run.

    make bench                    everything: the table, docs/performance.json, .svg and .md
    make bench ONLY=decode        one topic (or several, with commas): the table alone
    make bench ONLY=decode MERGE=1  and put these figures in place of the old ones

CPU seconds of this process (the server is another one), rounds in which all take turns, medians of the rounds. Wall
clock is told where a person waits for it. Figures of one run on one machine: trust the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from scripts.bench import chart, figures, page, peers
from scripts.bench.measure import FULL, ROOT, TINY, Sizes
from scripts.bench.topics import TOPICS


def measured(topics: Sequence[str], sizes: Sizes) -> Iterator[figures.Figure]:
    """The figures of these topics, as they come."""
    for topic in topics:
        started = time.perf_counter()
        print(f"measuring: {topic}", file=sys.stderr, flush=True)
        yield from import_module(f"scripts.bench.topics.{TOPICS[topic]}").figures(sizes)
        print(f"  {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write.

    Returns:
        0; 1 when an aim was missed.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=os.environ.get("ONLY", ""), help=f"topics: {', '.join(TOPICS)}")
    parser.add_argument(
        "--merge", action="store_true", default=bool(os.environ.get("MERGE")), help="write these topics' figures"
    )
    parser.add_argument("--tiny", action="store_true", help="sizes that tell nothing; nothing is written")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="folder of performance.*")
    options = parser.parse_args(arguments)
    topics = [topic for topic in options.only.split(",") if topic] or list(TOPICS)
    if unknown := [topic for topic in topics if topic not in TOPICS]:
        parser.error(f"no topic {', '.join(unknown)}; there are {', '.join(TOPICS)}")
    sizes = TINY if options.tiny else FULL
    print(figures.head())
    found: list[figures.Figure] = []
    for figure in measured(topics, sizes):
        found.append(figure)
        print(figures.line(figure.to_dict()), flush=True)
    told = figures.report(found, peers.versions(), sizes.rounds)
    if not options.tiny and (options.merge or not options.only):
        write(told, options.docs, merge=bool(options.only))
    missed = [figure["title"] for figure in told["figures"] if figure["met"] is False]
    for title in missed:
        print(f"missed: {title}", file=sys.stderr)
    return 1 if missed and not options.tiny else 0


def write(told: dict[str, Any], docs: Path, *, merge: bool) -> None:
    """Write what a run has found, and the page that tells of it.

    Args:
        told: The report.
        docs: Folder of performance.json, .svg and .md.
        merge: Whether figures of other topics stay.
    """
    target = docs / page.JSON_NAME
    if merge and target.exists():
        told = figures.merged(json.loads(target.read_text("utf-8")), told)
    figures.write(target, told)
    (docs / page.SVG_NAME).write_text(chart.svg(told), encoding="utf-8")
    (docs / page.PAGE_NAME).write_text(page.text(told), encoding="utf-8")
