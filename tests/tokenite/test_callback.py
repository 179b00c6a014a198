"""Callbacks: every outcome, every form in which a program has them, and a million that nobody would send.

`TOLLKIT_FUZZ_INPUTS=1000000 python -m pytest tests/tokenite/test_callback.py -k generated` runs the million.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, assert_never
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import attrs
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import QueryParams
from starlette.requests import Request

from tollkit.secrets import Secret
from tollkit.tokenite.callback import (
    AccessDenied,
    Callback,
    CallbackFailure,
    CallbackSuccess,
    InvalidState,
    Malformed,
    MissingCode,
    OAuthFailure,
    UserDenied,
    parse_callback,
)

GOOD = CallbackSuccess(Secret("c é"), "s/1")
QUERY = "code=c+%C3%A9&state=s%2F1"
NAMES = ("state", "code", "error", "error_description")

OUTCOMES: list[tuple[str, str | None, Callback]] = [
    ("code=c&state=s", "s", CallbackSuccess("c", "s")),
    ("code=c&state=s", None, CallbackSuccess("c", "s")),
    ("code=c", None, CallbackSuccess("c", None)),
    ("code=c&state=", None, CallbackSuccess("c", None)),
    # the state comes first, whatever else there is
    ("code=c&state=S", "s", InvalidState()),
    ("code=c&state=s", "ss", InvalidState()),
    ("code=c", "s", InvalidState()),
    ("", "s", InvalidState()),
    ("code=c&state=", "", InvalidState()),
    ("code=c", "", InvalidState()),
    ("code=c&state=s&state=s", "s", InvalidState()),
    ("code=c&code=c&state=x", "s", InvalidState()),
    ("error=access_denied&error_description=user_denied", "s", InvalidState("access_denied", "user_denied")),
    # then what stands twice
    ("code=c&state=s&state=s", None, Malformed(parameter="state")),
    ("code=c&code=d&state=s", "s", Malformed(parameter="code")),
    ("code=&code=d&state=s", "s", Malformed(parameter="code")),
    ("error=a&error=b&error_description=d&state=s", "s", Malformed(None, "d", parameter="error")),
    ("error=a&error_description=d&error_description=d", None, Malformed("a", parameter="error_description")),
    # then the errors
    ("error=access_denied&error_description=user_denied&state=s", "s", UserDenied("access_denied", "user_denied")),
    ("error=access_denied&error_description=User_denied", None, AccessDenied("access_denied", "User_denied")),
    ("error=access_denied", None, AccessDenied("access_denied", None)),
    ("error=server_error&error_description=a+b&code=c", None, OAuthFailure("server_error", "a b")),
    ("error=temporarily%20unavailable", None, OAuthFailure("temporarily unavailable", None)),
    ("error=ACCESS_DENIED&error_description=user_denied", None, OAuthFailure("ACCESS_DENIED", "user_denied")),
    # and what is left
    ("state=s", "s", MissingCode()),
    ("code=&state=s", "s", MissingCode()),
    ("error=&error_description=d", None, MissingCode(None, "d")),
    ("Code=c", None, MissingCode()),
    ("error=&code=c", None, CallbackSuccess("c", None)),
    ("code=%zz%+%ff&x", None, CallbackSuccess("%zz% \ufffd", None)),
    ("code=c;state=s", None, CallbackSuccess("c;state=s", None)),
]


@pytest.mark.parametrize(("query", "expected", "outcome"), OUTCOMES)
def test_every_outcome(query: str, expected: str | None, outcome: Callback) -> None:
    assert parse_callback(query, expected) == outcome
    assert parse_callback(f"https://app.example/callback?{query}#code=x&state=y", expected) == outcome
    assert parse_callback(parse_qs(query, keep_blank_values=True), expected) == outcome
    assert parse_callback({"type": "http", "query_string": query.encode()}, expected) == outcome


REASONS = {
    InvalidState: "invalid_state",
    UserDenied: "user_denied",
    AccessDenied: "access_denied",
    OAuthFailure: "oauth_error",
    MissingCode: "missing_code",
    Malformed: "malformed_callback",
}


@pytest.mark.parametrize("kind", REASONS)
def test_failures_are_false_frozen_and_say_why(kind: type[CallbackFailure]) -> None:
    failure = kind("e", "d")
    assert isinstance(failure, CallbackFailure)
    assert (failure.ok, bool(failure), failure.reason) == (False, False, REASONS[kind])
    assert (failure.error, failure.description) == ("e", "d")
    assert not hasattr(failure, "__dict__")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        failure.error = "other"


def told(result: Callback) -> str:
    """What a program does; type checkers hold it to be complete."""
    match result:
        case CallbackSuccess(code, state):
            return f"{code} {state}"
        case UserDenied():
            return "cancelled"
        case OAuthFailure(error, description) | AccessDenied(error, description):
            return f"{error} {description}"
        case Malformed(parameter=parameter):
            return f"twice {parameter}"
        case InvalidState(reason=reason) | MissingCode(reason=reason):
            return reason
        case _:
            assert_never(result)


def test_outcomes_can_be_matched() -> None:
    assert [told(parse_callback(*case[:2])) for case in OUTCOMES] == [told(case[2]) for case in OUTCOMES]
    assert told(parse_callback(QUERY)) == "c é s/1"
    result = parse_callback(QUERY, "s/1")
    assert result.ok  # narrows to the success
    assert result.code.reveal() == "c é"
    assert hash(result) == hash(GOOD)


def test_a_success_is_true_and_does_not_show_its_code() -> None:
    found = parse_callback("code=hush-hush&state=s")
    assert found
    assert "hush" not in f"{found!r} {[found]} {attrs.asdict(found)}"


class Django(dict[str, Any]):
    """Shaped like `django.http.QueryDict`, which like most gives the last of several values."""

    def getlist(self, name: str) -> list[str]:
        return dict.get(self, name) or []

    def get(self, name: str, default: Any = None) -> Any:
        return (self.getlist(name) or [default])[-1]

    def __getitem__(self, name: str) -> str:
        return self.getlist(name)[-1]


class Aiohttp(Django):
    """Shaped like multidict's, of aiohttp and yarl."""

    getall, getlist = Django.getlist, None  # type: ignore[assignment]

    def __getitem__(self, name: str) -> str:
        return self.getall(name)[-1]

    def get(self, name: str, default: Any = None) -> Any:
        return (self.getall(name) or [default])[-1]


