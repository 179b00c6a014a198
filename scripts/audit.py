"""What tollkit depends on: its licences, its pins, and what is known against it.

* **licences** of what `pip install 'tollkit[all]'` brings: those of `ALLOWED` pass, any other and any unknown one
  fails. `docs/licences.md` is written from them (`--write`) and compared.
* **pins**: each line of the constraints is one exact version, which is installed and which `pyproject.toml` takes.
* **advisories**: pip-audit over all pins. Before, it is asked about an old version that is known to be vulnerable:
  where even that is not found, no database can be reached, and the audit is left out with a word, and passes nothing.

Licences are read by pip-licenses, expressions by license-expression, advisories by pip-audit.
"""

from __future__ import annotations

import functools
import importlib
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"
PINS = ("constraints.txt", "constraints-generate.txt", "constraints-oracles.txt")

ALLOWED = frozenset(
    {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "PSF-2.0", "Unlicense", "Zlib"}
)
"""Licences that ask for no more than a notice (SPDX)."""
ALLOWED_FOR = {"certifi": ("MPL-2.0", "a list of certificates, used as it is; its own files alone are under it")}
"""Licences that are allowed for one package, with the reason."""
READ_BY_HAND = {
    "aiohappyeyeballs": "PSF-2.0",
    "pycryptodome": "BSD-2-Clause AND Unlicense",  # parts are in the public domain
    "sqlparse": "BSD-3-Clause",
}
"""Where metadata name no licence of SPDX, what the file in the package says."""
SPELLINGS = {
    "Apache 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
}
"""What metadata mean by texts that are no SPDX expressions and that can mean one thing alone."""
IGNORED: dict[str, str] = {}
"""Advisories that do not concern tollkit, by id, with the reason."""
KNOWN_BAD = "jinja2==2.4.1"
"""A version with advisories of 2014 and later, which every database has."""

Run = Callable[[list[str]], "subprocess.CompletedProcess[str]"]
Pinned = Mapping[str, str]


def project() -> dict[str, Any]:
    """`pyproject.toml`."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a module of this environment."""
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False, timeout=300)


# --- what is needed ------------------------------------------------------------------------------------------------


def needed(names: Iterable[str], extra: str = "") -> Iterator[Requirement]:
    """What distributions need on this machine, themselves included, as far as they are installed."""
    pending = [Requirement(name) for name in names]
    seen: set[tuple[str, frozenset[str]]] = set()
    while pending:
        wanted = pending.pop()
        key = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if key in seen:
            continue
        seen.add(key)
        yield wanted
        try:
            texts = distribution(wanted.name).requires or []
        except PackageNotFoundError:
            continue
        for text in texts:
            more = Requirement(text)
            if more.marker is None or any(more.marker.evaluate({"extra": each}) for each in (extra, *wanted.extras)):
                pending.append(more)


def brought_by() -> dict[str, set[str]]:
    """Each distribution that `tollkit[all]` brings, with the extras that bring it; `""` is no extra."""
    told = project()["project"]
    found: dict[str, set[str]] = {}
    extras = {name: texts for name, texts in told["optional-dependencies"].items() if name != "all"}
    for extra, texts in [("", told["dependencies"]), *extras.items()]:
        for each in needed(texts):
            name = canonicalize_name(each.name)
            if name != "tollkit":
                found.setdefault(name, set()).add(extra)
    return {name: {""} if "" in extras else extras for name, extras in sorted(found.items())}


# --- licences ------------------------------------------------------------------------------------------------------


@functools.cache
def licensing() -> Any:
    """The licences of SPDX."""
    return _library().get_spdx_licensing()


def _library() -> Any:
    return importlib.import_module("license_expression")  # it has no types


def read(text: str) -> Any:
    """A licence expression, if all its licences are of SPDX; `None` else."""
    try:
        return licensing().parse(SPELLINGS.get(text, text), validate=True)
    except _library().ExpressionError:
        return None


def accepts(expression: Any, allowed: frozenset[str]) -> bool:
    """Whether a licence expression can be met with the allowed licences alone."""
    kind = type(expression).__name__
    if kind == "AND":
        return all(accepts(each, allowed) for each in expression.args)
    if kind == "OR":
        return any(accepts(each, allowed) for each in expression.args)
    return str(expression) in allowed


