"""The kernels that fill a network's input, compiled for the processor: the numbers of imaging/cpu.py, to the bit."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from functools import partial
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from host_gpu import host_gpu, upload  # noqa: F401

import millrace.imaging
from millrace.core.errors import ConfigError, MissingExtraError
from millrace.cuda.memory import DeviceArray
from millrace.imaging import cuda, cuda_trial
from millrace.imaging.cpu import open_imaging
from millrace.imaging.cuda import _PREFIXES, Input, Rows, _input, _shape, _strides, path
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
FOR_STRIPS = """
// A block runs twice, its threads one after the other: up to where they meet, and then through.
#define KERNEL extern "C"
#define MEMBER inline
#define SHARED static
#define TOGETHER if (filling) return
static bool filling;
extern "C" int misaligned;
int misaligned;  // reads that a GPU would not do
template <typename T> static inline T fetched(const T* at) {
    misaligned += (unsigned long long)at % sizeof(T) != 0;
    T v; std::memcpy(&v, at, sizeof v); return v;
}
static inline int dot_low(int numbers, unsigned bytes, int c) {
    return c + (short)numbers * (int)(bytes & 255) + (numbers >> 16) * (int)(bytes >> 8 & 255);
}
static inline int dot_high(int numbers, unsigned bytes, int c) { return dot_low(numbers, bytes >> 16, c); }
static inline unsigned saturated(int low, int high) { return clamped(low, 0, 255) | clamped(high, 0, 255) << 8; }
static inline float __int_as_float(int bits) { float v; std::memcpy(&v, &bits, 4); return v; }
static inline float down(double exact) {
    float near = (float)exact;
    return near > exact ? std::nextafterf(near, -INFINITY) : near;
}
static inline float __fmaf_rd(float a, float b, float c) { return down((double)a * b + c); }
static inline float __fadd_rd(float a, float b) { return down((double)a + b); }
static inline float __fmaf_rn(float a, float b, float c) { return std::fmaf(a, b, c); }
template <typename T> static inline void store(T* out, float first, float second) {
    store(out, first);
    store(out + 1, second);
}
static inline const Byte* along(const Byte* at, int lines, int pitch) { return at + (long long)lines * pitch; }
"""
LOOPS = """
#define RUN(NAME, OUT) extern "C" void run_##NAME(const Row* rows, OUT* out, const Input* to, int count) { \\
    for (int z = 0; z < count; z++) for (int y = 0; y < to->height; y++) for (int x = 0; x < to->width; x++) { \\
        blockIdx.x = x; blockIdx.y = y; blockIdx.z = z; threadIdx = {0, 0, 0}; NAME(rows, out, *to); } }
#define RUN_STRIPS(NAME, OUT) extern "C" void run_##NAME(const Row* rows, OUT* out, const Input* to, int count) { \\
    for (int z = 0; z < count; z++) \\
        for (int y = 0; y < to->height; y += DOWN) for (int x = 0; x < to->width; x += ACROSS) \\
            for (int pass = 0; pass < 2; pass++) for (int t = 0; t < DOWN / LINES * ACROSS / 2; t++) { \\
                filling = pass == 0; blockIdx.x = x / ACROSS; blockIdx.y = y / DOWN; blockIdx.z = z; \\
                threadIdx.x = t % (ACROSS / 2); threadIdx.y = t / (ACROSS / 2); NAME(rows, out, *to); } }
#define RUN_BOTH(NAME) RUN_STRIPS(NAME##_to_float32, float) RUN_STRIPS(NAME##_to_float16, Half)
RUN_BOTH(nv12) RUN_BOTH(i420) RUN_BOTH(p010) RUN_BOTH(nv12_halved) RUN_BOTH(i420_halved) RUN_BOTH(p010_halved)
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
    source, strips = (Path(millrace.imaging.__path__[0], name).read_text() for name in ("kernels.cu", "strips.cu"))
    (folder / "kernels.cpp").write_text(STAND_INS + source + FOR_STRIPS + strips + LOOPS)
    command = [compiler, "-O2", "-ffp-contract=off", "-shared", "-fPIC", "-o", "kernels.so", "kernels.cpp"]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    if made.returncode and "_Float16" in made.stderr:
        pytest.skip("this g++ has no float16")
    assert made.returncode == 0, made.stderr
    return ctypes.CDLL(str(folder / "kernels.so"))


