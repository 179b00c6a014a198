"""A user's tokens, kept and renewed by refresh tokens (RFC 6749 section 6), also for processes that share them.

Providers that rotate refresh tokens take each once, and revoke all of the user's tokens when one is used twice
(RFC 9700 section 4.14.2). So a refresh happens once for all threads and tasks, and, with a store that processes
share, under the store's lock, after a look at what the others may have stored meanwhile.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import attrs

from tollkit.core.flows import Flow, offload, share, sleep
from tollkit.core.locks import forkable_lock
from tollkit.core.single_flight import SingleFlight
from tollkit.core.token_cache import END_MARGIN, REFRESH_AHEAD
from tollkit.errors import ConfigurationError, LocalError, MissingExtraError, OAuthError, TollkitError
from tollkit.oidc.json_values import decode, is_number, is_object
from tollkit.secrets import Secret

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from tollkit.oidc.flows import OidcFlows
    from tollkit.oidc.models import TokenResponse

__all__ = ["FileTokenStore", "LoginRequiredError", "MemoryTokenStore", "TokenSession", "TokenSet", "TokenStore"]

LOCK_PATIENCE = 60.0
"""Seconds to wait for somebody else's refresh."""
LOCK_LOOK = 0.05
"""Seconds between two looks whether a lock is free."""
_LAST_SECOND = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
_log = logging.getLogger("tollkit.tokens")


class LoginRequiredError(OAuthError):
    """There is no refresh token that the provider still takes: the user must log in again."""

    kind = "login_required"


def _hidden(value: str) -> Secret:
    return Secret(value)


def _secret(value: object) -> Secret | None:
    return Secret(value) if isinstance(value, str) else None


