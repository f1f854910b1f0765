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
    """Memory for the outputs of one recorded graph, which writes them into `tensors`; the first `leaves` leave.

    Not in the memory that graphs share: the next graph would write there before these were copied.
    """

    def __init__(self, found: Sequence[Any], leaves: int) -> None:
        kinds = [torch.float32 if out.dtype in _HALVES else out.dtype for out in found]
        self._facts = [(out.shape, kind) for out, kind in zip(found, kinds, strict=True)]
        sizes = [math.prod(shape) * kind.itemsize for shape, kind in self._facts]
        small = [n for n, out in enumerate(found[:leaves]) if sizes[n] <= _SMALL * len(out)]
        self._leaves = len(found[:leaves])
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
        loose = [out[:count] for n, out in enumerate(self.tensors[: self._leaves]) if n not in self._starts]
        return [self._together, *loose] if self._starts else loose

    def kept(self, count: int) -> list[Any]:
        """The outputs that stay, out of the way of the next call: somebody may yet want them."""
        return [out[:count].clone() for out in self.tensors[self._leaves :]]

    def arrays(self, copies: Sequence[Any], count: int) -> list[Any]:
        """The outputs that leave as NumPy arrays, from those copies on the host."""
        loose = iter(copies[1:] if self._starts else copies)
        outputs = [self._in(copies[0], n)[:count] if n in self._starts else next(loose) for n in range(self._leaves)]
        return [out.numpy() for out in outputs]

    def _in(self, together: Any, n: int) -> Any:
        """An output that lies together with others."""
        start, (shape, kind) = self._starts[n], self._facts[n]
        return together[start : start + math.prod(shape) * kind.itemsize].view(kind).view(shape)
