"""Makes the models of the application's benchmark: a ResNet-18 that finds what another detector finds in a clip,
the same with half as many channels, and two classifiers with random weights.

    python benchmarks/gpu/train.py clip.mp4 --teacher best_boxes.onnx --to folder

It knows this clip and no other: what is measured is the rate, and the tracker, the classifiers and the analytics shall
have real objects to work on. Takes a minute.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import DEVICE, packets
from nets import STRIDE, Classifier, Detector, SlimDetector, fold

from millrace.cuda.context import gpu
from millrace.decoders.nvdec import open_decoder
from millrace.elements._model import load_model
from millrace.imaging.cuda import open_imaging
from millrace.media import InputSpec

SPEC = InputSpec(960, 544, scale=1 / 255, fit="stretch", dtype="float16")
BATCH, SURE = 24, 0.35


def lesson(clip: str, teacher: str) -> tuple[Any, list[Any]]:
    """All pictures of a clip as the detector sees them, uint8 on the GPU, and the teacher's boxes in its pixels."""
    loaded, imaging = load_model(teacher, DEVICE), open_imaging(DEVICE)
    items = packets(clip, "a", loop=False)
    decoder = open_decoder(next(items), DEVICE)
    pictures, boxes = [], []
    for item in [*items, None]:
        for found in decoder.flush() if item is None else decoder.decode(item):
            tensor, _ = imaging.to_tensor([found.image], SPEC)
            assert tensor.ready is not None
            tensor.ready.synchronize()
            pictures.append((torch.as_tensor(tensor, device=DEVICE)[0] * 255).round().to(torch.uint8))
            torch.cuda.synchronize()
            small, places = imaging.to_tensor([found.image], loaded.spec)
            (seen,) = loaded.read(loaded.runtime.run(loaded.feed(small, 1)), 1)
            sure = places[0].to_source(seen.boxes[seen.scores >= SURE])
            boxes.append(sure * np.array([960 / found.image.width, 544 / found.image.height] * 2, np.float32))
    decoder.close()
    loaded.runtime.close()
    return torch.stack(pictures), boxes


def targets(boxes: list[Any], rows: int = 544 // STRIDE, columns: int = 960 // STRIDE) -> tuple[Any, Any]:
    """[n, rows, columns] of 1 where an object's centre is, and [n, 4, …] logarithms of the ways to its sides."""
    there = np.zeros((len(boxes), rows, columns), np.float32)
    sides = np.zeros((len(boxes), 4, rows, columns), np.float32)
    for n, own in enumerate(boxes):
        for x1, y1, x2, y2 in own.tolist()[::-1]:  # the surest last: it wins a cell
            column = min(columns - 1, int((x1 + x2) / 2 / STRIDE))
            row = min(rows - 1, int((y1 + y2) / 2 / STRIDE))
            x, y = (column + 0.5) * STRIDE, (row + 0.5) * STRIDE
            there[n, row, column] = 1.0
            ways = np.maximum([x - x1, y - y1, x2 - x, y2 - y], 2.0) / STRIDE
            sides[n, :, row, column] = np.log(ways)
    return torch.from_numpy(there).to(DEVICE), torch.from_numpy(sides).to(DEVICE)


def learn(kind: type[Detector], pictures: Any, boxes: list[Any], seconds: float) -> tuple[Detector, dict[str, Any]]:
    torch.manual_seed(0)
    net = kind(folded=False).to(DEVICE).to(memory_format=torch.channels_last).train()
    there, sides = targets(boxes)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-4)
    start, steps, loss = time.perf_counter(), 0, torch.zeros(())
    order = torch.Generator().manual_seed(1)
    while (spent := time.perf_counter() - start) < seconds:
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, (steps + 1) / 30) * (1 + np.cos(np.pi * spent / seconds)) / 2
        some = torch.randint(len(pictures), (BATCH,), generator=order).to(DEVICE)
        feed = (pictures[some].to(torch.float32) / 255).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cuda", torch.bfloat16):
            maps = net.maps(feed)
        maps = maps.float()
        want = there[some]
        chance = maps[:, 0].sigmoid()
        hard = torch.where(want > 0, 1 - chance, chance) ** 2  # focal: what is certain already counts little
        found = torch.nn.functional.binary_cross_entropy_with_logits(maps[:, 0], want, reduction="none") * hard
        ways = ((maps[:, 1:] - sides[some]).abs().mean(1) * want).sum() / want.sum().clamp(min=1)
        loss = found.sum() / want.sum().clamp(min=1) + ways
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        steps += 1
        if steps % 20 == 0:
            torch.cuda.synchronize()
    return net.eval(), {"steps": steps, "loss": round(float(loss.detach()), 4), "teacher_boxes": sum(map(len, boxes))}


def write(net: Any, name: str, kind: str, card: str, folder: Path, height: int, width: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(net.half().cpu().state_dict(), folder / f"{name}.pth")
    where = Path(__file__).with_name("nets.py")
    (folder / f"{name}.yaml").write_text(
        f"model: {name}.pth\n{card}\noptions: {{model: '{where}:{kind}', precision: float16, "
        f"inputs: {{images: 'float32[?, 3, {height}, {width}]'}}}}\n"
    )


def make(clip: str, teacher: str, folder: Path, seconds: float = 25.0) -> dict[str, Any]:
    gpu(DEVICE)
    pictures, boxes = lesson(clip, teacher)
    figures = {}
    usual = "input: {scale: 0.00392156862745098, fit: stretch, mean: [0, 0, 0], std: [1, 1, 1], colour: RGB}"
    for name, kind in (("detector", Detector), ("slim_detector", SlimDetector)):
        net, figures[name] = learn(kind, pictures, boxes, seconds)
        net.body, folded = fold(net.body), kind()
        folded.load_state_dict({key: value.cpu() for key, value in net.state_dict().items()})
        write(folded, name, kind.__name__, f"parser: end2end\n{usual}\nlabels: [object]", folder, 544, 960)
    for n in range(2):
        torch.manual_seed(10 + n)
        labels = ", ".join(f"kind {k}" for k in range(10))
        card = f"parser: classifier\nbatch: 16\n{usual}\nlabels: [{labels}]"
        write(Classifier(), f"classifier{n}", "Classifier", card, folder, 224, 224)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--to", required=True)
    parser.add_argument("--seconds", type=float, default=25.0, help="of training, each detector")
    arguments = parser.parse_args()
    print(json.dumps(make(arguments.clip, arguments.teacher, Path(arguments.to), arguments.seconds)))


if __name__ == "__main__":
    main()
