"""Bulk rows: what msgspec reads is what the models read, whatever the answer holds; without it rows are models."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tollkit import AsyncPymtHouse, PymtHouse
from tollkit.errors import ArgumentError, DecodeError, NotFoundError
from tollkit.pymthouse import (
    PmtHouseError,
    list_usage_by_pipeline_model,
    merge_usage_by_pipeline_model,
    read_usage_rows,
    summarize_usage_fiat_for_external_user,
)
from tollkit.usage import by_pipeline_model, by_user, to_rows, totals
from tollkit_api import runtime
from tollkit_api.runtime import answers
from tollkit_api.runtime import bulk as runtime_bulk
from tollkit_api.usage.v2026_05 import bulk, rows
from tollkit_api.usage.v2026_05.models import UsageByUserRow, UsageResponse

ROOT = Path(__file__).parents[2]
READER = bulk._BULK
HEAD = '{"clientId":"app_1","period":{"start":null,"end":null},"totals":{"requestCount":1,"currency":"USD"}'


def user(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "endUserId": f"end-{number}",
        "externalUserId": f"user-{number % 3}",
        "userType": "system_managed",
        "identifier": f"end-{number}",
        "currency": "USD",
        "networkFeeUsdMicros": str(number * 10**19),
        "ownerChargeUsdMicros": str(-number),
        "endUserBillableUsdMicros": "7",
        "requestCount": number,
        **changes,
    }


def pipeline(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "pipeline": f"p-{number % 2}",
        "modelId": "m",
        "currency": "USD",
        "requestCount": number,
        "networkFeeUsdMicros": str(number),
        **changes,
    }


def answer(**groups: Any) -> dict[str, Any]:
    return {**json.loads(HEAD + "}"), **groups}


def body(**groups: Any) -> bytes:
    return json.dumps(answer(**groups), separators=(",", ":")).encode()


def plain(value: Any) -> Any:
    """A model or a row as values that can be compared, types and all; what only models have is left out."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    names = getattr(value, "__struct_fields__", None) or (
        tuple(attrs.fields_dict(type(value))) if attrs.has(type(value)) else None
    )
    if names is None:
        return (type(value), value)
    return {name: plain(getattr(value, name)) for name in names if getattr(value, name)}


def outcome(work: Callable[[], Any]) -> Any:
    try:
        return plain(work())
    except (runtime.DecodeError, DecodeError) as error:
        return f"{type(error).__name__}: {error}"


