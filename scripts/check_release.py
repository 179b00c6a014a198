"""What a machine can say about a release, before and after it is tagged: see docs/releasing.md.

    python scripts/check_release.py            # the sources agree, the packages are sound and work when installed
    python scripts/check_release.py --tag      # and this commit is the tag of the version, with nothing uncommitted

Builds sdist and wheel, checks their metadata as a registry does, installs the wheel into a fresh environment without
extras and one with each extra (from the registry, pinned by constraints.txt), and there imports it, asks
`tollkit --version` and calls a sandbox that runs here.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import tomllib
import venv
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)

CALL = """
from tollkit import PymtHouse
with PymtHouse.from_env() as client:
    client.upsert_app_user("user-1")
    print(len(client.list_app_users().users))
"""
PROGRAMS: dict[str, str] = {
    "": CALL,
    "all": CALL,
    "oidc": """
from tollkit import PymtHouse
with PymtHouse.from_env() as client:
    print(len(client.verify_access_token(client.issue_machine_access_token().access_token).scopes) // 99 + 1)
""",
    "cli": "import tollkit.cli.app\nprint(1)",
    "fast": CALL.replace("import PymtHouse", "import Connection, PymtHouse").replace(
        "from_env()", 'from_env(connection=Connection(engine="aiohttp"))'
    ),
    "http2": CALL.replace("import PymtHouse", "import Connection, PymtHouse").replace(
        "from_env()", "from_env(connection=Connection(http2=True))"
    ),
    "redis": "from tollkit.pymthouse import RedisEtagStore\nRedisEtagStore('redis://127.0.0.1/0')\nprint(1)",
    "payments": """
from tollkit.run402 import PrivateKeySigner, SpendingPolicy, X402Payer
print(len(X402Payer(PrivateKeySigner("0x" + "1" * 64), policy=SpendingPolicy(per_call=1)).signer.address) // 42)
""",
    "rows": """
import msgspec
from tollkit import PymtHouse
with PymtHouse.from_env() as client:
    print(client.get_usage_rows(group_by="user").totals.request_count + 1)
""",
    "starlette": "import tollkit.tokenite.web.starlette\nprint(1)",
    "django": "import tollkit.tokenite.web.django\nprint(1)",
    "sandbox": """
from tollkit import PymtHouse
from tollkit.sandbox import Sandbox
with Sandbox() as sandbox, PymtHouse.from_env(sandbox.pymthouse.env()) as client:
    client.upsert_app_user("user-1")
    print(len(client.list_app_users().users))
""",
}
"""What is done where an extra is installed; each prints 1."""


def project() -> dict[str, Any]:
    """The table `project` of pyproject.toml."""
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return found


def version() -> str:
    """The version that pyproject.toml says."""
    return str(project()["version"])


def extras() -> list[str]:
    """The extras that pyproject.toml has."""
    return sorted(project()["optional-dependencies"])


def run(*command: str | Path, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> str:
    """Run a program; what it printed.

    Raises:
        SystemExit: It failed.
    """
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, cwd=cwd, env=env, timeout=600
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


# --- the sources ---------------------------------------------------------------------------------------------------


def said_by_package(text: str) -> str | None:
    """`__version__` of the package, by its source."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "__version__" for t in node.targets
        ):
            return str(ast.literal_eval(node.value))
    return None


def disagreements(version: str, package: str, changelog: str, *, tagged: bool) -> Iterator[str]:
    """One line for each place that does not say what pyproject.toml does.

    Args:
        version: What it says.
        package: The source of the package's `__init__.py`.
        changelog: The changelog.
        tagged: Whether this is the release, and not the way to it.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?", version):
        yield f"pyproject.toml: {version} is no version such as 1.2.3 or 1.2.3rc1"
    if (said := said_by_package(package)) != version:
        yield f"overlay/tollkit/__init__.py: __version__ is {said}, and pyproject.toml says {version}"
    headings = list(HEADING.finditer(changelog))
    if not headings or headings[0]["version"] != "Unreleased":
        yield "CHANGELOG.md: the first heading is not ## [Unreleased]"
        return
    released = [each for each in headings if each["version"] != "Unreleased"]
    wrong = [each["version"] for each in released if each["date"] is None]
    if wrong:
        yield f"CHANGELOG.md: {', '.join(wrong)} has no date, as in ## [{wrong[0]}] - 2026-01-31"
    if not tagged:
        return
    if not released or released[0]["version"] != version:
        yield f"CHANGELOG.md: the newest release is not {version}"
    end = headings[1].start() if len(headings) > 1 else len(changelog)
    if changelog[headings[0].end() : end].strip():
        yield f"CHANGELOG.md: what stands under [Unreleased] belongs under [{version}]"


def untagged(version: str) -> Iterator[str]:
    """One line for each reason why this commit is not the tag of the version."""
    if changed := run("git", "status", "--porcelain"):
        yield f"git: not everything is committed:\n{changed}"
    if f"v{version}" not in run("git", "tag", "--points-at", "HEAD").split():
        yield f"git: this commit has no tag v{version}"


# --- the packages --------------------------------------------------------------------------------------------------


def build(folder: Path) -> tuple[Path, Path]:
    """Build the sdist, and from it the wheel."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    [sdist], [wheel] = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def unsound(sdist: Path, wheel: Path, version: str) -> Iterator[str]:
    """One line for each thing that a registry would refuse, or that would be a shame."""
    from packaging.metadata import ExceptionGroup, InvalidMetadata, Metadata

    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        info = f"tollkit-{version}.dist-info"
        told = archive.read(f"{info}/METADATA") if f"{info}/METADATA" in names else b""
    with tarfile.open(sdist) as packed:
        member = (
            packed.extractfile(f"tollkit-{version}/PKG-INFO")
            if f"tollkit-{version}/PKG-INFO" in packed.getnames()
            else None
        )
        source = member.read() if member else b""
    if told != source:
        yield "the metadata of the wheel and of the sdist differ"
    try:
        read = Metadata.from_email(told, validate=True)
    except (InvalidMetadata, ExceptionGroup) as problem:
        causes: Iterable[Exception] = problem.exceptions if isinstance(problem, ExceptionGroup) else [problem]
        yield from (f"METADATA: {each}" for each in causes)
        return
    if str(read.version) != version:
        yield f"METADATA: the version is {read.version}"
    if read.description_content_type != "text/markdown" or not (read.description or "").startswith("# "):
        yield "METADATA: the description is not the README in Markdown"
    if f"{info}/licenses/LICENSE" not in names:
        yield "the wheel has no licence file"
    yield from (f"{package}: the wheel has no py.typed" for package in ("tollkit", "tollkit_api")
                if f"{package}/py.typed" not in names)  # fmt: skip


# --- installed -----------------------------------------------------------------------------------------------------


def installed(wheel: Path, extra: str, folder: Path) -> Path:
    """A fresh environment with the wheel and an extra, from the registry; its interpreter."""
    home = folder / (extra or "none")
    venv.create(home, with_pip=False)
    scheme = "nt" if os.name == "nt" else "posix_prefix"
    scripts = Path(sysconfig.get_path("scripts", scheme, {"base": str(home), "platbase": str(home)}))
    python = scripts / ("python.exe" if os.name == "nt" else "python")
    wanted = f"tollkit[{extra}] @ {wheel.as_uri()}" if extra else str(wheel)
    run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile"),
        *("--disable-pip-version-check", "--constraint", ROOT / "constraints.txt", wanted),
        env={**os.environ, "PIP_CONSTRAINT": ""},
    )
    return python


