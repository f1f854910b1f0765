from __future__ import annotations

import numpy as np
import pytest

from millrace.core.caps import Caps
from millrace.core.element import Context
from millrace.core.errors import SettingError
from millrace.core.item import StreamStart
from millrace.elements.draw import Draw
from millrace.imaging.palette import colour_of
from millrace.media import Frame, Image, Label, Object, box

SIZE = (160, 120)


def frame(index: int = 0, objects: list[Object] | None = None, stream: str = "a", **extras) -> Frame:
    width, height = SIZE
    planes = [np.full((height, width), 90, np.uint8)] + [np.full((height // 2, width // 2), 128, np.uint8)] * 2
    image = Image("I420", [plane.copy() for plane in planes], width, height)
    return Frame(stream, index, index * 100_000_000, image, objects=objects or [], extras=extras)


def car(x: float = 40, y: float = 50, identity: int | None = None, **more) -> Object:
    return Object(box([x, y, x + 40, y + 30]), 2, "car", 0.87, id=identity, **more)


def draw(*streams: str, **settings) -> Draw:
    element = Draw(**settings)
    element.open(Context("draw"))
    for stream in streams or ("a",):
        element.start_stream(StreamStart(stream, Caps("frames", width=160, height=120, format="I420")))
    return element


def changed(shown: Frame) -> np.ndarray:
    return shown.image.planes[0] != 90


def test_boxes_in_the_colour_of_their_class():
    shown = frame(objects=[car()])
    draw(labels=False, confidence=False, ids=False, trails=0).process_frame(shown)
    pixels = shown.image.to_rgb()
    assert np.abs(pixels[50, 60].astype(int) - colour_of(2)).max() <= 3
    assert not changed(shown)[55:75, 45:75].any() and not changed(shown)[:45].any()


def test_captions_stand_above_or_inside_at_the_top():
    above, inside = frame(objects=[car()]), frame(objects=[car(y=2)])
    draw(boxes=False).process_frame(above)
    draw(boxes=False).process_frame(inside)
    rows = np.nonzero(changed(above).any(axis=1))[0]
    assert rows.min() >= 28 and rows.max() < 52
    rows = np.nonzero(changed(inside).any(axis=1))[0]
    assert rows.min() <= 4 and rows.max() < 24


def test_captions_say_what_is_wanted():
    style = draw()._style(frame())
    found = car(identity=12, labels=[Label("colour", "red", 0.9)], text="B-MR 42")
    assert style.caption(found) == "car 12 0.87 red B-MR 42"
    assert draw(confidence=False, ids=False)._style(frame()).caption(car(identity=3)) == "car"
    assert draw(labels=False, confidence=False)._style(frame()).caption(car()) == ""


def test_colours_given_for_a_class_and_by_identity():
    shown = frame(objects=[car()])
    draw(colours={"car": "#1020f0"}, trails=0).process_frame(shown)
    assert np.abs(shown.image.to_rgb()[79, 60].astype(int) - (0x10, 0x20, 0xF0)).max() <= 4
    style = draw(colour_by="identity")._style(frame())
    assert style.colour(car(identity=7)) == colour_of(7) and style.colour(car()) == colour_of(2)
    with pytest.raises(SettingError, match=r"draw: colours=.*#ff8000"):
        draw(colours={"car": "red"})


def test_trails_follow_the_feet_and_grow_old():
    element = draw(boxes=False, labels=False, confidence=False, ids=False, trails=1.0)
    for index in range(8):
        shown = frame(index, [car(x=10 + 10 * index, identity=4)])
        element.process_frame(shown)
    assert changed(shown)[78:82, 32:98].any(axis=0).all()
    later = frame(40, [car(x=90, identity=4)])
    element.process_frame(later)
    assert not changed(later).any()  # the old way is more than a second ago
    assert len(element.paths["a"].paths[4]) == 1


def test_trails_are_kept_by_stream_and_forgotten_with_it():
    element = draw("a", "b")
    for index in range(400):
        element.process_frame(frame(0, [car(identity=index)]))
        element.process_frame(frame(index, [car(identity=1)], stream="b"))
    assert len(element.paths["b"].paths[1]) < 40
    assert list(element.end_stream("a")) == [] and list(element.paths) == ["b"]
    element.start_stream(StreamStart("b", Caps("frames"), epoch=1, discontinuity=True))
    assert not element.paths["b"].paths


def test_lines_and_zones_with_counts():
    line = {"kind": "line", "name": "door", "points": [[10, 60], [150, 60]], "text": "in 3 out 1"}
    zone = {"kind": "zone", "name": "dock", "points": [[20, 70], [80, 70], [80, 110], [20, 110]], "text": "4"}
    shown = frame(analytics=[line, zone])
    draw().process_frame(shown)
    marks = changed(shown)
    assert marks[59:61, 14:24].all() and marks[85:105, 30:70].all() and not marks[85:105, 100:150].any()
    assert marks[45:56, 80:120].any()  # the count over the line's middle
    plain = frame(analytics=[line, zone])
    draw(rules=False).process_frame(plain)
    assert not changed(plain).any()


def test_a_shared_picture_is_not_changed():
    first = frame(objects=[car(identity=1)])
    other = first.fork()
    draw().process_frame(first)
    assert changed(first).any() and (other.image.planes[0] == 90).all()


def test_nothing_to_draw_copies_nothing():
    empty = frame()
    image = empty.image.share()
    draw().process_frame(empty)
    assert empty.image is image


def test_ten_bits_leave_as_eight_always():
    element = Draw()
    element.open(Context("draw"))
    start = element.start_stream(StreamStart("a", Caps("frames", width=160, height=120, format="P010")))
    assert start.caps["format"] == "NV12"
    planes = [np.full((120, 160), 90 << 8, np.uint16), np.full((60, 80, 2), 128 << 8, np.uint16)]
    for objects in ([], [car()]):
        shown = Frame("a", 0, 0, Image("P010", planes, 160, 120, read_only=True), objects=objects)
        element.process_frame(shown)
        assert shown.image.format == "NV12"


def test_odd_boxes_and_texts_do_no_harm():
    nan, inf = float("nan"), float("inf")
    odd = [box([nan, 0, 5, 5]), box([-inf, 0, inf, 5]), box([300, 300, 400, 400]), box([50, 50, 20, 20])]
    shown = frame(objects=[Object(b, 9, "\x00\ud800 größer 車", 0.5, id=n) for n, b in enumerate(odd)])
    element = draw()
    for _ in range(2):
        element.process_frame(shown)
    assert shown.image.to_rgb().shape == (120, 160, 3)


def test_sizes_follow_the_picture():
    small, large = draw()._style(frame()), Draw(thickness=3, text_size=40)
    large.open(Context("draw"))
    assert (small.thickness, small.text_size) == (2, 16)
    assert (large._style(frame()).thickness, large._style(frame()).text_size) == (3, 40)
