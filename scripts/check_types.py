"""Every public symbol has a full type: `pyright --verifytypes tollkit` must say 100 %."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any


def main() -> int:
    """Print what lacks a type; 1 when anything does."""
    # verifytypes looks for the package on the path of an interpreter that it starts itself
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--verifytypes", "tollkit", "--ignoreexternal", "--outputjson"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    report: dict[str, Any] = json.loads(done.stdout)["typeCompleteness"]
    score: float = report["completenessScore"]
    for symbol in report["symbols"]:
        if symbol["isExported"] and not symbol["isTypeKnown"]:
            told = "; ".join(str(item["message"]).splitlines()[0] for item in symbol.get("diagnostics", []))
            print(f"{symbol['name']}: {told}")
    print(f"types: {score:.1%} of the public symbols have a full type")
    return 0 if score == 1.0 else 1


if __name__ == "__main__":
    sys.exit(main())
