"""What the host does for a frame of the application, on a machine without a GPU.

    python benchmarks/gpu/host.py clip.mp4 --streams 32 --seconds 6

The elements, the decoder's and the imaging's own code are the real ones; the driver, NVDEC and the networks are
stand-ins that answer at once: so the figure is CPU time of ours (and of demuxing), and the rate is what one process
could do if the GPU were infinitely fast. Objects move through the picture, eight in each.
"""

from __future__ import annotations

import argparse
import cProfile
import ctypes
import json
import pstats
import queue
import sys
import tempfile
import threading
import time
import timeit
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from application import LoopingFile, application
from threads import Threads

import millrace.cuda.context as context
import millrace.decoders.nvdec as nvdec
import millrace.imaging.cuda as imaging
from millrace.core import Pipeline
from millrace.elements import _model
from millrace.engines import Opened
from millrace.fleet.cores import on_cores
from millrace.media import TensorInfo

OBJECTS = 8


class Driver:
    """Every call succeeds at once."""

    def __init__(self) -> None:
        self.keep: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        if name[:3] == "CUs" or name[:3] == "CUe" or name[:3] == "CUm" or name[:3] == "CUc" or name[:3] == "CUd":
            return SimpleNamespace(
                CU_STREAM_NON_BLOCKING=1, CU_EVENT_DISABLE_TIMING=2, CU_EVENT_BLOCKING_SYNC=1,
                CU_CTX_SCHED_BLOCKING_SYNC=4, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD=4,
                CU_STREAM_CAPTURE_MODE_THREAD_LOCAL=1,
            )  # fmt: skip
        answer = (0, 1)
        call = lambda *arguments: answer  # noqa: E731
        setattr(self, name, call)
        return call

    def cuCtxGetStreamPriorityRange(self) -> tuple[int, int, int]:  # noqa: N802
        return 0, 0, -5

    def cuuint64_t(self, value: int) -> int:
        return value

    def cuMemHostAlloc(self, size: int, flags: int) -> tuple[int, int]:  # noqa: N802
        memory = ctypes.create_string_buffer(size)
        self.keep.append(memory)
        return 0, ctypes.addressof(memory)

    def cuEventQuery(self, event: Any) -> tuple[int]:  # noqa: N802
        return (0,)


class Quick:
    """The same for calls that hold the lock."""

    def __getattr__(self, name: str) -> Any:
        call = lambda *arguments: 0  # noqa: E731
        setattr(self, name, call)
        return call


def work(microseconds: float) -> bytes:
    """What `zlib.crc32` takes so long for, with Python's lock given up meanwhile."""
    block = bytes(1 << 20)
    took = min(timeit.repeat(lambda: zlib.crc32(block), number=4, repeat=5)) / 4
    return block[: round(len(block) * microseconds / 1e6 / took)]


def replace(module: ModuleType, **others: Any) -> None:
    """Put these in the place of what has their names in the module."""
    for name, other in others.items():
        setattr(module, name, other)


def stand_ins(decoding: float, waiting: float = 0.0) -> None:
    """Put a driver, NVDEC and a kernel in place that do nothing, but for NVDEC so many microseconds a picture: of the
    processor's time, and of waiting for the picture."""
    burden = work(decoding)
    driver = Driver()
    replace(context, Calls=Quick, driver=lambda: driver)
    kernel = SimpleNamespace(launch=lambda *a: None)
    replace(imaging, Module=lambda gpu, source: defaultdict(lambda: kernel))
    imaging._strips[0] = True  # what does nothing cannot be tried
    nvc: Any = ModuleType("PyNvVideoCodec")

    class Decoder:
        def __init__(self, **options: Any) -> None:
            self.frame = SimpleNamespace(timestamp=0, GetPtrToPlane=lambda n: 1)

        def Decode(self, feed: Any) -> list[Any]:  # noqa: N802
            if feed.bsl == 0:
                return []
            if burden:
                zlib.crc32(burden)
            if waiting:
                time.sleep(waiting / 1e6)
            self.frame.timestamp = feed.pts
            return [self.frame]

        GetWidth, GetHeight = (lambda self: 1920), (lambda self: 1080)

        def GetPixelFormat(self) -> Any:  # noqa: N802
            return SimpleNamespace(name="NV12")

    nvc.CreateDecoder = Decoder
    nvc.PacketData = lambda: SimpleNamespace(bsl=0, bsl_data=0, pts=0, decode_flag=0)
    nvc.DisplayDecodeLatencyType = SimpleNamespace(LOW=1, NATIVE=0)
    nvc.cudaVideoCodec = SimpleNamespace(H264=4, HEVC=8)
    nvc.VideoPacketFlag = SimpleNamespace(ENDOFPICTURE=4)
    nvc.PyNvVCException = nvc.PyNvVCExceptionUnsupported = RuntimeError
    sys.modules["PyNvVideoCodec"] = nvc
    replace(nvdec, why_not=lambda *facts: None)


