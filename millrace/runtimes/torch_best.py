"""Of a network's output with one candidate a cell, only the best cells leave the device where it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ..media import CELL_NUMBERS, LEFT_OUT, Cells, TensorInfo
from .torch_program import InOrder, Program

CANDIDATES = 1024  # cells of a picture
Reads = Callable[[Sequence[TensorInfo], Sequence[TensorInfo], Mapping[str, str]], Cells | None]


def best_only(program: Program, reads: Reads | None, most: int) -> Any:
    """The program as a module that gives a tuple, its outputs in order; of the cells that are read, the `most` best.

    `reads` says from inputs, outputs and metadata which cells these are. 0: all. So many at least are kept that it is
    still the larger dimension that counts the cells: some readers tell them from the numbers of a cell by that.
    """
    module = InOrder(program)
    cells = reads(program.inputs, program.outputs, program.metadata) if reads is not None and most else None
    if cells is None:
        return module
    place = [info.name for info in program.outputs].index(cells.output)
    shape = program.outputs[place].shape
    count, numbers = shape[cells.axis], shape[3 - cells.axis]
    most = max(most, (numbers or 0) + 1)
    return module if count is None or count <= most else BestCells(module, place, cells, most)


class BestCells(torch.nn.Module):  # type: ignore[misc]
    """A network that gives, of output number `place`, the `count` surest cells of each picture, in their order.

    It is compared in float32, as readers do. NaN counts as surest, so that it is seen. `further` names the outputs that
    are added: how sure the surest of the others is, float32 [N], and the cells' numbers, int32 [N, count], where they
    are asked for.
    """

    def __init__(self, module: Any, place: int, cells: Cells, count: int) -> None:
        super().__init__()
        self.module = module
        self.place, self.cells, self.count = place, cells, count
        self.further = (LEFT_OUT, CELL_NUMBERS) if cells.numbered else (LEFT_OUT,)

    def forward(self, *tensors: Any) -> tuple[Any, ...]:
        outputs = list(self.module(*tensors))
        head, axis = outputs[self.place], self.cells.axis
        sure, order = self._sure(head).topk(self.count + 1, dim=1)
        numbers = order[:, :-1].sort(dim=1).values
        outputs[self.place] = head.take_along_dim(numbers.unsqueeze(3 - axis), axis)
        further = (sure[:, -1], numbers.int())[: len(self.further)]
        return (*outputs, *further)

    def _sure(self, head: Any) -> Any:
        """How sure each cell is, [N, cells]."""
        cells, across = self.cells, 3 - self.cells.axis
        best = head.narrow(across, cells.first, cells.end - cells.first).amax(across).float()
        if cells.objectness is None:
            return best
        objectness = head.select(across, cells.objectness).float()
        return torch.minimum(objectness, objectness * best)
