"""Decoded YUV to a model's input, a letterbox of 640x640 float32 NCHW: millrace against OpenCV and torchvision.

    python benchmarks/preprocess.py [--seconds 0.4] [--rounds 5]

All ways take turns in one process and write the same tensor; fps are medians of the rounds. The others get what suits
them: I420 in one block of memory, an output that is used again, the best of three ways to get floats out of OpenCV, and
for two threads the better of their own two threads and two calls side by side. torchvision is given OpenCV's RGB, for
it reads no YUV. Agreement is with the published steps: PyAV's RGB (libswscale), cv2.resize, float32. Needs clips in
MILLRACE_TEST_DATA, else a picture of noise is used; torchvision is left out where it is not installed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from millrace.decoders.libav import image_of
from millrace.imaging import kernels
from millrace.imaging.cpu import open_imaging
from millrace.media import InputSpec
from millrace.media.tensor import corner, fitted_size

SIDE = 640
SPEC = InputSpec(SIDE, SIDE)
CLIPS = {"1920x1080": "Retail02_short.mp4", "1280x720": "udacity_dashcam_720p.mp4", "768x432": "car-detection.mp4"}
BUILT = kernels.THERE
Way = Callable[[], np.ndarray]


def frame_of(size: str) -> Any:
    """An av.VideoFrame of yuv420p."""
    path = Path(os.environ.get("MILLRACE_TEST_DATA", "")) / "videos" / CLIPS[size]
    if path.is_file():
        with av.open(str(path)) as container:
            frame = next(f for n, f in enumerate(container.decode(video=0)) if n == 30)
        if (f"{frame.width}x{frame.height}", frame.format.name) == (size, "yuv420p"):
            return frame
    width, height = map(int, size.split("x"))
    print(f"{size}: noise, for {path} is not there")
    noise = np.random.default_rng(0).integers(0, 256, (height * 3 // 2, width), dtype=np.uint8)
    return av.VideoFrame.from_ndarray(noise, format="yuv420p")


def ours(frame: Any, built: bool) -> Callable[[], Way]:
    image, imaging = image_of(frame, None), open_imaging()

    def run() -> np.ndarray:
        kernels.THERE = built
        return imaging.to_tensor([image], SPEC)[0]

    return lambda: run


def by_opencv(frame: Any, how: str) -> Callable[[], Way]:
    i420 = frame.to_ndarray()
    width, height = fitted_size(frame.width, frame.height, SPEC)
    left, top = corner(frame.width, frame.height, SPEC)
    inner = np.s_[top : top + height, left : left + width]

    def make() -> Way:
        out = np.full((1, 3, SIDE, SIDE), 114, np.float32)
        canvas = np.full((SIDE, SIDE, 3), 114, np.uint8)

        def run() -> np.ndarray:
            small = cv2.resize(cv2.cvtColor(i420, cv2.COLOR_YUV2RGB_I420), (width, height))
            if how == "channels":  # the border of an output that is used again stays
                for index in range(3):
                    out[0, index][inner] = cv2.extractChannel(small, index)
                return out
            canvas[inner] = small
            if how == "blobFromImage":
                blob: np.ndarray = cv2.dnn.blobFromImage(canvas)
                return blob
            out[0] = canvas.transpose(2, 0, 1)
            return out

        return run

    return make


def by_torchvision(frame: Any) -> Callable[[], Way] | None:
    try:
        import torch

        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):  # torchvision's wheel is built for CUDA: these are missing beside a torch for CPUs
            if not hasattr(torch.ops.torchvision, name):
                library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        from torchvision.transforms.v2 import functional
    except ImportError as error:
        print(f"torchvision is left out: {error}")
        return None
    i420 = frame.to_ndarray()
    width, height = fitted_size(frame.width, frame.height, SPEC)
    left, top = corner(frame.width, frame.height, SPEC)

    def make() -> Way:
        out = torch.full((1, 3, SIDE, SIDE), 114.0)

        def run() -> np.ndarray:
            rgb = torch.from_numpy(cv2.cvtColor(i420, cv2.COLOR_YUV2RGB_I420)).permute(2, 0, 1)
            small = functional.resize(rgb, [height, width], antialias=False)
            out[0, :, top : top + height, left : left + width] = small
            values: np.ndarray = out.numpy()
            return values

        return run

    return make


def published(frame: Any) -> np.ndarray:
    """Every pixel to RGB, resized, float32; the border."""
    width, height = fitted_size(frame.width, frame.height, SPEC)
    left, top = corner(frame.width, frame.height, SPEC)
    canvas = np.full((SIDE, SIDE, 3), 114, np.uint8)
    canvas[top : top + height, left : left + width] = cv2.resize(frame.to_ndarray(format="rgb24"), (width, height))
    return canvas.transpose(2, 0, 1)[None].astype(np.float32)


def rate(ways: list[Way], seconds: float) -> float:
    """Calls a second, each way in a thread of its own."""
    end = time.perf_counter() + seconds

    def work(way: Way) -> int:
        calls = 0
        while time.perf_counter() < end:
            way()
            calls += 1
        return calls

    began = time.perf_counter()
    if len(ways) == 1:
        calls = work(ways[0])
    else:
        with ThreadPoolExecutor(len(ways)) as pool:
            calls = sum(pool.map(work, ways))
    return calls / (time.perf_counter() - began)


def threads(count: int) -> None:
    """Of the libraries themselves."""
    cv2.setNumThreads(count)
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(count)


def compare(size: str, seconds: float, rounds: int) -> None:
    frame = frame_of(size)
    makers = {"millrace": ours(frame, True) if BUILT else None, "millrace without C": ours(frame, False)}
    makers |= {f"OpenCV, {how}": by_opencv(frame, how) for how in ("channels", "transpose", "blobFromImage")}
    makers["torchvision"] = by_torchvision(frame)
    wanted = published(frame)
    print(f"\n{size}: fps with 1 thread, 2 threads; values equal to the published steps, largest difference")
    ways = {name: make for name, make in makers.items() if make is not None}
    for name in {"millrace"} - ways.keys():
        print(f"{name} is left out: the C part is not built")
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, make in ways.items():
            threads(1)
            one, side_by_side = rate([make()], seconds), rate([make(), make()], seconds)
            threads(2)
            own = 0.0 if name.startswith("millrace") else rate([make()], seconds)
            results[name].append((one, max(side_by_side, own)))
    threads(1)
    fps = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in results.items()}
    best = [max(fps[name][n] for name in fps if not name.startswith("millrace")) for n in (0, 1)]
    for name, (one, two) in fps.items():
        off = np.abs(ways[name]()() - wanted)
        ratios = f"{one / best[0]:.2f}x, {two / best[1]:.2f}x"
        print(f"  {name:<24} {one:7.0f} {two:7.0f}   {ratios:<14} {(off == 0).mean():8.3%} {off.max():6.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.4, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for size in CLIPS:
        compare(size, options.seconds, options.rounds)


if __name__ == "__main__":
    main()
