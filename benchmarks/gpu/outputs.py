"""What of a detector's outputs crosses to the CPU: all of it, its surest cells, or what NMS on the GPU leaves of them.

    python benchmarks/gpu/outputs.py clip.mp4 --model yolox_nano_384x640_dynbatch.onnx --out results.jsonl

The clip's pictures, prepared beforehand, in batches of 32 on one GPU; three calls under way. Prints one line of JSON
for each way: pictures a second with the network alone and with its outputs read into boxes by the same thread, MB of a
batch that are copied, the thread's time to read them, and how many boxes came: the same each time.
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from typing import Any

import torch
from common import BATCH, DEVICE, Out, guarded, packets

from millrace.core.caps import Caps
from millrace.cuda.context import gpu
from millrace.decoders.nvdec import open_decoder
from millrace.elements._model import LoadedModel, load_model
from millrace.imaging.cuda import open_imaging

BATCHES, ROUNDS = 4, 100
WAYS: dict[str, dict[str, Any]] = {
    "all": {"candidates": False},
    "320 surest cells": {"candidates": 320},
    "1024 surest cells, NMS on the GPU": {},
}


def feeds(clip: str, loaded: LoadedModel) -> list[Any]:
    """Batches of the clip's first pictures as the model reads them, on the GPU."""
    items, imaging, pictures = packets(clip, "a", loop=True), open_imaging(DEVICE), []
    decoder = open_decoder(next(items), DEVICE)
    for item in items:
        if isinstance(item, Caps):  # the clip begins again: the same decoder goes on
            continue
        for found in decoder.decode(item):
            tensor, _ = imaging.to_tensor([found.image], loaded.spec)
            assert tensor.ready is not None
            tensor.ready.synchronize()
            pictures.append(torch.as_tensor(tensor, device=DEVICE).clone())
            torch.cuda.synchronize()
        if len(pictures) >= BATCH * BATCHES:
            break
    decoder.close()
    return [torch.cat(pictures[n : n + BATCH]) for n in range(0, BATCH * BATCHES, BATCH)]


def rounds(loaded: LoadedModel, batches: list[Any], read: bool) -> dict[str, float]:
    """Pictures a second; with `read` also what reading takes and gives."""
    under_way: deque[Any] = deque()
    reading, boxes, size, start = 0.0, 0, 0, time.perf_counter()

    def take() -> None:
        nonlocal reading, boxes, size
        outputs = under_way.popleft().result(30)
        size = sum(each.nbytes for each in outputs.values())
        if read:
            before = time.perf_counter()
            boxes += sum(len(found.boxes) for found in loaded.read(outputs, BATCH))
            reading += time.perf_counter() - before

    for n in range(ROUNDS):
        under_way.append(loaded.runtime.submit(loaded.feed(batches[n % BATCHES], BATCH)))
        if len(under_way) > 2:
            take()
    while under_way:
        take()
    fps = ROUNDS * BATCH / (time.perf_counter() - start)
    pictures = ROUNDS * BATCH
    return {"fps": fps, "mb": size / 1e6, "read_us": 1e6 * reading / pictures, "boxes": boxes / pictures}


def way(out: Out, clip: str, model: str, name: str, precision: str) -> None:
    options: dict[str, Any] = {"precision": precision, "graphs": [BATCH]}
    loaded = load_model(model, DEVICE, tensors=None, **options, **WAYS[name])
    try:
        batches = feeds(clip, loaded)
        rounds(loaded, batches, read=True)  # the first calls record, lay out and compile
        alone, whole = rounds(loaded, batches, read=False), rounds(loaded, batches, read=True)
    finally:
        loaded.runtime.close()
    out(
        "outputs", way=name, precision=precision, fps_alone=round(alone["fps"]), fps=round(whole["fps"]),
        mb_a_batch=round(whole["mb"], 3), read_us=round(whole["read_us"], 1), boxes=round(whole["boxes"], 3),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip")
    parser.add_argument("--model", required=True)
    parser.add_argument("--precision", nargs="+", default=["float16", "float32"])
    parser.add_argument("--out")
    arguments = parser.parse_args()
    out = Out(arguments.out)
    gpu(DEVICE)
    for precision in arguments.precision:
        for name in WAYS:
            guarded(out, way, arguments.clip, arguments.model, name, precision)


if __name__ == "__main__":
    main()
