"""Errors of a platform's helpers as members of its family; the clients' drivers do the same for calls."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager

from tollkit.core.tracebacks import forget_locals
from tollkit.errors import TollkitError, brand

__all__ = ["family"]


@contextmanager
def family(base: type[TollkitError]) -> Generator[None]:
    """Errors of tollkit that leave the block are also of class `base`; the frames within it are emptied."""
    handled = sys.exception()
    try:
        yield
    except TollkitError as error:
        brand(error, base)
        forget_locals(error, handled)
        raise
