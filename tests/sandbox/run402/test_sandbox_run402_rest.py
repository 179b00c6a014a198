"""REST over tables and views at the sandboxed gateway: PostgREST's queries, writes, and the policies."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from run402_caller import Caller, Side

from tollkit.errors import NotFoundError
from tollkit.run402.errors import ApiError
from tollkit.sandbox import Run402Sandbox
from tollkit.sandbox.run402.gateway import Project

TABLES = """
create table notes (id serial primary key, owner uuid, body text not null, stars int, done boolean default false,
                    made_at timestamptz not null default now(), meta jsonb, tags text[]);
create table codes (code text primary key, note int references notes(id));
insert into notes (body, stars, done, made_at, meta, tags) values
    ('alpha', 3, true, '2026-01-01T00:00:00Z', '{"kind": "a", "n": [1, 2]}', '{x,y}'),
    ('beta', 1, false, '2026-01-02T00:00:00.5Z', '{"kind": "b"}', '{y}'),
    ('Gamma, "g"', null, false, '2026-01-03T00:00:00Z', null, null);
"""
OPEN = {"name": "notes", "expose": True, "policy": "public_read_write_UNRESTRICTED"}
UNRESTRICTED = {**OPEN, "i_understand_this_is_unrestricted": True}
OWNED = {"name": "notes", "expose": True, "policy": "user_owns_rows", "owner_column": "owner"}
PUBLIC = {"name": "notes", "expose": True, "policy": "public_read_authenticated_write"}
WHOLE = {"prefer": "return=representation"}


class Shop:
    """A project with tables, and its callers."""

    def __init__(self, caller: Caller, *tables: dict[str, Any], **manifest: Any) -> None:
        self.caller = caller
        self.sandbox = caller.sandbox
        self.project: Project = caller.sandbox.seed_project()
        self.data = caller.sandbox.groups.data
        self.data.run(self.project.id, TABLES)
        if tables or manifest:
            self.data.apply(self.project.id, {"version": "1", "tables": list(tables), **manifest})

    def user(self, name: str) -> tuple[str, str]:
        """The id and the token of an end user."""
        session = self.sandbox.groups.end_users.sign_in(self.project.id, f"{name}@example.com")
        return session["user"]["id"], session["access_token"]

    def send(self, method: str, path: str, token: str | None = None, **options: Any) -> httpx.Response:
        return self.caller.send(method, f"/rest/v1/{path}", apikey=self.project.anon_key, key=token, **options)

    def ids(self, query: str, token: str | None = None) -> list[int]:
        answer = self.send("GET", f"notes?select=id&{query}", token)
        assert answer.status_code == 200, answer.text
        return [row["id"] for row in answer.json()]


def test_rows_come_as_the_real_gateway_gives_them(side: Side, caller: Caller, run402_sandbox: Run402Sandbox) -> None:
    shop = Shop(caller, UNRESTRICTED)
    client = side.client(run402_sandbox, shop.project)
    rows = side.do(client.projects.rest(shop.project.id, "notes", {"select": "id,body", "id": "lt.3"}))
    assert rows == [{"id": 1, "body": "alpha"}, {"id": 2, "body": "beta"}]
    (row,) = side.do(client.projects.rest(shop.project.id, "notes", "id=eq.2"))
    assert row == {
        "id": 2,
        "owner": None,
        "body": "beta",
        "stars": 1,
        "done": False,
        "made_at": "2026-01-02T00:00:00.5+00:00",
        "meta": {"kind": "b"},
        "tags": ["y"],
    }
    plain = shop.send("GET", "notes?select=id&limit=2")
    headers = (plain.headers["content-range"], plain.headers["cache-control"], plain.headers["content-type"])
    assert headers == ("0-1/*", "private, no-store", "application/json; charset=utf-8")


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("id=eq.1", [1]),
        ("id=neq.1", [2, 3]),
        ("id=gt.1&id=lte.2", [2]),
        ("id=gte.2&id=lt.3", [2]),
        ("body=like.*a", [1, 2]),
        ("body=like.g*", []),
        ("body=ilike.g*", [3]),
        ("body=match.^al", [1]),
        ("body=imatch.^AL", [1]),
        ("id=in.(1,3)", [1, 3]),
        ('body=in.("Gamma, \\"g\\"",beta)', [2, 3]),
        ("stars=is.null", [3]),
        ("stars=not.is.null", [1, 2]),
        ("done=is.true", [1]),
        ("done=eq.false", [2, 3]),
        ("id=not.in.(1,2)", [3]),
        ("not.or=(id.eq.1,id.eq.2)", [3]),
        ("or=(id.eq.1,and(stars.eq.1,body.eq.beta))", [1, 2]),
        ("and=(id.gt.1,id.not.eq.3)", [2]),
        ("made_at=gte.2026-01-02", [2, 3]),
        ("made_at=eq.2026-01-01T01:00:00%2B01:00", [1]),
        ("meta->>kind=eq.b", [2]),
        ("meta->n->>1=eq.2", [1]),
        ("meta->n=eq.[1,2]", [1]),
        ("tags=cs.{x}", [1]),
        ("order=stars.desc", [3, 1, 2]),
        ("order=stars", [2, 1, 3]),
        ("order=stars.desc.nullslast,id.asc", [1, 2, 3]),
        ("order=stars.asc.nullsfirst", [3, 2, 1]),
        ("order=id.desc&limit=1&offset=1", [2]),
        ("offset=9", []),
    ],
)
def test_filters_and_order(caller: Caller, query: str, ids: list[int]) -> None:
    assert Shop(caller, UNRESTRICTED).ids(query) == ids


def test_select_names_casts_and_looks_into_json(caller: Caller) -> None:
    shop = Shop(caller, UNRESTRICTED)
    query = "notes?select=title:body,id::text,meta->n->0,k:meta->>kind,meta->kind&id=eq.1"
    assert shop.send("GET", query).json() == [{"title": "alpha", "id": "1", "0": 1, "k": "a", "kind": "a"}]


def test_ranges_and_counts(caller: Caller) -> None:
    shop = Shop(caller, UNRESTRICTED)
    exact = {"prefer": "count=exact"}
    part = shop.send("GET", "notes?select=id&order=id", headers={**exact, "range": "1-1", "range-unit": "items"})
    assert (part.status_code, part.headers["content-range"], part.json()) == (206, "1-1/3", [{"id": 2}])
    whole = shop.send("GET", "notes?select=id", headers=exact)
    assert (whole.status_code, whole.headers["content-range"]) == (200, "0-2/3")
    none = shop.send("GET", "notes?id=eq.9", headers=exact)
    assert (none.status_code, none.headers["content-range"]) == (200, "*/0")
    beyond = shop.send("GET", "notes?offset=3", headers=exact)
    assert (beyond.status_code, beyond.json()["code"]) == (416, "PGRST103")
    assert shop.send("GET", "notes", headers={"range": "2-1"}).status_code == 416
    assert shop.ids("limit=1") == [1]
    head = shop.send("HEAD", "notes?limit=2")
    assert (head.status_code, head.headers["content-range"], head.content) == (200, "0-1/*", b"")
    one = shop.send("GET", "notes?select=id&id=eq.3", headers={"accept": "application/vnd.pgrst.object+json"})
    assert one.json() == {"id": 3}
    several = shop.send("GET", "notes", headers={"accept": "application/vnd.pgrst.object+json"})
    assert (several.status_code, several.json()["code"]) == (406, "PGRST116")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("nothing", 404, "PGRST205"),
        ("notes?nothing=eq.1", 400, "42703"),
        ("notes?select=nothing", 400, "42703"),
        ("notes?select=id,codes(code)", 400, "PGRST200"),
        ("notes?id=1", 400, "PGRST100"),
        ("notes?id=foo.1", 400, "PGRST100"),
        ("notes?id=eq.one", 400, "22P02"),
        ("notes?done=eq.maybe", 400, "22P02"),
        ("notes?or=id.eq.1", 400, "PGRST100"),
        ("notes?or=(id)", 400, "PGRST100"),
        ("notes?limit=-1", 400, "PGRST100"),
        ("notes?body=match.(", 400, "2201B"),
        ("notes?select=id::nothing", 400, "42704"),
        ('notes?order="', 400, "42703"),
        ("notes?order=id;drop table notes", 400, "42703"),
        ("notes?meta->>'x=eq.1", 200, None),
        ("sqlite_master", 404, "PGRST205"),
        ("rpc/nothing", 404, "PGRST202"),
    ],
)
def test_bad_queries_are_refused(caller: Caller, path: str, status: int, code: str | None) -> None:
    answer = Shop(caller, UNRESTRICTED).send("GET", path)
    assert answer.status_code == status, answer.text
    if code:
        assert answer.json()["code"] == code


def test_writes(caller: Caller) -> None:
    shop = Shop(caller, UNRESTRICTED)
    made = shop.send("POST", "notes?select=id,body,tags", json={"body": "new", "tags": ["a", "b"]}, headers=WHOLE)
    assert (made.status_code, made.json()) == (201, [{"id": 4, "body": "new", "tags": ["a", "b"]}])
    quiet = shop.send("POST", "notes", json=[{"body": "x"}, {"body": "y", "meta": {"a": [1]}}])
    assert (quiet.status_code, quiet.content) == (201, b"")
    changed = shop.send("PATCH", "notes?id=eq.4&select=id,done", json={"done": True}, headers=WHOLE)
    assert (changed.status_code, changed.json()) == (200, [{"id": 4, "done": True}])
    assert shop.send("PATCH", "notes?id=eq.4", json={"stars": 9}).status_code == 204
    gone = shop.send("DELETE", "notes?id=gt.3&select=id", headers=WHOLE)
    assert gone.json() == [{"id": 4}, {"id": 5}, {"id": 6}]
    assert shop.send("DELETE", "notes?id=eq.1").status_code == 204
    assert shop.ids("order=id") == [2, 3]


def test_upserts(caller: Caller) -> None:
    shop = Shop(caller, UNRESTRICTED)
    merge = {"prefer": "resolution=merge-duplicates, return=representation"}
    rows = shop.send("POST", "notes?select=id,body", json=[{"id": 1, "body": "again"}], headers=merge)
    assert rows.json() == [{"id": 1, "body": "again"}]
    ignore = {"prefer": "resolution=ignore-duplicates,return=representation"}
    kept = shop.send("POST", "notes?on_conflict=id", json={"id": 2, "body": "again"}, headers=ignore)
    assert (kept.status_code, kept.json()) == (201, [])
    assert shop.ids("body=eq.again") == [1]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "notes", {"id": 1, "body": "x"}, 409, "23505"),
        ("POST", "notes", {"stars": 1}, 400, "23502"),
        ("POST", "notes", {"body": "x", "nothing": 1}, 400, "PGRST204"),
        ("POST", "notes", {"body": "x", "stars": "many"}, 400, "22P02"),
        ("POST", "notes", ["x"], 400, "PGRST102"),
        ("POST", "codes", {"code": "a", "note": 99}, 409, "23503"),
        ("PATCH", "notes?id=eq.1", {"made_at": "yesterday?"}, 400, "22007"),
        ("PATCH", "notes?id=eq.1", ["x"], 400, "VALIDATION_ERROR"),
        ("POST", "short", {"id": 9}, 400, "55000"),
    ],
)
def test_bad_writes_change_nothing(
    caller: Caller, method: str, path: str, body: object, status: int, code: str
) -> None:
    codes = {**UNRESTRICTED, "name": "codes"}
    shop = Shop(caller, UNRESTRICTED, codes, views=[{"name": "short", "base": "notes", "select": ["id"]}])
    answer = shop.send(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert shop.ids("stars=is.null") == [3]


# -------------------------------------------------------------------- who may


def test_what_is_not_listed_is_not_there(side: Side, caller: Caller, run402_sandbox: Run402Sandbox) -> None:
    shop = Shop(caller)
    client = side.client(run402_sandbox, shop.project)
    with pytest.raises(ApiError, match="schema cache") as caught:
        side.do(client.projects.rest(shop.project.id, "notes"))
    assert isinstance(caught.value, NotFoundError)
    shop.data.apply(shop.project.id, {"tables": [{"name": "notes", "expose": False}]})
    _, token = shop.user("ada")
    assert shop.send("GET", "notes", token).status_code == 404
    assert shop.send("GET", "notes", shop.project.service_key).status_code == 200
    admin = caller.get("/admin/v1/rest/notes?select=id", apikey=shop.project.service_key)
    assert admin.json() == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert caller.get("/admin/v1/rest/notes", apikey=shop.project.anon_key).status_code == 403


def test_users_own_rows(caller: Caller) -> None:
    shop = Shop(caller, OWNED)
    ada, hers = shop.user("ada")
    bob, his = shop.user("bob")
    anon = shop.send("GET", "notes")
    assert (anon.status_code, anon.json()["code"]) == (401, "42501")
    assert shop.send("POST", "notes", json={"body": "x"}).status_code == 401

    assert shop.send("POST", "notes", hers, json={"body": "mine", "owner": ada}).status_code == 201
    for owner in (bob, None):
        stolen = shop.send("POST", "notes", hers, json={"body": "not mine", "owner": owner})
        assert (stolen.status_code, stolen.json()["message"]) == (
            403,
            'new row violates row-level security policy for table "notes"',
        )
    assert shop.ids("", hers) == [4]
    assert shop.ids("", his) == []
    assert shop.send("PATCH", "notes?id=eq.4", his, json={"body": "x"}, headers=WHOLE).json() == []
    assert shop.send("DELETE", "notes", his, headers=WHOLE).json() == []
    assert shop.send("PATCH", "notes?id=eq.4", hers, json={"owner": bob}).status_code == 403
    assert shop.send("DELETE", "notes", hers, headers=WHOLE).json()[0]["body"] == "mine"
    assert shop.ids("", shop.project.service_key) == [1, 2, 3]


def test_the_owner_is_set_on_insert(caller: Caller) -> None:
    shop = Shop(caller, {**OWNED, "force_owner_on_insert": True})
    ada, hers = shop.user("ada")
    bob, _ = shop.user("bob")
    rows = shop.send("POST", "notes", hers, json={"body": "mine", "owner": bob}, headers=WHOLE).json()
    assert rows[0]["owner"] == ada


def test_everybody_reads_and_users_write(caller: Caller) -> None:
    shop = Shop(caller, PUBLIC)
    _, hers = shop.user("ada")
    assert shop.ids("") == [1, 2, 3]
    for method in ("POST", "PATCH", "DELETE"):
        refused = shop.send(method, "notes", json={"body": "x"})
        assert (refused.status_code, refused.json()["message"]) == (401, "permission denied for table notes")
    assert shop.send("PATCH", "notes?id=eq.1", hers, json={"body": "x"}, headers=WHOLE).json()[0]["body"] == "x"
    assert shop.send("POST", "notes", hers, json={"body": "y"}).status_code == 201
    assert shop.send("DELETE", "notes?id=eq.2", hers).status_code == 204


def test_policies_of_ones_own(caller: Caller) -> None:
    custom = """
        create policy read on notes for select using (done or owner = auth.uid());
        create policy add on notes for insert to authenticated with check (auth.role() = 'authenticated');
        create policy never on notes as restrictive for select using (stars is not null);
    """
    shop = Shop(caller, {"name": "notes", "expose": True, "policy": "custom", "custom_sql": custom})
    ada, hers = shop.user("ada")
    assert shop.ids("") == [1]
    assert shop.send("POST", "notes", json={"body": "x"}).status_code == 401
    assert shop.send("POST", "notes", hers, json={"body": "x", "owner": ada, "stars": 2}).status_code == 201
    assert shop.ids("", hers) == [1, 5]  # a refused row takes its number with it, as in Postgres
    assert shop.send("DELETE", "notes", hers, headers=WHOLE).json() == []


def test_views_have_the_rights_of_the_caller(caller: Caller) -> None:
    view = {"name": "bodies", "base": "notes", "select": ["id", "body"], "filter": "stars is null"}
    shop = Shop(caller, OWNED, views=[view, {**view, "name": "hidden", "expose": False}])
    ada, hers = shop.user("ada")
    for stars in (None, 1):
        shop.send("POST", "notes", hers, json={"body": "mine", "owner": ada, "stars": stars})
    assert shop.send("GET", "bodies", hers).json() == [{"id": 4, "body": "mine"}]
    assert shop.send("GET", "bodies").status_code == 401
    assert shop.send("GET", "hidden", hers).status_code == 404
    assert [row["id"] for row in shop.send("GET", "bodies", shop.project.service_key).json()] == [3, 4]


def test_a_renamed_table_stays_exposed(caller: Caller) -> None:
    owned = {**OWNED, "force_owner_on_insert": True}
    view = {"name": "bodies", "base": "notes", "select": ["body"]}
    shop = Shop(caller, owned, views=[view])
    ada, hers = shop.user("ada")
    shop.data.run(shop.project.id, "alter table notes rename to pages")
    made = shop.send("POST", "pages?select=body,owner", hers, json={"body": "mine"}, headers=WHOLE)
    assert (made.status_code, made.json()) == (201, [{"body": "mine", "owner": ada}])
    assert [row["body"] for row in shop.send("GET", "pages", hers).json()] == ["mine"]
    assert shop.send("GET", "bodies", hers).json() == [{"body": "mine"}]
    assert (shop.send("GET", "pages").status_code, shop.send("GET", "notes", hers).status_code) == (401, 404)
    shop.data.apply(shop.project.id, {"version": "1", "tables": [{**PUBLIC, "name": "pages"}]})
    assert len(shop.send("GET", "pages").json()) == 4
    assert [*shop.data.database(shop.project.id).policies_of("pages")] == [
        "run402_public_read_authenticated_write_read",
        "run402_public_read_authenticated_write_write",
    ]


def test_generated_columns_and_scales_in_writes(caller: Caller) -> None:
    shop = Shop(caller)
    key = shop.project.service_key
    shop.data.run(
        shop.project.id,
        "create table sums (id serial primary key, n numeric(6, 2), twice float8 generated always as (n * 2) stored)",
    )
    made = shop.send("POST", "sums", key, json={"n": "1.005"}, headers=WHOLE)
    assert made.json() == [{"id": 1, "n": 1.01, "twice": 2.02}]
    assert shop.send("GET", "sums?twice=gt.2", key).json() == made.json()
    for method in ("POST", "PATCH"):
        refused = shop.send(method, "sums", key, json={"twice": 1})
        assert (refused.status_code, refused.json()["code"]) == (400, "428C9")


def test_a_view_without_its_table_is_not_there(caller: Caller) -> None:
    shop = Shop(caller, views=[{"name": "labels", "base": "codes", "select": ["code"]}])
    shop.data.run(shop.project.id, "drop table codes")
    for token in (None, shop.project.service_key):
        for method in ("GET", "POST"):
            answer = shop.send(method, "labels", token, json={})
            assert (answer.status_code, answer.json()["code"]) == (404, "PGRST205")


def test_functions_of_the_database(caller: Caller) -> None:
    shop = Shop(caller)
    shop.data.run(
        shop.project.id,
        """
        create function add(a int, b int) returns int language sql as $$ select a + b $$;
        create function starred(least int) returns setof notes as 'select id, body from notes where stars >= least'
            language sql;
        create function who() returns uuid language sql as $$ select auth.uid() $$;
        create function later() returns int language plpgsql as $$ begin return 1; end $$;
        """,
    )
    rpcs = [
        {"name": "add", "signature": "(int, int)", "grant_to": ["anon"]},
        {"name": "starred", "signature": "(int)", "grant_to": ["anon", "authenticated"]},
        {"name": "who", "signature": "()", "grant_to": ["authenticated"]},
        {"name": "later", "signature": "()", "grant_to": ["anon"]},
    ]
    shop.data.apply(shop.project.id, {"rpcs": rpcs})
    ada, hers = shop.user("ada")
    assert shop.send("POST", "rpc/add", json={"a": 1, "b": 2}).json() == 3
    assert shop.send("GET", "rpc/starred?least=2").json() == [{"id": 1, "body": "alpha"}]
    assert shop.send("POST", "rpc/who", hers).json() == ada
    assert shop.send("POST", "rpc/who").status_code == 401
    assert shop.send("POST", "rpc/add", hers, json={"a": 1, "b": 2}).status_code == 403
    assert shop.send("POST", "rpc/add", json={"a": 1}).status_code == 404
    assert shop.send("POST", "rpc/add", json={"a": 1, "b": "x"}).json()["code"] == "22P02"
    assert shop.send("POST", "rpc/later").status_code == 501


def test_keys_are_needed(caller: Caller) -> None:
    shop, other = Shop(caller, UNRESTRICTED), Shop(caller, UNRESTRICTED)
    assert caller.get("/rest/v1/notes").status_code == 401
    assert caller.get("/rest/v1/notes", apikey="nonsense").status_code == 401
    assert shop.send("GET", "notes", "nonsense").status_code == 401
    assert shop.send("GET", "notes", other.user("ada")[1]).status_code == 401
    assert shop.send("GET", "notes", shop.project.anon_key).status_code == 200  # what later clients send
