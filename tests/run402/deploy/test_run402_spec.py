"""Release specs: the platform's checks in their order, ours beyond them, and the form that is planned."""

from __future__ import annotations

import inspect
import json
import random
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tollkit_api.shapes
from tollkit.run402.deploy import spec as specs
from tollkit.run402.deploy.content_types import content_type_of
from tollkit.run402.deploy.errors import DeployError
from tollkit.run402.deploy.spec import Prepared, check_ci, nearest, validate
from tollkit_api.run402.v1_57.models import ContentRef

VECTORS: dict[str, Any] = json.loads(
    Path(__file__).with_name("data").joinpath("release-spec-1.57.0.json").read_text()
)
SHA = "b" * 64


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def bytes_in(value: Any) -> Any:
    if isinstance(value, dict):
        if "$bytes_hex" in value:
            return bytes.fromhex(value["$bytes_hex"])
        return {name: bytes_in(each) for name, each in value.items()}
    return [bytes_in(each) for each in value] if isinstance(value, list) else value


def refusal(spec: object, *, ci: bool = False) -> DeployError:
    with pytest.raises(DeployError) as caught:
        validate(spec, ci=ci)
    error = caught.value
    assert error.phase in ("validate", None)
    assert error.retryable is False
    assert error.kind == "deploy_error"
    return error


@pytest.mark.parametrize("case", VECTORS["plan_bodies"], ids=lambda case: case["name"])
def test_plan_bodies(case: dict[str, Any]) -> None:
    body: dict[str, Any] = {"spec": Prepared(bytes_in(case["spec"])).wire()}
    key = (case["options"] or {}).get("idempotencyKey")
    made = compact({**body, **({"idempotency_key": key} if key else {})})
    assert made == case["request_body_json"]
    assert len(made.encode()) == case["request_body_utf8_bytes"]


@pytest.mark.parametrize("case", VECTORS["deploy_content_types"], ids=lambda case: case["path"])
def test_content_types(case: dict[str, Any]) -> None:
    assert content_type_of(case["path"]) == case["contentType"]


@pytest.mark.parametrize("case", VECTORS["ci_spec_preflight"])
def test_ci_preflight_vectors(case: dict[str, Any]) -> None:
    for check in (check_ci, lambda spec: validate(spec, ci=True)):
        with pytest.raises(DeployError) as caught:
            check(case["input"])
        error, told = caught.value, case["error"]
        assert [error.name, error.kind, error.doing] == [told["class"], told["kind"], told["context"]]
        assert [error.code, error.phase, error.resource, error.retryable] == [
            told[name] for name in ("code", "phase", "resource", "retryable")
        ]


@pytest.mark.parametrize(
    ("spec", "code", "resource", "path"),
    [
        (None, "INVALID_SPEC", "spec", ""),
        ([], "INVALID_SPEC", "spec", ""),
        ({}, "INVALID_SPEC", "spec.project", "project"),
        ({"project": ""}, "INVALID_SPEC", "spec.project", "project"),
        ({"project": 1, "subdomains": {"set": ["a", "b"]}}, "INVALID_SPEC", "spec.project", "project"),
        (
            {"project": "p", "subdomains": {"set": ["a", "b"]}, "secrets": None},
            "SUBDOMAIN_MULTI_NOT_SUPPORTED",
            "subdomains.set",
            "subdomains.set",
        ),
        ({"project": "p", "secrets": None, "x": 1}, "INVALID_SPEC", "secrets", "secrets"),
        ({"project": "p", "secrets": []}, "INVALID_SPEC", "secrets", "secrets"),
        ({"project": "p", "secrets": {"set": {}}}, "INVALID_SPEC", "secrets.set", "secrets.set"),
        (
            {"project": "p", "secrets": {"replace_all": 1}},
            "INVALID_SPEC",
            "secrets.replace_all",
            "secrets.replace_all",
        ),
        ({"project": "p", "secrets": {"requires": []}}, "INVALID_SPEC", "secrets.requires", "secrets.requires"),
        ({"project": "p", "secrets": {"require": None}}, "INVALID_SPEC", "secrets.require", "secrets.require"),
        ({"project": "p", "secrets": {"delete": "A"}}, "INVALID_SPEC", "secrets.delete", "secrets.delete"),
        ({"project": "p", "secrets": {"require": ["a"]}}, "INVALID_SPEC", "secrets.require", "secrets.require"),
        ({"project": "p", "secrets": {"require": [1]}}, "INVALID_SPEC", "secrets.require", "secrets.require"),
        ({"project": "p", "secrets": {"require": ["A\n"]}}, "INVALID_SPEC", "secrets.require", "secrets.require"),
        ({"project": "p", "secrets": {"delete": ["A", "A"]}}, "INVALID_SPEC", "secrets.delete", "secrets.delete"),
        ({"project": "p", "secrets": {"require": ["A"], "delete": ["A"]}}, "INVALID_SPEC", "secrets", "secrets"),
        (
            {"project": "p", "database": {"migrations": [{"sql": "x"}]}},
            "INVALID_SPEC",
            "database.migrations",
            "database.migrations[].id",
        ),
        (
            {"project": "p", "database": {"migrations": [{"id": "m"}]}},
            "INVALID_SPEC",
            "database.migrations.m",
            "database.migrations.m.sql",
        ),
    ],
)
def test_checks_of_the_platform(spec: object, code: str, resource: str, path: str) -> None:
    error = refusal(spec)
    assert (error.code, error.resource, error.fix) == (code, resource, {"action": "set_field", "path": path})
    assert error.doing == "validating spec"
    assert error.phase == "validate"


