"""Manifests: what they become, files beside them, and what is refused."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tollkit_api.shapes
from tollkit.run402.deploy import manifest as manifests
from tollkit.run402.deploy.errors import DeployError
from tollkit.run402.deploy.files import FileSource
from tollkit.run402.deploy.manifest import DeployManifest, load_manifest
from tollkit.run402.deploy.spec import Prepared

VECTORS: dict[str, Any] = json.loads(
    Path(__file__).with_name("data").joinpath("release-spec-1.57.0.json").read_text()
)
CLI = VECTORS["cli_manifest"]
FILES = {name: base64.b64decode(data) for name, data in CLI["base_directory_files_base64"].items()}
UNKNOWN = {
    "full v2 manifest": [
        ("domains",),
        ("database", "other"),
        ("database", "migrations", 0, "note"),
        ("functions", "replace", "api", "deps"),
    ],
    "$schema and unknown top-level keys dropped": [("foo",)],
}
"""Members of the vectors that 1.57 drops and we refuse."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def saved(folder: Path, manifest: object, name: str = "run402.deploy.json") -> Path:
    path = folder / name
    path.write_text(manifest if isinstance(manifest, str) else json.dumps(manifest), "utf-8")
    return path


def read(value: Any) -> Any:
    """A spec as the vectors have it: files are what they hold, and nothing is null but a schedule."""
    if isinstance(value, FileSource):
        content = Path(value.path).read_bytes()
        return content.decode() if content.isascii() else {"bytes": content}
    if isinstance(value, bytes):
        return {"bytes": value}
    if isinstance(value, Mapping):
        if list(value) == ["bytes_base64"]:
            return {"bytes": base64.b64decode(value["bytes_base64"])}
        return {name: read(each) for name, each in value.items() if each is not None or name == "schedule"}
    return [read(each) for each in value] if isinstance(value, list) else value


def refusal(source: Any, **options: Any) -> DeployError:
    with pytest.raises(DeployError) as caught:
        load_manifest(source, **options)
    assert caught.value.phase in ("validate", None)
    return caught.value


def spec_of(manifest: Any, **options: Any) -> dict[str, Any]:
    return dict(load_manifest(manifest, **options).spec)


NOT_AS_1_57 = ("path entries without base directory", "binary file by path without contentType is decoded as UTF-8")
UNKNOWN_ENCODING = "encoding utf-8 explicit; unknown encoding treated as text"


@pytest.mark.parametrize(
    "case", [case for case in CLI["cases"] if case["name"] not in NOT_AS_1_57], ids=lambda case: case["name"]
)
def test_manifests_of_the_platform(case: dict[str, Any], folder: Path) -> None:
    manifest = json.loads(json.dumps(case["manifest"]))
    for path in UNKNOWN.get(case["name"], []):
        error = refusal(manifest, folder=folder)
        assert error.code == "INVALID_SPEC"
        at = manifest
        for step in path[:-1]:
            at = at[step]
        del at[path[-1]]
    expected = case["release_spec"]
    if case["name"] == UNKNOWN_ENCODING:
        assert refusal(manifest).resource == "site.replace.b.encoding"
        del manifest["site"]["replace"]["b"], expected["site"]["replace"]["b"]
    source = saved(folder, manifest) if case["manifest_dir_resolution"] else manifest
    loaded = load_manifest(source)
    assert read(loaded.spec) == read(expected)
    assert loaded.idempotency_key == manifest.get("idempotency_key")


def test_bytes_of_files_stay_as_they_are(folder: Path) -> None:
    (case,) = (case for case in CLI["cases"] if case["name"] == NOT_AS_1_57[1])
    spec = load_manifest(saved(folder, case["manifest"])).spec
    prepared = Prepared(spec)
    (content,) = prepared.contents.values()
    assert b"".join(content.body().open()) == FILES["dist/logo.png"]
    assert content.content_type == "image/png"


def test_paths_need_a_folder(folder: Path) -> None:
    (case,) = (case for case in CLI["cases"] if case["name"] == NOT_AS_1_57[0])
    error = refusal(case["manifest"])
    assert (error.code, error.hint is not None) == ("BAD_USAGE", True)
    assert "no folder" in error.message
    spec = spec_of(case["manifest"], folder=folder)
    assert spec["database"]["migrations"] == [{"id": "1", "sql": FILES["m.sql"].decode()}]