class Open:
    """Not a dict, like aiohttp's request: a mapping of something else that has the query as an attribute."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def __getitem__(self, name: str) -> Any:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def get(self, name: str, default: Any = None) -> Any:
        return default


Mapping.register(Open)


class Plain(Open):
    """A mapping of parameters that is no dict."""

    def __getitem__(self, name: str) -> Any:
        return parse_qs(QUERY)[name]

    def __contains__(self, name: object) -> bool:
        return name in parse_qs(QUERY)


def scope(query: str) -> dict[str, Any]:
    return {"type": "http", "path": "/callback", "headers": [], "query_string": query.encode(), "state": {}}


def environ(query: str) -> dict[str, Any]:
    return {"REQUEST_METHOD": "GET", "QUERY_STRING": query.encode().decode("latin-1"), "wsgi.version": (1, 0)}


FORMS: dict[str, Callable[[str], Any]] = {
    "address": lambda query: f"https://app.example/callback?{query}",
    "address of an app": lambda query: f"com.example.app:/callback?{query}#fragment",
    "address with = in its path": lambda query: f"https://app.example/a=b&c/callback?{query}",
    "path": lambda query: f"/callback?{query}",
    "relative path": lambda query: f"callback?{query}",
    "question mark": lambda query: f"?{query}",
    "query": lambda query: query,
    "query with a question mark in it": lambda query: f"{query}&back=/?code=x%26state=y",
    "pasted": lambda query: f"  https://app.example/?{query}\r\n",
    "bytes": lambda query: f"/callback?{query}".encode(),
    "bytearray": lambda query: bytearray(f"?{query}".encode()),
    "texts": lambda query: dict(parse_qsl(query)),
    "texts and None": lambda query: {**dict(parse_qsl(query)), "error": None, "error_description": None},
    "lists": parse_qs,
    "lists of bytes": lambda query: {name: [value.encode()] for name, value in parse_qsl(query)},
    "pairs": parse_qsl,
    "tuple of pairs": lambda query: tuple(parse_qsl(query)),
    "QueryDict": lambda query: Django(parse_qs(query)),
    "MultiDict": lambda query: Aiohttp(parse_qs(query)),
    "QueryParams": QueryParams,
    "httpx.QueryParams": httpx.QueryParams,
    "httpx.URL": lambda query: httpx.URL(f"https://app.example/callback?{query}"),
    "SplitResult": lambda query: urlsplit(f"https://app.example/callback?{query}"),
    "SplitResultBytes": lambda query: urlsplit(f"https://app.example/callback?{query}".encode()),
    "ASGI scope": scope,
    "WSGI environ": environ,
    "a part of an environ": lambda query: {"QUERY_STRING": query},
    "Starlette request": lambda query: Request(scope(query)),
    "Starlette query": lambda query: Request(scope(query)).query_params,
    "Starlette address": lambda query: Request({**scope(query), "server": ("app.example", 443)}).url,
    "Django request": lambda query: SimpleNamespace(META=environ(query), GET=Refusing()),
    "Django request without META": lambda query: SimpleNamespace(META={}, GET=Django(parse_qs(query))),
    "Django ASGI request": lambda query: SimpleNamespace(scope=scope(query), META={}, GET=Refusing()),
    "Flask request": lambda query: SimpleNamespace(environ=environ(query), args={}, query_string=b""),
    "aiohttp request": lambda query: Open(query=Aiohttp(parse_qs(query)), query_string="decoded"),
    "Falcon request": lambda query: SimpleNamespace(query_string=query),
    "Django REST request": lambda query: SimpleNamespace(query_params=Django(parse_qs(query))),
    "address of a response": lambda query: SimpleNamespace(url=f"https://app.example/?{query}"),
}


class Refusing:
    """Django refuses queries of more than a thousand fields when they are asked for."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("TooManyFieldsSent")


