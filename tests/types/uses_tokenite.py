"""What a program that uses Tokenite does, as type checkers see it. Nothing runs it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal, assert_never, assert_type

from tollkit import AsyncTokenite, AsyncTokeniteAdmin, Secret, Tokenite, TokeniteAdmin
from tollkit.core.raw import Raw
from tollkit.errors import PaymentRequiredError
from tollkit.tokenite import (
    AccessDenied,
    AuthorizeRequest,
    Callback,
    CallbackFailure,
    CallbackSuccess,
    FundingNeeded,
    InvalidState,
    ProxyError,
    ProxyResult,
    ProxySuccess,
    SignedState,
    SignInError,
    StateSigner,
    TokeniteError,
    TopUpDone,
    TopUpFailed,
    TopUpRequest,
    UserDenied,
    anthropic_options,
    google_options,
    is_proxy_error,
    is_proxy_success,
    login_local,
    new_state,
    openai_options,
    parse_callback,
    parse_top_up_return,
    proxy_error,
)
from tollkit.tokenite.vendors import GoogleOptions, SdkOptions
from tollkit_api.tokenite.v2_4.models import AccessContext, App, CreatedApp, CreatedInvitation, UserToken


def sign_in(client: Tokenite, query: str, state: str) -> Secret:
    asked = client.get_authorize_url(suggested_budget=Decimal(5), state=new_state())
    assert_type(asked, AuthorizeRequest)
    assert_type(asked.url, str)
    outcome = parse_callback(query, state)
    assert_type(outcome, Callback)
    match outcome:
        case CallbackSuccess(code):
            assert_type(code, Secret)
            token = client.exchange_code(code)
            assert_type(token, UserToken)
            return token.access_token
        case UserDenied() | AccessDenied():
            raise SystemExit
        case InvalidState():
            assert_type(outcome.error, str | None)
        case CallbackFailure():
            print(outcome.reason, outcome.description)
    raise ValueError


def by_truth(outcome: Callback) -> str:
    if outcome.ok is True:
        assert_type(outcome, CallbackSuccess)
        return outcome.code
    return outcome.reason


def call(client: Tokenite, token: str) -> Any:
    result = client.call(token, "anthropic", "/v1/messages", {"model": "m"}, headers={"anthropic-beta": "x"})
    assert_type(result, ProxyResult)
    if is_proxy_success(result):
        assert_type(result, ProxySuccess)
        return result.data
    assert_type(result, ProxyError)
    assert_type(result.retry_after, float | None)
    return result.message


def by_match(result: ProxyResult) -> Any:
    match result:
        case ProxySuccess():
            return result.usage
        case ProxyError(code="BUDGET_EXCEEDED"):
            return None
        case ProxyError():
            return result.code
        case _:
            assert_never(result)


def by_tag(result: ProxyResult) -> Any:
    if result.ok is True:
        assert_type(result.model, str | None)
        return result.raise_for_error().data
    assert_type(result, ProxyError)
    assert is_proxy_error(result)
    return result.code


def funded(client: Tokenite, token: str) -> ProxyResult:
    def ask(needed: FundingNeeded) -> bool:
        assert_type(needed.top_up.url, str)
        return False

    return client.call_with_recovery(token, "openai", "/v1/x", None, on_funding_needed=ask, suggested_amount=10)


def top_up(client: Tokenite, query: str) -> Decimal | None:
    asked = client.top_up_url(suggested_amount="20", mode="popup")
    assert_type(asked, TopUpRequest)
    done = parse_top_up_return(query, asked.state)
    assert_type(done, TopUpDone | TopUpFailed)
    if isinstance(done, TopUpFailed):
        takes_reason(done.reason)
        return None
    return done.new_limit


def takes_reason(
    reason: Literal["cancelled", "popup-blocked", "closed", "redirected", "invalid_state", "malformed_return"],
) -> None:
    print(reason)


def context(client: Tokenite, token: str) -> list[str]:
    found = client.get_access_context.raw(token)
    assert_type(found, Raw[AccessContext])
    return [provider.id for provider in found.result.providers]


def vendors(client: Tokenite, token: Secret) -> None:
    assert_type(anthropic_options(client, token), SdkOptions)
    assert_type(openai_options(client, token, provider="grok", base_path="/v1"), SdkOptions)
    assert_type(google_options(client, token), GoogleOptions)
    assert_type(google_options(client, token)["vertexai"], Literal[False])
    try:
        print()
    except Exception as error:
        found = proxy_error(error)
        assert_type(found, ProxyError | None)


def administer() -> None:
    with TokeniteAdmin(api_key="key") as admin:
        for app in admin.apps.list():
            assert_type(app, App)
        made = admin.apps.create("name", callback_url="https://app.example/callback")
        assert_type(made, CreatedApp)
        assert_type(admin.accounts.invite("acc_1", "a@example.com"), CreatedInvitation)
        assert_type(admin.apps.list.raw(), Raw[list[App]])
        assert_type(admin.with_options(timeout=3), TokeniteAdmin)


async def asynchronous(token: str) -> ProxyResult:
    async with AsyncTokeniteAdmin.from_env() as admin:
        assert_type(await admin.apps.list(), list[App])
    async with AsyncTokenite(client_id="app") as client:
        assert_type(await client.exchange_code("code"), UserToken)

        async def ask(needed: FundingNeeded) -> bool:
            return needed.remedy == "add_key"

        assert_type(await client.call(token, "openai", "/v1/x", {}), ProxyResult)
        return await client.call_with_recovery(token, "openai", "/v1/x", {}, on_funding_needed=ask)


def errors(client: Tokenite) -> Decimal | None:
    try:
        login_local(client, open_browser=None)
        client.call("t", "openai", "/").raise_for_error()
    except PaymentRequiredError as error:
        assert_type(error.retry_after, float | None)
    except SignInError as error:
        print(error.code)
    except TokeniteError as error:
        assert_type(error.request_id, str | None)
    return None


def signer() -> str:
    made = StateSigner("a key of thirty-two characters or more")
    issue: Callable[[str], str] = made.issue
    checked = made.check(issue("session"), "session")
    assert_type(checked, SignedState)
    return checked.next_url or "/"
