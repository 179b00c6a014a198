"""Imports go one way: walks every import of overlay/ and generated/ and names those that go the wrong way.

The rules are those of docs/architecture.md.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLATFORMS = ("pymthouse", "tokenite", "run402")

# room -> what it may import of ours, besides itself
PLATFORM_ROOMS = tuple(f"tollkit.{name}" for name in PLATFORMS)
ALLOWED: dict[str, tuple[str, ...]] = {
    "tollkit": ("tollkit.errors", "tollkit.secrets", "tollkit.core", *PLATFORM_ROOMS, "tollkit_api.runtime"),
    "tollkit.errors": ("tollkit_api.runtime",),
    "tollkit.secrets": ("tollkit_api.runtime",),
    "tollkit.core": ("tollkit.errors", "tollkit.secrets", "tollkit_api.runtime"),
    "tollkit.oidc": (
        "tollkit.errors", "tollkit.secrets", "tollkit.core", "tollkit_api.runtime", "tollkit_api.shapes",
    ),
    "tollkit.usage": ("tollkit.errors", "tollkit.core"),
    "tollkit.pymthouse": (
        "tollkit.errors", "tollkit.secrets", "tollkit.core", "tollkit.oidc", "tollkit.usage",
        "tollkit_api.runtime", "tollkit_api.shapes", "tollkit_api.builder", "tollkit_api.usage",
    ),
    "tollkit.tokenite": (
        "tollkit.errors", "tollkit.secrets", "tollkit.core", "tollkit_api.runtime", "tollkit_api.shapes",
        "tollkit_api.tokenite",
    ),
    "tollkit.run402": (
        "tollkit.errors", "tollkit.secrets", "tollkit.core", "tollkit.oidc", "tollkit_api.runtime",
        "tollkit_api.shapes", "tollkit_api.run402",
    ),
    "tollkit.sandbox": ("tollkit", "tollkit_api"),
    "tollkit.cli": ("tollkit", "tollkit_api"),
    "tollkit_api": ("tollkit_api",),
}  # fmt: skip
NOT_FROM_OUTSIDE = ("tollkit.sandbox", "tollkit.cli")
IMPORTERS = {
    "httpx": ("tollkit.core.http", "tollkit.core.transports", "tollkit_api.runtime.client"),
    "aiohttp": ("tollkit.core.engine",),
    "yarl": ("tollkit.core.engine",),
}
"""Who alone may import a library."""


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of both packages, by its dotted name."""
    for folder in ("overlay", "generated"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(name: str, path: Path) -> Iterator[tuple[str, int]]:
    """Every module that this one imports, anywhere in it, with the line."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module, node.lineno
            for alias in node.names:
                yield f"{module}.{alias.name}", node.lineno


def room(name: str) -> str:
    """The room that a module belongs to: its first two parts, or the package itself."""
    if name.startswith("tollkit_api"):
        return "tollkit_api"
    parts = name.split(".")
    return ".".join(parts[:2]) if len(parts) > 1 else name


def within(name: str, tree: str) -> bool:
    """Whether a module is this one or below it."""
    return name == tree or name.startswith(tree + ".")


def findings() -> Iterator[str]:
    """One line for each import that goes the wrong way."""
    known = dict(modules())
    for name, path in known.items():
        own = room(name)
        where = path.relative_to(ROOT)
        if own not in ALLOWED:
            yield f"{where}: room {own} is not in the rules; add it here and to docs/architecture.md"
            continue
        for target, line in imports(name, path):
            for library, importers in IMPORTERS.items():
                if within(target, library) and name not in importers:
                    yield f"{where}:{line}: imports {library}; only {', '.join(importers)} may"
            if not target.startswith("tollkit"):
                continue
            if (
                own != "tollkit.cli"
                and own not in NOT_FROM_OUTSIDE
                and any(within(target, t) for t in NOT_FROM_OUTSIDE)
            ):
                yield f"{where}:{line}: imports {target}; nobody may import cli or sandbox"
            elif (
                target in known
                and not (within(target, own) and own != "tollkit")
                and not (target in ("tollkit", "tollkit_api") or any(within(target, tree) for tree in ALLOWED[own]))
            ):
                yield f"{where}:{line}: {own} may not import {target}"


def main() -> int:
    """Print the findings; 1 when there are any."""
    found = sorted(set(findings()))
    print("\n".join(found) or f"layout: {sum(1 for _ in modules())} modules import in one direction")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
