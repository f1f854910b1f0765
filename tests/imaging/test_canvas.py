"""Drawing on planes, against the same thing drawn in RGB where both are defined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.imaging.cpu import open_imaging
from millrace.media import Image
from millrace.media.colour import rgb_to_yuv

imaging = open_imaging()
FORMATS = ["I420", "NV12", "RGB", "BGR", "GRAY8"]
ORANGE = (255, 140, 0)


def blank(format: str = "I420", width: int = 64, height: int = 48, **tags) -> Image:
    grey = np.full((height, width, 3), 90, np.uint8)
    return imaging.convert(Image("RGB", [grey], width, height, **tags), format)


def shown(colour: tuple[int, int, int], image: Image) -> np.ndarray:
    """What a colour looks like once it has been through the picture's format."""
    if image.format in ("RGB", "BGR"):
        return np.array(colour)
    if image.format == "GRAY8":
        return np.full(3, rgb_to_yuv(*colour, image.matrix, True)[0])
    y, u, v = (np.full((2, 2), part, np.uint8) for part in rgb_to_yuv(*colour, image.matrix, image.full_range))
    one = Image("I420", [y, u[:1, :1], v[:1, :1]], 2, 2, matrix=image.matrix, full_range=image.full_range)
    return one.to_rgb()[0, 0]


@pytest.mark.parametrize("tags", [{}, {"matrix": "bt709"}, {"full_range": True}])
@pytest.mark.parametrize("format", FORMATS)
def test_rectangle_on_even_pixels_is_exact(format, tags):
    image = blank(format, **tags)
    before = image.to_rgb().astype(int)
    canvas = imaging.canvas(image)
    canvas.rectangle((10, 8, 40, 30), ORANGE, 4)
    wanted = before.copy()
    wanted[6:32, 8:42] = shown(ORANGE, image)
    wanted[10:28, 12:38] = before[10:28, 12:38]
    assert canvas.image is image
    assert np.abs(image.to_rgb() - wanted).max() <= 1


@pytest.mark.parametrize("format", ["I420", "NV12"])
@pytest.mark.parametrize("box", [(9.4, 7.1, 41.7, 30.2), (11, 9, 12, 9.5), (3, 3, 3, 3)])
def test_chroma_does_not_spill_over_a_rectangle_s_edges(format, box):
    image = blank(format)
    before = image.to_rgb()
    canvas = imaging.canvas(image)
    canvas.rectangle(box, ORANGE, 3)
    pixels = canvas.image.to_rgb().astype(int)
    drawn = np.abs(pixels - shown(ORANGE, image)).max(axis=2) <= 1
    kept = (pixels == before).all(axis=2)
    assert drawn.any() and (drawn | kept).all()


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_drawn_stands_where_it_should(format):
    image = blank(format, 96, 64)
    canvas = imaging.canvas(image)
    canvas.line((10, 10), (50, 10), ORANGE, 4)
    canvas.polyline([(60, 8), (90, 8), (90, 40)], ORANGE, 4, closed=False)
    canvas.circle((20, 40), 8, ORANGE, 0)
    pixels, colour = canvas.image.to_rgb().astype(int), shown(ORANGE, image)
    for x, y in ((30, 10), (75, 8), (90, 25), (20, 40), (16, 42)):
        assert np.abs(pixels[y, x] - colour).max() <= 24, (x, y)
    for x, y in ((30, 16), (75, 20), (80, 25), (30, 30), (5, 60), (70, 60)):
        assert np.abs(pixels[y, x] - 90).max() <= 2, (x, y)


@pytest.mark.parametrize("format", FORMATS)
def test_polygon_is_blended_inside_and_nothing_outside(format):
    image = blank(format)
    before = image.to_rgb().astype(float)
    canvas = imaging.canvas(image)
    canvas.polygon([(10, 10), (50, 10), (50, 40), (10, 40)], ORANGE, 0.5)
    pixels = canvas.image.to_rgb()
    wanted = before * 0.5 + shown(ORANGE, image) * 0.5
    assert np.abs(pixels[12:38, 12:48] - wanted[12:38, 12:48]).max() <= 2.5
    assert np.array_equal(pixels[:8], before[:8]) and np.array_equal(pixels[:, 54:], before[:, 54:])


@pytest.mark.parametrize("format", FORMATS)
def test_text_on_a_background(format):
    image = blank(format, 200, 60)
    before = image.to_rgb()
    canvas = imaging.canvas(image)
    width, height = canvas.text("Ab 1", (20, 10), (255, 255, 255), 20, (0, 0, 160))
    pixels = canvas.image.to_rgb().astype(int)
    assert height == 20 and 30 < width < 80
    changed = (pixels != before).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (10, 30, 20, 20 + width)
    assert np.abs(pixels[11, 21] - shown((0, 0, 160), image)).max() <= 1  # the corner is background
    assert (pixels.min(axis=2) > 200).sum() > 20  # letters are nearly white


def test_text_without_a_background_changes_its_letters_only():
    image = blank("I420", 200, 60)
    canvas = imaging.canvas(image)
    width, height = canvas.text("il", (20, 10), (255, 255, 255), 20)
    changed = image.planes[0] != blank("I420", 200, 60).planes[0]
    assert 10 < changed.sum() < width * height / 2


