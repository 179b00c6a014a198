"""Where answers with an ETag are kept: in memory, in a SQLite file, or in Redis.

General HTTP caches were weighed and left out: the usual one for httpx keys entries by address alone and hands
one principal's body to another. An entry here belongs to an address, a principal and an operation.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections import OrderedDict
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from tollkit.core.locks import forkable_lock
from tollkit.errors import ArgumentError, LocalError, MissingExtraError
from tollkit_api.runtime.json_text import json_value

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Entry", "EtagStore", "MemoryEtagStore", "RedisEtagStore", "SqliteEtagStore", "entry_key"]


@attrs.frozen(kw_only=True)
class Entry:
    """One kept answer.

    Attributes:
        etag: The entity tag as received, quotes included; `None` when the server sent none.
        body: The body as received.
        fetched_at: When this body came, in seconds since 1970.
        checked_at: When the server last confirmed it, in seconds since 1970.
    """

    etag: str | None
    body: bytes = attrs.field(repr=False)
    fetched_at: float
    checked_at: float

    def dump(self) -> bytes:
        """The entry as JSON for a store that keeps bytes."""
        return json.dumps(
            {
                "etag": self.etag,
                "body": self.body.decode("utf-8", "surrogateescape"),
                "fetched_at": self.fetched_at,
                "checked_at": self.checked_at,
            }
        ).encode()

    @classmethod
    def load(cls, data: bytes | str) -> Entry | None:
        """The entry from `dump()`; `None` when the data are not one, so that a damaged entry is a missing one."""
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, OverflowError):
            found: Any = json_value(data)
            etag = found["etag"]
            fetched_at, checked_at = float(found["fetched_at"]), float(found["checked_at"])
            # an infinite time would keep the entry fresh for ever
            if (etag is None or isinstance(etag, str)) and math.isfinite(fetched_at) and math.isfinite(checked_at):
                return cls(
                    etag=etag,
                    body=found["body"].encode("utf-8", "surrogateescape"),
                    fetched_at=fetched_at,
                    checked_at=checked_at,
                )
        return None


class EtagStore(Protocol):
    """Keeps entries by key. The methods may block; the async client calls them in a thread."""

    def get(self, key: str) -> Entry | None:
        """The entry, `None` when there is none."""
        ...

    def put(self, key: str, entry: Entry) -> None:
        """Keep the entry, in place of an older one.

        Args:
            key: From `entry_key`.
            entry: What to keep.
        """
        ...

    def delete(self, key: str) -> None:
        """Forget the entry; nothing happens when there is none."""
        ...


def entry_key(base_url: str, principal: str, operation: str, *parameters: str) -> str:
    """The key of an answer: a digest, so that a store shows neither addresses nor principals."""
    text = json.dumps([base_url, principal, operation, *parameters])
    return hashlib.sha256(text.encode()).hexdigest()


class MemoryEtagStore:
    """Keeps entries in this process; the least recently used goes first.

    Args:
        max_entries: Entries kept at most.
    """

    def __init__(self, max_entries: int = 1024) -> None:
        if max_entries < 1:
            raise ArgumentError("max_entries", "must be 1 or more")
        self._max_entries = max_entries
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._lock = forkable_lock()

    def get(self, key: str) -> Entry | None:
        """The entry, `None` when there is none."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            return entry

    def put(self, key: str, entry: Entry) -> None:
        """Keep the entry, as `EtagStore.put` says."""
        with self._lock:
            self._entries[key] = entry
            self._entries.move_to_end(key)
            if len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def delete(self, key: str) -> None:
        """Forget the entry."""
        with self._lock:
            self._entries.pop(key, None)


