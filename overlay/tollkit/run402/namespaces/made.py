"""What is done with a project that was just made."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tollkit.run402.credentials import ProjectKeys, ask
from tollkit.run402.errors import LocalError, raised

if TYPE_CHECKING:
    from tollkit.core.flows import Flow
    from tollkit.run402.kernel import Kernel
    from tollkit_api.run402.v1_57.models import ForkResult, ProvisionResult

__all__ = ["keep_keys"]


M = TypeVar("M", "ForkResult", "ProvisionResult")


def keep_keys(root: Kernel, made: M, doing: str) -> Flow[M]:
    """Have the credentials keep the keys and make the project the active one.

    Raises:
        LocalError: They could not; the keys, which nobody tells again, are in `result` of the error's `context`.
    """
    try:
        keys = ProjectKeys(made.anon_key, made.service_key)
        yield from ask(root.provider, "save_project", made.project_id, keys)
        yield from ask(root.provider, "set_active_project", made.project_id)
    except Exception as problem:
        raise raised(
            LocalError(
                f"Project {made.project_id} was made, but its keys could not be kept: {problem}",
                hint="The keys are in context['result'] of this error; nobody tells them again",
                context={"result": made},
            ),
            doing,
        ) from problem
    return made
