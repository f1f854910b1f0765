"""Kernels of our own among PyTorch's operations: compiled for each GPU when it first runs one, and tried there."""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Callable, Sequence
from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import torch

from ..core.errors import said
from ..cuda.context import gpu
from ..cuda.kernel import Module, may_be_tried

_log = logging.getLogger("millrace.runtimes")
_UNUSED = "%s: our kernels in %s are not used (%s); PyTorch and the CPU do their work, more slowly"
_DIFFERS = "when they were tried they gave other numbers than PyTorch's own operations: please report it"


class Kernels:
    """Those of a .cu file beside this one. `agree`, given them and a device, says whether they give there what
    PyTorch's own operations give; it may wait for the device."""

    def __init__(self, file: str, agree: Callable[[Module, Any], bool]) -> None:
        self._file, self._agree = file, agree
        self._compiling = threading.Lock()
        self._modules: dict[str, Module | None] = {}  # by GPU

    @property
    def source(self) -> str:
        return files(__package__).joinpath(self._file).read_text()

    def on(self, device: Any) -> Module | None:
        """The kernels of a GPU, compiled and tried once in the process; None where they cannot be had, may not be
        tried, or are wrong.

        None, too, while a graph is recorded, if that was not done before: nothing can be compared then.
        """
        if not may_be_tried():
            return None
        with self._compiling:
            if str(device) not in self._modules:
                if torch.cuda.is_current_stream_capturing():
                    return None
                self._modules[str(device)] = self._tried(device)
            return self._modules[str(device)]

    def needed(self, device: Any) -> Module:
        """As `on`; raises RuntimeError where it is None."""
        module = self.on(device)
        if module is None:
            raise RuntimeError(f"the kernels in {self._file} cannot be used on {device}")
        return module

    def _tried(self, device: Any) -> Module | None:
        try:
            module = Module(gpu(str(device)), self.source)
            with torch.inference_mode():
                if self._agree(module, device):
                    return module
            reason = _DIFFERS
        except torch.OutOfMemoryError:  # another time, perhaps
            raise
        except Exception as error:  # noqa: BLE001  # without NVRTC, say; the network runs without them
            reason = said(error).partition("\n")[0]
        _log.warning(_UNUSED, device, self._file, reason)
        return None


def same(mine: Sequence[Any], theirs: Sequence[Any]) -> bool:
    """Whether tensors are equal, NaN in the same places; the first may be on another device than the others."""
    return all(torch.allclose(a.cpu(), b, rtol=0, atol=0, equal_nan=True) for a, b in zip(mine, theirs, strict=True))


def present_stream(device: Any) -> Any:
    """PyTorch's stream of a device at the moment, to launch kernels on."""
    return SimpleNamespace(handle=torch.cuda.current_stream(device).cuda_stream)


def place_of(tensor: Any, dtype: Any, *shape: int) -> ctypes.c_void_p:
    """Where a kernel finds these numbers. Raises RuntimeError where they do not lie there as it reads them."""
    if tensor.dtype != dtype or tensor.shape != shape or not tensor.is_contiguous():
        raise RuntimeError(f"a kernel was given {tensor.dtype}{list(tensor.shape)}, not {dtype}{list(shape)} in a row")
    return ctypes.c_void_p(tensor.data_ptr())