def test_a_whole_manifest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(
        folder,
        {
            "$schema": "https://example.com/x",
            "project": "prj_k",
            "project_id": "prj_k",
            "base": {"release": "current"},
            "database": {
                "migrations": [
                    {"id": "1", "sql_file": "m.sql"},
                    {"id": "2", "sql": "SELECT 2", "sql_path": "m.sql"},
                    {"id": "3", "sql_ref": {"sha256": "b" * 64, "size": 3}},
                ]
            },
            "functions": {
                "patch": {
                    "set": {"f": {"source": {"path": "fn.js", "contentType": "x/y", "data": "z"}}},
                    "delete": [],
                }
            },
            "site": {"patch": {"put": {"i": {"path": "dist/index.html", "content_type": "x/z"}}}},
            "routes": {"/": {"function": "f"}},
            "idempotencyKey": "k",
        },
    )
    monkeypatch.chdir("/")
    loaded = load_manifest(os.fspath(path))
    assert loaded.idempotency_key == "k"
    made = Prepared(loaded.spec).wire()
    assert [each["id"] for each in made["database"]["migrations"]] == ["1", "2", "3"]
    assert made["site"]["patch"]["put"]["i"]["contentType"] == "x/z"
    source = made["functions"]["patch"]["set"]["f"]["source"]
    assert (source["contentType"], source["size"]) == ("x/y", len(FILES["fn.js"]))


def test_projects(folder: Path) -> None:
    site = {"site": {"replace": {"a": "1"}}}
    assert "project" not in spec_of(site)
    assert spec_of(site, project="p")["project"] == "p"
    assert spec_of({**site, "project_id": "p"}, project="p")["project"] == "p"
    assert spec_of({**site, "project": "p", "project_id": None})["project"] == "p"
    error = refusal({**site, "project": "p"}, project="q")
    assert (error.code, error.details) == (
        "BAD_USAGE",
        {"field": "project_id", "spec_project_id": "p", "flag_project_id": "q"},
    )
    assert refusal({**site, "project": "p", "project_id": "q"}).code == "BAD_USAGE"
    assert refusal({**site, "project": 5}).resource == "project_id"
    assert refusal({**site, "idempotency_key": "a", "idempotencyKey": "b"}).resource == "idempotency_key"


def test_secrets_are_no_part_of_manifests(folder: Path) -> None:
    site = {"site": {"replace": {"a": "1"}}, "zzz": 1}
    for secrets, field, more in (
        ([{"key": "A", "value": "EXAMPLE"}], "secrets", {"legacy_shape": "array"}),
        ({"set": {"A": "EXAMPLE"}}, "secrets.set", {}),
        ({"replace_all": None}, "secrets.replace_all", {}),
    ):
        error = refusal({**site, "secrets": secrets})
        assert (error.code, error.resource) == ("UNSAFE_SECRET_MANIFEST", field)
        assert error.details == {"field": field, "source": "spec", **more}
        assert "EXAMPLE" not in str(error.to_dict())
    path = saved(folder, {"secrets": {"set": {}}})
    assert refusal(path).details == {"field": "secrets.set", "source": "manifest", "path": os.fspath(path)}
    assert spec_of({"secrets": {"require": ["A"]}})["secrets"] == {"require": ["A"]}


@pytest.mark.parametrize(
    "manifest",
    [
        [],
        None,
        5,
        {},
        {"project_id": "p", "name": "x"},
        {"site": {"replace": {}}},
        {"secrets": []},
        {"site": {"a": [""]}},
    ],
)
def test_manifests_with_nothing_in_them(manifest: Any) -> None:
    if manifest != {"site": {"a": [""]}}:
        error = refusal(manifest)
        assert (error.code, error.resource) == ("MANIFEST_EMPTY", "manifest")
        assert error.details["meaningful_keys"] == list(manifests.SECTIONS)
    else:
        assert refusal(manifest).resource == "site.a"


def test_what_counts_as_content() -> None:
    assert refusal({"sites": {"replace": {"a": "1"}}}).hint == "sites is unknown: did you mean site?"
    assert spec_of({"routes": {"/": {"function": "f"}}})["routes"]
    assert spec_of({"checks": [{"name": "c"}]})["checks"]
    assert spec_of({"database": {"zero_downtime": False}})["database"] == {"zero_downtime": False}


