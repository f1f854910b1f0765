"""What runtimes share whose calls block outside the GIL: a pool of threads, one for each call in flight."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from ..media import TensorInfo
from .base import Inputs


class PooledRuntime(ABC):
    """See runtimes.base.Runtime. A subclass defines `call`, which several threads may run at the same time."""

    batches = False
    on_gpu = False  # whether `call` takes arrays that lie on a GPU; else they are copied down for it

    def __init__(
        self,
        name: str,
        inputs: Sequence[TensorInfo],
        outputs: Sequence[TensorInfo],
        parallel: int,
        device: str = "cpu",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.inputs, self.outputs = list(inputs), list(outputs)
        self.metadata: Mapping[str, str] = dict(metadata or {})
        self.parallel = parallel
        self.device = device
        self.report: Callable[[str], None] = lambda message: None
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix=f"millrace-{name}")

    @abstractmethod
    def call(self, feed: dict[str, Any]) -> dict[str, Any]:
        """The outputs for these inputs, as arrays of their own. Raises ValueError for inputs that do not fit."""

    def run(self, inputs: Inputs) -> dict[str, Any]:
        feed = dict(inputs() if callable(inputs) else inputs)
        if not self.on_gpu:
            feed = {name: np.asarray(value) if lies_on_gpu(value) else value for name, value in feed.items()}
        return self.call(feed)

    def submit(self, inputs: Inputs, done: Callable[[], None] | None = None) -> Future[dict[str, Any]]:
        future = self._pool.submit(self.run, inputs)
        if done is not None:
            future.add_done_callback(lambda _: done())
        return future

    def cancel(self) -> None:
        """Any thread: nobody wants the results of calls that wait for the world outside; let them end soon."""

    def close(self) -> None:
        """Wait for the calls that run, drop those that do not yet, end the threads. May be called twice."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def lies_on_gpu(value: Any) -> bool:
    """Whether an array is in a GPU's memory."""
    return hasattr(value, "__cuda_array_interface__")


def wait_for(value: Any) -> None:
    """Wait until an array on a GPU is written: for libraries that work on streams of their own."""
    ready = getattr(value, "ready", None)
    if ready is not None:
        ready.stream.gpu.use()
        ready.synchronize()


def check_feed(inputs: Sequence[TensorInfo], feed: Mapping[str, Any]) -> None:
    """Raises ValueError when an input is missing, unknown, or not of the shape and type that the model takes."""
    wanted = {info.name for info in inputs}
    if wanted != feed.keys():
        have, want = ", ".join(sorted(feed)) or "nothing", ", ".join(sorted(wanted))
        raise ValueError(f"the model refused its input: it takes {want}, and got {have}")
    for info in inputs:
        value = feed[info.name]
        fits = len(value.shape) == len(info.shape) and all(
            size is None or size == given for size, given in zip(info.shape, value.shape, strict=True)
        )
        dtype = str(value.dtype).removeprefix("torch.")
        if not fits or dtype != info.dtype:
            got = TensorInfo(info.name, tuple(value.shape), dtype)
            raise ValueError(f"the model refused its input: it takes {info}, and got {got}")
