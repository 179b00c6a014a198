"""Deploys in the background: events, results, errors that nobody looks at, cancellation."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import threading
from typing import Any

import pytest

from support.run402 import BlockingSide
from support.run402_deploys import OURS, Kit
from tollkit.errors import CancelledError
from tollkit.run402.deploy import operation as background
from tollkit.run402.deploy.errors import DeployError
from tollkit.run402.deploy.events import PlanStarted, Ready
from tollkit.run402.deploy.operation import AsyncDeployOperation, DeployOperation, Started, _Feed, started
from tollkit.sandbox import Sandbox

SITE = {"index.html": b"<h1>Hello</h1>"}


def begun(kit: Kit, site: Any = None, **options: Any) -> Any:
    return kit.do("deploy.start", kit.spec(SITE if site is None else site), **options)


def all_events(kit: Kit, operation: Any) -> list[dict[str, Any]]:
    async def collected() -> list[Any]:
        return [event async for event in operation.events()]

    found = kit.side.do(collected()) if kit.side.name == "async" else list(operation.events())
    return [event.to_dict() for event in found if event.type not in OURS]


def test_a_deploy_in_the_background(kit: Kit) -> None:
    operation = begun(kit, on_event=kit.told.append)
    assert isinstance(operation, AsyncDeployOperation if kit.side.name == "async" else DeployOperation)
    assert operation.id == kit.deploys.operations[0].id
    assert operation.planned.missing[0].size == len(SITE["index.html"])
    result = kit.side.do(operation.result())
    assert kit.side.do(operation.result()) is result
    assert kit.live() == SITE
    assert operation.done
    assert repr(operation).endswith(f"{operation.id} done>")
    events = all_events(kit, operation)
    assert events == all_events(kit, operation) == kit.events()
    assert (events[0]["type"], events[-1]["type"]) == ("plan.started", "ready")


def test_snapshots(kit: Kit) -> None:
    operation = begun(kit)
    kit.side.do(operation.result())
    snapshot = kit.side.do(operation.snapshot())
    assert (snapshot.operation_id, snapshot.status) == (operation.id, "ready")
    before = len(kit.server.requests)
    assert kit.side.do(operation.snapshot()) is snapshot
    assert len(kit.server.requests) == before


def test_what_the_plan_refuses_refuses_the_start(kit: Kit) -> None:
    kit.deploys.warn("UNUSUAL_DELETE", requires_confirmation=True)
    with pytest.raises(DeployError, match="UNUSUAL_DELETE"):
        begun(kit)
    with pytest.raises(DeployError):
        kit.do("deploy.start", {"project": 7})


def test_an_error_comes_out_of_the_result_each_time(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    kit.deploys.fail("staging", "SITE_STAGE_FAILED")
    operation = begun(kit)
    errors = []
    for _ in range(2):
        with pytest.raises(DeployError) as caught:
            kit.side.do(operation.result())
        errors.append(caught.value)
    assert errors[0] is errors[1]
    assert (errors[0].code, errors[0].operation_id) == ("SITE_STAGE_FAILED", operation.id)
    assert all_events(kit, operation)[-1] == {"type": "commit.phase", "phase": "stage", "status": "failed"}
    del operation, errors, caught
    gc.collect()
    assert caplog.records == []


def test_a_success_that_nobody_looks_at_is_no_news(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    operation = begun(kit)
    all_events(kit, operation)
    kit.wait(0.01)
    del operation
    _joined()
    gc.collect()
    assert kit.live() == SITE
    assert caplog.records == []


def test_an_error_that_nobody_looks_at_is_logged_once(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    kit.deploys.fail("staging", "SITE_STAGE_FAILED")
    operation = begun(kit)
    own = operation.id
    all_events(kit, operation)
    with caplog.at_level(logging.ERROR, "tollkit.run402"):
        del operation
        kit.wait(0.01)
        _joined()
        gc.collect()
        gc.collect()
    (record,) = caplog.records
    assert own in record.getMessage()
    assert isinstance(record.exc_info[1], DeployError)  # type: ignore[index]


def _joined() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("tollkit-op_"):
            thread.join()


def test_waiting_has_an_end_and_the_deploy_goes_on(kit: Kit) -> None:
    kit.fault("latency", "PUT *", seconds=0.3)
    operation = begun(kit)
    with pytest.raises(TimeoutError):
        kit.side.do(operation.result(timeout=0.01))
    assert repr(operation).endswith(f"{operation.id}>")
    assert kit.side.do(operation.result()).operation_id == operation.id


def test_listeners_come_and_go(kit: Kit) -> None:
    operation = begun(kit)

    async def some() -> Any:
        async for event in operation.events():
            return event
        return None

    first = kit.side.do(some()) if kit.side.name == "async" else next(operation.events())
    assert isinstance(first, PlanStarted)
    assert all_events(kit, operation)[-1]["type"] == "ready"
    kit.side.do(operation.result())


def test_a_cancelled_deploy_stops_and_can_be_resumed(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    kit.fault("latency", "PUT *", seconds=0.2, times=None)
    operation = begun(kit, {str(number): b"%d" % number for number in range(40)}, max_uploads=1)
    operation.cancel()
    operation.cancel()
    with pytest.raises(CancelledError) as caught:
        kit.side.do(operation.result())
    assert f"deploy.resume('{operation.id}')" in str(caught.value)
    kit.wait(0.05)
    _joined()
    assert kit.deploys.commits == []
    assert len(kit.deploys.uploads) <= 1
    own = operation.id
    del operation, caught
    gc.collect()
    assert caplog.records == []
    assert kit.raises(DeployError, "deploy.resume", own).code == "INVALID_STATE"


def test_a_loop_that_ends_cancels_its_deploys(kit: Kit) -> None:
    if kit.side.name != "async":
        return
    client = kit.client

    async def main() -> Any:
        kit.deploys.hold("staging")
        return await client.deploy.start(kit.spec(SITE))

    operation = asyncio.run(main())
    assert operation.done
    with pytest.raises(CancelledError):
        asyncio.run(operation.result())


@pytest.mark.parametrize("uploading", [True, False])
def test_a_program_ends_while_its_deploy_goes_on(tollkit_sandbox: Sandbox, uploading: bool) -> None:
    kit = Kit(BlockingSide(), tollkit_sandbox)
    kit.fault("latency", "PUT *", seconds=0.2, times=None)
    code = f"""