class Network:
    """A runtime whose answers come from a thread of its own, as those of a GPU do."""

    parallel, batches, device = 2, True, "cuda:0"
    metadata: Mapping[str, str] = {}
    report: Callable[[str], None]

    def __init__(self, kind: str, streams: int) -> None:
        self.inputs = [TensorInfo("images", (None, 3, 544, 960), "float16")]
        shape = (None, 128, 6) if kind == "detector" else (None, 10)
        self.outputs = [TensorInfo("rows" if kind == "detector" else "logits", shape, "float32")]
        self.kind, self.streams, self.frame = kind, streams, 0
        self.report = lambda message: None
        self.calls: queue.SimpleQueue[Any] = queue.SimpleQueue()
        rng = np.random.default_rng(3)
        self.logits = rng.normal(size=(4096, 10)).astype(np.float32)
        self.start = rng.uniform(60, 700, (OBJECTS, 2))
        self.speed = rng.uniform(-2, 2, (OBJECTS, 2))
        threading.Thread(target=self.answer, daemon=True).start()

    def run(self, inputs: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.submit(inputs).result()
        return answer

    def submit(self, inputs: Any, done: Any = None) -> Future[Any]:
        future: Future[Any] = Future()
        if done is not None:
            future.add_done_callback(lambda _: done())
        feed = inputs() if callable(inputs) else inputs
        self.calls.put((future, int(feed["images"].shape[0])))
        return future

    def answer(self) -> None:
        while (call := self.calls.get()) is not None:
            future, count = call
            if self.kind != "detector":
                future.set_result({"logits": self.logits[:count].copy()})
                continue
            rows = np.zeros((count, 128, 6), np.float32)
            for n in range(count):
                time_ = (self.frame + n) // self.streams
                at = self.start + self.speed * time_
                half = np.array([860, 440])
                at = np.abs((at + half) % (2 * half) - half)  # to and fro
                rows[n, :OBJECTS] = np.hstack(
                    [at, at + np.array([60, 100]), np.full((OBJECTS, 1), 0.8), np.zeros((OBJECTS, 1))]
                )
            self.frame += count
            future.set_result({"rows": rows})

    def close(self) -> None:
        self.calls.put(None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip")
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--classifiers", type=int, default=2)
    parser.add_argument(
        "--decoding", type=float, default=0.0, help="CPU µs of NVDEC's driver a picture, without the lock"
    )
    parser.add_argument("--cores", type=int, help="on so many it stays")
    parser.add_argument("--profile", nargs="?", const="infer", help="a thread's name: cProfile of that thread")
    arguments = parser.parse_args()
    stand_ins(arguments.decoding)
    with on_cores(arguments.cores), tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(arguments, folder)))


def measure(arguments: argparse.Namespace, folder: str) -> dict[str, Any]:
    labels = ", ".join(f"kind {n}" for n in range(10))
    usual = "input: {scale: 0.003921569, fit: stretch}"
    Path(folder, "detector.onnx").write_bytes(b"x")
    Path(folder, "detector.yaml").write_text(f"parser: end2end\n{usual}\nlabels: [person]\n")
    for n in range(arguments.classifiers):
        Path(folder, f"c{n}.onnx").write_bytes(b"x")
        Path(folder, f"c{n}.yaml").write_text(f"parser: classifier\n{usual}\nlabels: [{labels}]\n")

    def opened(where: str, *arguments_: Any, **options: Any) -> Opened:
        return Opened(Network("detector" if "detector" in where else "classifier", arguments.streams), None, None)

    replace(_model, open_engine=opened)
    classifiers = [f"{folder}/c{n}.onnx" for n in range(arguments.classifiers)]
    graph = application(f"{folder}/detector.onnx", classifiers, "cuda:0", folder, arguments.workers, arguments.batch)
    profiles = profiled(arguments.profile) if arguments.profile else []
    pipeline = Pipeline(graph)
    for index in range(arguments.streams):
        pipeline.add_source(f"s{index}", LoopingFile(stream=f"s{index}", uri=arguments.clip), into="decode")
    counts = [0, 0]

    def count(item: Any) -> None:
        frames = getattr(item, "frames", ())
        counts[0] += len(frames)
        counts[1] += sum(len(frame.objects) for frame in frames)

    pipeline.tap("json", count)
    pipeline.start()
    time.sleep(2.0)
    before, cpu, start, threads = counts[0], time.process_time(), time.perf_counter(), Threads()
    time.sleep(arguments.seconds)
    shares = threads.shares()
    done, used, took = counts[0] - before, time.process_time() - cpu, time.perf_counter() - start
    if pipeline.errors:
        raise SystemExit("; ".join(map(str, pipeline.errors)))
    pipeline.stop()
    for profile in profiles:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)
    return {
        "streams": arguments.streams, "fps": round(done / took), "cpu_us_a_frame": round(1e6 * used / max(1, done), 1),
        "objects_a_frame": round(counts[1] / max(1, counts[0]), 1),
        "us_of_threads": {name: round(1e6 * share * took / max(1, done), 1) for name, share in shares.items()},
    }  # fmt: skip


def profiled(name: str) -> list[cProfile.Profile]:
    """Profile threads whose name has `name`, from their start."""
    from millrace.core.worker import Worker

    profiles: list[cProfile.Profile] = []
    main_of = Worker._main

    def main(self: Worker) -> None:
        if name not in self.name:
            return main_of(self)
        profile = cProfile.Profile(time.thread_time)
        profiles.append(profile)
        return profile.runcall(main_of, self)

    Worker._main = main  # type: ignore[method-assign]
    return profiles


if __name__ == "__main__":
    main()
