"""End users of a project at the sandboxed gateway, through the real clients."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from run402_caller import Caller, Side

from tollkit.run402.errors import ApiError, Unauthorized
from tollkit.sandbox import Run402Sandbox

ADA = "ada@example.com"


def test_a_magic_link_signs_in_once(side: Side, run402_sandbox: Run402Sandbox) -> None:
    project = run402_sandbox.seed_project()
    client = side.client(run402_sandbox, project)
    side.do(client.auth.request_magic_link(project.id, email=ADA, redirect_url="https://shop.example/in?a=1"))
    (sent,) = run402_sandbox.groups.end_users.outbox(project.id, ADA)
    assert parse_qs(urlsplit(sent.link).query) == {"a": ["1"], "token": [sent.token]}

    session = side.do(client.auth.verify_magic_link(project.id, sent.token))
    assert (session.token_type, session.expires_in, session.user.email) == ("bearer", 3_600, ADA)
    with pytest.raises(Unauthorized, match="used"):
        side.do(client.auth.verify_magic_link(project.id, sent.token))


def test_a_link_is_of_one_project_and_ends(side: Side, run402_sandbox: Run402Sandbox) -> None:
    mine, other = run402_sandbox.seed_project(), run402_sandbox.seed_project()
    client = side.client(run402_sandbox, mine, other)
    side.do(client.auth.request_magic_link(mine.id, email=ADA, redirect_url="https://shop.example/"))
    (sent,) = run402_sandbox.groups.end_users.outbox()
    with pytest.raises(Unauthorized):
        side.do(client.auth.verify_magic_link(other.id, sent.token))
    run402_sandbox.clock.advance(900)
    with pytest.raises(Unauthorized):
        side.do(client.auth.verify_magic_link(mine.id, sent.token))


def test_a_password_is_set_and_changed(side: Side, caller: Caller, run402_sandbox: Run402Sandbox) -> None:
    project = run402_sandbox.seed_project()
    client = side.client(run402_sandbox, project)
    token = run402_sandbox.groups.end_users.sign_in(project.id, ADA)["access_token"]
    with pytest.raises(Unauthorized, match="does not let"):
        side.do(client.auth.set_user_password(project.id, access_token=token, new_password="one"))

    side.do(client.auth.settings(project.id, allow_password_set=True))
    told = side.do(client.auth.providers(project.id))
    assert told.providers == [{"id": "magic_link", "enabled": True}, {"id": "password", "enabled": True}]
    side.do(client.auth.set_user_password(project.id, access_token=token, new_password="one"))
    with pytest.raises(Unauthorized, match="current password"):
        side.do(client.auth.set_user_password(project.id, access_token=token, new_password="two"))
    side.do(client.auth.set_user_password(project.id, access_token=token, new_password="two", current_password="one"))

    assert _grant(caller, project.anon_key, "password", email=ADA, password="one").status_code == 401
    session = _grant(caller, project.anon_key, "password", email=ADA, password="two").json()
    renewed = _grant(caller, project.anon_key, "refresh_token", refresh_token=session["refresh_token"])
    assert renewed.json()["user"] == session["user"]
    again = _grant(caller, project.anon_key, "refresh_token", refresh_token=session["refresh_token"])
    assert (again.status_code, again.json()["code"]) == (401, "INVALID_TOKEN")


def test_users_are_promoted_and_demoted(side: Side, caller: Caller, run402_sandbox: Run402Sandbox) -> None:
    project = run402_sandbox.seed_project()
    client = side.client(run402_sandbox, project)
    with pytest.raises(ApiError, match="no user") as caught:
        side.do(client.auth.promote(project.id, ADA))
    assert caught.value.status == 404
    token = run402_sandbox.groups.end_users.sign_in(project.id, ADA)["access_token"]
    for call, expected in ((client.auth.promote, True), (client.auth.demote, False)):
        side.do(call(project.id, ADA.upper()))
        told = caller.get("/auth/v1/user", apikey=project.anon_key, key=token).json()
        assert (told["email"], told["is_admin"]) == (ADA, expected)


def test_what_is_no_session_is_refused(caller: Caller, run402_sandbox: Run402Sandbox) -> None:
    project, other = run402_sandbox.seed_project(), run402_sandbox.seed_project()
    users = run402_sandbox.groups.end_users
    token = users.sign_in(project.id, ADA)["access_token"]
    head, _, signature = token.rpartition(".")
    spoilt = f"{head}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    for bad in ("x", "a.b.c", "ä.ö", spoilt, project.anon_key, users.sign_in(other.id, ADA)["access_token"]):
        answer = caller.get(
            "/auth/v1/user", apikey=project.anon_key, headers={"authorization": f"Bearer {bad}".encode()}
        )
        assert answer.status_code == 401, bad
    assert caller.get("/auth/v1/user", apikey=project.anon_key, key=token).status_code == 200
    run402_sandbox.clock.advance(3_600)
    assert caller.get("/auth/v1/user", apikey=project.anon_key, key=token).status_code == 401
    run402_sandbox.reset()
    assert users.outbox() == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/auth/v1/magic-link", {"email": "ada", "redirect_url": "https://shop.example/"}),
        ("/auth/v1/magic-link", {"email": ADA, "redirect_url": "javascript:alert(1)"}),
        ("/auth/v1/magic-link", {"email": ADA}),
        ("/auth/v1/token?grant_type=magic_link", {}),
        ("/auth/v1/token?grant_type=nothing", {"token": "x"}),
        ("/auth/v1/token", {"token": "x"}),
    ],
)
def test_bad_bodies_are_refused(caller: Caller, run402_sandbox: Run402Sandbox, path: str, body: object) -> None:
    project = run402_sandbox.seed_project()
    assert caller.post(path, apikey=project.anon_key, json=body).status_code == 400
    assert caller.post(path, json=body).status_code == 401


def test_settings_want_the_keys_of_one_project(caller: Caller, run402_sandbox: Run402Sandbox) -> None:
    project, other = run402_sandbox.seed_project(), run402_sandbox.seed_project()
    body = {"allow_password_set": True}
    keys = {"key": project.service_key, "apikey": other.anon_key}
    assert caller.send("PATCH", "/auth/v1/settings", json=body, **keys).status_code == 403
    assert caller.send("PATCH", "/auth/v1/settings", json=body, key=project.anon_key).status_code == 403
    assert caller.send("PATCH", "/auth/v1/settings", json={}, key=project.service_key).status_code == 400


def _grant(caller: Caller, anon_key: str, grant: str, **body: str) -> httpx.Response:
    return caller.post(f"/auth/v1/token?grant_type={grant}", apikey=anon_key, json=body)
