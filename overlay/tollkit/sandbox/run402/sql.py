"""Postgres' SQL, written over for SQLite: what is common and cheap, statement by statement.

No SQL library does this part: the two dialects are close, and what matters here (messages, casts, defaults, policies)
none of them has. What differs from Postgres is told in `docs/run402/sandbox-sql.md`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager

import attrs

from tollkit.sandbox.run402.pgtypes import SqlError, canonical

__all__ = ["Function", "Policy", "Statement", "Token", "condition", "quoted", "split", "statements", "tokens"]

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
      |(?P<dollar>\$(?P<tag>(?:[A-Za-z_]\w*)?)\$(?P<inner>.*?)\$(?P=tag)\$)
      |(?P<escaped>[eE]'(?:[^'\\]|\\.|'')*')
      |(?P<text>'(?:[^']|'')*')
      |(?P<quoted>"(?:[^"]|"")+")
      |(?P<param>\$\d+)
      |(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)
      |(?P<word>[A-Za-z_\x80-\U0010ffff][\w$]*)
      |(?P<sign>::|->>|->|\|\||<=|>=|<>|!=|!~\*|!~|~\*|[-+*/%<>=.,;()\[\]^&|?:@#!~])""",
    re.VERBOSE | re.DOTALL,
)


@attrs.frozen
class Token:
    """A piece of a statement: `word` (in lower case), `quoted`, `text`, `number`, `param` or `sign`."""

    kind: str
    text: str

    @property
    def name(self) -> str:
        """The identifier that it is."""
        return self.text[1:-1].replace('""', '"') if self.kind == "quoted" else self.text


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
    names: tuple[tuple[str | None, str | None], ...] = ()
    """Of what it returns: the type of each item by a cast or a function, with the item's name."""
    returns: bool = False
    note: str | None = None
    """What the sandbox left out."""
    policy: Policy | None = None
    function: Function | None = None
    dropped: str | None = None
    """The policy or function that goes."""
    secured: bool | None = None
    """Whether row-level security is on from now on."""


def quoted(name: str) -> str:
    """An identifier, quoted. Not in double quotes: SQLite takes those for a text when there is no such column."""
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """A text, quoted."""
    return "'" + text.replace("'", "''") + "'"


def tokens(sql: str) -> list[Token]:
    """The pieces of a text.

    Raises:
        SqlError: A quotation does not end, or a sign is unknown.
    """
    found: list[Token] = []
    place = 0
    while place < len(sql):
        match = _TOKEN.match(sql, place)
        if match is None:
            if sql[place] in "'\"":
                raise SqlError(f'unterminated quoted string at or near "{sql[place:]}"', "42601")
            raise SqlError(f'syntax error at or near "{sql[place]}"', "42601")
        place = match.end()
        kind, text = match.lastgroup or "", match.group()
        if match["dollar"] is not None:
            found.append(Token("text", literal(match["inner"])))
        elif kind == "escaped":
            plain = re.sub(r"\\(.)", lambda sign: {"n": "\n", "t": "\t"}.get(sign[1], sign[1]), text[2:-1])
            found.append(Token("text", literal(plain.replace("''", "'"))))
        elif kind == "word":
            found.append(Token("word", text.lower()))
        elif kind != "space":
            found.append(Token(kind, text))
    return found


