"""What griffe cannot know of this project: flows, classes of attrs, and methods with their project filled in.

A reader of the reference calls a client's method and gets its result: the generator behind it is nobody's business.
"""

from __future__ import annotations

import ast
from typing import Any

import griffe

FLOWS = {"tollkit.core.flows.flow", "tollkit.core.paging.paged"}
SCOPED = {
    "tollkit.run402.namespaces.scoped.of_project": "with the client's project filled in",
    "tollkit.run402.namespaces.scoped.with_project": "where `project_id` is the client's when it is left out",
    "tollkit.run402.namespaces.scoped.unscoped": "as it is",
}
ATTRS = {f"attrs.{name}" for name in ("define", "frozen", "mutable")}


class Project(griffe.Extension):
    """Shows flows as calls, gives attrs classes their constructor, and tells of scoped methods what they are of."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Change what was read of a package, once all of it is there."""
        _walk(pkg)


def _walk(thing: griffe.Module | griffe.Class) -> None:
    for member in list(thing.members.values()):
        if isinstance(member, griffe.Module):
            _walk(member)
        elif isinstance(member, griffe.Class):
            _walk(member)
            _construct(member)
        elif isinstance(member, griffe.Function):
            _call(member)
        elif isinstance(member, griffe.Attribute):
            _scoped(member)


def _call(function: griffe.Function) -> None:
    """`Flow[App]` of a flow is an `App` to who calls it."""
    if not any(decorator.callable_path in FLOWS for decorator in function.decorators):
        return
    returns = function.returns
    if isinstance(returns, griffe.ExprSubscript):  # Flow[T]
        function.returns = returns.slice
    function.decorators = []


def _scoped(attribute: griffe.Attribute) -> None:
    value = attribute.value
    if isinstance(value, griffe.ExprCall) and attribute.docstring is None:
        told = SCOPED.get(value.function.canonical_path)
        if told is not None:
            owner, _, name = str(value.arguments[0]).partition("[Any].")
            attribute.docstring = griffe.Docstring(f"`{owner}.{name}`, {told}.", parent=attribute)
            attribute.annotation = attribute.value = None


def _construct(cls: griffe.Class) -> None:
    """Give an attrs class the `__init__` that attrs will write."""
    if "__init__" in cls.members or _attrs_of(cls) is None:
        return
    parameters = [griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)]
    fields: dict[str, griffe.Parameter] = {}
    for base in [*reversed(_bases(cls)), cls]:
        told = _attrs_of(base)
        if told is not None:
            for field in _fields(base, kw_only=told.get("kw_only") == "True"):
                fields.pop(field.name, None)
                fields[field.name] = field
    ordered = sorted(fields.values(), key=lambda one: one.kind is griffe.ParameterKind.keyword_only)
    function = griffe.Function(
        "__init__", parameters=griffe.Parameters(*parameters, *ordered), parent=cls, lineno=cls.lineno
    )
    cls.set_member("__init__", function)


def _bases(cls: griffe.Class) -> list[griffe.Class]:
    try:
        return [base for base in cls.mro() if isinstance(base, griffe.Class)]
    except ValueError:  # a base that griffe cannot order, such as Generic
        return []


def _attrs_of(cls: griffe.Class) -> dict[str, str] | None:
    """The arguments of a class's attrs decorator; `None` when it has none."""
    for decorator in cls.decorators:
        if decorator.callable_path in ATTRS:
            return _words(decorator.value)
    return None


def _words(value: Any) -> dict[str, str]:
    """The keyword arguments of a call, as text."""
    call = ast.parse(str(value), mode="eval").body
    if not isinstance(call, ast.Call):
        return {}
    return {str(word.arg): ast.unparse(word.value) for word in call.keywords}


def _fields(cls: griffe.Class, *, kw_only: bool) -> list[griffe.Parameter]:
    found: list[griffe.Parameter] = []
    for one in cls.members.values():
        if not isinstance(one, griffe.Attribute) or one.annotation is None:
            continue
        if "instance-attribute" not in one.labels:  # a ClassVar
            continue
        told = {} if one.value is None else _words(one.value) if _is_field(one.value) else {"default": str(one.value)}
        if told.get("init") == "False":
            continue
        factory = told.get("factory")
        keyword = kw_only or told.get("kw_only") == "True"
        found.append(
            griffe.Parameter(
                one.name.lstrip("_"),
                annotation=one.annotation,
                kind=griffe.ParameterKind.keyword_only if keyword else griffe.ParameterKind.positional_or_keyword,
                default=told.get("default") or (_made(factory) if factory else None),
            )
        )
    return found


def _made(factory: str) -> str:
    """What a factory makes, as people write it."""
    kind = factory.partition("[")[0]
    return {"dict": "{}", "list": "[]", "tuple": "()"}.get(kind, f"{factory}()")


def _is_field(value: Any) -> bool:
    return isinstance(value, griffe.ExprCall) and value.function.canonical_path in ("attrs.field", "attrs.ib")
