"""Memory on a GPU: arrays with the event of their writer, and surfaces that are used again when dropped."""

from __future__ import annotations

import ctypes
import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .context import Event, Gpu, Stream, check, out_of_memory, succeed

_SURFACES_A_SLAB = 32  # at most,
_SLAB = 128_000_000  # and so many bytes
_SIZES = 32  # of surfaces that a GPU holds together; before one more, those that nobody uses are given up
_PATIENCE = 2.0  # seconds to wait for a surface where the GPU's memory is used up


class Owner(Protocol):
    """Who gives memory back when the last array over it is dropped."""

    def used(self, event: Event) -> None:
        """Somebody reads the memory until this event: it may be written again only after it."""
        ...

    def written(self, event: Event) -> None:
        """Somebody has written it anew, and had waited for all readers."""
        ...

    @property
    def uses(self) -> Sequence[Event]:
        """The readers' events, of those that came after the last writer."""
        ...


def add_reader(uses: list[Event], event: Event) -> None:
    """One reader more. Of each stream the last is enough: what is shown for hours (a wall's still picture) has many."""
    for number, known in enumerate(uses):
        if known.stream is event.stream:
            if event.serial > known.serial:
                uses[number] = event
            return
    uses.append(event)


def free_pair(gpu: Gpu, host: int, address: int, sent: Event | None) -> None:
    """Free pinned memory and its like on the GPU, once the copy `sent` is done. A dead driver is no error."""
    with suppress(RuntimeError), gpu.visited():
        if sent is not None:
            sent.synchronize()
        check(gpu.driver.cuMemFreeHost(host))
        check(gpu.driver.cuMemFree(address))


class Memory:
    """Memory of our own, allocated and freed in the order of a stream (cuMemAllocAsync)."""

    __slots__ = ("_stream", "pointer", "uses")

    def __init__(self, stream: Stream, size: int) -> None:
        self._stream = stream
        self.uses: list[Event] = []
        place = ctypes.c_void_p()
        succeed(stream.gpu.calls.cuMemAllocAsync(place, size, stream.handle))
        self.pointer = place.value or 0

    def used(self, event: Event) -> None:
        add_reader(self.uses, event)

    def written(self, event: Event) -> None:
        """Its readers have been waited for; freeing waits for the writer, whichever stream that was."""
        self.uses = [event]

    def __del__(self) -> None:
        if hasattr(self, "pointer"):
            with self._stream.gpu.visited():
                self._stream.wait(self.uses)
                self._stream.gpu.calls.cuMemFreeAsync(self.pointer, self._stream.handle)


