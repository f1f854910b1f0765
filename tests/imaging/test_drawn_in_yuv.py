"""What is drawn on YUV planes is what would have been drawn in RGB, within one grey level of every plane."""

from __future__ import annotations

import math

import numpy as np
import pytest

from millrace.imaging.cpu import open_imaging
from millrace.media import Image

imaging = open_imaging()
ORANGE, BLUE, WHITE = (255, 140, 0), (20, 60, 220), (255, 255, 255)
TAGS = [{}, {"matrix": "bt709"}, {"full_range": True}]


def street(width: int = 96, height: int = 64) -> np.ndarray:
    """Colours that change slowly, as decoded pictures do."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    waves = [120 + 60 * np.sin(x / (9 + 3 * k) + k) * np.cos(y / (7 + 2 * k) - k) for k in range(3)]
    return np.clip(np.stack(waves, axis=2), 0, 255).astype(np.uint8)


def both(draw, format: str = "I420", **tags) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The planes when a picture is drawn on in YUV, and when it is drawn on in RGB and then converted."""
    rgb = street()
    one = imaging.convert(Image("RGB", [rgb.copy()], 96, 64, **tags), format)
    direct, detour = imaging.canvas(one), imaging.canvas(Image("RGB", [rgb.copy()], 96, 64, **tags))
    draw(direct)
    draw(detour)
    wanted = imaging.convert(detour.image, format)
    return [p.astype(int) for p in direct.image.planes], [p.astype(int) for p in wanted.planes]


def soft_mask() -> np.ndarray:
    y, x = np.mgrid[-1:1:20j, -1:1:30j]
    return np.clip((1.0 - np.hypot(x, y)) * 3, 0, 1)


WAYS = {
    "outline": lambda c: c.rectangle((10, 8, 60, 42), ORANGE, 4),
    "filled": lambda c: c.fill((10, 8, 60, 40), BLUE),
    "filled, blended": lambda c: c.fill((10, 8, 60, 42), ORANGE, 0.35),
    "text": lambda c: c.text("Größe 7", (8, 10), WHITE, 22),
    "text on a ground": lambda c: c.text("Größe 17", (8, 10), WHITE, 22, BLUE),
    "soft mask": lambda c: c.mask(soft_mask(), (10.3, 5.7, 71.2, 50.1), ORANGE, 0.6),
    "mask of booleans": lambda c: c.mask(soft_mask() > 0.4, (-20, 12, 60, 90), BLUE, 0.9),
    "polygon": lambda c: c.polygon([(10, 6), (80, 14), (60, 58), (20, 50)], ORANGE, 0.5),
    "star": lambda c: c.polygon([(40, 2), (60, 60), (8, 22), (74, 20), (18, 58)], BLUE, 1.0),
}


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("format", ["I420", "NV12"])
@pytest.mark.parametrize("way", WAYS)
def test_every_pixel_is_within_a_level_of_rgb(way, format, tags):
    direct, wanted = both(WAYS[way], format, **tags)
    untouched = imaging.convert(Image("RGB", [street()], 96, 64, **tags), format).planes
    assert any((one != plain).any() for one, plain in zip(direct, untouched, strict=True))
    for one, other in zip(direct, wanted, strict=True):
        off = np.abs(one - other)
        assert off.max() <= 2 and (off > 1).sum() <= 2  # rounded once here, three times on the way through RGB


EDGED = {  # shapes with slanted edges: the same inside and outside, and luma at the edges
    "disc": lambda c: c.circle((45, 30), 22, BLUE, 0),
    "ring": lambda c: c.circle((45, 30), 20, ORANGE, 10),
    "line": lambda c: c.line((8, 10), (80, 50), ORANGE, 10),
    "arrow": lambda c: c.arrow((8, 10), (80, 50), BLUE, 8),
    "turned box": lambda c: c.polyline([(30, 5), (70, 25), (55, 55), (15, 35)], ORANGE, 8, closed=True),
}


