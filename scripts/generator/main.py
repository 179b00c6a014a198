"""The program behind `make generate` and `make check-generated`."""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import attrs
from jinja2 import Environment, FileSystemLoader

from . import bulk, opc, plans, shapes, tree
from .document import Document, DocumentError, load

__all__ = ["main"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TOOLS = ("openapi-python-client", "datamodel-code-generator", "ruff")
API = re.compile(r"[a-z][a-z0-9_]*")
VERSION = re.compile(r"v[0-9]+_[0-9]+")


@attrs.frozen
class Front:
    """A package front: its docstring below the head, and name -> submodule that holds it."""

    doc: str
    entries: Sequence[tuple[str, str]]


@attrs.frozen
class Fronts:
    """The fronts of one document's package."""

    package: Front
    models: Front
    api: Front

    @staticmethod
    def tag(collection: Any) -> list[tuple[str, str]]:
        """Entries of the front of one tag."""
        return _submodules(str(endpoint.name) for endpoint in collection.endpoints)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write generated/, or with `--check` tell what is wrong with it.

    Returns:
        0, or 1 if the documents cannot be generated or the check fails.
    """
    parser = argparse.ArgumentParser(prog="generate.py", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if generated/ is not up to date")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder with specs/ and generated/ (this project)")
    options = parser.parse_args(arguments)
    target = options.root / "generated"
    try:
        with tempfile.TemporaryDirectory() as scratch:
            files = generate(options.root, Path(scratch))
    except DocumentError as error:
        print(error, file=sys.stderr)
        return 1
    if options.check:
        problems = list(tree.differences(files, tree.read(target)))
        for line in problems:
            print(line, file=sys.stderr)
        if problems:
            print("generated/ is not what specs/ give: run `make generate`", file=sys.stderr)
            return 1
        print(f"generated/: {len(files)} files, all as specs/ give them")
        return 0
    written, removed = tree.replace(target, files)
    print(f"generated/: {len(files)} files, {written} written, {removed} removed")
    return 0


def generate(root: Path, scratch: Path) -> dict[str, bytes]:
    """Generate everything.

    Args:
        root: folder with specs/.
        scratch: an empty folder to work in.

    Returns:
        Path below generated/ -> content.

    Raises:
        DocumentError: a document cannot be generated faithfully.
    """
    package = scratch / "tollkit_api"
    specs = root / "specs"
    documents = sorted(path for path in specs.glob("*/*.yaml"))
    generator = _generator_hash()
    front = _environment().get_template("package_init.py.jinja")

    def write_front(folder: Path, source: str, doc: str, names: Sequence[tuple[str, str]]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        fronts = Fronts(Front(doc, names), Front("", ()), Front("", ()))
        (folder / "__init__.py").write_text(front.render(head=_head(source), fronts=fronts), encoding="utf-8")

    apis: dict[str, list[str]] = {}
    for file in documents:
        api, api_version = file.parent.name, file.stem
        if not API.fullmatch(api) or not VERSION.fullmatch(api_version):
            raise DocumentError(f"{file.relative_to(root)}: expected specs/<api>/v<major>_<minor>.yaml")
        apis.setdefault(api, []).append(api_version)
        document = load(file, root)
        folder = package / api / api_version
        _write_package(document, folder)
        spec = hashlib.sha256(file.read_bytes()).hexdigest()
        (folder / "_provenance.py").write_text(_provenance(document, api_version, spec, generator), encoding="utf-8")

    for api, versions in apis.items():
        doc = f"The versions of the {api} API that have a document; each is a frozen package."
        write_front(package / api, f"specs/{api}/", doc, _submodules(versions))
    modules, titles = (
        shapes.modules(specs / "shapes", _head("specs/shapes/{}")) if (specs / "shapes").exists() else ({}, {})
    )
    if modules:
        write_front(
            package / "shapes",
            "specs/shapes/",
            "JSON documents that are no operation of an API, as TypedDicts: a value of such a type is a plain dict.",
            sorted(titles.items()),
        )
        for name, text in modules.items():
            (package / "shapes" / name).write_text(text, encoding="utf-8")
    _write_runtime(package / "runtime")
    write_front(
        package,
        "specs/",
        "Typed operations and models of the platforms, a package for each API and version.",
        _submodules([*apis, "runtime", *(["shapes"] if modules else [])]),
    )
    (package / "py.typed").touch()
    _format(scratch)
    return tree.read(scratch)


def _environment() -> Environment:
    return Environment(  # noqa: S701  # what comes out is Python, not HTML
        loader=FileSystemLoader(HERE / "templates"), trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )


def _head(source: str) -> str:
    return f"Generated by `make generate` from {source}; do not edit."


def _submodules(names: Any) -> list[tuple[str, str]]:
    return sorted((name, name) for name in names)


def _write_package(document: Document, folder: Path) -> None:
    parsed = opc.parse(document, folder)
    reader = opc.Reader(document, parsed)
    planner = plans.Planner(document, reader)
    parsed.models[:] = list(reader.models.values())
    parsed.enums[:] = [enum for enum in parsed.enums if enum.value_type is str]
    classes = [*parsed.models, *parsed.enums]
    answer = bulk.answer_of(document)
    info = document.data["info"]
    fronts = Fronts(
        package=Front(
            plans.docstring(
                f"{info['title']}, version {info['version']}: models, operations and where they come from."
            ),
            sorted(
                [
                    *_submodules(
                        ["api", "client", "errors", "models", "types", *(["bulk", "rows"] if answer else [])]
                    ),
                    *((name, "_provenance") for name in ("API_VERSION", "GENERATOR", "OPERATIONS", "SPEC_SHA256")),
                    *((name, "client") for name in ("AuthenticatedClient", "Client")),
                ]
            ),
        ),
        models=Front("", sorted((str(item.class_info.name), str(item.class_info.module_name)) for item in classes)),
        api=Front("", _submodules(str(tag) for tag in parsed.endpoint_collections_by_tag)),
    )
    names = {
        "head": _head(document.path),
        "fronts": fronts,
        "model_plan": planner.model,
        "enum_plan": planner.enum,
        "endpoint_plan": planner.endpoint,
        "union": plans.union,
    }
    opc.render(document, parsed, folder, HERE / "templates", names)
    if answer is not None:
        _write_bulk(document, folder, answer, planner, reader)


def _write_bulk(document: Document, folder: Path, answer: str, planner: plans.Planner, reader: opc.Reader) -> None:
    package = f"tollkit_api.{folder.parent.name}.{folder.name}"
    head = _head(document.path)
    (folder / "rows.py").write_text(bulk.rows(document, package, answer, head), encoding="utf-8")
    models = {str(model.class_info.name): model for model in reader.models.values()}
    template = _environment().get_template("bulk.py.jinja")
    text = template.render(
        head=head,
        plan=bulk.plan(document, package, answer, planner, models),
        module=models[answer].class_info.module_name,
    )
    (folder / "bulk.py").write_text(text, encoding="utf-8")


def _provenance(document: Document, api_version: str, spec: str, generator: str) -> str:
    operations = {
        facts.id: f"{opc.identifier(facts.tag)}.{opc.identifier(facts.id)}" for facts in document.operations.values()
    }
    return f'''"""{_head(document.path)}"""

from __future__ import annotations

from typing import Final

__all__ = ["API_VERSION", "GENERATOR", "OPERATIONS", "SPEC_SHA256"]

API_VERSION: Final = {api_version!r}
"""Name of the version, which is also that of its document and of its package."""

SPEC_SHA256: Final = {spec!r}
"""Hash of the document."""

GENERATOR: Final = {generator!r}
"""Versions of the generators, and a hash of our templates, programs and runtime."""

OPERATIONS: Final[dict[str, str]] = {operations!r}
"""operationId -> module below `api`."""
'''


def _generator_hash() -> str:
    ours = hashlib.sha256()
    for name, content in tree.read(HERE).items():
        if name.endswith((".py", ".jinja")):
            ours.update(f"{name}\n{len(content)}\n".encode() + content)
    return ", ".join([*(f"{tool} {version(tool)}" for tool in TOOLS), f"ours {ours.hexdigest()}"])


def _write_runtime(folder: Path) -> None:
    folder.mkdir()
    for file in sorted((HERE / "runtime").glob("*.py")):
        text = file.read_text(encoding="utf-8")
        head = _head(f"scripts/generator/runtime/{file.name}")
        (folder / file.name).write_text(text.replace('"""', f'"""{head}\n\n', 1), encoding="utf-8")


def _format(folder: Path) -> None:
    """Sort imports and format, as `ruff` does for the rest of the project, whatever its settings here."""
    options = ["--isolated", "--line-length=110", "--target-version=py311", "--no-cache", "--quiet"]
    for command in (["check", "--fix", "--select=I,F401,RUF022"], ["format"]):
        outcome = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *options, "."],
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
        )
        if outcome.returncode:
            raise DocumentError(f"ruff {command[0]} refuses what was generated:\n{outcome.stdout}{outcome.stderr}")
