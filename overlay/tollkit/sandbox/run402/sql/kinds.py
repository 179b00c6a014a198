"""Types of expressions, found out as Postgres does it before it runs a statement.

They tell in which form values go into an answer, and which operators are not SQLite's own: those become functions.
What is not known stays unknown: values are told as they are stored then, and operators stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

import attrs

from tollkit.sandbox.run402.pgtypes import LONG_NAMES, SqlError, canonical
from tollkit.sandbox.run402.sql.expressions import interval_at, name_of, type_at
from tollkit.sandbox.run402.sql.tokens import Token, closing, split, tokens

__all__ = ["UNKNOWN", "Shape", "declared_shape", "kinds_of", "operated", "shapes_of"]


@attrs.frozen
class Shape:
    """The type of a value."""

    kind: str | None
    """Its short name; None when nobody knows it, `unknown` of a text that takes the type of what stands beside it."""
    scale: int | None = None
    """Of `numeric`: the digits behind the point that are written."""

    @property
    def declared(self) -> str:
        """As a column has it."""
        return f"{self.kind or ''}(1000,{self.scale})" if self.scale is not None else self.kind or ""


UNKNOWN = Shape(None)
_TEXT = Shape("unknown")
_BOOL = Shape("bool")
Columns = Mapping[str, Shape]

_NUMBERS = ("int2", "int4", "int8", "numeric", "float4", "float8")
_TEXTS = """
    btrim chr concat concat_ws encode initcap json_typeof jsonb_typeof left lower lpad ltrim md5 overlay quote_ident
    quote_literal regexp_replace repeat replace reverse right rpad rtrim split_part string_agg substr substring
    to_char to_hex translate trim upper