def by_kernel(kernels, images, spec, boxes=None, out=None, strips=False):
    """What the kernel makes of pictures in ordinary memory, by strips.cu where it can, and which way it went."""
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
    way = path(rows, out.ctypes.data, to) if strips else 0
    run = getattr(kernels, f"run_{_PREFIXES[way]}to_{spec.dtype}")
    run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(Input), ctypes.c_int]
    run(rows.ctypes.data, out.ctypes.data, ctypes.byref(to), len(images))
    return out, placements, way


def picture(rng, format, width, height, **how):
    dtype, top = ("uint16", 65536) if format in ("P010", "GRAY16") else ("uint8", 256)
    planes = [rng.integers(0, top, shape).astype(dtype) for shape in SHAPES[format](height, width)]
    return Image(format, planes, width, height, **how)


def same(kernels, images, spec, boxes=None, out=None):
    """Both kernels give what the CPU does, to the bit. Returns the way that the pictures went through strips.cu."""
    want, places = open_imaging().to_tensor(images, spec, boxes=boxes)
    for strips in (False, True):
        got, where, way = by_kernel(kernels, images, spec, boxes, out, strips)
        assert where == places
        assert np.array_equal(got, want), np.abs(got.astype(float) - want.astype(float)).max()
        assert np.array_equal(np.signbit(got), np.signbit(want))
        assert not ctypes.c_int.in_dll(kernels, "misaligned").value
    return way


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


NV12, I420, P010, HALVED = 1, 2, 3, 4
WAYS = {"NV12": NV12, "I420": I420, "P010": P010}


@pytest.mark.parametrize("room", [0, 1])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(("format", "way"), WAYS.items())
@pytest.mark.parametrize("fit", ["stretch", "letterbox", "letterbox-top-left"])
def test_strips(kernels, format, way, fit, dtype, room):
    """Sizes that grow, shrink, stay, or end within a block; borders at odd places; colours in both orders."""
    rng = np.random.default_rng(21)
    for n, (width, height) in enumerate(((82, 74), (130, 34), (38, 96))):
        how = {"matrix": ("bt601", "bt709", "bt2020")[n], "full_range": n == 1}
        images = [picture(rng, format, *size, **how) for size in ((82, 74), (62, 50), (246, 222), (124, 33), (2, 2))]
        spec = InputSpec(width, height, ("RGB", "BGR")[n % 2], dtype=dtype, fit=fit, pad=17 * n, **IMAGENET)
        memory = np.zeros((len(images), height, width, 4), dtype)
        out = memory[..., :3].transpose(0, 3, 1, 2) if room else None
        assert same(kernels, images, spec, out=out) == way
        assert not memory[..., 3].any()


@pytest.mark.parametrize("format", ["NV12", "I420", "P010"])
def test_parts_in_strips(kernels, format):
    rng = np.random.default_rng(22)
    frame = picture(rng, format, 162, 91, matrix="bt709")
    corners = rng.uniform([-10, -10], [150, 80], (60, 2))
    boxes = np.hstack([corners, corners + rng.uniform(12, 90, (60, 2))]).astype(np.float32)
    for spec in (InputSpec(24, 48, fit="stretch", **IMAGENET), InputSpec(34, 32, "BGR", dtype="float16")):
        assert same(kernels, [frame] * 60, spec, boxes) == WAYS[format]
    assert same(kernels, [frame], spec, [(5, 5, 6, 40)]) == 0  # one column has no two neighbours


