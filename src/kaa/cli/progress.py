"""Telling what happens while it happens: a `Reporter` for a terminal, for a log, or for nobody.

All of it goes to standard error. On a terminal there are bars that vanish when they are done; elsewhere one line per
stage; with --quiet or --json only warnings and what packages have to say. Text that comes from packages and servers
loses its control characters first.
"""

from __future__ import annotations

import contextlib
import sys
from _thread import allocate_lock
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from kaa.cli.output import size_text, table
from kaa.cli.plain_text import bare_stream
from kaa.config.options import Config
from kaa.events import (
    BytesReceived,
    DownloadFinished,
    DownloadStarted,
    Event,
    Note,
    PackageMessage,
    Reporter,
    ScriptsFound,
    StageAdvanced,
    StageFinished,
    StageStarted,
    Warned,
)

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@contextlib.contextmanager
def reporting(config: Config, stream: TextIO | None = None) -> Iterator[Reporter]:
    """The reporter that fits the configuration and the place where standard error goes."""
    stream = stream or sys.stderr
    if config.json or config.quiet:
        yield Lines(stream, stages=False, notes=False)
    elif stream.isatty():
        with Bars(bare_stream(stream), notes=config.verbosity > 0) as bars:
            yield bars
    else:
        yield Lines(stream, stages=True, notes=config.verbosity > 0)


def clean(text: str) -> str:
    """Text from elsewhere without the control characters that could drive a terminal."""
    return "".join(character for character in text if character in "\n\t" or character.isprintable())


OCCASIONS = {
    "pre-link": "runs before the package is linked",
    "post-link": "runs when the package is linked",
    "pre-unlink": "runs before the package is removed",
    "activate": "runs each time the environment is entered",
    "deactivate": "runs each time the environment is left",
}
"""When scripts of packages run."""


def message_of(event: Event, *, notes: bool) -> str | None:
    """The line for an event that is a message, not progress."""
    match event:
        case Warned(text):
            return f"warning: {clean(text)}"
        case Note(text):
            return f"note: {clean(text)}" if notes else None
        case PackageMessage(package, text):
            return f"{clean(package)} says:\n{clean(text).rstrip()}"
        case ScriptsFound(scripts):
            rows = [(clean(package), clean(path), OCCASIONS[when]) for package, path, when in scripts]
            return "\n".join(["Scripts that packages bring, new to you:", *table(rows, indent="  ")])
    return None


class Lines:
    """One line per finished stage, with how much was downloaded and how long it took."""

    def __init__(self, stream: TextIO, *, stages: bool, notes: bool) -> None:
        self._stream = stream
        self._stages = stages
        self._notes = notes
        self._received = 0
        self._lock = allocate_lock()

    def __call__(self, event: Event) -> None:
        message = message_of(event, notes=self._notes)
        if message is not None:
            self._print(message)
        elif not self._stages:
            return
        elif isinstance(event, BytesReceived):
            with self._lock:
                self._received += event.count
        elif isinstance(event, StageFinished):
            with self._lock:
                received, self._received = self._received, 0
            amount = f", {size_text(received)}" if received else ""
            self._print(f"{event.stage}: {event.seconds:.1f} s{amount}")

    def _print(self, line: str) -> None:
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()


class Bars:
    """Bars on a terminal: one per stage and one per running download."""

    def __init__(self, stream: TextIO, *, notes: bool) -> None:
        self._stream = stream
        self._notes = notes
        self._progress: Progress | None = None
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._lock = allocate_lock()

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def __call__(self, event: Event) -> None:
        message = message_of(event, notes=self._notes)
        if message is not None:
            self._print(message)
            return
        with self._lock:
            match event:
                case StageStarted(stage, total):
                    self._begin("stage", stage, total, unit="")
                case StageAdvanced(stage, _):
                    self._advance("stage", stage, 1)
                case StageFinished(stage, _):
                    self._end("stage", stage)
                case DownloadStarted(what, size):
                    self._begin("download", what, size, unit="bytes")
                case BytesReceived(what, count):
                    self._advance("download", what, count)
                case DownloadFinished(what):
                    self._end("download", what)

    def _begin(self, kind: str, name: str, total: int | None, *, unit: str) -> None:
        if self._progress is None:
            self._progress = make_progress(self._stream)
            self._progress.start()
        label = clean(name) if kind == "stage" else f"  {clean(name.rpartition('/')[2])}"
        self._tasks[kind, name] = self._progress.add_task(label, total=total, unit=unit)

    def _advance(self, kind: str, name: str, count: int) -> None:
        task = self._tasks.get((kind, name))
        if task is not None and self._progress is not None:
            self._progress.advance(task, count)

    def _end(self, kind: str, name: str) -> None:
        task = self._tasks.pop((kind, name), None)
        if task is not None and self._progress is not None:
            self._progress.remove_task(task)
        if not self._tasks:
            self._stop()

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _print(self, line: str) -> None:
        if self._progress is not None:
            self._progress.console.print(line, markup=False, highlight=False)
        else:
            self._stream.write(line + "\n")
            self._stream.flush()


def make_progress(stream: TextIO) -> Progress:
    """A display of bars that leaves nothing behind."""
    from rich.console import Console  # noqa: PLC0415 - as slow to load as all of kaa, and only terminals need it
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    class Amount(ProgressColumn):
        """How much of how much."""

        def render(self, task: object) -> Text:
            total, completed = getattr(task, "total", None), getattr(task, "completed", 0)
            if getattr(task, "fields", {}).get("unit") == "bytes":
                return Text(size_text(int(completed)) + (f" of {size_text(int(total))}" if total else ""))
            return Text(f"{int(completed)} of {int(total)}" if total else "")

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        Amount(),
        TimeElapsedColumn(),
        console=Console(file=stream, force_terminal=True),
        transient=True,
    )