@pytest.mark.parametrize(
    ("text", "told", "details"),
    [
        ("{\n  x", "line 2, column 3", {"line": 2, "column": 3}),
        ("", "line 1", {"line": 1, "column": 1}),
        ('{"site": {}, "site": {}}', "'site' stands in an object twice", {}),
        ('{"a": NaN}', "NaN is no number", {}),
        ("[" * 100_000, "nested too deeply", {}),
    ],
)
def test_broken_json(text: str, told: str, details: dict[str, int], folder: Path) -> None:
    path = saved(folder, text)
    error = refusal(path)
    assert error.code == "BAD_USAGE"
    assert told in error.message
    assert error.details["path"] == os.fspath(path)
    assert error.details["source"] == "manifest"
    assert error.details.items() >= details.items()


def test_files_that_are_no_manifest(folder: Path) -> None:
    path = folder / "bad.json"
    path.write_bytes(b'{\n"a": "\xff"}')
    assert refusal(path).details["line"] == 2
    path.write_bytes(b"\xef\xbb\xbf" + b'{"checks": [{"name": "c"}]}')
    assert load_manifest(path) == DeployManifest({"checks": [{"name": "c"}]})  # type: ignore[typeddict-item]
    os.mkfifo(folder / "pipe")
    for bad in (folder / "none.json", folder, folder / "pipe", "nul\0"):
        error = refusal(bad)
        assert error.code == "BAD_USAGE"
        assert error.details["flag"] == "manifest"


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"path": "../outside.txt"}, "outside"),
        ({"path": "leaves"}, "outside"),
        ({"path": "none"}, "cannot be read"),
        ({"path": "dist"}, "is no file"),
        ({"path": "a\0b"}, "cannot be read"),
        ({"path": ""}, "has to be the path of a file"),
    ],
)
def test_places_of_files(entry: dict[str, str], told: str, folder: Path) -> None:
    within = folder / "inner"
    within.mkdir()
    (folder / "outside.txt").write_text("x")
    (within / "leaves").symlink_to("../outside.txt")
    (within / "dist").mkdir()
    error = refusal(saved(within, {"site": {"replace": {"i": entry, "j": "x"}}}))
    assert (error.code, error.resource) == ("BAD_USAGE", "site.replace.i")
    assert told in error.message
    error = refusal(saved(within, {"database": {"migrations": [{"id": "m", "sql_path": entry["path"] or 5}]}}))
    assert error.code in ("BAD_USAGE", "INVALID_SPEC")
    assert error.resource == "database.migrations[0].sql_path"


def test_files_may_lie_where_the_caller_says(folder: Path) -> None:
    within = folder / "inner"
    within.mkdir()
    path = saved(
        within,
        {"site": {"replace": {"i": {"path": "../dist/index.html"}, "j": {"path": os.fspath(folder / "fn.js")}}}},
    )
    spec = spec_of(path, root=folder)
    assert read(spec)["site"]["replace"] == {"i": "<h1>hi</h1>", "j": "export default 1"}
    assert spec_of(path, root=folder, folder=within) == spec


def test_files_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "permission denied" in refusal(saved(folder, {"site": {"replace": {"i": {"path": "fn.js"}}}})).message
    monkeypatch.undo()
    (folder / "bad.sql").write_bytes(b"SELECT '\xff'")
    error = refusal(saved(folder, {"database": {"migrations": [{"id": "m", "sql_path": "bad.sql"}]}}))
    assert error.details == {"field": "database.migrations[0].sql_path", "migration_id": "m", "sql_path": "bad.sql"}