"""
_GIVES: Mapping[str, str] = {
    **dict.fromkeys(("count", "row_number", "rank", "dense_rank", "nextval", "currval", "setval"), "int8"),
    **dict.fromkeys(("exists", "bool_and", "bool_or", "every", "starts_with", "regexp_like"), "bool"),
    **dict.fromkeys(_TEXTS.split(), "text"),
    **dict.fromkeys(("length", "char_length", "character_length", "octet_length", "strpos", "position"), "int4"),
    **dict.fromkeys(
        ("ascii", "array_length", "cardinality", "jsonb_array_length", "json_array_length", "ntile"), "int4"
    ),
    **dict.fromkeys(("now", "to_timestamp", "clock_timestamp", "statement_timestamp"), "timestamptz"),
    **dict.fromkeys(("gen_random_uuid", "uuid_generate_v4", "auth_uid"), "uuid"),
    **dict.fromkeys(("random", "date_part", "percent_rank", "cume_dist", "pi"), "float8"),
    **dict.fromkeys(("age", "make_interval"), "interval"),
    **dict.fromkeys(("row_to_json", "to_json", "json_agg", "json_object_agg"), "json"),
    "to_jsonb": "jsonb",
    "make_date": "date",
    "auth_role": "text",
}
_AS_FIRST = frozenset(
    ("min", "max", "nullif", "lag", "lead", "first_value", "last_value", "nth_value", "abs", "mod", "any_value")
)
_AS_ALL = frozenset(("coalesce", "greatest", "least"))
_ROUNDING = frozenset(("round", "trunc", "ceil", "ceiling", "floor", "sign"))
_BY_ARGUMENTS = _AS_FIRST | _AS_ALL | _ROUNDING | {"sum", "avg", "array_agg", "date_trunc", "power", "pow", "sqrt"}
_BARE = {"current_date": "date", "current_timestamp": "timestamptz", "localtimestamp": "timestamp", "true": "bool"}
_CLAUSES = frozenset(
    ("where", "group", "having", "order", "limit", "offset", "union", "intersect", "except", "window", "for", "fetch")
)
_JOINS = frozenset(("join", "left", "right", "full", "inner", "outer", "cross", "natural", "lateral", "only"))
_LITERALS = frozenset(("timestamptz", "timestamp", "date", "time", "uuid", "jsonb", "json", "interval"))
_COMPARING = frozenset(("=", "<", ">", "<=", ">=", "<>", "!=", "~", "~*", "!~", "!~*", "@>", "<@", "?", "&&"))
_POWERS: Mapping[str, int] = {
    "or": 1,
    "and": 2,
    "is": 4,
    "isnull": 4,
    "notnull": 4,
    **dict.fromkeys(("=", "<", ">", "<=", ">=", "<>", "!="), 5),
    **dict.fromkeys(("in", "like", "ilike", "between", "similar", "not"), 6),
    **dict.fromkeys(("||", "->", "->>", "~", "~*", "!~", "!~*", "|", "&", "#", "@>", "?"), 7),
    "+": 8,
    "-": 8,
    "*": 9,
    "/": 9,
    "%": 9,
    "^": 10,
    "at": 11,
    "collate": 12,
    "[": 14,
    "::": 15,
}
_NOT, _SIGNED = 3, 13
_CONFLICT = ["on", "conflict"]


def shapes_of(
    found: Sequence[Token], relations: Callable[[str], Columns | None], returning: str | None = None
) -> list[tuple[str, Shape]] | None:
    """What a statement gives, column by column.

    Args:
        found: A query, or what stands behind `returning`.
        relations: Columns of a table or view by its name; None when there is none.
        returning: The table that is written, when that is what `found` is of.

    Returns:
        Names, as far as they matter to who selects from it, and types. None when it cannot be told.
    """
    try:
        query = _Query(relations, (), _Changes())
        return query.columns(found) if returning is None else query.items(found, query.table(returning))
    except (SqlError, IndexError, ValueError, RecursionError):
        return None


def operated(found: Sequence[Token], relations: Callable[[str], Columns | None]) -> Sequence[Token]:
    """A statement with calls of functions for those operators that mean something else to SQLite.

    Args:
        found: The statement.
        relations: Columns of a table or view by its name; None when there is none.

    Raises:
        SqlError: An operator is not known to the sandbox.
    """
    changes = _Changes()
    query = _Query(relations, (), changes)
    with suppress(IndexError, ValueError, RecursionError):
        _walk(query, found)
    if changes.refused:
        raise changes.refused
    return changes.applied(found)


def _walk(query: _Query, found: Sequence[Token]) -> None:
    body, *returned = _cut(found, ("returning",))
    match found[0].text:
        case "insert" | "update" | "delete":
            at = 1 if found[0].text == "update" else 2
            scope = query.table(found[at].name)
            alias = [token for token in found[at + 1 : at + 3] if token.text != "as"][:1]
            scope += [(token.name, scope[0][1]) for token in alias]
            head, *parts = _cut(body[at + 1 :], ("select", "values", "with"), keep=True)
            if found[0].text == "insert" and parts:
                rows = [token for part in parts for token in part]
                marks = [
                    place for place in _outside(rows) if [each.text for each in rows[place : place + 2]] == _CONFLICT
                ]
                end = marks[0] if marks else len(rows)
                query.value(rows[:end], ())
                head = rows[end:]
                scope.append(("excluded", scope[0][1]))
            cut = _cut(head, ("from", "using", "set", "where"), keep=True)
            clauses = {part[0].text: part[1:] for part in cut if part}
            if found[0].text != "insert":
                for word in ("from", "using"):
                    scope += query.relations_of(clauses.get(word, ()), scope)
            for each in split(clauses.get("set", ())):
                query.clause(each[2:], scope)
            for items in (clauses.get("where", ()), *returned):
                query.clause(items, scope)
        case "create":
            if found[1].text == "policy":
                at = _place_of(found, "on")
                for place in range(at, len(found)):
                    if found[place].text in ("using", "check") and found[place + 1].text == "(":
                        query.clause(found[place + 2 : closing(found, place + 1)], query.table(found[at + 1].name))
            else:  # view
                query.columns(found[_place_of(found, "as") + 1 :])
        case _:
            query.columns(found)


class _Changes:
    """Operators that become functions."""

    def __init__(self) -> None:
        self._functions: dict[int, tuple[Token, Token, str, tuple[str, ...]]] = {}
        self._replaced: set[int] = set()
        self.refused: SqlError | None = None

    def to_function(self, operands: Sequence[Token], operator: Token, name: str, *more: str) -> None:
        """`left operator right` becomes `name(left, right, more)`."""
        self._functions[id(operator)] = (operands[0], operands[-1], name, more)
        self._replaced.add(id(operator))

    def around(self, operand: Sequence[Token], operator: Token, name: str, *more: str) -> None:
        """`left operator right` becomes `name(left, more) operator right`."""
        self._functions[id(operator)] = (operand[0], operand[-1], name, more)

    def refuse(self, message: str, code: str) -> None:
        """The statement cannot be run."""
        self.refused = self.refused or SqlError(message, code)

    def applied(self, found: Sequence[Token]) -> Sequence[Token]:
        """The tokens with what was to be changed; they are told apart by identity."""
        if not self._functions:
            return found
        before: dict[int, list[str]] = {}
        after: dict[int, list[str]] = {}
        # what is inside stands first
        for first, last, name, more in self._functions.values():
            before.setdefault(id(first), []).insert(0, name)
            after.setdefault(id(last), []).append("".join(f", {each}" for each in more))
        out: list[Token] = []
        for token in found:
            for name in before.get(id(token), ()):
                out += (Token("word", name), Token("sign", "("))
            out.append(Token("sign", ",") if id(token) in self._replaced else token)
            for arguments in after.get(id(token), ()):
                out += (*tokens(arguments), Token("sign", ")"))
        return out


class _Query:
    def __init__(
        self,
        relations: Callable[[str], Columns | None],
        outer: Sequence[tuple[str, Columns]],
        changes: _Changes,
    ) -> None:
        self._relations = relations
        self._outer = outer
        self.changes = changes

    def table(self, name: str) -> list[tuple[str, Columns]]:
        """What a statement about one table can name."""
        return [(name, self._relations(name) or {})]

    def clause(self, found: Sequence[Token], scope: Sequence[tuple[str, Columns]]) -> None:
        """Look for operators in a list of expressions."""
        for item in split(found):
            end = len(item)
            while end and item[end - 1].text in ("asc", "desc", "nulls", "first", "last"):
                end -= 1
            self.value(item[:end], [*scope, *self._outer])

    def _within(self, scope: Sequence[tuple[str, Columns]]) -> _Query:
        return _Query(self._relations, scope, self.changes)

    def columns(self, found: Sequence[Token]) -> list[tuple[str, Shape]]:
        while found and found[0].text == "(" and closing(found, 0) == len(found) - 1:
            found = found[1:-1]
        if found[0].text == "with":
            return self._with(found)
        parts = [part for part in _cut(found, ("union", "intersect", "except")) if part]
        first = self._one(_after_words(parts[0], "all", "distinct"))
        for part in parts[1:]:
            second = self._one(_after_words(part, "all", "distinct"))
            if len(second) == len(first):
                first = [(name, _unified((one, two))) for (name, one), (_, two) in zip(first, second, strict=True)]
        return first

    def _with(self, found: Sequence[Token]) -> list[tuple[str, Shape]]:
        known: dict[str, Columns] = {}
        place = 2 if found[1].text == "recursive" else 1
        inner = _Query(
            lambda name: known[name] if name in known else self._relations(name), self._outer, self.changes
        )
        while True:
            name, place = found[place].name, place + 1
            names: list[str] = []
            if found[place].text == "(":
                end = closing(found, place)
                names = [part[0].name for part in split(found[place + 1 : end])]
                place = end + 1
            place = _place_of(found, "(", place)
            end = closing(found, place)
            body = found[place + 1 : end]
            if found[1].text == "recursive":  # its first part tells what it is to itself
                known[name] = _named(inner.columns(_cut(body, ("union",))[0]), names)
            known[name] = _named(inner.columns(body), names)
            place = end + 1
            if found[place].text != ",":
                return inner.columns(found[place:])
            place += 1

    def _one(self, found: Sequence[Token]) -> list[tuple[str, Shape]]:
        if found[0].text == "(":
            return self.columns(found)
        if found[0].text == "values":
            rows = [[self.value(item, ()) for item in split(row[1:-1])] for row in split(found[1:])]
            return [(f"column{at}", _told(_unified(column))) for at, column in enumerate(zip(*rows, strict=False), 1)]
        if found[0].text == "table":
            return list((self._relations(found[1].name) or {}).items())
        if found[0].text != "select":
            raise ValueError(found[0].text)
        items, *rest = _cut(found[1:], (*_CLAUSES, "from"), keep=True)
        scope = self.relations_of(rest[0][1:]) if rest and rest[0][0].text == "from" else []
        for clause in rest:
            if clause[0].text in ("where", "having", "group", "order"):
                self.clause(clause[2 if clause[1].text == "by" else 1 :], scope)
        return self.items(_after_words(items, "all", "distinct"), scope)

    def items(self, found: Sequence[Token], scope: Sequence[tuple[str, Columns]]) -> list[tuple[str, Shape]]:
        """Types of a list of items."""
        told: list[tuple[str, Shape]] = []
        for item in split(found):
            if item[-1].text == "*" and (len(item) == 1 or item[-2].text == "."):
                of = item[0].name if len(item) > 1 else None
                told += [column for name, columns in scope if of in (None, name) for column in columns.items()]
                continue
            name, body = name_of(item)
            shape = self.value(body, [*scope, *self._outer])
            told.append((name, _told(shape)))
        return told

    def value(self, found: Sequence[Token], scope: Sequence[tuple[str, Columns]]) -> Shape:
        """The type of an expression, or of a query in parentheses."""
        try:
            if found and found[0].text in ("select", "with", "values"):
                columns = self._within(scope).columns(found)
                return columns[0][1] if columns else UNKNOWN
            reader = _Expression(self, found, scope)
            shape = reader.read(0)
        except (IndexError, ValueError, SqlError):  # it is said when SQLite gets it
            return UNKNOWN
        return shape if reader.ended else UNKNOWN

    def relations_of(
        self, found: Sequence[Token], known: Sequence[tuple[str, Columns]] = ()
    ) -> list[tuple[str, Columns]]:
        """The tables, views and queries of a `from`, with their columns."""
        scope: list[tuple[str, Columns]] = []
        conditions: list[Sequence[Token]] = []
        place = 0
        while place < len(found):
            token = found[place]
            if token.text == "," or (token.kind == "word" and token.text in _JOINS):
                if token.text == "natural":
                    raise ValueError(token.text)
                place += 1
                continue
            if token.text == "on":
                depth, begin = 0, place + 1
                while place < len(found):
                    sign = found[place].text if found[place].kind == "sign" else ""
                    depth += (sign in ("(", "[")) - (sign in (")", "]"))
                    if depth == 0 and (sign == "," or (found[place].kind == "word" and found[place].text in _JOINS)):
                        break
                    place += 1
                conditions.append(found[begin:place])
                continue
            if token.text == "using":
                end = closing(found, place + 1)
                shared = [part[0].name for part in split(found[place + 2 : end])]
                scope[-1] = (scope[-1][0], {name: of for name, of in scope[-1][1].items() if name not in shared})
                place = end + 1
                continue
            if token.text == "(":
                end = closing(found, place)
                within = self._within([*scope, *self._outer])
                columns: Columns = _named(within.columns(found[place + 1 : end]), ())
                name, place = "", end + 1
            else:
                name, place = token.name, place + 1
                columns = self._relations(name) or {}
                if place < len(found) and found[place].text == "(":  # a function
                    raise ValueError(name)
            if place < len(found) and found[place].text == "as":
                place += 1
            following = found[place] if place < len(found) else None
            if following and following.kind in ("word", "quoted") and following.text not in (*_JOINS, "on", "using"):
                name, place = following.name, place + 1
                if place < len(found) and found[place].text == "(":
                    end = closing(found, place)
                    names = [part[0].name for part in split(found[place + 1 : end])]
                    columns, place = _named(list(columns.items()), names), end + 1
            scope.append((name, columns))
        for condition in conditions:
            self.clause(condition, [*scope, *known])
        return scope


class _Expression:
    """Reads one expression, by the precedence of Postgres' operators."""

    def __init__(self, query: _Query, found: Sequence[Token], scope: Sequence[tuple[str, Columns]]) -> None:
        self._query = query
        self._found = found
        self._scope = scope
        self._place = 0
        self._right = UNKNOWN

    @property
    def ended(self) -> bool:
        """Whether all of it was read."""
        return self._place >= len(self._found)

    def _peek(self, ahead: int = 0) -> Token:
        at = self._place + ahead
        return self._found[at] if at < len(self._found) else Token("end", "")

    def _take(self) -> Token:
        self._place += 1
        return self._found[self._place - 1]

    def _inner(self) -> Sequence[Token]:
        """What stands in the parentheses that open here."""
        end = closing(self._found, self._place)
        inner = self._found[self._place + 1 : end]
        self._place = end + 1
        return inner

    def read(self, power: int) -> Shape:
        """The type of what stands here, up to an operator that binds less than `power`."""
        begin = self._place
        shape = self._operand()
        while True:
            token = self._peek()
            sign = token.text if token.kind in ("sign", "word") else ""
            binds = _POWERS.get(sign, 0)
            if sign == "not" and self._peek(1).text not in ("in", "like", "ilike", "between", "similar"):
                return shape
            if not binds or binds <= power:
                return shape
            self._place += 1
            before = shape
            shape = self._operator(sign, binds, shape)
            self._change(begin, token, before, shape)

    def _change(self, begin: int, operator: Token, left: Shape, told: Shape) -> None:
        """Note what is to be called instead of an operator that was read."""
        changes, operands = self._query.changes, self._found[begin : self._place]
        kinds = (left.kind, self._right.kind)
        match operator.text:
            case "+" | "-" | "*" | "/" | "%" if "text" in kinds and {*kinds} <= {*_NUMBERS, "text"}:
                one, two = (LONG_NAMES.get(kind or "", kind) for kind in kinds)
                changes.refuse(f"operator does not exist: {one} {operator.text} {two}", "42883")
            case "%":
                changes.to_function(operands, operator, "pg_rest")
            case "||" if told.kind == "jsonb" or (told.kind or "").startswith("_"):
                changes.to_function(operands, operator, "pg_joined", f"'{told.kind}'")
            case "+" | "-" if told.kind == "interval" and "interval" not in kinds:
                changes.refuse("the sandbox's database does not know the time between two moments", "0A000")
            case "+" | "-" | "*" | "/" if "interval" in kinds:
                at = [token is operator for token in operands].index(True)
                written = interval_at(operands, at + 1)
                if left.kind == "interval" or written is None or written[1] != len(operands) or operator.text in "*/":
                    told_so = "the sandbox's database knows intervals alone that are written behind + and -"
                    changes.refuse(told_so, "0A000")
            case "/":
                changes.to_function(operands, operator, "pg_divided", "1" if "numeric" in kinds else "0")
            case "-" if left.kind == "jsonb":
                changes.to_function(operands, operator, "pg_without")
            case "+" | "-" if "date" in kinds and told.kind in ("date", "int4"):
                changes.to_function(operands, operator, f"pg_days_{'plus' if operator.text == '+' else 'minus'}")
            case "::":
                end = [token is operator for token in operands].index(True)
                self._show(operands[:end], operator, left, told)
            case _:
                pass

    def _show(self, operand: Sequence[Token], operator: Token, shape: Shape, told: Shape) -> None:
        """Note a value that becomes a text."""
        if told.kind in ("text", "varchar") and shape.kind in ("timestamptz", "timestamp", "numeric"):
            scale = () if shape.scale is None else (str(shape.scale),)
            self._query.changes.around(operand, operator, "pg_shown", f"'{shape.kind}'", *scale)

    def _operator(self, sign: str, binds: int, left: Shape) -> Shape:
        match sign:
            case "::":
                return self._type()
            case "[":
                self._place -= 1
                self._inner()
                return Shape(left.kind[1:]) if left.kind and left.kind.startswith("_") else UNKNOWN
            case "collate":
                self._take()
                return left
            case "at":
                for _ in range(2):  # time zone
                    self._take()
                self.read(binds)
                return Shape("timestamp" if left.kind == "timestamptz" else "timestamptz")
            case "isnull" | "notnull":
                return _BOOL
            case "is":
                while self._peek().text in ("not", "distinct", "from", "null", "true", "false", "unknown"):
                    last = self._take().text
                    if last == "from":
                        self.read(binds)
                        break
                return _BOOL
            case "not":
                return self._operator(self._take().text, binds, left)
            case "between":
                self.read(binds)
                self._take()
                self.read(binds)
                return _BOOL
            case "in":
                self._query.clause(self._inner(), self._scope)
                return _BOOL
            case "like" | "ilike" | "similar":
                if sign == "similar":
                    self._take()
                self.read(binds)
                if self._peek().text == "escape":
                    self._take()
                    self.read(binds)
                return _BOOL
            case "=" | "<" | ">" | "<=" | ">=" | "<>" | "!=" if self._peek().text in ("any", "all", "some"):
                self._take()
                self._query.clause(self._inner(), self._scope)
                return _BOOL
            case _:
                self._right = self.read(binds)
                return _binary(sign, left, self._right)

    def _type(self) -> Shape:
        written, self._place = type_at(self._found, self._place)
        return declared_shape(written)

    def _operand(self) -> Shape:
        token = self._take()
        match token.kind:
            case "number":
                return _number(token.text)
            case "text":
                return _TEXT
            case "param":
                return UNKNOWN
            case "sign":
                return self._sign(token.text)
            case _:
                return self._word(token)

    def _sign(self, sign: str) -> Shape:
        if sign in ("+", "-"):
            return self.read(_SIGNED)
        if sign == "(":
            self._place -= 1
            inner = self._inner()
            told = [self._query.value(item, self._scope) for item in split(inner)]
            return told[0] if len(told) == 1 else UNKNOWN
        raise ValueError(sign)

    def _word(self, token: Token) -> Shape:
        after = self._peek()
        if token.kind == "word":
            match token.text:
                case "not":
                    self.read(_NOT)
                    return _BOOL
                case "case":
                    return self._case()
                case "null":
                    return _TEXT
                case "false":
                    return _BOOL
                case "array" if after.text == "[":
                    items = [self._query.value(item, self._scope) for item in split(self._inner()) if item]
                    kind = _unified(items).kind
                    return Shape(f"_{'text' if kind == 'unknown' else kind}") if kind else UNKNOWN
                case "cast" if after.text == "(":
                    inner = self._inner()
                    at = max(at for at in range(len(inner)) if inner[at].text == "as")
                    shape = self._query.value(inner[:at], self._scope)
                    told = declared_shape(type_at(inner, at + 1)[0])
                    self._show(inner[:at], inner[at], shape, told)
                    return told
                case word if word in _LITERALS and after.kind == "text":
                    self._take()
                    return Shape(word)
                case word if word in _BARE and after.text not in ("(", "."):
                    return Shape(_BARE[word])
                case _:
                    pass
        if after.text == "(":
            return self._call(token.name)
        if after.text == ".":
            self._take()
            return self._column(self._take().name, token.name)
        return self._column(token.name, None)

    def _column(self, name: str, of: str | None) -> Shape:
        for relation, columns in self._scope:
            if of in (None, relation) and name in columns:
                return columns[name]
        return UNKNOWN

    def _case(self) -> Shape:
        results: list[Shape] = []
        if self._peek().text != "when":
            self.read(0)
        while (word := self._take().text) != "end":
            if word == "when":
                self.read(0)
            else:  # then, else
                results.append(self.read(0))
        return _unified(results)

    def _call(self, name: str) -> Shape:
        inner = self._inner()
        while self._peek().text in ("filter", "over", "within"):
            if self._take().text == "within":
                self._take()
            if self._peek().text == "(":
                for part in _cut(self._inner(), ("where", "partition", "order", "rows", "range", "groups")):
                    self._query.clause(_after_words(part, "by"), self._scope)
            else:  # a window that is named
                self._take()
        inner, *order = _cut(inner, ("order",))
        for part in order:
            self._query.clause(_after_words(part, "by"), self._scope)
        inner = _after_words(inner, "distinct", "all")
        told = [self._query.value(item, self._scope) for item in split(inner)]
        if name in ("json_build_object", "json_build_array"):
            return Shape("json")
        if name.startswith("jsonb_") and name not in _GIVES:
            return Shape("jsonb")
        if name == "extract":
            return Shape("numeric", {"epoch": 6, "second": 6, "milliseconds": 3}.get(inner[0].text))
        if name in _GIVES:
            return Shape(_GIVES[name])
        if name not in _BY_ARGUMENTS or not inner:
            return UNKNOWN
        if name in ("sum", "avg") and told[0].kind in ("text", "varchar", "bool", "jsonb"):
            long = LONG_NAMES.get(told[0].kind, told[0].kind)
            self._query.changes.refuse(f"function {name}({long}) does not exist", "42883")
        return _given(name, told, split(inner))