@pytest.mark.parametrize("tags", TAGS)
@pytest.mark.parametrize("way", EDGED)
def test_slanted_shapes_are_within_a_level_but_for_chroma_at_their_edges(way, tags):
    direct, wanted = both(EDGED[way], **tags)
    plain = [p.astype(int) for p in imaging.convert(Image("RGB", [street()], 96, 64, **tags), "I420").planes]
    off = np.abs(direct[0] - wanted[0])
    assert off.max() <= 5 and (off > 1).mean() < 0.011  # OpenCV draws thick smooth edges over each other, rounding each
    drawn = np.abs(wanted[0] - plain[0]) > 0
    padded = np.pad(drawn, 3, mode="edge")
    near = [padded[3 + dy : 67 + dy, 3 + dx : 99 + dx] for dy in range(-3, 4) for dx in range(-3, 4)]
    flat = np.all(near, axis=0) | ~np.any(near, axis=0)  # no edge within three pixels
    far = flat[::2, ::2] & flat[1::2, ::2] & flat[::2, 1::2] & flat[1::2, 1::2]
    assert far.sum() > 300 and (far & (np.abs(wanted[1] - plain[1]) > 2)).sum() > 20
    for one, other in zip(direct[1:], wanted[1:], strict=True):
        assert np.abs(one - other)[far].max() <= 1


@pytest.mark.parametrize("tags", TAGS)
def test_heat_is_within_a_level_but_where_its_colours_bend(tags):
    direct, wanted = both(lambda c: c.heat(np.outer(np.hanning(8), np.hanning(12)), 0.7), **tags)
    assert np.abs(direct[0] - wanted[0]).max() <= 1
    for one, other in zip(direct[1:], wanted[1:], strict=True):
        off = np.abs(one - other)
        assert off.max() <= 4 and (off > 1).mean() < 0.04


def blank(format: str = "I420", width: int = 64, height: int = 48) -> Image:
    return imaging.convert(Image("RGB", [np.full((height, width, 3), 90, np.uint8)], width, height), format)


def test_a_mask_lies_over_its_box_even_where_it_leaves_the_picture():
    image = blank("RGB")
    left = np.zeros((4, 4), bool)
    left[:, 2:] = True  # the right half
    imaging.canvas(image).mask(left, (-32, 8, 32, 40), ORANGE, 1.0)
    drawn = (image.planes[0] == ORANGE).all(axis=2)
    assert drawn[18:30, 9:23].all() and not drawn[:, 33:].any() and not drawn[:7].any() and not drawn[42:].any()


def test_an_arrow_has_its_tip_at_the_end_and_a_wide_head():
    image = blank("GRAY8")
    imaging.canvas(image).arrow((10, 24), (50, 24), WHITE, 2)
    columns = (image.planes[0] > 150).sum(axis=0)
    assert columns[48] > 0 and not columns[52:].any() and not columns[:8].any()
    assert columns[40:44].max() > 2 * columns[20] > 0


def test_a_fill_of_nothing_and_of_too_much():
    image = blank("RGB")
    canvas = imaging.canvas(image)
    canvas.fill((0, 0, 64, 48), ORANGE, 0)
    canvas.mask(np.ones((2, 2)), (0, 0, 64, 48), ORANGE, 0)
    canvas.heat(np.ones((2, 2)), 0)
    assert (image.planes[0] == 90).all()
    canvas.fill((-100, -100, 400, 400), ORANGE, 3)
    assert (image.planes[0] == ORANGE).all()


@pytest.mark.parametrize("format", ["I420", "NV12", "RGB", "BGR", "GRAY8"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (64, 48)])
def test_odd_sizes_and_numbers_that_are_none_do_no_harm(format, size):
    image = blank(format, *size)
    canvas = imaging.canvas(image)
    for bad in (math.nan, math.inf, -1e30, 1e30, 3.3):
        canvas.fill((bad, 1, 5, 5), ORANGE, 0.5)
        canvas.fill((1, 1, bad, 5), ORANGE)
        canvas.arrow((1, 1), (bad, 4), ORANGE, 3)
        canvas.mask(np.array([[bad, 1.0], [0.2, 0.4]]), (1, bad, 6, 8), ORANGE)
        canvas.mask(np.array([[bad, 1.0], [0.2, 0.4]]), (-3, -2, 40, 30), ORANGE)
        canvas.heat(np.array([[bad, 1.0], [0.2, 0.4]]), 0.5)
        canvas.text("ü", (bad, 2), ORANGE, 12, inside=True)
    canvas.mask(np.zeros((0, 3)), (0, 0, 4, 4), ORANGE)
    assert image.to_rgb().shape == (size[1], size[0], 3)
