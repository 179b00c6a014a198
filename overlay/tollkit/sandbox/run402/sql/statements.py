"""Statements of Postgres, written over for SQLite."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import attrs

from tollkit.sandbox.run402.pgtypes import SqlError, canonical
from tollkit.sandbox.run402.sql.comparisons import typed
from tollkit.sandbox.run402.sql.endings import endings
from tollkit.sandbox.run402.sql.expressions import TYPE_SEQUELS, expression, items_of, select, type_at
from tollkit.sandbox.run402.sql.kinds import Shape, kinds_of, operated
from tollkit.sandbox.run402.sql.tokens import (
    Token,
    closing,
    literal,
    local,
    near,
    quoted,
    split,
    tokens,
    whole,
)

__all__ = ["Function", "Policy", "Statement", "compared", "statements"]


@attrs.frozen(kw_only=True)
class Policy:
    """A policy on the rows of a table; conditions are SQLite's."""

    name: str
    table: str
    command: str
    """`ALL`, `SELECT`, `INSERT`, `UPDATE` or `DELETE`."""
    roles: tuple[str, ...]
    """Whom it is for; `public` is everybody."""
    using: str | None
    check: str | None
    permissive: bool = True


@attrs.frozen(kw_only=True)
class Function:
    """A function of the database."""

    name: str
    parameters: tuple[tuple[str, str], ...]
    """Names (empty when it has none) with the short names of their types."""
    language: str
    body: str
    many: bool
    """Whether it gives rows, and not one value."""


@attrs.frozen(kw_only=True)
class Statement:
    """One statement for SQLite, or one that only changes what the sandbox knows."""

    command: str
    """Its first words, e.g. `select`, `create table`."""
    sql: tuple[str, ...] = ()
    """What SQLite runs, in this order."""
    table: str | None = None
    """The table that it is about."""
    query: tuple[Token, ...] = ()
    """What it returns, or what a view or table is made of: a query, or the items behind `returning`."""
    returns: bool = False
    note: str | None = None
    """What the sandbox left out."""
    policy: Policy | None = None
    function: Function | None = None
    dropped: str | None = None
    """The policy or function that goes."""
    also: tuple[str, ...] = ()
    """Further tables of `drop table` and `truncate`."""
    renamed: str | None = None
    """The new name of the table."""
    touched: tuple[str, ...] = ()
    """Columns that get another name, or go."""
    lenient: Mapping[str, tuple[str, bool]] = attrs.field(factory=dict[str, tuple[str, bool]])
    """Of `sql`, what runs only if a column is there (true), or is not (false)."""
    if_there: bool = False
    """Whether nothing happens when there is no such table."""
    restarted: bool = False
    """Whether the sequences of the tables begin again."""
    secured: bool | None = None
    """Whether row-level security is on from now on."""
    source: tuple[Token, ...] = ()
    """As it was written."""


def statements(sql: str, schema: str) -> list[Statement]:
    """The statements of a text, for SQLite.

    Args:
        sql: As Postgres takes it.
        schema: Name of the project's schema; names may carry it in front.

    Raises:
        SqlError: A statement is none, or one that the sandbox cannot run.
    """
    parts = [part for part in split(local(tokens(sql), schema), ";") if part]
    with whole():
        parts = [endings(part) for part in parts]
        return [attrs.evolve(_statement(part), source=tuple(part)) for part in parts]


def compared(statement: Statement, relations: Mapping[str, Mapping[str, Shape]]) -> Statement:
    """The statement with what the types of columns mean to it.

    Texts that are compared with columns get the columns' types, and operators that are not SQLite's become functions.

    Args:
        statement: As it was read, before the tables were known.
        relations: Columns of the tables and views that it names.

    Raises:
        SqlError: The sandbox does not know an operator between two types.
    """
    changed = operated(statement.source, relations.get)
    changed = typed(changed, kinds_of(relations))
    if changed is statement.source:
        return statement
    # what it returns is told by the statement as it was
    return attrs.evolve(_statement(changed), query=statement.query)


