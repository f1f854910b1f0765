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


def plain(**settings) -> Draw:
    """Draws nothing but what a test asks for."""
    off = {"boxes": False, "labels": False, "confidence": False, "ids": False, "trails": 0}
    return draw(**{**off, **settings})


def test_a_wrong_font_fails_at_open(tmp_path):
    (tmp_path / "no.ttf").write_text("not a font")
    for path, why in (("/nowhere/x.ttf", "cannot be read"), (str(tmp_path / "no.ttf"), "no TrueType")):
        with pytest.raises(SettingError, match=f"draw: font=.*{why}.*give sans"):
            draw(font=path)


def test_styles_of_a_class_and_of_all_others():
    styles = {
        "*": {"boxes": False, "labels": False},
        "car": {"colour": "#1020f0", "thickness": 6, "fill": 1.0, "boxes": True},
    }
    element = draw(styles=styles, trails=0, ids=False, confidence=False)
    shown = frame(objects=[car(), Object(box([100, 50, 140, 90]), 3, "van", 0.9)])
    element.process_frame(shown)
    pixels = shown.image.to_rgb().astype(int)
    assert np.abs(pixels[65, 60] - (0x10, 0x20, 0xF0)).max() <= 4  # filled
    assert not changed(shown)[:, 96:].any() and not changed(shown)[:44].any()
    style = element._style(frame())
    assert style.of("car").thickness == 6 and style.of("van").thickness == 2
    assert style.of("car").colour(car()) == (0x10, 0x20, 0xF0) and style.of("van").colour(car()) == colour_of(2)


@pytest.mark.parametrize(
    ("styles", "says"),
    [
        ({"car": {"color": "#ffffff"}}, "car.color is not known"),
        ({"car": {"colour": "red"}}, "#ff8000"),
        ({"car": {"thickness": 0}}, "pixels, 1 or more"),
        ({"car": {"fill": 2}}, "car.fill=2: it is 0 to 1"),
        ({"car": {"boxes": 1}}, "true or false"),
        ({"car": 3}, "the style of car is a table"),
    ],
)
def test_a_wrong_style_is_an_error(styles, says):
    with pytest.raises(SettingError, match=rf"draw: styles=.*{says}"):
        draw(styles=styles)


def test_masks_of_the_box_and_of_the_picture_look_alike():
    small = np.zeros((10, 10), bool)
    small[:, :5] = True
    full = np.zeros((120, 160), np.float32)
    full[50:80, 40:60] = 1
    views = []
    for mask in (small, full):
        shown = frame(objects=[car(mask=mask)])
        plain().process_frame(shown)
        marks = changed(shown)
        assert marks[52:78, 42:56].all() and not marks[:, 64:].any() and not marks[:48].any()
        views.append(shown.image.planes[0].astype(int))
    assert (np.abs(views[0] - views[1]) > 1).mean() < 0.01
    hidden = frame(objects=[car(mask=small)])
    plain(masks=False).process_frame(hidden)
    assert not changed(hidden).any()


def person(keypoints: int, label: str = "person") -> Object:
    points = [[20 + 6 * i, 30 + (i % 4) * 15, 0.9 if i != 2 else 0.1] for i in range(keypoints)]
    return Object(box([10, 20, 150, 110]), 0, label, 0.9, keypoints=np.array(points, np.float32))


