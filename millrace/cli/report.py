"""Progress while a pipeline runs, and the table at its end."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, TextIO

from ..core import ElementError, Message
from ..summary import Run, Summary

_EVERY = 5.0  # seconds between lines where there is no terminal
_SPAN = 3.0  # seconds over which the rate is taken


class Progress:
    """Shows frames, fps and the time left: a bar on a terminal, a line every few seconds elsewhere, on stderr.

    Errors are shown as they come, warnings too with `verbose`.
    """

    def __init__(self, run: Run, quiet: bool = False, verbose: bool = False) -> None:
        self.run = run
        self.quiet = quiet
        self.verbose = verbose
        self._bar: Any = None
        self._task: Any = None
        self._began = self._said = time.monotonic()
        self._marks: list[tuple[float, int]] = [(self._began, 0)]

    def __enter__(self) -> Progress:
        self._unsubscribe = self.run.pipeline.bus.subscribe(self._heard)
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.completed} frames"), BarColumn(), TextColumn("{task.fields[rate]}"),
                console=Console(stderr=True), transient=True,
            )  # fmt: skip
            self._task = self._bar.add_task("run", total=None, rate="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unsubscribe()
        if self._bar is not None:
            self._bar.stop()

    def tick(self, run: Run) -> None:
        """Called a few times a second while the pipeline runs."""
        if self.quiet:
            return
        now, frames, total = time.monotonic(), run.frames, run.total
        self._marks.append((now, frames))
        while len(self._marks) > 2 and self._marks[1][0] < now - _SPAN:
            self._marks.pop(0)
        then, before = self._marks[0]
        fps = (frames - before) / (now - then) if now > then else 0.0
        text = f"{fps:.1f} fps"
        if total and fps > 0 and total > frames:
            text += f", {clock((total - frames) / fps)} left"
        if self._bar is not None:
            self._bar.update(self._task, completed=frames, total=total, rate=text)
        elif now - self._said >= _EVERY:
            self._said = now
            of = f" of {total}" if total else ""
            sys.stderr.write(f"{frames}{of} frames, {text}\n")

    def _heard(self, message: Message) -> None:
        failed = isinstance(message.error, ElementError)  # that one ends the run and is raised
        if (message.kind == "error" and not failed) or (message.kind == "warning" and self.verbose):
            where = f"{message.stream}: " if message.stream and message.stream not in message.text else ""
            text = f"millrace: {message.kind}: {where}{message.text}"
            if self._bar is not None:
                self._bar.console.print(text, markup=False, highlight=False)
            else:
                sys.stderr.write(text + "\n")


def clock(seconds: float) -> str:
    """75 → 1:15; 3700 → 1:01:40."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def show_summary(summary: Summary, file: TextIO) -> None:
    """A table of the streams, then totals."""
    from rich.console import Console
    from rich.table import Table

    console = Console(file=file, highlight=False, markup=False, width=None if file.isatty() else 120)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stream")
    for title in ("frames in", "frames out", "objects", "identities"):
        table.add_column(title, justify="right")
    table.add_column("counts")
    for stream in summary.streams.values():
        said = [f"{name}: " + ", ".join(f"{count} {way}" for way, count in ways.items())
                for name, ways in stream.lines().items()]  # fmt: skip
        table.add_row(
            stream.name, str(stream.frames_in), str(stream.frames_out), str(stream.objects), str(stream.identities),
            "; ".join([*said, *(["not read to its end"] if stream.errors else [])]),
        )  # fmt: skip
    console.print(table)
    lost = [f"{count} {what}" for count, what in ((summary.drops, "dropped"), (summary.skipped, "skipped")) if count]
    end = ", stopped early" if summary.interrupted else ""
    totals = f"{summary.frames} frames in {summary.seconds:.1f} s, {summary.fps:.1f} fps"
    console.print("; ".join([totals, *lost]) + end)