def test_the_usual_checks_come_before_those_of_ci() -> None:
    assert refusal({"project": "p", "secrets": {"set": {}}}, ci=True).code == "INVALID_SPEC"
    assert refusal({"project": "p", "secrets": {}}, ci=True).code == "forbidden_spec_field"
    assert refusal({"project": "p", "sitee": {}}, ci=True).code == "forbidden_spec_field"
    assert refusal({"project": "p", "site": {"x": 1}}, ci=True).code == "INVALID_SPEC"


@pytest.mark.parametrize(
    ("spec", "resource"),
    [
        ({"manifest_ref": {}}, "manifest_ref"),
        ({"spec": 1}, "spec"),
        ([], "spec"),
        ({"project": "p", "database": {}, "routes": None, "checks": []}, "routes"),
        ({"spec": {"subdomains": {}}}, "subdomains"),
        ({"project": "p", "spec": {}}, "spec"),
        ({"base": None}, "base"),
        ({"base": {"release": "empty"}}, "base"),
        ({"base": {"release_id": "r"}}, "base"),
    ],
)
def test_what_ci_may_not_deploy(spec: object, resource: str) -> None:
    with pytest.raises(DeployError) as caught:
        check_ci(spec)
    assert (caught.value.code, caught.value.resource) == ("forbidden_spec_field", resource)


def test_what_ci_may_deploy() -> None:
    check_ci({"manifest_ref": None, "spec": {"site": {}}})
    check_ci({"project": "p", "base": {"release": "current"}, "database": {}, "functions": {}, "site": {}})
    validate({"project": "p", "site": {"replace": {"a": "b"}}}, ci=True)


@pytest.mark.parametrize(
    ("part", "where", "near"),
    [
        ({"sites": {}}, "sites", "site"),
        ({"domains": {}}, "domains", "subdomains"),
        ({"zzz": 1}, "zzz", None),
        ({"idempotency_key": "k"}, "idempotency_key", None),
        ({"base": {"relase": "current"}}, "base.relase", "release"),
        ({"database": {"migration": []}}, "database.migration", "migrations"),
        ({"database": {"migrations": [{"id": "1", "sql": "x", "Transaction": "none"}]}},
         "database.migrations.1.Transaction", "transaction"),
        ({"functions": {"api": {"source": "x"}}}, "functions.api", None),
        ({"functions": {"replace": {"api": {"sources": "x"}}}}, "functions.replace.api.sources", "source"),
        ({"functions": {"replace": {"api": {"config": {"timeout_seconds": 3}}}}},
         "functions.replace.api.config.timeout_seconds", "timeoutSeconds"),
        ({"functions": {"patch": {"sett": {}}}}, "functions.patch.sett", "set"),
        ({"site": {"replaces": {}}}, "site.replaces", "replace"),
        ({"site": {"patch": {"puts": {}}}}, "site.patch.puts", "put"),
        ({"subdomains": {"adds": []}}, "subdomains.adds", "add"),
        ({"checks": [{"name": "x", "htpp": {}}]}, "checks[0].htpp", "http"),
        ({"checks": [{"name": "x", "http": {"path": "/", "expects": {}}}]}, "checks[0].http.expects", "expect"),
        ({"routes": {"/x": {"functoin": "x"}}}, "routes./x.functoin", "function"),
        ({"database": {"expose": {"version": "1", "table": []}}}, "database.expose.table", "tables"),
        ({"database": {"expose": {"version": "1", "tables": [{"name": "t", "ownercolumn": "u"}]}}},
         "database.expose.tables[0].ownercolumn", "owner_column"),
    ],
)  # fmt: skip
def test_unknown_members(part: dict[str, Any], where: str, near: str | None) -> None:
    error = refusal({"project": "p", **part})
    assert (error.code, error.resource) == ("INVALID_SPEC", where)
    assert error.fix is not None
    assert error.fix["path"] == where
    assert error.fix.get("name") == near
    assert error.fix["action"] == ("rename_field" if near else "remove_field")
    assert error.hint is not None
    assert near is None or near in error.hint


