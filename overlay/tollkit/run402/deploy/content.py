"""Content of a deploy: where bytes come from, their hashes, and bodies that can be sent more than once.

Nothing is read before it is hashed, and nothing but what the gateway lacks is read again. Memory does not grow with
the size of files: what can be read twice is read twice, everything else is kept in a temporary file.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, NoReturn, Protocol, TypeGuard, cast

import attrs

from tollkit.core.flows import Body
from tollkit.run402.deploy.content_types import content_type_of
from tollkit.run402.deploy.errors import DeployError
from tollkit.run402.deploy.files import FileSource
from tollkit.run402.errors import Run402Error

__all__ = ["Content", "Hashed", "Hashing", "Memory", "Source", "Sources", "is_ref", "ref_of"]

READ = 1 << 20
"""Bytes that are hashed at a time."""
PIECE = 1 << 18
"""Bytes of the largest piece of a body."""
MAX_SIZE = 2**53 - 1
_HEX = frozenset("0123456789abcdef")
_REF = ("sha256", "size", "contentType", "content_type", "integrity")
_WRAPPER = ("data", "contentType", "content_type")
_MARKER = ("__source", "path", "contentType", "content_type")
_DEEPEST = 16

Print = tuple[int, int, int, int]


# -- what went wrong ------------------------------------------------------------------------------------------------


def _refused(problem: str, label: str, hint: str | None = None) -> DeployError:
    return DeployError(
        f"{label}: {problem}",
        code="INVALID_SPEC",
        resource=label,
        hint=hint,
        doing="normalizing byte sources",
    )


def _unreadable(label: str, problem: Exception) -> DeployError:
    told = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
    return DeployError(
        f"{label} cannot be read: {told or type(problem).__name__}",
        code="CONTENT_UNREADABLE",
        phase="validate",
        resource=label,
        doing="hashing content",
    )


def _changed(label: str, how: str, phase: str = "upload") -> DeployError:
    return DeployError(
        f"{label} {how}",
        code="CONTENT_CHANGED",
        phase=phase,
        resource=label,
        retryable=True,
        hint="Deploy again when nothing writes to it any more",
        doing="hashing content" if phase == "validate" else "uploading content",
    )


_DIFFERS = "is not what it was when it was hashed"


# -- bytes that can be read again and again -------------------------------------------------------------------------


class Store(Protocol):
    """Bytes from somewhere; their hash and size are known after `hashing`."""

    sha256: str
    size: int

    @property
    def expected(self) -> int:
        """How many bytes it likely has, for showing progress; 0 when nobody knows."""
        ...

    def hashing(self, label: str) -> Generator[int]:
        """Hash all; yields how many bytes each step took. Blocks."""
        ...

    def pieces(self, start: int, end: int, label: str) -> Iterator[bytes]:
        """The bytes from `start` up to `end`, or an error before the last of them if they are not the same."""
        ...


def _guarded(
    pieces: Iterable[bytes], wanted: int, label: str, same: Callable[[], bool], digest: Any = None
) -> Iterator[bytes]:
    """Pass pieces on, the last one only when all is as it was: so changed content never goes out whole."""
    left = wanted
    for piece in pieces:
        left -= len(piece)
        if digest is not None:
            digest.update(piece)
        if left <= 0 and (left < 0 or not same()):
            raise _changed(label, _DIFFERS)
        yield piece
    if left:
        raise _changed(label, "is shorter than when it was hashed")


class Memory:
    """Bytes in memory.

    Args:
        data: The bytes; a view of something that may change is checked when it is sent.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = data
        self.size: int = len(data)
        self.sha256: str = ""

    @property
    def expected(self) -> int:
        """How many bytes it has."""
        return self.size

    def hashing(self, label: str) -> Generator[int]:
        """Hash all."""
        digest, view = hashlib.sha256(), memoryview(self._data)
        for start in range(0, self.size, READ):
            digest.update(view[start : start + READ])
            yield min(READ, self.size - start)
        self.sha256 = digest.hexdigest()

    def pieces(self, start: int, end: int, label: str) -> Iterator[bytes]:
        """The bytes from `start` up to `end`."""
        view = memoryview(self._data)
        pieces = (bytes(view[at : min(at + PIECE, end)]) for at in range(start, end, PIECE))
        if isinstance(self._data, bytes) or end - start < self.size:
            return pieces
        digest = hashlib.sha256()
        return _guarded(pieces, self.size, label, lambda: digest.hexdigest() == self.sha256, digest)


