"""The gateway as tests hold it: where it is, and levers on its state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from tollkit.run402.x402 import BASE_SEPOLIA
from tollkit.sandbox.run402.app import Groups, build_app
from tollkit.sandbox.run402.gateway import OWNER, Gateway, GatewayError
from tollkit.sandbox.run402.payments import NONCE_USED, network_id
from tollkit.sandbox.run402.tiers import TIERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.types import ASGIApp

    from tollkit.sandbox.clock import Clock
    from tollkit.sandbox.recorder import RequestLog
    from tollkit.sandbox.run402.ai import AiRoutes
    from tollkit.sandbox.run402.ci import CiRoutes, GitHub
    from tollkit.sandbox.run402.contracts import ContractRoutes
    from tollkit.sandbox.run402.data import DataRoutes
    from tollkit.sandbox.run402.deploy import Deploys
    from tollkit.sandbox.run402.end_users import EndUserRoutes
    from tollkit.sandbox.run402.functions import FunctionRoutes
    from tollkit.sandbox.run402.gateway import Project
    from tollkit.sandbox.run402.mail import MailRoutes
    from tollkit.sandbox.run402.names import NameRoutes
    from tollkit.sandbox.run402.payments import RefusedPayment, Settlement
    from tollkit.sandbox.run402.storage import StorageRoutes

__all__ = ["Run402Sandbox"]

_DEMO_FUNDS = 10_000_000


class Run402Sandbox:
    """Run402 in the sandbox.

    Ids and keys are the same in every run, in the order in which they are made. Money is micro-dollars: the smallest
    unit of USDC, a million to the dollar. Checking a wallet's signature, and a payment's, needs the extra `payments`.

    Args:
        clock: The clock of the sandbox.
        requests: The log of requests that the sandbox received.
        origin: Gives scheme, host and port of the server once it runs.

    Attributes:
        gateway: State and rules, for the routes and for tests that want something special.
        groups: The groups of routes by their names; those with levers are below, too.
        data: The databases, e.g. `run(project_id, sql)`.
        end_users: End users of the projects.
        mail: Mailboxes, with levers: `receive`, `mark`, `limit_sends`.
        functions: Functions, with levers: `answer_with`, `run_with`, `log`, `run_schedule`.
        names: Subdomains and domains, with levers: `activate`, `verify_after`.
        contracts: Wallets that call contracts, with levers: `confirm`, `fail`, `set_balance`, `answer_read`.
        ai: Translation, moderation and images, with levers: `set_pack`, `translate_as`, `flag`.
        deploys: Levers on deploys, uploads and sites.
        storage: Blobs, with levers.
        ci: Bindings and sessions of CI, with levers.
        github: The issuer of workflow tokens, with levers.
    """

    def __init__(self, clock: Clock, requests: RequestLog, origin: Callable[[], str]) -> None:
        self.clock = clock
        self.requests = requests
        self.gateway: Gateway = Gateway(clock, origin)
        self.groups: Groups = Groups(self.gateway)
        self.data: DataRoutes = self.groups.data
        self.end_users: EndUserRoutes = self.groups.end_users
        self.mail: MailRoutes = self.groups.mail
        self.functions: FunctionRoutes = self.groups.functions
        self.names: NameRoutes = self.groups.names
        self.contracts: ContractRoutes = self.groups.contracts
        self.ai: AiRoutes = self.groups.ai
        self.deploys: Deploys = self.groups.deploys
        self.storage: StorageRoutes = self.groups.storage
        self.ci: CiRoutes = self.groups.ci
        self.github: GitHub = self.groups.ci.github

    def asgi_app(self) -> ASGIApp:
        """The gateway as an ASGI application."""
        return build_app(self.gateway, self.groups)

    def by_host(self, otherwise: ASGIApp) -> ASGIApp:
        """An application that answers the host names of deployed sites, and hands everything else on."""
        return self.groups.sites.by_host(otherwise)

    def close(self) -> None:
        """Forget what was deployed and stored, with its files; for when the server has stopped."""
        with self.gateway.lock:
            self.groups.storage.forget()
            self.groups.deploy.forget()

    def reset(self) -> None:
        """Forget all state; the next project has the first id again."""
        with self.gateway.lock:
            for group in self.groups:
                group.forget()
            self.gateway.forget()

    # ---------------------------------------------------------------- what a client is configured with

    @property
    def api_base(self) -> str:
        """Address of the gateway, e.g. `http://127.0.0.1:40001/run402`."""
        return self.gateway.api_base

    def rpc_url(self, network: str = BASE_SEPOLIA) -> str:
        """Where the balances of a network are told (JSON-RPC).

        Raises:
            ValueError: It is no network of the sandbox.
        """
        return f"{self.api_base}/rpc/{quote(network_id(network), safe=':')}"

    def env(self) -> dict[str, str]:
        """The `RUN402_*` variables that configure the clients."""
        return {"RUN402_API_BASE": self.api_base}

    # ---------------------------------------------------------------- projects and leases

    def seed_project(self, *, name: str | None = None, tier: str = "prototype", wallet: str = OWNER) -> Project:
        """A new project with its keys, which nobody pays for.

        Args:
            name: Its name; one is made when none is given.
            tier: `prototype`, `hobby` or `team`.
            wallet: Address of the owner, with its checksum.

        Raises:
            ValueError: An unknown tier.
        """
        with self.gateway.lock:
            return self.gateway.add_project(name=name, tier=_tier(tier), wallet=wallet)

    def project(self, project_id: str) -> Project:
        """A project as it is now.

        Raises:
            ValueError: There is none of that id.
        """
        with self.gateway.lock:
            try:
                return self.gateway.project(project_id)
            except GatewayError as unknown:
                raise ValueError(unknown.message) from None

    def grant_tier(self, wallet: str, tier: str = "prototype") -> None:
        """Lease a tier to a wallet and its projects, without a payment.

        Args:
            wallet: Its address.
            tier: Name of the tier, such as `hobby`.

        Raises:
            ValueError: An unknown tier.
        """
        with self.gateway.lock:
            self.gateway.set_lease(wallet, _tier(tier))

    def end_lease(self, project_id: str) -> None:
        """Let the lease of a project have ended: most of its calls are answered with 402 `PROJECT_PAST_DUE`."""
        with self.gateway.lock:
            self.gateway.end_lease(project_id, self.clock.now())

    # ---------------------------------------------------------------- money

    def fund(self, address: str, amount: int, network: str = BASE_SEPOLIA) -> int:
        """Give an address test money.

        Args:
            address: Whose.
            amount: Micro-dollars of USDC; a negative amount takes it away.
            network: `eip155:84532` or `eip155:8453`, or their short names.

        Returns:
            The balance after it.

        Raises:
            ValueError: It is no address, no network of the sandbox, or there is not that much to take.
        """
        with self.gateway.lock:
            self.gateway.payments.add(address, amount, network)
            return self.gateway.payments.balance(address, network)

    def wallet_balance(self, address: str, network: str = BASE_SEPOLIA) -> int:
        """USDC of an address, in micro-dollars.

        Args:
            address: The wallet.
            network: The network in CAIP-2 form.

        Raises:
            ValueError: It is no network of the sandbox.
        """
        with self.gateway.lock:
            return self.gateway.payments.balance(address, network)

    @property
    def settlements(self) -> list[Settlement]:
        """The payments that were carried out, the oldest first."""
        with self.gateway.lock:
            return self.gateway.payments.settlements()

    @property
    def refused_payments(self) -> list[RefusedPayment]:
        """The payments that were sent and not carried out, with x402's word for why, the oldest first."""
        with self.gateway.lock:
            return self.gateway.payments.refused()

    @property
    def double_payments(self) -> list[Settlement]:
        """Payments for what the same wallet had paid for before, at the same address.

        A renewal is one by intent; after one call of a client it is one too many.
        """
        return [settlement for settlement in self.settlements if settlement.repeated]

    @property
    def replayed_payments(self) -> list[RefusedPayment]:
        """Payments that were sent again after they had been carried out; they were not carried out again."""
        return [one for one in self.refused_payments if one.reason == NONCE_USED]

    def get_settlements(self) -> list[Settlement]:
        """`settlements` as a call, for levers over HTTP."""
        return self.settlements

    def get_refused_payments(self) -> list[RefusedPayment]:
        """`refused_payments` as a call, for levers over HTTP."""
        return self.refused_payments

    def price(self, what: str, amount: int | None) -> None:
        """Set what something costs.

        Args:
            what: `project`, `message`, `tier:hobby`, `email-pack`, ...; as it stands in `Settlement.what`.
            amount: Micro-dollars; 0 for nothing, None for the usual price.
        """
        with self.gateway.lock:
            self.gateway.payments.prices.pop(what, None)
            if amount is not None:
                self.gateway.payments.prices[what] = amount

    def set_payments(self, *, version: Literal[1, 2] | None = None, networks: Sequence[str] | None = None) -> None:
        """Choose how prices are told.

        Args:
            version: Of x402: 2 in the header `PAYMENT-REQUIRED`, 1 in the body. Unchanged when left out.
            networks: Where money is taken, the favourite first. Unchanged when left out.

        Raises:
            ValueError: Another version, or no network of the sandbox.
        """
        if version not in (None, 1, 2):
            raise ValueError("x402 has the versions 1 and 2")
        wanted = None if networks is None else tuple(network_id(name) for name in networks)
        with self.gateway.lock:
            payments = self.gateway.payments
            payments.version = version or payments.version
            payments.networks = payments.networks if wanted is None else wanted

    def fail_settlement(self, reason: str = "transaction_failed", times: int = 1) -> None:
        """Refuse the next payments that are right, at the last moment; no money is moved.

        Args:
            reason: What the answer says.
            times: How many payments.
        """
        with self.gateway.lock:
            self.gateway.payments.fail_settlement(reason, times)

    def drop_after_settlement(self, times: int = 1, *, effect: bool = False) -> None:
        """Take the next payments, and lose the connection instead of answering.

        Args:
            times: How many.
            effect: Whether what was paid for happens nevertheless.
        """
        with self.gateway.lock:
            self.gateway.payments.drop_after_settlement(times, effect=effect)

    def pay_checkout(self, topup_id: str) -> None:
        """Pay a checkout, as its page does; once, however often it is paid.

        Raises:
            ValueError: There is none of that id.
        """
        with self.gateway.lock:
            try:
                self.groups.billing.pay_checkout(topup_id)
            except GatewayError as unknown:
                raise ValueError(unknown.message) from None

    # ---------------------------------------------------------------- switches, demonstration

    def set_nonces_once(self, once: bool = True) -> None:
        """Choose whether a nonce of a wallet's signature is good for one call, or until the signature ends."""
        with self.gateway.lock:
            self.gateway.access.nonces_once = once

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Wallet and text of what was written to the platform's people, the oldest first."""
        with self.gateway.lock:
            return self.groups.service.messages()

    def demo_data(self) -> Mapping[str, Project]:
        """Two projects of one owner, whose wallet has a lease and ten dollars of test money; the same on every call.

        Returns:
            The projects by their names, `shop` and `blog`.
        """
        with self.gateway.lock:
            known = {project.name: project for project in self.gateway.projects_of(OWNER)}
            if "shop" in known and "blog" in known:
                return {name: known[name] for name in ("shop", "blog")}
            self.gateway.set_lease(OWNER, "hobby")
            self.gateway.payments.add(OWNER, _DEMO_FUNDS)
            return {name: self.gateway.add_project(name=name, tier="hobby") for name in ("shop", "blog")}


def _tier(name: str) -> str:
    if name not in TIERS:
        raise ValueError(f"no tier {name!r}; there are {', '.join(TIERS)}")
    return name
