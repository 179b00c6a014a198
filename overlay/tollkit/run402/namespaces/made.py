"""Calls that make a project, whose keys nobody tells again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from tollkit.errors import DecodeError
from tollkit.oidc.json_values import decode, is_object
from tollkit.run402.credentials import ProjectKeys, ask
from tollkit.run402.errors import LocalError, raised

if TYPE_CHECKING:
    from tollkit.core.flows import Flow
    from tollkit.core.service import Paid
    from tollkit.run402.kernel import Kernel
    from tollkit_api.run402.v1_57.models import ForkResult, ProvisionResult
    from tollkit_api.runtime import HttpResponse, Request

__all__ = ["made"]


M = TypeVar("M", "ForkResult", "ProvisionResult")


def made(root: Kernel, request: Request, parse: Callable[[HttpResponse], M], doing: str) -> Flow[M]:
    """Send the request; have the credentials keep the keys of the project and make it the active one.

    Raises:
        LocalError: They could not; what the gateway told is in `result` of the error's `context`.
        DecodeError: Something else in the answer was not to be read; the keys are kept.
    """
    paid: list[Paid] = []
    try:
        result = yield from root.call(request, parse, doing, paid=paid)
    except DecodeError as error:
        found = _project_in(error)
        if found is not None:
            yield from _keep(root, *found, error.answer, doing, paid)
            error.hint = (
                f"Project {found[0]} was made and its keys are kept, do not make it again. {error.hint or ''}"
            )
        raise
    keys = ProjectKeys(result.anon_key, result.service_key)
    yield from _keep(root, result.project_id, keys, result, doing, paid)
    return result


def _keep(
    root: Kernel, project_id: str, keys: ProjectKeys, result: object, doing: str, paid: list[Paid]
) -> Flow[None]:
    kept = False
    try:
        yield from ask(root.provider, "save_project", project_id, keys)
        kept = True
        yield from ask(root.provider, "set_active_project", project_id)
    except Exception as problem:
        lost = "it could not be made the active project" if kept else "its keys could not be kept"
        error = raised(
            LocalError(f"Project {project_id} was made, but {lost}: {problem}", context={"result": result}), doing
        )
        for one in paid:
            one.concerning(error)
        error.hint = "The keys are in context['result'] of this error; nobody tells them again"
        raise error from problem


def _project_in(error: DecodeError) -> tuple[str, ProjectKeys] | None:
    """The project and its keys in an answer of which something else could not be read."""
    try:
        told: Any = decode(str.__str__(error.answer or "").encode())
    except ValueError:
        return None
    if not is_object(told):
        return None
    project_id, anon, service = (told.get(name) for name in ("project_id", "anon_key", "service_key"))
    if not (isinstance(project_id, str) and project_id and isinstance(anon, str) and isinstance(service, str)):
        return None
    return project_id, ProjectKeys(anon, service)
