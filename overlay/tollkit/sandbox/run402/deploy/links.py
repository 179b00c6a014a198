"""What deploys do to the rest of a project: its database, secrets, functions and subdomains."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from tollkit.sandbox.run402.calls import GatewayError
from tollkit.sandbox.run402.deploy.releases import Function

if TYPE_CHECKING:
    from tollkit.sandbox.run402.data import DataRoutes
    from tollkit.sandbox.run402.functions import FunctionRoutes
    from tollkit.sandbox.run402.gateway import Gateway
    from tollkit.sandbox.run402.names import NameRoutes
    from tollkit.sandbox.run402.secrets import SecretRoutes

__all__ = ["Links", "RefusedError", "links_to"]


class RefusedError(Exception):
    """A part of the project refused what a release asks for."""


@attrs.frozen(kw_only=True)
class Links:
    """The other groups of the gateway, as deploys call them. All are called under the gateway's lock."""

    migrate: Callable[[str, str], None]
    """Runs the text of a migration on the project's database, all of it or nothing. Raises `RefusedError`."""
    expose: Callable[[str, Mapping[str, Any]], None]
    """Applies an expose manifest. Raises `RefusedError`."""
    missing_secrets: Callable[[str, Sequence[str]], list[str]]
    """Which of these the project does not have."""
    delete_secrets: Callable[[str, Sequence[str]], None]
    put_functions: Callable[[str, Sequence[tuple[Function, str]], Sequence[str]], None]
    """Sets functions with their code, and deletes those that are named. Raises `RefusedError`."""
    shown: Callable[[str], tuple[str, str] | None]
    """The project that has a subdomain, and the release that it shows."""
    check_free: Callable[[str, str], None]
    """Raises `GatewayError` when a project cannot have a subdomain."""
    claim: Callable[[str, str, str], None]
    """Lets a subdomain show a release of a project. Raises `RefusedError`."""
    release: Callable[[str, str], None]
    """Takes a subdomain from a project."""


def links_to(
    gateway: Gateway, *, data: DataRoutes, secrets: SecretRoutes, functions: FunctionRoutes, names: NameRoutes
) -> Links:
    """The links to the groups of one gateway."""

    def migrate(project_id: str, sql: str) -> None:
        with _told():
            data.run(project_id, sql)

    def expose(project_id: str, manifest: Mapping[str, Any]) -> None:
        with _told():
            data.apply(project_id, manifest)

    def delete_secrets(project_id: str, keys: Sequence[str]) -> None:
        rows = [(project_id, key) for key in keys]
        gateway.db.executemany("DELETE FROM secrets WHERE project_id = ? AND key = ?", rows)

    def put_functions(project_id: str, put: Sequence[tuple[Function, str]], gone: Sequence[str]) -> None:
        for name in gone:
            functions.remove(project_id, name)
        with _told():
            for function, code in put:
                functions.put(
                    project_id,
                    function.name,
                    code,
                    timeout=function.timeout_seconds,
                    memory=function.memory_mb,
                    schedule=function.schedule,
                    keep_schedule=False,
                )

    def claim(project_id: str, name: str, release_id: str) -> None:
        with _told():
            names.claim(project_id, name, release_id)

    def release(project_id: str, name: str) -> None:
        gateway.db.execute("DELETE FROM subdomains WHERE project_id = ? AND name = ?", (project_id, name))

    return Links(
        migrate=migrate,
        expose=expose,
        missing_secrets=secrets.missing,
        delete_secrets=delete_secrets,
        put_functions=put_functions,
        shown=names.deployment_of,
        check_free=names.check_free,
        claim=claim,
        release=release,
    )


@contextmanager
def _told() -> Generator[None]:
    try:
        yield
    except GatewayError as refusal:
        raise RefusedError(str(refusal)) from None
