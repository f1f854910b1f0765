"""Pictures on a GPU against the CPU's own imaging: every format, odd sizes, borders. Tests for two files: one plays the
GPU (tests/cuda/test_host_pictures.py), one has it (tests/gpu/test_cuda_pictures.py); both bring the fixture `gpu`."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import SHAPES, drawn, picture
from host_gpu import differences, download, upload

from millrace.imaging.cpu import open_imaging
from millrace.imaging.cuda_pictures import CudaPictures
from millrace.imaging.remap import Ways
from millrace.media import Image

FORMATS = ("NV12", "I420", "P010", "RGB", "BGR", "GRAY8")
WAYS = ("horizontal", "vertical", "half", "clockwise", "counterclockwise", "transpose", "transverse")
SIZES = ((320, 180), (321, 177))
CPU = open_imaging()


def there(gpu: CudaPictures, image: Image, **how: bool) -> Image:
    return upload(gpu._launcher.gpu, image, **how)


def close(got: Image, want: Image, most: int) -> None:
    worst, _ = differences(download(got), want)
    assert worst <= most
    assert (got.matrix, got.full_range) == (want.matrix, want.full_range)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("origin", FORMATS)
@pytest.mark.parametrize("format", ["I420", "NV12", "RGB", "BGR", "GRAY8"])
def test_converted(gpu, size, origin, format):
    image = picture(origin, *size, matrix="bt709", full_range=size[0] % 2 == 1)
    close(gpu.convert(there(gpu, image), format), CPU.convert(image, format), 1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "how", ["horizontal", "vertical", "half", "clockwise", "counterclockwise", "transpose", "transverse"]
)
def test_turned(gpu, size, format, how):
    image = picture(format, *size)
    close(gpu.turn(there(gpu, image), how), CPU.turn(image, how), 0)


@pytest.mark.parametrize("format", FORMATS)
def test_cut_out(gpu, format):
    image = picture(format, 321, 177)
    box = (31, 21, 400, 170)
    close(gpu.crop(there(gpu, image), box), CPU.crop(image, box), 0)
    close(gpu.crop(there(gpu, image), box).copy(), CPU.crop(image, box), 0)
    with pytest.raises(ValueError, match="no pixel of 321x177"):
        gpu.crop(there(gpu, image), (400, 0, 500, 10))


@pytest.mark.parametrize("format", ["NV12", "I420", "P010", "RGB", "GRAY8"])
@pytest.mark.parametrize("box", [(20, 10, 180, 100), (0, 0, 641, 359), (10, 20, 118, 220), (0, 0, 160, 90)])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_put_into_another(gpu, format, box, matrix):
    image = picture(format, 320, 180, matrix="bt709")
    here, over = CPU.blank(641, 359, (30, 60, 90), matrix), gpu.blank(641, 359, (30, 60, 90), matrix)
    close(over, here, 0)
    CPU.put(image, here, box)
    gpu.put(there(gpu, image), over, box)
    close(over, here, 2)


def test_what_cannot_be_written_is_one_sentence(gpu):
    image = there(gpu, picture("NV12", 64, 48))
    with pytest.raises(ValueError, match="cannot be written"):
        gpu.put(image, image, (0, 0, 64, 48))  # it is a decoder's
    with pytest.raises(ValueError, match="cannot be written"):
        gpu.put(image, gpu.blank(64, 48), (1, 0, 9, 8))
    with pytest.raises(ValueError, match="pixels are in cpu"):
        gpu.convert(picture("NV12", 64, 48), "RGB")


@pytest.mark.parametrize("format", ["NV12", "I420", "P010", "RGB", "GRAY8"])
@pytest.mark.parametrize("mode", ["pixelate", "blur"])
@pytest.mark.parametrize("strength", [1.0, 3.0, 8.0])
def test_areas_made_unrecognisable(gpu, format, mode, strength):
    image = picture(format, 321, 177)
    areas = [(30, 20, 90, 70.5), (60, 50, 140, 120), (-10, 150, 50, 400), (float("nan"), 0, 5, 5)]
    before = there(gpu, image)
    most = 256 if format == "P010" else 1
    close(gpu.conceal(before, areas, mode, strength), CPU.conceal(image, areas, mode, strength), most)
    close(before, image, 0)  # a decoder's picture is copied
    assert gpu.conceal(before, [], mode) is before


def test_a_polygon_hides_all_that_it_hides_on_the_cpu(gpu):
    rng = np.random.default_rng(4)
    chequered = np.where(np.indices((180, 320)).sum(0) % 2, 255, 0).astype(np.uint8)
    image = Image("GRAY8", [chequered], 320, 180, read_only=True)
    for _ in range(10):
        corners = (rng.random((rng.integers(3, 6), 2)) * (300, 160) + 5).tolist()
        hidden = CPU.conceal(image, [corners]).planes[0] != chequered
        also = download(gpu.conceal(there(gpu, image), [corners])).planes[0] != chequered
        assert not (hidden & ~also).any()
        sides = np.asarray(corners) - np.roll(corners, 1, axis=0)
        assert (also & ~hidden).sum() <= np.hypot(*sides.T).sum()  # a pixel along its edges


@pytest.mark.parametrize("format", ["NV12", "P010", "I420", "RGB", "GRAY8"])
@pytest.mark.parametrize("edge", ["repeats", "border", "wraps"])
def test_fetched_by_maps(gpu, format, edge):
    image = picture(format, 321, 177)
    rows, columns = np.mgrid[0:91, 0:131].astype(np.float32)
    x, y = columns * 2.7 - 20 + 3 * np.sin(rows / 9), rows * 2.1 - 7 + 2 * np.cos(columns / 11)
    x[40:44, 50:55] = np.nan
    ways = Ways(x, y, border=edge == "border", wraps=edge == "wraps")
    for _ in range(2):  # the second time the maps are there
        close(gpu.remap(there(gpu, image), ways), CPU.remap(image, ways), 1 if format == "P010" else 0)


@pytest.mark.parametrize("format", ["NV12", "P010", "RGB"])
@pytest.mark.parametrize("method", ["auto", "bilinear", "nearest", "area"])
def test_scaled(gpu, format, method):
    image = picture(format, 321, 177)
    how = (200, 120, (0, 14, 200, 108), method, (10, 200, 30))
    close(gpu.scale(there(gpu, image), *how), CPU.scale(image, *how), 64 if format == "P010" else 1)
    larger = (700, 400, None, "bilinear")
    close(gpu.scale(there(gpu, image), *larger), CPU.scale(image, *larger), 64 if format == "P010" else 1)
    with pytest.raises(ValueError, match="method 'lanczos' is not there on cuda:0"):
        gpu.scale(there(gpu, image), 200, 120, method="lanczos")


@pytest.mark.parametrize("format", ["NV12", "I420", "P010", "RGB", "GRAY8"])
@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("area", [None, (31, 20, 200, 90), (-10, -10, 50, 50), (400, 0, 500, 50)])
def test_colours_laid_over(gpu, format, smooth, area):
    image = picture(format, 321, 177)
    colours = np.random.default_rng(2).integers(0, 256, (9, 16, 3)).astype(np.uint8)
    for opacity in (0.4, 1.0, 0.0):
        want = CPU.lay(image, colours, area, opacity, smooth)
        got = download(gpu.lay(there(gpu, image), colours, area, opacity, smooth))
        if smooth:
            assert differences(got, want)[0] <= 1
        for a, b in zip(got.planes, want.planes, strict=True):
            other = np.abs(a.astype(int) - b) > 1  # a pixel in the middle between two cells may take either
            assert other.mean() < 0.03


def test_numpy_reads_what_is_there(gpu):
    image = picture("NV12", 64, 48)
    moved = there(gpu, image)
    assert np.array_equal(np.asarray(moved.planes[1]), image.planes[1])
    assert np.asarray(moved.planes[0], np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="cannot be had without a copy"):
        moved.planes[0].__array__(copy=False)


# Lines and circles differ at their edges, by how OpenCV rounds; all else is equal.
@pytest.mark.parametrize("format", ["NV12", "I420"])
@pytest.mark.parametrize("size", [(640, 360), (641, 359)])
@pytest.mark.parametrize("shape", SHAPES)
def test_drawn(gpu, format, size, shape):
    image = picture(format, *size, read_only=True)
    want = drawn(CPU.canvas(image), shape)
    got = download(drawn(gpu.canvas(there(gpu, image)), shape))
    worst, ratio = differences(got, want)
    if shape in ("boxes", "texts"):
        assert worst == 0
    elif shape in ("fills", "heat", "masks"):
        assert worst <= 1
    else:
        assert ratio >= (43 if shape == "rings" else 46)


def test_a_picture_of_ten_bits_is_drawn_on_with_eight(gpu):
    image = picture("P010", 320, 180)
    want = drawn(CPU.canvas(image), "boxes")
    assert differences(download(drawn(gpu.canvas(there(gpu, image)), "boxes")), want)[0] == 0
    assert gpu.canvas(there(gpu, image)).finish().format == "NV12"


def test_a_picture_that_is_ours_is_drawn_on_where_it_is(gpu):
    ours = gpu.blank(64, 48)
    canvas = gpu.canvas(ours)
    canvas.fill((10, 10, 20, 20), (255, 255, 255))
    assert canvas.image is ours
    canvas.fill((30, 10, 40, 20), (255, 255, 255))
    assert canvas.finish() is ours
    luma = download(ours).planes[0]
    assert luma[12, 12] == luma[12, 32] == 235
    assert luma[12, 25] == 16


def test_what_is_drawn_on_a_part_is_drawn_on_the_whole(gpu):
    whole = gpu.blank(64, 48)
    before = whole.planes[0].ready
    canvas = gpu.canvas(gpu.crop(whole, (20, 10, 64, 48)))
    canvas.fill((0, 0, 4, 4), (255, 255, 255))
    canvas.finish()
    assert whole.planes[0].ready is not before  # whoever reads the whole waits for it
    luma = download(whole).planes[0]
    assert (luma[10:14, 20:24] == 235).all() and luma[9, 20] == luma[10, 19] == luma[14, 20] == 16


def test_nothing_to_draw_costs_nothing(gpu):
    image = there(gpu, picture("NV12", 64, 48))
    canvas = gpu.canvas(image)
    canvas.text("far away", (900, 900))
    canvas.rectangle((float("nan"), 0, 5, 5), (1, 2, 3))
    assert canvas.finish() is image


def test_only_pictures_of_yuv_are_drawn_on(gpu):
    with pytest.raises(ValueError, match="cannot draw on RGB in cuda:0, only NV12, P010, I420"):
        gpu.canvas(there(gpu, picture("RGB", 64, 48)))


@pytest.mark.parametrize("far", [float("nan"), float("inf"), -float("inf"), 1e30, -1e7])
def test_coordinates_that_are_none_or_far_away(gpu, far):
    image = picture("NV12", 320, 180)
    canvases = gpu.canvas(there(gpu, image)), CPU.canvas(image)
    for canvas in canvases:
        canvas.rectangle((10, 10, far, 50), (255, 0, 0), 3)
        canvas.fill((10, far, 50, 90), (255, 0, 0), 0.5)
        canvas.polyline([(10, 10), (50, far)], (0, 255, 0), 3)
        canvas.polygon([(10, 10), (far, 60), (70, 90)], (0, 0, 255), 0.5)
        canvas.circle((far, 20), 5, (0, 255, 0), 0)
        canvas.text("hello", (far, 20), (0, 255, 0))
        canvas.polyline([], (0, 255, 0), 3)
        canvas.polygon([], (0, 255, 0))
        canvas.mask(np.ones((4, 4), bool), (10, 10, far, 60), (0, 255, 0))
        canvas.mask(np.ones((4, 4), bool), (11, 10, 11, 60), (0, 255, 0))
        canvas.mask(np.ones((4, 4), bool), (30, 50, 10, 41), (0, 255, 0))
        canvas.arrow((5, 5), (5, 5), (0, 255, 0))
        canvas.text("", (5, 5), (0, 255, 0))
        canvas.circle((5, 5), -1, (0, 255, 0), 0)
    got, want = (canvas.finish() for canvas in canvases)
    assert differences(download(got), want)[1] >= 40
