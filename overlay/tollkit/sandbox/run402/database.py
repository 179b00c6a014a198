"""The database of one project: SQLite in memory that takes Postgres' SQL and answers as the gateway does."""

from __future__ import annotations

import json
import random
import re
import sqlite3
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import attrs

from tollkit.sandbox.run402.pgtypes import LONG_NAMES, SqlError, canonical, compact, shifted, shown, stored, to_json
from tollkit.sandbox.run402.sql.expressions import condition
from tollkit.sandbox.run402.sql.functions import FUNCTIONS
from tollkit.sandbox.run402.sql.kinds import UNKNOWN, Shape, declared_shape, kinds_of, shapes_of
from tollkit.sandbox.run402.sql.statements import Function, Policy, Statement, compared, statements
from tollkit.sandbox.run402.sql.tokens import literal, quoted

if TYPE_CHECKING:
    from tollkit.sandbox.clock import Clock

__all__ = ["Caller", "Column", "Database", "Outcome"]

_BLOCKED = tuple(
    rf"\b{first}\s+{second}\b"
    for first, second in (
        ("CREATE", "ROLE"),
        ("ALTER", "ROLE"),
        ("DROP", "ROLE"),
        ("CREATE", "USER"),
        ("CREATE", "DATABASE"),
        ("DROP", "DATABASE"),
        ("DROP", "SCHEMA"),
        ("ALTER", "SYSTEM"),
        ("SET", "ROLE"),
    )
)
"""What the gateway does not let through. Only the first was seen; the others are assumed."""

_COMPARING = frozenset(("select", "insert", "update", "delete", "create view", "create policy"))
"""Statements that compare columns of tables that are there."""

_TYPES = "/*types:"
"""Before the types of a view's columns: they are kept in its text, and so go and come back with it."""
_STEPS = 100_000
_PATIENCE = 100
"""A statement is ended after `_STEPS` * `_PATIENCE` steps of SQLite, part of a second."""


@attrs.frozen
class Caller:
    """Who asks: `service` passes all policies, `authenticated` has a user id, `anon` has none."""

    role: str = "service"
    user_id: str | None = None


@attrs.frozen
class Column:
    """A column of a table or view."""

    name: str
    declared: str
    """As SQLite keeps it, e.g. `varchar(20)`."""
    nullable: bool
    default: str | None
    key: int
    """Place in the primary key, from 1; 0 when it is not in it."""
    generated: bool = False
    """Whether it is computed from other columns."""

    @property
    def kind(self) -> str | None:
        """The short name of its type; None when nobody knows."""
        return self.declared.partition("(")[0] or None

    @property
    def limit(self) -> int | None:
        """Of `varchar(n)`, or all digits of `numeric(p, s)`."""
        size = re.search(r"\((\d+)", self.declared)
        return int(size[1]) if size and self.kind in ("varchar", "bpchar", "numeric") else None

    @property
    def scale(self) -> int | None:
        """Digits behind the point of `numeric(p, s)`."""
        return _scale(self.declared) if self.kind == "numeric" else None


@attrs.frozen(kw_only=True)
class Outcome:
    """What a statement gave."""

    command: str = ""
    rows: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]])
    row_count: int | None = None
    fields: list[dict[str, str]] = attrs.field(factory=list[dict[str, str]])
    notices: tuple[str, ...] = ()


