"""The ASGI application of the gateway: every group of routes, below `/run402`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from starlette.requests import Request
from starlette.routing import Route, Router

from tollkit.sandbox.run402 import PREFIX
from tollkit.sandbox.run402.ai import AiRoutes
from tollkit.sandbox.run402.apps import AppRoutes
from tollkit.sandbox.run402.billing import BillingRoutes
from tollkit.sandbox.run402.callers import Callers
from tollkit.sandbox.run402.calls import GatewayError
from tollkit.sandbox.run402.ci import CiRoutes
from tollkit.sandbox.run402.contracts import ContractRoutes
from tollkit.sandbox.run402.data import DataRoutes
from tollkit.sandbox.run402.deploy import Deploys
from tollkit.sandbox.run402.deploy.content import ContentStore
from tollkit.sandbox.run402.deploy.links import links_to
from tollkit.sandbox.run402.deploy.operations import Operations
from tollkit.sandbox.run402.deploy.routes import DeployRoutes
from tollkit.sandbox.run402.end_users import EndUserRoutes
from tollkit.sandbox.run402.functions import FunctionRoutes
from tollkit.sandbox.run402.mail import MailRoutes
from tollkit.sandbox.run402.names import NameRoutes
from tollkit.sandbox.run402.projects import ProjectRoutes
from tollkit.sandbox.run402.rpc import RpcRoutes
from tollkit.sandbox.run402.secrets import SecretRoutes
from tollkit.sandbox.run402.service import ServiceRoutes
from tollkit.sandbox.run402.sites import Sites
from tollkit.sandbox.run402.storage import StorageRoutes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from tollkit.sandbox.run402.gateway import Gateway

__all__ = ["Group", "Groups", "build_app"]


class Group(Protocol):
    """A group of routes."""

    def routes(self) -> list[Route]:
        """Its routes, with the paths of the document."""
        ...

    def forget(self) -> None:
        """Forget what it keeps beyond the gateway's projects."""
        ...


class Groups:
    """Every group of routes of a gateway, each by its name; iterates in the order in which their routes are asked.

    Args:
        gateway: Whose they are.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.projects: ProjectRoutes = ProjectRoutes(gateway)
        self.billing: BillingRoutes = BillingRoutes(gateway)
        self.service: ServiceRoutes = ServiceRoutes(gateway)
        self.rpc: RpcRoutes = RpcRoutes(gateway)
        self.mail: MailRoutes = MailRoutes(gateway)
        self.secrets: SecretRoutes = SecretRoutes(gateway)
        self.functions: FunctionRoutes = FunctionRoutes(gateway, self.secrets)
        self.names: NameRoutes = NameRoutes(gateway)
        self.contracts: ContractRoutes = ContractRoutes(gateway)
        self.ai: AiRoutes = AiRoutes(gateway)
        self.apps: AppRoutes = AppRoutes(gateway, self.functions, self.names)
        self.data: DataRoutes = DataRoutes(gateway)
        self.end_users: EndUserRoutes = EndUserRoutes(gateway)
        self.apps.copiers.append(self.data.copy)
        self.apps.count_tables = lambda project_id: len(self.data.database(project_id).relations())
        links = links_to(gateway, data=self.data, secrets=self.secrets, functions=self.functions, names=self.names)
        store = ContentStore(gateway)
        self.ci: CiRoutes = CiRoutes(gateway)
        callers = Callers(gateway, self.ci)
        operations = Operations(gateway, store, links)
        self.sites: Sites = Sites(gateway, store, operations, links)
        self.storage: StorageRoutes = StorageRoutes(gateway, store, callers)
        self.deploy: DeployRoutes = DeployRoutes(
            gateway, store=store, operations=operations, callers=callers, links=links
        )
        self.deploys: Deploys = Deploys(
            gateway, routes=self.deploy, store=store, operations=operations, callers=callers, sites=self.sites
        )
        self.apps.count_files = self._files_of

    def _files_of(self, project_id: str) -> tuple[int, int]:
        """Number and bytes of the files of a project's site."""
        files = self.deploys.site_files(project_id).values()
        return len(files), sum(file.size for file in files)

    def __iter__(self) -> Iterator[Group]:
        return (group for group in vars(self).values() if group is not self.deploys)


def build_app(gateway: Gateway, groups: Iterable[Group]) -> ASGIApp:
    """The gateway as one ASGI application for every path that begins with `/run402`."""

    async def unknown(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        path = scope["path"]
        known = [route for route in routes if route.path_regex.match(path)]
        refusal = (
            GatewayError(
                405,
                "METHOD_NOT_ALLOWED",
                f"{path} does not take {scope['method']}",
                headers={"allow": ", ".join(sorted({each for route in known for each in route.methods or ()}))},
            )
            if known
            else GatewayError(404, "NOT_FOUND", "There is nothing here")
        )
        with gateway.lock:
            answer = refusal.answer(gateway.new_id("trc_"))
        await answer(scope, receive, send)

    routes = [route for group in groups for route in group.routes()]
    by_method: dict[str, ASGIApp] = {}
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        taken: list[Route] = [route for route in routes if method in (route.methods or ())]
        by_method[method] = Router(taken, redirect_slashes=False, default=unknown)

    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        # Routes match the path as it stood on the wire: a slash in a name is no separator.
        path = scope["raw_path"].decode("ascii").removeprefix(PREFIX) or "/"
        await by_method.get(scope["method"], unknown)({**scope, "path": path}, receive, send)

    return mounted
