"""What a deploy tells while it runs: a union of frozen types, told apart by class or by `type`.

    for event in operation.events():
        match event:
            case UploadProgress(label=label, done=done, total=total): ...
            case CommitPhase(phase=phase, status=status): ...

`to_dict()` gives the platform's own form, in camelCase, as its stream of events has it. `HashProgress` and
`UploadBytes` are of this package: the platform's client does not tell them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import attrs

if TYPE_CHECKING:
    from tollkit_api.run402.v1_57.models import DeployWarning, PlanDiff

__all__ = [
    "CommitPhase",
    "DeployEvent",
    "HashProgress",
    "LogLine",
    "OtherEvent",
    "PaymentAsked",
    "PaymentMade",
    "PlanDiffed",
    "PlanStarted",
    "PlanWarned",
    "Ready",
    "UploadBytes",
    "UploadProgress",
    "UploadSkipped",
    "event_from_dict",
]


@attrs.frozen
class PlanStarted:
    """The deploy begins; nothing was checked or sent yet."""

    type: ClassVar[Literal["plan.started"]] = "plan.started"

    def to_dict(self) -> dict[str, Any]:
        """In the platform's form."""
        return {"type": self.type}


@attrs.frozen
class HashProgress:
    """Content is being hashed. Of this package.

    Attributes:
        files: How many sources are done.
        total_files: Of how many.
        bytes: How many bytes are hashed.
        total_bytes: Of how many; sizes of streams are not known before.
    """

    type: ClassVar[Literal["content.hash.progress"]] = "content.hash.progress"
    files: int
    total_files: int
    bytes: int
    total_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """In the form that the platform's events have."""
        return {
            "type": self.type,
            "files": self.files,
            "totalFiles": self.total_files,
            "bytes": self.bytes,
            "totalBytes": self.total_bytes,
        }


@attrs.frozen
class PlanDiffed:
    """The platform has planned the release.

    Attributes:
        diff: What it would change.
    """

    type: ClassVar[Literal["plan.diff"]] = "plan.diff"
    diff: PlanDiff

    def to_dict(self) -> dict[str, Any]:
        """In the platform's form."""
        return {"type": self.type, "diff": self.diff.to_dict()}


@attrs.frozen
class PlanWarned:
    """The platform has something to say about the plan.

    Attributes:
        warnings: What.
    """

    type: ClassVar[Literal["plan.warnings"]] = "plan.warnings"
    warnings: Sequence[DeployWarning]

    def to_dict(self) -> dict[str, Any]:
        """In the platform's form."""
        return {"type": self.type, "warnings": [warning.to_dict() for warning in self.warnings]}


@attrs.frozen
class PaymentAsked:
    """The platform says what the deploy costs; it goes on all the same.

    Attributes:
        amount: Price, in the asset's smallest unit or as the platform writes it.
        asset: What to pay with.
        pay_to: Who gets it.
        reason: What for.
    """

    type: ClassVar[Literal["payment.required"]] = "payment.required"
    amount: str
    asset: str
    pay_to: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """In the platform's form."""
        return {
            "type": self.type,
            "amount": self.amount,
            "asset": self.asset,
            "payTo": self.pay_to,
            "reason": self.reason,
        }


@attrs.frozen
class PaymentMade:
    """It was paid. The platform alone tells this, in the events of an operation.

    Attributes:
        tx: The transaction.
    """

    type: ClassVar[Literal["payment.paid"]] = "payment.paid"
    tx: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """In the platform's form."""
        return {"type": self.type} if self.tx is None else {"type": self.type, "tx": self.tx}


@attrs.frozen
class UploadSkipped:
    """Content that need not be uploaded.

    Attributes:
        label: The file, or the hash when it has no name.
        sha256: Its hash.
        reason: `present`: the platform has it; `satisfied_by_plan`.
    """

    type: ClassVar[Literal["content.upload.skipped"]] = "content.upload.skipped"
    label: str
    sha256: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """In the platform's form."""
        return {"type": self.type, "label": self.label, "sha256": self.sha256, "reason": self.reason}


@attrs.frozen
class UploadProgress:
    """Content was uploaded, all of it.

    Attributes:
        label: The file, or the hash when it has no name.
        sha256: Its hash.
        done: How many are uploaded.
        total: How many there are to upload.
    """

    type: ClassVar[Literal["content.upload.progress"]] = "content.upload.progress"
    label: str
    sha256: str
    done: int
    total: int

    def to_dict(self) -> dict[str, Any]:
        """In the platform's form."""
        return {
            "type": self.type,
            "label": self.label,
            "sha256": self.sha256,
            "done": self.done,
            "total": self.total,
        }


