"""Train the demonstration detector: `python -m training.train --out OUT` (GPU), `--steps 20 --width 160` (any CPU).

Pictures go into a pool on the device as they are rendered; every step draws from it, so that the network never waits.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import threading
import time
from pathlib import Path

import torch
from torch import Tensor

from .data import MOST, Feed
from .evaluate import evaluate
from .export import NAMES, export
from .loss import loss
from .model import Detector, grid


class Pool(threading.Thread):
    """The last `size` pictures, as uint8 on the device; filled by a thread of its own, on a stream of its own."""

    def __init__(self, feed: Feed, size: int, width: int, height: int, device: str) -> None:
        super().__init__(daemon=True)
        self.pictures = torch.empty((size, height, width, 3), dtype=torch.uint8, device=device)
        self.rows = torch.zeros((size, MOST, 6), device=device)
        self.feed, self.size, self.seen, self.device = feed, size, 0, device
        self.stopped = threading.Event()

    @property
    def filled(self) -> int:
        return min(self.seen, self.size)

    def run(self) -> None:
        stream = torch.cuda.Stream() if self.device == "cuda" else None
        while not self.stopped.is_set():
            got = self.feed.take(wait=0.5)
            if got is None:
                continue
            with torch.cuda.stream(stream):
                self.add(*(torch.from_numpy(part) for part in got))
            if stream is not None:
                stream.synchronize()
            self.seen += len(got[0])

    def add(self, pictures: Tensor, rows: Tensor) -> None:
        at = torch.arange(self.seen, self.seen + len(pictures)) % self.size
        at = at.to(self.device)
        self.pictures[at] = pictures.to(self.device)
        self.rows[at] = rows.to(self.device)

    def draw(self, batch: int) -> tuple[Tensor, Tensor]:
        """Pictures [n, 3, h, w] of 0..1 and rows, mirrored and changed in light."""
        index = torch.randint(self.filled, (batch,), device=self.device)
        x = self.pictures[index].permute(0, 3, 1, 2).float() / 255
        rows = self.rows[index].clone()
        flip = torch.rand(batch, device=self.device) < 0.5
        x = torch.where(flip[:, None, None, None], x.flip(3), x)
        mirrored = rows.clone()
        mirrored[..., 0], mirrored[..., 2] = x.shape[3] - rows[..., 2], x.shape[3] - rows[..., 0]
        rows = torch.where((flip[:, None] & (rows[..., 5] > 0))[..., None], mirrored, rows)

        def uniform(low: float, high: float, channels: int = 1) -> Tensor:
            return low + (high - low) * torch.rand((batch, channels, 1, 1), device=self.device)

        x = x.clamp(min=1e-4) ** uniform(0.75, 1.35)
        x = (x - 0.5) * uniform(0.75, 1.25) + 0.5 + uniform(-0.1, 0.1)
        x = x * uniform(0.92, 1.08, 3)
        grey = x.mean(1, keepdim=True)
        x = grey + (x - grey) * uniform(0.6, 1.35)
        noise = uniform(0, 0.03) * (torch.rand((batch, 1, 1, 1), device=self.device) < 0.5)
        return (x + torch.randn_like(x) * noise).clamp(0, 1), rows


def groups(model: Detector, decay: float) -> list[dict[str, object]]:
    """Weight decay for convolutions only."""
    heavy = [p for p in model.parameters() if p.ndim > 1]
    light = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": heavy, "weight_decay": decay}, {"params": light, "weight_decay": 0.0}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("street-training"))
    parser.add_argument("--minutes", type=float, default=0.0, help="stop after this time; 0: after --steps")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--pool", type=int, default=4000)
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    parser.add_argument("--per-scene", type=int, default=16)
    parser.add_argument("--source-width", type=int, default=None)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--widths", type=int, nargs=5, default=[8, 16, 32, 64, 96])
    parser.add_argument("--head", type=int, default=32)
    parser.add_argument("--start", type=Path, default=None, help="weights to go on from")
    parser.add_argument("--scenes", type=int, default=6, help="unseen scenes to judge by at the end")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(20261121)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    width, height = chosen.width, round(chosen.width * 0.6 / 32) * 32
    model = Detector(len(NAMES), tuple(chosen.widths), chosen.head).to(device, memory_format=torch.channels_last)
    if chosen.start:
        model.load_state_dict(torch.load(chosen.start, map_location=device, weights_only=True)["model"])
    begin = time.monotonic()
    feed = Feed(chosen.workers, width, height, chosen.per_scene, chosen.source_width)
    try:
        average = learn(model, feed, chosen, width, height, device, begin)
    finally:
        feed.close()
    facts = {
        "model": average.state_dict(),
        "widths": chosen.widths,
        "head": chosen.head,
        "width": width,
        "height": height,
    }
    torch.save(facts, chosen.out / "street.pt")
    export(average, chosen.out / "street.onnx", width, height)
    if chosen.scenes:
        figures = evaluate(chosen.out / "street.onnx", scenes=chosen.scenes, frames=10)
        (chosen.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(figures), flush=True)


def learn(
    model: Detector, feed: Feed, chosen: argparse.Namespace, width: int, height: int, device: str, begin: float
) -> Detector:
    """Train until time or steps are over; returns the running average of the weights."""
    pool = Pool(feed, chosen.pool, width, height, device)
    pool.start()
    points, strides = (t.to(device) for t in grid(height, width))
    optimiser = torch.optim.AdamW(groups(model, 0.03), lr=chosen.rate, betas=(0.9, 0.99))
    first = min(chosen.pool, 1000 if device == "cuda" else chosen.batch)
    while pool.filled < first:
        if time.monotonic() - begin > 120:
            raise SystemExit(f"only {pool.filled} pictures came from the workers in two minutes")
        time.sleep(0.2)
    print(f"first {pool.filled} pictures after {time.monotonic() - begin:.0f} s", flush=True)
    average = copy.deepcopy(model).eval()
    kept, live = ([t for t in net.state_dict().values() if t.is_floating_point()] for net in (average, model))
    step, clock = 0, time.monotonic()
    while True:
        spent = (time.monotonic() - clock) / (60 * chosen.minutes) if chosen.minutes else step / chosen.steps
        if spent >= 1:
            pool.stopped.set()
            pool.join(10)
            return average
        warm = min(1.0, (step + 1) / 300)
        for group in optimiser.param_groups:
            group["lr"] = chosen.rate * warm * (0.01 + 0.99 * (1 + math.cos(math.pi * spent)) / 2)
        x, rows = pool.draw(chosen.batch)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            out = model(x.contiguous(memory_format=torch.channels_last))
        cost, parts = loss(out, points, strides, rows)
        optimiser.zero_grad(set_to_none=True)
        cost.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
        step += 1
        keep = min(0.9995, 1 - 1 / (1 + step / 8))
        with torch.no_grad():
            torch._foreach_lerp_(kept, live, 1 - keep)
        if step % 200 == 0 or step == 1:
            shown = {k: round(float(v), 3) for k, v in parts.items()}
            pace = (time.monotonic() - clock) / step * 1e3
            print(f"step {step} {spent:.0%} {shown} pool {pool.seen} {pace:.0f} ms/step", flush=True)


if __name__ == "__main__":
    main()