def licence_of(told: Mapping[str, str]) -> str | None:
    """The licence of a distribution by what pip-licenses found of it: an SPDX expression, or `None`."""
    for source in ("License-Expression", "License-Metadata", "License-Classifier"):
        found = read(told[source]) if len(told[source]) < 80 and told[source] != "UNKNOWN" else None
        if found is not None:
            return str(found)
    return READ_BY_HAND.get(canonicalize_name(told["Name"]))


def licences(run: Run = run) -> tuple[dict[str, str | None], list[str]]:
    """The licence of each distribution that `tollkit[all]` brings, and what is wrong with them."""
    names = brought_by()
    listed = json.loads(
        run(["piplicenses", "--from=all", "--format=json", "--with-system", "--packages", *names]).stdout
    )
    by_name = {canonicalize_name(each["Name"]): licence_of(each) for each in listed}
    found = {name: by_name.get(canonicalize_name(name)) for name in names}
    return found, list(judged(found))


def judged(found: Mapping[str, str | None]) -> Iterator[str]:
    """One line for each licence that is not allowed."""
    for name, licence in found.items():
        allowed = ALLOWED | {ALLOWED_FOR[name][0]} if name in ALLOWED_FOR else ALLOWED
        if licence is None:
            yield f"{name}: its licence is not known; read it, and name it in READ_BY_HAND of scripts/audit.py"
        elif not accepts(read(licence), allowed):
            yield f"{name}: {licence} is not among the allowed licences"
    yield from (f"{name}: allowed, and not needed any more" for name in ALLOWED_FOR if name not in found)


def page(found: Mapping[str, str | None]) -> str:
    """`docs/licences.md`."""
    rows = "\n".join(
        f"| {name} | {found[name]} | {', '.join(sorted(extras)) or '(always)'} |"
        for name, extras in ((name, {each for each in told if each}) for name, told in brought_by().items())
    )
    exceptions = "\n".join(f"* {name}: {licence}. It is {reason}." for name, (licence, reason) in ALLOWED_FOR.items())
    return f"""# Licences

tollkit is under the MIT licence. This is what `pip install 'tollkit[all]'` brings on Linux with CPython 3.11, with
the licence that each names in its metadata and the extras that bring it. `make check` compares the table with what
is installed, and fails for a licence that asks for more than a notice, or that nobody knows.

| distribution | licence (SPDX) | brought by |
| --- | --- | --- |
{rows}

Allowed are {", ".join(sorted(ALLOWED))}.
For one package each:

{exceptions}
"""


def outdated(found: Mapping[str, str | None]) -> list[str]:
    """Whether the page differs. Other machines need other distributions: it is compared on its own kind alone."""
    if (sys.platform, sys.version_info[:2]) != ("linux", (3, 11)):
        return []
    same = PAGE.exists() and PAGE.read_text("utf-8") == page(found)
    return [] if same else ["docs/licences.md is not what is installed: python scripts/audit.py --write"]


# --- pins ----------------------------------------------------------------------------------------------------------


def pins(path: Path) -> tuple[dict[str, str], list[str]]:
    """The versions that a file of constraints pins, and what is wrong with its lines."""
    found: dict[str, str] = {}
    wrong: list[str] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!+_-]+)", line)
        name = canonicalize_name(match[1]) if match else ""
        if match is None:
            wrong.append(f"{path.name}:{number}: {line!r} is no name==version")
        elif name in found:
            wrong.append(f"{path.name}:{number}: {name} is pinned twice")
        else:
            found[name] = match[2]
    return found, wrong


def unfit(pinned: Pinned, requirements: Iterable[Requirement], where: str) -> Iterator[str]:
    """One line for each requirement that its pin does not meet."""
    for wanted in requirements:
        version = pinned.get(canonicalize_name(wanted.name))
        if version is not None and not wanted.specifier.contains(version, prereleases=True):
            yield f"{where}: {wanted} is asked for, and {version} is pinned"


