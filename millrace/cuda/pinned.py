"""Pinned memory that results leave a GPU for: allocating it stops the driver, so it is kept and used again."""

from __future__ import annotations

from collections import defaultdict, deque
from contextlib import suppress
from typing import Any

from .context import Gpu, check

_LEAST = 1 << 16  # bytes of a block; others are powers of two, so that batches of all sizes share a few


class Pinned:
    """Pinned memory of one owner at a time. Any thread may `take`; a block is free when its last array is dropped."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._free: defaultdict[int, deque[int]] = defaultdict(deque)  # addresses by size

    def take(self, size: int) -> Block:
        """A block of at least so many bytes. Raises RuntimeError where there is no memory."""
        size = max(_LEAST, 1 << max(0, size - 1).bit_length())
        try:
            pointer = self._free[size].popleft()
        except IndexError:
            self._gpu.use()
            pointer = int(check(self._gpu.driver.cuMemHostAlloc(size, 0)))
        return Block(self, pointer, size)

    def give_back(self, pointer: int, size: int) -> None:
        self._free[size].append(pointer)

    def __del__(self) -> None:
        with suppress(RuntimeError), self._gpu.visited():  # a dead driver is no error
            for pointers in self._free.values():
                for pointer in pointers:
                    check(self._gpu.driver.cuMemFreeHost(pointer))


class Block:
    """Bytes at `pointer`; `numpy.asarray` of it is an array that keeps it."""

    __slots__ = ("_pool", "pointer", "size")

    def __init__(self, pool: Pinned, pointer: int, size: int) -> None:
        self._pool, self.pointer, self.size = pool, pointer, size

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {"shape": (self.size,), "typestr": "|u1", "data": (self.pointer, False), "version": 3}

    def __del__(self) -> None:
        self._pool.give_back(self.pointer, self.size)
