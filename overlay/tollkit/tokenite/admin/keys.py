"""Vendors' API keys."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, TypeVar

from tollkit.core.arguments import built, required_text, secret_text
from tollkit.core.flows import Flow, flow
from tollkit.secrets import Secret
from tollkit.tokenite.admin.base import AdminNamespace

if TYPE_CHECKING:
    from tollkit_api.tokenite.v2_4.models import ProviderKey

__all__ = ["Keys"]

D = TypeVar("D")


class Keys(AdminNamespace[D]):
    """`admin.keys`: the account's API keys at vendors, which the proxy calls with."""

    @flow
    def add(self, provider: str, api_key: str) -> Flow[ProviderKey]:
        """Add a key; the vendor can be called from now on.

        Args:
            provider: `anthropic`, `openai`, `google`, `grok`, `bedrock`, or one that is newer.
            api_key: The vendor's key.

        Raises:
            ArgumentError: An argument is empty, or the key was not copied whole.
            BadRequestError: There is no such vendor (code `VALIDATION`).
            PermissionDeniedError: The user of the key may not (code `INSUFFICIENT_ROLE`).

        Source: Tokenite admin API, `POST /api/keys` (the names in its body are assumed).
        """
        from tollkit_api.tokenite.v2_4.api.keys import add_key as operation
        from tollkit_api.tokenite.v2_4.models import AddKeyRequest

        api_key = hidden = Secret(secret_text("api_key", api_key))
        body = AddKeyRequest(provider=required_text("provider", provider), api_key=hidden)
        return (yield from self._root.call(built(operation.request, body=body), operation.parse, hidden))

    @flow
    def list(self) -> Flow[builtins.list[ProviderKey]]:
        """The account's keys, without what they open.

        Raises:
            AuthenticationError: The admin API key is not good (code `UNAUTHORIZED`).

        Source: Tokenite admin API, `GET /api/keys`.
        """
        from tollkit_api.tokenite.v2_4.api.keys import list_keys as operation

        return (yield from self._root.call(built(operation.request), operation.parse))

    @flow
    def remove(self, key_id: str) -> Flow[None]:
        """Remove a key.

        Args:
            key_id: `id` of its record; not the key itself.

        Raises:
            ArgumentError: `key_id` is empty.
            NotFoundError: The account has no such key (code `NOT_FOUND`).
            PermissionDeniedError: The user of the key may not (code `INSUFFICIENT_ROLE`).

        Source: Tokenite admin API, `DELETE /api/keys/{id}`.
        """
        from tollkit_api.tokenite.v2_4.api.keys import remove_key as operation

        request = built(operation.request, required_text("key_id", key_id))
        return (yield from self._root.call(request, operation.parse))