class DeviceArray:
    """An array on a GPU: `pointer`, `shape`, `strides` in bytes, `dtype`, and the event after which it is `ready`.

    Speaks DLPack and the CUDA array interface. The interface names no stream: wait for `ready` first.
    """

    __slots__ = ("dtype", "gpu", "owner", "pointer", "ready", "shape", "strides")

    def __init__(
        self,
        gpu: Gpu,
        pointer: int,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        strides: tuple[int, ...] | None = None,
        owner: Owner | None = None,
        ready: Event | None = None,
    ) -> None:
        self.gpu = gpu
        self.pointer = pointer
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.strides = strides  # None: rows follow each other without gaps
        self.owner = owner
        self.ready = ready

    def __getitem__(self, rows: slice) -> DeviceArray:
        """Some of its rows (pictures of a batch), where they lie. Raises TypeError for all but a slice without step."""
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            raise TypeError(f"of an array on {self.gpu.name} only parts [first:last] can be had: copy it with numpy()")
        first, last, _ = rows.indices(self.shape[0])
        shape, start = (max(0, last - first), *self.shape[1:]), self.pointer + first * self.row_bytes
        return DeviceArray(self.gpu, start, shape, self.dtype, self.strides, self.owner, self.ready)

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def row_bytes(self) -> int:
        """From the start of one row of pixels to the next."""
        return self.strides[0] if self.strides else math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.pointer, False),
            "strides": self.strides,
            "version": 3,
            "stream": None,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.gpu.ordinal  # kDLCUDA

    def __dlpack__(self, *, stream: int | None = None, **more: Any) -> Any:
        """The array for another library, whose stream waits for `ready` first; needs torch."""
        import torch

        if self.ready is not None and stream != -1:
            if stream is None:
                self.ready.synchronize()
            else:
                succeed(self.gpu.calls.cuStreamWaitEvent(stream, self.ready.handle, 0))
        return torch.as_tensor(self, device=self.gpu.name).__dlpack__(stream=-1)

    def copy(self) -> DeviceArray:
        """The same values in memory of our own."""
        if (whole := self._spread()) is not None:
            own = whole.copy()
            return DeviceArray(self.gpu, own.pointer, self.shape, self.dtype, self.strides, own.owner, own.ready)
        self.gpu.use()
        stream = self.gpu.copies
        with self.gpu.copying:
            out = empty(stream, self.shape, self.dtype)
            self._wait(stream)
            self._copy(out.pointer, stream, host=False)
            out.ready = stream.record()
            self.used(out.ready)
        return out

    def numpy(self) -> NDArray[Any]:
        """The values on the CPU. Waits for them: for tests and for what leaves the GPU rarely."""
        if (whole := self._spread()) is not None:
            return np.ndarray(self.shape, self.dtype, whole.numpy(), strides=self.strides).copy()
        self.gpu.use()
        out = np.empty(self.shape, self.dtype)
        stream = self.gpu.copies
        with self.gpu.copying:
            self._wait(stream)
            self._copy(out.ctypes.data, stream, host=True)
            stream.synchronize()
        return out

    def rows(self, first: int, last: int) -> NDArray[Any]:
        """Rows first to last - 1 of a picture's plane, on the CPU: one copy. Waits for them."""
        return self[max(0, first) : last].numpy()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """For NumPy: what looks at pixels on the CPU need not know where they were."""
        if copy is False:
            raise ValueError(f"what is on {self.gpu.name} cannot be had without a copy")
        return np.asarray(self.numpy(), dtype)

    def used(self, event: Event) -> None:
        """Tell the owner that somebody reads this memory until `event`."""
        if self.owner is not None:
            self.owner.used(event)

    def _spread(self) -> DeviceArray | None:
        """All bytes from the first number to the last, where those of a row do not follow each other; else None."""
        size = self.dtype.itemsize
        plain = tuple(size * math.prod(self.shape[n:]) for n in range(2, len(self.shape) + 1))
        if self.strides is None or self.strides[1:] == plain or not self.nbytes:
            return None
        last = sum((count - 1) * step for count, step in zip(self.shape, self.strides, strict=True))
        return DeviceArray(self.gpu, self.pointer, (last + size,), np.uint8, None, self.owner, self.ready)

    def _wait(self, stream: Stream) -> None:
        if self.ready is not None:
            stream.wait((self.ready,))

    def _copy(self, to: int, stream: Stream, *, host: bool) -> None:
        """Queue a copy to `to`, on the CPU or not, where it lies without gaps."""
        driver, row = self.gpu.driver, math.prod(self.shape[1:]) * self.dtype.itemsize
        if self.row_bytes == row:
            copy = driver.cuMemcpyDtoHAsync if host else driver.cuMemcpyDtoDAsync
            check(copy(to, self.pointer, self.nbytes, stream.native))
            return
        kinds, rows = driver.CUmemorytype, driver.CUDA_MEMCPY2D()
        rows.srcMemoryType, rows.srcDevice, rows.srcPitch = kinds.CU_MEMORYTYPE_DEVICE, self.pointer, self.row_bytes
        rows.dstMemoryType = kinds.CU_MEMORYTYPE_HOST if host else kinds.CU_MEMORYTYPE_DEVICE
        rows.dstHost, rows.dstDevice, rows.dstPitch = (to, 0, row) if host else (0, to, row)
        rows.WidthInBytes, rows.Height = row, self.shape[0]
        check(driver.cuMemcpy2DAsync(rows, stream.native))


def empty(stream: Stream, shape: tuple[int, ...], dtype: DTypeLike) -> DeviceArray:
    """A new array whose memory belongs to it; its first writer must use `stream` or wait for it."""
    memory = Memory(stream, max(1, math.prod(shape)) * np.dtype(dtype).itemsize)
    return DeviceArray(stream.gpu, memory.pointer, shape, dtype, owner=memory)


class Slot:
    """A place in a slab, and the events after which it may be written again: its readers', else its writer's.

    Readers have waited for the writer, so theirs are enough. Without a reader the writer's own event matters: NVDEC
    works many pictures ahead, and a picture that was dropped at once may be written long after.
    """

    __slots__ = ("pointer", "uses", "written")

    def __init__(self, pointer: int) -> None:
        self.pointer = pointer
        self.uses: list[Event] = []
        self.written: Event | None = None


