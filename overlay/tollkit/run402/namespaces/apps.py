"""Published apps: browse, fork, publish."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from tollkit.core.arguments import built, required_text, texts
from tollkit.core.flows import Flow, flow
from tollkit.core.namespaces import Namespace
from tollkit.run402.namespaces.checks import choice_or_none, flag, preparing
from tollkit.run402.namespaces.keyed import with_keys
from tollkit.run402.namespaces.made import keep_keys

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit_api.run402.v1_57.models import AppList, AppVersion, ForkResult, VersionList, Visibility

__all__ = ["Apps"]

D = TypeVar("D")


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
        made = yield from self._root.call(request, operation.parse, doing)
        return (yield from keep_keys(self._root, made, doing))

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


def _description(value: object) -> str | None:
    # empty is a description too: it is sent
    return "" if value == "" else choice_or_none("description", value)
