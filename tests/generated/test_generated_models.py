"""Models: from JSON and back, and errors that name the place."""

from __future__ import annotations

import copy
import datetime
import json
import pickle
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollkit_api.runtime import DecodeError, OpenEnum, Secret, Unset, decode
from tollkit_api.runtime.types import UNSET
from tollkit_api.usage.v2026_05.models import UsageByUserRow, UsageResponse, UsageUserType

THING: dict[str, Any] = {
    "id": "t1",
    "wei": "123456789012345678901234567890",
    "price": "0.10",
    "madeAt": "2026-05-28T14:03:07.123Z",
    "color": "red",
    "parts": [{"requestCount": 1}, {"requestCount": 2.0, "label": "two"}],
    "matrix": [[1.5, 2], []],
    "nothing": None,
    "free": [1, {"a": None}],
}
FULL: dict[str, Any] = {
    **THING,
    "count": 3,
    "maybeCount": 4,
    "date": "2026-05-28",
    "dates": ["2026-05-28"],
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ok": True,
    "maybeWei": "-5",
    "maybePart": {"requestCount": 0},
    "pet": {"kind": "dog", "lives": 1, "tricks": ["sit"]},
    "maybePet": {"kind": "cat", "lives": 9},
    "pets": [{"kind": "cat", "lives": 9}, {"kind": "dog"}],
    "event": {"event": "stop", "at": "2026-05-28T14:03:07.123Z", "why": "done"},
    "eitherPart": {"name": "n"},
    "idOrCount": 3,
    "whenOrText": "soon",
    "oneOrMany": [{"requestCount": 1}],
    "counts": {"a": 1},
    "weis": {"a": "1"},
    "metadata": {"x": [None]},
    "secrets": ["sentinel-a"],
    "secret": "sentinel-b",
    "colors": ["red", "mauve"],
    "maybeColor": "mauve",
    "inlineColor": "a",
    "level": 7,
    "kind": "thing",
    "node": {"name": "a", "children": [{"name": "b"}], "parent": {"name": "c"}, "owner": {"nodes": [{"name": "d"}]}},
    "cost": 0.1,
    "maybeCost": 3,
    "costs": [5, 1e-7, 12345678901234567890],
    "text": "text",
    "data": "data",
    "key": "key",
    "value": "value",
    "seen": "seen",
    "self": "self",
    "list": ["list"],
    "class": "class",
    'with-dash and "quote"': "x",
    "unknownField": {"token": "sentinel-c"},
}


def test_types_of_python(sample):
    models = sample("models")
    thing = models.Thing.from_dict(FULL)
    assert thing.id == "t1"
    assert thing.wei == 123456789012345678901234567890
    assert thing.price == Decimal("0.10")
    assert thing.made_at == datetime.datetime(2026, 5, 28, 14, 3, 7, 123000, tzinfo=datetime.UTC)
    assert thing.color is models.Color.RED
    assert thing.parts == [models.Part(request_count=1), models.Part(request_count=2, label="two")]
    assert type(thing.parts[1].request_count) is int
    assert thing.matrix == [[1.5, 2.0], []]
    assert thing.nothing is None
    assert thing.free == [1, {"a": None}]
    assert thing.date == datetime.date(2026, 5, 28)
    assert thing.maybe_wei == -5
    assert thing.pet == models.Dog(kind="dog", lives=1, tricks=["sit"])
    assert thing.maybe_pet == models.Cat(kind="cat", lives=9)
    assert [type(pet) for pet in thing.pets] == [models.Cat, models.Dog]
    assert type(thing.event) is models.Stopped
    assert thing.either_part == models.Node(name="n")
    assert (thing.id_or_count, thing.when_or_text) == (3, "soon")
    assert thing.one_or_many == [models.Part(request_count=1)]
    assert (thing.counts, thing.weis, thing.metadata) == ({"a": 1}, {"a": 1}, {"x": [None]})
    assert type(thing.secret) is Secret
    assert type(thing.secrets[0]) is Secret
    assert thing.colors == [models.Color.RED, "mauve"]
    assert (thing.maybe_color, type(thing.maybe_color)) == ("mauve", str)
    assert thing.inline_color == "a"
    assert thing.level == 7
    assert thing.node.children[0].name == "b"
    assert thing.node.owner.nodes[0].name == "d"
    assert (thing.cost, thing.maybe_cost) == (Decimal("0.1"), Decimal(3))
    assert thing.costs == [Decimal(5), Decimal("1E-7"), Decimal(12345678901234567890)]
    assert {type(cost) for cost in [thing.cost, thing.maybe_cost, *thing.costs]} == {Decimal}
    assert (thing.text, thing.data, thing.key, thing.value, thing.seen, thing.self_, thing.list_, thing.class_) == (
        "text", "data", "key", "value", "seen", "self", ["list"], "class",
    )  # fmt: skip
    assert thing.with_dash_and_quote == "x"
    assert thing.additional_properties == {"unknownField": {"token": "sentinel-c"}}


