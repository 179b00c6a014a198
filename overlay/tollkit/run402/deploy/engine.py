"""A deploy from its spec to the live release: plan, upload, commit, watch.

Nothing that counts is done twice. Planning and uploading change nothing, so both may be repeated. A commit whose
answer was lost is sent again only with an idempotency key, or after the operation said that it was not committed;
after a payment has left, never. From the commit on the platform works by itself, and everything here only looks.
"""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, cast

import attrs

from tollkit.core.answers import path_part
from tollkit.core.arguments import required_text
from tollkit.core.flows import Flow, Sleep, offload
from tollkit.errors import ArgumentError, DecodeError, StatusError, TollkitError, TransportError
from tollkit.oidc.json_values import is_list, is_object
from tollkit.run402.credentials import ask, is_ci_session_credentials
from tollkit.run402.deploy.errors import DeployError, failed_deploy, translated
from tollkit.run402.deploy.events import (
    CommitPhase,
    HashProgress,
    PaymentAsked,
    PlanDiffed,
    PlanStarted,
    PlanWarned,
    Ready,
    UploadSkipped,
)
from tollkit.run402.deploy.telling import EventCallback, Teller
from tollkit.run402.deploy.upload import MAX_UPLOADS, Uploadable, Uploader
from tollkit.run402.errors import raised
from tollkit.run402.namespaces.checks import preparing, whole
from tollkit.run402.parts import RETRIED, again
from tollkit_api.runtime import answers, encode

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit.run402.credentials import ProjectKeys
    from tollkit.run402.deploy.spec import Prepared
    from tollkit.run402.errors import Run402Error
    from tollkit_api.run402.v1_57.models import DeployOperation, DeployWarning, MissingContent, Plan, PlanDiff
    from tollkit_api.runtime import HttpResponse, Operation, Request
    from tollkit_api.shapes.release_spec import ReleaseSpec

Spec: TypeAlias = "ReleaseSpec | Mapping[str, Any]"
"""What is deployed: a `ReleaseSpec`, or any mapping of its form."""

__all__ = [
    "INLINE_LIMIT",
    "MANIFEST_TYPE",
    "POLL_INTERVAL",
    "TERMINAL",
    "TIMEOUT",
    "DeployResult",
    "Deployment",
    "Planned",
    "Settings",
    "Spec",
    "operation_of",
]

INLINE_LIMIT = 5 * 1024 * 1024
"""Bytes of the largest plan that is sent as it is; what is larger is uploaded first."""
MANIFEST_TYPE = "application/vnd.run402.deploy-manifest+json"
POLL_INTERVAL = 1.0
"""Seconds between two looks at an operation."""
TIMEOUT = 600.0
"""Seconds that a deploy may take from its commit on."""
_SLOWER_AFTER = 30.0
_SLOWEST = 30_000
_ATTEMPTS = 3
"""How often a commit or a resumption is sent at most, each time after the operation said that nobody heard it."""
TERMINAL = frozenset({"ready", "failed", "rolled_back", "needs_repair"})
"""The statuses after which nothing comes by itself."""
_NOT_COMMITTED = frozenset({"planning", "uploading"})
_HELD = frozenset({*_NOT_COMMITTED, "activation_pending", "needs_repair", "failed", "rolled_back"})
"""Where an operation stays until somebody resumes it."""
_PHASES: Mapping[str, tuple[str, str]] = {
    "staging": ("stage", "started"),
    "gating": ("migrate-gate", "started"),
    "migrating": ("migrate", "started"),
    "schema_settling": ("schema-settle", "started"),
    "activating": ("activate", "started"),
    "activation_pending": ("activate", "failed"),
}
"""What is told when an operation comes to a status."""
_UNSET_SECRET = "MISSING_REQUIRED_SECRET"  # noqa: S105 - the code of a warning
_POLLING = "polling deploy operation"
_FETCHING = "fetching deploy operation"
_RESUMING = "resuming deploy operation"


