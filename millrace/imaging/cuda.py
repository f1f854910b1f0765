"""Pictures on an NVIDIA GPU: one kernel from decoder surfaces to a network's input.

For the input's pixel (x, y) inside the picture's part of it, whose corner is (left, top) and whose size iw x ih:
u = (x - left + 0.5) / iw, and luma is read at u * width - 0.5, chroma at u * chroma_width - 0.5, the same for rows:
bilinear with half-pixel centres, clamped at the borders. R, G, B follow from the stream's matrix and range, are
clamped to 0..255 and not rounded; value = (level * scale - mean) / std. Everything else is `pad`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError
from ..cuda.context import Event, Gpu, check, gpu
from ..cuda.kernel import Kernel, Module
from ..cuda.memory import DeviceArray, empty
from ..media import Image, InputSpec, Placement
from ..media.colour import yuv_to_rgb
from ..media.image import Matrix
from ..media.tensor import corner, fitted_size, place
from .base import Area, Boxes, Colour, Conceal, Turn

ROW = np.dtype(  # struct Row of kernels.cu
    [
        *((name, "u8") for name in ("luma", "chroma")),
        *((name, "i4") for name in ("luma_pitch", "chroma_pitch", "width", "height")),
        *((name, "i4") for name in ("left", "top", "inner_width", "inner_height")),
        ("colour", "f4", (6,)),
    ]
)
_BLOCK = (32, 8, 1)
_TABLES = 8  # of pinned memory; the one used longest ago is filled next
_MOST = 256  # pictures of one call
_KINDS = {"NV12": "nv12", "P010": "p010"}


def open_imaging(device: str) -> CudaImaging:
    """The imaging of one GPU; compiles its kernels. Used by one thread at a time. Raises ConfigError without a GPU."""
    return CudaImaging(gpu(device))


class CudaImaging:
    """See imaging.base.Imaging. Drawing and converting are not done here yet: `to_cpu(image)` first."""

    def __init__(self, gpu: Gpu) -> None:
        self.memory = gpu.name
        self._gpu = gpu
        self._stream = gpu.stream("middle")
        self._module = Module(gpu, files(__package__).joinpath("kernels.cu").read_text())
        self._kernels: dict[str, Kernel] = {}
        self._tables = [_Table(gpu) for _ in range(_TABLES)]
        self._next = 0
        self._rows: dict[tuple[Any, ...], tuple[Placement, tuple[Any, ...]]] = {}

    def to_tensor(
        self, images: Sequence[Image], spec: InputSpec, out: DeviceArray | None = None, boxes: Boxes | None = None
    ) -> tuple[DeviceArray, list[Placement]]:
        """Pictures as [n, 3, height, width] of float32 or float16 on the GPU, and where each lies.

        Returns at once: the result's `ready` says when it is filled. The pictures may be dropped afterwards.
        Raises ValueError for a spec or a format that the kernel does not cover.
        """
        if boxes is not None:
            raise ValueError(f"parts of pictures in {self.memory} are not taken yet: decode on the cpu for cascades")
        self._gpu.use()
        _check(images, spec)
        if out is None:
            out = empty(self._stream, (len(images), 3, spec.height, spec.width), spec.dtype)
        placements = []
        table = self._tables[self._next]
        self._next = (self._next + 1) % _TABLES
        rows = table.begin()
        for index, image in enumerate(images):
            placement, numbers = self._placed(image, spec)
            placements.append(placement)
            luma, chroma = image.planes
            rows[index] = (luma.pointer, chroma.pointer, luma.row_bytes, chroma.row_bytes, *numbers)
        self._stream.wait(plane.ready for image in images for plane in image.planes if plane.ready is not None)
        pointer = table.send(len(images), self._stream)
        self._kernel(f"{_KINDS[images[0].format]}_to_{spec.dtype}").launch(
            self._stream,
            (-(-spec.width // _BLOCK[0]), -(-spec.height // _BLOCK[1]), len(images)),
            _BLOCK,
            [
                ctypes.c_uint64(pointer), ctypes.c_uint64(out.pointer), ctypes.c_int(spec.width),
                ctypes.c_int(spec.height), ctypes.c_int(spec.colour == "BGR"), ctypes.c_float(spec.pad), _affine(spec),
            ],
        )  # fmt: skip
        out.ready = table.sent = self._stream.record()
        for image in images:
            for plane in image.planes:
                plane.used(out.ready)
        return out, placements

    def convert(self, image: Image, format: str) -> Image:
        """The picture itself when it has that format; raises ValueError for others."""
        if image.format != format:
            raise ValueError(f"{image.format} is not converted to {format} on {self.memory} yet: use to_cpu(image)")
        return image

    def canvas(self, image: Image, font: str = "sans") -> Any:
        raise self._not_there("drawing on")

    def blank(self, width: int, height: int, colour: Colour = (0, 0, 0), matrix: Matrix = "bt601") -> Image:
        raise self._not_there("composing")

    def put(self, image: Image, target: Image, box: Area) -> None:
        raise self._not_there("composing")

    def crop(self, image: Image, box: Area) -> Image:
        raise self._not_there("cropping")

    def turn(self, image: Image, how: Turn) -> Image:
        raise self._not_there("turning")

    def scale(
        self, image: Image, width: int, height: int, area: Area | None = None, method: str = "auto",
        colour: Colour = (0, 0, 0),
    ) -> Image:  # fmt: skip
        raise self._not_there("scaling")

    def lay(self, image: Image, colours: Any, area: Area | None, opacity: float, smooth: bool = False) -> Image:
        raise self._not_there("laying colours over")

    def remap(self, image: Image, ways: Any) -> Image:
        raise self._not_there("dewarping")

    def conceal(self, image: Image, areas: Sequence[Any], mode: Conceal = "pixelate", strength: float = 1.0) -> Image:
        raise self._not_there("blurring")

    def _not_there(self, what: str) -> ConfigError:
        return ConfigError(f"{what} pictures in {self.memory} is not there yet: decode on the cpu where you draw")

    def _placed(self, image: Image, spec: InputSpec) -> tuple[Placement, tuple[Any, ...]]:
        """Where the picture goes, and the numbers of its row that are the same for all pictures of its kind."""
        key = (image.width, image.height, image.matrix, image.full_range, spec)
        known = self._rows.get(key)
        if known is None:
            placement = place(image.width, image.height, spec)
            inner = fitted_size(image.width, image.height, spec)
            colour = yuv_to_rgb(image.matrix, image.full_range)
            known = placement, (image.width, image.height, *corner(image.width, image.height, spec), *inner, colour)
            self._rows[key] = known
        return known

    def _kernel(self, name: str) -> Kernel:
        if name not in self._kernels:
            self._kernels[name] = self._module[name]
        return self._kernels[name]


class _Table:
    """The rows of one batch: filled in pinned memory, sent to the GPU."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        size = ROW.itemsize * _MOST
        pinned = check(gpu.driver.cuMemHostAlloc(size, 0))
        self._host = int(pinned)
        self._device = int(check(gpu.driver.cuMemAlloc(size)))
        self._rows: NDArray[Any] = np.ctypeslib.as_array((ctypes.c_ubyte * size).from_address(self._host)).view(ROW)
        self.sent: Event | None = None

    def begin(self) -> NDArray[Any]:
        """The rows to fill. Waits in the rare case that the GPU has not read what stood there."""
        if self.sent is not None:
            self.sent.synchronize()
        return self._rows

    def send(self, count: int, stream: Any) -> int:
        check(self._gpu.driver.cuMemcpyHtoDAsync(self._device, self._host, count * ROW.itemsize, stream.native))
        return self._device


