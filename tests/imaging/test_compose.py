"""Pictures put into pictures, cut out, mirrored and turned; and what is known of them carried along."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.imaging.cpu import open_imaging
from millrace.imaging.mapping import cut, map_events, map_objects, shifted, turned
from millrace.media import Event, Image, Object, box

imaging = open_imaging()
WAYS = ("horizontal", "vertical", "clockwise", "counterclockwise", "half", "transpose", "transverse")
TURN = {
    "horizontal": lambda a: a[:, ::-1],
    "vertical": lambda a: a[::-1],
    "clockwise": lambda a: np.rot90(a, -1),
    "counterclockwise": lambda a: np.rot90(a),
    "half": lambda a: a[::-1, ::-1],
    "transpose": lambda a: a.swapaxes(0, 1),
    "transverse": lambda a: a[::-1, ::-1].swapaxes(0, 1),
}


def smooth(width: int, height: int, format: str = "I420", **tags) -> Image:
    y, x = np.mgrid[0:height, 0:width].astype(float)
    rgb = np.stack([60 + 130 * x / width, 70 + 120 * y / height, 90 + 50 * (x + y) / (width + height)], axis=2)
    return imaging.convert(Image("RGB", [rgb.astype(np.uint8)], width, height, **tags), format)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("size", [(48, 32), (47, 31), (1, 1), (50, 33)])
@pytest.mark.parametrize("format", ["I420", "NV12", "RGB", "GRAY8"])
def test_turning_is_what_it_is_in_rgb(how, size, format):
    image = smooth(*size, format)
    out = imaging.turn(image, how)
    wanted = TURN[how](image.to_rgb())
    assert (out.height, out.width) == wanted.shape[:2] and out.format == format
    assert [plane.shape[:2] for plane in out.planes] == [
        plane.shape[:2]
        for plane in imaging.convert(Image("RGB", [np.ascontiguousarray(wanted)], *wanted.shape[1::-1]), format).planes
    ]
    assert np.abs(out.to_rgb().astype(int) - wanted).max() <= (
        8 if 1 in (s % 2 for s in size) and format != "RGB" else 0
    )


@pytest.mark.parametrize("how", WAYS)
def test_points_go_where_pixels_go(how):
    image = smooth(48, 32, "GRAY8")
    image.planes[0][...] = 0
    image.planes[0][5:9, 10:20] = 255
    out = imaging.turn(image, how)
    rows, columns = np.nonzero(out.planes[0])
    x1, y1, x2, y2 = turned(how, 48, 32).box([10, 5, 20, 9]).tolist()
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x1, y1, x2, y2)


@pytest.mark.parametrize("how", WAYS)
def test_masks_keypoints_and_velocities_turn_with_the_box(how):
    mask = np.zeros((4, 10), bool)
    mask[:2, :3] = True  # the upper left of the box
    found = Object(box([10, 5, 20, 9]), 0, "car", 0.9, mask=mask, velocity=(2.0, 1.0), angle=0.3)
    found.keypoints = np.array([[11, 6, 0.9]], np.float32)
    full = Object(box([10, 5, 20, 9]), 0, "car", 0.9, mask=np.zeros((32, 48), bool), parent=found)
    full.mask[5:7, 10:13] = True
    way = turned(how, 48, 32)
    new, second = map_objects([found, full], way, 48, 32)
    picture = np.zeros((32, 48), bool)
    picture[5:7, 10:13] = True
    wanted = TURN[how](picture)
    x1, y1, x2, y2 = new.box.astype(int).tolist()
    assert np.array_equal(new.mask, wanted[y1:y2, x1:x2]) and np.array_equal(second.mask, new.mask)
    assert second.parent is new and found.box.tolist() == [10, 5, 20, 9]
    kx, ky = new.keypoints[0, :2]
    assert wanted[int(ky), int(kx)] and new.keypoints[0, 2] == np.float32(0.9)
    one, other = way.points([[0, 0], [2, 1]])
    assert np.allclose(new.velocity, other - one)
    assert new.angle == (-0.3 if how in ("horizontal", "vertical", "transpose", "transverse") else 0.3)


def test_cropping_copies_nothing_and_keeps_colours():
    image = smooth(48, 32)
    out = imaging.crop(image, (11, 6, 31, 21))
    assert (out.width, out.height) == (21, 15) and np.shares_memory(out.planes[0], image.planes[0])
    assert np.array_equal(out.to_rgb(), image.to_rgb()[6:21, 10:31])
    assert not out.read_only and imaging.crop(image.share(), (0, 0, 8, 8)).read_only
    with pytest.raises(ValueError, match=r"crop: \(60, 0, 70, 9\) has no pixel of 48x32"):
        imaging.crop(image, (60, 0, 70, 9))


def test_what_lies_across_the_edge_is_cut_with_its_mask():
    mask = np.arange(100).reshape(10, 10)
    found = map_objects([Object(box([0, 0, 20, 20]), 0, "a", 0.9, mask=mask)], shifted(-10, 0), 48, 32)[0]
    assert cut(found, 30, 10)
    assert found.box.tolist() == [0, 0, 10, 10] and np.array_equal(found.mask, mask[:5, 5:])
    assert not cut(Object(box([-9, 0, 0, 5]), 0, "a", 0.9), 30, 10)
    assert not cut(Object(box([float("nan"), 0, 5, 5]), 0, "a", 0.9), 30, 10)


def test_events_move_where_they_have_a_point():
    plain, placed = Event("zone", "a", 0, "x"), Event("line", "a", 0, "y", extras={"point": (3.0, 4.0)})
    same, moved = map_events([plain, placed], shifted(10, 20, 2, 2))
    assert same is plain and moved.extras["point"] == (16.0, 28.0) and placed.extras["point"] == (3.0, 4.0)


@pytest.mark.parametrize("format", ["I420", "NV12", "RGB", "BGR", "P010"])
@pytest.mark.parametrize("tags", [{}, {"matrix": "bt709"}, {"full_range": True}])
def test_a_picture_is_put_into_its_place_with_its_colours(format, tags):
    if format == "P010":
        eight = smooth(96, 64, "NV12", **tags)
        image = Image("P010", [plane.astype(np.uint16) << 8 for plane in eight.planes], 96, 64, **tags)
    else:
        image = smooth(96, 64, format, **tags)
    target = imaging.blank(80, 60, (10, 200, 30))
    before = target.to_rgb()
    imaging.put(image, target, (16, 10, 64, 42))
    pixels = target.to_rgb().astype(int)
    wanted = image.to_rgb().reshape(32, 2, 48, 2, 3).mean(axis=(1, 3))
    assert np.abs(pixels[10:42, 16:64] - wanted).max() <= 6  # chroma is of 2x2 pixels again
    pixels[10:42, 16:64] = before[10:42, 16:64]
    assert np.array_equal(pixels, before) and np.abs(before[0, 0].astype(int) - (10, 200, 30)).max() <= 2


def test_what_cannot_be_put_is_an_error():
    target = imaging.blank(81, 61)
    for wrong in ((1, 0, 8, 8), (0, 0, 7, 8), (0, 0, 90, 8), (8, 8, 8, 8)):
        with pytest.raises(ValueError, match="on even pixels"):
            imaging.put(smooth(8, 8), target, wrong)
    imaging.put(smooth(8, 8), target, (0, 0, 81, 61))  # the edge may be odd
    with pytest.raises(ValueError, match="ours"):
        imaging.put(smooth(8, 8), target.share(), (0, 0, 8, 8))
