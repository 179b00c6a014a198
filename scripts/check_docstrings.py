"""Every public class and function tells what its users need; read with griffe, held to the rules below.

The names are those of `scripts/public_names.txt`.

* **text**: there is a docstring.
* **arguments**: what users call describes each of its parameters, in `Args:` (a class also in `Attributes:`) or by
  name in backquotes in its text; one that takes a single one may say it in its text alone. What is another in an
  async form, or takes the same, may name that one instead: "`x` as a coroutine", "arguments of `x`". What users call
  is what the packages export, with its methods, and all methods of clients; the parts behind them may be shorter.
* **nothing stale**: what is described exists.
* **errors**: where the body itself raises an error of tollkit, there is a `Raises:`, or the text says so.
* **units**: of those, what is a time, a size or an amount says in what: seconds, bytes, how many, USD.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).parents[1]
PINNED = ROOT / "scripts" / "public_names.txt"
SEVERAL = 2
"""So many parameters need a list."""
CALLED = re.compile(
    r"tollkit\.(?:(?!core)\w+\.client|oidc\.flows|run402\.(?:namespaces|payments)\.\w+|run402\.project|tokenite\.admin\.\w+|"
    r"sandbox\.(?:server|faults|clock|\w+\.platform))"
)
"""Modules whose classes users call without importing them."""
MADE = re.compile(r"From `|Made by `|Not for direct use")
"""What the text of a class says that nobody makes by hand."""

TIMES = (
    r"timeout|ttl|max_age|leeway|interval|delay|expires_in|keep|latency|wait|seconds|refresh_before|keepalive_expiry"
)
SIZES = r"size|limit|max_bytes|page_size|length|max_entries|max_size|max_answer_bytes"
AMOUNTS = r"amount|budget|price|per_call|per_day|suggested_amount|suggested_budget|threshold"
MEASURED = re.compile(rf"(?:(?:\w+_)?(?:{TIMES}))|{SIZES}|{AMOUNTS}")
TELLS_ITSELF = re.compile(r"(?:.*_)?(?:seconds|ms|bytes|usd|micros|wei|days|minutes)")
UNITS = re.compile(
    r"\b(?:seconds?|milliseconds?|minutes?|hours?|days?|bytes?|[KMG]iB|MB|digits|characters|signs|USD|dollars?|micros|"
    r"millionths|wei|unit|how many|how often|how much|number|entries|rows|most|fewer|e-mails|Timeout|size of|price|"
    r"tokens|requests|calls|files|parts|messages)\b",
    re.IGNORECASE,
)
SAME_AS = re.compile(r"`(?P<name>[\w.]+)`")
RAISES = re.compile(r"\brais(?:es?|ed|ing)\b|\brefus|\bfails?\b|\berrors? of\b|\berrors?\b", re.IGNORECASE)


@cache
def packages() -> griffe.Object:
    """The package, read and not imported."""
    loader = griffe.GriffeLoader(search_paths=[ROOT / "overlay"], allow_inspection=False)
    package = loader.load("tollkit")
    loader.resolve_aliases(external=False)
    assert isinstance(package, griffe.Object)
    return package


@cache
def known_errors() -> frozenset[str]:
    """The names of tollkit's errors, and of those of its platforms."""
    found: set[str] = set()
    for line in PINNED.read_text("utf-8").splitlines():
        module, _, name = line.rpartition(".")
        if module.endswith(".errors") and (name.endswith("Error") or name in ("PaymentRequired", "Unauthorized")):
            found.add(name)
    return frozenset(found)


def public() -> Iterator[griffe.Function | griffe.Class]:
    """The functions, methods and classes among the public names, where they are defined."""
    seen: set[str] = set()
    for line in PINNED.read_text("utf-8").splitlines():
        found = resolved(packages(), line.removeprefix("tollkit."))
        if found is None:
            continue
        for item in (found, *(inherited(found) if isinstance(found, griffe.Class) else ())):
            if item.path not in seen:
                seen.add(item.path)
                yield item


def inherited(item: griffe.Class) -> Iterator[griffe.Function]:
    """The methods that a class has of classes of tollkit that are not public themselves: of clients, nearly all."""
    for name, member in item.inherited_members.items():
        if not name.startswith("_") and member.is_alias:
            found = resolved(item, name)
            if isinstance(found, griffe.Function):
                yield found


@cache
def exported() -> frozenset[str]:
    """Where what the packages export is defined."""
    found: set[str] = set()
    pending: list[Any] = [packages()]
    while pending:
        package = pending.pop()
        pending += [each for each in package.modules.values() if not each.is_alias and each.is_init_module]
        targets = (resolved(package, str(name)) for name in package.exports or ())
        found |= {target.path for target in targets if target is not None}
    return frozenset(found)


def called(item: griffe.Function | griffe.Class) -> bool:
    """Whether users call it, and not only other parts of tollkit."""
    owner = item.parent if isinstance(item.parent, griffe.Class) else item
    if item.path in exported() or owner.path in exported():
        return True
    return isinstance(owner, griffe.Class) and bool(CALLED.fullmatch(item.module.path))


def sections(item: griffe.Object) -> dict[str, Any]:
    """The sections of a docstring by kind; all texts as one under `text`."""
    found: dict[str, Any] = {"text": ""}
    if item.docstring is not None:
        for section in item.docstring.parse("google", warnings=False):
            if section.kind is griffe.DocstringSectionKind.text:
                found["text"] += section.value + "\n"
            else:
                found[section.kind.value] = section.value
    return found