class Database:
    """The database of a project. Its user holds the gateway's lock.

    Args:
        schema: Name of the project's schema, e.g. `project_6f3a`.
        clock: What `now()` tells.

    Attributes:
        policies: Of each table, by name; those of renamed tables may stand under the first name (`policies_of`).
        origins: First names of tables that were renamed, by the names that they have now.
        secured: Tables whose row-level security is on.
        functions: Functions of the database by name.
        caller: Who asks; for `auth.uid()` and `auth.role()`.
    """

    def __init__(self, schema: str, clock: Clock) -> None:
        self.schema = schema
        self.policies: dict[str, dict[str, Policy]] = {}
        self.origins: dict[str, str] = {}
        self.secured: set[str] = set()
        self.functions: dict[str, Function] = {}
        self.caller: Caller = Caller()
        self._clock = clock
        self._random = random.Random(schema)
        self._sequences: Counter[str] = Counter()
        self._failure: SqlError | None = None
        self._kept = self._known()
        self._steps = 0
        self._connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        weakref.finalize(self, self._connection.close)
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._connection.set_progress_handler(_Patience(weakref.ref(self)), _STEPS)
        self._teach()

    # ---------------------------------------------------------------- for everybody

    def run(self, sql: str, params: Sequence[Any] | None = None) -> Outcome:
        """Run statements in one transaction, with all rights.

        Args:
            sql: One or more statements; one alone when there are `params`.
            params: Values for `$1`, `$2` and so on.

        Returns:
            What the last statement gave, with the notices of all.

        Raises:
            SqlError: A statement is refused; nothing of the text has happened then.
        """
        for pattern in _BLOCKED:
            if re.search(pattern, sql, re.IGNORECASE):
                raise SqlError(f"Blocked SQL pattern: {pattern}", "42501")
        found = statements(sql, self.schema)
        if params is not None and len(found) > 1:
            raise SqlError("cannot insert multiple commands into a prepared statement", "42601")
        notices: list[str] = []
        last = Outcome()
        with self.transaction():
            for statement in found:
                if statement.command in ("begin", "commit", "rollback"):
                    self._boundary(statement.command)
                    last = Outcome(command=statement.command)
                    continue
                last = self._one(statement, [_bound(value) for value in params or ()])
                if statement.note:
                    notices.append(statement.note)
        return attrs.evolve(last, notices=tuple(notices))

    def run_within(self, sql: str, commands: Collection[str], table: str) -> None:
        """Run statements on one table within a transaction that runs.

        Args:
            sql: Statements.
            commands: What they may be, e.g. `create policy`.
            table: The table that they may be about.

        Raises:
            SqlError: A statement is refused, or is another.
        """
        for statement in statements(sql, self.schema):
            if statement.command not in commands or statement.table not in (table, None) or statement.sql:
                raise SqlError(f"{statement.command} is not allowed here", "42501")
            self._one(statement, [])

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All or nothing; policies, functions and row-level security are part of it.

        Raises:
            SqlError: What SQLite refused, in Postgres' words.
        """
        with self._told():
            self._connection.execute("BEGIN")
            self._kept, numbers = self._known(), self._sequences.copy()
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                self.policies, self.secured, self.functions, self.origins = self._kept
                # numbers that were given are not given again, but a new beginning is taken back
                self._sequences |= numbers
                raise

    @contextmanager
    def as_caller(self, caller: Caller) -> Generator[None]:
        """Within the block, `auth.uid()` and `auth.role()` tell of somebody."""
        before, self.caller = self.caller, caller
        try:
            yield
        finally:
            self.caller = before

    def fetch(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of SQLite's own SQL.

        Raises:
            SqlError: What SQLite refused, in Postgres' words.
        """
        with self._told():
            self._steps = 0
            return self._connection.execute(sql, [_bound(value) for value in params]).fetchall()

    def expression(self, sql: str, table: str) -> str:
        """A condition on rows of a table, for SQLite.

        Raises:
            SqlError: It is none, or does not fit the table.
        """
        translated = condition(sql, self.schema, kinds_of(self._relations([table])))
        self.fetch(f"SELECT 1 FROM {quoted(table)} WHERE {translated} LIMIT 0")  # noqa: S608 - the project's own SQL
        return translated

    def copy_from(self, other: Database) -> None:
        """Become a copy of another database: tables, rows, views, policies, functions, sequences.

        What was here before is gone.
        """
        other._connection.backup(self._connection)
        self.policies, self.secured, self.functions, self.origins = other._known()
        self._sequences = other._sequences.copy()

    # ---------------------------------------------------------------- what there is

    def relations(self, kind: str = "table") -> list[str]:
        """Names of the tables, or of the views (`kind="view"`), in order."""
        rows = self.fetch(
            "SELECT name FROM sqlite_master WHERE type = ? AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name",
            [kind],
        )
        return [row[0] for row in rows]

    def columns(self, name: str) -> list[Column]:
        """Columns of a table or view; none when there is no such relation."""
        rows = self.fetch("SELECT * FROM pragma_table_xinfo(?)", [name])
        kinds = self._types_of(name) if any(not _known(row[2]) for row in rows) else {}
        return [
            Column(
                name=row[1],
                declared=row[2].lower() if _known(row[2]) else str(kinds.get(row[1]) or row[2]).lower(),
                nullable=not row[3],
                default=row[4],
                key=row[5],
                generated=row[6] in (2, 3),
            )
            for row in rows
        ]

    def _types_of(self, view: str) -> dict[str, str]:
        """Types of a view's columns, as they are written behind its query."""
        made = self.fetch("SELECT sql FROM sqlite_master WHERE name = ? AND type = 'view'", [view])
        _, found, kinds = made[0][0].rpartition(_TYPES) if made else ("", "", "")
        return json.loads(kinds.removesuffix("*/")) if found else {}

    def policies_of(self, table: str) -> dict[str, Policy]:
        """Policies of a table by name, whatever it was called when they were made."""
        return {key: policy for name in self._names(table) for key, policy in self.policies.get(name, {}).items()}

    def current(self, first: str) -> str:
        """What a table is called now."""
        return next((name for name, known in self.origins.items() if known == first), first)

    def _names(self, table: str) -> tuple[str, ...]:
        return (self.origins[table], table) if table in self.origins else (table,)

    def size(self) -> int:
        """Bytes that the database takes."""
        return int(self.fetch("PRAGMA page_count")[0][0] * self.fetch("PRAGMA page_size")[0][0])

    def report(self) -> dict[str, Any]:
        """The schema report of the gateway."""
        return {"schema": self.schema, "tables": [self._table(name) for name in self.relations()]}

    def _table(self, name: str) -> dict[str, Any]:
        columns = self.columns(name)
        return {
            "name": name,
            "columns": [
                {
                    "name": column.name,
                    "type": _long(column),
                    "nullable": column.nullable,
                    "default_value": _default(column.default),
                }
                for column in columns
            ],
            "constraints": list(self._constraints(name, columns)),
            "rls_enabled": not self.secured.isdisjoint(self._names(name)),
            "policies": [
                {
                    "name": policy.name,
                    "command": policy.command,
                    "using_expression": policy.using and _told(policy.using),
                    "check_expression": policy.check and _told(policy.check),
                }
                for policy in self.policies_of(name).values()
            ],
        }

    def _constraints(self, table: str, columns: Sequence[Column]) -> Iterator[dict[str, str]]:
        key = [column.name for column in sorted(columns, key=lambda column: column.key) if column.key]
        if key:
            told = f"PRIMARY KEY ({', '.join(key)})"
            yield {"name": f"{table}_pkey", "type": "PRIMARY KEY", "definition": told}
        for index in self.fetch(f"PRAGMA index_list({quoted(table)})"):
            names = [row[2] for row in self.fetch(f"PRAGMA index_info({quoted(index[1])})")]
            if index[2] and index[3] != "pk":
                name = f"{table}_{'_'.join(names)}_key" if index[3] == "u" else index[1]
                yield {"name": name, "type": "UNIQUE", "definition": f"UNIQUE ({', '.join(names)})"}
        foreign: dict[int, list[tuple[Any, ...]]] = {}
        for row in self.fetch(f"PRAGMA foreign_key_list({quoted(table)})"):
            foreign.setdefault(row[0], []).append(row)
        for rows in foreign.values():
            mine, theirs = ", ".join(row[3] for row in rows), ", ".join(row[4] or "id" for row in rows)
            deleted = f" ON DELETE {rows[0][6]}" if rows[0][6] != "NO ACTION" else ""
            told = f"FOREIGN KEY ({mine}) REFERENCES {rows[0][2]}({theirs}){deleted}"
            name = f"{table}_{'_'.join(row[3] for row in rows)}_fkey"
            yield {"name": name, "type": "FOREIGN KEY", "definition": told}

    # ---------------------------------------------------------------- one statement

    def _relations(self, names: Collection[str]) -> dict[str, dict[str, Shape]]:
        """Types of the columns of those relations that there are."""
        found: dict[str, dict[str, Shape] | None] = {}
        for name in names:
            with suppress(SqlError):  # a view whose table is gone
                found[name] = self._relation(name)
        return {name: columns for name, columns in found.items() if columns}

    def _one(self, statement: Statement, params: list[Any]) -> Outcome:
        if statement.command in _COMPARING:
            names = {token.name for token in statement.source if token.kind in ("word", "quoted")}
            known = {*self.relations(), *self.relations("view")}
            statement = compared(statement, self._relations(names & known))
        if statement.if_there and not self.columns(statement.table or ""):
            return Outcome(command=statement.command)
        self._note(statement)
        count: int | None = None
        if statement.command == "alter table":
            self._unwatch()
        for text in self._with_types(statement):
            if text in statement.lenient:
                column, there = statement.lenient[text]
                if there != any(known.name == column for known in self.columns(statement.table or "")):
                    continue
            shapes = self._shapes(text, statement) if statement.returns else []
            self._steps = 0
            cursor = self._connection.execute(self._constant_default(text), _for_statement(text, params))
            rows = cursor.fetchall()
            if statement.command in ("insert", "update", "delete"):
                count = max(cursor.rowcount, 0) if not statement.returns else len(rows)
            if statement.returns:
                return self._answer(statement, cursor.description, rows, shapes)
        if statement.command in ("create table", "alter table", "drop table"):
            self._watch()
        if statement.command == "create policy" and statement.policy:
            self._try_policy(statement.policy)
        return Outcome(command=statement.command, row_count=count)

    def _with_types(self, statement: Statement) -> Sequence[str]:
        """What SQLite runs; what is made of a query gets the types that its columns have in Postgres."""
        if not statement.query or statement.returns:
            return statement.sql
        told = shapes_of(statement.query, self._relation) or ()
        if statement.command == "create view":
            kinds = {name: shape.declared for name, shape in told if shape.kind}
            return [*statement.sql[:-1], f"{statement.sql[-1]} {_TYPES}{json.dumps(kinds)}*/"]
        # SQLite itself would keep the types of few columns
        name = quoted(statement.table or "")
        made, _, query = statement.sql[0].partition(f"{name} AS ")
        if not told or self.columns(statement.table or ""):
            return statement.sql
        columns = ", ".join(f"{quoted(column)} {shape.declared}" for column, shape in told)
        return [f"{made}{name} ({columns})", f"INSERT INTO {name} {query}"]

    def _answer(
        self, statement: Statement, description: Any, rows: Sequence[tuple[Any, ...]], shapes: Sequence[Shape]
    ) -> Outcome:
        names = [column[0] for column in description]
        shapes = shapes if len(shapes) == len(names) else [UNKNOWN] * len(names)
        known = [shape.kind or _guessed(row[at] for row in rows) for at, shape in enumerate(shapes)]
        written = statement.table is not None
        sizes = {
            column.name: (column.limit, column.scale)
            for column in (self.columns(statement.table) if statement.table else ())
            if column.kind == "numeric"
        }
        return Outcome(
            command=statement.command,
            rows=[
                {
                    # what a writing statement returns has not been through the triggers yet
                    name: to_json(
                        kind,
                        stored(kind, value, *sizes.get(name, ())) if kind and written else value,
                        scale=shape.scale,
                    )
                    for name, kind, shape, value in zip(names, known, shapes, row, strict=True)
                }
                for row in rows
            ],
            row_count=len(rows),
            fields=[{"name": name, "type": kind or "text"} for name, kind in zip(names, known, strict=True)],
        )

    def _shapes(self, text: str, statement: Statement) -> list[Shape]:
        """Types of what a statement returns; of what cannot be told, those that SQLite knows."""
        told = shapes_of(statement.query, self._relation, statement.table)
        if statement.table is not None:
            return [shape for _, shape in told or ()]
        # a view knows from which column each of its own comes
        self._connection.execute(f"CREATE TEMP VIEW pg_shape AS {re.sub(r'[?][0-9]+', 'NULL', text)}")
        declared = [row[2] for row in self._connection.execute("PRAGMA temp.table_info(pg_shape)")]
        self._connection.execute("DROP VIEW temp.pg_shape")
        if told is None or len(told) != len(declared):
            return [_shape(known) for known in declared]
        return [
            _shape(known) if shape.kind is None else shape for (_, shape), known in zip(told, declared, strict=True)
        ]

    def _relation(self, name: str) -> dict[str, Shape] | None:
        return {column.name: _shape(column.declared) for column in self.columns(name)} or None

    def _constant_default(self, text: str) -> str:
        """SQLite adds columns with constant defaults only, so the constant is found out first."""
        if not text.startswith("ALTER TABLE") or " ADD COLUMN " not in text:
            return text
        found = re.search(r"DEFAULT (\(.*\))", text)
        if found is None:
            return text
        if re.search(r"\b(now|nextval|gen_random_uuid|auth_uid|pg_random)\(", found[1]):
            raise SqlError("the sandbox's database adds no column whose default changes", "0A000")
        value = self._connection.execute(f"SELECT {found[1]}").fetchone()[0]
        constant = literal(value) if isinstance(value, str) else "NULL" if value is None else str(value)
        return text.replace(found[0], f"DEFAULT {constant}")

    def _note(self, statement: Statement) -> None:
        """What the sandbox itself keeps."""
        table = statement.table or ""
        if statement.command in ("create policy", "drop policy") and not self.columns(table):
            raise SqlError(f'relation "{table}" does not exist', "42P01")
        if statement.policy:
            if statement.policy.name in self.policies_of(table):
                raise SqlError(f'policy "{statement.policy.name}" for table "{table}" already exists', "42710")
            self.policies.setdefault(table, {})[statement.policy.name] = statement.policy
        if statement.function:
            self.functions[statement.function.name] = statement.function
        if statement.command == "drop policy":
            for name in self._names(table):
                self.policies.get(name, {}).pop(statement.dropped or "", None)
        if statement.command == "drop function":
            self.functions.pop(statement.dropped or "", None)
        for name in (table, *statement.also):
            if statement.command == "drop table" or statement.restarted:
                for column in self.columns(name):
                    self._sequences.pop(_sequence(column.default), None)
            if statement.command == "drop table":
                for known in self._names(name):
                    self.policies.pop(known, None)
                    self.secured.discard(known)
                self.origins.pop(name, None)
        for name in statement.touched:
            self._refuse_named(table, name, f'column "{name}" of table "{table}"')
        if statement.renamed and self.columns(table) and not self.columns(statement.renamed):
            self._rename(table, statement.renamed)
        if statement.secured is not None:
            self.secured -= set(self._names(table))
            self.secured |= {table} if statement.secured else set()
        if statement.command == "create table" and not self.columns(table) and self.current(table) != table:
            renamed = self.current(table)
            del self.origins[renamed]
            self._move(table, renamed)

    def _rename(self, table: str, name: str) -> None:
        """What the expose manifest made of a table stays under the first name, where the manifest looks for it."""
        for owner in self.policies:
            self._refuse_named(owner, table, f'table "{table}"')
        first = self.origins.pop(table, table)
        if first != table:
            self._move(table, name)
        if first != name:
            self.origins[name] = first

    def _move(self, table: str, name: str) -> None:
        self.policies.setdefault(name, {}).update(self.policies.pop(table, {}))
        if table in self.secured:
            self.secured.discard(table)
            self.secured.add(name)

    def _refuse_named(self, table: str, name: str, what: str) -> None:
        """Conditions of policies are kept as text, so what they name keeps its name.

        Raises:
            SqlError: A policy of the table names it.
        """
        for policy in self.policies_of(table).values():
            text = re.sub(r"'(?:[^']|'')*'", "''", f"{policy.using or ''} {policy.check or ''}")
            if re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", text):
                told = f'cannot change {what}: policy "{policy.name}" on table "{table}" names it; drop it first'
                raise SqlError(told, "2BP01")

    def _try_policy(self, policy: Policy) -> None:
        for told in (policy.using, policy.check):
            if told:
                self.fetch(f"SELECT 1 FROM {quoted(policy.table)} WHERE {told} LIMIT 0")  # noqa: S608 - as above

    def _boundary(self, command: str) -> None:
        if command != "begin":
            self._connection.execute(command)
            if command == "rollback":
                self.policies, self.secured, self.functions, self.origins = self._kept
            self._kept = self._known()
            self._connection.execute("BEGIN")

    def _known(self) -> tuple[dict[str, dict[str, Policy]], set[str], dict[str, Function], dict[str, str]]:
        policies = {name: dict(of) for name, of in self.policies.items()}
        return policies, set(self.secured), dict(self.functions), dict(self.origins)

    def _watch(self) -> None:
        """Triggers that refuse what a type does not take, and bring the rest into the form of the type."""
        self._unwatch()
        for table in self.relations():
            wanted = [
                (
                    quoted(column.name),
                    f"pg_in({literal(column.kind)}, NEW.{quoted(column.name)}, {_size(column.limit)},"
                    f" {_size(column.scale)})",
                )
                for column in self.columns(table)
                if column.kind and not column.generated
            ]
            if not wanted:
                continue
            different = " OR ".join(f"NEW.{name} IS NOT {value}" for name, value in wanted)
            sets = ", ".join(f"{name} = {value}" for name, value in wanted)
            for event in ("INSERT", "UPDATE"):
                head = f"CREATE TRIGGER {quoted(f'pg_{event}_{table}')} AFTER {event} ON {quoted(table)}"
                body = f"UPDATE {quoted(table)} SET {sets} WHERE rowid = NEW.rowid;"  # noqa: S608 - names are quoted
                self._connection.execute(f"{head} WHEN {different} BEGIN {body} END")

    def _unwatch(self) -> None:
        for name in self.relations("trigger"):
            self._connection.execute(f"DROP TRIGGER {quoted(name)}")

    # ---------------------------------------------------------------- Postgres' functions and words

    def _teach(self) -> None:
        """Give SQLite the functions of Postgres. They know the database weakly, or it would never be closed."""
        me = weakref.proxy(self)

        def teach(name: str, arguments: int, body: Callable[..., Any], *, pure: bool = True) -> None:
            self._connection.create_function(name, arguments, _Body(weakref.ref(self), body), deterministic=pure)

        teach("now", 0, me.now, pure=False)
        teach("gen_random_uuid", 0, me.random_uuid, pure=False)
        teach("pg_random", 0, self._random.random, pure=False)
        teach("nextval", 1, me.next_value, pure=False)
        teach("auth_uid", 0, lambda: me.caller.user_id, pure=False)
        teach("auth_role", 0, lambda: me.caller.role, pure=False)
        teach("pg_in", 4, stored)
        teach("pg_items", 1, _items)
        teach("pg_cast", 2, _cast)
        teach("pg_cast", 3, _cast)
        teach("pg_cast", 4, _cast)
        teach("pg_shift", 3, shifted)
        teach("pg_shown", 2, shown)
        teach("pg_shown", 3, shown)
        teach("pg_get", 2, _member)
        teach("pg_text", 2, _member_text)
        teach("like", 2, partial(_like, flags=0))
        teach("glob", 2, partial(_like, flags=re.IGNORECASE))
        teach("regexp", 2, partial(_matches, flags=0))
        teach("match", 2, partial(_matches, flags=re.IGNORECASE))
        teach("concat", -1, lambda *parts: "".join(str(part) for part in parts if part is not None))
        teach("date_trunc", 2, _truncated)
        teach("split_part", 3, _part)
        for (name, arguments), body in FUNCTIONS.items():
            teach(name, arguments, body)
        self._connection.create_aggregate("bool_and", 1, cast("Any", _All))
        self._connection.create_aggregate("bool_or", 1, cast("Any", _Any))
        self._connection.create_aggregate("string_agg", 2, cast("Any", _Joined))

    def now(self) -> str:
        """The time of the sandbox's clock, as it is stored."""
        return self._clock.utcnow().isoformat(timespec="microseconds")

    def random_uuid(self) -> str:
        """A uuid; the same one after the other in every run."""
        digits = f"{self._random.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def next_value(self, sequence: str) -> int:
        """The next number of a sequence."""
        self._sequences[sequence] += 1
        return self._sequences[sequence]

    @contextmanager
    def _told(self) -> Generator[None]:
        """SQLite's refusals in Postgres' words."""
        try:
            yield
        except sqlite3.Error as error:
            failure, self._failure = self._failure, None
            raise failure or _in_words(str(error)) from None
        except (sqlite3.Warning, OverflowError, ValueError) as error:
            raise SqlError(str(error), "22003") from None


