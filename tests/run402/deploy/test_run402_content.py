"""Content: every kind of source, hashes by several threads, bodies, and changes between the two."""

from __future__ import annotations

import gc
import hashlib
import io
import os
import pickle
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tollkit.run402.deploy import content as contents_module
from tollkit.run402.deploy.content import PIECE, READ, Content, Hashed, Hashing, Sources, Stream
from tollkit.run402.deploy.errors import DeployError
from tollkit.run402.deploy.files import FileSource
from tollkit.run402.deploy.spec import Prepared, validate
from tollkit_api.run402.v1_57.models import ContentRef

BIG = bytes(range(256)) * (3 * READ // 256) + b"tail"


def site(**files: object) -> dict[str, Any]:
    return {"project": "p", "site": {"replace": files}}


def content_of(value: object) -> Content:
    (found,) = Prepared(site(a=value)).contents.values()
    return found


def sent(content: Content, start: int = 0, end: int | None = None) -> bytes:
    body = content.body(start, end)
    pieces = list(body.open())
    assert all(isinstance(piece, bytes) and 0 < len(piece) <= PIECE for piece in pieces)
    assert sum(map(len, pieces)) == body.size
    return b"".join(pieces)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Pieces:
    """An iterable that can be begun again."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.begun = 0

    def __iter__(self) -> Iterator[bytes]:
        self.begun += 1
        return iter(self.pieces)


class Pipe(io.RawIOBase):
    """A file that cannot go back."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._inner.readinto(buffer)


def halves(data: bytes) -> tuple[bytes, bytes]:
    return data[: len(data) // 2], data[len(data) // 2 :]


def a_handle(data: bytes, folder: Path) -> Any:
    path = folder / "handle"
    path.write_bytes(b"before" + data)
    handle = path.open("rb")
    handle.seek(6)
    return handle


KINDS: dict[str, Callable[[bytes, Path], Any]] = {
    "bytes": lambda data, _: data,
    "bytearray": lambda data, _: bytearray(data),
    "memoryview": lambda data, _: memoryview(data),
    "view with gaps": lambda data, _: memoryview(bytes(each for byte in data for each in (byte, 0)))[::2],
    "path": lambda data, folder: folder / "plain",
    "FileSource": lambda data, folder: FileSource(os.fspath(folder / "plain")),
    "marker": lambda data, folder: {"__source": "fs-file", "path": os.fspath(folder / "plain")},
    "open file": a_handle,
    "BytesIO": lambda data, _: io.BytesIO(data),
    "pipe": lambda data, _: Pipe(data),
    "object that only reads": lambda data, _: type("Reads", (), {"read": io.BytesIO(data).read})(),
    "iterable": lambda data, _: Pieces(*halves(data)),
    "generator": lambda data, _: (piece for piece in halves(data)),
    "list": lambda data, _: list(halves(data)),
    "function": lambda data, _: lambda: (bytearray(piece) for piece in halves(data)),
    "wrapped": lambda data, folder: {"data": {"data": folder / "plain", "contentType": "x/inner"}},
}


@pytest.mark.parametrize("data", [b"", b"x", BIG], ids=["empty", "small", "large"])
@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_sources(kind: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(data)
    value = KINDS[kind](data, tmp_path)
    try:
        content = content_of(value)
        assert (content.sha256, content.size, content.available) == (sha256(data), len(data), True)
        assert sent(content) == sent(content) == data
        assert sent(content, 1 if data else 0) == data[1:]
        middle = len(data) // 3
        assert sent(content, middle, middle) == b""
        assert sent(content, middle, 2 * middle) == data[middle : 2 * middle]
    finally:
        getattr(value, "close", lambda: None)()


def test_text_and_types() -> None:
    made = Prepared(
        site(
            **{
                "a.html": "hä",
                "b.html": {"data": "b", "contentType": "x/b"},
                "c.html": {"data": {"data": "c", "contentType": "x/inner"}, "content_type": ""},
                "d.html": {"data": FileSource(__file__, "x/file"), "content_type": "x/d"},
                "e.html": FileSource(__file__, "x/file"),
            }
        )
    )
    types = {name: ref["contentType"] for name, ref in made.wire()["site"]["replace"].items()}
    assert types == {
        "a.html": "text/html; charset=utf-8",
        "b.html": "x/b",
        "c.html": "x/inner",
        "d.html": "x/d",
        "e.html": "x/file",
    }
    first = made.contents[sha256("hä".encode())]
    assert (first.size, first.label, first.content_type) == (3, "a.html", "text/html; charset=utf-8")


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        True,
        1.5,
        {},
        {"path": "x"},
        {"data": None},
        {"data": "x", "encoding": "base64"},
        {"data": "x", "contentType": 5},
        {"data": "x", "contentType": "a\r\nb"},
        {"__source": "fs-file", "path": "x", "other": 1},
        {"__source": "other", "path": "x"},
        {"sha256": "x", "size": 1},
        {"sha256": "B" * 64, "size": 1},
        {"sha256": "b" * 64, "size": 1.0},
        {"sha256": "b" * 64, "size": True},
        {"sha256": "b" * 64, "size": -1},
        {"sha256": "b" * 64, "size": 2**53},
        {"sha256": "b" * 64, "size": 1, "integrity": 1},
        {"sha256": "b" * 64, "size": 1, "url": "x"},
        {"sha256": "b" * 64, "size": "1"},
        "\ud800",
        ["text"],
        [1],
        {b"x"},
        io.StringIO("text"),
        bytes,
        type("ContentRef", (), {"to_dict": lambda self: None})(),
        type("ContentRef", (), {})(),
    ],
)
def test_what_is_no_content(value: object) -> None:
    with pytest.raises(DeployError) as caught:
        validate(site(**{"a.bin": value}))
    error = caught.value
    assert (error.code, error.resource, error.phase) == ("INVALID_SPEC", "a.bin", None)
    assert error.doing == "normalizing byte sources"


def test_what_gives_no_bytes_is_told_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("x")

    def broken() -> Iterator[bytes]:
        yield b"x"
        raise KeyError("gone")

    closed = io.BytesIO(b"x")
    path = tmp_path / "pipe"
    os.mkfifo(path)
    closing = Prepared(site(a=closed))
    closed.close()
    with pytest.raises(DeployError) as caught:
        closing.wire()
    assert caught.value.code == "CONTENT_UNREADABLE"
    with pytest.raises(DeployError) as caught:
        validate(site(a=closed))
    assert caught.value.code == "CONTENT_UNREADABLE"
    for value, code in [
        (Pieces("text"), "INVALID_SPEC"),  # type: ignore[arg-type]
        (lambda: ["text"], "INVALID_SPEC"),
        (lambda: 5, "CONTENT_UNREADABLE"),
        (broken, "CONTENT_UNREADABLE"),
        (broken(), "CONTENT_UNREADABLE"),
        (tmp_path / "none", "CONTENT_UNREADABLE"),
        (tmp_path, "CONTENT_UNREADABLE"),
        (path, "CONTENT_UNREADABLE"),
        (FileSource("nul\0"), "CONTENT_UNREADABLE"),
        (FileSource(os.fspath(tmp_path / ("long" * 99))), "CONTENT_UNREADABLE"),
    ]:
        prepared = Prepared(site(**{"x.bin": value}))
        with pytest.raises(DeployError) as caught:
            prepared.wire()
        assert (caught.value.code, caught.value.resource) == (code, "x.bin")
        assert caught.value.__cause__ is not None or code == "INVALID_SPEC"


def test_a_failure_ends_hashing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(BIG)
    prepared = Prepared(site(none=tmp_path / "none", **{f"{n}": Pieces(BIG) for n in range(20)}))
    with pytest.raises(DeployError, match="none cannot be read"):
        prepared.wire()


def test_content_that_the_gateway_is_said_to_have() -> None:
    content = content_of({"sha256": "b" * 64, "size": 3})
    with pytest.raises(DeployError) as caught:
        content.body()
    error = caught.value
    assert (error.code, error.phase, error.resource) == ("CONTENT_UPLOAD_FAILED", None, "a")


def test_bytes_that_are_not_there() -> None:
    content = content_of("abc")
    for start, end in [(0, 4), (2, 1), (-1, 2)]:
        with pytest.raises(DeployError) as caught:
            content.body(start, end)
        assert (caught.value.code, caught.value.phase) == ("CONTENT_UPLOAD_FAILED", "upload")


def test_the_first_place_names_content_and_later_ones_fill_gaps() -> None:
    ref = {"sha256": sha256(b"x"), "size": 1}
    spec = {
        "project": "p",
        "functions": {"replace": {"f": {"source": "x"}, "g": {"source": "y"}}},
        "site": {"replace": {"a.html": "x", "b.css": "x"}},
    }
    found = Prepared(spec).contents
    assert (found[sha256(b"x")].label, found[sha256(b"x")].content_type) == (
        "function source",
        "text/html; charset=utf-8",
    )
    assert found[sha256(b"y")].content_type is None
    later = Prepared(site(**{"a.html": ref, "b.css": b"x"})).contents[ref["sha256"]]
    assert (later.label, later.available) == ("a.html", True)
    assert sent(later) == b"x"


def test_the_same_thing_at_many_places_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x")
    once = (piece for piece in [b"once"])
    again = Pieces(b"again")
    prepared = Prepared(site(a=path, b=FileSource(os.fspath(path)), c=once, d=once, e=again, f=again))
    told: list[Hashed] = []
    while some := prepared.hash_some():
        told += some
    assert len(told) == 3
    assert {each.total for each in told} == {3}
    assert again.begun == 1
    files = prepared.wire()["site"]["replace"]
    assert files["c"] == files["d"]
    assert len(prepared.contents) == 3


def test_objects_made_on_the_way_are_not_mixed_up() -> None:
    class Files(dict[str, Any]):
        def items(self) -> Any:
            return ((name, f"{name}{'x' * 50}".encode()) for name in self)

    names = [f"f{n}" for n in range(200)]
    prepared = Prepared({"project": "p", "site": {"replace": Files.fromkeys(names)}})
    made = prepared.wire()["site"]["replace"]
    assert [made[name]["sha256"] for name in names] == [sha256((name + "x" * 50).encode()) for name in names]


def test_hashing_goes_on_where_its_budget_ended(tmp_path: Path) -> None:
    paths = {f"{n}": tmp_path / f"{n}" for n in range(3)}
    for path in paths.values():
        path.write_bytes(BIG)
    prepared = Prepared(site(**paths, small=b"s", other=b"o"))
    rounds: list[list[Hashed]] = []
    while some := prepared.hash_some(READ, 2):
        rounds.append(some)
    assert len(rounds) > 4
    last = max((each for some in rounds for each in some), key=lambda each: (each.done, each.bytes_done))
    total = 3 * len(BIG) + 2
    assert (last.done, last.total, last.bytes_done, last.bytes_total) == (5, 5, total, total)
    assert all(each.size <= len(BIG) for some in rounds for each in some)
    assert prepared.hash_some() == []
    assert set(prepared.contents) == {sha256(BIG), sha256(b"s"), sha256(b"o")}


def test_hashing_nothing() -> None:
    assert Hashing([]).some(1, 1) == []
    assert Prepared({"project": "p"}).contents == {}


def test_sizes_before_hashing(tmp_path: Path) -> None:
    with a_handle(b"abc", tmp_path) as handle:
        sources = Sources()
        for value in (b"1234", handle, tmp_path / "handle", tmp_path / "none", io.BytesIO(b"1"), Pieces(b"1")):
            sources.add(value, "x")
        assert [store.expected for _, store in sources.stores] == [4, 3, 9, 0, 0, 0]


# -- changes ---------------------------------------------------------------------------------------------------------


def changed(content: Content, start: int = 0, end: int | None = None) -> DeployError:
    came: list[bytes] = []
    with pytest.raises(DeployError) as caught:
        came.extend(content.body(start, end).open())
    error = caught.value
    assert (error.code, error.phase, error.resource) == ("CONTENT_CHANGED", "upload", "a")
    assert sum(map(len, came)) < max(1, (end or content.size) - start)
    return error


def rewrite(path: Path, data: bytes, seconds: int) -> None:
    path.write_bytes(data)
    os.utime(path, (seconds, seconds))


@pytest.mark.parametrize(
    "change",
    [
        lambda path: rewrite(path, b"X" + BIG[1:], 1),
        lambda path: rewrite(path, BIG + b"more", 1),
        lambda path: rewrite(path, b"", 1),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.with_name("new").write_bytes(BIG), path.with_name("new").replace(path)),
    ],
    ids=["bytes", "longer", "empty", "gone", "folder", "replaced"],
)
def test_a_file_that_changes_before_it_is_sent(change: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(BIG)
    content = content_of(path)
    change(path)
    changed(content)
    changed(content, 5, 10)


def test_a_file_that_changes_while_it_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "file"
    rewrite(path, BIG, 1)
    for change in (BIG[:-1] + b"X", BIG[:READ]):
        rewrite(path, BIG, 1)
        content = content_of(path)
        pieces = content.body().open()
        got = [next(pieces)]
        rewrite(path, change, 2)
        with pytest.raises(DeployError) as caught:
            got.extend(pieces)
        assert caught.value.code == "CONTENT_CHANGED"
        assert sum(map(len, got)) < len(BIG)


def test_a_file_that_changes_while_it_is_hashed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(BIG)
    for value in (path, path.open("rb")):
        rewrite(path, BIG, 1)
        prepared = Prepared(site(a=value))
        prepared.hash_some(READ)
        rewrite(path, BIG[:-1] + b"X", 2)
        with pytest.raises(DeployError) as caught:
            prepared.wire()
        assert (caught.value.code, caught.value.phase) == ("CONTENT_CHANGED", "validate")
        getattr(value, "close", lambda: None)()


def test_memory_that_changes_before_it_is_sent() -> None:
    data = bytearray(b"abc")
    view = content_of(memoryview(data))
    copied = content_of(data)
    data[0] = 0
    changed(view)
    assert sent(view, 1) == b"bc"
    assert sent(copied) == b"abc"


def test_an_open_file_that_changes_before_it_is_sent(tmp_path: Path) -> None:
    inner = io.BytesIO(b"abcdef")
    content = content_of(inner)
    inner.getbuffer()[1] = 0
    changed(content)
    inner.truncate(3)
    changed(content)
    changed(content, 2, 5)
    inner.close()
    changed(content)
    path = tmp_path / "x"
    path.write_bytes(b"abcdef")
    os.utime(path, (1, 1))
    with path.open("rb") as handle:
        content = content_of(handle)
        rewrite(path, b"abcdeX", 2)
        changed(content, 0, 3)


def test_an_iterable_that_gives_something_else_the_second_time() -> None:
    changing = Pieces(b"abc")
    content = content_of(changing)
    changing.pieces = (b"abd",)
    changed(content)
    changing.pieces = (b"a", b"bc")
    assert sent(content) == b"abc"
    begun = changing.begun
    assert sent(content, 1) == b"bc"
    assert changing.begun == begun


# -- resources -------------------------------------------------------------------------------------------------------


def test_temporary_files_are_closed_with_what_they_are_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    real = tempfile.TemporaryFile

    def temporary() -> Any:
        made.append(real())
        return made[-1]

    monkeypatch.setattr(contents_module.tempfile, "TemporaryFile", temporary)
    prepared: Prepared | None = Prepared(site(a=iter([b"x"])))
    assert prepared is not None
    prepared.wire()
    assert not made[0].closed
    prepared = None
    gc.collect()
    assert made[0].closed


def test_no_place_for_a_temporary_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(contents_module.tempfile, "TemporaryFile", full)
    with pytest.raises(DeployError, match="No space left"):
        Prepared(site(a=iter([b"x"]))).wire()


def test_an_interrupt_is_nobodys_error() -> None:
    def interrupted() -> Iterator[bytes]:
        raise KeyboardInterrupt
        yield b""

    with pytest.raises(KeyboardInterrupt):
        Prepared(site(a=interrupted)).wire()


def test_memory_stays_small_whatever_the_size(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(200 << 20)
    spooled = Stream(lambda: (bytes(READ) for _ in range(60)), once=True)
    tracemalloc.start()
    try:
        content = content_of(path)
        for _ in content.body().open():
            pass
        for _ in spooled.hashing("x"):
            pass
        for _ in spooled.pieces(0, spooled.size, "x"):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert content.size == 200 << 20
    assert peak < 12 << 20


def test_values_are_plain() -> None:
    assert FileSource(Path("x")).path == "x"  # type: ignore[arg-type]
    assert pickle.loads(pickle.dumps(FileSource("x", "y/z"))) == FileSource("x", "y/z")
    assert "store" not in repr(content_of(b"secret"))
    assert content_of(ContentRef(sha256="b" * 64, size=1)).size == 1
