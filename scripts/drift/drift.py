"""Tell what changed between two versions of a document, and what of it breaks callers.

    python scripts/drift/drift.py usage/v2026_05 usage/v2026_08
    python scripts/drift/drift.py before.yaml after.yaml --fail-on-breaking

Redocly CLI compares and judges; this program says it in the words of this project: operations by their ids,
fields by the class they belong to. "!" marks what breaks a caller, "+" what is new, "~" every other change.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import attrs
import yaml

__all__ = ["Change", "DriftError", "compare", "main", "report"]

HERE = Path(__file__).parent
SPECS = HERE.parents[1] / "specs"
CLI = HERE / "node_modules" / "@redocly" / "cli" / "bin" / "cli.js"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
SHOWN_VALUE = 60
# Redocly's word for breaking, but not for callers of ours: an enumeration passes values it does not know as text.
HARMLESS = frozenset({"enum-values-added"})


class DriftError(Exception):
    """The documents cannot be compared; the message says why."""


@attrs.frozen
class Change:
    """One change.

    Attributes:
        operation: "GET /a (getA)", or "" for what belongs to no operation.
        mark: "!" breaks callers, "+" is new, "~" is neither.
        where: the operation's part, or "" for the operation as a whole.
        what: what happened there.
    """

    operation: str
    mark: str
    where: str
    what: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report.

    Returns:
        0; 1 with `--fail-on-breaking` if something breaks; 2 if the documents cannot be compared.
    """
    parser = argparse.ArgumentParser(
        prog="drift.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("before", metavar="FROM", help="a document, or <api>/<version> below specs/")
    parser.add_argument("after", metavar="TO", help="the document to compare it with")
    parser.add_argument("--fail-on-breaking", action="store_true", help="exit with 1 if a change breaks callers")
    options = parser.parse_args(arguments)
    try:
        changes = compare(document(options.before), document(options.after))
    except DriftError as error:
        print(error, file=sys.stderr)
        return 2
    print(report(f"{options.before} -> {options.after}", changes))
    breaking = any(change.mark == "!" for change in changes)
    return 1 if breaking and options.fail_on_breaking else 0


def document(name: str) -> Path:
    """The file that a name on the command line means.

    Raises:
        DriftError: there is none.
    """
    for path in (Path(name), SPECS / f"{name}.yaml"):
        if path.is_file():
            return path.resolve()
    raise DriftError(f"{name}: neither a file nor a document below specs/")


def compare(before: Path, after: Path) -> list[Change]:
    """Compare two documents.

    Raises:
        DriftError: Redocly CLI is not installed or refuses the documents.
    """
    sides = {"base": _load(before), "revision": _load(after)}
    node = shutil.which("node")
    if node is None or not CLI.exists():
        raise DriftError("Redocly CLI is not installed: `make drift` installs it, and needs Node.js")
    done = subprocess.run(
        [node, str(CLI), "diff", str(before), str(after), "--format=json", "--fail-on=none", "--lint-config=off"],
        cwd=HERE,
        env={**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        found: Mapping[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise DriftError(f"Redocly CLI cannot compare the documents:\n{done.stderr.strip()}") from None
    return [change for raw in found["changes"] for change in _changes(raw, sides)]


def report(title: str, changes: Sequence[Change]) -> str:
    """The report, with whole operations first and what breaks before what does not."""
    counts = {mark: sum(change.mark == mark for change in changes) for mark in "!+~"}
    lines = [f"{title}: {counts['!']} breaking (!), {counts['+']} added (+), {counts['~']} other (~)"]
    whole = [change for change in changes if not change.where and change.operation]
    if whole:
        lines += ["", "Operations"]
        lines += [f"  {change.mark} {change.what} {change.operation}" for change in _ordered(whole)]
    groups: dict[str, list[Change]] = {}
    for change in changes:
        if change not in whole:
            groups.setdefault(change.operation, []).append(change)
    for operation, members in sorted(groups.items(), key=lambda group: (group[0] == "", group[0])):
        lines += ["", operation or "The document"]
        lines += [f"  {change.mark} {change.where}: {change.what}" for change in _ordered(members)]
    return "\n".join(lines)


def _ordered(changes: Sequence[Change]) -> list[Change]:
    return sorted(changes, key=lambda change: ("!+~".index(change.mark), change.where, change.operation))


def _load(path: Path) -> Mapping[str, Any]:
    try:
        loaded: Mapping[str, Any] = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise DriftError(f"{path.name}: {error}") from None
    return loaded


def _changes(raw: Mapping[str, Any], sides: Mapping[str, Mapping[str, Any]]) -> Iterator[Change]:
    """One change of Redocly's; a whole path stands for its operations."""
    side = "base" if raw["kind"] == "removed" else "revision"
    steps = [step.replace("~1", "/").replace("~0", "~") for step in raw["path"].removeprefix("#/").split("/")]
    mark = "!" if _breaks(raw) else "+" if raw["kind"] == "added" else "~"
    if steps[0] != "paths" or len(steps) < 2:
        yield Change("", mark, " ".join(steps), _what(raw))
        return
    item = _child(sides[side], "paths", steps[1])
    methods = [steps[2]] if len(steps) > 2 and steps[2] in METHODS else [name for name in METHODS if name in item]
    rest = steps[3:] if len(steps) > 2 and steps[2] in METHODS else steps[2:]
    for method in methods:
        operation_id = item.get(method, {}).get("operationId", "without an id")
        operation = f"{method.upper()} {steps[1]} ({operation_id})"
        if not rest and raw["kind"] in {"added", "removed"}:
            yield Change(operation, mark, "", raw["kind"])
        else:
            where = _where(rest, raw, sides[side], ["paths", steps[1], *steps[2 : len(steps) - len(rest)]])
            yield Change(operation, mark, where, _what(raw))


def _breaks(raw: Mapping[str, Any]) -> bool:
    rules = {verdict["ruleId"] for verdict in raw["verdicts"] if verdict["impact"] == "major"}
    return raw["impact"] == "major" and not (rules and rules <= HARMLESS)


def _child(data: Any, *steps: str) -> Any:
    """The node below some steps, through references; {} where there is none."""
    nothing: dict[str, Any] = {}
    node = data
    for step in steps:
        if isinstance(node, list):
            items = cast("Sequence[Any]", node)
            node = items[int(step)] if step.isdigit() and int(step) < len(items) else nothing
        else:
            node = cast("Mapping[str, Any]", node).get(step, nothing) if isinstance(node, dict) else nothing
        while isinstance(node, dict) and "$ref" in node:
            reference = str(cast("Mapping[str, Any]", node)["$ref"])
            node = _child(data, *reference.removeprefix("#/").split("/"))
    return cast("Any", node)


def _where(steps: Sequence[str], raw: Mapping[str, Any], data: Mapping[str, Any], above: Sequence[str]) -> str:
    """A pointer in words: "query parameter since", "body: $.name", "answer 200: $.rows[].id (UsageRow)"."""
    place, rest = "the operation", list(steps)
    if rest[:1] == ["parameters"] and len(rest) > 1:
        parameter = _child(data, *above, *rest[:2])
        place, rest = f"{parameter.get('in', '')} parameter {parameter.get('name', rest[1])}".strip(), rest[2:]
    elif rest[:1] == ["requestBody"]:
        place, rest = "body", rest[1:]
    elif rest[:1] == ["responses"] and len(rest) > 1:
        place, rest = f"answer {rest[1]}", rest[2:]
    elif rest:
        place, rest = " ".join(rest[:1]), []
    if rest[:1] == ["content"] and len(rest) > 1:
        rest = rest[2:]
    field = _field(rest)
    owner = _owner(raw)
    return f"{place}{f': {field}' if field else ''}{f' ({owner})' if owner else ''}"


def _field(steps: Sequence[str]) -> str:
    """Steps through schemas as a JSON path; "" where they lead to no field."""
    path, remaining = "$", list(steps)
    while remaining:
        step = remaining.pop(0)
        if step == "properties" and remaining:
            path += f".{remaining.pop(0)}"
        elif step == "items":
            path += "[]"
        elif step == "additionalProperties":
            path += ".*"
    return "" if path == "$" else path


def _owner(raw: Mapping[str, Any]) -> str:
    """The component schema that the changed lines stand in."""
    for side in ("revision", "base"):
        steps = raw.get(side, {}).get("pointer", "").split("/")
        if steps[:3] == ["#", "components", "schemas"]:
            return str(steps[3])
    return ""


def _what(raw: Mapping[str, Any]) -> str:
    messages = [str(verdict["message"]).replace("`", "") for verdict in raw.get("verdicts", ())]
    if messages:
        return " ".join(messages)
    if raw["kind"] != "modified":
        return str(raw["kind"])
    before, after = (_shown(raw.get(side)) for side in ("base", "revision"))
    return f"{raw.get('property', 'it')} was {before}, is {after}"


def _shown(side: Mapping[str, Any] | None) -> str:
    if side is None or "value" not in side:
        return "absent"
    text = json.dumps(side["value"], ensure_ascii=False)
    return text if len(text) <= SHOWN_VALUE else f"{text[:SHOWN_VALUE]}…"


if __name__ == "__main__":
    sys.exit(main())
