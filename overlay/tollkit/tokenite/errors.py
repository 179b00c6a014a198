"""The family of everything that Tokenite's clients and helpers raise."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, ClassVar, TypeVar

from tollkit.core import families
from tollkit.errors import TollkitError, brand

if TYPE_CHECKING:
    from tollkit.tokenite.callback import CallbackFailure

__all__ = ["SignInError", "TokeniteError", "family", "raised"]

E = TypeVar("E", bound=TollkitError)


class TokeniteError(TollkitError):
    """An error of Tokenite. `except TokeniteError` catches all that its clients and helpers raise."""

    default_code: ClassVar[str | None] = "tokenite_error"


class SignInError(TokeniteError):
    """The user came back from the consent screen without a code; see `tollkit.tokenite.parse_callback`.

    Args:
        failure: What the callback said; its `reason` is the `code` of the error.
    """

    kind: ClassVar[str] = "sign_in"

    def __init__(self, failure: CallbackFailure) -> None:
        told = failure.description or failure.error
        super().__init__(
            f"The sign-in ended without a code: {failure.reason}" + (f" ({told})" if told else ""),
            code=failure.reason,
            hint="Let the user start again" if failure.reason != "user_denied" else "The user declined",
        )
        self.reason: str = failure.reason
        self.error: str | None = failure.error
        self.error_description: str | None = failure.description


def raised(error: E) -> E:
    """The error as one of the family, for `raise raised(ArgumentError(...))`."""
    return brand(error, TokeniteError)


def family() -> AbstractContextManager[None]:
    """Errors of tollkit that leave the block do so as Tokenite's, and with nothing left in the frames within it."""
    return families.family(TokeniteError)