@pytest.fixture
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies of every size are bulk."""
    monkeypatch.setattr(answers, "UNIQUE_UP_TO", 0)
    monkeypatch.setattr(runtime_bulk, "UNIQUE_UP_TO", 0)


@pytest.fixture
def without_msgspec(monkeypatch: pytest.MonkeyPatch) -> runtime_bulk.Bulk:
    """The reader as it is where msgspec is not installed; the one that there is keeps what it has loaded."""
    assert READER.rows(body(byUser=[user(n) for n in range(5_000)])) is not None
    monkeypatch.setitem(sys.modules, "msgspec", None)
    for module in ("tollkit_api.runtime.rows", "tollkit_api.usage.v2026_05.rows"):
        monkeypatch.delitem(sys.modules, module)
    fresh = runtime_bulk.Bulk(model=UsageResponse, rows="tollkit_api.usage.v2026_05.rows", numbers=READER._numbers)
    monkeypatch.setattr(bulk, "_BULK", fresh)
    return fresh


# --- the fast way ----------------------------------------------------------------------------------------------


def test_rows_are_read_by_msgspec_and_are_those_of_the_models() -> None:
    for content in (body(byUser=[user(n) for n in range(30)]), body(byPipelineModel=[pipeline(n) for n in range(9)])):
        found = READER.rows(content)
        assert type(found) is rows.UsageResponse
        assert plain(found) == plain(UsageResponse.from_dict(json.loads(content)))
    first = READER.rows(body(byUser=[user(3)])).by_user[0]
    assert type(first) is rows.UsageByUserRow
    assert (first.network_fee_usd_micros, first.owner_charge_usd_micros, first.fee_wei) == (3 * 10**19, -3, None)


def test_small_bodies_are_left_to_the_models_which_compare_keys() -> None:
    assert type(read_usage_rows(body(byUser=[user()]))) is UsageResponse
    with pytest.raises(DecodeError, match="unique keys"):
        read_usage_rows((HEAD + ',"clientId":"app_2"}').encode())
    big = body(byUser=[user(n) for n in range(5_000)])
    assert len(big) > answers.UNIQUE_UP_TO
    assert type(read_usage_rows(big)) is rows.UsageResponse


def test_rows_can_be_copied_pickled_and_shown() -> None:
    found = READER.rows(body(byUser=[user(5)]))
    assert copy.deepcopy(found) == pickle.loads(pickle.dumps(found)) == found
    assert "end_user_id='end-5'" in repr(found)


JSON_TEXTS = st.sampled_from(
    [
        *("5 -0 5.0 1e3 1E400 NaN -Infinity null true [] {} 01 1. - 9007199254740993.0 " + "9" * 60).split(),
        *[
            '"5"',
            '"-7"',
            '"+5"',
            '"5.0"',
            '"1e3"',
            '"1E2"',
            '"007"',
            '"-0"',
            '"null"',
            '"Null"',
            '"NULL"',
            '""',
            '"NaN"',
            '"1_0"',
            '"0x10"',
            '"٣"',
        ],
        *[
            r'"\u0035"',
            r'"\ud800"',
            r'"\ud83d\ude00"',
            r'"\udc00x"',
            r'"a\n"',
            r'"USD"',
            r'"EUR"',
            r'"system_managed"',
            r'"of_later"',
        ],
        *('"9007199254740993.0" "12345678901234567890.0" "unfinished {"a":1,"a":2} "' + "9" * 60 + '"').split(),
        '" 5"',
        '"\x01"',
        f'"{"9" * 5_000}"',
        "9" * 5_000,
        "[" * 3_000 + "]" * 3_000,
    ]
)
KEYS = st.sampled_from([*user(), "feeWei", "networkFeeEth", "later", "pipeline", "modelId", "requestCoun\\u0074"])
GOOD = {key: json.dumps(value) for key, value in user().items()}
ROW = st.builds(
    lambda changes, extra, gone: (
        "{"
        + ",".join(
            [f'"{key}":{value}' for key, value in {**GOOD, **changes}.items() if key not in gone]
            + [f'"{key}":{value}' for key, value in extra]
        )
        + "}"
    ),
    st.dictionaries(KEYS, JSON_TEXTS, max_size=1),
    st.lists(st.tuples(KEYS, JSON_TEXTS), max_size=1),
    st.sets(KEYS, max_size=1),
)
PLAIN = "{" + ",".join(f'"{key}":{value}' for key, value in GOOD.items()) + "}"
TAILS = ["", "", ',"later":1', ',"events":[]', ',"events":null', ',"byPipelineModel":[]', ',"byUser":null', "}"]
CONTENT = st.builds(
    lambda listed, tail: f'{HEAD},"byUser":[{",".join(listed)}]{tail}}}'.encode(),
    st.lists(st.one_of(ROW, st.just(PLAIN), JSON_TEXTS), max_size=4),
    st.sampled_from(TAILS),
)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CONTENT)
@example(f'{HEAD},"byUser":[{{"endUserId":"e","externalUserId":"null","requestCount":1}}]}}'.encode())
@example(f'{HEAD},"byUser":[{{"endUserId":"\\ud800","externalUserId":null,"requestCount":1}}]}}'.encode())
@example(f'\ufeff{HEAD},"byUser":[]}}'.encode())
@example(f'{HEAD},"byUser":[]}}'.encode() + b"\x00")
@example(f'{HEAD},"byUser":[{{"endUserId":"x'.encode() + b'\xff","externalUserId":null,"requestCount":1}]}')
@example(f'{HEAD},"byUser":[{{"endUserId":"e","externalUserId":null,"requestCount":"{"9" * 4_000}"}}]}}'.encode())
@example(f'{HEAD},"byUser":[{{"endUserId":"e","externalUserId":null,"requestCount":"{"9" * 5_000}"}}]}}'.encode())
@example(
    f'{HEAD},"byUser":[{{"endUserId":"e","externalUserId":null,"requestCount":1,"feeWei":{"9" * 4_000}}}]}}'.encode()
)
@example(b"[]")
@example(b"")
def test_what_msgspec_reads_the_models_read_too(any_size: None, content: bytes) -> None:
    fast = READER.rows(content)
    slow = outcome(lambda: READER.model(answers.load_json(content)))
    if fast is not None:
        assert plain(fast) == slow
    assert outcome(lambda: READER.read(content)) == slow


good_rows = st.lists(
    st.fixed_dictionaries(
        {
            "endUserId": st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
            "externalUserId": st.none() | st.text("abü", max_size=3),
            "requestCount": st.integers(0, 10**12),
        },
        optional={
            "userType": st.sampled_from(["system_managed", "oidc_authorized", "unknown"]),
            "identifier": st.text("ab", max_size=3),
            "currency": st.just("USD"),
            "networkFeeUsdMicros": st.integers(-(10**40), 10**40).map(str),
            "ownerChargeUsdMicros": st.integers(0, 10**6).map(str),
            "endUserBillableUsdMicros": st.integers(0, 10**6).map(str),
            "feeWei": st.integers(0, 10**25).map(str),
        },
    ),
    max_size=8,
)


@settings(max_examples=150, deadline=None)
@given(good_rows)
def test_plain_answers_take_the_fast_way_and_sum_alike(listed: list[dict[str, Any]]) -> None:
    content = body(byUser=listed)
    fast = READER.rows(content)
    model = UsageResponse.from_dict(json.loads(content))
    assert fast is not None
    assert plain(fast) == plain(model)
    assert by_user(fast) == by_user(model)
    assert by_user(fast.by_user) == by_user(model.by_user)
    assert totals(fast) == totals(model)
    assert to_rows(fast, "by_user") == to_rows(model, "by_user")
    assert summarize_usage_fiat_for_external_user(fast, "a") == summarize_usage_fiat_for_external_user(model, "a")


def test_rows_by_pipeline_and_model_sum_and_sort_alike() -> None:
    content = body(byPipelineModel=[pipeline(n, networkFeeWei="3") for n in (3, 0, 2)])
    fast, model = READER.rows(content), UsageResponse.from_dict(json.loads(content))
    assert by_pipeline_model(fast) == by_pipeline_model(model)
    assert merge_usage_by_pipeline_model(fast) == merge_usage_by_pipeline_model(model)
    assert plain(list_usage_by_pipeline_model(fast)) == plain(list_usage_by_pipeline_model(model))


@pytest.mark.parametrize(
    "change",
    [
        {"later": 1},
        {"currency": "EUR"},
        {"userType": "of_a_later_server"},
        {"identifier": None},
        {"requestCount": 5.0},
        {"networkFeeUsdMicros": "007"},
    ],
)
def test_the_unusual_is_read_as_models(change: dict[str, Any]) -> None:
    content = body(byUser=[user(), user(1, **change)])
    assert READER.rows(content) is None
    found = READER.read(content)
    assert type(found.by_user[1]) is UsageByUserRow
    assert plain(found) == plain(UsageResponse.from_dict(json.loads(content)))


def test_whole_numbers_may_be_numbers_or_text_both_ways(without_msgspec: runtime_bulk.Bulk) -> None:
    swapped = user(4, networkFeeUsdMicros=40, requestCount="4")
    content = body(byUser=[swapped], totals={"requestCount": "9", "networkFeeUsdMicros": 8})
    for reader in (READER, without_msgspec):
        found = reader.read(content)
        assert (found.by_user[0].network_fee_usd_micros, found.by_user[0].request_count) == (40, 4)
        assert (found.totals.network_fee_usd_micros, found.totals.request_count) == (8, 9)
    assert READER.rows(content).by_user[0].request_count == 4
    with pytest.raises(runtime.DecodeError, match=r"\$\.byUser\[0\]\.requestCount"):
        UsageResponse.from_dict(json.loads(body(byUser=[swapped | {"networkFeeUsdMicros": "40"}])))


# --- errors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_msgspec", [True, False])
@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"requestCount": "five"}, "$.byUser[17].requestCount"),
        ({"networkFeeUsdMicros": "1.5"}, "$.byUser[17].networkFeeUsdMicros"),
        ({"networkFeeUsdMicros": "null"}, "$.byUser[17].networkFeeUsdMicros"),
        ({"feeWei": "1e3"}, "$.byUser[17].feeWei"),
        ({"externalUserId": 5}, "$.byUser[17].externalUserId"),
    ],
)
def test_an_error_names_the_row(
    any_size: None, request: pytest.FixtureRequest, with_msgspec: bool, change: dict[str, Any], path: str
) -> None:
    if not with_msgspec:
        request.getfixturevalue("without_msgspec")
    listed = [user(n) for n in range(20)]
    listed[17] |= change
    with pytest.raises(PmtHouseError) as caught:
        read_usage_rows(body(byUser=listed))
    assert isinstance(caught.value, DecodeError)
    assert caught.value.path == path
    assert path in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'{"clientId":1}', b"\xff", b"{"])
def test_what_is_no_answer_is_refused(content: bytes) -> None:
    with pytest.raises(DecodeError, match=r"\$"):
        read_usage_rows(content)


def test_text_is_no_body() -> None:
    with pytest.raises(ArgumentError, match="content"):
        read_usage_rows("{}")  # type: ignore[arg-type]


# --- without msgspec -------------------------------------------------------------------------------------------


def test_without_msgspec_rows_are_models(without_msgspec: runtime_bulk.Bulk) -> None:
    content = body(byUser=[user(n) for n in range(5_000)])
    assert without_msgspec.rows(content) is None
    found = read_usage_rows(content)
    assert type(found) is UsageResponse
    assert by_user(found) == by_user(READER.rows(content))


def test_nothing_imports_msgspec_before_a_big_answer_comes() -> None:
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import tollkit.pymthouse, tollkit.usage
from tollkit.pymthouse import read_usage_rows
row = ('{{"endUserId":"e","externalUserId":null,"requestCount":1,"networkFeeUsdMicros":"7","identifier":"'
       + "x" * 500 + '"}}')
content = ('{{"clientId":"a","period":{{"start":null,"end":null}},"totals":{{"requestCount":1}},"byUser":['
           + ",".join([row] * 2500) + "]}}").encode()
read_usage_rows(content[:content.index(b"[")] + b"[]}}")
assert "msgspec" not in sys.modules
sys.modules["msgspec"] = None
print(type(read_usage_rows(content)).__module__)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "tollkit_api.usage.v2026_05.models.usage_response"


# --- the clients -----------------------------------------------------------------------------------------------


class Server:
    """Answers every request alike."""

    def __init__(self, content: bytes, status: int = 200) -> None:
        self.content, self.status = content, status
        self.asked: list[httpx.URL] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        return httpx.Response(self.status, content=self.content, headers={"content-type": "application/json"})


SETTINGS: dict[str, Any] = {
    "issuer_url": "https://pymthouse.example/api/v1/oidc",
    "public_client_id": "app_0a1b2c3d4e5f60718293a4b5",
    "m2m_client_id": "m2m_0a1b2c3d4e5f60718293a4b5",
    "m2m_client_secret": "pmth_cs_secret",
}


def asked_of(server: Server, kind: str, **arguments: Any) -> Any:
    if kind == "blocking":
        with httpx.Client(transport=httpx.MockTransport(server)) as http:
            return PymtHouse(**SETTINGS, http_client=http).get_usage_rows(**arguments)

    async def main() -> Any:
        async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as http:
            return await AsyncPymtHouse(**SETTINGS, http_client=http).get_usage_rows(**arguments)

    return asyncio.run(main())


@pytest.fixture(params=["blocking", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_client_gives_rows(kind: str) -> None:
    server = Server(body(byUser=[user(n) for n in range(5_000)]))
    found = asked_of(server, kind, group_by="user", start_date="2026-05-01", end_date="2026-05-01", user_id="end-1")
    assert type(found) is rows.UsageResponse
    assert len(found.by_user) == 5_000
    assert dict(server.asked[0].params) == {
        "groupBy": "user",
        "startDate": "2026-05-01T00:00:00.000Z",
        "endDate": "2026-05-01T23:59:59.999Z",
        "userId": "end-1",
    }


def test_a_client_names_what_is_wrong(kind: str) -> None:
    listed = [user(n) for n in range(5_000)]
    listed[4_999]["requestCount"] = "many"
    with pytest.raises(DecodeError, match=r"\$\.byUser\[4999\]\.requestCount") as caught:
        asked_of(Server(body(byUser=listed)), kind, group_by="user")
    assert isinstance(caught.value, PmtHouseError)
    assert caught.value.context["operation"] == "getUsage"
    with pytest.raises(NotFoundError, match="Not found"):
        asked_of(Server(b'{"error":"Not found"}', 404), kind)
    with pytest.raises(ArgumentError, match="end_date"):
        asked_of(Server(b"{}"), kind, start_date="2026-05-02", end_date="2026-05-01")
