"""Connecting to an app without a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tollkit.core.arguments import built, required_text
from tollkit.core.flows import Flow, flow
from tollkit.tokenite.admin.base import AdminNamespace, Amount, dollars, text_or_none

if TYPE_CHECKING:
    from tollkit_api.tokenite.v2_4.models import AuthorizedApp

__all__ = ["OAuth"]

D = TypeVar("D")


class OAuth(AdminNamespace[D]):
    """`admin.oauth`: connecting to an app without a browser."""

    @flow
    def authorize(
        self, *, client_id: str, redirect_uri: str, budget_limit: Amount, state: str | None = None
    ) -> Flow[AuthorizedApp]:
        """Grant an app a budget, as the user of the key would on the consent screen.

        Args:
            client_id: The app.
            redirect_uri: The app's callback address.
            budget_limit: What it may spend altogether, in US dollars.
            state: Comes back in `redirect_to`.

        Returns:
            The code, for `Tokenite.exchange_code`, and the address that the browser would be sent to with it.

        Raises:
            ArgumentError: An argument is empty, or the budget is no amount.
            AuthenticationError: There is no such app (code `INVALID_CLIENT`), or the key is not good.
            BadRequestError: The address is not the app's (code `VALIDATION`).

        Source: Tokenite admin API, `POST /api/oauth/authorize`.
        """
        from tollkit_api.tokenite.v2_4.api.grants import authorize_app as operation
        from tollkit_api.tokenite.v2_4.models import AuthorizeAppRequest

        body = AuthorizeAppRequest(
            client_id=required_text("client_id", client_id),
            redirect_uri=required_text("redirect_uri", redirect_uri),
            budget_limit=dollars("budget_limit", budget_limit),
            state=text_or_none("state", state),
        )
        return (yield from self._root.call(built(operation.request, body=body), operation.parse))