def _print(handle: int) -> Print:
    """What tells whether a file is the same one, unchanged."""
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        raise OSError("it is no regular file")
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _opened(path: str) -> IO[bytes]:
    # a named pipe would wait for somebody who writes
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    return open(path, "rb", buffering=0, opener=lambda name, _: os.open(name, flags))


class File:
    """A file, which is opened when it is hashed and again when it is sent.

    Args:
        path: Where it is.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._print: Print | None = None
        self.size: int = 0
        self.sha256: str = ""

    @property
    def expected(self) -> int:
        """Its size now; 0 when it cannot be read, which hashing tells."""
        try:
            return os.stat(self._path).st_size
        except (OSError, ValueError):
            return 0

    def hashing(self, label: str) -> Generator[int]:
        """Hash all; the file has to stay as it is meanwhile."""
        digest = hashlib.sha256()
        try:
            with _opened(self._path) as file:
                self._print = before = _print(file.fileno())
                buffer = memoryview(bytearray(min(READ, before[2] + 1)))
                while count := cast("io.FileIO", file).readinto(buffer):
                    digest.update(buffer[:count])
                    self.size += count
                    yield count
                if _print(file.fileno()) != before or self.size != before[2]:
                    raise _changed(label, "changed while it was hashed", "validate")
        except (OSError, ValueError) as problem:
            raise _unreadable(label, problem) from problem
        self.sha256 = digest.hexdigest()

    def pieces(self, start: int, end: int, label: str) -> Iterator[bytes]:
        """The bytes from `start` up to `end`, if it is the same file still."""
        try:
            with _opened(self._path) as file:
                handle = file.fileno()
                if _print(handle) != self._print:
                    raise _changed(label, _DIFFERS)
                file.seek(start)
                yield from _guarded(
                    _read(file.read, end - start), end - start, label, lambda: _print(handle) == self._print
                )
        except OSError as problem:
            raise _changed(label, f"cannot be read any more: {problem.strerror or problem}") from problem


def _read(read: Callable[[int], bytes], count: int) -> Iterator[bytes]:
    while count and (piece := read(min(PIECE, count))):
        count -= len(piece)
        yield piece


class Handle:
    """An open file that can be read from any place; several threads share it.

    Args:
        handle: The file, open for reading bytes; what stands before its position is left out.
    """

    def __init__(self, handle: IO[bytes]) -> None:
        self._handle = handle
        self._lock = threading.Lock()
        self._start = handle.tell()
        self._print = self._printed()
        self.size: int = 0
        self.sha256: str = ""

    @property
    def expected(self) -> int:
        """How many bytes are left in it; 0 when it has no size of its own."""
        return max(0, self._print[2] - self._start) if self._print else 0

    def _printed(self) -> Print | None:
        try:
            return _print(self._handle.fileno())
        except (OSError, AttributeError, ValueError):
            return None  # in memory, or of a kind that tells no number; its bytes are compared instead

    def _at(self, position: int, count: int) -> bytes:
        with self._lock:
            self._handle.seek(self._start + position)
            return self._handle.read(count)

    def hashing(self, label: str) -> Generator[int]:
        """Hash all from the position on, and go back to it."""
        digest = hashlib.sha256()
        self._print = self._printed()
        with reading(label):
            while piece := _bytes(self._at(self.size, READ), label):
                digest.update(piece)
                self.size += len(piece)
                yield len(piece)
            with self._lock:
                self._handle.seek(self._start)
        if self._printed() != self._print:
            raise _changed(label, "changed while it was hashed", "validate")
        self.sha256 = digest.hexdigest()

    def pieces(self, start: int, end: int, label: str) -> Iterator[bytes]:
        """The bytes from `start` up to `end`."""
        at = start

        def read(count: int) -> bytes:
            nonlocal at
            piece = self._at(at, count)
            at += len(piece)
            return piece

        digest = hashlib.sha256() if end - start == self.size else None

        def same() -> bool:
            return self._printed() == self._print and (digest is None or digest.hexdigest() == self.sha256)

        try:
            yield from _guarded(_read(read, end - start), end - start, label, same, digest)
        except (OSError, ValueError) as problem:  # a closed file is a ValueError
            raise _changed(label, f"cannot be read any more: {problem}") from problem


class Stream:
    """Pieces that come one after the other; kept in a temporary file when they have to be sent.

    Args:
        start: Gives the pieces from the first one on.
        once: Whether it can do so only once; then they are kept at once.
    """

    def __init__(self, start: Callable[[], Iterable[object]], *, once: bool) -> None:
        self._start = start
        self._once = once
        self._lock = threading.Lock()
        self._kept: Handle | None = None
        self.size: int = 0
        self.sha256: str = ""

    @property
    def expected(self) -> int:
        """Nobody knows."""
        return 0

    def hashing(self, label: str) -> Generator[int]:
        """Hash all."""
        steps = self._keeping(label) if self._once else self._counting(label, None)
        self.size, self.sha256 = yield from steps

    def _counting(self, label: str, file: IO[bytes] | None) -> Generator[int, None, tuple[int, str]]:
        digest, size = hashlib.sha256(), 0
        with reading(label):
            for given in self._start():
                piece = _bytes(given, label)
                digest.update(piece)
                size += len(piece)
                if file is not None:
                    file.write(piece)
                yield len(piece)
        return size, digest.hexdigest()

    def _keeping(self, label: str) -> Generator[int, None, tuple[int, str]]:
        with reading(label):
            file = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with this object
        weakref.finalize(self, file.close)
        found = yield from self._counting(label, file)
        file.seek(0)
        kept = Handle(file)
        kept.size, kept.sha256 = found
        self._kept = kept
        return found

    def pieces(self, start: int, end: int, label: str) -> Iterator[bytes]:
        """The bytes from `start` up to `end`."""
        with self._lock:
            if self._kept is None:
                found = _result(self._keeping(label))
                if found != (self.size, self.sha256):
                    self._kept = None
                    raise _changed(label, "gives other bytes than when it was hashed")
            kept = cast("Handle", self._kept)
        return kept.pieces(start, end, label)


def _result(steps: Generator[int, None, tuple[int, str]]) -> tuple[int, str]:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast("tuple[int, str]", end.value)


class reading:  # noqa: N801 - used like a function
    """Whatever the caller's own file or iterable raises in the block comes out as a `DeployError`, with its cause."""

    def __init__(self, label: str) -> None:
        self._label = label

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, _: object) -> None:
        if isinstance(problem, Exception) and not isinstance(problem, Run402Error):
            raise _unreadable(self._label, problem) from problem


