"""Kernels of our own among PyTorch's operations: compiled for each GPU when it first runs one, and tried there."""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import torch

from ..core.errors import said
from ..cuda.context import gpu, out_of_memory
from ..cuda.kernel import Module, may_be_tried

_log = logging.getLogger("millrace.runtimes")
_UNUSED = "%s: our kernels in %s are not used (%s); PyTorch and the CPU do their work, more slowly"
_DIFFERS = (
    "when they were tried they gave other numbers than PyTorch's own operations: please report it, with the kind of "
    "the GPU and the driver's version"
)
_FULL = "ALLOC_FAILED"  # the word of cuDNN and cuBLAS


class Kernels:
    """Those of a .cu file beside this one.

    `agree`, given them, a device and a kind of work, says whether they give there what PyTorch's own operations give;
    it may wait for the device. Kinds are numbers, for kernels of which one try does not tell all. `memory` is that of
    cuda.kernel.Module. `since`: the first compute capability that can have them; with an older GPU nothing is amiss.
    """

    def __init__(
        self,
        file: str,
        agree: Callable[..., bool],
        memory: Mapping[str, int] | None = None,
        since: tuple[int, int] | None = None,
    ) -> None:
        self._file, self._agree, self._memory, self._since = file, agree, memory or {}, since
        self._trying = threading.Lock()
        self._modules: dict[str, Module | None] = {}  # by GPU; None: they cannot be had there, or are wrong
        self._right: set[tuple[str, tuple[int, ...]]] = set()  # GPUs and kinds of work

    @property
    def source(self) -> str:
        return files(__package__).joinpath(self._file).read_text()

    def on(self, device: Any, *kind: int) -> Module | None:
        """The kernels of a GPU, compiled once in the process and tried once for each kind of work; None where they
        cannot be had, may not be tried, or are wrong, be it for another kind.

        None, too, while a graph is recorded, if that was not done before: nothing can be compared then.
        """
        if not may_be_tried():
            return None
        name = str(device)
        with self._trying:
            unused = self._modules.get(name, False) is None
            if not unused and (name, kind) not in self._right:
                if torch.cuda.is_current_stream_capturing():
                    return None
                self._try(device, name, kind)
            return self._modules[name]

    def needed(self, device: Any) -> Module:
        """As `on`; raises RuntimeError where it is None."""
        module = self.on(device)
        if module is None:
            raise RuntimeError(f"the kernels in {self._file} cannot be used on {device}")
        return module

    def _try(self, device: Any, name: str, kind: tuple[int, ...]) -> None:
        """Tells of what is wrong. Raises torch.OutOfMemoryError, and leaves it open for another time.

        Without what watches calls of PyTorch about it: Constants would keep the numbers that are tried.
        """
        if self._since is not None and torch.cuda.get_device_capability(device) < self._since:
            self._modules[name] = None
            return
        try:
            module = self._modules.get(name) or Module(gpu(name), self.source, self._memory)
            self._modules[name] = module
            with torch.inference_mode(), torch._C.DisableTorchFunction():
                if self._agree(module, device, *kind):
                    return self._right.add((name, kind))
            reason = _DIFFERS
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # without NVRTC, say; the network runs without them
            if out_of_memory(error) or _FULL in str(error):
                raise torch.OutOfMemoryError(said(error)) from error
            reason = said(error).partition("\n")[0]
        self._modules[name] = None
        _log.warning(_UNUSED, device, self._file, reason)


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