def split(found: Iterable[Token], sign: str = ",") -> list[list[Token]]:
    """Pieces between signs outside of parentheses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in found:
        if token.kind == "sign":
            depth += (token.text in "([") - (token.text in ")]")
            if token.text == sign and depth == 0:
                parts.append([])
                continue
        parts[-1].append(token)
    return parts


def statements(sql: str, schema: str) -> list[Statement]:
    """The statements of a text, for SQLite.

    Args:
        sql: As Postgres takes it.
        schema: Name of the project's schema; names may carry it in front.

    Raises:
        SqlError: A statement is none, or one that the sandbox cannot run.
    """
    parts = [part for part in split(_local(tokens(sql), schema), ";") if part]
    with _whole():
        return [_statement(part) for part in parts]


def condition(sql: str, schema: str) -> str:
    """A condition on rows, for SQLite.

    Raises:
        SqlError: It is none.
    """
    found = _local(tokens(sql), schema)
    depth = 0
    for token in found:
        depth += (token.text == "(") - (token.text == ")")
        if depth < 0 or token.text == ";":
            raise SqlError(f'syntax error at or near "{token.text}"', "42601")
    if not found or depth:
        raise SqlError("syntax error at end of input", "42601")
    with _whole():
        return _expression(found)


@contextmanager
def _whole() -> Generator[None]:
    """A statement that ends too early, or goes too deep, is the caller's mistake."""
    try:
        yield
    except (IndexError, ValueError):
        raise SqlError("syntax error at end of input", "42601") from None
    except RecursionError:
        raise SqlError("stack depth limit exceeded", "54001") from None


def _local(found: Sequence[Token], schema: str) -> list[Token]:
    """Without the schema in front of names; `auth.uid()` becomes `auth_uid()`."""
    kept: list[Token] = []
    place = 0
    while place < len(found):
        token = found[place]
        if token.kind in ("word", "quoted") and place + 2 < len(found) and found[place + 1].text == ".":
            if token.name in ("public", schema, "pg_catalog"):
                place += 2
                continue
            if token.name == "auth":
                kept.append(Token("word", f"auth_{found[place + 2].name}"))
                place += 3
                continue
        kept.append(token)
        place += 1
    return kept


# -------------------------------------------------------------------- expressions

_WORDS = {
    "ilike": "GLOB",  # four infix functions that SQLite lets one define: LIKE, GLOB, REGEXP, MATCH
    "current_timestamp": "now()",
    "localtimestamp": "now()",
    "current_date": "pg_cast(now(), 'date')",
    "jsonb_build_object": "json_object",
    "json_build_object": "json_object",
    "jsonb_build_array": "json_array",
    "json_build_array": "json_array",
    "jsonb_array_length": "json_array_length",
    "jsonb_agg": "json_group_array",
    "json_agg": "json_group_array",
    "array_agg": "json_group_array",
    "char_length": "length",
    "greatest": "max",
    "least": "min",
    "random": "pg_random",
    "uuid_generate_v4": "gen_random_uuid",
}
_SIGNS = {"~": "REGEXP", "~*": "MATCH", "!~": "NOT REGEXP", "!~*": "NOT MATCH"}
_LITERAL_TYPES = frozenset({"timestamptz", "timestamp", "date", "time", "uuid", "jsonb", "json"})
_TYPE_SEQUELS = {
    "double": ("precision",),
    "character": ("varying",),
    "bit": ("varying",),
    "timestamp": ("with", "without", "time", "zone"),
    "time": ("with", "without", "time", "zone"),
}
_NO_FUNCTION = frozenset(
    ("and", "or", "not", "in", "values", "where", "when", "then", "else", "case", "select", "from", "on", "as", "is")
) | {
    "like",
    "ilike",
    "any",
    "all",
    "between",
    "by",
    "having",
    "returning",
    "set",
    "limit",
    "exists",
    "using",
    "check",
}
_CLAUSES = frozenset(
    ("where", "group", "having", "order", "limit", "offset", "union", "intersect", "except", "window", "for", "fetch")
)


def _type(found: Sequence[Token], place: int) -> tuple[str, int]:
    """The type that is written there, as written, and where it ends."""
    if place >= len(found) or found[place].kind not in ("word", "quoted"):
        raise SqlError(_near(found, place), "42601")
    words = [found[place].name]
    place += 1
    sequels = _TYPE_SEQUELS.get(words[0], ())
    size = ""
    while place < len(found):
        token = found[place]
        if token.kind == "word" and token.text in sequels:
            words.append(token.text)
            place += 1
        elif token.text == "(" and not size:
            end = _closing(found, place)
            size = "(" + "".join(inner.text for inner in found[place + 1 : end]) + ")"
            place = end + 1
        elif token.text == "[":
            words.append("[]")
            place = next((at for at in range(place, len(found)) if found[at].text == "]"), place) + 1
        else:
            break
    return " ".join(words).replace(" []", "[]") + size, place