def _bytes(piece: object, label: str) -> bytes | memoryview:
    if isinstance(piece, bytes):
        return piece
    if isinstance(piece, bytearray | memoryview):
        view: memoryview = memoryview(cast("bytes", piece))
        return view.cast("B") if view.c_contiguous else bytes(view)
    raise _refused(
        f"gives {type(piece).__name__} where bytes are needed", label, "Open files for reading bytes, with mode 'rb'"
    )


# -- the sources of a spec ------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Source:
    """One place of a spec at which content stands."""

    label: str
    content_type: str | None
    store: Store | None
    """`None` for content that the gateway is said to have."""
    ref: Mapping[str, Any] | None = None

    @property
    def sha256(self) -> str:
        """The hash, once everything is hashed."""
        return self.store.sha256 if self.store else cast("Mapping[str, Any]", self.ref)["sha256"]

    @property
    def size(self) -> int:
        """How many bytes."""
        return self.store.size if self.store else cast("Mapping[str, Any]", self.ref)["size"]

    def wire(self) -> dict[str, Any]:
        """The ContentRef that stands for it in a plan."""
        told = {"contentType": self.content_type} if self.content_type else {}
        if self.ref is not None:
            return {**self.ref, **told}
        return {"sha256": self.sha256, "size": self.size, **told}