@attrs.frozen(kw_only=True)
class TokenSet:
    """Tokens as they are stored: with the time at which the access token expires."""

    access_token: Secret = attrs.field(converter=_hidden)
    expires_at: datetime | None = None
    """In UTC; `None` when the provider does not say."""
    expires_in: float | None = None
    """Seconds that the access token was good for when it was issued."""
    refresh_token: Secret | None = attrs.field(default=None, converter=_secret)
    scope: str | None = None
    id_token: Secret | None = attrs.field(default=None, converter=_secret)

    @classmethod
    def of(cls, tokens: TokenResponse, now: float, previous: TokenSet | None = None) -> TokenSet:
        """From an answer; what it leaves out stays as it was (RFC 6749 section 6).

        Args:
            tokens: The answer.
            now: When it was asked for, in seconds since 1970.
            previous: The tokens that were refreshed.
        """
        expires_at: datetime | None = None
        if tokens.expires_in is not None:
            expires_at = datetime.fromtimestamp(min(now + tokens.expires_in, _LAST_SECOND), UTC)
        before = previous or cls(access_token=tokens.access_token)
        return cls(
            access_token=tokens.access_token,
            expires_at=expires_at,
            expires_in=tokens.expires_in,
            refresh_token=tokens.refresh_token or before.refresh_token,
            scope=before.scope if tokens.scope is None else tokens.scope,
            id_token=tokens.id_token or before.id_token,
        )

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> TokenSet:
        """From what `to_dict` made.

        Raises:
            ValueError: It is something else.
        """
        access_token, expires_at = body.get("access_token"), body.get("expires_at")
        if not isinstance(access_token, str):
            raise ValueError("access_token is missing")
        moment = datetime.fromisoformat(expires_at) if isinstance(expires_at, str) else None
        if moment is not None and moment.tzinfo is None:
            raise ValueError("expires_at has no time zone")
        return cls(
            access_token=access_token,
            expires_at=moment,
            expires_in=expires_in if is_number(expires_in := body.get("expires_in")) else None,
            refresh_token=body.get("refresh_token"),
            scope=body.get("scope"),
            id_token=body.get("id_token"),
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; what is not there is left out."""
        body = attrs.asdict(self)
        body["expires_at"] = self.expires_at and self.expires_at.isoformat()
        return {name: value for name, value in body.items() if value is not None}

    @property
    def renew_ahead(self) -> float:
        """How many seconds before its end the access token should be renewed."""
        return REFRESH_AHEAD if self.expires_in is None else min(REFRESH_AHEAD, self.expires_in / 4)

    def seconds_left(self, now: float) -> float:
        """Until the access token expires; without end when the provider does not say."""
        return float("inf") if self.expires_at is None else self.expires_at.timestamp() - now


class TokenStore(Protocol):
    """Keeps one user's tokens. May block: an async client calls `load` and `save` in a thread."""

    def load(self) -> TokenSet | None:
        """What was saved last, `None` when nothing was."""
        ...

    def save(self, tokens: TokenSet) -> None:
        """Keep these instead, all or nothing."""
        ...

    def try_lock(self) -> bool:
        """Take the store's lock if it is free, without waiting. It keeps all other sessions from refreshing."""
        ...

    def unlock(self) -> None:
        """Give the lock back, maybe from another thread."""
        ...


class MemoryTokenStore:
    """Keeps tokens as long as the process lives.

    Args:
        tokens: What to begin with.
    """

    def __init__(self, tokens: TokenSet | None = None) -> None:
        self._tokens = tokens
        self._lock = forkable_lock()

    def load(self) -> TokenSet | None:
        """What was saved last."""
        return self._tokens

    def save(self, tokens: TokenSet) -> None:
        """Keep these instead."""
        self._tokens = tokens

    def try_lock(self) -> bool:
        """Take the lock if it is free."""
        return self._lock.acquire(blocking=False)

    def unlock(self) -> None:
        """Give it back."""
        self._lock.release()


class FileTokenStore:
    """Keeps tokens in a JSON file that only its owner can read (mode 0600), for any number of processes.

    The file is replaced as a whole, so that nobody ever sees half of it. The lock is one of the operating system
    on a file beside it (`.lock`), which a process that dies gives back. Needs the extra `oidc` (filelock).

    Args:
        path: The file; its folder is made when it is not there.

    Raises:
        MissingExtraError: filelock is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            from filelock import FileLock
        except ImportError as missing:
            raise MissingExtraError("A token file that processes share", "oidc") from missing
        self.path: Path = Path(path)
        self._make = functools.partial(FileLock, f"{self.path}.lock", mode=0o600, thread_local=False)
        self._locks: dict[int, BaseFileLock] = {os.getpid(): self._make()}
        # the lock of the system can be taken twice through one object, so threads need one of their own
        self._here = forkable_lock()

    @property
    def _others(self) -> BaseFileLock:
        # Each process has its own, and a forked one keeps its parent's, which it must not use: to drop that would
        # give the parent's lock back.
        process = os.getpid()
        lock = self._locks.get(process)
        if lock is None:
            lock = self._locks[process] = self._make()
        return lock

    def load(self) -> TokenSet | None:
        """What the file holds, `None` when there is none.

        Raises:
            ConfigurationError: It holds something else.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            body = decode(content)
            if not is_object(body):
                raise ValueError("no JSON object")
            return TokenSet.from_dict(body)
        except ValueError as problem:
            raise ConfigurationError(
                f"{self.path} holds no tokens: {problem}", hint="Remove the file and log in again"
            ) from problem

    def save(self, tokens: TokenSet) -> None:
        """Replace the file."""
        self._make_folder()
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(tokens.to_dict(), file)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise

    def try_lock(self) -> bool:
        """Take the lock if it is free."""
        from filelock import Timeout

        if not self._here.acquire(blocking=False):
            return False
        try:
            self._make_folder()
            self._others.acquire(timeout=0)
        except BaseException as problem:
            self._here.release()
            if isinstance(problem, Timeout):
                return False
            raise
        return True

    def unlock(self) -> None:
        """Give it back."""
        self._others.release()
        self._here.release()

    def _make_folder(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def __repr__(self) -> str:
        return f"FileTokenStore({str(self.path)!r})"


class TokenSession:
    """One user's tokens: hands out an access token that is good, and refreshes it when it is not for long.

    Shared by threads, tasks and event loops it refreshes once for all; a token that is still good is handed out
    while one caller refreshes. It is a `TokenSource` for `BearerCredentials`, and a part to build flows of; by hand:

        session = TokenSession(client.flows, FileTokenStore("tokens.json"), tokens=client.device_login(show))
        token = client.run(session.access_token())      # or: await client.run(...)

    Args:
        oidc: Flows of the client to which the tokens were given.
        store: Where the tokens are; in memory when nothing is said.
        tokens: The outcome of a login, saved at the first use; the store's are used when nothing is said.
    """

    def __init__(
        self, oidc: OidcFlows, store: TokenStore | None = None, *, tokens: TokenResponse | None = None
    ) -> None:
        self._oidc = oidc
        self._store = store or MemoryTokenStore()
        self._flight = SingleFlight()
        self._current: TokenSet | None = None
        self._login = None if tokens is None else TokenSet.of(tokens, oidc._now())
        self._refused: str | None = None

    def tokens(self, *, force: bool = False) -> Flow[TokenSet]:
        """Tokens of which the access token is good at this moment.

        Args:
            force: Refresh even if it is.

        Raises:
            LoginRequiredError: There are no tokens, or none that the provider still takes.
            TransportError: No answer came, and the access token has expired. The refresh token may have been
                used up by that.
            OAuthError, StatusError, DecodeError: The provider refuses for another reason.
            LocalError: Somebody else has held the store's lock for a minute (code `token_store_busy`).
        """
        seen = self._current
        if seen is None:
            seen = yield from share(self._flight, "open", self._open)
        usable: TokenSet | None = None
        if seen is not None and not force and seen.access_token != self._refused:
            left = seen.seconds_left(self._now())
            if left > seen.renew_ahead:
                return seen
            usable = seen if left > END_MARGIN else None
        try:
            return (yield from share(self._flight, "refresh", lambda: self._refresh(seen), meanwhile=usable))
        except TollkitError as error:
            if usable is None:
                raise
            _log.warning("Tokens could not be refreshed; the access token is good for a moment more: %s", error)
            return usable

    def access_token(self) -> Flow[str]:
        """An access token that is good at this moment; see `tokens`."""
        tokens = yield from self.tokens()
        return tokens.access_token

    def refused(self, access_token: str) -> None:
        """Told of a token that a server refused: it is not handed out again."""
        self._refused = access_token

    def _open(self) -> Flow[TokenSet | None]:
        if self._login is not None:
            login = self._login
            yield from offload(lambda: self._store.save(login))
            self._login, self._current = None, login
        if self._current is None:
            self._current = yield from offload(self._store.load)
        return self._current

    def _refresh(self, seen: TokenSet | None) -> Flow[TokenSet]:
        found = self._current
        if self._is_new(found, seen):
            return found  # somebody else did it between our look and our turn
        yield from self._lock()
        try:
            stored = yield from offload(self._store.load)
            if self._is_new(stored, seen):
                fresh = stored
            else:
                fresh = yield from self._exchange(stored or seen)
                yield from offload(lambda: self._store.save(fresh))
        finally:
            self._store.unlock()
        self._current = fresh
        return fresh

    def _exchange(self, base: TokenSet | None, *, last: bool = False) -> Flow[TokenSet]:
        if base is None or base.refresh_token is None:
            raise _login_required("There is no refresh token")
        asked_at = self._now()
        try:
            answer = yield from self._oidc.refresh(base.refresh_token)
        except OAuthError as error:
            if error.error != "invalid_grant":
                raise
            # Somebody who does not keep to our lock may have used the token; then theirs is the one to go on with.
            again = None if last else (yield from offload(self._store.load))
            if again is None or again.refresh_token == base.refresh_token:
                raise _login_required("The provider does not take the refresh token any more", error) from error
            if self._is_new(again, base):
                return again
            return (yield from self._exchange(again, last=True))
        return TokenSet.of(answer, asked_at, base)

    def _is_new(self, found: TokenSet | None, seen: TokenSet | None) -> TypeGuard[TokenSet]:
        return (
            found is not None
            and found != seen
            and found.access_token != self._refused
            and found.seconds_left(self._now()) > found.renew_ahead
        )

    def _lock(self) -> Flow[None]:
        looks = 0
        while not self._store.try_lock():
            looks += 1
            if looks * LOCK_LOOK > LOCK_PATIENCE:
                raise LocalError(
                    "Somebody else has been refreshing these tokens for a minute",
                    code="token_store_busy",
                    hint="Look for a program that hangs",
                    retryable=True,
                    safe_to_retry=True,
                )
            yield from sleep(LOCK_LOOK)

    def _now(self) -> float:
        return self._oidc._now()

    def __repr__(self) -> str:
        return f"TokenSession({self._oidc!r}, {self._store!r})"


def _login_required(message: str, cause: OAuthError | None = None) -> LoginRequiredError:
    error = LoginRequiredError(message, code="login_required", status=401, hint="Log in again")
    if cause is not None:
        error.code, error.body, error.context = cause.code, cause.body, cause.context
        error.error_description, error.error_uri = cause.error_description, cause.error_uri
    error.error = error.code or ""
    return error
