"""The databases of projects: SQL, schema, expose manifest, and REST over tables and views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from tollkit.oidc.json_values import is_list
from tollkit.sandbox.http import json_answer
from tollkit.sandbox.run402.database import Caller, Database, Outcome
from tollkit.sandbox.run402.end_users import user_of
from tollkit.sandbox.run402.expose import Exposure
from tollkit.sandbox.run402.gateway import GatewayError, route
from tollkit.sandbox.run402.pgtypes import SqlError
from tollkit.sandbox.run402.rest import Rest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.responses import Response
    from starlette.routing import Route

    from tollkit.sandbox.run402.gateway import Call, Gateway, Project

__all__ = ["DataRoutes", "sql_refused"]

_NOTE = "x-sandbox-note"
"""Header of an answer that tells what of a statement has no effect in the sandbox."""
_ADMIN = "/projects/v1/admin/{project_id}"


def sql_refused(error: SqlError) -> GatewayError:
    """A refusal of the database as the SQL route answers it."""
    if error.message.startswith("Blocked SQL pattern"):
        return GatewayError(403, "SQL_FORBIDDEN", error.message)
    return GatewayError(400, "SQL_ERROR", f"SQL error: {error.message}")


@attrs.define
class _Held:
    database: Database
    exposure: Exposure
    size: int = 0
    """Bytes that were counted for the project."""


class DataRoutes:
    """SQL, schema, expose manifest and REST of all projects.

    Args:
        gateway: The gateway.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._held: dict[str, _Held] = {}

    def routes(self) -> list[Route]:
        """The routes, with the paths of the document."""
        gateway = self._gateway
        methods = ("GET", "POST", "PATCH", "DELETE")
        return [
            route(gateway, "POST", f"{_ADMIN}/sql", self._sql),
            route(gateway, "GET", f"{_ADMIN}/schema", self._schema),
            route(gateway, "GET", f"{_ADMIN}/expose", self._exposed),
            route(gateway, "POST", f"{_ADMIN}/expose", self._expose),
            *(route(gateway, method, "/rest/v1/rpc/{function}", self._run) for method in ("GET", "POST")),
            *(route(gateway, method, "/rest/v1/{table}", self._rest) for method in methods),
            *(route(gateway, method, "/admin/v1/rest/{table}", self._admin_rest) for method in methods),
        ]

    def forget(self) -> None:
        """Forget all databases."""
        self._held.clear()

    # ---------------------------------------------------------------- for other groups and for tests

    def database(self, project_id: str) -> Database:
        """The database of a project; made when it is first asked for.

        Raises:
            GatewayError: 404, there is no such project.
        """
        return self._of(self._gateway.project(project_id)).database

    def exposure(self, project_id: str) -> Exposure:
        """What is exposed of a project's database.

        Raises:
            GatewayError: 404, there is no such project.
        """
        return self._of(self._gateway.project(project_id)).exposure

    def run(self, project_id: str, sql: str, params: Sequence[Any] | None = None) -> Outcome:
        """Run SQL in a project's database.

        Raises:
            GatewayError: 400 or 403, a statement is refused; 404, there is no such project.
        """
        with self._gateway.lock:
            try:
                outcome = self.database(project_id).run(sql, params)
            except SqlError as error:
                raise sql_refused(error) from None
            self._measure(self._gateway.project(project_id))
            return outcome

    def apply(self, project_id: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Apply an expose manifest; see `Exposure.apply`.

        Raises:
            GatewayError: 400 with all `errors`; 404, there is no such project.
        """
        with self._gateway.lock:
            told = self.exposure(project_id).apply(manifest)
            return {"status": "ok", "project_id": project_id, **told}

    def copy(self, source_id: str, target_id: str) -> None:
        """Give a project the database of another, with its rows and what of it is exposed.

        Raises:
            GatewayError: 404, one of them is not there.
        """
        with self._gateway.lock:
            source, target = self._gateway.project(source_id), self._gateway.project(target_id)
            if source_id in self._held:
                self._of(target).database.copy_from(self._of(source).database)
                self._of(target).exposure.copy_from(self._of(source).exposure)
                self._measure(target)

    # ---------------------------------------------------------------- routes

    def _of(self, project: Project) -> _Held:
        found = self._held.get(project.id)
        if found is None:
            database = Database(project.schema_slot, self._gateway.clock)
            found = self._held[project.id] = _Held(database, Exposure(database))
        return found

    def _measure(self, project: Project) -> None:
        """Count what the database has grown, or shrunk, as the project's storage."""
        held = self._of(project)
        size = held.database.size()
        self._gateway.store(project.id, size - held.size)
        held.size = size

    def _admin(self, call: Call) -> Project:
        return self._gateway.by_service_key(call.request, call.path["project_id"])

    def _sql(self, call: Call) -> Any:
        project = self._admin(call)
        sql, params = _asked(call)
        outcome = self.run(project.id, sql, params)
        told = {
            "status": "ok",
            "schema": project.schema_slot,
            "rows": outcome.rows,
            "rowCount": outcome.row_count,
            "row_count": outcome.row_count,
            "fields": outcome.fields,
        }
        return json_answer(told, headers={_NOTE: "; ".join(outcome.notices)} if outcome.notices else None)

    def _schema(self, call: Call) -> Any:
        return self._of(self._admin(call)).database.report()

    def _exposed(self, call: Call) -> Any:
        project = self._admin(call)
        return self._of(project).exposure.told(project.id)

    def _expose(self, call: Call) -> Any:
        return self.apply(self._admin(call).id, call.body)

    def _rest(self, call: Call) -> Response:
        project, caller = self._caller(call)
        return self._rows(call, project, caller)

    def _run(self, call: Call) -> Response:
        return self._as(call, *self._caller(call)).run(call.path["function"])

    def _admin_rest(self, call: Call) -> Response:
        project = self._gateway.by_service_key(call.request)
        return self._rows(call, project, Caller())

    def _rows(self, call: Call, project: Project, caller: Caller) -> Response:
        answer = self._as(call, project, caller).answer(call.path["table"])
        if call.method not in ("GET", "HEAD"):
            self._measure(project)
        return answer

    def _as(self, call: Call, project: Project, caller: Caller) -> Rest:
        held = self._of(project)
        return Rest(held.database, held.exposure, caller, call)

    def _caller(self, call: Call) -> tuple[Project, Caller]:
        """The project by `apikey`, and who asks: an end user's token beside it makes it that user."""
        project, kind = self._gateway.by_any_key(call.request)
        scheme, _, bearer = call.headers.get("authorization", "").partition(" ")
        bearer = bearer.strip() if scheme.lower() == "bearer" else ""
        if not bearer or bearer == project.anon_key:
            return project, Caller("service" if kind == "service" else "anon")
        if bearer == project.service_key:
            return project, Caller()
        return project, Caller("authenticated", user_of(self._gateway, project.id, bearer))


def _asked(call: Call) -> tuple[str, list[Any] | None]:
    """Statement and parameters of either form of the body."""
    params: Any = None
    if call.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        sql, params = call.required("sql"), call.body.get("params")
        if params is not None and not is_list(params):
            raise GatewayError(400, "VALIDATION_ERROR", "params must be a list", details={"field": "params"})
    else:
        try:
            sql = call.content.decode("utf-8")
        except UnicodeDecodeError:
            raise GatewayError(400, "VALIDATION_ERROR", "The statement is not UTF-8") from None
    if not sql.strip():
        raise GatewayError(400, "VALIDATION_ERROR", "There is no statement", details={"field": "sql"})
    return sql, params or None
