"""The terminal display of a deploy."""

from __future__ import annotations

import io
import sys
import threading
from typing import Any

import pytest
from rich.console import Console

from support.run402 import BlockingSide
from support.run402_deploys import Kit
from tollkit.errors import MissingExtraError
from tollkit.run402.deploy.errors import DeployError
from tollkit.run402.deploy.events import (
    CommitPhase,
    HashProgress,
    LogLine,
    PaymentAsked,
    PlanStarted,
    Ready,
    UploadBytes,
    UploadProgress,
    UploadSkipped,
)
from tollkit.run402.deploy.progress import DeployProgress
from tollkit.sandbox import Sandbox


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None, legacy_windows=False)


def shown(console: Console) -> str:
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_a_deploy_is_shown(tollkit_sandbox: Sandbox, naps: list[float]) -> None:
    kit = Kit(BlockingSide(), tollkit_sandbox)
    kit.deploys.warn("NOTE", "Just [bold]so[/bold].")
    console = terminal()
    with DeployProgress(console) as progress:
        kit.do("deploy.apply", kit.spec({"a.txt": b"a", "b.txt": b"b" * 2000}), on_event=progress)
    told = shown(console)
    assert "2 of 2 files, 2.0 kB" in told
    assert "2 of 2 files" in told
    assert "NOTE: Just [bold]so[/bold]." in told
    assert "is live at http" in told
    kit.side.end()


def test_everything_that_can_happen(naps: list[float]) -> None:
    console = terminal()
    with DeployProgress(console) as progress:
        for event in (
            PlanStarted(),
            HashProgress(1, 2, 500, 1000),
            HashProgress(0, 0, 0, 0),
            PaymentAsked("10000", "USDC", "0x1", "tier"),
            UploadSkipped("a", "00", "present"),
            UploadBytes(0, 0),
            UploadBytes(5, 10),
            UploadProgress("b", "01", 1, 2),
            UploadProgress("c", "02", 2, 2),
            CommitPhase("validate", "started"),
            CommitPhase("stage", "started"),
            CommitPhase("stage", "done"),
            CommitPhase("activate", "failed"),
            CommitPhase("migrate", "failed"),
            LogLine("r", "stdout", "l"),
            Ready("rel_1", {}),
        ):
            progress(event)
    told = shown(console)
    for text in ("It costs 10000 USDC: tier", "1 there already", "activate failed; the platform tries again",
                 "migrate failed", "Release rel_1 is live"):  # fmt: skip
        assert text in told


def test_it_is_quiet_where_nobody_looks() -> None:
    console = Console(file=io.StringIO())
    with DeployProgress(console) as progress:
        progress(HashProgress(1, 2, 500, 1000))
        progress(Ready("rel_1", {}))
    assert shown(console) == ""
    with DeployProgress() as progress:  # the output of tests is no terminal either
        progress(Ready("rel_1", {}))


def test_many_threads_and_an_error() -> None:
    console = terminal()

    def tell(number: int) -> None:
        for at in range(20):
            progress(UploadBytes(number * 20 + at, 200))

    def deploy() -> None:
        with progress:
            threads = [threading.Thread(target=tell, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            raise DeployError("no", code="X")

    progress = DeployProgress(console)
    with pytest.raises(DeployError):
        deploy()
    assert "Uploading" in shown(console)
    assert "\x1b[?25h" in shown(console)  # the cursor is back


def test_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: Any = None
    monkeypatch.setitem(sys.modules, "rich.console", missing)
    with pytest.raises(MissingExtraError, match=r"tollkit\[cli\]") as caught:
        DeployProgress()
    assert caught.value.kind == "local_error"
