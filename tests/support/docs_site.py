"""The documentation site, built once for all workers of a run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import attrs
from filelock import FileLock

ROOT = Path(__file__).parents[2]
SECONDS = 580
"""For the build; tests that wait for it are marked with a longer time-out."""
READY = os.environ.get("TOLLKIT_DOCS_SITE")
"""A folder with a site that is built already, for people who change the tests of it."""


@attrs.frozen
class Site:
    """A built site: where it is, and what its build said."""

    folder: Path
    log: str
    status: int

    def pages(self) -> dict[str, str]:
        """Path and HTML of every page."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_text("utf-8")
            for path in sorted(self.folder.rglob("*.html"))
        }


def build(base: Path) -> Site:
    """The site below a folder that may be shared by several processes, built by the first of them."""
    if READY:
        return Site(Path(READY), "", 0)
    folder, told = base / "docs-site", base / "docs-site.txt"
    with FileLock(base / "docs-site.lock"):
        if not told.exists():
            done = subprocess.run(
                [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
                cwd=ROOT,
                env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=SECONDS,
            )
            told.write_text(f"{done.returncode}\n{done.stdout}", "utf-8")
        status, _, log = told.read_text("utf-8").partition("\n")
    return Site(folder, log, int(status))
