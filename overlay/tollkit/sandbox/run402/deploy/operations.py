"""Deploy operations: the phases that a committed plan goes through, and what each of them does.

    planning | uploading -> (commit) -> staging -> gating -> migrating -> schema_settling -> activating -> ready

Source: Run402 1.57, `GET /deploy/v2/operations/{operation_id}` and its `resume`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

from tollkit.sandbox.clock import iso
from tollkit.sandbox.run402.deploy.content import ContentStore, Countdown, first_hit
from tollkit.sandbox.run402.deploy.links import Links, RefusedError
from tollkit.sandbox.run402.deploy.releases import EMPTY, Release, State
from tollkit.sandbox.run402.deploy.specs import Migration, Spec
from tollkit.sandbox.run402.gateway import GatewayError

if TYPE_CHECKING:
    from tollkit.sandbox.run402.gateway import Gateway

__all__ = ["PHASES", "TERMINAL", "Commit", "Failure", "Operation", "Operations", "Pace"]

PHASES = ("staging", "gating", "migrating", "schema_settling", "activating")
TERMINAL = ("ready", "failed", "rolled_back", "needs_repair")
_EVENT_PHASES = {
    "staging": "stage",
    "gating": "migrate-gate",
    "migrating": "migrate",
    "schema_settling": "schema-settle",
    "activating": "activate",
    "ready": "ready",
}
Pace = Literal["poll", "clock", "instant"]


@attrs.define(kw_only=True, eq=False)
class Failure(Exception):
    """How an operation fails."""

    code: str
    message: str
    resource: str | None = None
    retryable: bool = False
    rolled_back: bool | None = None
    """None: true as long as nothing was changed."""
    status: str = "failed"
    resumable: bool = False
    logs: tuple[str, ...] = ()
    fix: Mapping[str, Any] | None = None


@attrs.frozen(kw_only=True)
class Commit:
    """A commit that was taken."""

    operation_id: str
    plan_id: str
    key: str | None
    repeated: bool
    """Whether the operation had been committed before: nothing was done for it."""


@attrs.define(kw_only=True)
class Operation:
    """One deploy: the plan, and what becomes of it."""

    id: str
    plan_id: str
    project_id: str
    key: str | None
    created_by: str
    by_ci: bool
    spec: Spec
    digest: str
    """Of what was asked for."""
    manifest_digest: str
    base_release_id: str | None
    target_release_id: str
    price: int
    created_at: float
    updated_at: float
    status: str = "planning"
    entered_at: float = 0.0
    release_id: str | None = None
    urls: dict[str, str] | None = None
    payment: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    failed_in: str | None = None
    """The phase that failed, when the operation can go on from it."""
    committed: bool = False
    paid: bool = False
    held: bool = False
    migrated: bool = False
    activate_attempts: int = 0
    last_activate_attempt_at: float | None = None
    events: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]])

    def snapshot(self) -> dict[str, Any]:
        """As it is told."""
        last = self.last_activate_attempt_at
        return {
            "operation_id": self.id,
            "project_id": self.project_id,
            "plan_id": self.plan_id,
            "status": self.status,
            "base_release_id": self.base_release_id,
            "target_release_id": self.target_release_id,
            "release_id": self.release_id,
            "urls": self.urls,
            "payment_required": self.payment,
            "error": self.error,
            "activate_attempts": self.activate_attempts,
            "last_activate_attempt_at": None if last is None else iso(last),
            "created_at": iso(self.created_at),
            "updated_at": iso(self.updated_at),
        }


class Operations:
    """Every operation and release of a gateway, and the rules by which they go on.

    Args:
        gateway: Whose clock and ids are used.
        store: Where the content is.
        links: The rest of the projects.

    Attributes:
        addresses: Gives the addresses of a release's site; set by the sites.
        pace: What lets an operation go on: a `poll` (each tells the phase, then ends it), the `clock`
            (`phase_seconds` for each phase), or nothing: at once at the commit (`instant`).
        phase_seconds: Length of a phase by the sandbox's clock.
        commits: Commits that were taken, in order.
    """

    def __init__(
        self,
        gateway: Gateway,
        store: ContentStore,
        links: Links,
    ) -> None:
        self._gateway = gateway
        self._store = store
        self._links = links
        self.addresses: Callable[[Release], dict[str, str]] | None = None
        self._work: Mapping[str, Callable[[Operation], None]] = {
            "staging": self._stage,
            "gating": self._gate,
            "migrating": self._migrate,
            "schema_settling": lambda _operation: None,
            "activating": self._activate,
        }
        self.forget()

    def forget(self) -> None:
        """Forget all operations, releases and what was armed."""
        self.pace: Pace = "poll"
        self.phase_seconds: float = 1.0
        self.commits: list[Commit] = []
        self.failures: list[tuple[str, Countdown]] = []
        self.holds: list[tuple[str, Countdown]] = []
        self.pendings: list[Countdown] = []
        self.all: dict[str, Operation] = {}
        self.releases: dict[str, Release] = {}
        self.active: dict[str, str] = {}
        self.applied: dict[str, dict[str, tuple[str, float]]] = {}
        """Checksum and time of each migration of a project."""
        self.runs: list[tuple[str, str]] = []
        """Project and id of each migration that was run, in order."""

    # ---------------------------------------------------------------- what is live

    def active_release(self, project_id: str) -> Release | None:
        """The release that a project's site shows."""
        found = self.active.get(project_id)
        return None if found is None else self.releases[found]

    def state(self, project_id: str) -> State:
        """What is deployed to a project."""
        release = self.active_release(project_id)
        return EMPTY if release is None else release.state

    def new_migrations(self, project_id: str, spec: Spec) -> tuple[list[Migration], list[Migration]]:
        """The migrations that have to run, and those that ran before.

        Raises:
            Failure: One ran before with another checksum.
        """
        applied = self.applied.get(project_id, {})
        new: list[Migration] = []
        known: list[Migration] = []
        for migration in spec.migrations:
            before = applied.get(migration.id)
            if before is not None and before[0] != migration.checksum:
                raise Failure(
                    code="MIGRATION_CHECKSUM_MISMATCH",
                    message=f"Migration {migration.id} ran before with another checksum.",
                    resource=f"database.migrations.{migration.id}",
                    fix={"action": "rename_migration", "path": f"database.migrations.{migration.id}.id"},
                )
            (new if before is None else known).append(migration)
        return new, known

    # ---------------------------------------------------------------- going on

    def commit(self, operation: Operation) -> None:
        """Begin the phases."""
        operation.committed = True
        self._enter(operation, PHASES[0])
        if self.pace == "instant":
            self.finish(operation)

    def finish(self, operation: Operation) -> str:
        """Go through all phases that are left, up to one that it cannot leave; its status then."""
        while self._moving(operation):
            self._advance(operation)
        return operation.status

    def poll(self, operation: Operation) -> dict[str, Any]:
        """Tell an operation; with the pace `poll` it goes on afterwards."""
        self.settle()
        told = operation.snapshot()
        if self.pace == "poll" and self._moving(operation):
            self._advance(operation)
        return told

    def settle(self) -> None:
        """With the pace `clock`, let every operation be where it has to be by now."""
        if self.pace != "clock":
            return
        for operation in list(self.all.values()):
            while self._moving(operation):
                due = operation.entered_at + self.phase_seconds
                if due > self._gateway.clock.now():
                    break
                self._advance(operation, due)

    def resume(self, operation: Operation) -> None:
        """Let an operation go on that is held, waits for its activation, or failed and can be resumed.

        Raises:
            GatewayError: 409, it was never committed, or it failed for good.
        """
        self.settle()
        if not operation.committed:
            raise _conflict(operation, "INVALID_STATE", "The plan of the operation was not committed.")
        if operation.status == "activation_pending":
            self._enter(operation, "activating")
        elif operation.held:
            self.unhold(operation)
        elif operation.failed_in is not None:
            phase, operation.failed_in, operation.error = operation.failed_in, None, None
            self._enter(operation, phase)
        elif operation.status in ("failed", "rolled_back", "needs_repair"):
            raise _conflict(operation, "NOT_RESUMABLE", "The operation failed for good.")
        if self.pace == "instant":
            self.finish(operation)

    def unhold(self, operation: Operation) -> None:
        """Let a held operation go on."""
        operation.held = False
        operation.entered_at = self._gateway.clock.now()

    def _moving(self, operation: Operation) -> bool:
        return operation.status in PHASES and not operation.held

    def _advance(self, operation: Operation, moment: float | None = None) -> None:
        """End the phase that the operation is in."""
        phase = operation.status
        at = self._gateway.clock.now() if moment is None else moment
        try:
            for name, armed in list(self.failures):
                if name == phase and armed.hit():
                    if armed.times <= 0:
                        self.failures.remove((name, armed))
                    raise armed.value
            if phase == "activating" and first_hit(self.pendings):
                self._event(operation, "activate", "failed")
                operation.status = "activation_pending"
                operation.updated_at = at
                return
            self._work[phase](operation)
        except Failure as failure:
            self._fail(operation, phase, failure, at)
            return
        self._event(operation, _EVENT_PHASES[phase], "done")
        after = PHASES.index(phase) + 1
        self._enter(operation, PHASES[after] if after < len(PHASES) else "ready", at)

    def _enter(self, operation: Operation, phase: str, moment: float | None = None) -> None:
        at = self._gateway.clock.now() if moment is None else moment
        operation.status = phase
        operation.entered_at = operation.updated_at = at
        if phase == "ready":
            self._event(operation, "ready", "done")
            operation.events.append(
                {"type": "ready", "releaseId": operation.release_id or "", "urls": operation.urls or {}}
            )
            return
        self._event(operation, _EVENT_PHASES[phase], "started")
        if phase == "activating":
            operation.activate_attempts += 1
            operation.last_activate_attempt_at = at
        for name, armed in list(self.holds):
            if name == phase and armed.hit():
                if armed.times <= 0:
                    self.holds.remove((name, armed))
                operation.held = True

    def _fail(self, operation: Operation, phase: str, failure: Failure, at: float) -> None:
        name = _EVENT_PHASES[phase]
        self._event(operation, name, "failed")
        rolled_back = not operation.migrated if failure.rolled_back is None else failure.rolled_back
        operation.status = failure.status
        operation.updated_at = at
        operation.failed_in = phase if failure.resumable else None
        operation.error = {
            "code": failure.code,
            "category": "deploy",
            "message": failure.message,
            "retryable": failure.retryable,
            "safe_to_retry": failure.retryable,
            "mutation_state": "rolled_back" if rolled_back else "partial",
            "trace_id": self._gateway.new_id("trc_"),
            "details": None,
            "next_actions": [{"type": "resume"}] if failure.resumable else [],
            "phase": name,
            "resource": failure.resource,
            "fix": None if failure.fix is None else dict(failure.fix),
            "logs": list(failure.logs) or None,
            "rolled_back": rolled_back,
            "operation_id": operation.id,
            "plan_id": operation.plan_id,
        }
        target = self.releases.get(operation.target_release_id)
        if target is not None and not failure.resumable:
            target.status = "failed"

    def _event(self, operation: Operation, phase: str, status: str) -> None:
        operation.events.append({"type": "commit.phase", "phase": phase, "status": status})

    def _log(self, operation: Operation, resource: str, line: str, *, stream: str = "stdout") -> None:
        operation.events.append({"type": "log", "resource": resource, "stream": stream, "line": line})

    # ---------------------------------------------------------------- what the phases do

    def _stage(self, operation: Operation) -> None:
        if operation.target_release_id in self.releases:
            return
        now = self._gateway.clock.now()
        self.releases[operation.target_release_id] = Release(
            id=operation.target_release_id,
            project_id=operation.project_id,
            parent_id=operation.base_release_id,
            state=operation.spec.state(self.state(operation.project_id)),
            digest=operation.manifest_digest,
            status="staged",
            created_at=now,
            created_by=operation.created_by,
            operation_id=operation.id,
            plan_id=operation.plan_id,
        )

    def _gate(self, operation: Operation) -> None:
        self.new_migrations(operation.project_id, operation.spec)

    def _migrate(self, operation: Operation) -> None:
        project_id, spec = operation.project_id, operation.spec
        new, _ = self.new_migrations(project_id, spec)
        for migration in new:
            text = self._store.read(migration.sha256).decode("utf-8", "replace")
            self.runs.append((project_id, migration.id))
            try:
                self._links.migrate(project_id, text)
            except RefusedError as refusal:
                self._log(operation, f"migration:{migration.id}", str(refusal), stream="stderr")
                raise _refused("MIGRATION_FAILED", refusal, f"database.migrations.{migration.id}") from None
            # each by itself: what ran stays, also when a later one fails
            self.applied.setdefault(project_id, {})[migration.id] = (migration.checksum, self._gateway.clock.now())
            operation.migrated = True
            self._log(operation, f"migration:{migration.id}", "applied")
        if spec.expose is not None:
            try:
                self._links.expose(project_id, spec.expose)
            except RefusedError as refusal:
                raise _refused("INVALID_SPEC", refusal, "database.expose") from None

    def _activate(self, operation: Operation) -> None:
        project_id, spec = operation.project_id, operation.spec
        release = self.releases[operation.target_release_id]
        former = self.active_release(project_id)
        before = EMPTY if former is None else former.state
        # another deploy may have become active since this one was staged: what it did stays
        release.state = after = spec.state(before)
        changed = [one for name, one in after.functions.items() if before.functions.get(name) != one]
        gone = [name for name in before.functions if name not in after.functions]
        try:
            for name in after.subdomains:
                self._links.claim(project_id, name, release.id)
            self._links.put_functions(
                project_id, [(one, self._code(one.sources.get(one.entrypoint or "", ""))) for one in changed], gone
            )
        except RefusedError as refusal:
            raise _refused("ACTIVATION_FAILED", refusal, "release") from None
        for name in set(before.subdomains) - set(after.subdomains):
            self._links.release(project_id, name)
        self._links.delete_secrets(project_id, spec.secrets_deleted)
        now = self._gateway.clock.now()
        if former is not None:
            former.status, former.superseded_at = "superseded", now
        release.status, release.activated_at, release.parent_id = "active", now, None if former is None else former.id
        release.migrations = tuple(
            (name, checksum, moment) for name, (checksum, moment) in self.applied.get(project_id, {}).items()
        )
        self.active[project_id] = operation.release_id = release.id
        operation.urls = {} if self.addresses is None else self.addresses(release)
        self._gateway.set_site_url(project_id, operation.urls.get("project"))
        stored = sum(file.size for file in after.site.values()) - sum(file.size for file in before.site.values())
        self._gateway.store(project_id, stored)

    def _code(self, sha256: str) -> str:
        return self._store.read(sha256).decode("utf-8", "replace") if sha256 else ""


def _refused(code: str, refusal: RefusedError, resource: str) -> Failure:
    return Failure(code=code, message=str(refusal), resource=resource, logs=(str(refusal),))


def _conflict(operation: Operation, code: str, message: str) -> GatewayError:
    return GatewayError(
        409,
        code,
        message,
        operation_id=operation.id,
        plan_id=operation.plan_id,
        details={"status": operation.status},
    )
