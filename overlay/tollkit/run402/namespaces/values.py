"""Checks of what callers pass to the namespaces."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from tollkit.core.arguments import required_text
from tollkit.errors import ArgumentError

__all__ = ["texts"]


def texts(name: str, value: object) -> list[str]:
    """A list of texts.

    Raises:
        ArgumentError: It is something else, such as one text.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise ArgumentError(name, "must be a list of texts")
    return [required_text(name, item) for item in cast("Iterable[object]", value)]
