"""The net that the other tests are made of: what it catches, and that it has no hole."""

from __future__ import annotations

import datetime
import json
import tracemalloc
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import attrs
import httpx
import pytest
from mutations import TOKENS, Answer, Mutation, of_fields, of_whole
from outcomes import ASYNC_EACH, play_all
from takes import MOST_REQUESTS, Take, plan
from typing_of import misfit, result_of

from support.scripted_http import Reply, Script
from tollkit.core import answers
from tollkit.core.paging import Page
from tollkit.errors import BadRequestError, TollkitError
from tollkit.run402 import AsyncRun402, MemoryCredentials, Run402, Run402Error
from tollkit_api.run402.v1_57.models import TierQuote, TierQuotes

QUOTE = {
    "price": "$0.10",
    "lease_days": 7,
    "storage_mb": 250,
    "api_calls": 1,
    "max_functions": 5,
    "description": "d",
}
GOOD = Answer(200, {"content-type": "application/json"}, json.dumps({"tiers": {"hobby": QUOTE}}).encode())


def take(call: Any = None, **changes: Any) -> Take:
    """A call of one request."""

    def client(http: Any, asynchronous: bool) -> Any:
        kind = AsyncRun402 if asynchronous else Run402
        return kind(api_base="https://r.example", credentials=MemoryCredentials(), max_retries=0, http_client=http)

    given = {
        "name": "run402.projects.get_quote",
        "client": client,
        "call": call or (lambda made: made.projects.get_quote()),
        "answers": (("GET /tiers/v1", GOOD),),
        "family": Run402Error,
        "secrets": ("sentinel-secret",),
        **changes,
    }
    return Take(**given)


def found(one: Take, answer: Answer = GOOD) -> list[str]:
    """What is found when the only answer is another one; by the blocking client and by the async one."""
    tally = play_all(one, [(0, Mutation("$", "something", answer))] * ASYNC_EACH)
    assert tally.tried == ASYNC_EACH
    assert tally.results + tally.errors in (ASYNC_EACH + 1, 0)
    return sorted(set(tally.found))


def refusal(text: str) -> Answer:
    return Answer(400, GOOD.headers, json.dumps({"error": "x", "message": text}).encode())


def test_what_is_right_is_passed() -> None:
    assert found(take()) == []
    assert found(take(), refusal("no")) == []


def _raising(problem: BaseException) -> Any:
    def call(made: Any) -> Any:
        raise problem

    return call


@pytest.mark.parametrize(
    "problem", [ValueError("v"), KeyError("k"), RecursionError(), MemoryError(), AssertionError()]
)
def test_another_exception_is_found(problem: Exception) -> None:
    blocking, asynchronous = reversed(found(take(_raising(problem))))
    assert f"(blocking), GET /tiers/v1, $: something: raised {type(problem).__name__}" in blocking
    assert "(async)" in asynchronous


def test_an_error_of_no_family_is_found() -> None:
    class Other(TollkitError):
        """No error of Run402."""

    assert "which is no Run402Error" in found(take(_raising(Other("other"))))[0]
    assert "which is no Other" in found(take(family=Other), refusal("no"))[0]


def test_a_secret_in_an_error_is_found() -> None:
    assert "shows the secret 'sentinel-secret'" in found(take(), refusal("it is sentinel-secret!"))[0]
    in_body = Answer(400, GOOD.headers, b'{"error": {"deep": ["sentinel-secret"]}}')
    assert "shows the secret" in found(take(), in_body)[0]


def test_a_secret_in_a_result_is_found() -> None:
    quotes = {"tiers": {"hobby": {**QUOTE, "description": "sentinel-secret"}}}
    shown = Answer(200, GOOD.headers, json.dumps(quotes).encode())
    assert "shows the secret" in found(take(), shown)[0]


def test_a_secret_in_a_local_variable_is_found() -> None:
    namespace: dict[str, Any] = {}
    code = "def fail(error, token='sentinel-secret'):\n    raise error"
    exec(compile(code, "elsewhere.py", "exec"), namespace)

    def call(made: Any) -> Any:
        namespace["fail"](BadRequestError("no"))

    one = take(call, family=BadRequestError)
    assert "shows the secret" in play_all(one, [(0, Mutation("$", "x", GOOD))]).found[0]


def test_a_result_of_another_type_is_found() -> None:
    class Odd(Run402):
        """Reads numbers as text."""

    def call(made: Any) -> Any:
        quotes = made.projects.get_quote()
        quotes.tiers["hobby"].lease_days = "seven"
        return quotes

    (problem,) = play_all(take(call), [(0, Mutation("$", "x", GOOD))]).found
    assert "$.tiers['hobby'].lease_days is str, not int" in problem


def test_a_call_without_an_end_is_found() -> None:
    def call(made: Any) -> Any:
        while True:
            try:
                made.projects.get_quote()
            except Run402Error:
                continue

    (problem,) = play_all(take(call), [(0, Mutation("$", "x", GOOD))]).found
    assert f"raised EndlessError: {MOST_REQUESTS + 1} requests" in problem


@attrs.define
class Thing:
    """Of the fields below."""

    name: str
    count: int | None = None
    kind: Literal["a", "b"] = "a"
    when: datetime.datetime | None = None


