"""Live behaviour on this machine (`millrace bench --live`): how late results are, and what happens under overload.

A generated street, encoded, is played packet by packet at the moment when each is due, as a camera would send it,
into the real chain decode → infer (the shipped model) → track. Late is measured from the due moment of a frame's
packet to the moment when the frame leaves the tracker with its objects.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from millrace import flow
from millrace.core import Context, Source, StreamStart, setting, state
from millrace.elements.infer import Infer
from millrace.media import Batch, Frame
from millrace.sources import open_source
from millrace.summary import Run
from millrace.testing.clips import write_video
from millrace.testing.scene import Scene

FPS = 30
LEAD = 0.3  # seconds from the start of a source to its first packet
MODEL = "street"
WAITING = 4 + 1 + 4 + 2  # at most before a result: packets, one in decode, frames, and what is inferred and tracked


class Paced(Source):
    """Plays a clip's packets in real time, again and again: `Paced(stream="a", clip="a.mp4", seconds=10, rate=1)`.

    `rate` 2 plays twice as fast. A packet's `arrived` is the moment when it is due.
    """

    stream: str = setting(help="name of the stream")
    clip: str = setting(help="the file that is played")
    seconds: float = setting(default=10.0, help="how long")
    rate: float = setting(default=1.0, help="how fast")
    stopped: Any = state(threading.Event)

    def read(self) -> Iterator[Any]:
        self.stopped.clear()
        items: list[Any] = list(open_source(self.stream, self.clip).read())
        first, packets = items[0], items[1:]
        scale = 1 / self.rate
        yield StreamStart(self.stream, first.caps, live=True)
        period = round(1e9 / float(first.caps["fps"]))
        length, begin = period * len(packets), time.monotonic_ns() + round(LEAD * 1e9)
        for turn in range(round(self.seconds * self.rate * 1e9 / length) + 1):
            for number, packet in enumerate(packets):
                due = round((turn * length + number * period) * scale)
                if due > self.seconds * 1e9 or self.stopped.wait(max(0, begin + due - time.monotonic_ns()) / 1e9):
                    return
                shift = turn * length
                yield replace(packet, pts=packet.pts + shift, dts=packet.dts + shift, arrived=begin + due)

    def interrupt(self) -> None:
        self.stopped.set()


@dataclass(slots=True)
class Late:
    """Takes the lateness of every frame that leaves a chain: a function for `Pipeline.tap`. ns."""

    all: list[int] = field(default_factory=list)
    inferred: int = 0

    def __call__(self, item: Any) -> None:
        now = time.monotonic_ns()
        for frame in item.frames if isinstance(item, Batch) else (item,) if isinstance(item, Frame) else ():
            self.all.append(now - frame.arrived)
            self.inferred += bool(frame.inferred)

    def percentile(self, share: float) -> float:
        """Milliseconds."""
        return float(np.percentile(self.all, share)) / 1e6 if self.all else float("nan")


@dataclass(slots=True)
class Played:
    """What came of a run."""

    late: Late
    sent: int
    dropped: int  # in all channels
    before_decode: int  # of them packets


def play(clip: Path, seconds: float, *, streams: int = 1, rate: float = 1.0, **infer: Any) -> Played:
    """Play the clip into the chain, as `streams` live streams."""
    sources = [Paced(stream=f"s{n}", clip=str(clip), seconds=seconds, rate=rate) for n in range(streams)]
    work = Run(flow.open(*sources, name=[each.stream for each in sources]).infer(MODEL, **infer).track().plan)
    late = Late()
    work.pipeline.tap("track", late)
    with work.pipeline as pipeline:
        if not pipeline.wait(seconds + 60):
            raise TimeoutError(f"the chain did not end: {pipeline.stats()}")
        stats = pipeline.stats()
    sent = sum(stats[each.stream].items_out for each in sources)
    return Played(late, sent, sum(each.drops for each in stats.values()), stats["decode"].drops)


def inference(clip: Path, frames: int = 40) -> float:
    """Seconds that the model needs for a frame by itself, one call at a time: the median."""
    pictures = []
    for frame in flow.open(clip):
        pictures.append(frame)
        if len(pictures) == frames:
            break
    element = Infer(model=MODEL, parallel=1)
    element.open(Context("infer"))
    took = []
    for frame in pictures:
        began = time.perf_counter()
        list(element.process(frame))
        list(element.flush(frame.stream))
        took.append(time.perf_counter() - began)
    element.close()
    return float(np.median(took[5:]))


def report(quick: bool = False) -> list[tuple[str, str, str]]:
    """Rows of (what, figure, limit)."""
    seconds = 4.0 if quick else 20.0
    rows: list[tuple[str, str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "street.mp4"
        pictures = (picture for picture, _ in Scene(7, fps=FPS, frame_count=90).frames())
        write_video(clip, pictures, fps=FPS, gop=FPS, options={"bf": "0"})  # as a camera: no picture waits for a later
        each = inference(clip)
        rows.append(("inference of one frame, alone", f"{each * 1e3:.1f} ms", ""))
        play(clip, 1.0)  # warm
        one = play(clip, seconds)
        limit = 1e3 / FPS + 1.5e3 * each
        rows += _lateness(f"1 live stream, {FPS} fps", one, f"{limit:.0f} ms")
        rate = 2.0 / (each * FPS)  # packets come twice as fast as one call at a time can follow
        over = play(clip, seconds / 2, rate=rate, parallel=1)
        service = seconds / 2 * 1e3 / len(over.late.all)  # ms from one result to the next
        bound = WAITING * service
        rows += _lateness(
            f"overload, {rate * FPS:.0f} fps, after the first 3 s", _later(over, 3.0, rate), f"{bound:.0f} ms"
        )
        eight = play(clip, seconds, streams=8, every=4)
        rows += _lateness(f"8 live streams, {FPS} fps, every: 4", eight, "")
    return rows


def _later(played: Played, seconds: float, rate: float) -> Played:
    """Without the first seconds, in which a live stream is not yet held to be late."""
    share = min(0.9, seconds * rate * FPS / max(1, played.sent))
    late = Late(played.late.all[round(len(played.late.all) * share) :], played.late.inferred)
    return replace(played, late=late)


def _lateness(what: str, played: Played, limit: str) -> Sequence[tuple[str, str, str]]:
    late = played.late
    lost = f"{played.dropped} of {played.sent}, {played.before_decode} before decode"
    return [
        (f"{what}: late, p50", f"{late.percentile(50):.1f} ms", ""),
        (f"{what}: late, p99", f"{late.percentile(99):.1f} ms", limit),
        (f"{what}: dropped", lost, ""),
    ]


def main(quick: bool = False) -> int:
    """Print the table; 0."""
    rows = report(quick)
    width = max(len(row[0]) for row in rows)
    for what, figure, limit in rows:
        sys.stdout.write(f"{what:<{width}}  {figure:>18}{f'  (limit {limit})' if limit else ''}\n")
    return 0
