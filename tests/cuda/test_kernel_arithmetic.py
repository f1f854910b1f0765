"""The kernel that fills a network's input, compiled for the processor: the numbers of imaging/cpu.py, to the bit."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import millrace.imaging
from millrace.cuda.memory import DeviceArray
from millrace.imaging.cpu import open_imaging
from millrace.imaging.cuda import Input, Rows, _input, _shape, _strides
from millrace.media import Image, InputSpec

STAND_INS = """
#include <cmath>
#include <cstring>
using std::floor; using std::ceil; using std::fmin; using std::rintf;
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline unsigned short half_bits(float value) {
    _Float16 half = (_Float16)value; unsigned short bits; std::memcpy(&bits, &half, 2); return bits;
}
struct Index { unsigned int x, y, z; };
static Index blockIdx, threadIdx, blockDim = {1, 1, 1};
"""
LOOPS = """
#define RUN(NAME, OUT) extern "C" void run_##NAME(const Row* rows, OUT* out, const Input* to, int count) { \\
    for (int z = 0; z < count; z++) for (int y = 0; y < to->height; y++) for (int x = 0; x < to->width; x++) { \\
        blockIdx.x = x; blockIdx.y = y; blockIdx.z = z; NAME(rows, out, *to); } }
RUN(to_float32, float) RUN(to_float16, Half) RUN(to_uint8, Byte) RUN(to_int8, signed char)
"""
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "scale": 1 / 255}
SHAPES = {
    "NV12": lambda h, w: [(h, w), ((h + 1) // 2, (w + 1) // 2, 2)],
    "I420": lambda h, w: [(h, w), ((h + 1) // 2, (w + 1) // 2), ((h + 1) // 2, (w + 1) // 2)],
    "RGB": lambda h, w: [(h, w, 3)],
    "GRAY8": lambda h, w: [(h, w)],
}
SHAPES |= {"P010": SHAPES["NV12"], "BGR": SHAPES["RGB"], "GRAY16": SHAPES["GRAY8"]}


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++ to compile the kernel with")
    folder = tmp_path_factory.mktemp("kernels")
    source = Path(millrace.imaging.__path__[0], "kernels.cu").read_text()
    (folder / "kernels.cpp").write_text(STAND_INS + source + LOOPS)
    command = [compiler, "-O2", "-ffp-contract=off", "-shared", "-fPIC", "-o", "kernels.so", "kernels.cpp"]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    if made.returncode and "_Float16" in made.stderr:
        pytest.skip("this g++ has no float16")
    assert made.returncode == 0, made.stderr
    return ctypes.CDLL(str(folder / "kernels.so"))


def by_kernel(kernels, images, spec, boxes=None, out=None):
    """What the kernel makes of pictures in ordinary memory."""
    there = []
    for image in images:
        planes = [DeviceArray(None, p.ctypes.data, p.shape, p.dtype, p.strides) for p in image.planes]
        there.append(
            Image(image.format, planes, image.width, image.height, matrix=image.matrix, full_range=image.full_range)
        )
    rows, placements = Rows().of(there, spec, boxes)
    out = np.empty(_shape(spec, len(images)), spec.dtype) if out is None else out
    array = DeviceArray(None, out.ctypes.data, out.shape, out.dtype, out.strides)
    to = _input(spec, _strides(array, spec, len(images)))
    run = getattr(kernels, f"run_to_{spec.dtype}")
    run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(Input), ctypes.c_int]
    run(rows.ctypes.data, out.ctypes.data, ctypes.byref(to), len(images))
    return out, placements


def picture(rng, format, width, height, **how):
    dtype, top = ("uint16", 65536) if format in ("P010", "GRAY16") else ("uint8", 256)
    planes = [rng.integers(0, top, shape).astype(dtype) for shape in SHAPES[format](height, width)]
    return Image(format, planes, width, height, **how)


def same(kernels, images, spec, boxes=None, out=None):
    got, where = by_kernel(kernels, images, spec, boxes, out)
    want, places = open_imaging().to_tensor(images, spec, boxes=boxes)
    assert where == places
    assert np.array_equal(got, want), np.abs(got.astype(float) - want.astype(float)).max()


@pytest.mark.parametrize("format", SHAPES)
@pytest.mark.parametrize(
    "spec",
    [
        InputSpec(96, 64, "BGR", fit="letterbox-top-left"),
        InputSpec(61, 47, "RGB", dtype="float16", **IMAGENET),
        InputSpec(80, 80, "GRAY", layout="NHWC", dtype="uint8", fit="stretch"),
        InputSpec(33, 40, "RGB", layout="NHWC", antialias=True, scale=1 / 255),
        InputSpec(40, 31, "BGR", dtype="int8", scale=1.3, mean=(140, 120, 100)),
    ],
    ids=str,
)
def test_every_format_to_every_kind_of_input(kernels, format, spec):
    rng = np.random.default_rng(5)
    how = {"matrix": "bt709", "full_range": True} if spec.height == 47 else {}
    images = [picture(rng, format, *size, **how) for size in ((127, 75), (126, 74), (33, 21), (192, 128))]
    same(kernels, images, spec)


def test_parts_of_pictures_at_odd_places(kernels):
    rng = np.random.default_rng(6)
    frame = picture(rng, "NV12", 161, 91, matrix="bt709")
    corners = rng.uniform([-10, -10], [150, 80], (40, 2))
    boxes = np.hstack([corners, corners + rng.uniform(12, 90, (40, 2))]).astype(np.float32)
    for spec in (InputSpec(24, 48, fit="stretch", **IMAGENET), InputSpec(32, 32, antialias=True)):
        same(kernels, [frame] * 40, spec, boxes)


def test_whole_pictures_and_parts_in_one_call(kernels):
    frames = [picture(np.random.default_rng(n), format, 64, 48) for n, format in enumerate(("NV12", "P010", "I420"))]
    same(kernels, frames, InputSpec(40, 30), [None, (3.4, 5.6, 31, 40), None])


def test_sizes_that_need_no_mixing(kernels):
    rng = np.random.default_rng(8)
    for size in ((64, 48), (128, 96), (192, 144)):  # as it is, halves, thirds
        for antialias in (False, True):
            same(kernels, [picture(rng, "NV12", *size)], InputSpec(64, 48, fit="stretch", antialias=antialias))


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ([(0, 0, 9, 9)] * 2, "2 boxes for 1 pictures"),
        ([(99, 0, 120, 9)], r"box \[99.0, 0.0, 120.0, 9.0\] has no pixel"),
    ],
)
def test_boxes_that_cannot_be(boxes, words):
    plane = DeviceArray(None, 0, (48, 64), "uint8")
    image = Image("GRAY8", [plane], 64, 48)
    with pytest.raises(ValueError, match=words):
        Rows().of([image], InputSpec(8, 8), boxes)


@pytest.mark.parametrize("dtype", ["float16", "float32", "uint8", "int8"])
@pytest.mark.parametrize("room", [0, 1])
def test_pictures_where_channels_lie_together(kernels, dtype, room):
    """As networks want it, in half precision with room for a fourth channel, which is nothing."""
    rng = np.random.default_rng(11)
    spec = InputSpec(37, 29, "BGR", dtype=dtype, **(IMAGENET if dtype == "float16" else {}))
    memory = np.full((3, 29, 37, 3 + room), 77, dtype)
    out = memory[..., :3].transpose(0, 3, 1, 2)
    images = [picture(rng, format, 64, 48) for format in ("NV12", "RGB")]
    same(kernels, images, spec, out=out[:2])
    assert not memory[:2, ..., 3:].any()
    assert (memory[2] == 77).all()


def test_pictures_in_every_second_place(kernels):
    """Memory between the numbers is not touched, where it is not one number behind a pixel's three."""
    rng = np.random.default_rng(12)
    frame = picture(rng, "NV12", 40, 30)
    for shape, part in (
        ((2, 3, 16, 44), np.s_[:, :, :, ::2]),
        ((2, 3, 32, 22), np.s_[:, :, ::2]),
        ((4, 3, 16, 22), np.s_[::2]),
    ):
        memory = np.full(shape, -5, np.float32)
        same(kernels, [frame] * 2, InputSpec(22, 16), out=memory[part])
        memory[part] = -5
        assert (memory == -5).all()
    grey = np.full((1, 16, 22, 4), 9, np.uint8)
    same(kernels, [frame], InputSpec(22, 16, "GRAY", "NHWC", "uint8"), out=grey[..., :1])
    assert (grey[..., 1:] == 9).all()


def test_arrays_that_do_not_fit():
    spec = InputSpec(22, 16)
    for shape, dtype in (((2, 3, 16, 22), "float32"), ((1, 16, 22, 3), "float32"), ((1, 3, 16, 22), "float16")):
        with pytest.raises(ValueError, match=r"out is .*, needed is float32\(1, 3, 16, 22\)"):
            _strides(DeviceArray(None, 0, shape, dtype), spec, 1)
