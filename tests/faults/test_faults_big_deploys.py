"""Deploys of many files, and of a large one: nothing is sent twice, and memory does not grow with what is sent.

With `TOLLKIT_BIG=1` all ten thousand files differ, and the large one has 2 GiB. `make bench` measures the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.run402 import AsyncSide, BlockingSide, Side
from support.run402_deploys import Kit
from tollkit.run402.deploy.files import file_set_from_dir
from tollkit.sandbox import Run402Sandbox, Sandbox

BIG = bool(os.environ.get("TOLLKIT_BIG"))
FILES = 10_000
DIFFERENT = FILES if BIG else 1000
"""How many contents they have."""
MIB = 1 << 20
LARGE = (2048 if BIG else 256) * MIB
EXTRA = 64 * MIB
"""What a deploy may take beyond what its client takes anyway."""
TESTS = Path(__file__).parents[1]


@pytest.fixture(params=[BlockingSide, AsyncSide], ids=lambda kind: kind.name)
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    """The blocking or the async client."""
    chosen = request.param()
    yield chosen
    chosen.end()


def changed(folder: Path, names: list[str]) -> set[bytes]:
    """Write some files anew; what is in them."""
    contents = {name: f"changed {name}".encode() for name in names}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return set(contents.values())


@pytest.mark.timeout(900)
def test_of_ten_thousand_files_those_that_changed_are_uploaded(
    side: Side, tollkit_sandbox: Sandbox, naps: list[float], tmp_path: Path
) -> None:
    kit = Kit(side, tollkit_sandbox)
    for number in range(FILES):
        path = tmp_path / f"{number % 100:02}" / f"{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"content %d" % (number % DIFFERENT))

    kit.do("deploy.apply", kit.spec(file_set_from_dir(tmp_path)), idempotency_key="first")
    first = kit.deploys.uploads
    assert len(first) == len({one.sha256 for one in first}) == DIFFERENT
    assert len(kit.deploys.site_files(kit.project.id)) == FILES

    names = ["00/0.txt", "42/4242.txt", "99/9999.txt"]
    new = changed(tmp_path, names)
    tollkit_sandbox.requests.clear()
    kit.do("deploy.apply", kit.spec(file_set_from_dir(tmp_path)), idempotency_key="second")
    second = kit.deploys.uploads[len(first) :]
    assert len(second) == 3
    live = kit.live()
    assert {live[name] for name in names} == new
    assert tollkit_sandbox.requests.count("PUT *") == tollkit_sandbox.requests.count("*/complete") == 3

    tollkit_sandbox.requests.clear()
    kit.do("deploy.apply", kit.spec(file_set_from_dir(tmp_path)), idempotency_key="third")
    assert len(kit.deploys.uploads) == DIFFERENT + 3
    assert tollkit_sandbox.requests.count("*/content/v1/*") == 0


def shipped(sandbox: Run402Sandbox, project_id: str, folder: Path, client: str) -> int:
    """Deploy a folder in another process; how many bytes of memory that took beyond what it had before."""
    project = sandbox.project(project_id)
    told = {"api_base": sandbox.api_base, "project": project.id, "anon_key": project.anon_key}
    command = [
        sys.executable,
        str(TESTS / "faults/shipping.py"),
        json.dumps(told | {"folder": str(folder), "client": client}),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    peaks = json.loads(done.stdout)
    return int(peaks["after"] - peaks["before"])


@pytest.mark.timeout(900)
@pytest.mark.parametrize("parts", [False, True], ids=["whole", "in parts"])
@pytest.mark.parametrize("client", ["blocking", "async"])
def test_a_large_file_takes_no_more_memory_than_a_small_one(
    run402_sandbox: Run402Sandbox, client: str, parts: bool, tmp_path: Path
) -> None:
    deploys = run402_sandbox.deploys
    deploys.set_uploads(multipart_above=MIB if parts else LARGE)
    project = run402_sandbox.seed_project()
    folder = tmp_path / "site"
    folder.mkdir()
    with (folder / "large.bin").open("wb") as file:
        file.truncate(LARGE)  # a file with nothing in it takes no room on the disk
        file.seek(LARGE // 2)
        file.write(b"half-way")
    names = [f"{number}.txt" for number in range(5)]
    changed(folder, names)

    assert shipped(run402_sandbox, project.id, folder, client) < EXTRA
    # the one that warms up, the large one, the five
    assert deploys.uploaded() == len(b"what a deploy loads is loaded") + LARGE + sum(
        (folder / name).stat().st_size for name in names
    )
    assert deploys.site_files(project.id)["large.bin"].size == LARGE
    before = len(deploys.uploads)
    for name in names[:3]:
        (folder / name).write_bytes(f"new {name}".encode())
    assert shipped(run402_sandbox, project.id, folder, client) < EXTRA
    assert len(deploys.uploads) - before == 3
