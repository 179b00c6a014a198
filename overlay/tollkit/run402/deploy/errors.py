"""The error of a deploy, and what other errors become on the way of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tollkit.errors import TollkitError
from tollkit.oidc.json_values import is_list, is_object
from tollkit.run402.errors import ApiError, NetworkError, Run402Error, raised

__all__ = ["DeployError", "failed_deploy", "translated"]


class DeployError(Run402Error):
    """A deploy that was refused or did not succeed.

    Args:
        message: What happened.
        code: The platform's code in capitals (`MIGRATION_FAILED`), or one that this package gives.
        phase: Where it happened: `validate`, `plan`, `upload`, `commit`, a status of the operation.
        resource: What it is about: a field of the spec, a file, a migration.
        retryable: Whether the same deploy may succeed later.
        operation_id: The operation, as soon as there is one; `deploy.resume` takes it.
        plan_id: The plan, as soon as there is one.
        fix: What to change, as the platform says it: `{"action": "set_field", "path": "project"}`.
        logs: Lines of the platform, of a build for example.
        rolled_back: Whether the platform has taken back what it did.
        status: HTTP status, when an answer said so.
        body: The envelope of the platform; `category`, `mutation_state`, `trace_id`, `details` and `next_actions`
            are read from it.
        hint: What to do about it.
        doing: What was being done: `planning deploy`.
        safe_to_retry: Whether a repetition cannot do anything twice; what the body says wins.
        context: Further facts.
    """

    kind: ClassVar[str] = "deploy_error"
    name: ClassVar[str] = "Run402DeployError"
    _read_from_body: ClassVar[tuple[str, ...]] = ("safe_to_retry",)

    def __init__(
        self,
        message: str,
        *,
        code: str,
        phase: str | None = None,
        resource: str | None = None,
        retryable: bool = False,
        operation_id: str | None = None,
        plan_id: str | None = None,
        fix: Mapping[str, Any] | None = None,
        logs: list[Any] | None = None,
        rolled_back: bool = False,
        status: int | None = None,
        body: Any = None,
        hint: str | None = None,
        doing: str | None = None,
        safe_to_retry: bool = False,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            message,
            code=code,
            status=status,
            body=body,
            hint=hint,
            context=context,
            retryable=retryable,
            safe_to_retry=safe_to_retry,
        )
        self.phase = phase
        self.resource = resource
        self.fix = fix
        self.logs = logs
        self.rolled_back = rolled_back
        self.of_deploy(operation_id, plan_id)
        raised(self, doing)

    def to_dict(self) -> dict[str, Any]:
        """The error in the platform's canonical form and order."""
        return {
            **super().to_dict(),
            "phase": self.phase,
            "resource": self.resource,
            "operationId": self.operation_id,
            "planId": self.plan_id,
            "fix": self.fix,
            "logs": self.logs,
            "rolledBack": self.rolled_back,
        }


def translated(
    error: TollkitError, phase: str, *, operation_id: str | None = None, plan_id: str | None = None
) -> TollkitError:
    """The error as a step of a deploy raises it: refusals and failures of that step are `DeployError`s.

    `PaymentRequired` and `Unauthorized` stay what they are, as with the platform's client, and so does whatever is
    the caller's own doing (`LocalError`); they learn which operation and plan they are of.

    Args:
        error: What sending raised.
        phase: The step: `plan`, `commit`, `resume`, `events`.
        operation_id: The operation, when it is known.
        plan_id: The plan, when it is known.
    """
    made: TollkitError
    if isinstance(error, ApiError):
        recognised = _recognised(error.body)
        if recognised is not None:
            envelope, body = recognised
            made = failed_deploy(
                envelope, phase, operation_id=operation_id, plan_id=plan_id, status=error.status, body=body
            )
        else:
            made = DeployError(
                error.message,
                code="INTERNAL_ERROR",
                phase=phase,
                retryable=(error.status or 0) >= 500,
                operation_id=operation_id,
                plan_id=plan_id,
                status=error.status,
                body=error.body,
                doing=error.doing,
            )
        made.safe_to_retry = made.safe_to_retry or error.safe_to_retry
    elif isinstance(error, NetworkError):
        made = DeployError(
            error.message,
            code="NETWORK_ERROR",
            phase=phase,
            retryable=error.retryable,
            operation_id=operation_id,
            plan_id=plan_id,
            doing=phase,
            safe_to_retry=error.safe_to_retry,
        )
    else:
        if isinstance(error, Run402Error):
            error.of_deploy(operation_id, plan_id)
        return error
    made.request_id, made.hint = error.request_id, error.hint
    made.context = {**error.context, **made.context}
    payment: object = getattr(error, "payment", None)
    if payment is not None:  # after a payment nothing is sent again by itself
        vars(made)["payment"] = payment
        made.retryable = made.safe_to_retry = False
    return made


