"""Every error code that the overlay itself can give, read from its source.

A code is a `code=` of a call, a `default_code` of a class, or an argument for a parameter `code` of one of the
overlay's own functions. What is not known before it runs, such as the code of an answer, is in `PASSED_ON` by its
place; a new place of that kind fails here until somebody has looked at it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

LEFT_OUT = ("sandbox", "cli")
"""The sandbox answers with the platforms' codes; the command prints errors."""

PASSED_ON = {
    ("errors.py", "self.default_code"): "the code of its class",
    ("oidc/answers.py", "body['error']"): "of an OAuth answer",
    ("pymthouse/service.py", "error"): "of an answer",
    ("run402/deploy/engine.py", "codes[0]"): "of a warning of the plan",
    ("run402/deploy/errors.py", "body.get('code')"): "of an answer",
    ("run402/deploy/errors.py", "given.upper()"): "of an answer",
    ("run402/errors.py", "told.default_code"): "the code of its class",
    ("run402/errors.py", "error.code"): "of another error",
    ("run402/errors.py", "said.get('code')"): "of an answer",
    ("run402/kernel.py", "envelope.get('code')"): "of an answer",
    ("run402/namespaces/blobs.py", "error.code"): "of another error",
    ("run402/namespaces/email.py", "ApiError.default_code"): "the code of its class",
    ("run402/namespaces/email.py", "error.code"): "of another error",
    ("run402/namespaces/email.py", "told.code"): "of another error",
    ("run402/namespaces/functions.py", "_text('code', code)"): "no error: the source of a function",
    ("tokenite/callback.py", "attrs.field(converter=Secret)"): "no error: the code of a sign-in",
    ("tokenite/callback.py", "found.get('code')"): "no error: the code of a sign-in",
    ("tokenite/client.py", "Secret(secret_text('code', code))"): "no error: the code of a sign-in",
    ("tokenite/errors.py", "failure.reason"): "a reason of tokenite/callback.py",
    ("tokenite/proxy.py", "error.get('code')"): "of an answer",
    ("tokenite/proxy.py", "self.code"): "of an answer",
    ("tokenite/service.py", "_text(told.get('code'))"): "of an answer",
    ("tokenite/web/core.py", "self._code('?' + visit.query, next_url)"): "no error: the code of a sign-in",
}
"""Places whose codes come from elsewhere: file and expression, and from where."""

CODES = ("code", "default_code")
REASONS = "tokenite/callback.py"
"""A file whose `reason` of a class is a code."""


class Source:
    """The overlay's source, parsed."""

    def __init__(self, root: Path) -> None:
        home = root / "overlay" / "tollkit"
        self.modules: dict[str, ast.Module] = {
            path.relative_to(home).as_posix(): ast.parse(path.read_text("utf-8"))
            for path in sorted(home.rglob("*.py"))
            if path.relative_to(home).parts[0] not in LEFT_OUT
        }
        self.excused: set[tuple[str, str]] = set()
        self.constants = {name: texts for tree in self.modules.values() for name, texts in _constants(tree)}

    def codes(self) -> dict[str, set[str]]:
        """Each code, with the files that give it; `*` stands for a part that is put in.

        Raises:
            LookupError: A code cannot be read from the source, and its place is not in `PASSED_ON`.
        """
        found: dict[str, set[str]] = {}
        for file, tree in self.modules.items():
            takers = dict(_takers(tree))
            for function, node in _within(tree):
                for expression in _given(file, node, takers):
                    for code in self._read(file, function, expression):
                        found.setdefault(code, set()).add(file)
        return found

    def kinds(self) -> set[str]:
        """Every `kind` of a class of errors."""
        return {
            text
            for tree in self.modules.values()
            for node in ast.walk(tree)
            if isinstance(node, ast.AnnAssign) and _name(node.target) == "kind" and node.value is not None
            if _name(getattr(node.annotation, "value", node.annotation)) == "ClassVar"
            for text in _texts(node.value)
        }

    def _read(self, file: str, function: Function | None, expression: ast.expr) -> tuple[str, ...]:
        if isinstance(expression, ast.Constant):
            return (expression.value,) if isinstance(expression.value, str) else ()
        place = (file, ast.unparse(expression))
        if place in PASSED_ON:
            self.excused.add(place)
            return ()
        if isinstance(expression, ast.IfExp):
            return (*self._read(file, function, expression.body), *self._read(file, function, expression.orelse))
        if isinstance(expression, ast.BoolOp):
            return tuple(code for value in expression.values for code in self._read(file, function, value))
        if isinstance(expression, ast.JoinedStr):
            return (_pattern(expression),)
        if isinstance(expression, ast.Call) and _name(expression.func) in (found := _functions(self.modules[file])):
            maker = found[_name(expression.func)]
            returned = [node.value for node in ast.walk(maker) if isinstance(node, ast.Return) and node.value]
            return tuple(code for value in returned for code in self._read(file, maker, value))
        name = _name(expression)
        if name in self.constants:
            return self.constants[name]
        if isinstance(expression, ast.Name) and function is not None and _is_bound(function, name):
            return ()  # read where it is assigned, or where the function is called
        raise LookupError(f"overlay/tollkit/{file}:{expression.lineno}: which code is {ast.unparse(expression)}?")


