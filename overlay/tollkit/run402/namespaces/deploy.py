"""Deploys: a release of database, functions, site and names in one call."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeGuard, TypeVar, overload

from tollkit.core.arguments import built, required_text
from tollkit.core.flows import Flow, Flows, flow
from tollkit.core.namespaces import Namespace
from tollkit.errors import ArgumentError, TollkitError
from tollkit.oidc.json_values import is_list, is_object
from tollkit.run402.credentials import ask, is_ci_session_credentials
from tollkit.run402.deploy.engine import (
    POLL_INTERVAL,
    TIMEOUT,
    Deployment,
    DeployResult,
    Planned,
    Settings,
    Spec,
    operation_of,
)
from tollkit.run402.deploy.errors import translated
from tollkit.run402.deploy.events import DeployEvent, event_from_dict
from tollkit.run402.deploy.operation import Started, started
from tollkit.run402.deploy.telling import EventCallback
from tollkit.run402.deploy.upload import MAX_UPLOADS
from tollkit.run402.errors import raised
from tollkit.run402.namespaces.checks import preparing, whole
from tollkit.run402.namespaces.scoped import ScopedNamespace, of_project, unscoped, with_project
from tollkit_api.runtime import UNSET

if TYPE_CHECKING:
    from typing import ParamSpec

    from tollkit.run402.client import Run402Flows
    from tollkit.run402.credentials import ProjectKeys
    from tollkit_api.run402.v1_57.models import DeployOperation as Operation
    from tollkit_api.run402.v1_57.models import DeployOperationList, ReleaseDiff, ReleaseInventory
    from tollkit_api.runtime import HttpResponse, Unset

    P = ParamSpec("P")

__all__ = ["Deploy", "ScopedDeploy"]

D = TypeVar("D")
T = TypeVar("T")
F = TypeVar("F", bound=Flows)


class Deploy(Namespace[D]):
    """`client.deploy`: plan, upload and commit releases, watch and resume them, look at what is live."""

    _root: Run402Flows

    @flow
    def apply(
        self,
        spec: Spec,
        *,
        on_event: EventCallback | None = None,
        idempotency_key: str | None = None,
        allow_warnings: bool | Collection[str] = False,
        max_uploads: int = MAX_UPLOADS,
        timeout: float = TIMEOUT,
        poll_interval: float = POLL_INTERVAL,
    ) -> Flow[DeployResult]:
        """Deploy a release, and wait until it is live.

        Only what the platform does not have is uploaded. With an `idempotency_key` the call may be repeated after
        any failure, and finishes what it began: nothing is migrated or charged twice. An error carries
        `operation_id` as soon as there is one; `resume` goes on with it from anywhere.

        Args:
            spec: What to deploy.
            on_event: Called with each `tollkit.run402.deploy.events` event, one at a time; what it raises is logged.
                On an async client it may be a coroutine function.
            idempotency_key: Names this deploy: the same key means the same deploy.
            allow_warnings: `True` to go on whatever the plan warns of; or the codes that are fine.
            max_uploads: How many parts of files are uploaded side by side.
            timeout: Seconds that the platform may take from the commit on.
            poll_interval: Seconds between two looks at the operation; they become more after half a minute.

        Raises:
            DeployError: The spec cannot be deployed, a warning was not allowed, the upload or the release failed.
            PaymentRequired: It has to be paid for first.
            Unauthorized: The wallet, or the CI session, may not deploy this.
            ProjectNotFound: The credentials do not know the project.
            ApiError: The gateway refused an upload, or a look at the operation.
            LocalError: An argument is unusable (also an `ArgumentError`).

        Source: Run402 gateway, `POST /deploy/v2/plans`, `POST /content/v1/plans`, `POST .../commit`,
            `GET /deploy/v2/operations/{operation_id}`.
        """
        settings = Settings.of(
            on_event=on_event,
            idempotency_key=idempotency_key,
            allow_warnings=allow_warnings,
            max_uploads=max_uploads,
            timeout=timeout,
            poll_interval=poll_interval,
        )
        return (yield from Deployment(self._root, settings).apply(spec))

    @started
    def start(
        self,
        spec: Spec,
        *,
        on_event: EventCallback | None = None,
        idempotency_key: str | None = None,
        allow_warnings: bool | Collection[str] = False,
        max_uploads: int = MAX_UPLOADS,
        timeout: float = TIMEOUT,
        poll_interval: float = POLL_INTERVAL,
    ) -> Flow[Started]:
        """Plan a release, and let it be uploaded and committed in the background.

        A plan that is refused, or has warnings that are not allowed, raises here; what goes wrong after that comes
        out of `result()` of the operation. It takes what `apply` takes, and its errors are those of `apply`.

        Returns:
            A `DeployOperation`, or an `AsyncDeployOperation`: `id`, `events()`, `result()`, `snapshot()`, `cancel()`.

        Raises:
            DeployError: The spec cannot be deployed, the plan was refused, or a warning was not allowed.

        Source: Run402 gateway, `POST /deploy/v2/plans`.
        """
        settings = Settings.of(
            on_event=on_event,
            idempotency_key=idempotency_key,
            allow_warnings=allow_warnings,
            max_uploads=max_uploads,
            timeout=timeout,
            poll_interval=poll_interval,
        )
        return (yield from Started.of(Deployment(self._root, settings), spec))

    @flow
    def plan(
        self, spec: Spec, *, idempotency_key: str | None = None, max_uploads: int = MAX_UPLOADS
    ) -> Flow[Planned]:
        """Have a release planned: what it would change, what is missing, what there is to say about it.

        Nothing changes by it, and warnings do not stop it. `upload` and `commit` go on with it.

        Args:
            spec: What to deploy.
            idempotency_key: Names this deploy; give `commit` the same.
            max_uploads: How many parts are uploaded side by side, should the spec itself be too large for a request.

        Raises:
            DeployError: The spec cannot be deployed, or the plan was refused.

        Source: Run402 gateway, `POST /deploy/v2/plans`.
        """
        settings = Settings.of(idempotency_key=idempotency_key, max_uploads=max_uploads)
        return (yield from Deployment(self._root, settings).plan(spec))

    @flow
    def upload(
        self, planned: Planned, *, on_event: EventCallback | None = None, max_uploads: int = MAX_UPLOADS
    ) -> Flow[None]:
        """Upload what a plan says is missing.

        Args:
            planned: What `plan` gave.
            on_event: Called with each event.
            max_uploads: How many parts are uploaded side by side.

        Raises:
            DeployError: `CONTENT_UPLOAD_FAILED`: a part could not be uploaded. `CONTENT_CHANGED`: a file is not what
                it was when it was hashed.
            ProjectNotFound: The credentials do not know the project.
            ApiError: The gateway refused.

        Source: Run402 gateway, `POST /content/v1/plans`, `POST /storage/v1/uploads/{upload_id}/complete`,
            `POST /content/v1/plans/{plan_id}/commit`.
        """
        settings = Settings.of("planning content upload", on_event=on_event, max_uploads=max_uploads)
        if not isinstance(planned, Planned):
            raise raised(ArgumentError("planned", "must be what deploy.plan gave"), "planning content upload")
        yield from Deployment(self._root, settings).upload(planned)

    @flow
    def commit(
        self,
        plan_id: str,
        *,
        project_id: str | None = None,
        idempotency_key: str | None = None,
        on_event: EventCallback | None = None,
        timeout: float = TIMEOUT,
        poll_interval: float = POLL_INTERVAL,
    ) -> Flow[DeployResult]:
        """Commit a plan whose content is uploaded, and wait until the release is live.

        Args:
            plan_id: The plan.
            project_id: The project; without it the wallet alone says who asks for the operation.
            idempotency_key: That of the plan.
            on_event: Called with each event.
            timeout: Seconds that the platform may take.
            poll_interval: Seconds between two looks at the operation.

        Raises:
            DeployError: The release failed, or is not done in time.
            PaymentRequired: It has to be paid for first.
            Unauthorized: The wallet, or the CI session, may not deploy this.

        Source: Run402 gateway, `POST /deploy/v2/plans/{plan_id}/commit`.
        """
        settings = Settings.of(
            "committing deploy",
            idempotency_key=idempotency_key,
            on_event=on_event,
            timeout=timeout,
            poll_interval=poll_interval,
        )
        return (yield from Deployment(self._root, settings, project_id=project_id).commit(plan_id))

    @flow
    def resume(
        self,
        operation_id: str,
        *,
        project_id: str | None = None,
        on_event: EventCallback | None = None,
        timeout: float = TIMEOUT,
        poll_interval: float = POLL_INTERVAL,
    ) -> Flow[DeployResult]:
        """Let the platform go on with an operation that stopped half-way, and wait until the release is live.

        Any machine can do so: nothing but the id is needed.

        Args:
            operation_id: The operation: `operation_id` of an error or of a result.
            project_id: The project; without it the wallet alone says who asks for the operation.
            on_event: Called with each event.
            timeout: Seconds that the platform may take.
            poll_interval: Seconds between two looks at the operation.

        Raises:
            DeployError: `OPERATION_NOT_FOUND`, `NOT_RESUMABLE`; or the release failed, or is not done in time.
            Unauthorized: The wallet, or the CI session, may not do so.

        Source: Run402 gateway, `POST /deploy/v2/operations/{operation_id}/resume`.
        """
        settings = Settings.of(
            "resuming deploy operation", on_event=on_event, timeout=timeout, poll_interval=poll_interval
        )
        return (yield from Deployment(self._root, settings, project_id=project_id).resume(operation_id))

    @flow
    def status(self, operation_id: str, *, project_id: str | None = None) -> Flow[Operation]:
        """Where an operation stands.

        Args:
            operation_id: The operation.
            project_id: The project; without it the wallet alone says who asks.

        Raises:
            LocalError: `operation_id` is empty or no id (also an `ArgumentError`).
            ProjectNotFound: The credentials do not know the project.
            ApiError: The gateway refused. 404: there is no such operation.

        Source: Run402 gateway, `GET /deploy/v2/operations/{operation_id}`.
        """
        from tollkit_api.run402.v1_57.api.deploy import deploy_status as operation

        doing = "fetching deploy operation"
        keys = None if project_id is None else (yield from self._keys(project_id, doing))
        with preparing(doing):
            request = built(operation.request, operation_id)
        return (yield from self._root.call(request, operation.parse, doing, keys=keys))

    @flow
    def list(self, project_id: str, *, limit: int | None = None) -> Flow[DeployOperationList]:
        """The operations of a project, in `operations` of the result.

        The result has a `cursor`, but at this level of the API there is no way to send it.

        Args:
            project_id: The project.
            limit: How many at most.

        Raises:
            LocalError: An argument is unusable (also an `ArgumentError`).
            ProjectNotFound: The credentials do not know the project.
            ApiError: The gateway refused.

        Source: Run402 gateway, `GET /deploy/v2/operations`.
        """
        from tollkit_api.run402.v1_57.api.deploy import deploy_list as operation

        doing = "listing deploy operations"
        keys = yield from self._keys(project_id, doing)
        with preparing(doing):
            request = built(operation.request, limit=_limit("limit", limit))
        return (yield from self._root.call(request, operation.parse, doing, keys=keys))

    @flow
    def events(self, operation_id: str, *, project_id: str) -> Flow[tuple[DeployEvent, ...]]:
        """What has happened in an operation so far.

        Args:
            operation_id: The operation.
            project_id: The project.

        Raises:
            DeployError: `OPERATION_NOT_FOUND`: it is no id of an operation; or the gateway refused.
            LocalError: `project_id` is empty (also an `ArgumentError`).
            ProjectNotFound: The credentials do not know the project.

        Source: Run402 gateway, `GET /deploy/v2/operations/{operation_id}/events`.
        """
        from tollkit_api.run402.v1_57.api.deploy import deploy_events as operation
        from tollkit_api.runtime import answers

        doing = "fetching deploy events"
        operation_of(operation_id, doing)
        keys = yield from self._keys(project_id, doing)
        with preparing(doing):
            request = built(operation.request, operation_id)

        def read(response: HttpResponse) -> tuple[DeployEvent, ...]:
            return answers.json_answer(response, operation.OPERATION, _events)

        try:
            return (yield from self._root.call(request, read, doing, keys=keys))
        except TollkitError as error:
            told = translated(error, "events", operation_id=operation_id)
            if told is error:
                raise
            raise told from error

    @flow
    def get_release(
        self, release_id: str, *, project_id: str, site_limit: int | None = None
    ) -> Flow[ReleaseInventory]:
        """All that is in a release.

        Args:
            release_id: The release.
            project_id: The project.
            site_limit: How many files of the site to list; 5000 when left out, 25000 at most.

        Raises:
            LocalError: An argument is unusable (also an `ArgumentError`).
            ProjectNotFound: The credentials do not know the project.
            ApiError: The gateway refused. 404: there is no such release.

        Source: Run402 gateway, `GET /deploy/v2/releases/{release_id}`.
        """
        from tollkit_api.run402.v1_57.api.deploy import deploy_get_release as operation

        doing = "fetching release inventory"
        with preparing(doing):
            required_text("release_id", release_id)
        keys = yield from self._keys(project_id, doing)
        with preparing(doing):
            request = built(operation.request, release_id, site_limit=_limit("site_limit", site_limit))
        return (yield from self._root.call(request, operation.parse, doing, keys=keys))

    @flow
    def get_active_release(self, *, project_id: str, site_limit: int | None = None) -> Flow[ReleaseInventory]:
        """All that is live.

        Args:
            project_id: The project.
            site_limit: How many files of the site to list; 5000 when left out, 25000 at most.

        Raises:
            LocalError: An argument is unusable (also an `ArgumentError`).
            ProjectNotFound: The credentials do not know the project.
            ApiError: The gateway refused. 404, code `NO_ACTIVE_RELEASE`: nothing was deployed yet.

        Source: Run402 gateway, `GET /deploy/v2/releases/active`.
        """
        from tollkit_api.run402.v1_57.api.deploy import deploy_get_active_release as operation

        doing = "fetching active release inventory"
        keys = yield from self._keys(project_id, doing)
        with preparing(doing):
            request = built(operation.request, site_limit=_limit("site_limit", site_limit))
        return (yield from self._root.call(request, operation.parse, doing, keys=keys))

    @flow
    def diff(self, *, project_id: str, from_: str, to: str, limit: int | None = None) -> Flow[ReleaseDiff]:
        """What one release has, has not, and has otherwise than another.

        Args:
            project_id: The project.
            from_: The earlier release: an id, `empty` or `active`.
            to: The later release: an id or `active`.
            limit: How many files to list of each kind; 1000 when left out.

        Raises:
            LocalError: An argument is unusable (also an `ArgumentError`).
            ProjectNotFound: The credentials do not know the project.
            ApiError: The gateway refused. 404: there is no such release.

        Source: Run402 gateway, `GET /deploy/v2/releases/diff`.
        """
        from tollkit_api.run402.v1_57.api.deploy import deploy_diff as operation

        doing = "diffing releases"
        keys = yield from self._keys(project_id, doing)
        with preparing(doing):
            request = built(
                operation.request,
                from_=required_text("from_", from_),
                to=required_text("to", to),
                limit=_limit("limit", limit),
            )
        return (yield from self._root.call(request, operation.parse, doing, keys=keys))

    def _keys(self, project_id: str, doing: str) -> Flow[ProjectKeys | None]:
        with preparing(doing):
            required_text("project_id", project_id)
        if is_ci_session_credentials(self._root.provider):
            return None  # a session is of one project, and the gateway knows of which
        # another machine of the same wallet may not have the keys: the wallet alone is asked for then
        keys: ProjectKeys | None = yield from ask(self._root.provider, "get_project", project_id)
        return keys


def _limit(name: str, value: int | None) -> int | Unset:
    return UNSET if value is None else whole(name, value)


def _events(body: Any) -> tuple[DeployEvent, ...]:
    found: Any = body.get("events") if is_object(body) else None
    return tuple(event_from_dict(event) for event in (found if is_list(found) else []) if is_object(event))


@overload
def _of_spec(method: flow[F, P, T]) -> flow[Any, P, T]: ...
@overload
def _of_spec(method: started[F, P]) -> started[Any, P]: ...
def _of_spec(method: Any) -> Any:
    """A method that takes a spec first; where that names no project, it is this one."""
    fn: Callable[..., Flow[Any]] = method.__wrapped__

    def scoped(self: ScopedDeploy[Any], /, spec: Any, *args: Any, **kwargs: Any) -> Flow[Any]:
        return fn(self._of_client(), self._filled(spec), *args, **kwargs)

    functools.update_wrapper(scoped, fn)
    return type(method)(scoped)


class ScopedDeploy(ScopedNamespace[D]):
    """`project.deploy`: deploys of the project; a spec that names another project deploys that one."""

    _plain = Deploy

    apply: Final = _of_spec(Deploy[Any].apply)
    start: Final = _of_spec(Deploy[Any].start)
    plan: Final = _of_spec(Deploy[Any].plan)
    upload: Final = unscoped(Deploy[Any].upload)
    commit: Final = with_project(Deploy[Any].commit)
    resume: Final = with_project(Deploy[Any].resume)
    status: Final = with_project(Deploy[Any].status)
    list: Final = of_project(Deploy[Any].list)
    events: Final = with_project(Deploy[Any].events)
    get_release: Final = with_project(Deploy[Any].get_release)
    get_active_release: Final = with_project(Deploy[Any].get_active_release)
    diff: Final = with_project(Deploy[Any].diff)

    def _filled(self, spec: object) -> object:
        if _is_mapping(spec) and "project" not in spec:
            return {"project": self._root.project_id, **spec}
        return spec


def _is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)
