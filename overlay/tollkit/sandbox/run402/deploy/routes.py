"""The routes of deploys: plans, content, commits, operations, releases.

Source: Run402 1.57, `/deploy/v2` and `/content/v1`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, cast

import attrs

from tollkit.run402.x402 import USDC
from tollkit.sandbox.clock import iso
from tollkit.sandbox.http import json_answer
from tollkit.sandbox.run402.callers import Caller, Callers
from tollkit.sandbox.run402.deploy.content import (
    MOST_BYTES,
    ContentStore,
    Countdown,
    UploadSession,
    after_assembly,
    first_hit,
)
from tollkit.sandbox.run402.deploy.links import Links
from tollkit.sandbox.run402.deploy.operations import Commit, Failure, Operation, Operations
from tollkit.sandbox.run402.deploy.releases import Release, canonical, diff_of, diff_states, summary
from tollkit.sandbox.run402.deploy.specs import Migration, Spec, assert_ci, members, read_spec
from tollkit.sandbox.run402.gateway import Call, Gateway, GatewayError, route

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

__all__ = ["DeployRoutes"]

_HASH = re.compile(r"[0-9a-f]{64}")
_SITE_LIMIT, _SITE_MOST, _DIFF_LIMIT, _LIST_LIMIT = 5000, 25_000, 1000, 100


@attrs.define(kw_only=True)
class _ContentPlan:
    id: str
    project_id: str
    contents: list[str]
    sessions: list[str]


class DeployRoutes:
    """Deploys of one gateway.

    Args:
        gateway: The gateway.
        store: Where content is.
        operations: What becomes of plans.
        callers: Who calls.
        links: The rest of the projects.

    Attributes:
        price: Micro-dollars for each deploy; it is paid at the commit.
        warnings: Told with every plan.
        strict_base: Whether a plan can no longer be committed when another release became active after it.
        conflicts: Commits that are to be refused for their base.
    """

    def __init__(
        self, gateway: Gateway, *, store: ContentStore, operations: Operations, callers: Callers, links: Links
    ) -> None:
        self._gateway = gateway
        self._store = store
        self._operations = operations
        self._callers = callers
        self._links = links
        self._begin()

    def _begin(self) -> None:
        self.price: int = 0
        self.warnings: list[dict[str, Any]] = []
        self.strict_base: bool = True
        self.conflicts: list[Countdown] = []
        self._by_key: dict[tuple[str, str], Operation] = {}
        self._by_plan: dict[str, Operation] = {}
        self._content_plans: dict[str, _ContentPlan] = {}

    def forget(self) -> None:
        """Forget all deploys and content."""
        self._operations.forget()
        self._store.forget()
        self._callers.wallet_with_key = True
        self._begin()

    def routes(self) -> list[Route]:
        """Its routes."""
        gateway = self._gateway
        commit = route(gateway, "POST", "/content/v1/plans/{plan_id}/commit", self._commit_content)
        return [
            *self._store.routes(),
            route(gateway, "POST", "/content/v1/plans", self._plan_content),
            after_assembly(self._store, commit, self._sessions_of),
            route(gateway, "POST", "/deploy/v2/plans", self._plan),
            route(gateway, "POST", "/deploy/v2/plans/{plan_id}/commit", self._commit),
            route(gateway, "GET", "/deploy/v2/operations", self._list),
            route(gateway, "GET", "/deploy/v2/operations/{operation_id}", self._status),
            route(gateway, "GET", "/deploy/v2/operations/{operation_id}/events", self._events),
            route(gateway, "POST", "/deploy/v2/operations/{operation_id}/resume", self._resume),
            route(gateway, "GET", "/deploy/v2/releases/active", self._active),
            route(gateway, "GET", "/deploy/v2/releases/diff", self._diff),
            route(gateway, "GET", "/deploy/v2/releases/{release_id}", self._release),
        ]

    # ---------------------------------------------------------------- content

    def _plan_content(self, call: Call) -> Any:
        told = call.body.get("project_id")
        caller = self._callers.reader(call.request, told if isinstance(told, str) else None, ci=True)
        if caller.session is not None and told is None:
            raise _invalid("project_id", "must be given by a CI session")
        project_id = caller.project.id
        plan = _ContentPlan(id=self._gateway.new_id("cplan_", 24), project_id=project_id, contents=[], sessions=[])
        missing: list[dict[str, Any]] = []
        entries: list[dict[str, Any]] = []
        expires_at = iso(self._gateway.clock.now() + self._store.lifetime)
        for sha256, size, content_type in _contents(call):
            held = self._store.held(project_id, sha256)
            entries.append({"sha256": sha256, "missing": held is None})
            plan.contents.append(sha256)
            if held is not None:
                if held.size != size:
                    raise _invalid("content", f"{sha256} has {held.size} bytes, not {size}")
                continue
            session = self._store.open(project_id, size=size, sha256=sha256, content_type=content_type)
            plan.sessions.append(session.id)
            missing.append(
                {
                    "sha256": sha256,
                    "mode": "multipart" if session.multipart else "single",
                    "parts": self._store.parts(session),
                    "part_size_bytes": self._store.part_size if session.multipart else size,
                    "part_count": len(session.ranges),
                    "upload_id": session.id,
                    "staging_key": f"staging/{project_id}/{session.id}",
                    "expires_at": expires_at,
                }
            )
        self._content_plans[plan.id] = plan
        if not missing:
            self._use(plan)
        return {"plan_id": plan.id, "expires_at": expires_at, "missing": missing, "entries": entries}

    def _sessions_of(self, path: Mapping[str, str]) -> Iterable[UploadSession]:
        plan = self._content_plans.get(path["plan_id"])
        return [] if plan is None else [self._store.sessions[name] for name in plan.sessions]

    def _commit_content(self, call: Call) -> Any:
        plan = self._content_plans.get(call.path["plan_id"])
        if plan is None:
            raise GatewayError(404, "PLAN_NOT_FOUND", "There is no such content plan")
        self._callers.reader(call.request, plan.project_id, ci=True)
        for name in plan.sessions:
            session = self._store.sessions[name]
            # a CI session cannot complete its uploads one by one: this is its completion
            if not session.completed and not session.missing_parts:
                self._store.complete(session, None, etags=False)
        absent = [one for one in plan.contents if self._store.held(plan.project_id, one) is None]
        if absent:
            raise GatewayError(
                409,
                "CONTENT_UPLOAD_FAILED",
                f"{len(absent)} contents of the plan were not uploaded",
                phase="upload",
                details={"missing": absent},
            )
        self._use(plan)
        return {"plan_id": plan.id, "status": "committed"}

    def _use(self, plan: _ContentPlan) -> None:
        for sha256 in plan.contents:
            held = self._store.held(plan.project_id, sha256)
            if held is not None:
                held.committed = True

    # ---------------------------------------------------------------- plans

    def _plan(self, call: Call) -> Any:
        document, ref = call.body.get("spec"), call.body.get("manifest_ref")
        key = call.text("idempotency_key", required=False) or None
        told = members(document).get("project")
        if not isinstance(told, str) or not told:
            raise GatewayError(400, "INVALID_SPEC", "spec.project is missing", phase="plan", resource="spec.project")
        caller = self._callers.deployer(call.request, told)
        if caller.session is not None:
            assert_ci(cast("object", document), manifest_ref=ref)
        spec = read_spec(cast("object", document) if ref is None else self._manifest(told, ref))
        if spec.project != told:
            raise GatewayError(400, "INVALID_SPEC", "The manifest is for another project", resource="manifest_ref")
        for name in spec.state(self._operations.state(told)).subdomains:
            self._links.check_free(told, name)
        digest = hashlib.sha256(canonical(spec.document)).hexdigest()
        operation = self._known(told, key, digest)
        if operation is None:
            operation = self._make(caller, spec, key, digest)
        return self._told(operation)

    def _manifest(self, project_id: str, ref: object) -> object:
        told = members(ref)
        sha256 = told.get("sha256")
        if not isinstance(sha256, str) or self._store.held(project_id, sha256) is None:
            raise GatewayError(
                400, "INVALID_SPEC", "The manifest was not uploaded", phase="plan", resource="manifest_ref"
            )
        try:
            return json.loads(self._store.read(sha256))
        except ValueError:
            raise GatewayError(
                400, "INVALID_SPEC", "The manifest is no JSON", phase="plan", resource="manifest_ref"
            ) from None

    def _known(self, project_id: str, key: str | None, digest: str) -> Operation | None:
        """The operation that was planned under a key before, if it still can be carried out or was."""
        known = None if key is None else self._by_key.get((project_id, key))
        if known is None:
            return None
        if known.digest != digest:
            raise GatewayError(
                409,
                "IDEMPOTENCY_CONFLICT",
                "The key was used for another spec",
                phase="plan",
                resource="idempotency_key",
                operation_id=known.id,
                plan_id=known.plan_id,
            )
        failed = known.status in ("failed", "rolled_back") and known.failed_in is None
        stale = not known.committed and known.base_release_id != self._operations.active.get(project_id)
        # what failed for good, or can no longer be committed, is planned anew; what was paid for it still counts
        return None if failed or stale else known

    def _make(self, caller: Caller, spec: Spec, key: str | None, digest: str) -> Operation:
        project_id = spec.project
        active = self._operations.active.get(project_id)
        if spec.base not in (None, "current") and spec.base != (active or "empty"):
            _base_conflict(f"The active release is {active or 'empty'}, not {spec.base}.", "plan", None)
        try:
            new, _ = self._operations.new_migrations(project_id, spec)
        except Failure as mismatch:
            raise GatewayError(
                409,
                mismatch.code,
                mismatch.message,
                phase="plan",
                resource=mismatch.resource,
                fix=dict(mismatch.fix or {}),
            ) from None
        former = None if key is None else self._by_key.get((project_id, key))
        now = self._gateway.clock.now()
        operation = Operation(
            id=self._gateway.new_id("op_", 24),
            plan_id=self._gateway.new_id("plan_", 24),
            project_id=project_id,
            key=key,
            created_by=caller.name,
            by_ci=caller.session is not None,
            spec=spec,
            digest=digest,
            manifest_digest=spec.state(self._operations.state(project_id)).digest([one.id for one in new]),
            base_release_id=active,
            target_release_id=self._gateway.new_id("rel_", 24),
            price=self.price,
            created_at=now,
            updated_at=now,
            paid=former is not None and self._paid(former),
        )
        if operation.price and not operation.paid:
            network = self._gateway.payments.networks[0]
            operation.payment = {
                "amount": str(operation.price),
                "asset": USDC[network],
                "payTo": self._gateway.payments.payee,
                "reason": "deploy",
            }
        self._operations.all[operation.id] = self._by_plan[operation.plan_id] = operation
        if key is not None:
            self._by_key[project_id, key] = operation
        return operation

    def _absent(self, operation: Operation) -> list[str]:
        """Contents that are not there, or whose content plan was not committed."""
        held = {one: self._store.held(operation.project_id, one) for one in operation.spec.contents}
        return [one for one, known in held.items() if known is None or not known.committed]

    def _refresh(self, operation: Operation) -> None:
        if not operation.committed:
            operation.status = "uploading" if self._absent(operation) else "planning"

    def _told(self, operation: Operation) -> dict[str, Any]:
        """A plan as it is told; what is missing and what differs are as of now."""
        spec = operation.spec
        absent = set(self._absent(operation))
        contents = [
            {"sha256": sha256, "size": size, "present": sha256 not in absent}
            for sha256, size in spec.contents.items()
        ]
        self._refresh(operation)
        warnings = [*self.warnings, *self._missing_secrets(spec)]
        return {
            "plan_id": operation.plan_id,
            "operation_id": operation.id,
            "manifest_digest": operation.manifest_digest,
            "base_release_id": operation.base_release_id,
            "missing_content": contents,
            "diff": self._plan_diff(operation, warnings),
            "warnings": warnings,
            "payment_required": None if self._paid(operation) else operation.payment,
        }

    def _missing_secrets(self, spec: Spec) -> list[dict[str, Any]]:
        missing = self._links.missing_secrets(spec.project, spec.secrets_required)
        if not missing:
            return []
        return [
            {
                "code": "MISSING_REQUIRED_SECRET",
                "message": f"Secrets that the release needs are not set: {', '.join(missing)}.",
                "severity": "high",
                "requires_confirmation": True,
                "affected": missing,
            }
        ]

    def _plan_diff(self, operation: Operation, warnings: list[dict[str, Any]]) -> dict[str, Any]:
        before = self._operations.state(operation.project_id)
        after = operation.spec.state(before)
        changes = diff_states(before, after)
        applied = self._operations.applied.get(operation.project_id, {})
        new = [one for one in operation.spec.migrations if one.id not in applied]
        known = [one for one in operation.spec.migrations if one.id in applied]
        routes = [
            {"kind": kind, "path": path}
            for kind, one, other in (("added", after.routes, before.routes), ("removed", before.routes, after.routes))
            for path in one
            if path not in other
        ]
        return {
            "is_noop": not new and before == after and operation.spec.expose is None,
            "summary": summary(changes, len(new)),
            "warnings": warnings,
            "migrations": {
                "new": [{**_entry(one), "transaction": _transaction(one)} for one in new],
                "noop": [_entry(one) for one in known],
            },
            "routes": routes,
            **changes,
        }

    # ---------------------------------------------------------------- commits

    def _paid(self, operation: Operation) -> bool:
        what = f"deploy:{operation.id}"
        return operation.paid or any(one.what == what for one in self._gateway.payments.settlements())

    def _commit(self, call: Call) -> Response:
        operation = self._by_plan.get(call.path["plan_id"])
        if operation is None:
            raise GatewayError(404, "PLAN_NOT_FOUND", "There is no such plan", phase="commit")
        caller = self._callers.deployer(call.request, operation.project_id)
        key = call.text("idempotency_key", required=False) or None
        if caller.session is not None and not operation.by_ci:
            raise GatewayError(403, "forbidden_plan", "The plan was not made by a CI session", phase="commit")
        if key != operation.key and key is not None:
            raise self._refusal(operation, "IDEMPOTENCY_CONFLICT", "The plan was made under another key.")
        if operation.committed:
            if key is None:
                raise self._refusal(operation, "INVALID_STATE", "The plan was committed before.")
            return self._committed(operation, {}, repeated=True)
        self._check_base(operation)
        self._check_content(operation)
        if operation.price and caller.session is not None:
            raise GatewayError(402, "payment_required", "The deploy has a price, which a CI session cannot pay")
        headers: Mapping[str, str] = {}
        if operation.price and not self._paid(operation):
            headers = self._gateway.pay(call.request, operation.price, f"deploy:{operation.id}")
            operation.paid = True
        self._operations.commit(operation)
        return self._committed(operation, headers, repeated=False)

    def _committed(self, operation: Operation, headers: Mapping[str, str], *, repeated: bool) -> Response:
        self._operations.commits.append(
            Commit(operation_id=operation.id, plan_id=operation.plan_id, key=operation.key, repeated=repeated)
        )
        ended = operation.status in ("ready", "failed", "schema_settling", "activation_pending")
        told = {
            "operation_id": operation.id,
            "status": operation.status if ended else "running",
            "release_id": operation.release_id,
            "urls": operation.urls,
            "error": operation.error,
        }
        return json_answer(told, 200, headers)

    def _check_base(self, operation: Operation) -> None:
        if first_hit(self.conflicts):
            _base_conflict("Another release became active.", "commit", operation)
        active = self._operations.active.get(operation.project_id)
        if self.strict_base and active != operation.base_release_id:
            _base_conflict(f"Release {active} became active after the plan was made.", "commit", operation)

    def _check_content(self, operation: Operation) -> None:
        absent = self._absent(operation)
        if absent:
            raise self._refusal(
                operation,
                "CONTENT_UPLOAD_FAILED",
                f"{len(absent)} contents are not there, or their content plan was not committed.",
                missing=absent,
            )

    def _refusal(self, operation: Operation, code: str, message: str, **details: Any) -> GatewayError:
        return GatewayError(
            409,
            code,
            message,
            phase="commit",
            operation_id=operation.id,
            plan_id=operation.plan_id,
            details={"status": operation.status, **details},
        )

    # ---------------------------------------------------------------- operations

    def _operation(self, call: Call, *, wallet: bool = False, deploys: bool = False) -> Operation:
        operation = self._operations.all.get(call.path["operation_id"])
        if operation is None:
            raise GatewayError(404, "OPERATION_NOT_FOUND", "There is no such operation")
        if deploys:
            self._callers.deployer(call.request, operation.project_id)
        else:
            self._callers.reader(call.request, operation.project_id, ci=True, wallet=wallet)
        return operation

    def _status(self, call: Call) -> Any:
        operation = self._operation(call, wallet=True)
        self._refresh(operation)
        return self._operations.poll(operation)

    def _events(self, call: Call) -> Any:
        operation = self._operation(call)
        self._operations.settle()
        return {"events": operation.events}

    def _resume(self, call: Call) -> Any:
        operation = self._operation(call, deploys=True)
        self._operations.resume(operation)
        return operation.snapshot()

    def _list(self, call: Call) -> Any:
        caller = self._callers.reader(call.request, ci=False)
        self._operations.settle()
        limit = _number(call, "limit", _LIST_LIMIT, 1000)
        start = _number(call, "cursor", 0, 1 << 31, least=0)
        # the newest first
        found = [one for one in reversed(self._operations.all.values()) if one.project_id == caller.project.id]
        page = found[start : start + limit]
        more = start + limit < len(found)
        return {
            "operations": [one.snapshot() for one in page],
            "cursor": str(start + limit) if more else None,
        }

    # ---------------------------------------------------------------- releases

    def _live(self, project_id: str) -> Release:
        self._operations.settle()
        release = self._operations.active_release(project_id)
        if release is None:
            raise GatewayError(404, "NO_ACTIVE_RELEASE", "Nothing was deployed to the project")
        return release

    def _of(self, project_id: str, release_id: str) -> Release:
        release = self._operations.releases.get(release_id)
        if release is None or release.project_id != project_id:
            raise GatewayError(404, "RESOURCE_NOT_FOUND", f"There is no release {release_id}")
        return release

    def _active(self, call: Call) -> Any:
        caller = self._callers.reader(call.request, ci=False)
        return self._inventory(call, self._live(caller.project.id), "current_live")

    def _release(self, call: Call) -> Any:
        caller = self._callers.reader(call.request, ci=False)
        self._operations.settle()
        release = self._of(caller.project.id, call.path["release_id"])
        activated = release.activated_at is not None
        return self._inventory(call, release, "effective" if activated else "desired_manifest")

    def _inventory(self, call: Call, release: Release, kind: str) -> dict[str, Any]:
        limit = _number(call, "site_limit", _SITE_LIMIT, _SITE_MOST)
        return release.inventory(self._gateway.api_base, kind=kind, site_limit=limit)

    def _diff(self, call: Call) -> Any:
        caller = self._callers.reader(call.request, ci=False)
        limit = _number(call, "limit", _DIFF_LIMIT, _SITE_MOST)
        sides: list[Release | None] = []
        for name in ("from", "to"):
            told = call.query.get(name)
            if not told or (name == "to" and told == "empty"):
                raise GatewayError(400, "INVALID_DIFF_TARGET", f"{name} must be a release", details={"field": name})
            if told == "empty":
                sides.append(None)
            else:
                project_id = caller.project.id
                sides.append(self._live(project_id) if told == "active" else self._of(project_id, told))
        if sides[0] is sides[1]:
            raise GatewayError(400, "DIFF_SAME_RELEASE", "Both are the same release")
        return diff_of(sides[0], sides[1], limit=limit)


def _contents(call: Call) -> Iterable[tuple[str, int, str | None]]:
    entries = call.body.get("content")
    if not isinstance(entries, list):
        raise _invalid("content", "must be a list")
    for entry in cast("list[object]", entries):
        told = members(entry)
        sha256, size = told.get("sha256"), told.get("size")
        if not isinstance(sha256, str) or _HASH.fullmatch(sha256) is None:
            raise _invalid("content.sha256", "must be 64 hex digits in lower case")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MOST_BYTES:
            raise _invalid("content.size", f"must be a number of bytes up to {MOST_BYTES}")
        content_type = told.get("content_type")
        yield sha256, size, content_type if isinstance(content_type, str) else None


def _entry(migration: Migration) -> dict[str, str]:
    return {"id": migration.id, "checksum_hex": migration.checksum}


def _transaction(migration: Migration) -> str:
    return "none" if migration.transaction == "none" else "default"


def _base_conflict(message: str, phase: str, operation: Operation | None) -> NoReturn:
    known: dict[str, Any] = {} if operation is None else {"operation_id": operation.id, "plan_id": operation.plan_id}
    raise GatewayError(
        409,
        "BASE_RELEASE_CONFLICT",
        message,
        phase=phase,
        resource="base",
        next_actions=[{"type": "replan"}],
        **known,
    )


def _invalid(name: str, message: str) -> GatewayError:
    return GatewayError(400, "VALIDATION_ERROR", f"{name} {message}", details={"field": name})


def _number(call: Call, name: str, usual: int, most: int, *, least: int = 1) -> int:
    text = call.query.get(name)
    if text is None:
        return usual
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not least <= int(text) <= most:
        raise _invalid(name, f"must be a number from {least} to {most}")
    return int(text)
