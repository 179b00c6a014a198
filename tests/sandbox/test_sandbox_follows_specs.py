"""What the sandbox answers is what our documents of the APIs say, also where no recording tells.

Each documented status of each operation is provoked, and its headers and body are held against the document, with
no member allowed that the document does not name.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sandbox_caller import Caller

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from lint_specs import SPECS, OpenApi, checker, load

DOCUMENTS = [OpenApi(load(SPECS / api / "v2026_05.yaml")) for api in ("builder", "usage")]
for _document in DOCUMENTS:
    for _schema in _document.data["components"]["schemas"].values():
        if "properties" in _schema:
            _schema["additionalProperties"] = False
OPERATIONS = {
    operation.data["operationId"]: (document, operation)
    for document in DOCUMENTS
    for operation in document.operations()
}


class Provoker:
    """Calls an operation in the ways that lead to its documented statuses."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.sandbox = caller.platform

    def app(
        self, method: str, tail: str = "", *, wrong: bool = False, app: str | None = None, **options: Any
    ) -> httpx.Response:
        auth = (self.caller.auth[0], "wrong") if wrong else self.caller.auth
        return self.caller.http.request(
            method, f"/api/v1/apps/{app or self.sandbox.public_client_id}{tail}", auth=auth, **options
        )

    def public(self, path: str, token: str = "") -> httpx.Response:
        return self.caller.http.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"} if token else {})


Way = Callable[[Provoker], httpx.Response]


def _mint(user: str = "alice", **options: Any) -> Way:
    return lambda at: at.app("POST", f"/users/{user}/token", **options)


def _mint_app_level(at: Provoker) -> httpx.Response:
    app = at.sandbox.create_app("B", billing="app_level")
    at.sandbox.seed_user("u", app=app)
    at.caller.auth = (app.m2m_client_id, app.m2m_client_secret)
    return at.app("POST", "/users/u/token", app=app.public_client_id)


def _failing_catalog(at: Provoker) -> httpx.Response:
    at.sandbox.set_catalog_failing()
    return at.public("/pipeline-catalog")


def _app_route(tail: str, method: str = "GET") -> dict[str, list[Way]]:
    return {
        "200": [lambda at: at.app(method, tail)],
        "404": [lambda at: at.app(method, tail, wrong=True), lambda at: at.app(method, tail, app="app_x")],
    }


def _users_route(method: str, **ways: Way) -> dict[str, list[Way]]:
    found = {status.removeprefix("s"): [way] for status, way in ways.items()}
    return {**found, "401": [lambda at: at.app(method, "/users?externalUserId=alice", wrong=True, json={})]}


def _not_modified(method: str) -> Way:
    return lambda at: at.app(method, "/manifest", headers={"If-None-Match": "*"})


