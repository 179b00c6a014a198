"""Raw answers, for callers who need the status, headers or body beside the parsed result."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import attrs

from tollkit_api.runtime.json_text import json_value

__all__ = ["Answer", "Raw"]

T = TypeVar("T")


@attrs.frozen
class Answer:
    """One HTTP answer as it came."""

    status: int
    """HTTP status."""
    headers: Mapping[str, str] = attrs.field(repr=lambda headers: f"<{len(headers)} headers>")
    """Headers; names are looked up without regard to case."""
    content: bytes = attrs.field(repr=lambda content: f"<{len(content)} bytes>")
    """The decoded body."""
    method: str
    """HTTP method of the request."""
    url: str
    """Address of the request, without its query."""

    @property
    def text(self) -> str:
        """The body as UTF-8 text; bytes that are no text become U+FFFD."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON, `None` when it is none."""
        with contextlib.suppress(ValueError):
            return json_value(self.content)
        return None


@attrs.frozen
class Raw(Generic[T]):
    """A result with every HTTP answer that led to it, in order of arrival."""

    result: T
    answers: tuple[Answer, ...]

    @property
    def last(self) -> Answer | None:
        """The last answer; `None` when the call needed no request."""
        return self.answers[-1] if self.answers else None

    @property
    def status(self) -> int | None:
        """Status of the last answer."""
        return self.last.status if self.last else None

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the last answer."""
        return self.last.headers if self.last else {}

    @property
    def content(self) -> bytes:
        """Body of the last answer."""
        return self.last.content if self.last else b""