@attrs.define
class Sources:
    """Collects the sources of one spec; the same file or object at several places is one store."""

    found: list[Source] = attrs.field(factory=list[Source])
    _stores: dict[object, tuple[object, Store]] = attrs.field(factory=dict[object, "tuple[object, Store]"])

    def add(self, value: object, label: str, path: str | None = None, content_type: str | None = None) -> Source:
        """Take a source; nothing is read yet.

        Args:
            value: What the caller gave: text, bytes, a path, an open file, a mapping with `data`, a ContentRef.
            label: What it is called in events and errors.
            path: Path by which its type is guessed when nothing tells it.
            content_type: Its type, when the place says it.

        Raises:
            DeployError: `INVALID_SPEC`, it is none of these.
        """
        source = self._resolved(value, label, 0)
        source.content_type = content_type or source.content_type or (content_type_of(path) if path else None)
        self.found.append(source)
        return source

    def _resolved(self, value: object, label: str, depth: int) -> Source:
        if _is_object(value):
            if is_ref(value):
                ref = ref_of(value, label)
                return Source(label, ref.get("contentType"), None, ref)
            if "data" in value and depth < _DEEPEST:
                told = _told(value, label, _WRAPPER)
                inner = self._resolved(value["data"], label, depth + 1)
                inner.content_type = told or inner.content_type
                return inner
            if value.get("__source") == "fs-file" and isinstance(value.get("path"), str):
                return Source(label, _told(value, label, _MARKER), self._file(value["path"]))
            hint = (
                "Give a file as pathlib.Path; manifests with paths go through load_manifest"
                if "path" in value
                else None
            )
            raise _refused("an object needs data, or sha256 and size", label, hint)
        if isinstance(value, FileSource):
            return Source(label, value.content_type, self._file(value.path))
        if isinstance(value, os.PathLike):
            return Source(label, None, self._file(os.fsdecode(cast("os.PathLike[str]", value))))
        told_as = _generated_ref(value)
        if told_as is not None:
            return self._resolved(told_as, label, depth)
        return Source(label, None, self._shared(id(value), value, lambda: _store(value, label)))

    def _file(self, path: str) -> Store:
        path = os.path.abspath(path)
        return self._shared(path, None, lambda: File(path))

    def _shared(self, key: object, value: object, make: Callable[[], Store]) -> Store:
        if key not in self._stores:
            self._stores[key] = (value, make())  # the object stays alive, so that its id stays its own
        return self._stores[key][1]

    @property
    def stores(self) -> list[tuple[str, Store]]:
        """What has to be hashed, each once, with the label of its first place."""
        labels: dict[int, tuple[str, Store]] = {}
        for source in self.found:
            if source.store is not None:
                labels.setdefault(id(source.store), (source.label, source.store))
        return list(labels.values())


def _generated_ref(value: object) -> Mapping[str, Any] | None:
    """The members of the generated ContentRef; found without loading its module for everybody."""
    to_dict = getattr(value, "to_dict", None)
    if type(value).__name__ != "ContentRef" or not callable(to_dict):
        return None
    told: object = to_dict()
    return told if _is_object(told) else None