def _given(name: str, told: Sequence[Shape], written: Sequence[Sequence[Token]]) -> Shape:
    first = told[0]
    kind = first.kind
    if name in _AS_ALL:
        return _unified(told)
    if name in _AS_FIRST:
        return Shape("text") if kind == "unknown" else first
    match name:
        case "sum":
            return {
                "int2": Shape("int8"),
                "int4": Shape("int8"),
                "int8": Shape("numeric", 0),
                "numeric": first,
                "float4": first,
                "float8": first,
            }.get(kind or "", UNKNOWN)
        case "avg":
            return (
                Shape("float8") if kind in ("float4", "float8") else Shape("numeric") if kind in _NUMBERS else UNKNOWN
            )
        case "array_agg":
            return Shape(f"_{kind}") if kind and kind != "unknown" else UNKNOWN
        case "date_trunc":
            moment = told[1].kind
            return Shape(moment) if moment in ("timestamp", "interval") else Shape("timestamptz")
        case "power" | "pow" | "sqrt":
            return Shape("numeric" if "numeric" in [each.kind for each in told] else "float8")
        case _:  # rounding
            if kind != "numeric":
                return Shape("float8") if kind in _NUMBERS else UNKNOWN
            if len(written) == 1:
                return Shape("numeric", 0)
            digits = written[1][0].text if len(written[1]) == 1 else ""
            return Shape("numeric", int(digits) if digits.isdigit() else None)


