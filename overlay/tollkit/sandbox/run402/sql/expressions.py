"""Expressions and queries of Postgres, written over for SQLite."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tollkit.sandbox.run402.pgtypes import SqlError, canonical
from tollkit.sandbox.run402.sql.comparisons import Kinds, typed
from tollkit.sandbox.run402.sql.endings import endings
from tollkit.sandbox.run402.sql.tokens import Token, closing, literal, local, near, quoted, split, tokens, whole

__all__ = ["TYPE_SEQUELS", "condition", "expression", "interval_at", "items_of", "name_of", "select", "type_at"]

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
    "greatest": "pg_greatest",
    "least": "pg_least",
    "left": "pg_left",
    "right": "pg_right",
    "random": "pg_random",
    "uuid_generate_v4": "gen_random_uuid",
}
_SIGNS = {"~": "REGEXP", "~*": "MATCH", "!~": "NOT REGEXP", "!~*": "NOT MATCH"}
_LITERAL_TYPES = frozenset({"timestamptz", "timestamp", "date", "time", "uuid", "jsonb", "json", "interval"})
_ARROWS = {"->": "pg_get", "->>": "pg_text"}
TYPE_SEQUELS: Mapping[str, tuple[str, ...]] = {
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


def type_at(found: Sequence[Token], place: int) -> tuple[str, int]:
    """The type that is written there, as written, and where it ends."""
    if place >= len(found) or found[place].kind not in ("word", "quoted"):
        raise SqlError(near(found, place), "42601")
    words = [found[place].name]
    place += 1
    sequels = TYPE_SEQUELS.get(words[0], ())
    size = ""
    while place < len(found):
        token = found[place]
        if token.kind == "word" and token.text in sequels:
            words.append(token.text)
            place += 1
        elif token.text == "(" and not size:
            end = closing(found, place)
            size = "(" + "".join(inner.text for inner in found[place + 1 : end]) + ")"
            place = end + 1
        elif token.text == "[":
            words.append("[]")
            place = next((at for at in range(place, len(found)) if found[at].text == "]"), place) + 1
        else:
            break
    return " ".join(words).replace(" []", "[]") + size, place


def expression(found: Sequence[Token]) -> str:
    """An expression, for SQLite.

    Raises:
        SqlError: It is none, or has a type that the sandbox does not know.
    """
    return " ".join(_pieces(found))


def _pieces(found: Sequence[Token]) -> list[str]:
    """The tokens for SQLite. `out` holds whole operands where one ends, so that a cast can wrap the last."""
    out: list[str] = []
    place = 0
    while place < len(found):
        token = found[place]
        after = found[place + 1] if place + 1 < len(found) else Token("sign", "")
        if token.text == "::":
            written, place = type_at(found, place + 1)
            _wrap(out, "pg_cast", _cast_kind(written))
            continue
        if token.text in ("+", "-") and out and (interval := interval_at(found, place + 1)):
            text, place = interval
            _wrap(out, "pg_shift", f"'{token.text}', {text}")
            continue
        if token.text in _ARROWS and token.kind == "sign":
            # functions, since SQLite's own arrows give numbers where Postgres gives text
            end = _operand(found, place + 1)
            _wrap(out, _ARROWS[token.text], expression(found[place + 1 : end]))
            place = end
            continue
        if token.kind == "word" and token.text == "cast" and after.text == "(":
            end = closing(found, place + 1)
            inner = found[place + 2 : end]
            at = next((at for at in range(len(inner) - 1, -1, -1) if inner[at].text == "as"), len(inner))
            written, _ = type_at(inner, at + 1)
            out.append(f"pg_cast({expression(inner[:at])}, {_cast_kind(written)})")
            place = end + 1
            continue
        if token.kind == "word" and token.text == "extract" and after.text == "(":
            end = closing(found, place + 1)
            field, value = found[place + 2], found[place + 4 : end]
            out.append(f"pg_part({literal(field.name)}, {expression(value)})")
            place = end + 1
            continue
        if token.kind == "word" and token.text == "position" and after.text == "(":
            end = closing(found, place + 1)
            at = next((at for at in range(place, end) if found[at].text == "in"), end)
            out.append(f"strpos({expression(found[at + 1 : end])}, {expression(found[place + 2 : at])})")
            place = end + 1
            continue
        if token.kind == "word" and token.text == "array" and after.text == "[":
            end = closing(found, place + 1)
            out.append(f"json_array({expression(found[place + 2 : end])})")
            place = end + 1
            continue
        if token.text == "=" and after.text == "any":
            end = closing(found, place + 2)
            items = expression(found[place + 3 : end])
            out.append(f"IN (SELECT value FROM json_each(pg_items({items})))")  # noqa: S608 - the project's own SQL
            place = end + 1
            continue
        if token.kind == "word" and token.text in _LITERAL_TYPES and after.kind == "text":
            out.append(f"pg_cast({after.text}, '{token.text}')")
            place += 2
            continue
        if token.text == "(" and token.kind == "sign":
            end = closing(found, place)
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


def _operand(found: Sequence[Token], place: int) -> int:
    """Where the operand that begins there ends: a value, a name, a call, with its casts."""
    if place < len(found) and found[place].text == "-":
        place += 1
    if place >= len(found):
        raise SqlError("syntax error at end of input", "42601")
    end = closing(found, place) + 1 if found[place].text == "(" else place + 1
    while end < len(found):
        if found[end].text == "." and end + 1 < len(found):
            end += 2
        elif found[end].text == "(" and _calls(found[end - 1]):
            end = closing(found, end) + 1
        elif found[end].text == "::":
            _, end = type_at(found, end + 1)
        else:
            break
    return end


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
    size = re.search(r"\((\d+)(?:,(\d+))?\)", written)
    limits = "" if size is None else f", {size[1]}" + (f", {size[2]}" if size[2] else "")
    return f"'{canonical(written)}'{limits}"


def interval_at(found: Sequence[Token], place: int) -> tuple[str, int] | None:
    """The interval that is written there, and where it ends."""
    if place + 1 < len(found) and found[place].text == "interval" and found[place + 1].kind == "text":
        return found[place + 1].text, place + 2
    if place + 2 < len(found) and found[place].kind in ("text", "param") and found[place + 1].text == "::":
        written, end = type_at(found, place + 2)
        if canonical(written) == "interval":
            return _plain(found[place], found[place]), end
    return None


def condition(sql: str, schema: str, kinds: Kinds) -> str:
    """A condition on rows, for SQLite.

    Args:
        sql: As Postgres takes it.
        schema: Name of the project's schema; names may carry it in front.
        kinds: Types of the columns of the table.

    Raises:
        SqlError: It is none.
    """
    found = endings(local(tokens(sql), schema))
    depth = 0
    for token in found:
        depth += (token.text == "(") - (token.text == ")")
        if depth < 0 or token.text == ";":
            raise SqlError(f'syntax error at or near "{token.text}"', "42601")
    if not found or depth:
        raise SqlError("syntax error at end of input", "42601")
    with whole():
        return expression(typed(found, kinds))


# -------------------------------------------------------------------- queries


def _query(found: Sequence[Token]) -> str:
    """What stands in parentheses: an expression, or a query."""
    return expression(_without_locks(found))


def _without_locks(found: Sequence[Token]) -> Sequence[Token]:
    """Without `FOR UPDATE` at the end: one connection needs no locks."""
    words = [token.text for token in found[-2:]]
    return found[:-2] if words in (["for", "update"], ["for", "share"]) else found


def items_of(found: Sequence[Token]) -> str:
    """What is selected or returned, for SQLite, with the names that Postgres would give."""
    written: list[str] = []
    for item in split(found):
        if not item:
            raise SqlError("syntax error at end of input", "42601")
        name, body = name_of(item)
        written.append(expression(body) if body[-1].text == "*" else f"{expression(body)} AS {quoted(name)}")
    return ", ".join(written)


def name_of(item: Sequence[Token]) -> tuple[str, Sequence[Token]]:
    """The name that Postgres gives to an item, and the item without the name that it was given."""
    if len(item) > 2 and item[-2].text == "as":
        return item[-1].name, item[:-2]
    if _has_alias(item):
        return item[-1].name, item[:-1]
    cast = next((at for at in range(len(item) - 1, 0, -1) if item[at].text == "::"), None)
    if cast is not None and type_at(item, cast + 1)[1] == len(item):
        # what is shown as text was put into a function by its type
        shown = item[0].text == "pg_shown" and closing(item, 1) == cast - 1
        before = split(item[2 : cast - 1])[0][-1] if shown else item[cast - 1]
        return before.name if before.kind in ("word", "quoted") else canonical(type_at(item, cast + 1)[0]), item
    if all(token.kind in ("word", "quoted") or token.text == "." for token in item):
        if len(item) > 1:
            return item[-1].name, item
        return {"true": "bool", "false": "bool", "null": "?column?"}.get(item[0].text, item[0].name), item
    if item[0].text in _LITERAL_TYPES and len(item) == 2 and item[1].kind == "text":
        return item[0].text, item
    if item[0].text == "case":
        return _named_by(item) or "case", item
    return _named_by(item) or "?column?", item


def _has_alias(item: Sequence[Token]) -> bool:
    """Whether the last word is a name for the item, and no part of it."""
    if len(item) < 2 or item[-1].kind not in ("word", "quoted") or not _ends_operand(item[-2]):
        return False
    if item[-1] in _LAST_WORDS:
        return False
    cast = next((at for at in range(len(item) - 1, 0, -1) if item[at].text == "::"), None)
    return cast is None or cast + 1 == len(item) or type_at(item, cast + 1)[1] != len(item)


_LAST_WORDS = frozenset(Token("word", word) for word in ("end", "isnull", "notnull"))


def _named_by(body: Sequence[Token]) -> str | None:
    """The column or function that names an expression: of `case`, what stands behind its own `else`."""
    if body[0].text == "case" and body[0].kind == "word":
        depth, last = 0, None
        for at, token in enumerate(body):
            if token.kind == "word":
                depth += (token.text == "case") - (token.text == "end")
                last = at if token.text == "else" and depth == 1 else last
        return _named_by(body[last + 1 : -1]) if last is not None and last + 1 < len(body) - 1 else None
    if body[0].kind not in ("word", "quoted") or body[0] in _CONSTANTS or body[0].text.startswith("pg_"):
        return None  # an operator has no name
    if all(token.kind in ("word", "quoted") or token.text == "." for token in body):
        return body[-1].name
    if len(body) > 2 and body[1].text == "(" and (_calls(body[0]) or body[0].text == "exists"):
        end = closing(body, 1) + 1
        return body[0].name if end == len(body) or body[end].text in ("over", "filter", "within") else None
    return None


_CONSTANTS = frozenset(Token("word", word) for word in ("true", "false", "null"))


def _ends_operand(token: Token) -> bool:
    if token.kind == "sign":
        return token.text in (")", "]")
    return token.kind != "word" or token.text not in _NO_FUNCTION


def select(found: Sequence[Token]) -> str:
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
                if found[place - 1].text == "distinct":  # is distinct from
                    continue
                return _named(found, start, place)
    return expression(found) if start is None else _named(found, start, len(found))


def _named(found: Sequence[Token], start: int, end: int) -> str:
    if start == end:
        return expression(found)
    return f"{expression(found[:start])} {items_of(found[start:end])} {expression(found[end:])}"
