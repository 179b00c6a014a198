"""Who deploys and who reads deploys: wallets with projects, and CI sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from tollkit.sandbox.run402.gateway import GatewayError

if TYPE_CHECKING:
    from starlette.requests import Request

    from tollkit.sandbox.run402.ci import CiRoutes, Session
    from tollkit.sandbox.run402.gateway import Gateway, Project

__all__ = ["Caller", "Callers"]


@attrs.frozen(kw_only=True)
class Caller:
    """Who a request is from."""

    project: Project
    name: str
    """Address of the wallet, `ci:` and the binding, or `key:` and the kind of key."""
    session: Session | None = None


class Callers:
    """Finds out who calls.

    Args:
        gateway: Whose keys and wallets count.
        ci: Whose sessions count.

    Attributes:
        wallet_with_key: Whether reading with a project's anon key needs the owner's signature too, as 1.57 sends it.
    """

    def __init__(self, gateway: Gateway, ci: CiRoutes) -> None:
        self._gateway = gateway
        self._ci = ci
        self.wallet_with_key: bool = True

    def deployer(self, request: Request, project_id: str) -> Caller:
        """Who may deploy to a project.

        Raises:
            GatewayError: 401, nobody is named; 402, the signature is refused or the lease has ended; 403, the project
                is another's; 404, there is none.
        """
        session = self._ci.session(request)
        if session is not None:
            return self._worker(session, project_id)
        wallet = self._gateway.wallet(request)
        return self._owner(wallet, project_id)

    def reader(self, request: Request, project_id: str | None = None, *, ci: bool, wallet: bool = False) -> Caller:
        """Who may read what belongs to a project.

        Args:
            request: With the anon key and the owner's signature, or a CI session.
            project_id: The project; the key's when left out.
            ci: Whether CI sessions may.
            wallet: Whether the signature alone is enough.

        Raises:
            GatewayError: As `deployer`; 403 `insufficient_scope` for CI sessions that may not.
        """
        session = self._ci.session(request)
        if session is not None:
            if not ci:
                raise GatewayError(403, "insufficient_scope", "A CI session may not do this")
            return self._worker(session, project_id or session.project_id)
        if wallet and "apikey" not in request.headers and project_id is not None:
            return self._owner(self._gateway.wallet(request), project_id)
        project, kind = self._gateway.by_any_key(request)
        if project_id not in (None, project.id):
            raise GatewayError(404, "RESOURCE_NOT_FOUND", "The project has nothing of that id")
        if self.wallet_with_key and not request.headers.get("authorization"):
            return self._owner(self._gateway.wallet(request), project.id)
        return Caller(project=project, name=f"key:{kind}")

    def _worker(self, session: Session, project_id: str) -> Caller:
        if project_id != session.project_id:
            raise GatewayError(403, "forbidden_plan", "The CI session is for another project")
        return Caller(project=self._live(project_id), name=f"ci:{session.binding_id}", session=session)

    def _owner(self, wallet: str, project_id: str) -> Caller:
        project = self._live(project_id)
        if project.wallet.lower() != wallet.lower():
            raise GatewayError(403, "UNAUTHORIZED", "The project belongs to another wallet")
        return Caller(project=project, name=wallet)

    def _live(self, project_id: str) -> Project:
        project = self._gateway.project(project_id)
        if project.status(self._gateway.clock.now()) == "past_due":
            raise GatewayError(
                402,
                "PROJECT_PAST_DUE",
                "The project's lease has ended",
                category="lifecycle",
                details={"project_id": project.id},
                next_actions=[{"type": "renew_tier"}],
            )
        return project
