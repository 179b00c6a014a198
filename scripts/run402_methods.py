"""Writes docs/run402/methods.md: every method of the Run402 clients with its operations, credentials and errors.

What a method sends is read off its code (which operations it imports, in helpers too), the rest off the document.
`--check` fails when the page is not what it would write.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import yaml

from tollkit.core.flows import flow
from tollkit.core.namespaces import Namespace
from tollkit.core.paging import paged
from tollkit.run402.client import Groups
from tollkit.run402.project import ProjectGroups

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "run402" / "methods.md"
DOCUMENT = ROOT / "specs" / "run402" / "v1_57.yaml"
OPERATIONS = "tollkit_api.run402.v1_57.api."
OURS = "tollkit.run402."
VERBS = ("get", "post", "put", "patch", "delete", "head", "options")
KINDS = {"ProjectNotFound": "project_not_found", "LocalError": "local_error"}  # of what was not sent

HEAD = """\
# Methods

<!-- written by scripts/run402_methods.py; `make generate` renews it -->

All methods of `Run402`; `AsyncRun402` has the same as coroutines. Arguments and results are in the docstrings:
`help(run402.projects.sql)`.

- **Request** is what may be sent. Nothing: the method only speaks to the credentials.
- **Credentials** is what goes with it, and nothing else does: `wallet` is a signature of the wallet
  (`SIGN-IN-WITH-X`), `service key` and `anon key` are the project's.
- **Errors** names what this call has of its own: `project_not_found` (the credentials do not know the project) and
  `local_error` (an argument is unusable, or the credentials cannot do it), both before anything is sent; and the
  statuses that the document tells of. Besides, every request may end in `unauthorized` (401, 403), `api_error` (any
  other error status) and `network_error` (no answer): see [Errors and retries](errors-and-retry.md).
- **In a project** is how the method is on `run402.project(...)`: *bound*, without its project; *default*, where
  the project may be left out; *same*, as it is; empty, when it is not there.
