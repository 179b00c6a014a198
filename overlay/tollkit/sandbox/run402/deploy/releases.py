"""What a release is made of, and how two differ.

Source: Run402 1.57, `GET /deploy/v2/releases/{release_id}` and `GET /deploy/v2/releases/diff`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

from tollkit.sandbox.clock import iso

__all__ = ["EMPTY", "SCHEMA_VERSION", "File", "Function", "Release", "State", "canonical", "diff_names", "diff_of"]

SCHEMA_VERSION = "agent-deploy-observability.v1"
Status = Literal["staged", "active", "superseded", "failed"]


def canonical(document: Any) -> bytes:
    """JSON with sorted keys and no blanks: what digests are made over. The platform's own choice is not known."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


@attrs.frozen(kw_only=True)
class File:
    """A file of a site."""

    sha256: str
    size: int
    content_type: str


@attrs.frozen(kw_only=True)
class Function:
    """A function of a release."""

    name: str
    code_hash: str
    runtime: str
    timeout_seconds: int
    memory_mb: int
    schedule: str | None
    entrypoint: str | None
    sources: Mapping[str, str]
    """Hash of each file; the single source has the empty path."""

    def document(self) -> dict[str, Any]:
        """As it is listed."""
        return {
            "name": self.name,
            "code_hash": self.code_hash,
            "runtime": self.runtime,
            "timeout_seconds": self.timeout_seconds,
            "memory_mb": self.memory_mb,
            "schedule": self.schedule,
        }