def parameters(item: griffe.Function | griffe.Class) -> dict[str, str]:
    """What a caller may give, by name, with its kind; of a class what its constructor takes."""
    if isinstance(item, griffe.Function):
        found = list(item.parameters)
        if found and isinstance(item.parent, griffe.Class) and "staticmethod" not in item.labels:
            found = found[1:]
        return {each.name.lstrip("*"): str(each.kind and each.kind.value) for each in found}
    own: Any = item.members.get("__init__")
    if isinstance(own, griffe.Function):
        return parameters(own)
    if any("attrs" in str(each.value) for each in item.decorators):
        return dict.fromkeys(fields(item), "field")
    return {}


def fields(item: griffe.Class) -> list[str]:
    """The fields of a class of attrs that its constructor takes."""
    found: list[str] = []
    for name, member in item.members.items():
        if isinstance(member, griffe.Attribute) and member.annotation is not None and "property" not in member.labels:
            told = str(member.annotation)
            if not told.startswith("ClassVar") and not name.startswith("_") and "init=False" not in str(member.value):
                found.append(name)
    return found


def described(item: griffe.Function | griffe.Class, found: dict[str, Any]) -> dict[str, str]:
    """What is described of the parameters, by name; the text under an attribute counts for a class."""
    told = {each.name.lstrip("*"): each.description for each in found.get("parameters", ())}
    told |= {each.name.lstrip("*"): each.description for each in found.get("other parameters", ())}
    if isinstance(item, griffe.Class):
        told |= {each.name: each.description for each in found.get("attributes", ())}
        for name, member in item.members.items():
            if isinstance(member, griffe.Attribute) and member.docstring is not None:
                told.setdefault(name, member.docstring.value)
    return told


def assigned(item: griffe.Class) -> Iterator[str]:
    """The attributes that methods of a class give to `self`."""
    path = item.filepath
    assert isinstance(path, Path)
    for node in ast.walk(_tree(path)):
        match node:
            case ast.Attribute(ctx=ast.Store()) if (item.lineno or 0) <= node.lineno <= (item.endlineno or 0):
                yield node.attr
            case _:
                pass


def stands_in(item: griffe.Function | griffe.Class, text: str) -> bool:
    """Whether the text names something that describes the same parameters."""
    wanted = set(parameters(item))
    for match in SAME_AS.finditer(text):
        for scope in (item.parent, item.module, packages()):
            other = resolved(scope, match["name"].removeprefix("tollkit.")) if scope is not None else None
            if other is None or other.path == item.path:
                continue
            if wanted & {*described(other, sections(other)), *parameters(other)}:
                return True
    return False


def resolved(scope: Any, name: str) -> griffe.Function | griffe.Class | None:
    """The function or class of this name, where it is defined."""
    try:
        found = scope[name]
        found = found.final_target if found.is_alias else found
    except (KeyError, griffe.AliasResolutionError):  # a word, a name of typing, or one of another package
        return None
    return found if isinstance(found, (griffe.Function, griffe.Class)) else None


def body(item: griffe.Function) -> ast.AST | None:
    """The function's own syntax tree."""
    path = item.filepath
    assert isinstance(path, Path)
    for node in ast.walk(_tree(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == item.name:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            if item.lineno in (first, node.lineno):
                return node
    return None


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def raised(node: ast.AST) -> Iterator[str]:
    """The errors of tollkit that a function raises itself, functions within it left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            continue
        if isinstance(child, ast.Raise) and child.exc is not None:
            for name in ast.walk(child.exc):
                if isinstance(name, ast.Name) and name.id in known_errors():
                    yield name.id
        yield from raised(child)


def findings(item: griffe.Function | griffe.Class) -> Iterator[str]:
    """One line for each rule that a docstring does not keep."""
    if item.docstring is None or not item.docstring.value.strip():
        yield "has no docstring"
        return
    found = sections(item)
    text = item.docstring.value
    takes, told = parameters(item), described(item, found)
    lacking = [name for name in takes if name not in told and not name.startswith("_")]
    plain = isinstance(item, griffe.Class) and "field" in takes.values()  # of a record, fields tell themselves
    made = isinstance(item, griffe.Class) and MADE.search(text)
    need = called(item) and not plain and not made and (len(takes) >= SEVERAL or "parameters" in found)
    if lacking and need and not stands_in(item, text):
        unsaid = [name for name in lacking if f"`{name}`" not in found["text"] and takes[name] != "variadic keyword"]
        if unsaid:
            yield f"does not describe {', '.join(unsaid)}"
    exists = set(takes)
    if isinstance(item, griffe.Class):
        exists |= {*item.members, *item.inherited_members, *assigned(item)}
    stale = [each.name.lstrip("*") for kind in ("parameters", "attributes") for each in found.get(kind, ())]
    if gone := [name for name in stale if name not in exists]:
        yield f"describes {', '.join(gone)}, which it does not take"
    for name in takes if called(item) else ():
        if MEASURED.fullmatch(name) and not TELLS_ITSELF.fullmatch(name):
            said = told.get(name) or ("" if plain or made or stands_in(item, text) else text)
            if said and not UNITS.search(said):
                yield f"does not say in what {name} is measured"
    if isinstance(item, griffe.Function) and "raises" not in found and not RAISES.search(text):
        node = body(item)
        if node is not None and (errors := sorted(set(raised(node)))):
            yield f"does not say when it raises {', '.join(errors)}"


def main() -> int:
    """Print the findings; 1 when there are any."""
    items = list(public())
    wrong = [f"{item.path}: {told}" for item in items for told in findings(item)]
    print("\n".join(wrong) or f"docstrings: {len(items)} public classes and functions tell what they need")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
