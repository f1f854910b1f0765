"""Drawing, tiling, hiding and the like on a GPU beside the CPU, on the same pictures.

    python benchmarks/gpu/pictures.py hevc.mp4 --out folder

For each operation on 1080p, microseconds for one picture: of this thread; by the clock with many queued; of the kernels
on the GPU; of the CPU's own imaging (one thread). And how far the pictures differ. With `--out`, pictures to look at.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from millrace.core.errors import MillraceError
from millrace.cuda.context import check, gpu
from millrace.imaging.cpu import open_imaging as open_cpu
from millrace.imaging.cuda import to_cpu
from millrace.imaging.cuda_upload import Uploader
from millrace.imaging.overlay import draw_objects, draw_rule, draw_rule_caption
from millrace.imaging.style import Style
from millrace.media import Image, Object, box

ROUNDS = 200
ZONE = {"kind": "zone", "name": "door", "points": [(900, 300), (1260, 360), (1140, 780)], "text": "3 inside"}
LINE = {"kind": "line", "name": "gate", "points": [(180, 900), (1800, 960)], "text": "in 4, out 1"}


def first(path: str) -> Image:
    """A picture of the clip as a decoder on a GPU gives it."""
    with av.open(path) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == 60:
                pixels = frame.reformat(format="nv12").to_ndarray()
                height, width = frame.height, frame.width
                planes = [pixels[:height], pixels[height:].reshape(height // 2, width // 2, 2)]
                return Image("NV12", planes, width, height, matrix="bt709", read_only=True)
    raise SystemExit(f"{path} is too short")


@cache
def objects() -> list[Object]:
    rng = np.random.default_rng(3)
    out = []
    for number in range(20):
        x, y = rng.random(2) * (1700, 850) + (10, 40)
        label = ("car", "person", "bicycle")[number % 3]
        out.append(Object(box([x, y, x + 120, y + 180]), number % 3, label, 0.87, id=number))
        if number % 5 == 1:
            rows, columns = np.mgrid[-1:1:28j, -1:1:28j]
            out[-1].mask = rows**2 + columns**2 < 0.9
    return out


@cache
def ways() -> list[list[tuple[float, float]]]:
    """Where each object came from, 50 points."""
    out, way = [], np.linspace(0, 1, 50)
    for each in objects():
        x, y = (each.box[0] + each.box[2]) / 2, each.box[3]
        out.append([tuple(point) for point in np.stack([x - 300 * way, y - 60 * np.sin(5 * way)], axis=1).tolist()])
    return out


def scene(canvas: Any, trails: bool = True) -> Image:
    style = Style().fitted(1920, 1080, None, None)
    found = objects()
    if trails:
        for rule in (ZONE, LINE):
            draw_rule(canvas, rule, style)
        for each, points in zip(found, ways(), strict=True):
            canvas.polyline(points, style.colour(each), style.thickness)
    draw_objects(canvas, found, style)
    if trails:
        for rule in (ZONE, LINE):
            draw_rule_caption(canvas, rule, style)
    finished: Image = canvas.finish()
    return finished


def tiled(imaging: Any, picture: Image) -> Image:
    wall: Image = imaging.blank(1920, 1080, (32, 32, 32), "bt709")
    for number in range(16):
        x, y = number % 4 * 480, number // 4 * 270
        imaging.put(picture, wall, (x, y, x + 480, y + 270))
    return wall


OPERATIONS: dict[str, Callable[[Any, Image], Image]] = {
    "20 boxes with captions": lambda imaging, picture: scene(imaging.canvas(picture), trails=False),
    "the same, trails, zone, line": lambda imaging, picture: scene(imaging.canvas(picture)),
    "16 pictures into a wall": tiled,
    "hide 20 objects": lambda imaging, picture: imaging.conceal(picture, [o.box for o in objects()], "pixelate"),
    "turn by a quarter": lambda imaging, picture: imaging.turn(picture, "clockwise"),
    "to BGR": lambda imaging, picture: imaging.convert(picture, "BGR"),
}


def timed(work: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Microseconds of this thread and of the clock for one, the last one waited for."""
    done = work()
    begin, cpu = time.perf_counter(), time.thread_time()
    for _ in range(rounds):
        done = work()
    host = time.thread_time() - cpu
    ready = getattr(done, "ready", None)
    if ready is not None:
        ready.synchronize()
    return host / rounds * 1e6, (time.perf_counter() - begin) / rounds * 1e6


def on_gpu(there: Any, work: Callable[[], Any], rounds: int = 30) -> float:
    """Microseconds that the kernels of one operation take on the GPU together, the median."""
    launcher = there._launcher
    driver, stream, launch = launcher.gpu.driver, launcher.stream, launcher.launch
    events: list[Any] = []

    def timed(*arguments: Any) -> None:
        pair = [check(driver.cuEventCreate(0)) for _ in range(2)]
        stream.synchronize()  # nothing else is on the way
        check(driver.cuEventRecord(pair[0], stream.native))
        launch(*arguments)
        check(driver.cuEventRecord(pair[1], stream.native))
        events.append(pair)

    took: list[float] = []
    launcher.launch = timed
    try:
        for _ in range(rounds):
            events.clear()
            work()
            stream.synchronize()
            took.append(sum(check(driver.cuEventElapsedTime(*pair)) for pair in events) * 1e3)
    finally:  # else what is measured next would wait for each kernel
        del launcher.launch
    return statistics.median(took)


def compare(got: Image, want: Image) -> float:
    """Peak signal-to-noise ratio, dB."""
    off = np.concatenate([(np.asarray(p, float) - q).ravel() for p, q in zip(got.planes, want.planes, strict=True)])
    return round(float(10 * np.log10(255**2 / max(float((off**2).mean()), 1e-9))), 1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clip")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device", default="cuda:0")
    arguments = parser.parse_args()
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)  # cv2.imwrite says nothing where there is none
    there, here, picture = Uploader(gpu(arguments.device)), open_cpu(), first(arguments.clip)
    up = there.upload(picture).share()
    for name, work in OPERATIONS.items():
        try:
            got, want = to_cpu(work(there, up)), work(here, picture)
            host, clock = timed(partial(work, there, up), ROUNDS)
            alone = on_gpu(there, partial(work, there, up))
            _, cpu = timed(partial(work, here, picture), 20)
        except (MillraceError, RuntimeError, ValueError, cv2.error) as error:
            print(json.dumps({"what": name, "error": str(error)[:500]}), flush=True)
            continue
        figures = {
            "host_us": round(host, 1),
            "all_us": round(clock, 1),
            "gpu_us": round(alone, 1),
            "cpu_us": round(cpu),
            "psnr": compare(got, want),
        }
        print(json.dumps({"what": name, **figures}), flush=True)
        if arguments.out and got.format != "BGR":
            for side, image in (("gpu", got), ("cpu", want)):
                bgr = here.convert(image, "BGR").planes[0]
                cv2.imwrite(str(arguments.out / f"{name.replace(' ', '-').replace(',', '')}-{side}.png"), bgr)


if __name__ == "__main__":
    main()