@attrs.frozen
class _Patience:
    """Ends a statement that runs for too long."""

    database: weakref.ref[Database]

    def __call__(self) -> int:
        database = self.database()
        if database is None:
            return 1
        database._steps += 1
        if database._steps > _PATIENCE:
            database._failure = SqlError("canceling statement due to statement timeout", "57014")
            return 1
        return 0


@attrs.frozen
class _Body:
    """A function for SQLite whose refusal is kept: SQLite itself only says that a function failed."""

    database: weakref.ref[Database]
    body: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        try:
            return self.body(*arguments)
        except SqlError as error:
            if (database := self.database()) is not None:
                database._failure = error
            raise


class _All:
    def __init__(self) -> None:
        self.value: bool | None = None

    def step(self, value: Any) -> None:
        if value is not None:
            self.value = bool(value) and self.value is not False

    def finalize(self) -> int | None:
        return None if self.value is None else int(self.value)


class _Any(_All):
    def step(self, value: Any) -> None:
        if value is not None:
            self.value = bool(value) or bool(self.value)


class _Joined:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self.sign = ""

    def step(self, value: Any, sign: Any) -> None:
        if value is not None:
            self.parts.append(str(value))
            self.sign = str(sign or "")

    def finalize(self) -> str | None:
        return self.sign.join(self.parts) if self.parts else None


