"""Every example of every document goes through the operation it belongs to, and comes back the same."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tollkit_api.runtime import UnexpectedStatus

ROOT = Path(__file__).parents[2]
SOME = {"default": 599, "4XX": 418, "5XX": 599}
"""A status of each range that documents name."""
METHODS = ("get", "put", "post", "delete", "patch", "head", "options")


def resolved(document: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        target: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def examples(media: Mapping[str, Any]) -> Iterator[Any]:
    if "example" in media:
        yield media["example"]
    for example in media.get("examples", {}).values():
        yield example["value"]


def cases() -> Iterator[Any]:
    for spec in sorted((ROOT / "specs").glob("*/*.yaml")):
        document = yaml.safe_load(spec.read_text())
        package = f"tollkit_api.{spec.parent.name}.{spec.stem}"
        modules = importlib.import_module(f"{package}._provenance").OPERATIONS
        operations = [item[method] for item in document["paths"].values() for method in METHODS if method in item]
        for operation in operations:
            name = operation["operationId"]
            for status, reference in operation["responses"].items():
                media = resolved(document, reference).get("content", {}).get("application/json", {})
                for number, example in enumerate(examples(media)):
                    module = f"{package}.api.{modules[name]}"
                    code = int(SOME.get(status, status))
                    yield pytest.param(module, code, example, id=f"{name}-{status}-{number}")


def plain(value: Any) -> Any:
    """What a model and its JSON have in common: a field that is null may as well be absent."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not None}
    return [plain(item) for item in value] if isinstance(value, list) else value


def wire(value: Any) -> Any:
    """A model as JSON values; an answer without a model is some already."""
    return value.to_dict() if hasattr(value, "to_dict") else value


@pytest.mark.parametrize(("module", "status", "example"), list(cases()))
def test_examples_survive(module: str, status: int, example: Any):
    operation = importlib.import_module(module)
    response = httpx.Response(status, content=json.dumps(example))
    if status in operation.OPERATION.success:
        parsed = operation.parse(response)
    else:
        with pytest.raises(UnexpectedStatus) as caught:
            operation.parse(response)
        parsed = caught.value.parsed
        assert parsed is not None
    back = [wire(item) for item in parsed] if isinstance(parsed, list) else wire(parsed)
    assert plain(back) == plain(json.loads(response.content))
