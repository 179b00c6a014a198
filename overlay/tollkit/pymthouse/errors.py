"""The family of everything that PymtHouse's clients and helpers raise."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, TypeVar

from tollkit.core import families
from tollkit.errors import TollkitError, brand

__all__ = ["PmtHouseError", "family", "raised", "to_pmt_house_error"]

E = TypeVar("E", bound=TollkitError)


class PmtHouseError(TollkitError):
    """An error of PymtHouse. `except PmtHouseError` catches all that its clients and helpers raise.

    Args:
        message: What happened.
        code: The platform's code.
        status: HTTP status of the answer, or the one that a server of yours should pass on; 500 if not given.
        details: What is known beyond that; the same as `body`.
        more: `body`, `hint`, `context`, `request_id`, `retryable`, `safe_to_retry`: as for `TollkitError`.
    """

    default_code: ClassVar[str | None] = "pymthouse_error"
    default_status: ClassVar[int | None] = 500

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        details: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        if details is not None:
            more["body"] = details
        super().__init__(message, code=code, status=status, **more)


def to_pmt_house_error(error: object, fallback_message: str) -> TollkitError:
    """Any error as one of PymtHouse's.

    Args:
        error: What was caught.
        fallback_message: The message when `error` has none.

    Returns:
        The same object when it is tollkit's, then also a `PmtHouseError`. Of another exception, a new
        `PmtHouseError` with its message, code `unexpected_error` and status 500, whose `__cause__` it is.
    """
    if isinstance(error, TollkitError):
        return brand(error, PmtHouseError)
    message = str(error) if isinstance(error, Exception) else ""
    made = PmtHouseError(message or fallback_message, code="unexpected_error", status=500)
    made.__cause__ = error if isinstance(error, BaseException) else None
    return made


def raised(error: E) -> E:
    """The error as one of the family, for `raise raised(ArgumentError(...))`."""
    return brand(error, PmtHouseError)


def family() -> AbstractContextManager[None]:
    """Errors of tollkit that leave the block do so as PymtHouse's, and with nothing left in the frames within it."""
    return families.family(PmtHouseError)
