"""The clients of Run402: `Run402` for blocking programs, `AsyncRun402` for async ones.

Their methods are in namespaces (`tollkit.run402.namespaces`), each written once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, Unpack

from tollkit.core.client import AsyncClient, BlockingClient, ClientOptions
from tollkit.core.drivers import Async, Blocking
from tollkit.core.flows import Flow, Flows
from tollkit.core.tracebacks import forget_locals
from tollkit.core.weburl import parse_http_url
from tollkit.errors import ArgumentError, TollkitError
from tollkit.run402.config import api_base as api_base_of_environment
from tollkit.run402.credentials import can
from tollkit.run402.errors import Run402Error, family, raised
from tollkit.run402.kernel import Kernel
from tollkit.run402.namespaces.keyed import project_or_active

if TYPE_CHECKING:
    from tollkit.core.http import AsyncHttpClient, HttpClient
    from tollkit.run402.api import AsyncRun402Api, Run402Api
    from tollkit.run402.credentials import AsyncCredentialsProvider, CredentialsProvider
    from tollkit.run402.kernel import Payments
    from tollkit.run402.namespaces.admin import Admin
    from tollkit.run402.namespaces.ai import Ai
    from tollkit.run402.namespaces.allowance import Allowance
    from tollkit.run402.namespaces.apps import Apps
    from tollkit.run402.namespaces.auth import Auth
    from tollkit.run402.namespaces.billing import Billing
    from tollkit.run402.namespaces.blobs import Blobs
    from tollkit.run402.namespaces.ci import Ci
    from tollkit.run402.namespaces.contracts import Contracts
    from tollkit.run402.namespaces.deploy import Deploy
    from tollkit.run402.namespaces.domains import Domains
    from tollkit.run402.namespaces.email import Email
    from tollkit.run402.namespaces.functions import Functions
    from tollkit.run402.namespaces.projects import Projects
    from tollkit.run402.namespaces.secrets import Secrets
    from tollkit.run402.namespaces.sender_domain import SenderDomain
    from tollkit.run402.namespaces.service import ServiceStatus
    from tollkit.run402.namespaces.sites import Sites
    from tollkit.run402.namespaces.subdomains import Subdomains
    from tollkit.run402.namespaces.tier import Tier
    from tollkit.run402.project import AsyncRun402Project, Run402Project, Run402ProjectFlows

__all__ = ["AsyncRun402", "Branded", "Run402", "Run402Flows"]

D = TypeVar("D")


class Groups(Generic[D]):
    """The namespaces; each is loaded when it is first asked for."""

    @property
    def projects(self) -> Projects[D]:
        """Projects: provision, keys, SQL, REST, usage, schema."""
        from tollkit.run402.namespaces.projects import Projects

        return Projects(self)

    @property
    def deploy(self) -> Deploy[D]:
        """Releases: plan, upload, commit, watch, resume."""
        from tollkit.run402.namespaces.deploy import Deploy

        return Deploy(self)

    @property
    def sites(self) -> Sites[D]:
        """A folder as a website."""
        from tollkit.run402.namespaces.sites import Sites

        return Sites(self)

    @property
    def functions(self) -> Functions[D]:
        """Functions: deploy, invoke, logs, schedules."""
        from tollkit.run402.namespaces.functions import Functions

        return Functions(self)

    @property
    def secrets(self) -> Secrets[D]:
        """Secrets that functions read."""
        from tollkit.run402.namespaces.secrets import Secrets

        return Secrets(self)

    @property
    def subdomains(self) -> Subdomains[D]:
        """Names below the platform's own domain."""
        from tollkit.run402.namespaces.subdomains import Subdomains

        return Subdomains(self)

    @property
    def domains(self) -> Domains[D]:
        """Domains of your own."""
        from tollkit.run402.namespaces.domains import Domains

        return Domains(self)

    @property
    def email(self) -> Email[D]:
        """A mailbox: send, list, read, webhooks."""
        from tollkit.run402.namespaces.email import Email

        return Email(self)

    @property
    def sender_domain(self) -> SenderDomain[D]:
        """A domain of your own to send mail from."""
        from tollkit.run402.namespaces.sender_domain import SenderDomain

        return SenderDomain(self)

    @property
    def auth(self) -> Auth[D]:
        """End users of a project: magic links, passwords, settings."""
        from tollkit.run402.namespaces.auth import Auth

        return Auth(self)

    @property
    def apps(self) -> Apps[D]:
        """Published apps: browse, fork, publish."""
        from tollkit.run402.namespaces.apps import Apps

        return Apps(self)

    @property
    def tier(self) -> Tier[D]:
        """What the wallet pays for."""
        from tollkit.run402.namespaces.tier import Tier

        return Tier(self)

    @property
    def billing(self) -> Billing[D]:
        """Balances, history, checkouts."""
        from tollkit.run402.namespaces.billing import Billing

        return Billing(self)

    @property
    def contracts(self) -> Contracts[D]:
        """Wallets of the platform that call contracts."""
        from tollkit.run402.namespaces.contracts import Contracts

        return Contracts(self)

    @property
    def ai(self) -> Ai[D]:
        """Translation, moderation, images."""
        from tollkit.run402.namespaces.ai import Ai

        return Ai(self)

    @property
    def image(self) -> Ai[D]:
        """The same as `ai`."""
        return self.ai

    @property
    def allowance(self) -> Allowance[D]:
        """The local wallet."""
        from tollkit.run402.namespaces.allowance import Allowance

        return Allowance(self)

    @property
    def blobs(self) -> Blobs[D]:
        """Files of a project, on the platform's CDN."""
        from tollkit.run402.namespaces.blobs import Blobs

        return Blobs(self)

    @property
    def ci(self) -> Ci[D]:
        """Leave for workflows of GitHub Actions to deploy."""
        from tollkit.run402.namespaces.ci import Ci

        return Ci(self)

    @property
    def service(self) -> ServiceStatus[D]:
        """Whether the platform is well."""
        from tollkit.run402.namespaces.service import ServiceStatus

        return ServiceStatus(self)

    @property
    def admin(self) -> Admin[D]:
        """Messages to the platform's makers."""
        from tollkit.run402.namespaces.admin import Admin

        return Admin(self)


