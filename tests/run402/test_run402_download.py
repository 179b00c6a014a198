"""`blobs.download`: whatever happens on the way, the target is the old file, or all of the new one."""

from __future__ import annotations

import errno
import fcntl
import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.run402 import PROJECT, Side
from support.run402_deploys import Kit
from support.scripted_http import Reply
from support.server import Answer, Half, Raw, Reset, Seen, Server, Step
from tollkit import errors as tree
from tollkit.run402 import Downloaded
from tollkit.run402 import download as module
from tollkit.run402.errors import ApiError, LocalError, NetworkError, ProjectNotFound, Unauthorized
from tollkit.sandbox import Sandbox

MIB = 1 << 20
DATA = bytes(range(256)) * 64
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def kit(side: Side, tollkit_sandbox: Sandbox, naps: list[float]) -> Kit:
    """A project in the sandbox and its owner's client; nothing waits."""
    return Kit(side, tollkit_sandbox)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target.bin"


def beside(target: Path) -> tuple[Path, Path]:
    return target.with_name(target.name + ".part"), target.with_name(target.name + ".part.json")


def clean(target: Path) -> bool:
    return not any(path.exists() for path in beside(target))


def leave(target: Path, data: bytes, source: str, etag: str = f'"sha256-{SHA}"') -> None:
    """What a call that was killed has left."""
    part, note = beside(target)
    part.write_bytes(data)
    note.write_text(json.dumps({"etag": etag, "source": source}))


class Store:
    """A real server with one file, which knows ranges, and a client of it.

    Args:
        side: Blocking or async.
        steps: What the first requests get instead of the right answer.
    """

    def __init__(self, side: Side, *steps: Any, data: bytes = DATA, etag: str | None = None, **headers: str) -> None:
        self.data, self.headers = data, headers
        self.etag = f'"sha256-{hashlib.sha256(data).hexdigest()}"' if etag is None else etag
        self.server = Server(*steps, default=self.answer)  # type: ignore[arg-type] - a function is a step
        self._side = side

    def __enter__(self) -> Store:
        self.server.__enter__()
        self.play = self._side.play(api_base=self.server.url, allow_insecure_http=True, http_client=None)
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.__exit__(*exc)

    @property
    def source(self) -> str:
        return f"{self.server.url}/storage/v1/blob/x"

    @property
    def ranges(self) -> list[str | None]:
        return [seen.headers.get("range") for seen in self.server.seen]

    def answer(self, seen: Seen, status: int | None = None, end: int | None = None) -> Answer:
        headers = {"content-type": "x/y", **({"etag": self.etag} if self.etag else {}), **self.headers}
        asked = seen.headers.get("range")
        if asked is None or seen.headers["if-range"] != self.etag:
            return Answer(200, self.data, headers)
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(self.data):
            return Answer(416, b"", {"content-range": f"bytes */{len(self.data)}"})
        body = self.data[start:end]
        told = f"bytes {start}-{start + len(body) - 1}/{len(self.data)}"
        return Answer(status or 206, body, {**headers, "content-range": told})

    def half(self, seen: Seen) -> Half:
        return Half(self.answer(seen))

    def get(self, target: Path, **options: Any) -> Downloaded:
        found: Downloaded = self.play.do("blobs.download", PROJECT, "x", target, **options)
        assert target.read_bytes() == self.data
        assert clean(target)
        assert (found.path, found.size, found.sha256) == (
            target,
            len(self.data),
            hashlib.sha256(self.data).hexdigest(),
        )
        return found

    def fails(self, kind: type[Exception], target: Path, **options: Any) -> Any:
        return self.play.raises(kind, "blobs.download", PROJECT, "x", target, **options)


# --- a smooth way --------------------------------------------------------------------------------------------


def test_a_whole_file(side: Side, target: Path) -> None:
    told: list[tuple[int, int | None]] = []
    target.write_bytes(b"the old one")
    with Store(side) as store:
        found = store.get(target, on_progress=lambda *at: told.append(at))
    (seen,) = store.server.seen
    assert (seen.method, seen.target) == ("GET", "/storage/v1/blob/x")
    assert (seen.headers["apikey"], seen.headers["authorization"]) == ("ANON", "Bearer ANON")
    assert seen.headers["accept-encoding"] == "identity"
    assert "sign-in-with-x" not in seen.headers
    assert (found.etag, found.content_type, found.resumed_at) == (f'"sha256-{SHA}"', "x/y", 0)
    assert told[-1] == (len(DATA), len(DATA))
    assert store.play.credentials.reads == [f"getProject:{PROJECT}"]


