"""A stored file to a file on disk: in constant memory, resumed by range, put in its place when it is whole.

What has come stands beside the target as `<name>.part`, with its entity tag in `<name>.part.json`; so a broken
download goes on where it was, in the same call or, after a crash, in the next one (RFC 9110, sections 13.1.5, 14).
The note is locked meanwhile: two programs that download to one target do not write into one another's file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import random
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import attrs

from tollkit.core.flows import Flow, Sleep, offload
from tollkit.core.policy import RETRY_AFTER_CAP
from tollkit.errors import ArgumentError, DecodeError, StatusError, TollkitError, TransportError
from tollkit.oidc.json_values import is_object
from tollkit.run402.errors import LocalError, raised
from tollkit_api.runtime.json_text import json_value

if TYPE_CHECKING:
    from tollkit_api.runtime import HttpResponse

__all__ = ["Downloaded", "Progress", "download"]

Progress = Callable[[int, "int | None"], object]
"""Called with the bytes that are there and those that there will be, when that is known."""
Sink = Callable[[int, Mapping[str, str]], "Callable[[bytes], object] | None"]
Fetch = Callable[[Mapping[str, str], Sink], "Flow[HttpResponse]"]
"""Sends the request with more headers; an error status raises, but for 416 where a range was asked for."""

ATTEMPTS = 5
"""How often nothing new may come before the download ends."""
_DOING = "downloading blob"
_LENGTH = re.compile(r"[0-9]{1,19}")
_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")
_HASH = re.compile(r'(?:"sha256-)?([0-9a-f]{64})"?')
_READ = 1 << 20


@attrs.frozen(kw_only=True)
class Downloaded:
    """A file that was downloaded.

    Attributes:
        path: Where it is.
        size: Bytes.
        sha256: Its hash in hex, as it was computed here.
        etag: Its strong entity tag, when the platform told one.
        content_type: Its content type, when the platform told it.
        resumed_at: Bytes that were there from an earlier call.
    """

    path: Path
    size: int
    sha256: str
    etag: str | None
    content_type: str | None
    resumed_at: int


class _Changed(Exception):
    """What is here is no beginning of what is stored now."""


@attrs.define
class _Part:
    """What has come so far."""

    target: Path
    source: str
    note: IO[bytes]
    file: IO[bytes]
    size: int = 0
    etag: str | None = None
    total: int | None = None
    content_type: str | None = None
    expected: str | None = None
    resumed_at: int = 0
    digest: Any = attrs.field(factory=hashlib.sha256)

    @classmethod
    def open(cls, target: Path, source: str, *, resume: bool) -> _Part:
        if target.is_dir():  # told now, and not when everything has come
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with contextlib.ExitStack() as undo:
            note = undo.enter_context(_locked(_beside(target, ".part.json")))
            part = cls(target, source, note, undo.enter_context(_opened(_beside(target, ".part"))))
            known = _noted(note, source) if resume else None
            if known is None:
                part.begin(None)
            else:
                part.etag = known
                while piece := part.file.read(_READ):
                    part.digest.update(piece)
                    part.size += len(piece)
                part.resumed_at = part.size
            undo.pop_all()
        return part

    def begin(self, etag: str | None) -> None:
        """Begin anew, with another version of the file."""
        self.note.seek(0)
        self.note.truncate()
        self.note.flush()  # before the bytes that it is no note of
        self.file.seek(0)
        self.file.truncate()
        self.size, self.resumed_at, self.etag, self.digest = 0, 0, etag, hashlib.sha256()
        if etag is not None:
            self.note.write(json.dumps({"etag": etag, "source": self.source}).encode())
            self.note.flush()

    def take(self, piece: bytes) -> None:
        """Append what has come."""
        self.file.write(piece)
        self.digest.update(piece)
        self.size += len(piece)

    def finish(self) -> None:
        """Put the file in its place."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        os.replace(_beside(self.target, ".part"), self.target)
        self._forget_note()

    def drop(self) -> None:
        """Forget what has come."""
        self.file.close()
        _beside(self.target, ".part").unlink(missing_ok=True)
        self._forget_note()

    def leave(self) -> None:
        """Keep what has come for a later call."""
        if not self.size:
            self.drop()
        self.note.close()
        self.file.close()  # last, since it may fail on a full disk

    def _forget_note(self) -> None:
        with contextlib.suppress(PermissionError):  # where an open file cannot be removed; it does no harm
            _beside(self.target, ".part.json").unlink(missing_ok=True)
        self.note.close()


def _beside(target: Path, ending: str) -> Path:
    return target.with_name(target.name + ending)


