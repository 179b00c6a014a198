"""SQL, the schema report and the expose manifest at the sandboxed gateway."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from run402_caller import Caller, Side

from tollkit.run402.errors import ApiError, Unauthorized
from tollkit.sandbox import Run402Sandbox
from tollkit.sandbox.run402.gateway import GatewayError, Project

_PAGE = Path(__file__).parents[3] / "docs" / "run402" / "sandbox-sql.md"


@pytest.fixture
def project(run402_sandbox: Run402Sandbox) -> Project:
    return run402_sandbox.seed_project()


def rows(sandbox: Run402Sandbox, project: Project, sql: str, *params: Any) -> list[dict[str, Any]]:
    return sandbox.groups.data.run(project.id, sql, params or None).rows


# -------------------------------------------------------------------- as recorded


def test_statements_answer_as_the_real_gateway(side: Side, run402_sandbox: Run402Sandbox, project: Project) -> None:
    """The calls of a recorded session, with the same answers."""
    client = side.client(run402_sandbox, project)

    def sql(text: str, *params: Any) -> dict[str, Any]:
        told = side.do(client.projects.sql(project.id, text, params)).to_dict()
        assert told.pop("rowCount", None) == told.get("row_count")
        assert told.pop("status") == "ok"
        assert told.pop("schema") == project.schema_slot
        return told

    both = [{"name": "id", "type": "int4"}, {"name": "body", "type": "text"}]
    assert sql(
        "create table notes(id serial primary key, body text); insert into notes(body) values ('a'),('b')"
    ) == {
        "rows": [],
        "row_count": 2,
        "fields": [],
    }
    assert sql("select id, body from notes order by id") == {
        "rows": [{"id": 1, "body": "a"}, {"id": 2, "body": "b"}],
        "row_count": 2,
        "fields": both,
    }
    assert sql("select id, body from notes where body = $1", "b") == {
        "rows": [{"id": 2, "body": "b"}],
        "row_count": 1,
        "fields": both,
    }
    assert sql("select count(*) from notes") == {
        "rows": [{"count": "2"}],
        "row_count": 1,
        "fields": [{"name": "count", "type": "int8"}],
    }
    with pytest.raises(ApiError, match='SQL error: syntax error at or near "selec"') as caught:
        sql("selec 1")
    assert (caught.value.status, caught.value.body["error"]) == (400, "sql_error")
    with pytest.raises(Unauthorized, match=re.escape(r"Blocked SQL pattern: \bCREATE\s+ROLE\b")) as blocked:
        sql("create role x")
    assert (blocked.value.status, blocked.value.body["error"]) == (403, "sql_forbidden")


def test_keys_of_the_sql_route(caller: Caller, run402_sandbox: Run402Sandbox, project: Project) -> None:
    path = f"/projects/v1/admin/{project.id}/sql"
    none = caller.post(path, content="select 1")
    assert (none.status_code, none.json()["message"]) == (401, "A project service key is required")
    assert caller.post(path, content="select 1", key=run402_sandbox.seed_project().service_key).status_code == 403
    assert caller.post(path, content="select 1", key=project.anon_key).status_code == 403
    for options in (
        {"content": ""},
        {"content": b"\xff"},
        {"json": {"params": [1]}},
        {"json": {"sql": "select 1", "params": {"a": 1}}},
        {"json": ["select 1"]},
    ):
        assert caller.post(path, key=project.service_key, **options).status_code == 400


# -------------------------------------------------------------------- Postgres' SQL


def test_types_and_defaults(run402_sandbox: Run402Sandbox, project: Project) -> None:
    run402_sandbox.clock.freeze()
    run402_sandbox.clock.set(1_767_225_600.25)
    made = rows(
        run402_sandbox,
        project,
        """
        CREATE TABLE IF NOT EXISTS public.things (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            number bigint generated always as identity (start with 1),
            owner uuid references auth.users(id) on delete cascade,
            made_at timestamp with time zone not null default now(),
            day date default current_date,
            done boolean default false,
            meta jsonb not null default '{}'::jsonb,
            tags text[] default '{"a b",c}',
            name character varying(10) check (length(name) > 1),
            price numeric(10, 2) default 0,
            ratio double precision default 0.5,
            "Odd Name" int
        );
        insert into things (meta, done, name) values ('{"a": [1, null]}', 'yes', 'first') returning *
        """,
    )
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}", made[0].pop("id"))
    assert made == [
        {
            "number": "1",
            "owner": None,
            "made_at": "2026-01-01T00:00:00.250Z",
            "day": "2026-01-01T00:00:00.000Z",
            "done": True,
            "meta": {"a": [1, None]},
            "tags": ["a b", "c"],
            "name": "first",
            "price": "0.00",
            "ratio": 0.5,
            "Odd Name": None,
        }
    ]
    stored = rows(run402_sandbox, project, "select made_at, done, meta, tags from things where done")
    assert stored == [{name: made[0][name] for name in ("made_at", "done", "meta", "tags")}]


@pytest.mark.parametrize(
    ("sql", "params", "expected"),
    [
        ("select 1", [], {"?column?": 1}),
        ("select 1 + 1 two, 'it''s' as \"Text\", null nothing", [], {"two": 2, "Text": "it's", "nothing": None}),
        ("select $2::text || $1", ["b", "a"], {"?column?": "ab"}),
        ("select $1::int + 1 as n, cast($2 as boolean) as b", ["4", "t"], {"n": 5, "b": True}),
        ("select $1::jsonb -> 'a' ->> 0 as first", [{"a": ["x"]}], {"first": "x"}),
        ("select 'Abc' ilike 'a%' i, 'Abc' like 'a%' l, 'Abc' ~* '^A' r, 'Abc' !~ 'b' n", [], None),
        ("select 2 = any($1) as found, 3 = any(array[1, 2]) as missing", [[1, 2]], {"found": True, "missing": False}),
        ("select (timestamptz '2026-01-31' + interval '1 month')::date as d", [], {"d": "2026-02-28T00:00:00.000Z"}),
        (
            "select ('2026-01-01'::date - '1 day 2 hours'::interval)::timestamptz t",
            [],
            {"t": "2025-12-30T22:00:00.000Z"},
        ),
        ("select date_trunc('day', '2026-01-01T10:11:12Z'::timestamptz)::text as d", [], None),
        ("select greatest(1, 3), least(2, 1), concat('a', null, 1), split_part('a-b', '-', 2)", [], None),
        (
            "select exists(select 1), now() > '2000-01-01' as later, true",
            [],
            {"exists": True, "later": True, "bool": True},
        ),
        ("with x as (select 1 as a union select 2) select count(*), sum(a), avg(a), max(a) from x", [], None),
        ("select e'a\\nb' as t, $$it's$$ as d /* note */ -- end", [], {"t": "a\nb", "d": "it's"}),
        (
            "select string_agg(c, '+') s, bool_and(c < 'c') b, array_agg(c) a"
            " from (select 'a' as c union all select 'b') as v",
            [],
            None,
        ),
        ("select case when $1 > 1 then 'many' else 'one' end as n for update", [2], {"n": "many"}),
        ("select 5000000000 as big, 1.5 as n", [], {"big": "5000000000", "n": "1.5"}),
    ],
)
def test_expressions(
    run402_sandbox: Run402Sandbox, project: Project, sql: str, params: list[Any], expected: dict[str, Any] | None
) -> None:
    others = {
        "select 'Abc'": {"i": True, "l": False, "r": True, "n": False},
        "select date_": {"d": "2026-01-01 00:00:00+00"},
        "select great": {"greatest": 3, "least": 1, "concat": "a1", "split_part": "b"},
        "with x as (s": {"count": "2", "sum": "3", "avg": "1.5", "max": 2},
        "select strin": {"s": "a+b", "b": True, "a": ["a", "b"]},
    }
    assert rows(run402_sandbox, project, sql, *params) == [expected or others[sql[:12]]]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("case when 1 > 0 then 'x' end", {"case": "x"}),
        ("1 as n, case a when 1 then 'x' end", {"n": 1, "case": "x"}),
        ("case when a > 1 then 'x' else a end", {"a": 1}),
        ('case when true then 1 end "End"', {"End": 1}),
        ("interval '1 day'", {"interval": "1 day"}),
        ("1.5::double precision", {"float8": 1.5}),
        ("null, length('abc') > 1", {"?column?": True}),
        ("count(*) over (), count(*) filter (where a > 9) as none", {"count": "1", "none": "0"}),
        ("j->>'n' = '1' as n, j->>'b' = 'true' as b, j->>'z' is null as z", {"n": True, "b": True, "z": True}),
        ("j->'o' as o, j->'o'->'k'->>0 as k, j->>'f' as f", {"o": {"k": [1, "2"]}, "k": "1", "f": "1.5"}),
        ("(j->>'n')::int + 1 as n, (j->'o'->>'k')::jsonb as k", {"n": 2, "k": [1, "2"]}),
        (
            "j->'o'->'k'->-1 as last, j->'o'->'x' as none, j->'o'->'k'->9 as far",
            {"last": "2", "none": None, "far": None},
        ),
    ],
)
def test_items_have_the_names_and_types_of_postgres(
    run402_sandbox: Run402Sandbox, project: Project, item: str, expected: dict[str, Any]
) -> None:
    rows(run402_sandbox, project, "create table t (a int, j jsonb)")
    value = """insert into t values (1, '{"n":1,"b":true,"z":null,"f":1.5,"o":{"k":[1,"2"]}}')"""
    if "count" not in item:
        assert rows(run402_sandbox, project, f"{value} returning {item}") == [expected]
    else:
        rows(run402_sandbox, project, value)
    assert rows(run402_sandbox, project, f"select {item} from t") == [expected]


UUID = "0b0f6d3e-1f0e-4f0f-8f6a-9f0d0f0a0b0c"


@pytest.mark.parametrize(
    ("where", "params", "finds"),
    [
        ("at = $1", ["2026-01-01T12:00:00.000Z"], True),  # as the gateway answers it
        ("at >= $1 and at <= $1", ["2026-01-01T12:00:00Z"], True),
        ("$1 = e.at", ["2026-01-01T13:00:00+01:00"], True),
        ("at < '2026-01-01 12:00'", [], False),
        ("at <= '2026-01-01 12:00'", [], True),
        ("at != '2026-01-01 12:00Z'", [], False),
        ("not (e.at > '2026-01-01 11:00') or at < '2025-01-01'", [], False),
        ("at between '2026-01-01' and $1", ["2026-01-01T12:00:00Z"], True),
        ("at not between '2026-01-01' and '2026-01-02'", [], False),
        ("at in ('2026-01-01 12:00', $1)", ["2026-01-02"], True),
        ("e.at not in ($1)", ["2026-01-01T12:00:00Z"], False),
        ("at = any($1)", [["2026-01-01T12:00:00Z"]], True),
        ("at > $1 - interval '1 hour'", ["2026-01-01T12:30:00Z"], True),
        ("at::date = '2026-01-01T00:00:00.000Z'", [], True),
        ("d = $1", ["2026-01-01T00:00:00.000Z"], True),
        ("plain = '2026-01-01T12:00:00'", [], True),
        ("u = $1", [UUID.upper()], True),
        ("u = any(array[$1])", [UUID.upper()], True),
        ("u::text = $1", [UUID.upper()], False),
        ("ok = 'true' and ok = $1 and ok <> 'f'", ["t"], True),
        ("j = '{\"a\": 1}'", [], True),
        ("s = '2026-01-01T12:00:00Z' and s < '2026-01-02'", [], True),
        ("s = $1 || 'Z'", ["2026-01-01T12:00:00"], True),
        ("exists (select 1 from other o where o.at = 'text' and e.at > '2026-01-01 11:59')", [], True),
        ("id in (with x as (select * from e) select id from x where x.at = '2026-01-01 12:00')", [], True),
        ("now() > '2020-01-01 00:00' and '2020-01-01 00:00' < now()", [], True),
        ("coalesce(at, now()) = '2026-01-01 12:00'", [], True),
    ],
)
def test_texts_are_read_as_the_type_of_the_column(
    run402_sandbox: Run402Sandbox, project: Project, where: str, params: list[Any], finds: bool
) -> None:
    rows(
        run402_sandbox,
        project,
        "create table e (id int, at timestamptz, plain timestamp, d date, u uuid, ok boolean, j jsonb, s text);"
        "create table other (at text); insert into other values ('text');"
        f"insert into e values (1, '2026-01-01T12:00Z', '2026-01-01 12:00', '2026-01-01', '{UUID}', true,"
        """ '{"a":1}', '2026-01-01T12:00:00Z')""",
    )
    found = rows(run402_sandbox, project, f"select id from e where {where}", *params)
    assert found == ([{"id": 1}] if finds else [])


def test_texts_that_are_no_value_of_the_column(run402_sandbox: Run402Sandbox, project: Project) -> None:
    rows(run402_sandbox, project, "create table e (at timestamptz, u uuid); create view v as select * from e")
    for where in ("at > 'soon'", "'x' = u", "v.u in ('x')"):
        with pytest.raises(GatewayError, match="invalid input syntax"):
            rows(run402_sandbox, project, f"insert into e (at) values (null); select 1 from v where {where}")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select * from nothing", 'relation "nothing" does not exist'),
        ("select nothing from t", 'column "nothing" does not exist'),
        ("select nothing()", "function nothing does not exist"),
        ("insert into t (a) values ('x')", 'invalid input syntax for type integer: "x"'),
        ("insert into t (a) values (3000000000)", 'value "3000000000" is out of range for type integer'),
        ("insert into t (id, a) values (1, 2)", 'duplicate key value violates unique constraint "t_pkey"'),
        ("insert into t (b) values (1)", 'column "b" of relation "t" does not exist'),
        ("insert into t (a) values (null)", 'null value in column "a" of relation "t" violates not-null constraint'),
        ("insert into t (a) values (-1)", 'new row violates check constraint "a > 0"'),
        ("insert into t (a, name) values (1, 'abcdef')", "value too long for type character varying(5)"),
        (
            "insert into t (a, at) values (1, 'soon')",
            'invalid input syntax for type timestamp with time zone: "soon"',
        ),
        ("insert into t (a, meta) values (1, '{')", "invalid input syntax for type json"),
        ("insert into t (a, parent) values (1, 9)", "insert, update or delete violates foreign key constraint"),
        ("create table t (a int)", 'relation "t" already exists'),
        ("create table u (a nothing)", 'type "nothing" does not exist'),
        ("create table u (a int, a int)", 'column "a" specified more than once'),
        ("select (1", "syntax error at end of input"),
        ("select 'x", 'unterminated quoted string at or near "\'x"'),
        ("pragma foreign_keys = off", 'syntax error at or near "pragma"'),
        ("attach database 'x' as x", 'syntax error at or near "attach"'),
        ("create policy p on nothing using (true)", 'relation "nothing" does not exist'),
        ("create policy p on t using (nothing)", 'column "nothing" does not exist'),
        ("select $1", "bind message supplies 0 parameters, but prepared statement requires 1"),
        ("with recursive c as (select 1 n union all select n from c) select count(*) from c", "canceling statement"),
    ],
)
def test_refusals_have_postgres_words(
    caller: Caller, run402_sandbox: Run402Sandbox, project: Project, sql: str, message: str
) -> None:
    rows(
        run402_sandbox,
        project,
        "create table t (id serial primary key, a int not null check (a > 0), at timestamptz, name varchar(5),"
        " meta jsonb, parent int references t(id)); insert into t (a) values (1)",
    )
    answer = caller.post(
        f"/projects/v1/admin/{project.id}/sql", key=project.service_key, content=f"delete from t; {sql}"
    )
    if "duplicate" in message:
        answer = caller.post(f"/projects/v1/admin/{project.id}/sql", key=project.service_key, content=sql)
    assert (answer.status_code, answer.json()["error"]) == (400, "sql_error")
    assert answer.json()["message"].startswith(f"SQL error: {message}")
    assert rows(run402_sandbox, project, "select count(*) from t") == [{"count": "1"}]  # all or nothing


def test_half_statements_are_refused(run402_sandbox: Run402Sandbox, project: Project) -> None:
    whole = [
        "create table if not exists t (a int default (1 + 1) check (a > 0), b text, unique (a, b))",
        "create unique index if not exists i on t using btree (a)",
        "create policy p on t as permissive for select to anon, authenticated using (a > 1) with check (a > 1)",
        "create or replace function f(a int) returns int language sql as 'select 1'",
        "alter table t add constraint c unique (a), add column d int default 1, rename column b to e",
        "insert into t (a) values (cast('1' as int)) on conflict (a) do update set a = excluded.a returning a::text",
        "with x as (select 1 as a) select a, array[1, 2], now() - interval '1 day' from x where a = any('{1}')",
        "drop policy if exists p on t",
    ]
    data = run402_sandbox.groups.data
    data.run(project.id, whole[0])
    for statement in whole:
        words = statement.split(" ")
        for end in range(1, len(words)):
            with suppress(GatewayError):
                data.run(project.id, f"begin; {' '.join(words[:end])}; rollback")
    for statement in whole:
        data.run(project.id, f"drop policy if exists p on t; {statement}")
    with pytest.raises(GatewayError, match="depth"):
        data.run(project.id, f"select {'(' * 5_000}1{')' * 5_000}")


def test_one_statement_with_params(run402_sandbox: Run402Sandbox, project: Project, side: Side) -> None:
    client = side.client(run402_sandbox, project)
    with pytest.raises(ApiError, match="cannot insert multiple commands"):
        side.do(client.projects.sql(project.id, "select $1; select 2", [1]))
    assert side.do(client.projects.sql(project.id, "begin; create table t (a int); commit")).row_count is None
    side.do(client.projects.sql(project.id, "insert into t values (1); rollback; insert into t values (2)"))
    assert rows(run402_sandbox, project, "select a from t") == [{"a": 2}]


def test_tables_change(run402_sandbox: Run402Sandbox, project: Project) -> None:
    def run(sql: str) -> list[dict[str, Any]]:
        return rows(run402_sandbox, project, sql)

    run("create table t (id serial primary key, a int); insert into t (a) values (1)")
    run("alter table t add column if not exists b jsonb default '[]'::jsonb, add c boolean not null default true;")
    run("alter table t rename column a to z; alter table t add constraint only_once unique (z)")
    assert run("select * from t") == [{"id": 1, "z": 1, "b": [], "c": True}]
    with pytest.raises(Exception, match="duplicate key"):
        run("insert into t (z) values (1)")
    run("insert into t (z, c) values (1, 'f') on conflict (z) do update set c = excluded.c")
    run("create or replace view v as select z, not c as d from t; create or replace view v as select z from t")
    assert run("select * from v") == [{"z": 1}]
    run("create unique index concurrently if not exists i on t using btree (b, z); create index on t (c)")
    run("update t set b = '{\"x\": 1}' where c is false")
    assert run("select b->>'x' as x from t") == [{"x": "1"}]
    run("drop index i; alter table t drop column if exists b cascade")
    run("truncate table t restart identity cascade; drop view if exists v; alter table t rename to u")
    assert run("select * from u") == []
    run("drop table if exists u, nothing cascade")
    assert run402_sandbox.groups.data.database(project.id).relations() == []


def test_if_exists_is_honoured(run402_sandbox: Run402Sandbox, project: Project) -> None:
    def run(sql: str) -> list[dict[str, Any]]:
        return rows(run402_sandbox, project, sql)

    run("create table t (a int); insert into t values (1)")
    for _ in range(2):
        run("alter table t add column if not exists b int default 2, add if not exists c text")
        run("alter table if exists nothing add column x int, enable row level security")
    assert run("select * from t") == [{"a": 1, "b": 2, "c": None}]
    for _ in range(2):
        run("alter table t drop column if exists b, drop if exists c")
    assert run("select * from t") == [{"a": 1}]
    for refused in ("alter table t add column a int", "alter table t drop column b", "alter table nothing add x int"):
        with pytest.raises(GatewayError):
            run(refused)


def test_generated_columns(run402_sandbox: Run402Sandbox, project: Project) -> None:
    def run(sql: str) -> list[dict[str, Any]]:
        return rows(run402_sandbox, project, sql)

    run("create table t (id int primary key, n int, twice bigint generated always as (n * 2) stored, at timestamptz)")
    made = {"id": 1, "n": 2, "twice": "4", "at": "2026-01-01T00:00:00.000Z"}
    assert run("insert into t (id, n, at) values (1, '2', '2026-01-01') returning *") == [made]
    assert run("update t set n = 5 returning twice, at") == [{"twice": "10", "at": made["at"]}]
    assert run("select * from t") == [{**made, "n": 5, "twice": "10"}]
    with pytest.raises(GatewayError, match='cannot insert a non-DEFAULT value into column "twice"'):
        run("insert into t (id, twice) values (2, 3)")
    with pytest.raises(GatewayError, match='column "twice" can only be updated to DEFAULT'):
        run("update t set twice = 3")


def test_sequences_begin_again(run402_sandbox: Run402Sandbox, project: Project) -> None:
    def made(before: str = "") -> int:
        return int(rows(run402_sandbox, project, f"{before}; insert into t (a) values (1) returning id")[0]["id"])

    assert made("create table t (id serial primary key, a int)") == 1
    assert made("truncate t") == 2
    assert made("truncate table t continue identity") == 3
    with pytest.raises(GatewayError, match="nothing"):
        made("truncate t restart identity; select nothing")
    assert made() == 4
    assert made("truncate t restart identity cascade") == 1
    assert made("drop table t; create table t (id serial primary key, a int)") == 1
    assert made("alter table t rename to u; alter table u rename to t; truncate t restart identity") == 1


def test_renamed_columns_and_policies(run402_sandbox: Run402Sandbox, project: Project) -> None:
    def run(sql: str) -> list[dict[str, Any]]:
        return rows(run402_sandbox, project, sql)

    run("create table t (id int, owner uuid, note text); create policy mine on t using (owner = auth.uid())")
    for refused in ("rename owner to who", "rename column owner to who", "drop column owner", "drop owner cascade"):
        with pytest.raises(GatewayError, match='policy "mine" on table "t" names it; drop it first'):
            run(f"alter table t {refused}")
    run("alter table t rename column note to body; alter table t enable row level security")
    run("alter table t rename to u; alter table u rename to v")
    database = run402_sandbox.groups.data.database(project.id)
    assert [(told["name"], told["rls_enabled"]) for told in database.report()["tables"]] == [("v", True)]
    assert list(database.policies_of("v")) == ["mine"]
    run("create table t (id int); create policy other on t using (true)")
    assert [list(database.policies_of(name)) for name in ("t", "v")] == [["other"], ["mine"]]
    run("drop policy mine on v; alter table v rename owner to who; drop table t, v")
    assert (database.policies, database.secured, database.origins) == ({}, set(), {})
    run("create table a (id int); create table b (id int);")
    run("create policy p on a using (exists (select 1 from b where b.id = a.id))")
    with pytest.raises(GatewayError, match='policy "p" on table "a" names it'):
        run("alter table b rename to c")


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("order by n", [1, 2, None]),
        ("order by n asc", [1, 2, None]),
        ("order by n desc", [None, 2, 1]),
        ("order by n nulls first", [None, 1, 2]),
        ("order by n desc nulls last limit 2", [2, 1]),
        ("order by 1 offset 1", [2, None]),
        ("order by n limit 2", [1, 2]),
        ('order by "range" desc, n', [None, 1, 2]),
        ("order by range, n desc", [2, 1, None]),
        ("order by coalesce(n, 5) desc, range", [None, 2, 1]),
        ("order by (select max(id) from t as o where o.n = t.n order by 1) desc", [None, 2, 1]),
        ("union all select 3 order by n desc", [None, 3, 2, 1]),
        ("order by n offset 1 limit 1", [2]),
        ("order by n offset 1 rows fetch next 1 rows only", [2]),
        ("order by n fetch first row only", [1]),
        ("order by n limit all offset (select 1 limit 1)", [2, None]),
        ("order by n limit null", [1, 2, None]),
        ("order by n offset 2 for update", [None]),
        ("where id in (select id from t order by id offset 2)", [None]),
        ("for update", [1, 2, None]),
        ("where id in (select id from t order by n desc limit 2) order by n", [2, None]),
        ("order by row_number() over (order by n desc rows unbounded preceding)", [None, 2, 1]),
    ],
)
def test_queries_end_as_in_postgres(
    run402_sandbox: Run402Sandbox, project: Project, order: str, found: list[int | None]
) -> None:
    rows(run402_sandbox, project, "create table t (id serial, n int, range int)")
    rows(run402_sandbox, project, "insert into t (n, range) values (1, 1), (2, 1), (null, 2)")
    assert [row["n"] for row in rows(run402_sandbox, project, f"select n from t {order}")] == found
    for mistake in ("limit", "offset", "fetch first 1 2 rows only", "order by", "order by n,", "limit 1 limit"):
        with pytest.raises(GatewayError, match="syntax error"):
            rows(run402_sandbox, project, f"select n from t {mistake}")


def test_numbers_are_rounded_as_their_type_says(run402_sandbox: Run402Sandbox, project: Project) -> None:
    def run(sql: str, *params: Any) -> list[dict[str, Any]]:
        return rows(run402_sandbox, project, sql, *params)

    casts = "2.5::int as a, 0.5::int as b, (-2.5)::int as c, '1.555'::numeric(10,2) as d, 12.5::numeric(3) as e"
    assert run(f"select {casts}, 1.239::decimal(4, 2) as f, 1.234::numeric as g") == [
        {"a": 3, "b": 1, "c": -3, "d": "1.56", "e": "13", "f": "1.24", "g": "1.234"}
    ]
    run("create table t (n numeric(5, 2), whole numeric(3), i int)")
    assert run("insert into t values ($1, 2.5, 2.5) returning *", "1.555") == [{"n": "1.56", "whole": "3", "i": 3}]
    assert run("select * from t") == [{"n": "1.56", "whole": "3", "i": 3}]
    assert run("update t set n = 1.5 returning n") == [{"n": "1.50"}]
    assert run("select n, n as price, i from t") == [{"n": "1.50", "price": "1.50", "i": 3}]
    run("create view prices as select n from t")
    assert run("insert into t (n) values (-7), (null) returning *")[0]["n"] == "-7.00"
    assert [row["n"] for row in run("select * from prices order by n")] == ["-7.00", "1.50", None]
    run("delete from t where n is null or n < 0")
    for value in ("1000", "999.995", "-1e9", "1e400"):
        with pytest.raises(GatewayError, match="numeric field overflow"):
            run("update t set n = $1", value)
    with pytest.raises(GatewayError, match="numeric field overflow"):
        run("select 1000::numeric(5, 2)")
    with pytest.raises(GatewayError, match="NaN"):
        run("select 'NaN'::numeric")


def test_the_schema_report(side: Side, run402_sandbox: Run402Sandbox, project: Project) -> None:
    client = side.client(run402_sandbox, project)
    text = """
        create table users (id uuid primary key default gen_random_uuid(), email varchar(80) not null unique);
        create table posts (a int, b bigint, author uuid references users(id) on delete cascade, tags text[],
                            meta jsonb default '{}'::jsonb, primary key (a, b));
        alter table posts enable row level security;
        create policy mine on posts for select to authenticated using (author = auth.uid());
    """
    side.do(client.projects.sql(project.id, text))
    report = side.do(client.projects.get_schema(project.id)).to_dict()
    assert report["schema"] == project.schema_slot
    posts, users = report["tables"]
    assert [(column["name"], column["type"], column["nullable"]) for column in posts["columns"]] == [
        ("a", "integer", False),
        ("b", "bigint", False),
        ("author", "uuid", True),
        ("tags", "text[]", True),
        ("meta", "jsonb", True),
    ]
    assert posts["columns"][4]["default_value"] == "'{}'::jsonb"
    assert posts["constraints"] == [
        {"name": "posts_pkey", "type": "PRIMARY KEY", "definition": "PRIMARY KEY (a, b)"},
        {
            "name": "posts_author_fkey",
            "type": "FOREIGN KEY",
            "definition": "FOREIGN KEY (author) REFERENCES users(id) ON DELETE CASCADE",
        },
    ]
    assert (posts["rls_enabled"], users["rls_enabled"]) == (True, False)
    (policy,) = posts["policies"]
    assert policy["name"] == "mine"
    assert (policy["command"], policy["using_expression"]) == ("SELECT", "author = auth.uid()")
    assert users["columns"][0]["default_value"] == "gen_random_uuid()"
    assert users["columns"][1]["type"] == "character varying"
    assert users["constraints"][1] == {"name": "users_email_key", "type": "UNIQUE", "definition": "UNIQUE (email)"}
    side.do(
        client.projects.sql(project.id, "drop policy mine on posts; alter table posts disable row level security")
    )
    assert side.do(client.projects.get_schema(project.id)).tables[0].policies == []


def test_the_database_counts_as_storage(side: Side, run402_sandbox: Run402Sandbox, project: Project) -> None:
    client = side.client(run402_sandbox, project)
    side.do(client.projects.sql(project.id, "create table t (a text)"))
    before = side.do(client.projects.get_usage(project.id)).storage_bytes
    side.do(client.projects.sql(project.id, "insert into t values ($1)", ["x" * 100_000]))
    assert side.do(client.projects.get_usage(project.id)).storage_bytes > before + 90_000 > 90_000


def test_projects_do_not_see_each_other(side: Side, run402_sandbox: Run402Sandbox, project: Project) -> None:
    other = run402_sandbox.seed_project()
    client = side.client(run402_sandbox, project, other)
    side.do(client.projects.sql(project.id, "create table t (a text)"))
    with pytest.raises(ApiError, match="does not exist"):
        side.do(client.projects.sql(other.id, "select * from t"))
    run402_sandbox.reset()
    again = run402_sandbox.seed_project()
    assert again.id == project.id
    assert rows(run402_sandbox, again, "create table t (a text); select * from t") == []


# -------------------------------------------------------------------- the page


def _page() -> list[str]:
    statements, _, _ = _PAGE.read_text(encoding="utf-8").partition("## REST")
    return re.findall(r"^\| `(.+?)` \|", statements, re.MULTILINE)


OUTCOMES: dict[str, Any] = {
    "select 1.50::numeric as n": {"n": "1.5"},
    "select 10.0 / 4 as n": {"n": "2.5"},
    "select case when false then 1.50 else 0 end as n": {"n": "0.00"},
    "select round(2.5::float8) as n": {"n": 3},
    "select concat('a', true) as c": {"c": "a1"},
    "select 'ab'::char(4) as c": {"c": "ab"},
    "select 'x' = 1 as same": {"same": False},
    "select a, count(*) from t": {"a": 1, "count": "1"},
    "select a from t where at is not distinct from '2026-01-01 00:00'": None,
    "select a from t where (a, at) = (1, '2026-01-01 00:00')": None,
    "select count(*) from (select at as moment from t) as q where moment = '2026-01-01'": {"count": "0"},
    "create trigger x before insert on t for each row execute function f()": "triggers",
    "create function f() returns int language plpgsql as $$ begin return 1; end $$": "plpgsql",
    "grant select on t to anon": "manifest",
    "create extension pgcrypto": "extensions",
    "create index on t using gin (a)": "gin",
}
"""What is no error: the row (none when it is not found), or a word of the note."""


def test_the_page_lists_what_differs(caller: Caller, project: Project) -> None:
    assert len(_page()) > 70
    assert len(set(_page())) == len(_page())
    assert set(OUTCOMES) <= set(_page())


@pytest.mark.parametrize("statement", _page())
def test_what_differs_from_postgres(caller: Caller, project: Project, statement: str) -> None:
    path = f"/projects/v1/admin/{project.id}/sql"
    made = "create table t (id serial primary key, a int, at timestamptz, j jsonb, tags text[])"
    setup = f"""{made}; insert into t (a, at, j, tags) values (1, '2026-01-01', '{{"k": 1}}', '{{x}}')"""
    assert caller.post(path, key=project.service_key, content=setup).status_code == 200
    answer = caller.post(path, key=project.service_key, content=statement.encode())
    if statement not in OUTCOMES:
        assert (answer.status_code, answer.json()["error"]) == (400, "sql_error")
        return
    expected = OUTCOMES[statement]
    assert answer.status_code == 200, answer.text
    if isinstance(expected, str):
        assert expected in answer.headers["x-sandbox-note"]
    else:
        assert answer.json()["rows"] == ([expected] if expected else [])


def test_a_rollback_takes_policies_and_functions_back(run402_sandbox: Run402Sandbox, project: Project) -> None:
    database = run402_sandbox.groups.data.database(project.id)
    made = "create policy p on t using (true); create function f() returns int language sql as 'select 1'"
    rows(run402_sandbox, project, f"create table t (a int); begin; {made}; rollback")
    assert (database.relations(), database.policies_of("t"), database.functions) == ([], {}, {})
    with pytest.raises(GatewayError, match="nothing"):
        rows(run402_sandbox, project, f"create table t (a int); {made}; commit; drop policy p on t; select nothing")
    assert (list(database.policies_of("t")), list(database.functions)) == (["p"], ["f"])


# -------------------------------------------------------------------- the expose manifest

MANIFEST: dict[str, Any] = {
    "$schema": "https://run402.com/schemas/manifest.v1.json",
    "version": "1",
    "tables": [
        {"name": "items", "expose": True, "policy": "user_owns_rows", "owner_column": "owner"},
        {"name": "logs", "expose": False},
    ],
    "views": [{"name": "titles", "base": "items", "select": ["title"], "filter": "title <> ''"}],
    "rpcs": [{"name": "search", "signature": "(text)", "grant_to": ["authenticated"]}],
}
_EXPOSED = """
    create table items (id serial primary key, title text, owner uuid);
    create table logs (id serial primary key);
    create function search(text) returns setof items language sql as $$ select * from items where title = $1 $$;
