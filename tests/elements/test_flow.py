"""flow, flowview, segview, dsexample: what is found of pixels, and its pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest

import millrace
from millrace.core import Caps, ConfigError, Context, SettingError, StreamStart
from millrace.elements.dsexample import Dsexample
from millrace.elements.flip import Flip
from millrace.elements.flow import Flow
from millrace.elements.flowview import Flowview
from millrace.elements.segview import Segview
from millrace.imaging.palette import colour_of
from millrace.media import Frame, Image, Object, Reading, box

CAPS = Caps("frames", width=128, height=96, format="I420")
NOISE = np.random.default_rng(3).integers(0, 256, (24, 32), dtype=np.uint8).repeat(8, 0).repeat(8, 1)


def frame(index: int, shift: int = 0, stream: str = "a") -> Frame:
    y = np.ascontiguousarray(NOISE[40:136, 60 - shift : 188 - shift])
    image = Image("I420", [y, *[np.full((48, 64), 128, np.uint8)] * 2], 128, 96)
    return Frame(stream, index, index * 40_000_000, image)


def started(element, caps: Caps = CAPS):
    element.open(Context("tested"))
    return element, element.start_stream(StreamStart("a", caps)).caps


def test_flow_is_a_reading_of_every_frame_but_the_first():
    element, _ = started(Flow(preset="slow"))
    shown = [frame(0), frame(1, 3), frame(2, 6)]
    for each in shown:
        element.process_frame(each)
    assert shown[0].readings == []
    for each in shown[1:]:
        (reading,) = each.readings
        assert reading.stage == "flow" and reading.flow.shape == (24, 32, 2)
        assert np.abs(np.median(reading.flow, axis=(0, 1)) - (3, 0)).max() <= 0.5
    element.start_stream(StreamStart("a", CAPS, epoch=1, discontinuity=True))
    after = frame(3, 20)
    element.process_frame(after)
    assert after.readings == []
    list(element.end_stream("a"))
    assert not element.before


def test_flow_turns_with_the_picture():
    turned, _ = started(Flip(direction="clockwise"))
    moved = frame(0)
    moved.readings.append(Reading(flow=np.full((24, 32, 2), (3.0, 1.0), np.float32)))
    turned.process_frame(moved)
    assert moved.readings[0].flow.shape == (32, 24, 2) and np.allclose(moved.readings[0].flow[0, 0], (-1, 3))


def test_flowview_shows_it():
    element, _ = started(Flowview())
    rests = frame(0)
    element.process_frame(rests)
    assert rests.image.to_rgb().max() <= 1
    moves = frame(1)
    flow = np.zeros((24, 32, 2), np.float32)
    flow[:, 16:] = (5, 0)
    moves.readings.append(Reading(flow=flow))
    element.process_frame(moves)
    rgb = moves.image.to_rgb().astype(int)
    assert np.abs(rgb[48, 110] - (255, 0, 0)).max() <= 4 and rgb[48, 10].max() <= 4
    half, _ = started(Flowview(opacity=0.5))
    shown = frame(0)
    half.process_frame(shown)
    assert np.abs(shown.image.planes[0].astype(int) - (frame(0).image.planes[0].astype(int) + 16) // 2).max() <= 1


def test_flow_in_json(tmp_path):
    millrace.open("pattern:?width=128&height=96&frames=3").add(Flow()).add(Flowview()).json(tmp_path / "a.jsonl").run()
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [len(line.get("readings", ())) for line in lines] == [0, 1, 1]
    right, down, longest = lines[2]["readings"][0]["flow"]
    assert longest >= 0.5 and abs(right) <= longest and abs(down) <= longest


def classes(names=None) -> Reading:
    numbers = np.zeros((6, 8), np.int32)
    numbers[:, 4:] = 1
    numbers[3:, 4:] = 2
    numbers[0, 0] = -1
    return Reading(class_map=numbers, names=names or {0: "background", 1: "road", 2: "car"})


def test_segview_instead_of_the_frame():
    element, caps = started(Segview(width=64, height=48, colours={"car": "#00ff00"}))
    shown = frame(0)
    shown.readings.append(classes())
    shown.objects.append(Object(box([64, 48, 128, 96]), 0, "car", 0.9))
    element.process_frame(shown)
    assert (caps["width"], caps["height"]) == (shown.image.width, shown.image.height) == (64, 48)
    assert shown.objects[0].box.tolist() == [32, 24, 64, 48]
    rgb = shown.image.to_rgb().astype(int)
    assert rgb[24, 10].max() <= 2 and np.abs(rgb[10, 50] - colour_of(1)).max() <= 4
    assert np.abs(rgb[40, 50] - (0, 255, 0)).max() <= 4


def test_segview_over_the_frame_and_in_a_region():
    element, _ = started(Segview(original=True, alpha=0.5, colours={"1": "#ffffff"}))
    shown = frame(0)
    shown.readings.append(classes())
    shown.readings[0].area = box([0, 0, 64, 96])
    element.process_frame(shown)
    plain = frame(0).image.planes[0].astype(int)
    luma = shown.image.planes[0].astype(int)
    assert np.array_equal(luma[:, 64:], plain[:, 64:]) and np.array_equal(luma[:40, :24], plain[:40, :24])
    assert np.abs(luma[5:40, 40:60] - (plain[5:40, 40:60] + 235) / 2).max() <= 2
    untouched = frame(1)
    before = untouched.image
    element.process_frame(untouched)
    assert untouched.image is before


def test_segview_settings_that_are_wrong():
    with pytest.raises(ConfigError, match="give width and height, or neither"):
        started(Segview(width=100))
    with pytest.raises(SettingError, match="colours"):
        started(Segview(colours={"car": "green"}))


def test_dsexample_on_whole_frames():
    element, _ = started(Dsexample(unique_id=7))
    shown = frame(0)
    element.process_frame(shown)
    first, second = shown.objects
    assert first.box.tolist() == [16, 12, 32, 24] and second.box.tolist() == [64, 48, 80, 60]
    assert (first.label, second.label, first.stage) == ("Obj0", "Obj1", "dsexample7")


def test_dsexample_on_objects():
    element, _ = started(Dsexample(full_frame=False, blur_objects=True))
    shown = frame(0)
    shown.objects.append(Object(box([32, 32, 64, 64]), 0, "car", 0.9))
    before = shown.image.planes[0].copy()
    element.process_frame(shown)
    assert shown.objects[0].attributes == "Obj_label "
    after = shown.image.planes[0]
    assert not np.array_equal(after[32:64, 32:64], before[32:64, 32:64]) and np.array_equal(after[:32], before[:32])
    plain, _ = started(Dsexample(full_frame=False))
    shown = frame(0)
    before = shown.image
    plain.process_frame(shown)
    assert shown.image is before


def test_class_numbers_of_any_size():
    element, _ = started(Segview(colours={"7": "#ff0000", "2000000000": "#0000ff"}))
    for low, high in ((5, 7), (7, 2_000_000_000)):
        shown = frame(0)
        numbers = np.full((6, 8), low, np.int32)
        numbers[:, 4:] = high
        shown.readings.append(Reading(class_map=numbers))
        element.process_frame(shown)
        wanted = {5: colour_of(5), 7: (255, 0, 0), 2_000_000_000: (0, 0, 255)}
        rgb = shown.image.to_rgb().astype(int)
        assert np.abs(rgb[50, 10] - wanted[low]).max() <= 4 and np.abs(rgb[50, 100] - wanted[high]).max() <= 4
