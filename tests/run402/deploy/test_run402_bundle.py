"""Bundles as release specs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tollkit.run402.deploy.bundle import bundle_migration, bundle_secrets, bundle_spec, decoded
from tollkit.run402.deploy.errors import DeployError
from tollkit.run402.deploy.files import FileSource
from tollkit.run402.deploy.spec import Prepared
from tollkit.secrets import Secret

VECTORS: dict[str, Any] = json.loads(
    Path(__file__).with_name("data").joinpath("release-spec-1.57.0.json").read_text()
)


@pytest.mark.parametrize("case", VECTORS["bundle_translation"], ids=lambda case: case["name"])
def test_translation(case: dict[str, Any]) -> None:
    options = {name: value for name, value in case["options"].items() if name != "inherit"}
    (planned,) = (call["body"] for call in case["calls"] if call["url"] == "/deploy/v2/plans")
    made = {"spec": Prepared(bundle_spec("prj_k", **options)).wire()}
    assert json.dumps(made, separators=(",", ":")) == planned
    set_first = [
        (call["url"].rpartition("/")[2], json.loads(call["body"])["value"])
        for call in case["calls"]
        if "/secrets/" in call["url"]
    ]
    assert [(key, str(value)) for key, value in bundle_secrets(options.get("secrets"))] == set_first


@pytest.mark.parametrize("case", VECTORS["bundle_migration_ids"])
def test_migration_ids(case: dict[str, Any]) -> None:
    assert bundle_migration(case["sql"]) == (case["id"], case["checksum"])


def test_what_is_absent_and_what_is_partly_there() -> None:
    assert bundle_spec(None) == {}
    assert bundle_spec("p", migrations="", secrets=[], functions=[], files=(), subdomain="", rls=None) == {
        "project": "p"
    }
    spec: Any = bundle_spec(
        "p",
        rls={"template": "user_owns_rows", "tables": [{"table": "t"}], "i_understand_this_is_unrestricted": True},
        functions=iter(
            [
                {"name": "a", "code": "x", "config": {"timeout": 1, "memory": "2"}, "schedule": None},
                {"name": "b", "code": "y", "config": {}},
                {"name": "c", "code": "z", "config": None},
            ]
        ),
        files=[{"file": "x", "data": FileSource("y")}],  # type: ignore[list-item]
    )
    assert spec["database"]["expose"]["tables"] == [{"name": "t", "expose": True, "policy": "user_owns_rows"}]
    assert spec["functions"]["replace"] == {
        "a": {"runtime": "node22", "source": "x", "config": {"timeoutSeconds": 1}, "schedule": None},
        "b": {"runtime": "node22", "source": "y", "config": {}},
        "c": {"runtime": "node22", "source": "z"},
    }
    assert spec["site"]["replace"] == {"x": FileSource("y")}


@pytest.mark.parametrize(
    ("options", "resource", "doing"),
    [
        ({"rls": "x"}, "rls", "translating"),
        ({"rls": {"template": "user_owns_rows"}}, "rls", "translating"),
        ({"rls": {"template": "other", "tables": []}}, "rls", "translating"),
        ({"rls": {"template": "user_owns_rows", "tables": [], "x": 1}}, "rls.x", "translating"),
        ({"rls": {"template": "user_owns_rows", "tables": ["t"]}}, "rls.tables[0]", "translating"),
        ({"rls": {"template": "user_owns_rows", "tables": [{"tabel": "t"}]}}, "rls.tables[0].tabel", "translating"),
        ({"rls": {"template": "user_owns_rows", "tables": [{}]}}, "rls.tables[0].table", "translating"),
        ({"migrations": 5}, "migrations", "translating"),
        ({"migrations": "\ud800"}, "migrations", "translating"),
        ({"functions": "x"}, "functions", "translating"),
        ({"functions": {"a": 1}}, "functions", "translating"),
        ({"functions": 5}, "functions", "translating"),
        ({"functions": [5]}, "functions[0]", "translating"),
        ({"functions": [{"name": "a"}]}, "functions[0].code", "translating"),
        ({"functions": [{"code": "a"}]}, "functions[0].name", "translating"),
        ({"functions": [{"name": "a", "code": "x", "deps": []}]}, "functions[0].deps", "translating"),
        ({"functions": [{"name": "a", "code": "x", "config": 1}]}, "functions[0].config", "translating"),
        ({"functions": [{"name": "a", "code": "x", "config": {"mem": 1}}]}, "functions[0].config.mem", "translating"),
        ({"files": [{"data": "x"}]}, "files[0].file", "translating"),
        ({"files": [{"file": "x"}]}, "files[0].data", "translating"),
        ({"files": [{"file": "x", "data": "x", "encoding": "hex"}]}, "files[0].encoding", "translating"),
        ({"files": [{"file": "x", "data": "?", "encoding": "base64"}]}, "files[0].data", "translating"),
        ({"files": [{"path": "x"}]}, "files[0].path", "translating"),
        ({"subdomain": 5}, "subdomain", "translating"),
        ({"secrets": [{"key": "a", "value": "x"}]}, "secrets", "validating"),
        ({"secrets": [{"key": "A", "value": 1}]}, "secrets.A", "validating"),
        ({"secrets": [{"key": "A", "value": "ü" * 2049}]}, "secrets.A", "validating"),
        ({"secrets": [{"key": "A", "value": "1"}, {"key": "A", "value": "2"}]}, "secrets.A", "validating"),
        ({"secrets": [{"key": "A", "value": "1", "x": 1}]}, "secrets.A.x", "validating"),
        ({"secrets": {"A": "1"}}, "secrets", "validating"),
        ({"secrets": [{"key": "A", "value": "1"}], "rls": 5}, "rls", "translating"),
    ],
)
def test_refusals(options: dict[str, Any], resource: str, doing: str) -> None:
    with pytest.raises(DeployError) as caught:
        bundle_spec("p", **options)
    error = caught.value
    assert (error.code, error.phase, error.resource) == ("INVALID_SPEC", "validate", resource)
    assert error.fix == {"action": "set_field", "path": resource}
    assert error.doing == (
        "translating bundle to release spec" if doing == "translating" else "validating bundle deploy secrets"
    )


def test_values_of_secrets_are_not_shown() -> None:
    ((_, value),) = bundle_secrets([{"key": "A", "value": "EXAMPLE"}])
    assert isinstance(value, Secret)
    assert "EXAMPLE" not in repr(value)


def test_base64_in_all_its_forms() -> None:
    for text in ("+/8=", "-_8", "+/8", " +/\n8="):
        assert decoded(text, "x") == b"\xfb\xff"
    assert decoded("", "x") == b""
    for text in ("+/8*", "+/8é", "a"):
        with pytest.raises(DeployError, match="is no base64"):
            decoded(text, "x")
