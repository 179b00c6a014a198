"""`request()` of operation modules: what exactly goes out."""

from __future__ import annotations

import datetime
import json
import string
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollkit_api.builder.v2026_05.api.tokens import mint_user_access_token
from tollkit_api.builder.v2026_05.api.users import delete_app_user
from tollkit_api.runtime import UNSET, Operation, Request, Secret, encode
from tollkit_api.usage.v2026_05.api.usage import get_usage

TEXTS = st.text(st.characters(exclude_categories=("Cs",)))
EVERY_ASCII = "".join(map(chr, range(0x20, 0x7F)))


def test_path_encoding_is_that_of_encode_uri_component():
    # encodeURIComponent of the printable ASCII characters, from ECMA-262
    expected = (
        "%20!%22%23%24%25%26'()*%2B%2C-.%2F0123456789%3A%3B%3C%3D%3E%3F%40ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        "%5B%5C%5D%5E_%60abcdefghijklmnopqrstuvwxyz%7B%7C%7D~"
    )
    assert encode.path_value("a", EVERY_ASCII) == expected
    assert encode.path_value("a", "é€😀\0") == "%C3%A9%E2%82%AC%F0%9F%98%80%00"


def test_query_encoding_is_that_of_url_search_params():
    # new URLSearchParams({a: ...}).toString() of the printable ASCII characters
    expected = (
        "a=+%21%22%23%24%25%26%27%28%29*%2B%2C-.%2F0123456789%3A%3B%3C%3D%3E%3F%40ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        "%5B%5C%5D%5E_%60abcdefghijklmnopqrstuvwxyz%7B%7C%7D%7E"
    )
    assert encode.form([("a", EVERY_ASCII)]) == expected
    assert encode.form([("a b", "é"), ("c", "")]) == "a+b=%C3%A9&c="


@settings(deadline=None)  # the machine may be busy
@given(TEXTS)
def test_encodings_lose_nothing(text: str):
    assert parse_qsl(encode.form([(text, text)]), keep_blank_values=True) == [(text, text)]
    if text not in {"", ".", ".."}:
        encoded = encode.path_value("a", text)
        assert unquote(encoded) == text
        assert set(encoded) <= set(string.ascii_letters + string.digits + "-_.!~*'()%")


@pytest.mark.parametrize("bad", ["", ".", "..", None, b"x", True, 1.5, UNSET, "\ud800", ["a"]])
def test_path_parameters_that_would_address_something_else(bad: Any):
    with pytest.raises(ValueError, match=r"^client_id: "):
        get_usage.request(bad)
    with pytest.raises(ValueError, match=r"^external_user_id: "):
        mint_user_access_token.request("app_1", bad)


def test_a_request_is_data():
    request = get_usage.request(
        "app_1/x", start_date="2026-05-01T00:00:00.000Z", end_date=None, group_by="user", user_id=UNSET
    )
    assert request.operation is get_usage.OPERATION
    assert request.method == "GET"
    assert request.url == "/api/v1/apps/app_1%2Fx/usage"
    assert request.params == (("startDate", "2026-05-01T00:00:00.000Z"), ("groupBy", "user"))
    assert request.query == "startDate=2026-05-01T00%3A00%3A00.000Z&groupBy=user"
    assert request.url_with_query == "/api/v1/apps/app_1%2Fx/usage?" + request.query
    assert request.content is None
    assert dict(request.headers) == {}
    assert request == get_usage.request("app_1/x", start_date="2026-05-01T00:00:00.000Z", group_by="user")
    assert get_usage.request("a").url_with_query == "/api/v1/apps/a/usage"


def test_the_query_keeps_the_order_of_the_document():
    request = get_usage.request(
        "a", gateway_request_id="g", user_id="u", group_by="user", end_date="e", start_date="s"
    )
    assert [name for name, _ in request.params] == ["startDate", "endDate", "groupBy", "userId", "gatewayRequestId"]


def test_delete_with_a_query_and_no_body():
    request = delete_app_user.request("app_1", external_user_id="a&b =é~")
    assert request.method == "DELETE"
    assert request.query == "externalUserId=a%26b+%3D%C3%A9%7E"
    assert request.content is None
    assert "Content-Type" not in request.headers


def test_facts_of_the_document_are_data():
    operation = get_usage.OPERATION
    assert isinstance(operation, Operation)
    assert (operation.id, operation.method, operation.path) == ("getUsage", "GET", "/api/v1/apps/{clientId}/usage")
    assert operation.security == (("m2mBasic",),)
    assert operation.secured
    assert operation.idempotent
    assert operation.success == (200,)
    assert set(operation.hints) == {400, 404}


