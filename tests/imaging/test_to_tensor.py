"""to_tensor against plain float64 arithmetic, and against real frames by way of RGB."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from millrace.imaging.cpu import open_imaging
from millrace.media import Image, InputSpec
from millrace.media.colour import LUMA
from millrace.media.tensor import fitted_size, place

imaging = open_imaging()


def bilinear(plane: np.ndarray, width: int, height: int) -> np.ndarray:
    """Half-pixel centres, clamped at the borders, float64."""

    def axis(have: int, want: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        at = np.clip((np.arange(want) + 0.5) * have / want - 0.5, 0, have - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, have - 1), at - low

    values = plane.astype(np.float64)
    top, bottom, down = axis(plane.shape[0], height)
    left, right, along = axis(plane.shape[1], width)
    rows = values[top] * (1 - down)[:, None] + values[bottom] * down[:, None]
    return rows[:, left] * (1 - along) + rows[:, right] * along


def to_levels(y, u, v, matrix: str, full_range: bool) -> np.ndarray:
    """R, G, B [3, h, w] from the definition: E'R - E'Y = 2 (1 - Kr) E'Pr and so on; chroma terms as whole levels."""
    kr, kb = LUMA[matrix]
    luma, scale = (y, 1) if full_range else ((y - 16) * 255 / 219 - 0.5, 255 / 224)
    cb, cr = (u - 128) * scale, (v - 128) * scale
    kg = 1 - kr - kb
    red, blue = np.floor(2 * (1 - kr) * cr), np.floor(2 * (1 - kb) * cb)
    green = np.floor(-2 * (1 - kr) * kr / kg * cr) + np.floor(-2 * (1 - kb) * kb / kg * cb)
    return np.clip(np.stack([luma + red, luma + green, luma + blue]), 0, 255)


def reference(image: Image, spec: InputSpec) -> np.ndarray:
    """[3, h, w] float64 in spec's colours, bordered and normalised."""
    width, height = fitted_size(image.width, image.height, spec)
    shift = 256.0 if image.format == "P010" else 1.0
    chroma = image.planes[1:] if image.format == "I420" else (image.planes[1][..., 0], image.planes[1][..., 1])
    y, u, v = (bilinear(plane, width, height) / shift for plane in (image.planes[0], *chroma))
    small = to_levels(y, np.rint(u), np.rint(v), image.matrix, image.full_range)
    out = np.full((3, spec.height, spec.width), float(spec.pad))
    placed = place(image.width, image.height, spec)
    left, top = int(placed.offset_x), int(placed.offset_y)
    out[:, top : top + height, left : left + width] = small if spec.colour == "RGB" else small[::-1]
    return (out * spec.scale - np.reshape(spec.mean, (3, 1, 1))) / np.reshape(spec.std, (3, 1, 1))


def smooth(rng: np.random.Generator, height: int, width: int, low: float, high: float) -> np.ndarray:
    """A plane with slopes and edges, uint8."""
    return np.rint(low + (high - low) * bilinear(rng.random((5, 7)), width, height)).astype(np.uint8)


def picture(format: str = "I420", width: int = 96, height: int = 54, stride: int = 0, **tags) -> Image:
    rng = np.random.default_rng(width * height)
    half = ((height + 1) // 2, (width + 1) // 2)
    y, u, v = smooth(rng, height, width, 5, 250), smooth(rng, *half, 40, 215), smooth(rng, *half, 40, 215)
    if stride:
        y, u, v = (np.pad(plane, ((0, 0), (0, stride)))[:, : plane.shape[1]] for plane in (y, u, v))
    planes = [y, u, v] if format == "I420" else [y, np.dstack([u, v])]
    if format == "P010":
        planes = [plane.astype(np.uint16) << 8 for plane in planes]
    for plane in planes:
        plane.flags.writeable = False  # as a decoder's memory may be
    return Image(format, planes, width, height, read_only=True, **tags)


@pytest.mark.parametrize("fit", ["letterbox", "letterbox-top-left", "stretch"])
@pytest.mark.parametrize("format", ["I420", "NV12", "P010"])
def test_equals_plain_arithmetic(format: str, fit: str):
    image, spec = picture(format, stride=32), InputSpec(64, 48, fit=fit)
    tensor, placements = imaging.to_tensor([image], spec)
    assert tensor.shape == (1, 3, 48, 64) and tensor.dtype == np.float32
    assert placements == [place(96, 54, spec)]
    off = np.abs(tensor[0] - reference(image, spec))
    assert off.mean() < 0.7 and off.max() < 4.6  # Y is rounded after resizing; U may be rounded the other way


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full_range", [False, True])
def test_matrix_and_range(matrix: str, full_range: bool):
    image = picture(matrix=matrix, full_range=full_range)
    spec = InputSpec(96, 54, colour="BGR")  # no resizing, so chroma alone is interpolated
    off = np.abs(imaging.to_tensor([image], spec)[0][0] - reference(image, spec))
    assert off.mean() < 0.4 and off.max() < 3.6


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 2), (3, 5), (321, 181), (33, 400), (640, 2)])
def test_any_size(width: int, height: int):
    image, spec = picture(width=width, height=height), InputSpec(64, 48)
    off = np.abs(imaging.to_tensor([image], spec)[0][0] - reference(image, spec))
    assert off.mean() < 1.2 and off.max() < 4.6


