"""Files with keys in them that several programs share, as Run402's tools write them.

A file is replaced as a whole, with mode 0600, in a folder that is made with mode 0700. Changes are made under locks:

* of the operating system, on a file beside it, which a process that dies gives back. It keeps tollkit's processes
  and threads apart.
* the platform's own, for the keystore: a folder `<file>.lock`, made before and removed after. Its tools leave it if
  they are killed, and are stuck then. Ours is made without permission to write (mode 0500), theirs with it (0700).
  Whoever holds the lock of the system and finds one of ours knows that its owner is dead; one of theirs that stays
  the same for ten seconds belongs to nobody, since they hold it for milliseconds and wait for four seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
import sys
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

from tollkit.core.tracebacks import forget_locals
from tollkit.errors import MissingExtraError
from tollkit.run402.errors import LocalError, raised

__all__ = ["SharedFile", "changing", "dumped"]

PATIENCE = 60.0
"""Seconds to wait for the locks."""
ABANDONED = 10.0
"""Seconds after which the platform's lock, if it is the same one, belongs to nobody."""
LOOK = 0.01
"""Seconds between two looks whether a lock is free."""
_OURS = 0o500
_LEFT_OVER = 60.0


def dumped(value: Mapping[str, Any]) -> bytes:
    """JSON as the platform's tools write it: two spaces, no line break at the end, other scripts as they are."""
    # what is left is half a surrogate pair, and its escape in Python is that of JSON
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace")


@contextlib.contextmanager
def changing(path: Path, how: str = "changed") -> Generator[None]:
    """What goes wrong in the block comes out as an error of the family, with no key in the frames within it.

    Args:
        path: The file.
        how: What is being done with it, for the error: `read`.

    Raises:
        LocalError: The system refuses; its error is the cause.
    """
    handled = sys.exception()
    try:
        yield
    except OSError as problem:
        forget_locals(problem, handled)
        raise raised(LocalError(f"{path} cannot be {how}: {problem.strerror or problem}")) from problem
    except BaseException as problem:
        forget_locals(problem, handled)
        raise


class SharedFile:
    """One file.

    Args:
        path: Where it is.
        temporary: Temporary files beside it are called `.<temporary>.<8 hex>.tmp`.
        platform_lock: Whether the platform's tools lock it.
        clock: Seconds that never go back.
        wait: Called with the seconds to wait before looking at a lock again.
    """

    def __init__(
        self,
        path: Path,
        temporary: str,
        *,
        platform_lock: bool,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path = path
        self._prefix = f".{temporary}."
        self._lock_folder = path.with_name(path.name + ".lock") if platform_lock else None
        self._clock = clock
        self._wait = wait

    def read(self) -> bytes | None:
        """What it holds; `None` when there is no such file.

        Raises:
            OSError: It cannot be read.
        """
        try:
            return self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, content: bytes) -> None:
        """Replace it. What was written is there after a crash of the machine, or what was before, never half."""
        temporary = self.path.with_name(f"{self._prefix}{secrets.token_hex(4)}.tmp")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(self.path.parent)

    def set_aside(self) -> Path:
        """Keep what it holds under another name, since it cannot be read and may hold the only copy of a key."""
        aside = self.path.with_name(f"{self.path.name}.unreadable-{secrets.token_hex(4)}")
        self.path.rename(aside)
        with contextlib.suppress(OSError):
            aside.chmod(0o600)
        return aside

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        """Hold the locks; the folder is made when it is not there.

        Raises:
            LocalError: Somebody else has held them for a minute.
            MissingExtraError: filelock is not installed (extra `payments`).
            OSError: The folder cannot be made or written to.
        """
        try:
            from filelock import FileLock, Timeout
        except ImportError as missing:
            raise raised(MissingExtraError("Changing files that processes share", "payments")) from missing
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        until = self._clock() + PATIENCE
        own = FileLock(self.path.with_name(f".{self.path.name}.tollkit-lock"), mode=0o600, thread_local=False)
        try:
            own.acquire(timeout=PATIENCE, poll_interval=LOOK)
        except Timeout as busy:
            raise _busy(self.path) from busy
        try:
            self._sweep()
            if self._lock_folder is None:
                yield
                return
            self._take(self._lock_folder, until)
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    self._lock_folder.rmdir()
        finally:
            own.release()

    def _take(self, folder: Path, until: float) -> None:
        seen: tuple[int, int] | None = None
        since = 0.0
        while True:
            try:
                folder.mkdir(mode=_OURS)
            except FileExistsError:
                pass
            else:
                return
            try:
                found = folder.lstat()
            except FileNotFoundError:
                continue
            now = self._clock()
            if (found.st_ino, found.st_ctime_ns) != seen:
                seen, since = (found.st_ino, found.st_ctime_ns), now
            # on Windows all folders look alike, and have to grow old
            ours = os.name == "posix" and not found.st_mode & stat.S_IWUSR
            if ours or now - since >= ABANDONED:
                with contextlib.suppress(FileNotFoundError):
                    folder.rmdir()
                continue
            if now >= until:
                raise _busy(self.path)
            self._wait(LOOK)

    def _sweep(self) -> None:
        """Remove temporary files of programs that were killed: they hold keys."""
        old = time.time() - _LEFT_OVER
        with os.scandir(self.path.parent) as entries:
            left = [entry for entry in entries if entry.name.startswith(self._prefix) and entry.name.endswith(".tmp")]
        for entry in left:
            with contextlib.suppress(OSError):
                if entry.stat(follow_symlinks=False).st_mtime < old:
                    Path(entry.path).unlink()


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # a folder cannot be opened elsewhere, and a rename is kept without it
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _busy(path: Path) -> LocalError:
    return LocalError(
        f"Somebody else has held the lock of {path} for a minute",
        hint="Look for a program that hangs",
        retryable=True,
        safe_to_retry=True,
    )