def _store(value: object, label: str) -> Store:
    given: Any = value  # as no type of all that it may be
    kind = type(value).__name__
    if isinstance(value, str):
        try:
            return Memory(value.encode())
        except UnicodeEncodeError:
            raise _refused("has half a surrogate pair, which is no text", label) from None
    if isinstance(value, bytes | bytearray):
        return Memory(bytes(value))
    if isinstance(value, memoryview):
        return Memory(_bytes(cast("object", value), label))
    if isinstance(value, io.TextIOBase):
        raise _refused("is open as text", label, "Open files for reading bytes, with mode 'rb'")
    read = getattr(value, "read", None)
    if callable(read):
        handle = cast("IO[bytes]", value)
        with reading(label):
            if hasattr(handle, "seekable") and handle.seekable():
                return Handle(handle)
        return Stream(lambda: iter(lambda: read(READ), b""), once=True)
    if isinstance(value, list | tuple):
        pieces = [_bytes(piece, label) for piece in cast("Sequence[object]", value)]
        return Stream(lambda: pieces, once=False)
    if isinstance(value, Iterable) and not isinstance(value, Set):  # a set has no order
        pieces_of = cast("Iterable[object]", value)
        return Stream(lambda: pieces_of, once=isinstance(value, Iterator))
    if callable(given) and not isinstance(given, type):
        return Stream(cast("Callable[[], Iterable[object]]", given), once=False)
    raise _refused(f"{kind} is no content", label, "Give text, bytes, a path or an open file")


