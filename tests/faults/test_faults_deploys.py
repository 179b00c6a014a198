"""Two hundred deploys, each with something going wrong at a random point, and then what a person does about it.

Every deploy ships a folder of fifty files with a migration, a function and a subdomain. However it went, and however
it was taken up again, the site is the folder, byte for byte, each migration ran once, and nothing was paid twice.

    TOLLKIT_CHAOS_SEED=7 python -m pytest tests/faults/test_faults_deploys.py

tries other points; what a failure prints says which deploy it was, and what went wrong in it.
"""

from __future__ import annotations

import asyncio
import os
import random
import stat
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from support.run402 import AsyncSide, BlockingSide, Side
from support.run402_deploys import SIGNER, Kit
from support.run402_wallet import ADDRESS
from tollkit.errors import TollkitError
from tollkit.run402.deploy import engine
from tollkit.run402.deploy.errors import DeployError
from tollkit.run402.deploy.files import file_set_from_dir
from tollkit.run402.errors import PaymentUncertainError
from tollkit.run402.payments.journal import MemoryJournal
from tollkit.run402.payments.payer import X402Payer
from tollkit.sandbox import Sandbox

SEED = os.environ.get("TOLLKIT_CHAOS_SEED", "402")
PROJECTS = 25
"""For each of the two clients."""
DEPLOYS = 4
"""Of each project, one after the other: the later ones ship what has changed."""
FILES = 50
PRICE = 10_000
PATIENCE = 20
"""How often somebody goes on with a deploy before it counts as lost."""

POINTS = {
    "plan": ("POST */deploy/v2/plans", 1),
    "content plan": ("POST */content/v1/plans", 1),
    "upload": ("PUT */upload/*", 12),
    "completion": ("POST */complete", 12),
    "content commit": ("POST */content/v1/plans/*/commit", 1),
    "commit": ("POST */deploy/v2/plans/*/commit", 2),
    "poll": ("GET */deploy/v2/operations/*", 6),
    "resumption": ("POST */deploy/v2/operations/*/resume", 1),
}
"""Requests of a deploy, and how many of each there may be before the one that goes wrong."""
PHASES = ("staging", "gating", "migrating", "schema_settling", "activating")


class Weather:
    """Decides what goes wrong in a deploy.

    Args:
        kit: Whose sandbox it is.
        chance: Chooses.
        priced: Whether the deploy costs something.
    """

    def __init__(self, kit: Kit, chance: random.Random, *, priced: bool) -> None:
        self._kit = kit
        self._chance = chance
        self._priced = priced

    def arm(self) -> str:
        """Let one thing go wrong; what it is, in words."""
        one = self._chance
        kinds = [*[self._connection] * 6, *[self._burst] * 4, *[self._platform] * 4, *[self._storage] * 2]
        if self._priced:
            kinds += [self._payment] * 12
        return one.choice(kinds)()

    def _point(self) -> tuple[str, str, int]:
        name = self._chance.choice(list(POINTS))
        match, before = POINTS[name]
        return name, match, self._chance.randrange(before)

    def _connection(self) -> str:
        name, match, skip = self._point()
        kind = self._chance.choice(["reset", "reset", "reset", "half_answer", "truncated_json"])
        when = self._chance.choice(["before", "after_read", "after_processing"])
        times = self._chance.choice([1, 1, 1, 2, 4, 9])
        self._kit.fault(kind, match, when=when, skip=skip, times=times)
        return f"{name} {skip + 1}: {kind} {when if kind == 'reset' else ''}, {times} times"

    def _burst(self) -> str:
        name, match, skip = self._point()
        status = self._chance.choice([429, 500, 502, 503])
        kind = self._chance.choice(["status", "html"])
        when = self._chance.choice(["after_read", "after_processing"])
        times = self._chance.choice([1, 2, 3, 5, 12])
        wait = self._chance.choice([None, 0, 2, 30])
        self._kit.fault(kind, match, when=when, skip=skip, times=times, status=status, retry_after=wait)
        return f"{name} {skip + 1}: {kind} {status} {when}, {times} times, Retry-After {wait}"

    def _storage(self) -> str:
        deploys, skip, times = self._kit.deploys, self._chance.randrange(12), self._chance.choice([1, 1, 3, 7])
        if self._chance.random() < 0.5:
            deploys.expire_address(skip=skip, times=times)
            return f"address {skip + 1} is over, {times} times"
        after = self._chance.randrange(900)
        deploys.drop_upload(after, skip=skip, times=times)
        return f"upload {skip + 1} breaks after {after} bytes, {times} times"

    def _platform(self) -> str:
        deploys, phase = self._kit.deploys, self._chance.choice(PHASES)
        match self._chance.randrange(4):
            case 0:
                deploys.activation_pending()
                return "the activation waits"
            case 1:
                deploys.hold(phase)
                return f"held while {phase}"
            case _:
                resumable = self._chance.random() < 0.5
                deploys.fail(phase, retryable=True, resumable=resumable)
                return f"fails while {phase}, {'resumable' if resumable else 'for good'}"

    def _payment(self) -> str:
        effect = self._chance.random() < 0.5
        self._kit.sandbox.drop_after_settlement(effect=effect)
        return f"the answer to the payment is lost, the commit {'was' if effect else 'was not'} taken"


