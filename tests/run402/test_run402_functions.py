"""`client.functions` against recorded requests of the platform's client, and beyond them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from support.run402 import Side, method_requests, run_case
from support.scripted_http import Reply
from tollkit.errors import ArgumentError, NotFoundError, RateLimitError
from tollkit.run402.errors import ApiError, PaymentRequired, ProjectNotFound, Unauthorized
from tollkit_api.run402.v1_57.models import FunctionConfig

CASES = method_requests("a")
SINCE = json.loads((Path(__file__).parent / "data" / "method_requests_a.json").read_text())["function_logs_since"]
DEPLOYED = {
    "name": "f",
    "url": "https://api.run402.com/functions/v1/f",
    "status": "deployed",
    "runtime": "node22",
    "timeout": 5,
    "memory": 128,
    "created_at": "2026-05-01T00:00:00Z",
}
UPDATED = {
    "name": "f",
    "runtime": "node22",
    "timeout": 5,
    "memory": 128,
    "schedule": None,
    "schedule_meta": None,
    "updated_at": "2026-05-01T00:00:00Z",
}


@pytest.mark.parametrize("config", [{"timeout": 5, "memory": 128}, FunctionConfig(timeout=5, memory=128)])
def test_deploy_with_everything(side: Side, config: Any) -> None:
    result = run_case(
        side,
        CASES["functions.deploy(full)"],
        "functions.deploy",
        "prj_k",
        answers=[DEPLOYED],
        name="f",
        code="c",
        config=config,
        deps=["axios"],
        schedule=None,
    )
    assert result.url == DEPLOYED["url"]


def test_deploy_with_little(side: Side) -> None:
    run_case(
        side, CASES["functions.deploy(min)"], "functions.deploy", "prj_k", answers=[DEPLOYED], name="f", code="c"
    )


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"code": None}, {"deps": "axios"}, {"config": {"timeout": object()}}]
)
def test_deploy_refuses_what_it_cannot_send(side: Side, wrong: dict[str, Any]) -> None:
    error = side.play().raises(ArgumentError, "functions.deploy", "prj_k", **{"name": "f", "code": "c", **wrong})
    assert error.doing == "deploying function"


def test_invoke(side: Side) -> None:
    result = run_case(side, CASES["functions.invoke('f')"], "functions.invoke", "prj_k", "f", answers=[{"ok": 1}])
    assert (result.status, result.body) == (200, {"ok": 1})
    assert result.duration_ms >= 0


def test_invoke_with_get_has_no_body(side: Side) -> None:
    case = CASES["functions.invoke('f',{method:'GET',body:{a:1}})"]
    run_case(side, case, "functions.invoke", "prj_k", "f", answers=[{"ok": 1}], method="GET", body={"a": 1})


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "patch"])
def test_every_method_that_can_have_a_body(side: Side, method: str) -> None:
    play = side.play([Reply.json(None)])
    assert play.do("functions.invoke", "prj_k", "f", method=method, body={"a": "é"}).body is None
    (sent,) = play.script.sent
    assert (sent.method, sent.text) == (method.upper(), '{"a":"é"}')
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["apikey"] == "SVC"
    assert "authorization" not in sent.headers
    assert "sign-in-with-x" not in sent.headers


@pytest.mark.parametrize(
    ("body", "headers", "content", "kind"),
    [
        ("a=1", None, b"a=1", "text/plain;charset=UTF-8"),
        ("a=1", {"content-type": "application/x-www-form-urlencoded"}, b"a=1", "application/x-www-form-urlencoded"),
        ("", None, b"", "text/plain;charset=UTF-8"),
        (b"\x00\xff", None, b"\x00\xff", None),
        (b"\x00", {"Content-Type": "image/png"}, b"\x00", "image/png"),
        ([], None, b"[]", "application/json"),
        (0, None, b"0", "application/json"),
        (None, None, None, None),
    ],
)
def test_bodies(side: Side, body: Any, headers: Any, content: bytes | None, kind: str | None) -> None:
    play = side.play([Reply(200)])
    play.do("functions.invoke", "prj_k", "f", body=body, headers=headers)
    assert play.script.sent[0].content == content
    assert play.script.sent[0].headers.get("content-type") == kind


def test_header_fields_of_the_caller_win(side: Side) -> None:
    play = side.play([Reply(200), Reply(200)])
    play.do("functions.invoke", "prj_k", "f", headers={"X-Mine": "1", "APIKEY": "other"})
    play.do("functions.invoke", "prj_k", "f", headers={"X-Mine": "1", "Authorization": "Bearer user"})
    first, second = play.script.sent
    assert (first.headers["x-mine"], first.headers["apikey"]) == ("1", "other")
    assert (second.headers["authorization"], second.headers["apikey"]) == ("Bearer user", "SVC")


@pytest.mark.parametrize(
    ("reply", "body"),
    [
        (Reply(200, {"content-type": "text/html"}, b"<p>"), "<p>"),
        (Reply(204), ""),
        (Reply(207, {"content-type": "application/json; charset=utf-8"}, b"[1]"), [1]),
        (Reply(200, {"content-type": "application/json"}, b"[1"), None),
        (Reply(200, {"content-type": "application/problem+json"}, b"[1]"), "[1]"),
        (Reply(200, {"content-type": "image/png", "x-a": "b"}, b"\x89PNG"), "�PNG"),
    ],
)
def test_answers_of_any_kind(side: Side, reply: Reply, body: Any) -> None:
    result = side.play([reply]).do("functions.invoke", "prj_k", "f")
    assert (result.status, result.body, result.content) == (reply.status_code, body, reply.content)
    assert result.headers == reply.headers


@pytest.mark.parametrize(
    ("status", "kind"), [(400, ApiError), (401, Unauthorized), (402, PaymentRequired), (429, RateLimitError)]
)
def test_a_function_that_answers_with_an_error(side: Side, status: int, kind: type[Exception]) -> None:
    error = side.play([Reply.json({"mine": [1]}, status)]).raises(kind, "functions.invoke", "prj_k", "f")
    assert (error.status, error.body, error.doing) == (status, {"mine": [1]}, "invoking function")


def test_a_call_is_not_repeated_unless_it_changes_nothing(side: Side, naps: list[float]) -> None:
    play = side.play([Reply(503), Reply(503), Reply(200)])
    play.raises(ApiError, "functions.invoke", "prj_k", "f", body={})
    assert play.do("functions.invoke", "prj_k", "f", method="GET").status == 200
    assert len(naps) == 1


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("", {}),
        ("..", {}),
        ("f", {"method": "TRACE"}),
        ("f", {"body": object()}),
        ("f", {"body": "\ud800"}),
        ("f", {"headers": {"X-A": 1}}),
        ("f", {"headers": {"X-A": "é"}}),
        ("f", {"headers": {"X A": "b"}}),
        ("f", {"headers": {"X-A": "b\r\nX-B: c"}}),
        ("f", {"headers": ["X-A"]}),
    ],
)
def test_invoke_refuses_what_it_cannot_send(side: Side, name: str, more: dict[str, Any]) -> None:
    error = side.play().raises(ArgumentError, "functions.invoke", "prj_k", name, **more)
    assert error.doing == "invoking function"


@pytest.mark.parametrize("since", ["2026-04-01T00:00:00.000Z", date(2026, 4, 1), datetime(2026, 4, 1, tzinfo=UTC)])
def test_logs(side: Side, since: Any) -> None:
    case = CASES["functions.logs('f',{tail:25,since:'2026-04-01T00:00:00.000Z'})"]
    assert run_case(side, case, "functions.logs", "prj_k", "f", tail=25, since=since).logs == []


@pytest.mark.parametrize("case", SINCE, ids=lambda case: case["since"])
def test_since_as_recorded(side: Side, case: dict[str, Any]) -> None:
    play = side.play([Reply.json({"logs": []})])
    play.do("functions.logs", "prj_k", "my fn", tail=25, since=case["since"])
    assert play.script.sent[0].url == f"https://api.run402.test{case['path']}"


@pytest.mark.parametrize("since", [None, ""])
def test_logs_as_they_are(side: Side, since: Any) -> None:
    lines = [{"timestamp": "2026-04-01T00:00:00.000Z", "message": "hello"}]
    play = side.play([Reply.json({"logs": lines})])
    assert play.do("functions.logs", "prj_k", "f", since=since).logs[0].message == "hello"
    assert play.script.sent[0].url.endswith("/logs?tail=50")


@pytest.mark.parametrize("wrong", [{"since": "yesterday"}, {"since": datetime(2026, 4, 1)}, {"tail": -1}])
def test_logs_refuses_a_time_that_is_none(side: Side, wrong: dict[str, Any]) -> None:
    error = side.play().raises(ArgumentError, "functions.logs", "prj_k", "f", **wrong)
    assert error.doing == "fetching function logs"


def test_list(side: Side) -> None:
    summary = {key: value for key, value in DEPLOYED.items() if key != "status"} | {"updated_at": "2026-05-02"}
    play = side.play([Reply.json({"functions": [summary]})])
    assert [found.name for found in play.do("functions.list", "prj_k").functions] == ["f"]
    assert play.script.sent[0].url.endswith("/projects/v1/admin/prj_k/functions")


def test_delete(side: Side) -> None:
    play = side.play([Reply.json({"status": "deleted", "name": "my fn"}), Reply.json({}, 404)])
    assert play.do("functions.delete", "prj_k", "my fn").status == "deleted"
    assert (play.script.sent[0].method, play.script.sent[0].url[-13:]) == ("DELETE", "tions/my%20fn")
    error = play.raises(NotFoundError, "functions.delete", "prj_k", "my fn")
    assert error.message == "API error while deleting function (HTTP 404)"


def test_update_of_nothing(side: Side) -> None:
    run_case(side, CASES["functions.update({})"], "functions.update", "prj_k", "f", answers=[UPDATED])


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({"schedule": None}, '{"schedule":null}'),
        ({"schedule": "0 * * * *", "timeout": 9}, '{"schedule":"0 * * * *","config":{"timeout":9}}'),
        ({"memory": 256}, '{"config":{"memory":256}}'),
    ],
)
def test_update(side: Side, changes: dict[str, Any], body: str) -> None:
    play = side.play([Reply.json(UPDATED)])
    assert play.do("functions.update", "prj_k", "f", **changes).memory == 128
    assert play.script.sent[0].text == body


def test_update_refuses_what_is_no_number(side: Side) -> None:
    error = side.play().raises(ArgumentError, "functions.update", "prj_k", "f", timeout="9")
    assert error.doing == "updating function"


@pytest.mark.parametrize(
    ("method", "args", "more", "doing"),
    [
        ("deploy", (), {"name": "f", "code": "c"}, "deploying function"),
        ("invoke", ("f",), {}, "invoking function"),
        ("logs", ("f",), {}, "fetching function logs"),
        ("list", (), {}, "listing functions"),
        ("delete", ("f",), {}, "deleting function"),
        ("update", ("f",), {}, "updating function"),
    ],
)
def test_an_unknown_project(side: Side, method: str, args: Any, more: Any, doing: str) -> None:
    play = side.play()
    assert play.raises(ProjectNotFound, f"functions.{method}", "prj_x", *args, **more).doing == doing
    assert play.script.sent == []


@pytest.mark.parametrize("config", [5, [1], "x", {1: 2}])
def test_a_configuration_that_is_none(side: Side, config: Any) -> None:
    error = side.play().raises(ArgumentError, "functions.deploy", "prj_k", name="f", code="", config=config)
    assert (error.argument, error.doing) == ("config", "deploying function")
