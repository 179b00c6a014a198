"""Deploys that are interrupted anywhere and tried again end as if nothing had happened, at the sandboxed Run402."""

from __future__ import annotations

import random

import httpx
import pytest
from run402_caller import SIGNER, Caller
from run402_deploys import Deployer

from tollkit.sandbox import Run402Sandbox

ROUNDS = 12


def interrupt(at: Deployer, draw: random.Random) -> str:
    """Arm one thing that goes wrong."""
    kind = draw.choice(["drop", "expire", "fail", "pending", "hold", "settlement", "conflict"])
    match kind:
        case "drop":
            at.deploys.drop_upload(draw.randrange(200), skip=draw.randrange(4))
        case "expire":
            at.deploys.expire_address(skip=draw.randrange(4))
        case "fail":
            phase = draw.choice(["staging", "gating", "migrating", "schema_settling", "activating"])
            at.deploys.fail(phase, retryable=True)
        case "pending":
            at.deploys.activation_pending()
        case "hold":
            at.deploys.hold(draw.choice(["staging", "activating"]))
        case "settlement":
            at.caller.sandbox.drop_after_settlement(effect=draw.random() < 0.5)
        case _:
            at.deploys.conflict()
    return kind


def attempt(at: Deployer, spec: dict[str, object], key: str) -> str:
    """One try of a deploy by somebody who gives up at the first thing that goes wrong; how it ended."""
    try:
        plan = at.planned(spec, key)
        path = f"/deploy/v2/plans/{plan['plan_id']}/commit"
        body = {"idempotency_key": key}
        if plan["payment_required"]:
            answer = at.caller.paid("POST", path, json=body)
        else:
            answer = at.commit(plan, key)
        if not answer.is_success:
            return f"refused: {answer.json()['code']}"
        at.deploys.finish(plan["operation_id"])
        told = at.status(plan["operation_id"])
        if told["status"] not in ("ready", "failed"):
            at.caller.post(f"/deploy/v2/operations/{told['operation_id']}/resume", signer=SIGNER)
            at.deploys.finish(told["operation_id"])
        return str(at.status(plan["operation_id"])["status"])
    except (httpx.TransportError, AssertionError) as failed:
        return f"broken: {type(failed).__name__}"


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_deploy_that_is_tried_again_is_whole(caller: Caller, run402_sandbox: Run402Sandbox, seed: int) -> None:
    draw = random.Random(seed)
    run402_sandbox.fund(SIGNER.address, 10_000_000)
    at = Deployer(caller)
    at.deploys.set_price(1000)
    at.deploys.set_uploads(multipart_above=128, part_size=50)
    site = {f"f{number}.txt": draw.randbytes(draw.randrange(300)) for number in range(5)}
    spec = at.spec(site, database={"migrations": [at.migration("001", "CREATE TABLE once (x int)")]})
    told = [interrupt(at, draw)]
    for _ in range(4):
        told.append(attempt(at, spec, "k"))
        if told[-1] == "ready":
            break
    assert told[-1] == "ready", told
    assert at.deploys.site(at.project.id) == site
    assert at.deploys.migration_runs(at.project.id) == 1
    assert at.deploys.charges() == 1
    assert run402_sandbox.double_payments == []