def failings(python: Path, extra: str, version: str, sandbox: Mapping[str, str]) -> Iterator[str]:
    """One line for each thing that does not work in an environment.

    Args:
        python: Its interpreter.
        extra: What is installed there.
        version: The version that it must be.
        sandbox: The variables of a sandbox.
    """
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LANG") if name in os.environ}
    where = f"tollkit[{extra}]" if extra else "tollkit"
    home = python.parent.parent

    def does(code: str) -> str:
        done = subprocess.run(
            [str(python), "-I", "-W", "error", "-c", code], capture_output=True, text=True, check=False, cwd=home,
            env={**kept, **sandbox},
        )  # fmt: skip
        return done.stdout.strip() if done.returncode == 0 and not done.stderr else f"{done.stdout}{done.stderr}"

    told = does("import tollkit, tollkit_api; print(tollkit.__version__, tollkit.__file__)")
    said, _, place = told.partition(" ")
    if said != version or not Path(place).is_relative_to(home):
        yield f"{where}: {told}"
    program = PROGRAMS.get(extra)
    if program is None:
        yield f"{where}: there is no program for this extra in scripts/check_release.py"
    elif (found := does(program)) != "1":
        yield f"{where}: {found}"
    command = [str(python.parent / "tollkit"), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=home, env=kept)
    has_cli = does("import importlib.util as u; print(u.find_spec('click') is not None)") == "True"
    expected = (0, f"tollkit, version {version}\n") if has_cli else (1, "")
    if (done.returncode, done.stdout) != expected or "Traceback" in done.stderr:
        yield f"{where}: tollkit --version: {done.returncode} {done.stdout}{done.stderr}"


def main() -> int:
    """Print what is wrong; 1 when anything is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tag", action="store_true", help="this commit is the release")
    parser.add_argument("--extra", action="append", help="install these extras alone ('' for none)")
    parser.add_argument("--keep", type=Path, help="leave sdist and wheel in this folder")
    given = parser.parse_args()
    now = version()
    package = (ROOT / "overlay" / "tollkit" / "__init__.py").read_text("utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    wrong = list(disagreements(now, package, changelog, tagged=given.tag))
    if given.tag:
        wrong += untagged(now)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary, "dist")
        folder.mkdir(parents=True, exist_ok=True)
        sdist, wheel = build(folder)
        wrong += unsound(sdist, wheel, now)
        from tollkit.sandbox import Sandbox

        with Sandbox() as sandbox:
            for extra in ["", *extras()] if given.extra is None else given.extra:
                print(f"tollkit[{extra}]" if extra else "tollkit", flush=True)
                python = installed(wheel.resolve(), extra, Path(temporary))
                wrong += failings(python, extra, now, sandbox.pymthouse.env())
    print("\n".join(wrong) or f"release: {now} is sound")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