from support.run402_deploys import SIGNER
from tollkit.run402.client import Run402
from tollkit.run402.credentials import MemoryCredentials
keys = {{{kit.project.id!r}: {{"anon_key": {str(kit.project.anon_key)!r}, "service_key": ""}}}}
client = Run402(api_base={kit.sandbox.api_base!r}, allow_insecure_http=True,
                credentials=MemoryCredentials(keys, signer=SIGNER, api_base={kit.sandbox.api_base!r}))
site = {{str(number): b"%d" % number for number in range(200)}}
operation = client.deploy.start({{"project": {kit.project.id!r}, "site": {{"replace": site}}}})
if {uploading!r}:
    for event in operation.events():
        if event.type == "content.upload.progress":
            break
"""
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": "tests"}, timeout=60, capture_output=True)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert len(kit.deploys.uploads) <= 40
    assert kit.deploys.commits == []


def test_a_program_that_ends_is_no_failure(tollkit_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    kit = Kit(BlockingSide(), tollkit_sandbox)
    ending = threading.Event()
    monkeypatch.setattr(background, "_ending", ending)
    ending.set()
    operation = begun(kit)
    with pytest.raises(CancelledError):
        operation.result()
    assert kit.deploys.commits == []
    kit.side.end()


def test_a_future_is_woken_once() -> None:
    async def main() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        background._wake(asyncio.get_running_loop(), future)
        background._wake(asyncio.get_running_loop(), future)
        await future
        await asyncio.sleep(0)

    asyncio.run(main())


def test_events_in_another_loop() -> None:
    feed = _Feed()
    seen: list[Any] = []

    async def listen() -> None:
        seen.extend([event async for event in feed])

    async def gives_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(aiter(feed)), 0.01)

    asyncio.run(gives_up())  # its loop is gone when something happens
    thread = threading.Thread(target=lambda: asyncio.run(listen()))
    thread.start()
    feed.publish(PlanStarted())
    feed.publish(Ready("rel_1", {}))
    thread.join()
    assert seen == list(feed) == [PlanStarted(), Ready("rel_1", {})]


def test_a_started_method_is_a_method(kit: Kit) -> None:
    method = kit.client.deploy.start
    assert "background" in method.__doc__
    assert "spec" in str(method.__signature__)
    kind = type(kit.client.deploy)
    assert isinstance(kind.start, started)
    operation = kit.side.do(kind.start(kit.client.deploy, kit.spec(SITE)))
    kit.side.do(operation.result())


def test_in_a_flow_it_is_a_flow(kit: Kit) -> None:
    from tollkit.core.flows import Flow

    def flow() -> Flow[Any]:
        return (yield from kit.client.flows.deploy.start(kit.spec(SITE)))

    found = kit.side.do(kit.client.run(flow()))
    assert isinstance(found, Started)
    assert not found.outcome.done()
