"""CUDA C++ kernels, compiled at first use with NVRTC for the GPU that is there, and kept for the next start:

    ~/.cache/millrace/kernels/sm_90-KEY.cubin      the machine code's SHA-256, then the machine code

KEY is of the source, the compiler's version and its options. What is damaged counts as not there: it is only a cache.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from .. import folders
from ..core.errors import ConfigError, MissingExtraError
from .context import Gpu, Stream, check, succeed

_OPTIONS = "--std=c++17", "--fmad=true"
_PLAIN = "MILLRACE_PLAIN_KERNELS"


def may_be_tried() -> bool:
    """Whether kernels for which there is something slower may be tried on a GPU.

    Not where the user says so by an environment variable: one that touches memory that is nobody's ends CUDA for the
    process, and no trial can undo that.
    """
    return os.environ.get(_PLAIN, "") in ("", "0")


def compile_source(source: str, architecture: str, name: str = "kernels.cu") -> bytes:
    """The machine code (cubin) of CUDA C++ for an architecture such as "sm_90"; needs no GPU.

    Raises ConfigError with the compiler's log when it does not compile.
    """
    nvrtc = _nvrtc()
    program = check(nvrtc.nvrtcCreateProgram(source.encode(), name.encode(), 0, [], []))
    options = [option.encode() for option in (f"--gpu-architecture={architecture}", *_OPTIONS)]
    try:
        (code,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
        if int(code):
            log = b" " * check(nvrtc.nvrtcGetProgramLogSize(program))
            check(nvrtc.nvrtcGetProgramLog(program, log))
            raise ConfigError(f"{name} does not compile for {architecture}: {log.decode(errors='replace').strip()}")
        machine_code: bytes = b" " * check(nvrtc.nvrtcGetCUBINSize(program))
        check(nvrtc.nvrtcGetCUBIN(program, machine_code))
    finally:
        nvrtc.nvrtcDestroyProgram(program)
    return machine_code


def kept_code(source: str, architecture: str) -> bytes:
    """The same, out of the cache where it was compiled before. Where nothing can be kept, it is compiled each time."""
    version = check(_nvrtc().nvrtcVersion())
    key = sha256(repr((source, architecture, version, _OPTIONS)).encode()).hexdigest()[:32]
    file = None
    with suppress(OSError, RuntimeError):  # RuntimeError: the user has no home
        file = folders.cache() / "kernels" / f"{architecture}-{key}.cubin"
        digest, code = (found := file.read_bytes())[:32], found[32:]
        if sha256(code).digest() == digest:
            return code
    code = compile_source(source, architecture)
    if file is not None:
        with suppress(OSError):
            _keep(file, sha256(code).digest() + code)
    return code


def _keep(file: Path, content: bytes) -> None:
    """Others that start meanwhile see all of it, or nothing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=file.parent, delete=False) as new:
        try:
            new.write(content)
            new.close()
            os.replace(new.name, file)
        except BaseException:  # Ctrl-C, and a network's compiling that is broken off
            with suppress(FileNotFoundError):  # it came after all was done
                os.unlink(new.name)
            raise


def _nvrtc() -> Any:
    try:
        from cuda.bindings import nvrtc
    except ImportError:
        raise MissingExtraError("device cuda", "cuda-bindings", "cuda") from None
    return nvrtc


class Module:
    """A compiled file on one GPU; `module[name]` is a kernel declared `extern "C"`.

    `memory`, by names of kernels: bytes that a block of theirs shares besides those that it declares, which may be more
    than 48 KB. Raises RuntimeError where this GPU has no room for them.
    """

    def __init__(self, gpu: Gpu, source: str, memory: Mapping[str, int] | None = None) -> None:
        gpu.use()
        driver = gpu.driver
        device = check(driver.cuDeviceGet(gpu.ordinal))
        kind = driver.CUdevice_attribute
        major = check(driver.cuDeviceGetAttribute(kind.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device))
        minor = check(driver.cuDeviceGetAttribute(kind.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device))
        self._code = kept_code(source, f"sm_{major}{minor}")
        self._module = check(driver.cuModuleLoadData(self._code))
        self._gpu, self._memory = gpu, memory or {}
        most = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        for name, size in self._memory.items():
            check(driver.cuFuncSetAttribute(self._function(name), most, size))

    def __getitem__(self, name: str) -> Kernel:
        return Kernel(self._gpu, self._function(name), self._memory.get(name, 0))

    def _function(self, name: str) -> Any:
        return check(self._gpu.driver.cuModuleGetFunction(self._module, name.encode()))


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
