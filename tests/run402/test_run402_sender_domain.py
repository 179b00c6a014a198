"""`client.sender_domain` against recorded requests of the platform's client, and beyond them."""

from __future__ import annotations

from typing import Any

import pytest

from support.run402 import Side, method_requests, run_case
from support.scripted_http import Reply
from tollkit.errors import ArgumentError
from tollkit.run402.errors import ApiError, LocalError, ProjectNotFound

CASES = method_requests("b")
CALLS = [
    ("register", ("ex.com",), "registering sender domain"),
    ("status", (), "checking sender domain status"),
    ("remove", (), "removing sender domain"),
    ("enable_inbound", ("ex.com",), "enabling inbound email"),
    ("disable_inbound", ("ex.com",), "disabling inbound email"),
]


def test_status(side: Side) -> None:
    answer = {"domain": "ex.com", "status": "verified", "verified_at": "t"}
    found = run_case(side, CASES["senderDomain.status"], "sender_domain.status", "prj_k", answers=[answer])
    assert found.to_dict() == answer


def test_status_of_a_project_without(side: Side) -> None:
    assert side.play([Reply.json({"domain": None})]).do("sender_domain.status", "prj_k").domain is None


def test_remove(side: Side) -> None:
    assert run_case(side, CASES["senderDomain.remove"], "sender_domain.remove", "prj_k") is None


@pytest.mark.parametrize("method", ["disable_inbound", "inbound_disable"])
def test_disable_inbound_sends_a_body_with_delete(side: Side, method: str) -> None:
    case = CASES["senderDomain.disableInbound"]
    found = run_case(side, case, f"sender_domain.{method}", "prj_k", "ex.com", answers=[{"status": "disabled"}])
    assert found.status == "disabled"


def test_register(side: Side) -> None:
    record = {"type": "TXT", "name": "_dkim", "value": "v=DKIM1"}
    answer = {"domain": "ex.com", "status": "pending", "dns_records": [record], "instructions": "do"}
    play = side.play([Reply.json(answer, 201)])
    assert play.do("sender_domain.register", "prj_k", "ex.com").to_dict() == answer
    (sent,) = play.script.sent
    assert (sent.method, sent.url, sent.text) == (
        "POST",
        "https://api.run402.test/email/v1/domains",
        '{"domain":"ex.com"}',
    )
    assert sent.headers["authorization"] == "Bearer SVC"
    assert "sign-in-with-x" not in sent.headers


@pytest.mark.parametrize("method", ["enable_inbound", "inbound_enable"])
def test_enable_inbound(side: Side, method: str) -> None:
    play = side.play([Reply.json({"status": "pending", "mx_record": "10 mx"})])
    assert play.do(f"sender_domain.{method}", "prj_k", "ex.com").mx_record == "10 mx"
    (sent,) = play.script.sent
    assert (sent.method, sent.url, sent.text) == (
        "POST",
        "https://api.run402.test/email/v1/domains/inbound",
        '{"domain":"ex.com"}',
    )


@pytest.mark.parametrize(("method", "args", "doing"), CALLS)
def test_an_unknown_project(side: Side, method: str, args: Any, doing: str) -> None:
    assert side.play().raises(ProjectNotFound, f"sender_domain.{method}", "prj_x", *args).doing == doing


@pytest.mark.parametrize(("method", "args", "doing"), CALLS)
def test_what_the_gateway_refuses(side: Side, method: str, args: Any, doing: str) -> None:
    play = side.play([Reply.json({"message": "no"}, 422)])
    error = play.raises(ApiError, f"sender_domain.{method}", "prj_k", *args)
    assert (error.message, error.doing) == (f"no while {doing} (HTTP 422)", doing)


@pytest.mark.parametrize(("method", "args", "doing"), [call for call in CALLS if call[1]])
@pytest.mark.parametrize("domain", ["", " ", None, 5])
def test_a_domain_must_be_told(side: Side, method: str, args: Any, doing: str, domain: Any) -> None:
    error = side.play().raises(LocalError, f"sender_domain.{method}", "prj_k", domain)
    assert isinstance(error, ArgumentError)
    assert (error.argument, error.doing) == ("domain", doing)
