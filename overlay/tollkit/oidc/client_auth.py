"""How a client proves to the token endpoint who it is (RFC 6749 section 2.3, OpenID Connect Core section 9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol
from urllib.parse import quote_plus

import attrs

from tollkit.core.arguments import required_text
from tollkit.core.credentials import basic_header
from tollkit.errors import ArgumentError
from tollkit.secrets import Secret

__all__ = ["AuthMethod", "ClientAuth", "ClientSecretBasic", "ClientSecretPost", "PublicClient", "client_auth"]

AuthMethod = Literal["client_secret_basic", "client_secret_post", "none"]
"""Names of `token_endpoint_auth_methods_supported` (RFC 8414 section 2) that tollkit speaks."""


class ClientAuth(Protocol):
    """Adds a client's proof to a request: header fields, and fields at the end of the form."""

    @property
    def client_id(self) -> str:
        """Who the client is."""
        ...

    def headers(self) -> Mapping[str, str]:
        """Header fields that hold the proof."""
        ...

    def fields(self) -> Mapping[str, str]:
        """Form fields that hold it."""
        ...


def _required(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    required_text(attribute.name, value)


def _secret(value: str) -> Secret:
    return Secret(value)


@attrs.frozen
class ClientSecretBasic:
    """`client_secret_basic`: the secret travels in the `Authorization` header (RFC 6749 section 2.3.1).

    Attributes:
        client_id: The client's id.
        client_secret: Its secret.
        raw: Send id and secret as they stand. The RFC has both form-encoded first, which matters for signs
            such as `:`, `/`, `%` and `+`; some servers do not know that.

    Raises:
        ArgumentError: Id or secret is empty.
    """

    client_id: str = attrs.field(validator=_required)
    client_secret: Secret = attrs.field(converter=_secret, validator=_required)
    raw: bool = False

    def headers(self) -> Mapping[str, str]:
        """The `Authorization` header."""
        if self.raw:
            return {"Authorization": basic_header(self.client_id, self.client_secret)}
        return {"Authorization": basic_header(_form_text(self.client_id), _form_text(self.client_secret))}

    def fields(self) -> Mapping[str, str]:
        """None."""
        return {}


@attrs.frozen
class ClientSecretPost:
    """`client_secret_post`: id and secret travel in the form (RFC 6749 section 2.3.1).

    Attributes:
        client_id: The client's id.
        client_secret: Its secret.

    Raises:
        ArgumentError: Id or secret is empty.
    """

    client_id: str = attrs.field(validator=_required)
    client_secret: Secret = attrs.field(converter=_secret, validator=_required)

    def headers(self) -> Mapping[str, str]:
        """None."""
        return {}

    def fields(self) -> Mapping[str, str]:
        """`client_id` and `client_secret`."""
        return {"client_id": self.client_id, "client_secret": self.client_secret}


@attrs.frozen
class PublicClient:
    """`none`: a client that has no secret only says who it is (RFC 6749 section 2.1).

    Attributes:
        client_id: The client's id.

    Raises:
        ArgumentError: The id is empty.
    """

    client_id: str = attrs.field(validator=_required)

    def headers(self) -> Mapping[str, str]:
        """None."""
        return {}

    def fields(self) -> Mapping[str, str]:
        """`client_id`."""
        return {"client_id": self.client_id}


def client_auth(
    client_id: str, client_secret: str | None = None, method: AuthMethod | ClientAuth | None = None
) -> ClientAuth:
    """The proof that fits what is known of a client.

    Args:
        client_id: The client's id.
        client_secret: Its secret, `None` for a public client.
        method: A method by name, or a proof that is returned as it is; `client_secret_basic` with a secret and
            `none` without when nothing is said.

    Raises:
        ArgumentError: The method is unknown, or it needs a secret and there is none.
    """
    if method is not None and not isinstance(method, str):
        return method
    if method is None:
        method = "none" if client_secret is None else "client_secret_basic"
    if method == "none":
        return PublicClient(client_id)
    if method not in ("client_secret_basic", "client_secret_post"):
        raise ArgumentError("auth", f"must be client_secret_basic, client_secret_post or none, not {method!r}")
    if client_secret is None:
        raise ArgumentError("client_secret", f"must be given for {method}")
    proof = ClientSecretPost if method == "client_secret_post" else ClientSecretBasic
    return proof(client_id, client_secret)


def _form_text(text: str) -> str:
    # "-", "_", ".", and "*" stand for themselves, so that usual ids look the same to a server that decodes nothing
    return quote_plus(text, safe="*")
