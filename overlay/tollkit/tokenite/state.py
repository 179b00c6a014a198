"""The `state` of a sign-in: made, bound to the browser's session, and checked when it comes back.

It keeps others from finishing a sign-in in your user's browser (RFC 6749 section 10.12; RFC 9700 section 4.7).
`new_state` makes a random one, for programs that store it in the session and give it to `parse_callback` as
`expected_state`. A `StateSigner` needs no store: what it issues proves by itself who made it, when and for which
session, and brings the user back to the page where they were.
"""

from __future__ import annotations

import hmac
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import ClassVar, Literal, TypeAlias, cast

import attrs

from tollkit.core.arguments import hidden, required_text
from tollkit.core.weburl import parse_http_url
from tollkit.errors import ArgumentError, TokenError
from tollkit.tokenite.errors import family

__all__ = ["SignedState", "StateError", "StateSigner", "new_state"]

StateCode: TypeAlias = Literal[
    "state_missing", "state_malformed", "state_signature", "state_wrong_session", "state_expired"
]

_PROBLEMS: dict[StateCode, str] = {
    "state_missing": "The callback has no state",
    "state_malformed": "The state is none of ours",
    "state_signature": "The state was not signed with any of the keys",
    "state_wrong_session": "The state belongs to another browser session, or this browser lost its session cookie",
    "state_expired": "The sign-in took too long",
}

_SHORTEST_KEY = 16
_LONGEST_NEXT_URL = 1024
_YEAR = 365 * 24 * 3600
_SKEW = 60  # seconds by which the clocks of two of your servers may differ