def _size(number: int | None) -> str:
    return "NULL" if number is None else str(number)


def _cast(value: Any, kind: str, limit: int | None = None, scale: int | None = None) -> Any:
    if isinstance(value, str) and kind in ("text", "varchar", "bpchar"):
        return value if limit is None else value[:limit]
    return stored(kind, value, limit if kind == "numeric" else None, scale)


def _inner(value: Any, key: Any) -> Any:
    """What stands in JSON at a key (a text) or a place (a number); None when there is nothing."""
    try:
        told: Any = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise SqlError("invalid input syntax for type json", "22P02") from None
    if isinstance(told, dict):
        return cast("dict[str, Any]", told).get(key, _NOTHING) if isinstance(key, str) else _NOTHING
    if isinstance(told, list) and isinstance(key, int):
        items: list[Any] = told  # pyright: ignore[reportUnknownVariableType]
        return items[key] if -len(items) <= key < len(items) else _NOTHING
    return _NOTHING


_NOTHING: Any = object()


def _member(value: Any, key: Any) -> str | None:
    """`value -> key`: JSON."""
    found = _NOTHING if value is None or key is None else _inner(value, key)
    return None if found is _NOTHING else compact(found)


def _member_text(value: Any, key: Any) -> str | None:
    """`value ->> key`: text, whatever stands there."""
    found = _NOTHING if value is None or key is None else _inner(value, key)
    if found is _NOTHING or found is None:
        return None
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


