"""CUDA C++ kernels, compiled at first use with NVRTC for the GPU that is there."""

from __future__ import annotations

import ctypes
from typing import Any

from ..core.errors import ConfigError, MissingExtraError
from .context import Gpu, Stream, check, succeed


def compile_source(source: str, architecture: str, name: str = "kernels.cu") -> bytes:
    """The machine code (cubin) of CUDA C++ for an architecture such as "sm_90"; needs no GPU.

    Raises ConfigError with the compiler's log when it does not compile.
    """
    try:
        from cuda.bindings import nvrtc
    except ImportError:
        raise MissingExtraError("device cuda", "cuda-bindings", "cuda") from None
    program = check(nvrtc.nvrtcCreateProgram(source.encode(), name.encode(), 0, [], []))
    options = [f"--gpu-architecture={architecture}".encode(), b"--std=c++17", b"--fmad=true"]
    (code,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    if int(code):
        log = b" " * check(nvrtc.nvrtcGetProgramLogSize(program))
        check(nvrtc.nvrtcGetProgramLog(program, log))
        raise ConfigError(f"{name} does not compile for {architecture}: {log.decode(errors='replace').strip()}")
    machine_code: bytes = b" " * check(nvrtc.nvrtcGetCUBINSize(program))
    check(nvrtc.nvrtcGetCUBIN(program, machine_code))
    return machine_code


class Module:
    """A compiled file on one GPU; `module[name]` is a kernel declared `extern "C"`."""

    def __init__(self, gpu: Gpu, source: str) -> None:
        gpu.use()
        driver = gpu.driver
        device = check(driver.cuDeviceGet(gpu.ordinal))
        kind = driver.CUdevice_attribute
        major = check(driver.cuDeviceGetAttribute(kind.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device))
        minor = check(driver.cuDeviceGetAttribute(kind.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device))
        self._code = compile_source(source, f"sm_{major}{minor}")
        self._module = check(driver.cuModuleLoadData(self._code))
        self._gpu = gpu

    def __getitem__(self, name: str) -> Kernel:
        return Kernel(self._gpu, check(self._gpu.driver.cuModuleGetFunction(self._module, name.encode())))

    def with_memory(self, name: str, size: int) -> Kernel:
        """A kernel whose blocks share so many bytes besides those that it declares, which may be more than 48 KB.

        Raises RuntimeError where this GPU has no room for them.
        """
        driver = self._gpu.driver
        function = check(driver.cuModuleGetFunction(self._module, name.encode()))
        most = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        check(driver.cuFuncSetAttribute(function, most, size))
        return Kernel(self._gpu, function, size)


class Kernel:
    """A kernel; arguments are ctypes values in the order of its parameters."""

    def __init__(self, gpu: Gpu, function: Any, shared: int = 0) -> None:
        self._launch = gpu.calls.cuLaunchKernel
        self._shared = shared
        self._function = int(function)

    def launch(
        self, stream: Stream, grid: tuple[int, int, int], block: tuple[int, int, int], arguments: list[Any]
    ) -> None:
        """Queue it on a stream."""
        pointers = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(a) for a in arguments))
        succeed(
            self._launch(self._function, *grid, *block, self._shared, stream.handle, ctypes.addressof(pointers), None)
        )