def unpinned(pinned: Pinned) -> Iterator[str]:
    """One line for each distribution that `make setup` installs in another version than is pinned, or in any."""
    told = project()
    wanted = [*told["project"]["dependencies"], *told["dependency-groups"]["dev"], "tollkit[all]"]
    for name in sorted({canonicalize_name(each.name) for each in needed(wanted)} - {"tollkit"}):
        try:
            installed = distribution(name).version
        except PackageNotFoundError:
            yield f"{name} is needed and not installed; make setup"
            continue
        if name not in pinned:
            yield f"constraints.txt: {name} is installed as {installed} and not pinned"
        elif pinned[name] != installed:
            yield f"constraints.txt: {name} is pinned to {pinned[name]}, and {installed} is installed; make setup"


def check_pins() -> tuple[dict[str, dict[str, str]], list[str]]:
    """All pins, and what is wrong with them."""
    found: dict[str, dict[str, str]] = {}
    wrong: list[str] = []
    for name in PINS:
        found[name], problems = pins(ROOT / name)
        wrong += problems
    told = project()
    extras = [text for texts in told["project"]["optional-dependencies"].values() for text in texts]
    asked = [*told["project"]["dependencies"], *extras]
    groups = told["dependency-groups"]
    for name, texts in (("constraints.txt", groups["dev"]), ("constraints-oracles.txt", groups["oracles"])):
        wrong += unfit(found[name], map(Requirement, [*asked, *texts]), name)
    return found, [*wrong, *unpinned(found["constraints.txt"])]


# --- advisories ----------------------------------------------------------------------------------------------------


def asked(lines: Iterable[str], run: Run) -> list[dict[str, Any]] | None:
    """What pip-audit knows of pinned versions; `None` when it could not ask."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        options = ["--no-deps", "--disable-pip", "--progress-spinner=off", "--timeout=10", "--format=json"]
        done = run(["pip_audit", "--requirement", file.name, *options])
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return None
    return found


def vulnerable(found: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Name and version, id of the advisory, and the versions that mend it."""
    for each in found:
        for told in each.get("vulns", ()):
            yield f"{each['name']} {each['version']}", told["id"], ", ".join(told["fix_versions"]) or "none yet"


def advisories(pinned: Mapping[str, Pinned], run: Run = run) -> tuple[str, list[str]]:
    """What there is to say about the audit, and what was found."""
    known = asked([KNOWN_BAD], run)
    if known is None or not any(vulnerable(known)):
        return "audit left out: no advisory database reachable", []
    lines = sorted({f"{name}=={version}" for versions in pinned.values() for name, version in versions.items()})
    found: list[dict[str, Any]] = []
    for group in _without_twins(lines):
        answer = asked(group, run)
        if answer is None:
            return "audit failed", ["pip-audit could not read the pins, though it can reach its database"]
        found += answer
    wrong = [f"{what}: {name}; mended in {fixed}" for what, name, fixed in vulnerable(found) if name not in IGNORED]
    wrong += [
        f"{each['name']}: could not be audited: {each['skip_reason']}" for each in found if "skip_reason" in each
    ]
    met = {name for _, name, _ in vulnerable(found)}
    wrong += [
        f"{name} is ignored, and is found no more; take it out of IGNORED" for name in IGNORED if name not in met
    ]
    return f"{len(lines)} pinned versions audited", wrong


def _without_twins(lines: list[str]) -> list[list[str]]:
    """The pins in groups that have each name once, as requirements must."""
    groups: list[dict[str, str]] = []
    for line in lines:
        name = line.partition("==")[0]
        if all(name in each for each in groups):
            groups.append({})
        next(each for each in groups if name not in each)[name] = line
    return [list(group.values()) for group in groups]


def main() -> int:
    """Print what is wrong; 1 when anything is."""
    found, wrong = licences()
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page(found), "utf-8")
        return 0
    wrong += outdated(found)
    pinned, problems = check_pins()
    audited, advised = advisories(pinned)
    wrong += [*problems, *advised]
    print(
        "\n".join(wrong)
        or f"licences: {len(found)} distributions, all allowed; pins: {sum(map(len, pinned.values()))}"
    )
    print(f"advisories: {audited}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
