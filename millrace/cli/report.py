"""Progress while a pipeline runs, and the table at its end."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TextIO

from ..core import ElementError, Message
from ..fleet import Fleet
from ..summary import Run, Summary
from .live import Lines, Perf, Table, View, milliseconds

INTERVAL = 5.0  # seconds between lines where there is no terminal


class Progress:
    """Shows how a run goes: a table of the streams on a terminal, lines every `interval` seconds elsewhere, on stderr.

    `perf` asks for DeepStream's lines instead, on stdout. With `lines_out` stdout is taken by the run's own results,
    so nothing else goes there. Errors are shown as they come, and that a process died; warnings too with `verbose`.
    """

    def __init__(
        self,
        run: Run | Fleet,
        quiet: bool = False,
        verbose: bool = False,
        perf: bool = False,
        interval: float = INTERVAL,
        lines_out: bool = False,
    ) -> None:
        self.run = run
        self.verbose = verbose
        self._told = False
        self.view = _view(quiet, perf, interval, lines_out)

    def __enter__(self) -> Progress:
        self._unsubscribe = self.run.bus.subscribe(self._heard)
        if self.view is not None:
            self.view.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unsubscribe()
        if self.view is not None:
            self.view.stop()

    def tick(self, run: Run | Fleet) -> None:
        """Called a few times a second while the pipeline runs."""
        if self.view is not None:
            if run.interrupted and not self._told:
                self._told = True
                self.view.say("millrace: stopping; what is under way is finished (Ctrl+C again ends at once)")
            self.view.tick(run)

    def say(self, text: str) -> None:
        """A line of text, at once."""
        if self.view is not None:
            self.view.say(text)
        else:
            sys.stderr.write(text + "\n")

    def _heard(self, message: Message) -> None:
        failed = isinstance(message.error, ElementError)  # that one ends the run and is raised
        warns = message.kind == "warning" and (self.verbose or message.element == "fleet")
        if (message.kind == "error" and not failed) or warns:
            where = f"{message.stream}: " if message.stream and message.stream not in message.text else ""
            text = f"millrace: {message.kind}: {where}{message.text}"
            self.say(text)


def _view(quiet: bool, perf: bool, interval: float, lines_out: bool) -> View | None:
    if perf:
        return Perf(interval, sys.stderr if lines_out else None)
    if quiet:
        return None
    mixed = lines_out and sys.stdout.isatty()  # lines on the same terminal would tear the table
    return Table() if sys.stderr.isatty() and not mixed else Lines(interval)


def show_summary(summary: Summary, file: TextIO) -> None:
    """A table of the streams, then totals."""
    from rich.console import Console
    from rich.table import Table

    console = Console(file=file, highlight=False, markup=False, width=None if file.isatty() else 120)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stream")
    for title in ("frames in", "frames out", "objects", "identities", "dropped", "p50 ms", "p99 ms"):
        table.add_column(title, justify="right")
    table.add_column("counts")
    for stream in summary.streams.values():
        said = [f"{name}: " + ", ".join(f"{count} {way}" for way, count in ways.items())
                for name, ways in stream.lines().items()]  # fmt: skip
        p50, p99 = stream.latency or (None, None)
        table.add_row(
            stream.name, str(stream.frames_in), str(stream.frames_out), str(stream.objects), str(stream.identities),
            str(stream.drops), milliseconds(p50), milliseconds(p99),
            "; ".join([*said, *(["not read to its end"] if stream.errors else [])]),
        )  # fmt: skip
    console.print(table)
    lost = [f"{count} {what}" for count, what in ((summary.drops, "dropped"), (summary.skipped, "skipped")) if count]
    end = ", stopped early" if summary.interrupted else ""
    totals = f"{summary.frames} frames in {summary.seconds:.1f} s, {summary.fps:.1f} fps"
    console.print("; ".join([totals, *lost]) + end)
