"""Connections: the apps that were granted a budget."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, TypeVar

from tollkit.core.arguments import built, required_text
from tollkit.core.flows import Flow, flow
from tollkit.tokenite.admin.base import AdminNamespace, Amount, dollars

if TYPE_CHECKING:
    from tollkit_api.tokenite.v2_4.models import Connection, ConnectionStats

__all__ = ["Connections"]

D = TypeVar("D")


class Connections(AdminNamespace[D]):
    """`admin.connections`: the apps that the account is connected to, and their budgets."""

    @flow
    def list(self) -> Flow[builtins.list[Connection]]:
        """The connections of the account.

        Raises:
            AuthenticationError: The key is not good (code `UNAUTHORIZED`).
            PermissionDeniedError: The account is not the user's (code `FORBIDDEN`).

        Source: Tokenite admin API, `GET /api/connections`.
        """
        from tollkit_api.tokenite.v2_4.api.connections import list_connections as operation

        return (yield from self._root.call(built(operation.request), operation.parse))

    @flow
    def stats(self, connection_id: str) -> Flow[ConnectionStats]:
        """Requests, tokens and cost of a connection.

        Raises:
            ArgumentError: `connection_id` is empty.
            NotFoundError: The account has no such connection (code `NOT_FOUND`).

        Source: Tokenite admin API, `GET /api/connections/{id}/stats`.
        """
        from tollkit_api.tokenite.v2_4.api.connections import get_connection_stats as operation

        request = built(operation.request, required_text("connection_id", connection_id))
        return (yield from self._root.call(request, operation.parse))

    @flow
    def set_budget(self, connection_id: str, budget_limit: Amount) -> Flow[None]:
        """Set what an app may spend altogether; what it has spent stays spent.

        Args:
            connection_id: The connection.
            budget_limit: The limit in US dollars.

        Raises:
            ArgumentError: `connection_id` is empty, or the limit is no amount or negative.
            NotFoundError: The account has no such connection (code `NOT_FOUND`).

        Source: Tokenite admin API, `PATCH /api/connections/{id}/budget`.
        """
        from tollkit_api.tokenite.v2_4.api.connections import set_connection_budget as operation
        from tollkit_api.tokenite.v2_4.models import SetConnectionBudgetRequest

        body = SetConnectionBudgetRequest(budget_limit=dollars("budget_limit", budget_limit))
        request = built(operation.request, required_text("connection_id", connection_id), body=body)
        return (yield from self._root.call(request, operation.parse))

    @flow
    def suspend(self, connection_id: str) -> Flow[None]:
        """Let the proxy refuse the app's calls (`TOKEN_SUSPENDED`) until the connection is resumed.

        Raises:
            ArgumentError: `connection_id` is empty.
            NotFoundError: The account has no such connection (code `NOT_FOUND`).

        Source: Tokenite admin API, `POST /api/connections/{id}/suspend`.
        """
        from tollkit_api.tokenite.v2_4.api.connections import suspend_connection as operation

        request = built(operation.request, required_text("connection_id", connection_id))
        return (yield from self._root.call(request, operation.parse))

    @flow
    def resume(self, connection_id: str) -> Flow[None]:
        """Let the app's calls through again.

        Raises:
            ArgumentError: `connection_id` is empty.
            NotFoundError: The account has no such connection (code `NOT_FOUND`).

        Source: Tokenite admin API, `POST /api/connections/{id}/resume`.
        """
        from tollkit_api.tokenite.v2_4.api.connections import resume_connection as operation

        request = built(operation.request, required_text("connection_id", connection_id))
        return (yield from self._root.call(request, operation.parse))

    @flow
    def revoke(self, connection_id: str) -> Flow[None]:
        """End a connection: the app's access tokens are worthless from now on (`TOKEN_REVOKED`).

        Raises:
            ArgumentError: `connection_id` is empty.
            NotFoundError: The account has no such connection (code `NOT_FOUND`).

        Source: Tokenite admin API, `DELETE /api/connections/{id}`.
        """
        from tollkit_api.tokenite.v2_4.api.connections import revoke_connection as operation

        request = built(operation.request, required_text("connection_id", connection_id))
        return (yield from self._root.call(request, operation.parse))
