"""`parse()` of operation modules: whatever comes ends in a value, `UnexpectedStatus` or `DecodeError`."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollkit_api.builder.v2026_05.api.manifest import get_app_manifest
from tollkit_api.builder.v2026_05.api.tokens import mint_user_access_token
from tollkit_api.builder.v2026_05.models import CodedErrorEnvelope
from tollkit_api.runtime import ApiError, DecodeError, UnexpectedStatus
from tollkit_api.runtime.preview import preview
from tollkit_api.usage.v2026_05.api.usage import get_usage
from tollkit_api.usage.v2026_05.models import ErrorEnvelope, UsageResponse

USAGE = {"clientId": "app_1", "period": {"start": None, "end": None}, "totals": {"requestCount": 3}}
HTML = b"<!DOCTYPE html><html><title>502 Bad Gateway</title></html>"


@attrs.frozen
class Answer:
    status_code: int
    content: bytes = b""
    headers: Mapping[str, str] = attrs.field(factory=dict)


def answer(status: int, body: Any) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"content-type": "application/json"})


def test_a_success():
    report = get_usage.parse(answer(200, USAGE))
    assert isinstance(report, UsageResponse)
    assert report.totals.request_count == 3


def test_a_success_without_a_body():
    assert get_app_manifest.parse(Answer(304)) is None


def test_a_typed_error():
    with pytest.raises(UnexpectedStatus) as caught:
        get_usage.parse(answer(404, {"error": "Not found"}))
    error = caught.value
    assert error.status_code == 404
    assert error.parsed == ErrorEnvelope(error="Not found")
    assert error.operation is get_usage.OPERATION
    assert json.loads(error.content) == {"error": "Not found"}
    assert error.headers["content-type"] == "application/json"
    assert str(error).startswith(
        "getUsage (GET /api/v1/apps/{clientId}/usage) answered 404 Not Found: Also every failed authentication"
    )
    twin = pickle.loads(pickle.dumps(error))
    assert (twin.status_code, twin.parsed, str(twin)) == (404, error.parsed, str(error))


@pytest.mark.parametrize("status", [100, 201, 302, 400, 404, 418, 499, 502, 520, 599, 999])
@pytest.mark.parametrize("content", [HTML, b"", b"null", b"[]", b"{", b"\xff", b'{"error": 5}', b'{"other": 1}'])
def test_an_error_with_any_body_at_all(status: int, content: bytes):
    with pytest.raises(UnexpectedStatus) as caught:
        get_usage.parse(Answer(status, content))
    assert caught.value.status_code == status
    assert caught.value.parsed is None
    assert caught.value.content == content
    assert f"answered {status}" in str(caught.value)


def test_errors_of_other_media_types(sample):
    get_thing, models = sample("api.things.get_thing"), sample("models")

    def parsed(status: int, content: bytes) -> Any:
        with pytest.raises(UnexpectedStatus) as caught:
            get_thing.parse(Answer(status, content))
        return caught.value.parsed

    assert parsed(404, b'{"error": "gone"}') == models.ErrorEnvelope(error="gone")
    assert parsed(404, HTML) is None
    assert parsed(429, b'{"title": "slow"}') is None  # the document has no body for it, whatever `default` says
    assert parsed(503, "down é".encode()) == "down é"
    assert parsed(418, b'{"title": "teapot", "code": 9}') == models.Problem(title="teapot", code=9)
    assert parsed(418, HTML) is None
    mint = mint_user_access_token
    with pytest.raises(UnexpectedStatus) as caught:
        mint.parse(Answer(500, b"Internal Server Error"))
    assert caught.value.parsed == "Internal Server Error"
    with pytest.raises(UnexpectedStatus) as caught:
        mint.parse(Answer(404, b'{"error":"not_found","error_description":"d","correlation_id":"c"}'))
    assert isinstance(caught.value.parsed, CodedErrorEnvelope)


DEEP = b"[" * 100_000
DEEP_NODE = (b'{"name":"n","children":[' * 400) + (b"]}" * 400)


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (HTML, "HTML"),
        (b"", "an empty body"),
        (b" \n", "an empty body"),
        (b"{", "text that is no JSON"),
        (b"\xff\xfe", "bytes that are no UTF-8"),
        (b'{"clientId": NaN}', "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b'{"a": {"b": 1, "b": 1}}', "a key that stands twice in one object"),
        (DEEP, "a document nested too deeply"),
        (b'{"a":' * 100_000, "a document nested too deeply"),
        (b"1" * 5_000, "a number of too many digits"),
        (b"[]", "array"),
        (b"null", "null"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_success_that_cannot_be_read(content: bytes, got: str):
    with pytest.raises(DecodeError) as caught:
        get_usage.parse(Answer(200, content))
    error = caught.value
    assert error.path == "$"
    assert error.got == got
    assert error.status_code == 200
    assert error.operation is get_usage.OPERATION
    assert len(error.preview) <= 200
    assert str(error).startswith("getUsage (GET /api/v1/apps/{clientId}/usage) answered 200 OK with a body")
    assert isinstance(error, ApiError)


def test_a_model_nested_too_deeply(sample):
    with pytest.raises(DecodeError, match="nested too deeply"):
        sample("api.things.put_thing").parse(Answer(201, DEEP_NODE))


def test_a_byte_order_mark_is_passed_over():
    assert get_usage.parse(Answer(200, b"\xef\xbb\xbf" + json.dumps(USAGE).encode())).client_id == "app_1"


def test_a_big_body_is_read_with_the_same_rules():
    filler = json.dumps("x" * (1 << 20)).encode()
    big = b'{"filler": ' + filler + b", " + json.dumps(USAGE).encode()[1:]
    assert get_usage.parse(Answer(200, big)).client_id == "app_1"
    for end, got in [(b', "a": NaN}', "NaN"), (b"", "text that is no JSON"), (b', "clientId": 5}', "integer")]:
        with pytest.raises(DecodeError) as caught:
            get_usage.parse(Answer(200, big[:-1] + end))
        assert caught.value.got == got


def test_a_missing_field_is_named():
    with pytest.raises(DecodeError) as caught:
        get_usage.parse(answer(200, {**USAGE, "totals": {}}))
    assert caught.value.path == "$.totals.requestCount"
    assert caught.value.preview.startswith('{"clientId": "app_1"')


def test_other_successes(sample):
    things, models = sample("api.things"), sample("models")
    assert things.add_thing.parse(Answer(200, "Zoë".encode())) == "Zoë"
    with pytest.raises(DecodeError, match="no UTF-8"):
        things.add_thing.parse(Answer(200, b"\xff"))
    assert things.get_blob.parse(Answer(200, b"\xff")) == b"\xff"
    assert things.delete_thing.parse(Answer(204)) is None
    assert things.put_thing.parse(answer(201, {"name": "n"})) == models.Node(name="n")
    assert things.echo_anything.parse(answer(200, [1, None])) == [1, None]
    assert things.list_things.parse(answer(200, [])) == []
    with pytest.raises(DecodeError, match=r"\$\[0\]\.id: "):
        things.list_things.parse(answer(200, [{}]))


@settings(deadline=None)  # the machine may be busy
@given(st.binary() | st.text().map(str.encode), st.integers(100, 999))
def test_nothing_else_ever_comes_out(content: bytes, status: int):
    with pytest.raises(ApiError):
        get_usage.parse(Answer(status, content))


@pytest.mark.parametrize(
    "body",
    [
        '{"access_token": "sentinel"}',
        '{"data": {"clientSecret" : "sentinel \\" more sentinel", "x": 1}}',
        '{"device_code": "sentinel", "user_code": "sentinel"}',
        '{"refresh_token": "sentinel' + "x" * 2000,
        "grant_type=x&client_secret=sentinel&code=sentinel",
        "<p>Authorization: Bearer sentinel</p>",
        "<p>Authorization: Basic sentinel</p>",
        "the key sk-live-0123sentinel0123456789 is wrong",
        "eyJhbGciOiJSUzI1NiJ9.sentinel1eyJzdWIiOiIxIn0.c2ln",
        "pmth_0123456789abcdef0123456789abcdefsentinel",
    ],
)
def test_previews_hold_no_secrets(body: str):
    shown = preview(body.encode())
    assert "sentinel" not in shown
    assert "****" in shown
    assert len(shown) <= 200


def test_previews_show_the_rest():
    assert preview(HTML) == HTML.decode()
    assert preview(b'{"error":"not_found","code":"x","n":5}') == '{"error":"not_found","code":"x","n":5}'
    assert preview(b"a " * 500) == ("a " * 100)[:199] + "…"
    assert preview(b"\xff") == "�"


def test_errors_do_not_show_bodies():
    secret = b'{"access_token": "sentinel-1", "error": "sentinel-2"}'
    with pytest.raises(UnexpectedStatus) as unexpected:
        get_usage.parse(Answer(404, secret))
    with pytest.raises(DecodeError) as undecoded:
        get_usage.parse(Answer(200, secret))
    shown = f"{unexpected.value} {unexpected.value!r} {undecoded.value} {undecoded.value!r}"
    assert "sentinel" not in shown
    assert "sentinel-1" not in undecoded.value.preview
