"""The family of everything that Run402's clients and helpers raise, with the kinds and codes of the platform.

The classes are those of the platform's own client; each error is also of tollkit's tree, so that
`except NotFoundError` catches Run402's 404 as it does every other platform's:

    Run402Error
    ├── PaymentRequired     402                                     (PaymentRequiredError)
    │   └── PaymentNotMadeError     nothing was paid: the policy, a balance or a person said no
    ├── PaymentUncertainError   a payment left, and no whole answer came
    ├── Unauthorized        401, 403                                (AuthenticationError, PermissionDeniedError)
    ├── ApiError            every other error status                (NotFoundError, ConflictError, ...)
    ├── NetworkError        no whole answer came back               (TransportError)
    ├── ProjectNotFound     the credentials do not know the project (LocalError)
    ├── DeployError         a deploy was refused or did not succeed  (tollkit.run402.deploy.errors)
    └── LocalError          nothing was sent                        (LocalError, ArgumentError, ...)

`kind` is the platform's word here. Guards (`is_payment_required(e)`) look at it and not at the class, as the
platform's do.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from tollkit import errors
from tollkit.core import families
from tollkit.errors import TollkitError, brand
from tollkit.oidc.json_values import is_list, is_object

if TYPE_CHECKING:
    from tollkit.run402.payments.record import PaymentRecord, Proof
    from tollkit.run402.x402 import Requirement

__all__ = [
    "ApiError",
    "LocalError",
    "NetworkError",
    "PaymentNotMadeError",
    "PaymentRequired",
    "PaymentUncertainError",
    "ProjectNotFound",
    "Run402Error",
    "Unauthorized",
    "family",
    "is_api_error",
    "is_deploy_error",
    "is_local_error",
    "is_network_error",
    "is_payment_required",
    "is_payment_uncertain",
    "is_project_not_found",
    "is_retryable_run402_error",
    "is_run402_error",
    "is_unauthorized",
    "raised",
]

E = TypeVar("E", bound=TollkitError)
_RETRIED_STATUSES = frozenset({408, 425, 429})


class Run402Error(TollkitError):
    """An error of Run402. `except Run402Error` catches all that its clients and helpers raise.

    Besides what all errors of tollkit have, it reads the platform's error envelope from `body`.

    Args:
        message: What happened.
        code: The platform's code; that of `body` when left out, else the one of the class.
        status: HTTP status of the answer.
        body: The parsed body of the answer.
        hint: What to do about it.
        context: Where it happened.
        request_id: The platform's id of the request.
        retryable: Whether the same call may succeed later; as `body` says when left out, else as the class does.
        safe_to_retry: Whether sending it again cannot do anything twice; as `body` says when left out, else no.
    """

    name: ClassVar[str] = "Run402Error"
    default_category: ClassVar[str | None] = None
    is_run402_error: ClassVar[bool] = True
    """The mark that guards look for; it is the same in every copy of this package."""
    _read_from_body: ClassVar[tuple[str, ...]] = ("retryable", "safe_to_retry")
    """What the platform's word in the body decides."""
    payment: PaymentRecord | None = None
    """The payment that had left before it; `None` when none had. Such a call is not to be sent again unseen."""

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
        safe_to_retry: bool | None = None,
    ) -> None:
        said: Mapping[str, Any] = body if is_object(body) else {}
        super().__init__(
            message,
            code=code,
            status=status,
            body=body,
            hint=hint,
            context=context,
            request_id=request_id,
            retryable=_flag(said.get("retryable")) if retryable is None else retryable,
            safe_to_retry=bool(_flag(said.get("safe_to_retry"))) if safe_to_retry is None else safe_to_retry,
        )
        if code is None and isinstance(said.get("code"), str):
            self.code: str | None = said.get("code")

    def __init_subclass__(cls, **told: Any) -> None:
        super().__init_subclass__(**told)
        of_platform = cls.__dict__.get("_family")
        if of_platform is not None and of_platform.name != Run402Error.name:
            # a class that tollkit's tree and this family share keeps the place in the tree and takes this kind
            setattr(cls, "kind", of_platform.kind)  # noqa: B010 - an assignment would declare it here once more

    @property
    def envelope(self) -> Mapping[str, Any]:
        """The body, when it is a JSON object; else empty."""
        return self.body if is_object(self.body) else {}

    @property
    def details(self) -> Any:
        """`details` of the envelope, whatever it is; `None` when there is none."""
        return self.envelope.get("details")

    @property
    def category(self) -> str | None:
        """The platform's group of the error, such as `auth` or `network`."""
        return _text(self.envelope.get("category")) or self.default_category

    @property
    def mutation_state(self) -> str | None:
        """What has happened to the data: `none`, `not_started`, `committed`, `rolled_back`, `partial`, `unknown`."""
        return _text(self.envelope.get("mutation_state"))

    @property
    def trace_id(self) -> str | None:
        """The platform's id of what happened."""
        return _text(self.envelope.get("trace_id"))

    @property
    def next_actions(self) -> list[Any] | None:
        """What the platform suggests to do."""
        found = self.envelope.get("next_actions")
        return found if is_list(found) else None

    @property
    def doing(self) -> str | None:
        """What was being done, in the words of the platform's client: `checking tier status`."""
        return _text(self.context.get("doing"))

    @property
    def operation_id(self) -> str | None:
        """The deploy operation that it happened in, as soon as there was one; `deploy.resume` takes it."""
        return _text(self.context.get("operation_id"))

    @property
    def plan_id(self) -> str | None:
        """The deploy's plan that it happened with, as soon as there was one."""
        return _text(self.context.get("plan_id"))

    def of_deploy(self, operation_id: str | None, plan_id: str | None) -> None:
        """Note which deploy it happened in, unless that is known already.

        Args:
            operation_id: Of the deploy.
            plan_id: Of its plan.
        """
        for name, known in (("operation_id", operation_id), ("plan_id", plan_id)):
            if known is not None:
                self.context.setdefault(name, known)

    def to_dict(self) -> dict[str, Any]:
        """The error in the platform's canonical form and order; what is not known is left out.

        `retryable` and `safeToRetry` are the platform's word here, as every reader of this form expects. Where it
        says nothing, the attributes are tollkit's judgement: whether the operation is idempotent, what was sent.
        """
        envelope = self.envelope
        optional = {
            "code": self.code,
            "category": self.category,
            "retryable": self._told_retryable(),
            "safeToRetry": self._told_safe(),
            "mutationState": self.mutation_state,
            "traceId": self.trace_id,
            "context": self.doing,
        }
        told: dict[str, Any] = {"name": self.name, "kind": self.kind, "message": self.message, "status": self.status}
        told |= {name: value for name, value in optional.items() if value is not None}
        if "details" in envelope:
            told["details"] = envelope["details"]
        if self.next_actions is not None:
            told["nextActions"] = self.next_actions
        return {**told, "body": self.body}

    def _told_safe(self) -> bool | None:
        said = _flag(self.envelope.get("safe_to_retry"))
        return False if self.payment is not None else said and "safe_to_retry" in self._read_from_body

    def _told_retryable(self) -> bool:
        said = _flag(self.envelope.get("retryable"))
        if self.payment is not None or said is None:
            # of an answer the platform's client has the default of its class, whatever the status
            return self.retryable and not isinstance(self, errors.StatusError)
        return said and "retryable" in self._read_from_body


