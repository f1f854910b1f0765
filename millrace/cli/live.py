"""What a run shows of itself while it goes: a table on a terminal, plain lines elsewhere, `**PERF` lines on request."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol, TextIO

from ..fleet import Fleet
from ..meter import SPAN, Reading
from ..summary import Run

REFRESH = 0.25  # seconds between two tables
STATES = ("failed", "reconnecting", "starting", "running", "ended")  # what wants to be seen comes first
_COLOURS = {"failed": "red", "reconnecting": "yellow", "starting": "cyan", "running": "green", "ended": "dim"}
_TITLES = ("stream", "state", "frames", "fps in", "fps out", "dropped", "waiting", "p50 ms", "p99 ms")
_GIVE_WAY = (7, 6, 2, 3)  # columns that a narrow terminal does without, in this order
_NAME = 32  # characters of a stream's name, at most
_SHARE = 0.03  # of the time that drawing the table may take


class View(Protocol):
    """One way of showing a run. `tick` comes several times a second; `say` shows a line of text at once."""

    def start(self) -> None: ...
    def tick(self, run: Run | Fleet) -> None: ...
    def say(self, text: str) -> None: ...
    def stop(self) -> None: ...


class Pace:
    """The rate of a whole run over the last seconds, and the time that is left."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def text(self, run: Run | Fleet) -> str:
        """`100 of 400 frames, 20.0 fps, 0:15 left`."""
        now, frames, total = time.monotonic(), run.frames, run.total
        self._marks.append((now, frames))
        while len(self._marks) > 2 and self._marks[1][0] < now - SPAN:
            self._marks.popleft()
        then, before = self._marks[0]
        fps = max(0.0, (frames - before) / (now - then)) if now > then else 0.0  # a process that died counts anew
        of = f" of {total}" if total else ""
        left = f", {clock((total - frames) / fps)} left" if total and fps > 0 and total > frames else ""
        return f"{frames}{of} frames, {fps:.1f} fps{left}"


class Gpus:
    """How busy the GPUs are that a run uses."""

    def __init__(self) -> None:
        self._nvml: Any = None

    def lines(self, run: Run | Fleet) -> list[str]:
        """A line for each GPU that the run's processes have opened; none without the library that knows."""
        used = _gpus(run)
        if not used:
            return []
        from ..cuda.nvml import Nvml, open_nvml, said

        if self._nvml is None:
            self._nvml = open_nvml()
        if not isinstance(self._nvml, Nvml):
            return []
        return [said([usage]) for usage in self._nvml.usage() if usage.number in used]

    def close(self) -> None:
        if self._nvml is not None and not isinstance(self._nvml, str):
            self._nvml.close()
        self._nvml = None


def _gpus(run: Run | Fleet) -> list[int]:
    """The numbers of the GPUs at work: in this process, or in those of a fleet."""
    if isinstance(run, Fleet):
        places = {process.plan.device.partition(":") for process in run.processes if process.runs}
        return sorted(int(number or 0) for name, _, number in places if name == "cuda")
    context = sys.modules.get("millrace.cuda.context")  # it is loaded with the first part for a GPU
    return context.opened() if context is not None else []


class Table:
    """A row for each stream, drawn anew a few times a second; gone when the run has ended."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, transient=True, auto_refresh=False, redirect_stdout=False,
                          redirect_stderr=False)  # fmt: skip
        self._pace = Pace()
        self._gpus = Gpus()
        self._next = 0.0

    def start(self) -> None:
        self._live.start()

    def stop(self) -> None:
        self._live.stop()
        self._gpus.close()

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def tick(self, run: Run | Fleet) -> None:
        began = time.monotonic()
        if began >= self._next:
            size = self._console.size
            gpus = self._gpus.lines(run)
            lines = layout(run.readings(), self._pace.text(run), size.width, size.height - 1 - len(gpus))
            lines += [line[: size.width] for line in gpus]
            self._live.update(_coloured(lines), refresh=True)
            took = time.monotonic() - began
            self._next = began + max(REFRESH, took / _SHARE)


def layout(readings: Sequence[Reading], total: str, width: int, height: int) -> list[str]:
    """The table as lines of at most `width` characters, and no more than `height` of them.

    A title, a row for each stream, the total. Where not all streams have room, those in trouble come first; where not
    all columns have, some give way.
    """
    rows, room = list(readings), max(1, height - 3)
    if len(rows) > room:
        rows = sorted(rows, key=lambda reading: STATES.index(reading.state))[: max(1, room - 1)]
    table = [list(_TITLES), *(cells(reading) for reading in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(_TITLES))]
    kept = list(range(len(_TITLES)))
    for column in _GIVE_WAY:
        if sum(widths[each] + 2 for each in kept) - 2 > width:
            kept.remove(column)
    lines = ["  ".join(_aligned(line[column], widths[column], column) for column in kept) for line in table]
    lines.insert(1, "─" * len(lines[0]))
    if len(rows) < len(readings):
        lines.append(f"… {len(readings) - len(rows)} more")
    states = [f"{count} {state}" for state in STATES if (count := sum(r.state == state for r in readings))]
    lines.append(total if len(readings) == 1 else f"{len(readings)} streams: {', '.join(states)}; {total}")
    return [line[:width] for line in lines]


def _aligned(text: str, width: int, column: int) -> str:
    """Words stand left, numbers right."""
    return text.ljust(width) if column < 2 else text.rjust(width)


def _coloured(lines: Sequence[str]) -> Any:
    """The lines as rich's text; the states have colours."""
    from rich.text import Text

    out = Text("\n".join(lines), no_wrap=True, overflow="crop")
    out.stylize("bold", 0, len(lines[0]))
    for state, colour in _COLOURS.items():
        out.highlight_regex(rf"(?<=  ){state}(?=  )", colour)
    return out


