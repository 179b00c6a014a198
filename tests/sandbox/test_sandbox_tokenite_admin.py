"""The sandbox's admin API of Tokenite as any HTTP client sees it: what it answers, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tollkit.sandbox import Sandbox
from tollkit.sandbox.tokenite.admin import STATUSES
from tollkit.sandbox.tokenite.platform import TokeniteSandbox

PASSWORD = "correct horse battery"


@pytest.fixture
def platform(sandbox: Sandbox) -> TokeniteSandbox:
    return sandbox.tokenite


@pytest.fixture
def http(platform: TokeniteSandbox) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {platform.api_key}"}
    with httpx.Client(base_url=platform.proxy_base, headers=headers) as client:
        yield client


def refused(answer: httpx.Response) -> str:
    """The code of an error answer in the platform's envelope, with the status that goes with it."""
    error = answer.json()["error"]
    assert set(error) == {"code", "message"}
    assert error["message"]
    assert answer.status_code == STATUSES[error["code"]]
    return error["code"]


def business(http: httpx.Client) -> Any:
    return http.post("/api/accounts", json={"name": "Engines"}).json()["id"]


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer nobody"}, {"authorization": "Basic YTpi"}])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/auth/me"),
        ("GET", "/api/auth/tokens"),
        ("GET", "/api/accounts"),
        ("GET", "/api/accounts/acc_1"),
        ("POST", "/api/invitations/claim"),
        ("GET", "/api/apps"),
        ("GET", "/api/keys"),
        ("POST", "/api/oauth/authorize"),
        ("GET", "/api/connections"),
        ("GET", "/api/spending"),
    ],
)
def test_nobody_gets_in_without_a_key(
    platform: TokeniteSandbox, header: dict[str, str], method: str, path: str
) -> None:
    answer = httpx.request(method, platform.proxy_base + path, headers=header)
    assert refused(answer) == "UNAUTHORIZED"


def test_a_key_of_the_proxy_does_not_open_the_admin_api(http: httpx.Client, platform: TokeniteSandbox) -> None:
    answer = http.get("/api/auth/me", headers={"authorization": f"Bearer {platform.grant()}"})
    assert refused(answer) == "UNAUTHORIZED"


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b"7", b"\xff", b'{"email": NaN}'])
def test_bodies_that_are_no_object(http: httpx.Client, body: bytes) -> None:
    assert refused(http.post("/api/auth/login", content=body)) == "VALIDATION"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/auth/register", {"email": "a@b.example"}),
        ("POST", "/api/auth/register", {"email": "a@b.example", "password": 12345678}),
        ("POST", "/api/auth/login", {"email": None, "password": PASSWORD}),
        ("POST", "/api/auth/tokens", {"name": " "}),
        ("POST", "/api/accounts", {"name": "Engines", "poolBudgetLimitUsd": "5"}),
        ("POST", "/api/accounts", {"name": "Engines", "poolBudgetLimitUsd": True}),
        ("POST", "/api/accounts", {"name": "Engines", "poolBudgetLimitUsd": -1}),
        ("POST", "/api/accounts", {"name": "Engines", "poolResetPeriod": "weekly"}),
        ("POST", "/api/apps", {"name": "Poems"}),
        ("POST", "/api/apps", {"name": "Poems", "callbackUrl": "ftp://poems.example"}),
        ("POST", "/api/apps", {"name": "Poems", "callbackUrl": "http://[::1"}),
        ("POST", "/api/apps", {"name": "Poems", "callbackUrl": "https://a.example", "requiredProviders": "openai"}),
        ("POST", "/api/apps", {"name": "Poems", "callbackUrl": "https://a.example", "requiredProviders": [7]}),
        ("POST", "/api/apps", {"name": "Poems", "callbackUrl": "https://a.example", "allowSubstitution": 1}),
        ("POST", "/api/apps", {"name": "Poems", "callbackUrl": "https://a.example", "modelStrategy": "tier"}),
        ("POST", "/api/apps", {"name": "Poems", "callbackUrl": "https://a.example", "modelStrategy": "models"}),
        ("POST", "/api/keys", {"provider": "openai"}),
        ("POST", "/api/keys", {"apiKey": "sk-1"}),
        ("POST", "/api/invitations/claim", {}),
    ],
)
def test_values_that_will_not_do(http: httpx.Client, method: str, path: str, body: Any) -> None:
    assert refused(http.request(method, path, json=body)) == "VALIDATION"