def test_a_slip_explains_what_is_lacking() -> None:
    assert refusal({"project_id": "p"}).hint == "project_id is unknown: did you mean project?"
    assert refusal({"project": "p", "database": {"migrations": [{"id": "m", "sq": "x"}]}}).hint is not None
    assert nearest("zero-downtime", ["zero_downtime"]) == "zero_downtime"


def test_what_the_platform_leaves_open_is_passed_on() -> None:
    spec = {
        "project": "p",
        "routes": {"/a": {"function": "f", "weight": [1, 2.5, None, True]}, "/b": "anything"},
        "database": {"expose": {"version": "1", "tables": [{"name": "t", "expose": True, "later": ""}], "zzz": {}}},
        "checks": [
            {"name": "c", "http": {"method": "GET", "path": "/", "expect": {"status": 200}}},
            {"http": {"path": "/"}, "name": "e"},
            {"name": "d"},
        ],
    }
    assert Prepared(spec).wire() == spec


@pytest.mark.parametrize(
    ("part", "where"),
    [
        ({"base": "current"}, "base"),
        ({"base": {}}, "base"),
        ({"base": {"release": "current", "release_id": "r"}}, "base"),
        ({"base": {"release": "currant"}}, "base.release"),
        ({"base": {"release": ["current"]}}, "base.release"),
        ({"base": {"release_id": ""}}, "base.release_id"),
        ({"database": []}, "database"),
        ({"database": {"zero_downtime": 1}}, "database.zero_downtime"),
        ({"database": {"migrations": {}}}, "database.migrations"),
        ({"database": {"migrations": ["x"]}}, "database.migrations[0]"),
        ({"database": {"migrations": [{"id": "m", "sql": 1}]}}, "database.migrations.m.sql"),
        ({"database": {"migrations": [{"id": "m", "sql": "x", "checksum": 1}]}}, "database.migrations.m.checksum"),
        ({"database": {"migrations": [{"id": "m", "sql": "x", "transaction": "no"}]}},
         "database.migrations.m.transaction"),
        ({"database": {"migrations": [{"id": "m", "sql_ref": "x"}]}}, "database.migrations.m.sql_ref"),
        ({"database": {"migrations": [{"id": "m", "sql_ref": {"sha256": "x", "size": 1}}]}},
         "database.migrations.m.sql_ref"),
        ({"database": {"expose": []}}, "database.expose"),
        ({"database": {"expose": {"tables": {}, "zz": 1}}}, "database.expose.tables"),
        ({"database": {"expose": {"tables": ["t"]}}}, "database.expose.tables[0]"),
        ({"functions": {"replace": []}}, "functions.replace"),
        ({"functions": {"replace": {"": {}}}}, "functions.replace"),
        ({"functions": {"replace": {"f": "code"}}}, "functions.replace.f"),
        ({"functions": {"replace": {"f": {"runtime": 22}}}}, "functions.replace.f.runtime"),
        ({"functions": {"replace": {"f": {"schedule": 5}}}}, "functions.replace.f.schedule"),
        ({"functions": {"replace": {"f": {"config": {"memoryMb": "1"}}}}}, "functions.replace.f.config.memoryMb"),
        ({"functions": {"replace": {"f": {"entrypoint": 5}}}}, "functions.replace.f.entrypoint"),
        ({"functions": {"patch": {"delete": ["a", 1]}}}, "functions.patch.delete[1]"),
        ({"site": {"replace": "x"}}, "site.replace"),
        ({"site": {"replace": {}, "patch": {}}}, "site.patch"),
        ({"site": {"patch": {"delete": "x"}}}, "site.patch.delete"),
        ({"site": {"replace": {"\ud800": "x"}}}, "site.replace"),
        ({"subdomains": []}, "subdomains"),
        ({"subdomains": {"add": [None]}}, "subdomains.add[0]"),
        ({"routes": []}, "routes"),
        ({"routes": {"/": {"x": {1, 2}}}}, "routes./.x"),
        ({"routes": {"/": float("nan")}}, "routes"),
        ({"routes": {"/": {1: "x"}}}, "routes./"),
        ({"checks": {}}, "checks"),
        ({"checks": [{}]}, "checks[0].name"),
        ({"checks": [{"name": "x", "http": {}}]}, "checks[0].http.path"),
        ({"checks": [{"name": "x", "http": {"path": "/", "method": 1}}]}, "checks[0].http.method"),
        ({"checks": [{"name": "x", "http": {"path": "/", "expect": {"status": "1"}}}]},
         "checks[0].http.expect.status"),
    ],
)  # fmt: skip
def test_wrong_types(part: dict[str, Any], where: str) -> None:
    error = refusal({"project": "p", **part})
    assert (error.code, error.resource) == ("INVALID_SPEC", where)
    assert where in (error.message + "project")


