"""Against what a user would write, with the same detector and clip: "Must show" 3 of the GPU issue.

    python benchmarks/gpu/loops.py hevc.mp4 --models folder

(a) cv2 and torch eager, a picture at a time; (b) PyNvVideoCodec's decoder on the GPU and torch eager; (c) (a) in a
thread for each of 32 streams, each with a model of its own. Ours: decode → infer with one stream, and with 32. All in
float16.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable
from typing import Any

import common
import cv2
import torch
from application import LoopingFile, line
from nets import Detector

from millrace.core import Graph, Pipeline
from millrace.cuda.context import gpu
from millrace.elements.batch import Batch
from millrace.elements.decode import Decode
from millrace.elements.discard import Discard
from millrace.elements.infer import Infer

SECONDS = 6.0


def network(models: str) -> Any:
    net = Detector()
    net.load_state_dict(torch.load(f"{models}/detector.pth", weights_only=True))
    return net.half().to(common.DEVICE).to(memory_format=torch.channels_last).eval()


def by_cv2(clip: str, models: str, count: Callable[[], bool]) -> None:
    net, reader = network(models), cv2.VideoCapture(clip)
    with torch.inference_mode():
        while True:
            there, picture = reader.read()
            if not there:
                reader = cv2.VideoCapture(clip)
                continue
            small = cv2.cvtColor(cv2.resize(picture, (960, 544)), cv2.COLOR_BGR2RGB)
            feed = torch.from_numpy(small).to(common.DEVICE).permute(2, 0, 1)[None].half() / 255
            rows = net(feed).cpu()
            assert rows.shape[0] == 1
            if not count():
                return


def by_nvc(clip: str, models: str, count: Callable[[], bool]) -> None:
    import PyNvVideoCodec as nvc  # noqa: N813

    net = network(models)
    with torch.inference_mode():
        while True:
            reader = nvc.SimpleDecoder(
                clip, gpu_id=0, use_device_memory=True, output_color_type=nvc.OutputColorType.RGB
            )
            for n in range(len(reader)):
                picture = torch.from_dlpack(reader[n]).permute(2, 0, 1)[None].half()
                feed = torch.nn.functional.interpolate(picture, (544, 960), mode="bilinear") / 255
                net(feed).cpu()
                if not count():
                    return


def measured(out: common.Out, name: str, loop: Any, clip: str, models: str, threads: int = 1) -> float:
    counts, going = [0] * threads, [True]

    def work(index: int) -> None:
        def count() -> bool:
            counts[index] += 1
            return going[0]

        loop(clip, models, count)

    own = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(threads)]
    for thread in own:
        thread.start()
    until = time.monotonic() + 60
    while min(counts) < 3 and time.monotonic() < until:
        time.sleep(0.1)
    figures = common.window(lambda: sum(counts), SECONDS)
    going[0] = False
    for thread in own:
        thread.join(20)
    out("loop", how=name, threads=threads, **figures)
    return figures["fps"]


def ours(out: common.Out, clip: str, models: str, streams: int, batch: int) -> float:
    graph = line(
        Graph(), ("decode", Decode(device=common.DEVICE)), ("batch", Batch(size=batch)),
        ("infer", Infer(model=f"{models}/detector.yaml", device=common.DEVICE, confidence=0.3)), ("end", Discard()),
    )  # fmt: skip
    pipeline = Pipeline(graph)
    for n in range(streams):
        pipeline.add_source(f"s{n}", LoopingFile(stream=f"s{n}", uri=clip), into="decode")
    counted = [0]

    def count(item: Any) -> None:
        counted[0] += len(getattr(item, "frames", ()))

    pipeline.tap("infer", count)
    pipeline.start()
    until = time.monotonic() + 60
    while counted[0] < 10 * streams and time.monotonic() < until:
        time.sleep(0.1)
    figures = common.window(lambda: counted[0], SECONDS)
    errors = [str(error)[:200] for error in pipeline.errors]
    pipeline.stop()
    out("ours", streams=streams, batch=batch, **figures, **({"errors": errors} if errors else {}))
    return figures["fps"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip")
    parser.add_argument("--models", required=True)
    parser.add_argument("--only", nargs="+", choices=("ours", "a", "b", "c"), default=["ours", "a", "b", "c"])
    parser.add_argument("--out")
    arguments = parser.parse_args()
    out = common.Out(arguments.out)
    gpu(common.DEVICE)
    clip, models = arguments.clip, arguments.models
    fps: dict[str, float] = {}

    def note(kind: str, name: str, function: Any, *given: Any) -> None:
        if kind in arguments.only:
            fps[name] = common.guarded(out, function, *given) or 0.0

    note("ours", "one stream", ours, clip, models, 1, 1)
    note("ours", "one stream, batch 16", ours, clip, models, 1, 16)
    note("ours", "32 streams", ours, clip, models, 32, 32)
    note("a", "a", measured, "(a) cv2 + torch", by_cv2, clip, models)
    note("b", "b", measured, "(b) PyNvVideoCodec + torch", by_nvc, clip, models)
    note("c", "c", measured, "(c) a thread and a model for each stream", by_cv2, clip, models, 32)
    own = [name for name in fps if len(name) > 1]
    others = [name for name in fps if len(name) == 1]
    out("ratios", **{f"{a} / {b}": round(fps[a] / max(fps[b], 1), 2) for a in own for b in others})


if __name__ == "__main__":
    main()
