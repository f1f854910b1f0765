"""Sources that come and go, damaged ones, and memory that runs out: "Must show" 5 of the GPU issue.

    python benchmarks/gpu/come_and_go.py hevc.mp4 --models folder --sources 1000

1,000 short clips, 16 at a time, one in ten of them damaged, beside four streams that go on all the time; then streams
are added while next to no memory is left. Prints the GPU's memory on the way: it must not grow.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import common
import numpy as np
from application import LoopingFile, line
from threads import samples

from millrace.core import Graph, Pipeline
from millrace.core.errors import ConfigError
from millrace.cuda.context import gpu
from millrace.elements.batch import Batch
from millrace.elements.decode import Decode
from millrace.elements.discard import Discard
from millrace.elements.infer import Infer
from millrace.sources.file import FileSource

AT_A_TIME, STEADY = 16, 4


def short(clip: str, target: Path, pictures: int, damaged: bool = False) -> None:
    """The first pictures of a clip, as they are coded; damaged: bytes in the middle of most packets are others."""
    rng = np.random.default_rng(1)
    with av.open(clip) as source, av.open(str(target), "w") as out:
        video = source.streams.video[0]
        stream = out.add_stream_from_template(video)
        for n, packet in enumerate(source.demux(video)):
            if n >= pictures or not packet.size:
                break
            if damaged and n % 3:
                data = bytearray(bytes(packet))
                for at in rng.integers(len(data) // 3, len(data), 40):
                    data[at] = int(rng.integers(256))
                other = av.Packet(bytes(data))
                other.pts, other.dts, other.time_base = packet.pts, packet.dts, packet.time_base
                packet = other
            packet.stream = stream
            out.mux(packet)


def come_and_go(out: common.Out, clip: str, models: str, sources: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        good, bad = Path(folder, "good.mp4"), Path(folder, "bad.mp4")
        short(clip, good, 12)
        short(clip, bad, 12, damaged=True)
        graph = line(
            Graph(), ("decode", Decode(device=common.DEVICE)), ("batch", Batch(size=8)),
            ("infer", Infer(model=f"{models}/detector.yaml", device=common.DEVICE, confidence=0.3)), ("end", Discard()),
        )  # fmt: skip
        pipeline = Pipeline(graph)
        for n in range(STEADY):
            pipeline.add_source(f"steady{n}", LoopingFile(stream=f"steady{n}", uri=clip), into="decode")
        frames: dict[str, int] = {}

        def count(item: Any) -> None:
            for frame in getattr(item, "frames", ()):
                key = frame.stream if frame.stream.startswith(("steady", "late")) else "others"
                frames[key] = frames.get(key, 0) + 1

        pipeline.tap("infer", count)
        pipeline.start()
        until = time.monotonic() + 60
        while len(frames) < STEADY and time.monotonic() < until:  # the network's graphs are recorded
            time.sleep(0.05)
        began, done = time.monotonic(), 0
        open_now: list[str] = []
        marks: list[list[int]] = []
        while done < sources and time.monotonic() < began + 200:
            while len(open_now) < AT_A_TIME and done + len(open_now) < sources:
                number = done + len(open_now)
                name = f"guest{number}"
                pipeline.add_source(
                    name, FileSource(stream=name, uri=str(bad if number % 10 == 9 else good)), into="decode"
                )
                open_now.append(name)
            time.sleep(0.02)
            for name in list(open_now)[: AT_A_TIME // 2]:
                with contextlib.suppress(ConfigError):  # it has ended by itself
                    pipeline.remove_source(name)
                open_now.remove(name)
                done += 1
            if done // 100 > len(marks):
                marks.append([done, common.memory()])
        took = time.monotonic() - began
        steady = [frames.get(f"steady{n}", 0) for n in range(STEADY)]
        time.sleep(1.0)
        more = [frames.get(f"steady{n}", 0) for n in range(STEADY)]
        out("come and go", sources=done, seconds=round(took, 1), memory_mb=marks,
            frames_of_guests=frames.get("others", 0),
            steady_go_on=all(b > a for a, b in zip(steady, more, strict=True)),
            errors=len(pipeline.errors), first_error=[str(e)[:160] for e in pipeline.errors][:1])  # fmt: skip
        full(out, pipeline, clip, frames)
        pipeline.stop()
        out("after the end", memory_mb=common.memory())


def full(out: common.Out, pipeline: Pipeline, clip: str, frames: dict[str, int]) -> None:
    """Take nearly all memory, then add streams until one is refused; those before go on."""
    import torch

    free, _ = torch.cuda.mem_get_info()
    hoard = torch.empty(max(0, free - 400_000_000), dtype=torch.uint8, device=common.DEVICE)
    before = len(pipeline.errors)
    warned: list[str] = []
    pipeline.bus.subscribe(lambda said: warned.append(said.text) if said.kind == "warning" else None)
    added = 0
    until = time.monotonic() + 25
    while len(pipeline.errors) == before and added < 64 and time.monotonic() < until and pipeline.state == "running":
        pipeline.add_source(f"late{added}", LoopingFile(stream=f"late{added}", uri=clip), into="decode")
        added += 1
        time.sleep(0.25)
    steady = [frames.get(f"steady{n}", 0) for n in range(STEADY)]
    time.sleep(2.0)
    more = [frames.get(f"steady{n}", 0) for n in range(STEADY)]
    out("memory full", left_mb=400, streams_added=added, state=str(pipeline.state), warned=warned[:2],
        frames=sum(more) - sum(steady), late_with_frames=sum(name.startswith("late") for name in frames),
        refused=[str(error)[:240] for error in pipeline.errors[before:]][:2],
        steady_go_on=all(b > a for a, b in zip(steady, more, strict=True)))  # fmt: skip
    if sum(more) == sum(steady):
        out("where it stands", threads=samples())
    del hoard
    torch.cuda.empty_cache()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip")
    parser.add_argument("--models", required=True)
    parser.add_argument("--sources", type=int, default=1000)
    parser.add_argument("--out")
    arguments = parser.parse_args()
    gpu(common.DEVICE)
    come_and_go(common.Out(arguments.out), arguments.clip, arguments.models, arguments.sources)


if __name__ == "__main__":
    main()