_NOTED = {
    "grant": "GRANT is not needed: the expose manifest decides",
    "revoke": "REVOKE is not needed: the expose manifest decides",
    "comment": "COMMENT is not kept",
    "set": "SET has no effect",
    "create extension": "extensions are not needed",
    "create schema": "there is one schema",
    "create trigger": "triggers of the database do not run",
    "drop trigger": "triggers of the database do not run",
    "analyze": "ANALYZE has no effect",
    "vacuum": "VACUUM has no effect",
    "notify": "NOTIFY has no effect",
}


def _statement(found: Sequence[Token]) -> Statement:
    first = found[0].text if found[0].kind == "word" else ""
    words = [token.text for token in found[:6] if token.kind == "word"]
    if words[1:3] == ["or", "replace"]:
        words = [words[0], *words[3:]]
    pair = " ".join(word for word in words[:2])
    if words[:2] == ["create", "unique"] and "index" in words:
        pair = "create index"
    for command in (pair, first):
        if command in _NOTED:
            return Statement(command=command, note=_NOTED[command])
        if command in _HANDLERS:
            return _HANDLERS[command](found)
    if first in ("create", "drop", "alter", "do", "call", "copy", "merge", "explain"):
        raise SqlError(f"the sandbox's database does not know {pair.upper()}", "0A000")
    raise SqlError(near(found, 0), "42601")


def _reading(found: Sequence[Token]) -> Statement:
    if found[0].text == "with" and (write := _writing_after_with(found)):
        return write
    return Statement(command="select", sql=(select(found),), query=tuple(found), returns=True)


def _writing_after_with(found: Sequence[Token]) -> Statement | None:
    depth = 0
    for place, token in enumerate(found):
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.kind == "word" and token.text in ("select", "insert", "update", "delete"):
            if token.text == "select":
                return None
            told = _writing(found[place:])
            return attrs.evolve(told, sql=(f"{expression(found[:place])} {told.sql[0]}",))
    return None


def _writing(found: Sequence[Token]) -> Statement:
    command = found[0].text
    at = 1 if command == "update" else 2
    if len(found) <= at:
        raise SqlError("syntax error at end of input", "42601")
    table = found[at].name
    depth = 0
    for place, token in enumerate(found):
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.text == "returning" and token.kind == "word":
            items = found[place + 1 :]
            sql = f"{expression(found[:place])} RETURNING {items_of(items)}"
            return Statement(command=command, sql=(sql,), table=table, query=tuple(items), returns=True)
    return Statement(command=command, sql=(expression(found),), table=table)


def _truncate(found: Sequence[Token]) -> Statement:
    words = ("table", "only", "restart", "continue", "identity", "cascade", "restrict")
    rest = [token for token in found[1:] if token not in {Token("word", word) for word in words}]
    names = [part[0].name for part in split(rest) if part]
    return Statement(
        command="truncate",
        sql=tuple(f"DELETE FROM {quoted(name)}" for name in names),  # noqa: S608
        also=tuple(names),
        restarted=any(token.text == "restart" for token in found),
    )


def _after(found: Sequence[Token], *skipped: str) -> int:
    """Where the words of the beginning end: `create table if not exists` and their like."""
    place = 0
    while place < len(found) and found[place].kind == "word" and found[place].text in skipped:
        place += 1
    if place == len(found):
        raise SqlError("syntax error at end of input", "42601")
    return place


def _create_table(found: Sequence[Token]) -> Statement:
    place = _after(found, "create", "table", "if", "not", "exists", "unlogged")
    name = found[place].name
    head = "CREATE TABLE " + ("IF NOT EXISTS " if any(token.text == "exists" for token in found[:place]) else "")
    if place + 1 >= len(found) or found[place + 1].text != "(":
        if place + 1 < len(found) and found[place + 1].text == "as":
            sql = f"{head}{quoted(name)} AS {select(found[place + 2 :])}"
            return Statement(command="create table", sql=(sql,), table=name, query=tuple(found[place + 2 :]))
        raise SqlError(near(found, place + 1), "42601")
    end = closing(found, place + 1)
    parts = split(found[place + 2 : end])
    keys = {token.name for part in parts for token in _key_columns(part)}
    columns: list[str] = []
    for part in parts:
        if not part:
            raise SqlError('syntax error at or near ")"', "42601")
        columns.append(expression(_at_home(part)) if part[0].text in _TABLE_RULES else _column(name, part, keys))
    # rules of the table stand behind its columns in SQLite
    columns.sort(key=lambda text: text.split(" ", 1)[0] in _TABLE_RULES)
    return Statement(command="create table", sql=(f"{head}{quoted(name)} ({', '.join(columns)})",), table=name)


