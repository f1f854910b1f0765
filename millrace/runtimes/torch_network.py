"""A network as it is recorded for each batch size: convolutions fused where they can be, then compiled where asked."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from ..media import TensorInfo
from .torch_constants import Constants
from .torch_fused import Fusion
from .torch_program import release

recording = threading.Lock()  # one graph at a time in the process: PyTorch's allocator knows one recording


class Network:
    """`module` takes the inputs in order, then what it asks for besides, and returns a tuple of the outputs in order.

    `leaves` names the outputs that every call gives, `larger` those behind them that calls seldom give (torch_nms).
    """

    def __init__(self, module: Any, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]) -> None:
        self.module, self._infos = module, (inputs, outputs)
        names = (*(info.name for info in outputs), *getattr(module, "further", ()))  # see torch_best
        self.leaves: Sequence[str] = getattr(module, "leaves", names)
        self.larger: Sequence[str] = getattr(module, "larger", ())
        self.slots = [*inputs, *getattr(module, "asked", ())]
        self.asks = len(self.slots) > len(inputs)
        self._fusion: Any = Fusion(module)
        self._programs: dict[tuple[int, bool], Any] = {}  # as it runs, for a batch size; compiled or not
        self._whole: Any = None  # compiled, for all sizes, where nothing in it is fused

    def simpler(self) -> Network | None:
        """The same with less done on the GPU, which leaves more to the CPU."""
        module = getattr(self.module, "best", None)
        return None if module is None else Network(module, *self._infos)

    def program(self, inputs: Sequence[Any], constants: Constants, size: int, compiled: bool) -> Any:
        """As it runs for a batch size, with inputs like these."""
        if (size, compiled) not in self._programs:
            with constants:
                self.module(*inputs)  # now what it makes on the CPU is kept, and is not written down by the next run
                fused = self._fusion.of(inputs, compiled)
            program = self.module if fused is None else fused
            if compiled:
                program = torch.compile(program, dynamic=False) if fused is not None else self._compiled_whole()
            self._programs[size, compiled] = program
        return self._programs[size, compiled]

    def _compiled_whole(self) -> Any:
        """The network compiled, the same for all sizes: each is one more form of it for the compiler."""
        if self._whole is None:
            self._whole = torch.compile(self.module, dynamic=False)
        return self._whole

    def release(self) -> None:
        """Free the memory of its weights. It is not called again."""
        for program in (self.module, *self._programs.values()):
            release(program)
        self._programs.clear()
        self.module = self._fusion = self._whole = None


def once(program: Any, inputs: Sequence[Any], constants: Constants) -> Any:
    """Run a program. A compiler has kept its constants itself, and would take ours for a part of the network."""
    with nullcontext() if hasattr(program, "_orig_mod") else constants:
        return program(*inputs)


@contextmanager
def alone() -> Iterator[None]:
    """While a graph is recorded no other is, and no array is freed in the middle of it.

    What is loaded by then stays: the collector need not look at it again (with PyTorch a look takes 100 ms and more).
    """
    with recording:
        collects = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            gc.freeze()
            if collects:
                gc.enable()
