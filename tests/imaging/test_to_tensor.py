"""to_tensor, with the C part and without, against the published steps written out in NumPy; and against real frames."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from reference.tensors import resized, rgb_of, tensor_of

from millrace.imaging import cpu, kernels
from millrace.imaging.cpu import open_imaging
from millrace.media import Image, InputSpec
from millrace.media.tensor import corner, fitted_size, place

imaging = open_imaging()
FORMATS = ("I420", "NV12", "P010", "RGB", "BGR", "GRAY8", "GRAY16")
SIZES = ((96, 54), (97, 55), (1, 1), (2, 3), (321, 181), (33, 400), (64, 2))
IMAGENET = {"scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@pytest.fixture(params=["C", "OpenCV"], autouse=True)
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs with the C part, where it was built, and without."""
    if request.param == "OpenCV":
        monkeypatch.setattr(kernels, "THERE", False)
    elif not kernels.THERE:
        pytest.skip("the C part is not built")


def picture(format: str = "I420", width: int = 96, height: int = 54, stride: int = 0, **tags) -> Image:
    """Noise over every level, in memory that is not ours to write; `stride`: rows with that many bytes more."""
    rng = np.random.default_rng(width * height)
    half = ((height + 1) // 2, (width + 1) // 2)
    shapes = {
        "I420": [(height, width), half, half], "NV12": [(height, width), (*half, 2)],
        "RGB": [(height, width, 3)], "GRAY8": [(height, width)],
    }  # fmt: skip
    kind = {"P010": "NV12", "BGR": "RGB", "GRAY16": "GRAY8"}.get(format, format)
    sixteen = format in ("P010", "GRAY16")
    planes = []
    for shape in shapes[kind]:
        plane = rng.integers(0, 65536 if sixteen else 256, shape, dtype=np.uint16 if sixteen else np.uint8)
        if stride:
            plane = np.pad(plane, ((0, 0), (0, stride), *[(0, 0)] * (len(shape) - 2)))[:, : shape[1]]
        plane.flags.writeable = False
        planes.append(plane)
    return Image(format, planes, width, height, read_only=True, **tags)


def assert_equal(tensor: np.ndarray, wanted: np.ndarray) -> None:
    """Equal where levels are as they are, else but for the last bits of a float."""
    tolerance = {"float32": 2e-6, "float16": 1e-3, "uint8": 0, "int8": 0}[str(tensor.dtype)] * max(
        1.0, float(np.abs(wanted).max())
    )
    off = np.abs(tensor.astype(float) - wanted)
    assert off.max() <= tolerance, f"{(off > tolerance).mean():.2%} are off, by up to {off.max()}"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_and_size(format: str, size: tuple[int, int]):
    image, spec = picture(format, *size), InputSpec(64, 48)
    tensor, placements = imaging.to_tensor([image], spec)
    assert tensor.shape == (1, 3, 48, 64) and tensor.dtype == np.float32
    assert placements == [place(*size, spec)]
    assert np.array_equal(tensor[0], tensor_of(image, spec))


@pytest.mark.parametrize("fit", ["letterbox", "letterbox-top-left", "stretch"])
@pytest.mark.parametrize("size", [(96, 54), (192, 108), (288, 162), (97, 200), (64, 48), (8, 8), (700, 20)])
def test_every_fit_larger_smaller_and_by_whole_factors(fit: str, size: tuple[int, int]):
    image, spec = picture("I420", *size, stride=32), InputSpec(96, 54, fit=fit)
    assert np.array_equal(imaging.to_tensor([image], spec)[0][0], tensor_of(image, spec))


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("format", ["I420", "NV12", "P010"])
@pytest.mark.parametrize("colour", ["RGB", "BGR", "GRAY"])
def test_every_matrix_and_range(format: str, matrix: str, full_range: bool, colour: str):
    image, spec = picture(format, 77, 41, matrix=matrix, full_range=full_range), InputSpec(64, 48, colour=colour)
    assert np.array_equal(imaging.to_tensor([image], spec)[0][0], tensor_of(image, spec))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8"])
@pytest.mark.parametrize("colour", ["RGB", "BGR", "GRAY"])
@pytest.mark.parametrize("format", ["I420", "BGR", "GRAY16"])
@pytest.mark.parametrize("normal", [{}, IMAGENET, {"scale": 2.0, "mean": (30.0,), "std": (0.7,)}])
def test_every_layout_dtype_and_normalisation(layout: str, dtype: str, colour: str, format: str, normal: dict):
    spec = InputSpec(40, 48, layout=layout, dtype=dtype, colour=colour, **normal)
    image = picture(format, 77, 41)
    tensor = imaging.to_tensor([image], spec)[0][0]
    assert tensor.dtype == dtype
    assert_equal(tensor, tensor_of(image, spec))


def test_all_colours_there_are():
    """Each U and V with luma from end to end, in both ranges: all that can saturate."""
    u, v = (c.astype(np.uint8) for c in np.meshgrid(np.arange(256), np.arange(256)))
    for full_range in (False, True):
        for low, high in ((0, 85), (86, 170), (171, 255)):
            luma = np.full((512, 512), low, np.uint8)
            luma[::2, ::2], luma[1::2, 1::2] = high, (low + high) // 2
            image = Image("I420", [luma, u, v], 512, 512, full_range=full_range)
            tensor, _ = imaging.to_tensor([image], InputSpec(512, 512, dtype="uint8", layout="NHWC"))
            assert np.array_equal(tensor[0], rgb_of(image))


def test_views_of_any_stride():
    """Mirrored, every second row, turned planes: what NumPy may hand over."""
    image = picture("I420", 96, 54)
    for cut in (np.s_[::-1], np.s_[:, ::-1], np.s_[::-1, ::-1]):
        turned = image.with_planes([plane[cut] for plane in image.planes])
        plain = image.with_planes([np.ascontiguousarray(plane) for plane in turned.planes])
        assert np.array_equal(*(imaging.to_tensor([i], InputSpec(64, 48))[0] for i in (turned, plain)))
    sparse = picture("I420", 192, 108)
    thin = Image("I420", [plane[::2, ::2] for plane in sparse.planes], 96, 54)
    assert np.array_equal(imaging.to_tensor([thin], InputSpec(64, 48))[0][0], tensor_of(thin, InputSpec(64, 48)))
    tall = Image("GRAY16", [picture("GRAY16", 54, 96).planes[0].T], 96, 54)
    assert np.array_equal(imaging.to_tensor([tall], InputSpec(64, 48))[0][0], tensor_of(tall, InputSpec(64, 48)))


def test_the_border_is_normalised_too():
    spec = InputSpec(64, 48, pad=0, **IMAGENET)
    tensor = imaging.to_tensor([picture()], spec)[0][0]
    assert np.allclose(tensor[:, 0, 0], -np.array(spec.mean) / spec.std)


def test_grey_models_see_luma_over_the_whole_range():
    image = Image("I420", [np.full((8, 8), 235, np.uint8), *[np.full((4, 4), 90, np.uint8)] * 2], 8, 8)
    tensor, _ = imaging.to_tensor([image], InputSpec(8, 8, colour="GRAY"))
    assert tensor.shape == (1, 1, 8, 8) and np.all(tensor == 255)


@pytest.mark.parametrize("size", [(97, 54), (120, 110), (24, 22), (36, 22), (12, 11), (13, 400), (12, 30)])
@pytest.mark.parametrize("format", FORMATS)
def test_antialias_averages_areas(format: str, size: tuple[int, int]):
    import cv2

    image, spec = picture(format, *size), InputSpec(12, 11, fit="stretch", antialias=True)
    wanted = cv2.resize(rgb_of(image), (12, 11), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
    off = imaging.to_tensor([image], spec)[0][0] - wanted
    assert np.abs(off).max() <= 1 and (off == 0).mean() > 0.99  # other builds of OpenCV may add in another order


def test_antialias_where_a_side_grows_is_plain_bilinear():
    image, spec = picture("I420", 97, 54), InputSpec(120, 11, fit="stretch", antialias=True)
    assert np.array_equal(imaging.to_tensor([image], spec)[0][0], tensor_of(image, spec))


def test_several_pictures_of_several_sizes_and_a_given_out():
    images, spec = [picture(), picture("NV12", 40, 70)], InputSpec(64, 48)
    out = np.full((2, 3, 48, 64), np.nan, np.float32)
    given, placements = imaging.to_tensor(images, spec, out)
    assert given is out and not np.isnan(out).any() and len(placements) == 2
    for row, image in zip(out, images, strict=True):
        assert np.array_equal(row, imaging.to_tensor([image], spec)[0][0])


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="float32, float16, uint8, int8"):
        imaging.to_tensor([picture()], InputSpec(8, 8, dtype="int16"))
    with pytest.raises(ValueError, match="needed is float32"):
        imaging.to_tensor([picture()], InputSpec(8, 8), np.zeros((1, 3, 8, 9), np.float32))
    with pytest.raises(ValueError, match="cuda:0"):
        imaging.to_tensor([Image("NV12", [], 8, 8, memory="cuda:0")], InputSpec(8, 8))
    with pytest.raises(ValueError, match="pad 256"):
        imaging.to_tensor([picture()], InputSpec(8, 8, pad=256))


@pytest.mark.parametrize(
    "planes",
    [
        [],
        [np.zeros((8, 8), np.uint8)],
        [np.zeros((8, 8), np.uint8), *[np.zeros((4, 5), np.uint8)] * 2],
        [np.zeros((7, 8), np.uint8), *[np.zeros((4, 4), np.uint8)] * 2],
        [np.zeros((8, 8), np.uint16), *[np.zeros((4, 4), np.uint8)] * 2],
        [np.zeros((8, 8, 1), np.uint8), *[np.zeros((4, 4), np.uint8)] * 2],
    ],
)
def test_planes_that_do_not_fit_are_an_error(planes: list[np.ndarray]):
    with pytest.raises(ValueError, match=r"Image\(I420 8x8 cpu\) cannot have planes"):
        imaging.to_tensor([Image("I420", planes, 8, 8)], InputSpec(8, 8))


def test_a_picture_of_nothing_is_an_error():
    nothing = Image("GRAY8", [np.zeros((0, 8), np.uint8)], 8, 0)
    with pytest.raises(ValueError, match="8x0"):
        imaging.to_tensor([nothing], InputSpec(8, 8))
    assert imaging.to_tensor([], InputSpec(8, 8))[0].shape == (0, 3, 8, 8)


def test_threads_do_not_share_buffers():
    """Inputs in flight keep their pixels while other threads make theirs."""
    images, spec = [picture(width=200 + 8 * n, height=160) for n in range(4)], InputSpec(192, 192)
    wanted = [imaging.to_tensor([image], spec)[0].copy() for image in images]

    def work(index: int) -> bool:
        held = [imaging.to_tensor([images[index]], spec)[0] for _ in range(6)]
        return all(np.array_equal(tensor, wanted[index]) for tensor in held)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, [n % 4 for n in range(24)], timeout=60))


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
@pytest.mark.parametrize("format", FORMATS)
def test_parts_of_a_picture_equal_the_same_pixels_cut_out_of_its_rgb(format: str, fit: str):
    image, spec = picture(format, 97, 55), InputSpec(24, 40, fit=fit)
    boxes = [(10.2, 7.6, 33.4, 41.4), (11, 9, 12, 10), (-50, 30.0, 1e9, float("inf")), (96.9, 54.9, 97, 55)]
    tensor, placements = imaging.to_tensor([image] * 5, spec, boxes=[*boxes, None])
    parts = [(10, 8, 33, 41), (11, 9, 12, 10), (0, 30, 97, 55), (96, 54, 97, 55)]
    for row, placed, part in zip(tensor, placements, parts, strict=False):
        assert np.array_equal(row, tensor_of(image, spec, part))
        size = part[2] - part[0], part[3] - part[1]
        left, top = corner(*size, spec)
        there = [left, top, left + size[0] * placed.scale_x, top + size[1] * placed.scale_y]
        assert np.allclose(placed.to_source(np.array([there], np.float32)), [part], atol=1e-3)
    assert np.array_equal(tensor[4], imaging.to_tensor([image], spec)[0][0])


