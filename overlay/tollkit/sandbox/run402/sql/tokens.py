"""The pieces of a text of SQL: tokens, quoting, and what stands between commas and parentheses."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager

import attrs

from tollkit.sandbox.run402.pgtypes import SqlError

__all__ = ["Token", "closing", "literal", "local", "near", "quoted", "split", "tokens", "whole"]

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


def closing(found: Sequence[Token], place: int) -> int:
    """Where the parenthesis or bracket that opens at a place is closed.

    Raises:
        SqlError: Nowhere.
    """
    depth = 0
    for at in range(place, len(found)):
        depth += (found[at].text in ("(", "[")) - (found[at].text in (")", "]"))
        if depth == 0:
            return at
    raise SqlError("syntax error at end of input", "42601")


def near(found: Sequence[Token], place: int) -> str:
    """What Postgres says of a token that should not be there."""
    if place < len(found):
        return f'syntax error at or near "{found[place].text}"'
    return "syntax error at end of input"


def local(found: Sequence[Token], schema: str) -> list[Token]:
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


@contextmanager
def whole() -> Generator[None]:
    """A statement that ends too early, or goes too deep, is the caller's mistake."""
    try:
        yield
    except (IndexError, ValueError):
        raise SqlError("syntax error at end of input", "42601") from None
    except RecursionError:
        raise SqlError("stack depth limit exceeded", "54001") from None