def test_back_to_the_names_of_the_document(sample):
    thing = sample("models").Thing
    assert thing.from_dict(FULL).to_dict() == FULL
    assert thing.from_dict(THING).to_dict() == THING
    assert json.loads(json.dumps(thing.from_dict(FULL).to_dict())) == FULL
    plain = thing.from_dict(FULL).to_dict()
    assert type(plain["color"]) is str
    assert list(thing.from_dict(THING).to_dict()) == list(THING)


def test_what_is_missing_is_none(sample):
    thing = sample("models").Thing.from_dict(THING)
    assert thing.count is thing.maybe_wei is thing.pet is thing.metadata is None
    assert not any(isinstance(getattr(thing, name), Unset) for name in dir(thing) if not name.startswith("_"))
    assert sample("models").Thing.from_dict({**THING, "count": None, "pet": None}) == thing


def test_no_repr_holds_a_secret(sample):
    thing = sample("models").Thing.from_dict(FULL)
    assert "sentinel" not in repr(thing)
    assert "unknownField" in repr(thing)
    token = sample("models").Token(access_token="sentinel-d")
    assert type(token.access_token) is Secret
    token.access_token = "sentinel-e"
    token.refresh_token = "sentinel-f"
    assert "sentinel" not in f"{token!r} {token.to_dict()!r} {[token]!r}"
    assert json.dumps(token.to_dict()) == '{"access_token": "sentinel-e", "refresh_token": "sentinel-f"}'


def test_rows_allocate_no_dict_for_fields_they_do_not_have():
    row = {"endUserId": "a", "externalUserId": None, "requestCount": 1}
    first, second = UsageByUserRow.from_dict(row), UsageByUserRow.from_dict({**row, "currency": "USD"})
    assert first.additional_properties is second.additional_properties is decode.NO_FIELDS
    assert not hasattr(first, "__dict__")
    assert first == UsageByUserRow(end_user_id="a", external_user_id=None, request_count=1)
    assert UsageByUserRow.from_dict({**row, "new": 1}).additional_properties == {"new": 1}
    assert UsageByUserRow.from_dict({**row, "currency": None, "new": 1}).additional_properties == {"new": 1}
    assert UsageByUserRow.from_dict({**row, "currency": None}).additional_properties is decode.NO_FIELDS


def test_models_are_copied_and_pickled(sample):
    row = UsageByUserRow.from_dict({"endUserId": "a", "externalUserId": None, "requestCount": 1, "userType": "new"})
    for twin in (copy.copy(row), copy.deepcopy(row), pickle.loads(pickle.dumps(row))):
        assert twin == row
        assert twin.additional_properties is decode.NO_FIELDS
    assert pickle.loads(pickle.dumps(sample("models").ThingUpdate(name="a"))).note is UNSET