@pytest.mark.parametrize("form", FORMS)
def test_every_form(form: str) -> None:
    assert parse_callback(FORMS[form](QUERY), "s/1") == GOOD
    assert parse_callback(FORMS[form](QUERY), "s/2") == InvalidState()


LOSSY = {"texts", "texts and None", "lists of bytes"}  # what has lost the repeats before it came to us


@pytest.mark.parametrize("form", [form for form in FORMS if form not in LOSSY])
def test_repeats_show_in_every_form(form: str) -> None:
    assert parse_callback(FORMS[form](f"{QUERY}&code=x"), "s/1") == Malformed(parameter="code")
    assert parse_callback(FORMS[form](f"{QUERY}&state=s/1"), "s/1") == InvalidState()
    assert parse_callback(FORMS[form](f"{QUERY}&state=x")) == Malformed(parameter="state")


def test_a_mapping_that_is_no_dict() -> None:
    assert parse_callback(Plain()) == GOOD


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        # parameters of these names do not make a mapping of parameters something else
        ({"code": "c", "QUERY_STRING": "code=x"}, CallbackSuccess("c")),
        ({"code": "c", "query_string": "code=x"}, CallbackSuccess("c")),
        ({"code": "c", "query": "code=x", "url": "/?code=x", "scope": "x"}, CallbackSuccess("c")),
        (Django(QUERY_STRING=["code=x"]), MissingCode()),
        (QueryParams("QUERY_STRING=code%3Dx&query=code%3Dy"), MissingCode()),
        # raw UTF-8 in an environ arrives as latin-1 (PEP 3333); some programs put text there all the same
        ({"QUERY_STRING": "code=\u00c3\u00a9"}, CallbackSuccess("\u00e9")),
        ({"QUERY_STRING": "code=\u20ac"}, CallbackSuccess("\u20ac")),
        (b"code=\xc3\xa9", CallbackSuccess("\u00e9")),
        (b"code=\xff", CallbackSuccess("\ufffd")),
        ("code=\ud800", CallbackSuccess("\ufffd")),
        ({"code": "\udfff"}, CallbackSuccess("\ufffd")),
        ({"QUERY_STRING": "code=\ud800"}, CallbackSuccess("\ufffd")),
        # no text
        ({"code": 5}, Malformed(parameter="code")),
        ({"code": [None]}, MissingCode()),
        ({"code": []}, MissingCode()),
        ({"code": [["c"]]}, Malformed(parameter="code")),
        ({"code": {"$gt": ""}}, Malformed(parameter="code")),
        ([("code", 5)], Malformed(parameter="code")),
        # no parameters, or none of ours
        ("https://app.example/callback", MissingCode()),
        ("/", MissingCode()),
        ("garbage", MissingCode()),
        ({}, MissingCode()),
        ([], MissingCode()),
        (None, Malformed()),
        (5, Malformed()),
        (object(), Malformed()),
        ([1, 2], Malformed()),
        ([("a", "b", "c")], Malformed()),
        ([([], "x")], Malformed()),
        (SimpleNamespace(GET=5), Malformed()),
    ],
)  # fmt: skip
def test_sources_at_the_edge(source: Any, outcome: Callback) -> None:
    assert parse_callback(source) == outcome


