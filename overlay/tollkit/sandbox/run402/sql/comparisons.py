"""Texts and parameters beside columns: Postgres reads them as the column's type, so the type is written to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from tollkit.sandbox.run402.pgtypes import SqlError, canonical
from tollkit.sandbox.run402.sql.tokens import Token, closing, split

__all__ = ["Kinds", "typed"]

Kinds = Mapping[str, Mapping[str, str]]
"""Short names of types, by relation and column."""

_SIGNS = frozenset(("=", "<>", "!=", "<", "<=", ">", ">="))
_TYPED = frozenset(("timestamptz", "timestamp", "date", "time", "uuid", "bool", "json", "jsonb"))
"""Types whose values are stored in another form than they may be written in; SQLite itself converts numbers."""
_GIVES = {"now": "timestamptz", "date_trunc": "timestamptz", "auth_uid": "uuid", "gen_random_uuid": "uuid"}
_PASSES = frozenset(("min", "max", "coalesce"))
"""Functions that give what their first argument is."""
_BARE = {"current_date": "date", "current_timestamp": "timestamptz"}
_BEFORE_TABLE = frozenset(("from", "join", "update", "into", "only", "on", ",", "("))
_NO_ALIAS = frozenset(
    ("where", "group", "having", "order", "limit", "offset", "union", "intersect", "except", "on", "join", "left")
) | frozenset(("right", "inner", "full", "cross", "natural", "set", "using", "values", "returning", "default", "for"))


def typed(found: Sequence[Token], kinds: Kinds) -> Sequence[Token]:
    """The tokens, with a cast around each text or parameter that is compared with a column of a known type.

    Args:
        found: A statement, or a condition.
        kinds: Of the relations that it may be about.
    """
    scope = _Scope(found, kinds)
    casts: dict[int, str] = {}
    lists: dict[int, str] = {}
    for place, kind in scope.compared():
        if scope.is_any(place):
            lists[place] = kind
        elif scope.is_value(place):
            casts[place] = kind
    if not casts and not lists:
        return found
    out: list[Token] = []
    place = 0
    while place < len(found):
        if place in lists:
            end = closing(found, place + 1)
            # `= any(...)` becomes `in (...)`, where each item can be cast
            out.pop()
            out += _words(f"in ( select cast ( value as {lists[place]} ) from json_each ( pg_items (")  # noqa: S608
            out += (*found[place + 2 : end], *_words(") ) )"))
            place = end
        elif place in casts:
            out += [*_words("cast ("), found[place], *_words(f"as {casts[place]} )")]
        else:
            out.append(found[place])
        place += 1
    return out


def _words(text: str) -> Iterator[Token]:
    for word in text.split():
        yield Token("sign" if word in "()" else "word", word)


@attrs.frozen
class _Scope:
    found: Sequence[Token]
    kinds: Kinds

    def compared(self) -> Iterator[tuple[int, str]]:
        """Places beside comparisons, each with the type of the other side."""
        for place, token in enumerate(self.found):
            if token.kind == "sign" and token.text in _SIGNS:
                if kind := self._left(place):
                    yield place + 1, kind
                elif kind := self._right(place + 1):
                    yield place - 1, kind
            elif token.kind == "word" and token.text in ("between", "in"):
                start = place - 1 if self._text(place - 1) == "not" else place
                kind = self._left(start)
                if kind and token.text == "between":
                    yield place + 1, kind
                    yield next((at + 1 for at in range(place, len(self.found)) if self._text(at) == "and"), 0), kind
                elif kind and self._text(place + 1) == "(":
                    at = place + 2
                    for item in split(self.found[at : closing(self.found, place + 1)]):
                        yield at, kind
                        at += len(item) + 1

    def is_value(self, place: int) -> bool:
        """Whether a text or a parameter stands there alone, or with an interval behind it."""
        if not 0 <= place < len(self.found) or self.found[place].kind not in ("text", "param"):
            return False
        before, after = self._text(place - 1), self._text(place + 1)
        if after in ("+", "-"):
            return self._text(place + 2) == "interval"
        return self._ends(place + 1) and (before in ("", "(", ",", *_SIGNS) or self._is_word(place - 1))

    def is_any(self, place: int) -> bool:
        """Whether `any(...)` with an array stands there."""
        if self._text(place) != "any" or self._text(place - 1) != "=" or self._text(place + 1) != "(":
            return False
        return self._text(place + 2) == "array" or self.found[place + 2].kind in ("text", "param")

    # ---------------------------------------------------------------- types

    def _left(self, end: int) -> str | None:
        """The type of the operand that ends before a place."""
        if end < 1:
            return None
        last = self.found[end - 1]
        if last.text == ")" and last.kind == "sign":
            depth, at = 0, end - 1
            while at >= 0:
                depth += (self._text(at) == ")") - (self._text(at) == "(")
                if depth == 0:
                    break
                at -= 1
            return self._called(at - 1) if at > 0 else None
        if last.kind not in ("word", "quoted"):
            return None
        start = end - 3 if self._text(end - 2) == "." and end > 2 else end - 1
        if self._text(start - 1) == "::":
            try:
                kind = canonical(last.name)
            except SqlError:
                return None
            return kind if kind in _TYPED else None
        if self._text(start - 1) not in ("", "(", ",") and not self._is_word(start - 1):
            return None
        return self._column(start, end)

    def _right(self, start: int) -> str | None:
        """The type of the operand that begins at a place."""
        if start >= len(self.found) or self.found[start].kind not in ("word", "quoted"):
            return None
        if self._text(start + 1) == "(":
            return self._called(start) if self._ends(closing(self.found, start + 1) + 1) else None
        end = start + 3 if self._text(start + 1) == "." else start + 1
        return self._column(start, end) if self._ends(end) else None

    def _called(self, place: int) -> str | None:
        name = self._text(place)
        if name in _PASSES:
            end = place + 5 if self._text(place + 3) == "." else place + 3
            return self._column(place + 2, end) if self._text(end) in (",", ")") else None
        return _GIVES.get(name)

    def _column(self, start: int, end: int) -> str | None:
        if start < 0 or end > len(self.found):
            return None
        name = self.found[end - 1].name
        tables = self._tables_of(self.found[start].name) if end - start == 3 else None
        found = {self.kinds[table].get(name) for table in tables or self.kinds if name in self.kinds[table]}
        kind = found.pop() if len(found) == 1 else None if found else _BARE.get(name)
        return kind if kind in _TYPED else None

    def _tables_of(self, alias: str) -> list[str]:
        """The relations that go by a name in the statement."""
        told: list[str] = []
        for at, token in enumerate(self.found):
            if token.kind in ("word", "quoted") and token.name in self.kinds and self._text(at - 1) in _BEFORE_TABLE:
                after = at + 2 if self._text(at + 1) == "as" else at + 1
                named = self._is_word(after, quoted=True) and self._text(after) not in _NO_ALIAS
                if alias == (self.found[after].name if named else token.name):
                    told.append(token.name)
        return told

    # ---------------------------------------------------------------- tokens

    def _text(self, place: int) -> str:
        return self.found[place].text if 0 <= place < len(self.found) else ""

    def _is_word(self, place: int, *, quoted: bool = False) -> bool:
        kinds = ("word", "quoted") if quoted else ("word",)
        return 0 <= place < len(self.found) and self.found[place].kind in kinds

    def _ends(self, place: int) -> bool:
        """Whether an operand may end before a place."""
        return self._text(place) in ("", ")", ",", *_SIGNS) or self._is_word(place, quoted=True)
