"""Answers of the metering proxy: success and error, told apart by `match` or by two functions.

A call through the proxy does not raise for an error that the proxy or the vendor tells in its envelope: an empty
budget or a refused model are ordinary outcomes that an application answers to. `raise_for_error()` is for those who
prefer exceptions.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, Self, TypeAlias, cast, overload

import attrs

from tollkit.errors import StatusError, status_class
from tollkit.tokenite.errors import raised

if TYPE_CHECKING:
    from typing_extensions import TypeIs  # of the checkers' own; in typing from 3.13 on

    from tollkit_api.tokenite.v2_4.models import TokenUsage

__all__ = ["ProxyError", "ProxyResult", "ProxySuccess", "is_proxy_error", "is_proxy_success"]

_RETRYABLE = frozenset({408, 425, 429})


@attrs.frozen(kw_only=True)
class ProxySuccess:
    """The vendor's answer, with what it used.

    Attributes:
        provider: Id of the vendor: `anthropic`, `openai`, `google`, `grok`, `bedrock`, or one that is newer.
        model: The model that answered.
        usage: Tokens in and out; `None` where the platform did not count them.
        data: The vendor's own body, untouched.
        status: HTTP status.
        request_id: The platform's id of the request, when it gave one.
    """

    ok: ClassVar[Literal[True]] = True
    provider: str
    model: str | None
    usage: TokenUsage | None
    data: Any
    status: int = 200
    request_id: str | None = None

    def raise_for_error(self) -> Self:
        """This answer, since it is no error."""
        return self

    def to_dict(self) -> dict[str, Any]:
        """The envelope in wire names."""
        usage = self.usage.to_dict() if self.usage else None
        return {"provider": self.provider, "model": self.model, "usage": usage, "data": self.data}


@attrs.frozen(kw_only=True)
class ProxyError:
    """What the proxy or the vendor refused, and why. A value, no exception; see `raise_for_error`.

    Attributes:
        code: E.g. `BUDGET_EXCEEDED`; the table of the platform, open to codes that are newer.
        message: For people.
        source: `proxy` or `provider`.
        status: HTTP status.
        details: Further facts of the platform, as they came.
        is_funding: Whether a top-up cures it.
        request_id: The platform's id of the request, when it gave one.
    """

    ok: ClassVar[Literal[False]] = False
    code: str
    message: str
    source: str | None = None
    status: int
    details: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    is_funding: bool = False
    request_id: str | None = None
    retry_after: float | None = None
    """Seconds to wait before another try, from `details.retryAfter` or the `Retry-After` header."""

    @property
    def provider(self) -> str | None:
        """The vendor that the error is about, when the platform said it."""
        return _text(self.details.get("provider"))

    @property
    def provider_message(self) -> str | None:
        """The vendor's own words, when the platform passed them on."""
        return _text(self.details.get("providerMessage"))

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later without anybody doing something."""
        return self.status in _RETRYABLE or self.status >= 500

    def to_exception(self) -> StatusError:
        """The same as an exception of its status's class (402: `PaymentRequiredError`), and a `TokeniteError`."""
        error = status_class(self.status)(
            self.message,
            code=self.code,
            status=self.status,
            body=self.to_dict(),
            hint=_HINTS.get(self.code),
            request_id=self.request_id,
            retryable=self.retryable,
        )
        error.retry_after = self.retry_after
        return raised(error)

    def raise_for_error(self) -> NoReturn:
        """Raise it.

        Raises:
            StatusError: Always; its class is that of the status.
        """
        raise self.to_exception()

    def to_dict(self) -> dict[str, Any]:
        """The envelope in wire names."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.source is not None:
            error["source"] = self.source
        if self.details:
            error["details"] = dict(self.details)
        return {"error": error}


ProxyResult: TypeAlias = ProxySuccess | ProxyError
"""What a call through the proxy comes to."""

_HINTS = {
    "TOKEN_INVALID": "Let the user sign in again",
    "TOKEN_EXPIRED": "Let the user sign in again; an access token lives 30 days",
    "TOKEN_REVOKED": "The user took the access back; let them sign in again",
    "TOKEN_SUSPENDED": "The user suspended this app; they can resume it in their Tokenite dashboard",
    "MODEL_NOT_ALLOWED": "Use a model of get_access_context().models, or change the app's models",
    "AGENT_SCOPE_MISSING": "Set allowsManagedAgents on the app",
    "BUDGET_EXCEEDED": "Let the user top up: top_up_url(), or call_with_recovery()",
    "CREDITS_DEPLETED": "Let the user top up: top_up_url(), or call_with_recovery()",
    "POOL_EXHAUSTED": "The account's shared budget is used up; its owner can raise it",
    "PROVIDER_KEY_MISSING": "The user must add a key of this provider in their Tokenite dashboard",
    "APP_NOT_FOUND": "Check the client id",
}


@overload
def is_proxy_success(result: ProxyResult) -> TypeIs[ProxySuccess]: ...
@overload
def is_proxy_success(result: object) -> bool: ...
def is_proxy_success(result: object) -> bool:
    """Whether a result, or an envelope as decoded JSON, is a success: it has `provider`, and no `error`."""
    if isinstance(result, Mapping):
        return "provider" in result and "error" not in result
    return isinstance(result, ProxySuccess)


@overload
def is_proxy_error(result: ProxyResult) -> TypeIs[ProxyError]: ...
@overload
def is_proxy_error(result: object) -> bool: ...
def is_proxy_error(result: object) -> bool:
    """Whether a result, or an envelope as decoded JSON, is an error: it has `error`."""
    if isinstance(result, Mapping):
        return "error" in result
    return isinstance(result, ProxyError)


def read_success_envelope(found: Mapping[str, Any], status: int, *, request_id: str | None = None) -> ProxySuccess:
    """The success of an envelope; what stands beside the vendor's body is `None` when it is not as documented.

    Args:
        found: Decoded JSON.
        status: HTTP status.
        request_id: The platform's id of the request.

    Raises:
        DecodeError: It has no `provider`.
    """
    from tollkit_api.runtime.decode import DecodeError, missing, text
    from tollkit_api.tokenite.v2_4.models import TokenUsage

    if "provider" not in found:
        raise missing("provider")
    try:
        usage = TokenUsage.from_dict(found["usage"])
    except (DecodeError, KeyError):
        usage = None
    return ProxySuccess(
        provider=text(found["provider"]),
        model=_text(found.get("model")),
        usage=usage,
        data=found.get("data"),
        status=status,
        request_id=request_id,
    )


def read_error_envelope(
    body: object,
    status: int,
    *,
    funding_codes: frozenset[str],
    retry_after: float | None = None,
    request_id: str | None = None,
) -> ProxyError | None:
    """The error of an envelope; `None` when the body is none.

    Args:
        body: Decoded JSON.
        status: HTTP status.
        funding_codes: Codes that a top-up cures.
        retry_after: The wait that the headers ask for, in seconds.
        request_id: The platform's id of the request.
    """
    told = cast("Mapping[str, Any]", body).get("error") if isinstance(body, Mapping) else None
    if not isinstance(told, Mapping):
        return None
    error = cast("Mapping[str, Any]", told)
    code = error.get("code")
    if not isinstance(code, str):
        return None
    found = error.get("details")
    details = dict(cast("Mapping[str, Any]", found)) if isinstance(found, Mapping) else {}
    wait = details.get("retryAfter")
    if isinstance(wait, int | float) and not isinstance(wait, bool) and 0 <= wait <= sys.float_info.max:
        retry_after = float(wait)
    return ProxyError(
        code=code,
        message=_text(error.get("message")) or code,
        source=_text(error.get("source")),
        status=status,
        details=details,
        is_funding=status == 402 and code in funding_codes,
        request_id=request_id,
        retry_after=retry_after,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
