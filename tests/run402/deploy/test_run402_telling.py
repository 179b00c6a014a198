"""Events of deploys: their forms, and how callbacks hear of them."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

import pytest

from support.run402_deploys import Kit
from tollkit.core.flows import Flow
from tollkit.errors import ArgumentError
from tollkit.run402.deploy.events import (
    CommitPhase,
    HashProgress,
    OtherEvent,
    PlanStarted,
    PlanWarned,
    Ready,
    event_from_dict,
)
from tollkit.run402.deploy.telling import Teller

SITE = {f"{number}.txt": b"%d" % number for number in range(12)}
WARNING = {"code": "C", "message": "m", "severity": "info", "requires_confirmation": False}


@pytest.mark.parametrize(
    "wire",
    [
        {"type": "plan.started"},
        {"type": "content.hash.progress", "files": 1, "totalFiles": 2, "bytes": 3, "totalBytes": 4},
        {"type": "plan.diff", "diff": {"is_noop": True}},
        {"type": "plan.warnings", "warnings": [WARNING]},
        {"type": "payment.required", "amount": "1", "asset": "USDC", "payTo": "0x1", "reason": "tier"},
        {"type": "payment.paid"},
        {"type": "payment.paid", "tx": "0x2"},
        {"type": "content.upload.skipped", "label": "a", "sha256": "00", "reason": "present"},
        {"type": "content.upload.progress", "label": "a", "sha256": "00", "done": 1, "total": 2},
        {"type": "content.upload.bytes", "sent": 1, "total": 2},
        {"type": "commit.phase", "phase": "stage", "status": "started"},
        {"type": "log", "resource": "function:a", "stream": "stdout", "line": "l"},
        {"type": "ready", "releaseId": "rel_1", "urls": {"project": "u"}},
    ],
    ids=lambda wire: wire["type"],
)
def test_forms(wire: dict[str, Any]) -> None:
    event = event_from_dict(wire)
    assert not isinstance(event, OtherEvent)
    assert (event.type, event.to_dict()) == (wire["type"], wire)


@pytest.mark.parametrize(
    "wire",
    [
        {},
        {"type": "new.kind", "x": 1},
        {"type": "log", "resource": 1, "stream": "stdout", "line": "l"},
        {"type": "content.upload.bytes", "sent": True, "total": 2},
        {"type": "plan.diff", "diff": None},
        {"type": "plan.warnings", "warnings": [{}]},
        {"type": "ready", "releaseId": "rel_1", "urls": {"project": 1}},
        {"type": "ready", "releaseId": "rel_1", "urls": None},
        {"type": ["log"]},
    ],
)
def test_other_forms_are_kept(wire: dict[str, Any]) -> None:
    event = event_from_dict(wire)
    assert isinstance(event, OtherEvent)
    assert event.to_dict() == wire


def test_events_are_frozen_and_compare() -> None:
    assert CommitPhase("stage", "started") == CommitPhase("stage", "started")
    with pytest.raises(AttributeError):
        CommitPhase("stage", "started").phase = "x"  # type: ignore[misc]
    assert PlanWarned(()).to_dict() == {"type": "plan.warnings", "warnings": []}


# ---------------------------------------------------------------- callbacks


def test_callbacks_come_one_at_a_time(kit: Kit) -> None:
    inside = [0]
    most = [0]
    told: list[str] = []

    def slow(event: Any) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.001)
        told.append(event.type)
        inside[0] -= 1

    kit.do("deploy.apply", kit.spec(SITE), on_event=slow)
    assert most == [1]
    assert told.count("content.upload.progress") == 12
    assert told[-1] == "ready"


def test_a_callback_that_raises_breaks_nothing(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: Any) -> None:
        raise ArgumentError("on_event", "is of somebody else") if event.type == "ready" else ValueError("oh")

    with caplog.at_level(logging.ERROR, "tollkit.run402"):
        kit.do("deploy.apply", kit.spec(SITE), on_event=broken)
    assert {record.getMessage() for record in caplog.records} == {"on_event raised"}
    assert kit.live() == SITE


def test_coroutine_functions(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    async def listen(event: Any) -> None:
        await asyncio.sleep(0)
        told.append(event.type)
        if event.type == "plan.diff":
            raise ArgumentError("name", "is wrong")
        if event.type == "ready":
            raise ValueError("oh")

    if kit.side.name == "blocking":
        error = kit.raises(ValueError, "deploy.apply", kit.spec(SITE), on_event=listen)
        assert (error.argument, error.kind, kit.deploys.operations) == ("on_event", "local_error", [])
        return
    kit.do("deploy.apply", kit.spec(SITE), on_event=listen)
    assert (told[0], told[-1]) == ("plan.started", "ready")
    assert told.count("content.upload.progress") == 12
    assert len(caplog.records) == 2


def test_bytes_reach_async_callbacks_in_their_loop(kit: Kit) -> None:
    threads: set[int] = set()

    def listen(event: Any) -> None:
        threads.add(threading.get_ident())

    kit.do("deploy.apply", kit.spec({"large.bin": bytes(3 << 20)}), on_event=listen)
    assert (threads == {threading.get_ident()}) == (kit.side.name == "async") or kit.side.name == "blocking"


def run(flow: Flow[None]) -> None:
    for effect in flow:
        effect.call()


def test_who_delivers_delivers_all() -> None:
    told: list[Any] = []
    teller: Teller

    def listen(event: Any) -> None:
        told.append(event)
        if event == PlanStarted():
            teller.tell_from_body(HashProgress(1, 1, 1, 1))  # told while another one is being told

    teller = Teller(listen)
    run(teller.tell(PlanStarted()))
    assert told == [PlanStarted(), HashProgress(1, 1, 1, 1)]


def test_coroutines_in_bodies_are_dropped_or_wait() -> None:
    told: list[Any] = []

    async def listen(event: Any) -> None:
        told.append(event)

    waits = Teller(listen)
    waits.tell_from_body(PlanStarted())
    assert told == []
    disguised = Teller(lambda event: listen(event))
    disguised.tell_from_body(PlanStarted())
    assert told == []
    published: list[Any] = []
    Teller(None, published.append).tell_from_body(Ready("r", {}))
    assert published == [Ready("r", {})]
