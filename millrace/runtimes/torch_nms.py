"""Of a network's best cells, those that NMS removes do not leave the device where it runs.

Who reads the rest does so with an NMS of his own, and finds what he would find in all: nothing goes that is not sure to
go there (see nms.cu, and `step_by_step` for the same in PyTorch's operations, on CPUs). It is registered with PyTorch
as one operation, so that its compiler takes it as it is, and that it reads the very numbers that leave.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..cuda.kernel import Module
from ..media import ASKED, FRACTIONS, MASK_WINDOWS, MASKS, Cells, TensorInfo
from . import torch_masks
from .torch_best import BestCells, Rows
from .torch_kernels import Kernels, place_of, present_stream, same

KEPT = 320  # rows of a picture that leave: somewhat more than the objects that readers give, 300
ROWS_LEFT_OUT = "surest row left out"
_STAYS, _MAY_STAY, _GOES = range(3)
_KINDS = ("centres", "corners", "grid")
_CLOSE, _NEAR, _HUGE = 2.0**-19, 2.0**-18, 1e15  # as in nms.cu
_THREADS = 512


class KeptCells(torch.nn.Module):  # type: ignore[misc]
    """A network of which `count` of the best cells are given: those that NMS may keep, the surest of them.

    What is ASKED of each picture's cells is its last input. `leaves` names its first outputs: the network's, without
    the prototypes of masks, with MASKS and MASK_WINDOWS for them; what BestCells adds; and ROWS_LEFT_OUT, float32 [N],
    how sure the surest of the cells is that NMS may keep besides. `larger` names those at the end: all cells of
    BestCells, and the prototypes, to be read in their place where that is as sure as was asked for.
    """

    asked = (TensorInfo(ASKED, (None, 3), "float32"),)

    def __init__(self, best: BestCells, names: Sequence[str], count: int) -> None:
        super().__init__()
        self.best, self.count = best, count
        self.prototypes = names.index(best.cells.prototypes) if best.cells.prototypes else None
        kept = [name for place, name in enumerate(names) if place != self.prototypes]
        masks = () if self.prototypes is None else (MASKS, MASK_WINDOWS)
        self.leaves = (*kept, *best.further, *masks, ROWS_LEFT_OUT)
        self.larger = (names[best.place], *best.told, *(name for name in names if name not in kept))
        self.register_buffer("places", _places(best.cells), persistent=False)

    def forward(self, *tensors: Any) -> tuple[Any, ...]:
        *inputs, asked = tensors
        outputs, rows, left_out = self.best.choose(*inputs)
        cells = self.best.cells
        places = self.places[rows.numbers.long()] if cells.boxes == "grid" else self.places
        facts = _KINDS.index(cells.boxes), cells.first, cells.objectness is not None
        order, scores, fates = suppress(rows.values, rows.classes, places, asked, *facts)
        gone = (fates == _GOES).to(torch.uint8)
        first = gone.sort(dim=1, stable=True).indices[:, : self.count + 1]
        kept, next_best = order.gather(1, first[:, :-1]).sort(dim=1).values, first[:, -1:]
        rows_left_out = scores.gather(1, next_best).masked_fill(gone.gather(1, next_best) > 0, -torch.inf)[:, 0]
        whole: list[Any] = self.best.given(rows)
        masks: list[Any] = []
        outputs[self.best.place], *told = self.best.given(rows.take(kept))
        if self.prototypes is not None:
            prototypes = outputs.pop(self.prototypes)
            counts = torch.zeros_like(fates, dtype=torch.bool).scatter(1, order, scores >= asked[:, :1])
            stays = torch.zeros_like(gone).scatter(1, order, gone).gather(1, kept) == 0
            *masks, fit = self._masks(prototypes, rows, counts, kept, stays)
            rows_left_out = rows_left_out.masked_fill(~fit, torch.inf)
            whole.append(prototypes)
        return (*outputs, *told, left_out, *masks, rows_left_out, *whole)

    def _masks(self, prototypes: Any, rows: Rows, counts: Any, kept: Any, stays: Any) -> tuple[Any, Any, Any]:
        """The masks of the kept rows that stay, their windows, and whether all have room [N]. `counts` says which of
        all rows are as sure as asked."""
        cells = self.best.cells
        boxes = _boxes(rows.values, rows.values, _KINDS.index(cells.boxes))
        small = torch_masks.small_boxes(boxes, counts, cells)
        size = prototypes.shape[3], prototypes.shape[2]
        parts = torch_masks.windows(boxes.take_along_dim(kept.unsqueeze(2), 1), stays, small, cells, size)
        values = rows.values.take_along_dim(kept.unsqueeze(2), 1)
        logits, total = torch_masks.cut(prototypes, values, cells.first + 1, parts)
        return logits, torch_masks.with_whole(parts, size), total <= logits.shape[1]


def kept_only(best: Any, outputs: Sequence[TensorInfo], device: Any = None) -> Any:
    """What `best_only` made, without what NMS removes, where that can be known, and this GPU has what it takes."""
    if not isinstance(best, BestCells) or best.cells.boxes is None:
        return best
    cells, shape = best.cells, outputs[best.place].shape
    most = max(KEPT, (shape[3 - cells.axis] or 0) + 1)  # as in best_only
    kept = KeptCells(best, [info.name for info in outputs], most)
    if best.count <= most or (cells.boxes == "grid" and len(kept.places) != shape[cells.axis]):
        return best
    needed = (_kernels, torch_masks.kernels) if cells.prototypes else (_kernels,)
    return best if device is not None and any(each.on(device) is None for each in needed) else kept


def all_asked(count: int) -> Any:
    """What is ASKED of so many pictures' cells by who says nothing of it: then all candidates leave."""
    return np.tile(np.array([-np.inf, np.inf, 0], np.float32), (count, 1))