@attrs.frozen
class Person:
    """Ships a spec, and does not give up.

    Attributes:
        kit: The project, and the machine that it is shipped from first.
        spec: What is shipped.
        key: Names the deploy; `None` for somebody who does not think of it.
        resumes: Whether they go on with the operation that an error names, or ship again.
        elsewhere: Another machine.
    """

    kit: Kit
    spec: dict[str, Any]
    key: str | None
    resumes: bool
    elsewhere: Any
    errors: list[TollkitError] = attrs.field(factory=list[TollkitError])

    def ship(self) -> Any:
        """Deploy, and go on until it is live."""
        step: Callable[[], Any] = self._apply
        for _ in range(PATIENCE):
            try:
                return step()
            except TollkitError as error:
                self.errors.append(error)
                step = self._go_on
        raise self.errors[-1]

    def _apply(self) -> Any:
        return self.kit.do("deploy.apply", self.spec, idempotency_key=self.key, timeout=20)

    def _go_on(self) -> Any:
        operation = next((one.operation_id for one in reversed(self.errors) if one.operation_id), None)
        uncertain = [one for one in self.errors if isinstance(one, PaymentUncertainError)]
        # without a key another deploy would be another payment: who has paid goes on with what they have paid for
        stuck = self.errors[-1].status == 504  # the platform is not done: shipping again would find the same
        if operation is None or not (self.resumes or stuck or (uncertain and self.key is None)):
            return self._apply()
        project = self.kit.project.id
        try:
            return self.kit.do("deploy.resume", operation, project_id=project, timeout=20, client=self.elsewhere)
        except DeployError as error:
            if error.code == "INVALID_STATE" and uncertain and self.key is None:
                plan = uncertain[-1].plan_id
                return self.kit.do("deploy.commit", plan, project_id=project, timeout=20, client=self.elsewhere)
            if error.code not in ("INVALID_STATE", "NOT_RESUMABLE"):
                raise
        return self._apply()  # it was never committed, or it failed for good


class Folder:
    """A site on disk that changes from one deploy to the next.

    Args:
        path: Where it is; it does not exist yet.
        chance: Chooses what is in it.
    """

    def __init__(self, path: Path, chance: random.Random) -> None:
        self.path = path
        self._chance = chance
        for number in range(FILES):
            self._write(f"{'assets/' if number % 3 else ''}file-{number}.txt")

    def _write(self, name: str) -> None:
        place = self.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        kind = self._chance.random()
        if kind < 0.6:  # what many files have in common
            place.write_bytes(b"shared %d" % self._chance.randrange(10))
        elif kind < 0.66:  # goes in parts
            place.write_bytes(self._chance.randbytes(self._chance.randrange(1025, 4000)))
        elif kind < 0.69:
            place.write_bytes(b"")
        else:
            place.write_bytes(self._chance.randbytes(self._chance.randrange(1, 400)))

    def change(self) -> None:
        """Write some files anew, remove some, add as many."""
        there = sorted(self.files())
        for name in self._chance.sample(there, 8):
            self._write(name)
        for number, name in enumerate(self._chance.sample(there, 2)):
            (self.path / name).unlink()
            self._write(f"new/{self._chance.randrange(10**6)}-{number}.txt")

    def files(self) -> dict[str, bytes]:
        """What is in it, by path."""
        found = (path for path in self.path.rglob("*") if path.is_file())
        return {path.relative_to(self.path).as_posix(): path.read_bytes() for path in found}


def _sockets() -> int:
    """How many sockets this process has open; 0 where that cannot be seen."""
    count = 0
    for name in os.listdir("/dev/fd") if os.path.isdir("/dev/fd") else ():
        try:
            count += stat.S_ISSOCK(os.fstat(int(name)).st_mode)
        except OSError:  # the one by which the folder is read
            continue
    return count


def _threads() -> set[str]:
    """Names of the threads; the sandbox keeps those of its own pools."""
    names = {thread.name for thread in threading.enumerate()}
    return {name for name in names if not name.startswith(("AnyIO", "asyncio_"))}


async def _tasks() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


