"""The manifest cache: when it asks, what it sends, what it serves, and where it keeps."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from support.pymthouse import Side
from support.scripted_http import Clock, Reply, Script
from support.server import closed_port
from tollkit.core.etag_store import Entry
from tollkit.errors import (
    ArgumentError,
    ConnectError,
    DecodeError,
    LocalError,
    NotFoundError,
    RateLimitError,
    ServerError,
    StatusError,
    TransportError,
)
from tollkit.pymthouse import (
    AsyncManifestCache,
    ManifestCache,
    MemoryEtagStore,
    PmtHouseError,
    RedisEtagStore,
    SqliteEtagStore,
)
from tollkit.sandbox import Fault, PymtHouseSandbox, Sandbox

MANIFEST = "*/manifest"
CHANGED = {"llm": ["only-this"]}


@pytest.fixture
def clock() -> Clock:
    return Clock(1_780_000_000.0)


@pytest.fixture
def client(side: Side, pymthouse_sandbox: PymtHouseSandbox, naps: list[float]) -> Any:
    return side.client(pymthouse_sandbox)


@pytest.fixture
def make(side: Side, client: Any, clock: Clock) -> Callable[..., Any]:
    """Makes a cache; one second fresh, ten seconds old at most unless told otherwise."""

    def made(store: Any = None, **options: Any) -> Any:
        return side.cache_kind(
            options.pop("client", client), store, clock=clock, **{"fresh_for": 1, "max_age": 10, **options}
        )

    return made


def asked(place: PymtHouseSandbox) -> list[tuple[int | None, bool]]:
    """Status of each manifest request, and whether it came with an entity tag."""
    return [(sent.status, "if-none-match" in sent.headers) for sent in place.requests.matching(MANIFEST)]


# --- fresh, confirmed, too old ------------------------------------------------------------------------------


def test_a_life(side: Side, make: Any, clock: Clock, pymthouse_sandbox: PymtHouseSandbox) -> None:
    cache = make()
    first = side.do(cache.get())
    assert (len(first.manifest.capabilities), first.stale, first.age) == (5, False, 0)
    assert first.etag.startswith('"manifest-plan-')

    clock.now += 0.75
    again = side.do(cache.get())
    assert (again.manifest, again.etag, again.stale, again.age) == (first.manifest, first.etag, False, 0.75)
    assert asked(pymthouse_sandbox) == [(200, False)]

    clock.now += 0.25  # no longer fresh: confirmed
    assert side.do(cache.get()).age == 0
    clock.now += 0.75
    side.do(cache.get())
    assert asked(pymthouse_sandbox) == [(200, False), (304, True)]

    pymthouse_sandbox.set_manifest(excluded=[("llm", "*")])
    clock.now += 0.25
    changed = side.do(cache.get())
    assert len(changed.manifest.capabilities) == 4
    assert changed.etag != first.etag
    assert asked(pymthouse_sandbox) == [(200, False), (304, True), (200, True)]

    clock.now += 10  # too old: fetched whole
    assert side.do(cache.get()).manifest == changed.manifest
    assert asked(pymthouse_sandbox)[3:] == [(200, False)]


def test_a_change_that_a_304_hides_is_seen_in_the_end(
    side: Side, make: Any, clock: Clock, pymthouse_sandbox: PymtHouseSandbox
) -> None:
    cache = make()
    before = side.do(cache.get()).manifest
    pymthouse_sandbox.set_manifest(catalog=CHANGED, touch=False)
    for _ in range(9):
        clock.now += 1
        assert side.do(cache.get()).manifest == before
    clock.now += 1
    assert [one.model_id for one in side.do(cache.get()).manifest.capabilities] == ["only-this"]
    assert asked(pymthouse_sandbox) == [(200, False), *[(304, True)] * 9, (200, False)]


def test_by_force(side: Side, make: Any, clock: Clock, pymthouse_sandbox: PymtHouseSandbox) -> None:
    cache = make()
    side.do(cache.get())
    pymthouse_sandbox.set_manifest(catalog=CHANGED, touch=False)
    assert len(side.do(cache.get()).manifest.capabilities) == 5
    assert len(side.do(cache.get(force=True)).manifest.capabilities) == 1
    assert len(side.do(cache.get()).manifest.capabilities) == 1
    assert asked(pymthouse_sandbox) == [(200, False)] * 2


def test_forgotten(side: Side, make: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    cache = make()
    side.do(cache.get())
    side.do(cache.clear())
    side.do(cache.clear())
    side.do(cache.get())
    assert asked(pymthouse_sandbox) == [(200, False)] * 2


def test_a_clock_that_is_set_back_makes_nothing_young(
    side: Side, make: Any, clock: Clock, pymthouse_sandbox: PymtHouseSandbox
) -> None:
    cache = make(stale_if_error=True)
    side.do(cache.get())
    clock.now -= 86_400
    assert side.do(cache.get()).age == 0
    assert asked(pymthouse_sandbox) == [(200, False)] * 2
    side.do(cache.get())
    assert len(asked(pymthouse_sandbox)) == 2


def test_nothing_is_fresh_without_a_time(side: Side, make: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    cache = make(fresh_for=0, max_age=0)
    for _ in range(3):
        side.do(cache.get())
    assert asked(pymthouse_sandbox) == [(200, False)] * 3


def test_a_manifest_without_an_entity_tag_is_fetched_whole(
    side: Side, make: Any, clock: Clock, tollkit_sandbox: Sandbox
) -> None:
    body = {"capabilities": [{"pipeline": "p", "modelId": "m"}], "excludedCapabilities": []}
    tollkit_sandbox.faults.add(Fault(kind="status", match=MANIFEST, status=200, body=body, times=2))
    cache = make()
    for _ in range(2):
        found = side.do(cache.get())
        assert (found.etag, len(found.manifest.capabilities)) == (None, 1)
        clock.now += 1
    assert asked(tollkit_sandbox.pymthouse) == [(200, False)] * 2


def test_a_304_that_nobody_asked_for(side: Side, make: Any, tollkit_sandbox: Sandbox) -> None:
    tollkit_sandbox.faults.add(Fault(kind="status", match=MANIFEST, status=304))
    with pytest.raises(DecodeError) as caught:
        side.do(make().get())
    assert (caught.value.code, isinstance(caught.value, PmtHouseError)) == ("invalid_response", True)


def test_a_304_does_not_lend_its_entity_tag_to_another_body(side: Side, clock: Clock) -> None:
    body = {"capabilities": [{"pipeline": "p", "modelId": "m"}], "excludedCapabilities": []}
    script = Script(
        [
            Reply.json(body, etag='"one"'),
            Reply(304, {"etag": '"two"'}),
            Reply(304, {}),
        ]
    )
    settings = {"public_client_id": "app_1", "m2m_client_id": "m2m_1", "m2m_client_secret": "secret"}
    client = side.made(
        side.kind(issuer_url="https://p.example/api/v1/oidc", http_client=side.http_client(script), **settings)
    )
    cache = side.cache_kind(client, clock=clock, fresh_for=0, max_age=10)
    for _ in range(3):
        assert side.do(cache.get()).etag == '"one"'
    assert [sent.headers.get("if-none-match") for sent in script.sent] == [None, '"one"', '"one"']


# --- when the platform fails --------------------------------------------------------------------------------

FAILING = {
    "503": (Fault(kind="status", status=503, times=3), ServerError),
    "429": (Fault(kind="status", status=429, times=3), RateLimitError),
    "reset": (Fault(kind="reset", times=3), TransportError),
    "half an answer": (Fault(kind="half_answer", times=3), TransportError),
    "a web page": (Fault(kind="html", status=200), DecodeError),
    "no manifest": (Fault(kind="status", status=200, body={"hello": "world"}), DecodeError),
}


@pytest.mark.parametrize("case", FAILING)
def test_failing(side: Side, make: Any, clock: Clock, tollkit_sandbox: Sandbox, case: str) -> None:
    fault, kind = FAILING[case]
    store = MemoryEtagStore()
    patient, strict = make(store, stale_if_error=True), make(store)
    kept = side.do(patient.get())
    tollkit_sandbox.pymthouse.set_manifest(excluded=[("llm", "*")])  # half of a 304 would be a whole one
    clock.now += 5

    tollkit_sandbox.faults.add(fault)
    with pytest.raises(kind) as caught:
        side.do(strict.get())
    assert isinstance(caught.value, PmtHouseError)

    tollkit_sandbox.faults.add(fault)
    served = side.do(patient.get())
    assert (served.manifest, served.etag, served.stale, served.age) == (kept.manifest, kept.etag, True, 5)

    # what is too old is not served
    clock.now += 5
    tollkit_sandbox.faults.add(fault)
    with pytest.raises(kind):
        side.do(patient.get())
    tollkit_sandbox.faults.clear()
    fresh = side.do(patient.get())
    assert (fresh.stale, fresh.age) == (False, 0)


def test_serving_a_stale_one_is_logged(
    side: Side, make: Any, clock: Clock, tollkit_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    cache = make(stale_if_error=True)
    side.do(cache.get())
    clock.now += 1
    tollkit_sandbox.faults.add(Fault(kind="status", status=500, times=3))
    side.do(cache.get())
    [warning] = [record for record in caplog.records if record.name == "tollkit.pymthouse"]
    assert "server" in warning.getMessage()


def test_nothing_to_serve(side: Side, make: Any, tollkit_sandbox: Sandbox) -> None:
    tollkit_sandbox.faults.add(Fault(kind="status", status=500, times=3))
    with pytest.raises(ServerError):
        side.do(make(stale_if_error=True).get())


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_no_failure(side: Side, make: Any, clock: Clock, tollkit_sandbox: Sandbox, status: int) -> None:
    cache = make(stale_if_error=True)
    side.do(cache.get())
    clock.now += 1
    tollkit_sandbox.faults.add(Fault(kind="status", status=status))
    with pytest.raises(StatusError) as caught:
        side.do(cache.get())
    assert caught.value.status == status


# --- once for all who ask -----------------------------------------------------------------------------------


def test_one_request_for_all_who_ask_at_once(side: Side, make: Any, tollkit_sandbox: Sandbox) -> None:
    cache = make(fresh_for=10)
    tollkit_sandbox.faults.add(Fault(kind="latency", match=MANIFEST, seconds=0.1))
    found = side.all(cache.get, 32)
    assert {one.etag for one in found} == {found[0].etag}
    assert {len(one.manifest.capabilities) for one in found} == {5}
    assert asked(tollkit_sandbox.pymthouse) == [(200, False)]


def test_one_request_to_confirm(side: Side, make: Any, clock: Clock, pymthouse_sandbox: PymtHouseSandbox) -> None:
    cache = make(fresh_for=1)
    side.do(cache.get())
    for _ in range(3):
        clock.now += 1
        side.all(cache.get, 32)
    assert asked(pymthouse_sandbox) == [(200, False), *[(304, True)] * 3]


def test_one_error_for_all_who_ask_at_once(side: Side, make: Any, tollkit_sandbox: Sandbox) -> None:
    cache = make()
    tollkit_sandbox.faults.add(Fault(kind="latency", match=MANIFEST, seconds=0.1))
    tollkit_sandbox.faults.add(Fault(kind="status", match=MANIFEST, status=404, body={"error": "Not found"}))
    found = side.all(cache.get, 8)
    assert {type(one).__name__ for one in found} <= {"NotFoundError", "CachedManifest"}
    refused = [one for one in found if isinstance(one, NotFoundError)]
    assert all(isinstance(one, PmtHouseError) for one in refused)
    assert len({id(one) for one in refused}) == len(refused) >= 1


def test_who_looks_while_somebody_else_fetches_does_not_fetch_again(
    side: Side, make: Any, pymthouse_sandbox: PymtHouseSandbox
) -> None:
    """The other one is done between our look into the store and our turn."""

    class SlowToAnswer(MemoryEtagStore):
        looks = 0

        def get(self, key: str) -> Entry | None:
            self.looks += 1
            found = super().get(key)
            if self.looks == 1:
                super().put(key, kept)
            return found

    store = MemoryEtagStore()
    side.do(make(store).get())
    [(key, kept)] = store._entries.items()
    assert side.do(make(SlowToAnswer()).get()).etag == kept.etag
    assert asked(pymthouse_sandbox) == [(200, False)]
    assert key


# --- stores -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of our own."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    port = closed_port()
    folder = tmp_path_factory.mktemp("redis")
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert any("Ready to accept connections" in line for line in server.stdout)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


@attrs.frozen
class Place:
    """A store, and how to open another one on the same data and to damage what it holds."""

    open: Callable[[], Any]
    damage: Callable[[bytes], None]


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        path = tmp_path / "manifests.sqlite"

        def damage(data: bytes) -> None:
            with sqlite3.connect(path) as db:
                db.execute("UPDATE etag SET entry = ?", (data,))
            db.close()

        yield Place(lambda: SqliteEtagStore(path), damage)
        return
    import redis

    url = request.getfixturevalue("redis_url")
    with redis.Redis.from_url(url) as raw:
        opened: list[RedisEtagStore] = []

        def open_store() -> RedisEtagStore:
            opened.append(RedisEtagStore(url))
            return opened[-1]

        def damage_all(data: bytes) -> None:
            for key in raw.keys("tollkit:etag:*"):
                raw.set(key, data)

        raw.flushall()
        yield Place(open_store, damage_all)
        for store in opened:
            store.close()


def test_what_is_kept_survives(
    side: Side, make: Any, clock: Clock, pymthouse_sandbox: PymtHouseSandbox, place: Place
) -> None:
    first = side.do(make(place.open()).get())
    again = side.do(make(place.open()).get())
    assert (again.manifest, again.etag) == (first.manifest, first.etag)
    assert asked(pymthouse_sandbox) == [(200, False)]
    clock.now += 1
    side.do(make(place.open()).get())
    assert asked(pymthouse_sandbox) == [(200, False), (304, True)]
    side.do(make(place.open()).clear())
    side.do(make(place.open()).get())
    assert asked(pymthouse_sandbox)[2:] == [(200, False)]


def entry(held: Any, **changes: Any) -> bytes:
    text = held if isinstance(held, str) else json.dumps(held)
    return json.dumps({"etag": '"x"', "body": text, "fetched_at": 1.78e9, "checked_at": 1.78e9, **changes}).encode()


GOOD_BODY = {"capabilities": [], "excludedCapabilities": []}
DAMAGED = {
    "empty": b"",
    "no JSON": b"\xff\xfe garbage",
    "JSON of another kind": b"[1, 2]",
    "deep": b"[" * 100_000,
    "no body": b'{"etag": null}',
    "body is no text": entry(GOOD_BODY, body=5),
    "body is no JSON": entry("{half"),
    "body is no manifest": entry([]),
    "body without capabilities": entry({"error": "oops"}),
    "entity tag is no text": entry(GOOD_BODY, etag=5),
    "times are none": entry(GOOD_BODY, fetched_at="yesterday"),
    "times are not finite": entry(GOOD_BODY, fetched_at=float("nan"), checked_at=float("nan")),
    "times are to come": entry(GOOD_BODY, fetched_at=9e9, checked_at=9e9),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_entry_is_a_missing_one(
    side: Side, make: Any, pymthouse_sandbox: PymtHouseSandbox, place: Place, case: str
) -> None:
    side.do(make(place.open()).get())
    place.damage(DAMAGED[case])
    found = side.do(make(place.open(), stale_if_error=True).get())
    assert len(found.manifest.capabilities) == 5
    assert asked(pymthouse_sandbox) == [(200, False)] * 2
    side.do(make(place.open()).get())
    assert len(asked(pymthouse_sandbox)) == 2


class Down:
    """A store that fails, with an error of its own or of tollkit."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def get(self, key: str) -> Entry | None:
        raise self.error

    def put(self, key: str, entry: Entry) -> None:
        raise self.error

    def delete(self, key: str) -> None:
        raise self.error


