"""The parts of the GPU slice alone and in a plain loop: what the machine can do without our engine.

    python benchmarks/gpu/parts.py --out results.jsonl --model yolox_nano_384x640_dynbatch.onnx clip.mp4 …

Prints one line of JSON for each figure. Checks first that surfaces are bit by bit what FFmpeg gives on the CPU, alone
and under full load; the other parts are checked by tests/gpu.
"""

from __future__ import annotations

import argparse
import hashlib
import queue
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from common import BATCH, DEVICE, Out, Utilisation, Workers, guarded, packets, window

from millrace.cuda.context import gpu
from millrace.cuda.memory import DeviceArray
from millrace.decoders.nvdec import open_decoder
from millrace.imaging.cuda import open_imaging, to_cpu
from millrace.media import Image, InputSpec, TensorInfo
from millrace.runtimes.torch import load
from millrace.runtimes.torch_cuda import TorchRuntime

# decoding


def decode_only(out: Out, clip: str, streams: int, workers: int) -> float:
    pool = Workers(clip, streams, workers, lambda index, pictures: None)
    with Utilisation() as used:
        figures = window(lambda: sum(pool.counts))
    pool.stop()
    out("decode-only", clip=Path(clip).name, streams=streams, workers=workers, **figures, **used.figures)
    return figures["fps"]


def digests(path: str) -> dict[int, str]:
    """pts (ns) → md5 of the NV12 bytes, by FFmpeg on the CPU; 8-bit 4:2:0 only."""
    found = {}
    with av.open(path) as container:
        video = container.streams.video[0]
        video.thread_type = "AUTO"
        scale = Fraction(video.time_base) * 1_000_000_000
        for frame in container.decode(video):
            rows = frame.to_ndarray().reshape(-1)  # I420
            size = frame.width * frame.height
            chroma = rows[size:].reshape(2, -1).T
            found[int(frame.pts * scale)] = hashlib.md5(rows[:size].tobytes() + chroma.tobytes()).hexdigest()
    return found


def digest(image: Image) -> str:
    return hashlib.md5(b"".join(plane.tobytes() for plane in to_cpu(image).planes)).hexdigest()


def exactness(out: Out, clip: str) -> dict[int, str]:
    """Every picture and its time, of one stream alone."""
    wanted = digests(clip)
    items = packets(clip, "a", loop=False)
    decoder = open_decoder(next(items), DEVICE)
    pictures, same = 0, 0
    times: list[int | None] = []
    for item in [*items, None]:
        for picture in decoder.flush() if item is None else decoder.decode(item):
            times.append(picture.pts)
            same += digest(picture.image) == wanted.get(picture.pts or 0)
            pictures += 1
    decoder.close()
    out(
        "exactness",
        clip=Path(clip).name,
        pictures=pictures,
        of=len(wanted),
        times_equal=times == sorted(wanted),
        same=same,
        damaged=decoder.damaged,
    )
    return wanted


def exactness_under_load(out: Out, clip: str, wanted: dict[int, str], streams: int = 32, workers: int = 4) -> None:
    """Every 23rd picture of each worker, held back for 40 more, so that slots are used again around it."""
    checked: list[bool] = []
    held: list[list[Any]] = [[] for _ in range(workers)]
    seen = [0] * workers

    def sink(index: int, pictures: list[Any]) -> None:
        for picture in pictures:
            seen[index] += 1
            held[index].append(picture)
            if len(held[index]) > 40:
                old = held[index].pop(0)
                if seen[index] % 23 == 0:
                    checked.append(digest(old.image) == wanted[old.pts])

    pool = Workers(clip, streams, workers, sink)
    figures = window(lambda: sum(pool.counts), 3.0)
    pool.stop()
    out("exactness under load", clip=Path(clip).name, compared=len(checked), same=sum(checked), fps=figures["fps"])


# pictures → tensors