def _is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def is_ref(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether it stands for content that the gateway has already (it has a hash and a size, and no bytes)."""
    return (
        _is_object(value)
        and isinstance(value.get("sha256"), str)
        and isinstance(value.get("size"), int | float)
        and "data" not in value
        and "__source" not in value
    )


def ref_of(value: Mapping[str, Any], label: str) -> dict[str, Any]:
    """The ContentRef as it goes out: checked, and its type under the name of the wire.

    Raises:
        DeployError: `INVALID_SPEC`, a member is unknown or not what it has to be.
    """
    sha256, size = value.get("sha256"), value.get("size")
    if not isinstance(sha256, str) or len(sha256) != 64 or not _HEX.issuperset(sha256):
        raise _refused("sha256 must be 64 lower-case hexadecimal digits", label)
    if type(size) is not int or not 0 <= size <= MAX_SIZE:
        raise _refused("size must be a whole number of bytes", label)
    told = _told(value, label, _REF)
    integrity = value.get("integrity")
    if integrity is not None and not isinstance(integrity, str):
        raise _refused("integrity must be text", label)
    ref = {"sha256": sha256, "size": size, "contentType": told, "integrity": integrity}
    return {name: given for name, given in ref.items() if given is not None}


def _told(value: Mapping[str, Any], label: str, known: tuple[str, ...]) -> str | None:
    """The content type that a mapping tells; refuses members that mean nothing."""
    for name in value:
        if name not in known:
            raise _refused(f"{name!r} means nothing beside {known[0]}", label, f"Known are {', '.join(known)}")
    told: object = value.get("contentType") or value.get("content_type") or None
    if told is not None and not (isinstance(told, str) and told.isprintable() and told.isascii()):
        raise _refused("the content type must be text without line breaks", label)
    return told


# -- hashing --------------------------------------------------------------------------------------------------------


@attrs.frozen
class Hashed:
    """How far hashing is."""

    label: str
    """What was hashed last."""
    size: int
    """How many bytes of it are hashed."""
    done: int
    """How many files are hashed; each counts once, in however many places it stands."""
    total: int
    """How many there are."""
    bytes_done: int
    """How many bytes are hashed."""
    bytes_total: int
    """How many there will likely be: sizes of streams are not known before."""


class Hashing:
    """Hashes stores with several threads; `hashlib` lets them run side by side.

    Args:
        stores: What to hash, with labels.
    """

    def __init__(self, stores: Sequence[tuple[str, Store]]) -> None:
        self._waiting = deque((label, store, store.hashing(label)) for label, store in stores)
        self._lock = threading.Lock()
        self._done = 0
        self._total = len(stores)
        self._bytes = 0
        self._stores = stores
        self._expected: int | None = None
        self._failed = False

    def some(self, budget_bytes: int, budget_files: int) -> list[Hashed]:
        """Hash until a budget is spent; a file larger than that goes on with the next call. Blocks.

        Returns:
            What was hashed, also of files that are not done yet; empty when all is done.

        Raises:
            DeployError: A source cannot be read, or changed meanwhile.
        """
        if not self._waiting:
            return []
        if self._expected is None:
            self._expected = sum(store.expected for _, store in self._stores)
        told: list[Hashed] = []
        stop = self._bytes + budget_bytes, self._done + budget_files
        threads = min(8, (os.cpu_count() or 1) + 2, len(self._waiting))
        if threads == 1:
            self._work(told, *stop)
            return told
        with ThreadPoolExecutor(threads, thread_name_prefix="tollkit-hash") as pool:
            working = [pool.submit(self._work, told, *stop) for _ in range(threads)]
        for each in working:
            each.result()
        return told

    def _work(self, told: list[Hashed], stop_bytes: int, stop_files: int) -> None:
        while True:
            with self._lock:
                if self._failed or not self._waiting or self._bytes >= stop_bytes or self._done >= stop_files:
                    return
                label, store, steps = self._waiting.popleft()
            spent = False
            try:
                for count in steps:
                    with self._lock:
                        self._bytes += count
                        spent = self._bytes >= stop_bytes
                    if spent:
                        break
            except BaseException:
                self._failed = True
                raise
            with self._lock:
                if spent:
                    self._waiting.appendleft((label, store, steps))
                else:
                    self._done += 1
                expected = max(self._bytes, self._expected or 0)
                told.append(Hashed(label, store.size, self._done, self._total, self._bytes, expected))


# -- what is uploaded -----------------------------------------------------------------------------------------------


@attrs.frozen
class _StoredBody:
    """A part of a store as a request body."""

    _store: Store
    _start: int
    _end: int
    _label: str

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self._end - self._start

    def open(self) -> Iterator[bytes]:
        """The bytes from their start."""
        return self._store.pieces(self._start, self._end, self._label)


@attrs.frozen
class Content:
    """Content with its hash, once for all places at which it stands."""

    sha256: str
    size: int
    content_type: str | None
    label: str
    _store: Store | None = attrs.field(repr=False, default=None)

    @property
    def available(self) -> bool:
        """Whether its bytes are here; else the gateway was said to have them."""
        return self._store is not None

    def body(self, start: int = 0, end: int | None = None) -> Body:
        """The bytes from `start` up to `end` as a body that can be sent again and again.

        Opening it raises `CONTENT_CHANGED` when the bytes are not the ones that were hashed.

        Raises:
            DeployError: `CONTENT_UPLOAD_FAILED`, the bytes are not here, or there are no such bytes.
        """
        if self._store is None:
            self._fail("the spec names it by its hash, and the gateway does not have it")
        end = self.size if end is None else end
        if not 0 <= start <= end <= self.size:
            self._fail(f"the gateway asks for bytes {start} to {end} of {self.size}", phase="upload")
        return _StoredBody(self._store, start, end, self.label)

    def _fail(self, problem: str, phase: str | None = None) -> NoReturn:
        raise DeployError(
            f"{self.label}: {problem}",
            code="CONTENT_UPLOAD_FAILED",
            phase=phase,
            resource=self.label,
            doing="uploading content",
        )

    @staticmethod
    def of(sources: Iterable[Source]) -> dict[str, Content]:
        """Content by hash: the first place gives the label and the type; a later one only what is lacking."""
        found: dict[str, Content] = {}
        for source in sources:
            first = found.get(source.sha256)
            if first is None:
                made = Content(source.sha256, source.size, source.content_type, source.label, source.store)
            elif first.content_type is None or first._store is None:
                made = attrs.evolve(
                    first,
                    content_type=first.content_type or source.content_type,
                    store=first._store or source.store,
                )
            else:
                continue
            found[source.sha256] = made
        return found
