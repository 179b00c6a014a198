"""`client.projects` against recorded requests of the platform's client, and beyond them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from support.run402 import RecordingCredentials, Side, method_requests, run_case
from support.scripted_http import Reply, Script
from support.x402_till import Till, payer, settled
from tollkit.errors import ArgumentError, BadRequestError, DecodeError, NotFoundError
from tollkit.run402.credentials import ProjectKeys
from tollkit.run402.errors import (
    ApiError,
    LocalError,
    NetworkError,
    PaymentRequired,
    ProjectNotFound,
    Unauthorized,
    is_retryable_run402_error,
)
from tollkit.secrets import Secret
from tollkit_api.run402.v1_57.models import ExposeManifest

CASES = method_requests("a")
SCHEMA = {
    "schema": "p0001",
    "tables": [
        {
            "name": "t",
            "columns": [{"name": "id", "type": "bigint", "nullable": False, "default_value": None}],
            "constraints": [{"name": "t_pkey", "type": "PRIMARY KEY", "definition": "PRIMARY KEY (id)"}],
            "rls_enabled": True,
            "policies": [{"name": "p", "command": "SELECT", "using_expression": "true", "check_expression": None}],
        }
    ],
}
USAGE = {
    "project_id": "prj_k",
    "tier": "hobby",
    "api_calls": 1,
    "api_calls_limit": 2,
    "storage_bytes": 3,
    "storage_limit_bytes": 4,
    "status": "active",
}
PINNED = {"status": "ok", "project_id": "prj_k"}


def test_provision_sends_an_empty_object_and_keeps_the_keys(side: Side) -> None:
    made = run_case(side, CASES["projects.provision()"], "projects.provision")
    assert made.project_id == "prj_new"
    assert made.anon_key == "a"
    assert "'s'" not in repr(made)


def test_provision_sends_what_is_told(side: Side) -> None:
    play = side.play([Reply.json({"project_id": "p", "anon_key": "a", "service_key": "s"}, 201)])
    play.do("projects.provision", tier="hobby", name="Shop")
    assert play.script.sent[0].text == '{"tier":"hobby","name":"Shop"}'
    assert play.credentials.get_active_project() == "p"
    assert play.credentials.get_project("p") == ProjectKeys("a", "s")


def test_keys_are_not_lost_when_they_cannot_be_kept(side: Side) -> None:
    class Full(RecordingCredentials):
        def save_project(self, project_id: str, keys: ProjectKeys) -> None:
            raise OSError("disk full")

    answer = Reply.json({"project_id": "p", "anon_key": "an-anon-key", "service_key": "a-service-key"})
    play = side.play([answer], credentials=Full())
    error = play.raises(LocalError, "projects.provision")
    assert error.context["result"].service_key == "a-service-key"
    assert isinstance(error.context["result"].service_key, Secret)
    assert error.doing == "provisioning project"
    assert "disk full" in str(error)
    assert "a-service-key" not in repr(error) + str(error) + str(error.context) + str(error.to_dict())
    assert play.credentials.writes == []


def test_nothing_is_kept_when_provisioning_fails(side: Side) -> None:
    play = side.play([Reply.json({"error": "No tier"}, 402)])
    error = play.raises(PaymentRequired, "projects.provision")
    assert error.message == "No tier while provisioning project"
    assert play.credentials.writes == []


def test_provision_without_a_place_to_keep_keys(side: Side) -> None:
    class Bare:
        def get_auth(self, path: str) -> dict[str, str]:
            return {"sign-in-with-x": "SIWX"}

        def get_project(self, project_id: str) -> None:
            return None

    play = side.play([Reply.json({"project_id": "p", "anon_key": "a", "service_key": "s"})] * 2, credentials=Bare())
    assert play.do("projects.provision").project_id == "p"
    assert play.script.sent[0].headers["sign-in-with-x"] == "SIWX"
    assert play.do("projects.active") is None
    play.raises(LocalError, "projects.list")
    play.raises(ProjectNotFound, "projects.use", "p")


def test_delete(side: Side) -> None:
    result = run_case(side, CASES["projects.delete('prj_k')"], "projects.delete", "prj_k", answers=[Reply(204)])
    assert result is None


def test_a_project_that_could_not_be_deleted_stays(side: Side) -> None:
    play = side.play([Reply.json({"message": "No such project"}, 404)])
    error = play.raises(ApiError, "projects.delete", "prj_k")
    assert isinstance(error, NotFoundError)
    assert error.message == "No such project while deleting project (HTTP 404)"
    assert play.credentials.writes == []


def test_list_without_a_wallet(side: Side) -> None:
    run_case(side, CASES["projects.list() without allowance"], "projects.list")


@pytest.mark.parametrize("told", [(), ("0xABCdef0000000000000000000000000000000001",)])
def test_list_lowers_the_wallet(side: Side, told: tuple[str, ...]) -> None:
    wallet = "0xABCdef0000000000000000000000000000000001"
    play = side.play(
        [Reply.json({"wallet": wallet.lower(), "projects": []})], credentials=RecordingCredentials(wallet)
    )
    assert play.do("projects.list", *told).projects == []
    assert play.script.sent[0].url.endswith(f"/wallets/v1/{wallet.lower()}/projects")
    assert "sign-in-with-x" not in play.script.sent[0].headers
    assert play.credentials.reads == ([] if told else ["readAllowance"])


def test_list_refuses_an_empty_wallet(side: Side) -> None:
    error = side.play().raises(ArgumentError, "projects.list", " ")
    assert isinstance(error, LocalError)
    assert error.doing == "listing projects"


@pytest.mark.parametrize(
    ("call", "method", "answer"),
    [
        ("projects.getSchema('prj_k')", "get_schema", SCHEMA),
        ("projects.schema('prj_k')", "schema", SCHEMA),
        ("projects.pin('prj_k')", "pin", PINNED),
    ],
)
def test_calls_that_name_the_project_alone(side: Side, call: str, method: str, answer: Any) -> None:
    result = run_case(side, CASES[call], f"projects.{method}", "prj_k", answers=[answer])
    assert result.to_dict() == answer


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("get_usage", "usage", USAGE),
        ("usage", "usage", USAGE),
        ("get_expose", "expose", {"version": "1", "tables": []}),
    ],
)
def test_what_is_read_of_a_project(side: Side, method: str, path: str, answer: Any) -> None:
    play = side.play([Reply.json(answer)])
    assert play.do(f"projects.{method}", "prj_k").to_dict() == answer
    (sent,) = play.script.sent
    assert (sent.method, sent.url) == ("GET", f"https://api.run402.test/projects/v1/admin/prj_k/{path}")
    assert sent.headers["authorization"] == "Bearer SVC"


def test_sql_with_parameters_goes_as_json(side: Side) -> None:
    case = CASES["projects.sql('prj_k','SELECT $1',[1])"]
    assert run_case(side, case, "projects.sql", "prj_k", "SELECT $1", [1]).rows == []


@pytest.mark.parametrize("params", [[], None])
def test_sql_without_parameters_goes_as_text(side: Side, params: Any) -> None:
    run_case(side, CASES["projects.sql('prj_k','SELECT 1',[])"], "projects.sql", "prj_k", "SELECT 1", params)


@pytest.mark.parametrize(
    ("sql", "params"), [(None, None), ("  ", None), ("SELECT $1", "text"), ("SELECT $1", {"a": 1}), ("x", [object()])]
)
def test_sql_refuses_what_it_cannot_send(side: Side, sql: Any, params: Any) -> None:
    error = side.play().raises(ArgumentError, "projects.sql", "prj_k", sql, params)
    assert error.doing == "running SQL"


def test_a_statement_that_the_database_refuses(side: Side) -> None:
    refusal = {"error": "syntax error", "code": "SQL_ERROR", "details": {"position": 8}}
    play = side.play([Reply.json(refusal, 400)])
    error = play.raises(ApiError, "projects.sql", "prj_k", "SELEC")
    assert isinstance(error, BadRequestError)
    assert (error.code, error.details) == ("SQL_ERROR", {"position": 8})


def test_sql_is_not_sent_twice(side: Side) -> None:
    play = side.play([Reply.json({}, 503)])
    play.raises(ApiError, "projects.sql", "prj_k", "DELETE FROM t")
    assert len(play.script.sent) == 1


def test_rest(side: Side) -> None:
    assert run_case(side, CASES["projects.rest('prj_k','t')"], "projects.rest", "prj_k", "t") == []


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("", "/rest/v1/my%20t"),
        ("id=in.(1,2)&order=id.desc", "/rest/v1/my%20t?id=in.(1,2)&order=id.desc"),
        ({"id": ["gt.1", "lt.9"], "select": "id,name"}, "/rest/v1/my%20t?id=gt.1&id=lt.9&select=id%2Cname"),
    ],
)
def test_rest_with_a_query(side: Side, query: Any, path: str) -> None:
    play = side.play([Reply.json([{"id": 1}])])
    assert play.do("projects.rest", "prj_k", "my t", query) == [{"id": 1}]
    assert play.script.sent[0].url == f"https://api.run402.test{path}"


@pytest.mark.parametrize(("table", "query"), [("t", "a=1#b"), ("t", "a=1\nb"), ("", None), ("..", None)])
def test_rest_refuses_what_would_go_elsewhere(side: Side, table: str, query: str | None) -> None:
    error = side.play().raises(ArgumentError, "projects.rest", "prj_k", table, query)
    assert error.doing == "querying REST"


@pytest.mark.parametrize("kind", [dict, ExposeManifest.from_dict])
def test_apply_expose(side: Side, kind: Any) -> None:
    case = CASES["projects.applyExpose('prj_k',{version:'1',tables:[]})"]
    run_case(side, case, "projects.apply_expose", "prj_k", kind({"version": "1", "tables": []}))


def test_a_mapping_is_sent_as_it_is(side: Side) -> None:
    play = side.play([Reply.json({"applied": {"tables": ["t"], "views": [], "rpcs": []}})])
    result = play.do("projects.apply_expose", "prj_k", {"views": None, "later": [1]})
    assert play.script.sent[0].text == '{"views":null,"later":[1]}'
    assert result.applied.tables == ["t"]


def test_promote_and_demote(side: Side) -> None:
    case = CASES["projects.promoteUser('prj_k','a@b.c')"]
    result = run_case(side, case, "projects.promote_user", "prj_k", "a@b.c", answers=[{"status": "ok"}])
    assert result is None
    play = side.play([Reply(204)])
    assert play.do("projects.demote_user", "prj_k", "a@b.c") is None
    assert play.script.sent[0].url.endswith("/projects/v1/admin/prj_k/demote-user")
    assert play.script.sent[0].text == '{"email":"a@b.c"}'
    assert play.raises(ArgumentError, "projects.promote_user", "prj_k", "").doing == "promoting user"
    assert play.raises(ArgumentError, "projects.demote_user", "prj_k", "").doing == "demoting user"


@pytest.mark.parametrize(("call", "method"), [("projects.getQuote()", "get_quote"), ("projects.quote()", "quote")])
def test_quotes_need_no_credentials(side: Side, call: str, method: str) -> None:
    assert run_case(side, CASES[call], f"projects.{method}").tiers == {}


def test_what_is_kept_of_a_project(side: Side) -> None:
    play = side.play(credentials=RecordingCredentials(site_url="https://x", mailbox_id="mbx_1"))
    info = play.do("projects.info", "prj_k")
    assert (info.project_id, info.anon_key, info.site_url) == ("prj_k", "ANON", "https://x")
    assert info.to_dict() == {
        "project_id": "prj_k",
        "anon_key": "ANON",
        "service_key": "SVC",
        "site_url": "https://x",
        "mailbox_id": "mbx_1",
    }
    assert "SVC" not in repr(info)
    assert play.do("projects.keys", "prj_k").service_key == "SVC"
    assert play.script.sent == []


def test_use_and_active(side: Side) -> None:
    play = side.play()
    assert play.do("projects.active") == "prj_k"
    play.do("projects.use", "prj_k")
    assert play.credentials.writes == [["setActiveProject", "prj_k"]]


def test_use_without_a_place_to_keep_it(side: Side) -> None:
    class Fixed:
        def get_auth(self, path: str) -> None:
            return None

        def get_project(self, project_id: str) -> ProjectKeys:
            return ProjectKeys("a", "s")

    error = side.play(credentials=Fixed()).raises(LocalError, "projects.use", "prj_k")
    assert error.doing == "setting active project"


@pytest.mark.parametrize(
    ("method", "more", "doing"),
    [
        ("delete", (), "deleting project"),
        ("get_usage", (), "fetching usage"),
        ("get_schema", (), "fetching schema"),
        ("sql", ("SELECT 1",), "running SQL"),
        ("rest", ("t",), "querying REST"),
        ("apply_expose", ({},), "applying expose manifest"),
        ("get_expose", (), "getting expose manifest"),
        ("pin", (), "pinning project"),
        ("promote_user", ("a@b.c",), "promoting user"),
        ("demote_user", ("a@b.c",), "demoting user"),
        ("info", (), "fetching project info"),
        ("keys", (), "fetching project keys"),
        ("use", (), "setting active project"),
    ],
)
def test_an_unknown_project(side: Side, method: str, more: tuple[Any, ...], doing: str) -> None:
    play = side.play()
    error = play.raises(ProjectNotFound, f"projects.{method}", "prj_x", *more)
    assert (error.message, error.doing, error.project_id) == ("Project prj_x not found", doing, "prj_x")
    assert play.script.sent == []
    assert play.credentials.writes == []


def test_a_key_that_is_refused(side: Side) -> None:
    play = side.play([Reply.json({"error": "Bearer SVC is not the key"}, 403)])
    error = play.raises(Unauthorized, "projects.pin", "prj_k")
    assert error.message == "Bearer **** is not the key while pinning project (HTTP 403)"


def test_an_answer_that_is_not_what_the_document_says(side: Side) -> None:
    error = side.play([Reply.json({})]).raises(DecodeError, "projects.get_schema", "prj_k")
    assert error.doing == "fetching schema"


def test_no_answer(side: Side) -> None:
    play = side.play([httpx.ConnectError("refused")] * 3, max_retries=0)
    error = play.raises(NetworkError, "projects.get_usage", "prj_k")
    assert error.message.startswith("Network error while fetching usage: ")


@pytest.mark.parametrize("manifest", [None, "{}", [1], 5])
def test_a_manifest_that_is_none(side: Side, manifest: Any) -> None:
    error = side.play().raises(ArgumentError, "projects.apply_expose", "prj_k", manifest)
    assert (error.argument, error.doing) == ("manifest", "applying expose manifest")


@pytest.mark.parametrize("query", [5, ["id"], {"id": None}, {"id": "eq.1", "a": None}])
def test_a_filter_is_never_silently_off(side: Side, query: Any) -> None:
    error = side.play().raises(ArgumentError, "projects.rest", "prj_k", "t", query)
    assert error.argument == "query_params"


MADE = {"project_id": "p", "anon_key": "an-anon-key", "service_key": "a-service-key", "schema_slot": 7}


def test_keys_are_kept_when_something_else_cannot_be_read(side: Side) -> None:
    play = side.play([Reply.json(MADE)])
    error = play.raises(DecodeError, "projects.provision")
    assert play.credentials.get_project("p") == ProjectKeys("an-anon-key", "a-service-key")
    assert play.credentials.get_active_project() == "p"
    assert str(error).startswith("Project p was made and its keys are kept, do not make it again.")
    assert (error.path, error.status) == ("$.schema_slot", 200)
    assert json.loads(str.__str__(error.answer)) == MADE
    assert "a-service-key" not in repr(error) + str(error) + str(vars(error)) + str(error.to_dict())
    assert not is_retryable_run402_error(error)


@pytest.mark.parametrize(
    "answer",
    [{}, {**MADE, "project_id": ""}, {**MADE, "service_key": 5}, {"project_id": "p", "anon_key": "a"}, [MADE]],
)
def test_nothing_is_kept_of_what_names_no_project(side: Side, answer: Any) -> None:
    play = side.play([Reply.json(answer)])
    play.raises(DecodeError, "projects.provision")
    assert play.credentials.writes == []


def test_a_page_in_the_place_of_an_answer(side: Side) -> None:
    error = side.play([Reply(200, {"content-type": "text/html"}, b"<p>\xff")]).raises(
        DecodeError, "projects.provision"
    )
    assert str.__str__(error.answer) == "<p>\ufffd"


def test_keys_that_are_kept_are_not_said_to_be_lost(side: Side) -> None:
    class Fixed(RecordingCredentials):
        def set_active_project(self, project_id: str) -> None:
            raise OSError("read-only")

    play = side.play([Reply.json({**MADE, "schema_slot": "p1"})], credentials=Fixed())
    error = play.raises(LocalError, "projects.provision")
    assert "could not be made the active project: read-only" in error.message
    assert play.credentials.get_project("p") is not None


def test_a_project_that_was_paid_for_is_not_paid_for_again_when_its_keys_are_lost(side: Side) -> None:
    class Full(RecordingCredentials):
        def save_project(self, project_id: str, keys: ProjectKeys) -> None:
            raise OSError("disk full")

    till = Till(then=[settled(MADE), settled({**MADE, "schema_slot": "p1"})])
    play = side.play(Script(till.entry), credentials=Full(), payments=payer())
    for _ in range(2):  # once with an answer that cannot be read whole, once with one that can
        error = play.raises(LocalError, "projects.provision")
        assert error.payment is not None
        assert error.payment.state == "settled"
        assert not is_retryable_run402_error(error)
        assert "context['result']" in error.hint
    assert len(till.payments) == 2
