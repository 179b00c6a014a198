"""Pages of `tollkit_api`: a page for each tag of each pin with its operations, and one with its models.

mkdocstrings would show six functions for each operation, which all say the same; here each operation stands once,
with the facts of its `OPERATION`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import griffe
from scripts.docs.overlay_pages import HOME, load, module_text
from scripts.docs.pages import Page, Section, cell, code, first_sentence, plain, table

PACKAGE = "tollkit_api"


def sections(root: Path) -> list[Section]:
    """The reference of the generated half: every pin, the shapes, and the runtime."""
    package = load(root, "generated", PACKAGE)
    pins = [_pin(version) for api in _by_name(package) for version in _by_name(api) if "api" in version.modules]
    return [Section(PACKAGE, (*pins, _shapes(package["shapes"]), _runtime(package["runtime"])))]


def _by_name(package: griffe.Module | griffe.Alias) -> list[griffe.Module]:
    """A package's modules, in an order that no file system decides."""
    return [module for _, module in sorted(package.modules.items())]


def _pin(pin: griffe.Module) -> Section:
    name = pin.path.removeprefix(f"{PACKAGE}.")
    folder = f"{HOME}/{pin.path.replace('.', '/')}"
    tags = _by_name(pin["api"])
    models = _exported(pin["models"])
    pages = [
        Page(tag.name, f"{folder}/{tag.name}.md", _operations(tag))
        for tag in tags
    ]  # fmt: skip
    pages += [Page("bulk", f"{folder}/bulk.md", module_text(pin["bulk"]))] if "bulk" in pin.modules else []
    pages.append(Page("models", f"{folder}/models.md", _models(pin["models"], models)))
    return Section(name, (Page(f"{name}: overview", f"{folder}/index.md", _overview(pin, tags, models)), *pages))


def _overview(pin: griffe.Module, tags: list[griffe.Module], models: list[griffe.Object]) -> str:
    lines = [f"# {pin.path} {{ #{pin.path} }}", "", _told(pin), ""]
    lines += [
        f"`from {pin.path} import Client` makes a client of its own; `client=` also takes `.api` of a client of"
    ]
    lines += ["tollkit. See [Generated modules](../../../../guide/generated.md)."]
    for tag in tags:
        rows = [
            (f"[`{module.name}`]({tag.name}.md#{module.path})", _place(module), _summary(module))
            for module in _by_name(tag)
        ]
        lines += ["", f"## {tag.name}", *table(("operation", "request", ""), rows)]
    lines += ["", "## Models", "", f"{len(models)}: see [models](models.md)."]
    return "\n".join(lines)


def _operations(tag: griffe.Module) -> str:
    lines = [f"# {tag.path} {{ #{tag.path} }}", ""]
    for module in _by_name(tag):
        lines += _operation(module)
    return "\n".join(lines)


def _operation(module: griffe.Module) -> Iterator[str]:
    facts = _facts(module)
    request = cast("griffe.Function", module["request"])
    parsed = griffe.parse_google(_docstring(request), warnings=False)
    yield from (f"## `{module.name}` {{ #{module.path} data-toc-label={module.name} }}", "")
    yield from (f"`{facts['method']} {facts['path']}`{{ .operation }}", "")
    yield from ("```python", f"from {module.path.rpartition('.')[0]} import {module.name}", "", _signature(request))
    yield from ("```", "")
    for section in parsed:
        if section.kind is griffe.DocstringSectionKind.text:
            yield from (plain(section.value), "")
        elif section.kind is griffe.DocstringSectionKind.admonition:
            yield from (plain(f"**{section.title}**: {section.value.description}"), "")
    yield from _parameters(request, parsed)
    answer = module["parse"].returns
    yield from table(("", ""), _about(facts, answer))


def _parameters(request: griffe.Function, parsed: list[Any]) -> list[str]:
    told = {
        one.name: one.description
        for section in parsed
        if section.kind is griffe.DocstringSectionKind.parameters
        for one in section.value
    }
    rows = [
        (code(one.name), code(_unset(str(one.annotation or ""))), cell(told.get(one.name, "")))
        for one in request.parameters
    ]
    return table(("argument", "type", ""), rows)


def _about(facts: dict[str, Any], answer: Any) -> Iterator[tuple[str, str]]:
    schemes = [" and ".join(f"`{scheme}`" for scheme in group) or "none" for group in facts["security"]] or ["none"]
    yield "credentials", " or ".join(schemes)
    yield "sent again after a failure", "yes, it is idempotent" if facts["idempotent"] else "only if nothing left"
    yield f"answer ({', '.join(map(str, facts['success']))})", _linked(answer)
    for status, hint in facts.get("hints", {}).items():
        yield str(status), cell(hint)