@pytest.mark.parametrize("data", [b"", b"x"])
def test_small_files(side: Side, target: Path, data: bytes) -> None:
    with Store(side, data=data) as store:
        store.get(target)


def test_a_text_path_and_one_that_is_relative(side: Side, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Store(side) as store:
        assert store.play.do("blobs.download", PROJECT, "x", "here.bin").path == Path("here.bin")
    assert Path("here.bin").read_bytes() == DATA


def test_a_client_that_reads_whole_answers_only(side: Side, target: Path) -> None:
    play = side.play([Reply(200, {"etag": '"e"'}, DATA)])
    found = play.do("blobs.download", PROJECT, "x", target)
    assert (target.read_bytes(), found.etag, found.content_type) == (DATA, '"e"', None)


def test_an_answer_in_pieces_of_no_known_number(side: Side, target: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    told: list[tuple[int, int | None]] = []
    with Store(side, Raw(head + b"5\r\nhello\r\n0\r\n\r\n"), data=b"hello") as store:
        found = store.get(target, on_progress=lambda *at: told.append(at))
    assert found.etag is None
    assert told == [(5, None)]


def test_a_compressed_answer(side: Side, target: Path, naps: list[float]) -> None:
    """Ranges of what was packed are no ranges of what comes out: it is not gone on with."""
    packed = Answer(200, gzip.compress(DATA), {"content-encoding": "gzip", "etag": f'"sha256-{SHA}"'})
    with Store(side, Half(packed), packed) as store:
        assert store.get(target).etag is None
    assert store.ranges == [None, None]


# --- a broken connection -------------------------------------------------------------------------------------


def test_a_broken_connection_goes_on_where_it_was(side: Side, target: Path, naps: list[float]) -> None:
    with Store(side) as store:
        store.server.then(store.half, Reset(), store.half)
        found = store.get(target)
    half, more = len(DATA) // 2, len(DATA) // 2 + len(DATA) // 4
    assert store.ranges == [None, f"bytes={half}-", f"bytes={half}-", f"bytes={more}-"]
    assert [seen.headers.get("if-range") for seen in store.server.seen[1:]] == [store.etag] * 3
    assert found.resumed_at == 0
    assert len(naps) == 3


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_strong_tag_it_begins_anew(side: Side, target: Path, naps: list[float], etag: str) -> None:
    with Store(side, etag=etag) as store:
        store.server.then(store.half)
        assert store.get(target).etag is None
    assert store.ranges == [None, None]


def test_a_server_that_sends_less_than_was_asked_for(side: Side, target: Path, naps: list[float]) -> None:
    with Store(side) as store:
        store.server.then(store.half, lambda seen: store.answer(seen, end=len(DATA) - 100))
        store.get(target)
    assert store.ranges[2] == f"bytes={len(DATA) - 100}-"


def test_a_range_of_no_told_whole(side: Side, target: Path, naps: list[float]) -> None:
    def starred(seen: Seen) -> Step:
        answer = store.answer(seen)
        answer.headers["content-range"] = answer.headers["content-range"].partition("/")[0] + "/*"
        return answer

    with Store(side) as store:
        store.server.then(store.half, starred)
        store.get(target)


def test_nothing_new_five_times_is_told_and_what_came_is_kept(side: Side, target: Path, naps: list[float]) -> None:
    with Store(side) as store:
        store.server.then(store.half, *[Reset()] * 5)
        error = store.fails(NetworkError, target)
        assert error.doing == "downloading blob"
        assert error.message.startswith("Network error while downloading blob")
        assert (not target.exists(), beside(target)[0].stat().st_size) == (True, len(DATA) // 2)
        assert store.get(target).resumed_at == len(DATA) // 2
    assert len(naps) == 5
    assert naps[-1] <= 8


def test_an_answer_that_ends_too_early_again_and_again(side: Side, target: Path, naps: list[float]) -> None:
    with Store(side) as store:
        short = Answer(206, b"", {"content-range": f"bytes 8192-{len(DATA) - 1}/{len(DATA)}", "etag": store.etag})
        store.server.then(store.half, *[short] * 5)
        error = store.fails(NetworkError, target)
    assert f"8192 of {len(DATA)} bytes" in error.message


def test_a_server_in_trouble_is_asked_again(side: Side, target: Path, naps: list[float]) -> None:
    with Store(side, Answer(503, b"", {"retry-after": "7"}), Answer(429, b"", {"retry-after": "900"})) as store:
        store.get(target)
    assert naps == [7, 60]


def test_a_server_that_stays_in_trouble(side: Side, target: Path, naps: list[float]) -> None:
    with Store(side, *[Answer(500)] * 5) as store:
        assert store.fails(ApiError, target).status == 500
    assert clean(target)


# --- another version -----------------------------------------------------------------------------------------


def test_a_file_that_changes_between_two_parts_begins_anew(side: Side, target: Path, naps: list[float]) -> None:
    with Store(side, data=b"new" * 1000) as store:
        store.server.then(Half(Answer(200, DATA, {"etag": f'"sha256-{SHA}"'})))
        found = store.get(target)
    assert (found.etag, found.resumed_at) == (store.etag, 0)
    assert store.ranges[1] == "bytes=8192-"


def test_a_server_that_does_not_look_at_if_range(side: Side, target: Path, naps: list[float]) -> None:
    new = Answer(206, b"NEW", {"content-range": "bytes 8192-8194/8195", "etag": '"new"'})
    with Store(side) as store:
        store.server.then(store.half, new)
        store.get(target)
    assert store.ranges == [None, "bytes=8192-", None]


def test_a_file_that_never_stays_the_same(side: Side, target: Path, naps: list[float]) -> None:
    def step(number: int) -> Step:
        if number % 2:
            return Answer(206, b"", {"content-range": "bytes 8192-9000/9001", "etag": f'"{number}"'})
        return Half(Answer(200, DATA, {"etag": f'"{number}"'}))

    with Store(side, *map(step, range(20))) as store:
        error = store.fails(tree.DecodeError, target)
    assert "faster than" in error.message


@pytest.mark.parametrize(
    "headers",
    [
        {"content-range": "bytes 8191-16383/16384"},
        {"content-range": "nonsense"},
        {},
        {"content-range": "bytes 8192-16383/16384", "content-encoding": "gzip"},
    ],
    ids=repr,
)
def test_another_range_than_was_asked_for_is_refused(
    side: Side, target: Path, naps: list[float], headers: dict[str, str]
) -> None:
    with Store(side) as store:
        store.server.then(store.half, Answer(206, DATA[8192:], headers))
        assert store.fails(tree.DecodeError, target).doing == "downloading blob"
        store.get(target)


def test_more_bytes_than_were_told_are_refused(side: Side, target: Path, naps: list[float]) -> None:
    with Store(side) as store:
        long = Answer(206, DATA, {"content-range": f"bytes 8192-{len(DATA) - 1}/{len(DATA)}"})
        store.server.then(store.half, long)
        store.fails(tree.DecodeError, target)


@pytest.mark.parametrize("header", ["etag", "x-run402-content-sha256"])
def test_another_hash_than_was_told_is_refused_and_forgotten(side: Side, target: Path, header: str) -> None:
    target.write_bytes(b"old")
    told = {"etag": f'"sha256-{"0" * 64}"', "x-run402-content-sha256": "0" * 64}[header]
    with Store(side, Answer(200, DATA, {header: told})) as store:
        error = store.fails(tree.DecodeError, target)
    assert "hash" in error.message
    assert target.read_bytes() == b"old"
    assert clean(target)


# --- a call after one that was killed ------------------------------------------------------------------------


def test_going_on_after_a_crash(side: Side, target: Path) -> None:
    with Store(side) as store:
        leave(target, DATA[:100], store.source)
        found = store.get(target)
    assert (found.resumed_at, store.ranges) == (100, ["bytes=100-"])


def test_all_of_it_was_there(side: Side, target: Path) -> None:
    with Store(side) as store:
        leave(target, DATA, store.source)
        found = store.get(target)
    assert (found.resumed_at, found.content_type, store.ranges) == (len(DATA), None, [f"bytes={len(DATA)}-"])


def test_more_was_there_than_there_is(side: Side, target: Path) -> None:
    with Store(side) as store:
        leave(target, DATA + b"more", store.source)
        assert store.get(target).resumed_at == 0
    assert store.ranges == [f"bytes={len(DATA) + 4}-", None]


def test_416_without_a_range_is_an_error(side: Side, target: Path) -> None:
    with Store(side, Answer(416)) as store:
        assert store.fails(ApiError, target).status == 416


@pytest.mark.parametrize(
    "note", ["", "{", "[]", '{"etag": 5}', '{"etag": "W/x"}', "\\xff", '{"etag": "\\"e\\"", "source": "other"}']
)
def test_a_note_that_is_none_is_not_gone_by(side: Side, target: Path, note: str) -> None:
    part, file = beside(target)
    part.write_bytes(b"something else")
    file.write_text(note)
    with Store(side) as store:
        assert store.get(target).resumed_at == 0
    assert store.ranges == [None]


def test_bytes_that_are_not_its_own_are_found_out(side: Side, target: Path) -> None:
    with Store(side) as store:
        leave(target, b"x" * 100, store.source)
        store.fails(tree.DecodeError, target)
        assert clean(target)
        store.get(target)


def test_no_resuming(side: Side, target: Path) -> None:
    with Store(side) as store:
        leave(target, DATA[:100], store.source)
        assert store.get(target, resume=False).resumed_at == 0
    assert store.ranges == [None]


CHILD = """
import json, os, signal, sys

from tollkit.run402 import MemoryCredentials, Run402

told = json.loads(sys.argv[1])


def progress(there, total):
    if there > told["kill_at"]:
        os.kill(os.getpid(), signal.SIGKILL)


credentials = MemoryCredentials({told["project"]: told["keys"]})
client = Run402(api_base=told["api_base"], credentials=credentials, allow_insecure_http=True)
client.blobs.download(told["project"], "x", told["target"], on_progress=progress)
"""


def test_a_killed_program_is_gone_on_from(kit: Kit, target: Path) -> None:
    data = os.urandom(8 * MIB)
    kit.sandbox.storage.put(kit.project.id, "x", data)
    told = {
        "api_base": kit.sandbox.api_base,
        "project": kit.project.id,
        "keys": {"anon_key": kit.project.anon_key, "service_key": kit.project.service_key},
        "target": str(target),
        "kill_at": 5 * MIB,
    }
    done = subprocess.run([sys.executable, "-c", CHILD, json.dumps(told)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not target.exists()
    there = beside(target)[0].stat().st_size
    assert 5 * MIB <= there < 8 * MIB
    found = kit.do("blobs.download", kit.project.id, "x", target)
    assert found.resumed_at == there
    assert (target.read_bytes(), found.sha256) == (data, hashlib.sha256(data).hexdigest())
    assert clean(target)


# --- over HTTP, with the sandbox -----------------------------------------------------------------------------


def test_halves_from_the_sandbox(kit: Kit, target: Path) -> None:
    data = os.urandom(3 * MIB)
    kit.sandbox.storage.put(kit.project.id, "a b/ü", data, content_type="x/y")
    kit.fault("half_answer", "GET */storage/v1/blob/*", times=3)
    kit.fault("reset", "GET */storage/v1/blob/*", times=2)
    kit.fault("status", "GET */storage/v1/blob/*", status=502)
    found = kit.do("blobs.download", kit.project.id, "a b/ü", target)
    assert (target.read_bytes(), found.content_type) == (data, "x/y")


def test_it_changes_in_the_sandbox_between_two_parts(kit: Kit, target: Path) -> None:
    kit.sandbox.storage.put(kit.project.id, "x", os.urandom(3 * MIB))
    data = os.urandom(2 * MIB)
    kit.fault("half_answer", "GET */storage/v1/blob/*")
    changed: list[Any] = []

    def change(there: int, total: int | None) -> None:
        if not changed:
            changed.append(kit.sandbox.storage.put(kit.project.id, "x", data))

    found = kit.do("blobs.download", kit.project.id, "x", target, on_progress=change)
    assert target.read_bytes() == data
    assert found.etag == f'"sha256-{changed[0].sha256}"'


def test_what_the_sandbox_refuses(kit: Kit, target: Path) -> None:
    assert kit.raises(ApiError, "blobs.download", kit.project.id, "none", target).code == "BLOB_NOT_FOUND"
    assert clean(target)
    kit.raises(ProjectNotFound, "blobs.download", "prj_other", "x", target)
    scoped = kit.side.do(kit.client.project(kit.project.id))
    kit.sandbox.storage.put(kit.project.id, "x", b"hello")
    assert kit.side.do(scoped.blobs.download("x", target)).size == 5


@pytest.mark.parametrize("status", [401, 403])
def test_keys_that_are_refused(side: Side, target: Path, status: int) -> None:
    with Store(side, Answer.json({"code": "NO", "message": "no"}, status)) as store:
        error = store.fails(Unauthorized, target)
    assert (error.code, error.doing) == ("NO", "downloading blob")


def test_plain_http_is_refused(side: Side, target: Path) -> None:
    play = side.play(api_base="https://api.run402.test")
    play.client.flows.api_base = "http://api.run402.test"
    error = play.raises(NetworkError, "blobs.download", PROJECT, "x", target)
    assert isinstance(error, tree.InsecureTransportError)
    assert clean(target)


# --- disks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/", ".", "a\0b", None, 5], ids=repr)
def test_a_path_of_no_file_is_refused(side: Side, path: Any) -> None:
    play = side.play()
    error = play.raises(tree.ArgumentError, "blobs.download", PROJECT, "x", path)
    assert isinstance(error, LocalError)
    assert (error.argument, error.doing) == ("path", "downloading blob")


@pytest.mark.parametrize("where", ["missing/target", "folder", "folder/..", "file/target"])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_sent(
    side: Side, tmp_path: Path, where: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    play = side.play()
    error = play.raises(LocalError, "blobs.download", PROJECT, "x", tmp_path / where)
    assert error.doing == "downloading blob"
    assert isinstance(error.__cause__, OSError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("ending", [0, 1])
def test_a_link_in_the_place_of_what_has_come_is_not_written_through(
    side: Side, target: Path, tmp_path: Path, ending: int
) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    beside(target)[ending].symlink_to(precious)
    side.play().raises(LocalError, "blobs.download", PROJECT, "x", target)
    assert precious.read_bytes() == b"precious"


def test_a_link_in_the_place_of_the_target_is_replaced(side: Side, target: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    target.symlink_to(precious)
    with Store(side) as store:
        store.get(target)
    assert (precious.read_bytes(), target.is_symlink()) == (b"precious", False)


def test_a_full_disk(side: Side, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(part: Any, piece: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Store(side) as store:
        with monkeypatch.context() as patched:
            patched.setattr(module._Part, "take", full)
            error = store.fails(LocalError, target)
        assert "No space left" in error.message
        store.get(target)


def test_a_full_disk_that_is_told_late(side: Side, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Store(side) as store:
        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", full)
            store.fails(LocalError, target)
        assert not target.exists()
        assert store.get(target).resumed_at == len(DATA)


def test_what_on_progress_raises_ends_it_and_what_came_is_kept(side: Side, target: Path) -> None:
    def stop(there: int, total: int | None) -> None:
        raise KeyError("enough")

    with Store(side) as store:
        store.fails(KeyError, target, on_progress=stop)
        assert store.get(target).resumed_at == len(DATA)


# --- two at once ---------------------------------------------------------------------------------------------


def test_another_download_to_the_same_place_is_refused(side: Side, target: Path) -> None:
    part, note = beside(target)
    with note.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        error = side.play().raises(LocalError, "blobs.download", PROJECT, "x", target)
        assert "another download" in error.message
        assert not part.exists()
    with Store(side) as store:
        store.get(target)


def test_a_note_that_goes_while_it_is_opened_is_opened_again(
    side: Side, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = module._lock
    meanwhile = [lambda note: note.unlink(), lambda note: (note.unlink(), note.write_bytes(b""))]

    def late(handle: int) -> None:
        lock(handle)
        if meanwhile:
            meanwhile.pop()(beside(target)[1])

    monkeypatch.setattr(module, "_lock", late)
    with Store(side) as store:
        store.get(target)
    assert not meanwhile


def test_where_no_such_locks_are_known(side: Side, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(fcntl, "flock", unknown)
    with Store(side) as store:
        store.get(target)


def test_an_open_note_that_cannot_be_removed_does_no_harm(
    side: Side, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def kept(path: Path, missing_ok: bool = False) -> None:
        if path.name.endswith(".json"):
            raise PermissionError(errno.EACCES, "it is open")
        unlink(path, missing_ok)

    with Store(side) as store:
        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", kept)
            store.play.do("blobs.download", PROJECT, "x", target)
        assert target.read_bytes() == DATA
        store.get(target)
