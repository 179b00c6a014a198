"""What Run402's document asked of the generator: escaped segments, text bodies, free queries, answers of bytes.

Goes to tests/generated/ with generator.patch and the full form of the document.
"""

from __future__ import annotations

import json

import attrs
import pytest

from tollkit_api.run402.v1_57 import models
from tollkit_api.run402.v1_57.api.apps import apps_browse
from tollkit_api.run402.v1_57.api.blobs import blobs_diagnose_url, blobs_get, blobs_ls
from tollkit_api.run402.v1_57.api.email import email_get_raw
from tollkit_api.run402.v1_57.api.functions import functions_invoke, functions_invoke_get
from tollkit_api.run402.v1_57.api.projects import projects_rest, projects_sql


@attrs.frozen
class Answer:
    status_code: int
    content: bytes = b""
    headers: dict[str, str] = attrs.field(factory=dict)


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("a.png", "/storage/v1/blob/a.png"),
        ("img/ü 1.png", "/storage/v1/blob/img/%C3%BC%201.png"),
        ("a:b@c$d&e+f,g;h=i", "/storage/v1/blob/a%3Ab%40c%24d%26e%2Bf%2Cg%3Bh%3Di"),
        ("!~*'()", "/storage/v1/blob/!~*'()"),
        ("a%2Fb?c#d", "/storage/v1/blob/a%252Fb%3Fc%23d"),
        ("/a//b/", "/storage/v1/blob//a//b/"),
    ],
)
def test_each_segment_of_a_key_is_escaped(key: str, url: str) -> None:
    assert blobs_get.request(key).url == url


@pytest.mark.parametrize("key", ["", ".", "a/../b", "./a", 7, "\ud800"])
def test_keys_that_no_path_can_carry(key: str) -> None:
    with pytest.raises(ValueError, match=r"^key: "):
        blobs_get.request(key)


def test_sql_is_text_or_json() -> None:
    text = projects_sql.request("p", body="SELECT 'ü'")
    assert (text.content, text.headers) == ("SELECT 'ü'".encode(), {"Content-Type": "text/plain"})
    statement = projects_sql.request("p", body=models.SqlRequest(sql="SELECT $1", params=[1]))
    assert statement.content == b'{"sql":"SELECT $1","params":[1]}'
    assert statement.headers == {"Content-Type": "application/json"}
    with pytest.raises(ValueError, match="surrogate"):
        projects_sql.request("p", body="\ud800")


def test_a_function_gets_text_json_or_nothing() -> None:
    assert functions_invoke.request("f").content is None
    assert functions_invoke.request("f").headers == {}
    assert functions_invoke.request("f", body="").content == b""
    assert functions_invoke.request("f", body="hi").headers == {"Content-Type": "text/plain"}
    assert functions_invoke.request("f", body=["hi"]).content == b'["hi"]'
    assert functions_invoke_get.OPERATION.idempotent
    assert not functions_invoke.OPERATION.idempotent


def test_a_query_is_a_form_or_percent_encoded() -> None:
    assert blobs_ls.request(prefix="a b~'").url_with_query == "/storage/v1/blobs?prefix=a+b%7E%27"
    url = "https://x.example/a b?c=ü'~"
    assert blobs_diagnose_url.request(url=url).query == "url=https%3A%2F%2Fx.example%2Fa%20b%3Fc%3D%C3%BC'~"
    assert apps_browse.request(tag=["a b", "c&d"]).query == "tag=a%20b&tag=c%26d"
    assert apps_browse.request(tag=[]).url_with_query == "/apps/v1"


def test_filters_become_parameters_of_their_own() -> None:
    request = projects_rest.request("items", limit=3, filters={"id": "eq.7", "age": ["gte.1", "lt.9"]})
    assert request.params == (("limit", "3"), ("id", "eq.7"), ("age", "gte.1"), ("age", "lt.9"))
    assert projects_rest.request("items", filters={}).params == ()
    with pytest.raises(ValueError, match=r"^id: "):
        projects_rest.request("items", filters={"id": None, "name": b"x"} | {"id": object()})  # type: ignore[dict-item]


def test_bytes_stay_bytes_whatever_their_type() -> None:
    raw = b"\xff\x00{"
    assert blobs_get.parse(Answer(200, raw)) == raw
    assert email_get_raw.parse(Answer(200, raw)) == raw
    assert functions_invoke.parse(Answer(204)) == b""
    body = json.dumps({"code": "PROJECT_FROZEN", "retryable": False}).encode()
    with pytest.raises(Exception, match="403") as caught:
        blobs_get.parse(Answer(403, body))
    assert caught.value.parsed.code == "PROJECT_FROZEN"