def few_left(results: dict[str, Any], asked: Any) -> bool:
    """Whether more of a picture may stay than left the device: then its masks are not all here, and go.

    The results say from now on what was asked.
    """
    results[ASKED] = asked
    few = bool((results.pop(ROWS_LEFT_OUT) >= asked[:, 0]).any())
    for name in (MASKS, MASK_WINDOWS) if few else ():
        results.pop(name, None)
    return few


def _places(cells: Cells) -> Any:
    """Column, row and stride of every cell of a grid, float32 [cells, 3]."""
    parts = [torch.zeros((0, 3))]
    for stride, columns, rows in cells.grids:
        row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        parts.append(torch.stack([column, row, torch.full_like(row, stride)], dim=2).reshape(-1, 3).float())
    return torch.cat(parts)


_library = torch.library.Library("millrace", "FRAGMENT")
_library.define(
    "suppress(Tensor cells, Tensor classes, Tensor places, Tensor asked, int kind, int score, bool objectness)"
    " -> (Tensor, Tensor, Tensor)"
)


def step_by_step(
    cells: Any, classes: Any, places: Any, asked: Any, kind: int, score: int, objectness: bool
) -> tuple[Any, Any, Any]:
    """The order of cells [N, n, numbers], the surest first; their scores in it; and whether each stays, may, or goes.

    The number at `score` is that of a cell's class [N, n], to be multiplied with the one before it where that is its
    `objectness`. `places` [N, n, 3] are those of a grid's cells; `asked` [N, 3]: see media.tensor.
    """
    order, scores = _in_order(cells, asked, score, objectness)
    boxes = _boxes(cells, places, kind).take_along_dim(order.unsqueeze(2), 1)
    kinds = classes.gather(1, order) * (asked[:, 2:] == 0)
    limit = asked[:, 1:2]
    counts = ~(scores < asked[:, :1])
    fates = torch.where(counts, _STAYS, _GOES).to(torch.uint8)
    for i in range(int(counts.sum(1).max()) if counts.numel() else 0):
        told = _fates(boxes[:, i : i + 1], boxes[:, i + 1 :], limit)
        mine = fates[:, i : i + 1]
        told = torch.where((told == _GOES) & (mine == _MAY_STAY), _MAY_STAY, told)
        surer = (mine != _GOES) & (scores[:, i : i + 1] >= asked[:, :1]) & (limit <= _HUGE)
        reached = surer & (kinds[:, i + 1 :] == kinds[:, i : i + 1])
        fates[:, i + 1 :] = torch.where(
            reached, torch.maximum(told.to(torch.uint8), fates[:, i + 1 :]), fates[:, i + 1 :]
        )
    return order, scores, fates


