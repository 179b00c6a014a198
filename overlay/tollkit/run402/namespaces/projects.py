"""Projects: each is a database, with functions, files and a site around it."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from tollkit.core.arguments import built, required_text
from tollkit.core.flows import Flow, flow
from tollkit.core.namespaces import Namespace
from tollkit.errors import ArgumentError
from tollkit.run402.credentials import AllowanceData, ProjectKeys, ask, can
from tollkit.run402.errors import LocalError, raised
from tollkit.run402.namespaces.checks import choice_or_none, members, preparing
from tollkit.run402.namespaces.keyed import with_keys
from tollkit.run402.namespaces.made import made
from tollkit.run402.namespaces.scoped import ScopedNamespace, of_project, unscoped

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit_api.run402.v1_57.models import (
        ExposeManifest,
        ExposeResult,
        ExposeState,
        PinResult,
        ProjectList,
        ProvisionResult,
        SchemaReport,
        SqlResult,
        TierName,
        TierQuotes,
        UsageReport,
    )
    from tollkit_api.runtime import Request

__all__ = ["ProjectInfo", "Projects", "ScopedProjects"]

D = TypeVar("D")


@attrs.frozen
class ProjectInfo(ProjectKeys):
    """What the credentials keep of a project, with its id.

    Args:
        project_id: Its id.
    """

    project_id: str = attrs.field(kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """As a record of the keystore, with `project_id` in front."""
        return {"project_id": self.project_id, **super().to_dict()}


class Projects(Namespace[D]):
    """`client.projects`: make projects, look after them, and speak to their databases."""

    _root: Run402Flows

    @flow
    def provision(self, *, tier: TierName | str | None = None, name: str | None = None) -> Flow[ProvisionResult]:
        """Make a project. Its keys are kept by the credentials, and it is the active project from then on.

        Args:
            tier: What to lease for it: `prototype`, `hobby` or `team`.
            name: Its name.

        Raises:
            LocalError: An argument is of the wrong kind (also an `ArgumentError`). Or the project was made and the
                credentials could not keep its keys; they are then in `result` of the error's `context`.
            PaymentRequired: No tier is leased.
            Unauthorized: The wallet's signature is refused.

        Source: Run402 gateway, `POST /projects/v1`.
        """
        from tollkit_api.run402.v1_57.api.projects import projects_provision as operation
        from tollkit_api.run402.v1_57.models import ProvisionRequest

        doing = "provisioning project"
        with preparing(doing):
            body = ProvisionRequest(tier=choice_or_none("tier", tier), name=choice_or_none("name", name))
            request = built(operation.request, body=body)
        return (yield from made(self._root, request, operation.parse, doing))

    @flow
    def delete(self, project_id: str) -> Flow[None]:
        """Delete a project with everything in it; the credentials forget it.

        Args:
            project_id: The project.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            ApiError: The gateway does not have it (also a `NotFoundError`).

        Source: Run402 gateway, `DELETE /projects/v1/{project_id}`.
        """
        from tollkit_api.run402.v1_57.api.projects import projects_delete as operation

        yield from with_keys(
            self._root, project_id, "deleting project", operation.parse, operation.request, project_id
        )
        yield from ask(self._root.provider, "remove_project", project_id)

    @flow
    def list(self, wallet: str | None = None) -> Flow[ProjectList]:
        """The projects of a wallet.

        Args:
            wallet: Its address; the local wallet's when left out.

        Raises:
            LocalError: There is no local wallet, or `wallet` is empty (then also an `ArgumentError`).

        Source: Run402 gateway, `GET /wallets/v1/{wallet}/projects`.
        """
        from tollkit_api.run402.v1_57.api.projects import projects_list as operation

        doing = "listing projects"
        if wallet is None:
            allowance: AllowanceData | None = yield from ask(self._root.provider, "read_allowance")
            if allowance is None:
                raise raised(
                    LocalError("There is no local wallet to list projects of", hint="Pass the wallet's address"),
                    doing,
                )
            wallet = allowance.address
        with preparing(doing):
            request = built(operation.request, required_text("wallet", wallet).lower())
        return (yield from self._root.call(request, operation.parse, doing))

    @flow
    def get_usage(self, project_id: str) -> Flow[UsageReport]:
        """What the project has used of its tier.

        Args:
            project_id: The project.

        Raises:
            ProjectNotFound: The credentials do not know the project.

        Source: Run402 gateway, `GET /projects/v1/admin/{project_id}/usage`.
        """
        from tollkit_api.run402.v1_57.api.projects import projects_get_usage as operation

        return (
            yield from with_keys(
                self._root, project_id, "fetching usage", operation.parse, operation.request, project_id
            )
        )

    usage = get_usage

    @flow
    def get_schema(self, project_id: str) -> Flow[SchemaReport]:
        """The tables of the project's database, with columns, constraints and policies.

        Args:
            project_id: The project.

        Raises:
            ProjectNotFound: The credentials do not know the project.

        Source: Run402 gateway, `GET /projects/v1/admin/{project_id}/schema`.
        """
        from tollkit_api.run402.v1_57.api.projects import projects_get_schema as operation

        return (
            yield from with_keys(
                self._root, project_id, "fetching schema", operation.parse, operation.request, project_id
            )
        )

    schema = get_schema

    @flow
    def sql(self, project_id: str, sql: str, params: Iterable[Any] | None = None) -> Flow[SqlResult]:
        """Run a statement in the project's database, with all rights.

        Args:
            project_id: The project.
            sql: The statement. What comes from others belongs into `params`.
            params: Values for `$1`, `$2` and so on; what JSON can hold.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: An argument is of the wrong kind (also an `ArgumentError`).
            ApiError: The database refuses the statement (also a `BadRequestError`).

        Source: Run402 gateway, `POST /projects/v1/admin/{project_id}/sql`.
        """
        from tollkit_api.run402.v1_57.api.projects import projects_sql as operation
        from tollkit_api.run402.v1_57.models import SqlRequest

        doing = "running SQL"
        with preparing(doing):
            if isinstance(params, str | bytes | Mapping):
                raise ArgumentError("params", "must be a list of values")
            text = required_text("sql", sql)
            values = builtins.list(params or ())
        body = SqlRequest(sql=text, params=values) if values else text
        return (
            yield from with_keys(
                self._root, project_id, doing, operation.parse, operation.request, project_id, body=body
            )
        )

    @flow
    def rest(
        self, project_id: str, table: str, query_params: str | Mapping[str, str | builtins.list[str]] | None = None
    ) -> Flow[Any]:
        """Read rows of an exposed table or view, with the rights of an anonymous user.

        Args:
            project_id: The project.
            table: The table or view.
            query_params: PostgREST's query, such as `{"id": "eq.7", "select": "id,name"}`; text is sent as it is.

        Returns:
            The JSON that came: a list of rows, unless the query asks for something else.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: An argument cannot be sent (also an `ArgumentError`).
            ApiError: There is no such table, or it is not exposed (also a `NotFoundError`).

        Source: Run402 gateway, `GET /rest/v1/{table}`.
        """
        from tollkit_api.run402.v1_57.api.projects import projects_rest as operation

        def build() -> Request:
            if not isinstance(query_params, str):
                filters = None if query_params is None else members("query_params", query_params)
                for column, condition in (filters or {}).items():
                    if condition is None:  # it would go out as no condition at all, and bring all rows
                        raise ArgumentError("query_params", f"must not be None for {column!r}; is.null finds NULL")
                return operation.request(table, filters=filters)
            request = operation.request(table)
            if not query_params:
                return request
            if "#" in query_params or not query_params.isprintable():
                raise ArgumentError("query_params", "must not contain # or invisible signs; percent-encode them")
            return attrs.evolve(request, url=f"{request.url}?{query_params}")

        return (yield from with_keys(self._root, project_id, "querying REST", operation.parse, build))

    @flow
    def apply_expose(self, project_id: str, manifest: ExposeManifest | Mapping[str, Any]) -> Flow[ExposeResult]:
        """Say what anonymous and signed-in users can reach of the database. What is left out is dropped.

        Args:
            project_id: The project.
            manifest: The whole manifest; a mapping is sent as it is.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: `manifest` cannot be sent (also an `ArgumentError`).
            ApiError: It does not fit the database; `body` tells where (also a `BadRequestError`).

        Source: Run402 gateway, `POST /projects/v1/admin/{project_id}/expose`.
        """
        from tollkit_api.run402.v1_57.api.projects import projects_apply_expose as operation
        from tollkit_api.run402.v1_57.models import ExposeManifest

        doing = "applying expose manifest"
        with preparing(doing):
            body = (
                manifest
                if isinstance(manifest, ExposeManifest)
                else ExposeManifest(additional_properties=members("manifest", manifest))
            )
        return (
            yield from with_keys(
                self._root, project_id, doing, operation.parse, operation.request, project_id, body=body
            )
        )

    @flow
    def get_expose(self, project_id: str) -> Flow[ExposeState]:
        """What users can reach: the manifest that was applied, or one read off the database.

        Args:
            project_id: The project.

        Raises:
            ProjectNotFound: The credentials do not know the project.

        Source: Run402 gateway, `GET /projects/v1/admin/{project_id}/expose`.
        """
        from tollkit_api.run402.v1_57.api.projects import projects_get_expose as operation

        return (
            yield from with_keys(
                self._root, project_id, "getting expose manifest", operation.parse, operation.request, project_id
            )
        )

    @flow
    def pin(self, project_id: str) -> Flow[PinResult]:
        """Keep a project from being taken away when its lease ends; for the platform's own people.

        Args:
            project_id: The project.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            Unauthorized: The key is not enough.

        Source: Run402 gateway, `POST /projects/v1/admin/{project_id}/pin`.
        """
        from tollkit_api.run402.v1_57.api.projects import projects_pin as operation

        return (
            yield from with_keys(
                self._root, project_id, "pinning project", operation.parse, operation.request, project_id
            )
        )

    @flow
    def get_quote(self) -> Flow[TierQuotes]:
        """The tiers, what they cost and what they hold.

        Source: Run402 gateway, `GET /tiers/v1`.
        """
        from tollkit_api.run402.v1_57.api.projects import projects_get_quote as operation

        return (yield from self._root.call(operation.request(), operation.parse, "getting quote"))

    quote = get_quote

    @flow
    def promote_user(self, project_id: str, email: str) -> Flow[None]:
        """Make an end user of the project an administrator of it.

        Args:
            project_id: The project.
            email: The user's e-mail address.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: `email` is empty (also an `ArgumentError`).

        Source: Run402 gateway, `POST /projects/v1/admin/{project_id}/promote-user`.
        """
        from tollkit_api.run402.v1_57.api.projects import projects_promote_user as operation
        from tollkit_api.run402.v1_57.models import UserEmail

        doing = "promoting user"
        with preparing(doing):
            body = UserEmail(email=required_text("email", email))
        yield from with_keys(self._root, project_id, doing, operation.parse, operation.request, project_id, body=body)

    @flow
    def demote_user(self, project_id: str, email: str) -> Flow[None]:
        """Make an administrator of the project an ordinary end user again.

        Args:
            project_id: The project.
            email: The user's e-mail address.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: `email` is empty (also an `ArgumentError`).

        Source: Run402 gateway, `POST /projects/v1/admin/{project_id}/demote-user`.
        """
        from tollkit_api.run402.v1_57.api.projects import projects_demote_user as operation
        from tollkit_api.run402.v1_57.models import UserEmail

        doing = "demoting user"
        with preparing(doing):
            body = UserEmail(email=required_text("email", email))
        yield from with_keys(self._root, project_id, doing, operation.parse, operation.request, project_id, body=body)

    @flow
    def info(self, project_id: str) -> Flow[ProjectInfo]:
        """What the credentials keep of a project. Nothing is sent.

        Args:
            project_id: The project.

        Raises:
            ProjectNotFound: The credentials do not know the project.
        """
        keys = yield from self._root.keys_of(project_id, "fetching project info")
        kept = {field.name: getattr(keys, field.name) for field in attrs.fields(ProjectKeys)}
        return ProjectInfo(project_id=project_id, **kept)

    @flow
    def keys(self, project_id: str) -> Flow[ProjectKeys]:
        """The keys of a project. Nothing is sent.

        Args:
            project_id: The project.

        Raises:
            ProjectNotFound: The credentials do not know the project.
        """
        return (yield from self._root.keys_of(project_id, "fetching project keys"))

    @flow
    def use(self, project_id: str) -> Flow[None]:
        """Let this be the project that is meant when none is named. Nothing is sent.

        Args:
            project_id: The project.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: The credentials cannot keep which project is active.
        """
        doing = "setting active project"
        yield from self._root.keys_of(project_id, doing)
        if not can(self._root.provider, "set_active_project"):
            raise raised(LocalError("The credentials cannot keep which project is active"), doing)
        yield from ask(self._root.provider, "set_active_project", project_id)

    @flow
    def active(self) -> Flow[str | None]:
        """The project that is meant when none is named; `None` when there is none. Nothing is sent."""
        active: str | None = yield from ask(self._root.provider, "get_active_project")
        return active


class ScopedProjects(ScopedNamespace[D]):
    """`project.projects`: the project, without its id."""

    _plain = Projects

    delete: Final = of_project(Projects[Any].delete)
    get_usage: Final = of_project(Projects[Any].get_usage)
    get_schema: Final = of_project(Projects[Any].get_schema)
    sql: Final = of_project(Projects[Any].sql)
    rest: Final = of_project(Projects[Any].rest)
    apply_expose: Final = of_project(Projects[Any].apply_expose)
    get_expose: Final = of_project(Projects[Any].get_expose)
    promote_user: Final = of_project(Projects[Any].promote_user)
    demote_user: Final = of_project(Projects[Any].demote_user)
    pin: Final = of_project(Projects[Any].pin)
    info: Final = of_project(Projects[Any].info)
    keys: Final = of_project(Projects[Any].keys)
    list: Final = unscoped(Projects[Any].list)
    get_quote: Final = unscoped(Projects[Any].get_quote)
    active: Final = unscoped(Projects[Any].active)
