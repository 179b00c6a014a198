"""Tokenite: a wallet of AI keys per user, granted to apps by OAuth and called through a metering proxy.

    from tollkit.tokenite import Tokenite

The clients are in `client` and `admin`, the parts for web frameworks in `web`, the rest in the modules that are named
for it. All but `web` can be imported from here; nothing is loaded before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tollkit.tokenite.admin import AsyncTokeniteAdmin, TokeniteAdmin
    from tollkit.tokenite.authorize import AuthorizeRequest, authorize_request
    from tollkit.tokenite.callback import (
        AccessDenied,
        Callback,
        CallbackFailure,
        CallbackSuccess,
        InvalidState,
        Malformed,
        MissingCode,
        OAuthFailure,
        UserDenied,
        parse_callback,
    )
    from tollkit.tokenite.client import AsyncTokenite, FundingNeeded, OnFundingNeeded, Tokenite
    from tollkit.tokenite.config import (
        ACCESS_CONTEXT_PATH,
        DEFAULT_BASE_URL,
        DEFAULT_PROXY_BASE,
        FUNDING_CODES,
        TOP_UP_PATH,
    )
    from tollkit.tokenite.errors import SignInError, TokeniteError
    from tollkit.tokenite.local import login_local, login_local_async
    from tollkit.tokenite.proxy import ProxyError, ProxyResult, ProxySuccess, is_proxy_error, is_proxy_success
    from tollkit.tokenite.state import SignedState, StateError, StateSigner, new_state
    from tollkit.tokenite.top_up import (
        TopUp,
        TopUpDone,
        TopUpFailed,
        TopUpRequest,
        parse_top_up_message,
        parse_top_up_return,
        top_up_request,
    )
    from tollkit.tokenite.vendors import anthropic_options, google_options, openai_options, proxy_error

__all__ = [
    "ACCESS_CONTEXT_PATH",
    "DEFAULT_BASE_URL",
    "DEFAULT_PROXY_BASE",
    "FUNDING_CODES",
    "TOP_UP_PATH",
    "AccessDenied",
    "AsyncTokenite",
    "AsyncTokeniteAdmin",
    "AuthorizeRequest",
    "Callback",
    "CallbackFailure",
    "CallbackSuccess",
    "FundingNeeded",
    "InvalidState",
    "Malformed",
    "MissingCode",
    "OAuthFailure",
    "OnFundingNeeded",
    "ProxyError",
    "ProxyResult",
    "ProxySuccess",
    "SignInError",
    "SignedState",
    "StateError",
    "StateSigner",
    "Tokenite",
    "TokeniteAdmin",
    "TokeniteError",
    "TopUp",
    "TopUpDone",
    "TopUpFailed",
    "TopUpRequest",
    "UserDenied",
    "anthropic_options",
    "authorize_request",
    "google_options",
    "is_proxy_error",
    "is_proxy_success",
    "login_local",
    "login_local_async",
    "new_state",
    "openai_options",
    "parse_callback",
    "parse_top_up_message",
    "parse_top_up_return",
    "proxy_error",
    "top_up_request",
]

_HOME = {
    "ACCESS_CONTEXT_PATH": "config",
    "AccessDenied": "callback",
    "AsyncTokenite": "client",
    "AsyncTokeniteAdmin": "admin",
    "AuthorizeRequest": "authorize",
    "Callback": "callback",
    "CallbackFailure": "callback",
    "CallbackSuccess": "callback",
    "DEFAULT_BASE_URL": "config",
    "DEFAULT_PROXY_BASE": "config",
    "FUNDING_CODES": "config",
    "FundingNeeded": "client",
    "InvalidState": "callback",
    "Malformed": "callback",
    "MissingCode": "callback",
    "OAuthFailure": "callback",
    "OnFundingNeeded": "client",
    "ProxyError": "proxy",
    "ProxyResult": "proxy",
    "ProxySuccess": "proxy",
    "SignInError": "errors",
    "SignedState": "state",
    "StateError": "state",
    "StateSigner": "state",
    "TOP_UP_PATH": "config",
    "Tokenite": "client",
    "TokeniteAdmin": "admin",
    "TokeniteError": "errors",
    "TopUp": "top_up",
    "TopUpDone": "top_up",
    "TopUpFailed": "top_up",
    "TopUpRequest": "top_up",
    "UserDenied": "callback",
    "anthropic_options": "vendors",
    "authorize_request": "authorize",
    "google_options": "vendors",
    "is_proxy_error": "proxy",
    "is_proxy_success": "proxy",
    "login_local": "local",
    "login_local_async": "local",
    "new_state": "state",
    "openai_options": "vendors",
    "parse_callback": "callback",
    "parse_top_up_message": "top_up",
    "parse_top_up_return": "top_up",
    "proxy_error": "vendors",
    "top_up_request": "top_up",
}


def __getattr__(name: str) -> Any:
    from tollkit_api.runtime.lazy import resolve

    return resolve(__name__, _HOME, name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