def _number(text: str) -> Shape:
    if re.fullmatch(r"\d+", text):
        value = int(text)
        return Shape("int4") if value < 2**31 else Shape("int8") if value < 2**63 else Shape("numeric", 0)
    plain = re.fullmatch(r"\d*\.(\d*)", text)
    return Shape("numeric", len(plain[1]) if plain else None)


def _binary(sign: str, left: Shape, right: Shape) -> Shape:
    if sign in ("and", "or") or sign in _COMPARING:
        return _BOOL
    kinds = (left.kind, right.kind)
    match sign:
        case "->" | "#>":
            return Shape("json" if left.kind == "json" else "jsonb")
        case "->>" | "#>>":
            return Shape("text")
        case "||":
            whole = next((kind for kind in kinds if kind == "jsonb" or (kind or "").startswith("_")), None)
            return Shape(whole or "text")
        case "+" | "-":
            if moment := _moved(sign, *kinds):
                return Shape(moment)
            if kinds[0] == "jsonb":
                return left
        case _:
            pass
    both = _unified((left, right))
    if None in kinds or both.kind not in _NUMBERS:
        return UNKNOWN
    if both.kind != "numeric":
        return both
    match sign:
        case "+" | "-" | "%":
            return both
        case "*":
            return Shape("numeric", None if both.scale is None else _scale(left) + _scale(right))
        case _:
            return Shape("numeric")


