"""64 mixed streams of which some come and go 1,000 times in one run, while 8 others must not lose a frame.

    python -m benchmarks.streams_come_and_go [--changes 1000] [--streams 64] [--rtsp rtsp://127.0.0.1:8554/street]

Files that loop, frames pushed from Python, test patterns, and RTSP where an address is given. A change is a stream
removed and another one added in its place. Prints memory and threads on the way, and says what was lost.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import millrace
from millrace.config.streams import Streams
from millrace.core import Graph, Pipeline
from millrace.elements.decode import Decode
from millrace.media import Frame
from millrace.sources.push import Push
from millrace.testing.clips import numbered_clip

STEADY = 8
PICTURE = np.zeros((48, 64, 3), np.uint8)


@dataclass(slots=True)
class Seen:
    """What has come of each stream: how many frames, and whether an index was missing or repeated."""

    frames: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def __call__(self, item: object) -> None:
        if isinstance(item, Frame) and item.stream.startswith("steady"):
            expected = self.frames.get(item.stream, 0)
            if item.index != expected:
                self.wrong.append(f"{item.stream}: frame {item.index} came where {expected} was due")
            self.frames[item.stream] = item.index + 1
        elif isinstance(item, Frame):
            self.frames["others"] = self.frames.get("others", 0) + 1


class Feeder:
    """Pushes frames into every Push that is open, from one thread."""

    def __init__(self) -> None:
        self.open: dict[str, Push] = {}
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self.stopped.wait(0.02):
            for push in list(self.open.values()):
                push.push(PICTURE, timeout=0.0)

    def stop(self) -> None:
        self.stopped.set()
        self.thread.join(5)


def run(changes: int, count: int, clip: str, rtsp: str | None, report: bool = True) -> tuple[list[str], list[float]]:
    """Returns what went wrong, and the memory in MB at ten moments of the run."""
    graph = Graph()
    graph.add("decode", Decode(workers=2))
    pipeline = Pipeline(graph, keep_open=True)
    seen, feeder, dice = Seen(), Feeder(), random.Random(1)
    pipeline.tap("decode", seen)
    streams = Streams(pipeline, "decode")
    kinds = ["file", "push", "pattern", "still"] + (["rtsp"] if rtsp else [])

    def add(name: str, kind: str) -> None:
        if kind == "push":
            feeder.open[name] = Push(stream=name, live=True)
            streams.add(name, feeder.open[name])
        elif kind == "file":
            streams.add(name, clip, loop=0, pace=True, live=False)
        elif kind == "pattern":
            streams.add(name, "pattern:?width=64&height=48&fps=5", pace=True)
        elif kind == "still":
            streams.add(name, clip, stop=0.2)  # ends by itself
        elif rtsp:
            streams.add(name, rtsp, restart="on_error")

    memory: list[float] = []
    pipeline.start()
    began = time.monotonic()
    for number in range(STEADY):
        kind = clip if number % 2 else "pattern:?width=64&height=48&fps=10"
        streams.add(f"steady-{number}", kind, loop=0, pace=True, live=False)
    moving = [f"s{number}" for number in range(count - STEADY)]
    for name in moving:
        add(name, dice.choice(kinds))
    for change in range(changes):
        name = dice.choice(moving)
        feeder.open.pop(name, None)
        streams.remove(name)
        add(name, dice.choice(kinds))
        time.sleep(0.005)  # so that some have sent something before they go
        if change % max(1, changes // 10) == 0:
            gc.collect()
            memory.append(resident())
            if report:
                print(f"{change:5d} changes  {time.monotonic() - began:6.1f} s  {memory[-1]:6.1f} MB  "
                      f"{threading.active_count()} threads  {sum(seen.frames.values())} frames", flush=True)  # fmt: skip
    stats = pipeline.stats()
    feeder.stop()
    for name in streams.names:
        streams.remove(name)
    lost = check(pipeline, seen, began)
    lost += [message.text for message in pipeline.errors]
    pipeline.drain()
    if not pipeline.wait(20):
        lost.append("the pipeline did not end")
    pipeline.stop()
    streams.close()
    if report:
        print(f"drops at doors of live streams: {sum(node.drops for node in stats.values())}")
    return lost, memory


def check(pipeline: Pipeline, seen: Seen, began: float) -> list[str]:
    """What the steady streams lost: each index must come once, and as many as were sent."""
    time.sleep(0.3)  # what was sent goes through
    out = list(seen.wrong)
    sent = pipeline.stats()
    for number in range(STEADY):
        name = f"steady-{number}"
        got = seen.frames.get(name, 0)
        given = sent[name].items_out
        if got < given:
            out.append(f"{name}: {given} were sent and {got} came")
        if got == 0:
            out.append(f"{name}: nothing came in {time.monotonic() - began:.1f} s")
    return out


def resident() -> float:
    """Memory of this process in MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--rtsp")
    options = parser.parse_args()
    print(f"millrace {millrace.__version__}, {options.streams} streams")
    with tempfile.TemporaryDirectory() as folder:
        clip = numbered_clip(Path(folder) / "clip.mp4", frames=20, width=64, height=48, fps=10)
        lost, memory = run(options.changes, options.streams, str(clip), options.rtsp)
    for line in lost:
        print("LOST", line)
    print(f"memory: {memory[1]:.1f} MB after the first tenth, {memory[-1]:.1f} MB at the end; {len(lost)} things lost")
    return bool(lost)


if __name__ == "__main__":
    sys.exit(main())
