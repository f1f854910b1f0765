"""A compiled file on a GPU and its kernels, with a driver that only answers."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from millrace.cuda import kernel
from millrace.cuda.kernel import Module


class Code(int):
    name = "CUDA_ERROR_INVALID_VALUE"


@pytest.fixture
def gpu(monkeypatch):
    """What it is `asked`, in order; `room` for the memory that a block shares."""
    asked = []

    def get(module, name):
        asked.append(f"get {name.decode()} of {module}")
        return 0, {b"small": 11, b"large": 22}[name]

    def set_attribute(function, attribute, size):
        asked.append(f"{function}: {attribute} {size}")
        return (0,) if size <= made.room else (Code(1),)

    def launch(function, *sizes_and_places):
        asked.append(f"launch {function} with {sizes_and_places[6]}")
        return 0

    kinds = SimpleNamespace(
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR=8, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR=6
    )
    driver = SimpleNamespace(
        CUdevice_attribute=kinds,
        CUfunction_attribute=SimpleNamespace(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES="most"),
        cuDeviceGet=lambda ordinal: (0, ordinal),
        cuDeviceGetAttribute=lambda kind, device: (0, kind),
        cuModuleLoadData=lambda code: (0, f"module {code}"),
        cuModuleGetFunction=get,
        cuFuncSetAttribute=set_attribute,
    )
    monkeypatch.setattr(kernel, "kept_code", lambda source, architecture: f"{source} for {architecture}")
    made = SimpleNamespace(
        ordinal=0, driver=driver, calls=SimpleNamespace(cuLaunchKernel=launch), asked=asked, room=100_000,
        use=lambda: asked.append("use"),
    )  # fmt: skip
    return made


def test_blocks_of_a_kernel_may_share_more_memory_than_others(gpu):
    module = Module(gpu, "source", {"large": 90_000})
    assert gpu.asked == ["use", "get large of module source for sm_86", "22: most 90000"]
    del gpu.asked[:]
    for name in ("small", "large"):
        module[name].launch(SimpleNamespace(handle=0), (1, 1, 1), (1, 1, 1), [ctypes.c_int(1)])
    assert [each for each in gpu.asked if "launch" in each] == ["launch 11 with 0", "launch 22 with 90000"]
    assert not any("most" in each for each in gpu.asked)  # no such thing while a graph may be recorded


def test_a_gpu_without_room_for_it_has_no_such_module(gpu):
    gpu.room = 65_536
    with pytest.raises(RuntimeError, match="CUDA_ERROR_INVALID_VALUE"):
        Module(gpu, "source", {"large": 90_000})