@pytest.mark.parametrize(("format", "way"), WAYS.items())
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("height", [40, 57, 80, 160])
@pytest.mark.parametrize("antialias", [False, True])
def test_strips_of_half_the_width(kernels, format, way, dtype, height, antialias):
    rng = np.random.default_rng(23)
    images = [picture(rng, format, 160, 80, matrix=matrix) for matrix in ("bt709", "bt601")]
    spec = InputSpec(80, height, "BGR", dtype=dtype, fit="stretch", antialias=antialias, **IMAGENET)
    means = antialias and height not in (40, 160)
    assert same(kernels, images, spec) == (0 if means and height <= 80 else way + HALVED)
    tall = InputSpec(80, 64, dtype=dtype)  # letterbox: a border above and below
    assert same(kernels, images, tall) == way + HALVED
    assert same(kernels, [*images, picture(rng, format, 120, 80)], tall) == way
    boxes = [(8, 3, 72, 53), (12, 1, 76, 79)]
    assert same(kernels, images, InputSpec(32, 30, dtype=dtype, fit="stretch"), boxes) == way + HALVED
    odd = [(8, 3, 72, 53), (10, 1, 74, 79)]  # the second begins within a word
    assert same(kernels, images, InputSpec(32, 30, dtype=dtype, fit="stretch"), odd) == way


def test_strips_of_every_colour(kernels):
    """Each luma with each U and each V that a picture can hold, dark and bright ones beyond what can be shown."""
    shades = np.arange(0, 256, 3, dtype=np.uint8)
    for chroma in (0, 64, 128, 200, 255):
        luma = np.repeat(np.repeat(shades, 2)[None], 172, 0)
        tints = np.empty((86, 86, 2), np.uint8)
        tints[..., 0], tints[..., 1] = shades[:, None], chroma
        for planes in ([luma, tints], [luma, np.ascontiguousarray(tints[..., ::-1])]):
            image = Image("NV12", planes, 172, 172, matrix="bt709")
            assert same(kernels, [image], InputSpec(172, 172, fit="stretch")) == NV12
            assert same(kernels, [image], InputSpec(86, 86, fit="stretch")) == NV12 + HALVED


def test_what_strips_leave_to_the_general_kernel(kernels):
    rng = np.random.default_rng(24)
    frame = picture(rng, "NV12", 64, 48)
    for spec in (
        InputSpec(33, 24), InputSpec(32, 24, "GRAY"), InputSpec(32, 24, layout="NHWC"),
        InputSpec(32, 24, dtype="uint8"),
        InputSpec(30, 24, antialias=True), InputSpec(32, 24, scale=-1.0), InputSpec(32, 24, scale=0.0),
    ):  # fmt: skip
        assert same(kernels, [frame], spec) == 0
    assert same(kernels, [picture(rng, "RGB", 64, 48)], InputSpec(32, 24)) == 0
    assert same(kernels, [frame, picture(rng, "I420", 64, 48)], InputSpec(32, 24)) == 0
    apart = np.zeros((1, 3, 24, 33), np.float32)[..., :32]
    assert same(kernels, [frame], InputSpec(32, 24), out=apart) == 0


@pytest.mark.parametrize(
    ("format", "width", "beside", "way"),
    [
        ("NV12", 32, 0, NV12 + HALVED), ("NV12", 32, 2, NV12), ("NV12", 32, 1, 0), ("NV12", 30, 2, NV12),
        ("P010", 32, 0, P010 + HALVED), ("P010", 32, 4, P010), ("P010", 32, 2, 0), ("P010", 30, 4, P010),
        ("I420", 32, 0, I420 + HALVED), ("I420", 32, 1, I420), ("I420", 30, 1, I420),
    ],
)  # fmt: skip
def test_strips_of_samples_beside_even_places(kernels, format, width, beside, way):
    """What is read two or four bytes at a time lies in such places."""
    whole = picture(np.random.default_rng(26), format, 64, 48)
    moved = []
    for plane in whole.planes:
        memory = np.empty(plane.nbytes + 64, np.uint8)
        first = -memory.ctypes.data % 32 + beside
        moved.append(memory[first : first + plane.nbytes].view(plane.dtype).reshape(plane.shape))
        moved[-1][:] = plane
    image = Image(format, moved, 64, 48)
    assert same(kernels, [image], InputSpec(width, 24, fit="stretch")) == way


