"""Every error that tollkit raises.

    TollkitError
    ├── LocalError                       nothing was sent: the caller or the machine must change something
    │   ├── ArgumentError                an argument is missing or wrong (also a ValueError); `.argument`
    │   ├── ConfigurationError           a setting or environment variable is missing or wrong
    │   ├── MissingExtraError            an optional dependency is not installed (also an ImportError)
    │   └── CancelledError               the caller cancelled a long operation
    ├── TransportError                   sent, or tried to send, and no whole answer came back
    │   ├── ConnectError                 no connection: nothing of the request left
    │   ├── RequestTimeoutError          no answer in time (also a TimeoutError)
    │   └── InsecureTransportError       refused to send over plain http
    ├── StatusError                      the server answered with an error status
    │   ├── BadRequestError              400
    │   ├── AuthenticationError          401
    │   ├── PaymentRequiredError         402
    │   ├── PermissionDeniedError        403
    │   ├── NotFoundError                404
    │   ├── ConflictError                409
    │   ├── UnprocessableEntityError     422
    │   ├── RateLimitError               429; `.retry_after`
    │   └── ServerError                  5xx
    ├── OAuthError                       an OAuth 2.0 error answer; `.error`, `.error_description`
    │   └── DeviceFlowError              the device flow ended without tokens
    ├── DecodeError                      a success status with a body that is not what the document says
    └── TokenError                       a token that was checked and refused; `.code` says why

Errors are always raised, never returned. Each has `kind` (one word a program can branch on, the same for all
platforms), `code` (the platform's own code), `status` (an HTTP status), `body`, `context`, `request_id`,
`retryable`, `safe_to_retry` and `to_dict()`. `message` is the platform's own text; `str(error)` leads with
what to do about it. A platform's client brands what it raises with the platform's family
(`tollkit.pymthouse.PmtHouseError`), so that one `except` catches all of one platform.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

if TYPE_CHECKING:
    from tollkit_api.runtime import Secret

__all__ = [
    "ArgumentError",
    "AuthenticationError",
    "BadRequestError",
    "CancelledError",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "DecodeError",
    "DeviceFlowError",
    "InsecureTransportError",
    "LocalError",
    "MissingExtraError",
    "NotFoundError",
    "OAuthError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTimeoutError",
    "ServerError",
    "StatusError",
    "TokenError",
    "TollkitError",
    "TransportError",
    "UnprocessableEntityError",
]

E = TypeVar("E", bound="TollkitError")


class TollkitError(Exception):
    """Base of every error that tollkit raises.

    Args:
        message: What happened, in the words of the platform where it said something.
        code: The platform's code, or tollkit's where the platform has none.
        status: HTTP status of the answer, or the one that a server of yours should pass on.
        body: The parsed body of the answer, or other details as a mapping.
        hint: What to do about it; `str(error)` leads with it.
        context: Where it happened: operation, method, url (without query), attempts.
        request_id: The platform's id of the request, when it gave one.
        retryable: Whether the same call may succeed later.
        safe_to_retry: Whether sending it again cannot do anything twice.
    """

    kind: ClassVar[str] = "error"
    default_code: ClassVar[str | None] = None
    default_status: ClassVar[int | None] = None
    default_retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        body: Any = None,
        hint: str | None = None,
        context: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        retryable: bool | None = None,
        safe_to_retry: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code: str | None = code if code is not None else self.default_code
        self.status: int | None = status if status is not None else self.default_status
        self.body: Any = body
        self.hint = hint
        self.context: dict[str, Any] = dict(context or {})
        self.request_id = request_id
        self.retryable: bool = self.default_retryable if retryable is None else retryable
        self.safe_to_retry = safe_to_retry

    @property
    def details(self) -> Mapping[str, Any]:
        """The body as a mapping; empty when the answer had none."""
        body: object = self.body
        return cast("Mapping[str, Any]", body) if isinstance(body, Mapping) else {}

    def __str__(self) -> str:
        hint = self.hint or ""
        if hint and not hint.endswith(("?", "!")):
            hint = f"{hint.rstrip('.')}."
        text = f"{hint} {self.message}" if hint else self.message
        facts = [
            f"HTTP {self.status}" if self._tells_status() else "",
            f"code {self.code}" if self.code and self.code != self.message else "",
            str(self.context.get("operation") or ""),
            f"request id {self.request_id}" if self.request_id else "",
        ]
        told = ", ".join(fact for fact in facts if fact)
        return f"{text} ({told})" if told else text

    def _tells_status(self) -> bool:
        # a status that no server gave would mislead whoever reads a log
        return (
            self.status is not None and not isinstance(self, LocalError) and f"HTTP {self.status}" not in self.message
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (*_unbranded(type(self)), self.__dict__)

    def to_dict(self) -> dict[str, Any]:
        """The error as plain data for logs and APIs; holds no secret that tollkit sent."""
        return {
            "kind": self.kind,
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "status": self.status,
            "body": self.body,
            "context": dict(self.context),
            "request_id": self.request_id,
            "retryable": self.retryable,
            "safe_to_retry": self.safe_to_retry,
        }


class LocalError(TollkitError):
    """Nothing was sent: the caller or the machine must change something first."""

    kind: ClassVar[str] = "local"


class ArgumentError(LocalError, ValueError):
    """An argument is missing or wrong; nothing was sent.

    Args:
        argument: Name of the argument, as in the signature.
        problem: What is wrong with it and what to give instead, e.g. `"must not be empty"`.
        code: Code of the platform's own client for this case, where it has one.
        status: Status that goes with it, 400 unless told otherwise.
        message: The whole message, where the platform's own client has a fixed text.
    """

    kind: ClassVar[str] = "argument"
    default_code: ClassVar[str | None] = "invalid_argument"
    default_status: ClassVar[int | None] = 400

    def __init__(
        self,
        argument: str,
        problem: str,
        *,
        code: str | None = None,
        status: int | None = None,
        message: str | None = None,
        body: Any = None,
    ) -> None:
        super().__init__(
            message or f"{argument}: {problem}",
            code=code,
            status=status,
            body=body,
            hint=f"{argument} {problem}" if message else None,
            context={"argument": argument},
        )
        self.argument = argument
        self.problem = problem


class ConfigurationError(LocalError):
    """A setting or an environment variable is missing or wrong."""

    kind: ClassVar[str] = "configuration"
    default_code: ClassVar[str | None] = "configuration"


class MissingExtraError(LocalError, ImportError):
    """An optional dependency is not installed.

    Args:
        feature: What was asked for, e.g. `"JWT verification"`.
        extra: The extra of tollkit that brings it, e.g. `"oidc"`.
    """

    kind: ClassVar[str] = "missing_extra"
    default_code: ClassVar[str | None] = "missing_extra"

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional dependency: pip install 'tollkit[{extra}]'")
        self.extra = extra


class CancelledError(LocalError):
    """The caller cancelled a long operation such as a device flow."""

    kind: ClassVar[str] = "cancelled"
    default_code: ClassVar[str | None] = "cancelled"


class TransportError(TollkitError):
    """No whole answer came back; whether the server acted is unknown unless `safe_to_retry`."""

    kind: ClassVar[str] = "network"
    default_code: ClassVar[str | None] = "network_error"
    default_retryable: ClassVar[bool] = True


class ConnectError(TransportError):
    """No connection could be made; nothing of the request left, so it is safe to send again."""

    kind: ClassVar[str] = "connect"
    default_code: ClassVar[str | None] = "connect_error"


class RequestTimeoutError(TransportError, TimeoutError):
    """No answer came in time."""

    kind: ClassVar[str] = "timeout"
    default_code: ClassVar[str | None] = "timeout"


class InsecureTransportError(TransportError):
    """Plain http where https is required; nothing was sent."""

    kind: ClassVar[str] = "insecure_transport"
    default_code: ClassVar[str | None] = "insecure_transport"
    default_retryable: ClassVar[bool] = False


class StatusError(TollkitError):
    """The server answered with an error status; the base of one class a status.

    `retry_after` is the wait in seconds that the answer asked for, `None` when it did not.
    """

    kind: ClassVar[str] = "status"
    retry_after: float | None = None


class BadRequestError(StatusError):
    """400: the platform refused the request as it stands."""

    kind: ClassVar[str] = "bad_request"


class AuthenticationError(StatusError):
    """401: credentials are missing, wrong or expired."""

    kind: ClassVar[str] = "unauthorized"


class PaymentRequiredError(StatusError):
    """402: a payment or a budget is needed first."""

    kind: ClassVar[str] = "payment_required"


class PermissionDeniedError(StatusError):
    """403: the credentials are good but may not do this."""

    kind: ClassVar[str] = "forbidden"


class NotFoundError(StatusError):
    """404: no such thing, or the platform hides it from these credentials (see `hint`)."""

    kind: ClassVar[str] = "not_found"


class ConflictError(StatusError):
    """409: the state of the thing does not allow it now."""

    kind: ClassVar[str] = "conflict"


class UnprocessableEntityError(StatusError):
    """422: well-formed, but the values cannot be used."""

    kind: ClassVar[str] = "unprocessable"


class RateLimitError(StatusError):
    """429: too many requests; see `retry_after`."""

    kind: ClassVar[str] = "rate_limited"
    default_retryable: ClassVar[bool] = True


class ServerError(StatusError):
    """5xx: the platform failed."""

    kind: ClassVar[str] = "server"
    default_retryable: ClassVar[bool] = True


class OAuthError(TollkitError):
    """An error answer of an OAuth 2.0 endpoint (RFC 6749 section 5.2).

    `error`, `error_description` and `error_uri` are as received; `code` equals `error`.
    """

    kind: ClassVar[str] = "oauth"
    error: str = "server_error"
    error_description: str | None = None
    error_uri: str | None = None


class DeviceFlowError(OAuthError):
    """The device flow (RFC 8628) ended without tokens: denied, expired, or out of time."""

    kind: ClassVar[str] = "device_flow"


class DecodeError(TollkitError):
    """A success status came with a body that is not what the document says.

    `path` is the place in the body (`$.byUser[17].requestCount`), empty when the whole body is unusable. `answer` is
    the body as it came, for what must not be lost; it may hold tokens, and does not show itself.
    """

    kind: ClassVar[str] = "decode"
    default_code: ClassVar[str | None] = "invalid_response"
    default_status: ClassVar[int | None] = 502
    path: str = ""
    answer: Secret | None = None


class TokenError(TollkitError):
    """A token was checked and refused; do not accept the request that carried it."""

    kind: ClassVar[str] = "token_invalid"
    default_code: ClassVar[str | None] = "invalid_token"


_BY_STATUS: dict[int, type[StatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def status_class(status: int) -> type[StatusError]:
    """The class for an HTTP status."""
    return _BY_STATUS.get(status) or (ServerError if status >= 500 else StatusError)


# A client's errors belong to two trees at once, the one above and its platform's family. Writing each pair
# out would be twenty classes a platform, so the pairs are made when first needed.
_branded: dict[tuple[type[TollkitError], type[TollkitError]], type[TollkitError]] = {}


def brand(error: E, family: type[TollkitError]) -> E:
    """Make `error` an instance of `family` too, in place; traceback, cause and attributes stay."""
    own: type[TollkitError] = type(error)
    if not issubclass(own, family):
        object.__setattr__(error, "__class__", _brand_class(own, family))
    return error


def _brand_class(own: type[TollkitError], family: type[TollkitError]) -> type[TollkitError]:
    if issubclass(family, own):
        return family
    made = _branded.get((own, family))
    if made is None:
        told = {"__module__": own.__module__, "__doc__": own.__doc__, "_family": family}
        made = _branded.setdefault((own, family), type(own.__name__, (own, family), told))
    return made


def _unbranded(cls: type[TollkitError]) -> tuple[type[TollkitError], tuple[type[TollkitError], ...]]:
    families: tuple[type[TollkitError], ...] = ()
    while "_family" in cls.__dict__:
        families = (cls.__dict__["_family"], *families)
        cls = cls.__bases__[0]
    return cls, families


def _rebuild(
    cls: type[TollkitError], families: tuple[type[TollkitError], ...], state: dict[str, Any]
) -> TollkitError:
    for family in families:
        cls = _brand_class(cls, family)
    error = cls.__new__(cls, state["message"])
    error.args = (state["message"],)
    error.__dict__.update(state)
    return error