_TABLE_RULES = frozenset({"constraint", "primary", "unique", "check", "foreign"})
_COLUMN_RULES = frozenset(
    {"not", "null", "primary", "unique", "check", "references", "constraint", "generated", "default"}
)


def _key_columns(part: Sequence[Token]) -> list[Token]:
    texts = [token.text for token in part]
    if not part or part[0].text not in ("constraint", "primary") or "primary" not in texts or "(" not in texts:
        return []
    return [token for token in part[texts.index("(") :] if token.kind in ("word", "quoted")]


def _at_home(part: Sequence[Token]) -> list[Token]:
    """Without references to the platform's own tables, which a project's database cannot see here."""
    for place, token in enumerate(part):
        if token.text == "references" and place + 1 < len(part) and part[place + 1].text.startswith("auth_"):
            end = place + 2
            if end < len(part) and part[end].text == "(":
                end = closing(part, end) + 1
            while end + 1 < len(part) and part[end].text == "on":
                end += 4 if part[end + 2].text in ("set", "no") else 3
            return [*part[:place], *_at_home(part[end:])]
    return list(part)


def _column(table: str, part: Sequence[Token], keys: set[str]) -> str:
    name = part[0].name
    part = _at_home(part)
    written, place = type_at(part, 1)
    rules: list[str] = []
    serial = {"serial": "int4", "bigserial": "int8", "smallserial": "int2", "serial4": "int4", "serial8": "int8"}
    if written in serial:
        kind = serial[written]
        rules.append(f"DEFAULT (nextval({literal(f'{table}_{name}_seq')})) NOT NULL")
    else:
        size = re.search(r"\(.*\)$", written)
        kind = canonical(written) + (size[0] if size else "")
    while place < len(part):
        end = place + 1
        word = part[place].text
        while end < len(part) and not (part[end].kind == "word" and part[end].text in _COLUMN_RULES):
            end = closing(part, end) + 1 if part[end].text == "(" else end + 1
        if word == "not" and end < len(part) and part[end].text == "null":
            end += 1
        if word == "default":
            rules.append(f"DEFAULT ({expression(part[place + 1 : end])})")
        elif word == "generated":
            stored = any(token.text == "stored" for token in part[place:end])
            identity = any(token.text == "identity" for token in part[place:]) and not stored
            if identity:
                # GENERATED BY DEFAULT: the word splits there, and the rest goes with it
                while end < len(part) and part[end - 1].text != "identity":
                    end += 1
                if end < len(part) and part[end].text == "(":
                    end = closing(part, end) + 1
                rules.append(f"DEFAULT (nextval({literal(f'{table}_{name}_seq')})) NOT NULL")
            else:
                rules.append(expression(part[place:end]))
        elif word != "collate":
            rules.append(expression(part[place:end]))
            if word == "primary":
                rules.append("NOT NULL")
        place = end
    if name in keys and "NOT NULL" not in rules:
        rules.append("NOT NULL")
    return " ".join([quoted(name), kind, *rules])


def _create_index(found: Sequence[Token]) -> Statement:
    texts = [token.text for token in found]
    if "on" not in texts:
        raise SqlError("syntax error at end of input", "42601")
    on = texts.index("on")
    table = found[on + 1].name if on + 1 < len(found) else ""
    if "using" in texts:
        using = texts.index("using")
        if texts[using + 1] not in ("btree", "hash"):
            return Statement(command="create index", note=f"an index by {texts[using + 1]} is not needed")
        found = [*found[:using], *found[using + 2 :]]
    name = found[on - 1].name
    head = "CREATE UNIQUE INDEX" if "unique" in texts[:on] else "CREATE INDEX"
    if "exists" in texts[:on]:
        head += " IF NOT EXISTS"
    if name in ("index", "concurrently", "exists"):
        columns = "_".join(token.name for token in found[on + 2 :] if token.kind in ("word", "quoted"))
        name = f"{table}_{columns}_idx"
    return Statement(command="create index", sql=(f"{head} {quoted(name)} ON {expression(found[on + 1 :])}",))


