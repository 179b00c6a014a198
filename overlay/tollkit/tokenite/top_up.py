"""The page on which a user raises the limit of a grant, and what it says afterwards. Pure: nothing is sent.

Nobody outside the platform has confirmed this page: its query, its messages and its way back are [assumed], and stand
here and in `config.TOP_UP_PATH` alone (the names of the document are those of `specs/tokenite`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar, Literal, TypeAlias, cast

import attrs

from tollkit.core.arguments import required_text
from tollkit.tokenite import config
from tollkit.tokenite.authorize import PageRequest, amount_text, mode_word, page_fields, page_url
from tollkit.tokenite.callback import read_parameters, state_holds
from tollkit.tokenite.errors import family
from tollkit.tokenite.state import new_state

__all__ = [
    "TopUp",
    "TopUpDone",
    "TopUpFailed",
    "TopUpRequest",
    "parse_top_up_message",
    "parse_top_up_return",
    "top_up_request",
]

# --- assumed --------------------------------------------------------------------------------------------------------
MESSAGE_SUCCESS, MESSAGE_CANCELLED = "tokenite:topup-success", "tokenite:topup-cancelled"
"""`type` of the page's postMessage; a successful one also has `newLimit` and `remaining`."""
RETURN_OUTCOME, RETURN_NEW_LIMIT, RETURN_REMAINING = "topup", "new_limit", "remaining"
"""What the page adds to `redirect_uri`, beside `state`; the outcome is one of the next two words."""
RETURN_SUCCESS, RETURN_CANCELLED = "success", "cancelled"
# --------------------------------------------------------------------------------------------------------------------

# An amount comes from the browser: one of a billion digits, or 1e999999999, would stop whoever formats it
_AMOUNT = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_MOST = 10**15

TopUpReason: TypeAlias = Literal[
    "cancelled", "popup-blocked", "closed", "redirected", "invalid_state", "malformed_return"
]
"""The first four are the platform's; `popup-blocked`, `closed` and `redirected` are for who has a window."""


@attrs.frozen
class TopUpRequest(PageRequest):
    """The top-up page, for one user.

    Attributes:
        url: The whole address; `str()` of the request gives it too.
        state: What will come back: give it to `parse_top_up_return` as `expected_state`.
    """


@attrs.frozen
class TopUpDone:
    """The user raised the limit. It is true.

    The browser says so, and a browser can be made to say anything: show the amounts, and repeat the call that lacked
    money, whose answer is the truth; give nothing away for them.

    Attributes:
        new_limit: The limit of the grant, in USD; `None` when it was not told, or not as an amount.
        remaining: What is left of it, likewise.
    """

    new_limit: Decimal | None = None
    remaining: Decimal | None = None
    ok: ClassVar[Literal[True]] = True

    def __bool__(self) -> Literal[True]:
        return True


@attrs.frozen
class TopUpFailed:
    """The limit is as it was, as far as is known. It is false.

    Attributes:
        reason: `cancelled`; `popup-blocked`, `closed` or `redirected`, where the program has a window;
            `invalid_state` and `malformed_return`, of `parse_top_up_return`.
    """

    reason: TopUpReason
    ok: ClassVar[Literal[False]] = False

    def __bool__(self) -> Literal[False]:
        return False


TopUp: TypeAlias = TopUpDone | TopUpFailed


def top_up_request(
    *,
    base_url: str,
    client_id: str,
    redirect_uri: str,
    state: str | None = None,
    mode: Literal["popup", "window", "iframe", "redirect"] | None = None,
    suggested_amount: float | Decimal | str | None = None,
    path: str = config.TOP_UP_PATH,
) -> TopUpRequest:
    """The address of the top-up page.

    Args:
        base_url: The dashboard, such as `https://tokenite.ai`.
        client_id: The app's id.
        redirect_uri: Where the user comes back to; see `authorize_request`.
        state: Not empty; 32 random hexadecimal digits when left out.
        mode: `popup` (or `window`), `iframe`, or `redirect` for a full page, as when left out.
        suggested_amount: The new limit that the page suggests, in USD; twice the current one when left out or 0.
        path: Of the page, below `base_url`.

    Raises:
        ArgumentError: An argument is unusable; the error names it.
    """
    with family():
        state = required_text("state", new_state() if state is None else state)
        url = page_url(
            base_url,
            path,
            [
                *page_fields(client_id, redirect_uri),
                ("state", state),
                ("mode", mode_word(mode)),
                ("suggested_amount", amount_text("suggested_amount", suggested_amount)),
            ],
        )
        return TopUpRequest(url, state)


def parse_top_up_message(message: object) -> TopUp | None:
    """Read the message that the page posts to the window that opened it. Never raises.

    Check first, in the browser, that the event's origin is that of `base_url`.

    Args:
        message: The event's `data`, as a mapping.

    Returns:
        The outcome; `None` when it is another message.
    """
    if not isinstance(message, Mapping):
        return None
    members = cast("Mapping[str, object]", message)
    kind = members.get("type")
    if kind == MESSAGE_CANCELLED:
        return TopUpFailed("cancelled")
    if kind != MESSAGE_SUCCESS:
        return None
    return TopUpDone(_amount(members.get("newLimit")), _amount(members.get("remaining")))


def parse_top_up_return(source: object, expected_state: str | None = None) -> TopUp:
    """Read what the browser brought back from the page. Never raises, and takes all that `parse_callback` takes.

    Args:
        source: The address, the query, parameters or a request.
        expected_state: What you sent along; `None` leaves it unchecked.
    """
    found = read_parameters(source, ("state", RETURN_OUTCOME, RETURN_NEW_LIMIT, RETURN_REMAINING))
    if found is None:
        return TopUpFailed("malformed_return")
    if not state_holds(found, expected_state):
        return TopUpFailed("invalid_state")
    outcome = found.get(RETURN_OUTCOME)
    if found.broken or outcome not in {RETURN_SUCCESS, RETURN_CANCELLED}:
        return TopUpFailed("malformed_return")
    if outcome == RETURN_CANCELLED:
        return TopUpFailed("cancelled")
    return TopUpDone(_amount(found.get(RETURN_NEW_LIMIT)), _amount(found.get(RETURN_REMAINING)))


def _amount(value: object) -> Decimal | None:
    if isinstance(value, str):
        return Decimal(value) if _AMOUNT.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MOST:
        return None
    return Decimal(int(value) if isinstance(value, int) else repr(float(value)))