def _like(pattern: Any, text: Any, flags: int) -> bool | None:
    if pattern is None or text is None:
        return None
    parts = re.split(r"(\\.|%|_)", str(pattern))
    expression = "".join(
        {"%": ".*", "_": "."}.get(part) or re.escape(part.removeprefix("\\") or part) for part in parts
    )
    return re.fullmatch(expression, str(text), flags | re.DOTALL) is not None


def _matches(pattern: Any, text: Any, flags: int) -> bool | None:
    if pattern is None or text is None:
        return None
    try:
        return re.search(str(pattern), str(text), flags) is not None
    except re.error as error:
        raise SqlError(f"invalid regular expression: {error}", "2201B") from None


def _items(array: Any) -> Any:
    """An array as JSON; Postgres writes it in braces."""
    return stored("_text", array) if isinstance(array, str) and array.startswith("{") else array


def _part(text: Any, sign: str, at: int) -> str:
    return [*str(text).split(sign), *[""] * at][at - 1]


_TRUNCATED = {"year": 4, "month": 7, "day": 10, "hour": 13, "minute": 16, "second": 19}


def _truncated(unit: str, moment: Any) -> str | None:
    if moment is None:
        return None
    if unit not in _TRUNCATED:
        raise SqlError(f'unit "{unit}" not recognized', "22023")
    return (
        str(stored("timestamptz", moment))[: _TRUNCATED[unit]]
        + "0000-01-01T00:00:00.000000+00:00"[_TRUNCATED[unit] :]
    )


