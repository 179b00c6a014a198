"""The address of the consent screen. Pure: nothing is sent.

Source: Tokenite's authorize page; RFC 6749 sections 3.1.2 and 4.1.1; WHATWG URL for the encoding of the query.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Literal, cast

import attrs

from tollkit.core.arguments import required_text
from tollkit.core.weburl import parse_http_url
from tollkit.errors import ArgumentError
from tollkit.tokenite import addresses
from tollkit.tokenite.errors import family
from tollkit.tokenite.state import new_state
from tollkit_api.runtime.encode import form

__all__ = ["AuthorizeRequest", "authorize_request"]

# The last two are words of the platform's own client, which knows them by these names or by no name on the wire.
_MODES = {"popup": "popup", "iframe": "iframe", "window": "popup", "redirect": None}

_NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


@attrs.frozen
class PageRequest:
    """Where to send the user, and what to remember until they come back; `str()` of it is the address."""

    url: str
    state: str

    def __str__(self) -> str:
        return self.url


@attrs.frozen
class AuthorizeRequest(PageRequest):
    """The consent screen, for one user.

    Attributes:
        url: The whole address; `str()` of the request gives it too.
        state: What will come back in the callback: give it to `parse_callback` as `expected_state`.
    """


def authorize_request(
    *,
    base_url: str,
    client_id: str,
    redirect_uri: str,
    state: str | None = None,
    suggested_budget: float | Decimal | str | None = None,
    prompt: str | Iterable[str] | None = None,
    mode: Literal["popup", "iframe", "window", "redirect"] | None = None,
) -> AuthorizeRequest:
    """The address of the consent screen, encoded byte for byte as browsers do.

    Args:
        base_url: The dashboard, such as `https://tokenite.ai`.
        client_id: The app's id.
        redirect_uri: Where the user comes back to, exactly as it is registered: an http(s) address or one of an app's
            own scheme, such as `com.example.app:/callback`. A query in it is kept.
        state: Not empty; 32 random hexadecimal digits when left out.
        suggested_budget: Fills the budget field, in USD; left out for 0.
        prompt: `login`, `consent`, `select_account`, `none`, any other word, or several.
        mode: `popup` (or `window`), `iframe`, or `redirect` for a full page, as when left out.

    Raises:
        ArgumentError: An argument is unusable; the error names it.
    """
    from tollkit_api.tokenite.v2_4.api.oauth.get_authorize_page import OPERATION

    with family():
        state = required_text("state", new_state() if state is None else state)
        url = page_url(
            base_url,
            OPERATION.path,
            [
                *page_fields(client_id, redirect_uri),
                ("response_type", "code"),
                ("state", state),
                ("suggested_budget", amount_text("suggested_budget", suggested_budget)),
                ("mode", mode_word(mode)),
                ("prompt", None if prompt is None else _prompt(prompt)),
            ],
        )
        return AuthorizeRequest(url, state)


def page_fields(client_id: object, redirect_uri: object) -> list[tuple[str, str]]:
    """What every page of the dashboard wants first: which app, and where the user goes back to."""
    return [
        ("client_id", required_text("client_id", client_id)),
        ("redirect_uri", addresses.redirect_uri(redirect_uri)),
    ]


def page_url(base_url: object, path: object, fields: Iterable[tuple[str, str | None]]) -> str:
    """The address of a page below the dashboard, in its normal form; a field that is `None` is left out."""
    url = parse_http_url(addresses.host("base_url", base_url) + addresses.path("path", path))
    assert url is not None  # a host can be read with a path behind it too
    return f"{url.href}?{form((name, value) for name, value in fields if value is not None)}"


def amount_text(name: str, value: object) -> str | None:
    """An amount of money as JavaScript writes the number (ECMA-262, Number::toString); `None` for none or zero.

    Raises:
        ArgumentError: It is no number, negative, infinite or NaN.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise ArgumentError(name, f"must be a number, not {type(value).__name__}")
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise ArgumentError(name, "must be a number such as 5 or 2.50")
    try:
        number = float(value)
    except (OverflowError, ValueError):  # a whole number beyond all doubles; a signalling NaN
        number = math.inf
    if not math.isfinite(number):
        raise ArgumentError(name, "must be a finite number")
    if number < 0:
        raise ArgumentError(name, "must not be negative")
    if number == 0:
        return None
    shortest = repr(number)  # the digits are JavaScript's, the point may stand elsewhere
    if 1e-6 <= number < 1e21:
        return f"{Decimal(shortest):f}".removesuffix(".0")
    digits, _, exponent = shortest.partition("e")
    return f"{digits}e{int(exponent):+d}"


def mode_word(mode: object) -> str | None:
    """The mode as the wire has it; `None` for a full page.

    Raises:
        ArgumentError: It is none of the words.
    """
    if mode is None:
        return None
    if not isinstance(mode, str) or mode not in _MODES:
        raise ArgumentError("mode", f"must be one of {', '.join(_MODES)}")
    return _MODES[mode]


def _prompt(prompt: object) -> str:
    if isinstance(prompt, Iterable) and not isinstance(prompt, str | bytes):
        prompt = " ".join(required_text("prompt", word) for word in cast("Iterable[object]", prompt))
    return required_text("prompt", prompt)