def _closing(found: Sequence[Token], place: int) -> int:
    depth = 0
    for at in range(place, len(found)):
        depth += (found[at].text in ("(", "[")) - (found[at].text in (")", "]"))
        if depth == 0:
            return at
    raise SqlError("syntax error at end of input", "42601")


def _near(found: Sequence[Token], place: int) -> str:
    if place < len(found):
        return f'syntax error at or near "{found[place].text}"'
    return "syntax error at end of input"


def _expression(found: Sequence[Token]) -> str:
    return " ".join(_pieces(found))


def _pieces(found: Sequence[Token]) -> list[str]:
    """The tokens for SQLite. `out` holds whole operands where one ends, so that a cast can wrap the last."""
    out: list[str] = []
    place = 0
    while place < len(found):
        token = found[place]
        after = found[place + 1] if place + 1 < len(found) else Token("sign", "")
        if token.text == "::":
            written, place = _type(found, place + 1)
            _wrap(out, "pg_cast", _cast_kind(written))
            continue
        if token.text in ("+", "-") and out and (interval := _interval(found, place + 1)):
            text, place = interval
            _wrap(out, "pg_shift", f"'{token.text}', {text}")
            continue
        if token.kind == "word" and token.text == "cast" and after.text == "(":
            end = _closing(found, place + 1)
            inner = found[place + 2 : end]
            at = next((at for at in range(len(inner) - 1, -1, -1) if inner[at].text == "as"), len(inner))
            written, _ = _type(inner, at + 1)
            out.append(f"pg_cast({_expression(inner[:at])}, {_cast_kind(written)})")
            place = end + 1
            continue
        if token.kind == "word" and token.text == "array" and after.text == "[":
            end = _closing(found, place + 1)
            out.append(f"json_array({_expression(found[place + 2 : end])})")
            place = end + 1
            continue
        if token.text == "=" and after.text == "any":
            end = _closing(found, place + 2)
            items = _expression(found[place + 3 : end])
            out.append(f"IN (SELECT value FROM json_each(pg_items({items})))")  # noqa: S608 - the project's own SQL
            place = end + 1
            continue
        if token.kind == "word" and token.text in _LITERAL_TYPES and after.kind == "text":
            out.append(f"pg_cast({after.text}, '{token.text}')")
            place += 2
            continue
        if token.text == "(" and token.kind == "sign":
            end = _closing(found, place)
            group = f"({_query(found[place + 1 : end])})"
            if out and _calls(found[place - 1]):
                out.append(out.pop() + group)
            else:
                out.append(group)
            place = end + 1
            continue
        if token.text == "." and out and after.kind in ("word", "quoted", "sign"):
            out.append(out.pop() + "." + (quoted(after.name) if after.kind == "quoted" else after.text))
            place += 2
            continue
        clause = place > 0 and found[place - 1].text == "do"
        out.append(quoted(token.text) if token in _FREE and not clause else _plain(token, after))
        place += 1
    return out


def _calls(before: Token) -> bool:
    return before.kind == "quoted" or (before.kind == "word" and before.text not in _NO_FUNCTION)


def _plain(token: Token, after: Token) -> str:
    if token.kind == "param":
        return "?" + token.text[1:]
    if token.kind == "quoted":
        return quoted(token.name)
    if token.kind == "word":
        return _WORDS.get(token.text, token.text) if after.text == "(" or token.text in _BARE else token.text
    return _SIGNS.get(token.text, token.text)


_FREE = frozenset(Token("word", name) for name in ("index", "transaction", "autoincrement", "nothing"))
"""Names that SQLite would take for its own words, and Postgres does not."""
_BARE = frozenset({"ilike", "current_timestamp", "localtimestamp", "current_date"})
"""Of `_WORDS`: what stands without parentheses; the others may also be names of columns."""


def _wrap(out: list[str], function: str, arguments: str) -> None:
    if not out:
        raise SqlError('syntax error at or near "::"', "42601")
    out.append(f"{function}({out.pop()}, {arguments})")


