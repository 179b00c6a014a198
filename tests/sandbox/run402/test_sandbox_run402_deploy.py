"""Deploys of the sandboxed Run402: content, plans, phases, releases, and the levers on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from run402_caller import OTHER, SIGNER, Caller
from run402_deploys import Deployer, checksum, ok, ref, sha256

from tollkit.sandbox import Run402Sandbox, Sandbox
from tollkit_api.run402.v1_57.api.deploy import deploy_commit, deploy_plan, deploy_status

PAGE = b"<h1>Hello</h1>"


@pytest.fixture
def at(caller: Caller) -> Deployer:
    return Deployer(caller)


# ---------------------------------------------------------------- a whole deploy


def test_a_deploy_ships_everything(at: Deployer, run402_sandbox: Run402Sandbox) -> None:
    project = at.project.id
    run402_sandbox.groups.secrets.put(project, "API_KEY", "k")
    spec = at.spec(
        {"index.html": PAGE, "css/site.css": b"body{}"},
        subdomains={"set": ["shop-1"]},
        secrets={"require": ["API_KEY"]},
        database={
            "migrations": [at.migration("001", "CREATE TABLE notes (id int primary key, body text)")],
            "expose": {
                "version": "1",
                "tables": [{"name": "notes", "expose": True, "policy": "public_read_authenticated_write"}],
            },
        },
        functions={"replace": {"hello": {"runtime": "node22", "source": at.ref(b"export default () => 1")}}},
    )
    plan = ok(at.plan(spec))
    assert [one["present"] for one in plan["missing_content"]] == [False] * 4
    assert plan["base_release_id"] is None
    assert plan["warnings"] == []
    assert plan["diff"]["migrations"]["new"][0]["id"] == "001"
    assert {one["path"] for one in plan["diff"]["site"]["added"]} == {"index.html", "css/site.css"}
    assert at.status(plan["operation_id"])["status"] == "uploading"
    at.upload(plan)
    assert ok(at.commit(plan))["status"] == "running"
    seen = []
    while not seen or seen[-1] != "ready":
        told = at.status(plan["operation_id"])
        seen.append(told["status"])
    assert seen == ["staging", "gating", "migrating", "schema_settling", "activating", "ready"]
    assert told["release_id"] == told["target_release_id"]
    assert at.deploys.site(project) == {"index.html": PAGE, "css/site.css": b"body{}"}
    assert run402_sandbox.groups.functions.names(project) == ["hello"]
    assert run402_sandbox.groups.names.deployment_of("shop-1") == (project, told["release_id"])
    assert at.deploys.migration_runs(project) == 1
    run402_sandbox.groups.data.run(project, "INSERT INTO notes VALUES (1, 'a')")
    assert run402_sandbox.project(project).site_url == told["urls"]["project"]
    events = ok(at.read("GET", f"/deploy/v2/operations/{plan['operation_id']}/events"))["events"]
    assert [one["phase"] for one in events if one.get("status") == "started"] == [
        "stage", "migrate-gate", "migrate", "schema-settle", "activate",
    ]  # fmt: skip
    assert events[-1] == {"type": "ready", "releaseId": told["release_id"], "urls": told["urls"]}
    assert {"type": "log", "resource": "migration:001", "stream": "stdout", "line": "applied"} in events


def test_the_second_deploy_sends_what_changed(at: Deployer) -> None:
    at.deploy(at.spec({"index.html": PAGE, "a.txt": b"a", "b.txt": b"b"}))
    first = at.deploys.active_release(at.project.id)
    before = at.deploys.uploaded()
    plan = at.planned(at.spec({"index.html": PAGE, "a.txt": b"A2", "c.txt": b"b"}))
    assert plan["base_release_id"] == first.id
    diff = plan["diff"]["site"]
    assert [one["path"] for one in diff["added"]] == ["c.txt"]
    assert diff["removed"] == ["b.txt"]
    assert [one["path"] for one in diff["changed"]] == ["a.txt"]
    ok(at.commit(plan))
    assert at.wait(plan["operation_id"])["status"] == "ready"
    assert at.deploys.uploaded() - before == 2
    second = at.deploys.active_release(at.project.id)
    assert (first.status, second.parent_id) == ("superseded", first.id)
    diff = ok(at.read("GET", f"/deploy/v2/releases/diff?from={first.id}&to=active"))
    assert diff["site"]["totals"] == {"added": 1, "removed": 1, "changed": 1}
    diff = ok(at.read("GET", "/deploy/v2/releases/diff?from=empty&to=active&limit=1"))
    assert len(diff["site"]["added"]) == 1
    assert diff["site"]["totals"]["added"] == 3
    told = ok(at.read("GET", "/deploy/v2/releases/active?site_limit=2"))
    assert (told["release_id"], len(told["site"]["paths"]), told["site"]["totals"]) == (second.id, 2, {"paths": 3})
    told = ok(at.read("GET", f"/deploy/v2/releases/{first.id}"))
    assert (told["status"], told["effective"], told["state_kind"]) == ("superseded", False, "effective")


def test_patches_change_what_they_name(at: Deployer, run402_sandbox: Run402Sandbox) -> None:
    source = {"runtime": "node22", "source": at.ref(b"1"), "schedule": "*/5 * * * *"}
    at.deploy(at.spec({"a": b"a", "b": b"b"}, functions={"replace": {"one": source, "two": source}}))
    spec = at.spec(
        functions={"patch": {"set": {"one": {"runtime": "node22", "source": at.ref(b"2")}}, "delete": ["two"]}}
    )
    spec["site"] = {"patch": {"put": {"c": at.ref(b"c")}, "delete": ["a"]}}
    plan = at.planned(spec)
    assert plan["diff"]["functions"] == {
        "added": [],
        "removed": ["two"],
        "changed": [{"name": "one", "fields_changed": ["code_hash"]}],
    }
    ok(at.commit(plan))
    at.wait(plan["operation_id"])
    assert at.deploys.site(at.project.id) == {"b": b"b", "c": b"c"}
    [function] = ok(at.read("GET", "/deploy/v2/releases/active"))["functions"]
    assert (function["name"], function["schedule"]) == ("one", "*/5 * * * *")
    assert run402_sandbox.groups.functions.names(at.project.id) == ["one"]


def test_the_generated_modules_take_the_answers(at: Deployer) -> None:
    from tollkit_api.run402.v1_57.models import CommitPlanRequest, PlanRequest

    spec = at.spec({"index.html": PAGE})
    answer = at.plan(spec)
    assert deploy_plan.request(body=PlanRequest.from_dict({"spec": spec})).url == "/deploy/v2/plans"
    plan = deploy_plan.parse(answer)
    at.upload(answer.json())
    asked = deploy_commit.request(plan.plan_id, body=CommitPlanRequest())
    done = deploy_commit.parse(at.caller.post(asked.url, signer=SIGNER, content=asked.content))
    snapshot = deploy_status.parse(at.read("GET", deploy_status.request(done.operation_id).url))
    assert snapshot.status == "staging"


# ---------------------------------------------------------------- content


def test_parts_are_checked_and_completed_with_their_tags(at: Deployer) -> None:
    at.deploys.set_uploads(multipart_above=10, part_size=4)
    data = b"0123456789abc"
    [upload] = ok(at.plan_content(data))["missing"]
    assert upload["mode"] == "multipart"
    assert [(one["byte_start"], one["byte_end"]) for one in upload["parts"]] == [(0, 3), (4, 7), (8, 11), (12, 12)]
    first = at.put(upload["parts"][0], data)
    assert first.headers["x-amz-checksum-sha256"] == checksum(b"0123")
    etags = [first.headers["etag"]]
    early = at.complete(upload, etags)
    assert (early.status_code, early.json()["details"]["missing_parts"]) == (409, [2, 3, 4])
    wrong = at.put(upload["parts"][1], b"xxxxXXXX", **{"x-amz-checksum-sha256": checksum(b"other")})
    assert (wrong.status_code, "BadDigest" in wrong.text) == (400, True)
    etags += [at.put(part, data).headers["etag"] for part in upload["parts"][1:]]
    path = f"/storage/v1/uploads/{upload['upload_id']}/complete"
    assert at.read("POST", path, json={}).status_code == 400
    assert at.complete(upload, [*etags[:-1], '"0"']).status_code == 400
    assert ok(at.complete(upload, [one.strip('"') for one in etags]))["sha256"] == sha256(data)
    assert ok(at.complete(upload, etags))["size_bytes"] == 13
    assert [one.size for one in at.deploys.uploads] == [4, 4, 4, 1]


def test_tags_may_be_left_out_by_a_lever(at: Deployer) -> None:
    at.deploys.set_uploads(multipart_above=1, part_size=2, etags_required=False)
    [upload] = ok(at.plan_content(b"abc"))["missing"]
    for part in upload["parts"]:
        assert at.put(part, b"abc").status_code == 200
    assert ok(at.read("POST", f"/storage/v1/uploads/{upload['upload_id']}/complete", json={}))["size_bytes"] == 3


def test_content_with_another_hash_is_refused_and_may_come_again(at: Deployer) -> None:
    [upload] = ok(at.plan_content(b"right"))["missing"]
    assert at.caller.http.put(upload["parts"][0]["url"], content=b"wrong").status_code == 200
    refused = at.complete(upload, [])
    assert (refused.status_code, refused.json()["details"]["actual_sha256"]) == (400, sha256(b"wrong"))
    assert at.put(upload["parts"][0], b"right").status_code == 200
    assert ok(at.complete(upload, []))["sha256"] == sha256(b"right")


@pytest.mark.parametrize(
    ("spoil", "status", "code"),
    [
        (lambda url: url.replace("part=1", "part=2"), 403, "SignatureDoesNotMatch"),
        (lambda url: url.partition("?")[0], 403, "SignatureDoesNotMatch"),
        (lambda url: url.replace("/upload/", "/upload/0"), 404, "NoSuchUpload"),
    ],
)
def test_a_changed_address_is_refused(at: Deployer, spoil: Any, status: int, code: str) -> None:
    [upload] = ok(at.plan_content(b"data"))["missing"]
    answer = at.caller.http.put(spoil(upload["parts"][0]["url"]), content=b"data")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/xml")
    assert f"<Code>{code}</Code>" in answer.text


def test_a_part_of_another_size_is_refused(at: Deployer) -> None:
    [upload] = ok(at.plan_content(b"data"))["missing"]
    url = upload["parts"][0]["url"]
    assert "EntityTooLarge" in at.caller.http.put(url, content=b"data and more").text
    assert "IncompleteBody" in at.caller.http.put(url, content=b"d").text
    assert at.caller.http.put(url, content=iter([b"data"])).status_code == 411


def test_addresses_end_by_the_clock_and_are_refreshed(at: Deployer, tollkit_sandbox: Sandbox) -> None:
    at.deploys.set_uploads(multipart_above=2, part_size=2, lifetime=60)
    [upload] = ok(at.plan_content(b"abcd"))["missing"]
    assert at.put(upload["parts"][0], b"abcd").status_code == 200
    tollkit_sandbox.clock.advance(61)
    late = at.put(upload["parts"][1], b"abcd")
    assert (late.status_code, "Request has expired" in late.text) == (403, True)
    [again] = ok(at.plan_content(b"abcd"))["missing"]
    assert again["upload_id"] == upload["upload_id"]
    assert at.put(again["parts"][1], b"abcd").status_code == 200
    etags = [f'"{sha256(piece)[:32]}"' for piece in (b"ab", b"cd")]
    assert at.complete(upload, etags).status_code == 200


def test_an_address_is_expired_by_a_lever(at: Deployer) -> None:
    at.deploys.expire_address(skip=1)
    [upload] = ok(at.plan_content(b"one"))["missing"]
    assert at.put(upload["parts"][0], b"one").status_code == 200
    for _ in range(2):
        assert at.put(upload["parts"][0], b"one").status_code == 403
    [again] = ok(at.plan_content(b"one"))["missing"]
    assert at.put(again["parts"][0], b"one").status_code == 200


def test_a_checksum_in_the_address_is_checked(at: Deployer) -> None:
    at.deploys.set_uploads(checksum_in_address=True)
    [upload] = ok(at.plan_content(b"one"))["missing"]
    url = upload["parts"][0]["url"]
    assert "x-amz-checksum-sha256=" in url
    assert at.caller.http.put(url, content=b"two").status_code == 400
    assert at.caller.http.put(url, content=b"one").status_code == 200


@pytest.mark.parametrize("after", [0, 500_000, 10_000_000])
def test_the_connection_of_an_upload_is_dropped(at: Deployer, after: int) -> None:
    data = b"x" * 1_000_000
    at.deploys.drop_upload(after)
    [upload] = ok(at.plan_content(data))["missing"]
    with pytest.raises(httpx.TransportError):
        at.put(upload["parts"][0], data)
    assert at.deploys.uploads == []
    assert at.put(upload["parts"][0], data).status_code == 200
    assert at.deploys.uploaded(sha256(data)) == 1_000_000


def test_large_bodies_go_to_disk_and_are_gone_at_the_end(caller: Caller) -> None:
    with Sandbox() as own:
        own_caller = Caller(caller.http, own.run402)
        at = Deployer(own_caller)
        data = bytes(range(256)) * 80_000
        at.deploy(at.spec({"big.bin": data}))
        folder: Path = own.run402.groups.deploy._store.folder
        assert any(path.stat().st_size == len(data) for path in folder.rglob("*") if path.is_file())
    assert not folder.exists()


def test_content_of_another_project_does_not_count(at: Deployer) -> None:
    at.deploys.add_content(at.project.id, b"mine")
    other = Deployer(at.caller)
    assert ok(at.plan_content(b"mine"))["missing"] == []
    assert len(ok(other.plan_content(b"mine"))["missing"]) == 1


def test_content_counts_once_its_plan_is_committed(at: Deployer) -> None:
    spec = at.spec({"index.html": PAGE})
    plan = ok(at.plan(spec))
    content = ok(at.plan_content(PAGE))
    [upload] = content["missing"]
    early = at.read("POST", f"/content/v1/plans/{content['plan_id']}/commit", json={})
    assert (early.status_code, early.json()["code"]) == (409, "CONTENT_UPLOAD_FAILED")
    at.put(upload["parts"][0], PAGE)
    ok(at.complete(upload, []))
    assert at.commit(plan).json()["details"]["missing"] == [sha256(PAGE)]
    ok(at.read("POST", f"/content/v1/plans/{content['plan_id']}/commit", json={}))
    assert at.commit(plan).status_code == 200


def test_an_empty_file_is_uploaded(at: Deployer) -> None:
    assert at.deploy(at.spec({"empty.txt": b""}))["status"] == "ready"
    assert at.deploys.site(at.project.id) == {"empty.txt": b""}


# ---------------------------------------------------------------- plans


def test_a_manifest_stands_for_a_spec(at: Deployer) -> None:
    spec = at.spec({"index.html": PAGE})
    manifest = json.dumps(spec).encode()
    missing = at.plan({"project": at.project.id}, manifest_ref=ref(manifest))
    assert (missing.status_code, missing.json()["resource"]) == (400, "manifest_ref")
    at.deploys.add_content(at.project.id, manifest)
    plan = ok(at.plan({"project": at.project.id}, manifest_ref=ref(manifest)))
    assert [one["sha256"] for one in plan["missing_content"]] == [sha256(PAGE)]
    foreign = json.dumps({"project": "prj_other"}).encode()
    at.deploys.add_content(at.project.id, foreign)
    assert at.plan({"project": at.project.id}, manifest_ref=ref(foreign)).status_code == 400


@pytest.mark.parametrize(
    ("section", "resource"),
    [
        ({"bogus": 1}, "bogus"),
        ({"site": {"replace": {}, "patch": {}}}, "site"),
        ({"site": {"replace": {"../a": ref(b"")}}}, "site.replace.../a"),
        ({"site": {"replace": {"a": {"sha256": "x", "size": 1}}}}, "site.replace.a.sha256"),
        ({"site": {"replace": {"a": {"sha256": "0" * 64, "size": -1}}}}, "site.replace.a.size"),
        ({"functions": {"replace": {"a b": {}}}}, "functions.replace.a b"),
        ({"functions": {"replace": {"a": {"runtime": "node18"}}}}, "functions.replace.a.runtime"),
        ({"functions": {"replace": {"a": {"files": {"x.js": ref(b"")}}}}}, "functions.replace.a.entrypoint"),
        ({"secrets": {"require": ["lower"]}}, "secrets.require"),
        ({"secrets": {"require": ["A"], "delete": ["A"]}}, "secrets"),
        ({"subdomains": {"set": ["UPPER"]}}, "subdomains.set"),
        ({"subdomains": {"set": ["abc", "def"]}}, "subdomains.set"),
        ({"base": {"release": "other"}}, "base.release"),
        ({"base": {}}, "base"),
        ({"checks": {}}, "checks"),
        ({"database": {"migrations": [{"id": ""}]}}, "database.migrations[].id"),
        ({"database": {"migrations": {}}}, "database.migrations"),
        (
            {"database": {"migrations": [{"id": "1", "sql_ref": ref(b""), "checksum": "x"}]}},
            "database.migrations.1.checksum",
        ),
        (
            {
                "database": {
                    "migrations": [{"id": "1", "sql_ref": ref(b""), "checksum": "0" * 64, "transaction": "x"}]
                }
            },
            "database.migrations.1.transaction",
        ),
    ],
)
def test_a_wrong_spec_is_refused_with_its_place(at: Deployer, section: dict[str, Any], resource: str) -> None:
    answer = at.plan({"project": at.project.id, **section})
    assert (answer.status_code, answer.json()["resource"]) == (400, resource)
    assert answer.json()["code"] in ("INVALID_SPEC", "SUBDOMAIN_MULTI_NOT_SUPPORTED")


def test_missing_secrets_are_told(at: Deployer, run402_sandbox: Run402Sandbox) -> None:
    spec = at.spec(secrets={"require": ["A_KEY", "B_KEY"]})
    [warning] = ok(at.plan(spec))["warnings"]
    assert (warning["code"], warning["affected"]) == ("MISSING_REQUIRED_SECRET", ["A_KEY", "B_KEY"])
    assert warning["requires_confirmation"] is True
    for key in ("A_KEY", "B_KEY"):
        run402_sandbox.groups.secrets.put(at.project.id, key, "v")
    at.deploys.warn("UNUSUAL_DELETE", affected=["x"])
    assert [one["code"] for one in ok(at.plan(spec))["warnings"]] == ["UNUSUAL_DELETE"]
    at.deploy(spec)
    at.deploy(at.spec(secrets={"delete": ["A_KEY"]}))
    assert run402_sandbox.groups.secrets.names(at.project.id) == ["B_KEY"]
    assert ok(at.read("GET", "/deploy/v2/releases/active"))["secrets"] == {"keys": ["B_KEY"]}


def test_a_key_stands_for_one_spec(at: Deployer) -> None:
    spec = at.spec({"index.html": PAGE})
    plan = at.planned(spec, "k1")
    assert ok(at.plan(spec, "k1"))["operation_id"] == plan["operation_id"]
    other = at.plan(at.spec({"index.html": b"2"}), "k1")
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    ok(at.commit(plan, "k1"))
    assert at.commit(plan, "k2").status_code == 409
    assert ok(at.commit(plan, "k1"))["operation_id"] == plan["operation_id"]
    assert at.commit(plan).json()["code"] == "INVALID_STATE"
    assert [one.repeated for one in at.deploys.commits] == [False, True]
    assert at.wait(plan["operation_id"])["status"] == "ready"
    again = ok(at.plan(spec, "k1"))
    assert again["operation_id"] == plan["operation_id"]
    assert ok(at.commit(again, "k1"))["status"] == "ready"


def test_what_failed_is_planned_anew_under_its_key(at: Deployer) -> None:
    spec = at.spec({"index.html": PAGE})
    at.deploys.fail("staging", "SITE_STAGE_FAILED", retryable=True)
    assert at.deploy(spec, "k1")["status"] == "failed"
    assert at.deploy(spec, "k1")["status"] == "ready"


def test_bases_conflict(at: Deployer) -> None:
    at.deploy(at.spec({"index.html": PAGE}))
    active = at.deploys.active_release(at.project.id).id
    for base in ({"release": "empty"}, {"release_id": "rel_other"}):
        answer = at.plan({**at.spec(), "base": base})
        assert (answer.status_code, answer.json()["code"]) == (409, "BASE_RELEASE_CONFLICT")
    stale = at.planned({**at.spec({"a": b"a"}), "base": {"release_id": active}}, "k")
    at.deploy(at.spec({"b": b"b"}))
    assert at.commit(stale, "k").json()["code"] == "BASE_RELEASE_CONFLICT"
    at.deploys.set_strict_base(False)
    assert at.commit(stale, "k").status_code == 200
    at.deploys.conflict()
    plan = at.planned(at.spec({"c": b"c"}))
    assert at.commit(plan).status_code == 409
    assert at.commit(plan).status_code == 200


def test_a_migration_runs_once_and_keeps_its_checksum(at: Deployer, run402_sandbox: Run402Sandbox) -> None:
    create = at.migration("001", "CREATE TABLE a (x int)")
    at.deploy(at.spec(database={"migrations": [create]}))
    plan = at.planned(at.spec(database={"migrations": [create, at.migration("002", "INSERT INTO a VALUES (1)")]}))
    assert [one["id"] for one in plan["diff"]["migrations"]["noop"]] == ["001"]
    ok(at.commit(plan))
    assert at.wait(plan["operation_id"])["status"] == "ready"
    assert at.deploys.migration_runs(at.project.id, "001") == 1
    assert run402_sandbox.groups.data.run(at.project.id, "SELECT count(*) FROM a").rows == [{"count": "1"}]
    changed = at.plan(at.spec(database={"migrations": [at.migration("001", "CREATE TABLE b (x int)")]}))
    assert (changed.status_code, changed.json()["code"]) == (409, "MIGRATION_CHECKSUM_MISMATCH")
    told = ok(at.read("GET", "/deploy/v2/releases/active"))["migrations_applied"]
    assert [one["migration_id"] for one in told] == ["001", "002"]
    diff = ok(at.read("GET", "/deploy/v2/releases/diff?from=empty&to=active"))
    assert diff["migrations"]["applied_between_releases"] == ["001", "002"]


def test_a_migration_that_is_refused_fails_the_deploy(at: Deployer) -> None:
    bad = at.migration("001", "CREATE TABLE a (x int); INSERT INTO nowhere VALUES (1)")
    told = at.deploy(at.spec({"index.html": PAGE}, database={"migrations": [bad]}))
    error = told["error"]
    assert (told["status"], error["code"], error["rolled_back"]) == ("failed", "MIGRATION_FAILED", True)
    assert error["resource"] == "database.migrations.001"
    assert "nowhere" in error["logs"][0]
    assert at.deploys.active_release(at.project.id) is None
    assert at.deploys.operation(told["operation_id"]).status == "failed"


# ---------------------------------------------------------------- money


def test_a_deploy_with_a_price_is_paid_once(at: Deployer, run402_sandbox: Run402Sandbox) -> None:
    run402_sandbox.fund(SIGNER.address, 1_000_000)
    at.deploys.set_price(250_000)
    plan = at.planned(at.spec({"index.html": PAGE}), "k")
    assert plan["payment_required"]["amount"] == "250000"
    path = f"/deploy/v2/plans/{plan['plan_id']}/commit"
    paid = at.caller.paid("POST", path, json={"idempotency_key": "k"})
    assert paid.status_code == 200
    assert "payment-response" in paid.headers
    assert at.commit(plan, "k").status_code == 200
    assert (at.deploys.charges(plan["operation_id"]), at.deploys.charges()) == (1, 1)
    assert at.status(plan["operation_id"])["payment_required"]["reason"] == "deploy"


def test_what_was_paid_is_not_charged_again_when_the_answer_was_lost(
    at: Deployer, run402_sandbox: Run402Sandbox
) -> None:
    run402_sandbox.fund(SIGNER.address, 1_000_000)
    at.deploys.set_price(250_000)
    plan = at.planned(at.spec({"index.html": PAGE}), "k")
    run402_sandbox.drop_after_settlement()
    with pytest.raises(httpx.TransportError):
        at.caller.paid("POST", f"/deploy/v2/plans/{plan['plan_id']}/commit", json={"idempotency_key": "k"})
    assert at.status(plan["operation_id"])["status"] == "planning"
    assert ok(at.commit(plan, "k"))["status"] == "running"
    assert at.deploys.charges() == 1


# ---------------------------------------------------------------- operations


def test_a_held_operation_goes_on_when_it_is_resumed(at: Deployer) -> None:
    at.deploys.hold("schema_settling")
    plan = at.planned(at.spec({"index.html": PAGE}))
    ok(at.commit(plan))
    seen = [at.status(plan["operation_id"])["status"] for _ in range(6)]
    assert seen == ["staging", "gating", "migrating", *["schema_settling"] * 3]
    path = f"/deploy/v2/operations/{plan['operation_id']}/resume"
    assert ok(at.caller.post(path, signer=SIGNER))["status"] == "schema_settling"
    assert at.wait(plan["operation_id"])["status"] == "ready"
    assert ok(at.caller.post(path, signer=SIGNER))["status"] == "ready"


def test_an_activation_waits_until_it_is_resumed(at: Deployer) -> None:
    at.deploys.activation_pending()
    plan = at.planned(at.spec({"index.html": PAGE}))
    ok(at.commit(plan))
    assert at.deploys.finish(plan["operation_id"]) == "activation_pending"
    told = at.status(plan["operation_id"])
    assert (told["status"], told["activate_attempts"]) == ("activation_pending", 1)
    path = f"/deploy/v2/operations/{plan['operation_id']}/resume"
    assert ok(at.caller.post(path, signer=SIGNER))["activate_attempts"] == 2
    assert at.wait(plan["operation_id"])["status"] == "ready"
    events = ok(at.read("GET", f"/deploy/v2/operations/{plan['operation_id']}/events"))["events"]
    assert {"type": "commit.phase", "phase": "activate", "status": "failed"} in events


@pytest.mark.parametrize("phase", ["staging", "gating", "migrating", "schema_settling", "activating"])
def test_each_phase_fails_on_demand(at: Deployer, phase: str) -> None:
    at.deploys.fail(phase, "ACTIVATION_FAILED", "No.", resource="x", logs=["line"], fix={"action": "retry"})
    migration = at.migration("001", "CREATE TABLE a (x int)")
    spec = at.spec({"index.html": PAGE}, database={"migrations": [migration]})
    told = at.deploy(spec, "k")
    error = told["error"]
    assert (told["status"], error["message"], error["logs"]) == ("failed", "No.", ["line"])
    changed = phase in ("schema_settling", "activating")
    assert (error["rolled_back"], error["mutation_state"]) == (not changed, "partial" if changed else "rolled_back")
    path = f"/deploy/v2/operations/{told['operation_id']}/resume"
    refused = at.caller.post(path, signer=SIGNER)
    assert (refused.status_code, refused.json()["code"]) == (409, "NOT_RESUMABLE")
    assert at.deploy(spec, "k")["status"] == "ready"
    assert at.deploys.migration_runs(at.project.id) == 1


def test_a_failure_can_be_resumed_when_it_says_so(at: Deployer) -> None:
    at.deploys.fail("activating", "ACTIVATION_FAILED", status="needs_repair", resumable=True)
    told = at.deploy(at.spec({"index.html": PAGE}))
    assert (told["status"], told["error"]["next_actions"]) == ("needs_repair", [{"type": "resume"}])
    ok(at.caller.post(f"/deploy/v2/operations/{told['operation_id']}/resume", signer=SIGNER))
    assert at.wait(told["operation_id"])["status"] == "ready"


def test_phases_go_by_the_clock(at: Deployer, tollkit_sandbox: Sandbox) -> None:
    tollkit_sandbox.clock.freeze()
    at.deploys.set_pace("clock", phase_seconds=10)
    plan = at.planned(at.spec({"index.html": PAGE}))
    ok(at.commit(plan))
    for _ in range(2):
        assert at.status(plan["operation_id"])["status"] == "staging"
    tollkit_sandbox.clock.advance(25)
    assert at.status(plan["operation_id"])["status"] == "migrating"
    tollkit_sandbox.clock.advance(30)
    assert at.status(plan["operation_id"])["status"] == "ready"


def test_a_commit_does_everything_at_once(at: Deployer) -> None:
    at.deploys.set_pace("instant")
    plan = at.planned(at.spec({"index.html": PAGE}))
    told = ok(at.commit(plan))
    assert told["status"] == "ready"
    assert told["urls"]["project"]
    at.deploys.fail("staging", "SITE_STAGE_FAILED")
    assert ok(at.commit(at.planned(at.spec({"a": b"a"}))))["error"]["code"] == "SITE_STAGE_FAILED"


def test_operations_are_listed_by_pages(at: Deployer) -> None:
    ids = [ok(at.plan(at.spec()))["operation_id"] for _ in range(3)]
    page = ok(at.read("GET", "/deploy/v2/operations?limit=2"))
    assert [one["operation_id"] for one in page["operations"]] == [ids[2], ids[1]]
    rest = ok(at.read("GET", f"/deploy/v2/operations?limit=2&cursor={page['cursor']}"))
    assert [one["operation_id"] for one in rest["operations"]] == [ids[0]]
    assert rest["cursor"] is None
    assert [one.id for one in at.deploys.operations] == ids
    assert at.read("GET", "/deploy/v2/operations?limit=many").status_code == 400


# ---------------------------------------------------------------- refusals


def test_who_may_deploy(at: Deployer, caller: Caller) -> None:
    spec = at.spec()
    assert caller.post("/deploy/v2/plans", json={"spec": spec}).status_code == 401
    assert caller.post("/deploy/v2/plans", signer=OTHER, json={"spec": spec}).status_code == 403
    assert caller.post("/deploy/v2/plans", signer=SIGNER, json={"spec": {"project": "prj_no"}}).status_code == 404
    assert caller.post("/deploy/v2/plans", signer=SIGNER, json={}).json()["code"] == "INVALID_SPEC"
    at.caller.sandbox.end_lease(at.project.id)
    assert at.plan(spec).json()["code"] == "PROJECT_PAST_DUE"


def test_who_may_read(at: Deployer, caller: Caller) -> None:
    operation = ok(at.plan(at.spec()))["operation_id"]
    path = f"/deploy/v2/operations/{operation}"
    key = at.project.anon_key
    assert caller.get(path).status_code == 401
    assert caller.get(path, signer=SIGNER).status_code == 200
    assert caller.get(path, apikey=key).status_code == 401
    assert caller.get(path, apikey=caller.sandbox.seed_project().anon_key, signer=SIGNER).status_code == 404
    assert caller.get("/deploy/v2/operations", apikey=key, signer=OTHER).status_code == 403
    at.deploys.set_wallet_with_key(False)
    assert caller.get(path, apikey=key).status_code == 200


def test_what_is_not_there(at: Deployer) -> None:
    for path, code in (
        ("/deploy/v2/operations/op_no", "OPERATION_NOT_FOUND"),
        ("/deploy/v2/releases/active", "NO_ACTIVE_RELEASE"),
        ("/deploy/v2/releases/rel_no", "RESOURCE_NOT_FOUND"),
        ("/deploy/v2/releases/diff?from=empty&to=active", "NO_ACTIVE_RELEASE"),
    ):
        answer = at.read("GET", path)
        assert (answer.status_code, answer.json()["code"]) == (404, code)
    assert at.commit({"plan_id": "plan_no"}).json()["code"] == "PLAN_NOT_FOUND"
    assert at.read("POST", "/content/v1/plans/cplan_no/commit", json={}).json()["code"] == "PLAN_NOT_FOUND"
    at.deploy(at.spec({"a": b"a"}))
    for query, code in (
        ("from=active&to=active", "DIFF_SAME_RELEASE"),
        ("from=active&to=empty", "INVALID_DIFF_TARGET"),
    ):
        answer = at.read("GET", f"/deploy/v2/releases/diff?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, code)
    planned = ok(at.plan(at.spec({"b": b"b"})))["operation_id"]
    answer = at.caller.post(f"/deploy/v2/operations/{planned}/resume", signer=SIGNER)
    assert (answer.status_code, answer.json()["code"]) == (409, "INVALID_STATE")


def test_a_subdomain_of_another_project_is_refused(at: Deployer) -> None:
    at.deploy(at.spec(subdomains={"set": ["taken"]}))
    other = Deployer(at.caller)
    assert other.plan(other.spec(subdomains={"add": ["taken"]})).status_code == 409
    at.deploy(at.spec(subdomains={"remove": ["taken"]}))
    assert other.deploy(other.spec(subdomains={"add": ["taken"]}))["status"] == "ready"


def test_levers_refuse_what_makes_no_sense(at: Deployer) -> None:
    for wrong in (
        lambda: at.deploys.set_uploads(part_size=0),
        lambda: at.deploys.set_pace("slow"),
        lambda: at.deploys.fail("sleeping"),
        lambda: at.deploys.fail("staging", status="ready"),
        lambda: at.deploys.hold("ready"),
    ):
        with pytest.raises(ValueError, match=r"must be positive|no pace|no phase|cannot end"):
            wrong()


def test_levers_over_http(at: Deployer) -> None:
    origin = at.caller.sandbox.gateway.origin()

    def lever(name: str, /, **arguments: Any) -> Any:
        return ok(at.caller.http.post(f"{origin}/__sandbox__/{name}", json=arguments))["result"]

    lever("run402.deploys/set_pace", pace="instant")
    plan = at.planned(at.spec({"index.html": PAGE}))
    assert ok(at.commit(plan))["status"] == "ready"
    [upload] = lever("run402.deploys/get_uploads")
    assert (upload["sha256"], upload["size"]) == (sha256(PAGE), len(PAGE))
    [commit] = lever("run402.deploys/get_commits")
    assert commit["operation_id"] == plan["operation_id"]
    assert at.caller.http.get(lever("run402.deploys/site_address", name=at.project.id)).content == PAGE
    assert lever("run402.github/env", ref="refs/tags/v1")["GITHUB_REF"] == "refs/tags/v1"
