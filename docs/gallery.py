"""Every way of drawing, on a street made in code, tiled: python docs/gallery.py FOLDER → gallery.png, gallery.jpg.

Each panel goes through the elements that a pipeline would use; `tile` puts the panels together.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from millrace.core import Caps, Context, Element, StreamStart
from millrace.elements.blur import Blur
from millrace.elements.crop import Crop
from millrace.elements.draw import Draw
from millrace.elements.flip import Flip
from millrace.elements.tile import Tile
from millrace.imaging.cpu import open_imaging
from millrace.media import Frame, Image, Label, Object, box
from millrace.testing.picture import write_png
from millrace.testing.scene import Scene

AT = 60  # the frame of the scene that is shown
SIZE = (480, 270)
CAPS = Caps("frames", width=SIZE[0], height=SIZE[1], format="I420", fps=None)
ORANGE, BLUE, WHITE = (255, 140, 0), (40, 120, 255), (255, 255, 255)
POSE = (  # 17 points of a walker in a box of 1 x 1
    (0.5, 0.07), (0.54, 0.05), (0.47, 0.05), (0.59, 0.07), (0.43, 0.07), (0.68, 0.2), (0.33, 0.2), (0.82, 0.36),
    (0.2, 0.35), (0.92, 0.5), (0.1, 0.48), (0.6, 0.52), (0.42, 0.52), (0.72, 0.74), (0.4, 0.76), (0.85, 0.95), (0.3, 0.97),
)  # fmt: skip


class Panels:
    def __init__(self) -> None:
        self.scene = Scene(4, *SIZE, busy=1.5, crowd=5)

    def frame(self, index: int = AT, **more: Any) -> Frame:
        """A frame of the street with its true objects."""
        rgb, truth = self.scene.frame(index)
        image = open_imaging().convert(Image("RGB", [rgb], *SIZE), "I420")
        objects = [Object(box(o.box), o.class_id, o.label, 0.9, id=o.id) for o in truth]
        return Frame("a", index, index * 40_000_000, image, objects=objects, **more)

    def boxes(self) -> Frame:
        frame = self.frame()
        for found in frame.objects[:1]:
            found.labels = [Label("colour", "rot", 0.9)]
        return through(Draw(trails=0), frame)

    def styles(self) -> Frame:
        styles = {
            "person": {"colour": "#ff8800", "fill": 0.35},
            "car": {"thickness": 4, "confidence": False, "ids": False},
        }
        return through(Draw(trails=0, styles={"*": {"labels": False, "confidence": False}, **styles}), self.frame())

    def turned(self) -> Frame:
        frame = self.frame()
        for number, found in enumerate(frame.objects):
            found.angle = 0.3 + number * 0.4
        return through(Draw(trails=0, ids=False, confidence=False, styles={"*": {"fill": 0.2}}), frame)

    def masks(self) -> Frame:
        frame = self.frame()
        y, x = np.mgrid[-1:1:64j, -1:1:64j]
        for number, found in enumerate(frame.objects):
            round_one = np.clip((1.1 - np.hypot(x, y)) * 6, 0, 1)
            found.mask = round_one if number % 2 else round_one > 0.5
        return through(Draw(trails=0, boxes=False, ids=False, confidence=False), frame)

    def skeletons(self) -> Frame:
        frame = self.frame()
        frame.objects = [Object(box(b), 0, "person", 0.9) for b in ([60, 40, 170, 250], [230, 60, 320, 255])]
        for found in frame.objects:
            x1, y1, x2, y2 = (float(v) for v in found.box)
            found.keypoints = np.array([[x1 + u * (x2 - x1), y1 + v * (y2 - y1), 0.9] for u, v in POSE], np.float32)
        frame.objects[1].keypoints[[9, 10], 2] = 0.1
        return through(Draw(boxes=False, labels=False, confidence=False), frame)

    def trails(self) -> Frame:
        return through(Draw(labels=False, confidence=False), *(self.frame(i) for i in range(AT - 50, AT + 1)))

    def rules(self) -> Frame:
        line = {"kind": "line", "name": "door", "points": list(self.scene.line), "text": "in 3 out 1"}
        zone = {"kind": "zone", "name": "dock", "points": list(self.scene.zone), "text": "2"}
        frame = self.frame(extras={"analytics": [zone, line]})
        return through(Draw(trails=0, labels=False, confidence=False, ids=False), frame)

    def heat(self) -> Frame:
        draw = Draw(trails=0, boxes=False, labels=False, confidence=False, ids=False, heatmap=0.7)
        return through(draw, *(self.frame(i) for i in range(0, AT + 1, 2)))

    def clock(self) -> Frame:
        frame = self.frame(wall=1_795_000_000_123_000_000)
        frame.objects = [
            Object(box(b), k, "größer 車 am Rand", 0.9, id=k)
            for k, b in enumerate(([-30, 100, 60, 200], [420, -20, 500, 60], [440, 180, 500, 300], [200, 2, 260, 60]))
        ]
        return through(Draw(clock="wall"), frame)

    def pixelate(self) -> Frame:
        return through(Blur(), self.frame())

    def blur(self) -> Frame:
        return through(Blur(mode="blur", strength=1.5), self.frame())

    def zone(self) -> Frame:
        points = [[0.05, 0.2], [0.45, 0.05], [0.6, 0.6], [0.3, 0.95]]
        return through(Blur(zones={"yard": {"points": points}}), self.frame())

    def canvas(self) -> Frame:
        frame = self.frame()
        canvas = open_imaging().canvas(frame.image)
        canvas.fill((20, 20, 110, 90), BLUE)
        canvas.fill((60, 50, 150, 120), ORANGE, 0.6)
        canvas.rectangle((170, 20, 260, 90), WHITE, 4)
        canvas.circle((320, 60), 38, ORANGE, 6)
        canvas.circle((420, 60), 38, BLUE, 0)
        for turn in range(8):
            angle = turn * math.pi / 4
            at = (90 + 60 * math.cos(angle), 195 + 60 * math.sin(angle))
            canvas.arrow((90 + 12 * math.cos(angle), 195 + 12 * math.sin(angle)), at, WHITE, 1 + turn // 2)
        canvas.polyline([(180, 250), (200, 140), (230, 220), (260, 130)], BLUE, 3)
        canvas.polygon([(280, 140), (380, 130), (350, 250), (300, 220)], ORANGE, 0.5)
        canvas.text("Ωß 日本 text", (370, 140), WHITE, 22)
        canvas.text("with a ground", (370, 180), WHITE, 18, (0, 90, 60))
        frame.image = canvas.image
        return frame

    def flip(self) -> Frame:
        return through(Draw(trails=0), through(Flip(direction="horizontal"), self.frame()))

    def turn(self) -> Frame:
        return through(Draw(trails=0), through(Flip(direction="clockwise"), self.frame()))

    def crop(self) -> Frame:
        return through(Draw(trails=0), through(Crop(box=[0.25, 0.3, 0.75, 0.8]), self.frame()))


def through(element: Any, *frames: Frame) -> Frame:
    """The last frame after an element has seen them all."""
    element.open(Context(type(element).__name__.lower()))
    element.start_stream(StreamStart("a", CAPS))
    for frame in frames:
        element.process_frame(frame)
    return frames[-1]


def tiled(panels: Iterable[tuple[str, Frame]], **settings: Any) -> Frame:
    tile: Element = Tile(**settings)
    tile.open(Context("tile"))
    panels = list(panels)
    tile.expect([name for name, _ in panels])
    out: list[Any] = []
    for name, frame in panels:
        tile.start_stream(StreamStart(name, CAPS))
        frame.stream, frame.objects, frame.extras = name, [], {}
    for name, frame in panels:
        out += tile.process(frame)
    for name, _ in panels:
        out += tile.end_stream(name)
    return next(item for item in out if isinstance(item, Frame))


def main() -> None:
    import cv2

    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    panels = Panels()
    ways: dict[str, Callable[[], Frame]] = {
        "boxes, captions": panels.boxes, "styles by class": panels.styles, "turned boxes": panels.turned,
        "masks": panels.masks, "skeletons": panels.skeletons, "trails": panels.trails, "lines, zones": panels.rules,
        "heatmap": panels.heat, "clock, edges": panels.clock, "pixelate": panels.pixelate, "blur": panels.blur,
        "a zone hidden": panels.zone, "canvas": panels.canvas, "flip": panels.flip, "flip: clockwise": panels.turn,
        "crop": panels.crop,
    }  # fmt: skip
    wall = tiled(((name, make()) for name, make in ways.items()), width=1600, height=900)
    rgb = wall.image.to_rgb()
    write_png(folder / "gallery.png", rgb)
    small = cv2.resize(rgb, (1280, 720), interpolation=cv2.INTER_AREA)
    for quality in range(80, 20, -5):
        _, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        if data.nbytes <= 100_000:
            break
    (folder / "gallery.jpg").write_bytes(data.tobytes())


if __name__ == "__main__":
    main()
