"""Runs every Python snippet of README.md and docs/ against a sandbox, each page in a process of its own.

    python scripts/check_docs.py                        all pages, two at a time
    python scripts/check_docs.py docs/run402/start.md   these pages

The snippets of a page run in order and share their names, as a reader types them. A snippet that cannot run
(it needs a framework, say) is marked ```python no-run; those are compiled all the same.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^(?P<indent> *)```python(?P<how>[^\n]*)\n(?P<code>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL)
AT_ONCE = 2
SECONDS = 300
PRELUDE = """
import asyncio, builtins, inspect, os, types, warnings
warnings.simplefilter("error")
from tollkit.sandbox import Sandbox
_sandbox = Sandbox()
_sandbox.start()
_sandbox.pymthouse.demo_data()
_sandbox.tokenite.demo_data()
_sandbox.run402.demo_data()
os.environ.update({**_sandbox.pymthouse.env(), **_sandbox.tokenite.env(), **_sandbox.run402.env()})
os.environ["RUN402_CONFIG_DIR"] = os.path.abspath("run402")  # never the keys and the wallet of who runs this
_names = {"__name__": "__main__", "__builtins__": builtins}
_loop = asyncio.new_event_loop()

def exec_snippet(code, where):
    made = compile(code, where, "exec", flags=0x2000)  # top-level await allowed, as in an asyncio REPL
    result = types.FunctionType(made, _names)()
    if inspect.iscoroutine(result):
        _loop.run_until_complete(result)
"""
EPILOGUE = """
_loop.run_until_complete(_loop.shutdown_asyncgens())
_loop.close()
_sandbox.stop()
"""


@attrs.frozen
class Outcome:
    """How a page's snippets fared; `trouble` is empty when all went well."""

    page: Path
    ran: int
    compiled_only: int
    seconds: float
    trouble: str

    def __str__(self) -> str:
        where = self.page.relative_to(ROOT) if self.page.is_relative_to(ROOT) else self.page
        only = f", {self.compiled_only} compiled only" if self.compiled_only else ""
        verdict = "FAILED" if self.trouble else "ok"
        return f"docs: {where}: {self.ran} snippets run{only}: {verdict} ({self.seconds:.1f} s)"


def program(page: Path) -> tuple[str, int, int]:
    """The page's snippets as one program, how many it runs, and how many are compiled only.

    Raises:
        SyntaxError: A snippet is no Python; names page and line.
    """
    parts = [PRELUDE]
    text = page.read_text("utf-8")
    ran = left_out = 0
    for found in FENCE.finditer(text):
        code = textwrap.dedent(found["code"])
        line = text[: found.start()].count("\n") + 1
        padded = "\n" * line + code
        compile(padded, str(page), "exec", flags=0x2000)  # PyCF_ALLOW_TOP_LEVEL_AWAIT
        if "no-run" in found["how"]:
            left_out += 1
        else:
            ran += 1
            parts.append(f"exec_snippet({padded!r}, {str(page)!r})\n")
    return "\n".join([*parts, EPILOGUE]), ran, left_out


def run(page: Path) -> Outcome:
    """Run a page's snippets in a process and a folder of their own."""
    began = time.monotonic()
    try:
        source, ran, left_out = program(page)
    except SyntaxError as problem:
        return Outcome(page, 0, 0, 0.0, f"{problem.filename}:{problem.lineno}: {problem.msg}")
    if not ran:
        return Outcome(page, 0, left_out, 0.0, "")
    with tempfile.TemporaryDirectory() as folder:  # snippets may write files
        try:
            done = subprocess.run(
                [sys.executable, "-c", source],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            return Outcome(page, ran, left_out, float(SECONDS), f"not done after {SECONDS} seconds")
    trouble = f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}" if done.returncode else ""
    return Outcome(page, ran, left_out, time.monotonic() - began, trouble)


def pages(named: list[str]) -> list[Path]:
    """The named pages, or all of them.

    Raises:
        SystemExit: A named page is not there.
    """
    if not named:
        return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = [Path(name).resolve() for name in named]
    for page in found:
        if not page.is_file():
            raise SystemExit(f"docs: there is no page {page}")
    return found


def main() -> int:
    """Run pages, two at a time; 1 when a snippet fails."""
    failed = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in as_completed([pool.submit(run, page) for page in pages(sys.argv[1:])]):
            outcome = done.result()
            if outcome.ran or outcome.compiled_only or outcome.trouble:
                print(outcome, flush=True)
            if outcome.trouble:
                failed += 1
                print(outcome.trouble, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