def played_imaging(kernels, gpu, monkeypatch, instead=None):
    """An imaging whose kernels are these, and a list that gets (name, grid, block, whether with room) of each launch.

    `instead(name, run, arguments, bytes of the result)` may do something else than `run()`.
    """
    launched = []

    def launch(name, stream, grid, block, arguments):
        rows, out, to = arguments
        launched.append((name, grid, block, bool(to.room)))
        run = partial(
            getattr(kernels, f"run_{name}"),
            ctypes.c_void_p(rows.value), ctypes.c_void_p(out.value), ctypes.byref(to), grid[2],
        )  # fmt: skip
        if instead is None:
            run()
        else:
            size = np.dtype(name.partition("to_")[2]).itemsize
            instead(name, run, arguments, to.picture * size * grid[2])

    class Played(dict):
        def __missing__(self, name):
            return SimpleNamespace(launch=partial(launch, name))

    monkeypatch.setattr(cuda, "Module", lambda gpu, source: Played())
    monkeypatch.setattr(cuda, "_modules", {})
    monkeypatch.setattr(cuda, "_strips", {})
    return cuda.CudaImaging(gpu), launched


def test_launches_cover_the_input(kernels, host_gpu, monkeypatch):  # noqa: F811
    """What CudaImaging launches, of which kernel, and how many blocks of what size."""
    imaging, launched = played_imaging(kernels, host_gpu, monkeypatch)
    rng = np.random.default_rng(25)
    source = Path(millrace.imaging.__path__[0], "strips.cu").read_text()
    across, down, lines = map(int, re.search(r"ACROSS = (\d+), DOWN = (\d+), LINES = (\d+)", source).groups())
    for format, spec, name in (
        ("NV12", InputSpec(66, 65, dtype="float16"), "nv12_to_float16"),
        ("NV12", InputSpec(64, 48, fit="stretch"), "nv12_halved_to_float32"),
        ("P010", InputSpec(66, 32, "BGR"), "p010_to_float32"),
        ("I420", InputSpec(130, 33), "i420_to_float32"),
        ("NV12", InputSpec(65, 33), "to_float32"),
    ):
        images = [picture(rng, format, 128, 94) for _ in range(3)]
        want, _ = open_imaging().to_tensor(images, spec)
        for strips in (True, False):
            imaging.strips = strips
            got, _ = imaging.to_tensor([upload(host_gpu, image) for image in images], spec)
            assert np.array_equal(got.numpy(), want)
        block, tile = (
            ((32, 8, 1), (32, 8)) if name == "to_float32" else ((across // 2, down // lines, 1), (across, down))
        )
        assert launched[-2] == (name, (-(-spec.width // tile[0]), -(-spec.height // tile[1]), 3), block, False)
        assert launched[-1][0] == f"to_{spec.dtype}"


STRIPS = [
    f"{format}{half}to_{dtype}"
    for format, half, dtype in product(("nv12_", "i420_", "p010_"), ("", "halved_"), ("float16", "float32"))
]


def general_only(imaging, launched, gpu):
    """Whether pictures, of which strips could be made, go through the general kernel, and come out right."""
    launched.clear()
    image, spec = picture(np.random.default_rng(27), "NV12", 64, 48), InputSpec(32, 24)
    got, _ = imaging.to_tensor([upload(gpu, image)], spec)
    assert np.array_equal(got.numpy(), open_imaging().to_tensor([image], spec)[0])
    return [name for name, *_ in launched] == ["to_float32"]


def test_strips_are_tried_once_and_then_used(kernels, host_gpu, monkeypatch, caplog):  # noqa: F811
    held = len(host_gpu.driver.held)
    imaging, launched = played_imaging(kernels, host_gpu, monkeypatch)
    assert len(host_gpu.driver.held) == held + 2 * len(imaging._tables)
    assert imaging.strips and not caplog.records
    assert {(name, room) for name, *_, room in launched} == {
        *product(STRIPS, (False, True)), *product(("to_float16", "to_float32"), (False, True)),
    }  # fmt: skip
    assert [name for name, *_ in launched[:48]] == [case.kernel for case in cuda_trial.cases(trial_images())]
    assert not general_only(imaging, launched, host_gpu)
    launched.clear()
    assert cuda.CudaImaging(host_gpu).strips and not launched


def test_strips_are_not_tried_where_the_user_says_so(kernels, host_gpu, monkeypatch, caplog):  # noqa: F811
    monkeypatch.setenv("MILLRACE_PLAIN_KERNELS", "1")
    imaging, launched = played_imaging(kernels, host_gpu, monkeypatch)
    assert not imaging.strips and not launched and not caplog.records
    monkeypatch.setenv("MILLRACE_PLAIN_KERNELS", "0")
    assert cuda.CudaImaging(host_gpu).strips and launched


def trial_images():
    return [SimpleNamespace(format=format) for format in ("NV12", "I420", "P010")]


def no_work(run, arguments, size):
    pass


def wrong_at_the_end(run, arguments, size):
    run()
    ctypes.c_ubyte.from_address(arguments[1].value + size - 1).value ^= 1


def beyond(run, arguments, size):
    run()
    ctypes.c_ubyte.from_address(arguments[1].value + size).value ^= 1


def no_launch(run, arguments, size):
    raise RuntimeError("CUDA: CUDA_ERROR_INVALID_VALUE")


@pytest.mark.parametrize(
    ("broken", "kinds", "words"),
    [
        (wrong_at_the_end, STRIPS, "when it was tried, {} gave other numbers than the general kernel"),
        (no_work, STRIPS[1:2], "when it was tried, {} gave other numbers than the general kernel"),
        (beyond, STRIPS[:1], "when it was tried, {} wrote beyond its result"),
        (no_launch, STRIPS[-1:], "{} failed when it was tried (RuntimeError: CUDA: CUDA_ERROR_INVALID_VALUE)"),
    ],
)
def test_strips_that_are_wrong_are_not_used(kernels, host_gpu, monkeypatch, caplog, broken, kinds, words):  # noqa: F811
    for kind in kinds:
        caplog.clear()

        def instead(name, run, arguments, size, kind=kind):
            if name == kind:
                broken(run, arguments, size)
            else:
                run()

        imaging, launched = played_imaging(kernels, host_gpu, monkeypatch, instead)
        assert not imaging.strips and not cuda.CudaImaging(host_gpu).strips
        (said,) = caplog.records  # once for the GPU
        assert said.name == "millrace.imaging" and said.levelname == "WARNING"
        assert (
            f"cuda:0: the faster kernels for preparing pictures (strips.cu) are not used: {words.format(kind)}. "
            in (said.getMessage())
        )
        assert "Please report it" in said.getMessage()
        assert general_only(imaging, launched, host_gpu)


def test_strips_are_tried_another_time_where_memory_is_full(kernels, host_gpu, monkeypatch, caplog):  # noqa: F811
    is_full = [True]

    def instead(name, run, arguments, size):
        if is_full:
            raise RuntimeError("CUDA: CUDA_ERROR_OUT_OF_MEMORY")
        run()

    imaging, launched = played_imaging(kernels, host_gpu, monkeypatch, instead)
    assert not imaging.strips and not caplog.records
    is_full.clear()
    assert general_only(imaging, launched, host_gpu)
    assert cuda.CudaImaging(host_gpu).strips


def test_strips_that_do_not_compile_are_not_used(kernels, host_gpu, monkeypatch, caplog):  # noqa: F811
    right, _ = played_imaging(kernels, host_gpu, monkeypatch)

    def compiled(gpu, source):
        if "to_strips" in source:
            raise ConfigError("kernels.cu does not compile for sm_90: strips.cu(5): error\nmore")
        return right._module

    monkeypatch.setattr(cuda, "Module", compiled)
    monkeypatch.setattr(cuda, "_modules", {})
    monkeypatch.setattr(cuda, "_strips", {})
    imaging = cuda.CudaImaging(host_gpu)
    assert not imaging.strips and not cuda.CudaImaging(host_gpu).strips
    (said,) = caplog.records
    assert "not used: kernels.cu does not compile for sm_90: strips.cu(5): error. The" in said.getMessage()


def test_nothing_is_said_of_strips_where_no_kernel_compiles(host_gpu, monkeypatch, caplog):  # noqa: F811
    def missing(gpu, source):
        raise MissingExtraError("device cuda", "cuda-bindings", "cuda")

    monkeypatch.setattr(cuda, "Module", missing)
    monkeypatch.setattr(cuda, "_modules", {})
    with pytest.raises(MissingExtraError):
        cuda.CudaImaging(host_gpu)
    assert not caplog.records
