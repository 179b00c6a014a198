"""The Tokenite packages: what goes out and what comes back, where they differ from the other platforms."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tollkit_api.runtime import DecodeError, Secret, UnexpectedStatus
from tollkit_api.tokenite import v1_0, v2_4
from tollkit_api.tokenite.v2_4 import models
from tollkit_api.tokenite.v2_4.api.access import get_access_context
from tollkit_api.tokenite.v2_4.api.accounts import invite_member, update_account, update_member
from tollkit_api.tokenite.v2_4.api.apps import update_app
from tollkit_api.tokenite.v2_4.api.connections import set_connection_budget
from tollkit_api.tokenite.v2_4.api.oauth import exchange_code, get_authorize_page
from tollkit_api.tokenite.v2_4.api.proxy import call_provider
from tollkit_api.tokenite.v2_4.api.spending import list_spending


def answer(status: int, value: Any) -> httpx.Response:
    return httpx.Response(status, content=value if isinstance(value, bytes) else json.dumps(value).encode())


def test_a_proxied_call():
    request = call_provider.request("google", "/v1beta/models/gemini-2.5-flash:generateContent", body={"a": [1.5]})
    assert request.method == "POST"
    assert request.url_with_query == "/google/v1beta/models/gemini-2.5-flash:generateContent"
    assert request.content == b'{"a":[1.5]}'
    assert request.headers == {"Content-Type": "application/json"}
    assert call_provider.request("openai", "v1/models").content is None
    assert not call_provider.OPERATION.idempotent


@pytest.mark.parametrize("path", ["../me/providers", "v1/../../api/auth/me", "/..", "v1/./messages", ""])
def test_a_proxied_call_stays_below_its_provider(path: str):
    with pytest.raises(ValueError, match=r"^path: "):
        call_provider.request("openai", path)
    with pytest.raises(ValueError, match=r"^provider: "):
        call_provider.request("..", "v1/messages")


def test_the_vendors_body_is_untouched():
    data = {"z": None, "a": [{"deep": 1e400}], "error": {"message": "the vendor's own"}}
    data = json.loads(json.dumps(data).replace("Infinity", "1e300"))
    envelope = {"provider": "groq", "model": "m", "usage": {"inputTokens": 8, "outputTokens": 0}, "data": data}
    parsed = call_provider.parse(answer(200, envelope))
    assert parsed.provider == "groq", "a vendor of a later day passes as text"
    assert parsed.usage == models.TokenUsage(input_tokens=8, output_tokens=0)
    assert parsed.data == data
    assert parsed.to_dict() == envelope
    assert call_provider.parse(answer(200, {**envelope, "usage": None, "data": None})).usage is None


@pytest.mark.parametrize("retry_after", [30, 1.5, "30", None])
def test_details_of_an_error_are_read_leniently(retry_after: Any):
    error = {"code": "RATE_LIMITED", "message": "wait", "source": "provider", "details": {"retryAfter": retry_after}}
    with pytest.raises(UnexpectedStatus) as caught:
        call_provider.parse(answer(429, {"error": error}))
    parsed = caught.value.parsed
    assert isinstance(parsed, models.ProxyErrorEnvelope)
    assert parsed.error.code is models.ProxyErrorCode.RATE_LIMITED
    assert parsed.error.source is models.ErrorSource.PROVIDER
    assert parsed.error.details is not None
    assert parsed.error.details.retry_after == retry_after


def test_codes_and_statuses_of_a_later_day():
    with pytest.raises(UnexpectedStatus) as caught:
        call_provider.parse(
            answer(418, {"error": {"code": "NEW", "message": "m", "source": "both", "details": None}})
        )
    assert caught.value.parsed.error.code == "NEW"
    assert caught.value.parsed.error.source == "both"


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"[]", {"error": "text"}, {"error": {}}])
def test_what_is_no_envelope(body: Any):
    with pytest.raises(UnexpectedStatus) as caught:
        call_provider.parse(answer(502, body))
    assert caught.value.parsed is None
    with pytest.raises(DecodeError) as undecoded:
        call_provider.parse(answer(200, body))
    assert undecoded.value.status_code == 200


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"error": {"message": "m", "code": "INVALID_CODE"}}, "m", "INVALID_CODE"),
        ({"error": {"message": "m"}}, "m", None),
        ({"error": {"code": "NEW"}}, None, "NEW"),
        ({"error": "text"}, "text", None),
    ],
)
def test_both_forms_of_a_failure(body: Any, message: str | None, code: str | None):
    with pytest.raises(UnexpectedStatus) as caught:
        exchange_code.parse(answer(400, body))
    envelope = caught.value.parsed
    assert isinstance(envelope, models.ErrorEnvelope)
    error = envelope.error
    assert (
        (error, None) == (message, code) if isinstance(error, str) else (error.message, error.code) == (message, code)
    )
    assert envelope.to_dict() == body


def test_the_exchange():
    body = models.ExchangeCodeRequest(
        code="c", client_id="app", client_secret="sentinel", redirect_uri="https://app.example/cb"
    )
    request = exchange_code.request(body=body)
    assert request.url == "/api/oauth/token"
    assert json.loads(request.content or b"") == {
        "code": "c",
        "client_id": "app",
        "client_secret": "sentinel",
        "redirect_uri": "https://app.example/cb",
    }
    token = exchange_code.parse(answer(200, {"access_token": "sentinel", "token_type": "Bearer"}))
    assert type(token.access_token) is Secret
    assert "sentinel" not in f"{request!r} {body!r} {token!r}"


def test_the_consent_page():
    request = get_authorize_page.request(
        client_id="app",
        redirect_uri="https://a/b?c",
        response_type="code",
        state="s",
        suggested_budget=Decimal("2.5"),
    )
    assert request.url_with_query == (
        "/oauth/authorize?client_id=app&redirect_uri=https%3A%2F%2Fa%2Fb%3Fc&response_type=code&state=s"
        "&suggested_budget=2.5"
    )


def test_a_change_sends_what_is_given_and_nothing_else():
    assert update_app.request("a", body=models.UpdateAppRequest()).content == b"{}"
    change = models.UpdateAppRequest(name="n", allowed_models=None, website_url=None, required_tier=None)
    request = update_app.request("a", body=change, x_account_id="acc")
    assert request.content == b'{"name":"n","allowedModels":null,"requiredTier":null,"websiteUrl":null}'
    assert request.headers == {"x-account-id": "acc", "Content-Type": "application/json"}
    uncapped = models.UpdateMemberRequest(monthly_cap_usd=None)
    assert update_member.request("acc", "u", body=uncapped, x_account_id="acc").content == b'{"monthlyCapUsd":null}'
    account = models.UpdateAccountRequest(pool_budget_limit_usd=Decimal("250.50"), pool_reset_period=None)
    content = update_account.request("acc", body=account, x_account_id="acc").content
    assert content == b'{"poolBudgetLimitUsd":250.5,"poolResetPeriod":null}'


@pytest.mark.parametrize(("budget", "text"), [("10", b"10"), ("0.10", b"0.1"), ("0.000071", b"7.1e-05")])
def test_budgets_are_numbers_on_the_wire(budget: str, text: bytes):
    body = models.SetConnectionBudgetRequest(budget_limit=Decimal(budget))
    request = set_connection_budget.request("con", body=body)
    assert request.content == b'{"budget_limit":' + text + b"}"
    assert set_connection_budget.parse(answer(200, {"anything": 1})) is None
    assert set_connection_budget.parse(answer(204, b"")) is None
    too_fine = models.SetConnectionBudgetRequest(budget_limit=Decimal("0.1000000000000000000001"))
    with pytest.raises(ValueError, match="without changing it"):
        set_connection_budget.request("con", body=too_fine)


def test_spending_is_exact():
    row = {
        "id": "r", "appName": "a", "provider": "openai", "model": "m", "inputTokens": 1, "outputTokens": 2,
        "costUsd": 0.1, "platformFeeUsd": 0.005, "createdAt": "2026-11-20T09:30:00.000Z",
    }  # fmt: skip
    rows = list_spending.parse(answer(200, [row, {**row, "costUsd": 0.2}]))
    assert sum(each.cost_usd for each in rows) == Decimal("0.3")
    since = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
    request = list_spending.request(from_=since, to="2026-12-01T00:00:00Z", limit=2, offset=4)
    assert request.query == "from=2026-11-01T00%3A00%3A00.000Z&to=2026-12-01T00%3A00%3A00Z&limit=2&offset=4"
    with pytest.raises(DecodeError) as caught:
        list_spending.parse(answer(200, [row, {**row, "costUsd": "0.2"}]))
    assert caught.value.path == "$[1].costUsd"


def test_an_invitation_hides_where_it_is_claimed():
    given = {
        "id": "i", "accountId": "a", "email": "e", "role": "auditor", "invitedByUserId": "u",
        "expiresAt": "2026-11-27T09:30:00.000Z", "createdAt": "2026-11-20T09:30:00.000Z",
        "claimUrl": "https://t/claim?token=sentinel",
    }  # fmt: skip
    for status in (200, 201):
        invitation = invite_member.parse(answer(status, given))
        assert invitation.role == "auditor"
        assert "sentinel" not in repr(invitation)
        assert invitation.to_dict() == given


def test_the_two_pins_differ_in_the_access_context():
    assert set(v2_4.OPERATIONS) - set(v1_0.OPERATIONS) == {"getTopUpPage"}
    app = {"id": "a", "name": "n", "description": None, "websiteUrl": None, "iconUrl": None}
    old = {
        "app": {**app, "requiredProviders": ["openai"], "preferredProviders": [], "allowSubstitution": False},
        "providers": [],
    }
    read = v1_0.api.access.get_access_context.parse(answer(200, old))
    assert read.app.required_providers == [v1_0.models.ProviderId.OPENAI]
    with pytest.raises(DecodeError, match=r"\$\.user: "):
        get_access_context.parse(answer(200, old))
    new = {**old, "user": {"id": "u", "email": "e"}, "models": [], "tiers": []}
    assert get_access_context.parse(answer(200, new)).app.additional_properties["allowSubstitution"] is False
    assert v1_0.api.access.get_access_context.parse(answer(200, new)).additional_properties["tiers"] == []
