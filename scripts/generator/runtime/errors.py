"""What generated code raises.

ApiError
 +-- UnexpectedStatus   the platform answered with a status that is no success of this operation
 +-- DecodeError        the answer is not what the platform's document says (also a ValueError)
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .operation import Operation

__all__ = ["ApiError", "DecodeError", "UnexpectedStatus"]


class ApiError(Exception):
    """Base of everything that generated code raises about an answer."""


def _answered(operation: Operation | None, status_code: int) -> str:
    name = f"{operation.id} ({operation.method} {operation.path})" if operation else "the server"
    try:
        phrase = f" {HTTPStatus(status_code).phrase}"
    except ValueError:  # a status of a proxy's own, such as 520
        phrase = ""
    return f"{name} answered {status_code}{phrase}"


class UnexpectedStatus(ApiError):
    """The answer is an error, or has a status that the platform's document does not know.

    Attributes:
        status_code: HTTP status.
        content: the body as it came; neither `str()` nor `repr()` shows it.
        headers: header fields.
        parsed: the body as the error type of the document, or None if it is none (an HTML page, say).
        operation: the operation that was called.
    """

    def __init__(
        self,
        status_code: int,
        content: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        parsed: Any = None,
        operation: Operation | None = None,
    ) -> None:
        super().__init__(status_code)  # alone: repr() shows the arguments, and a body may hold secrets
        self.status_code = status_code
        self.content = content
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self.parsed = parsed
        self.operation = operation

    def __str__(self) -> str:
        hint = self.operation.hints.get(self.status_code) if self.operation else None
        answered = _answered(self.operation, self.status_code)
        return f"{answered}: {hint}" if hint else answered


class DecodeError(ApiError, ValueError):
    """The document is not of the shape that was promised.

    Attributes:
        expected: what should stand there.
        got: what stands there: a JSON type, never the value.
        status_code: HTTP status of the answer; None when no answer was decoded but a plain mapping.
        preview: the first 200 characters of the body, with everything masked that looks like a secret.
        operation: the operation that was called, or None.
    """

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(expected, got)
        self.expected = expected
        self.got = got
        self.status_code: int | None = None
        self.preview = ""
        self.operation: Operation | None = None
        self._steps: list[str | int] = []

    def at(self, step: str | int) -> Self:
        """The same error, seen from one level further out: `step` is the key or index it happened under."""
        self._steps.append(step)
        return self

    @property
    def depth(self) -> int:
        """How many steps below the document itself the trouble is."""
        return len(self._steps)

    @property
    def path(self) -> str:
        """Where in the document: "$.byUser[17].requestCount"."""
        parts = ["$"]
        for step in reversed(self._steps):
            if isinstance(step, int):
                parts.append(f"[{step}]")
            elif step.isidentifier():
                parts.append(f".{step}")
            else:
                parts.append(f"[{step!r}]")
        return "".join(parts)

    def __str__(self) -> str:
        problem = f"{self.path}: expected {self.expected}, got {self.got}"
        if self.status_code is None:
            return problem
        return f"{_answered(self.operation, self.status_code)} with a body that cannot be read: {problem}"