def surface(rng: Any, width: int, height: int) -> Image:
    """A random NV12 picture on the GPU."""
    import torch

    shapes = (height, width), (height // 2, width // 2, 2)
    held = [torch.from_numpy(rng.integers(0, 256, shape).astype("uint8")).to(DEVICE) for shape in shapes]
    torch.cuda.synchronize()
    planes = [DeviceArray(gpu(DEVICE), t.data_ptr(), tuple(t.shape), "uint8") for t in held]
    return Image("NV12", planes, width, height, memory=DEVICE, owner=held)


def preprocess_alone(out: Out, spec: InputSpec, rounds: int = 100) -> None:
    rng, imaging = np.random.default_rng(7), open_imaging(DEVICE)
    images = [surface(rng, 1920, 1080) for _ in range(BATCH)]
    tensor, _ = imaging.to_tensor(images, spec)
    assert tensor.ready is not None
    tensor.ready.synchronize()
    start, cpu = time.perf_counter(), time.thread_time()
    for _ in range(rounds):
        tensor, _ = imaging.to_tensor(images, spec)
    queued = time.thread_time() - cpu
    assert tensor.ready is not None
    tensor.ready.synchronize()
    took = time.perf_counter() - start
    out(
        "preprocess alone",
        to=f"{spec.width}x{spec.height} {spec.dtype}",
        batch=BATCH,
        ms_a_batch=round(1000 * took / rounds, 3),
        host_us_a_batch=round(1e6 * queued / rounds, 1),
    )


# networks


def resnet(compiled: bool) -> TorchRuntime:
    """ResNet-18 at 960x544 with a stride of 16, as people detectors of that family are; random weights."""
    import torch
    import torchvision
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    owner = gpu(DEVICE)
    torch.manual_seed(0)
    net = torchvision.models.resnet18(weights=None).eval()
    net.layer4[0].conv1.stride = net.layer4[0].downsample[0].stride = (1, 1)
    net.conv1 = fuse_conv_bn_eval(net.conv1, net.bn1)
    for block in [*net.layer1, *net.layer2, *net.layer3, *net.layer4]:
        block.conv1, block.bn1 = fuse_conv_bn_eval(block.conv1, block.bn1), torch.nn.Identity()
        block.conv2, block.bn2 = fuse_conv_bn_eval(block.conv2, block.bn2), torch.nn.Identity()
        if block.downsample is not None:
            block.downsample = fuse_conv_bn_eval(*block.downsample)
    layers = [net.conv1, net.relu, net.maxpool, net.layer1, net.layer2, net.layer3, net.layer4]
    body = torch.nn.Sequential(*layers, torch.nn.Conv2d(512, 15, 1)).half()

    class Net(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, x: Any) -> tuple[Any]:
            return (self.body(x),)

    inputs = [TensorInfo("images", (None, 3, 544, 960), "float16")]
    return TorchRuntime(
        Net().eval(), inputs, [TensorInfo("heads", (None, 15, 34, 60), "float16")], {}, owner, 2, compiled
    )


def network_alone(out: Out, name: str, runtime: TorchRuntime, rounds: int = 60, size: int = BATCH) -> float:
    """Calls in a row, at most three under way, results in pinned memory each time. Gives pictures a second."""
    import torch

    info = runtime.inputs[0]
    pictures = torch.rand((size, *info.shape[1:]), dtype=getattr(torch, info.dtype), device=DEVICE)
    torch.cuda.synchronize()
    start = time.perf_counter()
    runtime.run({info.name: pictures})
    captured = time.perf_counter() - start
    pending: list[Any] = []
    start, cpu = time.perf_counter(), time.process_time()
    for _ in range(rounds):
        pending.append(runtime.submit({info.name: pictures}))
        if len(pending) > 2:
            pending.pop(0).result(30)
    for future in pending:
        future.result(30)
    took = time.perf_counter() - start
    out(
        "network alone",
        net=name,
        batch=size,
        fps=round(rounds * size / took),
        ms_a_batch=round(1000 * took / rounds, 3),
        cpu_ms_a_batch=round(1000 * (time.process_time() - cpu) / rounds, 3),
        capture_s=round(captured, 1),
    )
    return rounds * size / took


# all of it, in a plain loop


class Loop:
    """Decode, batch by arrival, prepare, infer; results are taken and dropped. No engine, parsing or tracking."""

    def __init__(self, clip: str, streams: int, workers: int, runtime: TorchRuntime, spec: InputSpec) -> None:
        self.inbox: queue.Queue[Any] = queue.Queue(maxsize=BATCH * 3)
        self.runtime, self.spec = runtime, spec
        self.imaging = open_imaging(DEVICE)
        self.done = 0
        runtime.warm([BATCH])
        self.workers = Workers(clip, streams, workers, self.take)
        self.thread = threading.Thread(target=self.consume, daemon=True)
        self.thread.start()

    def take(self, index: int, pictures: list[Any]) -> None:
        for picture in pictures:
            self.inbox.put(picture.image)

    def consume(self) -> None:
        pending: list[Any] = []
        name = self.runtime.inputs[0].name
        while not self.workers.stopping.is_set():
            try:
                images = [self.inbox.get(timeout=2) for _ in range(BATCH)]
            except queue.Empty:
                continue
            tensor, _ = self.imaging.to_tensor(images, self.spec)
            del images
            pending.append(self.runtime.submit({name: tensor}))
            del tensor
            if len(pending) > 2:
                pending.pop(0).result(30)
                self.done += BATCH

    def stop(self) -> None:
        self.workers.stopping.set()
        while self.thread.is_alive() or any(thread.is_alive() for thread in self.workers.threads):
            try:
                self.inbox.get(timeout=0.05)
            except queue.Empty:
                self.thread.join(0.05)
        self.workers.stop()


def plain_loop(
    out: Out, clip: str, streams: int, runtime: TorchRuntime, spec: InputSpec, name: str, decode_fps: float
) -> None:
    loop = Loop(clip, streams, 4, runtime, spec)
    with Utilisation() as used:
        figures = window(lambda: loop.done)
    loop.stop()
    ratio = round(figures["fps"] / max(1.0, decode_fps), 3)
    shown = {"clip": Path(clip).name, "net": name, "streams": streams, "workers": 4}
    out("plain loop", **shown, **figures, **used.figures, of_decode_only=ratio)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--model", required=True)
    parser.add_argument("--out")
    parser.add_argument("--compiled", action="store_true", help="also with torch.compile (a minute or two)")
    arguments = parser.parse_args()
    out = Out(arguments.out)
    owner = gpu(DEVICE)
    import torch

    version = owner.driver.cuDriverGetVersion()[1]
    name = torch.cuda.get_device_name(0)
    out("machine", gpu=name, torch=torch.__version__, python=sys.version.split()[0], cuda_driver=version)
    clips, model = arguments.clips, arguments.model
    wanted = {clip: guarded(out, exactness, clip) for clip in clips}
    rates: dict[tuple[str, int], float] = {}
    for clip in clips:
        for streams, workers in ((32, 4), (8, 4), (8, 8)):
            fps = guarded(out, decode_only, clip, streams, workers) or 0.0
            rates[clip, streams] = max(fps, rates.get((clip, streams), 0.0))
    clip = clips[0]
    guarded(out, exactness_under_load, clip, wanted[clip] or {})
    small = InputSpec(640, 384, "BGR", dtype="float16", fit="letterbox-top-left")
    large = InputSpec(960, 544, dtype="float16", fit="stretch", scale=1 / 255)
    guarded(out, preprocess_alone, small)
    guarded(out, preprocess_alone, large)
    if (detector := guarded(out, lambda _: load(model, DEVICE))) is not None:
        for size in (1, 8, 32):
            guarded(out, network_alone, "yolox-nano 640x384", detector, 60, size)
        for each, streams in ((clip, 8), (clip, 32), (clips[-1], 32)):
            guarded(out, plain_loop, each, streams, detector, small, "yolox-nano", rates[each, streams])
    for compiled in (False, True)[: 1 + arguments.compiled]:
        if (big := guarded(out, lambda _, compiled=compiled: resnet(compiled))) is not None:
            name = f"resnet-18 960x544{' compiled' if compiled else ''}"
            guarded(out, network_alone, name, big)
            guarded(out, plain_loop, clip, 32, big, large, name, rates[clip, 32])
    if arguments.compiled:
        fast = guarded(out, lambda _: load(model, DEVICE, compiled=True))
        if fast is not None:
            guarded(out, network_alone, "yolox-nano 640x384 compiled", fast)


if __name__ == "__main__":
    main()
