"""20 boxes with captions on 1080p, ready for an encoder: on the YUV planes, and by way of a BGR picture.

    python -m benchmarks.drawing

Both sides start from a decoder's I420 picture that must not be written on, and end with an I420 picture. Every
picture has other confidences, so captions are not simply the ones of the picture before. Processor seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np

from millrace.imaging.cpu import open_imaging
from millrace.imaging.palette import colour_of
from millrace.media import Image

WIDTH, HEIGHT, BOXES, PICTURES, ROUNDS = 1920, 1080, 20, 30, 5
Things = list[tuple[list[float], int, str]]  # box, key of the colour, caption


def scene(rng: np.random.Generator) -> Image:
    def plane(height: int, width: int) -> np.ndarray:
        return rng.integers(16, 235, (height, width), dtype=np.uint8)

    planes = [plane(HEIGHT, WIDTH), plane(HEIGHT // 2, WIDTH // 2), plane(HEIGHT // 2, WIDTH // 2)]
    return Image("I420", planes, WIDTH, HEIGHT, read_only=True)


def captions(rng: np.random.Generator) -> Things:
    corners = rng.uniform((0, 30), (WIDTH - 200, HEIGHT - 200), (BOXES, 2))
    sizes = rng.uniform(60, 190, (BOXES, 2))
    return [
        ([x, y, x + w, y + h], key, f"car {key + 1} {rng.uniform(0.3, 1):.2f}")
        for key, ((x, y), (w, h)) in enumerate(zip(corners.tolist(), sizes.tolist(), strict=True))
    ]


def ours(image: Image, things: Things) -> None:
    canvas = open_imaging().canvas(image)
    for box, key, text in things:
        colour = colour_of(key)
        canvas.rectangle(box, colour, 4)
        canvas.text(text, (box[0], box[1] - 27), (255, 255, 255), 27, colour)


def with_bgr(image: Image, things: Things) -> None:
    joined = np.concatenate([plane.reshape(-1) for plane in image.planes]).reshape(HEIGHT * 3 // 2, WIDTH)
    picture = cv2.cvtColor(joined, cv2.COLOR_YUV2BGR_I420)
    for box, key, text in things:
        x1, y1, x2, y2 = map(int, box)
        colour = colour_of(key)[::-1]
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 4)
        (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.8, 2)
        cv2.rectangle(picture, (x1, y1 - height - base), (x1 + width, y1), colour, -1)
        cv2.putText(picture, text, (x1, y1 - base), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2, cv2.LINE_AA)
    cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)


def seconds(draw: Callable[[Image, Things], None], image: Image, work: list[Things]) -> float:
    start = time.process_time()
    for things in work:
        draw(image, things)
    return (time.process_time() - start) / len(work)


def main() -> None:
    cv2.setNumThreads(1)
    rng = np.random.default_rng(1)
    image, work = scene(rng), [captions(rng) for _ in range(PICTURES)]
    rounds = [(seconds(ours, image, work), seconds(with_bgr, image, work)) for _ in range(ROUNDS)]
    mine, theirs = (min(column) for column in zip(*rounds, strict=True))
    print(f"{BOXES} boxes with captions on {WIDTH}x{HEIGHT}, CPU ms a picture, best of {ROUNDS} rounds")
    print(f"on the planes    {mine * 1e3:6.2f}")
    print(f"by way of BGR    {theirs * 1e3:6.2f}")
    print(f"ratio            {theirs / mine:6.2f}")


if __name__ == "__main__":
    main()
