"""The kernel against the formulas of imaging/cuda.py's docstring in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.cuda.context import gpu
from millrace.cuda.memory import DeviceArray
from millrace.imaging.cuda import open_imaging
from millrace.media import Image, InputSpec
from millrace.media.colour import yuv_to_rgb
from millrace.media.tensor import fitted_size, place

USUAL = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "scale": 1 / 255}


def bilinear(plane, width, height):
    """[rows, columns, channels] in float64; half-pixel centres, clamped."""

    def taps(size, target):
        at = np.clip((np.arange(target) + 0.5) / target * size - 0.5, 0, size - 1)
        low = at.astype(int)
        return low, np.minimum(low + 1, size - 1), at - low

    y0, y1, ty = taps(plane.shape[0], height)
    x0, x1, tx = taps(plane.shape[1], width)
    rows = plane[y0] * (1 - ty)[:, None, None] + plane[y1] * ty[:, None, None]
    return rows[:, x0] * (1 - tx)[:, None] + rows[:, x1] * tx[:, None]


def reference(luma, chroma, image, spec):
    width, height = fitted_size(image.width, image.height, spec)
    where = place(image.width, image.height, spec)
    offset, gain, v_to_r, u_to_g, v_to_g, u_to_b = yuv_to_rgb(image.matrix, image.full_range)
    base = (bilinear(luma[..., None], width, height)[..., 0] - offset) * gain
    u, v = np.moveaxis(bilinear(chroma, width, height), 2, 0) - 128.0
    rgb = np.clip(np.stack([base + v_to_r * v, base + u_to_g * u + v_to_g * v, base + u_to_b * u]), 0, 255)
    whole = np.full((3, spec.height, spec.width), float(spec.pad))
    left, top = int(where.offset_x), int(where.offset_y)
    whole[:, top : top + height, left : left + width] = rgb if spec.colour == "RGB" else rgb[::-1]
    mean, std = (np.asarray(values)[:, None, None] for values in (spec.mean, spec.std))
    return (whole * spec.scale - mean) / std


def picture(torch, device, rng, width, height, format="NV12", **how):
    """A random picture on the GPU, and its planes in levels of 0..255."""
    dtype, top = ("uint8", 256) if format == "NV12" else ("uint16", 65536)
    shapes = (height, width), (height // 2, width // 2, 2)
    planes = [rng.integers(0, top, shape).astype(dtype) for shape in shapes]
    held = [torch.from_numpy(p.view("int16") if top > 256 else p).to(device) for p in planes]
    torch.cuda.synchronize()
    arrays = [DeviceArray(gpu(device), t.data_ptr(), p.shape, dtype) for t, p in zip(held, planes, strict=True)]
    image = Image(format, arrays, width, height, memory=device, owner=held, **how)
    return image, *(p / (top / 256) for p in planes)


@pytest.mark.parametrize(
    ("size", "spec", "format", "how"),
    [
        ((1920, 1080), InputSpec(640, 384, "BGR", fit="letterbox-top-left"), "NV12", {}),
        ((1280, 720), InputSpec(416, 416, "RGB", scale=1 / 255), "NV12", {"matrix": "bt709"}),
        ((642, 358), InputSpec(960, 544, fit="stretch", **USUAL), "NV12", {"full_range": True}),
        ((1920, 1080), InputSpec(640, 384, dtype="float16", scale=1 / 255), "NV12", {}),
        ((640, 360), InputSpec(321, 323, scale=1 / 255), "P010", {"matrix": "bt2020"}),
    ],
)
def test_pictures_become_tensors(torch, device, size, spec, format, how):
    rng, imaging = np.random.default_rng(7), open_imaging(device)
    made = [picture(torch, device, rng, *size, format, **how) for _ in range(3)]
    tensor, placements = imaging.to_tensor([image for image, _, _ in made], spec)
    want = np.stack([reference(luma, chroma, image, spec) for image, luma, chroma in made])
    assert tensor.shape == want.shape
    assert np.abs(tensor.numpy() - want).max() <= np.abs(want).max() * (1e-3 if spec.dtype == "float16" else 3e-4)
    assert placements == [place(*size, spec)] * 3


def test_pictures_of_several_sizes_in_one_call(torch, device):
    rng, imaging = np.random.default_rng(9), open_imaging(device)
    made = [picture(torch, device, rng, *size) for size in ((640, 360), (320, 480), (128, 128))]
    spec = InputSpec(256, 192)
    tensor, placements = imaging.to_tensor([image for image, _, _ in made], spec)
    for got, (image, luma, chroma) in zip(tensor.numpy(), made, strict=True):
        assert np.abs(got - reference(luma, chroma, image, spec)).max() < 0.1
    assert len({placement.scale_x for placement in placements}) == 2  # 0.4 twice, 1.5


def test_what_the_kernel_does_not_cover_is_one_sentence(torch, device):
    image, _, _ = picture(torch, device, np.random.default_rng(1), 64, 48)
    with pytest.raises(ValueError, match="GRAY NCHW float32 is not made on a GPU yet"):
        open_imaging(device).to_tensor([image], InputSpec(32, 32, "GRAY"))


def test_another_library_reads_the_tensor_through_dlpack(torch, device):
    image, _, _ = picture(torch, device, np.random.default_rng(1), 64, 48)
    tensor, _ = open_imaging(device).to_tensor([image], InputSpec(32, 32))
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        other = torch.from_dlpack(tensor)
        assert np.array_equal(other.cpu().numpy(), tensor.numpy())
