"""The device login (RFC 8628) as a machine that does no I/O: it says what to do next, and is told how it went.

`OidcClient.device_login` drives it; so can a command-line program that wants to show each step:

    steps = device_steps(client.start_device_authorization(scope="openid"))
    step = next(steps)
    while True:                      # ends with StopIteration, whose value is the TokenResponse
        outcome = None
        match step:
            case ShowCode():
                print(step.authorization.user_code)
            case Wait():
                time.sleep(step.seconds)
            case Poll():
                try:
                    outcome = client.poll_device_token(step.authorization.device_code)
                except (OAuthError, TransportError) as error:
                    outcome = error
        step = steps.send(outcome)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any, TypeAlias

import attrs

from tollkit.errors import DeviceFlowError, OAuthError, TransportError
from tollkit.oidc import answers
from tollkit.oidc.models import DeviceAuthorization, TokenResponse

__all__ = ["DeviceStep", "Poll", "PollOutcome", "ShowCode", "Wait", "device_steps"]

DEFAULT_INTERVAL = 5.0
"""Seconds between polls when the provider does not say (RFC 8628 section 3.2)."""
SLOW_DOWN_STEP = 5.0
"""Seconds that `slow_down` adds (RFC 8628 section 3.5)."""


@attrs.frozen
class ShowCode:
    """Tell the user where to go and what to type in. Comes first, and once."""

    authorization: DeviceAuthorization


@attrs.frozen
class Wait:
    """Wait this many seconds."""

    seconds: float


@attrs.frozen
class Poll:
    """Ask once whether the user has approved, and send back the tokens or the error."""

    authorization: DeviceAuthorization


DeviceStep: TypeAlias = ShowCode | Wait | Poll
PollOutcome: TypeAlias = TokenResponse | OAuthError | TransportError


def device_steps(
    authorization: DeviceAuthorization, *, clock: Callable[[], float] = time.monotonic
) -> Generator[DeviceStep, PollOutcome | None, TokenResponse]:
    """The steps of one device login, to its tokens (RFC 8628 sections 3.3 to 3.5).

    The first poll comes at once. A poll that may have reached the provider is never repeated blindly: the code
    can be used once, and an answer that was lost may have been the tokens.

    Args:
        authorization: What `start_device_authorization` brought.
        clock: A clock that never goes back, in seconds.

    Raises:
        OAuthError: The provider refuses, `access_denied` and `expired_token` among others.
        DeviceFlowError: Time is up (code `device_flow_expired`, status 408), or the answer to a poll was lost
            (code `device_poll_lost`).
    """
    yield ShowCode(authorization)
    interval = DEFAULT_INTERVAL if authorization.interval is None else authorization.interval
    deadline = clock() + authorization.expires_in
    first = True
    while clock() < deadline:
        if not first:
            yield Wait(interval)
        first = False
        outcome = yield Poll(authorization)
        match outcome:
            case TokenResponse():
                return outcome
            case OAuthError(error=answers.AUTHORIZATION_PENDING):
                pass
            case OAuthError(error=answers.SLOW_DOWN):
                interval += SLOW_DOWN_STEP
            case OAuthError():
                raise outcome
            case TransportError() if outcome.safe_to_retry:
                interval *= 2  # RFC 8628 section 3.5: slow down when no connection can be made
            case TransportError():
                raise _ended(
                    "The answer to a poll was lost, and the device code may have been used up by it",
                    code="device_poll_lost",
                    hint="Start the device login again",
                    context=outcome.context,
                ) from outcome
            case None:
                raise TypeError("a Poll must be answered with its outcome")
    raise _ended(
        "Device authorization expired before completion",
        code="device_flow_expired",
        status=408,
        hint="Start the device login again, and approve it in time",
    )


def _ended(message: str, *, code: str, **details: Any) -> DeviceFlowError:
    error = DeviceFlowError(message, code=code, **details)
    error.error = code
    return error