def test_a_source_that_fails_when_it_is_read() -> None:
    assert parse_callback(Refusing()) == Malformed()
    assert parse_callback(SimpleNamespace(url=Refusing())) == MissingCode()  # what its `str()` says is no callback


def test_a_source_that_holds_nothing_is_told_before_the_state() -> None:
    """It is a mistake in the program, and "invalid state" would send its author looking elsewhere."""
    assert parse_callback(None, "s") == Malformed()


@pytest.mark.parametrize("expected", ["", b"s", 5, "\ud800", "s\0", "S", " s"])
def test_expected_states_that_match_nothing(expected: Any) -> None:
    for query in ("code=c&state=s", "code=c&state=", "code=c", "code=c&state=%ED%A0%80", "code=c&state=\ud800"):
        assert isinstance(parse_callback(query, expected), InvalidState)


def test_states_of_any_script() -> None:
    query = urlencode({"code": "c", "state": "\u0416 \U0001f511"})
    assert parse_callback(query, "\u0416 \U0001f511").ok
    assert parse_callback(query, Secret("\u0416 \U0001f511")).ok


# --- whatever comes -------------------------------------------------------------------------------------------------

words = st.sampled_from(
    [*NAMES, "access_denied", "user_denied", "s", "%", "%C3", "%ED%A0%80", "\ud800", "+", "", "x"]
)
marks = st.sampled_from(["&", "=", "?", "#", "/", ":", ";", " ", "\0", "[]", "://", "&&", "=="])
hostile = st.lists(words | marks, max_size=12).map("".join) | st.text(max_size=80)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | hostile | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(words, inner, max_size=5),
    max_leaves=12,
)


@settings(max_examples=500, deadline=None)
@given(hostile | st.binary(max_size=80) | values, st.none() | hostile)
def test_nothing_raises(source: Any, expected: str | None) -> None:
    result = parse_callback(source, expected)
    assert result.ok is bool(result)
    if result.ok:
        assert result.code
        assert expected is None or result.state == expected
        f"{result.code}{result.state}".encode()


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*NAMES, "x", ""]), hostile), max_size=5), st.none() | hostile)
def test_one_query_means_one_thing_in_every_form(pairs: list[tuple[str, str]], expected: str | None) -> None:
    pairs = [(name, value.encode(errors="replace").decode()) for name, value in pairs]
    query = urlencode(pairs)
    outcome = oracle(query, expected)
    for form in ("query", "question mark", "path", "address", "bytes", "ASGI scope", "WSGI environ", "pairs"):
        source = pairs if form == "pairs" else FORMS[form](query)
        assert parse_callback(source, expected) == outcome, form


