"""`client.domains` against recorded requests of the platform's client, and beyond them."""

from __future__ import annotations

from typing import Any

import pytest

from support.run402 import Side, method_requests, run_case
from support.scripted_http import Reply
from tollkit.errors import ArgumentError, ConflictError, NotFoundError
from tollkit.run402.errors import ProjectNotFound

CASES = method_requests("a")
DOMAIN = {
    "domain": "ex.com",
    "subdomain_name": "app",
    "url": "https://ex.com",
    "subdomain_url": "https://app.run402.com",
    "status": "pending",
    "dns_instructions": {"cname_target": "edge.run402.com"},
    "created_at": "2026-05-01",
}
REMOVED = {"status": "removed", "domain": "ex.com"}


def test_add(side: Side) -> None:
    result = run_case(side, CASES["domains.add"], "domains.add", "prj_k", "ex.com", "app", answers=[DOMAIN])
    assert result.dns_instructions.cname_target == "edge.run402.com"


def test_status(side: Side) -> None:
    result = run_case(side, CASES["domains.status"], "domains.status", "prj_k", "ex.com", answers=[DOMAIN])
    assert result.status == "pending"


def test_list(side: Side) -> None:
    summary = {key: value for key, value in DOMAIN.items() if key != "dns_instructions"}
    play = side.play([Reply.json({"domains": [summary]})])
    assert [found.domain for found in play.do("domains.list", "prj_k").domains] == ["ex.com"]
    (sent,) = play.script.sent
    assert (sent.method, sent.url) == ("GET", "https://api.run402.test/domains/v1")
    assert sent.headers["authorization"] == "Bearer SVC"


@pytest.mark.parametrize(
    ("call", "more"),
    [
        ("domains.remove('ex.com')", {}),
        ("domains.remove('ex.com')", {"project_id": ""}),
        ("domains.remove('ex.com',{projectId})", {"project_id": "prj_k"}),
    ],
)
def test_remove_with_the_key_or_the_wallet(side: Side, call: str, more: Any) -> None:
    assert run_case(side, CASES[call], "domains.remove", "ex.com", answers=[REMOVED], **more).status == "removed"


@pytest.mark.parametrize(
    ("method", "args", "doing"),
    [
        ("add", ("prj_k", "", "app"), "registering custom domain"),
        ("add", ("prj_k", "ex.com", None), "registering custom domain"),
        ("status", ("prj_k", ""), "checking domain status"),
        ("remove", ("..",), "removing custom domain"),
    ],
)
def test_what_is_no_domain(side: Side, method: str, args: Any, doing: str) -> None:
    assert side.play().raises(ArgumentError, f"domains.{method}", *args).doing == doing


def test_refusals(side: Side) -> None:
    play = side.play([Reply.json({"message": "taken"}, 409), Reply.json({}, 404)])
    error = play.raises(ConflictError, "domains.add", "prj_k", "ex.com", "app")
    assert error.message == "taken while registering custom domain (HTTP 409)"
    play.raises(NotFoundError, "domains.remove", "ex.com")


@pytest.mark.parametrize(
    ("method", "args", "more", "doing"),
    [
        ("add", ("prj_x", "ex.com", "app"), {}, "registering custom domain"),
        ("list", ("prj_x",), {}, "listing custom domains"),
        ("status", ("prj_x", "ex.com"), {}, "checking domain status"),
        ("remove", ("ex.com",), {"project_id": "prj_x"}, "removing custom domain"),
    ],
)
def test_an_unknown_project(side: Side, method: str, args: Any, more: Any, doing: str) -> None:
    play = side.play()
    assert play.raises(ProjectNotFound, f"domains.{method}", *args, **more).doing == doing
    assert play.script.sent == []