class PaymentRequired(Run402Error, errors.PaymentRequiredError):
    """402: a payment or a tier is needed first."""

    kind: ClassVar[str] = "payment_required"
    name: ClassVar[str] = "PaymentRequired"
    default_code: ClassVar[str | None] = "PAYMENT_REQUIRED"
    default_category: ClassVar[str | None] = "payment_required"


class PaymentNotMadeError(PaymentRequired):
    """A 402 asked for a payment by x402, and nothing was paid.

    Args:
        message: What happened.
        setting: What said no: a setting of `SpendingPolicy` (`per_call`, `per_day`, `assets`, `networks`,
            `recipients`, `longest`, `ask_above`, `unasked_per_day`), `ask` when the hook did, `balance`, `rail`,
            `https`, or `unusable` when nothing that is offered can be met.
        offers: What was offered.
        told: As of every error.
    """

    name: ClassVar[str] = "PaymentNotMadeError"
    default_status: ClassVar[int | None] = 402
    _read_from_body: ClassVar[tuple[str, ...]] = ()  # the gateway's word is about a call that pays

    def __init__(
        self, message: str, *, setting: str = "unusable", offers: tuple[Requirement, ...] = (), **told: Any
    ) -> None:
        told.setdefault("retryable", False)
        told.setdefault("safe_to_retry", False)
        super().__init__(message, **told)
        self.setting = setting
        self.offers = offers


