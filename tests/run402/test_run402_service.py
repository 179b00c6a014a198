"""`client.service`: open to everybody."""

from __future__ import annotations

from support.run402 import Side, method_requests, run_case, seen
from support.scripted_http import Reply

CASES = method_requests("c")


def test_status_as_recorded(side: Side) -> None:
    result = run_case(side, CASES["service.status"], "service.status")
    assert result.to_dict() == {}


def test_both_forms_of_status(side: Side) -> None:
    one = {
        "status": "ok",
        "uptime_seconds": 5,
        "deployment": {"version": "1"},
        "capabilities": ["sql"],
        "operator": {"name": "n", "contact": "c"},
    }
    other = {
        "schema_version": "run402-status-v1",
        "current_status": "operational",
        "availability": {"last_24h": {"uptime_pct": 100}},
        "capabilities": {"sql": True},
        "operator": {"legal_name": "n"},
        "links": {},
    }
    play = side.play([Reply.json(one), Reply.json(other)])
    assert play.do("service.status").to_dict() == one
    assert play.do("service.status").to_dict() == other


def test_health(side: Side) -> None:
    body = {"status": "healthy", "checks": {"db": "ok"}, "version": "1.2"}
    play = side.play([Reply.json(body)])
    assert play.do("service.health").to_dict() == body
    assert seen(play.script.sent[0]) == ("GET", "/health", {}, None)


def test_what_is_told_of_a_failure(side: Side) -> None:
    error = side.play([Reply.json({"status": "down"}, 503)], max_retries=0).raises(Exception, "service.health")
    assert error.message == "API error while fetching service health (HTTP 503)"
