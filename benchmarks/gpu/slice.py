"""The slice on a GPU through the real elements, beside decode-only in the same run.

    python benchmarks/gpu/slice.py clip.mp4 --model yolox_nano_384x640_dynbatch.onnx --streams 8 32 --out out.jsonl

file → decode → batch → infer → track → json, with `device: cuda:0` for decode and infer; every stream reads the clip
over and over. Beside it, for the same number of streams: the decoder alone in a plain loop, and the engine with
decode alone. The profile says, for each thread, its share of a core and where its samples were taken.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import common
from application import LoopingFile, line
from parts import decode_only
from threads import Threads, is_source, samples

from millrace.core import Graph, Pipeline
from millrace.cuda.context import gpu
from millrace.elements.batch import Batch
from millrace.elements.decode import Decode
from millrace.elements.discard import Discard
from millrace.elements.infer import Infer
from millrace.elements.json import Json
from millrace.elements.limit import Limit
from millrace.elements.track import Track
from millrace.sources.file import FileSource

DEVICE = common.DEVICE
WARM = 1.0  # seconds after the first results, beside those of the window


def slice_graph(
    model: str,
    device: str,
    folder: str,
    workers: int,
    batch: int,
    limit: int | None = None,
    precision: str | None = None,
) -> Graph:
    stop = [("limit", Limit(count=limit))] if limit else []
    return line(
        Graph(),
        ("decode", Decode(device=device, workers=workers)),
        *stop,
        ("batch", Batch(size=batch)),
        ("infer", Infer(model=model, device=device, options={"precision": precision} if precision else None)),
        ("track", Track()),
        ("json", Json(path=os.path.join(folder, "{stream}.jsonl"))),
        ("end", Discard()),
    )


# runs


def run(out: common.Out, name: str, graph: Graph, clip: str, streams: int, profile: bool, **shown: Any) -> float:
    """Frames a second at the last element, in a window."""
    pipeline = Pipeline(graph)
    entry, last = graph.entries()[0], list(graph.nodes)[-1]
    for index in range(streams):
        stream = f"s{index}"
        pipeline.add_source(stream, LoopingFile(stream=stream, uri=clip), into=entry)
    counter = [0]

    def count(item: Any) -> None:
        counter[0] += len(item) if hasattr(item, "frames") else hasattr(item, "image")

    pipeline.tap(list(graph.nodes)[-2] if last == "end" else last, count)
    pipeline.start()
    try:
        _first(pipeline, counter)
        time.sleep(WARM)
        threads = Threads()
        stats = pipeline.stats()
        with common.Utilisation() as used:
            figures = common.window(lambda: counter[0])
        shares, after = threads.shares(), pipeline.stats()
        out(name, clip=Path(clip).name, streams=streams, **shown, **figures, **used.figures)
        if profile:
            out("cores", of=name, streams=streams, threads=shares, all=round(sum(shares.values()), 2))
            out("elements", of=name, streams=streams, **_elements(stats, after, threads.started))
            out("samples", of=name, streams=streams, threads=samples())
    finally:
        pipeline.stop()
    return figures["fps"]


def _first(pipeline: Pipeline, counter: list[int]) -> None:
    """Wait for the first results: models load and graphs are captured before them."""
    until = time.monotonic() + 60
    while not counter[0]:
        if pipeline.wait(0.05) or time.monotonic() > until:
            raise RuntimeError("the pipeline ended, or gave nothing for 60 s: " + "; ".join(map(str, pipeline.errors)))


def _elements(before: Any, after: Any, started: float) -> dict[str, Any]:
    """Shares of the window that each element's threads spent in its code, blocked and idle; sources left out."""
    took = time.perf_counter() - started
    rows = {}
    for name, stats in after.items():
        if name in before and not is_source(name):
            past = before[name]
            times = {
                key: getattr(stats, f"time_{key}") - getattr(past, f"time_{key}") for key in ("in", "blocked", "idle")
            }
            rows[name] = {key: round(value / took, 3) for key, value in times.items()}
            rows[name]["peak_depth"] = stats.peak_depth
    return rows


def against_cpu(out: common.Out, clip: str, model: str, frames: int = 120, precision: str = "float16") -> None:
    """The same frames through the same elements on the CPU and on the GPU: boxes matched both ways."""
    results = []
    for device in ("cpu", DEVICE):
        with tempfile.TemporaryDirectory() as folder:
            on_gpu = precision if device != "cpu" else None
            graph = slice_graph(model, device, folder, 1, 4, limit=frames, precision=on_gpu)
            pipeline = Pipeline(graph)
            pipeline.add_source("a", FileSource(stream="a", uri=clip), into="decode")
            pipeline.start()
            if not pipeline.wait(120):
                pipeline.stop()
                raise RuntimeError(f"{device}: not done after 120 s")
            results.append([json.loads(text) for text in Path(folder, "a.jsonl").read_text().splitlines()])
    cpu, gpu = results
    same = [f["pts"] for f in cpu] == [f["pts"] for f in gpu]
    shown = {
        "clip": Path(clip).name,
        "model": Path(model).name,
        "precision": precision,
        "frames": len(cpu),
        "frames_gpu": len(gpu),
        "same_times": same,
    }
    out("against the cpu", **shown, cpu_in_gpu=_matched(cpu, gpu), gpu_in_cpu=_matched(gpu, cpu))


def _matched(reference: list[Any], other: list[Any]) -> str:
    """How many of reference's boxes of confidence >= 0.35 the other has (>= 0.3, same class, IoU >= 0.95)."""
    found = total = 0
    for a, b in zip(reference, other, strict=False):
        for box in (o for o in a["objects"] if o["confidence"] >= 0.35):
            total += 1
            found += any(o["class_id"] == box["class_id"] and _iou(o["box"], box["box"]) >= 0.95 for o in b["objects"])
    return f"{found} of {total}"


def _iou(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    inter = max(0.0, width) * max(0.0, height)
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter + 1e-9)


def measure(out: common.Out, clip: str, models: list[str], streams: int, workers: int, batch: int) -> None:
    """Decode-only, the engine with decode alone, the whole slice with each model; ratios."""
    alone = common.guarded(out, decode_only, clip, streams, workers) or 0.0
    graph = line(Graph(), ("decode", Decode(device=DEVICE, workers=workers)), ("end", Discard()))
    shown: dict[str, Any] = {"workers": workers}
    decode = common.guarded(out, run, "engine: decode alone", graph, clip, streams, True, **shown) or 0.0
    ratios = {"engine_decode": round(decode / max(alone, 1), 3)}
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            graph = slice_graph(model, DEVICE, folder, workers, batch)
            shown = {"model": Path(model).name, "workers": workers, "batch": batch}
            whole = common.guarded(out, run, "engine: the slice", graph, clip, streams, True, **shown) or 0.0
        ratios[f"slice, {Path(model).stem}"] = round(whole / max(alone, 1), 3)
    out("ratios to decode-only", clip=Path(clip).name, streams=streams, decode_only=alone, **ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--model", required=True, nargs="+", help="one or several; each is a slice of its own")
    parser.add_argument("--streams", type=int, nargs="*", default=[8, 32], help="none: only against the CPU")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--out")
    arguments = parser.parse_args()
    out = common.Out(arguments.out)
    gpu(DEVICE)
    for clip in arguments.clips:
        for model in arguments.model:
            for precision in ("float32", "float16"):
                common.guarded(out, against_cpu, clip, model, precision=precision)
    for clip in arguments.clips:
        for streams in arguments.streams:
            measure(out, clip, arguments.model, streams, arguments.workers, arguments.batch)


if __name__ == "__main__":
    main()