def _in_order(cells: Any, asked: Any, score: int, objectness: bool) -> tuple[Any, Any]:
    """As readers order them: equally sure ones as they stand. Who is too little sure for them is -inf sure here."""
    scores = cells[..., score]
    if objectness:
        before = cells[..., score - 1]
        scores = (before * scores).masked_fill(before < asked[:, :1], -torch.inf)
    found = scores.sort(dim=1, descending=True, stable=True)
    return found.indices, found.values


def _boxes(cells: Any, places: Any, kind: int) -> Any:
    """x1 y1 x2 y2 of each cell."""
    first, second = cells[..., :2], cells[..., 2:4]
    if kind == _KINDS.index("corners"):
        return torch.cat([first, second], dim=2)
    if kind == _KINDS.index("grid"):
        first, second = (first + places[..., :2]) * places[..., 2:], second.exp() * places[..., 2:]
    return torch.cat([first - second / 2, first + second / 2], dim=2)


def _fates(a: Any, b: Any, limit: Any) -> Any:
    """`fate` of nms.cu, of all boxes `b` [N, n, 4] beside `a` [N, 1, 4]."""
    off = _CLOSE * (a.abs().sum(2) + b.abs().sum(2))
    ax1, ay1, ax2, ay2 = a.unbind(2)
    bx1, by1, bx2, by2 = b.unbind(2)
    wide = torch.minimum(ax2, bx2) - torch.maximum(ax1, bx1)
    high = torch.minimum(ay2, by2) - torch.maximum(ay1, by1)
    least = (wide - off).clamp(min=0) * (high - off).clamp(min=0)
    most = (wide + off).clamp(min=0) * (high + off).clamp(min=0)
    sizes = ax2 - ax1, ay2 - ay1, bx2 - bx1, by2 - by1
    areas = sizes[0] * sizes[1] + sizes[2] * sizes[3]
    error = off * (sum(size.abs() for size in sizes) + 2 * off)
    error = error + _NEAR * ((sizes[0] * sizes[1]).abs() + (sizes[2] * sizes[3]).abs() + most)
    far_a, far_b = (a > FRACTIONS).any(2), (b > FRACTIONS).any(2)
    goes = (least * (1 - _NEAR) > limit * (areas - least + error)) & (far_a | ~far_b)
    may_stay = most * (1 + _NEAR) > limit * (areas - most - error)
    told = torch.where(goes, _GOES, torch.where(may_stay, _MAY_STAY, _STAYS))
    return torch.where(off < _CLOSE * _HUGE, told, _MAY_STAY)  # else: NaN, or products overflow


def by_kernel(
    cells: Any, classes: Any, places: Any, asked: Any, kind: int, score: int, objectness: bool
) -> tuple[Any, Any, Any]:
    """The same in one kernel, but for the order; on PyTorch's present stream. Raises RuntimeError without a kernel."""
    return _launched(_kernels.needed(cells.device), cells, classes, places, asked, kind, score, objectness)


