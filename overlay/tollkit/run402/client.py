"""The clients of Run402: `Run402` for blocking programs, `AsyncRun402` for async ones.

Their methods are in namespaces (`tollkit.run402.namespaces`), each written once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, Unpack

from tollkit.core.client import AsyncClient, BlockingClient, ClientOptions
from tollkit.core.drivers import Async, Blocking
from tollkit.core.flows import Flows
from tollkit.core.tracebacks import forget_locals
from tollkit.core.weburl import parse_http_url
from tollkit.errors import ArgumentError, TollkitError
from tollkit.run402.config import api_base as api_base_of_environment
from tollkit.run402.errors import Run402Error, family, raised
from tollkit.run402.kernel import Kernel

if TYPE_CHECKING:
    from tollkit.core.http import AsyncHttpClient, HttpClient
    from tollkit.run402.credentials import AsyncCredentialsProvider, CredentialsProvider
    from tollkit.run402.namespaces.admin import Admin
    from tollkit.run402.namespaces.ai import Ai
    from tollkit.run402.namespaces.allowance import Allowance
    from tollkit.run402.namespaces.apps import Apps
    from tollkit.run402.namespaces.auth import Auth
    from tollkit.run402.namespaces.billing import Billing
    from tollkit.run402.namespaces.contracts import Contracts
    from tollkit.run402.namespaces.domains import Domains
    from tollkit.run402.namespaces.email import Email
    from tollkit.run402.namespaces.functions import Functions
    from tollkit.run402.namespaces.projects import Projects
    from tollkit.run402.namespaces.secrets import Secrets
    from tollkit.run402.namespaces.sender_domain import SenderDomain
    from tollkit.run402.namespaces.service import ServiceStatus
    from tollkit.run402.namespaces.subdomains import Subdomains
    from tollkit.run402.namespaces.tier import Tier

__all__ = ["AsyncRun402", "Run402", "Run402Flows"]

D = TypeVar("D")


class Groups(Generic[D]):
    """The namespaces; each is loaded when it is first asked for."""

    @property
    def projects(self) -> Projects[D]:
        """Projects: provision, keys, SQL, REST, usage, schema."""
        from tollkit.run402.namespaces.projects import Projects

        return Projects(self)

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


class _Run402:
    """What is the same on both clients."""

    flows: Run402Flows
    family: type[TollkitError] = Run402Error

    @property
    def api_base(self) -> str:
        """The gateway."""
        return self.flows.api_base

    def _leaving(self, error: TollkitError, handled: BaseException | None) -> None:
        raised(error)
        forget_locals(error, handled)

    def __repr__(self) -> str:
        if "flows" not in vars(self):  # shown in a traceback of the constructor
            return f"{type(self).__name__}(...)"
        return f"{type(self).__name__}(api_base={self.api_base!r})"


def _flows(api_base: str | None, credentials: object | None, *, allow_http: bool) -> Run402Flows:
    address = api_base_of_environment() if api_base is None else api_base
    if not isinstance(address, str) or parse_http_url(address) is None:
        raise raised(
            ArgumentError("api_base", "must be an http(s) address such as https://api.run402.com"),
            "constructing client",
        )
    if credentials is None:
        from tollkit.run402.local import LocalCredentials

        credentials = LocalCredentials()
    for method in ("get_auth", "get_project"):
        if not callable(getattr(credentials, method, None)):
            raise raised(ArgumentError("credentials", f"must have the method {method}"), "constructing client")
    return Run402Flows(address, credentials, allow_http=allow_http)


class Run402(_Run402, Groups[Blocking], BlockingClient):
    """The blocking client of Run402; safe to share between threads, to be made once and kept.

    Args:
        api_base: The gateway; `RUN402_API_BASE`, or the platform's, when left out.
        credentials: Where keys and signatures come from; the local files of the platform's tools when left out.
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
        allow_insecure_http: bool = False,
        http_client: HttpClient | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        with family():
            self._start(_flows(api_base, credentials, allow_http=allow_insecure_http), options, http_client)


class AsyncRun402(_Run402, Groups[Async], AsyncClient):
    """The async client of Run402: every method of `Run402` as a coroutine. Takes the same arguments."""

    def __init__(
        self,
        *,
        api_base: str | None = None,
        credentials: CredentialsProvider | AsyncCredentialsProvider | None = None,
        allow_insecure_http: bool = False,
        http_client: AsyncHttpClient | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        with family():
            self._start(_flows(api_base, credentials, allow_http=allow_insecure_http), options, http_client)