def test_security_and_idempotency_in_all_their_forms(sample):
    get_thing = sample("api.things.get_thing").OPERATION
    assert get_thing.security == (("basic",), ("bearer",))
    assert get_thing.success == (200, 304)
    assert get_thing.hints == {404: "Wrong id, or wrong credentials."}
    assert sample("api.things.put_thing").OPERATION.security == ()
    assert not sample("api.things.put_thing").OPERATION.secured
    assert sample("api.things.add_thing").OPERATION.security == ((),)
    assert not sample("api.things.add_thing").OPERATION.secured
    idempotent = {
        name: sample(f"api.{name}").OPERATION.idempotent
        for name in ("things.get_thing", "things.put_thing", "things.delete_thing", "things.add_thing")
    }
    assert idempotent == {
        "things.get_thing": True,
        "things.put_thing": True,
        "things.delete_thing": False,  # x-idempotent: false
        "things.add_thing": False,
    }
    assert sample("api.oauth_tokens.make_token").OPERATION.idempotent  # x-idempotent: true


def test_every_kind_of_query_parameter(sample):
    get_thing = sample("api.things.get_thing")
    color = sample("models").Color
    east = datetime.timezone(datetime.timedelta(hours=2))
    request = get_thing.request(
        "t",
        7,
        x_request_id="id-1",
        since=datetime.datetime(2026, 5, 1, 2, 3, 4, 567891, tzinfo=east),
        color=color.DARK_GREEN,
        tags=["a b", "c"],
        limit=3,
        ratio=2.0,
        deep=True,
        amount=Decimal("0.0000000001"),
        cost=Decimal("2.50"),
        day=datetime.date(2026, 5, 1),
        filtername="n",
        if_none_match='"tag"',
    )
    assert request.url == "/things/t/parts/7"
    assert request.params == (
        ("since", "2026-05-01T00:03:04.567891Z"),
        ("color", "dark-green"),
        ("tags", "a b"),
        ("tags", "c"),
        ("limit", "3"),
        ("ratio", "2"),
        ("deep", "true"),
        ("amount", "0.0000000001"),
        ("cost", "2.50"),
        ("day", "2026-05-01"),
        ("filter[name]", "n"),
    )
    assert request.headers == {"If-None-Match": '"tag"', "X-Request-Id": "id-1"}
    plain = get_thing.request("t", 7, x_request_id="i", color="ultraviolet", since="today", ratio=0.5, deep=False)
    assert plain.query == "since=today&color=ultraviolet&ratio=0.5&deep=false"


def test_defaults_of_the_document_are_not_sent(sample):
    assert sample("api.things.get_thing").request("t", 1, x_request_id="i").params == ()


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("x_request_id", "a\r\nEvil: b"),
        ("x_request_id", "é"),
        ("since", datetime.datetime(2026, 5, 1)),
        ("ratio", float("nan")),
        ("cost", Decimal("Infinity")),
        ("tags", [object()]),
        ("filtername", "\udc00"),
    ],
)
def test_arguments_that_cannot_be_sent_are_named(sample, argument: str, value: Any):
    wire = {"x_request_id": "X-Request-Id", "filtername": r"filter\[name\]"}.get(argument, argument)
    with pytest.raises(ValueError, match=f"^{wire}: "):
        sample("api.things.get_thing").request("t", 1, **{"x_request_id": "i", argument: value})


def test_json_bodies(sample):
    things, models = sample("api.things"), sample("models")
    update = models.ThingUpdate(
        name="Zoë",
        note=None,
        at=datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC),
        color="mauve",
        part=models.Part(request_count=1),
        additional_properties={"x": [1.5]},
    )
    request = things.put_thing.request("t", 1, body=update)
    assert request.headers == {"Content-Type": "application/json"}
    assert (
        request.content
        == (
            '{"name":"Zoë","note":null,"at":"2026-05-01T00:00:00.000Z","color":"mauve","part":{"requestCount":1},"x":[1.5]}'
        ).encode()
    )
    assert things.put_thing.request("t", 1, body=models.ThingUpdate(name="\ud800")).content == b'{"name":"\\ud800"}'
    assert things.echo_anything.request(body={"a": None}).content == b'{"a":null}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        things.echo_anything.request(body={"a": float("inf")})


def test_absent_null_and_given_are_three_things(sample):
    update = sample("models").ThingUpdate
    assert update(name="n").to_dict() == {"name": "n"}
    assert update(name="n").note is UNSET
    assert update(name="n", note=None, at=None, part=None).to_dict() == {
        "name": "n",
        "note": None,
        "at": None,
        "part": None,
    }
    assert update.from_dict({"name": "n"}) == update(name="n")
    assert update.from_dict({"name": "n", "note": None}) == update(name="n", note=None)
    assert update(name="n", cost=Decimal("0.50")).to_dict() == {"name": "n", "cost": 0.5}
    assert update(name="n", cost=None).to_dict() == {"name": "n", "cost": None}
    assert update(name="n").size is None  # may be absent, but not null: two things


