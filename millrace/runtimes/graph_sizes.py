"""For which batches the CUDA graphs of a network are recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..media import TensorInfo

UNRECORDED = "the network cannot be recorded as a CUDA graph ({}); the option `graphs: false` runs it as it is"
_SPARE = 4  # so many times the pictures of a call may one of the sizes be that were given to `warm`


def asked_sizes(graphs: bool | Sequence[int] | None) -> list[int]:
    """The batches that the option `graphs` asks to record. Raises ValueError for what it cannot be."""
    if graphs is None or isinstance(graphs, bool):
        return []
    if not isinstance(graphs, list) or not graphs or not all(type(each) is int and each > 0 for each in graphs):
        raise ValueError(f"graphs: {graphs!r} is not allowed: true, false, or the sizes of batches, such as [4, 16]")
    return sorted(graphs)


def warmed(runtime: Any) -> Any:
    """A runtime just made, with the graphs recorded that were asked for; closed where that fails."""
    try:
        runtime.warm(())
    except BaseException:
        runtime.close()
        raise
    return runtime


class GraphSizes:
    """Those of one network; `asked`: see asked_sizes. `fixed`: of every call, where the network says how many."""

    def __init__(self, inputs: Sequence[TensorInfo], asked: Sequence[int] = ()) -> None:
        firsts = [info.shape[0] if info.shape else None for info in inputs]
        self.fixed = None if None in firsts else firsts[0]
        self._asked = self._warm = tuple(sorted(asked))

    def warm(self, sizes: Sequence[int]) -> Sequence[int]:
        """Somebody will call it with such batches, besides those who said so before; gives what is to be recorded."""
        self._warm = self._asked or tuple(sorted({*self._warm, *sizes}))
        return self._warm

    def of(self, count: int) -> int:
        """Whose graph runs so many pictures: that of a size asked for, or given to `warm` and no more than four times
        as large; else of the next power of two."""
        if self.fixed is not None and count <= self.fixed:
            return self.fixed
        size = min((n for n in self._warm if count <= n and (self._asked or n <= _SPARE * count)), default=0)
        return size or 1 << max(0, count - 1).bit_length()
