"""What runs a model: tensors → tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Protocol

from ..media import TensorInfo

Tensors = Mapping[str, Any]
Inputs = Tensors | Callable[[], Tensors]


class Runtime(Protocol):
    """A loaded model. Made by `load(path, device)`; raises ValueError with a plain sentence for a bad file.

    `submit` starts a call and returns at once; calls complete in any order, `done` is called from any thread when
    one has. No more than `parallel` calls run at the same time; more are queued. Arrays given to `submit` must not
    be changed until it has completed. Inputs may be a function that makes the tensors: it is called in the thread
    that runs the call, so that preparing one picture overlaps with the inference of another. Results are NumPy
    arrays on the CPU. An error raised by that function or by the call is raised by `Future.result()`.
    """

    inputs: list[TensorInfo]
    outputs: list[TensorInfo]
    metadata: Mapping[str, str]  # what the exporter wrote into the file
    parallel: int  # calls that run at the same time
    batches: bool  # several pictures in one call take less time than as many calls
    device: str

    def run(self, inputs: Inputs) -> dict[str, Any]: ...

    def submit(self, inputs: Inputs, done: Callable[[], None] | None = None) -> Future[dict[str, Any]]: ...

    def close(self) -> None: ...
