"""The platform's own client on inputs chosen for it: the same requests, events, results and errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from support.run402 import RecordingCredentials, Side, assert_error, run_case
from support.run402_deploys import OURS
from support.scripted_http import Reply
from tollkit.run402.deploy.errors import DeployError

VECTORS = json.loads((Path(__file__).parent / "data" / "engine-1.57.0.json").read_text("utf-8"))
TRACES = {case["name"]: case for case in VECTORS["apply_traces"]}
CALLS = {case["call"]: case for case in VECTORS["method_requests"]}
WIRE = {"idempotencyKey": "idempotency_key"}
NEW = "95d70659530e385bfae5d6eefe689d95ac463cb0c58235f19eef71bdaa725126"
HELD = "3673014e72b67383be302485694555a57ad393afdebaed6ded110a775bd0556d"


def given(recorded: Any) -> Any:
    """A recorded input as a caller of ours gives it."""
    if isinstance(recorded, Mapping):
        if "$bytes_hex" in recorded:
            return bytes.fromhex(recorded["$bytes_hex"])
        return {name: given(value) for name, value in recorded.items()}
    return [given(item) for item in recorded] if isinstance(recorded, list) else recorded


def planned(*missing: tuple[str, int, bool], **more: Any) -> Reply:
    entries = [{"sha256": sha256, "size": size, "present": present} for sha256, size, present in missing]
    known = {"plan_id": "plan_abc", "operation_id": "op_abc", "manifest_digest": "d", "base_release_id": None}
    return Reply.json({**known, "missing_content": entries, "diff": {"resources": {}}, "warnings": [], **more})


def answer(sent: Any, case: Mapping[str, Any]) -> Reply:
    put = next((call for call in case["calls"] if call["method"] == "PUT"), {})
    if sent.url.endswith("/deploy/v2/plans"):
        if case["error"]:
            return Reply.json(case["error"]["body"], 503)
        return planned((NEW, 28, False), (HELD, 6, True))
    if sent.url.endswith("/content/v1/plans"):
        part = {"part_number": 1, "url": put["url"], "byte_start": 0, "byte_end": 27}
        upload = {"sha256": NEW, "mode": "single", "parts": [part], "upload_id": "u_abc"}
        return Reply.json({"plan_id": "cplan_abc", "missing": [upload]})
    if sent.url.endswith("/plan_abc/commit"):
        result = case["result"]
        return Reply.json(
            {"status": "ready", **{name: result[name] for name in ("operation_id", "release_id", "urls")}}
        )
    return Reply.json({})


def recorded_request(call: Mapping[str, Any]) -> tuple[Any, ...]:
    body = call["body"]
    content = __import__("base64").b64decode(body[7:]) if body.startswith("base64:") else body.encode()
    return call["method"], call["url"], {name.lower(): value for name, value in call["headers"].items()}, content


@pytest.mark.parametrize("name", TRACES)
def test_traces(side: Side, name: str) -> None:
    from support.scripted_http import Script

    case = TRACES[name]
    play = side.play(Script(lambda sent: answer(sent, case)), credentials=Known())
    told: list[Any] = []
    options = {WIRE[option]: value for option, value in case["options"].items()}
    if case["error"] is None:
        result = play.do("deploy.apply", given(case["spec"]), on_event=told.append, **options)
        assert result.to_dict() == case["result"]
    else:
        error = play.raises(DeployError, "deploy.apply", given(case["spec"]), on_event=told.append, **options)
        # a coded error keeps its status here (docs/departures.md)
        assert {**error.to_dict(), "status": None} == case["error"]
        assert error.status == 503
    assert [event.to_dict() for event in told if event.type not in OURS] == case["events"]
    sent = [
        (one.method, one.url.removeprefix("https://api.run402.test"), told_of(one.headers), one.content)
        for one in play.script.sent
    ]
    assert sent == [recorded_request(call) for call in case["calls"]]


class Known(RecordingCredentials):
    """The provider of the recorded traces."""

    def get_auth(self, path: str) -> Mapping[str, str] | None:
        return {"SIGN-IN-WITH-X": "siwx"}

    def get_project(self, project_id: str) -> Any:
        from tollkit.run402.credentials import ProjectKeys

        return ProjectKeys(anon_key="anon", service_key="svc")


def told_of(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in ("user-agent", "accept", "accept-encoding")}


@pytest.mark.parametrize("case", VECTORS["plan_bodies"], ids=lambda case: case["name"])
def test_plan_bodies(side: Side, case: Mapping[str, Any]) -> None:
    play = side.play([planned()])
    options = {WIRE[option]: value for option, value in (case["options"] or {}).items()}
    result = play.do("deploy.plan", given(case["spec"]), **options)
    (sent,) = play.script.sent
    assert sent.url == f"https://api.run402.test{case['request_path']}"
    assert sent.text == case["request_body_json"]
    assert len(sent.content) == case["request_body_utf8_bytes"]
    assert (result.plan_id, result.operation_id, result.missing) == ("plan_abc", "op_abc", [])


def case_of(call: str) -> Mapping[str, Any]:
    return CALLS[call]


RELEASE = {
    "kind": "release_inventory", "schema_version": "agent-deploy-observability.v1", "release_id": "rel_1",
    "project_id": "prj_k", "status": "active", "effective": True, "state_kind": "current_live", "site": {"paths": []},
    "functions": [], "secrets": {"keys": []}, "subdomains": {"names": []}, "migrations_applied": [],
    "parent_id": None, "manifest_digest": None, "created_at": None, "created_by": None, "activated_at": None,
    "superseded_at": None, "operation_id": None, "plan_id": None, "events_url": None,
}  # fmt: skip
DIFF = {
    "kind": "release_diff", "schema_version": "agent-deploy-observability.v1", "from_release_id": None,
    "to_release_id": "rel_1", "is_noop": True, "summary": "", "warnings": [],
    "migrations": {"applied_between_releases": []}, "site": {"added": [], "removed": [], "changed": []},
    "functions": {"added": [], "removed": [], "changed": []}, "secrets": {"added": [], "removed": []},
    "subdomains": {"added": [], "removed": []},
}  # fmt: skip


def test_status(side: Side) -> None:
    one = case_of("deploy.status('op_1')")
    assert run_case(side, one, "deploy.status", "op_1").to_dict() == one["result"]
    run_case(side, case_of("deploy.status('op_1',{project})"), "deploy.status", "op_1", project_id="prj_k")


def test_events(side: Side) -> None:
    case = case_of("deploy.events('op_1',{project})")
    assert run_case(side, case, "deploy.events", "op_1", project_id="prj_k") == ()
    bodies = [{"type": "ready", "releaseId": "rel_1", "urls": {}}, {"type": "new.kind", "x": 1}, "no event"]
    told = run_case(side, case, "deploy.events", "op_1", project_id="prj_k", answers=[{"events": bodies}])
    assert [event.to_dict() for event in told] == bodies[:2]
    assert run_case(side, case, "deploy.events", "op_1", project_id="prj_k", answers=[[]]) == ()


def test_resume(side: Side) -> None:
    run_case(side, case_of("deploy.resume('')"), "deploy.resume", "")


def test_commit(side: Side) -> None:
    case = case_of("deploy.commit('plan 1',{project,idempotencyKey:'k'})")
    ready = {"operation_id": "op_1", "status": "ready", "release_id": "rel_1", "urls": {"project": "u"}}
    options = {"project_id": "prj_k", "idempotency_key": "k"}
    result = run_case(side, case, "deploy.commit", "plan 1", answers=[ready], **options)
    assert result.to_dict() == case["result"]


def test_releases(side: Side) -> None:
    one = run_case(side, case_of("deploy.getRelease('rel_1',{project})"), "deploy.get_release", "rel_1",
                   project_id="prj_k", answers=[RELEASE])  # fmt: skip
    assert one.release_id == "rel_1"
    play = side.play([])
    error = play.raises(ValueError, "deploy.get_release", "rel_1", project_id="")
    assert_error(error, case_of("deploy.getRelease('rel_1')")["error"])
    play = side.play([Reply.json(RELEASE), Reply.json(RELEASE)])
    play.do("deploy.get_active_release", project_id="prj_k", site_limit=9)
    play.do("deploy.get_release", "rel_1", project_id="prj_k", site_limit=0)
    assert [sent.url.partition("/v2/")[2] for sent in play.script.sent] == [
        "releases/active?site_limit=9", "releases/rel_1?site_limit=0",
    ]  # fmt: skip


def test_diff(side: Side) -> None:
    case = case_of("deploy.diff({project,from:'empty',to:'rel_/two',limit:9})")
    told = run_case(
        side, case, "deploy.diff", project_id="prj_k", from_="empty", to="rel_/two", limit=9, answers=[DIFF]
    )
    assert told.is_noop
    error = side.play([]).raises(ValueError, "deploy.diff", project_id="", from_="empty", to="active")
    assert_error(error, case_of("deploy.diff({from,to})")["error"])


def test_list(side: Side) -> None:
    play = side.play([Reply.json({"operations": [], "cursor": "c"})] * 2)
    assert play.do("deploy.list", "prj_k").cursor == "c"
    play.do("deploy.list", "prj_k", limit=0)
    assert [sent.url.partition("/v2/")[2] for sent in play.script.sent] == ["operations", "operations?limit=0"]


def test_errors_of_events(side: Side) -> None:
    play = side.play([Reply.json({"code": "operation_not_found"}, 404)])
    error = play.raises(DeployError, "deploy.events", "op_1", project_id="prj_k")
    assert (error.code, error.phase, error.operation_id, error.status) == (
        "OPERATION_NOT_FOUND",
        "events",
        "op_1",
        404,
    )
    play = side.play([Reply.json({}, 401)])
    error = play.raises(Exception, "deploy.events", "op_1", project_id="prj_k")
    assert (error.name, error.operation_id) == ("Unauthorized", "op_1")
    assert play.raises(DeployError, "deploy.events", "1", project_id="prj_k").code == "OPERATION_NOT_FOUND"
