"""What is hidden cannot be brought back: at most eight cells along the longer side, on luma and chroma."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.imaging.cpu import open_imaging
from millrace.media import Image

imaging = open_imaging()
WIDTH, HEIGHT = 160, 120


def noise(format: str = "I420", seed: int = 1) -> Image:
    rgb = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return imaging.convert(Image("RGB", [rgb], WIDTH, HEIGHT), format)


def runs(line: np.ndarray) -> list[int]:
    """The lengths of stretches of one level."""
    edges = np.nonzero(np.diff(line.astype(int)))[0] + 1
    return np.diff([0, *edges.tolist(), len(line)]).tolist()


@pytest.mark.parametrize("strength", [0.1, 1.0, 2.0, 8.0])
@pytest.mark.parametrize("format", ["I420", "NV12", "RGB", "GRAY8"])
def test_pixelated_cells_are_at_least_an_eighth_of_the_box(format, strength):
    image = imaging.conceal(noise(format), [(20, 10, 100, 90)], "pixelate", strength)
    for index, plane in enumerate(image.planes):
        scale = 2 if index else 1
        inside = plane[10 // scale : 90 // scale, 20 // scale : 100 // scale].reshape(80 // scale, 80 // scale, -1)
        smallest = 80 / scale / 8 * max(1.0, strength)
        for row in inside[::3, :, 0]:
            assert min(runs(row)) >= smallest
        for column in inside[:, ::3, 0].T:
            assert min(runs(column)) >= smallest


def test_a_blurred_area_depends_on_its_cells_only():
    """Two pictures with the same means of cells and nothing else in common look the same when they are blurred."""
    first, second = noise(), noise()
    for index, plane in enumerate(second.planes):
        cell = 10 if index == 0 else 5
        inside = plane[10:90, 20:100] if index == 0 else plane[5:45, 10:50]
        for y in range(0, inside.shape[0], cell):
            for x in range(0, inside.shape[1], cell):
                part = inside[y : y + cell, x : x + cell]
                part[...] = part[::-1, ::-1].copy()
    assert not np.array_equal(first.planes[0], second.planes[0])
    hidden = [imaging.conceal(image, [(20, 10, 100, 90)], "blur") for image in (first, second)]
    for one, other in zip(hidden[0].planes, hidden[1].planes, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("mode", ["pixelate", "blur"])
def test_luma_and_chroma_are_hidden_and_nothing_else_is_changed(mode):
    before = noise()
    after = imaging.conceal(before.copy(), [(21, 11, 99, 89)], mode)
    for index, (old, new) in enumerate(zip(before.planes, after.planes, strict=True)):
        scale = 2 if index else 1
        changed = old != new
        assert changed[12 // scale : 88 // scale, 22 // scale : 98 // scale].mean() > 0.9
        changed[10 // scale : 90 // scale, 20 // scale : 100 // scale] = False
        assert not changed.any()
        assert new[12 // scale : 88 // scale, 22 // scale : 98 // scale].std() < old.std() / 3


def test_a_polygon_hides_what_it_covers():
    before = noise()
    after = imaging.conceal(before.copy(), [np.array([(20, 10), (120, 10), (20, 110)])], "pixelate")
    changed = before.planes[0] != after.planes[0]
    assert changed[15:60, 25:60].mean() > 0.9 and not changed[80:, 80:].any()
    chroma = before.planes[1] != after.planes[1]
    assert chroma[8:30, 13:30].mean() > 0.9 and not chroma[40:, 40:].any()
    luma_at_chroma = changed.reshape(60, 2, 80, 2).any(axis=(1, 3))
    assert not (luma_at_chroma & ~chroma).sum() > luma_at_chroma.sum() * 0.1  # where luma is hidden chroma is, too


def test_a_shared_picture_is_copied_and_an_empty_list_costs_nothing():
    image = noise().share()
    pixels = [plane.copy() for plane in image.planes]
    assert imaging.conceal(image, []) is image
    hidden = imaging.conceal(image, [(0, 0, 50, 50)])
    assert hidden is not image and all(np.array_equal(a, b) for a, b in zip(pixels, image.planes, strict=True))


@pytest.mark.parametrize("format", ["I420", "NV12", "RGB", "GRAY8", "GRAY16", "P010"])
@pytest.mark.parametrize("size", [(1, 1), (3, 7), (33, 21)])
def test_odd_areas_do_no_harm(format, size):
    width, height = size
    half = ((height + 1) // 2, (width + 1) // 2)
    wide = np.uint16 if format in ("P010", "GRAY16") else np.uint8
    shapes = {"I420": [(height, width), half, half], "NV12": [(height, width), (*half, 2)], "RGB": [(height, width, 3)]}
    shapes |= {"P010": shapes["NV12"], "GRAY8": [(height, width)], "GRAY16": [(height, width)]}
    image = Image(format, [np.full(shape, 9, wide) for shape in shapes[format]], width, height)
    nan, inf = float("nan"), float("inf")
    areas = [(nan, 0, 5, 5), (-inf, 0, inf, 9), (-50, -50, 500, 500), (5, 5, 5, 5), (2, 2, 1, 1), (900, 900, 950, 950),
             [(0.5, 0.5), (9, 2), (4, 30)], [], [(1, 1), (1, 1), (1, 1)]]  # fmt: skip
    for mode in ("pixelate", "blur"):
        out = imaging.conceal(image, areas, mode)
        assert all((plane == 9).all() for plane in out.planes)  # the mean of one level