def _linked(annotation: Any) -> str:
    if not isinstance(annotation, griffe.Expr):
        return code(str(annotation))
    names = [part for part in annotation.iterate(flat=True) if isinstance(part, griffe.ExprName)]
    links = [f"[`{name.name}`][{_short(name.canonical_path)}]" for name in names if ".models." in name.canonical_path]
    shown = code(str(annotation))
    return shown if not links else (links[0] if len(names) == 1 else f"{shown} ({', '.join(links)})")


def _short(path: str) -> str:
    """A model's path as it is imported: `models.App`, not `models.app.App`."""
    package, _, name = path.rpartition(".models.")
    return f"{package}.models.{name.rpartition('.')[2]}"


def _facts(module: griffe.Module) -> dict[str, Any]:
    call = ast.parse(str(module["OPERATION"].value), mode="eval").body
    assert isinstance(call, ast.Call)
    return {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}


def _place(module: griffe.Module) -> str:
    facts = _facts(module)
    return code(f"{facts['method']} {facts['path']}")


def _summary(module: griffe.Module) -> str:
    return cell(first_sentence(_docstring(module["request"]).value))


def _docstring(thing: griffe.Object | griffe.Alias) -> griffe.Docstring:
    if thing.docstring is None:
        raise LookupError(f"{thing.path} has no docstring")
    return thing.docstring


def _told(module: griffe.Module) -> str:
    """A module's docstring without the line on who wrote it."""
    return plain(_docstring(module).value.partition("\n\n")[2])


def _signature(request: griffe.Function) -> str:
    """The call of `request`, an argument a line where it is long."""
    arguments: list[str] = []
    for one in request.parameters:
        if one.kind is griffe.ParameterKind.keyword_only and "*" not in arguments:
            arguments.append("*")
        default = f" = {one.default}" if one.default is not None and one.annotation else ""
        arguments.append(f"{one.name}: {_unset(str(one.annotation))}{default}")
    name = f"{request.parent.name if request.parent else ''}.request"
    flat = f"{name}({', '.join(arguments)}) -> Request"
    if len(flat) <= 90:
        return flat
    return "\n".join([f"{name}(", *(f"    {argument}," for argument in arguments), ") -> Request"])


def _unset(annotation: str) -> str:
    """An annotation without `Unset`, which the default says."""
    return annotation.replace(" | Unset", "")


def _exported(package: griffe.Module) -> list[griffe.Object]:
    found: list[griffe.Object] = []
    for name in package.exports or ():
        member = package.members[str(name)]
        found.append(member.final_target if isinstance(member, griffe.Alias) else member)
    return found


def _models(package: griffe.Module, models: Iterable[griffe.Object]) -> str:
    lines = [f"# {package.path} {{ #{package.path} }}", ""]
    for model in models:
        lines += _model(model, f"{package.path}.{model.name}")
    return "\n".join(lines)


def _model(model: griffe.Object, path: str) -> Iterator[str]:
    yield from (f"## `{model.name}` {{ #{path} data-toc-label={model.name} }}", "")
    if isinstance(model, griffe.Attribute):
        yield from ("```python", f"{model.name} = {model.value}", "```", "")
        if model.docstring:
            yield from (plain(model.docstring.value), "")
        return
    model = cast("griffe.Class", model)
    bases = [str(base) for base in model.bases]
    if bases:
        yield from (f"Base: {', '.join(code(base) for base in bases)}.", "")
    told: dict[str, str] = {}
    for section in griffe.parse_google(_docstring(model), warnings=False):
        if section.kind is griffe.DocstringSectionKind.attributes:
            told = {one.name: one.description for one in section.value}
        elif section.kind is griffe.DocstringSectionKind.text:
            yield from (plain(section.value), "")
    yield from _fields(model, told)


def _fields(model: griffe.Class, told: dict[str, str]) -> list[str]:
    fields = [one for one in model.attributes.values() if not one.name.startswith("_")]
    if "OpenEnum" in [str(base) for base in model.bases]:
        return table(("value", "constant"), [(code(str(one.value)), code(one.name)) for one in fields])
    rows: list[tuple[str, ...]] = []
    for one in fields:
        own = one.docstring.value if one.docstring else told.get(one.name, "")
        rows.append((code(one.name), code(str(one.annotation or "")), cell(own)))
    return table(("field", "type", ""), rows)


def _shapes(package: griffe.Module) -> Section:
    lines = [f"# {package.path} {{ #{package.path} }}", "", _told(package), ""]
    for shape in _exported(package):
        lines += _model(shape, f"{package.path}.{shape.name}")
    return Section("shapes", (Page("shapes", f"{HOME}/{package.path.replace('.', '/')}.md", "\n".join(lines)),))


def _runtime(package: griffe.Module) -> Section:
    folder = f"{HOME}/{package.path.replace('.', '/')}"
    pages = [Page("runtime (package)", f"{folder}/index.md", module_text(package))]
    pages += [
        Page(module.name, f"{folder}/{module.name}.md", module_text(module))
        for module in _by_name(package)
        if module.exports
    ]
    return Section("runtime", tuple(pages))
