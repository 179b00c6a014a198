"""A deploy's progress in a terminal (extra `cli`): files hashed, bytes uploaded, the phase, warnings.

with DeployProgress() as progress:
    client.deploy.apply(spec, on_event=progress)
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from tollkit.errors import MissingExtraError
from tollkit.run402.deploy.events import (
    CommitPhase,
    DeployEvent,
    HashProgress,
    PaymentAsked,
    PlanWarned,
    Ready,
    UploadBytes,
    UploadProgress,
    UploadSkipped,
)
from tollkit.run402.errors import raised

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

__all__ = ["DeployProgress"]


class DeployProgress:
    """Shows a deploy: give it as `on_event`, and use it as a context manager around the deploy.

    It shows nothing where the output is no terminal. Events may come from any thread.

    Args:
        console: Where to show it; standard error when left out.

    Raises:
        MissingExtraError: rich is not installed (`pip install 'tollkit[cli]'`).
    """

    def __init__(self, console: Console | None = None) -> None:
        try:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
        except ImportError as error:
            raise raised(MissingExtraError("The progress display", "cli")) from error
        self._console = Console(stderr=True) if console is None else console
        self._progress: Progress | None = None
        if self._console.is_terminal:
            self._progress = Progress(
                SpinnerColumn(finished_text="[green]✓"),
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[told]}"),
                console=self._console,
            )
        self._tasks: dict[str, TaskID] = {}
        self._present = 0
        self._objects = ""

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, event: DeployEvent) -> None:
        """Show an event."""
        if self._progress is None:
            return
        match event:
            case HashProgress():
                told = f"{event.files} of {event.total_files} files, {_bytes(event.bytes)}"
                self._show("Hashing", event.bytes, event.total_bytes, told, done=event.files == event.total_files)
            case PlanWarned(warnings=warnings):
                for warning in warnings:
                    self._say(f"{warning.code}: {warning.message}", "yellow")
            case PaymentAsked():
                self._say(f"It costs {event.amount} {event.asset}: {event.reason}", "yellow")
            case UploadSkipped():
                self._present += 1
            case UploadBytes(sent=sent, total=total):
                self._show("Uploading", sent, total, self._uploaded(f"{_bytes(sent)} of {_bytes(total)}"))
            case UploadProgress(done=done, total=total):
                self._objects = f"{done} of {total} files"
                if done == total:
                    self._show("Uploading", 1, 1, self._uploaded(""), done=True)
            case CommitPhase(phase=phase, status=status):
                self._phase(phase, status)
            case Ready(release_id=release_id, urls=urls):
                self._end_phase()
                where = urls.get("project") or urls.get("site")
                self._say(f"Release {release_id} is live{f' at {where}' if where else ''}", "green")
            case _:
                pass

    def _uploaded(self, sent: str) -> str:
        present = f"{self._present} there already" if self._present else ""
        return ", ".join(part for part in (self._objects, sent, present) if part)

    def _phase(self, phase: str, status: str) -> None:
        if status == "started":
            self._end_phase()
            self._show("Committing", 0, None, phase)
        elif status == "failed":
            again = "; the platform tries again" if phase == "activate" else ""
            self._say(f"{phase} failed{again}", "red")

    def _end_phase(self) -> None:
        if "Committing" in self._tasks:
            self._show("Committing", 1, 1, "", done=True)

    def _show(self, name: str, at: int, total: int | None, told: str, *, done: bool = False) -> None:
        assert self._progress is not None
        task = self._tasks.get(name)
        if task is None:
            task = self._tasks[name] = self._progress.add_task(name, total=total, told=told)
        end = None if total is None else max(1, total)  # what has nothing to do is done all the same
        self._progress.update(task, completed=end if done else at, total=end, told=told)

    def _say(self, text: str, style: str) -> None:
        # as it is: what a platform says is no markup
        self._console.print(text, style=style, markup=False, highlight=False)


def _bytes(count: int) -> str:
    from rich.filesize import decimal

    return decimal(count)
