"""Calls that carry the keys of a project."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from tollkit.core.arguments import built
from tollkit.core.flows import Flow
from tollkit.errors import ArgumentError
from tollkit.run402.credentials import ask
from tollkit.run402.errors import raised
from tollkit.run402.namespaces.checks import preparing

if TYPE_CHECKING:
    from tollkit.run402.kernel import Kernel
    from tollkit_api.runtime import HttpResponse, Request

__all__ = ["project_or_active", "with_keys"]

P = ParamSpec("P")
T = TypeVar("T")


def with_keys(
    root: Kernel,
    project_id: str,
    doing: str,
    parse: Callable[[HttpResponse], T],
    build: Callable[P, Request],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Flow[T]:
    """Send what `build` makes of the other arguments, with the keys of the project.

    Raises:
        ProjectNotFound: The credentials do not know the project.
        LocalError: An argument cannot be sent (also an `ArgumentError`).
    """
    keys = yield from root.keys_of(project_id, doing)
    with preparing(doing):
        request = built(build, *args, **kwargs)
    return (yield from root.call(request, parse, doing, keys=keys))


def project_or_active(root: Kernel, project_id: str | None, doing: str) -> Flow[str]:
    """The project that is told, or the active one.

    Raises:
        LocalError: There is neither (also an `ArgumentError`).
    """
    if project_id:
        return project_id
    active: str | None = yield from ask(root.provider, "get_active_project")
    if not active:
        raise raised(ArgumentError("project_id", "must be given: no project is active"), doing)
    return active
