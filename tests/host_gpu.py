"""A GPU played by the CPU: our kernels compiled as C++, the driver's calls as NumPy's and ctypes' own.

It shows that the arithmetic and the code around it are right. It shows nothing of streams and events: all is done at
once, in the order in which it is queued.
"""

# ruff: noqa: N815

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import threading
from collections import defaultdict, deque
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from millrace.cuda import memory
from millrace.cuda.context import Stream
from millrace.imaging import cuda_launch
from millrace.media import Image

HEADER = Path(__file__).with_name("host_kernels.h")


class Flags:
    CU_STREAM_NON_BLOCKING = CU_EVENT_DISABLE_TIMING = CU_EVENT_BLOCKING_SYNC = 1


class Kinds:
    CU_MEMORYTYPE_HOST, CU_MEMORYTYPE_DEVICE = 1, 2


class Driver:
    """The calls of cuda.bindings.driver that pictures need; every one answers (0, result)."""

    CUstream_flags = CUevent_flags = Flags
    CUmemorytype, CUDA_MEMCPY2D = Kinds, SimpleNamespace

    def __init__(self) -> None:
        self.held: dict[int, Any] = {}
        self.copied = 0  # bytes between host and device

    def _allocate(self, size: int, *_: Any) -> tuple[int, int]:
        block = (ctypes.c_ubyte * (size + 64))()
        address = (ctypes.addressof(block) + 63) // 64 * 64
        ctypes.memset(address, 0xA5, size)
        self.held[address] = block
        return 0, address

    def _free(self, address: Any, *_: Any) -> tuple[int]:
        del self.held[int(address)]
        return (0,)

    cuMemAlloc = cuMemAllocAsync = cuMemHostAlloc = _allocate
    cuMemFree = cuMemFreeAsync = cuMemFreeHost = _free

    def _copy(self, to: int, origin: Any, size: int, *_: Any) -> tuple[int]:
        ctypes.memmove(int(to), int(origin), size)
        return (0,)

    def _across(self, to: int, origin: Any, size: int, *_: Any) -> tuple[int]:
        self.copied += size
        return self._copy(to, origin, size)

    cuMemcpyDtoDAsync = _copy
    cuMemcpyHtoDAsync = cuMemcpyDtoHAsync = _across

    def cuMemcpy2DAsync(self, rows: Any, stream: Any) -> tuple[int]:
        to = int(rows.dstHost) or int(rows.dstDevice)
        for row in range(rows.Height):
            ctypes.memmove(to + row * rows.dstPitch, int(rows.srcDevice) + row * rows.srcPitch, rows.WidthInBytes)
        if rows.dstMemoryType == Kinds.CU_MEMORYTYPE_HOST:
            self.copied += rows.Height * rows.WidthInBytes
        return (0,)

    def _nothing(self, *_: Any) -> tuple[int, int]:
        return 0, 1

    cuStreamCreateWithPriority = cuEventCreate = cuStreamEndCapture = _nothing

    def _done(self, *_: Any) -> tuple[int]:
        return (0,)

    cuEventRecord = cuStreamWaitEvent = cuStreamSynchronize = cuEventQuery = cuEventSynchronize = _done