def failed_deploy(
    envelope: Any,
    phase: str,
    *,
    operation_id: str | None = None,
    plan_id: str | None = None,
    status: int | None = None,
    body: Any = None,
) -> DeployError:
    """The error for what the platform says of a failure: an error answer, or the `error` of an operation.

    Args:
        envelope: The object with `code`; anything else makes an `INTERNAL_ERROR`.
        phase: Where it happened, when the envelope does not say.
        operation_id: The operation, when the envelope does not say.
        plan_id: The plan, when the envelope does not say.
        status: HTTP status, when it came as an answer.
        body: The whole answer, when the envelope was taken out of it.
    """
    if not is_object(envelope):
        return DeployError(
            f"Deploy failed in phase {phase}; the platform does not say why",
            code="INTERNAL_ERROR",
            phase=phase,
            operation_id=operation_id,
            plan_id=plan_id,
            status=status,
            body=body,
            doing=phase,
        )
    inner: Any = envelope.get("details")
    details: Mapping[str, Any] = inner if is_object(inner) else {}

    def own(name: str) -> Any:
        found = envelope.get(name)
        return details.get(name) if found is None else found

    given = envelope.get("code")
    code = given.upper() if isinstance(given, str) and given else "INTERNAL_ERROR"
    fix, logs = own("fix"), own("logs")
    return DeployError(
        _text(envelope.get("message")) or f"Deploy failed: {code}",
        code=code,
        phase=_text(own("phase")) or phase,
        resource=_text(own("resource")),
        retryable=own("retryable") is True,
        operation_id=_text(own("operation_id")) or operation_id,
        plan_id=_text(own("plan_id")) or plan_id,
        fix=fix if is_object(fix) else None,
        logs=list(logs) if is_list(logs) else None,
        rolled_back=own("rolled_back") is True,
        status=status,
        body=envelope if body is None else body,
        doing=phase,
    )


_FILLED: tuple[tuple[str, type | tuple[type, ...]], ...] = (
    ("category", str),
    ("retryable", bool),
    ("safe_to_retry", bool),
    ("mutation_state", str),
    ("trace_id", str),
    ("details", Mapping),
    ("next_actions", list),
)
"""What an error within an error takes from the outer one, and of which kind it must be there."""


def _recognised(body: Any) -> tuple[Mapping[str, Any], Any] | None:
    """The envelope in an error answer, and the body that the error shows; `None` when there is none."""
    if not is_object(body):
        return None
    inner: Any = body.get("error")
    if is_object(inner) and isinstance(inner.get("code"), str):
        filled = dict(inner)
        for name, kind in _FILLED:
            outer = body.get(name)
            if filled.get(name) is None and isinstance(outer, kind):
                filled[name] = outer
        return filled, filled
    code = body.get("code")
    if not isinstance(code, str):
        return None
    details: Any = body.get("details")
    of_details = details.get("message") if is_object(details) else None
    texts = (body.get("message"), body.get("error"), of_details)
    message = next((text for text in texts if isinstance(text, str)), f"Deploy error: {code}")
    return {**body, "message": message}, body


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
