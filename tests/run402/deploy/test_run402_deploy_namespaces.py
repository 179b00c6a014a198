"""The methods around deploys: folders, bundles, a project's client, sessions of CI."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from support.run402 import API_BASE, Side
from support.run402_deploys import Kit
from support.scripted_http import Reply, Script, Sent
from tollkit.run402.ci.credentials import CiSessionCredentials
from tollkit.run402.deploy.errors import DeployError
from tollkit.run402.deploy.files import FilesLeftOutWarning
from tollkit.run402.errors import LocalError, ProjectNotFound

VECTORS = json.loads((Path(__file__).parent / "data" / "engine-1.57.0.json").read_text("utf-8"))
BUNDLES = {case["name"]: case for case in VECTORS["bundle_translation"]}
SITE = {"index.html": b"<h1>Hello</h1>"}


# ---------------------------------------------------------------- folders


def test_a_folder_becomes_a_site(kit: Kit, tmp_path: Path) -> None:
    (tmp_path / "css").mkdir()
    (tmp_path / "index.html").write_bytes(b"<h1>Hi</h1>")
    (tmp_path / "css" / "a.css").write_bytes(b"body{}")
    (tmp_path / "b.css").write_bytes(b"body{}")
    (tmp_path / "notes.md").write_bytes(b"no")
    (tmp_path / ".env").write_bytes(b"KEY=1")
    with pytest.warns(FilesLeftOutWarning):
        result = kit.do("sites.deploy_dir", kit.project.id, tmp_path, ignore=["notes.md"], idempotency_key="k")
    assert kit.live() == {"index.html": b"<h1>Hi</h1>", "css/a.css": b"body{}", "b.css": b"body{}"}
    assert (result.bytes_total, result.bytes_uploaded) == (17, 17)
    assert result.deployment_id == result.release_id == kit.deploys.active_release(kit.project.id).id
    assert result.url.startswith("http")
    assert {each.path for each in result.left_out} == {".env", "notes.md"}
    (tmp_path / "b.css").write_bytes(b"p{}")
    with pytest.warns(FilesLeftOutWarning):
        result = kit.do("sites.deploy_dir", kit.project.id, str(tmp_path), on_event=kit.told.append)
    assert (result.bytes_total, result.bytes_uploaded) == (22, 5)
    assert kit.events()[0]["type"] == "plan.started"
    with pytest.raises(LocalError):
        kit.do("sites.deploy_dir", kit.project.id, tmp_path / "none")
    project = kit.side.do(kit.client.project(kit.project.id)) if kit.side.name == "async" else kit.client.project(
        kit.project.id
    )  # fmt: skip
    with pytest.warns(FilesLeftOutWarning):
        kit.do("sites.deploy_dir", tmp_path, client=project)


# ---------------------------------------------------------------- bundles


@pytest.mark.parametrize("name", BUNDLES)
def test_bundles_are_translated_as_recorded(side: Side, name: str) -> None:
    case = BUNDLES[name]
    options = {key: value for key, value in case["options"].items() if key != "inherit"}  # it means nothing
    urls = {"site": "https://s", "deployment_id": "dpl", "subdomain": "https://sub",
            "functions": json.dumps(case["result"]["functions"])}  # fmt: skip

    def answer(sent: Sent) -> Reply:
        if sent.url.endswith("/deploy/v2/plans"):
            return Reply.json({"plan_id": "p", "operation_id": "op_1", "manifest_digest": "", "base_release_id": None,
                               "missing_content": [], "diff": {}, "warnings": []})  # fmt: skip
        if sent.url.endswith("/secrets"):
            return Reply.json({"status": "set", "key": "API_KEY"})
        return Reply.json({"operation_id": "op_1", "status": "ready", "release_id": "rel_1", "urls": urls})

    play = side.play(Script(answer))
    result = play.do("apps.bundle_deploy", "prj_k", **options)
    told = {field: getattr(result, field) for field in case["result"]}
    assert told == case["result"]
    assert (result.release_id, result.operation_id, result.warnings) == ("rel_1", "op_1", ())
    sent = [(one.method, one.url.removeprefix(API_BASE), one.text) for one in play.script.sent]
    recorded = [(call["method"], call["url"], call["body"]) for call in case["calls"]]
    if "secrets" in options:  # the wire form of secrets.set differs (docs/departures.md)
        recorded[0] = ("POST", "/projects/v1/admin/prj_k/secrets", '{"key":"API_KEY","value":"sk"}')
    assert sent == recorded


def test_a_bundle_on_a_platform_of_today(kit: Kit) -> None:
    project = kit.project.id
    result = kit.do(
        "apps.bundle_deploy",
        project,
        migrations="CREATE TABLE notes (id int)",
        secrets=iter([{"key": "API_KEY", "value": "sk"}]),
        functions=[{"name": "hello", "code": "export default 1"}],
        files=[{"file": "index.html", "data": "hi"}],
        subdomain="shop-1",
    )
    assert kit.live() == {"index.html": b"hi"}
    assert kit.deploys.migration_runs(project) == 1
    assert (result.site_url, result.deployment_id, result.functions) == (None, None, None)
    assert result.urls
    kit.do("apps.bundle_deploy", project, migrations="CREATE TABLE notes (id int)")
    assert kit.deploys.migration_runs(project) == 1


def test_a_bundle_is_checked_before_anything_is_sent(kit: Kit) -> None:
    before = len(kit.server.requests)
    error = kit.raises(ProjectNotFound, "apps.bundle_deploy", "prj_other")
    assert error.doing == "deploying bundle"
    for options in ({"rls": {"tables": 1}}, {"secrets": [{"key": "a", "value": "b"}]}):
        error = kit.raises(DeployError, "apps.bundle_deploy", kit.project.id, **options)
        assert (error.code, error.phase) == ("INVALID_SPEC", "validate")
    assert len(kit.server.requests) == before


# ---------------------------------------------------------------- one project


def test_a_projects_client(kit: Kit) -> None:
    project: Any = kit.client.project(kit.project.id)
    project = kit.side.do(project)
    spec = {"site": {"replace": SITE}}
    result = kit.do("deploy.apply", spec, client=project)
    assert kit.live() == SITE
    assert "project" not in spec
    operation = kit.do("deploy.start", spec, client=project)
    kit.side.do(operation.result())
    assert kit.do("deploy.status", operation.id, client=project).status == "ready"
    assert kit.do("deploy.get_active_release", client=project).project_id == kit.project.id
    assert kit.do("deploy.get_release", result.release_id, client=project).release_id == result.release_id
    assert kit.do("deploy.diff", from_="empty", to="active", client=project).site.added
    assert len(kit.do("deploy.list", client=project).operations) == 2
    assert kit.do("deploy.events", operation.id, client=project)[-1].type == "ready"
    planned = kit.do("deploy.plan", {**spec, "project": kit.project.id}, client=project)
    kit.do("deploy.upload", planned, client=project)
    assert kit.do("deploy.commit", planned.plan_id, client=project).operation_id == planned.operation_id
    kit.deploys.hold("staging")
    held = kit.do("deploy.plan", spec, client=project)
    kit.raises(DeployError, "deploy.commit", held.plan_id, timeout=0.5)
    assert kit.do("deploy.resume", held.operation_id, client=project).operation_id == held.operation_id


def test_a_spec_that_names_another_project_wins(kit: Kit) -> None:
    other = kit.sandbox.seed_project()
    project = kit.side.do(kit.client.project(other.id))
    kit.do("deploy.apply", kit.spec(SITE), client=project)
    assert kit.live() == SITE
    error = kit.raises(DeployError, "deploy.apply", None)
    assert error.code == "INVALID_SPEC"
    with pytest.raises(DeployError, match="spec"):
        kit.do("deploy.plan", 7, client=project)


# ---------------------------------------------------------------- sessions of CI


def test_a_session_of_ci_needs_no_keys(side: Side) -> None:
    import hashlib

    sha256 = hashlib.sha256(b"hi").hexdigest()

    def answer(sent: Sent) -> Reply:
        assert sent.url.startswith("https://s3.") or sent.headers["authorization"] == "Bearer token"
        assert "apikey" not in sent.headers
        path = sent.url.removeprefix(API_BASE)
        if sent.method == "PUT":
            return Reply(200)
        if path == "/content/v1/plans":
            part = {"part_number": 1, "url": "https://s3.example/1", "byte_start": 0, "byte_end": 1}
            missing = [{"sha256": sha256, "mode": "single", "parts": [part], "upload_id": "u"}]
            return Reply.json({"plan_id": "c", "missing": missing})
        if path == "/deploy/v2/plans":
            return Reply.json({"plan_id": "p", "operation_id": "op_1", "manifest_digest": "", "base_release_id": None,
                               "missing_content": [{"sha256": sha256, "size": 2, "present": False}]})  # fmt: skip
        if sent.method == "GET":
            return Reply.json({"operation_id": "op_1", "status": "ready", "release_id": "rel_1", "urls": {}})
        return Reply.json({"status": "running", "operation_id": "op_1"})

    credentials = CiSessionCredentials(project_id="prj_k", access_token="token")
    play = side.play(Script(answer), credentials=credentials)
    play.do("deploy.apply", {"project": "prj_k", "site": {"replace": {"a": "hi"}}})
    sent = [(one.method, one.url.removeprefix(API_BASE)) for one in play.script.sent]
    assert sent == [
        ("POST", "/deploy/v2/plans"),
        ("POST", "/content/v1/plans"),
        ("PUT", "https://s3.example/1"),
        ("POST", "/content/v1/plans/c/commit"),
        ("POST", "/deploy/v2/plans/p/commit"),
        ("GET", "/deploy/v2/operations/op_1"),
    ]
    body: Mapping[str, Any] = json.loads(play.script.sent[1].text)
    assert body["project_id"] == "prj_k"
    play.do("deploy.status", "op_1", project_id="prj_other")
    play.do("deploy.events", "op_1", project_id="prj_k")


def test_a_session_of_ci_may_not_ship_a_large_spec(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    from tollkit.run402.deploy import engine

    monkeypatch.setattr(engine, "INLINE_LIMIT", 10)
    play = side.play([], credentials=CiSessionCredentials(project_id="prj_k", access_token="token"))
    error = play.raises(DeployError, "deploy.apply", {"project": "prj_k", "site": {"replace": {"a": "hi"}}})
    assert (error.code, error.resource, error.phase) == ("forbidden_spec_field", "manifest_ref", "validate")
    error = play.raises(DeployError, "deploy.apply", {"project": "prj_k", "subdomains": {"set": ["a"]}})
    assert (error.code, error.resource) == ("forbidden_spec_field", "subdomains")