class PaymentUncertainError(Run402Error):
    """A payment left, and no whole answer came: nobody here knows whether it was carried out.

    It is never sent again by itself. What was sent is in `proof`, and the token's contract tells by `payment.payer`
    and `payment.nonce` whether it was carried out; after `payment.valid_before` it cannot be any more.

    Args:
        payment: What was paid.
        said: What happened.
    """

    kind: ClassVar[str] = "payment_uncertain"
    name: ClassVar[str] = "PaymentUncertainError"
    default_code: ClassVar[str | None] = "PAYMENT_UNCERTAIN"
    default_category: ClassVar[str | None] = "payment_uncertain"

    def __init__(self, payment: PaymentRecord, said: str) -> None:
        settled = payment.state == "settled"
        done = f"was carried out (transaction {payment.transaction})" if settled else "left"
        super().__init__(
            f"A payment of {payment.amount} of {payment.asset} on {payment.network} to {payment.payee} {done},"
            f" and no whole answer came: {said}",
            hint=f"Look for nonce {payment.nonce} of {payment.payer} before you pay again",
            context={"method": payment.method, "url": payment.url},
        )
        # this one always has a payment
        self.payment: PaymentRecord = payment  # pyright: ignore[reportIncompatibleVariableOverride]

    @property
    def proof(self) -> Proof | None:
        """What was sent; a secret until it was carried out or its time is over."""
        return self.payment.proof


class Unauthorized(Run402Error, errors.StatusError):
    """401 or 403: the credentials are missing, wrong, or may not do this."""

    kind: ClassVar[str] = "unauthorized"
    name: ClassVar[str] = "Unauthorized"
    default_code: ClassVar[str | None] = "UNAUTHORIZED"
    default_category: ClassVar[str | None] = "auth"


class ApiError(Run402Error, errors.StatusError):
    """Any other error status."""

    kind: ClassVar[str] = "api_error"
    name: ClassVar[str] = "ApiError"
    default_code: ClassVar[str | None] = "API_ERROR"
    default_category: ClassVar[str | None] = "api"


class NetworkError(Run402Error, errors.TransportError):
    """No whole answer came back."""

    kind: ClassVar[str] = "network_error"
    name: ClassVar[str] = "NetworkError"
    default_code: ClassVar[str | None] = "NETWORK_ERROR"
    default_category: ClassVar[str | None] = "network"


class LocalError(Run402Error, errors.LocalError):
    """Nothing was sent: the caller or the machine must change something first."""

    kind: ClassVar[str] = "local_error"
    name: ClassVar[str] = "LocalError"
    default_code: ClassVar[str | None] = "LOCAL_ERROR"
    default_category: ClassVar[str | None] = "local"


class ProjectNotFound(Run402Error, errors.LocalError):
    """The credentials know no keys of this project; nothing was sent.

    Args:
        project_id: The project.
        doing: What was being done: `running SQL`.
        status: HTTP status, where somebody's credentials asked a server.
        body: What that server answered.
    """

    kind: ClassVar[str] = "project_not_found"
    name: ClassVar[str] = "ProjectNotFound"
    default_code: ClassVar[str | None] = "PROJECT_NOT_FOUND"
    default_category: ClassVar[str | None] = "not_found"

    def __init__(
        self, project_id: str, doing: str | None = None, *, status: int | None = None, body: Any = None
    ) -> None:
        told = f"Project {project_id} not found"
        super().__init__(told, status=status, body=body, context={"doing": doing} if doing else None)
        self.project_id = project_id


