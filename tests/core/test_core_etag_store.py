"""Where answers with an entity tag are kept: each store alone, shared, damaged and gone."""

from __future__ import annotations

import json
import math
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from support.server import closed_port
from tollkit.core.etag_store import Entry, EtagStore, MemoryEtagStore, RedisEtagStore, SqliteEtagStore, entry_key
from tollkit.errors import ArgumentError, LocalError, MissingExtraError


def entry(number: int = 1, *, etag: str | None = None, body: bytes | None = None) -> Entry:
    made = body if body is not None else f'{{"number":{number}}}'.encode()
    return Entry(etag=etag or f'"{number}"', body=made, fetched_at=number + 0.25, checked_at=number + 0.5)


# --- entries ------------------------------------------------------------------------------------------------

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(etag=st.none() | st.text(), body=st.binary(), fetched_at=FINITE, checked_at=FINITE)
def test_an_entry_comes_back_from_bytes_as_it_was(
    etag: str | None, body: bytes, fetched_at: float, checked_at: float
) -> None:
    kept = Entry(etag=etag, body=body, fetched_at=fetched_at, checked_at=checked_at)
    assert Entry.load(kept.dump()) == kept
    assert Entry.load(kept.dump().decode()) == kept


def test_half_a_surrogate_pair_in_a_body_is_kept() -> None:
    """JSON may escape one, and what a caller makes of it is written with `surrogatepass`."""
    kept = entry(body=json.dumps("\ud800", ensure_ascii=False).encode("utf-8", "surrogatepass"))
    assert Entry.load(kept.dump()) == kept


GOOD = json.loads(entry().dump())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"\xff",
        b"[" * 100_000,
        json.dumps({**GOOD, "etag": 7}),
        json.dumps({**GOOD, "body": 7}),
        json.dumps({**GOOD, "body": "\ud800"}),
        json.dumps({**GOOD, "fetched_at": "soon"}),
        json.dumps({**GOOD, "checked_at": None}),
        json.dumps({**GOOD, "checked_at": 10**400}),
        *(json.dumps({name: value for name, value in GOOD.items() if name != left_out}) for left_out in GOOD),
    ],
    ids=lambda data: repr(data)[:40],
)
def test_a_damaged_entry_is_a_missing_one(data: Any) -> None:
    assert Entry.load(data) is None


def test_what_is_no_text_at_all_is_no_entry() -> None:
    for data in (None, 7, 1.5, object()):
        assert Entry.load(data) is None  # type: ignore[arg-type]


TEXTS = st.lists(st.text(), min_size=3, max_size=5)


@given(TEXTS, TEXTS)
def test_keys_differ_where_anything_differs(one: list[str], other: list[str]) -> None:
    assert (entry_key(*one) == entry_key(*other)) is (one == other)


def test_a_key_shows_nothing() -> None:
    key = entry_key("https://h", "principal", "getAppManifest", "app_1")
    assert len(key) == 64
    assert set(key) <= set("0123456789abcdef")
    assert key != entry_key("https://h", "principal", "getAppManifest", "app", "_1")


# --- all stores -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis server of its own."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    port = closed_port()
    folder = tmp_path_factory.mktemp("redis")
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with subprocess.Popen([program, *options], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        for line in server.stdout:
            if "Ready to accept connections" in line:
                break
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EtagStore]:
    if request.param == "memory":
        yield MemoryEtagStore()
    elif request.param == "sqlite":
        yield SqliteEtagStore(tmp_path / "etags.db")
    else:
        made = RedisEtagStore(request.getfixturevalue("redis_url"), prefix=f"{tmp_path}:")
        yield made
        made.close()


def test_what_is_put_can_be_got(store: EtagStore) -> None:
    assert store.get("a") is None
    store.put("a", entry(1))
    store.put("b", entry(2, body=b"\xff\x00"))
    assert store.get("a") == entry(1)
    assert store.get("b") == entry(2, body=b"\xff\x00")
    store.put("a", entry(3))
    assert store.get("a") == entry(3)


def test_what_is_deleted_is_gone(store: EtagStore) -> None:
    store.put("a", entry())
    store.delete("a")
    store.delete("a")
    assert store.get("a") is None


def test_threads_share_a_store(store: EtagStore) -> None:
    errors: list[BaseException] = []

    def one(number: int) -> None:
        try:
            for turn in range(5):
                store.put("shared", entry(turn))
                store.put(f"own {number}", entry(turn))
                found = store.get("shared")
                assert found is not None
                assert found in [entry(any_turn) for any_turn in range(5)]
                assert store.get(f"own {number}") == entry(turn)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


