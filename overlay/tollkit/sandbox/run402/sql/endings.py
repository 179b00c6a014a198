"""How queries end: in which order rows come and how many, in words that mean to SQLite what they mean to Postgres."""

from __future__ import annotations

from collections.abc import Sequence

from tollkit.sandbox.run402.pgtypes import SqlError
from tollkit.sandbox.run402.sql.tokens import Token, near

__all__ = ["endings"]

_PAGING = frozenset(("limit", "offset", "fetch"))
_AFTER_ORDER = _PAGING | {"for", "union", "intersect", "except", "rows", "range", "groups"}
_AFTER_PAGING = _PAGING | {"for", "row", "rows"}


def endings(found: Sequence[Token]) -> list[Token]:
    """The tokens, with where nulls are in each `order by`, and `limit` in front of `offset`.

    Raises:
        SqlError: `limit`, `offset` or `fetch` without a number.
    """
    return _nulls_told(_paged(found))


def _nulls_told(found: Sequence[Token]) -> list[Token]:
    # to Postgres nulls are the largest, to SQLite the smallest
    kept: list[Token] = []
    depth = 0
    terms: list[tuple[int, int]] = []  # depth and begin of those that are open, the innermost last

    def end_term() -> None:
        written = [token.text for token in kept[terms[-1][1] :]]
        if written and written[-2:-1] != ["nulls"]:
            kept.extend(_words("nulls", "first" if written[-1] == "desc" else "last"))

    for place, token in enumerate(found):
        here = bool(terms) and depth == terms[-1][0]
        sign = token.text if token.kind == "sign" else ""
        begun = here and len(kept) > terms[-1][1]
        if here and (sign in (")", "]") or (begun and token.kind == "word" and token.text in _AFTER_ORDER)):
            end_term()
            terms.pop()
        elif here and sign == ",":
            end_term()
            terms[-1] = (depth, len(kept) + 1)
        depth += (sign in ("(", "[")) - (sign in (")", "]"))
        kept.append(token)
        if token == Token("word", "by") and place and found[place - 1] == Token("word", "order"):
            terms.append((depth, len(kept)))
    if terms:
        end_term()
    return kept


def _paged(found: Sequence[Token]) -> list[Token]:
    kept: list[Token] = []
    place = 0
    while place < len(found):
        if found[place].kind != "word" or found[place].text not in _PAGING:
            kept.append(found[place])
            place += 1
            continue
        told: dict[str, Sequence[Token]] = {}
        while place < len(found) and found[place].kind == "word" and found[place].text in _PAGING:
            name, begin = found[place].text, place + 1
            if name == "fetch":  # first 3 rows only
                name, begin = "limit", begin + 1
            place = _number_ends(found, begin)
            told[name] = found[begin:place]
            while place < len(found) and found[place].text in ("row", "rows", "only"):
                place += 1
            if not told[name]:
                if found[begin - 1].text not in ("first", "next"):
                    raise SqlError(near(found, begin), "42601")
                told[name] = [Token("number", "1")]
        # SQLite has no offset without a limit, and means all by -1
        most = told.get("limit", ())
        unlimited = [token.text for token in most] in ([], ["all"], ["null"])
        kept += [*_words("limit"), *([Token("number", "-1")] if unlimited else _paged(most))]
        if "offset" in told:
            kept += [*_words("offset"), *_paged(told["offset"])]
    return kept


def _number_ends(found: Sequence[Token], place: int) -> int:
    depth = 0
    while place < len(found):
        token = found[place]
        if token.kind == "sign":
            depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        if depth < 0 or (depth == 0 and token.kind == "word" and token.text in _AFTER_PAGING):
            break
        place += 1
    return place


def _words(*words: str) -> list[Token]:
    return [Token("word", word) for word in words]
