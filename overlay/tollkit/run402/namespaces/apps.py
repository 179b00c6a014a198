"""Published apps: browse, fork, publish."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from tollkit.core.arguments import built, required_text, texts
from tollkit.core.flows import Flow, flow
from tollkit.core.namespaces import Namespace
from tollkit.oidc.json_values import decode, is_list
from tollkit.run402.deploy.engine import POLL_INTERVAL, TIMEOUT, Deployment, Settings
from tollkit.run402.deploy.upload import MAX_UPLOADS
from tollkit.run402.namespaces.checks import choice_or_none, flag, preparing
from tollkit.run402.namespaces.keyed import with_keys
from tollkit.run402.namespaces.made import made
from tollkit.run402.namespaces.scoped import ScopedNamespace, of_project, unscoped

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit.run402.deploy.engine import DeployResult
    from tollkit.run402.deploy.telling import EventCallback
    from tollkit_api.run402.v1_57.models import (
        AppList,
        AppVersion,
        DeployWarning,
        ForkResult,
        VersionList,
        Visibility,
    )
    from tollkit_api.shapes import BundleFile, BundleFunction, BundleRls, BundleSecret

__all__ = ["Apps", "BundleDeployResult", "ScopedApps"]

D = TypeVar("D")


@attrs.frozen
class BundleDeployResult:
    """A bundle that is live. What the platform's age does not tell is `None`.

    Attributes:
        project_id: The project.
        release_id: The release.
        operation_id: The operation that made it.
        urls: Where it can be seen, by name.
        warnings: What the platform said of the plan.
        site_url: Where the site is.
        deployment_id: The deployment.
        subdomain_url: Where it is served besides.
        functions: The functions: `name` and `url` of each.
    """

    project_id: str
    release_id: str
    operation_id: str
    urls: Mapping[str, str]
    warnings: Sequence[DeployWarning]
    site_url: str | None = None
    deployment_id: str | None = None
    subdomain_url: str | None = None
    functions: Sequence[Any] | None = None

    @classmethod
    def _of(cls, project_id: str, result: DeployResult) -> BundleDeployResult:
        told: Any = None
        with contextlib.suppress(ValueError):
            told = decode(result.urls.get("functions", "").encode())
        return cls(
            project_id=project_id,
            release_id=result.release_id,
            operation_id=result.operation_id,
            urls=result.urls,
            warnings=result.warnings,
            site_url=result.urls.get("site"),
            deployment_id=result.urls.get("deployment_id"),
            subdomain_url=result.urls.get("subdomain"),
            functions=told if is_list(told) else None,
        )


class Apps(Namespace[D]):
    """`client.apps`: states of projects that their owners published, and others may fork."""

    _root: Run402Flows

    @flow
    def browse(self, tags: Iterable[str] | None = None) -> Flow[AppList]:
        """The public apps.

        Args:
            tags: Only those with these tags.

        Raises:
            LocalError: `tags` is no list of texts (also an `ArgumentError`).
            ApiError: The gateway refused.

        Source: Run402 gateway, `GET /apps/v1`.
        """
        from tollkit_api.run402.v1_57.api.apps import apps_browse as operation

        doing = "browsing apps"
        with preparing(doing):
            request = built(operation.request, tag=None if tags is None else texts("tags", tags))
        return (yield from self._root.call(request, operation.parse, doing))

    @flow
    def get_app(self, version_id: str) -> Flow[AppVersion]:
        """A published version, with what a fork of it needs.

        Raises:
            LocalError: `version_id` is empty or no id (also an `ArgumentError`).
            ApiError: The gateway does not have it (also a `NotFoundError`).

        Source: Run402 gateway, `GET /apps/v1/{version_id}`.
        """
        from tollkit_api.run402.v1_57.api.apps import apps_get_app as operation

        doing = "fetching app details"
        with preparing(doing):
            request = built(operation.request, version_id)
        return (yield from self._root.call(request, operation.parse, doing))

    @flow
    def fork(self, *, version_id: str, name: str, subdomain: str | None = None) -> Flow[ForkResult]:
        """Make a project from a published version.

        Its keys are kept by the credentials, and it is the active project from then on. Forking twice makes two.

        Args:
            version_id: The version.
            name: Name of the project.
            subdomain: The name that its site is served at, the part in front of the platform's domain.

        Raises:
            LocalError: An argument is of the wrong kind (also an `ArgumentError`). Or the project was made and the
                credentials could not keep its keys; they are then in `result` of the error's `context`.
            PaymentRequired: No tier is leased.
            Unauthorized: The wallet's signature is refused.
            ApiError: The gateway refused. 404: there is no such version, or it is not for you.

        Source: Run402 gateway, `POST /fork/v1`.
        """
        from tollkit_api.run402.v1_57.api.apps import apps_fork as operation
        from tollkit_api.run402.v1_57.models import ForkRequest

        doing = "forking app"
        with preparing(doing):
            body = ForkRequest(
                version_id=required_text("version_id", version_id),
                name=required_text("name", name),
                subdomain=choice_or_none("subdomain", subdomain),
            )
            request = built(operation.request, body=body)
        return (yield from made(self._root, request, operation.parse, doing))

    @flow
    def publish(
        self,
        project_id: str,
        *,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        visibility: Visibility | str | None = None,
        fork_allowed: bool | None = None,
    ) -> Flow[AppVersion]:
        """Publish the present state of a project as a new version.

        Args:
            project_id: The project.
            description: What it is; may be empty.
            tags: What `browse` finds it by.
            visibility: `public`, `unlisted` or `private`.
            fork_allowed: Whether others may fork it.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            LocalError: An argument is of the wrong kind (also an `ArgumentError`).
            ApiError: The gateway refused.

        Source: Run402 gateway, `POST /projects/v1/admin/{project_id}/publish`.
        """
        from tollkit_api.run402.v1_57.api.apps import apps_publish as operation
        from tollkit_api.run402.v1_57.models import PublishRequest

        doing = "publishing app"
        with preparing(doing):
            body = PublishRequest(
                description=_description(description),
                tags=None if tags is None else texts("tags", tags),
                visibility=choice_or_none("visibility", visibility),
                fork_allowed=None if fork_allowed is None else flag("fork_allowed", fork_allowed),
            )
        return (
            yield from with_keys(
                self._root, project_id, doing, operation.parse, operation.request, project_id, body=body
            )
        )

    @flow
    def list_versions(self, project_id: str) -> Flow[VersionList]:
        """What a project has published, in `versions` of the result.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            ApiError: The gateway refused.

        Source: Run402 gateway, `GET /projects/v1/admin/{project_id}/versions`.
        """
        from tollkit_api.run402.v1_57.api.apps import apps_list_versions as operation

        doing = "listing versions"
        return (yield from with_keys(self._root, project_id, doing, operation.parse, operation.request, project_id))

    @flow
    def update_version(
        self,
        project_id: str,
        version_id: str,
        *,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        visibility: Visibility | str | None = None,
        fork_allowed: bool | None = None,
    ) -> Flow[None]:
        """Change what is said about a version; what is left out stays, and so does its content.

        Args:
            project_id: The project.
            version_id: The version.
            description: What it is; empty takes it away.
            tags: What `browse` finds it by, from now on.
            visibility: `public`, `unlisted` or `private`.
            fork_allowed: Whether others may fork it.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            LocalError: An argument is of the wrong kind (also an `ArgumentError`).
            ApiError: The gateway refused. 404: the project has no such version.

        Source: Run402 gateway, `PATCH /projects/v1/admin/{project_id}/versions/{version_id}`.
        """
        from tollkit_api.run402.v1_57.api.apps import apps_update_version as operation
        from tollkit_api.run402.v1_57.models import UpdateVersionRequest

        doing = "updating version"
        with preparing(doing):
            body = UpdateVersionRequest(
                description=_description(description),
                tags=None if tags is None else texts("tags", tags),
                visibility=choice_or_none("visibility", visibility),
                fork_allowed=None if fork_allowed is None else flag("fork_allowed", fork_allowed),
            )
        return (
            yield from with_keys(
                self._root, project_id, doing, operation.parse, operation.request, project_id, version_id, body=body
            )
        )

    @flow
    def delete_version(self, project_id: str, version_id: str) -> Flow[None]:
        """Delete a version.

        Args:
            project_id: The project.
            version_id: The version.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            LocalError: `version_id` is empty or no id (also an `ArgumentError`).
            ApiError: The gateway refused. 404: the project has no such version.

        Source: Run402 gateway, `DELETE /projects/v1/admin/{project_id}/versions/{version_id}`.
        """
        from tollkit_api.run402.v1_57.api.apps import apps_delete_version as operation

        doing = "deleting version"
        return (
            yield from with_keys(
                self._root, project_id, doing, operation.parse, operation.request, project_id, version_id
            )
        )

    @flow
    def bundle_deploy(
        self,
        project_id: str,
        *,
        migrations: str | None = None,
        rls: BundleRls | Mapping[str, Any] | None = None,
        secrets: Iterable[BundleSecret | Mapping[str, Any]] | None = None,
        functions: Iterable[BundleFunction | Mapping[str, Any]] | None = None,
        files: Iterable[BundleFile | Mapping[str, Any]] | None = None,
        subdomain: str | None = None,
        on_event: EventCallback | None = None,
        idempotency_key: str | None = None,
        allow_warnings: bool | Collection[str] = False,
        max_uploads: int = MAX_UPLOADS,
        timeout: float = TIMEOUT,
        poll_interval: float = POLL_INTERVAL,
    ) -> Flow[BundleDeployResult]:
        """Deploy what a bundle has, the older way to say it; new programs take `deploy.apply`.

        Everything is checked first; then the secrets are written, one after the other; then it is deployed.

        Args:
            project_id: The project.
            migrations: SQL. It runs once: its id comes from its hash.
            rls: Who may reach which tables.
            secrets: Secrets to set: `key` and `value`.
            functions: All functions of the project: `name`, `code`, `config`, `schedule`.
            files: All files of the site: `file`, `data`, `encoding`.
            subdomain: Where it is served.
            on_event: Called with each `tollkit.run402.deploy.events` event.
            idempotency_key: Names this deploy: the same key means the same deploy.
            allow_warnings: `True` to go on whatever the plan warns of; or the codes that are fine.
            max_uploads: How many parts of files are uploaded side by side.
            timeout: Seconds that the platform may take from the commit on.
            poll_interval: Seconds between two looks at the operation.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            DeployError: `INVALID_SPEC`: a part is not what it has to be, and nothing was sent. Or a warning was not
                allowed, the upload or the release failed.
            ApiError: The gateway refused a secret.

        Source: Run402 client 1.57, `apps.bundleDeploy`; the requests are those of `secrets.set` and `deploy.apply`.
        """
        from tollkit.run402.deploy.bundle import bundle_secrets, bundle_spec

        doing = "deploying bundle"
        yield from self._root.keys_of(project_id, doing)
        settings = Settings.of(
            doing,
            on_event=on_event,
            idempotency_key=idempotency_key,
            allow_warnings=allow_warnings,
            max_uploads=max_uploads,
            timeout=timeout,
            poll_interval=poll_interval,
        )
        listed = None if secrets is None else list(secrets)  # it is gone through twice
        spec = bundle_spec(
            project_id,
            migrations=migrations,
            rls=rls,
            secrets=listed,
            functions=functions,
            files=files,
            subdomain=subdomain,
        )
        for key, value in bundle_secrets(listed):
            yield from self._root.secrets.set(project_id, key, value)
        result = yield from Deployment(self._root, settings).apply(spec)
        return BundleDeployResult._of(project_id, result)


class ScopedApps(ScopedNamespace[D]):
    """`project.apps`: what the project publishes, without its id."""

    _plain = Apps

    bundle_deploy: Final = of_project(Apps[Any].bundle_deploy)
    publish: Final = of_project(Apps[Any].publish)
    list_versions: Final = of_project(Apps[Any].list_versions)
    update_version: Final = of_project(Apps[Any].update_version)
    delete_version: Final = of_project(Apps[Any].delete_version)
    browse: Final = unscoped(Apps[Any].browse)
    fork: Final = unscoped(Apps[Any].fork)
    get_app: Final = unscoped(Apps[Any].get_app)


def _description(value: object) -> str | None:
    # empty is a description too: it is sent
    return "" if value == "" else choice_or_none("description", value)
