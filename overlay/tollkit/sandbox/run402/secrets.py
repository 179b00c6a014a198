"""Secrets of projects: set, told by name, deleted. Their values leave the sandbox by a lever alone.

Source: Run402 1.57, `/projects/v1/admin/{project_id}/secrets`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tollkit.sandbox.run402.calls import Call, GatewayError
from tollkit.sandbox.run402.parts import Operation, OperationGroup, invalid

if TYPE_CHECKING:
    from tollkit.sandbox.run402.gateway import Project

__all__ = ["MAX_VALUE_BYTES", "SecretRoutes"]

MAX_VALUE_BYTES = 4096
_KEY = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")
_HASH_DIGITS = 8


class SecretRoutes(OperationGroup):
    """The routes of secrets, with levers for tests."""

    schema = """
    CREATE TABLE secrets (
        project_id TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL,
        PRIMARY KEY (project_id, key)
    );
    """

    def operations(self) -> Iterable[Operation]:
        """The operations of the group; `secretsSet` in both forms that are on record."""
        path = "/projects/v1/admin/{project_id}/secrets"
        yield Operation("secretsSet", "POST", path, self._set, (204, 200, 201, 202))
        yield Operation("secretsSet (1.57)", "POST", path + "/{key}", self._set_by_path, (204, 200, 201, 202))
        yield Operation("secretsList", "GET", path, self._list, (200,))
        yield Operation("secretsDelete", "DELETE", path + "/{key}", self._delete, (200, 202))

    # ---------------------------------------------------------------- levers and what other groups need

    def names(self, project_id: str) -> list[str]:
        """Names of a project's secrets, in order."""
        with self._gateway.lock:
            rows = self._db.execute("SELECT key FROM secrets WHERE project_id = ? ORDER BY key", (project_id,))
            return [row["key"] for row in rows]

    def missing(self, project_id: str, names: Iterable[str]) -> list[str]:
        """Which of these the project does not have."""
        known = set(self.names(project_id))
        return [name for name in names if name not in known]

    def value(self, project_id: str, key: str) -> str | None:
        """The value of a secret, as a function would read it; None when it is not set."""
        with self._gateway.lock:
            row = self._db.execute(
                "SELECT value FROM secrets WHERE project_id = ? AND key = ?", (project_id, key)
            ).fetchone()
            return None if row is None else str(row["value"])

    def put(self, project_id: str, key: str, value: str) -> None:
        """Set a secret.

        Raises:
            GatewayError: 400, the key or the value is not allowed.
        """
        if _KEY.fullmatch(key) is None:
            raise invalid("key", "must be 1 to 128 capitals, digits and _, with no digit in front")
        if len(value.encode("utf-8", "replace")) > MAX_VALUE_BYTES:
            raise invalid("value", f"must not be longer than {MAX_VALUE_BYTES} bytes of UTF-8")
        with self._gateway.lock:
            now = self._now()
            self._db.execute(
                "INSERT INTO secrets (project_id, key, value, created_at, updated_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (project_id, key) DO UPDATE"
                " SET value = excluded.value, updated_at = excluded.updated_at",
                (project_id, key, value, now, now),
            )

    # ---------------------------------------------------------------- routes

    def _set(self, call: Call) -> None:
        project = self._project(call)
        self._store(call, project, call.required("key"))

    def _set_by_path(self, call: Call) -> None:
        project = self._project(call)
        self._store(call, project, call.path["key"])

    def _store(self, call: Call, project: Project, key: str) -> None:
        value = call.body.get("value")
        if not isinstance(value, str):
            raise invalid("value", "must be a text")
        self.put(project.id, key, value)

    def _list(self, call: Call) -> Any:
        project = self._project(call)
        rows = self._db.execute("SELECT * FROM secrets WHERE project_id = ? ORDER BY key", (project.id,))
        return {
            "secrets": [
                {
                    "key": row["key"],
                    "value_hash": hashlib.sha256(row["value"].encode("utf-8", "replace")).hexdigest()[:_HASH_DIGITS],
                    "created_at": self._time(row["created_at"]),
                    "updated_at": self._time(row["updated_at"]),
                }
                for row in rows
            ]
        }

    def _delete(self, call: Call) -> Any:
        project, key = self._project(call), call.path["key"]
        gone = self._db.execute("DELETE FROM secrets WHERE project_id = ? AND key = ?", (project.id, key))
        if not gone.rowcount:
            raise GatewayError(404, "SECRET_NOT_FOUND", f"No such secret: {key}")
        return {"status": "deleted", "key": key}

    def _project(self, call: Call) -> Project:
        return self._gateway.by_service_key(call.request, call.path["project_id"])