def _opened(path: Path) -> IO[bytes]:
    """A file to read and write, with what is in it; no link, since who made that chooses what is written to."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    return os.fdopen(os.open(path, flags, 0o666), "r+b")


def _locked(path: Path) -> IO[bytes]:
    while True:
        file = _opened(path)
        try:
            _lock(file.fileno())
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        except FileNotFoundError:
            pass  # whoever had it has removed it since it was opened
        except BaseException:
            file.close()
            raise
        file.close()


def _lock(handle: int) -> None:
    """Keep other programs off, where such locks are known.

    Raises:
        BlockingIOError: Another one is at it.
    """
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(errno.EWOULDBLOCK, "another download to it is going on") from None
    except (ImportError, OSError):
        pass


def _noted(note: IO[bytes], source: str) -> str | None:
    try:
        told: Any = json_value(note.read())
    except ValueError:
        return None
    if not is_object(told) or told.get("source") != source:
        return None
    etag = told.get("etag")
    return etag if isinstance(etag, str) and etag.startswith('"') else None


def download(
    fetch: Fetch,
    target: str | os.PathLike[str],
    *,
    source: str,
    resume: bool = True,
    on_progress: Progress | None = None,
) -> Flow[Downloaded]:
    """Download a file.

    Args:
        fetch: Sends the request.
        target: Where the file goes; replaced in one step when all of it is there.
        source: Its address; what came from another one is not gone on with.
        resume: Go on with what an earlier call left.
        on_progress: Called as bytes come, in the thread that writes them; what it raises ends the download.

    Raises:
        LocalError: The file cannot be written, or another download to it is going on.
        DecodeError: What came is not what the platform said it would be.
        NetworkError: The connection broke, and nothing new came of several attempts; what came is kept.
    """
    path = _path(target)
    part: _Part = yield from offload(
        lambda: _writing(path, lambda: _Part.open(path, source, resume=resume)), undo=_Part.leave
    )
    try:
        yield from _filled(fetch, part, on_progress)
        if part.expected not in (None, part.digest.hexdigest()):
            yield from offload(part.drop)
            raise raised(DecodeError(f"What came of {path.name} has another hash than the platform says"), _DOING)
        yield from offload(lambda: _writing(path, part.finish))
    except BaseException:
        with contextlib.suppress(OSError):  # a full disk, which has been told
            part.leave()
        raise
    return Downloaded(
        path=path,
        size=part.size,
        sha256=part.digest.hexdigest(),
        etag=part.etag,
        content_type=part.content_type,
        resumed_at=part.resumed_at,
    )


def _path(target: object) -> Path:
    given = os.fsdecode(cast("str", target)) if isinstance(target, str | os.PathLike) else ""
    if "\0" in given or not Path(given).name:
        raise raised(ArgumentError("path", "must be the path of a file, as text or a pathlib.Path"), _DOING)
    return Path(given)


def _filled(fetch: Fetch, part: _Part, on_progress: Progress | None) -> Flow[None]:
    idle, anew = 0, 0
    while True:
        before = part.size
        headers = {"Accept-Encoding": "identity"}
        if part.size and part.etag is not None:
            headers |= {"Range": f"bytes={part.size}-", "If-Range": part.etag}
        failure: TollkitError
        try:
            answer = yield from fetch(headers, _sink(part, on_progress))
            if answer.status_code == 416:
                if _whole(answer.headers, part):
                    return
                raise _Changed
            if part.total in (None, part.size):
                return
            failure = raised(TransportError(f"{part.size} of {part.total} bytes came"), _DOING)
        except _Changed:
            anew += 1
            if anew == ATTEMPTS:
                told = "The stored file changes faster than it can be downloaded"
                raise raised(DecodeError(told), _DOING) from None
            yield from offload(lambda: _writing(part.target, lambda: part.begin(None)))
            continue
        except (TransportError, StatusError) as error:
            if not error.retryable:
                raise
            failure = error
        idle = 0 if part.size > before else idle + 1
        if idle >= ATTEMPTS:
            raise failure
        most = min(8.0, 0.5 * 2.0**idle)
        asked = failure.retry_after if isinstance(failure, StatusError) else None
        yield Sleep(random.uniform(most / 2, most) if asked is None else min(asked, RETRY_AFTER_CAP))


def _sink(part: _Part, on_progress: Progress | None) -> Sink:
    def begin(status: int, headers: Mapping[str, str]) -> Callable[[bytes], object] | None:
        if status not in (200, 206):
            return None
        etag = headers.get("etag", "")
        coded = headers.get("content-encoding", "identity").strip().lower() != "identity"
        # without a strong tag nobody can tell whether the rest belongs to what is here (RFC 9110, section 13.1.5)
        strong = etag if etag.startswith('"') and not coded else None
        if status == 206:
            if strong is not None and strong != part.etag:
                raise _Changed
            found = _RANGE.fullmatch(headers.get("content-range", ""))
            if found is None or int(found[1]) != part.size or coded:
                raise raised(DecodeError("The platform sent another range than it was asked for"), _DOING)
            part.total = int(found[2]) + 1 if found[3] == "*" else int(found[3])
        else:
            _writing(part.target, lambda: part.begin(strong))
            length = headers.get("content-length", "")
            part.total = int(length) if _LENGTH.fullmatch(length) and not coded else None
        part.content_type = headers.get("content-type")
        told = _HASH.fullmatch(headers.get("x-run402-content-sha256") or (strong or ""))
        part.expected = told[1] if told else None

        def take(piece: bytes) -> None:
            if part.total is not None and part.size + len(piece) > part.total:
                raise raised(DecodeError("The platform sent more bytes than it said"), _DOING)
            _writing(part.target, lambda: part.take(piece))
            if on_progress is not None:
                on_progress(part.size, part.total)

        return take

    return begin


def _whole(headers: Mapping[str, str], part: _Part) -> bool:
    return headers.get("content-range") == f"bytes */{part.size}"


def _writing(path: Path, do: Callable[[], Any]) -> Any:
    try:
        return do()
    except OSError as problem:
        raise raised(
            LocalError(
                f"{path} cannot be written: {problem.strerror or problem}", hint="See its folder and the disk"
            ),
            _DOING,
        ) from problem
