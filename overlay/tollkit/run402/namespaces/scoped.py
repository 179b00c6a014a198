"""Namespaces with the project's id filled in: the groups of `client.project(...)`.

Each stands below the namespace that it is of, and says of every method how it goes over:

    class ScopedProjects(ScopedNamespace[D]):
        _plain = Projects
        sql: Final = of_project(Projects[Any].sql)        # sql(project_id, sql) -> sql(sql)
        list: Final = unscoped(Projects[Any].list)        # has no project; as it is

The method stays one: what is sent, what comes back, docstring and errors are those of the namespace. Type checkers
see the signature without the id. With `[Any]`, since a checker cannot tell what a bare `Projects` is
generic in, and `Final`, so that all checkers come to the same type.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, ParamSpec, TypeVar, overload

from tollkit.core.flows import Flow, Flows, flow
from tollkit.core.namespaces import Namespace
from tollkit.core.paging import paged

if TYPE_CHECKING:
    from tollkit.run402.project import Run402ProjectFlows

__all__ = ["ScopedNamespace", "of_project", "unscoped", "with_project"]

D = TypeVar("D")
T = TypeVar("T")
P = ParamSpec("P")
F = TypeVar("F", bound=Flows)


class ScopedNamespace(Namespace[D]):
    """A namespace whose methods know their project."""

    _root: Run402ProjectFlows
    _plain: ClassVar[type[Namespace[Any]]]
    """The namespace that it is of."""

    def _of_client(self) -> Namespace[Any]:
        # flows call others by way of their client, `self._root.email.list(project_id)`: that has to be the whole one
        return self._plain(self._root.whole)


@overload
def of_project(method: flow[F, Concatenate[str, P], T]) -> flow[Any, P, T]: ...
@overload
def of_project(method: paged[F, Concatenate[str, P], T]) -> paged[Any, P, T]: ...
def of_project(method: Any) -> Any:
    """A method that takes the project first, without it. The keyword `project_id` still names another project."""
    fn = _function(method)

    def scoped(self: ScopedNamespace[Any], /, *args: Any, project_id: str | None = None, **kwargs: Any) -> Flow[Any]:
        return fn(self._of_client(), _chosen(self, project_id), *args, **kwargs)

    told = inspect.signature(fn)
    itself, _, *others = told.parameters.values()
    return _like(method, scoped, told.replace(parameters=[itself, *others]))


@overload
def with_project(method: flow[F, P, T]) -> flow[Any, P, T]: ...
@overload
def with_project(method: paged[F, P, T]) -> paged[Any, P, T]: ...
def with_project(method: Any) -> Any:
    """A method whose keyword `project_id` may be left out: it is this project then."""
    fn = _function(method)

    def scoped(self: ScopedNamespace[Any], /, *args: Any, project_id: str | None = None, **kwargs: Any) -> Flow[Any]:
        return fn(self._of_client(), *args, project_id=_chosen(self, project_id), **kwargs)

    return _like(method, scoped)


@overload
def unscoped(method: flow[F, P, T]) -> flow[Any, P, T]: ...
@overload
def unscoped(method: paged[F, P, T]) -> paged[Any, P, T]: ...
def unscoped(method: Any) -> Any:
    """A method that has nothing to do with a project, as it is."""
    fn = _function(method)

    def scoped(self: ScopedNamespace[Any], /, *args: Any, **kwargs: Any) -> Flow[Any]:
        return fn(self._of_client(), *args, **kwargs)

    return _like(method, scoped)


def _chosen(group: ScopedNamespace[Any], project_id: str | None) -> str:
    return group._root.project_id if project_id is None else project_id


def _function(method: Any) -> Callable[..., Flow[Any]]:
    function: Callable[..., Flow[Any]] = method.__wrapped__
    return function


def _like(method: Any, fn: Callable[..., Flow[Any]], signature: inspect.Signature | None = None) -> Any:
    """The same kind of method from another function, which says of itself what the method's says."""
    functools.update_wrapper(fn, _function(method))
    if signature is not None:
        vars(fn)["__signature__"] = signature
    return type(method)(fn)
