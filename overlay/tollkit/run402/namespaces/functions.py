"""Functions: code of a project that the platform runs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from tollkit.core import answers
from tollkit.core.arguments import built, instant, required_text
from tollkit.core.flows import Flow, flow
from tollkit.core.namespaces import Namespace
from tollkit.core.settings import KEEP, Keep, header_fields
from tollkit.errors import ArgumentError
from tollkit.run402.namespaces.checks import members, preparing, whole
from tollkit.run402.namespaces.keyed import with_keys
from tollkit.run402.namespaces.scoped import ScopedNamespace, of_project

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit_api.run402.v1_57.models import (
        DeletedFunction,
        DeployedFunction,
        FunctionConfig,
        FunctionList,
        FunctionLogs,
        UpdatedFunction,
    )
    from tollkit_api.runtime import HttpResponse, Request

__all__ = ["FunctionInvokeResult", "Functions", "ScopedFunctions"]

D = TypeVar("D")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WITHOUT_BODY = frozenset({"GET", "HEAD"})
_INVOKE = {
    "POST": "functions_invoke",
    "GET": "functions_invoke_get",
    "PUT": "functions_invoke_put",
    "PATCH": "functions_invoke_patch",
    "DELETE": "functions_invoke_delete",
    "OPTIONS": "functions_invoke_options",
    "HEAD": "functions_invoke_head",
}


@attrs.frozen(kw_only=True)
class FunctionInvokeResult:
    """What a function answered.

    Args:
        status: The status, 2xx.
        body: The JSON value where the answer says that it is `application/json` (`None` when it then is not), else
            the text.
        duration_ms: How long it took as seen from here, in milliseconds.
        headers: The header fields of the answer.
        content: The body as it came, for answers that are neither JSON nor text.
    """

    status: int
    body: Any
    duration_ms: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    content: bytes = attrs.field(repr=False)


class Functions(Namespace[D]):
    """`client.functions`: deploy, call and watch functions."""

    _root: Run402Flows

    @flow
    def deploy(
        self,
        project_id: str,
        *,
        name: str,
        code: str,
        config: FunctionConfig | Mapping[str, Any] | None = None,
        deps: Iterable[str] | None = None,
        schedule: str | Keep | None = KEEP,
    ) -> Flow[DeployedFunction]:
        """Deploy a function, or another version of it.

        Args:
            project_id: The project.
            name: Its name.
            code: Its source.
            config: `timeout` in seconds and `memory` in MB; a mapping is sent as it is.
            deps: Packages of npm that it needs, such as `axios` or `axios@1.7.0`.
            schedule: When to run it, as a cron expression; `None` for never.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: An argument is of the wrong kind (also an `ArgumentError`).
            ApiError: The code or a package is refused (also a `BadRequestError`).

        Source: Run402 gateway, `POST /projects/v1/admin/{project_id}/functions`.
        """
        from tollkit_api.run402.v1_57.api.functions import functions_deploy as operation
        from tollkit_api.run402.v1_57.models import DeployFunctionRequest, FunctionConfig

        doing = "deploying function"
        with preparing(doing):
            if isinstance(deps, str):
                raise ArgumentError("deps", "must be a list of packages")
            body = DeployFunctionRequest(
                name=required_text("name", name),
                code=_text("code", code),
                config=config
                if config is None or isinstance(config, FunctionConfig)
                else FunctionConfig(additional_properties=members("config", config)),
                deps=None if deps is None else [required_text("deps", package) for package in deps],
            )
            if not isinstance(schedule, Keep):
                body.schedule = schedule
        return (
            yield from with_keys(
                self._root, project_id, doing, operation.parse, operation.request, project_id, body=body
            )
        )

    @flow
    def invoke(
        self,
        project_id: str,
        name: str,
        *,
        method: str = "POST",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Flow[FunctionInvokeResult]:
        """Call a function, with the project's service key.

        Args:
            project_id: The project.
            name: The function.
            method: The HTTP method.
            body: Text and bytes go out as they are, anything else as JSON; `None` is no body, and so is anything for
                GET and HEAD.
            headers: Header fields of your own; they win over those of this call, the key (`apikey`) included.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: An argument cannot be sent (also an `ArgumentError`).
            Run402Error: The function, or the gateway in front of it, answered with an error status.

        Source: Run402 gateway, `/functions/v1/{name}`.
        """
        doing = "invoking function"
        keys = yield from self._root.keys_of(project_id, doing)
        with preparing(doing):
            own = dict(header_fields(headers or {}))
            request = _invocation(name, method, body, own)
        own_key = any(header.lower() == "apikey" for header in own)
        started = time.monotonic()

        def read(response: HttpResponse) -> FunctionInvokeResult:
            taken = round((time.monotonic() - started) * 1000)
            content = response.content
            if "application/json" in answers.content_type(response):
                told = answers.json_body(response)
            else:
                told = content.decode("utf-8", "replace")
            return FunctionInvokeResult(
                status=response.status_code, body=told, duration_ms=taken, headers=response.headers, content=content
            )

        return (yield from self._root.call(request, read, doing, keys=None if own_key else keys))

    @flow
    def logs(
        self, project_id: str, name: str, *, tail: int = 50, since: datetime | date | str | None = None
    ) -> Flow[FunctionLogs]:
        """The last lines of a function's log.

        Args:
            project_id: The project.
            name: The function.
            tail: How many lines; the platform gives 200 at most.
            since: Only later ones: an aware datetime, ISO 8601 text with a zone, or a date (UTC). Empty text is the
                same as `None`.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: `since` is no time, or does not say its zone (also an `ArgumentError`).
            ApiError: There is no such function (also a `NotFoundError`).

        Source: Run402 gateway, `GET /projects/v1/admin/{project_id}/functions/{name}/logs`.
        """
        from tollkit_api.run402.v1_57.api.functions import functions_logs as operation

        doing = "fetching function logs"
        with preparing(doing):
            lines = whole("tail", tail)
            moment = None if since is None or since == "" else instant("since", since)
        return (
            yield from with_keys(
                self._root,
                project_id,
                doing,
                operation.parse,
                operation.request,
                project_id,
                name,
                tail=lines,
                since=None if moment is None else (moment - _EPOCH) // timedelta(milliseconds=1),
            )
        )

    @flow
    def list(self, project_id: str) -> Flow[FunctionList]:
        """The functions of a project.

        Args:
            project_id: The project.

        Raises:
            ProjectNotFound: The credentials do not know the project.

        Source: Run402 gateway, `GET /projects/v1/admin/{project_id}/functions`.
        """
        from tollkit_api.run402.v1_57.api.functions import functions_list as operation

        return (
            yield from with_keys(
                self._root, project_id, "listing functions", operation.parse, operation.request, project_id
            )
        )

    @flow
    def delete(self, project_id: str, name: str) -> Flow[DeletedFunction]:
        """Delete a function.

        Args:
            project_id: The project.
            name: The function.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            ApiError: There is no such function (also a `NotFoundError`).

        Source: Run402 gateway, `DELETE /projects/v1/admin/{project_id}/functions/{name}`.
        """
        from tollkit_api.run402.v1_57.api.functions import functions_delete as operation

        return (
            yield from with_keys(
                self._root, project_id, "deleting function", operation.parse, operation.request, project_id, name
            )
        )

    @flow
    def update(
        self,
        project_id: str,
        name: str,
        *,
        schedule: str | Keep | None = KEEP,
        timeout: int | None = None,
        memory: int | None = None,
    ) -> Flow[UpdatedFunction]:
        """Change a function without its code; what is not given stays.

        Args:
            project_id: The project.
            name: The function.
            schedule: When to run it, as a cron expression; `None` for never again.
            timeout: How long it may run, in seconds.
            memory: Its memory, in MB.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: An argument is of the wrong kind (also an `ArgumentError`).
            ApiError: There is no such function (also a `NotFoundError`).

        Source: Run402 gateway, `PATCH /projects/v1/admin/{project_id}/functions/{name}`.
        """
        from tollkit_api.run402.v1_57.api.functions import functions_update as operation
        from tollkit_api.run402.v1_57.models import FunctionConfig, UpdateFunctionRequest

        doing = "updating function"
        body = UpdateFunctionRequest()
        with preparing(doing):
            if timeout is not None or memory is not None:
                body.config = FunctionConfig(
                    timeout=None if timeout is None else whole("timeout", timeout),
                    memory=None if memory is None else whole("memory", memory),
                )
            if not isinstance(schedule, Keep):
                body.schedule = schedule
        return (
            yield from with_keys(
                self._root, project_id, doing, operation.parse, operation.request, project_id, name, body=body
            )
        )


class ScopedFunctions(ScopedNamespace[D]):
    """`project.functions`: the project's functions, without its id."""

    _plain = Functions

    deploy: Final = of_project(Functions[Any].deploy)
    invoke: Final = of_project(Functions[Any].invoke)
    logs: Final = of_project(Functions[Any].logs)
    list: Final = of_project(Functions[Any].list)
    delete: Final = of_project(Functions[Any].delete)
    update: Final = of_project(Functions[Any].update)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ArgumentError(name, f"must be text, not {type(value).__name__}")
    return value


def _invocation(name: str, method: str, body: Any, headers: Mapping[str, str]) -> Request:
    from tollkit_api.runtime import encode

    verb = required_text("method", method).upper()
    if verb not in _INVOKE:
        raise ArgumentError("method", f"must be one of {', '.join(_INVOKE)}")
    operation = import_module(f"tollkit_api.run402.v1_57.api.functions.{_INVOKE[verb]}")
    request: Request = built(operation.request, name)
    content: bytes | None = None
    kind: str | None = None
    if body is None or verb in _WITHOUT_BODY:
        pass
    elif isinstance(body, str):
        content, kind = built(encode.text_body, body), "text/plain;charset=UTF-8"
    elif isinstance(body, bytes | bytearray):
        content = bytes(body)
    else:
        content, kind = built(encode.json_body, body), "application/json"
    own = dict(headers)
    if kind is not None and not any(header.lower() == "content-type" for header in own):
        own["Content-Type"] = kind
    return attrs.evolve(request, headers=own, content=content)
