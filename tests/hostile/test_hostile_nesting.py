"""JSON that is nested too deeply, also in programs that have raised the limit of recursion."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from typing import Any

import pytest
from mutations import Answer

from tollkit.core import answers
from tollkit.core.raw import Answer as RawAnswer
from tollkit.oidc.json_values import decode
from tollkit.secrets import Secret
from tollkit_api.runtime.answers import load_json
from tollkit_api.runtime.errors import DecodeError
from tollkit_api.runtime.json_text import MOST_LEVELS, json_value, need_shallow

JSON = {"content-type": "application/json"}


def nested(levels: int, begin: str = "[", end: str = "]", inner: str = "") -> bytes:
    return (begin * levels + inner + end * levels).encode()


FINE = {
    "as deep as allowed": nested(MOST_LEVELS),
    "objects as deep as allowed": nested(MOST_LEVELS, '{"a":', "}", "1"),
    "many, not deep": b"[" + b"[],{}," * 5_000 + b"1]",
    "brackets in a text": json.dumps(["[" * 5_000, "{" * 5_000]).encode(),
    "brackets after a quote in a text": json.dumps(['"' + "[" * 5_000, '\\"' + "{[" * 500]).encode(),
    "brackets after a backslash in a text": json.dumps(["\\" + "[" * 5_000, "\\\\", "[" * 500]).encode(),
    "brackets in keys": json.dumps({"[" * 500 + str(number): "" for number in range(5)}).encode(),
    "brackets between empty texts": b"[" + b'"","[",' * 3_000 + b'""]',
    "a short text": b'"[[[["',
}
DEEP = {
    "one more": nested(MOST_LEVELS + 1),
    "objects": nested(MOST_LEVELS + 1, '{"a":', "}", "1"),
    "both": nested(MOST_LEVELS, '[{"a":', "}]", "1"),
    "a hundred thousand": nested(100_000),
    "not closed": b"[" * 100_000,
    "not closed objects": b'{"a":' * 100_000,
    "after an escaped backslash": b'["\\\\",' + nested(MOST_LEVELS) + b"]",
    "after a text with a quote": b'["\\"",' + nested(MOST_LEVELS) + b"]",
    "after texts with brackets": b'["]]]]","}}}}",' + nested(MOST_LEVELS) + b"]",
    "between texts with closing brackets": b'["]",' * 300 + b"1" + b"]" * 300,
    "late": b"[" + b"{}," * 10_000 + nested(MOST_LEVELS) + b"]",
}


@pytest.mark.parametrize("what", FINE)
def test_what_is_not_deep_is_read(what: str) -> None:
    need_shallow(FINE[what])
    assert json_value(FINE[what]) == json.loads(FINE[what])


@pytest.mark.parametrize("what", DEEP)
def test_what_is_deep_is_refused_everywhere(what: str) -> None:
    text = DEEP[what]
    for read in (need_shallow, json_value, decode, lambda content: json_value(content.decode())):
        with pytest.raises(ValueError, match="it is nested too deeply"):
            read(text)
    with pytest.raises(DecodeError, match="nested too deeply"):
        load_json(text)
    answer = Answer(500, JSON, text)
    assert answers.json_body(answer) is None
    assert RawAnswer(500, answer.headers, text, "GET", "https://p.example").json() is None


@pytest.mark.parametrize("levels", [MOST_LEVELS + 1, 100_000])
@pytest.mark.parametrize("big", [False, True], ids=["small", "big"])
def test_a_raised_limit_of_recursion_lets_nothing_overflow(levels: int, big: bool) -> None:
    """In a process of its own: without the check, the parser ends it."""
    program = f"""
import sys
sys.setrecursionlimit(10**6)
from tollkit_api.runtime.answers import load_json
from tollkit_api.runtime.errors import DecodeError
from tollkit_api.runtime.json_text import json_value
text = b" " * {2_000_000 if big else 0} + b"[" * {levels} + b"]" * {levels}
for read, kind in ((load_json, DecodeError), (json_value, ValueError)):
    try:
        read(text)
    except kind as error:
        assert "nested too deeply" in str(error), error
    else:
        raise SystemExit("it was read")
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")


@pytest.mark.parametrize("levels", [5_000, 100_000])
def test_a_big_text_is_left_to_the_parser(levels: int) -> None:
    """Whose own limit holds as long as nobody has raised it; to look costs a fifth of the time of parsing."""
    big = b" " * 2_000_000 + nested(levels)
    need_shallow(big)
    with pytest.raises(ValueError, match="it is nested too deeply"):
        json_value(big)
    with pytest.raises(DecodeError, match="nested too deeply"):
        load_json(big)


def test_to_look_takes_no_memory_to_speak_of() -> None:
    text = json.dumps({"rows": [{"id": number, "name": "[x]"} for number in range(30_000)]}).encode()[:1_000_000]
    tracemalloc.start()
    try:
        need_shallow(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * len(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"NaN",
        b"-Infinity",
        b"[1,]",
        b"\xff",
        b"9" * 5_000,
        b"\xef\xbb\xbf\xef\xbb\xbf1",
        b"1 2",
        "\ufeff1",
    ],
)
def test_what_is_no_json_is_a_value_error(text: bytes | str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the parser's own words
        json_value(text)


def test_a_byte_order_mark_is_passed_over() -> None:
    assert json_value(b'\xef\xbb\xbf{"a": "\\ud800"}') == {"a": "\ud800"}


@pytest.mark.parametrize("secret", ['quo"te', "back\\slash", "true", "5", ",", "gr\u00fcn", "null", '"'])
def test_any_secret_is_taken_out_of_a_body(secret: str) -> None:
    """Whatever JSON would make of it."""
    found: Any = {"a": f"<{secret}>", "b": [1, True, None, {f"k{secret}": secret}], "c": 5}
    left = answers.without([Secret(secret), Secret("")], found)
    assert left == {"a": "<****>", "b": [1, True, None, {"k****": "****"}], "c": 5}