def _moved(sign: str, left: str | None, right: str | None) -> str | None:
    """What moments and times give that are added or subtracted; None when they are none."""
    if right == "interval" and left in ("timestamptz", "timestamp", "date", "interval", "time"):
        return "timestamp" if left == "date" else left
    if left == "interval" and sign == "+" and right in ("timestamptz", "timestamp", "date", "time"):
        return "timestamp" if right == "date" else right
    if sign == "-" and left == right == "date":
        return "int4"
    if (
        sign == "-"
        and left in ("timestamptz", "timestamp")
        and right in ("timestamptz", "timestamp", "date", "unknown")
    ):
        return "interval"
    if left == "date" and right in ("int2", "int4", "int8"):
        return "date"
    return None


def _unified(shapes: Iterable[Shape]) -> Shape:
    """The type that values of several types have together."""
    known = [shape for shape in shapes if shape.kind != "unknown"]
    if not known:
        return _TEXT
    kinds = {shape.kind for shape in known}
    if None in kinds:
        return UNKNOWN
    if kinds <= set(_NUMBERS):
        kind = max((shape.kind or "" for shape in known), key=_NUMBERS.index)
        if kind != "numeric":
            return Shape(kind)
        scales = [shape.scale for shape in known if shape.kind == "numeric"]
        return Shape(kind, None if None in scales else max(map(_scale, known)))
    if kinds <= {"date", "timestamp", "timestamptz"}:
        return Shape(max((shape.kind or "" for shape in known), key=len))
    return known[0]