@pytest.mark.parametrize("error", [LocalError("no disk"), OSError("no disk"), RuntimeError("no disk")])
def test_a_store_that_fails_costs_a_request_and_not_the_answer(
    side: Side, make: Any, pymthouse_sandbox: PymtHouseSandbox, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    cache = make(Down(error))
    for _ in range(2):
        assert len(side.do(cache.get()).manifest.capabilities) == 5
    assert asked(pymthouse_sandbox) == [(200, False)] * 2
    told = [record.getMessage() for record in caplog.records]
    assert any("not read" in line and "no disk" in line for line in told)
    assert any("not kept" in line and "no disk" in line for line in told)
    with pytest.raises(type(error)):
        side.do(cache.clear())


def test_a_redis_that_is_gone(side: Side, make: Any, pymthouse_sandbox: PymtHouseSandbox) -> None:
    store = RedisEtagStore(f"redis://127.0.0.1:{closed_port()}/0")
    cache = make(store)
    assert len(side.do(cache.get()).manifest.capabilities) == 5
    with pytest.raises(LocalError) as caught:
        side.do(cache.clear())
    assert isinstance(caught.value, PmtHouseError)
    store.close()


def test_a_file_that_is_gone(side: Side, make: Any, tmp_path: Path) -> None:
    path = tmp_path / "manifests.sqlite"
    cache = make(SqliteEtagStore(path))
    side.do(cache.get())
    path.write_bytes(b"no database at all, but long enough to look like one" * 100)
    assert len(side.do(cache.get()).manifest.capabilities) == 5


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_the_file_is_its_owners(side: Side, make: Any, tmp_path: Path) -> None:
    side.do(make(SqliteEtagStore(tmp_path / "manifests.sqlite")).get())
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_nothing_in_a_store_tells_whose_it_is(
    side: Side, make: Any, pymthouse_sandbox: PymtHouseSandbox, tmp_path: Path
) -> None:
    path = tmp_path / "manifests.sqlite"
    side.do(make(SqliteEtagStore(path)).get())
    content = b"".join(one.read_bytes() for one in tmp_path.iterdir())
    for told in (
        pymthouse_sandbox.m2m_client_secret,
        pymthouse_sandbox.m2m_client_id,
        pymthouse_sandbox.public_client_id,
    ):
        assert told.encode() not in content


# --- whose it is --------------------------------------------------------------------------------------------


def test_other_credentials_and_other_apps_never_see_it(
    side: Side, make: Any, pymthouse_sandbox: PymtHouseSandbox, place: Place
) -> None:
    other = pymthouse_sandbox.create_app()
    store = place.open()
    side.do(make(store).get())

    with pytest.raises(NotFoundError):
        side.do(
            make(store, client=side.client(pymthouse_sandbox, m2m_client_secret="wrong"), stale_if_error=True).get()
        )
    with pytest.raises(NotFoundError):
        side.do(make(store, client=side.client(pymthouse_sandbox, public_client_id=other.public_client_id)).get())
    theirs = side.client(
        pymthouse_sandbox,
        public_client_id=other.public_client_id,
        m2m_client_id=other.m2m_client_id,
        m2m_client_secret=other.m2m_client_secret,
    )
    pymthouse_sandbox.set_manifest(excluded=[("llm", "*")], app=other)
    assert len(side.do(make(store, client=theirs).get()).manifest.capabilities) == 4
    assert len(side.do(make(store).get()).manifest.capabilities) == 5
    assert asked(pymthouse_sandbox) == [(200, False), (404, False), (404, False), (200, False)]


def test_the_same_platform_under_another_name_is_another(
    side: Side, make: Any, pymthouse_sandbox: PymtHouseSandbox
) -> None:
    store = MemoryEtagStore()
    side.do(make(store).get())
    renamed = side.client(
        pymthouse_sandbox, issuer_url=pymthouse_sandbox.issuer_url.replace("127.0.0.1", "localhost")
    )
    side.do(make(store, client=renamed).get())
    assert len(store._entries) == 2


# --- many processes -----------------------------------------------------------------------------------------

CHILD = """
import sys
from tollkit.pymthouse import ManifestCache, PymtHouse, SqliteEtagStore

with PymtHouse.from_env(max_retries=0) as client:
    for _ in range(5):
        found = ManifestCache(client, SqliteEtagStore(sys.argv[1]), fresh_for=600).get()
print(found.etag, len(found.manifest.capabilities), found.stale)
"""


def test_processes_share_a_file(pymthouse_sandbox: PymtHouseSandbox, tmp_path: Path) -> None:
    path = str(tmp_path / "manifests.sqlite")
    environment = {**os.environ, **pymthouse_sandbox.env(), "PYTHONPATH": os.pathsep.join(sys.path)}

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", "-c", CHILD, path]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(child: subprocess.Popen[str]) -> str:
        out, err = child.communicate()
        assert (child.returncode, err) == (0, "")
        return out

    first = finish(start())
    assert first.split()[1:] == ["5", "False"]
    assert asked(pymthouse_sandbox) == [(200, False)]
    assert {finish(child) for child in [start(), start(), start()]} == {first}
    # the file was fresh: no process asked again
    assert asked(pymthouse_sandbox) == [(200, False)]


# --- arguments ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"fresh_for": -1}, "fresh_for"),
        ({"fresh_for": "60"}, "fresh_for"),
        ({"fresh_for": float("nan")}, "fresh_for"),
        ({"max_age": -1}, "max_age"),
        ({"max_age": None}, "max_age"),
        ({"fresh_for": 61, "max_age": 60}, "fresh_for"),
    ],
)
def test_times_that_make_no_sense(make: Any, options: dict[str, Any], argument: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        make(**options)
    assert caught.value.argument == argument
    assert isinstance(caught.value, PmtHouseError)


def test_a_client_of_the_other_kind(side: Side, client: Any) -> None:
    wrong: Any = AsyncManifestCache if side.name == "blocking" else ManifestCache
    with pytest.raises(ArgumentError) as caught:
        wrong(client)
    assert caught.value.argument == "client"
    assert isinstance(caught.value, PmtHouseError)


def test_the_cache_of_a_client_that_nobody_answers(side: Side, pymthouse_sandbox: PymtHouseSandbox) -> None:
    client = side.client(pymthouse_sandbox, issuer_url=f"http://127.0.0.1:{closed_port()}/api/v1/oidc", max_retries=0)
    with pytest.raises(ConnectError) as caught:
        side.do(side.cache_kind(client).get())
    assert isinstance(caught.value, PmtHouseError)
    assert "manifest" in repr(caught.value).lower()
