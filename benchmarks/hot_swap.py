"""Models that change under a live, paced source: frames lost, order, and the longest gap between two outputs.

    python benchmarks/hot_swap.py [--fps 25] [--rest 6] [--clip CLIP] [--model MODEL] [--other MODEL]

A live source pushes the frames of a clip at a steady rate. Meanwhile the model is set to another one and back
(Pipeline.set), its file is replaced by a new one, by a broken one and by a good one again, and last an engine is built
in the background and takes over. For each, the time from asking until the change and the longest gap are given; the
gaps of as long a time without any change are the yardstick.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import millrace
from millrace.elements.infer import Infer
from millrace.media import Frame


class Watch:
    """Notes when each frame came out and what answered."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.indices: list[int] = []

    def __call__(self, frame: Frame) -> None:
        self.times.append(time.perf_counter())
        self.indices.append(frame.index)

    def longest(self, since: float, until: float) -> float:
        inside = [at for at in self.times if since <= at <= until]
        return max((b - a for a, b in pairwise(inside)), default=0.0)


def pictures(clip: str) -> list[Any]:
    return [frame.image for frame, _ in zip(millrace.open(clip).decode(), range(100), strict=False)]


def wait_for(done: Callable[[], bool], seconds: float) -> bool:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        if done():
            return True
        time.sleep(0.02)
    return False


def main() -> None:
    data = Path(os.environ.get("MILLRACE_TEST_DATA", "data"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", default=str(data / "videos/car-detection.mp4"))
    parser.add_argument("--model", default=str(data / "models/detect/yolox_nano_416.onnx"))
    parser.add_argument("--other", default=str(data / "models/detect/omz_person_vehicle_bike_2000_256.onnx"))
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument("--rest", type=float, default=6.0, help="seconds of each part")
    parser.add_argument(
        "--longest", type=float, default=120.0, help="seconds that the build in the background may take"
    )
    args = parser.parse_args()
    if not all(Path(path).exists() for path in (args.clip, args.model, args.other)):
        print("left out: set MILLRACE_TEST_DATA, or name a --clip and two models")
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MILLRACE_CACHE"] = f"{folder}/cache"
        work(args, Path(folder))


def work(args: argparse.Namespace, folder: Path) -> None:
    model = str(shutil.copy(args.model, folder / "model.onnx"))
    images, watch = pictures(args.clip), Watch()
    source = millrace.Push(stream="cam", live=True, fps=args.fps, size=50)
    flow = millrace.open(source).infer(model, watch=True, optimize="background", name="infer")
    run = flow.each(watch).start()
    warnings: list[str] = []
    run.pipeline.bus.subscribe(lambda message: warnings.append(message.text) if message.kind == "warning" else None)
    element = run.pipeline.graph.nodes["infer"].element
    assert isinstance(element, Infer)
    pushed, stop = [0], threading.Event()

    def push() -> None:
        began = time.perf_counter()
        while not stop.is_set():
            source.push(images[pushed[0] % len(images)])
            pushed[0] += 1
            time.sleep(max(0.0, began + pushed[0] / args.fps - time.perf_counter()))
        source.end()

    pusher = threading.Thread(target=push)
    pusher.start()
    rows: list[tuple[str, float, float]] = []

    def part(name: str, ask: Callable[[], Any], changed: Callable[[], bool], most: float = 30.0) -> None:
        began = time.perf_counter()
        ask()
        came = wait_for(changed, most)
        took = time.perf_counter() - began
        time.sleep(args.rest)
        rows.append((name if came else f"{name}: did not come", took, watch.longest(began, time.perf_counter())))

    def built() -> bool:
        opened = element.loaded.opened
        return opened is not None and opened.built is not None

    def replace(path: str) -> None:
        new = shutil.copy(path, folder / "new.onnx")
        os.replace(new, model)

    wait_for(lambda: len(watch.times) > 10, 20)
    part("engine built beside it", lambda: None, built, args.longest)
    part("nothing changes", lambda: None, lambda: True)
    before = [element.loaded]

    def another() -> bool:
        return element.loaded is not before[0] and not before.__setitem__(0, element.loaded)

    part("set: another model", lambda: run.pipeline.set("infer", model=args.other), another)
    part("set: and back", lambda: run.pipeline.set("infer", model=model), another)
    part("file: another model", lambda: replace(args.other), another)
    broken = folder / "broken.bin"
    broken.write_bytes(b"half a model")
    told = len(warnings)
    part("file: a broken one", lambda: replace(str(broken)), lambda: len(warnings) > told)
    part("file: a good one again", lambda: replace(args.model), another)
    stop.set()
    pusher.join()
    summary = run.finish(60)
    out = summary.streams["cam"].frames_out
    ordered = watch.indices == sorted(watch.indices)
    print(f"{args.fps:g} frames a second; pushed {pushed[0]}, came out {out}, lost {pushed[0] - out}, "
          f"dropped by the source {source.dropped}, by channels of a live stream {summary.streams['cam'].drops}, "
          f"in order: {ordered}")  # fmt: skip
    for name, took, gap in rows:
        print(f"  {name:<28} after {took:6.2f} s   longest gap {gap * 1e3:6.1f} ms")
    for text in warnings:
        print(f"  warning: {text}")


if __name__ == "__main__":
    main()
