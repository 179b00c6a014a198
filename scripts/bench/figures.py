"""What a benchmark tells: figures with their aims, in a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

SCHEMA = 1


@attrs.frozen(kw_only=True)
class Aim:
    """What a figure has to keep.

    Attributes:
        of: Whether the bound is one of the ratio or of our own value.
        most: The bound.
        words: As the table shows it.
    """

    of: Literal["ratio", "ours"]
    most: float
    words: str

    def met(self, ours: float, ratio: float | None) -> bool:
        """Whether it is kept."""
        value = ratio if self.of == "ratio" else ours
        return value is not None and value <= self.most


def ratio_of(most: float, words: str) -> Aim:
    """At most this share of the peer's value."""
    return Aim(of="ratio", most=most, words=words)


def at_most(most: float, words: str) -> Aim:
    """At most this much of our own."""
    return Aim(of="ours", most=most, words=words)


@attrs.frozen(kw_only=True)
class Figure:
    """One thing that was measured.

    Attributes:
        topic: Its page section and the name of the program that measures it.
        name: Name of its own within the topic.
        title: What was measured, in words.
        unit: Of both values.
        ours: The value of tollkit.
        method: How it was measured; the page shows it.
        peer_name: Who is compared.
        peer: The peer's value in the same run.
        ratio: Ours by theirs, where it is not simply the quotient but a median of the rounds' quotients.
        aim: What has to be kept, if anything.
    """

    topic: str
    name: str
    title: str
    unit: str
    ours: float
    method: str
    peer_name: str = ""
    peer: float | None = None
    ratio: float | None = None
    aim: Aim | None = None

    @property
    def quotient(self) -> float | None:
        """Ours by theirs; `None` without a peer."""
        if self.ratio is not None:
            return self.ratio
        return self.ours / self.peer if self.peer else None

    def to_dict(self) -> dict[str, Any]:
        """The figure as the JSON file has it."""
        aim = self.aim
        return {
            "topic": self.topic,
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "ours": rounded(self.ours),
            "peerName": self.peer_name,
            "peer": None if self.peer is None else rounded(self.peer),
            "ratio": None if self.quotient is None else rounded(self.quotient),
            "aim": aim and {"of": aim.of, "most": aim.most, "words": aim.words},
            "met": aim and aim.met(self.ours, self.quotient),
            "method": self.method,
        }


def rounded(value: float) -> float:
    """Four figures that mean something."""
    return float(f"{value:.4g}")


def shown(value: float | None, unit: str) -> str:
    """A value with its unit, as people read it."""
    if value is None:
        return ""
    digits = 0 if value >= 100 or not unit else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()


def machine() -> dict[str, Any]:
    """What the figures depend on; no names of hosts or people."""
    return {
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "system": platform.system(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def report(figures: Sequence[Figure], peers: Mapping[str, str], rounds: int) -> dict[str, Any]:
    """The whole of a run, as JSON values."""
    return {
        "schema": SCHEMA,
        "machine": machine(),
        "peers": dict(peers),
        "rounds": rounds,
        "figures": [figure.to_dict() for figure in figures],
    }


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """A report in which the topics of another take the place of its own."""
    topics = {figure["topic"] for figure in new["figures"]}
    kept = [figure for figure in old["figures"] if figure["topic"] not in topics]
    order = list(dict.fromkeys(figure["topic"] for figure in [*old["figures"], *new["figures"]]))
    figures = sorted([*kept, *new["figures"]], key=lambda figure: order.index(figure["topic"]))
    return {**new, "peers": {**old["peers"], **new["peers"]}, "figures": figures}


def write(path: Path, told: Mapping[str, Any]) -> None:
    """Write a report."""
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def head() -> str:
    """The first line of the table."""
    return f"{'':<88} {'tollkit':>13} {'peer':>13} {'ratio':>6}  aim"


def line(told: Mapping[str, Any]) -> str:
    """One line of the table."""
    title = f"{told['title']}, vs {told['peerName']}" if told["peerName"] else told["title"]
    ratio = "" if told["ratio"] is None else f"{told['ratio']:.2f}"
    aim = "" if not told["aim"] else f"{told['aim']['words']}: {'met' if told['met'] else 'MISSED'}"
    ours, peer = shown(told["ours"], told["unit"]), shown(told["peer"], told["unit"])
    return f"{title:<88} {ours:>13} {peer:>13} {ratio:>6}  {aim}".rstrip()


def table(figures: Iterable[Mapping[str, Any]]) -> str:
    """The whole table."""
    return "\n".join([head(), *(line(figure) for figure in figures)])