@pytest.mark.parametrize("at", [(180, 10), (-30, 10), (190, 55), (20, -15)])
def test_text_at_an_edge_is_moved_in(at):
    image = blank("I420", 200, 60)
    canvas = imaging.canvas(image)
    width, height = canvas.text("person 12 0.87", at, (255, 255, 255), 20, (0, 0, 160), inside=True)
    rows, columns = np.nonzero((canvas.image.to_rgb() != blank("I420", 200, 60).to_rgb()).any(axis=2))
    left, top = max(0, min(at[0], 200 - width)), max(0, min(at[1] // 2 * 2, 60 - height))
    assert (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1) == (left, left + width, top, top + height)


def test_read_only_pixels_are_left_alone():
    image = blank()
    shared = image.share()
    for plane in shared.planes:
        plane.flags.writeable = False
    before = [plane.copy() for plane in shared.planes]
    canvas = imaging.canvas(shared)
    canvas.rectangle((4, 4, 20, 20), ORANGE)
    canvas.text("x", (1, 1), ORANGE)
    assert canvas.image is not shared and not np.array_equal(canvas.image.planes[0], before[0])
    assert all(np.array_equal(a, b) for a, b in zip(before, shared.planes, strict=True))


def test_padded_rows_are_drawn_in_place():
    wide = [np.full((48, 80), 90, np.uint8), np.full((24, 48), 128, np.uint8), np.full((24, 48), 128, np.uint8)]
    image = Image("I420", [wide[0][:, :64], wide[1][:, :32], wide[2][:, :32]], 64, 48)
    canvas = imaging.canvas(image)
    everything(canvas, [(-5, 10), (90, 12), (30, 60)], ORANGE)
    assert (wide[0][:, :64] != 90).any() and (wide[1][:, :32] != 128).any()
    assert (wide[0][:, 64:] == 90).all() and (wide[1][:, 32:] == 128).all()


def test_ten_bits_become_eight():
    nv12 = blank("NV12")
    ten = Image("P010", [plane.astype(np.uint16) << 8 for plane in nv12.planes], 64, 48, read_only=True)
    canvas = imaging.canvas(ten)
    canvas.rectangle((10, 10, 30, 30), ORANGE)
    assert canvas.image.format == "NV12"
    assert np.array_equal(ten.planes[0] >> 8, nv12.planes[0])
    assert not np.array_equal(canvas.image.planes[0], nv12.planes[0])


def everything(canvas, points, colour) -> None:
    (x1, y1), (x2, y2) = points[:2]
    canvas.rectangle((x1, y1, x2, y2), colour, 3)
    canvas.line(points[0], points[1], colour, 5)
    canvas.polyline(points, colour, 2, closed=True)
    canvas.polygon(points, colour, 0.4)
    canvas.circle(points[0], abs(x2), colour, 1)
    canvas.text("größer", points[1], colour, 14, (0, 0, 0))
    canvas.text("größer", points[0], colour, 14)


numbers = st.one_of(
    st.floats(-80, 160), st.sampled_from([math.nan, math.inf, -math.inf, 1e30, -1e30, 16000.0, -70000.0, 0.0, 64.0])
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FORMATS), st.integers(1, 40), st.integers(1, 40), st.lists(st.tuples(numbers, numbers),
       min_size=2, max_size=5))  # fmt: skip
def test_nothing_that_is_drawn_raises_or_leaves_the_picture(format, width, height, points):
    image = blank(format, width, height)
    everything(imaging.canvas(image), points, ORANGE)
    assert image.to_rgb().shape == (height, width, 3)


def test_boxes_partly_outside_are_clipped_not_moved():
    image = blank("RGB")
    imaging.canvas(image).rectangle((-20, -20, 30, 30), ORANGE, 2)
    changed = (image.planes[0] != 90).any(axis=2)
    assert changed[29:31, :31].all() and changed[:31, 29:31].all() and not changed[:28, :28].any()


def test_opacity_of_nothing_or_too_much():
    image = blank("RGB")
    canvas = imaging.canvas(image)
    canvas.polygon([(0, 0), (64, 0), (64, 48), (0, 48)], ORANGE, 0)
    assert (image.planes[0] == 90).all()
    canvas.polygon([(0, 0), (64, 0), (64, 48), (0, 48)], ORANGE, 7)
    assert (image.planes[0][5:40, 5:60] == ORANGE).all()


def test_a_path_keeps_its_last_places():
    from millrace.imaging.overlay import MOST_POINTS, Path

    path = Path()
    for number in range(5 * MOST_POINTS):
        path.add(number, number, -number)
        assert len(path) == min(MOST_POINTS, number + 1)
        assert path.points[-1].tolist() == [number, -number]
        assert path.points[0, 0] == number + 1 - len(path)
    path.forget(5 * MOST_POINTS - 3)
    assert path.points[:, 0].tolist() == [5 * MOST_POINTS - 3, 5 * MOST_POINTS - 2, 5 * MOST_POINTS - 1]
    path.forget(10 * MOST_POINTS)
    assert len(path) == 0 and path.points.shape == (0, 2)
