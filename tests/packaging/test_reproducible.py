"""Who builds tollkit gets the same bytes, wherever and whenever, so that what is published can be checked."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("overlay", "generated", "specs", "examples", "docs")
FILES = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore")
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*_cache", "*.pyc", "node_modules", "site")


def clone(target: Path, umask: int, changed_at: int) -> Path:
    """A copy of the sources as somebody else has them: other place, other rights, other times."""
    before = os.umask(umask)
    try:
        target.mkdir(parents=True)
        for name in SOURCES:
            shutil.copytree(ROOT / name, target / name, ignore=LEFT_OUT, copy_function=shutil.copyfile)
        for name in FILES:
            shutil.copyfile(ROOT / name, target / name)
    finally:
        os.umask(before)
    for path in target.rglob("*"):
        os.utime(path, (changed_at, changed_at))
    return target


def clone_names(folder: Path) -> set[Path]:
    """The files of a folder that are sources."""
    found: set[Path] = set()
    for place, folders, names in os.walk(folder):
        ignored = LEFT_OUT(place, [*folders, *names])
        folders[:] = [name for name in folders if name not in ignored]
        found |= {(Path(place) / name).relative_to(folder) for name in names if name not in ignored}
    return found


def build(source: Path, target: Path, *kinds: str, **environment: str) -> dict[str, str]:
    """Build what is asked for; the names of the files with their hashes."""
    target.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "SOURCE_DATE_EPOCH")}
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", str(target), str(source)],
        check=True,
        capture_output=True,
        env={**kept, **environment},
    )
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(target.iterdir())}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    home = tmp_path_factory.mktemp("first")
    source = clone(home / "tollkit", 0o022, 1_700_000_000)
    return home / "dist", build(source, home / "dist", "--sdist", "--wheel", TZ="UTC")


def test_two_builds_are_the_same(first: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    source = clone(tmp_path / "at another" / "place", 0o077, 1_000_000_000)
    other = build(source, tmp_path / "dist", "--sdist", "--wheel", TZ="Asia/Tokyo", PYTHONHASHSEED="7", LC_ALL="C")
    assert other == first[1]
    assert sorted(Path(name).suffix for name in other) == [".gz", ".whl"]


def test_the_sdist_gives_the_same_wheel(first: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, made = first
    [packed] = folder.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    [source] = (tmp_path / "source").iterdir()
    [(name, digest)] = build(source, tmp_path / "dist", "--wheel").items()
    assert made[name] == digest


def test_the_sdist_has_the_sources_and_nothing_else(first: tuple[Path, dict[str, str]]) -> None:
    [packed] = first[0].glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        members = archive.getmembers()
    paths = {Path(*Path(member.name).parts[1:]) for member in members}
    expected = {Path(name) for name in FILES} | {Path("PKG-INFO")}
    for name in SOURCES:
        expected |= {Path(name) / path for path in clone_names(ROOT / name)}
    assert paths == expected
    assert {member.mode & 0o777 for member in members} <= {0o644, 0o755}
    assert {(member.uid, member.gid, member.uname, member.gname) for member in members} == {(0, 0, "", "")}