WAYS: dict[str, dict[str, list[Way]]] = {
    "listAppUsers": _users_route("GET", s200=lambda at: at.app("GET", "/users")),
    "upsertAppUser": _users_route(
        "POST",
        s201=lambda at: at.app("POST", "/users", json={"externalUserId": "new"}),
        s200=lambda at: at.app("POST", "/users", json={"externalUserId": "alice", "email": "b@example.com"}),
        s400=lambda at: at.app("POST", "/users", json={}),
        s500=lambda at: at.app("POST", "/users", content=b"{"),
    ),
    "updateAppUser": _users_route(
        "PUT",
        s200=lambda at: at.app("PUT", "/users", json={"externalUserId": "alice", "status": "inactive"}),
        s400=lambda at: at.app("PUT", "/users", json={}),
        s404=lambda at: at.app("PUT", "/users", json={"externalUserId": "nobody"}),
        s500=lambda at: at.app("PUT", "/users", content=b"null"),
    ),
    "deleteAppUser": _users_route(
        "DELETE",
        s200=lambda at: at.app("DELETE", "/users?externalUserId=alice"),
        s400=lambda at: at.app("DELETE", "/users"),
        s404=lambda at: at.app("DELETE", "/users?externalUserId=nobody"),
        s500=lambda at: at.app("DELETE", "/users?externalUserId=nul%00"),
    ),
    "mintUserAccessToken": {
        "200": [_mint(), _mint(json={"scope": "sign:job users:read"})],
        "400": [_mint(json={"scope": "admin"}), _mint_app_level],
        "401": [_mint(wrong=True)],
        "403": [_mint(app="app_x")],
        "404": [_mint("nobody"), _mint("ivan")],
        "500": [_mint("%FF")],
    },
    "getAppManifest": {**_app_route("/manifest"), "304": [_not_modified("GET")]},
    "headAppManifest": {**_app_route("/manifest", "HEAD"), "304": [_not_modified("HEAD")]},
    "getApp": _app_route(""),
    "getBilling": _app_route("/billing"),
    "listPlans": _app_route("/plans"),
    "listDiscoveryProfiles": _app_route("/discovery-profiles"),
    "getDiscoveryProfile": {
        "200": [lambda at: at.app("GET", f"/discovery-profiles/{at.sandbox.app.profiles[0].id}")],
        "404": [lambda at: at.app("GET", "/discovery-profiles/nope")],
    },
    "getEthUsdPrice": {"200": [lambda at: at.public("/prices/eth-usd")]},
    "getPipelineCatalog": {"200": [lambda at: at.public("/pipeline-catalog")], "503": [_failing_catalog]},
    "getHealth": {"200": [lambda at: at.public("/health")]},
    "listMarketplaceApps": {"200": [lambda at: at.public("/marketplace")]},
    "validateApiKey": {
        "200": [lambda at: at.public("/auth/validate", at.sandbox.create_api_key().token)],
        "401": [lambda at: at.public("/auth/validate", "pmth_00"), lambda at: at.public("/auth/validate")],
    },
    "getUsage": {
        **_app_route("/usage"),
        "200": [
            lambda at: at.app("GET", "/usage"),
            lambda at: at.app("GET", "/usage?groupBy=user"),
            lambda at: at.app("GET", "/usage?groupBy=pipeline_model&gatewayRequestId=gw-01"),
        ],
        "400": [lambda at: at.app("GET", "/usage?startDate=x"), lambda at: at.app("GET", "/usage?endDate=x")],
    },
}


@pytest.fixture
def provoker(caller: Caller) -> Provoker:
    platform = caller.platform
    platform.demo_data()
    platform.seed_user("ivan", status="inactive")
    platform.set_manifest(excluded=[("llm", "*")])
    platform.add_discovery_profile("Fast", {"topN": 3, "sortBy": "latency"}, capabilities=[("llm", "m")])
    return Provoker(caller)


def test_every_documented_answer_is_provoked() -> None:
    documented = {
        (name, status)
        for name, (document, operation) in OPERATIONS.items()
        for status, _, _ in document.responses(operation)
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
def test_the_answer_is_as_documented(provoker: Provoker, name: str, status: str, way: Way) -> None:
    answer = way(provoker)
    assert answer.status_code == int(status)
    document, operation = OPERATIONS[name]
    path = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(operation.path))
    assert answer.request.method.lower() == operation.method
    assert re.fullmatch(path, answer.request.url.raw_path.decode().partition("?")[0])
    described, pointer = next(
        (found, where) for code, found, where in document.responses(operation) if code == status
    )
    assert {header.lower() for header in described.get("headers", {})} <= set(answer.headers)
    content = described.get("content", {})
    if not answer.content:
        assert not content
        return
    media_type = answer.headers["content-type"].partition(";")[0]
    assert media_type in content
    value = answer.json() if "json" in media_type else answer.text
    check = checker(document.data, (*pointer, "content", media_type, "schema"))
    assert [f"{error.json_path}: {error.message}" for error in check(value)] == []
    assert json.loads(json.dumps(value)) == value
