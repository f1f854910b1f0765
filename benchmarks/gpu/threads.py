"""Where the host's time goes: CPU of every thread, and where samples of them were taken."""

from __future__ import annotations

import collections
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

SAMPLES = 400  # of the profile
PAUSE = 0.005  # seconds between them


def is_source(name: str) -> bool:
    """Whether a thread is that of a source, by its name."""
    stream = name.removeprefix("millrace:")
    return stream[:1] == "s" and stream[1:].isdigit()


class Threads:
    """CPU seconds of every Python thread, by name, from /proc; the others of the process are summed as `native`."""

    def __init__(self) -> None:
        self.before = self._read()
        self.started = time.perf_counter()

    def _read(self) -> dict[str, float]:
        names = {thread.native_id: thread.name for thread in threading.enumerate()}
        used: dict[str, float] = collections.defaultdict(float)
        ticks = os.sysconf("SC_CLK_TCK")
        for task in os.listdir("/proc/self/task"):
            try:
                fields = Path(f"/proc/self/task/{task}/stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            name = names.get(int(task), "native")
            if is_source(name):
                name = "sources"
            used[name] += (int(fields[11]) + int(fields[12])) / ticks
        return dict(used)

    def shares(self) -> dict[str, float]:
        """Cores used by each since the start."""
        took = time.perf_counter() - self.started
        now = self._read()
        used = {name: (now[name] - self.before.get(name, 0.0)) / took for name in now}
        return {name: round(share, 3) for name, share in sorted(used.items(), key=lambda u: -u[1]) if share > 0.004}


def samples() -> dict[str, list[str]]:
    """For each thread the places where it was found most often. Sampling needs the GIL, so waits are overcounted."""
    found: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    me = threading.get_ident()
    for _ in range(SAMPLES):
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():
            name = names.get(ident, "?")
            if ident == me or is_source(name):
                continue
            code = frame.f_code
            where = f"{Path(code.co_filename).name}:{code.co_name}:{frame.f_lineno}"
            back = frame.f_back
            if back is not None:
                where += f" < {back.f_code.co_name}"
            found[name][where] += 1
        time.sleep(PAUSE)
    return {n: [f"{c / SAMPLES:.0%} {w}" for w, c in f.most_common(6)] for n, f in found.items()}


def shares(before: Any, after: Any, took: float) -> dict[str, Any]:
    """Of each element: the share of the window that was spent in its code; of heads of threads, blocked and idle."""
    out = {}
    for name, stats in after.items():
        if name in before and not (name[:1] == "s" and name[1:].isdigit()):
            past = before[name]
            rows = [round((getattr(stats, f"time_{k}") - getattr(past, f"time_{k}")) / took, 3)
                    for k in ("in", "blocked", "idle")]  # fmt: skip
            out[name] = rows
    return out