@pytest.fixture(params=[BlockingSide, AsyncSide], ids=lambda kind: kind.name)
def side(request: pytest.FixtureRequest, tollkit_sandbox: Sandbox) -> Iterator[Side]:
    """The blocking or the async client, which leaves no thread and no socket behind."""
    threads, sockets = _threads(), _sockets()
    chosen = request.param()
    yield chosen
    chosen.end()
    over = time.monotonic() + 10
    while _sockets() > sockets and time.monotonic() < over:
        threading.Event().wait(0.005)  # the server needs a moment to see that its clients have gone
    assert _sockets() <= sockets
    assert _threads() <= threads


@pytest.fixture
def kit(side: Side, tollkit_sandbox: Sandbox, naps: list[float], monkeypatch: pytest.MonkeyPatch) -> Kit:
    """A project; to wait takes no time, and lets the engine's clock go on all the same."""
    monkeypatch.setattr(engine, "time", types.SimpleNamespace(monotonic=lambda: time.monotonic() + sum(naps)))
    kit = Kit(side, tollkit_sandbox)
    kit.sandbox.fund(ADDRESS, 10 * PRICE)
    kit.deploys.set_uploads(multipart_above=1024, part_size=700)
    kit.client = kit.another(payments=X402Payer(SIGNER, journal=MemoryJournal()))
    return kit


@pytest.mark.parametrize("number", range(PROJECTS))
def test_whatever_goes_wrong_the_site_is_the_folder(kit: Kit, number: int, tmp_path: Path) -> None:
    chance = random.Random(f"{SEED}/{kit.side.name}/{number}")
    folder = Folder(tmp_path / "site", chance)
    elsewhere = kit.another(payments=X402Payer(SIGNER, journal=MemoryJournal()))
    project, name = kit.project.id, f"chaos-{number}"
    migrations: list[dict[str, str]] = []
    for deploy in range(DEPLOYS):
        if deploy:
            folder.change()
        migrations.append({"id": f"{deploy:03}", "sql": f"CREATE TABLE t{deploy} (id int primary key)"})
        kit.deploys.set_uploads(reuse=chance.random() < 0.5)
        priced = chance.random() < 0.4
        key = f"deploy-{deploy}" if chance.random() < 0.6 else None
        kit.deploys.set_price(PRICE if priced else 0)
        weather = Weather(kit, chance, priced=priced)
        # without a key, what failed for good after it was paid for is another deploy, and another payment
        wrong = weather._payment() if priced and key is None else weather.arm()
        resumes = chance.random() < 0.5
        told = f"seed {SEED}, {kit.side.name}, project {number}, deploy {deploy}"
        print(f"{told}, {'with' if key else 'without'} a key, {'resumed' if resumes else 'shipped again'}: {wrong}")

        before = len(kit.deploys.operations)
        spec = {
            "project": project,
            "database": {"migrations": migrations},
            "functions": {"replace": {"hello": {"source": f"export default () => {deploy}"}}},
            "site": {"replace": file_set_from_dir(folder.path)},
            "subdomains": {"set": [name]},
        }
        person = Person(kit, spec, key, resumes, elsewhere)
        result = person.ship()
        kit.server.faults.clear()

        files = folder.files()
        assert len(files) == FILES
        assert kit.live() == files
        assert result.release_id == kit.deploys.active_release(project).id
        path = chance.choice(sorted(files))
        assert httpx.get(kit.deploys.site_address(name, path)).content == files[path]
        runs = [kit.deploys.migration_runs(project, one["id"]) for one in migrations]
        assert runs == [1] * len(migrations)
        operations = [one.id for one in kit.deploys.operations[before:]]
        assert sum(kit.deploys.charges(one) for one in operations) == (1 if priced else 0)
        if kit.side.name == "async":
            assert kit.side.do(_tasks()) == []
    assert kit.sandbox.gateway.lock.acquire(blocking=False)
    kit.sandbox.gateway.lock.release()


@pytest.mark.parametrize("stops", ["waits", "fails"])
def test_who_ships_again_under_the_same_key_goes_on_with_what_stopped(kit: Kit, stops: str, tmp_path: Path) -> None:
    files = Folder(tmp_path / "site", random.Random(SEED)).files()
    if stops == "waits":
        kit.deploys.activation_pending()
    else:
        kit.deploys.fail("schema_settling", retryable=True, resumable=True)
    database = {"database": {"migrations": [{"id": "001", "sql": "CREATE TABLE t (id int primary key)"}]}}
    error = kit.refused(files, database, idempotency_key="k", timeout=20)
    result = kit.apply(files, database, idempotency_key="k", timeout=20)
    assert result.operation_id == error.operation_id
    assert kit.live() == files
    assert kit.deploys.migration_runs(kit.project.id) == 1


def test_what_failed_for_good_is_not_gone_on_with(kit: Kit) -> None:
    kit.deploys.set_pace("instant")
    kit.deploys.fail("staging", "SITE_STAGE_FAILED")
    assert kit.refused({"index.html": b"1"}, idempotency_key="k").code == "SITE_STAGE_FAILED"
    assert kit.server.requests.count("*/resume") == 0
