"""Elements know no device: pictures in a GPU's memory (played by the CPU) become the same as those in the CPU's."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import picture
from host_gpu import differences, download, host_gpu, upload  # noqa: F401

from millrace.core import Caps, Context, StreamEnd, StreamStart
from millrace.elements.blur import Blur
from millrace.elements.convert import Convert
from millrace.elements.crop import Crop
from millrace.elements.draw import Draw
from millrace.elements.encode import Encode
from millrace.elements.flip import Flip
from millrace.elements.tile import Tile
from millrace.imaging import cuda
from millrace.imaging.cuda_pictures import CudaPictures
from millrace.media import Frame, Label, Object, Packet, box

SIZE = (640, 360)
RULES = [
    {"kind": "zone", "name": "door", "points": [(300, 100), (420, 120), (380, 260)], "text": "3 inside"},
    {"kind": "line", "name": "gate", "points": [(60, 300), (600, 320)], "text": "in 4, out 1"},
]


@pytest.fixture
def gpu(host_gpu, monkeypatch):  # noqa: F811
    monkeypatch.setattr(cuda, "open_imaging", lambda device: CudaPictures(host_gpu))
    return host_gpu


def objects(index: int) -> list[Object]:
    rng = np.random.default_rng(3)
    out = []
    for number in range(8):
        x, y = rng.random(2) * (560, 250) + (index * 3, 8)
        label = ("car", "person", "bicycle")[number % 3]
        found = Object(box([x, y, x + 70, y + 90]), number % 3, label, 0.9, id=number)
        found.mask = rng.random((28, 28)) > 0.5 if number == 1 else None
        found.keypoints = (
            np.column_stack([rng.random((17, 2)) * (70, 90) + (x, y), np.ones(17)]) if number == 2 else None
        )
        found.labels = [Label("colour", "red", 0.8)] if number == 0 else []
        out.append(found)
    return out


def frames(gpu, format: str = "NV12", count: int = 4) -> list[Frame]:
    out = []
    for index in range(count):
        image = picture(format, *SIZE, matrix="bt709")
        image = image if gpu is None else upload(gpu, image)
        extras = {"analytics": [dict(rule) for rule in RULES]}
        out.append(Frame("a", index, index * 40_000_000, image, objects=objects(index), extras=extras))
    return out


def through(element, given: list[Frame]) -> list[Frame]:
    """The frames that come out, each looked at before the next goes in, as pictures of the CPU."""
    element.open(Context("element"))
    caps = Caps("frames", width=SIZE[0], height=SIZE[1], format=given[0].image.format, fps=25, memory="cuda:0")
    element.expect(["a"])
    element.start_stream(StreamStart("a", caps))
    out = [seen(item) for frame in given for item in element.process(frame)]
    element.expect([])
    out += map(seen, element.end_stream("a"))
    element.close()
    return out


def seen(item):
    if isinstance(item, Frame):
        item.extras["memory"] = item.image.memory
        item.image = download(item.image) if item.image.memory != "cpu" else item.image
    return item


ELEMENTS = {
    "draw": lambda: Draw(trails=2, clock="pts", styles={"car": {"fill": 0.2, "thickness": 3}}),
    "heat": lambda: Draw(heatmap=0.5),
    "blur": lambda: Blur(classes=["person"], zones={"door": {"points": [[0, 0], [0.2, 0], [0.2, 1], [0, 1]]}}),
    "blurred zone": lambda: Blur(zones={"door": {"points": [[0.5, 0.1], [0.9, 0.2], [0.7, 0.8]]}}, mode="blur"),
    "crop": lambda: Crop(box=[0.25, 0.1, 0.9, 0.77]),
    "flip": lambda: Flip(direction="clockwise"),
    "convert": lambda: Convert(format="BGR"),
}


class Each:
    """An element that looks at single frames, driven as the engine does."""

    def __init__(self, element):
        self.element = element

    def __getattr__(self, name):
        return getattr(self.element, name)

    def process(self, frame):
        self.element.process_frame(frame)
        yield frame


@pytest.mark.parametrize("format", ["NV12", "P010"])
@pytest.mark.parametrize("name", ELEMENTS)
def test_the_same_pictures(gpu, name, format):
    here = through(Each(ELEMENTS[name]()), frames(None, format))
    there = through(Each(ELEMENTS[name]()), frames(gpu, format))
    assert [frame.extras["memory"] for frame in there] == ["cuda:0"] * 4
    for a, b in zip(here, there, strict=True):
        least = {"draw": 47, "heat": 47, "blurred zone": 43}.get(name, 60)  # a zone hides a pixel more along its edges
        assert differences(b.image, a.image)[1] >= least
        assert np.array_equal([o.box for o in a.objects], [o.box for o in b.objects])


def test_a_wall_of_them(gpu):
    def shown(where):
        tile = Tile(width=480, height=272, labels=True)
        out = [item for item in through(tile, frames(where, "NV12")) if isinstance(item, Frame)]
        return out

    here, there = shown(None), shown(gpu)
    assert len(here) == len(there) == 4
    for a, b in zip(here, there, strict=True):
        assert (a.extras["memory"], b.extras["memory"]) == ("cpu", "cuda:0")
        worst, ratio = differences(b.image, a.image)
        assert worst <= 2 and ratio > 50


def test_drawn_twice_and_the_first_stays(gpu):
    """A picture that two branches look at is copied before it is drawn on; one that is ours is not."""
    (frame,) = frames(gpu, count=1)
    original = download(frame.image)
    draw = Draw()
    draw.open(Context("draw"))
    draw.start_stream(StreamStart("a", Caps("frames", format="NV12", width=SIZE[0], height=SIZE[1])))
    other = frame.fork()
    draw.process_frame(frame)
    assert differences(download(other.image), original)[0] == 0
    first = frame.image
    draw.process_frame(frame)
    assert frame.image is first


@pytest.mark.parametrize("format", ["NV12", "RGB"])
def test_encoding_copies_only_what_it_encodes(gpu, format):
    given = frames(gpu, "NV12")
    small = Each(Crop(box=[0, 0, 0.5, 0.5]))
    small.open(Context("crop"))
    for frame in given:
        list(small.process(frame))
        if format == "RGB":
            frame.image = CudaPictures(gpu).convert(frame.image, "RGB")
    encode = Encode(codec="mpeg4")
    encode.open(Context("encode"))
    encode.start_stream(StreamStart("a", Caps("frames", width=320, height=180, fps=25)))
    before = gpu.driver.copied
    packets = [item for frame in given for item in encode.process(frame)]
    packets += encode.end_stream("a")
    assert len([item for item in packets if isinstance(item, Packet)]) == 4
    assert gpu.driver.copied - before == 4 * 320 * 180 * (3 if format == "RGB" else 1.5)
    assert not any(isinstance(item, StreamEnd) for item in packets)