class Run402Flows(Groups[Flows], Kernel):
    """All methods of the clients, written once. Not for direct use: see `Run402` and `AsyncRun402`."""

    def project(self, project_id: str | None = None) -> Flow[Run402ProjectFlows]:
        """The flows of one project; of the active one when none is told.

        Raises:
            LocalError: None is told and none is active (also an `ArgumentError`).
        """
        from tollkit.run402.project import Run402ProjectFlows

        doing = "scoping client to project"
        if project_id is None:
            project_id = yield from project_or_active(self, None, doing)
        elif not isinstance(project_id, str):
            raise raised(ArgumentError("project_id", f"must be text, not {type(project_id).__name__}"), doing)
        return Run402ProjectFlows(self, project_id)

    def use_project(self, project_id: str) -> Flow[Run402ProjectFlows]:
        """The flows of one project, which becomes the active one."""
        yield from self.projects.use(project_id)
        return (yield from self.project(project_id))


class Branded:
    """A client whose errors are those of this platform."""

    family: type[TollkitError] = Run402Error

    def _leaving(self, error: TollkitError, handled: BaseException | None) -> None:
        raised(error)
        forget_locals(error, handled)


class _Run402(Branded):
    """What is the same on both clients."""

    flows: Run402Flows

    @property
    def api_base(self) -> str:
        """The gateway."""
        return self.flows.api_base

    def __repr__(self) -> str:
        if "flows" not in vars(self):  # shown in a traceback of the constructor
            return f"{type(self).__name__}(...)"
        return f"{type(self).__name__}(api_base={self.api_base!r})"


def _flows(
    api_base: str | None, credentials: object | None, payments: Payments | None, *, allow_http: bool
) -> Run402Flows:
    address = api_base_of_environment() if api_base is None else api_base
    if not isinstance(address, str) or parse_http_url(address) is None:
        raise raised(
            ArgumentError("api_base", "must be an http(s) address such as https://api.run402.com"),
            "constructing client",
        )
    if credentials is None:
        from tollkit.run402.local import LocalCredentials

        credentials = LocalCredentials(api_base=api_base)  # which signs in where the requests go
    for method in ("get_auth", "get_project"):
        if not callable(getattr(credentials, method, None)):
            raise raised(ArgumentError("credentials", f"must have the method {method}"), "constructing client")
    if not (payments is None or isinstance(payments, bool) or can(payments, "answer") or can(payments, "forbids")):
        raise raised(
            ArgumentError("payments", "must be an X402Payer, a SpendingPolicy, True, or False"), "constructing client"
        )
    return Run402Flows(address, credentials, allow_http=allow_http, payments=payments)