def _cast_kind(written: str) -> str:
    size = re.search(r"\((\d+)\)", written)
    return f"'{canonical(written)}'" + (f", {size[1]}" if size else "")


def _interval(found: Sequence[Token], place: int) -> tuple[str, int] | None:
    """The interval that is written there, and where it ends."""
    if place + 1 < len(found) and found[place].text == "interval" and found[place + 1].kind == "text":
        return found[place + 1].text, place + 2
    if place + 2 < len(found) and found[place].kind in ("text", "param") and found[place + 1].text == "::":
        written, end = _type(found, place + 2)
        if canonical(written) == "interval":
            return _plain(found[place], found[place]), end
    return None


# -------------------------------------------------------------------- queries


def _query(found: Sequence[Token]) -> str:
    """What stands in parentheses: an expression, or a query."""
    return _expression(_without_locks(found))


def _without_locks(found: Sequence[Token]) -> Sequence[Token]:
    """Without `FOR UPDATE` at the end: one connection needs no locks."""
    words = [token.text for token in found[-2:]]
    return found[:-2] if words in (["for", "update"], ["for", "share"]) else found


_KNOWN = {
    **dict.fromkeys(("count", "row_number", "rank", "dense_rank", "sum"), "int8"),
    **dict.fromkeys(("exists", "bool_and", "bool_or", "every"), "bool"),
    **dict.fromkeys(("jsonb_agg", "jsonb_build_object", "jsonb_build_array"), "jsonb"),
    **dict.fromkeys(("json_agg", "json_build_object", "json_build_array"), "json"),
    **dict.fromkeys(("lower", "upper", "trim", "concat", "replace", "string_agg", "md5", "substr"), "text"),
    "array_agg": "_text",
    "avg": "numeric",
    "length": "int4",
    "now": "timestamptz",
    "gen_random_uuid": "uuid",
    "auth_uid": "uuid",
    "current_date": "date",
    "current_timestamp": "timestamptz",
}
"""Types of what functions give, where the columns do not tell."""


def _items(found: Sequence[Token]) -> tuple[str, tuple[tuple[str | None, str | None], ...]]:
    """What is selected or returned, with the names that Postgres would give, and what is known of each."""
    written: list[str] = []
    known: list[tuple[str | None, str | None]] = []
    for item in split(found):
        if not item:
            raise SqlError("syntax error at end of input", "42601")
        alias: str | None = None
        kind: str | None = None
        body: Sequence[Token] = item
        if len(item) > 2 and item[-2].text == "as":
            alias, body = item[-1].name, item[:-2]
        elif len(item) > 1 and item[-1].kind in ("word", "quoted") and _ends_operand(item[-2]):
            alias, body = item[-1].name, item[:-1]
        natural = "?column?"
        if body[-1].text == "*":
            written.append(_expression(body))
            known.append(("*", None))
            continue
        cast = next((at for at in range(len(body) - 1, 0, -1) if body[at].text == "::"), None)
        if cast is not None and _type(body, cast + 1)[1] == len(body):
            kind, _ = _type(body, cast + 1)
            kind = canonical(kind)
            natural = body[cast - 1].name if body[cast - 1].kind in ("word", "quoted") else kind
        elif all(token.kind in ("word", "quoted") or token.text == "." for token in body):
            natural = body[-1].name
            kind = "bool" if natural in ("true", "false") and len(body) == 1 else _KNOWN.get(natural)
            natural = "bool" if kind == "bool" else natural
        elif body[0].kind in ("word", "quoted") and len(body) > 1 and body[1].text == "(":
            natural = body[0].name
            if _closing(body, 1) == len(body) - 1:
                kind = _KNOWN.get(natural)
        kind = kind or ("bool" if _is_condition(body) else None)
        written.append(f"{_expression(body)} AS {quoted(alias or natural)}")
        known.append((kind, alias or natural))
    return ", ".join(written), tuple(known)


_COMPARISONS = frozenset(("=", "<", ">", "<=", ">=", "<>", "!=", "~", "~*", "!~", "!~*")) | {
    "and",
    "or",
    "not",
    "is",
    "in",
    "like",
    "ilike",
    "between",
    "exists",
}


