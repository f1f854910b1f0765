"""What leaves a recorded network: its small outputs lie together, and cross to the host in one copy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

_SMALL = 1 << 16  # bytes of a picture; of a large output only the pictures of the call are copied
_PIECE = 16  # bytes: where an output may begin
_HALVES = torch.float16, torch.bfloat16  # they leave as float32; NumPy has no such thing as the second


class Leaving:
    """Memory for the outputs of the graph for `size` pictures, which writes them into `tensors`; the first `leaves`
    leave. One whose first dimension is not so large is not of pictures, and whole for every call.

    Not in the memory that graphs share: the next graph would write there before these were copied.
    """

    def __init__(self, found: Sequence[Any], leaves: int, size: int) -> None:
        kinds = [torch.float32 if out.dtype in _HALVES else out.dtype for out in found]
        self._facts = [(out.shape, kind) for out, kind in zip(found, kinds, strict=True)]
        sizes = [math.prod(shape) * kind.itemsize for shape, kind in self._facts]
        small = [n for n in range(len(found[:leaves])) if sizes[n] <= _SMALL * size]
        self._leaves, self._size = len(found[:leaves]), size
        self._starts: dict[int, int] = {}  # of outputs that lie together
        end = 0
        for n in small if len(small) > 1 else ():
            self._starts[n] = end
            end += -(-sizes[n] // _PIECE) * _PIECE
        self._together = torch.empty(end, dtype=torch.uint8, device=found[0].device)
        self.tensors = [
            self._in(self._together, n) if n in self._starts else torch.empty(out.shape, dtype=kind, device=out.device)
            for n, (out, kind) in enumerate(zip(found, kinds, strict=True))
        ]

    def copied(self, count: int) -> list[Any]:
        """What is to be copied for a call of so many pictures."""
        loose = [self._of(out, count) for n, out in enumerate(self.tensors[: self._leaves]) if n not in self._starts]
        return [self._together, *loose] if self._starts else loose

    def kept(self, count: int) -> list[Any]:
        """The outputs that stay, out of the way of the next call: somebody may yet want them."""
        return [self._of(out, count).clone() for out in self.tensors[self._leaves :]]

    def arrays(self, copies: Sequence[Any], count: int) -> list[Any]:
        """The outputs that leave as NumPy arrays, from those copies on the host."""
        loose = iter(copies[1:] if self._starts else copies)
        together = {n: self._of(self._in(copies[0], n), count) for n in self._starts}
        return [(together[n] if n in together else next(loose)).numpy() for n in range(self._leaves)]

    def _of(self, out: Any, count: int) -> Any:
        """Of an output that holds something of each picture, what is of the first `count`."""
        return out[:count] if out.dim() and len(out) == self._size else out

    def _in(self, together: Any, n: int) -> Any:
        """An output that lies together with others."""
        start, (shape, kind) = self._starts[n], self._facts[n]
        return together[start : start + math.prod(shape) * kind.itemsize].view(kind).view(shape)
