"""Functions and secrets at the sandboxed gateway, through the real clients."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from run402_caller import Caller, Side

from tollkit.errors import NotFoundError, PaymentRequiredError
from tollkit.run402.errors import ApiError, Run402Error, Unauthorized
from tollkit.sandbox import Run402Sandbox, Sandbox
from tollkit.sandbox.run402.functions import FunctionAnswer, FunctionRoutes, Invocation
from tollkit.sandbox.run402.gateway import GatewayError, Project

CODE = (
    "export default () => fetch(process.env.SHOP_URL, {key: process.env.API_KEY, at: process.env.RUN402_PROJECT_ID})"
)


@pytest.fixture
def project(run402_sandbox: Run402Sandbox) -> Project:
    return run402_sandbox.seed_project()


@pytest.fixture
def functions(run402_sandbox: Run402Sandbox) -> FunctionRoutes:
    return run402_sandbox.groups.functions


def test_a_function_from_deploy_to_deletion(side: Side, run402_sandbox: Run402Sandbox, project: Project) -> None:
    client = side.client(run402_sandbox, project)
    made = side.do(
        client.functions.deploy(
            project.id,
            name="hello",
            code=CODE,
            config={"timeout": 5, "memory": 256},
            deps=["axios@1.7.0", "@scope/thing", "zod"],
            schedule="*/5 9-17 * 1,6 1-5",
        )
    )
    assert (made.name, made.status, made.runtime, made.timeout, made.memory) == (
        "hello",
        "deployed",
        "node22",
        5,
        256,
    )
    assert made.url == f"{run402_sandbox.api_base}/functions/v1/hello"
    assert made.deps_resolved == {"axios": "1.7.0", "@scope/thing": "0.0.0-sandbox", "zod": "0.0.0-sandbox"}
    assert made.warnings == [
        "MISSING_REQUIRED_SECRET: API_KEY is not set",
        "MISSING_REQUIRED_SECRET: SHOP_URL is not set",
    ]
    side.do(client.secrets.set(project.id, "API_KEY", "k"))
    side.do(client.secrets.set(project.id, "SHOP_URL", "u"))
    again = side.do(client.functions.deploy(project.id, name="hello", code=CODE))
    assert (again.warnings, again.schedule, again.timeout, again.created_at) == (
        [],
        "*/5 9-17 * 1,6 1-5",
        5,
        made.created_at,
    )
    (listed,) = side.do(client.functions.list(project.id)).functions
    assert (listed.name, listed.schedule_meta.run_count, listed.deps_resolved) == ("hello", 0, None)
    changed = side.do(client.functions.update(project.id, "hello", schedule=None, memory=512))
    assert (changed.schedule, changed.schedule_meta, changed.timeout, changed.memory) == (None, None, 5, 512)
    assert side.do(client.functions.update(project.id, "hello")).memory == 512
    assert side.do(client.functions.deploy(project.id, name="hello", code=CODE, schedule=None)).schedule is None
    gone = side.do(client.functions.delete(project.id, "hello"))
    assert (gone.status, gone.name) == ("deleted", "hello")
    for method in (client.functions.delete, client.functions.update, client.functions.logs, client.functions.invoke):
        with pytest.raises(NotFoundError, match="No such function"):
            side.do(method(project.id, "hello"))


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_a_call_is_written_down_and_echoed(
    side: Side, run402_sandbox: Run402Sandbox, project: Project, functions: FunctionRoutes, method: str
) -> None:
    client = side.client(run402_sandbox, project)
    side.do(client.functions.deploy(project.id, name="hello", code="c"))
    told = side.do(
        client.functions.invoke(
            project.id,
            "hello",
            method=method,
            body={"a": 1},
            headers={"X-Own": "yes", "Authorization": "Bearer of-a-user", "Cookie": "c=1"},
        )
    )
    (seen,) = functions.invocations(project.id, "hello")
    assert (seen.method, seen.path, seen.query) == (method, "/functions/v1/hello", "")
    assert seen.headers["x-own"] == "yes"
    assert not {"apikey", "authorization", "cookie"} & set(seen.headers)
    assert told.status == 200
    assert told.headers["x-run402-request-id"].startswith("req_")
    if method in ("GET", "HEAD"):
        assert (seen.body, seen.json) == (b"", None)
    else:
        assert seen.json == {"a": 1}
    if method == "HEAD":
        assert told.content == b""
    else:
        assert (told.body["method"], told.body["headers"]["x-own"]) == (method, "yes")
        assert told.body["body"] == ("" if method == "GET" else {"a": 1})


def test_answers_are_scripted(
    side: Side, run402_sandbox: Run402Sandbox, project: Project, functions: FunctionRoutes
) -> None:
    client = side.client(run402_sandbox, project)
    side.do(client.functions.deploy(project.id, name="hello", code="c"))

    def invoke(**options: Any) -> Any:
        return side.do(client.functions.invoke(project.id, "hello", **options))

    functions.answer_with(project.id, "hello", {"ok": True}, 201, {"X-Kind": "made"})
    told = invoke()
    assert (told.status, told.body, told.headers["x-kind"]) == (201, {"ok": True}, "made")
    functions.answer_with(project.id, "hello", "plain ü")
    assert (invoke().body, invoke().headers["content-type"]) == ("plain ü", "text/plain;charset=UTF-8")
    functions.answer_with(project.id, "hello", b"\x00\xff", headers={"content-type": "image/png"})
    assert (invoke().content, invoke().headers["content-type"]) == (b"\x00\xff", "image/png")
    functions.answer_with(project.id, "hello", {"gone": True}, 204)
    assert (invoke().status, invoke().content) == (204, b"")
    functions.answer_with(project.id, "hello", {"message": "no tea"}, 418)
    with pytest.raises(ApiError, match="no tea") as caught:
        invoke()
    assert caught.value.status == 418
    functions.answer_with(project.id, "hello", {"message": "pay me"}, 402)
    with pytest.raises(PaymentRequiredError, match="pay me"):
        invoke()

    def doubled(call: Invocation) -> Any:
        return FunctionAnswer(body=call.json * 2) if call.json else {"nothing": call.body.decode()}

    functions.run_with(project.id, "hello", doubled)
    assert (invoke(body=21).body, invoke(body="text").body) == (42, {"nothing": "text"})
    functions.run_with(project.id, "hello", lambda call: 1 // 0)
    with pytest.raises(Run402Error, match="The function hello failed") as failed:
        invoke(method="DELETE")
    assert failed.value.code == "FUNCTION_ERROR"
    messages = [line.message for line in side.do(client.functions.logs(project.id, "hello")).logs]
    assert "ZeroDivisionError" in messages[-1]
    functions.run_with(project.id, "hello", None)
    assert invoke(body="text").body["body"] == "text"


def test_the_log_is_told_from_its_end(
    side: Side,
    run402_sandbox: Run402Sandbox,
    tollkit_sandbox: Sandbox,
    project: Project,
    functions: FunctionRoutes,
) -> None:
    client, clock = side.client(run402_sandbox, project), tollkit_sandbox.clock
    side.do(client.functions.deploy(project.id, name="hello", code="c"))
    clock.set(datetime(2026, 4, 1, tzinfo=UTC))
    clock.freeze()
    for number in range(300):
        functions.log(project.id, "hello", f"line {number}")
        clock.advance(1)

    def lines(**options: Any) -> list[str]:
        return [line.message for line in side.do(client.functions.logs(project.id, "hello", **options)).logs]

    assert lines(tail=2) == ["line 298", "line 299"]
    assert len(lines()) == 50
    assert (lines(tail=1000)[0], len(lines(tail=1000))) == ("line 100", 200)
    assert lines(tail=0) == []
    since = datetime(2026, 4, 1, tzinfo=UTC) + timedelta(seconds=297)
    assert lines(since=since) == ["line 297", "line 298", "line 299"]
    assert lines(since=since, tail=1) == ["line 299"]
    assert side.do(client.functions.logs(project.id, "hello", tail=1)).logs[0].timestamp == "2026-04-01T00:04:59.000Z"


def test_a_schedule_is_run_by_a_lever(
    side: Side, run402_sandbox: Run402Sandbox, project: Project, functions: FunctionRoutes
) -> None:
    client = side.client(run402_sandbox, project)
    side.do(client.functions.deploy(project.id, name="hello", code="c", schedule="0 0 * * 0"))
    assert functions.run_schedule(project.id, "hello").status_code == 200
    functions.answer_with(project.id, "hello", status=503)
    functions.run_schedule(project.id, "hello")
    (listed,) = side.do(client.functions.list(project.id)).functions
    meta = listed.schedule_meta
    assert (meta.run_count, meta.last_status, meta.last_error) == (2, 503, "The function answered with 503.")
    assert functions.invocations(project.id)[0].headers == {"x-run402-trigger": "schedule"}
    side.do(client.functions.update(project.id, "hello", schedule=None))
    with pytest.raises(ValueError, match="with a schedule"):
        functions.run_schedule(project.id, "hello")


def test_a_call_that_comes_another_way(
    side: Side, run402_sandbox: Run402Sandbox, project: Project, functions: FunctionRoutes
) -> None:
    call = Invocation(
        project_id=project.id, name="hello", method="GET", path="/api/x", query="a=1", headers={}, body=b"", at=0.0
    )
    with pytest.raises(GatewayError, match="No such function"):
        functions.run(call)
    side.do(side.client(run402_sandbox, project).functions.deploy(project.id, name="hello", code="c"))
    assert json.loads(bytes(functions.run(call).body))["path"] == "/api/x"
    assert functions.invocations(project.id) == [call]


def test_functions_are_the_projects(
    side: Side, caller: Caller, run402_sandbox: Run402Sandbox, project: Project, functions: FunctionRoutes
) -> None:
    other = run402_sandbox.seed_project()
    client = side.client(run402_sandbox, project, other)
    side.do(client.functions.deploy(project.id, name="hello", code="c"))
    with pytest.raises(NotFoundError):
        side.do(client.functions.invoke(other.id, "hello"))
    path = f"/projects/v1/admin/{project.id}/functions"
    assert caller.get(path, key=other.service_key).status_code == 403
    assert caller.get(path, key=project.anon_key).status_code == 403
    assert caller.post("/functions/v1/hello").status_code == 401
    # the publishable key may call it too, with the token of a user beside it
    asked = caller.get("/functions/v1/hello?a=1&a=2", apikey=project.anon_key, key="of-a-user")
    assert (asked.status_code, asked.json()["query"]) == (200, "a=1&a=2")
    run402_sandbox.end_lease(project.id)
    with pytest.raises(PaymentRequiredError):
        side.do(client.functions.invoke(project.id, "hello"))
    assert len(functions.invocations(project.id)) == 1


def test_a_tier_has_room_for_so_many(side: Side, run402_sandbox: Run402Sandbox, project: Project) -> None:
    client = side.client(run402_sandbox, project)
    for number in range(15):
        side.do(client.functions.deploy(project.id, name=f"f{number}", code="c"))
    with pytest.raises(ApiError, match="no room") as caught:
        side.do(client.functions.deploy(project.id, name="more", code="c"))
    assert (caught.value.status, caught.value.code) == (422, "FUNCTION_LIMIT_REACHED")
    side.do(client.functions.deploy(project.id, name="f0", code="changed"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": ""}, "name"),
        ({"code": 5}, "code"),
        ({"config": []}, "config"),
        ({"config": {"timeout": 0}}, "config.timeout"),
        ({"config": {"memory": "128"}}, "config.memory"),
        ({"deps": "axios"}, "deps"),
        ({"deps": ["a"] * 31}, "deps"),
        ({"deps": ["a" * 201]}, "deps"),
        ({"deps": ["@run402/functions@1.0.0"]}, "deps"),
        ({"deps": ["sharp"]}, "deps"),
        ({"deps": ["../x"]}, "deps"),
        ({"schedule": "often"}, "schedule"),
        ({"schedule": "61 * * * *"}, "schedule"),
        ({"schedule": "5-1 * * * *"}, "schedule"),
        ({"schedule": "*/0 * * * *"}, "schedule"),
        ({"schedule": "* * * *"}, "schedule"),
        ({"schedule": 5}, "schedule"),
    ],
)
def test_malformed_functions(caller: Caller, project: Project, change: dict[str, Any], field: str) -> None:
    body = {"name": "hello", "code": "c", **change}
    answer = caller.post(f"/projects/v1/admin/{project.id}/functions", key=project.service_key, json=body)
    assert (answer.status_code, answer.json()["details"]) == (400, {"field": field})


@pytest.mark.parametrize("query", ["tail=-1", "tail=many", "since=1.5", "since=²"])
def test_malformed_queries_of_logs(caller: Caller, project: Project, query: str) -> None:
    key, path = project.service_key, f"/projects/v1/admin/{project.id}/functions"
    caller.post(path, key=key, json={"name": "hello", "code": "c"})
    assert caller.get(f"{path}/hello/logs?{query}", key=key).status_code == 400


def test_secrets_are_set_told_and_deleted(
    side: Side, caller: Caller, run402_sandbox: Run402Sandbox, tollkit_sandbox: Sandbox, project: Project
) -> None:
    client, secrets = side.client(run402_sandbox, project), run402_sandbox.groups.secrets
    side.do(client.secrets.set(project.id, "B_KEY", "first"))
    tollkit_sandbox.clock.advance(60)
    side.do(client.secrets.set(project.id, "B_KEY", "ü" * 2048))
    side.do(client.secrets.set(project.id, "_A", ""))
    listed = side.do(client.secrets.list(project.id)).secrets
    assert [secret.key for secret in listed] == ["B_KEY", "_A"]
    assert listed[0].created_at < listed[0].updated_at
    # over plain HTTP a part of the hash is told, and the value never
    path = f"/projects/v1/admin/{project.id}/secrets"
    told = caller.get(path, key=project.service_key)
    assert told.json()["secrets"][0]["value_hash"] == hashlib.sha256(("ü" * 2048).encode()).hexdigest()[:8]
    assert "ü" not in told.text
    assert secrets.value(project.id, "B_KEY") == "ü" * 2048
    assert secrets.missing(project.id, ["_A", "C"]) == ["C"]
    # the form of the platform's client 1.57
    assert caller.post(f"{path}/OTHER", key=project.service_key, json={"value": "v"}).status_code == 204
    assert secrets.value(project.id, "OTHER") == "v"
    gone = side.do(client.secrets.delete(project.id, "OTHER"))
    assert (gone.status, gone.key) == ("deleted", "OTHER")
    with pytest.raises(NotFoundError):
        side.do(client.secrets.delete(project.id, "OTHER"))
    assert secrets.value(project.id, "OTHER") is None


@pytest.mark.parametrize(
    ("key", "value"),
    [("lower", "v"), ("1A", "v"), ("A" * 129, "v"), ("A\n", "v"), (5, "v"), ("A", "x" * 4097), ("A", 5), ("A", None)],
)
def test_malformed_secrets(caller: Caller, project: Project, key: Any, value: Any) -> None:
    path = f"/projects/v1/admin/{project.id}/secrets"
    assert caller.post(path, key=project.service_key, json={"key": key, "value": value}).status_code == 400
    assert caller.post(path, key=project.service_key, content=b"{").status_code == 400


def test_secrets_are_the_projects(
    side: Side, run402_sandbox: Run402Sandbox, caller: Caller, project: Project
) -> None:
    other = run402_sandbox.seed_project()
    path = f"/projects/v1/admin/{project.id}/secrets"
    assert caller.get(path, key=other.service_key).status_code == 403
    assert caller.post(path, key=project.anon_key, json={"key": "A", "value": "v"}).status_code == 403
    wrong = side.client(run402_sandbox, project)
    run402_sandbox.gateway.delete_project(project.id)
    with pytest.raises(Unauthorized):
        side.do(wrong.secrets.list(project.id))
