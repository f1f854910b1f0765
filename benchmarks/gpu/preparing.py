"""Pictures to a network's input on one GPU: the general kernel and strips.cu in turn, in one run of some ten seconds.

    python benchmarks/gpu/preparing.py --out results.jsonl

Prints one line of JSON for each case: microseconds a picture, GB/s of the picture's (or part's) bytes and the result's,
and how many times as fast strips are. Both results are compared first. `call_us` is the processor's time for a call of
to_tensor.
"""

from __future__ import annotations

import argparse
import time
from typing import Any, NamedTuple

import numpy as np
from common import DEVICE, Out, guarded
from numpy.typing import NDArray

from millrace.cuda.context import gpu
from millrace.cuda.memory import DeviceArray, empty
from millrace.imaging.cuda import CudaImaging, _input, _strides, open_imaging
from millrace.media import Image, InputSpec
from millrace.media.image import Format

SURFACES = 32  # 100 MB of NV12: more than the GPU's cache holds
LAUNCH = 256  # pictures at a time: a launch must take longer than it takes to queue it
TURNS = 5


class Case(NamedTuple):
    name: str
    spec: InputSpec
    format: Format = "NV12"
    room: bool = False  # pixels lie together, with room for a fourth number
    crops: bool = False


LARGE = InputSpec(960, 544, dtype="float16", fit="stretch", scale=1 / 255)
SQUARE = InputSpec(640, 640, dtype="float16", scale=1 / 255)
SMALL = InputSpec(224, 224, dtype="float16", fit="stretch", scale=1 / 255)
OTHER = InputSpec(832, 480, dtype="float16", fit="stretch", scale=1 / 255)
CASES = (
    Case("960x544, planes", LARGE),
    Case("960x544, pixels", LARGE, room=True),
    Case("832x480, pixels", OTHER, room=True),
    Case("640x640, planes", SQUARE),
    Case("640x640, pixels", SQUARE, room=True),
    Case("crops to 224x224, pixels", SMALL, room=True, crops=True),
    Case("960x544, pixels", LARGE, "P010", room=True),
    Case("960x544, pixels", LARGE, "I420", room=True),
)


def surfaces(imaging: CudaImaging, format: Format, width: int = 1920, height: int = 1080) -> list[Image]:
    """Random pictures on the GPU."""
    rng, half = np.random.default_rng(7), (height // 2, width // 2)
    shapes = ((height, width), half, half) if format == "I420" else ((height, width), (*half, 2))
    dtype: Any = np.uint16 if format == "P010" else np.uint8
    made = []
    for _ in range(SURFACES):
        planes = [rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True) for shape in shapes]
        made.append(imaging.upload(Image(format, planes, width, height)))
        for plane in made[-1].planes:
            plane.ready.synchronize()
    return made


def boxes_for(count: int) -> NDArray[np.float32]:
    """Boxes as detectors of people and cars give them: 40 to 300 pixels wide, 60 to 500 high."""
    rng = np.random.default_rng(8)
    sizes = np.exp(rng.uniform(np.log((40, 60)), np.log((300, 500)), (count, 2)))
    corners = rng.uniform((0, 0), (1920, 1080) - sizes)
    return np.hstack([corners, corners + sizes]).astype(np.float32)


def array(imaging: CudaImaging, case: Case, count: int) -> tuple[DeviceArray, DeviceArray]:
    """Memory for results, and the view of it that is filled."""
    spec, size = case.spec, np.dtype(case.spec.dtype).itemsize
    shape = (count, 3, spec.height, spec.width)
    if not case.room:
        planes = empty(imaging._stream, shape, spec.dtype)
        return planes, planes
    held = empty(imaging._stream, (count, spec.height, spec.width, 4), spec.dtype)
    strides = (4 * size * spec.height * spec.width, size, 4 * size * spec.width, 4 * size)
    return held, DeviceArray(held.gpu, held.pointer, shape, spec.dtype, strides, held.owner)


def compared(imaging: CudaImaging, case: Case, images: list[Image], boxes: Any) -> bool:
    """Whether both give the same for some of the pictures."""
    found = []
    for strips in (True, False):
        imaging.strips = strips
        _, view = array(imaging, case, 4)
        tensor, _ = imaging.to_tensor(images[:4], case.spec, out=view, boxes=None if boxes is None else boxes[:4])
        found.append(tensor.numpy())
    by_strips, by_general = found
    return bool(np.array_equal(by_strips, by_general))


def launched(imaging: CudaImaging, rows: Any, view: DeviceArray, case: Case, times: int) -> float:
    """Seconds for a picture."""
    to = _input(case.spec, _strides(view, case.spec, len(rows)))
    imaging._stream.synchronize()
    start = time.perf_counter()
    for _ in range(times):
        imaging._launch(rows, view, case.spec, to)
    imaging._stream.synchronize()
    return (time.perf_counter() - start) / times / len(rows)


def call(imaging: CudaImaging, case: Case, images: list[Image], boxes: Any, rounds: int = 40) -> float:
    """Seconds of this thread's processor time for a call of to_tensor."""
    _, view = array(imaging, case, len(images))
    imaging.to_tensor(images, case.spec, out=view, boxes=boxes)
    used = 0.0
    for _ in range(rounds):
        start = time.thread_time()
        imaging.to_tensor(images, case.spec, out=view, boxes=boxes)
        used += time.thread_time() - start
        imaging._stream.synchronize()
    return used / rounds


def measure(out: Out, imaging: CudaImaging, case: Case, held: list[Image], launch: int = LAUNCH) -> None:
    images = [held[n % len(held)] for n in range(launch)]
    boxes = boxes_for(launch) if case.crops else None
    same = compared(imaging, case, images, boxes)
    rows, _ = imaging._rows.of(images, case.spec, boxes)
    _, view = array(imaging, case, launch)
    least = {True: float("inf"), False: float("inf")}
    for turn in range(TURNS + 1):
        for strips in (True, False):
            imaging.strips = strips
            took = launched(imaging, rows, view, case, 20 if strips else 5)
            if turn:  # the first one warms up
                least[strips] = min(least[strips], took)
    imaging.strips = True
    sample = 2 if case.format == "P010" else 1
    read = 1.5 * sample * float(rows["part"][:, 2:].prod(axis=1).mean())
    moved = read + view.nbytes / launch * (4 / 3 if case.room else 1)
    few = 64 if case.crops else 32
    out(
        "preparing",
        case=f"{case.format}, {case.name}",
        same=same,
        us_a_picture=round(1e6 * least[True], 2),
        general_us=round(1e6 * least[False], 2),
        times_as_fast=round(least[False] / least[True], 2),
        gb_a_second=round(moved / least[True] / 1e9),
        general_gb=round(moved / least[False] / 1e9),
        call_us=round(1e6 * call(imaging, case, images[:few], None if boxes is None else boxes[:few])),
        pictures_a_call=few,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out")
    out = Out(parser.parse_args().out)
    gpu(DEVICE)
    imaging = open_imaging(DEVICE)
    held: dict[str, list[Image]] = {}
    for case in CASES:
        if case.format not in held:
            held.clear()
            held[case.format] = surfaces(imaging, case.format)
        guarded(out, measure, imaging, case, held[case.format])


if __name__ == "__main__":
    main()
