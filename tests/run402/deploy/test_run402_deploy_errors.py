"""Errors of deploys: what a gateway says, as a `DeployError`."""

from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from tollkit.errors import ConnectError, LocalError, TransportError, status_class
from tollkit.run402.deploy.errors import DeployError, failed_deploy, translated
from tollkit.run402.errors import is_deploy_error, is_retryable_run402_error, raised


def refused(status: int, body: Any) -> Any:
    error = status_class(status)("no", status=status, body=body, hint="hint", context={"operation": "deployPlan"})
    return raised(error, "planning")


def test_an_envelope_within_an_envelope() -> None:
    inner = {"code": "migration_failed", "message": "no table", "phase": "migrate", "resource": "001",
             "details": None, "fix": {"action": "edit"}, "logs": ["a"], "rolled_back": True,
             "retryable": None}  # fmt: skip
    outer = {"error": inner, "retryable": True, "safe_to_retry": True, "mutation_state": "rolled_back",
             "category": "db", "trace_id": "trc", "details": {"x": 1}, "next_actions": ["read"],
             "other": 1}  # fmt: skip
    error: Any = translated(refused(409, outer), "commit", operation_id="op_1", plan_id="plan_1")
    assert (error.code, error.message, error.phase, error.resource) == (
        "MIGRATION_FAILED",
        "no table",
        "migrate",
        "001",
    )
    assert (error.fix, error.logs, error.rolled_back, error.retryable) == ({"action": "edit"}, ["a"], True, True)
    assert (error.mutation_state, error.category, error.trace_id, error.details) == (
        "rolled_back",
        "db",
        "trc",
        {"x": 1},
    )
    assert (error.next_actions, error.safe_to_retry, error.status) == (["read"], True, 409)
    assert (error.operation_id, error.plan_id, error.doing, error.hint) == ("op_1", "plan_1", "commit", "hint")
    assert error.context["operation"] == "deployPlan"


def test_what_the_outer_envelope_says_only_fills_gaps() -> None:
    inner = {"code": "X", "retryable": False, "category": "own"}
    body = {"error": inner, "retryable": True, "category": "outer", "details": 7}
    error: Any = translated(refused(409, body), "commit")
    assert (error.retryable, error.category, error.details) == (False, "own", None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"code": "X", "message": "m"}, "m"),
        ({"code": "X", "error": "e"}, "e"),
        ({"code": "X", "details": {"message": "d"}}, "d"),
        ({"code": "X"}, "Deploy error: X"),
    ],
)
def test_an_envelope_at_the_top(body: dict[str, Any], message: str) -> None:
    error: Any = translated(refused(400, body), "plan")
    assert (error.code, error.message, error.body, error.retryable) == ("X", message, body, False)


def test_facts_among_the_details() -> None:
    details = {"phase": "stage", "resource": "r", "retryable": True, "rolled_back": True, "operation_id": "op_2",
               "plan_id": "plan_2", "logs": ["l"], "fix": {"action": "a"}}  # fmt: skip
    error: Any = translated(refused(500, {"code": "X", "details": details}), "plan", operation_id="op_1")
    told = (error.phase, error.resource, error.retryable, error.rolled_back, error.operation_id, error.plan_id)
    assert told == ("stage", "r", True, True, "op_2", "plan_2")
    assert (error.logs, error.fix) == (["l"], {"action": "a"})


@pytest.mark.parametrize("body", [None, "text", ["list"], {"error": "text"}, {"code": 7}, {"error": {"code": 7}}])
def test_no_envelope(body: Any) -> None:
    for status, again in ((418, False), (503, True)):
        error: Any = translated(refused(status, body), "plan")
        assert (error.code, error.retryable, error.status, error.body) == ("INTERNAL_ERROR", again, status, body)
        assert (error.message, error.doing) == ("no", "planning")


def test_what_the_body_says_of_retrying_stays_for_others() -> None:
    error: Any = translated(refused(503, {"retryable": False}), "plan")
    assert error.retryable
    assert raised(error).retryable


def test_a_lost_connection() -> None:
    error: Any = translated(raised(TransportError("gone")), "commit", operation_id="op_1")
    assert (error.code, error.retryable, error.status, error.doing) == ("NETWORK_ERROR", True, None, "commit")
    assert not error.safe_to_retry
    assert translated(raised(ConnectError("gone", safe_to_retry=True)), "commit").safe_to_retry


@pytest.mark.parametrize("status", [401, 402, 403])
def test_refused_credentials_stay_what_they_are(status: int) -> None:
    error = refused(status, {"code": "x"})
    assert translated(error, "commit", operation_id="op_1", plan_id="plan_1") is error
    assert (error.operation_id, error.plan_id, error.code) != ("op_1", "plan_1", "x")
    error.of_deploy("op_2", None)
    assert error.operation_id == "op_1"


def test_errors_of_no_platform() -> None:
    error = LocalError("mine")
    assert translated(error, "plan") is error


def test_after_a_payment_nothing_is_retried() -> None:
    paid = refused(503, {"code": "X", "retryable": True})
    paid.payment = record = SimpleNamespace(nonce="0x1")
    error: Any = translated(paid, "commit")
    assert (error.payment, error.retryable, error.safe_to_retry) == (record, False, False)


def test_the_error_of_an_operation() -> None:
    error = failed_deploy({"code": "x", "fix": "no", "logs": "no"}, "failed", operation_id="op_1")
    assert (error.code, error.message, error.phase, error.fix, error.logs) == (
        "X",
        "Deploy failed: X",
        "failed",
        None,
        None,
    )
    assert error.body == {"code": "x", "fix": "no", "logs": "no"}
    error = failed_deploy(None, "rolled_back", plan_id="plan_1")
    assert (error.code, error.phase, error.plan_id, error.retryable) == (
        "INTERNAL_ERROR",
        "rolled_back",
        "plan_1",
        False,
    )
    assert failed_deploy({}, "failed").code == "INTERNAL_ERROR"


def test_the_form_of_the_platform() -> None:
    error = DeployError("m", code="X", phase="plan", operation_id="op_1", retryable=True, doing="planning deploy",
                        fix={"action": "a"}, logs=["l"], body={"trace_id": "t"})  # fmt: skip
    told = error.to_dict()
    assert list(told) == ["name", "kind", "message", "status", "code", "retryable", "traceId", "context", "body",
                          "phase", "resource", "operationId", "planId", "fix", "logs", "rolledBack"]  # fmt: skip
    assert (told["name"], told["kind"], told["operationId"]) == ("Run402DeployError", "deploy_error", "op_1")
    assert is_deploy_error(error)
    assert is_retryable_run402_error(error)
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(twin), twin.to_dict(), twin.operation_id) == (DeployError, told, "op_1")
