"""Whether a value is what its annotation promises, all the way down: `misfit(value, hint)`."""

from __future__ import annotations

import ast
import collections.abc
import inspect
import sys
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, Generic, TypeVar

import attrs

_UNCHECKED = (collections.abc.Callable, collections.abc.Generator, collections.abc.Coroutine)


T = TypeVar("T")


class _Flow(Generic[T]):
    """Stands for `Flow`, whose effects are of no interest here."""


@cache
def _names(module: str) -> dict[str, Any]:
    """What a module's annotations may name, imports for type checkers included."""
    found = dict(vars(sys.modules[module]))
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            imports = ast.Module([each for each in node.body if isinstance(each, ast.Import | ast.ImportFrom)], [])
            package = {"__package__": module.rpartition(".")[0] or module, "__name__": module}
            if hasattr(sys.modules[module], "__path__"):
                package["__package__"] = module
            scope: dict[str, Any] = {**package}
            exec(compile(imports, f"<imports of {module}>", "exec"), scope)
            found |= scope
    return {**found, "Flow": _Flow} if "Flow" in found else found


@cache
def hints(of: type) -> Mapping[str, Any]:
    """The annotations of a class and its bases."""
    found: dict[str, Any] = {}
    for kind in reversed(of.__mro__):
        if kind.__module__ not in ("builtins", "typing", "abc"):
            own = {
                name: hint
                for name, hint in inspect.get_annotations(kind).items()
                if not str(hint).startswith("ClassVar")
            }
            names = {**_names(kind.__module__), **{p.__name__: p for p in getattr(kind, "__parameters__", ())}}
            found |= typing.get_type_hints(types.SimpleNamespace(__annotations__=own), names, names)
    return found


def result_of(function: Any) -> Any:
    """The `T` of a function that returns `Flow[T]`."""
    own = types.SimpleNamespace(__annotations__={"return": function.__annotations__["return"]})
    returned = typing.get_type_hints(own, _names(function.__module__))["return"]
    return typing.get_args(returned)[-1]


def misfit(value: Any, hint: Any, path: str = "$") -> str | None:
    """What does not fit, and where; `None` when all does."""
    if hint is None or hint is type(None):
        return None if value is None else f"{path} is {type(value).__name__}, not None"
    if hint in (Any, object) or isinstance(hint, typing.TypeVar | str):
        return None
    if isinstance(hint, typing.TypeAliasType) if sys.version_info >= (3, 12) else False:
        return misfit(value, hint.__value__, path)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        problems = [misfit(value, each, path) for each in args]
        return None if None in problems else max((each for each in problems if each), key=len)
    if origin is typing.Literal:
        return None if any(value == each and type(value) is type(each) for each in args) else f"{path} is {value!r}"
    if origin in (typing.Final, typing.ClassVar, typing.Annotated):
        return misfit(value, args[0], path)
    kind = origin or hint
    if kind in _UNCHECKED or not isinstance(kind, type):
        return None
    if typing.is_typeddict(kind):
        return None if isinstance(value, Mapping) else f"{path} is {type(value).__name__}, not a mapping"
    if getattr(kind, "_is_protocol", False) and kind.__module__ != "collections.abc":
        return None
    if kind is float and type(value) is int:
        return None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind in (int, float)):
        return f"{path} is {type(value).__name__}, not {kind.__name__}"
    return _misfit_within(value, kind, args, path)


def _filled(hint: Any, given: Mapping[Any, Any]) -> Any:
    """A hint with what its type variables stand for."""
    if hint in given:
        return given[hint]
    open_ones = getattr(hint, "__parameters__", ())
    return hint[tuple(given.get(each, Any) for each in open_ones)] if open_ones and given else hint


def _misfit_within(value: Any, kind: type, args: tuple[Any, ...], path: str) -> str | None:
    if attrs.has(type(value)):
        own = hints(type(value))
        given = dict(zip(getattr(kind, "__parameters__", ()), args, strict=False))
        for field in attrs.fields(type(value)):
            hint = _filled(own.get(field.name, Any), given)
            if (found := misfit(getattr(value, field.name), hint, f"{path}.{field.name}")) is not None:
                return found
        return None
    if isinstance(value, str | bytes) or not args:
        return None
    if isinstance(value, Mapping):
        for name, item in value.items():
            found = misfit(name, args[0], f"{path} key") or misfit(item, args[1], f"{path}[{name!r:.40}]")
            if found is not None:
                return found
        return None
    if issubclass(kind, tuple) and len(args) > 1 and args[1] is not Ellipsis:
        pairs = zip(value, args, strict=True)
    elif issubclass(kind, collections.abc.Collection):
        pairs = ((item, args[0]) for item in value)
    else:
        return None
    for index, (item, hint) in enumerate(pairs):
        if (found := misfit(item, hint, f"{path}[{index}]")) is not None:
            return found
    return None