def test_normalisation_is_per_channel_in_the_spec_s_order():
    spec = InputSpec(64, 48, scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), pad=0)
    image = picture()
    tensor = imaging.to_tensor([image], spec)[0][0]
    assert np.abs(tensor - reference(image, spec)).max() < 4.6 / 255 / 0.22
    assert np.allclose(tensor[:, 0, 0], -np.array(spec.mean) / spec.std)  # the border is normalised too
    swapped = imaging.to_tensor([image], replace(spec, colour="BGR", mean=spec.mean[::-1], std=spec.std[::-1]))[0][0]
    assert np.allclose(tensor, swapped[::-1], atol=1e-5)


def test_negative_std_still_saturates():
    white = Image("I420", [np.full((8, 8), 255, np.uint8), *[np.full((4, 4), 128, np.uint8)] * 2], 8, 8)
    tensor, _ = imaging.to_tensor([white], InputSpec(8, 8, scale=1 / 255, mean=(1, 1, 1), std=(-1, -1, -1)))
    assert np.allclose(tensor, 0.0, atol=1e-6)


def test_layouts_and_dtypes_agree():
    image, spec = picture(), InputSpec(64, 48)
    plain = imaging.to_tensor([image], spec)[0]
    last = imaging.to_tensor([image], replace(spec, layout="NHWC"))[0]
    assert last.shape == (1, 48, 64, 3) and np.array_equal(last.transpose(0, 3, 1, 2), plain)
    whole = imaging.to_tensor([image], replace(spec, dtype="uint8"))[0]
    assert whole.dtype == np.uint8 and np.array_equal(whole, np.rint(plain))
    half = imaging.to_tensor([image], replace(spec, dtype="float16"))[0]
    assert half.dtype == np.float16 and np.allclose(half, plain, atol=0.07)


def test_grey_models_see_luma_over_the_whole_range():
    image = Image("I420", [np.full((8, 8), 235, np.uint8), *[np.full((4, 4), 90, np.uint8)] * 2], 8, 8)
    tensor, _ = imaging.to_tensor([image], InputSpec(8, 8, colour="GRAY"))
    assert tensor.shape == (1, 1, 8, 8) and np.allclose(tensor, 255, atol=1e-3)


@pytest.mark.parametrize("format", ["RGB", "BGR"])
def test_packed_pictures(format: str):
    rgb = np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = Image(format, [rgb if format == "RGB" else rgb[..., ::-1].copy()], 8, 6)
    tensor, _ = imaging.to_tensor([image], InputSpec(8, 6))
    assert np.array_equal(tensor[0].transpose(1, 2, 0), rgb)
    grey, _ = imaging.to_tensor([image], InputSpec(8, 6, colour="GRAY"))
    assert np.allclose(grey[0, 0], rgb @ [0.299, 0.587, 0.114], atol=1)


def test_grey_pictures():
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
    for image in (Image("GRAY8", [grey], 8, 6), Image("GRAY16", [grey.astype(np.uint16) << 8], 8, 6)):
        tensor, _ = imaging.to_tensor([image], InputSpec(8, 6))
        assert np.array_equal(tensor[0], np.broadcast_to(grey, (3, 6, 8)))


def test_antialias_averages_areas():
    stripes = np.tile(np.array([16, 235], np.uint8), (64, 32))  # as fine as can be: grey from afar
    image = Image("I420", [stripes, *[np.full((32, 32), 128, np.uint8)] * 2], 64, 64)
    soft, _ = imaging.to_tensor([image], InputSpec(12, 12, antialias=True))
    hard, _ = imaging.to_tensor([image], InputSpec(12, 12))
    assert np.ptp(soft) < 60 < np.ptp(hard)


