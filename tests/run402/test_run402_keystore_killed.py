"""The keystore under processes that are killed: at random moments, and at each step of a save."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tollkit.run402.credentials import ProjectKeys
from tollkit.run402.errors import LocalError
from tollkit.run402.keystore import KeystoreFile

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
PROCESSES, SAVES, KILLS = 8, 500, 40
WORKER = str(Path(__file__).with_name("keystore_worker.py"))


class Worker:
    """One process after the other, until all is saved."""

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.acknowledged = path.parent / f"acknowledged-{name}"
        self._arguments = [sys.executable, WORKER, str(path), name, str(SAVES), str(self.acknowledged)]
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._arguments, stderr=subprocess.PIPE)

    def killed(self) -> bool:
        """Kill it and start the next; whether there was one to kill."""
        if self.process.poll() is not None:
            return False
        self.process.kill()
        self.process.communicate()
        was_killed = self.process.returncode == -signal.SIGKILL
        self.process = self._started()
        return was_killed

    def saved(self) -> int:
        return self.acknowledged.stat().st_size if self.acknowledged.exists() else 0


@pytest.mark.timeout(180)
def test_eight_processes_killed_at_random(tmp_path: Path) -> None:
    """8 processes, 500 saves each (30 s): no acknowledged one is lost, the file always parses, no lock is stuck."""
    path = tmp_path / "projects.json"
    dice = random.Random(402)
    workers = [Worker(path, str(number)) for number in range(PROCESSES)]
    kills = looks = 0
    while any(worker.process.poll() is None for worker in workers):
        time.sleep(dice.uniform(0.05, 0.35))  # the moments are random on purpose
        if kills < KILLS:
            kills += dice.choice(workers).killed()
        before = {worker.name: worker.saved() for worker in workers}
        if path.exists():
            projects = json.loads(path.read_bytes())["projects"]
            looks += 1
            for worker in workers:
                held = projects.get(f"prj_{worker.name}", {})
                assert [n for n in range(before[worker.name]) if f"save_{n}" not in held] == []
    for worker in workers:
        _, told = worker.process.communicate()
        assert (worker.process.returncode, told) == (0, b"")
    projects = json.loads(path.read_bytes())["projects"]
    assert {name: len(record) for name, record in projects.items()} == {
        f"prj_{number}": SAVES + 2 for number in range(PROCESSES)
    }
    assert kills >= KILLS // 2
    assert looks > 10
    assert not path.with_name("projects.json.lock").exists()
    left = [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
    assert len(left) <= kills
    for name in left:  # they are removed when they are a minute old
        os.utime(tmp_path / name, (1, 1))
    KeystoreFile(path).save_project("prj_last", ProjectKeys("a", "s"))
    assert sorted(name for name in os.listdir(tmp_path) if "acknowledged" not in name) == [
        ".projects.json.tollkit-lock",
        "projects.json",
    ]


STEPS = ["os.open", "os.fsync", "os.replace", "os.mkdir", "os.rmdir", "os.scandir", "fcntl.flock"]
KILLED_AT = """
import fcntl, os, signal, sys
from pathlib import Path
from tollkit.run402.credentials import ProjectKeys
from tollkit.run402.keystore import KeystoreFile
path, step, left, when = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
module = sys.modules[step.split(".")[0]]
name = step.split(".")[1]
original = getattr(module, name)
import filelock  # before its functions are counted
def counted(*arguments, **named):
    global left
    left -= 1
    if left == 0 and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        return original(*arguments, **named)
    finally:
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
file = KeystoreFile(Path(path))
setattr(module, name, counted)
file.save_project("prj_b", ProjectKeys("b", "b"))
print("acknowledged")
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_each_step(step: str, when: str, tmp_path: Path) -> None:
    """However far a save came, the next one goes through at once, and what was there stays."""
    killed = 0
    for turn in range(1, 12):
        path = tmp_path / str(turn) / "projects.json"
        file = KeystoreFile(path)
        file.save_project("prj_a", ProjectKeys("a", "a"))
        ended = subprocess.run(
            [sys.executable, "-c", KILLED_AT, str(path), step, str(turn), when], capture_output=True, check=False
        )
        document = json.loads(path.read_bytes())["projects"]
        assert document["prj_a"] == {"anon_key": "a", "service_key": "a"}
        began = time.monotonic()
        file.save_project("prj_c", ProjectKeys("c", "c"))
        assert time.monotonic() - began < 5
        assert not path.with_name("projects.json.lock").exists()
        assert {"prj_a", "prj_c"} <= json.loads(path.read_bytes())["projects"].keys()
        if ended.returncode == 0:
            assert ended.stdout == b"acknowledged\n"
            assert "prj_b" in document
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        killed += 1
    assert killed