def test_too_deep_and_circular() -> None:
    circle: dict[str, Any] = {}
    circle["x"] = [circle]
    assert "nested too deeply" in refusal({"project": "p", "routes": {"/": circle}}).message
    wrapped: dict[str, Any] = {}
    wrapped["data"] = wrapped
    assert refusal({"project": "p", "site": {"replace": {"a": wrapped}}}).resource == "a"


def test_nothing_given_is_nothing_sent() -> None:
    nothing = dict.fromkeys(("base", "subdomains", "routes", "checks", "database", "functions", "site"))
    assert Prepared({"project": "p", **nothing}).wire() == {"project": "p"}
    assert Prepared({"project": "p", "site": {}}).wire() == {"project": "p"}
    empty = {
        "project": "p",
        "subdomains": {},
        "routes": {},
        "checks": [],
        "secrets": {},
        "database": {},
        "functions": {},
    }
    assert Prepared(empty).wire() == empty
    assert Prepared({"project": "p", "database": {"migrations": []}}).wire() == {"project": "p", "database": {}}
    assert Prepared({"project": "p", "site": {"patch": {}}}).wire() == {"project": "p", "site": {"patch": {}}}


def test_functions_as_they_go_out() -> None:
    made = Prepared(
        {
            "project": "p",
            "functions": {
                "replace": {},
                "patch": {
                    "set": {
                        "f": {
                            "files": {"a.js": "x", "b": "y"},
                            "schedule": None,
                            "config": {"memoryMb": 1, "timeoutSeconds": None},
                            "entrypoint": "a.js",
                        },
                        "g": {"schedule": "* * * * *", "runtime": "node24", "entrypoint": ""},
                    },
                    "delete": ["h"],
                },
            },
        }
    ).wire()["functions"]
    one = made["patch"]["set"]["f"]
    assert list(made) == ["replace", "patch"]
    assert list(one) == ["runtime", "config", "schedule", "entrypoint", "files"]
    assert (one["runtime"], one["schedule"], one["config"]) == ("node22", None, {"memoryMb": 1})
    assert one["files"]["a.js"]["contentType"] == "text/javascript; charset=utf-8"
    assert one["files"]["b"]["contentType"] == "application/octet-stream"
    assert made["patch"]["set"]["g"] == {"runtime": "node24", "schedule": "* * * * *"}
    assert made["patch"]["delete"] == ["h"]
    assert Prepared({"project": "p", "functions": {"patch": {}}}).wire()["functions"] == {"patch": {}}


