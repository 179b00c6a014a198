"""Public names are pinned: prints what was added to or taken from `scripts/public_names.txt`.

`--write` renews the file; a name that goes is a breaking change and belongs in CHANGELOG.md.
"""

from __future__ import annotations

import ast
import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PINNED = ROOT / "scripts" / "public_names.txt"


def public_names() -> Iterator[str]:
    """Every name in the `__all__` of a module of overlay/, and every public method of the classes among them."""
    for path in sorted((ROOT / "overlay").rglob("*.py")):
        parts = path.relative_to(ROOT / "overlay").with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        tree = ast.parse(path.read_text("utf-8"))
        listed: set[str] = set()
        for node in tree.body:
            if isinstance(node, ast.Assign) and any(
                isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets
            ):
                listed.update(ast.literal_eval(node.value))
        yield from (f"{module}.{name}" for name in listed)
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name in listed:
                for item in node.body:
                    if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)) and not item.name.startswith("_"):
                        yield f"{module}.{node.name}.{item.name}"


def main() -> int:
    """Compare, or write with `--write`; 1 when they differ."""
    now = sorted(set(public_names()))
    if "--write" in sys.argv[1:]:
        PINNED.write_text("\n".join(now) + "\n", "utf-8")
        return 0
    before = PINNED.read_text("utf-8").splitlines() if PINNED.exists() else []
    changes = [line for line in difflib.ndiff(before, now) if line[0] in "+-"]
    print("\n".join(changes) or f"names: {len(now)} public names as pinned")
    if changes:
        print("public names changed; if that is meant: python scripts/check_names.py --write, and tell CHANGELOG.md")
    return 1 if changes else 0


if __name__ == "__main__":
    sys.exit(main())