def _create_view(found: Sequence[Token]) -> Statement:
    replaced = any(token.text == "replace" for token in found[:3])
    place = _after(found, "create", "or", "replace", "temp", "temporary", "view")
    name = found[place].name
    at = next((at for at in range(place, len(found)) if found[at].text == "as"), None)
    if at is None:
        raise SqlError("syntax error at end of input", "42601")
    made = f"CREATE VIEW {quoted(name)} AS {select(found[at + 1 :])}"
    first = (f"DROP VIEW IF EXISTS {quoted(name)}",) if replaced else ()
    return Statement(command="create view", sql=(*first, made), table=name, query=tuple(found[at + 1 :]))


def _drop(found: Sequence[Token]) -> Statement:
    kept = [token for token in found if token.text not in ("cascade", "restrict", "concurrently")]
    what = kept[1].text
    place = _after(kept, "drop", what, "if", "exists")
    head = " ".join(token.text for token in kept[:place]).upper()
    names = [part[0].name for part in split(kept[place:]) if part]
    return Statement(
        command=f"drop {what}",
        sql=tuple(f"{head} {quoted(name)}" for name in names),
        table=names[0] if names else None,
        also=tuple(names[1:]),
    )


def _alter_table(found: Sequence[Token]) -> Statement:
    place = _after(found, "alter", "table", "if", "exists", "only")
    table = found[place].name
    sql: list[str] = []
    if_there = any(token.text == "exists" for token in found[:place])
    told = Statement(command="alter table", table=table, if_there=if_there)
    lenient: dict[str, tuple[str, bool]] = {}
    for action in split(found[place + 1 :]):
        texts = [token.text for token in action]
        if texts[-3:] == ["row", "level", "security"]:
            told = attrs.evolve(told, secured=texts[0] in ("enable", "force"))
        elif texts[:2] == ["owner", "to"]:
            told = attrs.evolve(told, note="OWNER has no effect")
        elif texts[:1] == ["rename"]:
            sql.append(f"ALTER TABLE {quoted(table)} {expression(action)}")
            if texts[1] == "to":
                told = attrs.evolve(told, renamed=action[2].name)
            else:
                old = action[2 if texts[1] == "column" and texts[2:3] != ["to"] else 1].name
                told = attrs.evolve(told, touched=(*told.touched, old))
        elif texts[:1] == ["drop"] and "constraint" not in texts:
            names = [
                token for token in action[1:] if token.text not in ("column", "cascade", "restrict", "if", "exists")
            ]
            sql.append(f"ALTER TABLE {quoted(table)} DROP COLUMN {quoted(names[0].name)}")
            told = attrs.evolve(told, touched=(*told.touched, names[0].name))
            if "exists" in texts:
                lenient[sql[-1]] = (names[0].name, True)
        elif texts[:1] == ["add"] and "unique" in texts and texts[1] in ("constraint", "unique"):
            columns = texts.index("unique") + 1
            name = action[2].name if texts[1] == "constraint" else f"{table}_{action[columns + 1].name}_key"
            sql.append(f"CREATE UNIQUE INDEX {quoted(name)} ON {quoted(table)} {expression(action[columns:])}")
        elif texts[:1] == ["add"] and texts[1] not in _TABLE_RULES:
            start = 1 + _after(action[1:], "column", "if", "not", "exists")
            sql.append(f"ALTER TABLE {quoted(table)} ADD COLUMN {_column(table, action[start:], set())}")
            if "exists" in texts[:start]:
                lenient[sql[-1]] = (action[start].name, False)
        else:
            raise SqlError(f"the sandbox's database does not know ALTER TABLE {' '.join(texts[:2]).upper()}", "0A000")
    return attrs.evolve(told, sql=tuple(sql), lenient=lenient)


