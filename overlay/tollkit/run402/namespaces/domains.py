"""Domains of your own in front of a subdomain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from tollkit.core.arguments import built, required_text
from tollkit.core.flows import Flow, flow
from tollkit.core.namespaces import Namespace
from tollkit.run402.namespaces.checks import preparing
from tollkit.run402.namespaces.keyed import with_keys
from tollkit.run402.namespaces.scoped import ScopedNamespace, of_project, with_project

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit_api.run402.v1_57.models import Domain, DomainList, RemovedDomain

__all__ = ["Domains", "ScopedDomains"]

D = TypeVar("D")


class Domains(Namespace[D]):
    """`client.domains`: add a domain, see whether its DNS is right, remove it."""

    _root: Run402Flows

    @flow
    def add(self, project_id: str, domain: str, subdomain_name: str) -> Flow[Domain]:
        """Serve a subdomain at a domain of your own; `dns_instructions` of the result says what to put into DNS.

        Args:
            project_id: The project.
            domain: The domain, such as `example.com`.
            subdomain_name: The name of the subdomain.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: An argument is empty (also an `ArgumentError`).
            ApiError: The domain is taken (also a `ConflictError`), or refused.

        Source: Run402 gateway, `POST /domains/v1`.
        """
        from tollkit_api.run402.v1_57.api.domains import domains_add as operation
        from tollkit_api.run402.v1_57.models import AddDomainRequest

        doing = "registering custom domain"
        with preparing(doing):
            body = AddDomainRequest(
                domain=required_text("domain", domain), subdomain_name=required_text("subdomain_name", subdomain_name)
            )
        return (yield from with_keys(self._root, project_id, doing, operation.parse, operation.request, body=body))

    @flow
    def list(self, project_id: str) -> Flow[DomainList]:
        """The domains of a project.

        Args:
            project_id: The project.

        Raises:
            ProjectNotFound: The credentials do not know the project.

        Source: Run402 gateway, `GET /domains/v1`.
        """
        from tollkit_api.run402.v1_57.api.domains import domains_list as operation

        return (
            yield from with_keys(self._root, project_id, "listing custom domains", operation.parse, operation.request)
        )

    @flow
    def status(self, project_id: str, domain: str) -> Flow[Domain]:
        """How far a domain is.

        Args:
            project_id: The project.
            domain: The domain.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            ApiError: The project does not have the domain (also a `NotFoundError`).

        Source: Run402 gateway, `GET /domains/v1/{domain}`.
        """
        from tollkit_api.run402.v1_57.api.domains import domains_status as operation

        return (
            yield from with_keys(
                self._root, project_id, "checking domain status", operation.parse, operation.request, domain
            )
        )

    @flow
    def remove(self, domain: str, *, project_id: str | None = None) -> Flow[RemovedDomain]:
        """Remove a domain.

        Args:
            domain: The domain.
            project_id: The project, whose service key is then used; the wallet signs when left out.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            Unauthorized: The domain is not this project's, or not this wallet's.
            ApiError: There is no such domain (also a `NotFoundError`).

        Source: Run402 gateway, `DELETE /domains/v1/{domain}`.
        """
        from tollkit_api.run402.v1_57.api.domains import domains_remove as operation

        doing = "removing custom domain"
        if project_id:
            return (yield from with_keys(self._root, project_id, doing, operation.parse, operation.request, domain))
        with preparing(doing):
            request = built(operation.request, domain)
        return (yield from self._root.call(request, operation.parse, doing))


class ScopedDomains(ScopedNamespace[D]):
    """`project.domains`: the project's domains, without its id; they are removed with its service key."""

    _plain = Domains

    add: Final = of_project(Domains[Any].add)
    list: Final = of_project(Domains[Any].list)
    status: Final = of_project(Domains[Any].status)
    remove: Final = with_project(Domains[Any].remove)