def test_a_refused_change_changes_nothing(http: httpx.Client, platform: TokeniteSandbox) -> None:
    before = http.get(f"/api/apps/{platform.client_id}").json()
    changes = {"name": "Changed", "description": "Changed", "modelStrategy": "models", "allowedModels": []}
    assert refused(http.patch(f"/api/apps/{platform.client_id}", json=changes)) == "VALIDATION"
    assert http.get(f"/api/apps/{platform.client_id}").json() == before


def test_what_a_grant_must_have(http: httpx.Client, platform: TokeniteSandbox) -> None:
    grant = {"client_id": platform.client_id, "redirect_uri": platform.redirect_uri, "budget_limit": 5}
    for name in grant:
        body = {key: value for key, value in grant.items() if key != name}
        assert refused(http.post("/api/oauth/authorize", json=body)) == "VALIDATION"
    answer = http.post("/api/oauth/authorize", json={**grant, "state": "s"}).json()
    assert dict(parse_qsl(urlsplit(answer["redirect_to"]).query)) == {"code": answer["code"], "state": "s"}
    connection = http.get("/api/connections").json()[0]["id"]
    assert refused(http.patch(f"/api/connections/{connection}/budget", json={})) == "VALIDATION"


def test_calls_on_one_account_need_its_header(http: httpx.Client) -> None:
    account, other = business(http), business(http)
    path = f"/api/accounts/{account}"
    assert refused(http.get(path)) == "VALIDATION"
    assert refused(http.get(path, headers={"x-account-id": other})) == "VALIDATION"
    assert http.get(path, headers={"x-account-id": account}).json()["id"] == account
    assert refused(http.get("/api/accounts/acc_none", headers={"x-account-id": "acc_none"})) == "NOT_FOUND"
    http.delete(path, headers={"x-account-id": account})
    assert refused(http.get(path, headers={"x-account-id": account})) == "NOT_FOUND"
    assert refused(http.get("/api/apps", headers={"x-account-id": account})) == "FORBIDDEN"


def test_no_answer_repeats_a_secret(http: httpx.Client, platform: TokeniteSandbox) -> None:
    made = http.post("/api/apps", json={"name": "Poems", "callbackUrl": "https://poems.example/back"}).json()
    http.post("/api/keys", json={"provider": "openai", "apiKey": "sk-secret-value"})
    token = http.post("/api/auth/tokens", json={"name": "deploy"}).json()["token"]
    answers = [http.get(f"/api/{path}").text for path in ("apps", f"apps/{made['id']}", "keys", "auth/tokens")]
    for secret in (made["appSecret"], "sk-secret-value", token, platform.client_secret, platform.api_key):
        assert not any(secret in answer for answer in answers)


def test_passwords_are_kept_as_hashes(http: httpx.Client, platform: TokeniteSandbox) -> None:
    for email in ("a@example.com", "b@example.com"):
        answer = http.post("/api/auth/register", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 201
    kept = [platform.state.user_by_email(email).password for email in ("a@example.com", "b@example.com")]
    assert kept[0] != kept[1], "each has a salt of its own"
    assert all(one.fits(PASSWORD) and not one.fits(PASSWORD + " ") for one in kept)
    assert PASSWORD not in repr(kept)


def test_a_revoked_key_stops_at_once_even_when_it_revokes_itself(http: httpx.Client) -> None:
    made = http.post("/api/auth/tokens", json={"name": "deploy"}).json()
    own = {"authorization": f"Bearer {made['token']}"}
    assert http.delete(f"/api/auth/tokens/{made['id']}", headers=own).status_code == 204
    assert refused(http.get("/api/auth/me", headers=own)) == "UNAUTHORIZED"


def test_amounts_are_numbers_as_javascript_writes_them(http: httpx.Client, platform: TokeniteSandbox) -> None:
    token = platform.grant(budget="5.00")
    platform.spend(token, cost="0.10")
    answer = http.get("/api/connections").text
    assert '"budgetLimit":5,' in answer
    assert '"budgetSpent":0.105,' in answer
    row = http.get("/api/spending").json()[0]
    assert (row["costUsd"], row["platformFeeUsd"]) == (0.1, 0.005)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=-1", "limit=x", "limit=201", "limit=%D9%A3", "offset=-1", "from=then", "to=2026-13-01"],
)
def test_spending_is_not_asked_so(http: httpx.Client, query: str) -> None:
    assert refused(http.get(f"/api/spending?{query}")) == "VALIDATION"


