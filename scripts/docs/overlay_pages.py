"""A page for each module of `tollkit`, with the names of its `__all__`; mkdocstrings fills it in.

A name that a package hands on from elsewhere has a row that links to where it is at home.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import griffe
from scripts.docs.pages import Page, Section, cell, code, first_sentence, table

HOME = "reference"
DRIVERS = "tollkit.core.drivers"
SANDBOX = "tollkit.sandbox"
BLOCKING = f"{DRIVERS}.Blocking"


def sections(root: Path) -> list[Section]:
    """The reference of the overlay, a section for each of its rooms."""
    package = load(root, "overlay", "tollkit")
    rooms = [name for name in package.members if _is_public_package(package, name)]
    top = [_page(package), *(_page(module) for module in _modules(package) if not _is_package(module))]
    return [Section("tollkit", (*top, *(_room(package[room]) for room in sorted(rooms))))]


@functools.cache
def load(root: Path, folder: str, name: str) -> griffe.Module:
    """A package as griffe reads it, without importing it."""
    loader = griffe.GriffeLoader(search_paths=[root / folder])
    package = loader.load(name)
    assert isinstance(package, griffe.Module)
    loader.resolve_aliases()
    return package


def _is_public_package(package: griffe.Module, name: str) -> bool:
    member = package.members[name]
    return isinstance(member, griffe.Module) and _is_package(member)


def _is_package(module: griffe.Module) -> bool:
    return module.is_package or module.is_subpackage


def _modules(package: griffe.Module) -> list[griffe.Module]:
    found = [member for member in package.members.values() if isinstance(member, griffe.Module)]
    return sorted(found, key=lambda module: module.name)


def _room(package: griffe.Module) -> Section:
    members: list[Page | Section] = [_page(package)] if package.exports else []
    for module in _modules(package):
        if _is_package(module):
            members.append(_room(module))
        elif module.exports:
            members.append(_page(module))
    return Section(package.name, tuple(members))


def _page(module: griffe.Module) -> Page:
    path = module.path.replace(".", "/")
    title = f"{module.path} (package)" if _is_package(module) else module.name
    return Page(title, f"{HOME}/{path}/index.md" if _is_package(module) else f"{HOME}/{path}.md", module_text(module))


def module_text(module: griffe.Module) -> str:
    """The page of a module: what it says of itself, its names, and those that it hands on."""
    names = [str(name) for name in module.exports or ()]
    own = [name for name in names if _is_own(module, name)]
    lines = [
        *_matter(module),
        f"# {module.path}",
        "",
        f"::: {module.path}",
        "    options:",
        "      members: false",
        "",
    ]
    for name in own:
        lines += _block(module.members[name])
    handed_on = [_row(module, name) for name in names if name not in own]
    if handed_on:
        lines += ["## Names", "", "What can be imported from here:"]
        lines += table(("name", "", "at home in"), handed_on)
    return "\n".join(lines)


def _matter(module: griffe.Module) -> list[str]:
    """The page's settings: who searches wants the levers of the sandbox, and not what makes its platforms."""
    if not module.path.startswith(f"{SANDBOX}.") or module.path.count(".") < 3 or module.path.endswith(".platform"):
        return []
    return ["---", "search: {exclude: true}", "---", ""]


def _block(thing: griffe.Object | griffe.Alias) -> list[str]:
    lines = [f"::: {thing.path}", "    options:", "      show_root_heading: true", "      show_root_toc_entry: true"]
    if isinstance(thing, griffe.Class):
        if inherited := _inherited(thing):
            lines.append(f"      inherited_members: {inherited}")
        if any(name.startswith("_") or name.endswith("Flows") for name in map(str, thing.bases)):
            lines.append("      show_bases: false")  # how clients are put together is nobody's business
    return [*lines, ""]


def _inherited(thing: griffe.Class) -> list[str]:
    """The methods that a blocking client has of its flows; the async one has the same as coroutines."""
    if BLOCKING not in [base.path for base in thing.mro()]:
        return []
    return [
        name
        for name, member in thing.inherited_members.items()
        if not name.startswith("_") and member.docstring and not member.canonical_path.startswith(DRIVERS)
    ]


def _is_own(module: griffe.Module, name: str) -> bool:
    member = module.members.get(name)
    return member is not None and not member.is_alias and not isinstance(member, griffe.Module)


def _row(module: griffe.Module, name: str) -> tuple[str, str, str]:
    anchor = f'<a id="{module.path}.{name}"></a>'
    member = module.members.get(name)
    if member is None:
        _require_assigned(module, name)
        return f"{anchor}{code(name)}", "", code(module.path)
    if isinstance(member, griffe.Module) and name in member.members:
        member = member.members[name]  # a function that is called as its module
    target = member.target_path if isinstance(member, griffe.Alias) else member.path
    try:
        docstring = member.docstring
    except griffe.AliasResolutionError:  # of tollkit_api, which is not loaded with the overlay
        docstring = None
    told = cell(first_sentence(docstring.value)) if docstring else ""
    return f"{anchor}[{code(name)}][{target}]", told, code(target.rpartition(".")[0])


def _require_assigned(module: griffe.Module, name: str) -> None:
    """Griffe does not read `A, B = ...`; a name that is nowhere is a mistake all the same.

    Raises:
        LookupError: The module assigns no such name.
    """
    assert isinstance(module.filepath, Path)
    stored = {
        node.id
        for node in ast.walk(ast.parse(module.filepath.read_text("utf-8")))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    if name not in stored:
        raise LookupError(f"{module.path}.__all__ names {name}, and the module has no such name")