def test_unknown_values_of_an_enumeration_pass_as_text():
    row = UsageByUserRow.from_dict({"endUserId": "a", "externalUserId": None, "requestCount": 1, "userType": "new"})
    assert row.user_type == "new"
    assert type(row.user_type) is str
    assert row.to_dict()["userType"] == "new"
    assert UsageUserType.of("unknown") is UsageUserType.UNKNOWN
    assert UsageUserType.of("new") == "new"
    assert UsageUserType.UNKNOWN == "unknown"
    assert issubclass(UsageUserType, OpenEnum)
    assert f"{UsageUserType.UNKNOWN}" == "unknown"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": ...}, "$.id: expected a value, since the field is required, got nothing"),
        ({"id": None}, "$.id: expected string, got null"),
        ({"id": 1}, "$.id: expected string, got integer"),
        ({"count": "1"}, "$.count: expected integer, got string"),
        ({"count": True}, "$.count: expected integer, got boolean"),
        ({"count": 1.5}, "$.count: expected integer, got number"),
        ({"ok": 1}, "$.ok: expected boolean, got integer"),
        ({"ok": "true"}, "$.ok: expected boolean, got string"),
        ({"wei": 1}, "$.wei: expected decimal text of an integer, got integer"),
        ({"wei": "1.0"}, "$.wei: expected decimal text of an integer, got another string"),
        ({"price": "1,0"}, "$.price: expected decimal text, got another string"),
        ({"price": 1.5}, "$.price: expected decimal text, got number"),
        ({"cost": "1.5"}, "$.cost: expected number, got string"),
        ({"cost": True}, "$.cost: expected number, got boolean"),
        ({"cost": float("nan")}, "$.cost: expected number, got one beyond the range of a double"),
        ({"maybeCost": []}, "$.maybeCost: expected number, got array"),
        ({"costs": [1, None]}, "$.costs[1]: expected number, got null"),
        ({"madeAt": "yesterday"}, "$.madeAt: expected date-time with an offset, got another string"),
        ({"madeAt": "2026-05-28T14:03:07"}, "$.madeAt: expected date-time with an offset, got one without"),
        ({"madeAt": 0}, "$.madeAt: expected date-time with an offset, got integer"),
        ({"date": "2026-02-30"}, "$.date: expected date, got another string"),
        ({"date": "20260228"}, "$.date: expected date, got another string"),
        ({"date": 5}, "$.date: expected date, got integer"),
        ({"color": 5}, "$.color: expected string, got integer"),
        ({"colors": ["red", 5]}, "$.colors[1]: expected string, got integer"),
        ({"parts": {}}, "$.parts: expected array, got object"),
        ({"parts": [{"requestCount": 1}, []]}, "$.parts[1]: expected object, got array"),
        (
            {"parts": [{"requestCount": 1}, {"requestCount": "x"}]},
            "$.parts[1].requestCount: expected integer, got string",
        ),
        ({"parts": [{}]}, "$.parts[0].requestCount: expected a value, since the field is required, got nothing"),
        ({"matrix": [[1], [1, "x"]]}, "$.matrix[1][1]: expected number, got string"),
        ({"matrix": [[True]]}, "$.matrix[0][0]: expected number, got boolean"),
        ({"matrix": [[10**400]]}, "$.matrix[0][0]: expected number, got an integer beyond the range of a double"),
        ({"nothing": 5}, "$.nothing: expected string, got integer"),
        ({"maybeWei": "x"}, "$.maybeWei: expected decimal text of an integer, got another string"),
        ({"maybePart": {"requestCount": None}}, "$.maybePart.requestCount: expected integer, got null"),
        ({"counts": {"a b": "1"}}, "$.counts['a b']: expected integer, got string"),
        ({"metadata": []}, "$.metadata: expected object, got array"),
        ({"secret": 5}, "$.secret: expected string, got integer"),
        ({"kind": "other"}, "$.kind: expected 'thing', got another string"),
        ({"kind": 5}, "$.kind: expected 'thing', got integer"),
        ({"idOrCount": 1.5}, "$.idOrCount: expected integer or string, got number"),
        ({"eitherPart": {"requestCount": "x", "name": 5}}, "$.eitherPart.requestCount: expected integer, got string"),
        ({"eitherPart": 5}, "$.eitherPart: expected object, got integer"),
        ({"pet": {"kind": "bird"}}, "$.pet.kind: expected 'cat' or 'dog', got another string"),
        ({"pet": {}}, "$.pet.kind: expected a value, since the field is required, got nothing"),
        ({"pet": {"kind": 5}}, "$.pet.kind: expected 'cat' or 'dog', got integer"),
        ({"pet": {"kind": "cat"}}, "$.pet.lives: expected a value, since the field is required, got nothing"),
        ({"pets": [{"kind": "dog"}, {"kind": "cat", "lives": "9"}]}, "$.pets[1].lives: expected integer, got string"),
        (
            {"node": {"name": "a", "owner": {"x": "y"}}},
            "$.node.owner.x: expected date-time with an offset, got another string",
        ),
        ({'with-dash and "quote"': 1}, "$['with-dash and \"quote\"']: expected string, got integer"),
    ],
)
def test_errors_name_the_place(sample, change: dict[str, Any], message: str):
    document = {name: value for name, value in {**THING, **change}.items() if value is not ...}
    with pytest.raises(DecodeError) as caught:
        sample("models").Thing.from_dict(document)
    assert str(caught.value) == message
    assert caught.value.path == message.partition(": ")[0]
    assert isinstance(caught.value, ValueError)
    twin = pickle.loads(pickle.dumps(caught.value))
    assert (twin.path, twin.expected, str(twin)) == (caught.value.path, caught.value.expected, message)


def test_the_error_of_row_seventeen():
    rows: list[dict[str, Any]] = [{"endUserId": "a", "externalUserId": None, "requestCount": 1} for _ in range(20)]
    rows[17]["requestCount"] = "many"
    document = {
        "clientId": "a",
        "period": {"start": None, "end": None},
        "totals": {"requestCount": 1},
        "byUser": rows,
    }
    with pytest.raises(DecodeError, match=r"^\$\.byUser\[17\]\.requestCount: expected integer, got string$"):
        UsageResponse.from_dict(document)


@pytest.mark.parametrize("value", [None, [], "text", 1])
def test_an_object_that_is_none(value: Any):
    with pytest.raises(DecodeError, match=r"^\$: expected object, got "):
        UsageResponse.from_dict(value)


def test_any_mapping_will_do(sample):
    from types import MappingProxyType

    part = MappingProxyType({"requestCount": 1, "new": 2})
    assert sample("models").Part.from_dict(part).additional_properties == {"new": 2}


