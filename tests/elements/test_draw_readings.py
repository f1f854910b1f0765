"""What models say of whole frames and regions, drawn and written."""

from __future__ import annotations

import json

import jsonschema
import numpy as np

from millrace.core import FRAMES, Caps, Context, StreamStart
from millrace.elements.draw import Draw
from millrace.elements.json import Json
from millrace.imaging.palette import colour_of
from millrace.media import Frame, Image, Label, Object, Reading, box
from millrace.outputs.jsonl import schema


def frame(objects=()):
    planes = [np.full((120, 160), 90, np.uint8)] + [np.full((60, 80), 128, np.uint8) for _ in range(2)]
    return Frame("a", 0, 0, Image("I420", planes, 160, 120), objects=list(objects))


def draw(**settings):
    element = Draw(**settings)
    element.open(Context("draw"))
    element.start_stream(StreamStart("a", Caps(FRAMES, width=160, height=120, format="I420")))
    return element


def changed(shown):
    """Where the picture is no more what it was."""
    return (shown.image.to_rgb() != frame().image.to_rgb()).any(axis=2)


def halves():
    rows = np.zeros((6, 8), np.int32)
    rows[:, 4:] = 2
    return rows


def test_a_class_map_is_blended_over_the_picture_without_its_background():
    shown = frame()
    shown.readings = [Reading(class_map=halves(), names={0: "background", 2: "road"})]
    draw(maps=0.8).process_frame(shown)
    marks = changed(shown)
    assert not marks[:, :68].any() and marks[:, 92:].all()
    pixel = shown.image.to_rgb()[60, 120].astype(int)
    assert np.abs(pixel - colour_of(2)).max() < np.abs(np.array([86] * 3) - colour_of(2)).max() / 2


def test_class_0_counts_where_it_has_a_name_of_its_own():
    shown = frame()
    shown.readings = [Reading(class_map=halves(), names={0: "sky", 2: "road"})]
    draw(maps=0.8).process_frame(shown)
    assert shown.image.to_rgb()[60, 20].tolist() != shown.image.to_rgb()[60, 120].tolist()
    assert (shown.image.to_rgb()[60, 20].astype(int) != 86).any()


def test_a_map_of_a_region_stays_in_it():
    shown = frame()
    shown.readings = [Reading(class_map=np.ones((4, 4), np.int32), area=box([40, 40, 80, 80]))]
    draw(maps=0.8).process_frame(shown)
    marks = changed(shown)
    assert marks[44:76, 44:76].all() and not marks[:36].any() and not marks[:, 90:].any()


def test_depth_is_shown_from_blue_to_red():
    shown = frame()
    shown.readings = [Reading(depth=np.tile(np.linspace(0, 5, 8, dtype=np.float32), (6, 1)))]
    draw(maps=1.0).process_frame(shown)
    pixels = shown.image.to_rgb().astype(int)
    assert pixels[60, 150, 0] > pixels[60, 150, 2] + 50


def test_labels_and_texts_of_frames_stand_in_the_corner():
    shown = frame()
    shown.readings = [Reading([Label("scene", "street", 0.9)]), Reading(text="AB 12")]
    draw().process_frame(shown)
    rows, columns = np.nonzero(changed(shown))
    assert rows.max() < 40 and columns.max() < 100


def test_maps_may_be_left_out_and_nothing_is_drawn():
    shown = frame()
    shown.readings = [Reading(class_map=halves())]
    draw(maps=0.0).process_frame(shown)
    assert not changed(shown).any()


def test_json_writes_masks_and_vectors_where_asked(tmp_path):
    element = Json(path=str(tmp_path / "out.jsonl"), masks="rle", embeddings=True)
    element.open(Context("json"))
    element.expect(("a",))
    element.start_stream(StreamStart("a", Caps(FRAMES)))
    found = Object(box([10, 10, 30, 30]), 0, "car", 0.9, mask=np.ones((20, 20), bool))
    found.embedding = np.array([0.6, 0.8], np.float32)
    element.process_frame(frame(objects=[found]))
    list(element.end_stream("a"))
    element.close()
    (line,) = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    jsonschema.validate(line, schema())
    assert sum(line["objects"][0]["mask"]["counts"][1::2]) == 400
    assert line["objects"][0]["embedding"] == [0.6, 0.8]


def test_readings_go_along_when_the_picture_is_cut_turned_or_tiled():
    from millrace.elements.crop import Crop
    from millrace.elements.flip import Flip

    shown = frame()
    shown.readings = [Reading(class_map=halves(), keypoints=np.array([[10, 20, 0.9]], np.float32))]
    flip, crop = Flip(direction="horizontal"), Crop(box=[40, 0, 160, 120])
    for element in (flip, crop):
        element.open(Context("x"))
    flip.process_frame(shown)
    (reading,) = shown.readings
    assert reading.class_map[0].tolist() == [2, 2, 2, 2, 0, 0, 0, 0]
    np.testing.assert_allclose(reading.keypoints, [[150, 20, 0.9]])
    crop.process_frame(shown)
    (reading,) = shown.readings
    assert reading.area.tolist() == [-40, 0, 120, 120]
    draw(maps=0.8).process_frame(shown)
    pixels = shown.image.to_rgb()
    assert (pixels[60, 10] != pixels[60, 110]).any() and pixels.shape == (120, 120, 3)
    assert (pixels[60, 110] == frame().image.to_rgb()[0, 0]).all()  # background lies to the right now