# from tollkit's tree to the platform's, the narrower first
_PLATFORM: tuple[tuple[type[TollkitError], type[Run402Error]], ...] = (
    (errors.PaymentRequiredError, PaymentRequired),
    (errors.AuthenticationError, Unauthorized),
    (errors.PermissionDeniedError, Unauthorized),
    (errors.StatusError, ApiError),
    (errors.TransportError, NetworkError),
    (errors.LocalError, LocalError),
    (TollkitError, Run402Error),
)


def raised(error: E, doing: str | None = None) -> E:
    """The error as the platform's class of its kind, for `raise raised(ArgumentError(...))`.

    Args:
        error: An error of tollkit; it stays the same object.
        doing: What was being done, kept in its `context`.
    """
    if not isinstance(error, Run402Error):
        told = next(platform for tree, platform in _PLATFORM if isinstance(error, tree))
        if error.code is None or error.code == error.default_code:
            error.code = told.default_code or error.code
        if isinstance(error, errors.LocalError):
            error.status = None  # no server said anything
        elif isinstance(error, errors.DecodeError):
            error.status = error.context.get("http_status")  # the true one, which is no failure of the server's
        brand(error, told)
    of_platform = cast("Run402Error", error)
    if of_platform.payment is not None:
        return _doing(error, doing)  # whatever the platform says: it would be paid for twice
    for name in of_platform._read_from_body:  # again each time: what sends it has an opinion of its own
        said = of_platform.envelope.get(name)
        if isinstance(said, bool):
            setattr(error, name, said)
    return _doing(error, doing)


def _doing(error: E, doing: str | None) -> E:
    if doing:
        error.context.setdefault("doing", doing)
    return error


def family() -> AbstractContextManager[None]:
    """Errors of tollkit that leave the block do so as Run402's, and with nothing left in the frames within it."""
    return families.family(Run402Error)


def is_run402_error(error: object) -> bool:
    """Whether it is an error of Run402, of this copy of the package or another."""
    return getattr(error, "is_run402_error", None) is True


def _is(error: object, kind: str) -> bool:
    return is_run402_error(error) and getattr(error, "kind", None) == kind


def is_payment_required(error: object) -> bool:
    """Whether a payment is needed first (402)."""
    return _is(error, PaymentRequired.kind)


def is_payment_uncertain(error: object) -> bool:
    """Whether a payment left and no whole answer came."""
    return _is(error, PaymentUncertainError.kind)


def is_project_not_found(error: object) -> bool:
    """Whether the credentials do not know the project."""
    return _is(error, ProjectNotFound.kind)


def is_unauthorized(error: object) -> bool:
    """Whether the credentials were refused (401, 403)."""
    return _is(error, Unauthorized.kind)


def is_api_error(error: object) -> bool:
    """Whether the gateway answered with another error status."""
    return _is(error, ApiError.kind)


def is_network_error(error: object) -> bool:
    """Whether no whole answer came back."""
    return _is(error, NetworkError.kind)


def is_local_error(error: object) -> bool:
    """Whether nothing was sent."""
    return _is(error, LocalError.kind)


def is_deploy_error(error: object) -> bool:
    """Whether a deploy was refused or did not succeed (`tollkit.run402.deploy.errors.DeployError`)."""
    return _is(error, "deploy_error")


def is_retryable_run402_error(error: object) -> bool:
    """Whether the same call may succeed later: the platform's rule.

    It says so itself (`retryable`, `safe_to_retry`), no answer came, or the status is 408, 425, 429 or 5xx. What a
    payment had left for is not, since it would be paid for twice.
    """
    if not is_run402_error(error) or getattr(error, "payment", None) is not None:
        return False
    if isinstance(error, PaymentNotMadeError | errors.InsecureTransportError):  # decided here, and again next time
        return False
    # not the attribute `safe_to_retry`: that sending it again does no harm does not say that it would help
    said: object = getattr(error, "envelope", None)
    if getattr(error, "retryable", None) is True or (is_object(said) and said.get("safe_to_retry") is True):
        return True
    status = getattr(error, "status", None)
    return _is(error, NetworkError.kind) or (
        isinstance(status, int) and (status in _RETRIED_STATUSES or status >= 500)
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
