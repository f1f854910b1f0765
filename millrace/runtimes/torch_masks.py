"""Of the prototypes of masks, what the kept cells make of them leaves the device: each cell's in the window of its box.

It is registered with PyTorch as one operation, which its compiler takes as it is.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch

from ..cuda.kernel import Module
from ..media import FRACTIONS, Cells
from .torch_kernels import Kernels, place_of, present_stream, same

ROOM: float = 2  # so many pictures of a prototype's size do the windows of one picture fill at most
_BLOCK = 256


def windows(boxes: Any, wanted: Any, small: Any, cells: Cells, size: tuple[int, int]) -> Any:
    """The part of a prototype of `size` (columns, rows) about each box x1 y1 x2 y2 [N, n, 4] that is wanted, as
    parsers.masks has it: float32 [N, n, 4], zeros for none. `small` [N, 1]: the boxes are fractions of the input."""
    assert cells.size is not None
    sides = []
    for axis, (pixels, places) in enumerate(zip(cells.size, size, strict=True)):
        both = boxes[..., axis::2]
        both = torch.where(small.unsqueeze(2), both * pixels, both).nan_to_num().clamp(-1e6, 1e6) * (places / pixels)
        first = (both[..., 0].trunc() - 1).clamp(min=0)
        end = torch.maximum(both[..., 1].ceil() + 1, first + 1).clamp(max=places)
        wanted = wanted & (first < end)
        sides.append((first, end))
    (x1, x2), (y1, y2) = sides
    return torch.stack([x1, y1, x2, y2], 2) * wanted.unsqueeze(2)


def small_boxes(boxes: Any, counts: Any, cells: Cells) -> Any:
    """Whether a picture's boxes are fractions of the input [N, 1]: as the reader was told, else by those that count."""
    if cells.normalised is not None:
        return torch.full_like(counts[:, :1], cells.normalised)
    return boxes.amax(2).masked_fill(~counts, -torch.inf).amax(1, keepdim=True) <= FRACTIONS


def with_whole(parts: Any, size: tuple[int, int]) -> Any:
    """Windows as readers get them, int32, behind them that of a whole prototype."""
    sides = [parts.new_full((len(parts), 1), side) for side in (0, 0, *size)]
    return torch.cat([parts, torch.stack(sides, 2)], 1).int()


def cut(prototypes: Any, cells: Any, first: int, parts: Any) -> tuple[Any, Any]:
    """The products of each cell's coefficients and the prototypes [N, k, h, w] in its window, one after the other.

    Cells [N, n, numbers] have their coefficients from `first` on. Gives float32 [N, ROOM h w], and how many numbers
    there were to be [N].
    """
    high, wide = prototypes.shape[2:]
    whole = parts.long()
    sides = whole[..., 2:] - whole[..., :2]
    ends = (sides[..., 0] * sides[..., 1]).cumsum(1)
    places = torch.arange(int(ROOM * high * wide), device=ends.device).expand(len(ends), -1).contiguous()
    rows = torch.searchsorted(ends, places, right=True)
    mine = rows.clamp(max=ends.shape[1] - 1)
    offset = places - (ends - sides[..., 0] * sides[..., 1]).gather(1, mine)
    x1, y1, across = (column.gather(1, mine) for column in (whole[..., 0], whole[..., 1], sides[..., 0].clamp(min=1)))
    pixels = (y1 + offset // across) * wide + x1 + offset % across
    pixels = pixels.masked_fill(rows > mine, 0)
    return mask_logits(prototypes.float(), cells, pixels, rows, first), ends[:, -1]


_library = torch.library.Library("millrace", "FRAGMENT")
_library.define("mask_logits(Tensor prototypes, Tensor cells, Tensor pixels, Tensor rows, int first) -> Tensor")


def step_by_step(prototypes: Any, cells: Any, pixels: Any, rows: Any, first: int) -> Any:
    """Of prototypes [N, k, h, w] at `pixels` [N, m], times the numbers of the cell `rows` [N, m] from `first` on: the
    sum, float32 [N, m]; 0 where there is no such cell."""
    values = prototypes.flatten(2).transpose(1, 2).take_along_dim(pixels.unsqueeze(2), 1)
    there = rows < cells.shape[1]
    factors = cells[..., first:].take_along_dim(rows.masked_fill(~there, 0).unsqueeze(2), 1)
    return (values * factors).sum(2) * there


def by_kernel(prototypes: Any, cells: Any, pixels: Any, rows: Any, first: int) -> Any:
    """The same in one kernel, on PyTorch's present stream. Raises RuntimeError where it cannot be had."""
    return launched(kernels.needed(prototypes.device), prototypes, cells, pixels, rows, first)


def launched(module: Module, prototypes: Any, cells: Any, pixels: Any, rows: Any, first: int) -> Any:
    """Queue the kernel."""
    count, channels, _, wide = prototypes.shape
    if prototypes.stride(2) != wide * prototypes.stride(3):
        prototypes = prototypes.contiguous()
    cells, pixels, rows = (each.contiguous() for each in (cells, pixels, rows))
    size, (_, high, numbers) = rows.shape[1], cells.shape
    if prototypes.dtype != torch.float32 or not 0 < first <= numbers <= first + channels:
        raise RuntimeError(f"{numbers} numbers of a cell are not for {channels} prototypes of {prototypes.dtype}")
    logits = torch.empty(rows.shape, dtype=torch.float32, device=rows.device)
    arguments: list[Any] = [
        ctypes.c_void_p(prototypes.data_ptr()),
        place_of(cells, torch.float32, count, high, numbers),
        place_of(pixels, torch.int64, count, size),
        place_of(rows, torch.int64, count, size),
        place_of(logits, torch.float32, count, size),
        *map(ctypes.c_int, (size, high, numbers, first)),
        *map(ctypes.c_longlong, (prototypes.stride(0), prototypes.stride(1), prototypes.stride(3))),
    ]
    grid = (-(-size // _BLOCK), 1, count)
    module["mask_logits"].launch(present_stream(rows.device), grid, (_BLOCK, 1, 1), arguments)
    return logits


def _agree(module: Module, device: Any) -> bool:
    """Whether it gives the sums that PyTorch gives: of whole numbers, which are exact in any order."""
    numbers = torch.arange(2 * 5 * 700).mul(7919)
    prototypes = numbers[: 2 * 5 * 42].remainder(17).sub(8).reshape(2, 5, 6, 7).float()
    cells = numbers[: 2 * 3 * 11].remainder(13).sub(6).reshape(2, 3, 11).float()
    pixels, rows = (numbers[:1400].remainder(most).reshape(2, 700) for most in (42, 4))  # row 3: nobody's
    wanted = step_by_step(prototypes, cells, pixels, rows, 6)
    both = prototypes, prototypes.contiguous(memory_format=torch.channels_last)
    there, places, whose = (each.to(device) for each in (cells, pixels, rows))
    found = [launched(module, each.to(device), there, places, whose, 6) for each in both]
    return same(found, [wanted, wanted])


kernels = Kernels("masks.cu", _agree)
_library.impl("mask_logits", by_kernel, "CUDA")
_library.impl("mask_logits", step_by_step, "CPU")
torch.library.register_fake(
    "millrace::mask_logits",
    lambda prototypes, cells, pixels, *_: torch.empty_like(pixels, dtype=torch.float32),
    lib=_library,
)
mask_logits = torch.ops.millrace.mask_logits.default
