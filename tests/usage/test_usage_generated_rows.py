"""The generator's readers of bulk answers: what a document may ask for, and what is refused."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "specs/usage/v2026_05.yaml"
PROGRAM = """
import sys
from pathlib import Path
from generator import bulk
from generator.document import DocumentError, load
try:
    document = load(Path(sys.argv[1]), Path(sys.argv[2]))
    answer = bulk.answer_of(document)
    print(bulk.rows(document, "tollkit_api.usage.v2026_05", answer, "Head."))
    bulk._operation(document, answer)
except DocumentError as error:
    sys.exit(str(error))
"""


@pytest.fixture(scope="module")
def python() -> str:
    found = Path(os.environ.get("TOLLKIT_GENERATE_PYTHON", ROOT / ".venv-generate/bin/python"))
    if not found.exists():
        pytest.skip("the generator is not installed; `make generate` installs it")
    return str(found)


def generated(python: str, tmp_path: Path, change: Any) -> subprocess.CompletedProcess[str]:
    document = yaml.safe_load(SPEC.read_text("utf-8"))
    change(document["components"]["schemas"])
    target = tmp_path / "specs/usage/v2026_05.yaml"
    target.parent.mkdir(parents=True)
    target.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return subprocess.run(
        [python, "-c", PROGRAM, str(target), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
    )


def test_rows_follow_the_document(python: str, tmp_path: Path) -> None:
    def change(schemas: dict[str, Any]) -> None:
        row = schemas["UsageByUserRow"]
        row["properties"]["shareBps"] = {"type": "integer", "description": "A 'share' of \"it\"."}
        row["properties"]["seenAt"] = {"type": "string", "format": "date-time", "description": "When."}
        row["properties"]["region"] = {"type": ["string", "null"], "description": "Where."}
        row["required"].append("region")

    done = generated(python, tmp_path, change)
    assert (done.returncode, done.stderr) == (0, "")
    row = next(
        node
        for node in ast.parse(done.stdout).body
        if isinstance(node, ast.ClassDef) and node.name == "UsageByUserRow"
    )
    fields = {
        ast.unparse(node.target): ast.unparse(node.annotation) for node in row.body if isinstance(node, ast.AnnAssign)
    }
    assert fields["share_bps"] == "int | float"
    assert fields["region"] == "str | None"
    assert fields["currency"] == "Literal['USD']"
    assert "seen_at" not in fields, "a time is read by the models"
    assert "Meta" not in done.stdout
    assert "UNSET" not in done.stdout


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda schemas: schemas["UsageResponse"].update({"x-bulk": ["byNobody"]}), "names no property: byNobody"),
        (lambda schemas: schemas["UsagePeriod"].update({"x-bulk": []}), "stands at several schemas"),
        (
            lambda schemas: schemas["UsageByPipelineModelRow"]["required"].append("networkFeeEth"),
            "UsageByPipelineModelRow.networkFeeEth: x-bulk cannot carry a required field of this kind",
        ),
        (
            lambda schemas: schemas["UsageTotals"]["properties"]["currency"].update({"x-usual": [1]}),
            "UsageTotals.currency: x-bulk needs texts in x-usual",
        ),
        (
            lambda schemas: schemas["UsageByUserRow"]["properties"].update(
                {"period": {"$ref": "#/components/schemas/UsagePeriod"}}
            ),
            "goes one level deep",
        ),
        (
            lambda schemas: (
                schemas["UsageResponse"].pop("x-bulk"),
                schemas["UsagePeriod"].update({"x-bulk": []}),
            ),
            "must be the answer of one operation",
        ),
    ],
)
def test_what_cannot_be_read_in_bulk_is_refused(python: str, tmp_path: Path, change: Any, told: str) -> None:
    done = generated(python, tmp_path, change)
    assert done.returncode == 1
    assert told in done.stderr
