"""crop, flip, convert, split: pictures change, and what is known of them goes along."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from millrace.core import Caps, ConfigError, Context, SettingError, StreamError, StreamStart
from millrace.elements.convert import Convert
from millrace.elements.crop import Crop
from millrace.elements.flip import Flip
from millrace.elements.resize import Resize
from millrace.elements.split import Split
from millrace.media import Batch, Event, Frame, Image, Object, box

CAPS = Caps("frames", width=64, height=48, format="I420", sample_aspect=Fraction(4, 3))


def frame(index: int = 0, stream: str = "a") -> Frame:
    y = np.tile(np.arange(64, dtype=np.uint8) * 3, (48, 1))
    image = Image("I420", [y, np.full((24, 32), 100, np.uint8), np.full((24, 32), 150, np.uint8)], 64, 48)
    found = Object(box([10, 10, 30, 20]), 0, "car", 0.9, id=1)
    part = Object(box([18, 14, 24, 18]), 1, "plate", 0.9, parent=found)
    event = Event("line", stream, 0, "door", extras={"point": (20.0, 10.0)})
    rule = {"kind": "line", "name": "door", "points": [(0.0, 0.0), (64.0, 48.0)], "text": "in 1 out 0"}
    extras = {"analytics": [rule]}
    return Frame(stream, index, 0, image, objects=[found, part], events=[event], extras=extras)


def started(element, caps: Caps = CAPS):
    element.open(Context("tested"))
    return element, element.start_stream(StreamStart("a", caps)).caps


def test_crop_shifts_what_was_found():
    element, caps = started(Crop(box=[0.25, 0.25, 1, 1]))
    assert (caps["width"], caps["height"]) == (48, 36)
    shown = frame()
    shown.objects.append(Object(box([0, 0, 15, 11]), 0, "car", 0.9))
    before = shown.image
    element.process_frame(shown)
    car, plate = shown.objects
    assert car.box.tolist() == [0, 0, 14, 8] and plate.parent is car and plate.box.tolist() == [2, 2, 8, 6]
    assert (shown.image.width, shown.image.height) == (48, 36)
    assert np.array_equal(shown.image.planes[0], before.planes[0][12:, 16:])
    assert shown.events[0].extras["point"] == (4.0, -2.0)
    assert shown.extras["analytics"][0]["points"] == [(-16.0, -12.0), (48.0, 36.0)]


def test_crop_in_pixels_on_even_ones_and_of_the_whole():
    element, caps = started(Crop(box=[11, 7, 31, 27]))
    shown = frame()
    element.process_frame(shown)
    assert (caps["width"], caps["height"]) == (shown.image.width, shown.image.height) == (20, 20)
    whole, same = started(Crop()), frame()
    image = same.image
    whole[0].process_frame(same)
    assert same.image is image and whole[1] == CAPS


def test_crop_by_its_sides():
    element, caps = started(Crop(left=16, top=11, right=4, bottom=2))
    shown = frame()
    before = shown.image
    element.process_frame(shown)
    assert (caps["width"], caps["height"]) == (44, 36)
    assert np.array_equal(shown.image.planes[0], before.planes[0][10:46, 16:60])
    assert shown.objects[0].box.tolist() == [0, 0, 14, 10]
    with pytest.raises(StreamError, match=r"a: left 40, right 30, top 0, bottom 0 leave nothing of 64x48"):
        started(Crop(left=40, right=30))


def test_a_crop_that_is_none_is_an_error():
    for wrong in ([1, 2, 3], [0.5, 0, 0.2, 1], [-1, 0, 5, 5]):
        with pytest.raises(SettingError, match=r"tested: box=.*x1 y1 x2 y2"):
            started(Crop(box=wrong))
    with pytest.raises(StreamError, match=r"a: .*has no pixel of a picture of 64x48"):
        started(Crop(box=[100, 100, 200, 200]))


@pytest.mark.parametrize(
    ("direction", "car"),
    [
        ("horizontal", [34, 10, 54, 20]),
        ("vertical", [10, 28, 30, 38]),
        ("half", [34, 28, 54, 38]),
        ("clockwise", [28, 10, 38, 30]),
        ("counterclockwise", [10, 34, 20, 54]),
        ("transpose", [10, 10, 20, 30]),
        ("transverse", [28, 34, 38, 54]),
    ],
)
def test_flip_moves_what_was_found(direction, car):
    element, caps = started(Flip(direction=direction))
    shown = frame()
    shown.image.planes[0][10:20, 10:30] = 255
    element.process_frame(shown)
    x1, y1, x2, y2 = car
    assert shown.objects[0].box.tolist() == car and shown.objects[1].parent is shown.objects[0]
    rows, columns = np.nonzero(shown.image.planes[0] == 255)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x1, y1, x2, y2)
    quarter = "clockwise" in direction or "trans" in direction
    assert (
        (caps["width"], caps["height"])
        == (shown.image.width, shown.image.height)
        == ((48, 64) if quarter else (64, 48))
    )
    assert caps["sample_aspect"] == (Fraction(3, 4) if quarter else Fraction(4, 3))
    (px, py) = shown.events[0].extras["point"]
    assert x1 <= px <= x2 and y1 <= py <= y2
    assert len(shown.extras["analytics"][0]["points"]) == 2


def test_flipping_twice_is_nothing():
    for one, other in (("clockwise", "counterclockwise"), ("half", "half"), ("transverse", "transverse")):
        shown, plain = frame(), frame()
        started(Flip(direction=one))[0].process_frame(shown)
        started(Flip(direction=other))[0].process_frame(shown)
        assert all(np.array_equal(a, b) for a, b in zip(shown.image.planes, plain.image.planes, strict=True))
        assert shown.objects[0].box.tolist() == [10, 10, 30, 20]


@pytest.mark.parametrize("format", ["I420", "NV12", "RGB", "BGR", "GRAY8"])
def test_convert(format):
    element, caps = started(Convert(format=format))
    shown, plain = frame(), frame()
    image = shown.image
    element.process_frame(shown)
    assert shown.image.format == caps["format"] == format
    if format == "I420":
        assert shown.image is image
    elif format != "GRAY8":
        assert np.abs(shown.image.to_rgb().astype(int) - plain.image.to_rgb()).max() <= 1


def test_resize_stretches_and_scales_what_was_found():
    element, caps = started(Resize(width=128, height=24))
    shown = frame()
    before = shown.image
    element.process_frame(shown)
    assert (caps["width"], caps["height"], caps["sample_aspect"]) == (128, 24, 1)
    assert (shown.image.width, shown.image.height, shown.image.format) == (128, 24, "I420")
    assert shown.objects[0].box.tolist() == [20, 5, 60, 10] and shown.objects[1].parent is shown.objects[0]
    assert shown.events[0].extras["point"] == (40.0, 5.0)
    ramp = np.interp((np.arange(128) + 0.5) / 2 - 0.5, np.arange(64), before.planes[0][0].astype(float))
    assert np.abs(shown.image.planes[0][3].astype(float) - ramp).max() <= 1


@pytest.mark.parametrize(("padding", "at"), [("centre", (16, 0)), ("corner", (0, 0))])
def test_resize_with_bars(padding, at):
    element, _ = started(Resize(width=96, height=48, padding=padding), CAPS.replace(sample_aspect=None))
    shown = frame()
    element.process_frame(shown)
    x, y = at
    luma = shown.image.planes[0]
    assert np.array_equal(luma[y : y + 48, x : x + 64], frame().image.planes[0])
    outside = np.ones(96, bool)
    outside[x : x + 64] = False
    assert (luma[:, outside] == 16).all()
    assert shown.objects[0].box.tolist() == [10 + x, 10 + y, 30 + x, 20 + y]


def test_resize_keeps_the_aspect_of_wide_pixels_and_finds_the_other_side():
    element, caps = started(Resize(width=128))  # 64x48 whose pixels are 4/3 as wide as high: 16:9
    assert (caps["width"], caps["height"]) == (128, 72)
    shown = frame()
    element.process_frame(shown)
    assert (shown.image.width, shown.image.height) == (128, 72)
    same, shown = started(Resize(width=64, height=48))[0], frame()
    before = shown.image
    same.process_frame(shown)
    assert shown.image is before


def test_resize_into_a_box():
    element, _ = started(Resize(width=64, height=48, box=[32, 24, 64, 48], background="#ffffff"))
    shown = frame()
    element.process_frame(shown)
    assert (shown.image.planes[0][:24] == 235).all() and (shown.image.planes[0][:, :32] == 235).all()
    assert shown.objects[0].box.tolist() == [37, 29, 47, 34]


def test_a_resize_that_is_none_is_an_error():
    with pytest.raises(ConfigError, match="resize: give width, height or both"):
        started(Resize())
    with pytest.raises(SettingError, match="background"):
        started(Resize(width=64, background="black"))
    with pytest.raises(StreamError, match=r"a: .*has no pixel"):
        started(Resize(width=64, height=48, box=[70, 0, 90, 10]))


def test_split_takes_batches_apart_in_order():
    frames = [frame(0, "a"), frame(0, "b"), frame(1, "a")]
    element = started(Split())[0]
    out = list(element.process(Batch(frames)))
    assert out == frames and all(each.extras["batched"] for each in out)
    assert list(element.process(frames[0])) == [frames[0]]
