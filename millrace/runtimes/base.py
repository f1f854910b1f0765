"""What runs a model: tensors → tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Protocol

from ..media import TensorInfo

Tensors = Mapping[str, Any]


class Runtime(Protocol):
    """A loaded model. Made by `load(path, device)`; raises ValueError with a plain sentence for a bad file.

    `submit` starts a call and returns at once; calls complete in any order, `done` is called from any thread when
    one has. No more than `parallel` calls run at the same time; more are queued. Arrays given to `submit` must not
    be changed until it has completed.
    """

    inputs: list[TensorInfo]
    outputs: list[TensorInfo]
    metadata: Mapping[str, str]  # what the exporter wrote into the file
    parallel: int  # calls that run at the same time
    device: str

    def run(self, inputs: Tensors) -> dict[str, Any]: ...

    def submit(self, inputs: Tensors, done: Callable[[], None] | None = None) -> Future[dict[str, Any]]: ...

    def close(self) -> None: ...
