"""The ratios as bars, as SVG: readable in light and dark, without scripts or fonts of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

WIDTH, LABEL, RIGHT, ROW, TOP = 960, 480, 64, 26, 64
LEAST, MOST = 0.05, 4.0
STYLE = """
    text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
    .back { fill: #ffffff }
    .small { font-size: 11px; fill: #59636e }
    .title { font-size: 15px; font-weight: 600 }
    .line { stroke: #59636e; stroke-width: 1 }
    .grid { stroke: #d1d9e0; stroke-width: 1 }
    .good { fill: #1a7f37 }
    .even { fill: #0969da }
    .bad { fill: #cf222e }
    .aim { stroke: #9a6700; stroke-width: 2 }
    @media (prefers-color-scheme: dark) {
      .back { fill: #0d1117 }
      text { fill: #f0f6fc }
      .small { fill: #9198a1 }
      .line { stroke: #9198a1 }
      .grid { stroke: #3d444d }
      .good { fill: #3fb950 }
      .even { fill: #4493f8 }
      .bad { fill: #f85149 }
      .aim { stroke: #d29922 }
    }
"""


def place(ratio: float) -> float:
    """Where a ratio stands on the axis, which is logarithmic: half and double are equally far from 1."""
    within = min(max(ratio, LEAST), MOST)
    share = (math.log(within) - math.log(LEAST)) / (math.log(MOST) - math.log(LEAST))
    return LABEL + share * (WIDTH - LABEL - RIGHT)


def svg(told: Mapping[str, Any]) -> str:
    """The chart of the figures that have a peer."""
    figures = [figure for figure in told["figures"] if figure["ratio"] is not None]
    height = TOP + ROW * len(figures) + 24
    one = place(1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" aria-labelledby="title">',
        '  <title id="title">tollkit against its peers: ratios of one run</title>',
        f"  <style>{STYLE}  </style>",
        # a page may be light where the reader's system is dark
        f'  <rect class="back" width="{WIDTH}" height="{height}" rx="6"/>',
        '  <text class="title" x="12" y="24">tollkit against its peers</text>',
        '  <text class="small" x="12" y="42">ratio of the two values in the same run; left of 1 tollkit takes less,'
        " the mark is the aim; /s: right of 1 it does more</text>",
    ]
    for ratio in (0.05, 0.1, 0.2, 0.5, 1, 2, 4):
        x = place(ratio)
        kind = "line" if ratio == 1 else "grid"
        parts.append(f'  <line class="{kind}" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{height - 18}"/>')
        parts.append(f'  <text class="small" x="{x:.1f}" y="{height - 4}" text-anchor="middle">{ratio:g}</text>')
    for index, figure in enumerate(figures):
        parts += _bar(figure, TOP + ROW * index, one)
    return "\n".join([*parts, "</svg>", ""])


def _bar(figure: Mapping[str, Any], y: float, one: float) -> list[str]:
    ratio = figure["ratio"]
    end = place(ratio)
    left, width = min(one, end), max(abs(end - one), 1.5)
    better = ratio > 1 if figure["unit"] == "/s" else ratio < 1
    kind = "bad" if figure["met"] is False else "good" if better else "even"
    title = f"{figure['title']}, vs {figure['peerName']}"
    title = title if len(title) <= 76 else f"{title[:75]}…"
    told = [
        f'  <text x="{LABEL - 10}" y="{y + 14}" text-anchor="end" class="small">{escape(title)}</text>',
        f'  <rect class="{kind}" x="{left:.1f}" y="{y + 3}" width="{width:.1f}" height="14" rx="2"/>',
        f'  <text x="{WIDTH - 12}" y="{y + 14}" text-anchor="end">{ratio:.2f}</text>',
    ]
    if figure["aim"] and figure["aim"]["of"] == "ratio":
        x = place(figure["aim"]["most"])
        told.append(f'  <line class="aim" x1="{x:.1f}" y1="{y}" x2="{x:.1f}" y2="{y + 20}"/>')
    return told