def _constants(tree: ast.Module) -> Iterator[tuple[str, tuple[str, ...]]]:
    """A module's names for a text, and for `Literal[...]` types of texts."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            texts = _texts(node.value)
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if texts and isinstance(target, ast.Name):
                    yield target.id, texts


def _takers(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """A module's functions that take a `code` by position, and at which."""
    for node in tree.body:
        if isinstance(node, Function):
            names = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
            if "code" in names:
                yield node.name, names.index("code")


def _functions(tree: ast.Module) -> dict[str, Function]:
    return {node.name: node for node in tree.body if isinstance(node, Function)}


def _within(tree: ast.Module) -> Iterator[tuple[Function | None, ast.AST]]:
    """Every node, with the function that it is in."""
    left: list[tuple[Function | None, ast.AST]] = [(None, tree)]
    while left:
        function, node = left.pop()
        yield function, node
        inner = node if isinstance(node, Function) else function
        left += [(inner, child) for child in ast.iter_child_nodes(node)]


def _given(file: str, node: ast.AST, takers: dict[str, int]) -> Iterator[ast.expr]:
    """The expressions of a node that are codes."""
    if isinstance(node, ast.Call):
        yield from (word.value for word in node.keywords if word.arg == "code")
        place = takers.get(_name(node.func), len(node.args))
        yield from node.args[place : place + 1]
    elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        names = (*CODES, "reason") if file == REASONS and isinstance(node, ast.AnnAssign) else CODES
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(_name(target) in names for target in targets):
            yield node.value
    elif isinstance(node, Function):
        yield from _defaults(node)


def _is_bound(function: Function, name: str) -> bool:
    """Whether a function has `code` as a parameter, or assigns it."""
    arguments = function.args
    if name != "code":
        return False
    if name in [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]:
        return True
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
        for node in ast.walk(function)
    )


def _defaults(node: Function) -> Iterator[ast.expr]:
    """What a parameter `code` is when nothing is given."""
    positional = [*node.args.posonlyargs, *node.args.args]
    pairs = [*zip(positional[::-1], node.args.defaults[::-1], strict=False)]
    pairs += [(one, value) for one, value in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if value]
    yield from (value for one, value in pairs if one.arg == "code")


def _name(expression: ast.expr) -> str:
    return expression.attr if isinstance(expression, ast.Attribute) else getattr(expression, "id", "")


def _texts(value: ast.expr) -> tuple[str, ...]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return (value.value,)
    if isinstance(value, ast.Subscript) and _name(value.value) == "Literal":
        parts = value.slice.elts if isinstance(value.slice, ast.Tuple) else [value.slice]
        return tuple(text for part in parts for text in _texts(part))
    return ()


def _pattern(text: ast.JoinedStr) -> str:
    """A code that is put together, with `*` for what is put in."""
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in text.values)


def codes(root: Path) -> dict[str, set[str]]:
    """Every code that the overlay gives, with the files that give it."""
    return Source(root).codes()
