"""Which headers a request carries: decided by the operation's security scheme, never by the caller of a method."""

from __future__ import annotations

import base64
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from tollkit.errors import ConfigurationError
from tollkit.secrets import Secret

if TYPE_CHECKING:
    from tollkit.core.flows import Flow
    from tollkit_api.runtime import Operation

__all__ = ["Credentials", "NoCredentials", "SchemeCredentials", "basic_header"]


class Credentials(Protocol):
    """Resolves an operation's security schemes to headers."""

    def authorize(self, operation: Operation) -> Flow[Mapping[str, str]]:
        """The headers that this operation asks for; empty for one that needs none."""
        ...

    def rejected(self, operation: Operation, sent: Mapping[str, str]) -> bool:
        """Told of a 401 and the headers that earned it; `True` means: new ones can be had, send once more."""
        ...


class NoCredentials:
    """Sends no credentials at all, whatever the operation."""

    def authorize(self, operation: Operation) -> Flow[Mapping[str, str]]:
        """No headers."""
        yield from ()
        return {}

    def rejected(self, operation: Operation, sent: Mapping[str, str]) -> bool:
        """Nothing better can be had."""
        return False


class SchemeCredentials:
    """Fixed headers for each security scheme.

    Args:
        schemes: From the scheme's name in the document to the headers that satisfy it.
    """

    def __init__(self, schemes: Mapping[str, Mapping[str, str]]) -> None:
        self._schemes = schemes
        self._resolved: dict[tuple[tuple[str, ...], ...], Mapping[str, str]] = {}

    def authorize(self, operation: Operation) -> Generator[Any, Any, Mapping[str, str]]:
        """The headers of the first alternative whose schemes are all known.

        Raises:
            ConfigurationError: No alternative can be met with what the client has.
        """
        yield from ()
        found = self._resolved.get(operation.security)
        if found is None:
            found = self._resolved[operation.security] = self._resolve(operation)
        return found

    def _resolve(self, operation: Operation) -> Mapping[str, str]:
        if not operation.security:
            return {}
        for alternative in operation.security:
            if all(scheme in self._schemes for scheme in alternative):
                return {name: value for scheme in alternative for name, value in self._schemes[scheme].items()}
        wanted = " or ".join("+".join(alternative) for alternative in operation.security)
        raise ConfigurationError(
            f"{operation.id} needs credentials of the scheme {wanted}, which this client does not have",
            code="missing_credentials",
        )

    def rejected(self, operation: Operation, sent: Mapping[str, str]) -> bool:
        """Fixed credentials do not get better."""
        return False


def basic_header(user: str, password: str) -> Secret:
    """`Basic` credentials of RFC 7617: base64 of the UTF-8 text `user:password`, as they stand."""
    return Secret("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii"))
