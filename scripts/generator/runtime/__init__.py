"""What every generated module stands on: operations, clients, errors, and the decoding of answers.

The front is a lazy table (PEP 562), so that a module which needs only `Secret` loads neither the
client nor the decoders. Nothing below imports an HTTP library before a client sends its first request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import AuthenticatedClient, Client
    from .enums import OpenEnum
    from .errors import ApiError, DecodeError, UnexpectedStatus
    from .operation import ApiClient, HttpResponse, Operation, Request, Response
    from .types import UNSET, Secret, Unset

__all__ = [
    "UNSET",
    "ApiClient",
    "ApiError",
    "AuthenticatedClient",
    "Client",
    "DecodeError",
    "HttpResponse",
    "OpenEnum",
    "Operation",
    "Request",
    "Response",
    "Secret",
    "UnexpectedStatus",
    "Unset",
]

_HOME = {
    "UNSET": "types",
    "ApiClient": "operation",
    "ApiError": "errors",
    "AuthenticatedClient": "client",
    "Client": "client",
    "DecodeError": "errors",
    "HttpResponse": "operation",
    "OpenEnum": "enums",
    "Operation": "operation",
    "Request": "operation",
    "Response": "operation",
    "Secret": "types",
    "UnexpectedStatus": "errors",
    "Unset": "types",
}


def __getattr__(name: str) -> Any:
    from .lazy import resolve

    return resolve(__name__, _HOME, name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