def _bound(value: Any) -> Any:
    return compact(value) if isinstance(value, (dict, list)) else value


def _for_statement(text: str, params: Sequence[Any]) -> Sequence[Any]:
    """The values that a statement uses; too many are an error for Postgres too.

    Raises:
        SqlError: There are fewer or more.
    """
    needed = max((int(number) for number in re.findall(r"[?]([0-9]+)", _without_texts(text))), default=0)
    if needed != len(params):
        told = f"bind message supplies {len(params)} parameters, but prepared statement requires {needed}"
        raise SqlError(told, "08P01")
    return params


def _without_texts(text: str) -> str:
    return re.sub(r"'(?:[^']|'')*'|`(?:[^`]|``)*`", "", text)


def _scale(declared: str) -> int | None:
    size = re.search(r",\s*(\d+)\)", declared)
    return int(size[1]) if size else None


def _shape(declared: str) -> Shape:
    return declared_shape(declared.lower()) if _known(declared) else UNKNOWN


def _known(declared: str) -> str | None:
    if declared in ("", "NUM", "INT", "REAL", "TEXT", "BLOB"):  # what newer SQLite says of expressions
        return None
    try:
        return canonical(declared.lower())
    except SqlError:
        return None


def _guessed(values: Iterator[Any]) -> str | None:
    first = next((value for value in values if value is not None), None)
    match first:
        case int():
            return "int4" if -(2**31) <= first < 2**31 else "int8"
        case float():
            return "float8"
        case str():
            return "text"
        case _:
            return None


