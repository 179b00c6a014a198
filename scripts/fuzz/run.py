"""Look for inputs that break a parser, guided by the code that they reach (atheris, libFuzzer).

    python scripts/fuzz/run.py                    # every target, FUZZ_SECONDS (30) each
    python scripts/fuzz/run.py callback token     # these

The targets are tests/fuzz/targets.py. An input that breaks one is kept in tests/fuzz/found/<target>/, where the tests
find it; what reaches new code is kept in build/fuzz/<target>/ for the next run. Exit code 1 when anything was found.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests" / "fuzz"
SECONDS = int(os.environ.get("FUZZ_SECONDS", "30"))
LONGEST = 4096
"""Bytes of an input; everything that is nested or repeated shows in fewer."""


HOSTILE = {
    *(b"NaN", b"Infinity", b"1e999", b"-1", b"-0", b"0.5", b"1e22", b"99999999999999999999", b"1_0"),
    *(b"null", b"true", b"[]", b"{}", b'""', b"[[[[[[[[", b'"\\ud800"', b"\xff", b"\0", b"\xef\xbb\xbf", b"\xd9\xa3"),
    *(b"../", b"//", b"\\", b"%00", b"%2e%2e", b"%ff", b"@", b"#", b"\r\n", b"\n--\n", b"\xe2\x80\xa8"),
    *(b"__proto__", b"constructor", b"__class__"),
}


def fuzz(name: str) -> None:
    """Fuzz one target; libFuzzer ends the process."""
    logging.disable()  # the targets tell of each broken file
    atheris: Any = import_module("atheris")
    sys.path.insert(0, str(TESTS))
    with atheris.instrument_imports(include=["tollkit", "tollkit_api"]):
        target: Any = import_module("targets").target(name)

    found, kept = TESTS / "found" / name, ROOT / "build" / "fuzz" / name
    for folder in (found, kept):
        folder.mkdir(parents=True, exist_ok=True)
    arguments = [
        f"-max_total_time={SECONDS}",
        f"-max_len={LONGEST}",
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        f"-artifact_prefix={found}/",
        f"-dict={_words(name)}",
        str(kept),
        str(TESTS / "corpus" / name),
    ]
    atheris.Setup([sys.argv[0], *arguments, str(found)], target)
    atheris.Fuzz()


def _words(name: str) -> Path:
    """A file with the words of the seeds and what hostile texts have, from which the fuzzer makes inputs."""
    seeds = b"\n".join(path.read_bytes() for path in sorted((TESTS / "corpus" / name).iterdir()))
    words = sorted({*re.findall(rb"[\w./:@-]{2,40}", seeds)} | HOSTILE)
    path = ROOT / "build" / "fuzz" / f"{name}.dict"
    path.write_text("".join('"' + "".join(f"\\x{sign:02x}" for sign in word) + '"\n' for word in words))
    return path


def main(names: list[str]) -> int:
    """Fuzz these targets, each in a process of its own, and print a line for each."""
    broken = 0
    print(f"{'target':<16}{'runs':>10}{'edges':>8}{'inputs':>8}  outcome")
    for name in names or sorted(path.name for path in (TESTS / "corpus").iterdir()):
        done = subprocess.run([sys.executable, __file__, "--one", name], check=False, capture_output=True, text=True)
        told = done.stdout + done.stderr
        progress = re.findall(r"cov: (\d+) ft: \d+ corp: (\d+)/", told)
        edges, inputs = progress[-1] if progress else ("-", "-")
        runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", told)
        outcome = "ok" if done.returncode == 0 else "FOUND"
        print(f"{name:<16}{runs[1] if runs else '-':>10}{edges:>8}{inputs:>8}  {outcome}", flush=True)
        if done.returncode:
            broken += 1
            print("\n".join(told.splitlines()[-40:]), flush=True)
    for folder in (TESTS / "found").iterdir():
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return 1 if broken else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        fuzz(sys.argv[2])
    sys.exit(main(sys.argv[1:]))
