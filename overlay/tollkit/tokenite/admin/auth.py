"""Registering, logging in, admin API keys."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, TypeVar

from tollkit.core.arguments import built, required_text
from tollkit.core.flows import Flow, flow
from tollkit.tokenite.admin.base import AdminNamespace, secret

if TYPE_CHECKING:
    from tollkit_api.tokenite.v2_4.models import (
        ApiToken,
        CreatedApiToken,
        CurrentUser,
        LoginToken,
        RegisteredUser,
    )

__all__ = ["Auth"]

D = TypeVar("D")


class Auth(AdminNamespace[D]):
    """`admin.auth`: registering, logging in, admin API keys."""

    @flow
    def register(self, email: str, password: str) -> Flow[RegisteredUser]:
        """Make a user, who is logged in at once; needs no key.

        Args:
            email: E-mail address.
            password: Password.

        Raises:
            ArgumentError: An argument is empty.
            BadRequestError: The address or the password will not do (code `VALIDATION`).
            ConflictError: There is a user with this address (code `EMAIL_TAKEN`).

        Source: Tokenite admin API, `POST /api/auth/register`.
        """
        from tollkit_api.tokenite.v2_4.api.auth import register as operation
        from tollkit_api.tokenite.v2_4.models import Credentials

        password = hidden = secret("password", password)
        body = Credentials(email=required_text("email", email), password=hidden)
        return (yield from self._root.call(built(operation.request, body=body), operation.parse, hidden))

    @flow
    def login(self, email: str, password: str) -> Flow[LoginToken]:
        """A key for a user; needs none itself. `admin.acting_as(api_key=...)` is the client that has it.

        Args:
            email: E-mail address.
            password: Password.

        Raises:
            ArgumentError: An argument is empty.
            AuthenticationError: Address or password is wrong (code `INVALID_CREDENTIALS`).

        Source: Tokenite admin API, `POST /api/auth/login`.
        """
        from tollkit_api.tokenite.v2_4.api.auth import login as operation
        from tollkit_api.tokenite.v2_4.models import Credentials

        password = hidden = secret("password", password)
        body = Credentials(email=required_text("email", email), password=hidden)
        return (yield from self._root.call(built(operation.request, body=body), operation.parse, hidden))

    @flow
    def me(self) -> Flow[CurrentUser]:
        """The user that the key speaks for.

        Raises:
            AuthenticationError: The key is not good (code `UNAUTHORIZED`).

        Source: Tokenite admin API, `GET /api/auth/me`.
        """
        from tollkit_api.tokenite.v2_4.api.auth import get_me as operation

        return (yield from self._root.call(built(operation.request), operation.parse))

    @flow
    def create_token(self, name: str) -> Flow[CreatedApiToken]:
        """Make an admin API key; `token` of the result is told this once.

        Args:
            name: What to call it.

        Raises:
            ArgumentError: `name` is empty.
            AuthenticationError: The client's key is not good (code `UNAUTHORIZED`).

        Source: Tokenite admin API, `POST /api/auth/tokens`.
        """
        from tollkit_api.tokenite.v2_4.api.auth import create_token as operation
        from tollkit_api.tokenite.v2_4.models import CreateTokenRequest

        body = CreateTokenRequest(name=required_text("name", name))
        return (yield from self._root.call(built(operation.request, body=body), operation.parse))

    @flow
    def list_tokens(self) -> Flow[builtins.list[ApiToken]]:
        """The user's admin API keys, without what they open the API with.

        Raises:
            AuthenticationError: The key is not good (code `UNAUTHORIZED`).

        Source: Tokenite admin API, `GET /api/auth/tokens`.
        """
        from tollkit_api.tokenite.v2_4.api.auth import list_tokens as operation

        return (yield from self._root.call(built(operation.request), operation.parse))

    @flow
    def revoke_token(self, token_id: str) -> Flow[None]:
        """Make an admin API key worthless.

        Args:
            token_id: `id` of its record; not the key itself.

        Raises:
            ArgumentError: `token_id` is empty.
            NotFoundError: The user has no such key (code `NOT_FOUND`).

        Source: Tokenite admin API, `DELETE /api/auth/tokens/{id}`.
        """
        from tollkit_api.tokenite.v2_4.api.auth import revoke_token as operation

        request = built(operation.request, required_text("token_id", token_id))
        return (yield from self._root.call(request, operation.parse))
