"""`client.auth` against recorded requests of the platform's client, and beyond them."""

from __future__ import annotations

from typing import Any

import pytest

from support.run402 import Side, method_requests, run_case
from support.scripted_http import Reply
from tollkit.errors import ArgumentError
from tollkit.run402.errors import ApiError, LocalError, ProjectNotFound, Unauthorized
from tollkit.secrets import Secret

CASES = method_requests("b")
LINK = {"email": "a@b.c", "redirect_url": "https://cb"}
PASSWORD = {"access_token": "JWT", "new_password": "n"}
CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("request_magic_link", (), LINK, "requesting magic link"),
    ("verify_magic_link", ("t",), {}, "verifying magic link"),
    ("set_user_password", (), PASSWORD, "setting user password"),
    ("settings", (), {"allow_password_set": True}, "updating auth settings"),
    ("providers", (), {}, "listing auth providers"),
    ("promote", ("a@b.c",), {}, "promoting user"),
    ("demote", ("a@b.c",), {}, "demoting user"),
]


@pytest.mark.parametrize("method", ["request_magic_link", "magic_link"])
def test_request_magic_link(side: Side, method: str) -> None:
    assert run_case(side, CASES["auth.magicLink"], f"auth.{method}", "prj_k", **LINK) is None


@pytest.mark.parametrize("method", ["verify_magic_link", "verify"])
def test_verify_magic_link(side: Side, method: str) -> None:
    user = {"id": "u1", "email": "a@b.c"}
    answer = {"access_token": "A1", "refresh_token": "R1", "token_type": "bearer", "expires_in": 3600, "user": user}
    play = side.play([Reply.json(answer)])
    session = play.do(f"auth.{method}", "prj_k", "T1")
    assert session.to_dict() == answer
    assert "A1" not in repr(session)
    assert "R1" not in repr(session)
    (sent,) = play.script.sent
    assert (sent.method, sent.url) == ("POST", "https://api.run402.test/auth/v1/token?grant_type=magic_link")
    assert sent.text == '{"token":"T1"}'
    assert (sent.headers["apikey"], sent.headers["authorization"]) == ("ANON", "Bearer ANON")
    assert "sign-in-with-x" not in sent.headers


def test_a_spent_token(side: Side) -> None:
    play = side.play([Reply.json({"error": "T1 was used"}, 401)])
    assert play.raises(Unauthorized, "auth.verify", "prj_k", "T1").doing == "verifying magic link"


@pytest.mark.parametrize("method", ["set_user_password", "set_password"])
def test_set_user_password(side: Side, method: str) -> None:
    case = CASES["auth.setUserPassword"]
    assert run_case(side, case, f"auth.{method}", "prj_k", **PASSWORD, current_password="o") is None


@pytest.mark.parametrize("current", [None, ""])
def test_set_user_password_without_current(side: Side, current: Any) -> None:
    case = CASES["auth.setUserPassword without current"]
    run_case(side, case, "auth.set_user_password", "prj_k", **PASSWORD, current_password=current)


def test_set_user_password_takes_what_a_session_has(side: Side) -> None:
    play = side.play([Reply(204)])
    play.do("auth.set_user_password", "prj_k", access_token=Secret("JWT"), new_password=Secret("a b é"))
    assert play.script.sent[0].text == '{"new_password":"a b é"}'
    assert play.script.sent[0].headers["authorization"] == "Bearer JWT"


def test_settings_send_both_keys(side: Side) -> None:
    play = side.play([Reply(204)])
    assert play.do("auth.settings", "prj_k", allow_password_set=False) is None
    (sent,) = play.script.sent
    assert (sent.method, sent.url) == ("PATCH", "https://api.run402.test/auth/v1/settings")
    assert sent.text == '{"allow_password_set":false}'
    assert (sent.headers["apikey"], sent.headers["authorization"]) == ("ANON", "Bearer SVC")
    assert "sign-in-with-x" not in sent.headers


def test_settings_refuse_what_is_no_flag_before_keys_are_asked_for(side: Side) -> None:
    run_case(side, CASES["auth.settings(null)"], "auth.settings", "prj_k", allow_password_set=None)


def test_providers(side: Side) -> None:
    found = run_case(side, CASES["auth.providers"], "auth.providers", "prj_k")
    assert found.providers == []


@pytest.mark.parametrize(
    ("call", "method"),
    [
        ("auth.promoteUser", "auth.promote_user"),
        ("auth.promoteUser", "auth.promote"),
        ("auth.demote", "auth.demote"),
        ("auth.demoteUser", "auth.demote_user"),
    ],
)
def test_promote_and_demote(side: Side, call: str, method: str) -> None:
    assert run_case(side, CASES[call], method, "prj_k", "a@b.c") is None


@pytest.mark.parametrize(("method", "args", "told", "doing"), CALLS)
def test_an_unknown_project(side: Side, method: str, args: Any, told: Any, doing: str) -> None:
    assert side.play().raises(ProjectNotFound, f"auth.{method}", "prj_x", *args, **told).doing == doing


@pytest.mark.parametrize(("method", "args", "told", "doing"), CALLS)
def test_what_the_gateway_refuses(side: Side, method: str, args: Any, told: Any, doing: str) -> None:
    play = side.play([Reply.json({"message": "no"}, 422)])
    error = play.raises(ApiError, f"auth.{method}", "prj_k", *args, **told)
    assert (error.message, error.doing) == (f"no while {doing} (HTTP 422)", doing)


@pytest.mark.parametrize(
    ("method", "args", "told", "argument"),
    [
        ("request_magic_link", (), {**LINK, "email": ""}, "email"),
        ("request_magic_link", (), {**LINK, "redirect_url": None}, "redirect_url"),
        ("verify_magic_link", ("hunter2 hunter2",), {}, "token"),
        ("verify_magic_link", (None,), {}, "token"),
        ("set_user_password", (), {**PASSWORD, "access_token": "hunter2\n"}, "access_token"),
        ("set_user_password", (), {**PASSWORD, "access_token": ""}, "access_token"),
        ("set_user_password", (), {**PASSWORD, "new_password": ""}, "new_password"),
        ("set_user_password", (), {**PASSWORD, "current_password": 5}, "current_password"),
        ("settings", (), {"allow_password_set": 1}, "allow_password_set"),
        ("promote", ("",), {}, "email"),
        ("demote", (5,), {}, "email"),
    ],
)
def test_unusable_arguments(side: Side, method: str, args: Any, told: Any, argument: str) -> None:
    play = side.play()
    error = play.raises(LocalError, f"auth.{method}", "prj_k", *args, **told)
    assert isinstance(error, ArgumentError)
    assert error.argument == argument
    assert error.doing == next(call[3] for call in CALLS if call[0] == method)
    assert "hunter2" not in str(error)