class Calls:
    """See millrace.cuda.calls.Calls."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        for name in (
            "cuEventRecord", "cuEventQuery", "cuStreamWaitEvent", "cuMemcpyDtoDAsync", "cuMemcpyHtoDAsync",
            "cuMemFreeAsync",
        ):  # fmt: skip
            setattr(self, name, partial(self._code, getattr(driver, name)))

    @staticmethod
    def _code(call: Any, *arguments: Any) -> int:
        return int(call(*arguments)[0])

    def cuMemAllocAsync(self, place: ctypes.c_void_p, size: int, stream: int) -> int:
        place.value = self._driver.cuMemAllocAsync(size, stream)[1]
        return 0


class HostGpu:
    """See millrace.cuda.context.Gpu."""

    ordinal, name = 0, "cuda:0"

    def __init__(self) -> None:
        self.driver = Driver()
        self.calls = Calls(self.driver)
        self.free_events: deque[Any] = deque()
        self.free_streams: defaultdict[int, deque[Any]] = defaultdict(deque)
        self.copies = Stream(self, 0)  # type: ignore[arg-type]
        self.copying = threading.Lock()

    def use(self, again: bool = False) -> None: ...

    def visited(self) -> AbstractContextManager[None]:
        return nullcontext()

    def stream(self, priority: str) -> Stream:
        return Stream(self, 0)  # type: ignore[arg-type]

    thread_stream = stream


class HostModule:
    """See millrace.cuda.kernel.Module. With MILLRACE_SANITIZE=address,undefined g++ checks what kernels do: see
    tests/runtimes/test_kernel_memory.py."""

    folder: Path
    made: dict[int, ctypes.CDLL] = {}

    def __init__(self, gpu: Any, source: str, memory: Any = None) -> None:
        key = hash(source)
        if key not in self.made:
            path = self.folder / f"k{abs(key)}.cpp"
            path.write_text(as_cpp(source))
            library = path.with_suffix(".so")
            done = subprocess.run(
                [*COMPILE, "-shared", "-fPIC", *sanitized(), str(path), "-o", str(library)],
                capture_output=True, text=True,
            )  # fmt: skip
            if done.returncode:
                pytest.fail(done.stderr[:4000])
            self.made[key] = ctypes.CDLL(str(library))
        self._library = self.made[key]

    def __getitem__(self, name: str) -> HostKernel:
        return HostKernel(getattr(self._library, f"run_{name}"), getattr(self._library, f"sizes_{name}"))


COMPILE = ("g++", "-O2", "-std=c++17", "-ffp-contract=off", "-w", "-pthread")


def as_cpp(source: str) -> str:
    """A .cu file as C++, with two functions for each kernel: one launches it, one tells the sizes of its parameters."""
    names = re.findall(r'^extern "C" __global__ void (\w+)\(', source, re.M)
    calls = "\n".join(
        f'extern "C" void run_{name}(int* g, int* b, void** a) {{ launch(MILLRACE_KERNELS::{name}, g, b, a); }}\n'
        f'extern "C" int sizes_{name}(int* out) {{ return sizes(MILLRACE_KERNELS::{name}, out); }}'
        for name in names
    )
    together = "#define TOGETHER\n" if "__syncthreads()" in source else ""
    return f'{together}#include "{HEADER}"\nnamespace MILLRACE_KERNELS {{\n{source}\n}}\n{calls}\n'


def sanitized() -> tuple[str, ...]:
    what = os.environ.get("MILLRACE_SANITIZE")
    return (f"-fsanitize={what}", "-fno-sanitize-recover=all", "-g") if what else ()


class HostKernel:
    def __init__(self, function: Any, sizes: Any) -> None:
        self.function = function
        found = (ctypes.c_int * 64)()
        self.sizes = found[: sizes(found)]

    def launch(self, stream: Any, grid: Any, block: Any, arguments: list[Any]) -> None:
        assert [ctypes.sizeof(each) for each in arguments] == self.sizes
        assert all(0 < side < 65536 for side in (*grid[1:], *block)) and 0 < grid[0] < 1 << 31
        assert block[0] * block[1] * block[2] <= 1024
        pointers = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(a) for a in arguments))
        self.function((ctypes.c_int * 3)(*grid), (ctypes.c_int * 3)(*block), pointers)


@pytest.fixture
def host_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> HostGpu:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed: kernels are compiled for the CPU with it")
    HostModule.folder = tmp_path_factory.getbasetemp()
    monkeypatch.setattr(cuda_launch, "Module", HostModule)
    monkeypatch.setattr(cuda_launch, "_modules", {})
    monkeypatch.setattr(memory, "_pools", {})
    return HostGpu()


def upload(gpu: Any, image: Image, read_only: bool = True) -> Image:
    """The same picture in the GPU's memory."""
    planes = []
    for plane in image.planes:
        packed = np.ascontiguousarray(plane)
        array = memory.empty(gpu.copies, packed.shape, packed.dtype)
        gpu.use()
        gpu.driver.cuMemcpyHtoDAsync(array.pointer, packed.ctypes.data, packed.nbytes, gpu.copies.native)
        array.ready = gpu.copies.record()
        gpu.copies.synchronize()
        planes.append(array)
    return Image(
        image.format, planes, image.width, image.height, matrix=image.matrix, full_range=image.full_range,
        memory=gpu.name, read_only=read_only,
    )  # fmt: skip


def download(image: Image) -> Image:
    """The same picture in the CPU's."""
    return Image(
        image.format, [plane.numpy() for plane in image.planes], image.width, image.height,
        matrix=image.matrix, full_range=image.full_range,
    )  # fmt: skip


def differences(a: Image, b: Image) -> tuple[int, float]:
    """The largest difference of a sample, and the peak signal-to-noise ratio in dB over all samples."""
    assert (a.format, a.width, a.height) == (b.format, b.width, b.height)
    both = [(np.asarray(p, np.int64), np.asarray(q, np.int64)) for p, q in zip(a.planes, b.planes, strict=True)]
    assert all(p.shape == q.shape for p, q in both), [(p.shape, q.shape) for p, q in both]
    off = np.concatenate([(p - q).ravel() for p, q in both])
    mean, peak = float((off**2).mean()), np.iinfo(np.asarray(a.planes[0]).dtype).max
    return int(np.abs(off).max()), 99.0 if mean == 0 else 10 * np.log10(peak**2 / mean)