def kinds_of(relations: Mapping[str, Columns]) -> dict[str, dict[str, str]]:
    """Short names of types, by relation and column, as far as they are known."""
    return {
        name: {column: shape.kind for column, shape in columns.items() if shape.kind}
        for name, columns in relations.items()
    }


def declared_shape(written: str) -> Shape:
    """The type that is written so, e.g. `numeric(10,2)`.

    Raises:
        SqlError: The sandbox does not know it.
    """
    kind = canonical(written)
    size = re.search(r"\(\d+(?:,\s*(\d+))?\)", written)
    return Shape(kind, int(size[1] or 0) if size and kind == "numeric" else None)


def _scale(shape: Shape) -> int:
    return shape.scale or 0


def _told(shape: Shape) -> Shape:
    return Shape("text") if shape == _TEXT else shape


def _named(columns: Sequence[tuple[str, Shape]], names: Sequence[str]) -> Columns:
    """Columns by name, the first of them under other names."""
    return {(names[at] if at < len(names) else name): _told(shape) for at, (name, shape) in enumerate(columns)}


def _cut(found: Sequence[Token], words: Iterable[str], *, keep: bool = False) -> list[Sequence[Token]]:
    """The parts between those words outside of parentheses, without them or, with `keep`, each behind its own."""
    words = frozenset(words)
    parts: list[Sequence[Token]] = []
    begin = 0
    for at in _outside(found):
        if found[at].kind == "word" and found[at].text in words and not (at and found[at - 1].text in (".", "as")):
            if found[at].text == "from" and at and found[at - 1].text == "distinct":  # is distinct from
                continue
            parts.append(found[begin:at])
            begin = at if keep else at + 1
    return [*parts, found[begin:]]


def _place_of(found: Sequence[Token], text: str, begin: int = 0) -> int:
    return [token.text for token in found].index(text, begin)


def _outside(found: Sequence[Token]) -> Iterator[int]:
    depth = 0
    for at, token in enumerate(found):
        if token.kind == "sign":
            depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        if depth == 0:
            yield at


def _after_words(found: Sequence[Token], *words: str) -> Sequence[Token]:
    while found and found[0].kind == "word" and found[0].text in words:
        if len(found) > 1 and found[0].text == "distinct" and found[1].text == "on":
            return found[closing(found, 2) + 1 :]
        found = found[1:]
    return found