def test_parts_of_a_frame_as_an_array():
    image, spec = picture("NV12", 96, 54), InputSpec(16, 16, fit="stretch")
    boxes = np.array([[0, 0, 40, 50], [20, 11, 37, 28]], np.float32)
    tensor, _ = imaging.to_tensor([image] * 2, spec, boxes=boxes)
    assert all(
        np.array_equal(t, tensor_of(image, spec, tuple(map(int, b)))) for t, b in zip(tensor, boxes, strict=True)
    )
    with pytest.raises(ValueError, match="2 boxes for 1 pictures"):
        imaging.to_tensor([image], spec, boxes=boxes)


@pytest.mark.parametrize("box", [(np.nan, 0, 9, 9), (5, 5, 4, 9), (200, 0, 300, 9), (-9, -9, 0, 0)])
def test_a_box_without_pixels_is_an_error(box: tuple[float, ...]):
    with pytest.raises(ValueError, match="has no pixel of 96x54"):
        imaging.to_tensor([picture()], InputSpec(8, 8), boxes=[box])


@pytest.mark.parametrize("name", ["car-detection.mp4", "pedestrians_626x360_vfr.mp4", "derived/car_mjpeg_640x360.avi"])
def test_real_frames_equal_libswscale_and_opencv(corpus: Path, name: str):
    """Not our own reading of them: PyAV's RGB, resized by cv2.resize."""
    import av
    import cv2

    with av.open(str(corpus / "videos" / name)) as file:
        frame = next(f for index, f in enumerate(file.decode(video=0)) if index == 10)
    rows = [np.frombuffer(p, np.uint8).reshape(p.height, p.line_size)[:, : p.width] for p in frame.planes]
    image = Image("I420", rows, frame.width, frame.height, full_range=frame.format.name == "yuvj420p", owner=frame)
    spec = InputSpec(416, 416, colour="BGR", fit="letterbox-top-left")
    width, height = fitted_size(frame.width, frame.height, spec)
    wanted = cv2.resize(frame.to_ndarray(format="bgr24"), (width, height)).transpose(2, 0, 1)
    off = imaging.to_tensor([image], spec)[0][0][:, :height, :width] - wanted
    assert np.abs(off).max() <= 1 and (off == 0).mean() > 0.999


def test_our_reading_of_opencv_s_resize_is_right():
    import cv2

    rng = np.random.default_rng(3)
    for width, height, want_width, want_height in (2 ** rng.uniform(0, 8, (60, 4))).astype(int):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        off = resized(pixels, want_width, want_height).astype(int) - cv2.resize(pixels, (want_width, want_height))
        assert np.abs(off).max() <= 1 and (off == 0).mean() > 0.98  # other builds of OpenCV may round otherwise


def test_the_c_part_is_the_one_that_runs(monkeypatch: pytest.MonkeyPatch):
    if kernels.THERE:
        monkeypatch.setattr(cpu, "levels", None)  # the other way is not gone
        imaging.to_tensor([picture()], InputSpec(8, 8))