def _long(column: Column) -> str:
    kind = column.kind or "text"
    if kind.startswith("_"):
        return f"{LONG_NAMES.get(kind[1:], kind[1:])}[]"
    return LONG_NAMES.get(kind, kind)


def _default(text: str | None) -> str | None:
    if text is None:
        return None
    return re.sub(r"pg_cast\((.*), '(\w+)'\)", r"\1::\2", _told(text))


def _sequence(default: str | None) -> str:
    """The sequence that a column takes its numbers from; empty when it takes none."""
    found = re.search(r"nextval\('((?:[^']|'')*)'\)", default or "")
    return found[1].replace("''", "'") if found else ""


def _told(condition: str) -> str:
    """A condition as Postgres would write it."""
    arrow = re.compile(r"pg_(get|text)\(([^(),]*), ([^(),]*)\)")
    while found := arrow.search(condition):
        sign = "->" if found[1] == "get" else "->>"
        condition = f"{condition[: found.start()]}{found[2]} {sign} {found[3]}{condition[found.end() :]}"
    return condition.replace("auth_uid()", "auth.uid()").replace("auth_role()", "auth.role()").replace("`", '"')


_WORDS: tuple[tuple[str, str, str], ...] = (
    (r'near "(.*)": syntax error', r'syntax error at or near "\1"', "42601"),
    (r"incomplete input", "syntax error at end of input", "42601"),
    (r'unrecognized token: "(.*)"', r'syntax error at or near "\1"', "42601"),
    (r"no such (?:table|view): (?:main\.|temp\.)?(.*)", r'relation "\1" does not exist', "42P01"),
    (r"no such index: (.*)", r'index "\1" does not exist', "42704"),
    (r'no such column: "?([^"]*)"?', r'column "\1" does not exist', "42703"),
    (r"table (\S+) has no column named (.*)", r'column "\2" of relation "\1" does not exist', "42703"),
    (r"ambiguous column name: (.*)", r'column reference "\1" is ambiguous', "42702"),
    (r'(?:table|view|index) "?([^" ]+)"? already exists', r'relation "\1" already exists', "42P07"),
    (r"duplicate column name: (.*)", r'column "\1" specified more than once', "42701"),
    (r"no such function: (.*)", r"function \1 does not exist", "42883"),
    (r"wrong number of arguments to function (\w+)\(\)", r"function \1 does not exist", "42883"),
    (
        r"NOT NULL constraint failed: ([^.]+)\.(.+)",
        r'null value in column "\2" of relation "\1" violates not-null constraint',
        "23502",
    ),
    (r"CHECK constraint failed: (.*)", r'new row violates check constraint "\1"', "23514"),
    (r"FOREIGN KEY constraint failed", "insert, update or delete violates foreign key constraint", "23503"),
    (
        r"\d+ values for \d+ columns|table \S+ has \d+ columns but \d+ values were supplied",
        "INSERT has another number of expressions than target columns",
        "42601",
    ),
    (
        r'cannot INSERT into generated column "(.*)"',
        r'cannot insert a non-DEFAULT value into column "\1"',
        "428C9",
    ),
    (r'cannot UPDATE generated column "(.*)"', r'column "\1" can only be updated to DEFAULT', "428C9"),
    (r"misuse of aggregate.*", "aggregate functions are not allowed here", "42803"),
)


def _in_words(message: str) -> SqlError:
    message = message.replace("`", "")
    unique = re.fullmatch(r"UNIQUE constraint failed: (.*)", message)
    if unique:
        columns = [part.strip().split(".")[-1] for part in unique[1].split(",")]
        table = unique[1].split(".")[0]
        name = f"{table}_pkey" if columns == ["id"] else f"{table}_{'_'.join(columns)}_key"
        return SqlError(f'duplicate key value violates unique constraint "{name}"', "23505")
    for pattern, words, state in _WORDS:
        if found := re.fullmatch(pattern, message):
            return SqlError(found.expand(words), state)
    return SqlError(message, "XX000")