@attrs.frozen
class DeployResult:
    """A release that is live.

    Attributes:
        release_id: The release.
        operation_id: The operation that made it.
        urls: Where it can be seen, by name; which names there are depends on the platform's age.
        diff: What it changed, as planned; empty when this call did not plan it.
        warnings: What the platform said of the plan.
    """

    release_id: str
    operation_id: str
    urls: Mapping[str, str]
    diff: PlanDiff
    warnings: Sequence[DeployWarning]

    def to_dict(self) -> dict[str, Any]:
        """In the platform's form."""
        return {
            "release_id": self.release_id,
            "operation_id": self.operation_id,
            "urls": dict(self.urls),
            "diff": self.diff.to_dict(),
            "warnings": [warning.to_dict() for warning in self.warnings],
        }


@attrs.frozen
class Planned:
    """A plan, and the content that it may ask for: what `deploy.upload` takes.

    Attributes:
        project_id: The project.
        plan: The plan, with what is missing, what would change, and warnings.
        contents: Everything that the spec brings, by hash.
    """

    project_id: str
    plan: Plan
    contents: Mapping[str, Uploadable] = attrs.field(repr=lambda contents: f"<{len(contents)}>")

    @property
    def plan_id(self) -> str:
        """The plan, for `deploy.commit`."""
        return self.plan.plan_id

    @property
    def operation_id(self) -> str:
        """The operation, for `deploy.status` and `deploy.resume`."""
        return self.plan.operation_id

    @property
    def diff(self) -> PlanDiff:
        """What it would change."""
        return _diff(self.plan)

    @property
    def warnings(self) -> Sequence[DeployWarning]:
        """What the platform says of it."""
        return tuple(self.plan.warnings or ())

    @property
    def missing(self) -> list[MissingContent]:
        """What the platform does not have."""
        return [entry for entry in self.plan.missing_content if not entry.present]


