"""Of a network's output with one candidate a cell, only the best cells leave the device where it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from ..media import CELL_CLASSES, CELL_NUMBERS, LEFT_OUT, Cells, TensorInfo
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
    if count is None or numbers is None or count <= (most := max(most, numbers + 1)):
        return module
    return BestCells(module, place, cells, most)


class Rows(NamedTuple):
    """Cells of each picture, in their order."""

    values: Any  # float32 [N, rows, numbers of a cell], of the class scores only the best
    classes: Any  # int32 [N, rows]: whose that is
    numbers: Any  # int32 [N, rows]: which cells these are

    def take(self, places: Any) -> Rows:
        """Those that stand at `places`, int64 [N, rows]."""
        values = self.values.take_along_dim(places.unsqueeze(2), 1)
        return Rows(values, self.classes.gather(1, places), self.numbers.gather(1, places))


class BestCells(torch.nn.Module):  # type: ignore[misc]
    """A network that gives, of output number `place`, the `count` surest cells of each picture, in their order.

    Of a cell's class scores the best alone is given. It is compared in float32, as readers do; of equal ones the first
    counts. NaN counts as surest, so that it is seen. `further` names the outputs that are added: which class that is,
    int32 [N, count], where there is more than one; the cells' numbers, int32 [N, count], where they are asked for; and
    how sure the surest of the others is, float32 [N].
    """

    def __init__(self, module: Any, place: int, cells: Cells, count: int) -> None:
        super().__init__()
        self.module = module
        self.place, self.cells, self.count = place, cells, count
        told = [(CELL_CLASSES, cells.end - cells.first > 1), (CELL_NUMBERS, cells.numbered)]
        self.told = tuple(name for name, wanted in told if wanted)
        self.further = (*self.told, LEFT_OUT)

    def forward(self, *tensors: Any) -> tuple[Any, ...]:
        outputs, rows, left_out = self.choose(*tensors)
        outputs[self.place], *told = self.given(rows)
        return (*outputs, *told, left_out)

    def choose(self, *tensors: Any) -> tuple[list[Any], Rows, Any]:
        """The network's outputs, the best cells, and how sure the surest of the others is."""
        outputs, cells = list(self.module(*tensors)), self.cells
        head = outputs[self.place] if cells.axis == 1 else outputs[self.place].transpose(1, 2)
        best, classes = head[..., cells.first : cells.end].max(dim=2)
        sure, order = self._sure(head, best.float()).topk(self.count + 1, dim=1)
        numbers = order[:, :-1].sort(dim=1).values
        before, behind = (
            part.take_along_dim(numbers.unsqueeze(2), 1) for part in (head[..., : cells.first], head[..., cells.end :])
        )
        values = torch.cat([before, best.gather(1, numbers).unsqueeze(2), behind], dim=2).float()
        return outputs, Rows(values, classes.gather(1, numbers).int(), numbers.int()), sure[:, -1]

    def given(self, rows: Rows) -> list[Any]:
        """Rows as the network's output has its cells, and what is told of them."""
        told = {CELL_CLASSES: rows.classes, CELL_NUMBERS: rows.numbers}
        values = rows.values if self.cells.axis == 1 else rows.values.transpose(1, 2)
        return [values, *(told[name] for name in self.told)]

    def _sure(self, head: Any, best: Any) -> Any:
        """How sure each cell is, [N, cells]."""
        if self.cells.objectness is None:
            return best
        objectness = head[..., self.cells.objectness].float()
        return torch.minimum(objectness, objectness * best)
