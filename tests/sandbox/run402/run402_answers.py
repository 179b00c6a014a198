"""The machinery that holds the gateway's answers against the document of Run402 1.57.

A group of routes has a file `cases_<group>.py` with its cases, which `test_run402_answers.py` finds by its name:

    CASES: Cases = {
        "emailCreateMailbox": [
            (201, lambda at: at.post("/mailboxes/v1", key=service_key(at), json={"slug": "shop"})),
            (401, lambda at: at.post("/mailboxes/v1", json={"slug": "shop"})),
        ],
    }

Each is made on a sandbox in its first state; status, method, path and body must be the document's. No member may be
there that the document does not name, where the document's schema has members.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
from run402_caller import Caller

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))

from lint_specs import SPECS, OpenApi, Operation, checker, load

Way = Callable[[Caller], httpx.Response]
Cases = Mapping[str, Sequence[tuple[int, Way]]]

# An error may say more than the envelope names.
_OPEN = ("ErrorEnvelope", "PaymentRequiredEnvelope")


def _strict() -> OpenApi:
    document = OpenApi(load(SPECS / "run402" / "v1_57.yaml"))
    for name, schema in document.data["components"]["schemas"].items():
        if schema.get("properties") and name not in _OPEN and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
    return document


DOCUMENT = _strict()
OPERATIONS: dict[str, Operation] = {each.data["operationId"]: each for each in DOCUMENT.operations()}


def all_cases() -> list[tuple[str, int, Way]]:
    """The cases of all groups."""
    found: list[tuple[str, int, Way]] = []
    for path in sorted(Path(__file__).parent.glob("cases_*.py")):
        cases: Cases = import_module(path.stem).CASES
        found += [(name, status, way) for name, several in cases.items() for status, way in several]
    return found


def complaints(name: str, answer: httpx.Response) -> list[str]:
    """What is wrong with an answer, by the document; nothing when it is as documented."""
    operation = OPERATIONS[name]
    request = answer.request
    if request.method.lower() != operation.method:
        return [f"the method is {request.method}"]
    path = request.url.raw_path.decode("ascii").partition("?")[0].removeprefix("/run402")
    if not re.fullmatch(re.sub(r"\\\{\w+\\\}", ".+", re.escape(operation.path)), path):
        return [f"the path is {path}"]
    documented = {status: (described, where) for status, described, where in DOCUMENT.responses(operation)}
    status = str(answer.status_code)
    found = documented.get(status) or documented.get(f"{status[0]}XX")
    if found is None:
        return [f"the status {status} is not documented"]
    described, pointer = found
    content = described.get("content", {})
    if not answer.content:
        never = request.method == "HEAD" or answer.status_code == 204
        return ["the body is missing"] if content and not never else []
    if not content:  # the document describes no body where it does not matter
        return []
    media_type = answer.headers["content-type"].partition(";")[0]
    if media_type not in content:
        media_type = next((each for each in content if each == "*/*"), media_type)
    if media_type not in content:
        return [f"the type {media_type} is not documented"]
    if "schema" not in content[media_type] or media_type == "*/*":
        return []
    value: Any = answer.json() if "json" in media_type else answer.text
    check = checker(DOCUMENT.data, (*pointer, "content", media_type, "schema"))
    return [f"{error.json_path}: {error.message}" for error in check(value)]