# --- memory --------------------------------------------------------------------------------------------------


def test_the_least_recently_used_goes_first() -> None:
    store = MemoryEtagStore(max_entries=2)
    store.put("a", entry(1))
    store.put("b", entry(2))
    assert store.get("a") == entry(1)
    store.put("c", entry(3))
    assert [store.get(key) for key in "abc"] == [entry(1), None, entry(3)]
    store.put("a", entry(4))
    store.put("d", entry(5))
    assert [store.get(key) for key in "acd"] == [entry(4), None, entry(5)]


@pytest.mark.parametrize("number", [0, -1])
def test_a_store_for_nothing_is_refused(number: int) -> None:
    with pytest.raises(ArgumentError) as caught:
        MemoryEtagStore(max_entries=number)
    assert caught.value.argument == "max_entries"


# --- SQLite ---------------------------------------------------------------------------------------------------


def test_a_file_survives_the_store(tmp_path: Path) -> None:
    SqliteEtagStore(tmp_path / "etags.db").put("a", entry())
    assert SqliteEtagStore(str(tmp_path / "etags.db")).get("a") == entry()


def test_a_relative_path_is_that_of_the_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = SqliteEtagStore("etags.db")
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.put("a", entry())
    assert store.get("a") == entry()


@pytest.mark.parametrize("name", ["with space.db", "question?mark.db", "hash#.db", "100%25.db", "ü.db"])
def test_any_name_of_a_file_will_do(tmp_path: Path, name: str) -> None:
    SqliteEtagStore(tmp_path / name).put("a", entry())
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        store = SqliteEtagStore(tmp_path / "etags.db")
        other = sqlite3.connect(tmp_path / "etags.db")
        try:
            other.execute("SELECT * FROM etag").fetchall()
            store.put("a", entry())
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        finally:
            other.close()
    finally:
        os.umask(old)
    assert modes == {"etags.db": 0o600, "etags.db-wal": 0o600, "etags.db-shm": 0o600}


WRITER = """
import sys
from tollkit.core.etag_store import Entry, SqliteEtagStore

path, name = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
store = SqliteEtagStore(path)
for number in range(60):
    for key in ("shared", f"own {name}"):
        store.put(key, Entry(etag=f"{name}.{number}", body=name.encode() * 500, fetched_at=1.0, checked_at=1.0))
        found = store.get(key)
        assert found is not None and found.etag.partition(".")[0].encode() * 500 == found.body
"""


def test_processes_write_at_once_and_nothing_is_lost_or_torn(tmp_path: Path) -> None:
    path = tmp_path / "etags.db"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for number in range(4)
    ]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, told = writer.communicate(timeout=60)
        assert (writer.returncode, told) == (0, "")
    store = SqliteEtagStore(path)
    for number in range(4):
        found = store.get(f"own {number}")
        assert found is not None
        assert found.etag == f"{number}.59"
    assert store.get("shared") is not None


@pytest.mark.parametrize("content", [b"no database at all" * 300, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "etags.db"
    path.write_bytes(content)
    with pytest.raises(ArgumentError, match="SQLite file") as caught:
        SqliteEtagStore(path)
    assert caught.value.argument == "path"
    assert path.read_bytes() == content, "and left alone"


@pytest.mark.parametrize("path", ["missing/etags.db", "."])
def test_a_path_that_cannot_be_a_file_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ArgumentError, match="SQLite file"):
        SqliteEtagStore(tmp_path / path)


def failing(store: SqliteEtagStore) -> None:
    for action, do in (
        ("read", lambda: store.get("a")),
        ("write", lambda: store.put("a", entry())),
        ("write", lambda: store.delete("a")),
    ):
        with pytest.raises(LocalError, match=f"cannot {action}") as caught:
            do()
        assert caught.value.code == "etag_store"


def test_a_file_that_is_damaged_later_is_told(tmp_path: Path) -> None:
    path = tmp_path / "etags.db"
    store = SqliteEtagStore(path)
    store.put("a", entry())
    path.write_bytes(b"\0" * path.stat().st_size)
    failing(store)


def test_a_file_that_is_gone_is_told_and_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "etags.db"
    store = SqliteEtagStore(path)
    path.unlink()
    failing(store)
    assert not path.exists()


def test_a_damaged_row_is_a_missing_entry(tmp_path: Path) -> None:
    path = tmp_path / "etags.db"
    store = SqliteEtagStore(path)
    for value in (b"\xff", b"{}", 7, "text"):
        db = sqlite3.connect(path)
        with db:
            db.execute("INSERT OR REPLACE INTO etag VALUES ('a', ?)", (value,))
        db.close()
        assert store.get("a") is None
    store.put("a", entry())
    assert store.get("a") == entry()


READER = """
import os, sqlite3, sys
from tollkit.core.etag_store import Entry, SqliteEtagStore
from tollkit.errors import ArgumentError, LocalError

if os.geteuid() == 0:
    os.setuid(65534)  # root may write everything
try:
    SqliteEtagStore(sys.argv[1])
except ArgumentError as error:
    print(error.argument, "Permission denied" in error.problem)
"""


def test_a_file_that_may_not_be_written_is_refused() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        SqliteEtagStore(folder / "etags.db").put("a", entry())
        (folder / "etags.db").chmod(0o444)
        folder.chmod(0o555)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", READER, str(folder / "etags.db")]
        told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)
    assert told == "path True\n"