"""


def test_a_manifest_converges(side: Side, run402_sandbox: Run402Sandbox, project: Project) -> None:
    client = side.client(run402_sandbox, project)
    state = side.do(client.projects.get_expose(project.id))
    assert (state.source, state.manifest.to_dict()) == (
        "introspected",
        {"version": "1", "tables": [], "views": [], "rpcs": []},
    )
    side.do(client.projects.sql(project.id, _EXPOSED))
    nothing: dict[str, list[str]] = {"tables": [], "views": [], "rpcs": []}
    exposed = {"tables": ["items"], "views": ["titles"], "rpcs": ["search"]}
    first = side.do(client.projects.apply_expose(project.id, MANIFEST))
    assert (first.status, first.applied.to_dict(), first.dropped.to_dict()) == ("ok", exposed, nothing)
    schema = side.do(client.projects.get_schema(project.id)).to_dict()
    assert schema["tables"][0]["policies"][0]["using_expression"] == '"owner" = auth.uid()'
    again = side.do(client.projects.apply_expose(project.id, MANIFEST))
    assert (again.applied.to_dict(), again.dropped.to_dict()) == (exposed, nothing)
    assert side.do(client.projects.get_schema(project.id)).to_dict() == schema
    state = side.do(client.projects.get_expose(project.id))
    assert (state.source, state.manifest.to_dict()) == ("applied", MANIFEST)

    less = side.do(client.projects.apply_expose(project.id, {"version": "1", "tables": [], "views": [], "rpcs": []}))
    assert (less.applied.to_dict(), less.dropped.to_dict()) == (nothing, exposed)
    tables = side.do(client.projects.get_schema(project.id)).to_dict()["tables"]
    assert [(table["rls_enabled"], table["policies"]) for table in tables] == [(False, []), (False, [])]


@pytest.mark.parametrize(
    ("kind", "entry", "path"),
    [
        ("tables", {"name": "nothing", "expose": True, "policy": "custom", "custom_sql": "x"}, "tables[0].name"),
        ("tables", {"expose": True}, "tables[0].name"),
        ("tables", {"name": "items"}, "tables[0].expose"),
        ("tables", {"name": "items", "expose": True}, "tables[0].policy"),
        ("tables", {"name": "items", "expose": True, "policy": "user_owns_rows"}, "tables[0].owner_column"),
        (
            "tables",
            {"name": "items", "expose": True, "policy": "user_owns_rows", "owner_column": "nobody"},
            "tables[0].owner_column",
        ),
        (
            "tables",
            {"name": "items", "expose": True, "policy": "public_read_write_UNRESTRICTED"},
            "tables[0].i_understand_this_is_unrestricted",
        ),
        ("tables", {"name": "items", "expose": True, "policy": "custom"}, "tables[0].custom_sql"),
        (
            "tables",
            {"name": "items", "expose": True, "policy": "custom", "custom_sql": "drop table items"},
            "tables[0].custom_sql",
        ),
        (
            "tables",
            {
                "name": "items",
                "expose": True,
                "policy": "custom",
                "custom_sql": "create policy p on logs using (true)",
            },
            "tables[0].custom_sql",
        ),
        ("views", {"name": "items", "base": "items", "select": ["id"]}, "views[0].name"),
        ("views", {"name": "v", "base": "nothing", "select": ["id"]}, "views[0].base"),
        ("views", {"name": "v", "base": "items", "select": ["nothing"]}, "views[0].select"),
        ("views", {"name": "v", "base": "items", "select": []}, "views[0].select"),
        ("views", {"name": "v", "base": "items", "select": ["id"], "filter": "nothing > 1"}, "views[0].filter"),
        ("views", {"name": "v", "base": "items", "select": ["id"], "filter": "true) or (true"}, "views[0].filter"),
        ("views", {"name": "v", "base": "items", "select": ["id"], "expose": "yes"}, "views[0].expose"),
        ("rpcs", {"name": "nothing", "signature": "()", "grant_to": []}, "rpcs[0].name"),
        ("rpcs", {"name": "search", "signature": "text", "grant_to": ["anon"]}, "rpcs[0].signature"),
        ("rpcs", {"name": "search", "signature": "(text)", "grant_to": ["root"]}, "rpcs[0].grant_to"),
        ("rpcs", {"name": "search", "signature": "(text)"}, "rpcs[0].grant_to"),
    ],
)
def test_a_wrong_manifest_changes_nothing(
    side: Side, run402_sandbox: Run402Sandbox, project: Project, kind: str, entry: dict[str, Any], path: str
) -> None:
    client = side.client(run402_sandbox, project)
    side.do(client.projects.sql(project.id, _EXPOSED))
    side.do(client.projects.apply_expose(project.id, MANIFEST))
    with pytest.raises(ApiError) as caught:
        side.do(client.projects.apply_expose(project.id, {"version": "1", kind: [entry]}))
    assert caught.value.status == 400
    assert [wrong["path"] for wrong in caught.value.body["errors"]] == [path]
    state = run402_sandbox.groups.data.exposure(project.id)
    assert state.names() == {"tables": ["items"], "views": ["titles"], "rpcs": ["search"]}
    assert rows(run402_sandbox, project, "select * from titles") == []


def test_all_errors_of_a_manifest_are_told(caller: Caller, project: Project) -> None:
    path = f"/projects/v1/admin/{project.id}/expose"
    wrong = {"version": "2", "tables": {}, "views": ["v"], "rpcs": [{"name": "a"}, {"name": "a"}]}
    answer = caller.post(path, key=project.service_key, json=wrong)
    paths = {error["path"] for error in answer.json()["errors"]}
    assert paths >= {"version", "tables", "views[0].name", "rpcs[0].name", "rpcs[1].name"}
    for body in (b"{", b"[]", b""):
        assert caller.post(path, key=project.service_key, content=body).status_code == 400
    assert caller.post(path, json=wrong).status_code == 401
