"""Runs every Python snippet of README.md and docs/ against a sandbox, each page in a process of its own.

The snippets of a page run in order and share their names, as a reader types them. A snippet that cannot run
(it needs a framework, say) is marked ```python no-run; those are compiled all the same.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^(?P<indent> *)```python(?P<how>[^\n]*)\n(?P<code>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL)
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


def program(page: Path) -> tuple[str, int]:
    """The page's snippets as one program, and their number."""
    parts = [PRELUDE]
    text = page.read_text("utf-8")
    snippets = list(FENCE.finditer(text))
    for found in snippets:
        code = textwrap.dedent(found["code"])
        line = text[: found.start()].count("\n") + 1
        padded = "\n" * line + code
        where = f"{page.relative_to(ROOT)}"
        compile(padded, where, "exec", flags=0x2000)  # PyCF_ALLOW_TOP_LEVEL_AWAIT
        if "no-run" not in found["how"]:
            parts.append(f"exec_snippet({padded!r}, {where!r})\n")
    return "\n".join([*parts, EPILOGUE]), len(snippets)


def main() -> int:
    """Run all pages; 1 when a snippet fails."""
    failed = 0
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        source, count = program(page)
        if not count:
            continue
        with tempfile.TemporaryDirectory() as folder:  # snippets may write files
            done = subprocess.run(
                [sys.executable, "-c", source],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
        print(f"docs: {page.relative_to(ROOT)}: {count} snippets {'run' if done.returncode == 0 else 'FAILED'}")
        if done.returncode:
            failed += 1
            print(done.stdout[-2000:], done.stderr[-4000:], sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
