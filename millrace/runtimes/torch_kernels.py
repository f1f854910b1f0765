"""Kernels of our own among PyTorch's operations: compiled for each GPU when it first runs one."""

from __future__ import annotations

import threading
from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import torch

from ..cuda.context import gpu
from ..cuda.kernel import Module


class Kernels:
    """Those of a .cu file beside this one."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._compiling = threading.Lock()
        self._modules: dict[int, Any] = {}  # by GPU

    @property
    def source(self) -> str:
        return files(__package__).joinpath(self._file).read_text()

    def launch(
        self, name: str, device: Any, grid: tuple[int, int, int], block: tuple[int, int, int], arguments: list[Any]
    ) -> None:
        """Queue a kernel on PyTorch's present stream of a device; `arguments` are ctypes values."""
        stream: Any = SimpleNamespace(handle=torch.cuda.current_stream(device).cuda_stream)
        self._module(device.index)[name].launch(stream, grid, block, arguments)

    def _module(self, ordinal: int) -> Any:
        with self._compiling:
            if ordinal not in self._modules:
                self._modules[ordinal] = Module(gpu(f"cuda:{ordinal}"), self.source)
            return self._modules[ordinal]
