"""`make bench`; see scripts/bench/main.py."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # the project's folder in place of this one, whose modules must not hide those of others
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from scripts.bench.main import main

    sys.exit(main())
