"""Paced live streams through a real RT-DETR-R50 (transformers, random weights): "Must show" 2 of the GPU issue.

    python benchmarks/gpu/live.py h264.mp4

First the network alone: its ceiling in streams of 30 fps. Then streams at the clip's own pace, more and more of them,
each picture due when its packet is: time from due to metadata (p50, p99), frames due and frames told.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np
from application import PacedFile, line

from millrace.core import Graph, Pipeline
from millrace.elements.batch import Batch
from millrace.elements.decode import Decode
from millrace.elements.discard import Discard
from millrace.elements.infer import Infer
from millrace.elements.json import Json
from millrace.elements.track import Track

SETTLE, SECONDS = 10.0, 8.0  # the decoders of many new streams take some seconds to make
SHARES = (0.8, 0.9, 0.95)  # of what the network alone can do


def write(folder: str, **options: Any) -> str:
    import torch
    from nets import RtDetr

    torch.save(RtDetr().state_dict(), Path(folder, "rtdetr.pth"))
    where = Path(__file__).with_name("nets.py")
    more = "".join(f", {name}: {value}" for name, value in options.items())
    Path(folder, "rtdetr.yaml").write_text(
        "model: rtdetr.pth\nparser: end2end\n"
        "input: {scale: 0.00392156862745098, fit: stretch, mean: [0, 0, 0], std: [1, 1, 1], colour: RGB}\n"
        f"options: {{model: '{where}:RtDetr', inputs: {{images: 'float32[?, 3, 640, 640]'}}{more}}}\n"
    )
    return str(Path(folder, "rtdetr.yaml"))


def paced(out: common.Out, arguments: argparse.Namespace, model: str, plan: Callable[[Any], list[int]]) -> None:
    """One pipeline. `plan` sees its model's runtime and gives rising numbers of streams, which run in turn."""
    clip, batch, timeout = arguments.clip, arguments.batch, arguments.timeout
    with tempfile.TemporaryDirectory() as folder:
        infer = Infer(model=model, device=common.DEVICE, confidence=0.0)
        graph = line(
            Graph(),
            ("decode", Decode(device=common.DEVICE, workers=arguments.workers)),
            ("batch", Batch(size=batch, timeout=timeout)),
            ("infer", infer),
            ("track", Track()),
            ("json", Json(path=folder + "/{stream}.jsonl")),
            ("end", Discard()),
        )
        pipeline = Pipeline(graph)
        seen: list[tuple[float, int]] = []  # of each picture: milliseconds, boxes

        def told(item: Any) -> None:
            now = time.monotonic_ns()
            seen.extend(((now - frame.arrived) / 1e6, len(frame.objects)) for frame in getattr(item, "frames", ()))

        pipeline.tap("json", told)
        pipeline.start()  # the model is loaded, its graphs are recorded
        common.stay_on(arguments.cores)
        try:
            running = 0
            for streams in plan(infer.loaded.runtime):
                for n in range(running, streams):
                    source = PacedFile(stream=f"s{n}", uri=clip, offset=n / streams / 30)
                    pipeline.add_source(f"s{n}", source, into="decode")
                running = streams
                time.sleep(SETTLE)
                window(out, pipeline, seen, streams=streams, batch=batch)
        finally:
            pipeline.stop()


def window(out: common.Out, pipeline: Pipeline, seen: list[tuple[float, int]], streams: int, batch: int) -> None:
    def drops() -> int:
        return sum(each.drops for each in pipeline.stats().values())

    seen.clear()
    before, start, cpu = drops(), time.perf_counter(), time.process_time()
    time.sleep(SECONDS)
    took, used, told = time.perf_counter() - start, time.process_time() - cpu, list(seen) or [(0.0, 0)]
    p50, p99 = np.percentile([wait for wait, _ in told], (50, 99)).round(1).tolist()
    out("paced", streams=streams, fps=round(len(told) / took, 1), due=streams * 30.0, p50_ms=p50, p99_ms=p99,
        drops=drops() - before, boxes=round(sum(boxes for _, boxes in told) / len(told), 1), batch=batch,
        cores=round(used / took, 2), errors=[str(e)[:200] for e in pipeline.errors][:2])  # fmt: skip


def main() -> None:
    from parts import network_alone

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip")
    parser.add_argument("--streams", type=int, nargs="+", help="default: shares of the ceiling")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--timeout", type=float, default=0.012)
    parser.add_argument("--precision", default="float16")
    parser.add_argument("--plain", action="store_true", help="without CUDA graphs")
    parser.add_argument("--compiled", action="store_true", help="by torch.compile")
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 16, 32], help="batches that are recorded")
    parser.add_argument("--workers", type=int, default=8, help="of decode")
    parser.add_argument("--cores", type=int, help="on so many the process stays")
    parser.add_argument("--out")
    arguments = parser.parse_args()
    out = common.Out(arguments.out)
    common.gpu(common.DEVICE)

    def plan(runtime: Any) -> list[int]:
        ceiling = max(network_alone(out, "RT-DETR-R50", runtime, 40, size) for size in arguments.sizes) / 30
        out("ceiling", streams_of_30_fps=round(ceiling, 1))
        return sorted(arguments.streams or [int(share * ceiling) for share in SHARES])

    with tempfile.TemporaryDirectory() as folder:
        options = {"precision": arguments.precision, "graphs": "false" if arguments.plain else str(arguments.sizes)}
        options |= {"compiled": "true"} if arguments.compiled else {}
        model = write(folder, **options)
        common.guarded(out, paced, arguments, model, plan)
    print(json.dumps({"what": "end"}))


if __name__ == "__main__":
    main()
