"""Deploys over HTTP against the sandbox, with everything that can go wrong on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.run402 import Side
from support.run402_deploys import SIGNER, Kit
from support.run402_wallet import ADDRESS
from support.scripted_http import Reply
from tollkit.run402.deploy.errors import DeployError
from tollkit.run402.errors import ApiError, PaymentUncertainError, is_deploy_error
from tollkit.run402.payments.journal import MemoryJournal
from tollkit.run402.payments.payer import X402Payer

PAGE = b"<h1>Hello</h1>"
VECTORS = json.loads((Path(__file__).parent / "data" / "engine-1.57.0.json").read_text("utf-8"))
SITE = {"index.html": PAGE, "css/site.css": b"body{}", "empty.txt": b""}
MIGRATION = {"id": "001", "sql": "CREATE TABLE notes (id int primary key, body text)"}
DATABASE = {"database": {"migrations": [MIGRATION]}}


def test_a_deploy_ships_everything(kit: Kit) -> None:
    functions = {"replace": {"hello": {"source": "export default () => 1"}}}
    result = kit.apply(SITE, {**DATABASE, "functions": functions, "subdomains": {"set": ["shop-1"]}})
    assert kit.live() == SITE
    assert kit.deploys.migration_runs(kit.project.id) == 1
    assert result.release_id == kit.deploys.active_release(kit.project.id).id
    assert result.diff.to_dict()["migrations"]["new"][0]["id"] == "001"
    assert (result.warnings, result.urls["project"].startswith("http")) == ((), True)
    told = [event["type"] for event in kit.events()]
    assert told[:2] == ["plan.started", "plan.diff"]
    assert told[-1] == "ready"
    phases = [(event["phase"], event["status"]) for event in kit.events() if event["type"] == "commit.phase"]
    each = [(name, how) for name in ("stage", "migrate-gate", "migrate", "schema-settle", "activate")
            for how in ("started", "done")]  # fmt: skip
    assert phases == [("validate", "started"), *each]
    progress = [event for event in kit.events() if event["type"] == "content.upload.progress"]
    assert [(event["done"], event["total"]) for event in progress] == [(done, 5) for done in range(1, 6)]
    assert {event["label"] for event in progress} == {*SITE, "function source", "migration:001"}
    sent = [event.to_dict() for event in kit.told if event.type == "content.upload.bytes"]
    assert sent[-1]["sent"] == sent[-1]["total"] == kit.deploys.uploaded()


def test_a_second_deploy_uploads_what_changed(kit: Kit) -> None:
    kit.apply(SITE)
    before = kit.deploys.uploaded()
    kit.told.clear()
    kit.apply({**SITE, "index.html": b"new"})
    assert kit.deploys.uploaded() - before == 3
    assert kit.live()["index.html"] == b"new"
    skipped = [event["label"] for event in kit.events() if event["type"] == "content.upload.skipped"]
    assert sorted(skipped) == ["css/site.css", "empty.txt"]


def test_steps_one_by_one(kit: Kit) -> None:
    planned = kit.do("deploy.plan", kit.spec(SITE), idempotency_key="k1")
    assert (len(planned.missing), planned.project_id) == (3, kit.project.id)
    kit.do("deploy.upload", planned, on_event=kit.told.append)
    result = kit.do("deploy.commit", planned.plan_id, idempotency_key="k1", project_id=kit.project.id)
    assert result.to_dict()["diff"] == {}
    assert result.operation_id == planned.operation_id
    assert kit.live() == SITE
    assert kit.raises(Exception, "deploy.upload", "plan_1").argument == "planned"


# ---------------------------------------------------------------- lost connections

POINTS = {
    "plan": "POST */deploy/v2/plans",
    "content": "POST */content/v1/plans",
    "put": "PUT */upload/*",
    "complete": "POST */complete",
    "content-commit": "POST */content/v1/plans/*/commit",
    "commit": "POST */deploy/v2/plans/*/commit",
    "poll": "GET */deploy/v2/operations/*",
}


@pytest.mark.parametrize("when", ["after_read", "after_processing"])
@pytest.mark.parametrize("kind", ["reset", "status"])
@pytest.mark.parametrize("point", POINTS)
def test_with_a_key_a_lost_answer_is_made_up_for(kit: Kit, point: str, kind: str, when: str) -> None:
    kit.deploys.set_uploads(reuse=when == "after_read")
    kit.fault(kind, POINTS[point], when=when, status=503)
    kit.apply(SITE, DATABASE, idempotency_key="k1")
    assert kit.live() == SITE
    assert kit.deploys.migration_runs(kit.project.id) == 1
    assert len(kit.deploys.operations) == 1


@pytest.mark.parametrize("when", ["after_read", "after_processing"])
@pytest.mark.parametrize("kind", ["reset", "status", "truncated_json"])
def test_without_a_key_the_operation_tells_what_became_of_a_commit(kit: Kit, kind: str, when: str) -> None:
    kit.fault(kind, POINTS["commit"], when=when, status=502)
    kit.apply(SITE, DATABASE)
    assert kit.live() == SITE
    assert len(kit.deploys.commits) == 1


def test_a_commit_is_not_sent_for_ever(kit: Kit) -> None:
    kit.fault("reset", POINTS["commit"], times=None)
    error = kit.refused(SITE)
    assert (error.code, error.phase, error.retryable) == ("NETWORK_ERROR", "commit", True)
    (operation,) = kit.deploys.operations
    assert (error.operation_id, error.plan_id) == (operation.id, operation.plan_id)
    assert kit.deploys.commits == []


def test_a_commit_and_a_look_that_are_both_lost(kit: Kit) -> None:
    kit.fault("reset", POINTS["commit"])
    kit.fault("reset", POINTS["poll"], times=3)
    error = kit.refused(SITE)
    assert (error.code, error.operation_id) == ("NETWORK_ERROR", kit.deploys.operations[0].id)


@pytest.mark.parametrize("point", ["plan", "put", "commit", "poll"])
def test_a_failed_deploy_is_finished_by_the_same_key(kit: Kit, point: str) -> None:
    when = "after_processing" if point in ("plan", "poll") else "after_read"
    kit.fault("reset", POINTS[point], times=None, when=when)
    error = kit.refused(SITE, DATABASE, idempotency_key="k1", timeout=5)
    kit.server.faults.clear()
    assert error.safe_to_retry or point in ("commit", "poll")
    kit.apply(SITE, DATABASE, idempotency_key="k1")
    assert kit.live() == SITE
    assert kit.deploys.migration_runs(kit.project.id) == 1
    assert len([one for one in kit.deploys.commits if not one.repeated]) == 1


def test_a_plan_without_a_key_is_not_sent_again(kit: Kit) -> None:
    kit.fault("reset", POINTS["plan"])
    error = kit.refused(SITE)
    assert (error.code, error.doing, error.operation_id) == ("NETWORK_ERROR", "plan", None)
    assert is_deploy_error(error)


def test_what_the_gateway_refuses_while_uploading_says_of_which_deploy(kit: Kit) -> None:
    kit.fault("status", POINTS["content"], status=400, body={"code": "VALIDATION_ERROR", "message": "no"})
    error = kit.refused(SITE)
    assert isinstance(error, ApiError)
    assert error.operation_id == kit.deploys.operations[0].id


# ---------------------------------------------------------------- payments


def test_a_paid_commit_is_charged_once(kit: Kit) -> None:
    kit.sandbox.fund(ADDRESS, 1_000_000)
    kit.deploys.set_price(10_000)
    client = kit.another(payments=X402Payer(SIGNER, journal=MemoryJournal()))
    spec = kit.spec(SITE, **DATABASE)
    kit.sandbox.drop_after_settlement()
    options = {"client": client, "idempotency_key": "k1", "on_event": kit.told.append}
    uncertain = kit.raises(PaymentUncertainError, "deploy.apply", spec, **options)
    assert uncertain.operation_id == kit.deploys.operations[0].id
    assert kit.deploys.charges() == 1
    kit.do("deploy.apply", spec, **options)
    assert kit.deploys.charges() == 1
    assert kit.live() == SITE
    (asked,) = [event for event in kit.events() if event["type"] == "payment.required"]
    assert asked["amount"]


# ---------------------------------------------------------------- what the platform says


def test_a_phase_that_fails(kit: Kit) -> None:
    kit.deploys.fail("staging", "FUNCTION_BUILD_FAILED", "It does not build.", resource="function:hello",
                     logs=["line 1"], fix={"action": "edit"})  # fmt: skip
    error = kit.refused(SITE)
    assert isinstance(error, DeployError)
    assert (error.code, error.phase, error.resource) == ("FUNCTION_BUILD_FAILED", "stage", "function:hello") or (
        error.code, error.phase) == ("FUNCTION_BUILD_FAILED", "staging")  # fmt: skip
    assert (error.logs, error.fix, error.rolled_back) == (["line 1"], {"action": "edit"}, True)
    assert error.operation_id == kit.deploys.operations[0].id
    assert kit.events()[-1] == {"type": "commit.phase", "phase": "stage", "status": "failed"}


@pytest.mark.parametrize("status", ["failed", "rolled_back", "needs_repair"])
def test_other_ends(kit: Kit, status: str) -> None:
    kit.deploys.fail("activating", "ACTIVATION_FAILED", status=status, retryable=True)
    error = kit.refused(SITE)
    assert (error.code, error.retryable) == ("ACTIVATION_FAILED", True)


def test_an_instant_platform(kit: Kit) -> None:
    kit.deploys.set_pace("instant")
    result = kit.apply(SITE)
    assert kit.live() == SITE
    assert kit.events()[-1] == {"type": "ready", "releaseId": result.release_id, "urls": dict(result.urls)}
    kit.deploys.fail("staging", "SITE_STAGE_FAILED")
    error = kit.refused({"index.html": b"2"})
    assert (error.code, error.doing) == ("SITE_STAGE_FAILED", "commit")
    assert error.plan_id == kit.deploys.operations[-1].plan_id


def test_a_conflict_keeps_its_status(kit: Kit) -> None:
    kit.deploys.conflict()
    error = kit.refused(SITE)
    assert (error.code, error.status, error.phase) == ("BASE_RELEASE_CONFLICT", 409, "commit")


def test_an_activation_that_waits_is_resumed_from_elsewhere(kit: Kit, slept: list[float]) -> None:
    kit.deploys.activation_pending()
    error = kit.refused(SITE)
    assert (error.code, error.status, error.phase) == ("INTERNAL_ERROR", 504, "activation_pending")
    assert f"deploy.resume('{error.operation_id}')" in str(error)
    assert 600 < sum(slept) < 660
    result = kit.do("deploy.resume", error.operation_id, client=kit.another(), on_event=kit.told.append)
    assert result.release_id == kit.deploys.active_release(kit.project.id).id
    phases = [(event["phase"], event["status"]) for event in kit.events() if event["type"] == "commit.phase"]
    assert phases[-3:] == [("activate", "failed"), ("activate", "started"), ("activate", "done")]


@pytest.mark.parametrize("resumable", [True, False])
def test_the_same_key_goes_on_with_what_has_stopped(kit: Kit, resumable: bool) -> None:
    if resumable:
        kit.deploys.fail("migrating", "MIGRATION_FAILED", resumable=True)
    else:
        kit.deploys.activation_pending()
    kit.refused(SITE, DATABASE, idempotency_key="k1")
    kit.apply(SITE, DATABASE, idempotency_key="k1")
    assert kit.live() == SITE
    assert len(kit.deploys.operations) == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"status": "ready", "operation_id": "op_1", "urls": {}}, "INTERNAL_ERROR"),
        ({"status": "ready", "operation_id": "op_1", "release_id": "rel_1"}, "INTERNAL_ERROR"),
        ({"status": "failed", "operation_id": "op_1"}, "INTERNAL_ERROR"),
        ({"status": "failed", "operation_id": "op_1", "error": {"code": "X", "next_actions": ["read"]}}, "X"),
        ([], "invalid_response"),
    ],
)
def test_answers_that_say_too_little(side: Side, answer: Any, code: str) -> None:
    error = side.play([Reply.json(answer)]).raises(Exception, "deploy.commit", "plan_1", idempotency_key="k1")
    assert (error.code, error.plan_id) == (code, "plan_1")


def test_polls_become_fewer(kit: Kit, slept: list[float]) -> None:
    recorded = VECTORS["poll_intervals"]
    kit.deploys.hold("staging")
    kit.refused(SITE)
    milliseconds = [round(seconds * 1000) for seconds in slept]
    first = [recorded["first_30s_ms"]] * 31
    assert milliseconds[:43] == [*first, *recorded["after_30s_sequence_ms"]]
    assert recorded["timeout_ms"] < sum(milliseconds) <= recorded["timeout_ms"] + 30_000
    slept.clear()
    kit.deploys.hold("staging")
    kit.refused({"a": b"1"}, timeout=5, poll_interval=2)
    assert slept == [2, 2, 2]


@pytest.mark.parametrize("when", ["after_read", "after_processing"])
def test_a_lost_resumption(kit: Kit, when: str) -> None:
    kit.deploys.activation_pending()
    operation = kit.refused(SITE).operation_id
    kit.fault("reset", "POST */resume", when=when)
    kit.do("deploy.resume", operation, project_id=kit.project.id)
    assert kit.live() == SITE


def test_resumptions_that_are_refused(kit: Kit) -> None:
    error = kit.raises(DeployError, "deploy.resume", "plan_1")
    assert (error.code, error.phase, error.doing) == ("OPERATION_NOT_FOUND", None, "resuming deploy operation")
    error = kit.raises(DeployError, "deploy.resume", "op_none")
    assert (error.code, error.status, error.operation_id) == ("OPERATION_NOT_FOUND", 404, "op_none")
    kit.deploys.fail("staging")
    operation = kit.refused(SITE).operation_id
    kit.fault("reset", "POST */resume")
    error = kit.raises(DeployError, "deploy.resume", operation)
    assert error.code == "INTERNAL_ERROR"  # the platform does not go on with it: how it had ended is how it ends
    kit.fault("reset", "POST */resume", times=None)
    assert kit.raises(DeployError, "deploy.resume", operation).code == "NETWORK_ERROR"
    kit.fault("reset", POINTS["poll"], times=None)
    assert kit.raises(DeployError, "deploy.resume", operation).code == "NETWORK_ERROR"


def test_polling_outlives_what_passes(kit: Kit) -> None:
    kit.fault("status", POINTS["poll"], times=4, status=503)
    kit.fault("status", POINTS["poll"], times=3, status=429, skip=2)
    kit.fault("reset", POINTS["poll"], times=3, skip=1)
    kit.apply(SITE)
    assert kit.live() == SITE


def test_polling_ends_with_what_does_not_pass(kit: Kit) -> None:
    kit.fault("status", POINTS["poll"], status=404, body={"code": "OPERATION_NOT_FOUND"}, skip=1)
    error = kit.refused(SITE)
    assert isinstance(error, ApiError)
    assert error.operation_id == kit.deploys.operations[0].id
    kit.server.faults.clear()
    kit.fault("status", POINTS["poll"], status=404, body={"code": "OPERATION_NOT_FOUND"})
    assert isinstance(kit.refused({"a": b"1"}), ApiError)


def test_time_is_up_and_says_why(kit: Kit) -> None:
    kit.fault("reset", POINTS["poll"], times=None)
    error = kit.refused(SITE, timeout=3)
    assert (error.code, error.status, error.retryable) == ("INTERNAL_ERROR", 504, True)
    assert error.__cause__.kind == "network_error"


# ---------------------------------------------------------------- warnings


def test_warnings_that_block(kit: Kit) -> None:
    kit.deploys.warn("UNUSUAL_DELETE", "Many files go.", requires_confirmation=True)
    kit.deploys.warn("NOTE", "Just so.")
    error = kit.refused(SITE)
    assert (error.code, error.phase, error.resource) == ("UNUSUAL_DELETE", "plan", "warnings")
    assert error.fix == {"action": "review_warnings", "path": "warnings"}
    assert [warning["code"] for warning in error.body["warnings"]] == ["UNUSUAL_DELETE"]
    assert error.operation_id == kit.deploys.operations[0].id
    assert kit.deploys.uploads == []
    assert kit.events()[-1]["type"] == "plan.warnings"
    kit.apply(SITE, allow_warnings=["UNUSUAL_DELETE"])
    kit.apply({"index.html": b"2"}, allow_warnings=True)
    secrets = {"secrets": {"require": ["API_KEY"]}}
    assert kit.refused(SITE, secrets, allow_warnings={"UNUSUAL_DELETE"}).code == "MISSING_REQUIRED_SECRET"
    assert kit.refused(SITE, secrets).code == "MISSING_REQUIRED_SECRET"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("allow_warnings", "UNUSUAL_DELETE"),
        ("allow_warnings", 1),
        ("max_uploads", 0),
        ("timeout", -1),
        ("timeout", True),
        ("poll_interval", "1"),
        ("idempotency_key", 7),
        ("on_event", "print"),
    ],
)
def test_arguments(kit: Kit, name: str, value: Any) -> None:
    options = {"on_event": None, name: value}
    error = kit.raises(ValueError, "deploy.apply", kit.spec(SITE), **options)
    assert (error.argument, error.kind) == (name, "local_error")


# ---------------------------------------------------------------- a spec too large for a request


def test_a_large_spec_is_uploaded_first(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    from tollkit.run402.deploy import engine

    monkeypatch.setattr(engine, "INLINE_LIMIT", 400)
    kit.apply({f"{number}.txt": b"%d" % number for number in range(5)}, idempotency_key="k1")
    assert len(kit.live()) == 5
    assert kit.do("deploy.plan", kit.spec({f"{number}.txt": b"%d" % number for number in range(5)})).missing == []
