"""`client.secrets` against recorded requests of the platform's client, and beyond them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.run402 import Side, method_requests, run_case
from support.scripted_http import Reply
from tollkit.errors import ArgumentError
from tollkit.run402.errors import ApiError, ProjectNotFound

CASES = method_requests("a")
LISTS = json.loads((Path(__file__).parent / "data" / "method_requests_a.json").read_text())["secret_list"]


def test_set_sends_key_and_value_in_the_body(side: Side) -> None:
    play = side.play([Reply(204)])
    assert play.do("secrets.set", "prj_k", "API_KEY", "geheim-é") is None
    (sent,) = play.script.sent
    assert (sent.method, sent.url) == ("POST", "https://api.run402.test/projects/v1/admin/prj_k/secrets")
    assert sent.text == '{"key":"API_KEY","value":"geheim-é"}'
    assert sent.headers["authorization"] == "Bearer SVC"


@pytest.mark.parametrize("key", ["bad-key", "", "1A", "a", "A" * 129, "A\n", None])
def test_bad_keys(side: Side, key: Any) -> None:
    error = run_case(side, CASES["secrets.set bad key"], "secrets.set", "prj_k", key, "geheim")
    assert isinstance(error, ArgumentError)
    assert "geheim" not in str(error)


@pytest.mark.parametrize("value", ["x" * 4097, "é" * 2049, None])
def test_bad_values(side: Side, value: Any) -> None:
    error = run_case(side, CASES["secrets.set too long"], "secrets.set", "prj_k", "A", value)
    assert isinstance(error, ArgumentError)


@pytest.mark.parametrize("value", ["x" * 4096, "é" * 2048, ""])
def test_values_at_the_limit(side: Side, value: str) -> None:
    play = side.play([Reply.json({"status": "ok"})])
    play.do("secrets.set", "prj_k", "_" + "A" * 127, value)
    assert json.loads(play.script.sent[0].text)["value"] == value


@pytest.mark.parametrize("case", LISTS, ids=lambda case: json.dumps(case["wire"]))
def test_lists_as_recorded(side: Side, case: dict[str, Any]) -> None:
    play = side.play([Reply.json(case["wire"])])
    assert play.do("secrets.list", "prj_k").to_dict() == case["result"]


@pytest.mark.parametrize("wrapped", [True, False])
def test_list_tells_names_and_times_alone(side: Side, wrapped: bool) -> None:
    items = [{"key": "A", "created_at": "2026-05-01", "updated_at": "2026-05-02", "value_hash": "abc123"}]
    play = side.play([Reply.json({"secrets": items} if wrapped else items)])
    found = play.do("secrets.list", "prj_k")
    assert found.to_dict() == {"secrets": [{"key": "A", "created_at": "2026-05-01", "updated_at": "2026-05-02"}]}


def test_delete_takes_any_key(side: Side) -> None:
    case = CASES["secrets.delete('my key')"]
    answer = {"status": "deleted", "key": "my key"}
    assert run_case(side, case, "secrets.delete", "prj_k", "my key", answers=[answer]).status == "deleted"


def test_delete_refuses_no_key(side: Side) -> None:
    assert side.play().raises(ArgumentError, "secrets.delete", "prj_k", "").doing == "deleting secret"


def test_an_error_does_not_show_the_value(side: Side) -> None:
    play = side.play([Reply.json({"error": "no"}, 400)])
    error = play.raises(ApiError, "secrets.set", "prj_k", "A", "geheim-123")
    assert "geheim" not in repr(error) + str(error) + str(error.to_dict())


@pytest.mark.parametrize(
    ("method", "args", "doing"),
    [("set", ("A", "v"), "setting secret"), ("list", (), "listing secrets"), ("delete", ("A",), "deleting secret")],
)
def test_an_unknown_project(side: Side, method: str, args: Any, doing: str) -> None:
    play = side.play()
    assert play.raises(ProjectNotFound, f"secrets.{method}", "prj_x", *args).doing == doing
    assert play.script.sent == []