def test_several_pictures_of_several_sizes_and_a_given_out():
    images, spec = [picture(), picture("NV12", 40, 70)], InputSpec(64, 48)
    out = np.full((2, 3, 48, 64), np.nan, np.float32)
    given, placements = imaging.to_tensor(images, spec, out)
    assert given is out and not np.isnan(out).any() and len(placements) == 2
    for row, image in zip(out, images, strict=True):
        assert np.array_equal(row, imaging.to_tensor([image], spec)[0][0])


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="float32, float16, uint8"):
        imaging.to_tensor([picture()], InputSpec(8, 8, dtype="int8"))
    with pytest.raises(ValueError, match="needed is float32"):
        imaging.to_tensor([picture()], InputSpec(8, 8), np.zeros((1, 3, 8, 9), np.float32))
    with pytest.raises(ValueError, match="cuda:0"):
        imaging.to_tensor([Image("NV12", [], 8, 8, memory="cuda:0")], InputSpec(8, 8))


def test_threads_do_not_share_buffers():
    """Inputs in flight keep their pixels while other threads make theirs."""
    images, spec = [picture(width=200 + 8 * n, height=160) for n in range(4)], InputSpec(192, 192)
    wanted = [imaging.to_tensor([image], spec)[0].copy() for image in images]

    def work(index: int) -> bool:
        held = [imaging.to_tensor([images[index]], spec)[0] for _ in range(6)]
        return all(np.array_equal(tensor, wanted[index]) for tensor in held)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, [n % 4 for n in range(24)], timeout=60))


@pytest.mark.parametrize("name", ["car-detection.mp4", "pedestrians_626x360_vfr.mp4", "derived/car_mjpeg_640x360.avi"])
def test_real_frames_equal_the_way_through_rgb(corpus: Path, name: str):
    """Against libswscale's RGB resized by OpenCV, in grey levels."""
    import av
    import cv2

    with av.open(str(corpus / "videos" / name)) as file:
        frame = next(f for index, f in enumerate(file.decode(video=0)) if index == 10)
    rows = [np.frombuffer(p, np.uint8).reshape(p.height, p.line_size)[:, : p.width] for p in frame.planes]
    image = Image("I420", rows, frame.width, frame.height, full_range=frame.format.name == "yuvj420p", owner=frame)
    spec = InputSpec(416, 416, colour="BGR", fit="letterbox-top-left")
    width, height = fitted_size(frame.width, frame.height, spec)
    wanted = cv2.resize(frame.to_ndarray(format="bgr24"), (width, height)).astype(np.float32).transpose(2, 0, 1)
    tensor = imaging.to_tensor([image], spec)[0][0]
    off = tensor[:, :height, :width] - wanted
    assert np.abs(off).mean() < 0.8 and np.abs(off.mean(axis=(1, 2))).max() < 0.15
    assert np.all(tensor[:, height:] == 114)


@pytest.mark.parametrize("format", ["I420", "NV12", "P010"])
def test_parts_of_a_picture_equal_the_same_pixels_cut_out_of_its_rgb(format: str):
    image, spec = picture(format, 97, 55), InputSpec(24, 40, fit="letterbox")
    rgb = imaging.convert(image, "RGB").planes[0]
    boxes = [(10.2, 7.6, 33.4, 41.4), (11, 9, 12, 10), (-50, 30.0, 1e9, 70)]
    tensor, placements = imaging.to_tensor([image] * 4, spec, boxes=[*boxes, None])
    for row, placed, (x1, y1, x2, y2) in zip(
        tensor, placements, [(10, 8, 33, 41), (11, 9, 12, 10), (0, 30, 97, 55)], strict=False
    ):
        cut = Image("RGB", [rgb[y1:y2, x1:x2]], x2 - x1, y2 - y1)
        wanted, alone = imaging.to_tensor([cut], spec)
        assert np.abs(row - wanted[0]).max() <= 1
        across, down, left, top = alone[0][:4]
        corners = np.array([[left, top, left + (x2 - x1) * across, top + (y2 - y1) * down]], np.float32)
        assert np.allclose(placed.to_source(corners), [[x1, y1, x2, y2]], atol=1e-3)
    assert np.array_equal(tensor[3], imaging.to_tensor([image], spec)[0][0])


@pytest.mark.parametrize("box", [(np.nan, 0, 9, 9), (5, 5, 4, 9), (200, 0, 300, 9), (-9, -9, 0, 0)])
def test_a_box_without_pixels_is_an_error(box: tuple[float, ...]):
    with pytest.raises(ValueError, match="has no pixel of 96x54"):
        imaging.to_tensor([picture()], InputSpec(8, 8), boxes=[box])
