"""The family of errors."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tollkit import errors as tree
from tollkit.run402 import errors

KINDS = ("payment_required", "project_not_found", "unauthorized", "api_error", "network_error", "local_error")
CASES = [
    (
        tree.PaymentRequiredError("m", status=402),
        errors.PaymentRequired,
        "payment_required",
        "PAYMENT_REQUIRED",
        False,
    ),
    (tree.AuthenticationError("m", status=401), errors.Unauthorized, "unauthorized", "UNAUTHORIZED", False),
    (tree.PermissionDeniedError("m", status=403), errors.Unauthorized, "unauthorized", "UNAUTHORIZED", False),
    (tree.NotFoundError("m", status=404), errors.ApiError, "api_error", "API_ERROR", False),
    (tree.RateLimitError("m", status=429), errors.ApiError, "api_error", "API_ERROR", True),
    (tree.StatusError("m", status=408), errors.ApiError, "api_error", "API_ERROR", True),
    (tree.ServerError("m", status=503), errors.ApiError, "api_error", "API_ERROR", True),
    (tree.TransportError("m"), errors.NetworkError, "network_error", "NETWORK_ERROR", True),
    (tree.ConnectError("m"), errors.NetworkError, "network_error", "NETWORK_ERROR", True),
    (tree.InsecureTransportError("m"), errors.NetworkError, "network_error", "NETWORK_ERROR", False),
    (tree.ArgumentError("a", "is wrong"), errors.LocalError, "local_error", "LOCAL_ERROR", False),
    (tree.MissingExtraError("a", "b"), errors.LocalError, "local_error", "LOCAL_ERROR", False),
    (tree.LocalError("m"), errors.LocalError, "local_error", "LOCAL_ERROR", False),
]


@pytest.mark.parametrize(("error", "platform", "kind", "code", "again"), CASES, ids=lambda one: type(one).__name__)
def test_trees_and_kinds(error: tree.TollkitError, platform: Any, kind: str, code: str, again: bool) -> None:
    own = type(error)
    made = errors.raised(error, "testing")
    assert made is error
    assert isinstance(made, platform)
    assert isinstance(made, own)
    assert isinstance(made, errors.Run402Error)
    assert (made.kind, made.code, made.name) == (kind, code, platform.__name__)
    assert made.doing == "testing"
    guards = {kind: getattr(errors, f"is_{kind}") for kind in KINDS}
    assert [name for name, guard in guards.items() if guard(made)] == [kind]
    assert errors.is_run402_error(made)
    assert errors.is_retryable_run402_error(made) is again
    copy = pickle.loads(pickle.dumps(made))
    assert isinstance(copy, platform)
    assert (copy.kind, copy.to_dict()) == (kind, made.to_dict())
    assert errors.raised(made, "again").doing == "testing"


def test_a_code_that_is_told_stays() -> None:
    error = errors.raised(tree.ConflictError("m", status=409, code="ALREADY"))
    assert (error.code, error.kind) == ("ALREADY", "api_error")


def test_other_errors_of_tollkit_only_join_the_family() -> None:
    error = errors.raised(tree.DecodeError("m"))
    assert isinstance(error, errors.Run402Error)
    assert (error.kind, error.code, error.status) == ("decode", "invalid_response", None)
    with pytest.raises(errors.Run402Error) as caught, errors.family():
        raise tree.TokenError("m")
    assert caught.value.kind == "token_invalid"


def test_the_envelope() -> None:
    body = {
        "message": "m",
        "category": "lifecycle",
        "retryable": True,
        "safe_to_retry": True,
        "mutation_state": "none",
        "trace_id": "t",
        "details": None,
        "next_actions": [{"action": "renew"}],
    }
    error = errors.raised(tree.PaymentRequiredError("m", status=402, code="PROJECT_FROZEN", body=body), "running SQL")
    assert isinstance(error, errors.PaymentRequired)
    assert list(error.to_dict().items()) == [
        ("name", "PaymentRequired"),
        ("kind", "payment_required"),
        ("message", "m"),
        ("status", 402),
        ("code", "PROJECT_FROZEN"),
        ("category", "lifecycle"),
        ("retryable", True),
        ("safeToRetry", True),
        ("mutationState", "none"),
        ("traceId", "t"),
        ("context", "running SQL"),
        ("details", None),
        ("nextActions", [{"action": "renew"}]),
        ("body", body),
    ]
    assert errors.is_retryable_run402_error(error)
    odd = errors.ApiError("m", status=500, body=["no envelope"])
    assert (odd.envelope, odd.category, odd.details, odd.next_actions) == ({}, "api", None, None)


def test_what_the_body_says() -> None:
    body = {"code": "RATE", "retryable": True, "safe_to_retry": True}
    error = errors.ApiError("m", status=400, body=body)
    assert (error.code, error.retryable, error.safe_to_retry) == ("RATE", True, True)
    assert errors.is_retryable_run402_error(error)
    told = errors.ApiError("m", status=400, body=body, code="OWN", retryable=False, safe_to_retry=False)
    assert (told.code, told.retryable, told.safe_to_retry) == ("OWN", False, False)
    odd = errors.Unauthorized("m", status=401, body={"code": 5, "retryable": "yes", "safe_to_retry": None})
    assert (odd.code, odd.retryable, odd.safe_to_retry) == ("UNAUTHORIZED", False, False)


@pytest.mark.parametrize(
    ("error", "retryable", "safe"),
    [
        (errors.ApiError("m", status=503, retryable=True, safe_to_retry=True), False, None),
        (errors.ApiError("m", status=503, body={"retryable": True, "safe_to_retry": False}), True, False),
        (errors.NetworkError("m", safe_to_retry=True), True, None),
        (errors.NetworkError("m", retryable=False), False, None),
        (errors.PaymentNotMadeError("m", body={"retryable": True, "safe_to_retry": False}), False, False),
        (errors.LocalError("m", retryable=True, safe_to_retry=True), True, None),
    ],
)
def test_in_the_platforms_form_stands_the_platforms_word(error: Any, retryable: bool, safe: bool | None) -> None:
    told = error.to_dict()
    assert (told["retryable"], told.get("safeToRetry")) == (retryable, safe)


def test_after_a_payment_nothing_is_worth_another_try() -> None:
    body = {"retryable": True, "safe_to_retry": True}
    error = errors.raised(tree.ServerError("m", status=503, body=body))
    cast("Any", error).payment = object()
    told = error.to_dict()
    assert (told["retryable"], told["safeToRetry"]) == (False, False)
    assert not errors.is_retryable_run402_error(error)


def test_what_was_decided_here_is_not_worth_another_try() -> None:
    refused = errors.PaymentNotMadeError("m", body={"retryable": True, "safe_to_retry": True})
    assert (refused.retryable, refused.safe_to_retry) == (False, False)
    for error in (refused, errors.raised(refused), errors.raised(tree.InsecureTransportError("m"))):
        assert not errors.is_retryable_run402_error(error)


def test_project_not_found() -> None:
    error = errors.ProjectNotFound("prj_x", "running SQL")
    assert (error.message, error.kind, error.code) == (
        "Project prj_x not found",
        "project_not_found",
        "PROJECT_NOT_FOUND",
    )
    assert (error.project_id, error.doing, error.status) == ("prj_x", "running SQL", None)
    assert errors.is_project_not_found(error)
    assert isinstance(error, tree.LocalError)
    assert errors.ProjectNotFound("p").doing is None
    asked = errors.ProjectNotFound("p", status=404, body={"trace_id": "t"})
    assert (asked.status, asked.trace_id) == (404, "t")
    assert pickle.loads(pickle.dumps(error)).project_id == "prj_x"


def test_guards_look_at_no_class() -> None:
    """Another copy of the package, or somebody who forwards errors."""
    theirs = SimpleNamespace(is_run402_error=True, kind="network_error")
    assert errors.is_network_error(theirs)
    assert errors.is_retryable_run402_error(theirs)
    for other in (None, "x", ValueError(), tree.TransportError("m"), SimpleNamespace(is_run402_error=1)):
        assert not errors.is_run402_error(other)
        assert not errors.is_retryable_run402_error(other)
        assert not errors.is_network_error(other)


def test_the_front() -> None:
    import tollkit.run402 as front

    for name in front.__all__:
        assert getattr(front, name) is not None
        assert name in dir(front)
    with pytest.raises(AttributeError):
        front.nothing  # noqa: B018
