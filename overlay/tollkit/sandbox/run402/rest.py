"""Rows over HTTP in the way of PostgREST: queries, filters, ranges, writes, and the policies in force.

Source: PostgREST 12, tables and views; the shape of plain answers as a gateway of one's own gave them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import attrs
from starlette.responses import Response

from tollkit.oidc.json_values import is_list
from tollkit.sandbox.http import json_answer
from tollkit.sandbox.run402.calls import Call
from tollkit.sandbox.run402.database import Caller, Column, Database
from tollkit.sandbox.run402.expose import Exposure
from tollkit.sandbox.run402.gateway import GatewayError
from tollkit.sandbox.run402.pgtypes import SqlError, canonical, stored, to_json
from tollkit.sandbox.run402.sql.tokens import literal, quoted, tokens

__all__ = ["Rest", "refused"]

_RESERVED = frozenset({"select", "order", "limit", "offset", "on_conflict", "columns"})
_COMPARISONS = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_PATTERNS = {"like": "LIKE", "ilike": "GLOB", "match": "REGEXP", "imatch": "MATCH"}
_IS = {"null": "IS NULL", "true": "IS TRUE", "false": "IS FALSE", "unknown": "IS NULL"}
_STATUS = {"23503": 409, "23505": 409, "42P01": 404, "42883": 404, "57014": 500}
_OBJECT = "application/vnd.pgrst.object+json"
_HEADERS = {"cache-control": "private, no-store"}


def refused(error: SqlError, caller: Caller) -> GatewayError:
    """A refusal of the database as PostgREST answers it."""
    status = _STATUS.get(error.state, 400)
    if error.state == "42501":
        status = 401 if caller.role == "anon" else 403
    return GatewayError(status, error.state, error.message, details=None, hint=None)


def _wrong(code: str, message: str, status: int = 400) -> GatewayError:
    return GatewayError(status, code, message, details=None, hint=None)


@attrs.frozen
class _Where:
    """A condition with its values."""

    sql: str = "true"
    values: tuple[Any, ...] = ()

    def __and__(self, other: _Where) -> _Where:
        return _Where(f"({self.sql}) AND ({other.sql})", (*self.values, *other.values))


@attrs.frozen
class Rest:
    """One request on one table or view.

    Args:
        database: Of the project.
        exposure: What is exposed of it.
        caller: Who asks.
        call: The request.
    """

    database: Database
    exposure: Exposure
    caller: Caller
    call: Call

    def answer(self, name: str) -> Response:
        """The answer for a table or view.

        Raises:
            GatewayError: A refusal, as PostgREST has it.
        """
        try:
            columns = self._columns(name)
        except SqlError:
            # a view whose table was dropped; Postgres would have dropped it too
            columns = {}
        if not columns:
            told = f"Could not find the table '{self.database.schema}.{name}' in the schema cache"
            raise _wrong("PGRST205", told, 404)
        work = {"POST": self._insert, "PATCH": self._update, "DELETE": self._delete}.get(self.call.method, self._read)
        try:
            with self.database.as_caller(self.caller):
                return work(_Table(name, columns))
        except SqlError as error:
            raise refused(error, self.caller) from None

    def run(self, name: str) -> Response:
        """The answer of a function of the database.

        Raises:
            GatewayError: There is none, the caller may not call it, or it refuses.
        """
        function = self.database.functions.get(name)
        roles = self.exposure.rpcs.get(name, ())
        if function is None or (self.caller.role != "service" and name not in self.exposure.rpcs):
            raise _wrong("PGRST202", f"Could not find the function {name} in the schema cache", 404)
        if self.caller.role != "service" and self.caller.role not in roles:
            raise refused(SqlError(f"permission denied for function {name}", "42501"), self.caller)
        if function.language != "sql":
            raise _wrong("0A000", f"The sandbox does not run functions in {function.language}", 501)
        given: Mapping[str, Any] = dict(self.call.query)
        if self.call.method == "POST":
            given = self.call.body if self.call.content else {}
        names = [parameter or f"${at}" for at, (parameter, _) in enumerate(function.parameters, 1)]
        if sorted(given) != sorted(names):
            told = f"Could not find the function {name}({', '.join(sorted(given))}) in the schema cache"
            raise _wrong("PGRST202", told, 404)
        parts = tokens(function.body)
        text = " ".join(f"${names.index(part.text) + 1}" if part.text in names else part.text for part in parts)
        used = {int(part) for part in re.findall(r"\$(\d+)", text)}
        try:
            values = [
                stored(kind, given[parameter])
                for parameter, (_, kind) in zip(names, function.parameters, strict=True)
            ]
            with self.database.as_caller(self.caller):
                outcome = self.database.run(text, values[: max(used)] if used else None)
        except SqlError as error:
            raise refused(error, self.caller) from None
        if function.many:
            return json_answer(outcome.rows, headers=_HEADERS)
        return json_answer(next(iter(outcome.rows[0].values()), None) if outcome.rows else None, headers=_HEADERS)

    # ---------------------------------------------------------------- who may

    def _columns(self, name: str) -> dict[str, Column]:
        listed = self._listed(name) in self.exposure.grants or name in self.exposure.views
        hidden = self.caller.role != "service" and not listed
        return {} if hidden else {column.name: column for column in self.database.columns(name)}

    def _listed(self, table: str) -> str:
        """The name by which the manifest knows a table, which may have been renamed since."""
        return table if table in self.exposure.grants else self.database.origins.get(table, table)

    def _allowed(self, table: str, command: str, part: Callable[[Any], str | None]) -> str:
        """The condition of the policies for a command.

        Raises:
            SqlError: The caller's role may not use the command at all.
        """
        role = self.caller.role
        if role == "service":
            return "true"
        if command not in self.exposure.grants.get(self._listed(table), {}).get(role, frozenset()):
            raise SqlError(f"permission denied for table {table}", "42501")
        found = [
            policy
            for policy in self.database.policies_of(table).values()
            if policy.command in ("ALL", command) and {"public", role} & set(policy.roles)
        ]
        wide = [f"({part(policy) or 'true'})" for policy in found if policy.permissive]
        narrow = [f"({part(policy) or 'true'})" for policy in found if not policy.permissive]
        return " AND ".join([f"({' OR '.join(wide) or 'false'})", *narrow])

    def _seen(self, table: str, command: str) -> str:
        return self._allowed(table, command, lambda policy: policy.using)

    def _kept(self, table: str, command: str) -> str:
        return self._allowed(table, command, lambda policy: policy.check or policy.using)

    def _source(self, name: str) -> str:
        """What is read from: the rows that the caller may see."""
        view = self.exposure.views.get(name)
        if view is None or self.caller.role == "service":
            return f"{quoted(name)} WHERE ({self._seen(name, 'SELECT')})"
        base = self.database.current(view.base)
        allowed = self._seen(base, "SELECT")
        columns = ", ".join(map(quoted, view.columns))
        inner = f"SELECT {columns} FROM {quoted(base)} WHERE ({view.condition or 'true'}) AND ({allowed})"  # noqa: S608
        return f"({inner}) AS {quoted(name)} WHERE true"

    # ---------------------------------------------------------------- reading

    def _read(self, table: _Table) -> Response:
        query = self.call.query
        where = self._filters(table)
        source = self._source(table.name)
        first, limit = self._window()
        count = re.search(r"count=(exact|planned|estimated)", self._prefer())
        total = None
        if count:
            total = self.database.fetch(f"SELECT count(*) FROM {source} AND ({where.sql})", where.values)[0][0]  # noqa: S608 - names are quoted
            if first and first >= total:
                told = f"An offset of {first} was requested, but there are only {total} rows."
                raise GatewayError(
                    416,
                    "PGRST103",
                    "Requested range not satisfiable",
                    headers={"content-range": f"*/{total}"},
                    details=told,
                    hint=None,
                )
        window = f" LIMIT {-1 if limit is None else limit} OFFSET {first}"
        rows = self._rows(table, source, where, self._order(table, query.get("order")) + window)
        if _OBJECT in self.call.headers.get("accept", ""):
            if len(rows) != 1:
                told = f"The result contains {len(rows)} rows"
                raise GatewayError(
                    406, "PGRST116", "JSON object requested, multiple (or no) rows returned", details=told, hint=None
                )
            return json_answer(rows[0], headers=_HEADERS, content_type=f"{_OBJECT}; charset=utf-8")
        span = f"{first}-{first + len(rows) - 1}" if rows else "*"
        headers = {**_HEADERS, "content-range": f"{span}/{'*' if total is None else total}"}
        partial = total is not None and len(rows) < total
        return json_answer(rows, 206 if partial else 200, headers, content_type="application/json; charset=utf-8")

    def _rows(self, table: _Table, source: str, where: _Where, tail: str = "") -> list[dict[str, Any]]:
        chosen = self._select(table, self.call.query.get("select") or "*")
        items = ", ".join(item for item, _, _ in chosen)
        found = self.database.fetch(f"SELECT {items} FROM {source} AND ({where.sql}){tail}", where.values)  # noqa: S608 - names are quoted, values bound
        return [
            {name: to_json(kind, value, exact=True) for (_, name, kind), value in zip(chosen, row, strict=True)}
            for row in found
        ]

    def _select(self, table: _Table, text: str) -> list[tuple[str, str, str | None]]:
        chosen: list[tuple[str, str, str | None]] = []
        for item in _parts(text):
            found = re.fullmatch(r'(?:([^:"()]+):(?!:))?("[^"]+"|[^":()]+?)(?:::([\w ]+))?', item)
            if item == "*":
                chosen += [(quoted(name), name, column.kind) for name, column in table.columns.items()]
                continue
            if found is None:
                raise _wrong("PGRST200", f"The sandbox does not embed or aggregate: {item}")
            alias, path, cast_to = found.groups()
            sql, kind = table.value(path)
            if cast_to:
                kind = canonical(cast_to.strip().lower())
                sql = f"pg_cast({sql}, '{kind}')"
            natural = re.split(r"->>?", path)[-1].strip('"')
            chosen.append((sql, alias or natural, kind))
        return chosen

    def _order(self, table: _Table, text: str | None) -> str:
        terms: list[str] = []
        for term in _parts(text or ""):
            found = re.fullmatch(r"(.+?)(?:\.(asc|desc))?(?:\.(nullsfirst|nullslast))?", term)
            if found is None:
                raise _wrong("PGRST100", f"failed to parse order ({term})")
            path, way, nulls = found.groups()
            last = nulls == "nullslast" or (nulls is None and way != "desc")
            terms.append(f"{table.value(path)[0]} {way or 'asc'} NULLS {'LAST' if last else 'FIRST'}")
        return f" ORDER BY {', '.join(terms)}" if terms else ""

    def _window(self) -> tuple[int, int | None]:
        """Where to begin, and how many rows at most; the narrower of the query and the header `Range`."""
        limit, offset = self._number("limit"), self._number("offset") or 0
        found = re.fullmatch(r"(?:items=)?(\d+)-(\d*)", self.call.headers.get("range", "").strip())
        if found is None or self.call.method == "HEAD":
            return offset, limit
        start = int(found[1])
        if found[2]:
            if int(found[2]) < start:
                raise _wrong("PGRST103", "Requested range not satisfiable", 416)
            size = int(found[2]) - start + 1
            limit = size if limit is None else min(limit, size)
        return max(offset, start), limit

    def _number(self, name: str) -> int | None:
        text = self.call.query.get(name)
        if text is None:
            return None
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise _wrong("PGRST100", f"failed to parse {name} ({text})")
        return int(text)

    def _prefer(self) -> str:
        return ",".join(self.call.headers.getlist("prefer")).replace(" ", "")

    # ---------------------------------------------------------------- filters

    def _filters(self, table: _Table) -> _Where:
        where = _Where()
        for name, text in self.call.query.multi_items():
            if name in _RESERVED:
                continue
            negated, plain = name.startswith("not."), name.removeprefix("not.")
            if plain in ("and", "or"):
                where &= self._group(table, plain, text, negated=negated)
            else:
                where &= self._filter(table, name, text)
        return where

    def _group(self, table: _Table, sign: str, text: str, *, negated: bool) -> _Where:
        if not (text.startswith("(") and text.endswith(")")) or text == "()":
            raise _wrong("PGRST100", f"failed to parse logic tree ({text})")
        parts: list[_Where] = []
        for part in _parts(text[1:-1]):
            nested = re.fullmatch(r"(not\.)?(and|or)(\(.*\))", part, re.DOTALL)
            if nested:
                parts.append(self._group(table, nested[2], nested[3], negated=bool(nested[1])))
                continue
            name, dot, rest = part.partition(".")
            if not dot:
                raise _wrong("PGRST100", f"failed to parse logic tree ({text})")
            parts.append(self._filter(table, name, rest))
        sql = f" {sign.upper()} ".join(f"({part.sql})" for part in parts)
        values = tuple(value for part in parts for value in part.values)
        return _Where(f"NOT ({sql})" if negated else sql, values)

    def _filter(self, table: _Table, name: str, text: str) -> _Where:
        sql, kind = table.value(name)
        negated = text.startswith("not.")
        operator, dot, value = text.removeprefix("not.").partition(".")
        if not dot:
            raise _wrong("PGRST100", f'"failed to parse filter ({text})"')
        where = self._compared(sql, kind, operator, value, text)
        return _Where(f"NOT ({where.sql})", where.values) if negated else where

    def _compared(self, sql: str, kind: str | None, operator: str, value: str, text: str) -> _Where:
        typed = kind or "text"
        if operator in _COMPARISONS:
            return _Where(f"{sql} {_COMPARISONS[operator]} ?", (stored(typed, value),))
        if operator in _PATTERNS:
            pattern = value.replace("*", "%") if operator.endswith("like") else value
            return _Where(f"{sql} {_PATTERNS[operator]} ?", (pattern,))
        if operator == "is" and value.lower() in _IS:
            return _Where(f"{sql} {_IS[value.lower()]}")
        if operator == "in" and value.startswith("(") and value.endswith(")"):
            items = [_unquoted(item) for item in _parts(value[1:-1])]
            marks = ", ".join("?" * len(items))
            return _Where(f"{sql} IN ({marks})", tuple(stored(typed, item) for item in items))
        if operator == "cs" and typed.startswith("_"):
            wanted = f"SELECT value FROM json_each(?) WHERE value NOT IN (SELECT value FROM json_each({sql}))"  # noqa: S608
            return _Where(f"NOT EXISTS ({wanted})", (stored(typed, value),))
        raise _wrong("PGRST100", f'"failed to parse filter ({text})"')

    # ---------------------------------------------------------------- writing

    def _insert(self, table: _Table) -> Response:
        given = self.call.json
        rows: list[Any] = given if is_list(given) else [given]
        conflict, ignored = self._conflict(table)
        prefer = self._prefer()
        with self.database.transaction():
            self._writable(table, "INSERT")
            check = self._kept(table.name, "INSERT")
            ids: list[int] = []
            for row in rows:
                values = self._values(table, row)
                if self.caller.user_id and (owner := self.exposure.owners.get(self._listed(table.name))):
                    values[owner] = self.caller.user_id
                names = ", ".join(map(quoted, values))
                filled = f"({names}) VALUES ({', '.join('?' * len(values))})" if values else "DEFAULT VALUES"
                tail = ""
                if conflict and ignored:
                    tail = " ON CONFLICT DO NOTHING"
                elif conflict:
                    sets = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in values)
                    reach = self._seen(table.name, "UPDATE")
                    tail = f" ON CONFLICT ({', '.join(map(quoted, conflict))}) DO UPDATE SET {sets} WHERE {reach}"
                text = f"INSERT INTO {quoted(table.name)} {filled}{tail} RETURNING rowid"
                ids += [found[0] for found in self.database.fetch(text, list(values.values()))]
            self._checked(table, ids, check)
            answer = self._written(table, ids) if "return=representation" in prefer else None
        return Response(status_code=201, headers=_HEADERS) if answer is None else json_answer(answer, 201, _HEADERS)

    def _update(self, table: _Table) -> Response:
        with self.database.transaction():
            self._writable(table, "UPDATE")
            values = self._values(table, self.call.body)
            reach, check = self._reached(table, "UPDATE"), self._kept(table.name, "UPDATE")
            ids: list[int] = []
            if values:
                sets = ", ".join(f"{quoted(name)} = ?" for name in values)
                text = f"UPDATE {quoted(table.name)} SET {sets} WHERE {reach.sql} RETURNING rowid"  # noqa: S608 - names are quoted
                ids = [row[0] for row in self.database.fetch(text, [*values.values(), *reach.values])]
            self._checked(table, ids, check)
            answer = self._written(table, ids) if "return=representation" in self._prefer() else None
        return _done(answer)

    def _delete(self, table: _Table) -> Response:
        with self.database.transaction():
            self._writable(table, "DELETE")
            reach = self._reached(table, "DELETE")
            source = f"{quoted(table.name)} WHERE true"
            answer = self._rows(table, source, reach) if "return=representation" in self._prefer() else None
            self.database.fetch(f"DELETE FROM {quoted(table.name)} WHERE {reach.sql}", reach.values)  # noqa: S608 - names are quoted
        return _done(answer)

    def _reached(self, table: _Table, command: str) -> _Where:
        """Rows that match, that the caller sees, and that it may change."""
        seen = _Where(self._seen(table.name, "SELECT")) & _Where(self._seen(table.name, command))
        return seen & self._filters(table)

    def _writable(self, table: _Table, command: str) -> None:
        if table.name in self.database.relations("view"):
            raise SqlError(f'cannot {command.lower()} view "{table.name}"', "55000")

    def _values(self, table: _Table, row: Any) -> dict[str, Any]:
        if not isinstance(row, dict):
            raise _wrong("PGRST102", "All object keys must match")
        given = cast("dict[str, Any]", row)
        for name in given:
            if name not in table.columns:
                told = f"Could not find the '{name}' column of '{table.name}' in the schema cache"
                raise _wrong("PGRST204", told)
        return {
            name: stored(column.kind or "text", value, column.limit, column.scale)
            for name, value in given.items()
            for column in [table.columns[name]]
        }

    def _conflict(self, table: _Table) -> tuple[list[str], bool]:
        """The columns whose conflict is not an error, and whether the rows that are there stay as they are."""
        found = re.search(r"resolution=(merge|ignore)-duplicates", self._prefer())
        if found is None:
            return [], False
        named = _parts(self.call.query.get("on_conflict") or "")
        return named or [name for name, column in table.columns.items() if column.key], found[1] == "ignore"

    def _checked(self, table: _Table, ids: Sequence[int], check: str) -> None:
        """Refuse rows that the caller may not leave behind."""
        marks = ", ".join("?" * len(ids))
        text = f"SELECT count(*) FROM {quoted(table.name)} WHERE rowid IN ({marks}) AND ({check}) IS NOT TRUE"  # noqa: S608 - names are quoted
        if self.database.fetch(text, ids)[0][0]:
            raise SqlError(f'new row violates row-level security policy for table "{table.name}"', "42501")

    def _written(self, table: _Table, ids: Sequence[int]) -> list[dict[str, Any]]:
        marks = ", ".join("?" * len(ids))
        return self._rows(
            table, self._source(table.name), _Where(f"rowid IN ({marks})", tuple(ids)), " ORDER BY rowid"
        )


@attrs.frozen
class _Table:
    name: str
    columns: Mapping[str, Column]

    def value(self, path: str) -> tuple[str, str | None]:
        """A column, or a place in its JSON (`meta->a->>b`), with its type."""
        first, *steps = re.split(r"(->>?)", path)
        column = self.columns.get(first.strip('"'))
        if column is None:
            raise _wrong("42703", f"column {self.name}.{first} does not exist")
        sql, kind = quoted(column.name), column.kind
        for arrow, key in zip(steps[::2], steps[1::2], strict=True):
            step = key if key.isascii() and key.isdigit() and len(key) < 10 else literal(key)
            sql = f"{'pg_text' if arrow == '->>' else 'pg_get'}({sql}, {step})"
            kind = "text" if arrow == "->>" else "jsonb"
        return sql, kind


def _done(answer: list[dict[str, Any]] | None) -> Response:
    return Response(status_code=204, headers=_HEADERS) if answer is None else json_answer(answer, 200, _HEADERS)


def _parts(text: str) -> list[str]:
    """Pieces between commas outside of parentheses, braces and double quotes."""
    parts, depth, inside = [""], 0, False
    for at, sign in enumerate(text):
        if sign == '"' and text[at - 1 : at] != "\\":
            inside = not inside
        if not inside:
            depth += (sign in "({") - (sign in ")}")
            if sign == "," and depth == 0:
                parts.append("")
                continue
        parts[-1] += sign
    return [part.strip() for part in parts if part.strip()]


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if len(text) > 1 and text[0] == text[-1] == '"' else text
