"""Names below the platform's own domain."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tollkit.core.arguments import required_text
from tollkit.core.flows import Flow, flow
from tollkit.core.namespaces import Namespace
from tollkit.run402.namespaces.checks import preparing
from tollkit.run402.namespaces.keyed import project_or_active, with_keys
from tollkit.run402.namespaces.scoped import ScopedNamespace, of_project, with_project

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit_api.run402.v1_57.models import DeletedSubdomain, Subdomain

__all__ = ["ScopedSubdomains", "Subdomains"]

D = TypeVar("D")


class Subdomains(Namespace[D]):
    """`client.subdomains`: names that sites are served at."""

    _root: Run402Flows

    @flow
    def claim(self, name: str, deployment_id: str, *, project_id: str | None = None) -> Flow[Subdomain]:
        """Serve a deployment at a name; when the project has the name already, it moves to this deployment.

        Args:
            name: The name, the part in front of the platform's domain.
            deployment_id: The deployment.
            project_id: The project; the active one when left out.

        Raises:
            LocalError: No project is told or active, or an argument is empty (also an `ArgumentError`).
            ProjectNotFound: The credentials do not know the project.
            ApiError: Somebody else has the name (also a `ConflictError`).

        Source: Run402 gateway, `POST /subdomains/v1`.
        """
        from tollkit_api.run402.v1_57.api.subdomains import subdomains_claim as operation
        from tollkit_api.run402.v1_57.models import ClaimSubdomainRequest

        doing = "claiming subdomain"
        project = yield from project_or_active(self._root, project_id, doing)
        with preparing(doing):
            body = ClaimSubdomainRequest(
                name=required_text("name", name), deployment_id=required_text("deployment_id", deployment_id)
            )
        return (yield from with_keys(self._root, project, doing, operation.parse, operation.request, body=body))

    @flow
    def delete(self, name: str, *, project_id: str | None = None) -> Flow[DeletedSubdomain]:
        """Give a name back.

        Args:
            name: The name.
            project_id: The project; the active one when left out.

        Raises:
            LocalError: No project is told or active, or `name` is empty (also an `ArgumentError`).
            ProjectNotFound: The credentials do not know the project.
            ApiError: The project does not have the name (also a `NotFoundError`).

        Source: Run402 gateway, `DELETE /subdomains/v1/{name}`.
        """
        from tollkit_api.run402.v1_57.api.subdomains import subdomains_delete as operation

        doing = "deleting subdomain"
        project = yield from project_or_active(self._root, project_id, doing)
        return (yield from with_keys(self._root, project, doing, operation.parse, operation.request, name))

    @flow
    def list(self, project_id: str) -> Flow[builtins.list[Subdomain]]:
        """The names of a project.

        Args:
            project_id: The project.

        Raises:
            ProjectNotFound: The credentials do not know the project.

        Source: Run402 gateway, `GET /subdomains/v1`.
        """
        from tollkit_api.run402.v1_57.api.subdomains import subdomains_list as operation

        found = yield from with_keys(self._root, project_id, "listing subdomains", operation.parse, operation.request)
        return found.subdomains or []


class ScopedSubdomains(ScopedNamespace[D]):
    """`project.subdomains`: the project's names, without its id."""

    _plain = Subdomains

    list: Final = of_project(Subdomains[Any].list)
    claim: Final = with_project(Subdomains[Any].claim)
    delete: Final = with_project(Subdomains[Any].delete)
