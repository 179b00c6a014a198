"""Secrets of a project, which its functions read as environment variables."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tollkit.core.flows import Flow, flow
from tollkit.core.namespaces import Namespace
from tollkit.errors import ArgumentError
from tollkit.oidc.json_values import is_list, is_object
from tollkit.run402.namespaces.checks import preparing
from tollkit.run402.namespaces.keyed import with_keys
from tollkit.run402.namespaces.scoped import ScopedNamespace, of_project
from tollkit.secrets import Secret

if TYPE_CHECKING:
    from tollkit.run402.client import Run402Flows
    from tollkit_api.run402.v1_57.models import DeletedSecret, SecretList
    from tollkit_api.runtime import HttpResponse

__all__ = ["MAX_VALUE_BYTES", "ScopedSecrets", "Secrets"]

D = TypeVar("D")
MAX_VALUE_BYTES = 4096
"""The longest value of a secret, in bytes of UTF-8."""
_KEY = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")


class Secrets(Namespace[D]):
    """`client.secrets`: set, list and delete; nobody can read a value back."""

    _root: Run402Flows

    @flow
    def set(self, project_id: str, key: str, value: str) -> Flow[None]:
        """Set a secret, or give it another value.

        Args:
            project_id: The project.
            key: Its name: capitals, digits and `_`, no digit in front, 128 characters at most.
            value: Its value, 4096 bytes of UTF-8 at most.

        Raises:
            LocalError: `key` or `value` is not so (also an `ArgumentError`).
            ProjectNotFound: The credentials do not know the project.

        Source: Run402 gateway, `POST /projects/v1/admin/{project_id}/secrets`.
        """
        from tollkit_api.run402.v1_57.api.secrets import secrets_set as operation
        from tollkit_api.run402.v1_57.models import SetSecretRequest

        doing = "setting secret"
        with preparing(doing):
            body = SetSecretRequest(key=_key(key), value=_value(value))
        yield from with_keys(self._root, project_id, doing, operation.parse, operation.request, project_id, body=body)

    @flow
    def list(self, project_id: str) -> Flow[SecretList]:
        """The names of the secrets, and when they were set.

        Args:
            project_id: The project.

        Raises:
            ProjectNotFound: The credentials do not know the project.

        Source: Run402 gateway, `GET /projects/v1/admin/{project_id}/secrets`.
        """
        from tollkit_api.run402.v1_57.api.secrets import secrets_list as operation
        from tollkit_api.runtime import answers

        def read(response: HttpResponse) -> SecretList:
            return answers.json_answer(response, operation.OPERATION, _names)

        return (yield from with_keys(self._root, project_id, "listing secrets", read, operation.request, project_id))

    @flow
    def delete(self, project_id: str, key: str) -> Flow[DeletedSecret]:
        """Delete a secret.

        Args:
            project_id: The project.
            key: Its name.

        Raises:
            ProjectNotFound: The credentials do not know the project.
            ApiError: There is no such secret (also a `NotFoundError`).

        Source: Run402 gateway, `DELETE /projects/v1/admin/{project_id}/secrets/{key}`.
        """
        from tollkit_api.run402.v1_57.api.secrets import secrets_delete as operation

        return (
            yield from with_keys(
                self._root, project_id, "deleting secret", operation.parse, operation.request, project_id, key
            )
        )


class ScopedSecrets(ScopedNamespace[D]):
    """`project.secrets`: the project's secrets, without its id."""

    _plain = Secrets

    set: Final = of_project(Secrets[Any].set)
    list: Final = of_project(Secrets[Any].list)
    delete: Final = of_project(Secrets[Any].delete)


def _key(key: object) -> str:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ArgumentError("key", "must be 1 to 128 capitals, digits and _, with no digit in front")
    return key


def _value(value: object) -> Secret:
    if not isinstance(value, str):
        raise ArgumentError("value", f"must be text, not {type(value).__name__}")
    if len(value.encode("utf-8", "replace")) > MAX_VALUE_BYTES:
        raise ArgumentError("value", f"must not be longer than {MAX_VALUE_BYTES} bytes of UTF-8")
    return Secret(value)


def _names(body: Any) -> SecretList:
    """What the platform's client takes of a list: a bare one or a wrapped one, and never a value or its hash."""
    from tollkit_api.run402.v1_57.models import SecretList, SecretSummary

    found: Any = body.get("secrets") if is_object(body) else body
    return SecretList(
        secrets=[
            SecretSummary(
                key=item["key"],
                created_at=_text_or_none(item.get("created_at")),
                updated_at=_text_or_none(item.get("updated_at")),
            )
            for item in (found if is_list(found) else [])
            if is_object(item) and isinstance(item.get("key"), str)
        ]
    )


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None
