"""The benchmark: each of its topics runs, and what it writes has the right form. Nothing here looks at times."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from scripts.bench import chart, figures, measure, page  # noqa: E402
from scripts.bench.topics import TOPICS  # noqa: E402

FIELDS = ["topic", "name", "title", "unit", "ours", "peerName", "peer", "ratio", "aim", "met", "method"]
NUMBER = {"type": ["number", "null"]}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema", "machine", "peers", "rounds", "figures"],
    "properties": {
        "schema": {"const": figures.SCHEMA},
        "machine": {
            "type": "object",
            "additionalProperties": False,
            "required": ["cores", "processor", "system", "python"],
            "properties": {
                "cores": {"type": "integer", "minimum": 1},
                "processor": {"type": "string"},
                "system": {"type": "string"},
                "python": {"type": "string", "pattern": "^[A-Za-z]+ 3\\."},
            },
        },
        "peers": {"type": "object", "additionalProperties": {"type": "string"}},
        "rounds": {"type": "integer", "minimum": 1},
        "figures": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": [
                    "topic",
                    "name",
                    "title",
                    "unit",
                    "ours",
                    "peerName",
                    "peer",
                    "ratio",
                    "aim",
                    "met",
                    "method",
                ],
                "properties": {
                    "topic": {"enum": list(TOPICS)},
                    "name": {"type": "string", "minLength": 1},
                    "title": {"type": "string", "minLength": 1},
                    "unit": {"enum": ["", "µs", "ms", "s", "B", "MiB", "/s"]},
                    "ours": {"type": "number", "minimum": 0},
                    "peerName": {"type": "string"},
                    "peer": NUMBER,
                    "ratio": NUMBER,
                    "aim": {
                        "type": ["object", "null"],
                        "additionalProperties": False,
                        "required": ["of", "most", "words"],
                        "properties": {
                            "of": {"enum": ["ratio", "ours"]},
                            "most": {"type": "number"},
                            "words": {"type": "string", "minLength": 1},
                        },
                    },
                    "met": {"type": ["boolean", "null"]},
                    "method": {"type": "string", "minLength": 20},
                },
            },
        },
    },
}


def checked(told: dict[str, Any]) -> dict[str, Any]:
    Draft202012Validator(SCHEMA).validate(told)
    names = [(figure["topic"], figure["name"]) for figure in told["figures"]]
    assert len(set(names)) == len(names)
    for figure in told["figures"]:
        assert (figure["peer"] is None) or figure["peerName"]
        assert (figure["aim"] is None) == (figure["met"] is None)
    return told


# Programs of their own, so that what they import, patch and leave behind is theirs; the clock is not looked at.
RUN = """
import json, sys
sys.path.insert(0, sys.argv[1])
from importlib import import_module
from scripts.bench import figures, peers
from scripts.bench.measure import TINY
from scripts.bench.topics import TOPICS
found = list(import_module(f"scripts.bench.topics.{TOPICS[sys.argv[2]]}").figures(TINY))
print(json.dumps(figures.report(found, peers.versions(), TINY.rounds)))
"""
GENERATOR = ROOT / ".venv-generate/bin/python"


@pytest.mark.parametrize("topic", list(TOPICS))
def test_a_topic_runs_and_tells_figures_of_its_own(topic: str) -> None:
    if topic in ("percall", "decode") and not GENERATOR.exists():
        pytest.skip("the generator is not installed; `make generate` installs it")
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(ROOT), topic], capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stderr
    told = checked(json.loads(done.stdout))
    assert {figure["topic"] for figure in told["figures"]} == {topic}
    assert page.text(told).count("\n## ") == 2
    ET.fromstring(chart.svg(told))  # ours


FIGURE = figures.Figure(
    topic="decode", name="a", title="a <thing>", unit="ms", ours=12.3456, peer_name="a peer", peer=100.0,
    aim=figures.ratio_of(0.2, "5 times"), method="counted on the fingers of one hand",
)  # fmt: skip


def report(*found: figures.Figure) -> dict[str, Any]:
    return checked(figures.report(found, {"httpx": "0.28.1"}, 7))


def test_a_figure_tells_its_ratio_and_whether_it_meets_its_aim() -> None:
    import attrs

    told = FIGURE.to_dict()
    assert (told["ours"], told["ratio"], told["met"]) == (12.35, 0.1235, True)
    assert attrs.evolve(FIGURE, ratio=0.3).to_dict()["met"] is False
    alone = attrs.evolve(FIGURE, peer=None, peer_name="")
    assert (alone.to_dict()["ratio"], alone.to_dict()["met"]) == (None, False)
    assert attrs.evolve(alone, aim=figures.at_most(13, "< 13")).to_dict()["met"] is True
    assert "MISSED" in figures.line(attrs.evolve(FIGURE, ratio=0.3).to_dict())
    assert "met" in figures.table([told])


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [(None, "s", ""), (0.1234, "s", "0.12 s"), (12.34, "ms", "12.3 ms"), (1234.5, "µs", "1,234 µs"), (27, "", "27")],
)
def test_values_are_told_as_people_read_them(value: float | None, unit: str, told: str) -> None:
    assert figures.shown(value, unit) == told


def test_figures_of_one_topic_take_the_place_of_the_old() -> None:
    import attrs

    other = attrs.evolve(FIGURE, topic="percall", name="b")
    newer = attrs.evolve(FIGURE, name="c")
    found = checked(figures.merged(report(FIGURE, other), report(newer)))
    assert [(figure["topic"], figure["name"]) for figure in found["figures"]] == [("decode", "c"), ("percall", "b")]


def test_the_chart_escapes_and_stays_within_its_bounds() -> None:
    import attrs

    far = attrs.evolve(FIGURE, name="far", ratio=90.0, unit="/s")
    root = ET.fromstring(chart.svg(report(FIGURE, far)))  # ours
    space = {"svg": "http://www.w3.org/2000/svg"}
    back, *bars = root.findall("svg:rect", space)
    assert back.attrib["class"] == "back"
    assert len(bars) == 2
    for bar in bars:
        assert float(bar.attrib["x"]) >= chart.LABEL
        assert float(bar.attrib["x"]) + float(bar.attrib["width"]) <= chart.WIDTH
    assert any("a <thing>" in (text.text or "") for text in root.findall("svg:text", space))
    assert "prefers-color-scheme: dark" in (root.findtext("svg:style", "", space))


def test_half_and_double_are_equally_far_from_one() -> None:
    one = chart.place(1)
    assert math.isclose(chart.place(2) - one, one - chart.place(0.5))


def test_rounds_take_turns_and_the_first_does_not_count() -> None:
    seen: list[str] = []
    found = measure.medians({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, 3)
    assert "".join(seen) == "abababab"
    assert len(found.rounds) == 3
    assert set(found.rounds[0]) == {"a", "b"}


def test_a_flight_makes_each_call_once_and_never_more_at_once() -> None:
    import asyncio

    running = most = calls = 0

    async def call() -> None:
        nonlocal running, most, calls
        running, calls = running + 1, calls + 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    loop = measure.Loop()
    loop.flown(call, 100, at_once=8)()
    loop.close()
    assert (calls, most) == (100, 8)


def test_memory_is_that_of_the_result() -> None:
    held, peak = measure.memory(lambda: bytes(1 << 20) and bytes(1 << 18))
    assert 1 << 18 <= held < 1 << 19
    assert peak >= 1 << 20


def test_an_unknown_topic_is_refused() -> None:
    command = [sys.executable, str(ROOT / "scripts/bench/run.py"), "--only", "nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no topic nonsense; there are import, percall" in done.stderr


def test_the_page_is_what_the_figures_give() -> None:
    told = checked(json.loads((ROOT / "docs" / page.JSON_NAME).read_text("utf-8")))
    assert {figure["topic"] for figure in told["figures"]} == set(TOPICS), "of a whole run"
    assert page.main(["--check"]) == 0


def test_a_page_that_is_stale_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(page, "DOCS", tmp_path)
    figures.write(tmp_path / page.JSON_NAME, report(FIGURE))
    assert page.main(["--check"]) == 1
    assert "docs/performance.md is not what" in capsys.readouterr().err
    assert page.main([]) == 0
    assert page.main(["--check"]) == 0
    (tmp_path / page.PAGE_NAME).write_text("other")
    assert page.main(["--check"]) == 1
