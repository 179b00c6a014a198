"""Write generated/ from specs/ (`make generate`); with `--check`, tell whether it is up to date."""

from __future__ import annotations

import sys

from generator.main import main

if __name__ == "__main__":
    sys.exit(main())
