"""A domain of your own to send a project's mail from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from tollkit.core.arguments import required_text
from tollkit.core.flows import Flow, flow
from tollkit.core.namespaces import Namespace
from tollkit.run402.namespaces.checks import preparing
from tollkit.run402.namespaces.keyed import with_keys
from tollkit.run402.namespaces.scoped import ScopedNamespace, of_project

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit_api.run402.v1_57.models import DisabledInbound, EnabledInbound, RegisteredSenderDomain
    from tollkit_api.run402.v1_57.models import SenderDomain as SenderDomainState

__all__ = ["ScopedSenderDomain", "SenderDomain"]

D = TypeVar("D")


class SenderDomain(Namespace[D]):
    """`client.sender_domain`: a project has at most one."""

    _root: Run402Flows

    @flow
    def register(self, project_id: str, domain: str) -> Flow[RegisteredSenderDomain]:
        """Register a domain to send from; the result says which DNS records to make.

        Args:
            project_id: The project.
            domain: The domain: `mail.example.com`.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            LocalError: `domain` is empty (also an `ArgumentError`).
            ApiError: The gateway refused.

        Source: Run402 gateway, `POST /email/v1/domains`.
        """
        from tollkit_api.run402.v1_57.api.sender_domain import sender_domain_register as operation
        from tollkit_api.run402.v1_57.models import SenderDomainRequest

        doing = "registering sender domain"
        with preparing(doing):
            body = SenderDomainRequest(domain=required_text("domain", domain))
        return (yield from with_keys(self._root, project_id, doing, operation.parse, operation.request, body=body))

    @flow
    def status(self, project_id: str) -> Flow[SenderDomainState]:
        """How far the domain has come; its `domain` is `None` when there is none.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            ApiError: The gateway refused.

        Source: Run402 gateway, `GET /email/v1/domains`.
        """
        from tollkit_api.run402.v1_57.api.sender_domain import sender_domain_status as operation

        doing = "checking sender domain status"
        return (yield from with_keys(self._root, project_id, doing, operation.parse, operation.request))

    @flow
    def remove(self, project_id: str) -> Flow[None]:
        """Remove the domain; the project has none afterwards.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            ApiError: The gateway refused.

        Source: Run402 gateway, `DELETE /email/v1/domains`.
        """
        from tollkit_api.run402.v1_57.api.sender_domain import sender_domain_remove as operation

        doing = "removing sender domain"
        return (yield from with_keys(self._root, project_id, doing, operation.parse, operation.request))

    @flow
    def enable_inbound(self, project_id: str, domain: str) -> Flow[EnabledInbound]:
        """Receive mail at the domain; the result says which MX record to make.

        Args:
            project_id: The project.
            domain: The domain, which is registered.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            LocalError: `domain` is empty (also an `ArgumentError`).
            ApiError: The gateway refused.

        Source: Run402 gateway, `POST /email/v1/domains/inbound`.
        """
        from tollkit_api.run402.v1_57.api.sender_domain import sender_domain_enable_inbound as operation
        from tollkit_api.run402.v1_57.models import SenderDomainRequest

        doing = "enabling inbound email"
        with preparing(doing):
            body = SenderDomainRequest(domain=required_text("domain", domain))
        return (yield from with_keys(self._root, project_id, doing, operation.parse, operation.request, body=body))

    @flow
    def disable_inbound(self, project_id: str, domain: str) -> Flow[DisabledInbound]:
        """Receive no more mail at the domain.

        Args:
            project_id: The project.
            domain: The domain.

        Raises:
            ProjectNotFound: The credentials do not know the project; nothing was sent.
            LocalError: `domain` is empty (also an `ArgumentError`).
            ApiError: The gateway refused.

        Source: Run402 gateway, `DELETE /email/v1/domains/inbound`.
        """
        from tollkit_api.run402.v1_57.api.sender_domain import sender_domain_disable_inbound as operation
        from tollkit_api.run402.v1_57.models import SenderDomainRequest

        doing = "disabling inbound email"
        with preparing(doing):
            body = SenderDomainRequest(domain=required_text("domain", domain))
        return (yield from with_keys(self._root, project_id, doing, operation.parse, operation.request, body=body))

    inbound_enable = enable_inbound
    inbound_disable = disable_inbound


class ScopedSenderDomain(ScopedNamespace[D]):
    """`project.sender_domain`, without the project's id."""

    _plain = SenderDomain

    register: Final = of_project(SenderDomain[Any].register)
    status: Final = of_project(SenderDomain[Any].status)
    remove: Final = of_project(SenderDomain[Any].remove)
    enable_inbound: Final = of_project(SenderDomain[Any].enable_inbound)
    disable_inbound: Final = of_project(SenderDomain[Any].disable_inbound)
