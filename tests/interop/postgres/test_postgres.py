"""The sandbox's SQL beside Postgres itself, which npm brings as WebAssembly."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.npm import running
from tollkit.sandbox import Sandbox
from tollkit.sandbox.run402.calls import GatewayError

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "run402" / "sandbox-sql.md"
SETUP = """
create table t (
    id serial primary key, a int, b text, n numeric(10, 2), f float8, big int8, ok boolean, at timestamptz,
    ts timestamp, d date, u uuid, j jsonb, tags text[]
);
insert into t (a, b, n, f, big, ok, at, ts, d, u, j, tags) values
    (1, 'apple', 1.5, 0.1, 9007199254740993, true, '2026-01-01T10:00:00Z', '2026-01-01 10:00:00', '2026-01-01',
     '11111111-1111-1111-1111-111111111111', '{"k": 1, "s": "x", "l": [1, 2], "o": {"p": true}}', '{x,y}'),
    (2, 'Banana', 2.25, 2.5, 2, false, '2026-02-01T10:00:00.123Z', '2026-02-01 10:00:00.5', '2026-02-01',
     '22222222-2222-2222-2222-222222222222', '{"k": 2}', '{}'),
    (3, 'cherry', null, null, null, null, null, null, null, null, null, null),
    (2, 'apple pie', 10, -1.5, -5, true, '2025-12-31T23:59:59.999999Z', '2025-12-31 23:59:59', '2025-12-31',
     '33333333-3333-3333-3333-333333333333', '[1, "a", null]', '{z}');
create table o (id serial primary key, t_id int references t (id), qty int not null default 1, price numeric(8, 2));
insert into o (t_id, qty, price) values (1, 2, 9.99), (1, 1, 0.50), (2, 5, 100), (null, 7, 1.25);
"""
PAGE_SETUP = """
create table t (id serial primary key, a int, at timestamptz, j jsonb, tags text[]);
insert into t (a, at, j, tags) values (1, '2026-01-01', '{"k": 1}', '{x}')
"""
_NEEDS_MORE = frozenset(
    (
        "savepoint s",
        "select auth.jwt()",
        "select current_setting('request.jwt.claims')",
        "alter table t add primary key (a)",
        "alter policy p on t using (true)",
        "drop type mood",
        "copy t from stdin",
        "create extension pgcrypto",
        "grant select on t to anon",
        "create trigger x before insert on t for each row execute function f()",
        "create index on t using gin (a)",
    )
)
"""Of the page: what works in Postgres where there is more than a table."""


def _cases() -> list[str]:
    lines = (HERE / "same.sql").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("--")]


def _differences() -> list[tuple[str, str]]:
    statements, _, _ = PAGE.read_text(encoding="utf-8").partition("## REST")
    found: list[tuple[str, str]] = re.findall(r"^\| `(.+?)` \| (.+?) \|", statements, re.MULTILINE)
    assert {statement for statement, _ in found} >= _NEEDS_MORE
    return [(statement, told) for statement, told in found if statement not in _NEEDS_MORE]


@pytest.fixture(scope="module")
def postgres() -> Iterator[httpx.Client]:
    with running(HERE, "peer.mjs", "Postgres") as peer, httpx.Client(base_url=peer["url"], timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def _ours(sandbox: Sandbox, steps: list[dict[str, Any]]) -> dict[str, Any]:
    project = sandbox.run402.seed_project()
    try:
        for step in steps:
            told = sandbox.run402.groups.data.run(project.id, step["sql"], step.get("params"))
    except GatewayError as error:
        return {"error": str(error)}
    return {"rows": json.loads(json.dumps(told.rows)), "fields": told.fields, "count": told.row_count}


def _both(sandbox: Sandbox, postgres: httpx.Client, steps: list[dict[str, Any]]) -> tuple[Any, Any]:
    return _ours(sandbox, steps), postgres.post("/", json=steps).json()


@pytest.mark.parametrize("case", _cases())
def test_what_is_the_same(sandbox: Sandbox, postgres: httpx.Client, case: str) -> None:
    sql, _, params = case.partition(" -- params ")
    steps: list[dict[str, Any]] = [{"sql": SETUP}, *({"sql": part} for part in sql.split(";;"))]
    if params:
        steps[-1]["params"] = json.loads(params)
    ours, theirs = _both(sandbox, postgres, steps)
    if "error" in theirs:
        assert "error" in ours, theirs
    else:
        assert ours == theirs


@pytest.mark.parametrize(("statement", "told"), _differences())
def test_what_the_page_says_of_postgres(sandbox: Sandbox, postgres: httpx.Client, statement: str, told: str) -> None:
    ours, theirs = _both(sandbox, postgres, [{"sql": PAGE_SETUP}, {"sql": statement}])
    assert ("error" in theirs) == (told == "an error"), theirs
    if statement.startswith("select"):
        assert ours != theirs
    if value := re.fullmatch("`(.+)`", told):
        (row,) = theirs["rows"]
        assert str(*row.values()) == value[1]


def test_the_cases_are_many() -> None:
    assert len(_cases()) > 300
    assert len(_differences()) > 60