def test_keypoints_with_the_skeleton_of_coco():
    shown = frame(objects=[person(17)])
    plain().process_frame(shown)
    marks = changed(shown)
    x, y, _ = shown.objects[0].keypoints.astype(int).T
    assert all(marks[y[i], x[i]] for i in range(17) if i != 2)
    middle = ((x[5] + x[7]) // 2, (y[5] + y[7]) // 2)  # shoulder to elbow
    assert marks[middle[1], middle[0]]
    off = frame(objects=[person(17)])
    plain(keypoints=False).process_frame(off)
    assert not changed(off).any()


def test_skeletons_by_configuration():
    with_edge, without = frame(objects=[person(4, "hand")]), frame(objects=[person(4, "hand")])
    plain(skeletons={"hand": [[0, 3], [0, 99]]}, keypoint_confidence=0).process_frame(with_edge)
    plain().process_frame(without)
    x, y, _ = with_edge.objects[0].keypoints.astype(int).T
    at = (y[0] + y[3]) // 2, (x[0] + x[3]) // 2
    assert changed(with_edge)[at] and not changed(without)[at]
    assert changed(without)[y[1], x[1]] and not changed(without)[y[2], x[2]]  # the third is not sure enough
    with pytest.raises(SettingError, match=r"draw: skeletons=.*pairs of keypoint numbers"):
        draw(skeletons={"hand": [[0, 1, 2]]})


def test_turned_boxes_have_slanted_sides():
    shown = frame(objects=[Object(box([40, 50, 120, 70]), 0, "car", 0.9, angle=np.pi / 2)])
    plain(boxes=True).process_frame(shown)
    rows, columns = np.nonzero(changed(shown))
    assert abs(rows.min() - 20) <= 3 and abs(rows.max() - 100) <= 3  # a quarter turn: high and narrow
    assert abs(columns.min() - 70) <= 3 and abs(columns.max() - 90) <= 3
    tilted = frame(objects=[Object(box([40, 50, 120, 70]), 0, "car", 0.9, angle=0.3)])
    plain(boxes=True).process_frame(tilted)
    marks = changed(tilted)
    right = np.nonzero(marks[:, 110:118].any(axis=1))[0].mean()
    left = np.nonzero(marks[:, 42:50].any(axis=1))[0].mean()
    assert right > left + 10  # clockwise as seen: the right end sinks


def test_captions_stay_in_the_picture():
    for at in ([150, 100, 170, 118], [-30, -8, 20, 10], [120, -20, 160, 30], [60, 116, 90, 140]):
        shown = frame(objects=[Object(box(at), 2, "person on a bicycle", 0.87)])
        plain(labels=True).process_frame(shown)
        marks = changed(shown)
        rows, columns = np.nonzero(marks)
        assert rows.max() - rows.min() + 1 == 16 and columns.max() - columns.min() > 120


def test_the_clock_says_stream_time_or_wall_time():
    from millrace.imaging.overlay import clock_text

    timed = frame(index=37_234)
    timed.wall = 1_795_000_000_123_456_789
    assert clock_text(timed, "pts") == "1:02:03.400"
    assert clock_text(timed, "wall") == "2026-11-18 11:06:40.123 UTC"
    timed.wall = None
    assert clock_text(timed, "wall") == "--:--:--"
    plain(clock="pts").process_frame(timed)
    marks = changed(timed)
    assert marks[96:116, 8:60].any() and not marks[:90].any()


def test_the_heatmap_grows_fades_and_goes_with_its_stream():
    element = plain(heatmap=0.8, heatmap_memory=1.0)
    for index in range(10):
        shown = frame(index, [car(x=40, y=50)])
        element.process_frame(shown)
    marks = changed(shown)
    assert marks[80, 60] and not marks[:, 120:].any() and not marks[:40].any()
    warm = shown.image.to_rgb()[80, 60].astype(int)
    assert warm[0] > 150 and warm[2] < 110  # dense is red
    heat = element.heats["a"]
    before = heat._room.max()
    element.process_frame(frame(29, []))
    assert abs(heat._room.max() / before - 0.25) < 0.01  # two seconds, two halves
    list(element.end_stream("a"))
    assert not element.heats


def test_a_live_change_of_style_is_seen():
    element = plain()
    first, second = frame(objects=[car()]), frame(objects=[car()])
    element.process_frame(first)
    element.apply(element.prepare({"boxes": True, "thickness": 8}))
    element.process_frame(second)
    assert not changed(first).any() and changed(second)[47:53, 60].all()


def test_the_same_identity_in_two_tiles_has_two_trails():
    element = draw(boxes=False, labels=False, confidence=False, ids=False, trails=5)
    for index in range(4):
        things = [car(x=10 + 4 * index, identity=1, extras={"stream": "one"})]
        things.append(car(x=110 + 4 * index, identity=1, extras={"stream": "two"}))
        shown = frame(index, things)
        element.process_frame(shown)
    assert changed(shown)[:, 30:44].any() and not changed(shown)[:, 60:110].any()


def test_rules_with_colours_directions_and_counts_of_classes():
    plain = {"labels": False, "ids": False, "confidence": False}
    line = {"kind": "line", "name": "", "points": [(20, 60), (140, 60)], "direction": [(80, 30), (80, 90)]}
    red = frame(analytics=[{**line, "colour": (255, 0, 0)}])
    draw(**plain).process_frame(red)
    pixels = red.image.to_rgb()
    assert pixels[60, 30, 0] > 200 and pixels[60, 30, 2] < 60
    assert changed(red)[40, 78:83].any()  # its own direction, not the arrow of "in"
    hidden = frame(analytics=[{**line, "hidden": True}])
    draw(**plain).process_frame(hidden)
    assert not changed(hidden).any()
    way = frame(analytics=[{"kind": "direction", "name": "", "points": [(20, 60), (140, 60)], "colour": "#00ff00"}])
    draw(**plain).process_frame(way)
    assert way.image.to_rgb()[60, 40, 1] > 200
    counts = frame(analytics=[{"kind": "count", "name": "objects", "points": [(5.0, 5.0)], "text": "car=2"}])
    draw(**plain).process_frame(counts)
    assert changed(counts)[5:22, 5:40].any() and not changed(counts)[40:].any()


def test_captions_say_what_analytics_found():
    style = draw()._style(frame())
    found = car(identity=12)
    found.extras["analytics"] = {"speed": 12.34, "position": [1, 2], "wrong_way": True, "zones": ["dock"]}
    assert style.caption(found) == "car 12 0.87 12.3 m/s wrong way"
    found.extras["analytics"] = {"speed": 300.0}  # pixels per second: nobody wants to read them
    assert style.caption(found) == "car 12 0.87"


def test_the_heatmap_of_analyze_goes_before_our_own():
    class Heat:
        density = np.zeros((2, 2), np.float32)

    Heat.density[1, 1] = 1.0
    shown = frame(objects=[car(x=10, y=10)], heatmap=Heat())
    draw(boxes=False, labels=False, ids=False, confidence=False, trails=0, heatmap=0.8).process_frame(shown)
    assert changed(shown)[90:, 120:].any()
    assert not changed(shown)[:30, :40].any()