def _launched(
    module: Module, cells: Any, classes: Any, places: Any, asked: Any, kind: int, score: int, objectness: bool
) -> tuple[Any, Any, Any]:
    order, scores = _in_order(cells, asked, score, objectness)
    count, high, numbers = cells.shape
    boxes = torch.empty((count, high, 4), dtype=torch.float32, device=cells.device)
    fates = torch.empty((count, high), dtype=torch.uint8, device=cells.device)
    cells, classes, places, order, scores, asked = (
        each.contiguous() for each in (cells, classes, places, order, scores, asked)
    )
    arguments: list[Any] = [
        place_of(cells, torch.float32, count, high, numbers),
        place_of(classes, torch.int32, count, high),
        place_of(places, torch.float32, *((count, high, 3) if kind == _KINDS.index("grid") else places.shape)),
        place_of(order, torch.int64, count, high),
        place_of(scores, torch.float32, count, high),
        place_of(asked, torch.float32, count, 3),
        place_of(boxes, torch.float32, count, high, 4),
        place_of(fates, torch.uint8, count, high),
        *map(ctypes.c_int, (high, numbers, kind)),
    ]
    module["suppress"].launch(present_stream(cells.device), (count, 1, 1), (_THREADS, 1, 1), arguments)
    return order, scores, fates


def _agree(module: Module, device: Any) -> bool:
    """Whether the kernel says what `step_by_step` says of cells for which the last bits of numbers do not matter."""
    results: list[tuple[Any, Any]] = []
    for kind in range(len(_KINDS)):
        tensors, facts = made_up(kind), (kind, 5, True)
        cells, classes, places, asked = (each.to(device) for each in tensors)
        mine = _launched(module, cells, classes, places, asked, *facts)
        results += zip(mine, step_by_step(*tensors, *facts), strict=True)
    return same(*zip(*results, strict=True))


def made_up(kind: int) -> tuple[Any, Any, Any, Any]:
    """Cells of four pictures, with what else `suppress` is given: 600, more than a block has threads, of 40 things 100
    pixels apart; boxes of 40 pixels, whole steps of 4 apart; some of them no numbers, or infinite."""
    i = torch.arange(600) + 31 * torch.arange(4)[:, None]
    column, row, mixed = i % 8, i // 8 % 5, i * 7919 % 1009
    x, y = 100 * column + mixed % 6 * 4 + 48, 100 * row + mixed // 6 % 5 * 4 + 48
    side = torch.full_like(x, 40)
    places = torch.stack([column, row, side // 5], 2).float()
    first, second = torch.stack([x, y], 2).float(), torch.stack([side, side], 2).float()
    if kind == _KINDS.index("corners"):
        second = first + second
    if kind == _KINDS.index("grid"):
        first, second = first / places[..., 2:] - places[..., :2], (second / places[..., 2:]).log()
    sure = torch.stack([1 - mixed % 2 / 4, i * 613 % 997 // 8 / 128], 2)
    cells = torch.cat([first, second, sure], 2)
    cells[:, 20, 4:] = 1.0  # the surest are twice the same
    cells[:, 140] = cells[:, 20]
    for number, special in enumerate((torch.nan, torch.inf, -torch.inf)):
        cells[::3, 7 + 50 * number, 4:] = 0.75
        cells[::3, 7 + 50 * number, number] = cells[::3, 300 + number, 5] = special
    asked = torch.tensor([[0.3, 0.45, 0], [0.02, 0.45, 0], [0.1, 0.45, 1], [0.3, torch.inf, 0]])
    return cells, (i * 11 % 3).int(), places, asked


_kernels = Kernels("nms.cu", _agree)


def _shapes(cells: Any, *_: Any) -> tuple[Any, Any, Any]:
    kinds = torch.int64, torch.float32, torch.uint8
    order, scores, fates = (torch.empty(cells.shape[:2], dtype=kind, device=cells.device) for kind in kinds)
    return order, scores, fates


_library.impl("suppress", by_kernel, "CUDA")
_library.impl("suppress", step_by_step, "CPU")
torch.library.register_fake("millrace::suppress", _shapes, lib=_library)
suppress = torch.ops.millrace.suppress.default
