"""What decoding through millrace costs against PyAV's own loop: the same file, the same threads, in one process.

    python benchmarks/decode.py [clip.mp4 …] [--runs 7]

Without clips it makes two: a street scene of 768x432 and one of 1920x1080, H.264. `rate` is frames a second of wall
time, millrace's over PyAV's; `processor` the same for processor time. Runs alternate; the middle one of each counts.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av

from millrace.core import Graph, Pipeline
from millrace.elements.decode import Decode
from millrace.media import Frame
from millrace.sources import open_source


def pyav_loop(path: str, threads: int) -> int:
    """PyAV's own loop; returns the frames."""
    with av.open(path) as container:
        context = container.streams.video[0].codec_context
        context.thread_count, context.thread_type = threads, "AUTO" if threads != 1 else "NONE"
        return sum(1 for _ in container.decode(video=0))


def through_millrace(path: str, threads: int) -> int:
    """A source and a decoder in a pipeline; returns the frames that leave it."""
    frames = 0

    def count(item: Any) -> None:
        nonlocal frames
        frames += item.__class__ is Frame

    graph = Graph()
    graph.add("decode", Decode(threads=threads, workers=1))
    pipeline = Pipeline(graph)
    pipeline.tap("decode", count)
    pipeline.add_source("a", open_source("a", path, rotate=0), into="decode")
    pipeline.start()
    pipeline.wait()
    return frames


def measure(path: str, threads: int, runs: int) -> str:
    wall: dict[Callable[..., int], list[float]] = {pyav_loop: [], through_millrace: []}
    processor: dict[Callable[..., int], list[float]] = {pyav_loop: [], through_millrace: []}
    frames = {function: function(path, threads) for function in wall}  # once to warm up
    assert frames[pyav_loop] == frames[through_millrace], frames
    for _ in range(runs):
        for function in wall:
            began, used = time.perf_counter(), time.process_time()
            function(path, threads)
            wall[function].append(time.perf_counter() - began)
            processor[function].append(time.process_time() - used)
    count = frames[pyav_loop]
    rate, cost = (
        {function: statistics.median(times[function]) / count for function in times} for times in (wall, processor)
    )
    return (
        f"{threads} thread{'s' if threads > 1 else ' '}  {count} frames  "
        f"PyAV {1 / rate[pyav_loop]:6.0f} fps, {cost[pyav_loop] * 1e6:5.0f} µs of processor   "
        f"millrace {1 / rate[through_millrace]:6.0f} fps, {cost[through_millrace] * 1e6:5.0f} µs   "
        f"rate {rate[pyav_loop] / rate[through_millrace]:.3f}   "
        f"processor {cost[pyav_loop] / cost[through_millrace]:.3f}"
    )


def make_clips(folder: Path) -> list[str]:
    from millrace.testing.scene import Scene, write_clip

    out = []
    for width, height in ((768, 432), (1920, 1080)):
        path = folder / f"{width}x{height}.mp4"
        write_clip(path, Scene(seed=3, width=width, height=height, frame_count=150))
        out.append(str(path))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for path in options.clips or make_clips(Path(folder)):
            print(Path(path).name)
            for threads in (1, 2):
                print(" ", measure(path, threads, options.runs))


if __name__ == "__main__":
    main()