class _Affine(ctypes.Structure):
    _fields_ = [("scale", ctypes.c_float * 3), ("bias", ctypes.c_float * 3)]


def _affine(spec: InputSpec) -> _Affine:
    """value = level * scale + bias, for each channel of the output."""
    scale = [spec.scale / std for std in spec.std]
    bias = [-mean / std for mean, std in zip(spec.mean, spec.std, strict=True)]
    triple = ctypes.c_float * 3
    return _Affine(triple(*scale), triple(*bias))


def _check(images: Sequence[Image], spec: InputSpec) -> None:
    if spec.layout != "NCHW" or spec.dtype not in ("float32", "float16") or spec.colour == "GRAY" or spec.antialias:
        raise ValueError(
            f"an input of {spec.colour} {spec.layout} {spec.dtype}{' with antialiasing' if spec.antialias else ''} "
            "is not made on a GPU yet, only RGB or BGR in NCHW of float32 or float16"
        )
    formats = {image.format for image in images}
    if len(formats) != 1 or not formats <= _KINDS.keys():
        raise ValueError(f"pictures of {', '.join(sorted(formats))} are not read on a GPU, only NV12, or only P010")
    if len(images) > _MOST:
        raise ValueError(f"{len(images)} pictures in one call, at most {_MOST} go")


def to_cpu(image: Image) -> Image:
    """The same picture in memory of the CPU. Waits for the GPU."""
    return Image(
        image.format, [plane.numpy() for plane in image.planes], image.width, image.height,
        matrix=image.matrix, full_range=image.full_range,
    )  # fmt: skip