def test_spending_by_time_offset_and_account(http: httpx.Client, platform: TokeniteSandbox, sandbox: Sandbox) -> None:
    sandbox.clock.freeze()
    token = platform.grant()
    for cost in (1, 2, 3):
        platform.spend(token, cost=cost)
    now = sandbox.clock.iso()

    def costs(query: str, **headers: str) -> list[int]:
        return [row["costUsd"] for row in http.get(f"/api/spending?{query}", headers=headers).json()]

    assert costs("") == [3, 2, 1], "newest first, also within a millisecond"
    assert costs("limit=1&offset=1") == [2]
    assert costs(f"from={now}") == [3, 2, 1]
    assert costs(f"to={now}") == [], "the end is not part of the span"
    assert costs(f"from={now[:10]}&to={now[:10]}") == [3, 2, 1], "a date is a whole day"
    assert costs(f"appId={platform.client_id}&from=") == [3, 2, 1]
    assert costs("", **{"x-account-id": business(http)}) == []


def test_a_member_sees_the_connections_that_are_theirs(http: httpx.Client, platform: TokeniteSandbox) -> None:
    account = business(http)
    team = {"x-account-id": account}
    session = http.post("/api/auth/register", json={"email": "grace@example.com", "password": PASSWORD}).json()
    invitation = http.post(
        f"/api/accounts/{account}/invitations", json={"email": "grace@example.com"}, headers=team
    ).json()
    grace = {"authorization": f"Bearer {session['token']}"}
    token = urlsplit(invitation["claimUrl"]).query.removeprefix("token=")
    assert http.post("/api/invitations/claim", json={"token": token}, headers=grace).json()["role"] == "member"
    grant = {"client_id": platform.client_id, "redirect_uri": platform.redirect_uri, "budget_limit": 5}
    for headers in (team, {**grace, **team}):
        http.post("/api/oauth/authorize", json=grant, headers=headers)
    assert len(http.get("/api/connections", headers=team).json()) == 2
    (own,) = http.get("/api/connections", headers={**grace, **team}).json()
    assert platform.state.connections[own["id"]].user_id == session["userId"]
    assert platform.state.connections[own["id"]].budget_limit == Decimal(5)

    connection = platform.state.connections[own["id"]]
    platform.state.charge(
        connection, provider="openai", model="gpt-5-mini", input_tokens=1, output_tokens=1, cost=Decimal("0.2")
    )
    members = http.get(f"/api/accounts/{account}/members", headers=team).json()
    assert {one["email"]: one["mtdSpendUsd"] for one in members} == {"ada@example.com": 0, "grace@example.com": 0.21}


def test_an_app_that_is_gone_keeps_its_connections(http: httpx.Client, platform: TokeniteSandbox) -> None:
    made = http.post("/api/apps", json={"name": "Poems", "callbackUrl": "https://poems.example/back"}).json()
    token = platform.grant(client_id=made["id"])
    assert http.delete(f"/api/apps/{made['id']}").status_code == 204
    assert http.get("/api/connections").json()[0]["appName"] == ""
    message = {"model": "claude-sonnet-4-5", "max_tokens": 8, "messages": []}
    answer = http.post("/anthropic/v1/messages", json=message, headers={"authorization": f"Bearer {token}"})
    assert answer.json()["error"]["code"] == "APP_NOT_FOUND"


def test_other_methods(http: httpx.Client) -> None:
    assert http.put("/api/apps").status_code == 405


def test_a_reset_forgets_what_was_made(http: httpx.Client, platform: TokeniteSandbox) -> None:
    http.post("/api/apps", json={"name": "Poems", "callbackUrl": "https://poems.example/back"})
    http.post("/api/auth/register", json={"email": "grace@example.com", "password": PASSWORD})
    platform.reset()
    assert [app["id"] for app in http.get("/api/apps").json()] == [platform.client_id]
    assert refused(http.post("/api/auth/login", json={"email": "grace@example.com", "password": PASSWORD}))
