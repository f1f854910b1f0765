"""The picture of docs/dewarping.md: python docs/dewarping.py FOLDER → dewarping.png, dewarping.jpg.

A street made in code is bent as a fisheye bends it, and straightened in several ways.
"""

from __future__ import annotations

import sys
from pathlib import Path

from millrace.core import Caps, Context, StreamStart
from millrace.elements.dewarp import Dewarp
from millrace.elements.tile import Tile
from millrace.imaging.cpu import open_imaging
from millrace.media import Frame, Image
from millrace.outputs.images import write_picture
from millrace.testing.scene import Scene

WIDE = (1280, 720)
PANEL = (480, 270)
SIDE = 720  # of the fisheye's picture
FOV = 150.0
VIEWS = ("perspective", "cylinder", "panini", "vertical-cylinder", "stereographic")


def bent() -> Frame:
    """The street through a fisheye of 150 degrees."""
    rgb, _ = Scene(4, *WIDE, busy=1.5, crowd=5).frame(60)
    image = open_imaging().convert(Image("RGB", [rgb], *WIDE), "I420")
    flat = {"projection": "perspective-fisheye", "width": SIDE, "height": SIDE, "focal": 300.0, "border": True}
    return through(
        {**flat, "out_focal": SIDE / 2.618, "out_centre": [SIDE / 2, SIDE / 2]}, Frame("street", 0, 0, image)
    )


def through(surface: dict[str, object], frame: Frame, name: str = "street") -> Frame:
    element = Dewarp(surfaces=[surface])
    element.open(Context("dewarp"))
    element.start_stream(StreamStart(frame.stream, Caps("frames", width=WIDE[0], height=WIDE[1], format="I420")))
    (out,) = element.process(frame)
    out.stream = name
    return out


def main(folder: Path) -> None:
    lens = bent()
    panels = [lens]
    for view in VIEWS:
        angle = 55 if view in ("vertical-cylinder", "stereographic") else 40
        surface = {"projection": f"fisheye-{view}", "width": PANEL[0], "height": PANEL[1], "fov": FOV, "border": True,
                   "top": angle, "bottom": -angle, "control": 1.0}  # fmt: skip
        panels.append(through(surface, Frame(lens.stream, 0, 0, lens.image), view))
    lens.stream = "fisheye"
    tile = Tile(columns=3, width=3 * PANEL[0], height=2 * PANEL[1])
    tile.open(Context("tile"))
    tile.expect([panel.stream for panel in panels])
    for panel in panels:
        tile.start_stream(StreamStart(panel.stream, Caps("frames", width=PANEL[0], height=PANEL[1], format="I420")))
    shown = [item for panel in panels for item in tile.process(panel)]
    shown += [item for panel in panels for item in tile.end_stream(panel.stream)]
    (wall,) = [item for item in shown if isinstance(item, Frame)]
    pixels = open_imaging().convert(wall.image, "BGR").planes[0]
    for name in ("dewarping.png", "dewarping.jpg"):
        write_picture(str(folder / name), pixels, 85)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
