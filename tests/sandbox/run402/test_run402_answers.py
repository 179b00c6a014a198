"""What the sandboxed gateway answers is what the document of Run402 1.57 says, operation by operation."""

from __future__ import annotations

import base64
import json
import re
from typing import Any, Literal

import pytest
from run402_answers import OPERATIONS, SPECS, Way, all_cases, checker, complaints, load
from run402_caller import SIGNER, Caller

from tollkit.sandbox import Run402Sandbox

CASES = all_cases()


@pytest.mark.parametrize(
    ("name", "status", "way"),
    [pytest.param(*case, id=f"{case[0]}-{case[1]}-{index}") for index, case in enumerate(CASES)],
)
def test_the_answer_is_as_documented(caller: Caller, name: str, status: int, way: Way) -> None:
    answer = way(caller)
    assert answer.status_code == status, answer.text
    assert complaints(name, answer) == []


def test_every_route_has_a_case(run402_sandbox: Run402Sandbox) -> None:
    """Every operation that the gateway has is made to succeed, and to refuse."""
    routes = [route for group in run402_sandbox.groups for route in group.routes()]
    served = {
        name
        for name, operation in OPERATIONS.items()
        if any(
            operation.method.upper() in (route.methods or ()) and _shape(route.path) == _shape(operation.path)
            for route in routes
        )
    }
    succeeded = {name for name, status, _ in CASES if status < 400}
    assert served - succeeded == set()


SHAPES = {path.name: load(path) for path in (SPECS / "shapes").glob("x402_*.json")}


def misfits(shape: str, value: Any) -> list[str]:
    check = checker(SHAPES[shape], (), [each for name, each in SHAPES.items() if name != shape])
    return [error.message for error in check(value)]


def decoded(header: str) -> Any:
    return json.loads(base64.b64decode(header))


@pytest.mark.parametrize("version", [1, 2])
def test_payments_fit_their_shapes(caller: Caller, version: Literal[1, 2]) -> None:
    caller.sandbox.set_payments(version=version)
    caller.sandbox.fund(SIGNER.address, 5_000_000)
    asked = caller.post("/tiers/v1/hobby", signer=SIGNER, json={})
    told = decoded(asked.headers["payment-required"]) if version == 2 else asked.json()
    assert misfits(f"x402_requirements_v{version}.json", told) == []
    receipt = "payment-response" if version == 2 else "x-payment-response"
    for status in (200, 402):
        answer = caller.paid("POST", "/tiers/v1/hobby", json={})
        assert answer.status_code == status
        assert misfits("x402_settlement.json", decoded(answer.headers[receipt])) == []


def test_refusals_are_those_of_a_recorded_gateway(caller: Caller) -> None:
    """`error` and `message` as a gateway of one's own answers them; `code` is what clients branch on."""
    project = caller.sandbox.seed_project()
    usage = "/projects/v1/admin/{}/usage"
    for answer, status, error in (
        (caller.get("/no/such/route"), 404, "not_found"),
        (caller.get(usage.format(project.id)), 401, "authentication_required"),
        (caller.get(usage.format("prj_0000000000000000"), key=project.service_key), 404, "project_not_found"),
        (caller.get(usage.format("nope"), key=project.service_key), 400, "invalid_project_id"),
    ):
        assert (answer.status_code, answer.json()["error"]) == (status, error)
        assert answer.json()["message"]
        assert answer.json()["code"] == error.upper()


def _shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)