# version, seconds since 1970, nonce, session; then the next address, then the signature
_VERSION, _TIME, _NONCE, _MAC = b"\x01", 5, 16, 32
_HEAD = len(_VERSION) + _TIME + _NONCE + _MAC
_LONGEST = -(-4 * (_HEAD + _LONGEST_NEXT_URL + _MAC) // 3)


class StateError(TokenError):
    """The state was refused: do not use the code that came with it, and let the user begin again.

    `code` says why: `state_missing`, `state_malformed`, `state_signature` (a key that you do not have any more, or a
    forgery), `state_wrong_session`, `state_expired`. `status` is 400, for your own answer.
    """

    kind: ClassVar[str] = "state_invalid"
    default_code: ClassVar[str | None] = "state_malformed"
    default_status: ClassVar[int | None] = 400


@attrs.frozen
class SignedState:
    """A state that is good.

    Attributes:
        next_url: Where the user wanted to go: a path of your own site, so it is safe to redirect there.
        issued_at: When it was issued, in UTC.
        expires_at: Until when it is good, in UTC.
    """

    next_url: str | None
    issued_at: datetime
    expires_at: datetime


def new_state() -> str:
    """A random state: 16 bytes as 32 hexadecimal digits, as the platform's own client makes it."""
    return secrets.token_hex(16)


class StateSigner:
    """Issues and checks states without storing them. Safe to share between threads.

    A state is 115 characters of URL-safe text, and 4 more for each 3 bytes of `next_url`. It shows neither the
    session nor a hash of it that could be compared with another state's. It stays good until it expires; that it
    serves once is up to the code that it comes with, and to the new session id that a sign-in should give the
    browser anyway. HMAC-SHA256 of the standard library; itsdangerous would be a dependency for these few lines.

    Args:
        secret_key: At least 16 bytes that only your servers know, as bytes or text. Of several, the first signs and
            all verify: put the new one in front, and drop the old one after `max_age`.
        max_age: Seconds for which a state is good.
        purpose: Keeps states of one purpose from passing for those of another under the same key.
        now: The clock, in seconds since 1970.

    Raises:
        ArgumentError: A key is too short, or `max_age` is no positive number or beyond a year.
    """

    __slots__ = ("_keys", "_max_age", "_now")

    def __init__(
        self,
        secret_key: str | bytes | Sequence[str | bytes],
        *,
        max_age: float = 600,
        purpose: str = "tollkit.tokenite.state",
        now: Callable[[], float] = time.time,
    ) -> None:
        held, secret_key = [secret_key], ""  # no traceback that begins here shows it
        with family():
            if isinstance(max_age, bool) or not isinstance(max_age, int | float) or not 0 < max_age <= _YEAR:
                raise ArgumentError("max_age", "must be a positive number of seconds, of a year at the most")
            self._keys = _derived(held.pop(), required_text("purpose", purpose))
            self._max_age = max_age
            self._now = now

    def issue(self, session: str, *, next_url: str | None = None) -> str:
        """A state for `get_authorize_url(state=...)`.

        Args:
            session: What identifies this browser's session and nobody else can know, such as the value of its cookie.
            next_url: Where to send the user after signing in: a path of your own site, `/reports?page=2`.

        Raises:
            ArgumentError: `session` is empty, or `next_url` might lead to another site or is longer than 1024 bytes.
        """
        session = hidden(session)
        with family():
            bound_to = required_text("session", session)
            if next_url is not None and not is_own_path(next_url):
                raise ArgumentError("next_url", "must be a path of your own site, such as /reports?page=2")
            target = (next_url or "").encode()
            if len(target) > _LONGEST_NEXT_URL:
                raise ArgumentError("next_url", f"must not be longer than {_LONGEST_NEXT_URL} bytes")
        key = self._keys[0]
        head = _VERSION + int(self._now()).to_bytes(_TIME, "big") + secrets.token_bytes(_NONCE)
        body = head + _binding(key, head, bound_to) + target
        return _text(body + _signature(key, body))

    def check(self, state: str | None, session: str | None) -> SignedState:
        """Check the state of a callback, before its code is used.

        Args:
            state: From `parse_callback(...).state`, or from the query.
            session: The same as for `issue`, from the browser that came back; `None` when it has none.

        Raises:
            StateError: It is refused; `code` says why. Nothing else is raised, whatever comes.
        """
        state, session = hidden(state), hidden(session)
        with family():
            return self._checked(state, session)

    def _checked(self, state: object, session: object) -> SignedState:
        if state is None or state == "":
            raise _refused("state_missing")
        raw = _bytes(state)
        if raw is None:
            raise _refused("state_malformed")
        body, signature = raw[:-_MAC], raw[-_MAC:]
        signed_by = [key for key in self._keys if hmac.compare_digest(_signature(key, body), signature)]
        if not signed_by:
            raise _refused("state_signature")
        head, binding = body[: _HEAD - _MAC], body[_HEAD - _MAC : _HEAD]
        given = session if isinstance(session, str) else ""
        if not given or not hmac.compare_digest(_binding(signed_by[0], head, given), binding):
            raise _refused("state_wrong_session")
        issued = int.from_bytes(head[len(_VERSION) : len(_VERSION) + _TIME], "big")
        if not -_SKEW <= self._now() - issued <= self._max_age:
            raise _refused("state_expired")
        next_url = body[_HEAD:].decode(errors="replace") or None
        if next_url is not None and not is_own_path(next_url):
            raise _refused("state_malformed")
        return SignedState(next_url, _instant(issued), _instant(issued + self._max_age))


def is_own_path(address: object) -> bool:
    """Whether a browser that is sent there certainly stays on the same site.

    Browsers drop tabs and line breaks, take a backslash for a slash, and read `//host` as another host; and some
    servers resolve `/.//host` to that.
    """
    if not isinstance(address, str) or not address.startswith("/") or "\\" in address or not address.isprintable():
        return False
    url = parse_http_url(f"http://localhost{address}")
    return url is not None and url.host == "localhost" and not url.path.startswith("//")


def _derived(secret_key: object, purpose: str) -> tuple[bytes, ...]:
    """A key for this purpose alone from each of the keys."""
    keys: Sequence[object] = [secret_key]
    if isinstance(secret_key, Sequence) and not isinstance(secret_key, str | bytes):
        keys = cast("Sequence[object]", secret_key)
    if not keys:
        raise ArgumentError("secret_key", "must hold at least one key")
    return tuple(hmac.digest(_key(key), purpose.encode(), "sha256") for key in keys)


def _key(key: object) -> bytes:
    given = key.encode(errors="surrogatepass") if isinstance(key, str) else key
    if not isinstance(given, bytes) or len(given) < _SHORTEST_KEY:
        raise ArgumentError(
            "secret_key",
            f"must be text or bytes, at least {_SHORTEST_KEY} of them: secrets.token_urlsafe(32) makes one",
        )
    return given


def _signature(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, b"state" + body, "sha256")


def _binding(key: bytes, head: bytes, session: str) -> bytes:
    # the head has a fixed length, so the two cannot run into each other, and its nonce makes every binding another
    return hmac.digest(key, b"session" + head + session.encode(errors="surrogatepass"), "sha256")


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(state: object) -> bytes | None:
    """What `_text` was given; `None` for all else, other spellings of the same bytes too."""
    if not isinstance(state, str) or not state.isascii() or len(state) > _LONGEST:
        return None
    try:
        raw = urlsafe_b64decode(state + "=" * (-len(state) % 4))
    except ValueError:
        return None
    return raw if len(raw) >= _HEAD + _MAC and raw.startswith(_VERSION) and _text(raw) == state else None


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _refused(code: StateCode) -> StateError:
    return StateError(_PROBLEMS[code], code=code, hint="Let the user begin again")
