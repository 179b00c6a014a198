"""What the sandboxed Tokenite answers is what our documents of it say: browser flow, access context and proxy.

Each documented status of each of these operations is provoked, and its body held against the document, with no
member allowed that the document does not name. (The admin API has tests of its own.)
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tokenite_flow import CALLBACK, Visitor

from tollkit.sandbox import TokeniteSandbox
from tollkit.sandbox.tokenite.catalog import ERRORS, PROVIDERS, TIERS

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from lint_specs import SPECS, OpenApi, checker, load

TAGS = {"oauth", "access", "proxy"}


def strict(version: str) -> OpenApi:
    document = OpenApi(load(SPECS / "tokenite" / f"{version}.yaml"))
    for schema in document.data["components"]["schemas"].values():
        if schema.get("properties"):
            schema["additionalProperties"] = False
    # an open enum: "Others pass as texts", and the proxy's own codes are such others at the access context
    del document.data["components"]["schemas"]["AdminErrorCode"]["enum"]
    return document


V2_4, V1_0 = strict("v2_4"), strict("v1_0")
OPERATIONS = {
    operation.data["operationId"]: operation for operation in V2_4.operations() if set(operation.data["tags"]) & TAGS
}
MESSAGE = {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client() as http:
        yield http


@pytest.fixture
def visitor(http: httpx.Client, tokenite_sandbox: TokeniteSandbox) -> Visitor:
    http.cookies.clear()
    return Visitor(http, tokenite_sandbox)


Way = Callable[[Visitor], httpx.Response]


def _code(at: Visitor) -> str:
    at.authorize()
    at.sign_in()
    at.press("approve")
    return at.landed["code"]


def _again(at: Visitor) -> httpx.Response:
    _code(at)
    return at.authorize()


def _call(at: Visitor, body: Any = MESSAGE, path: str = "/anthropic/v1/messages") -> httpx.Response:
    headers = {"authorization": f"Bearer {at.platform.grant()}"}
    return at.http.post(at.platform.proxy_base + path, json=body, headers=headers)


def _scripted(status: int) -> list[Way]:
    def way(code: str) -> Way:
        return lambda at: _call(at, {**MESSAGE, "model": f"error/{code}"})

    return [way(code) for code, kind in ERRORS.items() if kind.status == status]


def _context(at: Visitor, token: str) -> httpx.Response:
    return at.http.get(f"{at.platform.proxy_base}/me/providers", headers={"authorization": f"Bearer {token}"})


def _suspended(at: Visitor) -> httpx.Response:
    token = at.platform.grant()
    at.platform.suspend(token)
    return _context(at, token)


def _bare_context(at: Visitor) -> httpx.Response:
    at.platform.seed_user("ada@example.com", providers=[])
    return _context(at, at.platform.grant())


WAYS: dict[str, dict[str, list[Way]]] = {
    "getAuthorizePage": {
        "200": [lambda at: at.authorize(suggested_budget="2.5", mode="popup")],
        "302": [_again],
        "400": [lambda at: at.authorize(client_id="nobody")],
    },
    "getTopUpPage": {
        "200": [lambda at: at.top_up(suggested_amount="12.5", mode="popup")],
        "400": [lambda at: at.top_up(redirect_uri="https://other.example/")],
    },
    "exchangeCode": {
        "200": [lambda at: at.exchange(_code(at))],
        "400": [lambda at: at.exchange("guessed"), lambda at: at.exchange("guessed", code=None)],
        "401": [lambda at: at.exchange("guessed", client_secret="wrong")],
    },
    "getAccessContext": {
        "200": [lambda at: _context(at, at.platform.grant()), _bare_context],
        "401": [lambda at: _context(at, "guessed")],
        "403": [_suspended],
    },
    "callProvider": {
        "200": [
            _call,
            lambda at: _call(at, {**MESSAGE, "model": "claude-haiku-4-5"}, "/anthropic/v1/messages/count_tokens"),
        ],
        **{str(status): _scripted(status) for status in (400, 401, 402, 403, 404, 429, 502, 503, 504)},
    },
}


def test_every_documented_answer_is_provoked() -> None:
    documented = {
        (name, status)
        for name, operation in OPERATIONS.items()
        for status, _, _ in V2_4.responses(operation)
        if status != "default"
    }
    assert documented == {(name, status) for name, ways in WAYS.items() for status in ways}


@pytest.mark.parametrize(
    ("name", "status", "way"),
    [
        pytest.param(name, status, way, id=f"{name}-{status}-{index}")
        for name, ways in WAYS.items()
        for status, several in ways.items()
        for index, way in enumerate(several)
    ],
)
def test_the_answer_is_as_documented(visitor: Visitor, name: str, status: str, way: Way) -> None:
    answer = way(visitor)
    assert answer.status_code == int(status)
    operation = OPERATIONS[name]
    assert answer.request.method.lower() == operation.method
    path = answer.request.url.path.removeprefix("/tokenite").removeprefix("/proxy")
    assert re.fullmatch(re.sub(r"\\\{\w+\\\}", ".+", re.escape(operation.path)), path)
    assert complaints(V2_4, operation, answer) == []


def complaints(document: OpenApi, operation: Any, answer: httpx.Response) -> list[str]:
    described, pointer = next(
        (found, where) for code, found, where in document.responses(operation) if code == str(answer.status_code)
    )
    content = described.get("content", {})
    if not answer.content:
        return [] if not content else ["the body is missing"]
    media_type = answer.headers["content-type"].partition(";")[0]
    value = answer.json() if "json" in media_type else answer.text
    check = checker(document.data, (*pointer, "content", media_type, "schema"))
    return [f"{error.json_path}: {error.message}" for error in check(value)]


def test_the_access_context_of_1_0(visitor: Visitor, tokenite_sandbox: TokeniteSandbox) -> None:
    tokenite_sandbox.set_access_context_version("1.0")
    (operation,) = [found for found in V1_0.operations() if found.data["operationId"] == "getAccessContext"]
    assert complaints(V1_0, operation, _context(visitor, tokenite_sandbox.grant())) == []


def test_the_table_of_errors_is_the_documents() -> None:
    table = load(SPECS / "shapes" / "tokenite_error_code.json")["x-table"]
    assert {code: {"status": kind.status, "source": kind.source} for code, kind in ERRORS.items()} == table


def test_ids_are_the_documents() -> None:
    schemas = V2_4.data["components"]["schemas"]
    assert list(PROVIDERS) == schemas["ProviderId"]["enum"]
    assert list(TIERS) == schemas["ModelTier"]["enum"]


SHAPES = {path.name: load(path) for path in (SPECS / "shapes").glob("tokenite_*.json")}


def misfit(shape: str, value: Any) -> list[str]:
    check = checker(SHAPES[shape], (), [each for name, each in SHAPES.items() if name != shape])
    return [error.message for error in check(value)]


def test_messages_and_callbacks_fit_their_shapes(visitor: Visitor, tokenite_sandbox: TokeniteSandbox) -> None:
    def told() -> Any:
        found = re.search('id="outcome">(.*?)</script>', visitor.answer.text)
        assert found
        return json.loads(found[1])["message"]

    def callback() -> dict[str, str]:
        return dict(httpx.URL(visitor.answer.headers["location"].replace(CALLBACK, "http://app")).params)

    visitor.authorize(mode="popup")
    visitor.sign_in()
    visitor.press("approve")
    assert misfit("tokenite_auth_message.json", told()) == []
    visitor.authorize(mode="popup", prompt="consent")
    visitor.press("cancel")
    assert misfit("tokenite_auth_message.json", told()) == []
    visitor.authorize()
    assert misfit("tokenite_callback_query.json", callback()) == []
    visitor.authorize(prompt="consent")
    visitor.press("cancel")
    assert misfit("tokenite_callback_query.json", callback()) == []
    for action in ("confirm", "cancel"):
        visitor.top_up(mode="popup")
        visitor.press(action)
        assert misfit("tokenite_top_up_message.json", told()) == []
