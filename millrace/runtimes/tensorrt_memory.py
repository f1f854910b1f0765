"""The memory and the stream of one call under way: what goes to the GPU, what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..cuda.context import check, gpu
from ..cuda.memory import Memory


def open_slots(device: str, count: int) -> list[Slot]:
    """So many slots on a GPU. Raises ConfigError without one, MissingExtraError without the library."""
    owner = gpu(device)
    return [Slot(owner) for _ in range(count)]


class Slot:
    """Used by one call at a time. `room` and `upload` give addresses on the GPU, good until the next call."""

    def __init__(self, owner: Any) -> None:
        self._gpu = owner
        self._stream = owner.stream("low")
        self._memory: dict[str, tuple[int, Memory]] = {}
        self._outputs: dict[str, tuple[int, tuple[int, ...], str]] = {}
        self._kept: list[Any] = []
        self._keeping: list[Any] = []

    @property
    def stream(self) -> int:
        return int(self._stream.handle)

    @property
    def gpu_name(self) -> str:
        name = check(self._gpu.driver.cuDeviceGetName(128, check(self._gpu.driver.cuCtxGetDevice())))
        return str(name.split(b"\0")[0].decode())

    def begin(self) -> None:
        self._gpu.use()
        self._kept.clear()
        self._outputs.clear()

    def upload(self, name: str, value: Any) -> int:
        """The address of the input on the GPU: its own, where it lies there, else that of a copy on its way."""
        self._gpu.use()
        found = getattr(value, "__cuda_array_interface__", None)
        if found is not None:
            if getattr(value, "ready", None) is not None:
                self._stream.wait((value.ready,))
            self._keeping.append(value)
            return int(found["data"][0])
        array = np.ascontiguousarray(value)
        pointer = self._of_size(name, array.nbytes)
        self._kept.append(array)
        check(self._gpu.driver.cuMemcpyHtoDAsync(pointer, array.ctypes.data, array.nbytes, self._stream.native))
        return pointer

    def room(self, name: str, shape: tuple[int, ...], dtype: str) -> int:
        """The address of room for an output."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        pointer = self._of_size(name, size)
        self._outputs[name] = (pointer, shape, dtype)
        return pointer

    def finish(self, names: Sequence[str]) -> dict[str, Any]:
        """The outputs as arrays of their own, when all that was queued is done."""
        results = {}
        for name in names:
            pointer, shape, dtype = self._outputs[name]
            out = results[name] = np.empty(shape, dtype)
            check(self._gpu.driver.cuMemcpyDtoHAsync(out.ctypes.data, pointer, out.nbytes, self._stream.native))
        self.wait()
        return results

    def wait(self) -> None:
        """Until all that was queued is done; the GIL is let go meanwhile."""
        done = self._stream.record()
        done.synchronize()
        for value in self._keeping:
            if hasattr(value, "used"):
                value.used(done)
        self._keeping.clear()
        self._kept.clear()

    def _of_size(self, name: str, size: int) -> int:
        known = self._memory.get(name)
        if known is None or known[0] < size:
            known = self._memory[name] = (size, Memory(self._stream, max(size, 1)))
        return known[1].pointer
