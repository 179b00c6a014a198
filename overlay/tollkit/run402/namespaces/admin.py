"""Messages to the platform's makers."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tollkit.core.arguments import built, required_text
from tollkit.core.flows import Flow, flow
from tollkit.core.namespaces import Namespace
from tollkit.run402.namespaces.checks import choice_or_none, preparing

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit_api.run402.v1_57.models import AgentContact, MessageResult

__all__ = ["Admin"]

D = TypeVar("D")


class Admin(Namespace[D]):
    """`client.admin`: between the wallet's owner and the people of the platform."""

    _root: Run402Flows

    @flow
    def send_message(self, message: str) -> Flow[MessageResult]:
        """Write to the people of the platform. May cost money.

        Args:
            message: The text.

        Raises:
            LocalError: `message` is empty (also an `ArgumentError`).
            PaymentRequired: The price was not paid.

        Source: Run402 gateway, `POST /message/v1`.
        """
        from tollkit_api.run402.v1_57.api.admin import admin_send_message as operation
        from tollkit_api.run402.v1_57.models import MessageRequest

        doing = "sending message"
        with preparing(doing):
            body = MessageRequest(message=required_text("message", message))
            request = built(operation.request, body=body)
        return (yield from self._root.call(request, operation.parse, doing))

    @flow
    def set_agent_contact(
        self, *, name: str, email: str | None = None, webhook: str | None = None
    ) -> Flow[AgentContact]:
        """Say who is behind the wallet, and where the platform's notices go.

        Args:
            name: A name.
            email: An e-mail address.
            webhook: An address that gets notices.

        Raises:
            LocalError: An argument is of the wrong kind (also an `ArgumentError`).
            Unauthorized: The wallet's signature is refused.

        Source: Run402 gateway, `POST /agent/v1/contact`.
        """
        from tollkit_api.run402.v1_57.api.admin import admin_set_agent_contact as operation
        from tollkit_api.run402.v1_57.models import AgentContactRequest

        doing = "setting agent contact"
        with preparing(doing):
            body = AgentContactRequest(
                name=required_text("name", name),
                email=choice_or_none("email", email),
                webhook=choice_or_none("webhook", webhook),
            )
            request = built(operation.request, body=body)
        return (yield from self._root.call(request, operation.parse, doing))