def test_a_discriminator_decides_not_the_first_that_fits(sample):
    models = sample("models")
    # without the discriminator both branches fit: a dog that has lives
    dog = models.Thing.from_dict({**THING, "pet": {"kind": "dog", "lives": 3}}).pet
    assert type(dog) is models.Dog
    start = {"event": "start", "at": "2026-05-28T14:03:07.123Z"}
    assert type(models.Thing.from_dict({**THING, "event": start}).event) is models.Started
    assert type(models.Thing.from_dict({**THING, "event": {**start, "event": "stop"}}).event) is models.Stopped
    # the document has a branch for the rest
    assert models.Thing.from_dict({**THING, "event": {"event": "paused", "x": 1}}).event == {
        "event": "paused",
        "x": 1,
    }


def test_unknown_fields_with_a_type(sample):
    owner = sample("models").Owner.from_dict({"since": "2026-05-28T14:03:07.123Z"})
    assert owner.additional_properties["since"].year == 2026
    assert owner.to_dict() == {"since": "2026-05-28T14:03:07.123Z"}


@pytest.mark.parametrize("text", ["0", "-0", "7", "-12", "007", "9" * 4000])
def test_integers_as_text(text: str):
    assert decode.int_string(text) == int(text)


@pytest.mark.parametrize("text", ["", " 1", "1 ", "+1", "1_000", "0x1", "1.", "٣", "²", "--1", "1e3", "\n1", "1\n"])
def test_other_texts_are_no_integers(sample, text: str):
    with pytest.raises(DecodeError):
        decode.int_string(text)
    with pytest.raises(DecodeError, match=r"^\$\.wei: "):
        sample("models").Thing.from_dict({**THING, "wei": text})


def test_more_digits_than_python_converts(sample):
    text = "9" * (sys.get_int_max_str_digits() + 1)
    for wei in (text, f"-{text}"):
        with pytest.raises(DecodeError, match=r"^\$\.wei: expected decimal text of an integer, got one of more than"):
            sample("models").Thing.from_dict({**THING, "wei": wei})


@pytest.mark.parametrize("text", ["", "NaN", "Infinity", "1_0", "+1", ".5", "5.", "٣", "1e9999999", " 1"])
def test_texts_that_are_no_decimals(text: str):
    with pytest.raises(DecodeError):
        decode.decimal(text)


@settings(deadline=None)  # the machine may be busy
@given(st.integers())
def test_every_integer_survives(number: int):
    assert decode.int_string(str(number)) == number


@settings(deadline=None)  # the machine may be busy
@given(st.decimals(allow_nan=False, allow_infinity=False, places=18))
def test_every_decimal_survives(number: Decimal):
    from tollkit_api.runtime.encode import decimal_text

    assert decode.decimal(decimal_text(number)) == number


@settings(deadline=None)  # the machine may be busy
@given(
    st.datetimes(
        timezones=st.timezones(), min_value=datetime.datetime(2, 1, 1), max_value=datetime.datetime(9998, 1, 1)
    )
)
def test_every_instant_survives(instant: datetime.datetime):
    from tollkit_api.runtime.encode import date_time_text

    text = date_time_text(instant)
    assert decode.date_time(text) == instant.astimezone(datetime.UTC)
    assert date_time_text(decode.date_time(text)) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(deadline=None)  # the machine may be busy
@given(st.dictionaries(st.sampled_from([*FULL, "else"]), JSON))
def test_whatever_comes_ends_in_a_model_or_a_decode_error(sample, fields: dict[str, Any]):
    thing = sample("models").Thing
    try:
        read = thing.from_dict({**FULL, **fields})
    except DecodeError:
        return
    assert thing.from_dict(read.to_dict()) == read


def test_the_front_of_models_is_complete(sample):
    models = sample("models")
    assert set(models.__all__) <= set(dir(models))
    for name in models.__all__:
        assert getattr(models, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Missing'"):
        _ = models.Missing


def test_annotations_resolve(sample):
    import typing

    for name in ("Node", "Owner", "Thing"):
        model = getattr(sample("models"), name)
        assert typing.get_type_hints(model, vars(sys.modules[model.__module__]))


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_a_number_goes_through_decimal_unchanged(number: float):
    from tollkit_api.runtime.encode import decimal_number

    decimal = decode.decimal_number(number)
    assert decimal == Decimal(repr(number))
    if abs(number) <= sys.float_info.max:
        written = json.dumps(decimal_number(decimal))
        assert Decimal(written) == decimal
        assert type(number)(json.loads(written)) == number


def test_a_number_beyond_doubles_is_no_decimal():
    with pytest.raises(DecodeError, match="one beyond the range of a double"):
        decode.decimal_number(json.loads("1e999"))
