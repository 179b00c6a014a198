"""Folders of generated files: their contents, their differences, and putting one in place of another."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["differences", "read", "replace"]

SHOWN_LINES = 12


def read(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its path there, without what Python leaves behind when it runs."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }


def replace(folder: Path, files: Mapping[str, bytes]) -> tuple[int, int]:
    """Make a folder hold these files and no others; those that are right already are not touched.

    Returns:
        How many files were written, and how many removed.
    """
    current = read(folder) if folder.exists() else {}
    written = 0
    for name, content in files.items():
        if current.get(name) != content:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            written += 1
    removed = current.keys() - files.keys()
    for name in removed:
        (folder / name).unlink()
    for parent in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
        if not any(path.name != "__pycache__" for path in parent.iterdir()):
            for left in parent.rglob("*"):
                if left.is_file():
                    left.unlink()
            for left in [*parent.iterdir(), parent]:
                left.rmdir()
    return written, len(removed)


def differences(expected: Mapping[str, bytes], found: Mapping[str, bytes]) -> Iterator[str]:
    """What is wrong with `found`, a line or a few for each file."""
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            yield f"missing: {name}"
        elif name not in expected:
            yield f"not generated: {name}"
        elif expected[name] != found[name]:
            yield f"differs: {name}"
            lines = difflib.unified_diff(
                found[name].decode("utf-8", "replace").splitlines(),
                expected[name].decode("utf-8", "replace").splitlines(),
                "as it is",
                "as generated",
                lineterm="",
                n=0,
            )
            for number, line in enumerate(lines):
                if number == SHOWN_LINES:
                    yield "    ..."
                    break
                yield f"    {line}"
