"""The clients of one project: `Run402Project` and `AsyncRun402Project`, from `client.project(...)`.

They have the namespaces that work on a project, without its id among the arguments, and share everything else with
the client that they come from: connections, options, credentials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Self, TypeVar

from tollkit.core.client import AsyncClient, BlockingClient
from tollkit.core.drivers import Async, Blocking
from tollkit.core.flows import Flows
from tollkit.run402.client import Branded

if TYPE_CHECKING:
    from tollkit.run402.client import AsyncRun402, Run402, Run402Flows
    from tollkit.run402.namespaces.ai import ScopedAi
    from tollkit.run402.namespaces.apps import ScopedApps
    from tollkit.run402.namespaces.auth import ScopedAuth
    from tollkit.run402.namespaces.blobs import ScopedBlobs
    from tollkit.run402.namespaces.contracts import ScopedContracts
    from tollkit.run402.namespaces.deploy import ScopedDeploy
    from tollkit.run402.namespaces.domains import ScopedDomains
    from tollkit.run402.namespaces.email import ScopedEmail
    from tollkit.run402.namespaces.functions import ScopedFunctions
    from tollkit.run402.namespaces.projects import ScopedProjects
    from tollkit.run402.namespaces.secrets import ScopedSecrets
    from tollkit.run402.namespaces.sender_domain import ScopedSenderDomain
    from tollkit.run402.namespaces.sites import ScopedSites
    from tollkit.run402.namespaces.subdomains import ScopedSubdomains

__all__ = ["AsyncRun402Project", "ProjectGroups", "Run402Project", "Run402ProjectFlows"]

D = TypeVar("D")


class ProjectGroups(Generic[D]):
    """The namespaces that work on a project; each is loaded when it is first asked for."""

    @property
    def projects(self) -> ScopedProjects[D]:
        """The project itself: keys, SQL, REST, usage, schema."""
        from tollkit.run402.namespaces.projects import ScopedProjects

        return ScopedProjects(self)

    @property
    def blobs(self) -> ScopedBlobs[D]:
        """Its files, on the platform's CDN."""
        from tollkit.run402.namespaces.blobs import ScopedBlobs

        return ScopedBlobs(self)

    @property
    def deploy(self) -> ScopedDeploy[D]:
        """Its releases: plan, upload, commit, watch, resume."""
        from tollkit.run402.namespaces.deploy import ScopedDeploy

        return ScopedDeploy(self)

    @property
    def sites(self) -> ScopedSites[D]:
        """A folder as its website."""
        from tollkit.run402.namespaces.sites import ScopedSites

        return ScopedSites(self)

    @property
    def functions(self) -> ScopedFunctions[D]:
        """Its functions: deploy, invoke, logs, schedules."""
        from tollkit.run402.namespaces.functions import ScopedFunctions

        return ScopedFunctions(self)

    @property
    def secrets(self) -> ScopedSecrets[D]:
        """Secrets that its functions read."""
        from tollkit.run402.namespaces.secrets import ScopedSecrets

        return ScopedSecrets(self)

    @property
    def subdomains(self) -> ScopedSubdomains[D]:
        """Its names below the platform's own domain."""
        from tollkit.run402.namespaces.subdomains import ScopedSubdomains

        return ScopedSubdomains(self)

    @property
    def domains(self) -> ScopedDomains[D]:
        """Its domains of your own."""
        from tollkit.run402.namespaces.domains import ScopedDomains

        return ScopedDomains(self)

    @property
    def email(self) -> ScopedEmail[D]:
        """Its mailbox: send, list, read, webhooks."""
        from tollkit.run402.namespaces.email import ScopedEmail

        return ScopedEmail(self)

    @property
    def sender_domain(self) -> ScopedSenderDomain[D]:
        """The domain of your own that it sends mail from."""
        from tollkit.run402.namespaces.sender_domain import ScopedSenderDomain

        return ScopedSenderDomain(self)

    @property
    def auth(self) -> ScopedAuth[D]:
        """Its end users: magic links, passwords, settings."""
        from tollkit.run402.namespaces.auth import ScopedAuth

        return ScopedAuth(self)

    @property
    def apps(self) -> ScopedApps[D]:
        """What it publishes; and browsing and forking, which are of no project."""
        from tollkit.run402.namespaces.apps import ScopedApps

        return ScopedApps(self)

    @property
    def contracts(self) -> ScopedContracts[D]:
        """Its wallets that call contracts."""
        from tollkit.run402.namespaces.contracts import ScopedContracts

        return ScopedContracts(self)

    @property
    def ai(self) -> ScopedAi[D]:
        """Translation and moderation at its cost; and images, which the wallet pays."""
        from tollkit.run402.namespaces.ai import ScopedAi

        return ScopedAi(self)


class Run402ProjectFlows(ProjectGroups[Flows], Flows):
    """All methods of a project's clients, written once. Not for direct use: see `Run402Project`.

    Args:
        whole: The flows of the client that it comes from.
        project_id: The project.
    """

    def __init__(self, whole: Run402Flows, project_id: str) -> None:
        self.whole = whole
        self.project_id = project_id


class _Run402Project(Branded):
    """What is the same on both clients of a project."""

    flows: Run402ProjectFlows

    @property
    def project_id(self) -> str:
        """The project."""
        return self.flows.project_id

    @property
    def api_base(self) -> str:
        """The gateway."""
        return self.flows.whole.api_base

    @classmethod
    def _of(cls, client: Run402 | AsyncRun402, flows: Run402ProjectFlows) -> Self:
        """What `client` is, with these flows in the place of its own."""
        made = object.__new__(cls)
        made.__dict__.update(client.__dict__, flows=flows)
        return made

    def __init__(self) -> None:
        raise TypeError(f"{type(self).__name__} comes from a client: client.project(...)")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.project_id!r}, api_base={self.api_base!r})"


class Run402Project(_Run402Project, ProjectGroups[Blocking], BlockingClient):
    """The blocking client of one project, from `Run402.project` or `Run402.use_project`.

    Its methods are those of `Run402` without `project_id`; to reach another project for once, give it all the same:
    `project.projects.get_usage(project_id="prj_2")`.
    """

    def close(self) -> None:
        """Does nothing, and leaving a `with` block does nothing either: the connections are the client's."""


class AsyncRun402Project(_Run402Project, ProjectGroups[Async], AsyncClient):
    """The async client of one project, from `AsyncRun402.project` or `AsyncRun402.use_project`.

    Its methods are those of `AsyncRun402` without `project_id`.
    """

    async def aclose(self) -> None:
        """Does nothing, and leaving an `async with` block does nothing either: the connections are the client's."""