@pytest.mark.parametrize(
    ("part", "resource"),
    [
        ({"site": {"replace": {"a": {}, "b": "x"}}}, "site.replace.a"),
        ({"site": {"replace": {"a": {"path": 5}}}}, "site.replace.a"),
        ({"site": {"replace": {"a": {"data": 5}}}}, "site.replace.a"),
        ({"site": {"replace": {"a": {"data": "x", "mode": 1}}}}, "site.replace.a.mode"),
        ({"site": {"replace": {"a": {"data": "*", "encoding": "base64"}}}}, "site.replace.a.data"),
        ({"site": {"replace": {"a": 5}}}, "a"),
        ({"site": {"replace": "x"}}, "site.replace"),
        ({"site": "x"}, "site"),
        ({"site": {"replace": {"a": "1"}, "patch": {"delete": ["b"]}}}, "site.patch"),
        ({"site": {"patch": "x"}}, "site.patch"),
        ({"functions": {"replace": {"f": "x"}}}, "functions.replace.f"),
        ({"functions": {"replace": {"f": {"source": {"data": 1}}}}}, "functions.replace.f.source"),
        ({"functions": {"patch": "x"}}, "functions.patch"),
        ({"functions": {"patch": {"set": "x"}}}, "functions.patch.set"),
        ({"database": {"migrations": "x"}}, "database.migrations"),
        ({"database": {"migrations": ["x"]}}, "database.migrations[0]"),
        ({"database": {"migrations": [{"id": "m", "sql_paht": "x"}]}}, "database.migrations[0].sql_paht"),
        ({"database": {"migrations": [{"id": "m", "sql_path": "a", "sql_file": "b"}]}},
         "database.migrations[0].sql_path"),
        ({"database": {"migrations": [{"sql": "x"}]}}, "database.migrations"),
        ({"site": {"replace": {"a": "1"}}, "domain": "x"}, "domain"),
        ({"files": [{"file": "a", "data": "x"}], "site": {}}, "site"),
        ({"files": [{"file": "a", "data": "x"}], "checks": []}, "checks"),
        ({"files": "x"}, "files"),
        ({"files": [5]}, "files[0]"),
        ({"files": [{"path": "x", "contentType": "y"}]}, "files[0].contentType"),
        ({"files": [{"file": "a"}]}, "files[0].data"),
        ({"migrations": 5}, "migrations"),
        ({"migrations_file": 5}, "migrations_file"),
        ({"files": [{"file": "a", "data": "x"}], "secrets": {"requires": ["A"]}}, "secrets.requires"),
    ],
)  # fmt: skip
def test_refusals(part: dict[str, Any], resource: str) -> None:
    assert refusal(part).resource == resource


def test_bundles(folder: Path) -> None:
    path = saved(
        folder,
        {
            "project_id": "prj_k",
            "name": "mine",
            "migrations": "SELECT 1",
            "migrations_file": "m.sql",
            "rls": {"template": "user_owns_rows", "tables": [{"table": "t", "owner_column": "u"}]},
            "secrets": {"require": ["A"]},
            "functions": [{"name": "f", "code": "x"}],
            "files": [
                {"file": "a.html", "data": "a", "path": "ignored"},
                {"path": "dist/logo.png"},
                {"file": "b.png", "data": "AAE=", "encoding": "base64"},
                {"file": "c.html", "path": "dist/index.html"},
            ],
            "subdomain": "s",
            "inherit": True,
        },
    )
    spec = spec_of(path)
    assert list(spec) == ["project", "database", "functions", "site", "subdomains", "secrets"]
    assert spec["database"]["migrations"][0]["sql"] == FILES["m.sql"].decode()
    assert list(spec["site"]["replace"]) == ["a.html", "dist/logo.png", "b.png", "c.html"]
    assert read(spec["site"]["replace"]["dist/logo.png"]) == {"bytes": FILES["dist/logo.png"]}
    assert spec["secrets"] == {"require": ["A"]}
    assert Prepared(spec).wire()["subdomains"] == {"set": ["s"]}
    assert spec_of({"functions": [{"name": "f", "code": "x"}]}) == {
        "functions": {"replace": {"f": {"runtime": "node22", "source": "x"}}}
    }
    assert spec_of({"files": [{"file": "a", "data": "x"}], "secrets": []}, project="p")["project"] == "p"


def test_known_members_are_those_of_the_types() -> None:
    assert set(manifests.TOP) == set(tollkit_api.shapes.ReleaseManifest.__annotations__)
    assert set(manifests.MIGRATION) == set(tollkit_api.shapes.ManifestMigration.__annotations__)
    ref = {"sha256", "size", "integrity"}
    assert {*manifests.FILE} == set(tollkit_api.shapes.ManifestFile.__annotations__) - ref | {"content_type"}


def test_the_example_of_the_shape_is_taken(folder: Path) -> None:
    shapes = Path(__file__).parents[3] / "specs" / "shapes"
    for manifest in json.loads((shapes / "release_manifest.json").read_text("utf-8"))["examples"]:
        Prepared(load_manifest(saved(folder, manifest)).spec).wire()


NAMES = sorted(
    {*manifests.TOP, *manifests.BUNDLE_TOP, *manifests.FILE, *manifests.MIGRATION, "replace", "patch", "put"}
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(st.characters(codec=None)) | st.sampled_from(NAMES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=150, deadline=None)
@given(JSON | st.dictionaries(st.sampled_from(NAMES), JSON, min_size=1, max_size=3), st.booleans())
def test_nothing_but_errors_of_deploys(manifest: Any, with_folder: bool) -> None:
    folder = Path(__file__).parent if with_folder else None
    try:
        load_manifest(manifest if isinstance(manifest, dict) else {"site": manifest}, folder=folder)
    except DeployError:
        return