@attrs.frozen
class UploadBytes:
    """Bytes have left; told a few times a second. Bytes that have to be sent again are taken back. Of this package.

    Attributes:
        sent: How many, of all content of this deploy.
        total: Of how many.
    """

    type: ClassVar[Literal["content.upload.bytes"]] = "content.upload.bytes"
    sent: int
    total: int

    def to_dict(self) -> dict[str, Any]:
        """In the form that the platform's events have."""
        return {"type": self.type, "sent": self.sent, "total": self.total}


@attrs.frozen
class CommitPhase:
    """A phase of the commit begins or ends.

    Attributes:
        phase: `validate`, `stage`, `migrate-gate`, `migrate`, `schema-settle`, `activate` or `ready`.
        status: `started`, `done` or `failed`. `activate` that failed is tried again by the platform.
    """

    type: ClassVar[Literal["commit.phase"]] = "commit.phase"
    phase: str
    status: str

    def to_dict(self) -> dict[str, Any]:
        """In the platform's form."""
        return {"type": self.type, "phase": self.phase, "status": self.status}


@attrs.frozen
class LogLine:
    """A line of a log. The platform alone tells this, in the events of an operation.

    Attributes:
        resource: What it is about.
        stream: `stdout` or `stderr`.
        line: The line.
    """

    type: ClassVar[Literal["log"]] = "log"
    resource: str
    stream: str
    line: str

    def to_dict(self) -> dict[str, Any]:
        """In the platform's form."""
        return {"type": self.type, "resource": self.resource, "stream": self.stream, "line": self.line}


@attrs.frozen
class Ready:
    """The release is live.

    Attributes:
        release_id: The release.
        urls: Where it can be seen, by name.
    """

    type: ClassVar[Literal["ready"]] = "ready"
    release_id: str
    urls: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """In the platform's form."""
        return {"type": self.type, "releaseId": self.release_id, "urls": dict(self.urls)}


@attrs.frozen
class OtherEvent:
    """An event of the platform that this package does not know, or that is not of the known form.

    Attributes:
        type: Its kind.
        data: All of it.
    """

    type: str
    data: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As it came."""
        return dict(self.data)


DeployEvent: TypeAlias = (
    PlanStarted
    | HashProgress
    | PlanDiffed
    | PlanWarned
    | PaymentAsked
    | PaymentMade
    | UploadSkipped
    | UploadProgress
    | UploadBytes
    | CommitPhase
    | LogLine
    | Ready
    | OtherEvent
)
"""Everything that a deploy tells."""


def event_from_dict(data: Mapping[str, Any]) -> DeployEvent:
    """An event of the platform, from its JSON; an `OtherEvent` when it is of no known form."""
    known = _KINDS.get(str(data.get("type")))
    if known is not None:
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            made: DeployEvent = _read(known, data)
            return made
    return OtherEvent(str(data.get("type", "")), data)


_KINDS: dict[str, type[Any]] = {
    kind.type: kind
    for kind in (
        PlanStarted,
        HashProgress,
        PlanDiffed,
        PlanWarned,
        PaymentAsked,
        PaymentMade,
        UploadSkipped,
        UploadProgress,
        UploadBytes,
        CommitPhase,
        LogLine,
        Ready,
    )
}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError
    return value


def _diff(value: Any) -> PlanDiff:
    from tollkit_api.run402.v1_57.models import PlanDiff

    return PlanDiff.from_dict(value)


def _warnings(value: Any) -> tuple[DeployWarning, ...]:
    from tollkit_api.run402.v1_57.models import DeployWarning

    return tuple(DeployWarning.from_dict(item) for item in value)


_FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "diff": ("diff", _diff),
    "warnings": ("warnings", _warnings),
    "urls": ("urls", lambda value: {_text(name): _text(url) for name, url in value.items()}),
    "tx": ("tx", lambda value: None if value is None else _text(value)),
    "files": ("files", _whole),
    "total_files": ("totalFiles", _whole),
    "bytes": ("bytes", _whole),
    "total_bytes": ("totalBytes", _whole),
    "done": ("done", _whole),
    "total": ("total", _whole),
    "sent": ("sent", _whole),
    "pay_to": ("payTo", _text),
    "release_id": ("releaseId", _text),
}
"""The fields that are no text, or that have another name on the wire."""


def _read(kind: type[Any], data: Mapping[str, Any]) -> Any:
    found: dict[str, Any] = {}
    for field in attrs.fields(kind):
        name, read = _FIELDS.get(field.name, (field.name, _text))
        found[field.name] = read(data.get(name))
    return kind(**found)