QUOTED = TierQuote(**QUOTE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "hint", "problem"),
    [
        (1, int, None),
        (True, int, "$ is bool, not int"),
        (True, bool | int, None),
        (1, float, None),
        ("1", int | float, "$ is str, not float"),
        (None, None, None),
        (1, None, "$ is int, not None"),
        ([1, "2"], list[int], "$[1] is str, not int"),
        ((1, "2"), tuple[int, str], None),
        ((1, "2"), tuple[int, ...], "$[1] is str, not int"),
        ({"a": 1}, Mapping[str, int], None),
        ({1: 1}, dict[str, int], "$ key is int, not str"),
        ({"a": None}, dict[str, int], "$['a'] is NoneType, not int"),
        (["a"], Sequence[Literal["b"]], "$[0] is 'a'"),
        (Thing("n"), Thing, None),
        (Thing(1), Thing, "$.name is int, not str"),  # type: ignore[arg-type]
        (Thing("n", "5"), Thing, "$.count is str, not None"),  # type: ignore[arg-type]
        (Thing("n", kind="c"), Thing, "$.kind is 'c'"),  # type: ignore[arg-type]
        (TierQuotes(tiers={"a": QUOTED}), TierQuotes, None),
        (TierQuotes(tiers={"a": 5}), TierQuotes, "$.tiers['a'] is int, not TierQuote"),  # type: ignore[dict-item]
        (Page([Thing("n")]), Page[Thing], None),
        (Page([Thing(1)]), Page[Thing], "$.rows[0].name is int, not str"),  # type: ignore[arg-type]
        (Decimal(1), int, "$ is Decimal, not int"),
        (object(), Any, None),
    ],
)
def test_what_fits_an_annotation(value: Any, hint: Any, problem: str | None) -> None:
    assert misfit(value, hint) == problem


def test_what_a_method_promises() -> None:
    client = Run402(credentials=MemoryCredentials())
    assert result_of(client.projects.get_quote._fn) is TierQuotes
    assert result_of(client.blobs.iterate._fn).__origin__ is Page


def test_every_field_is_changed() -> None:
    paths = {mutation.path for mutation in of_fields(GOOD)}
    assert paths == {"$", "$.tiers", "$.tiers.hobby", *(f"$.tiers.hobby.{name}" for name in QUOTE)}
    changes = {mutation.change for mutation in of_fields(GOOD)}
    assert changes == {*TOKENS, "removed", "twice", "twice, the first counts"}
    assert all(mutation.answer.content != GOOD.content for mutation in of_fields(GOOD))


def test_changes_of_the_whole_are_all_made_in_the_end() -> None:
    one_by_one = [(mutation.path, mutation.change) for part in range(60) for mutation in of_whole(GOOD, part)]
    assert len(set(one_by_one)) > 750
    assert {"status", "headers", "$", "header retry-after", "error_description"} <= {path for path, _ in one_by_one}


def test_what_has_been_changed_before_is_not_changed_again() -> None:
    first = ("GET /a/prj_0123456789abcdef", GOOD)
    again = ("GET /a/prj_fedcba9876543210", GOOD)
    other = ("POST /a/prj_0123456789abcdef", GOOD)
    made = plan([take(name="x.a", answers=(first,)), take(name="x.b", answers=(again, other)), take(name="x.c")])
    numbers = {name: [one.number for one in chosen] for name, (_, chosen) in made.items()}
    assert numbers == {"x.a": [0], "x.b": [1], "x.c": [0]}
    fields = frozenset({"tiers", "tiers.hobby", *(f"hobby.{name}" for name in QUOTE)})
    familiar = {name: chosen[0].familiar for name, (_, chosen) in made.items()}
    assert familiar == {"x.a": frozenset(), "x.b": fields, "x.c": fields}
    assert plan([take(name="x.a", answers=(first,)), take(name="x.b", answers=(again,))])["x.b"][1][0].number == 0


def test_a_familiar_field_is_changed_too() -> None:
    few = [each for each in of_fields(GOOD, frozenset({"hobby.price"})) if each.path == "$.tiers.hobby.price"]
    assert len(few) == 6
    assert "removed" in {each.change for each in few}


@pytest.mark.parametrize("change", ["deep arrays", "deep objects", "huge text", "too many digits", "members"])
def test_an_answer_costs_little_memory(change: str) -> None:
    """A few times its own size, whatever it is."""
    changed = next(each for each in of_fields(GOOD) if each.change == change)
    size = max(len(changed.answer.content), 100_000)
    one = take()
    play_all(one, [(0, changed)])
    tracemalloc.start()
    try:
        play_all(one, [(0, changed)])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * size


def test_a_path_that_no_request_can_carry() -> None:
    """An id from an answer is part of the next request: the answer is told to be wrong, and where."""
    script = Script([Reply.json({"mailboxes": [{"mailbox_id": "", "slug": "s", "address": "a@b.example"}]})])
    keys = {"prj": {"anon_key": "a", "service_key": "b"}}
    client = Run402(credentials=MemoryCredentials(keys), http_client=script.client)
    with pytest.raises(Run402Error):
        client.email.list("prj")
    assert len(script.sent) == 1
    assert answers.path_part("op_1") == "op_1"


def test_headers_are_read_as_from_the_wire() -> None:
    told = Answer(200, {"etag": "\u00ff\u0661"}).headers
    assert isinstance(told, httpx.Headers)
    assert told["ETag"] == "\u00ff\u0661"