def _is_condition(body: Sequence[Token]) -> bool:
    depth = 0
    found = False
    for token in body:
        depth += (token.text in "([") - (token.text in ")]")
        if token.kind in ("word", "sign") and depth == 0:
            if token.text == "case":
                return False
            found = found or token.text in _COMPARISONS
    return found


def _ends_operand(token: Token) -> bool:
    if token.kind == "sign":
        return token.text in (")", "]")
    return token.kind != "word" or token.text not in _NO_FUNCTION


def _select(found: Sequence[Token]) -> tuple[str, tuple[tuple[str | None, str | None], ...]]:
    """A query whose own list of items is named as Postgres names it."""
    found = _without_locks(found)
    depth = 0
    start = None
    for place, token in enumerate(found):
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.kind == "word":
            if token.text == "select" and start is None:
                start = place + 1
                if start < len(found) and found[start].text in ("distinct", "all"):
                    start += 1
            elif start is not None and (token.text == "from" or token.text in _CLAUSES):
                return _named(found, start, place)
    if start is None:
        return _expression(found), ()
    return _named(found, start, len(found))


def _named(found: Sequence[Token], start: int, end: int) -> tuple[str, tuple[tuple[str | None, str | None], ...]]:
    if start == end:
        return _expression(found), ()
    items, known = _items(found[start:end])
    return f"{_expression(found[:start])} {items} {_expression(found[end:])}", known


# -------------------------------------------------------------------- statements

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
    raise SqlError(_near(found, 0), "42601")


def _reading(found: Sequence[Token]) -> Statement:
    if found[0].text == "with" and (write := _writing_after_with(found)):
        return write
    sql, known = _select(found)
    return Statement(command="select", sql=(sql,), names=known, returns=True)


def _writing_after_with(found: Sequence[Token]) -> Statement | None:
    depth = 0
    for place, token in enumerate(found):
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.kind == "word" and token.text in ("select", "insert", "update", "delete"):
            if token.text == "select":
                return None
            told = _writing(found[place:])
            return attrs.evolve(told, sql=(f"{_expression(found[:place])} {told.sql[0]}",))
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
            items, known = _items(found[place + 1 :])
            sql = f"{_expression(found[:place])} RETURNING {items}"
            return Statement(command=command, sql=(sql,), table=table, names=known, returns=True)
    return Statement(command=command, sql=(_expression(found),), table=table)


def _truncate(found: Sequence[Token]) -> Statement:
    rest = [token for token in found[1:] if token.text not in ("table", "only", "restart", "identity", "cascade")]
    names = [part[0].name for part in split(rest) if part]
    return Statement(command="truncate", sql=tuple(f"DELETE FROM {quoted(name)}" for name in names))  # noqa: S608


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
            sql, _ = _select(found[place + 2 :])
            return Statement(command="create table", sql=(f"{head}{quoted(name)} AS {sql}",), table=name)
        raise SqlError(_near(found, place + 1), "42601")
    end = _closing(found, place + 1)
    parts = split(found[place + 2 : end])
    keys = {token.name for part in parts for token in _key_columns(part)}
    columns: list[str] = []
    for part in parts:
        if not part:
            raise SqlError('syntax error at or near ")"', "42601")
        columns.append(_expression(_at_home(part)) if part[0].text in _TABLE_RULES else _column(name, part, keys))
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
                end = _closing(part, end) + 1
            while end + 1 < len(part) and part[end].text == "on":
                end += 4 if part[end + 2].text in ("set", "no") else 3
            return [*part[:place], *_at_home(part[end:])]
    return list(part)


