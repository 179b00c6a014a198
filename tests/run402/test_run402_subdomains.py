"""`client.subdomains` against recorded requests of the platform's client, and beyond them."""

from __future__ import annotations

from typing import Any

import pytest

from support.run402 import Side, method_requests, run_case
from support.scripted_http import Reply
from tollkit.errors import ArgumentError, ConflictError
from tollkit.run402.credentials import MemoryCredentials
from tollkit.run402.errors import LocalError, ProjectNotFound

CASES = method_requests("a")
CLAIMED = {
    "name": "x",
    "deployment_id": "dpl",
    "url": "https://x.run402.com",
    "deployment_url": "https://dpl.run402.com",
    "project_id": None,
    "created_at": "2026-05-01",
    "updated_at": "2026-05-01",
}
DELETED = {"name": "a b", "deployment_id": "dpl", "project_id": "prj_k", "deleted_at": "2026-05-01"}


@pytest.mark.parametrize(
    ("call", "more"),
    [
        ("subdomains.claim('x','dpl',{projectId})", {"project_id": "prj_k"}),
        ("subdomains.claim('x','dpl') active", {}),
        ("subdomains.claim('x','dpl') active", {"project_id": ""}),
    ],
)
def test_claim(side: Side, call: str, more: Any) -> None:
    result = run_case(side, CASES[call], "subdomains.claim", "x", "dpl", answers=[CLAIMED], **more)
    assert result.url == "https://x.run402.com"
    assert result.project_id is None


def test_delete(side: Side) -> None:
    case = CASES["subdomains.delete('a b',{projectId})"]
    result = run_case(side, case, "subdomains.delete", "a b", answers=[DELETED], project_id="prj_k")
    assert result.deleted_at == "2026-05-01"


def test_delete_of_the_active_project(side: Side) -> None:
    play = side.play([Reply.json(DELETED)])
    assert play.do("subdomains.delete", "a b").deployment_id == "dpl"
    assert play.credentials.reads == ["getActiveProject", "getProject:prj_k"]


def test_list(side: Side) -> None:
    answer = {"subdomains": [CLAIMED]}
    (found,) = run_case(side, CASES["subdomains.list"], "subdomains.list", "prj_k", answers=[answer])
    assert found.name == "x"


def test_list_of_nothing(side: Side) -> None:
    assert side.play([Reply.json({})]).do("subdomains.list", "prj_k") == []


@pytest.mark.parametrize(
    ("method", "args", "doing"),
    [("claim", ("x", "dpl"), "claiming subdomain"), ("delete", ("x",), "deleting subdomain")],
)
def test_no_project(side: Side, method: str, args: Any, doing: str) -> None:
    play = side.play(credentials=MemoryCredentials())
    error = play.raises(LocalError, f"subdomains.{method}", *args)
    assert isinstance(error, ArgumentError)
    assert error.doing == doing
    assert play.script.sent == []


@pytest.mark.parametrize(
    ("method", "args", "doing"),
    [
        ("claim", ("", "dpl"), "claiming subdomain"),
        ("claim", ("x", ""), "claiming subdomain"),
        ("delete", ("..",), "deleting subdomain"),
    ],
)
def test_names_that_are_none(side: Side, method: str, args: Any, doing: str) -> None:
    assert side.play().raises(ArgumentError, f"subdomains.{method}", *args).doing == doing


def test_a_name_of_somebody_else(side: Side) -> None:
    play = side.play([Reply.json({"error": "taken"}, 409)])
    error = play.raises(ConflictError, "subdomains.claim", "x", "dpl")
    assert error.message == "taken while claiming subdomain (HTTP 409)"
    assert error.hint == "Somebody else has it."


@pytest.mark.parametrize(
    ("method", "args", "more", "doing"),
    [
        ("claim", ("x", "dpl"), {"project_id": "prj_x"}, "claiming subdomain"),
        ("delete", ("x",), {"project_id": "prj_x"}, "deleting subdomain"),
        ("list", ("prj_x",), {}, "listing subdomains"),
    ],
)
def test_an_unknown_project(side: Side, method: str, args: Any, more: Any, doing: str) -> None:
    play = side.play()
    assert play.raises(ProjectNotFound, f"subdomains.{method}", *args, **more).doing == doing
    assert play.script.sent == []
