"""Databases and end users."""

from __future__ import annotations

from typing import Any

import httpx
from run402_answers import Cases
from run402_caller import Caller

TABLE = "create table items (id serial primary key, title text, owner uuid)"
READABLE = {"name": "items", "expose": True, "policy": "public_read_authenticated_write"}
MANIFEST: dict[str, Any] = {
    "version": "1",
    "tables": [READABLE],
    "views": [{"name": "titles", "base": "items", "select": ["title"]}],
    "rpcs": [],
}


def admin(at: Caller, method: str, tail: str, *, keyed: bool = True, **options: Any) -> httpx.Response:
    project = at.sandbox.seed_project()
    at.sandbox.groups.data.run(project.id, TABLE)
    at.sandbox.groups.end_users.sign_in(project.id, "ada@example.com")
    key = project.service_key if keyed else None
    return at.send(method, f"/projects/v1/admin/{project.id}/{tail}", key=key, **options)


def anon(at: Caller, method: str, path: str, **options: Any) -> httpx.Response:
    project = at.sandbox.seed_project()
    at.sandbox.groups.data.run(project.id, f"{TABLE}; insert into items (title) values ('a'), ('b')")
    at.sandbox.groups.data.apply(project.id, MANIFEST)
    return at.send(method, path, apikey=project.anon_key, **options)


def verified(at: Caller) -> httpx.Response:
    body = {"email": "ada@example.com", "redirect_url": "https://shop.example/"}
    assert anon(at, "POST", "/auth/v1/magic-link", json=body).status_code == 200
    (sent,) = at.sandbox.groups.end_users.outbox()
    key = at.sandbox.project(sent.project_id).anon_key
    return at.post("/auth/v1/token?grant_type=magic_link", apikey=key, key=key, json={"token": sent.token})


def password(at: Caller, *, allowed: bool) -> httpx.Response:
    project = at.sandbox.seed_project()
    token = at.sandbox.groups.end_users.sign_in(project.id, "ada@example.com")["access_token"]
    body = {"allow_password_set": allowed}
    keys = {"apikey": project.anon_key, "key": project.service_key}
    assert at.send("PATCH", "/auth/v1/settings", json=body, **keys).status_code == 200
    return at.send(
        "PUT", "/auth/v1/user/password", apikey=project.anon_key, key=token, json={"new_password": "secret"}
    )


def settings(at: Caller, body: object) -> httpx.Response:
    project = at.sandbox.seed_project()
    return at.send("PATCH", "/auth/v1/settings", apikey=project.anon_key, key=project.service_key, json=body)


CASES: Cases = {
    "projectsSql": [
        (200, lambda at: admin(at, "POST", "sql", content="select * from items")),
        (200, lambda at: admin(at, "POST", "sql", json={"sql": "select $1::int as n", "params": [1]})),
        (400, lambda at: admin(at, "POST", "sql", content="selec 1")),
        (401, lambda at: admin(at, "POST", "sql", content="select 1", keyed=False)),
        (403, lambda at: admin(at, "POST", "sql", content="create role x")),
    ],
    "projectsGetSchema": [
        (200, lambda at: admin(at, "GET", "schema")),
        (401, lambda at: admin(at, "GET", "schema", keyed=False)),
    ],
    "projectsApplyExpose": [
        (200, lambda at: admin(at, "POST", "expose", json=MANIFEST)),
        (400, lambda at: admin(at, "POST", "expose", json={"tables": [{"name": "nothing", "expose": True}]})),
        (401, lambda at: admin(at, "POST", "expose", json=MANIFEST, keyed=False)),
    ],
    "projectsGetExpose": [
        (200, lambda at: admin(at, "GET", "expose")),
        (401, lambda at: admin(at, "GET", "expose", keyed=False)),
    ],
    "projectsRest": [
        (200, lambda at: anon(at, "GET", "/rest/v1/items?select=id,title&title=eq.a")),
        (206, lambda at: anon(at, "GET", "/rest/v1/titles?limit=1", headers={"prefer": "count=exact"})),
        (400, lambda at: anon(at, "GET", "/rest/v1/items?title=a")),
        (401, lambda at: at.get("/rest/v1/items")),
        (404, lambda at: anon(at, "GET", "/rest/v1/nothing")),
    ],
    "projectsPromoteUser": [
        (200, lambda at: admin(at, "POST", "promote-user", json={"email": "ada@example.com"})),
        (404, lambda at: admin(at, "POST", "promote-user", json={"email": "bob@example.com"})),
    ],
    "projectsDemoteUser": [
        (200, lambda at: admin(at, "POST", "demote-user", json={"email": "ada@example.com"})),
        (401, lambda at: admin(at, "POST", "demote-user", json={"email": "ada@example.com"}, keyed=False)),
    ],
    "authRequestMagicLink": [
        (400, lambda at: anon(at, "POST", "/auth/v1/magic-link", json={"email": "ada"})),
        (
            200,
            lambda at: anon(
                at,
                "POST",
                "/auth/v1/magic-link",
                json={"email": "ada@example.com", "redirect_url": "https://shop.example/"},
            ),
        ),
    ],
    "authVerifyMagicLink": [
        (200, verified),
        (401, lambda at: anon(at, "POST", "/auth/v1/token?grant_type=magic_link", json={"token": "no"})),
    ],
    "authSetUserPassword": [
        (200, lambda at: password(at, allowed=True)),
        (403, lambda at: password(at, allowed=False)),
        (401, lambda at: anon(at, "PUT", "/auth/v1/user/password", json={"new_password": "x"})),
    ],
    "authSettings": [
        (200, lambda at: settings(at, {"allow_password_set": True})),
        (400, lambda at: settings(at, {"allow_password_set": "yes"})),
    ],
    "authProviders": [
        (200, lambda at: anon(at, "GET", "/auth/v1/providers")),
        (401, lambda at: at.get("/auth/v1/providers")),
    ],
}
