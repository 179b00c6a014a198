"""The command `tollkit` (extra `cli`)."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command; says what to install when the extra is missing."""
    try:
        from tollkit.cli.app import app
    except ImportError as missing:
        sys.exit(f"tollkit: {missing}\nThe command needs: pip install 'tollkit[cli]'")
    app()
