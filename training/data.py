"""Pictures to learn from: scenes of strong variation, rendered on the fly by worker processes."""

from __future__ import annotations

import multiprocessing as mp
import queue
from typing import Any

import cv2
import numpy as np

from millrace.testing.scene import Scene

FIRST_SEED = 1_000_000  # seeds below are never trained on
MOST = 72  # objects kept of one picture
HIDDEN, HARD = 0.05, 0.3  # visible share: below HIDDEN not there, below HARD neither wanted nor punished
SMALL = 8.0  # pixels of the input high: likewise below


def variation(seed: int, width: int | None = None) -> tuple[Scene, np.random.Generator]:
    """A scene of random size, hour, view, traffic and crowd."""
    rng = np.random.default_rng([seed, 5])
    wide = width or int(rng.choice([640, 640, 640, 640, 800, 960, 1280]))
    crowd = int(rng.choice([0, 0, 0, 8, 15, 25])) if rng.random() < 0.6 else 0
    high = round(wide * rng.choice([9 / 16, 9 / 16, 9 / 16, 3 / 4]) / 2) * 2
    dusk, busy = bool(rng.random() < 0.35), float(rng.uniform(0.5, 1.8))
    noise = float(rng.uniform(0, 6)) if rng.random() < 0.6 else None
    return Scene(seed, wide, high, 25, 500, dusk=dusk, crowd=crowd, busy=busy, noise=noise), rng


def damage(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What cameras and codecs do: blur, block artefacts, coarse colour."""
    if rng.random() < 0.2:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.4, 1.1)))
    if rng.random() < 0.75:
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(22, 92))])
        picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if rng.random() < 0.3:
        h, w = picture.shape[:2]
        yuv = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV)
        small = cv2.resize(yuv[..., 1:], (w // 2, h // 2), interpolation=cv2.INTER_AREA)
        yuv[..., 1:] = cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)
        picture = cv2.cvtColor(yuv, cv2.COLOR_YUV2RGB)
    return picture


def letterbox(picture: np.ndarray, width: int, height: int) -> tuple[np.ndarray, float, int, int]:
    """The picture in the middle of a grey one, and its ratio and offset."""
    h, w = picture.shape[:2]
    ratio = min(width / w, height / h)
    inner_w, inner_h = round(w * ratio), round(h * ratio)
    out = np.full((height, width, 3), 114, np.uint8)
    left, top = (width - inner_w) // 2, (height - inner_h) // 2
    resized = (
        picture
        if (inner_w, inner_h) == (w, h)
        else cv2.resize(picture, (inner_w, inner_h), interpolation=cv2.INTER_LINEAR)
    )
    out[top : top + inner_h, left : left + inner_w] = resized
    return out, ratio, left, top


def example(
    scene: Scene, index: int, rng: np.random.Generator, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """One picture [h, w, 3] uint8 and its rows [MOST, 6]: x1 y1 x2 y2 class kind (1 wanted, 0.5 ignored, 0 empty)."""
    picture, objects = scene.frame(index)
    picture, ratio, left, top = letterbox(damage(picture, rng), width, height)
    rows = np.zeros((MOST, 6), np.float32)
    kept = [o for o in objects if o.visible >= HIDDEN][:MOST]
    for row, o in zip(rows, kept, strict=False):
        row[:4] = np.array(o.box) * ratio + (left, top, left, top)
        wanted = o.visible >= HARD and row[3] - row[1] >= SMALL and row[2] - row[0] >= 2.5
        row[4:] = o.class_id, 1.0 if wanted else 0.5
    return picture, rows


def render(
    worker: int, workers: int, out: Any, width: int, height: int, per_scene: int, source_width: int | None
) -> None:
    """A worker: scenes without end, each giving `per_scene` pictures of spread moments."""
    cv2.setNumThreads(1)
    seed = FIRST_SEED + worker
    while True:
        scene, rng = variation(seed, source_width)
        moments = rng.choice(scene.frame_count, per_scene, replace=False)
        pairs = [example(scene, int(k), rng, width, height) for k in moments]
        out.put((np.stack([p for p, _ in pairs]), np.stack([r for _, r in pairs])))
        seed += workers


class Feed:
    """Worker processes and a queue of (pictures [k, h, w, 3] uint8, rows [k, MOST, 6])."""

    def __init__(
        self, workers: int, width: int, height: int, per_scene: int = 16, source_width: int | None = None
    ) -> None:
        context = mp.get_context("spawn")
        self.queue = context.Queue(maxsize=4 * workers)
        self.processes = [
            context.Process(
                target=render, args=(k, workers, self.queue, width, height, per_scene, source_width), daemon=True
            )
            for k in range(workers)
        ]
        for process in self.processes:
            process.start()

    def take(self, wait: float = 0.0) -> tuple[np.ndarray, np.ndarray] | None:
        """The next pictures, None when there are none within `wait` seconds."""
        try:
            return self.queue.get(timeout=wait) if wait else self.queue.get_nowait()
        except queue.Empty:
            return None

    def close(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.join(10)
        self.queue.cancel_join_thread()