def test_refs_as_they_go_out() -> None:
    ref = {"sha256": SHA, "size": 3, "integrity": "sha256-x"}
    prepared = Prepared(
        {
            "project": "p",
            "database": {"migrations": [{"id": "m", "sql": "ignored", "sql_ref": ref, "checksum": "c" * 64}]},
            "site": {
                "patch": {
                    "put": {
                        "a.css": ref,
                        "b": {**ref, "contentType": "x/y"},
                        "c": {**ref, "content_type": "x/z"},
                        "d.css": ContentRef(sha256=SHA, size=3),
                    }
                }
            },
        }
    )
    made = prepared.wire()
    assert made["database"]["migrations"] == [{"id": "m", "checksum": "c" * 64, "sql_ref": ref}]
    put = made["site"]["patch"]["put"]
    assert put["a.css"] == {**ref, "contentType": "text/css; charset=utf-8"}
    assert put["b"] == {"sha256": SHA, "size": 3, "contentType": "x/y", "integrity": "sha256-x"}
    assert put["c"]["contentType"] == "x/z"
    assert put["d.css"] == {"sha256": SHA, "size": 3, "contentType": "text/css; charset=utf-8"}
    assert list(prepared.contents) == [SHA]
    assert not prepared.contents[SHA].available


def test_a_prepared_spec_keeps_what_it_was() -> None:
    spec: Any = {"project": "p", "routes": {"/": {"function": "f"}}, "site": {"replace": {"a": "b"}}}
    prepared = Prepared(spec)
    spec["routes"]["/"]["function"] = "g"
    spec["site"]["replace"]["c"] = "d"
    made = prepared.wire()
    assert made["routes"] == {"/": {"function": "f"}}
    assert list(made["site"]["replace"]) == ["a"]
    made["routes"].clear()
    assert prepared.wire()["routes"]


def test_known_members_are_those_of_the_types() -> None:
    for name, known in specs.KNOWN.items():
        shape = getattr(tollkit_api.shapes, name)
        assert set(shape.__annotations__) == set(known), name
        assert inspect.getdoc(shape) is not None or name == "ExposeManifest"
    hints = get_type_hints(tollkit_api.shapes.ReleaseSpec)
    assert set(hints) >= {"project", "site"}


# -- whatever comes -------------------------------------------------------------------------------------------------

NAMES = sorted({name for names in specs.KNOWN.values() for name in names} | {"data", "contentType", "sha256", "size"})
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None))
    | st.sampled_from(NAMES),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(st.characters(codec=None), max_size=4), inner, max_size=5)
    ),
    max_leaves=20,
)
KEYED = st.fixed_dictionaries(
    {"project": st.just("p")}, optional={name: JSON for name in specs.KNOWN["ReleaseSpec"] if name != "project"}
)


@settings(max_examples=120, deadline=None)
@given(JSON | KEYED, st.booleans())
def test_nothing_but_errors_of_deploys(spec: Any, ci: bool) -> None:
    try:
        made = Prepared(spec, ci=ci).wire()
    except DeployError:
        return
    assert json.loads(compact(made).encode()) == made


SHAPES = Path(__file__).parents[3] / "specs" / "shapes"


@pytest.mark.parametrize("seed", range(300))
def test_damaged_specs(seed: int) -> None:
    chance = random.Random(seed)
    spec: Any = json.loads((SHAPES / "release_spec.json").read_text("utf-8"))["examples"][0]
    at: Any = spec
    for _ in range(chance.randrange(5)):
        inner = [
            each for each in (at.values() if isinstance(at, dict) else at) if isinstance(each, dict | list) and each
        ]
        if not inner:
            break
        at = chance.choice(inner)
    odd = chance.choice([None, 1, "x", [], {}, True, -0.5, b"x", ["x"], {"x": 1}, object()])
    if isinstance(at, dict):
        at[chance.choice([*at, "odd"])] = odd
    else:
        at[chance.randrange(len(at))] = odd
    try:
        Prepared(spec).wire()
    except DeployError as error:
        told = error.resource
    else:
        told = "nothing"
    assert told is not None


def test_the_example_of_the_shape_is_taken() -> None:
    for spec in json.loads((SHAPES / "release_spec.json").read_text("utf-8"))["examples"]:
        assert list(Prepared(spec).wire()) == [name for name in specs.WIRE_ORDER if name in spec]