def _seconds(name: str, value: object, *, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < math.inf:
        raise ArgumentError(name, f"must be a number of seconds, {least:g} or more")
    return float(value)


@attrs.frozen(kw_only=True)
class Settings:
    """What a caller may set, checked."""

    on_event: EventCallback | None = None
    idempotency_key: str | None = None
    allow_warnings: bool | Collection[str] = False
    max_uploads: int = MAX_UPLOADS
    timeout: float = TIMEOUT
    poll_interval: float = POLL_INTERVAL

    @classmethod
    def of(cls, doing: str = "planning deploy", **told: Any) -> Settings:
        """Check what a caller set.

        Raises:
            LocalError: Something is not usable (also an `ArgumentError`).
        """
        with preparing(doing):
            made = cls(**told)
            key, allowed = made.idempotency_key, made.allow_warnings
            if key:
                required_text("idempotency_key", key)
            if isinstance(allowed, str | bytes) or not isinstance(allowed, bool | Collection):
                raise ArgumentError("allow_warnings", "must be True, False or the codes that are fine, in a list")
            whole("max_uploads", made.max_uploads, least=1, most=256)
            return attrs.evolve(
                made,
                idempotency_key=key or None,
                timeout=_seconds("timeout", made.timeout, least=0),
                poll_interval=_seconds("poll_interval", made.poll_interval, least=0.001),
            )

    def allows(self, code: str) -> bool:
        """Whether a warning of this code is fine."""
        allowed = self.allow_warnings
        return allowed if isinstance(allowed, bool) else code in allowed


@attrs.frozen
class _State:
    """What an operation or a commit says of itself."""

    operation_id: str
    status: str
    release_id: str | None
    urls: Mapping[str, str] | None
    error: Any
    plan_id: str | None


def _no_check() -> None:
    """Nobody can cancel this."""


class Deployment:
    """One deploy on its way.

    Args:
        root: The client's flows.
        settings: What the caller set.
        project_id: The project, when it is known before the spec is read.
        teller: Hears of everything; tells the callback of the settings when left out.
    """

    def __init__(
        self,
        root: Run402Flows,
        settings: Settings,
        *,
        project_id: str | None = None,
        teller: Teller | None = None,
    ) -> None:
        self._root = root
        self._settings = settings
        self._project_id = project_id
        self.teller: Teller = Teller(settings.on_event) if teller is None else teller
        self.check: Callable[[], None] = _no_check
        """Raises when the deploy was cancelled."""
        self._ci = is_ci_session_credentials(root.provider)
        self._operation_id: str | None = None
        self._plan_id: str | None = None

    # ---------------------------------------------------------------- the whole

    def apply(self, spec: Spec) -> Flow[DeployResult]:
        """Everything."""
        planned = yield from self.begin(spec)
        return (yield from self.finish(planned))

    def begin(self, spec: Spec) -> Flow[Planned]:
        """Plan, and stop when the plan has warnings that nobody allowed."""
        yield from self.teller.tell(PlanStarted())
        planned = yield from self.plan(spec)
        with self._known():
            yield from self.teller.tell(PlanDiffed(planned.diff))
            if planned.warnings:
                yield from self.teller.tell(PlanWarned(planned.warnings))
            self._gate(planned.warnings)
            asked = planned.plan.payment_required
            if asked is not None:
                yield from self.teller.tell(PaymentAsked(asked.amount, asked.asset, asked.pay_to, asked.reason))
        return planned

    def finish(self, planned: Planned) -> Flow[DeployResult]:
        """Upload, commit, watch."""
        yield from self.upload(planned)
        with self._known():
            yield from self.teller.tell(CommitPhase("validate", "started"))
        return (yield from self.commit(planned.plan_id, planned))

    @contextmanager
    def _known(self) -> Generator[None]:
        """What is raised within says which operation and plan it is of."""
        try:
            yield
        except TollkitError as error:
            cast("Run402Error", raised(error)).of_deploy(self._operation_id, self._plan_id)
            raise

    # ---------------------------------------------------------------- plan

    def plan(self, spec: Spec) -> Flow[Planned]:
        """Check the spec, hash what it brings, and have it planned."""
        from tollkit.run402.deploy.spec import Prepared

        prepared = Prepared(spec, ci=self._ci)
        yield from self._hash(prepared)
        key = self._settings.idempotency_key
        manifest, content = yield from offload(lambda: _plan_body(prepared, key))
        contents: Mapping[str, Uploadable] = prepared.contents
        self._project_id = project_id = manifest["project"]
        if len(content) > INLINE_LIMIT:
            content = yield from self._by_reference(manifest)
        request = _plan_request(content)
        try:
            plan = yield from self._root.call(again(request) if key else request, _read_plan, "planning deploy")
        except TollkitError as error:
            _raise(error, translated(error, "plan"))
        self._operation_id, self._plan_id = plan.operation_id, plan.plan_id
        return Planned(project_id, plan, contents)

    def _hash(self, prepared: Prepared) -> Flow[None]:
        while hashed := (yield from offload(prepared.hash_some)):
            self.check()
            last = max(hashed, key=lambda one: (one.done, one.bytes_done))
            yield from self.teller.tell(HashProgress(last.done, last.total, last.bytes_done, last.bytes_total))

    def _by_reference(self, manifest: Mapping[str, Any]) -> Flow[bytes]:
        """Upload the spec itself; the body of a plan that names it."""
        from tollkit.run402.deploy.content import Content, Memory

        if self._ci:
            raise DeployError(
                "The release spec is too large for a CI session: more than 5 MiB as JSON",
                code="forbidden_spec_field",
                phase="validate",
                resource="manifest_ref",
                doing="validating CI deploy spec",
                hint="Deploy fewer files at once, or from a machine that has the wallet",
            )
        data, sha256 = yield from offload(lambda: _hashed(manifest))
        content = Content(sha256, len(data), MANIFEST_TYPE, "release spec", Memory(data))
        yield from self._uploaded([content.sha256], {content.sha256: content})
        ref = {"sha256": content.sha256, "size": content.size, "contentType": MANIFEST_TYPE}
        body: dict[str, Any] = {"spec": {"project": manifest["project"]}, "manifest_ref": ref}
        if self._settings.idempotency_key:
            body["idempotency_key"] = self._settings.idempotency_key
        return encode.json_body(body)

    def _gate(self, warnings: Sequence[DeployWarning]) -> None:
        blocking = [
            warning
            for warning in warnings
            if (warning.requires_confirmation or warning.code == _UNSET_SECRET)
            and not self._settings.allows(warning.code)
        ]
        if not blocking:
            return
        codes = [warning.code for warning in blocking]
        code = _UNSET_SECRET if _UNSET_SECRET in codes else codes[0]
        told = "; ".join(f"{warning.code}: {warning.message}" for warning in blocking)
        raise DeployError(
            f"The plan has warnings that nobody has allowed: {told}",
            code=code or "DEPLOY_WARNING_REQUIRES_CONFIRMATION",
            phase="plan",
            resource="warnings",
            fix={"action": "review_warnings", "path": "warnings"},
            body={"warnings": [warning.to_dict() for warning in blocking]},
            doing="planning deploy",
            hint=f"Mend it, or deploy with allow_warnings={sorted(set(codes))}",
        )

    # ---------------------------------------------------------------- upload

    def upload(self, planned: Planned) -> Flow[None]:
        """Upload what the plan says is missing."""
        self._project_id = planned.project_id
        self._operation_id, self._plan_id = planned.operation_id, planned.plan_id
        missing: dict[str, None] = {}
        with self._known():
            for entry in planned.plan.missing_content:
                if not entry.present:
                    missing[entry.sha256] = None
                    continue
                content = planned.contents.get(entry.sha256)
                label = entry.sha256 if content is None else content.label
                yield from self.teller.tell(UploadSkipped(label, entry.sha256, "present"))
            yield from self._uploaded(list(missing), planned.contents)

    def _uploaded(self, missing: Sequence[str], contents: Mapping[str, Uploadable]) -> Flow[None]:
        if not missing:
            return
        project_id = self._project_id or ""
        keys: ProjectKeys | None = None
        if not self._ci:
            keys = yield from self._root.keys_of(project_id, "planning content upload")
        uploader = Uploader(
            self._root,
            keys=keys,
            project_id=project_id,
            teller=self.teller,
            check=self.check,
            contents=contents,
            max_uploads=self._settings.max_uploads,
        )
        yield from uploader.run(missing)

    # ---------------------------------------------------------------- commit

    def commit(self, plan_id: str, planned: Planned | None = None) -> Flow[DeployResult]:
        """Commit a plan, and watch until the release is live."""
        self._plan_id = plan_id
        with self._known():
            self.check()
            state = yield from self._committed(plan_id)
            self._operation_id = state.operation_id
            if self._settings.idempotency_key and _stopped(state):
                # the answer is of a former commit: whoever ships again under the same key wants it to be finished
                return (yield from self._watched((yield from self._resumed(state.operation_id)), planned))
            if state.status == "failed":
                raise failed_deploy(
                    state.error, "commit", operation_id=state.operation_id, plan_id=state.plan_id or plan_id
                )
            if state.status == "ready":
                return (yield from self._ready(state, planned, "committing deploy"))
            try:
                state = yield from self._looked(state.operation_id, _FETCHING)
            except TollkitError as error:
                if not _passing(error):
                    raise
            return (yield from self._watched(state, planned))

    def _committed(self, plan_id: str) -> Flow[_State]:
        from tollkit_api.run402.v1_57.api.deploy import deploy_commit as operation
        from tollkit_api.run402.v1_57.models import CommitPlanRequest

        key = self._settings.idempotency_key
        with preparing("committing deploy"):
            request = operation.request(
                required_text("plan_id", plan_id), body=CommitPlanRequest(idempotency_key=key)
            )
        read = _reader(operation.OPERATION, self._operation_id)
        attempt = 0
        while True:
            attempt += 1
            try:
                return (yield from self._root.call(again(request) if key else request, read, "committing deploy"))
            except TollkitError as error:
                lost = error
            known = self._operation_id
            if known is None or attempt == _ATTEMPTS or not _may_have_worked(lost):
                break
            try:
                state = yield from self._looked(known, _FETCHING)
            except TollkitError:
                break
            if state.status not in _NOT_COMMITTED:
                return state
            yield Sleep(_pause(attempt))
        _raise(lost, translated(lost, "commit", operation_id=self._operation_id, plan_id=plan_id))

    # ---------------------------------------------------------------- resume

    def resume(self, operation_id: str) -> Flow[DeployResult]:
        """Let the platform go on with an operation, and watch it."""
        self._operation_id = operation_of(operation_id, _RESUMING)
        state = yield from self._resumed(operation_id)
        with self._known():
            self._plan_id = state.plan_id
            return (yield from self._watched(state, None))

    def _resumed(self, operation_id: str) -> Flow[_State]:
        from tollkit_api.run402.v1_57.api.deploy import deploy_resume as operation

        request = operation.request(operation_id)
        read = _reader(operation.OPERATION, operation_id)
        held: _State | None = None
        attempt = 0
        while True:
            attempt += 1
            try:
                return (yield from self._root.call(request, read, _RESUMING))
            except TollkitError as error:
                lost = error
            if held is not None and lost.status == 409:
                return held  # the answer that was lost had said yes, and the platform does not do it twice
            if attempt == _ATTEMPTS or not _may_have_worked(lost):
                break
            try:
                held = yield from self._looked(operation_id, _FETCHING)
            except TollkitError:
                break
            if held.status not in _HELD:
                return held
            yield Sleep(_pause(attempt))
        _raise(lost, translated(lost, "resume", operation_id=operation_id))

    # ---------------------------------------------------------------- watch

    def snapshot(self, planned: Planned) -> Flow[DeployOperation]:
        """What the platform says of an operation."""
        from tollkit_api.run402.v1_57.api.deploy import deploy_status as operation

        self._project_id = planned.project_id
        keys = yield from self._known_keys()
        request = operation.request(planned.operation_id)
        return (yield from self._root.call(request, operation.parse, _FETCHING, keys=keys))

    def _looked(self, operation_id: str, doing: str) -> Flow[_State]:
        from tollkit_api.run402.v1_57.api.deploy import deploy_status as operation

        keys = yield from self._known_keys()
        read = _reader(operation.OPERATION, operation_id)
        return (yield from self._root.call(operation.request(operation_id), read, doing, keys=keys))

    def _known_keys(self) -> Flow[ProjectKeys | None]:
        """The project's keys, if they are known: to look at an operation the wallet's signature is enough."""
        if self._project_id is None or self._ci:
            return None
        keys: ProjectKeys | None = yield from ask(self._root.provider, "get_project", self._project_id)
        return keys

    def _watched(self, state: _State, planned: Planned | None) -> Flow[DeployResult]:
        """Look at the operation until it ends."""
        started = time.monotonic()
        interval = round(self._settings.poll_interval * 1000)
        status = ""
        phase: tuple[str, str] | None = None
        failure: TollkitError | None = None
        while True:
            if state.status != status:
                status = state.status
                come = _PHASES.get(status)
                if come is not None:
                    yield from self._left(phase, come[0])
                    yield from self.teller.tell(CommitPhase(*come))
                    phase = come
            if status == "ready":
                yield from self._left(phase)
                return (yield from self._ready(state, planned, "polling deploy"))
            if status in TERMINAL:
                if phase is not None:
                    yield from self.teller.tell(CommitPhase(phase[0], "failed"))
                raise failed_deploy(
                    state.error,
                    status,
                    operation_id=state.operation_id,
                    plan_id=state.plan_id or self._plan_id,
                )
            elapsed = time.monotonic() - started
            if elapsed > self._settings.timeout:
                raise DeployError(
                    f"The deploy is not done after {elapsed:.0f} s; its status is {status}",
                    code="INTERNAL_ERROR",
                    phase=status,
                    retryable=True,
                    status=504,
                    doing="polling deploy",
                    hint=f"The platform works on it still: deploy.resume({state.operation_id!r}) watches it",
                ) from failure
            self.check()
            yield Sleep(interval / 1000)
            if time.monotonic() - started > _SLOWER_AFTER:
                interval = min(interval * 3 // 2, max(_SLOWEST, interval))
            try:
                state = yield from self._looked(state.operation_id, _POLLING)
            except TollkitError as error:
                if not _passing(error):
                    raise
                failure = error

    def _left(self, phase: tuple[str, str] | None, following: str | None = None) -> Flow[None]:
        """Tell that a phase is over, unless it goes on or has failed."""
        if phase is not None and phase[0] != following and phase[1] != "failed":
            yield from self.teller.tell(CommitPhase(phase[0], "done"))

    def _ready(self, state: _State, planned: Planned | None, doing: str) -> Flow[DeployResult]:
        from tollkit_api.run402.v1_57.models import PlanDiff

        if not state.release_id or state.urls is None:
            raise DeployError(
                "The platform says that the deploy is ready, and not which release it is",
                code="INTERNAL_ERROR",
                phase="ready",
                doing=doing,
            )
        yield from self.teller.tell(Ready(state.release_id, state.urls))
        diff = PlanDiff() if planned is None else planned.diff
        warnings = () if planned is None else planned.warnings
        return DeployResult(state.release_id, state.operation_id, state.urls, diff, warnings)


def operation_of(operation_id: object, doing: str) -> str:
    """The id of an operation.

    Raises:
        DeployError: `OPERATION_NOT_FOUND`: it is none; nothing was sent.
    """
    if not isinstance(operation_id, str) or not operation_id.startswith("op_"):
        raise DeployError(
            f"{operation_id!r} is no deploy operation: their ids begin with op_",
            code="OPERATION_NOT_FOUND",
            doing=doing,
        )
    return operation_id


def _raise(error: TollkitError, told: TollkitError) -> NoReturn:
    if told is error:
        raise error
    raise told from error


def _pause(attempt: int) -> float:
    return random.uniform(0.5, 1) * 2.0 ** (attempt - 1)


def _stopped(state: _State) -> bool:
    """Whether the operation goes on when it is resumed, and not by itself."""
    if state.status == "activation_pending":
        return True
    told: Any = state.error.get("next_actions") if state.status == "failed" and is_object(state.error) else None
    return is_list(told) and any(is_object(action) and action.get("type") == "resume" for action in told)


def _passing(error: TollkitError) -> bool:
    """Whether the same question may be answered a moment later."""
    if isinstance(error, TransportError):
        return error.retryable
    return isinstance(error, StatusError) and error.status is not None and _passes(error.status)


def _passes(status: int) -> bool:
    return status >= 500 or status in RETRIED


def _may_have_worked(error: TollkitError) -> bool:
    """Whether what was asked for may have been done although it came to an error, and no payment left."""
    paid: object = getattr(error, "payment", None)
    return paid is None and (_passing(error) or isinstance(error, DecodeError))


# -- requests and answers -------------------------------------------------------------------------------------------


def _hashed(manifest: Mapping[str, Any]) -> tuple[bytes, str]:
    data = encode.json_body(manifest)
    return data, hashlib.sha256(data).hexdigest()


def _plan_body(prepared: Prepared, key: str | None) -> tuple[dict[str, Any], bytes]:
    spec = prepared.wire()
    return spec, encode.json_body({"spec": spec, "idempotency_key": key} if key else {"spec": spec})


def _plan_request(content: bytes) -> Request:
    from tollkit_api.run402.v1_57.api.deploy import deploy_plan as operation
    from tollkit_api.run402.v1_57.models import PlanRequest, ReleaseSpec

    # ten thousand files are not read into models to be written out again
    return attrs.evolve(operation.request(body=PlanRequest(spec=ReleaseSpec(project=""))), content=content)


def _read_plan(response: HttpResponse) -> Plan:
    from tollkit_api.run402.v1_57.api.deploy import deploy_plan as operation
    from tollkit_api.run402.v1_57.models import Plan

    def read(body: Any) -> Plan:
        if is_object(body) and not is_list(body.get("warnings", [])):
            body = {**body, "warnings": []}
        return Plan.from_dict(body)

    return answers.json_answer(response, operation.OPERATION, read)


def _diff(plan: Plan) -> PlanDiff:
    from tollkit_api.run402.v1_57.models import PlanDiff

    if plan.diff is not None:
        return plan.diff
    known = {field.name for field in attrs.fields(PlanDiff)}
    # later gateways spread it over the plan
    return PlanDiff.from_dict({name: told for name, told in plan.additional_properties.items() if name in known})


_STATE = ("operation_id", "status", "release_id", "urls")


def _reader(operation: Operation, known: str | None) -> Callable[[HttpResponse], _State]:
    """Reads what an operation says, and no more than is needed: its error stays as it came."""
    from tollkit_api.run402.v1_57.models import CommitResult

    def read(body: Any) -> _State:
        if not is_object(body):
            CommitResult.from_dict(body)  # says what is wrong
        told = {name: body[name] for name in _STATE if name in body}
        if known is not None:
            told.setdefault("operation_id", known)
        state = CommitResult.from_dict(told)
        plan_id = body.get("plan_id")
        return _State(
            path_part(state.operation_id, "operation_id"),
            state.status or "",
            state.release_id,
            state.urls,
            body.get("error"),
            plan_id if isinstance(plan_id, str) else None,
        )

    return lambda response: answers.json_answer(response, operation, read)
