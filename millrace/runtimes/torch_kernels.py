"""Kernels of our own among PyTorch's operations: compiled for each GPU when it first runs one."""

from __future__ import annotations

import threading
from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import torch

from ..core.errors import ConfigError
from ..cuda.context import gpu
from ..cuda.kernel import Module


class Kernels:
    """Those of a .cu file beside this one."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._compiling = threading.Lock()
        self._modules: dict[int, Module | None] = {}  # by GPU

    @property
    def source(self) -> str:
        return files(__package__).joinpath(self._file).read_text()

    def on(self, ordinal: int) -> Module | None:
        """The kernels of a GPU, compiled once in the process; None where they cannot be: without NVRTC, say."""
        with self._compiling:
            if ordinal not in self._modules:
                try:
                    self._modules[ordinal] = Module(gpu(f"cuda:{ordinal}"), self.source)
                except (ConfigError, RuntimeError):
                    self._modules[ordinal] = None
            return self._modules[ordinal]


def present_stream(device: Any) -> Any:
    """PyTorch's stream of a device at the moment, to launch kernels on."""
    return SimpleNamespace(handle=torch.cuda.current_stream(device).cuda_stream)