def oracle(query: str, expected: str | None) -> Callback:
    """The table of the platform's facts, over the standard library's parser."""
    given = parse_qs(query, keep_blank_values=True)
    single = {name: found[0] for name, found in given.items() if len(found) == 1 and found[0]}
    told = single.get("error"), single.get("error_description")
    if expected is not None and (not expected or single.get("state") != expected):
        return InvalidState(*told)
    twice = next((name for name in NAMES if len(given.get(name, ())) > 1), None)
    if twice:
        return Malformed(*told, parameter=twice)
    if told == ("access_denied", "user_denied"):
        return UserDenied(*told)
    if told[0]:
        return (AccessDenied if told[0] == "access_denied" else OAuthFailure)(*told)
    return CallbackSuccess(single["code"], single.get("state")) if "code" in single else MissingCode(*told)


PIECES = (
    "code=", "state=", "error=", "error_description=", "code", "state", "access_denied", "user_denied", "&", "&", "&",
    "=", "?", "#", "+", "%", "%2", "%26", "%3D", "%C3%A9", "%ff", "%ED%A0%80", ";", "/", "//", "https://a.example/cb?",
    "\\", "\0", " ", "\n", "\u00e9", "\U0001f511", "\ud800", "s", "s", "c", "A" * 40, "co%64e=", "st%61te=",
    "code[]=", "error=access_denied", "&state=s", "error=access_denied&error_description=user_denied", "&code=c",
)  # fmt: skip


def generated(count: int, seed: int) -> tuple[int, dict[type[Callback], int]]:
    """Parse `count` callbacks made of pieces, in several forms, each against the standard library's reading.

    Returns:
        How many were parsed, and how often each outcome came.
    """
    dice = random.Random(seed)
    forms = [FORMS[form] for form in ("query", "question mark", "path", "address", "ASGI scope", "WSGI environ")]
    outcomes: dict[type[Callback], int] = {}
    done = 0
    while done < count:
        text = "".join(dice.choices(PIECES, k=dice.randrange(1, 14)))
        expected = dice.choice((None, None, "s", "s", "", text[:3]))
        result = parse_callback(text, expected)  # whatever it is read as
        outcomes[type(result)] = outcomes.get(type(result), 0) + 1
        query = text.replace("#", "").replace("\ud800", "").strip()
        if query.partition("?")[1]:
            query = query.replace("?", "%3F")
        if query and "/" not in query:  # what is certainly a query, so that every form must be read alike
            form = dice.choice(forms)
            outcome = parse_callback(form(query), expected)
            assert outcome == oracle(query, expected), (form(query), expected)
            outcomes[type(outcome)] = outcomes.get(type(outcome), 0) + 1
            done += 1
        done += 1
    return done, outcomes


@pytest.mark.timeout(1800)  # for the million
def test_generated_callbacks() -> None:
    done, outcomes = generated(int(os.environ.get("TOLLKIT_FUZZ_INPUTS", "50000")), seed=20260531)
    print(f"{done} callbacks: " + ", ".join(f"{kind.__name__} {found}" for kind, found in outcomes.items()))
    assert set(outcomes) == {CallbackSuccess, *REASONS}
    assert sum(outcomes.values()) == done


# --- time -----------------------------------------------------------------------------------------------------------


def steps(source: Any) -> int:
    """How many calls, Python's and C's, one parse makes."""
    count = 0

    def counting(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(counting)
    try:
        parse_callback(source, "s")
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize(
    "piece",
    [
        "&",
        "=",
        "?",
        "#",
        "%",
        "+",
        "%41",
        "%C3",
        "code=&",
        "state=s&",
        "a=b?",
        "a:",
        "a",
        "\u00e9%",
        " ",
        "/",
        "%\u00e9&",
    ],
)
def test_twice_the_input_is_twice_the_work(piece: str) -> None:
    """Counted, not timed; no call is made on a growing part of the input more than once."""
    small, large = (steps(piece * count) for count in (2_000, 4_000))
    assert large <= 2 * small + 50


@pytest.mark.parametrize("piece", ["&", "%", "%C3", "code=&", "a=b?", "a", "?"])
def test_megabytes_come_to_an_end(piece: str) -> None:
    """A second or so when linear; when not, longer than any test may take."""
    text = piece * (1_000_000 // len(piece))
    assert isinstance(parse_callback(text, "s"), InvalidState)
    assert isinstance(parse_callback(scope(text)), MissingCode | Malformed)