"""


@attrs.frozen
class Operation:
    """What the document says of an operation.

    Attributes:
        id: Its operationId.
        method: Its HTTP method.
        path: Its path.
        security: The alternatives, each the schemes that go together.
        statuses: The error statuses that it tells of by number.
    """

    id: str
    method: str
    path: str
    security: tuple[tuple[str, ...], ...]
    statuses: tuple[int, ...]


@attrs.frozen
class Method:
    """A method of the clients.

    Attributes:
        namespace: `email.webhooks`.
        name: Its name.
        aliases: Its other names.
        operations: What it may send, by operationId.
        errors: The kinds of what is raised before anything is sent.
        scope: `bound`, `default`, `same`, or nothing.
    """

    namespace: str
    name: str
    aliases: tuple[str, ...]
    operations: tuple[str, ...]
    errors: tuple[str, ...]
    scope: str


@cache
def operations() -> Mapping[str, Operation]:
    """The operations of the document by the name of their module, `projects.projects_sql`."""
    found: dict[str, Operation] = {}
    document: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text("utf-8"))
    for path, item in document["paths"].items():
        for verb in VERBS:
            if verb in item:
                entry = item[verb]
                security = tuple(tuple(alternative) for alternative in entry["security"])
                statuses = tuple(
                    int(status)
                    for status in sorted(map(str, entry["responses"]))
                    if status >= "4" and status.isdigit()
                )
                module = f"{_snake(entry['tags'][0])}.{_snake(entry['operationId'])}"
                found[module] = Operation(entry["operationId"], verb.upper(), path, security, statuses)
    return found


def _snake(name: str) -> str:
    return re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name)


Definition = ast.FunctionDef | ast.ClassDef


class Code:
    """A module of ours: what it defines, and what it takes from others of ours."""

    def __init__(self, module: str) -> None:
        source = importlib.import_module(module).__file__
        assert source
        self.tree = ast.parse(Path(source).read_text("utf-8"))
        self.defined: dict[str, Definition] = {
            node.name: node for node in self.tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
        self.imported = {
            alias.name: node.module
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(OURS)
            for alias in node.names
        }

    def method(self, group: str, name: str) -> ast.FunctionDef | None:
        """A method of a class, when there is one of that name."""
        node = self.defined[group]
        found = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == name]
        return found[0] if found else None


_code = cache(Code)


def of_method(group: type[Namespace[Any]], name: str) -> list[str]:
    """The modules of the operations that a method may send, in the order in which its code comes to them."""
    found: dict[str, None] = {}
    first = _code(group.__module__)
    begin = first.method(group.__name__, name)
    assert begin
    waiting: list[tuple[Code, str, Definition]] = [(first, group.__name__, begin)]
    made: dict[str, Code] = {}  # classes of which there is an object, as far as the code goes
    asked: dict[str, None] = {}  # names that objects are asked for
    seen: set[int] = set()
    while waiting:
        code, owner, node = waiting.pop(0)
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, ast.ClassDef):
            made[node.name] = code
        for part in () if isinstance(node, ast.ClassDef) else _code_of(node):
            if isinstance(part, ast.ImportFrom) and (part.module or "").startswith(OPERATIONS):
                folder = str(part.module).removeprefix(OPERATIONS)
                found |= {f"{folder}.{alias.name}": None for alias in part.names}
            elif isinstance(part, ast.JoinedStr):  # import_module(f"tollkit_api....functions.{...}")
                found |= dict.fromkeys(_any_of(code, part))
            elif isinstance(part, ast.Name):  # a function may be called elsewhere than where it is named
                waiting += [one for one in _definitions(code, part.id) if isinstance(one[2], ast.FunctionDef)]
            elif isinstance(part, ast.Call) and isinstance(part.func, ast.Name):
                waiting += _definitions(code, part.func.id)
            elif isinstance(part, ast.Attribute):
                waiting += _methods(code, owner, ast.unparse(part).split("."))
                asked[part.attr] = None
        waiting += [
            (home, kind, method)
            for kind, home in made.items()
            for one in ("__init__", "__attrs_post_init__", *asked)
            if (method := home.method(kind, one))
        ]
    return list(found)


def _code_of(node: ast.FunctionDef) -> Iterator[ast.AST]:
    """What runs; types of arguments name the whole client."""
    for statement in node.body:
        yield from ast.walk(statement)


def _definitions(code: Code, name: str) -> Iterator[tuple[Code, str, Definition]]:
    if name in code.imported:
        code = _code(str(code.imported[name]))
    if name in code.defined:
        yield code, name, code.defined[name]


def _methods(code: Code, owner: str, path: list[str]) -> Iterator[tuple[Code, str, Definition]]:
    match path:
        case ["self", name] if isinstance(code.defined[owner], ast.ClassDef):
            found = code.method(owner, name)
        case ["self", "_root", namespace, name] if namespace in _groups(Groups):
            group = _groups(Groups)[namespace]
            code, owner = _code(group.__module__), group.__name__
            found = code.method(owner, name)
        case _:
            return
    if found:
        yield code, owner, found


def _any_of(code: Code, address: ast.JoinedStr) -> Iterator[str]:
    begin = address.values[0]
    if isinstance(begin, ast.Constant) and str(begin.value).startswith(OPERATIONS):
        folder = str(begin.value).removeprefix(OPERATIONS)
        for part in ast.walk(code.tree):
            value = part.value if isinstance(part, ast.Constant) else None
            if isinstance(value, str) and (module := folder + value) in operations():
                yield module


@cache
def _groups(kind: Any) -> Mapping[str, type[Namespace[Any]]]:
    """The namespaces of a kind of client by their names; a name that stands for another is left out."""
    found: dict[str, type[Namespace[Any]]] = {}
    for name in _properties(kind):
        group: Any = getattr(kind(), name)
        own: type[Namespace[Any]] = group.__class__
        if own not in found.values():
            found[name] = own
            found |= {f"{name}.{inner}": getattr(group, inner).__class__ for inner in _properties(own)}
    return found


def _properties(kind: object) -> list[str]:
    return [name for name, value in vars(kind).items() if isinstance(value, property)]


_SCOPES = {"of_project": "bound", "unscoped": "same"}  # by what made the method of a project's client


def _scope(namespace: str, name: str) -> str:
    group = _groups(ProjectGroups).get(namespace)
    scoped = None if group is None else vars(group).get(name)
    if scoped is None:
        return ""
    maker: str = scoped.__wrapped__.__code__.co_qualname.partition(".")[0]
    return _SCOPES.get(maker, "default")


@cache
def methods() -> tuple[Method, ...]:
    """Every method of the clients."""
    return tuple(_methods_of_groups())


def _methods_of_groups() -> Iterator[Method]:
    for namespace, group in _groups(Groups).items():
        found: dict[Any, list[str]] = {}
        for name, value in vars(group).items():
            if isinstance(value, flow | paged):
                found.setdefault(value, []).append(name)
        for value, (name, *aliases) in found.items():
            reached = of_method(group, value.__wrapped__.__name__)
            raises = (value.__doc__ or "").partition("Raises:")[2]
            errors = tuple(kind for error, kind in KINDS.items() if re.search(rf"^\s+{error}:", raises, re.MULTILINE))
            yield Method(namespace, name, tuple(aliases), tuple(reached), errors, _scope(namespace, name))


_CREDENTIALS = {
    "wallet": "wallet",
    "serviceKey": "service key",
    "serviceApiKey": "service key",
    "anonKey": "anon key",
    "anonBearer": "anon key",
    "userToken": "user's token",
    "ciSession": "CI session",
}
_STATUS_KINDS = {401: "unauthorized", 402: "payment_required", 403: "unauthorized"}


def _credentials(operation: Operation) -> str:
    told = [" + ".join(dict.fromkeys(_CREDENTIALS[scheme] for scheme in schemes)) for schemes in operation.security]
    return " or ".join(told) or "none"


def _line(method: Method) -> str:
    known = [operations()[module] for module in method.operations]
    requests = [f"`{operation.method} {operation.path}`" for operation in known]
    if len(known) > 2 and len({operation.path for operation in known}) == 1:  # the same with every HTTP method
        verbs = ", ".join(operation.method for operation in known)
        requests = [f"`{known[0].path}` with {verbs}"]
    statuses = sorted({status for operation in known for status in operation.statuses})
    errors = [*method.errors, *(f"{status} {_STATUS_KINDS.get(status, 'api_error')}" for status in statuses)]
    names = f"`{method.name}`" + "".join(f", `{alias}`" for alias in method.aliases)
    cells = (
        names,
        "<br>".join(requests) or "nothing",
        "<br>".join(dict.fromkeys(map(_credentials, known))) or "",
        ", ".join(errors),
        method.scope,
    )
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


def page() -> str:
    """The page."""
    parts = [HEAD]
    last = ""
    for method in methods():
        if method.namespace != last:
            last = method.namespace
            parts.append(f"\n## {last}\n" if parts[1:] else f"## {last}\n")
            parts.append(
                "| method | request | credentials | errors | in a project |\n| --- | --- | --- | --- | --- |"
            )
        parts.append(_line(method))
    return "\n".join(parts) + "\n"


def main() -> int:
    """Write the page; with `--check` say whether it is as it should be."""
    made = page()
    if "--check" not in sys.argv[1:]:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(made, "utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text("utf-8") == made:
        print(f"methods: {len(methods())} methods of Run402 as {PAGE.relative_to(ROOT)} tells them")
        return 0
    print(f"{PAGE.relative_to(ROOT)} is not what the code gives; run: python scripts/run402_methods.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
