"""Mistakes that both type checkers find; each line tells the error it must have. Nothing runs it."""

from __future__ import annotations

from typing import assert_never

from tollkit import AsyncTokenite, Tokenite, TokeniteAdmin
from tollkit.tokenite import (
    Callback,
    FundingNeeded,
    OnFundingNeeded,
    ProxyError,
    ProxyResult,
    ProxySuccess,
    anthropic_options,
    is_proxy_error,
    is_proxy_success,
    parse_callback,
)

Tokenite()  # E: mypy[call-arg] / pyright[reportCallIssue]
Tokenite(client_id="app", redirect_url="https://app.example/callback")  # E: mypy[call-arg] / pyright[reportCallIssue]
Tokenite(client_id=5)  # E: mypy[arg-type] / pyright[reportArgumentType]


def calls(client: Tokenite) -> None:
    client.call("token", "openai")  # E: mypy[call-arg] / pyright[reportCallIssue]
    client.call("token", "openai", "/v1/x", method="HEAD")  # E: mypy[arg-type] / pyright[reportArgumentType]
    print(client.call("token", "openai", "/").data)  # E: mypy[union-attr] / pyright[reportAttributeAccessIssue]
    client.call_with_recovery("token", "openai", "/v1/x")  # E: mypy[call-arg] / pyright[reportCallIssue]
    client.get_authorize_url(budget=5)  # E: mypy[call-arg] / pyright[reportCallIssue]
    client.top_up_url(mode="tab")  # E: mypy[arg-type] / pyright[reportArgumentType]
    client.exchange_code(code=None)  # E: mypy[arg-type] / pyright[reportArgumentType]
    anthropic_options("https://proxy.example", "token")  # E: mypy[arg-type] / pyright[reportArgumentType]
    parse_callback("code=1", expected="state")  # E: mypy[call-arg] / pyright[reportCallIssue]


def hook(needed: FundingNeeded) -> str:
    return needed.top_up.url


def recovery(client: Tokenite) -> None:
    asked: OnFundingNeeded = hook  # E: mypy[assignment] / pyright[reportAssignmentType]
    client.call_with_recovery("t", "x", "/", on_funding_needed=asked)


def outcomes(outcome: Callback) -> str:
    return outcome.code  # E: mypy[union-attr] / pyright[reportAttributeAccessIssue]


def half(result: ProxyResult) -> None:
    match result:
        case ProxySuccess():
            print(result.usage)
        case _:
            assert_never(result)  # E: mypy[arg-type] / pyright[reportArgumentType]


def other_half(result: ProxyResult) -> None:
    if is_proxy_success(result):
        print(result.code)  # E: mypy[attr-defined] / pyright[reportAttributeAccessIssue]
    else:
        print(result.data)  # E: mypy[attr-defined] / pyright[reportAttributeAccessIssue]
    if not is_proxy_error(result):
        print(result.retry_after)  # E: mypy[attr-defined] / pyright[reportAttributeAccessIssue]


def frozen(error: ProxyError) -> None:
    error.code = "OK"  # E: mypy[misc] / pyright[reportAttributeAccessIssue]


def administer(admin: TokeniteAdmin) -> None:
    admin.app.list()  # E: mypy[attr-defined] / pyright[reportAttributeAccessIssue]
    print(admin.apps.list().rows)  # E: mypy[attr-defined] / pyright[reportAttributeAccessIssue]
    admin.accounts.invite("acc_1")  # E: mypy[call-arg] / pyright[reportCallIssue]
    admin.apps.create("name", callback="https://app.example")  # E: mypy[call-arg] / pyright[reportCallIssue]
    admin.with_options(api_key=5)  # E: mypy[call-arg] / pyright[reportCallIssue]


async def asynchronous(client: AsyncTokenite) -> None:
    result = client.call("token", "openai", "/v1/x")
    print(result.ok)  # E: mypy[attr-defined] / pyright[reportAttributeAccessIssue]
    anthropic_options(await client, "token")  # E: mypy[misc] / pyright[reportGeneralTypeIssues]