@contextmanager
def clocked(file: KeystoreFile, on_wait: Callable[[float], None] = lambda now: None) -> Iterator[list[float]]:
    """The file's clock goes on when it waits, and only then."""
    waited = [0.0]

    def wait(seconds: float) -> None:
        waited[0] += seconds
        on_wait(waited[0])

    shared: Any = file._file
    shared._clock, shared._wait = (lambda: waited[0]), wait
    yield waited


def test_the_platforms_lock_is_waited_for(tmp_path: Path) -> None:
    """Its tools make the folder with plain mkdir, mode 0700, and remove it when they are done."""
    file = KeystoreFile(tmp_path / "projects.json")
    lock = tmp_path / "projects.json.lock"
    lock.mkdir(mode=0o700)

    def on_wait(now: float) -> None:
        if now > 3 and lock.exists():
            lock.rmdir()

    with clocked(file, on_wait) as waited:
        file.save_project("prj_a", ProjectKeys("a", "s"))
    assert 3 < waited[0] < 3.1
    assert not lock.exists()


def test_the_platforms_lock_that_was_left_is_broken_after_ten_seconds(tmp_path: Path) -> None:
    file = KeystoreFile(tmp_path / "projects.json")
    (tmp_path / "projects.json.lock").mkdir(mode=0o700)
    with clocked(file) as waited:
        file.save_project("prj_a", ProjectKeys("a", "s"))
    assert 10 <= waited[0] < 10.1
    assert file.get_project("prj_a") is not None


def test_a_busy_platform_lock_is_never_broken(tmp_path: Path) -> None:
    """Somebody takes and gives it all the time: each is another lock, however long that goes on."""
    file = KeystoreFile(tmp_path / "projects.json")
    lock = tmp_path / "projects.json.lock"
    lock.mkdir(mode=0o700)
    turns = [0.0]

    def on_wait(now: float) -> None:
        if now - turns[0] > 5:
            turns[0] = now
            lock.rename(tmp_path / "gone")
            lock.mkdir(mode=0o700)  # while the other still has its number, so that this is another one
            (tmp_path / "gone").rmdir()

    with clocked(file, on_wait) as waited, pytest.raises(LocalError, match="for a minute") as caught:
        file.save_project("prj_a", ProjectKeys("a", "s"))
    assert caught.value.kind == "local_error"
    assert caught.value.retryable
    assert 60 <= waited[0] < 61
    assert lock.exists()
    assert not file.path.exists()


def test_our_lock_of_the_dead_is_taken_over_at_once(tmp_path: Path) -> None:
    file = KeystoreFile(tmp_path / "projects.json")
    (tmp_path / "projects.json.lock").mkdir(mode=0o500)
    with clocked(file) as waited:
        file.save_project("prj_a", ProjectKeys("a", "s"))
    assert waited[0] == 0


def test_a_lock_that_goes_between_two_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has it may be done after our mkdir, or after our look."""
    file = KeystoreFile(tmp_path / "projects.json")
    lock = tmp_path / "projects.json.lock"
    look = Path.lstat
    for early in (True, False):
        lock.mkdir(mode=0o500)

        def gone(self: Path, early: bool = early) -> os.stat_result:
            found = look(self)
            if self == lock:
                lock.rmdir()
                if early:
                    raise FileNotFoundError(lock)
            return found

        with monkeypatch.context() as patched:
            patched.setattr(Path, "lstat", gone)
            file.save_project("prj_a", ProjectKeys("a", "s"))
    assert file.get_project("prj_a") is not None


PLATFORM_TOOL = """
import json, os, sys, time
from pathlib import Path
path, count = Path(sys.argv[1]), int(sys.argv[2])
lock = path.with_name(path.name + ".lock")
for number in range(count):
    for attempt in range(200):
        try:
            os.mkdir(lock, 0o700)
            break
        except FileExistsError:
            time.sleep(0.02)
    else:
        sys.exit("the lock was never free")
    document = json.loads(path.read_bytes()) if path.exists() else {"projects": {}}
    document["projects"].setdefault("prj_theirs", {"anon_key": "a", "service_key": "s"})[f"save_{number}"] = 1
    temporary = path.with_name(f".projects.{number:08x}.tmp")
    temporary.write_text(json.dumps(document, indent=2))
    temporary.replace(path)
    os.rmdir(lock)
"""


def test_together_with_a_tool_that_locks_as_the_platforms_do(tmp_path: Path) -> None:
    """Its whole protocol: mkdir, 200 looks 20 ms apart, load, change, replace, rmdir."""
    path = tmp_path / "projects.json"
    theirs = subprocess.Popen([sys.executable, "-c", PLATFORM_TOOL, str(path), "60"], stderr=subprocess.PIPE)
    file = KeystoreFile(path)
    for number in range(300):
        file.save_project("prj_ours", ProjectKeys("a", "s", additional_properties={f"save_{number}": 1}))
    _, told = theirs.communicate()
    assert (theirs.returncode, told) == (0, b"")
    projects = json.loads(path.read_bytes())["projects"]
    assert (len(projects["prj_ours"]), len(projects["prj_theirs"])) == (302, 62)