def _column(table: str, part: Sequence[Token], keys: set[str]) -> str:
    name = part[0].name
    part = _at_home(part)
    written, place = _type(part, 1)
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
            end = _closing(part, end) + 1 if part[end].text == "(" else end + 1
        if word == "not" and end < len(part) and part[end].text == "null":
            end += 1
        if word == "default":
            rules.append(f"DEFAULT ({_expression(part[place + 1 : end])})")
        elif word == "generated":
            stored = any(token.text == "stored" for token in part[place:end])
            identity = any(token.text == "identity" for token in part[place:]) and not stored
            if identity:
                # GENERATED BY DEFAULT: the word splits there, and the rest goes with it
                while end < len(part) and part[end - 1].text != "identity":
                    end += 1
                if end < len(part) and part[end].text == "(":
                    end = _closing(part, end) + 1
                rules.append(f"DEFAULT (nextval({literal(f'{table}_{name}_seq')})) NOT NULL")
            else:
                rules.append(_expression(part[place:end]))
        elif word != "collate":
            rules.append(_expression(part[place:end]))
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
    return Statement(command="create index", sql=(f"{head} {quoted(name)} ON {_expression(found[on + 1 :])}",))


def _create_view(found: Sequence[Token]) -> Statement:
    replaced = any(token.text == "replace" for token in found[:3])
    place = _after(found, "create", "or", "replace", "temp", "temporary", "view")
    name = found[place].name
    at = next((at for at in range(place, len(found)) if found[at].text == "as"), None)
    if at is None:
        raise SqlError("syntax error at end of input", "42601")
    sql, _ = _select(found[at + 1 :])
    made = f"CREATE VIEW {quoted(name)} AS {sql}"
    first = (f"DROP VIEW IF EXISTS {quoted(name)}",) if replaced else ()
    return Statement(command="create view", sql=(*first, made), table=name)


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
    )


def _alter_table(found: Sequence[Token]) -> Statement:
    place = _after(found, "alter", "table", "if", "exists", "only")
    table = found[place].name
    sql: list[str] = []
    told = Statement(command="alter table", table=table)
    for action in split(found[place + 1 :]):
        texts = [token.text for token in action]
        if texts[-3:] == ["row", "level", "security"]:
            told = attrs.evolve(told, secured=texts[0] in ("enable", "force"))
        elif texts[:2] == ["owner", "to"]:
            told = attrs.evolve(told, note="OWNER has no effect")
        elif texts[:1] == ["rename"]:
            sql.append(f"ALTER TABLE {quoted(table)} {_expression(action)}")
        elif texts[:1] == ["drop"] and "constraint" not in texts:
            names = [
                token for token in action[1:] if token.text not in ("column", "cascade", "restrict", "if", "exists")
            ]
            sql.append(f"ALTER TABLE {quoted(table)} DROP COLUMN {quoted(names[0].name)}")
        elif texts[:1] == ["add"] and "unique" in texts and texts[1] in ("constraint", "unique"):
            columns = texts.index("unique") + 1
            name = action[2].name if texts[1] == "constraint" else f"{table}_{action[columns + 1].name}_key"
            sql.append(f"CREATE UNIQUE INDEX {quoted(name)} ON {quoted(table)} {_expression(action[columns:])}")
        elif texts[:1] == ["add"] and texts[1] not in _TABLE_RULES:
            start = 1 + _after(action[1:], "column", "if", "not", "exists")
            sql.append(f"ALTER TABLE {quoted(table)} ADD COLUMN {_column(table, action[start:], set())}")
        else:
            raise SqlError(f"the sandbox's database does not know ALTER TABLE {' '.join(texts[:2]).upper()}", "0A000")
    return attrs.evolve(told, sql=tuple(sql))


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
                raise SqlError(_near(found, start), "42601")
            end = _closing(found, start)
            inner = _expression(found[start + 1 : end])
            using, check = (inner, check) if word == "using" else (using, inner)
            place = end + 1
        else:
            raise SqlError(_near(found, place), "42601")
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
    end = _closing(found, place + 1)
    parameters: list[tuple[str, str]] = []
    for part in split(found[place + 2 : end]):
        at = next((at for at, token in enumerate(part) if token.text in ("default", "=")), len(part))
        words = [token for token in part[:at] if token.text not in ("in", "variadic")]
        if words:
            named = len(words) > 1 and words[0].text not in _TYPE_SEQUELS
            parameters.append((words[0].name if named else "", canonical(_type(words, int(named))[0])))
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
