"""Masks as run lengths and polygons, against slow, obvious code."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest

from millrace.media import Frame, Image, Label, Object, Reading, box
from millrace.outputs.jsonl import frame_line, schema
from millrace.outputs.masks import on_picture, polygons, rle

SIZE = (40, 30)  # width, height


def decoded(value):
    """From the definition: runs of 0 and 1 in turn, column by column."""
    height, width = value["size"]
    flat = np.concatenate([np.full(n, i % 2, bool) for i, n in enumerate(value["counts"])])
    return flat.reshape(width, height).T


def whole(found):
    left, top, pixels = on_picture(found, *SIZE)
    out = np.zeros(SIZE[::-1], bool)
    out[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return out


def masked(mask, sides):
    return Object(box(sides), 0, "car", 0.9, mask=mask)


def test_run_lengths_come_back():
    random = np.random.default_rng(1)
    for _ in range(40):
        x1, y1 = random.integers(-5, 25, 2)
        x2, y2 = x1 + random.integers(1, 20), y1 + random.integers(1, 20)
        found = masked(random.random((y2 - y1, x2 - x1)) < random.choice([0.1, 0.5, 0.95]), [x1, y1, x2, y2])
        value = rle(found, *SIZE)
        assert sum(value["counts"]) == SIZE[0] * SIZE[1]
        np.testing.assert_array_equal(decoded(value), whole(found))


@pytest.mark.parametrize("mask", [np.ones((30, 40), bool), np.zeros((30, 40), bool)])
def test_a_mask_of_the_whole_picture(mask):
    found = masked(mask, [5, 5, 20, 20])
    np.testing.assert_array_equal(decoded(rle(found, *SIZE)), mask)


def test_a_mask_of_another_size_is_stretched_over_its_box():
    found = masked(np.array([[1.0, 0.2]], np.float32), [10, 5, 30, 15])
    expected = np.zeros(SIZE[::-1], bool)
    expected[5:15, 10:20] = True
    np.testing.assert_array_equal(decoded(rle(found, *SIZE)), expected)


def test_polygons_go_around():
    found = masked(np.ones((10, 20), bool), [10, 5, 30, 15])
    (part,) = polygons(found, *SIZE)
    xs, ys = part[::2], part[1::2]
    assert (min(xs), max(xs), min(ys), max(ys)) == (10.5, 29.5, 5.5, 14.5)


def everything():
    pixels = np.zeros((30, 40, 3), np.uint8)
    frame = Frame("a", 0, 0, Image("BGR", [pixels], *SIZE))
    car = masked(np.ones((4, 4), bool), [10, 5, 30, 15])
    car.labels = [Label("colour", "red", 0.98765)]
    car.embedding = np.array([0.6, 0.8], np.float32)
    car.depth, car.angle = 3.25, 0.5
    plate = Object(box([12, 8, 18, 10]), 0, "plate", 0.8, parent=car, text="AB 12")
    plate.keypoints = np.array([[12, 8, 0.9]], np.float32)
    frame.objects = [car, plate]
    road = np.array([[0, 1], [1, 1]], np.int32)
    frame.readings = [
        Reading([Label("scene", "street", 0.7)], stage="s", class_map=road, names={0: "other", 1: "road"})
    ]
    return frame


@pytest.mark.parametrize("form", ["none", "rle", "polygon"])
def test_a_line_with_all_that_models_say_follows_the_schema(form):
    line = json.loads(frame_line(everything(), form, embeddings=True))
    jsonschema.validate(line, schema())
    car, plate = line["objects"]
    assert car["labels"] == [{"name": "colour", "value": "red", "confidence": 0.9877}]
    assert (plate["parent"], plate["text"], plate["keypoints"]) == (0, "AB 12", [[12.0, 8.0, 0.9]])
    assert (car["depth"], car["angle"], car["embedding"]) == (3.25, 0.5, [0.6, 0.8])
    assert ("mask" in car) == (form != "none")
    assert line["readings"][0]["classes"] == {"other": 0.25, "road": 0.75}


def test_vectors_are_left_out_unless_asked_for():
    assert "embedding" not in json.loads(frame_line(everything()))["objects"][0]