def _create_policy(found: Sequence[Token]) -> Statement:
    texts = [token.text for token in found]
    if "on" not in texts or len(found) < 5:
        raise SqlError("syntax error at end of input", "42601")
    on = texts.index("on")
    name, table = found[on - 1].name, found[on + 1].name
    command = "ALL"
    roles: tuple[str, ...] = ("public",)
    using: str | None = None
    check: str | None = None
    permissive = True
    place = on + 2
    while place < len(found):
        word = texts[place]
        if word == "as":
            permissive = texts[place + 1] == "permissive"
            place += 2
        elif word == "for":
            command = texts[place + 1].upper()
            place += 2
        elif word == "to":
            end = place + 1
            while end < len(found) and texts[end] not in ("using", "with"):
                end += 1
            roles = tuple(token.name for token in found[place + 1 : end] if token.text != ",")
            place = end
        elif word in ("using", "with"):
            start = place + (1 if word == "using" else 2)
            if start >= len(found) or texts[start] != "(":
                raise SqlError(near(found, start), "42601")
            end = closing(found, start)
            inner = expression(found[start + 1 : end])
            using, check = (inner, check) if word == "using" else (using, inner)
            place = end + 1
        else:
            raise SqlError(near(found, place), "42601")
    policy = Policy(
        name=name, table=table, command=command, roles=roles, using=using, check=check, permissive=permissive
    )
    return Statement(command="create policy", table=table, policy=policy)


def _drop_policy(found: Sequence[Token]) -> Statement:
    place = _after(found, "drop", "policy", "if", "exists")
    if place + 2 >= len(found):
        raise SqlError("syntax error at end of input", "42601")
    return Statement(command="drop policy", table=found[place + 2].name, dropped=found[place].name)


def _create_function(found: Sequence[Token]) -> Statement:
    place = _after(found, "create", "or", "replace", "function")
    end = closing(found, place + 1)
    parameters: list[tuple[str, str]] = []
    for part in split(found[place + 2 : end]):
        at = next((at for at, token in enumerate(part) if token.text in ("default", "=")), len(part))
        words = [token for token in part[:at] if token.text not in ("in", "variadic")]
        if words:
            named = len(words) > 1 and words[0].text not in TYPE_SEQUELS
            parameters.append((words[0].name if named else "", canonical(type_at(words, int(named))[0])))
    texts = [token.text for token in found]
    body = next((token.text[1:-1].replace("''", "'") for token in found[end:] if token.kind == "text"), "")
    language = found[texts.index("language") + 1].text.strip("'") if "language" in texts[:-1] else "sql"
    many = "setof" in texts or "table" in texts
    made = Function(name=found[place].name, parameters=tuple(parameters), language=language, body=body, many=many)
    note = None if language == "sql" else f"a function in {language} is known, but does not run"
    return Statement(command="create function", function=made, note=note)


def _drop_function(found: Sequence[Token]) -> Statement:
    place = _after(found, "drop", "function", "if", "exists")
    return Statement(command="drop function", dropped=found[place].name)


def _transaction(found: Sequence[Token]) -> Statement:
    return Statement(
        command={"end": "commit", "abort": "rollback", "start": "begin"}.get(found[0].text, found[0].text)
    )


_HANDLERS: dict[str, Callable[[Sequence[Token]], Statement]] = {
    **dict.fromkeys(("select", "values", "with", "table"), _reading),
    **dict.fromkeys(("insert", "update", "delete"), _writing),
    **dict.fromkeys(("begin", "start", "commit", "end", "rollback", "abort"), _transaction),
    **dict.fromkeys(("drop table", "drop view", "drop index"), _drop),
    "truncate": _truncate,
    "create table": _create_table,
    "create unlogged": _create_table,
    "create index": _create_index,
    "create view": _create_view,
    "alter table": _alter_table,
    "create policy": _create_policy,
    "drop policy": _drop_policy,
    "create function": _create_function,
    "drop function": _drop_function,
}