class SqliteEtagStore:
    """Keeps entries in a SQLite file that survives the process and that several processes may share.

    Args:
        path: The file; made with mode 0600 when it is not there, its folder must exist.

    Raises:
        ArgumentError: The file cannot be opened or is no database.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        import sqlite3

        self._path = Path(path).absolute()
        self._failures: type[Exception] = sqlite3.Error
        try:
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            with self._connect() as db:
                # Refused at once, without the time-out's wait, while another process is at the file. It stays with
                # the file, so that the next process sets it; what is wrong with the file shows in the next line.
                with contextlib.suppress(sqlite3.OperationalError):
                    db.execute("PRAGMA journal_mode=WAL")
                db.execute(
                    "CREATE TABLE IF NOT EXISTS etag (key TEXT PRIMARY KEY, entry BLOB NOT NULL) WITHOUT ROWID"
                )
        except (OSError, self._failures) as problem:
            raise ArgumentError("path", f"cannot be used as a SQLite file: {problem}") from problem

    @contextlib.contextmanager
    def _connect(self) -> Generator[sqlite3.Connection]:
        import sqlite3

        # a connection for each use: none is shared between threads or inherited by a forked process; it must not
        # make the file, which would then have another mode
        db = sqlite3.connect(f"{self._path.as_uri()}?mode=rw", uri=True, timeout=10.0)
        try:
            with db:
                yield db
        finally:
            db.close()

    def get(self, key: str) -> Entry | None:
        """The entry, `None` when there is none.

        Raises:
            LocalError: The file cannot be read.
        """
        with self._told("read"), self._connect() as db:
            row = db.execute("SELECT entry FROM etag WHERE key = ?", (key,)).fetchone()
        return Entry.load(row[0]) if row else None

    def put(self, key: str, entry: Entry) -> None:
        """Keep the entry, as `EtagStore.put` says.

        Raises:
            LocalError: The file cannot be written.
        """
        with self._told("write"), self._connect() as db:
            db.execute("INSERT OR REPLACE INTO etag (key, entry) VALUES (?, ?)", (key, entry.dump()))

    def delete(self, key: str) -> None:
        """Forget the entry.

        Raises:
            LocalError: The file cannot be written.
        """
        with self._told("write"), self._connect() as db:
            db.execute("DELETE FROM etag WHERE key = ?", (key,))

    @contextlib.contextmanager
    def _told(self, action: str) -> Generator[None]:
        try:
            yield
        except self._failures as problem:
            raise LocalError(f"cannot {action} {self._path}: {problem}", code="etag_store") from problem


class RedisEtagStore:
    """Keeps entries in Redis for many machines (extra `redis`).

    Args:
        url: Address of the server, e.g. `redis://cache:6379/0`.
        prefix: Begins every key.
        ttl: Seconds after which Redis drops an entry that nobody renewed.

    Raises:
        MissingExtraError: The redis package is not installed.
    """

    def __init__(self, url: str, *, prefix: str = "tollkit:etag:", ttl: int = 7 * 24 * 3600) -> None:
        try:
            import redis
        except ImportError as missing:
            raise MissingExtraError("The Redis store", "redis") from missing
        if ttl < 1:
            raise ArgumentError("ttl", "must be a number of seconds, 1 or more")
        try:
            connect: Callable[..., Any] = redis.Redis.from_url  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            self._redis = connect(url, socket_timeout=5.0, socket_connect_timeout=5.0)
        except ValueError as problem:
            raise ArgumentError("url", "must be an address such as redis://host:6379/0") from problem
        self._failures: type[Exception] = redis.RedisError
        self._prefix = prefix
        self._ttl = ttl

    def get(self, key: str) -> Entry | None:
        """The entry, `None` when there is none.

        Raises:
            LocalError: Redis does not answer.
        """
        with self._told():
            data = self._redis.get(self._prefix + key)
        return Entry.load(data) if data else None

    def put(self, key: str, entry: Entry) -> None:
        """Keep the entry, as `EtagStore.put` says.

        Raises:
            LocalError: Redis does not answer.
        """
        with self._told():
            self._redis.set(self._prefix + key, entry.dump(), ex=self._ttl)

    def delete(self, key: str) -> None:
        """Forget the entry.

        Raises:
            LocalError: Redis does not answer.
        """
        with self._told():
            self._redis.delete(self._prefix + key)

    def close(self) -> None:
        """Close the connections to Redis."""
        self._redis.close()

    @contextlib.contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except self._failures as problem:
            raise LocalError(f"Redis does not answer: {type(problem).__name__}", code="etag_store") from problem