class Surface:
    """One slot, lent: it goes back to the pool when the last picture over it is dropped."""

    __slots__ = ("_pool", "_slot", "pointer")

    def __init__(self, pool: Surfaces, slot: Slot) -> None:
        self._pool = pool
        self._slot = slot
        self.pointer = slot.pointer

    def written(self, event: Event) -> None:
        """The writer's event; earlier readers have been waited for."""
        self._slot.written = event
        self._slot.uses.clear()

    def used(self, event: Event) -> None:
        add_reader(self._slot.uses, event)

    @property
    def uses(self) -> list[Event]:
        return self._slot.uses

    def __del__(self) -> None:
        self._pool.free.append(self._slot)


class Surfaces:
    """Equal surfaces for the pictures of all streams of one size, cut from slabs of a few dozen.

    The pool grows while more frames are under way than it holds: channels bound those, so it stops by itself. Where
    pictures of many sizes come (a folder of photos), a size that nobody uses any more gives its memory back.
    `limit` is for an element that hoards frames without `image.keep()`.
    """

    def __init__(self, gpu: Gpu, size: int, limit: int = 2048) -> None:
        self.gpu = gpu
        self.size = size
        self.limit = limit
        self.count = 0
        self._slab = max(1, min(_SURFACES_A_SLAB, _SLAB // size))
        self._slabs: list[int] = []
        self.free: deque[Slot] = deque()  # the one waiting longest is taken first: its readers are done by then
        self._lock = threading.Lock()

    def take(self, stream: Stream) -> Surface:
        """A free surface that `stream` may write: its work waits for the last readers, this call does not.

        It waits only where the GPU has no memory for more surfaces, until one comes back.
        Raises RuntimeError where none does, and where `limit` is reached.
        """
        until = 0.0
        while True:
            try:
                slot = self.free.popleft()
            except IndexError:
                if not self._more():
                    until = until or time.monotonic() + _PATIENCE
                    self._wait_until(until)
                continue
            if slot.uses:  # forgotten when it is written: one that is lent and never written still has these readers
                stream.wait(slot.uses)
            elif slot.written is not None:
                stream.wait((slot.written,))
            return Surface(self, slot)

    def _more(self) -> bool:
        """Whether there are surfaces now."""
        if not self.count and len(self._others()) >= _SIZES:
            self._make_room()
        return self._grow() or (self._make_room() and self._grow())

    def _others(self) -> list[Surfaces]:
        """The pools of this GPU that hold surfaces of other sizes."""
        with _pools_lock:
            return [pool for pool in _pools.values() if pool.gpu is self.gpu and pool.count and pool is not self]

    def _make_room(self) -> bool:
        """Whether another pool had no surface lent, and gave its memory back."""
        return any([pool.give_up() for pool in self._others()])

    def give_up(self) -> bool:
        """Give the memory back, if no surface is lent; returns whether that was so."""
        with self._lock:
            slots = []
            with suppress(IndexError):
                while True:
                    slots.append(self.free.popleft())
            if not slots or len(slots) < self.count:
                self.free.extendleft(reversed(slots))
                return False
            for slot in slots:  # the GPU may be at work on some still
                for event in slot.uses or ([] if slot.written is None else [slot.written]):
                    event.synchronize()
            for slab in self._slabs:
                check(self.gpu.driver.cuMemFree(slab))
            self._slabs.clear()
            self.count = 0
            return True

    def _grow(self) -> bool:
        with self._lock:
            if self.free:
                return True
            if self.count >= self.limit:
                raise RuntimeError(
                    f"{self.gpu.name}: all {self.count} surfaces of {self.size / 1e6:.1f} MB are in use: an element "
                    "keeps frames (it should keep image.keep()), or the pipeline holds more than fits"
                )
            try:
                slab = int(check(self.gpu.driver.cuMemAlloc(self.size * self._slab)))
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                return False
            self._slabs.append(slab)
            self.free.extend(Slot(slab + i * self.size) for i in range(self._slab))
            self.count += self._slab
            return True

    def _wait_until(self, until: float) -> None:
        """For others to give surfaces back: each does soon that goes on."""
        if not self.count or time.monotonic() > until:
            raise RuntimeError(
                f"{self.gpu.name} has no memory left for {self._slab} more surfaces of {self.size / 1e6:.1f} MB, "
                f"and all {self.count} are in use: use fewer streams, or smaller batches"
            )
        time.sleep(0.001)


_pools: dict[tuple[int, int], Surfaces] = {}
_pools_lock = threading.Lock()


def surfaces(gpu: Gpu, size: int) -> Surfaces:
    """The pool of this GPU for surfaces of `size` bytes, shared by all decoders."""
    with _pools_lock:
        key = (gpu.ordinal, size)
        if key not in _pools:
            _pools[key] = Surfaces(gpu, size)
        return _pools[key]