def test_an_optional_body_is_left_out_with_its_content_type(sample):
    add_thing, update = sample("api.things.add_thing"), sample("models").ThingUpdate
    for absent in ({}, {"body": UNSET}, {"body": None}):
        request = add_thing.request(**absent)
        assert request.content is None
        assert request.headers == {}
    assert add_thing.request(body=update(name="n")).content == b'{"name":"n"}'


def test_form_bodies(sample):
    form = sample("models").TokenForm(
        grant_type="urn:x:y", client_secret="s~e c&r=et", resource=["a", "b c"], expires=5
    )
    request = sample("api.oauth_tokens.make_token").request(body=form)
    assert request.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    assert request.content == (
        b"grant_type=urn%3Ax%3Ay&client_secret=s%7Ee+c%26r%3Det&resource=a&resource=b+c&expires=5"
    )


def test_no_repr_of_a_request_holds_its_secrets(sample):
    form = sample("models").TokenForm(grant_type="g", client_secret="sentinel-1")
    request = sample("api.oauth_tokens.make_token").request(body=form)
    assert b"sentinel-1" in (request.content or b"")
    shown = repr(
        [form, form.to_dict(), request, Request(operation=request.operation, url="/", headers={"A": "sentinel-1"})]
    )
    assert "sentinel" not in shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime.datetime(2026, 5, 28, 14, 3, 7, 123000, tzinfo=datetime.UTC), "2026-05-28T14:03:07.123Z"),
        (datetime.datetime(2026, 5, 28, tzinfo=datetime.UTC), "2026-05-28T00:00:00.000Z"),
        (datetime.datetime(2026, 5, 28, 1, 2, 3, 1, tzinfo=datetime.UTC), "2026-05-28T01:02:03.000001Z"),
    ],
)
def test_instants_as_text(value: datetime.datetime, text: str):
    assert encode.date_time_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("0.0000000001", "0.0000000001"), ("1E+5", "100000"), ("-0.50", "-0.50"), ("1E+5000", "1E+5000")],
)
def test_decimals_as_text(value: str, text: str):
    assert encode.decimal_text(Decimal(value)) == text


@pytest.mark.parametrize("number", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_a_decimal_that_is_no_number(number: str):
    with pytest.raises(ValueError, match="finite"):
        encode.decimal_text(Decimal(number))
    with pytest.raises(ValueError, match="finite"):
        encode.decimal_number(Decimal(number))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("5", "5"), ("5.00", "5"), ("2.50", "2.5"), ("-0.1", "-0.1"), ("1E+2", "100"), ("1E-7", "1e-07"),
        ("0.30000000000000004", "0.30000000000000004"), ("12345678901234567890", "12345678901234567890"),
    ],
)  # fmt: skip
def test_decimals_as_json_numbers(value: str, text: str):
    assert encode.json_body(encode.decimal_number(Decimal(value))) == text.encode()


@pytest.mark.parametrize("value", ["0.1234567890123456789", "1E+400", "1E-400"])
def test_a_decimal_that_would_arrive_changed(value: str):
    with pytest.raises(ValueError, match="without changing it"):
        encode.decimal_number(Decimal(value))


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("v1/messages", "v1/messages"),
        ("/v1/messages", "v1/messages"),
        ("/", None),
        ("//host/x", "/host/x"),
        ("v1beta/models/gemini:generateContent", "v1beta/models/gemini:generateContent"),
        ("a?b=c#d", "a%3Fb=c%23d"),
        ("a%2e%2e/%2E", "a%252e%252e/%252E"),
        ("a\\..\\b", "a%5C..%5Cb"),
        ("a b/é\n\t", "a%20b/%C3%A9%0A%09"),
        ("...", "..."),
        ("a/", "a/"),
    ],
)
def test_a_path_of_many_segments(sample, path: str, url: str | None):
    send_file = sample("api.things.send_file")
    if url is None:
        with pytest.raises(ValueError, match=r"^path: must not be empty"):
            send_file.request("s/t", path)
    else:
        assert send_file.request("s/t", path).url == f"/files/s%2Ft/{url}"


@pytest.mark.parametrize(
    "bad", ["", "/", ".", "..", "/..", "a/../b", "a/.", "./a", "a/..", 1, None, b"x", UNSET, "a/\ud800"]
)
def test_paths_that_would_address_something_else(sample, bad: Any):
    with pytest.raises(ValueError, match=r"^path: "):
        sample("api.things.send_file").request("s", bad)


@settings(deadline=None)
@given(TEXTS)
def test_no_path_leaves_its_place(text: str):
    try:
        encoded = encode.path_segments("a", text)
    except ValueError:
        return
    assert set(encoded) <= set(string.ascii_letters + string.digits + "-_.!~*'()%/:@$&+,;=")
    assert unquote(encoded) == text.removeprefix("/")
    assert not {".", ".."}.intersection(encoded.split("/"))


def test_secrets_are_texts_on_the_wire():
    assert json.loads(encode.json_body({"t": Secret("s")})) == {"t": "s"}
    assert encode.form_body({"t": Secret("s")}) == b"t=s"
