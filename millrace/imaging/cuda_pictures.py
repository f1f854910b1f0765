"""Pictures on a GPU converted, put together, cut out, turned, scaled, fetched by maps and made unrecognisable.

Every method does what the function of its name does on the CPU (compose, convert, scale, remap and privacy.py), to
within a level where sums are rounded; 10 bits that are resized are reduced to 8 on the way.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..cuda.context import Gpu, check
from ..cuda.memory import DeviceArray, Memory
from ..media import Image
from ..media.colour import LUMA, rgb_to_yuv, yuv_to_rgb
from ..media.image import Format, Matrix
from .base import Area, Colour, Conceal, Turn
from .cuda_canvas import Atlas, CudaCanvas
from .cuda_conceal import conceal
from .cuda_launch import PACKED, YUV, Launcher, View, Views, views, views_of
from .cuda_staging import Staging
from .lay import visible
from .text import SANS

FORMATS = ("I420", "NV12", "RGB", "BGR", "GRAY8")
METHODS = {"auto": 0, "nearest": 1, "bilinear": 2, "area": 3}
_WAYS = {  # columns and rows change places, then columns, rows are read backwards
    "horizontal": (0, 1, 0),
    "vertical": (0, 0, 1),
    "half": (0, 1, 1),
    "clockwise": (1, 0, 1),
    "counterclockwise": (1, 1, 0),
    "transpose": (1, 0, 0),
    "transverse": (1, 1, 1),
}
_FILE = "planes.cu"
_int = ctypes.c_int


class CudaPictures:
    """The part of imaging.base.Imaging that gives pictures. Used by one thread at a time."""

    def __init__(self, gpu: Gpu) -> None:
        self.memory = gpu.name
        self._launcher = Launcher(gpu)
        self._atlas = Atlas(self._launcher)
        self._staging = Staging(self._launcher)
        self._plans: dict[tuple[int, ...], _Plan] = {}

    def upload(self, image: Image) -> Image:
        """A picture of the CPU's memory on the GPU: see Staging.upload. One that is there already stays itself."""
        return image if image.memory == self.memory else self._staging.upload(image)

    def canvas(self, image: Image, font: str = SANS) -> CudaCanvas:
        """Something to draw on; 10 bits become 8."""
        self._check(image, "canvas")
        return CudaCanvas(self._launcher, self._atlas, image, font)

    def blank(self, width: int, height: int, colour: Colour = (0, 0, 0), matrix: Matrix = "bt601") -> Image:
        tags = Image("I420", [], width, height, matrix=matrix)
        out = self._launcher.picture("I420", width, height, tags)
        self._fill(views_of(out), rgb_to_yuv(*colour, matrix, False))
        self._launcher.done(out)
        return out

    def put(self, image: Image, target: Image, box: Area) -> None:
        """As on the CPU; the target may be NV12, too."""
        self._check(image, "put")
        x1, y1, x2, y2 = box
        outside = not (0 <= x1 < x2 <= target.width and 0 <= y1 < y2 <= target.height)
        odd = x1 % 2 or y1 % 2 or (x2 % 2 and x2 != target.width) or (y2 % 2 and y2 != target.height)
        if target.format not in ("I420", "NV12") or target.read_only or outside or odd:
            raise ValueError(
                f"put: {box} of {target!r} cannot be written; it must be I420 or NV12, ours, and the box on even pixels"
            )
        same = (image.matrix, image.full_range) == (target.matrix, target.full_range)
        if image.format not in YUV or not same:
            image = self._recoded(self.scale(self.convert(image, _eight_bit(image)), x2 - x1, y2 - y1), target)
        self._launcher.reads(image)
        self._launcher.writes(target)
        self._resize(views_of(image), views_of(_part(target, box)), 0)
        self._launcher.done(target, image)

    def crop(self, image: Image, box: Area) -> Image:
        """Views of its planes: they are ready when the picture is, and what is drawn on them is drawn on it."""
        self._check(image, "crop")
        x1, y1 = (max(0, value // 2 * 2) for value in box[:2])
        x2, y2 = min(image.width, box[2]), min(image.height, box[3])
        if x1 >= x2 or y1 >= y2:
            raise ValueError(f"crop: {tuple(box)} has no pixel of {image.width}x{image.height}")
        return _part(image, (x1, y1, x2, y2))

    def turn(self, image: Image, how: Turn) -> Image:
        self._check(image, "turn")
        over, columns, rows = _WAYS[how]
        size = (image.height, image.width) if over else (image.width, image.height)
        out = self._launcher.picture(image.format, *size, image)
        between = (columns and image.width % 2) | (rows and image.height % 2) << 1 if image.format in YUV else 0
        self._launcher.reads(image)
        origin, target = views_of(image), views_of(out)
        flags = [_int(value) for value in (over, columns, rows, between)]
        self._planes("turn", views(origin, target), target, flags)
        self._launcher.done(out, image)
        return out

    def scale(
        self, image: Image, width: int, height: int, area: Area | None = None, method: str = "auto",
        colour: Colour = (0, 0, 0),
    ) -> Image:  # fmt: skip
        """As on the CPU, but for cubic and lanczos, which raise ValueError."""
        self._check(image, "scale")
        if method not in METHODS:
            raise ValueError(f"scale: method {method!r} is not there on {self.memory}, only {', '.join(METHODS)}")
        x1, y1, x2, y2 = area = area or (0, 0, width, height)
        outside = not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height)
        if outside or x1 % 2 or y1 % 2 or (x2 % 2 and x2 != width) or (y2 % 2 and y2 != height):
            raise ValueError(f"scale: {area} is no area of {width}x{height} on even pixels")
        out = self._launcher.picture(image.format, width, height, image)
        if area != (0, 0, width, height):
            self._fill(views_of(out), _levels(image, colour))
        self._launcher.reads(image)
        self._resize(views_of(image), views_of(_part(out, area)), METHODS[method])
        self._launcher.done(out, image)
        return out

    def lay(
        self, image: Image, colours: NDArray[Any], area: Area | None, opacity: float, smooth: bool = False
    ) -> Image:
        self._check(image, "lay")
        image = self.convert(image, _eight_bit(image))
        colours, (x1, y1, x2, y2) = visible(colours, area, image.width, image.height)
        if x1 >= x2 or y1 >= y2 or not opacity > 0:
            return image
        rows, columns = colours.shape[:2]
        given = Image("RGB", [colours], columns, rows, matrix=image.matrix, full_range=image.full_range)
        over = self.scale(self.upload(given), x2 - x1, y2 - y1, method="bilinear" if smooth else "nearest")
        over = self.convert(over, image.format)
        target = self._copied(image) if image.read_only else image
        self._launcher.reads(over)
        self._launcher.writes(target)
        part = views_of(_part(target, (x1, y1, x2, y2)))
        self._planes("weighted", views(views_of(over), part), part, [ctypes.c_float(min(1.0, opacity))])
        self._launcher.done(target, over)
        return target

    def remap(self, image: Image, ways: Any) -> Image:
        """See imaging.remap: `ways` keeps its maps in the form of cv2.remap, which are sent to the GPU once."""
        self._check(image, "remap")
        height, width = ways.x.shape
        out = self._launcher.picture(cast(Format, _eight_bit(image)), width, height, image)
        origin, target = views_of(image), views_of(out)
        planar = image.format in YUV
        luma = self._plan(ways, 1, origin[0])
        chroma = self._plan(ways, 2, origin[1]) if planar else luma
        plans = _Plans(luma.whole, luma.rest, chroma.whole, chroma.rest)
        levels = _Levels((_int * 3)(*_levels(out, (0, 0, 0))))
        self._launcher.reads(image)
        arguments = [plans, _int(planar), _int(bool(ways.wraps)), levels]
        self._planes("remap", views(origin, target), target, arguments)
        self._launcher.done(out, image)
        return out

    def conceal(self, image: Image, areas: Sequence[Any], mode: Conceal = "pixelate", strength: float = 1.0) -> Image:
        self._check(image, "conceal")
        return conceal(self._launcher, image, areas, mode, strength, self._copied)

    def convert(self, image: Image, format: str) -> Image:
        self._check(image, "convert")
        if image.format == format:
            return image
        if format not in FORMATS:
            raise ValueError(f"convert: {format!r} is not one of {', '.join(FORMATS)}")
        out = self._launcher.picture(cast(Format, format), image.width, image.height, image)
        self._launcher.reads(image)
        if image.format in YUV:
            self._from_yuv(image, out)
        elif image.format in PACKED:
            self._from_packed(image, out)
        else:
            self._from_grey(image, out)
        self._launcher.done(out, image)
        return out

    def _from_yuv(self, image: Image, out: Image) -> None:
        origin = views_of(image)
        colours = yuv_to_rgb(image.matrix, image.full_range)
        if out.format in YUV:
            self._planes("copy", views(origin, views_of(out)), views_of(out), [])
        elif out.format == "GRAY8":
            offset, gain = colours[:2]
            self._stretch(origin[0], views_of(out)[0], gain, -offset * gain)
        else:
            plane = out.planes[0]
            rest = [ctypes.c_uint64(plane.pointer), _int(plane.row_bytes), _int(out.format == "BGR"), _Six(*colours)]
            size = (image.width, image.height, 1)
            self._launcher.launch(_FILE, "to_packed", size, [views(origin, []), *rest])

    def _from_packed(self, image: Image, out: Image) -> None:
        plane, size = image.planes[0], (image.width, image.height, 1)
        place = [ctypes.c_uint64(plane.pointer), _int(plane.row_bytes)]
        swap = _int(image.format == "BGR")
        if out.format == "GRAY8":
            self._launcher.launch(_FILE, "packed_to_grey", size, [*place, swap, views_of(out)[0]])
        elif out.format in PACKED:
            to = out.planes[0]
            rest = [ctypes.c_uint64(to.pointer), _int(to.row_bytes), _int(out.width), _int(out.height)]
            self._launcher.launch(_FILE, "packed", size, [*place, _int(3), _int(1), *rest])
        else:
            half = ((image.width + 1) // 2, (image.height + 1) // 2, 1)
            self._launcher.launch(_FILE, "from_packed", half, [*place, views([], views_of(out)), _weights(image)])

    def _from_grey(self, image: Image, out: Image) -> None:
        plane, size = image.planes[0], (image.width, image.height, 1)
        if out.format in PACKED:
            to = out.planes[0]
            place = [ctypes.c_uint64(plane.pointer), _int(plane.row_bytes), _int(1), _int(0)]
            rest = [ctypes.c_uint64(to.pointer), _int(to.row_bytes), _int(out.width), _int(out.height)]
            self._launcher.launch(_FILE, "packed", size, [*place, *rest])
            return
        target = views_of(out)
        self._fill(target, (0, 128, 128))
        offset, gain = yuv_to_rgb(image.matrix, image.full_range)[:2]
        self._stretch(views_of(image)[0], target[0], 1.0 / gain, offset)

    def _recoded(self, image: Image, target: Image) -> Image:
        """The picture, which is ours, as I420 in the target's matrix and range."""
        same = (image.matrix, image.full_range) == (target.matrix, target.full_range)
        if not same and image.format in ("I420", "NV12"):
            image = self.convert(image, "RGB")
        image.matrix, image.full_range = target.matrix, target.full_range
        return self.convert(image, "I420")

    def _copied(self, image: Image) -> Image:
        """The same pixels in memory of our own, of the same format, in the order of the launcher's stream."""
        out = self._launcher.picture(image.format, image.width, image.height, image)
        self._launcher.reads(image)
        target = views_of(out)
        self._planes("copy", views(views_of(image), target), target, [])
        self._launcher.done(out, image)
        return out

    def _planes(self, name: str, pair: Views, target: Sequence[View], arguments: list[Any]) -> None:
        size = (target[0].width, target[0].height, len(target))
        self._launcher.launch(_FILE, name, size, [pair, *arguments])

    def _fill(self, target: Sequence[View], levels: Sequence[int]) -> None:
        self._planes("fill", views([], target), target, [_Levels((_int * 3)(*levels))])

    def _resize(self, origin: Sequence[View], target: Sequence[View], method: int) -> None:
        self._planes("resize", views(origin, target), target, [_int(method)])

    def _stretch(self, origin: View, target: View, gain: float, shift: float) -> None:
        size = (target.width, target.height, 1)
        arguments = [origin, target, ctypes.c_float(gain), ctypes.c_float(shift)]
        self._launcher.launch(_FILE, "stretched", size, arguments)

    def _plan(self, ways: Any, halves: int, view: View) -> _Plan:
        key = (id(ways), halves, view.width, view.height)
        if key not in self._plans:
            if len(self._plans) > 64:
                self._plans.clear()
            self._plans[key] = _Plan(self._launcher, ways, *ways.plan(halves, view.width, view.height))
        return self._plans[key]

    def _check(self, image: Image, what: str) -> None:
        if image.memory != self.memory:
            raise ValueError(f"{what}: pixels are in {image.memory}, not in {self.memory}")
        self._launcher.gpu.use()


class _Plan:
    """The maps of one plane on the GPU. Keeps `ways`, whose id names it."""

    def __init__(self, launcher: Launcher, ways: Any, whole: Any, rest: Any) -> None:
        self.ways = ways
        self._memory = [Memory(launcher.stream, array.nbytes) for array in (whole, rest)]
        for memory, array in zip(self._memory, (whole, rest), strict=True):
            packed = np.ascontiguousarray(array)
            driver = launcher.gpu.driver
            check(driver.cuMemcpyHtoDAsync(memory.pointer, packed.ctypes.data, packed.nbytes, launcher.stream.native))
        self.whole, self.rest = (memory.pointer for memory in self._memory)


class _Plans(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("luma", "luma_rest", "chroma", "chroma_rest")]


class _Levels(ctypes.Structure):
    _fields_ = [("of", _int * 3)]


class _Six(ctypes.Structure):
    """struct Colours of planes.cu."""

    _fields_ = [(name, ctypes.c_float) for name in ("offset", "gain", "v_to_r", "u_to_g", "v_to_g", "u_to_b")]


class _Weights(ctypes.Structure):
    _fields_ = [(name, ctypes.c_float * 4) for name in ("y", "u", "v")]


def _weights(image: Image) -> _Weights:
    """What each byte of a packed pixel, in the picture's order, counts in Y, U and V, and what is added."""
    kr, kb = LUMA[image.matrix]
    luma = np.array([kr, 1.0 - kr - kb, kb])
    u, v = (np.array([0.0, 0.0, 1.0]) - luma) / (2 - 2 * kb), (np.array([1.0, 0.0, 0.0]) - luma) / (2 - 2 * kr)
    y_gain, c_gain, offset = (1.0, 1.0, 0.0) if image.full_range else (219.0 / 255.0, 224.0 / 255.0, 16.0)
    rows = [luma * y_gain, u * c_gain, v * c_gain]
    order = slice(None, None, -1 if image.format == "BGR" else 1)
    four = ctypes.c_float * 4
    return _Weights(*(four(*row[order], shift) for row, shift in zip(rows, (offset, 128.0, 128.0), strict=True)))


def _eight_bit(image: Image) -> str:
    return "NV12" if image.format == "P010" else image.format


def _levels(image: Image, colour: Colour) -> Sequence[int]:
    """A colour as samples of each kind."""
    if image.format in PACKED:
        return colour if image.format == "RGB" else colour[::-1]
    if image.format == "GRAY8":
        grey = round(0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2])
        return (grey, grey, grey)
    factor = 256 if image.format == "P010" else 1
    return [part * factor for part in rgb_to_yuv(*colour, image.matrix, image.full_range)]


def _part(image: Image, box: Area) -> Image:
    """x1 y1 x2 y2 as views; left and top are even."""
    x1, y1, x2, y2 = box
    planes = []
    for index, plane in enumerate(image.planes):
        scale = 2 if index else 1
        item = plane.dtype.itemsize
        pixel = item * (plane.shape[2] if len(plane.shape) > 2 else 1)
        top, left, bottom, right = y1 // scale, x1 // scale, -(-y2 // scale), -(-x2 // scale)
        shape = (bottom - top, right - left, *plane.shape[2:])
        strides = (plane.row_bytes, pixel, *((item,) if len(shape) > 2 else ()))
        start = plane.pointer + top * plane.row_bytes + left * pixel
        planes.append(DeviceArray(plane.gpu, start, shape, plane.dtype, strides, plane.owner, plane.ready))
    return Image(
        image.format, planes, x2 - x1, y2 - y1, matrix=image.matrix, full_range=image.full_range,
        memory=image.memory, read_only=image.read_only, owner=image, ready=image.ready,
    )  # fmt: skip
