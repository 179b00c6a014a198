"""Bearer tokens as credentials of a service (RFC 6750), from whatever source renews them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import attrs

if TYPE_CHECKING:
    from tollkit.core.flows import Flow
    from tollkit.oidc.flows import OidcFlows
    from tollkit_api.runtime import Operation

__all__ = ["BearerCredentials", "ClientCredentialsSource", "TokenSource"]

_PREFIX = "Bearer "


class TokenSource(Protocol):
    """Where access tokens come from."""

    def access_token(self) -> Flow[str]:
        """A token that is good at this moment."""
        ...

    def refused(self, access_token: str) -> None:
        """Told of a token that a server refused: it must not be handed out again."""
        ...


@attrs.frozen
class ClientCredentialsSource:
    """Tokens for the client itself (RFC 6749 section 4.4), kept and renewed by `OidcFlows.client_credentials`.

    Attributes:
        oidc: The client's flows.
        scope: Scopes, separated by spaces.
        resource: Resource indicators (RFC 8707).
        audience: Names of the services that the token is for.
    """

    oidc: OidcFlows
    scope: str | None = None
    resource: str | Sequence[str] | None = None
    audience: str | Sequence[str] | None = None

    def access_token(self) -> Flow[str]:
        """A token that is good at this moment.

        Raises:
            TollkitError: As `OidcFlows.client_credentials`.
        """
        tokens = yield from self.oidc.client_credentials(
            scope=self.scope, resource=self.resource, audience=self.audience
        )
        return tokens.access_token

    def refused(self, access_token: str) -> None:
        """Forget a token that a server refused."""
        self.oidc.forget_token(access_token)


class BearerCredentials:
    """Sends a bearer token with every operation whose document asks for credentials.

    After a 401 the token is given up, and the request goes out once more with a new one.

    Args:
        source: Where tokens come from.
    """

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    def authorize(self, operation: Operation) -> Generator[Any, Any, Mapping[str, str]]:
        """The `Authorization` header; nothing for an operation that needs no credentials.

        Raises:
            TollkitError: No token can be had.
        """
        if not operation.secured:
            return {}
        token = yield from self._source.access_token()
        return {"Authorization": _PREFIX + token}

    def rejected(self, operation: Operation, sent: Mapping[str, str]) -> bool:
        """Give the refused token up.

        Args:
            operation: What was refused.
            sent: The headers that were refused.
        """
        header = sent.get("Authorization", "")
        if not header.startswith(_PREFIX):
            return False
        self._source.refused(header.removeprefix(_PREFIX))
        return True