class Run402(_Run402, Groups[Blocking], BlockingClient):
    """The blocking client of Run402; safe to share between threads, to be made once and kept.

    Args:
        api_base: The gateway; `RUN402_API_BASE`, or the platform's, when left out.
        credentials: Where keys and signatures come from; the local files of the platform's tools when left out.
        payments: What answers a 402 that asks for a payment by x402: the wallet of the credentials within the default
            `SpendingPolicy` when nothing is said; a policy or an `X402Payer` of yours (`tollkit.run402.payments`);
            `False` never pays.
        allow_insecure_http: Allow an `http://` gateway, for a sandbox or a development server.
        http_client: An HTTP client of your own (of httpx's shape); you close it.
        options: `timeout`, `max_retries`, `headers`, `on_event`, `connection`: see
            `tollkit.core.client.ClientOptions`.

    Raises:
        LocalError: An argument is unusable (also an `ArgumentError`).
    """

    def __init__(
        self,
        *,
        api_base: str | None = None,
        credentials: CredentialsProvider | None = None,
        payments: Payments | None = True,
        allow_insecure_http: bool = False,
        http_client: HttpClient | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        with family():
            flows = _flows(api_base, credentials, payments, allow_http=allow_insecure_http)
            self._start(flows, options, http_client)

    @property
    def api(self) -> Run402Api:
        """What to give to generated functions as `client=`: see `Run402Api`."""
        from tollkit.run402.api import Run402Api

        return Run402Api(self, self.flows)

    def project(self, project_id: str | None = None) -> Run402Project:
        """This client for one project: its methods know the project and do not take its id.

        It shares connections, options and credentials with this client; closing it does nothing.

        Args:
            project_id: The project, which is not looked up here; the active one when left out.

        Raises:
            LocalError: None is told and none is active (also an `ArgumentError`).
        """
        from tollkit.run402.project import Run402Project

        return Run402Project._of(self, self.run(self.flows.project(project_id)))

    def use_project(self, project_id: str) -> Run402Project:
        """This client for one project, which is the active one from now on (`projects.use`).

        Args:
            project_id: The project.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: The credentials cannot keep which project is active.
        """
        from tollkit.run402.project import Run402Project

        return Run402Project._of(self, self.run(self.flows.use_project(project_id)))


class AsyncRun402(_Run402, Groups[Async], AsyncClient):
    """The async client of Run402: every method of `Run402` as a coroutine. Takes the same arguments."""

    def __init__(
        self,
        *,
        api_base: str | None = None,
        credentials: CredentialsProvider | AsyncCredentialsProvider | None = None,
        payments: Payments | None = True,
        allow_insecure_http: bool = False,
        http_client: AsyncHttpClient | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        with family():
            flows = _flows(api_base, credentials, payments, allow_http=allow_insecure_http)
            self._start(flows, options, http_client)

    @property
    def api(self) -> AsyncRun402Api:
        """What to give to generated functions as `client=`: see `Run402Api`."""
        from tollkit.run402.api import AsyncRun402Api

        return AsyncRun402Api(self, self.flows)

    async def project(self, project_id: str | None = None) -> AsyncRun402Project:
        """This client for one project: its methods know the project and do not take its id.

        It shares connections, options and credentials with this client; closing it does nothing.

        Args:
            project_id: The project, which is not looked up here; the active one when left out.

        Raises:
            LocalError: None is told and none is active (also an `ArgumentError`).
        """
        from tollkit.run402.project import AsyncRun402Project

        return AsyncRun402Project._of(self, await self.run(self.flows.project(project_id)))

    async def use_project(self, project_id: str) -> AsyncRun402Project:
        """This client for one project, which is the active one from now on (`projects.use`).

        Args:
            project_id: The project.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            LocalError: The credentials cannot keep which project is active.
        """
        from tollkit.run402.project import AsyncRun402Project

        return AsyncRun402Project._of(self, await self.run(self.flows.use_project(project_id)))