def cells(reading: Reading) -> list[str]:
    """A stream's reading in the order of _TITLES."""
    return [
        _short(reading.name), reading.state, str(reading.frames_out), f"{reading.fps_in:.1f}", f"{reading.fps_out:.1f}",
        str(reading.drops), str(reading.waiting), milliseconds(reading.p50), milliseconds(reading.p99),
    ]  # fmt: skip


def _short(name: str) -> str:
    return name if len(name) <= _NAME else name[: _NAME - 1] + "…"


def milliseconds(seconds: float | None) -> str:
    """0.0123 → 12.3; 1.5 → 1500; a dash when there is none."""
    if seconds is None:
        return "–"
    return f"{seconds * 1e3:.1f}" if seconds < 0.1 else f"{seconds * 1e3:.0f}"


class Lines:
    """A line for the run every few seconds, and with several streams one for each."""

    def __init__(self, interval: float, file: TextIO | None = None) -> None:
        self.interval = interval
        self._file = file
        self._said = time.monotonic()
        self._pace = Pace()
        self._gpus = Gpus()

    def start(self) -> None: ...

    def stop(self) -> None:
        self._gpus.close()

    def say(self, text: str) -> None:
        (self._file or sys.stderr).write(text + "\n")

    def tick(self, run: Run | Fleet) -> None:
        total, readings, now = self._pace.text(run), run.readings(), time.monotonic()
        if now - self._said < self.interval:
            return
        self._said = now
        self.say(total)
        if len(readings) > 1:
            width = max(len(reading.name) for reading in readings)
            for reading in readings:
                self.say(f"  {reading.name:{width}}  {line(reading)}")
        for text in self._gpus.lines(run):
            self.say(f"  {text}")


def line(reading: Reading) -> str:
    """One stream in words: `running, 120 frames, 25.0 fps in, 24.9 out, 3 dropped, 2 waiting, latency 12.0/40.1 ms`."""
    parts = [
        reading.state, f"{reading.frames_out} frames", f"{reading.fps_in:.1f} fps in", f"{reading.fps_out:.1f} out",
        f"{reading.drops} dropped", f"{reading.waiting} waiting",
    ]  # fmt: skip
    if reading.p50 is not None:
        parts.append(f"latency {milliseconds(reading.p50)}/{milliseconds(reading.p99)} ms")
    return ", ".join(parts)


class Perf:
    """The lines that DeepStream's reference application prints, for whatever reads those.

    Every `interval` seconds the fps of each stream in that interval and, in brackets, since its first frame, which
    itself is not counted; every 20 lines a header. Streams stand in their order.
    """

    HEADER_EVERY = 20

    def __init__(self, interval: float, file: TextIO | None = None) -> None:
        self.interval = interval
        self._file = file
        self._said = time.monotonic()
        self._lines = 0
        self._began: dict[str, tuple[float, int]] = {}  # when the first frame was seen, and how many there were
        self._before: dict[str, int] = {}

    def start(self) -> None: ...
    def stop(self) -> None: ...

    def say(self, text: str) -> None:
        sys.stderr.write(text + "\n")

    def tick(self, run: Run | Fleet) -> None:
        now, counts = time.monotonic(), run.frames_out()
        for name, frames in counts.items():
            if frames and name not in self._began:
                self._began[name] = (now, frames)
                self._before.setdefault(name, frames)
        passed = now - self._said
        if passed < self.interval:
            return
        self._said = now
        file = self._file or sys.stdout
        if self._lines % self.HEADER_EVERY == 0:
            file.write("\n**PERF:  " + "".join(f"FPS {number} (Avg)\t" for number, _ in enumerate(counts)) + "\n")
        self._lines += 1
        file.write("**PERF:  " + "".join(self._rates(name, counts[name], now, passed) for name in counts) + "\n")
        file.flush()

    def _rates(self, name: str, frames: int, now: float, passed: float) -> str:
        began, first = self._began.get(name, (now, frames))
        recent = (frames - self._before.get(name, frames)) / passed
        self._before[name] = frames
        average = (frames - first) / (now - began) if now > began else 0.0
        return f"{recent:.2f} ({average:.2f})\t"


def clock(seconds: float) -> str:
    """75 → 1:15; 3700 → 1:01:40."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