# --- Redis ------------------------------------------------------------------------------------------------------


@pytest.fixture
def plain(redis_url: str) -> Iterator[Any]:
    client = redis.Redis.from_url(redis_url)
    client.flushdb()
    yield client
    client.close()


def test_keys_in_redis_have_the_prefix_and_an_end(redis_url: str, plain: Any) -> None:
    store = RedisEtagStore(redis_url)
    store.put("a", entry())
    assert plain.keys() == [b"tollkit:etag:a"]
    assert 7 * 24 * 3600 - 60 < plain.ttl("tollkit:etag:a") <= 7 * 24 * 3600
    store.close()
    store = RedisEtagStore(redis_url, prefix="mine:", ttl=30)
    store.put("a", entry())
    assert 0 < plain.ttl("mine:a") <= 30
    store.close()


def test_a_damaged_value_in_redis_is_a_missing_entry(redis_url: str, plain: Any) -> None:
    plain.set("tollkit:etag:a", b"\xff")
    plain.set("tollkit:etag:b", b"")
    store = RedisEtagStore(redis_url)
    assert (store.get("a"), store.get("b")) == (None, None)
    store.close()


def test_an_address_may_ask_redis_for_text(redis_url: str, plain: Any) -> None:
    store = RedisEtagStore(f"{redis_url}?decode_responses=True")
    store.put("a", entry())
    assert store.get("a") == entry()
    store.close()


def test_what_redis_refuses_is_told(redis_url: str, plain: Any) -> None:
    plain.lpush("tollkit:etag:a", "a list")
    store = RedisEtagStore(redis_url)
    with pytest.raises(LocalError, match="Redis does not answer: ResponseError") as caught:
        store.get("a")
    assert caught.value.code == "etag_store"
    store.close()


def test_a_redis_that_is_not_there_is_told_without_its_password() -> None:
    store = RedisEtagStore(f"redis://:s3cret@127.0.0.1:{closed_port()}/0")
    for do in (lambda: store.get("a"), lambda: store.put("a", entry()), lambda: store.delete("a")):
        with pytest.raises(LocalError, match="Redis does not answer") as caught:
            do()
        assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(store)
    store.close()


@pytest.mark.parametrize("ttl", [0, -1])
def test_a_time_to_live_of_nothing_is_refused(ttl: int) -> None:
    with pytest.raises(ArgumentError) as caught:
        RedisEtagStore("redis://127.0.0.1", ttl=ttl)
    assert caught.value.argument == "ttl"


@pytest.mark.parametrize("url", ["", "127.0.0.1:6379", "http://127.0.0.1", "redis://127.0.0.1:port"])
def test_what_is_no_address_of_a_redis_is_refused(url: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        RedisEtagStore(url)
    assert caught.value.argument == "url"


def test_without_its_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtraError, match=r"tollkit\[redis\]"):
        RedisEtagStore("redis://127.0.0.1")


@pytest.mark.parametrize("time", [math.nan, math.inf, -math.inf, "nan", "inf", "1e999"])
@pytest.mark.parametrize("name", ["fetched_at", "checked_at"])
def test_an_entry_without_its_time_is_a_missing_one(name: str, time: object) -> None:
    assert Entry.load(json.dumps({**GOOD, name: time})) is None
