"""Paced live streams through a real RT-DETR-R50 (transformers, random weights): "Must show" 2 of the GPU issue.

    python benchmarks/gpu/live.py h264.mp4

First the network alone: its ceiling in streams of 30 fps. Then streams at the clip's own pace, more and more of them,
each picture due when its packet is: time from due to metadata (p50, p99), frames due and frames told.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import common
import numpy as np
from application import PacedFile, line
from processes import Processes, add_child, asked, ready
from threads import Threads, shares

from millrace.core import Graph, Pipeline
from millrace.cuda.context import gpu
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip")
    parser.add_argument("--streams", type=int, nargs="+", help="default: shares of the ceiling")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--timeout", type=float, default=0.012)
    parser.add_argument("--workers", type=int, default=8, help="of decode")
    parser.add_argument("--processes", type=int, default=1, help="over which the streams are spread; needs --streams")
    parser.add_argument("--cores", type=int, help="on so many of its own each process stays")
    parser.add_argument("--out")
    add_child(parser)


def paced(out: common.Out, arguments: argparse.Namespace, model: str, plan: Callable[[Any], Iterable[int]]) -> None:
    """One pipeline. `plan` sees its model's runtime and gives rising numbers of streams, which run in turn."""
    clip, first, step = arguments.clip, arguments.first, arguments.step
    with tempfile.TemporaryDirectory() as folder:
        infer = Infer(model=model, device=common.DEVICE, confidence=0.0)
        graph = line(
            Graph(),
            ("decode", Decode(device=common.DEVICE, workers=arguments.workers)),
            ("batch", Batch(size=arguments.batch, timeout=arguments.timeout)),
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
        common.stay_on(arguments.cores, first)
        try:
            running = 0
            for streams in plan(infer.loaded.runtime):
                own = range(first, streams, step)
                for n in own[running:]:
                    source = PacedFile(stream=f"s{n}", uri=clip, offset=n / streams / 30)
                    pipeline.add_source(f"s{n}", source, into="decode")
                running = len(own)
                time.sleep(SETTLE)
                if arguments.child:
                    ready()
                out("paced", streams=streams, batch=arguments.batch, **window(pipeline, seen, len(own)))
        finally:
            pipeline.stop()


def window(pipeline: Pipeline, seen: list[tuple[float, int]], streams: int) -> dict[str, Any]:
    seen.clear()
    before, start, cpu, threads = pipeline.stats(), time.perf_counter(), time.process_time(), Threads()
    time.sleep(SECONDS)
    took, used, told = time.perf_counter() - start, time.process_time() - cpu, list(seen) or [(0.0, 0)]
    after, own = pipeline.stats(), threads.shares()
    p50, p99 = np.percentile([wait for wait, _ in told], (50, 99)).round(1).tolist()
    drops = sum(each.drops for each in after.values()) - sum(each.drops for each in before.values())
    return {
        "fps": round(len(told) / took, 1), "due": streams * 30.0, "p50_ms": p50, "p99_ms": p99, "drops": drops,
        "boxes": round(sum(boxes for _, boxes in told) / len(told), 1), "cores": round(used / took, 2),
        "errors": [str(e)[:200] for e in pipeline.errors][:2], "threads": own, "elements": shares(before, after, took),
    }  # fmt: skip


def in_processes(out: common.Out, arguments: argparse.Namespace) -> None:
    """The streams spread over so many processes, each with a network of its own."""
    processes = Processes(sys.argv, arguments.processes)
    try:
        for streams in sorted(arguments.streams):
            processes.begin(streams, within=240.0)
            told = processes.told()
            figures = {name: round(sum(each[name] for each in told), 2) for name in ("fps", "due", "drops", "cores")}
            figures |= {name: max(each[name] for each in told) for name in ("p50_ms", "p99_ms")}
            boxes, errors = min(each["boxes"] for each in told), [error for each in told for error in each["errors"]]
            parts = {"threads": told[0]["threads"], "elements": told[0]["elements"]}
            out("paced", streams=streams, processes=arguments.processes, **figures, boxes=boxes, errors=errors, **parts)
    finally:
        processes.close()


def main() -> None:
    from parts import network_alone

    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--precision", default="float16")
    parser.add_argument("--plain", action="store_true", help="without CUDA graphs")
    parser.add_argument("--compiled", action="store_true", help="by torch.compile")
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 16, 32], help="batches that are recorded")
    arguments = parser.parse_args()
    out = common.Out(None if arguments.child else arguments.out)
    if arguments.processes > 1 and not arguments.streams:
        parser.error("--processes needs --streams")
    if arguments.processes > 1 and not arguments.child:
        common.guarded(out, in_processes, arguments)
        return
    gpu(common.DEVICE)

    def plan(runtime: Any) -> Iterable[int]:
        if arguments.child:
            return asked()
        ceiling = max(network_alone(out, "RT-DETR-R50", runtime, 40, size) for size in arguments.sizes) / 30
        out("ceiling", streams_of_30_fps=round(ceiling, 1))
        return sorted(arguments.streams or [int(share * ceiling) for share in SHARES])

    with tempfile.TemporaryDirectory() as folder:
        options = {"precision": arguments.precision, "graphs": "false" if arguments.plain else str(arguments.sizes)}
        options |= {"compiled": "true"} if arguments.compiled else {}
        model = write(folder, **options)
        common.guarded(out, paced, arguments, model, plan)


if __name__ == "__main__":
    main()
