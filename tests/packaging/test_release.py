"""The check of a release finds what would make a bad one."""

from __future__ import annotations

import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tollkit.sandbox import PymtHouseSandbox

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))
import check_release as release  # noqa: E402 - a script of this repository

PACKAGE = '__version__ = "1.2.3"\n'
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-01-31\n\n### Added\n- x\n\n## [1.2.2] - 2026-01-01\n"


def found(
    version: str = "1.2.3", package: str = PACKAGE, changelog: str = CHANGELOG, *, tagged: bool = True
) -> list[str]:
    return list(release.disagreements(version, package, changelog, tagged=tagged))


def test_a_release_that_agrees() -> None:
    assert found() == []
    assert found(changelog=CHANGELOG.split("## [1.2.2]")[0]) == []


def test_this_tree_agrees() -> None:
    package = (ROOT / "overlay" / "tollkit" / "__init__.py").read_text("utf-8")
    assert found(release.version(), package, (ROOT / "CHANGELOG.md").read_text("utf-8"), tagged=False) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"version": "1.2.4"}, ["__version__ is 1.2.3", "the newest release is not 1.2.4"]),
        ({"version": "v1.2.3"}, ["no version such as", "__version__ is", "the newest release is not"]),
        ({"package": "VERSION = 1\n"}, ["__version__ is None"]),
        ({"changelog": "# Changelog\n"}, ["the first heading is not"]),
        ({"changelog": CHANGELOG.replace("## [Unreleased]\n\n", "")}, ["the first heading is not"]),
        ({"changelog": CHANGELOG.replace(" - 2026-01-31", "")}, ["1.2.3 has no date"]),
        (
            {"changelog": CHANGELOG.replace("[Unreleased]\n", "[Unreleased]\n\n### Fixed\n- y\n")},
            ["belongs under [1.2.3]"],
        ),
    ],
)
def test_a_release_that_does_not(changes: dict[str, str], told: list[str]) -> None:
    lines = found(**changes)
    assert len(lines) == len(told)
    assert all(part in line for part, line in zip(told, lines, strict=True))


def test_on_the_way_to_a_release_the_changelog_may_be_ahead() -> None:
    assert found(changelog="## [Unreleased]\n\n### Added\n- x\n", tagged=False) == []
    assert found("1.2.4", '__version__ = "1.2.4"\n', tagged=False) == []


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return release.build(tmp_path_factory.mktemp("dist"))


def test_the_packages_of_this_tree_are_sound(packages: tuple[Path, Path]) -> None:
    assert list(release.unsound(*packages, release.version())) == []


def rewritten(wheel: Path, target: Path, **changes: bytes | None) -> Path:
    """A wheel in which files, named by their last part, have other contents or are left out."""
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = changes.get(Path(name).name.replace(".", "_"), old.read(name))
            if data is not None:
                new.writestr(name, data)
    return target


def test_packages_that_are_not_sound(packages: tuple[Path, Path], tmp_path: Path) -> None:
    sdist, wheel = packages
    version = release.version()
    lines = list(release.unsound(sdist, rewritten(wheel, tmp_path / "a.whl", LICENSE=None, py_typed=None), version))
    assert lines == [
        "the wheel has no licence file",
        "tollkit: the wheel has no py.typed",
        "tollkit_api: the wheel has no py.typed",
    ]
    bad = b"Metadata-Version: 2.4\nName: tollkit\nVersion: one\nLicense-Expression: nonsense licence\n\n# x\n"
    lines = list(release.unsound(sdist, rewritten(wheel, tmp_path / "b.whl", METADATA=bad), version))
    assert lines[0] == "the metadata of the wheel and of the sdist differ"
    assert any("nonsense" in line for line in lines)
    assert any("'one' is invalid" in line for line in lines)
    lines = list(release.unsound(sdist, wheel, "9.9.9"))
    assert lines
    with tarfile.open(sdist) as archive:
        assert f"tollkit-{version}/PKG-INFO" in archive.getnames()


def test_what_is_installed_is_tried(bare: Path, pymthouse_sandbox: PymtHouseSandbox) -> None:
    version, sandbox = release.version(), pymthouse_sandbox.env()
    assert list(release.failings(bare, "", version, sandbox)) == []
    assert list(pymthouse_sandbox.app.users) == ["user-1"]
    assert any(
        "missing" in line.lower() or "optional" in line for line in release.failings(bare, "redis", version, sandbox)
    )
    assert any("no program for this extra" in line for line in release.failings(bare, "new", version, sandbox))
    assert any(version in line for line in release.failings(bare, "", "9.9.9", sandbox))
    assert any("tollkit" in line for line in release.failings(bare, "", version, {}))


def test_every_extra_is_tried() -> None:
    assert set(release.PROGRAMS) == {"", *release.extras()}


def test_a_commit_without_the_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "ROOT", tmp_path)
    git = shutil.which("git")
    assert git is not None
    # identity and settings of its own: those of the machine may sign, or have none
    for name, value in {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.com",
                        "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.com"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)

    def run(*command: str) -> str:
        return release.run(git, *command, cwd=tmp_path)

    monkeypatch.setattr(release.run, "__kwdefaults__", {**release.run.__kwdefaults__, "cwd": tmp_path})
    run("init", "--quiet")
    (tmp_path / "a").write_text("a")
    run("add", "a")
    run("commit", "--quiet", "--message", "a")
    assert list(release.untagged("1.2.3")) == ["git: this commit has no tag v1.2.3"]
    run("tag", "v1.2.3")
    assert list(release.untagged("1.2.3")) == []
    (tmp_path / "b").write_text("b")
    [line] = release.untagged("1.2.3")
    assert line.startswith("git: not everything is committed:\n?? b")
