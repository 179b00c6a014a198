"""Functions of projects: deployed, called, watched.

The sandbox does not run a function's source. A call is written down and answered with what a test scripted for the
function, and with an echo of the call where nothing was scripted.

Source: Run402 1.57, `/projects/v1/admin/{project_id}/functions` and `/functions/v1/{name}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from starlette.responses import Response

from tollkit.sandbox.http import members
from tollkit.sandbox.run402.calls import Call, GatewayError, json_of
from tollkit.sandbox.run402.parts import Answer, Operation, OperationGroup, invalid, number, query_number, text_list
from tollkit.sandbox.run402.tiers import TIERS

if TYPE_CHECKING:
    import sqlite3

    from tollkit.sandbox.run402.gateway import Gateway, Project
    from tollkit.sandbox.run402.secrets import SecretRoutes

__all__ = ["FunctionAnswer", "FunctionRoutes", "Invocation"]

RUNTIME = "node22"
_RUNTIME_VERSION = "3.5.1"
_TIMEOUT, _MOST_TIMEOUT = 10, 900
_MEMORY, _MOST_MEMORY = 128, 10_240
_TAIL, _MOST_TAIL = 50, 200
_MOST_DEPS, _MOST_DEP_LENGTH = 30, 200
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_DEP = re.compile(r"((?:@[a-z0-9._~-]+/)?[a-z0-9._~-]+)(?:@(.+))?")
_OWN_PACKAGES = frozenset({"@run402/functions", "run402-functions"})
_NATIVE_PACKAGES = frozenset({"bcrypt", "better-sqlite3", "canvas", "sharp", "sqlite3"})
_SECRET = re.compile(r"process\.env\.([A-Z_][A-Z0-9_]*)")
_GIVEN = re.compile(r"RUN402_.*|NODE_ENV|PATH|HOME|TZ")
_CRON_FIELD = re.compile(r"(?:\*|[0-9]{1,2}(?:-[0-9]{1,2})?)(?:/[0-9]{1,2})?")
_CRON_LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_WITHOUT_CONTENT = frozenset({204, 205, 304})
_PRIVATE = frozenset(
    {"apikey", "authorization", "cookie", "payment-signature", "proxy-authorization", "sign-in-with-x", "x-payment"}
)
_METHODS = {"": "POST", "Get": "GET", "Put": "PUT", "Patch": "PATCH", "Delete": "DELETE", "Options": "OPTIONS"}


@attrs.frozen(kw_only=True)
class Invocation:
    """A call of a function.

    Attributes:
        project_id: The project.
        name: The function.
        method: In upper case.
        path: As it was asked for, without the query.
        query: The query as it stood on the wire, without the question mark.
        headers: Header fields by their names in lower case; keys and signatures are left out.
        body: The body.
        at: When, in epoch seconds.
    """

    project_id: str
    name: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)
    at: float

    @property
    def json(self) -> Any:
        """The body as JSON; None when it is none."""
        try:
            return json_of(self.body)
        except ValueError:
            return None


@attrs.frozen(kw_only=True)
class FunctionAnswer:
    """What a function answers.

    Args:
        body: Text and bytes as they are, anything else as JSON; None for no body.
        status: Of the answer.
        headers: Of the answer.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])

    def response(self) -> Response:
        """The answer as it goes out."""
        if self.body is None or self.status in _WITHOUT_CONTENT:
            content, kind = b"", None
        elif isinstance(self.body, bytes):
            content, kind = self.body, "application/octet-stream"
        elif isinstance(self.body, str):
            content, kind = self.body.encode(), "text/plain;charset=UTF-8"
        else:
            text = json.dumps(self.body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            content, kind = text.encode(), "application/json"
        own = {name.lower(): value for name, value in self.headers.items()}
        usual = {"content-type": kind} if kind else {}
        return Response(content, self.status, {"cache-control": "private, no-store", **usual, **own})


class FunctionRoutes(OperationGroup):
    """The routes of functions, with levers for tests.

    Args:
        gateway: The gateway.
        secrets: Whose names a function's source is held against.
    """

    schema = """
    CREATE TABLE functions (
        project_id TEXT NOT NULL,
        name TEXT NOT NULL,
        code TEXT NOT NULL,
        timeout INTEGER NOT NULL,
        memory INTEGER NOT NULL,
        deps TEXT,
        schedule TEXT,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL,
        run_count INTEGER NOT NULL DEFAULT 0,
        last_run_at REAL,
        last_status INTEGER,
        last_error TEXT,
        PRIMARY KEY (project_id, name)
    );
    CREATE TABLE function_logs (
        sequence INTEGER PRIMARY KEY,
        project_id TEXT NOT NULL,
        name TEXT NOT NULL,
        at REAL NOT NULL,
        message TEXT NOT NULL
    );
    CREATE TABLE invocations (
        sequence INTEGER PRIMARY KEY,
        project_id TEXT NOT NULL,
        name TEXT NOT NULL,
        method TEXT NOT NULL,
        path TEXT NOT NULL,
        query TEXT NOT NULL,
        headers TEXT NOT NULL,
        body BLOB NOT NULL,
        at REAL NOT NULL
    );
    """

    def __init__(self, gateway: Gateway, secrets: SecretRoutes) -> None:
        self._secrets = secrets
        super().__init__(gateway)

    def _begin(self) -> None:
        super()._begin()
        self._scripts: dict[tuple[str, str], Callable[[Invocation], Any]] = {}

    def operations(self) -> Iterable[Operation]:
        """The operations of the group; `functionsInvokeHead` is answered as `functionsInvokeGet`."""
        path = "/projects/v1/admin/{project_id}/functions"
        yield Operation("functionsDeploy", "POST", path, self._deploy, (201, 200, 202))
        yield Operation("functionsList", "GET", path, self._list, (200,))
        yield Operation("functionsDelete", "DELETE", path + "/{name}", self._delete, (200, 202))
        yield Operation("functionsUpdate", "PATCH", path + "/{name}", self._update, (200,))
        yield Operation("functionsLogs", "GET", path + "/{name}/logs", self._logs, (200,))
        for suffix, method in _METHODS.items():
            yield Operation(
                f"functionsInvoke{suffix}", method, "/functions/v1/{name}", self._invoke, (200, 201, 202, 204)
            )

    # ---------------------------------------------------------------- levers

    def answer_with(
        self,
        project_id: str,
        name: str,
        body: Any = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Script what a function answers from now on: text and bytes as they are, anything else as JSON."""
        answer = FunctionAnswer(body=body, status=status, headers=headers or {})
        self.run_with(project_id, name, lambda _: answer)

    def run_with(self, project_id: str, name: str, handler: Callable[[Invocation], Any] | None) -> None:
        """Let Python answer for a function.

        Args:
            project_id: The project.
            name: The function; it need not be deployed yet.
            handler: Gets the call and returns a `FunctionAnswer`, or the body of one; None for the echo.
        """
        with self._gateway.lock:
            self._scripts.pop((project_id, name), None)
            if handler is not None:
                self._scripts[project_id, name] = handler

    def invocations(self, project_id: str, name: str | None = None) -> list[Invocation]:
        """The calls of a project's functions, or of one of them, the oldest first."""
        with self._gateway.lock:
            rows = self._db.execute(
                "SELECT * FROM invocations WHERE project_id = ? AND name = ifnull(?, name) ORDER BY sequence",
                (project_id, name),
            )
            return [
                Invocation(
                    **{
                        **{field.name: row[field.name] for field in attrs.fields(Invocation)},
                        "headers": json.loads(row["headers"]),
                    }
                )
                for row in rows
            ]

    def log(self, project_id: str, name: str, message: str) -> None:
        """Write a line into a function's log, as its code would with `console.log`."""
        with self._gateway.lock:
            self._db.execute(
                "INSERT INTO function_logs (project_id, name, at, message) VALUES (?, ?, ?, ?)",
                (project_id, name, self._now(), message),
            )

    def run_schedule(self, project_id: str, name: str) -> Response:
        """Run a function as its schedule would, now; the sandbox runs none by itself.

        Raises:
            ValueError: There is no such function, or it has no schedule.
        """
        with self._gateway.lock:
            row = self._row(project_id, name)
            if row is None or row["schedule"] is None:
                raise ValueError(f"no function {name!r} with a schedule")
            answer = self._run_function(
                Invocation(
                    project_id=project_id,
                    name=name,
                    method="POST",
                    path=f"/functions/v1/{name}",
                    query="",
                    headers={"x-run402-trigger": "schedule"},
                    body=b"",
                    at=self._now(),
                )
            )
            failed = None if answer.status_code < 400 else f"The function answered with {answer.status_code}."
            self._db.execute(
                "UPDATE functions SET run_count = run_count + 1, last_run_at = ?, last_status = ?, last_error = ?"
                " WHERE project_id = ? AND name = ?",
                (self._now(), answer.status_code, failed, project_id, name),
            )
            return answer

    # ---------------------------------------------------------------- what other groups need

    def names(self, project_id: str) -> list[str]:
        """Names of a project's functions, the oldest first."""
        with self._gateway.lock:
            return [row["name"] for row in self._rows(project_id)]

    def required_secrets(self, project_id: str) -> list[str]:
        """Names of the secrets that the project's functions read, in order."""
        with self._gateway.lock:
            return sorted({key for row in self._rows(project_id) for key in _secrets_in(row["code"])})

    def put(
        self,
        project_id: str,
        name: str,
        code: str,
        *,
        timeout: int | None = None,
        memory: int | None = None,
        deps: list[str] | None = None,
        schedule: str | None = None,
        keep_schedule: bool = True,
    ) -> bool:
        """Deploy a function, or another version of it.

        Args:
            project_id: The project.
            name: The function.
            code: Its source.
            timeout: In seconds; as it was when left out.
            memory: In megabytes; as it was when left out.
            deps: Packages that it needs.
            schedule: A cron expression; None for none.
            keep_schedule: Whether `schedule` is not told: the one of the version before stays.

        Returns:
            Whether there was no such function.

        Raises:
            GatewayError: 422, the tier has no room for another function.
        """
        with self._gateway.lock:
            now, old = self._now(), self._row(project_id, name)
            if old is None:
                most = TIERS[self._gateway.project(project_id).tier].max_functions
                if len(self._rows(project_id)) >= most:
                    raise GatewayError(
                        422, "FUNCTION_LIMIT_REACHED", "The tier has no room for another function", limit=most
                    )
            self._db.execute(
                "INSERT INTO functions"
                " (project_id, name, code, timeout, memory, deps, schedule, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (project_id, name) DO UPDATE SET code = excluded.code,"
                " timeout = excluded.timeout, memory = excluded.memory, deps = excluded.deps,"
                " schedule = excluded.schedule, updated_at = excluded.updated_at",
                (
                    project_id,
                    name,
                    code,
                    timeout or (old["timeout"] if old else _TIMEOUT),
                    memory or (old["memory"] if old else _MEMORY),
                    None if deps is None else json.dumps(_resolved(deps)),
                    old["schedule"] if old and keep_schedule else schedule,
                    now,
                    now,
                ),
            )
            return old is None

    def remove(self, project_id: str, name: str) -> bool:
        """Delete a function with its log; whether there was one."""
        with self._gateway.lock:
            gone = self._db.execute("DELETE FROM functions WHERE project_id = ? AND name = ?", (project_id, name))
            self._db.execute("DELETE FROM function_logs WHERE project_id = ? AND name = ?", (project_id, name))
            return bool(gone.rowcount)

    def copy(self, source_id: str, target_id: str) -> list[str]:
        """Deploy the functions of one project in another; their names."""
        with self._gateway.lock:
            now = self._now()
            self._db.execute(
                "INSERT INTO functions"
                " (project_id, name, code, timeout, memory, deps, schedule, created_at, updated_at)"
                " SELECT ?, name, code, timeout, memory, deps, schedule, ?, ? FROM functions WHERE project_id = ?"
                " ORDER BY rowid",
                (target_id, now, now, source_id),
            )
            return self.names(target_id)

    def url(self, name: str) -> str:
        """Address at which a function is called."""
        return f"{self._gateway.api_base}/functions/v1/{name}"

    def run(self, invocation: Invocation) -> Response:
        """Answer a call of a function that came another way, e.g. by a route of the site.

        Raises:
            GatewayError: 404, there is no such function.
        """
        with self._gateway.lock:
            self._known(invocation.project_id, invocation.name)
            return self._run_function(invocation)

    # ---------------------------------------------------------------- routes

    def _deploy(self, call: Call) -> Answer:
        project = self._project(call)
        name, code = call.required("name"), call.required("code")
        if _NAME.fullmatch(name) is None:
            raise invalid("name", "must be 1 to 63 letters, digits, - and _")
        timeout, memory = _limits(call)
        deps = _dependencies(call) if call.body.get("deps") is not None else None
        told = "schedule" in call.body
        is_new = self.put(
            project.id,
            name,
            code,
            timeout=timeout,
            memory=memory,
            deps=deps,
            schedule=_schedule(call) if told else None,
            keep_schedule=not told,
        )
        row = self._known(project.id, name)
        missing = self._secrets.missing(project.id, _secrets_in(code))
        return Answer(
            {
                **self._common(row),
                "url": self.url(name),
                "status": "deployed",
                "created_at": self._time(row["created_at"]),
                "warnings": [f"MISSING_REQUIRED_SECRET: {key} is not set" for key in missing],
            },
            201 if is_new else 200,
        )

    def _list(self, call: Call) -> Any:
        project = self._project(call)
        return {
            "functions": [
                {
                    **self._common(row),
                    "url": self.url(row["name"]),
                    "schedule_meta": self._schedule_meta(row),
                    "created_at": self._time(row["created_at"]),
                    "updated_at": self._time(row["updated_at"]),
                }
                for row in self._rows(project.id)
            ]
        }

    def _update(self, call: Call) -> Any:
        project, name = self._project(call), call.path["name"]
        old = self._known(project.id, name)
        timeout, memory = _limits(call)
        schedule = _schedule(call) if "schedule" in call.body else old["schedule"]
        self._db.execute(
            "UPDATE functions SET timeout = ?, memory = ?, schedule = ?, updated_at = ?"
            " WHERE project_id = ? AND name = ?",
            (timeout or old["timeout"], memory or old["memory"], schedule, self._now(), project.id, name),
        )
        row = self._known(project.id, name)
        return {
            **self._common(row),
            "schedule_meta": self._schedule_meta(row),
            "updated_at": self._time(row["updated_at"]),
        }

    def _delete(self, call: Call) -> Any:
        project, name = self._project(call), call.path["name"]
        if not self.remove(project.id, name):
            raise _unknown(name)
        return {"status": "deleted", "name": name}

    def _logs(self, call: Call) -> Any:
        project, name = self._project(call), call.path["name"]
        self._known(project.id, name)
        tail = query_number(call, "tail", _TAIL, _MOST_TAIL)
        since = query_number(call, "since", 0, 10**15)
        rows = self._db.execute(
            "SELECT * FROM (SELECT * FROM function_logs WHERE project_id = ? AND name = ? AND at >= ?"
            " ORDER BY sequence DESC LIMIT ?) ORDER BY sequence",
            (project.id, name, since / 1000, tail),
        )
        return {"logs": [{"timestamp": self._time(row["at"]), "message": row["message"]} for row in rows]}

    def _invoke(self, call: Call) -> Any:
        # a header Authorization is the function's: its callers may be users of the project
        project, _ = self._gateway.by_any_key(call.request)
        name = call.path["name"]
        self._known(project.id, name)
        request = call.request
        invocation = Invocation(
            project_id=project.id,
            name=name,
            method=call.method,
            path=request.scope["path"],
            query=request.scope["query_string"].decode("latin-1"),
            headers={key: value for key, value in call.headers.items() if key not in _PRIVATE},
            body=call.content,
            at=self._now(),
        )
        method = "GET" if call.method == "HEAD" else call.method
        suffix = next(name for name, each in _METHODS.items() if each == method)
        return self._run_function(invocation, self._statuses.get(f"functionsInvoke{suffix}", 200))

    def _run_function(self, invocation: Invocation, success: int = 200) -> Response:
        self._db.execute(
            "INSERT INTO invocations (project_id, name, method, path, query, headers, body, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                invocation.project_id,
                invocation.name,
                invocation.method,
                invocation.path,
                invocation.query,
                json.dumps(dict(invocation.headers)),
                invocation.body,
                invocation.at,
            ),
        )
        project_id, name = invocation.project_id, invocation.name
        self.log(project_id, name, _line("started", method=invocation.method, path=invocation.path))
        handler = self._scripts.get((project_id, name), _echo)
        try:
            told = handler(invocation)
            made = told if isinstance(told, FunctionAnswer) else FunctionAnswer(body=told, status=success)
            answer = made.response()
        except Exception as error:  # whatever the test's function does, the gateway answers
            self.log(project_id, name, _line("failed", error=f"{type(error).__name__}: {error}"))
            raise GatewayError(500, "FUNCTION_ERROR", f"The function {name} failed") from error
        self.log(project_id, name, _line("completed", status=answer.status_code))
        answer.headers["x-run402-request-id"] = self._gateway.new_id("req_", 24)
        return answer

    # ---------------------------------------------------------------- rows

    def _project(self, call: Call) -> Project:
        return self._gateway.by_service_key(call.request, call.path["project_id"])

    def _rows(self, project_id: str) -> list[sqlite3.Row]:
        return self._db.execute(
            "SELECT * FROM functions WHERE project_id = ? ORDER BY rowid", (project_id,)
        ).fetchall()

    def _row(self, project_id: str, name: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute(
            "SELECT * FROM functions WHERE project_id = ? AND name = ?", (project_id, name)
        ).fetchone()
        return row

    def _known(self, project_id: str, name: str) -> sqlite3.Row:
        row = self._row(project_id, name)
        if row is None:
            raise _unknown(name)
        return row

    def _common(self, row: sqlite3.Row) -> dict[str, Any]:
        return {
            "name": row["name"],
            "runtime": RUNTIME,
            "timeout": row["timeout"],
            "memory": row["memory"],
            "schedule": row["schedule"],
            "runtime_version": _RUNTIME_VERSION,
            "deps_resolved": None if row["deps"] is None else json.loads(row["deps"]),
        }

    def _schedule_meta(self, row: sqlite3.Row) -> dict[str, Any] | None:
        if row["schedule"] is None:
            return None
        told: dict[str, Any] = {"run_count": row["run_count"]}
        if row["last_run_at"] is not None:
            told["last_run_at"] = self._time(row["last_run_at"])
            told["last_status"] = row["last_status"]
            told["last_error"] = row["last_error"]
        return told


def _echo(invocation: Invocation) -> Any:
    text = invocation.body.decode("utf-8", "replace")
    return {
        "method": invocation.method,
        "path": invocation.path,
        "query": invocation.query,
        "headers": dict(invocation.headers),
        "body": text if invocation.json is None else invocation.json,
    }


def _line(event: str, **more: Any) -> str:
    return json.dumps({"event": f"function_invocation_{event}", **more}, separators=(",", ":"))


def _secrets_in(code: str) -> list[str]:
    return sorted({key for key in _SECRET.findall(code) if _GIVEN.fullmatch(key) is None})


def _unknown(name: str) -> GatewayError:
    return GatewayError(404, "FUNCTION_NOT_FOUND", f"No such function: {name}")


def _limits(call: Call) -> tuple[int | None, int | None]:
    config = call.body.get("config")
    if config is None:
        return None, None
    if not isinstance(config, dict):
        raise invalid("config", "must be an object")
    told = members(config)
    timeout, memory = told.get("timeout"), told.get("memory")
    return (
        None if timeout is None else number(timeout, "config.timeout", _MOST_TIMEOUT),
        None if memory is None else number(memory, "config.memory", _MOST_MEMORY),
    )


def _schedule(call: Call) -> str | None:
    schedule = call.text("schedule", required=False)
    if schedule is None:
        return None
    fields = schedule.split()
    if len(fields) != len(_CRON_LIMITS) or not all(map(_is_cron_field, fields, _CRON_LIMITS)):
        raise invalid("schedule", "must be a cron expression of five fields")
    return schedule


def _is_cron_field(field: str, limits: tuple[int, int]) -> bool:
    return all(_is_cron_part(part, *limits) for part in field.split(","))


def _is_cron_part(part: str, least: int, most: int) -> bool:
    if _CRON_FIELD.fullmatch(part) is None:
        return False
    times, _, step = part.partition("/")
    numbers = [] if times == "*" else [int(value) for value in times.split("-")]
    in_order = all(least <= value <= most for value in numbers) and numbers == sorted(numbers)
    return in_order and (not step or int(step) > 0)


def _dependencies(call: Call) -> list[str]:
    deps = text_list(call, "deps")
    if len(deps) > _MOST_DEPS:
        raise invalid("deps", f"must be {_MOST_DEPS} packages at most")
    for dep in deps:
        found = _DEP.fullmatch(dep)
        if found is None or len(dep) > _MOST_DEP_LENGTH:
            raise invalid("deps", f"must be packages of npm of {_MOST_DEP_LENGTH} characters at most")
        if found[1] in _OWN_PACKAGES:
            raise invalid("deps", f"must not name {found[1]}, which is there already")
        if found[1] in _NATIVE_PACKAGES:
            raise invalid("deps", f"must not name {found[1]}: native modules do not run here")
    return deps


def _resolved(deps: list[str]) -> dict[str, str]:
    # nothing is looked up: a package without a version has none here
    found = [_DEP.fullmatch(dep) for dep in deps]
    return {match[1]: match[2] or "0.0.0-sandbox" for match in found if match}