@attrs.frozen(kw_only=True)
class State:
    """What a project is after a release."""

    site: Mapping[str, File] = attrs.field(factory=dict[str, File])
    functions: Mapping[str, Function] = attrs.field(factory=dict[str, Function])
    secrets: tuple[str, ...] = ()
    subdomains: tuple[str, ...] = ()
    routes: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    checks: tuple[Any, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON, for the digest."""
        return {
            "site": {path: [file.sha256, file.size, file.content_type] for path, file in self.site.items()},
            "functions": {
                name: {**function.document(), "entrypoint": function.entrypoint, "sources": dict(function.sources)}
                for name, function in self.functions.items()
            },
            "secrets": list(self.secrets),
            "subdomains": list(self.subdomains),
            "routes": dict(self.routes),
            "checks": list(self.checks),
        }

    def digest(self, more: Any = None) -> str:
        """SHA-256 of it, in hex.

        Args:
            more: JSON that counts too, e.g. the migrations.
        """
        return hashlib.sha256(canonical([self.document(), more])).hexdigest()


EMPTY = State()
"""Of a project that nothing was deployed to."""


@attrs.define(kw_only=True)
class Release:
    """A release of a project."""

    id: str
    project_id: str
    parent_id: str | None
    state: State
    digest: str
    status: Status
    created_at: float
    created_by: str
    operation_id: str
    plan_id: str
    activated_at: float | None = None
    superseded_at: float | None = None
    migrations: tuple[tuple[str, str, float], ...] = ()
    """Id, checksum and time of each migration that the database had when it became active."""

    def inventory(self, api_base: str, *, kind: str, site_limit: int) -> dict[str, Any]:
        """Everything that is in it.

        Args:
            api_base: Address of the gateway.
            kind: `current_live`, `effective` or `desired_manifest`.
            site_limit: How many paths of the site are told.
        """
        paths = sorted(self.state.site)
        return {
            "kind": "release_inventory",
            "schema_version": SCHEMA_VERSION,
            "release_id": self.id,
            "project_id": self.project_id,
            "parent_id": self.parent_id,
            "status": self.status,
            "manifest_digest": self.digest,
            "created_at": iso(self.created_at),
            "created_by": self.created_by,
            "activated_at": _time(self.activated_at),
            "superseded_at": _time(self.superseded_at),
            "operation_id": self.operation_id,
            "plan_id": self.plan_id,
            "events_url": f"{api_base}/deploy/v2/operations/{self.operation_id}/events",
            "effective": self.status == "active",
            "state_kind": kind,
            "site": {
                "paths": [
                    {
                        "path": path,
                        "content_sha256": self.state.site[path].sha256,
                        "content_type": self.state.site[path].content_type,
                    }
                    for path in paths[:site_limit]
                ],
                "totals": {"paths": len(paths)},
            },
            "functions": [self.state.functions[name].document() for name in sorted(self.state.functions)],
            "secrets": {"keys": sorted(self.state.secrets)},
            "subdomains": {"names": sorted(self.state.subdomains)},
            "migrations_applied": [
                {"migration_id": name, "checksum_hex": checksum, "applied_at": iso(moment)}
                for name, checksum, moment in self.migrations
            ],
            "warnings": [],
        }


def diff_of(source: Release | None, target: Release | None, *, limit: int = 1000) -> dict[str, Any]:
    """How two releases differ; None stands for a project that nothing was deployed to."""
    before = EMPTY if source is None else source.state
    after = EMPTY if target is None else target.state
    applied = {name for name, _, _ in source.migrations} if source is not None else set[str]()
    between = [] if target is None else [name for name, _, _ in target.migrations if name not in applied]
    changes = diff_states(before, after, limit=limit)
    same = not between and before == after
    return {
        "kind": "release_diff",
        "schema_version": SCHEMA_VERSION,
        "from_release_id": None if source is None else source.id,
        "to_release_id": None if target is None else target.id,
        "is_noop": same,
        "summary": summary(changes, len(between)),
        "warnings": [],
        "migrations": {"applied_between_releases": between},
        **changes,
    }


def diff_states(before: State, after: State, *, limit: int = 1000) -> dict[str, Any]:
    """The members `site`, `functions`, `secrets` and `subdomains` of a difference."""
    return {
        "site": _site(before.site, after.site, limit),
        "functions": _functions(before.functions, after.functions),
        "secrets": diff_names(before.secrets, after.secrets),
        "subdomains": diff_names(before.subdomains, after.subdomains),
    }


def summary(changes: Mapping[str, Any], migrations: int) -> str:
    """A difference in words."""
    totals: Mapping[str, int] = changes["site"]["totals"]
    functions: Mapping[str, list[Any]] = changes["functions"]
    parts = [
        f"{count} {what}"
        for count, what in (
            (totals["added"], "files added"),
            (totals["changed"], "files changed"),
            (totals["removed"], "files removed"),
            (sum(len(names) for names in functions.values()), "functions touched"),
            (migrations, "migrations"),
        )
        if count
    ]
    return ", ".join(parts) or "no changes"


def diff_names(before: Iterable[str], after: Iterable[str]) -> dict[str, list[str]]:
    """Names that came and went."""
    old, new = set(before), set(after)
    return {"added": sorted(new - old), "removed": sorted(old - new)}


def _site(before: Mapping[str, File], after: Mapping[str, File], limit: int) -> dict[str, Any]:
    names = diff_names(before, after)
    changed = sorted(path for path in after if path in before and before[path] != after[path])
    return {
        "added": [
            {"path": path, "sha256": after[path].sha256, "content_type": after[path].content_type}
            for path in names["added"][:limit]
        ],
        "removed": names["removed"][:limit],
        "changed": [
            {
                "path": path,
                "sha256_old": before[path].sha256,
                "sha256_new": after[path].sha256,
                "content_type_old": before[path].content_type,
                "content_type_new": after[path].content_type,
            }
            for path in changed[:limit]
        ],
        "totals": {"added": len(names["added"]), "removed": len(names["removed"]), "changed": len(changed)},
    }


def _functions(before: Mapping[str, Function], after: Mapping[str, Function]) -> dict[str, Any]:
    changed: list[dict[str, Any]] = []
    for name in sorted(set(before) & set(after)):
        old, new = before[name].document(), after[name].document()
        fields = [field for field in old if old[field] != new[field]]
        if fields:
            changed.append({"name": name, "fields_changed": fields})
    return {**diff_names(before, after), "changed": changed}


def _time(moment: float | None) -> str | None:
    return None if moment is None else iso(moment)
