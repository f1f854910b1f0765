"""PyTorch on CPUs and NVIDIA GPUs: its own files (TorchScript, torch.export, weights, compiled packages) and ONNX.

On a CPU several calls run at the same time, each on few threads; on a GPU a network is replayed as CUDA graphs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.errors import MissingExtraError
from .base import Runtime, choose, counted, refuse, usable_cores
from .files import format_of
from .graph_sizes import asked_sizes, warmed
from .pool import PooledRuntime, check_feed, wait_for
from .torch_best import CANDIDATES, Reads, best_only
from .torch_nms import kept_only
from .torch_program import Program, as_float16, compiled_package, read, release

_KNOWN = ("parallel", "threads", "precision", "compiled", "graphs", "tuned", "candidates")
_SOURCE = ("size", "inputs", "model", "arguments")  # what a file may leave open


def load(
    path: str | os.PathLike[str],
    device: str = "cpu",
    parallel: int | None = None,
    threads: int = 1,
    precision: str | None = None,
    compiled: bool | str = False,
    graphs: bool | Sequence[int] = True,
    tuned: bool = True,
    candidates: int | bool = CANDIDATES,
    reads: Reads | None = None,
    **source: Any,
) -> Runtime:
    """Load a TorchScript file, an exported program (.pt2), weights, a compiled package or an .onnx file.

    `parallel` calls run at the same time (default: the cores / `threads`; on a GPU 2: one runs, one waits behind it),
    each on `threads` threads: PyTorch keeps that number for the process. `precision`: float32, and on a GPU float16
    (the default there for .onnx files), of weights, activations and inputs; outputs are float32.

    TorchScript, weights and packages do not say how big a picture is: `size` (height, width) or `inputs`, such as
    {images: "float32[?, 3, 384, 640]"}, does. Weights need `model`, the class of the network (module:Class or
    file.py:Class), called with `arguments`. `compiled` compiles an exported program or an .onnx file ahead of time
    (AOTInductor: a minute, needs a C++ compiler), into the folder it names, where the next start finds it; on a GPU it
    is torch.compile, at the first call of each batch size. `compiled: background` begins with the network as it is, and
    the compiled one takes over when it is ready (which may change last bits of results in the middle of a run).
    On a GPU a network is recorded for batches of 1, 2, 4, 8, …, each when it first comes, which takes a second or two
    (and much more where it is compiled); `graphs=[4, 16]` records it for these when it is loaded, and a smaller batch
    runs on the next of them. `graphs=False` runs one that cannot be recorded. `tuned` lets cuDNN try its kernels and
    take the fastest: two runs may then differ in the last bits. Where `reads` says that an output holds one candidate a
    cell (a detector's grid), graphs give only the `candidates` best cells of each picture (1024; 0 or false: all), of
    these what NMS does not remove (torch_nms), of a cell's class scores the best, how sure the next best cell was and,
    where `reads` asks, the cells' numbers (torch_best); `outputs` are the network's own.
    Raises ValueError for a file that is not a model it can run and for options that it does not know.
    """
    refuse("torch", [key for key in source if key not in _SOURCE], (*_KNOWN, *_SOURCE))
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}")
    _check(threads, tuned, compiled, candidates)
    kind = format_of(path)
    on_gpu = device != "cpu"
    precision = precision or ("float16" if on_gpu and kind == "onnx" else "float32")
    choose("precision", precision, ("float32", "float16") if on_gpu else ("float32",))
    sizes = asked_sizes(graphs)
    owner: Any = _gpu(device) if on_gpu else None  # before torch touches CUDA: it sets how waiting threads wait
    if kind == "onnx":
        program = _onnx(path, precision, device)
    else:
        program = read(path, kind, device, **source, parallel=parallel or usable_cores())
        program = as_float16(program) if precision == "float16" else program
    if on_gpu:  # what made the network may be under way there; it is used on streams that do not wait for that one
        torch.cuda.current_stream(device).synchronize()
    if on_gpu and graphs is not False and kind != "aoti" and not getattr(program.module, "open", False):
        module = kept_only(best_only(program, reads, candidates), program.outputs, torch.device(owner.name))
        facts = (module, program.inputs, program.outputs, program.metadata, owner)
        how = compiled if compiled == "background" else bool(compiled)
        return _recorded(*facts, parallel or 2, how, tuned, sizes)
    parallel = parallel or (2 if on_gpu else max(1, usable_cores() // threads))
    if compiled and kind != "aoti":
        program = compiled_package(program, path, None if compiled is True else compiled, parallel)
    return TorchThreads(program, device, parallel, threads)


def _recorded(*settings: Any) -> Runtime:
    """A network on the GPU, recorded for the batches that it was given."""
    from .torch_cuda import TorchRuntime

    made: Runtime = warmed(TorchRuntime(*settings))
    return made


class TorchThreads(PooledRuntime):
    """A network called by `parallel` threads: PyTorch lets go of the GIL inside its operations."""

    def __init__(self, program: Program, device: str, parallel: int, threads: int = 1) -> None:
        super().__init__("torch", program.inputs, program.outputs, parallel, device, program.metadata)
        self.batches = self.on_gpu = device != "cpu"
        self._program = program
        self._threads = threads
        self._set = threading.local()

    def close(self) -> None:
        super().close()
        release(self._program.module)

    def call(self, feed: dict[str, Any]) -> dict[str, Any]:
        check_feed(self.inputs, feed)
        if not hasattr(self._set, "done"):
            torch.set_num_threads(self._threads)  # for this thread, and for those that will be made
            if self.on_gpu:
                _gpu(self.device)
            self._set.done = True
        with torch.inference_mode():
            arrays = [feed[info.name] for info in self.inputs]
            for array in arrays:
                wait_for(array)
            tensors = [torch.as_tensor(_owned(array)).to(self.device) for array in arrays]
            try:
                results = self._program.call(*tensors)
            except (RuntimeError, ValueError, TypeError, AssertionError) as error:
                raise ValueError(f"the model refused its input: {_reason(error)}") from error
            return {info.name: _array(result) for info, result in zip(self.outputs, results, strict=True)}


def _check(threads: int, tuned: object, compiled: object, candidates: object) -> None:
    counted("threads", threads)
    if candidates is True or not isinstance(candidates, int) or candidates < 0:
        raise ValueError(f"candidates={candidates!r} is not allowed: a whole number from 1 on; 0 or false: all cells")
    if not isinstance(tuned, bool) or not isinstance(compiled, (bool, str)):
        raise ValueError("tuned is true or false; compiled is that, a folder, or background")


def _owned(array: Any) -> Any:
    """An array that PyTorch may point at: it warns of those that cannot be written."""
    if isinstance(array, np.ndarray) and not (array.flags.writeable and array.flags.c_contiguous):
        return array.copy()
    return array


def _array(result: Any) -> Any:
    result = result.float() if result.dtype in (torch.float16, torch.bfloat16) else result
    return result.cpu().numpy()


def _gpu(device: str) -> Any:
    """The GPU, for the calling thread: what it allocates disturbs no graph that ONNX Runtime records meanwhile."""
    from ..cuda.context import gpu

    owner = gpu(device)
    owner.use()
    return owner


def _onnx(path: str | os.PathLike[str], precision: str, device: str) -> Program:
    try:
        import onnx
        from google.protobuf.message import DecodeError

        from . import onnx_graph
    except ImportError as error:
        raise MissingExtraError(f"running {path} on PyTorch", str(error.name), "convert") from None
    try:
        model = onnx.load(os.fspath(path))
        module = onnx_graph.Graph(model, getattr(torch, precision)).to(device).eval()
    except (DecodeError, FileNotFoundError) as error:  # the second: of its external data
        raise ValueError(f"{path} is not an ONNX file: {error}") from error
    except (ValueError, onnx.checker.ValidationError) as error:
        raise ValueError(f"{path} cannot be run by the PyTorch runtime: {error}") from error
    inputs = onnx_graph.tensor_infos(model.graph.input, module.constants, {"float32": precision})
    outputs = onnx_graph.tensor_infos(model.graph.output, {}, {})
    return Program(module, inputs, outputs, {p.key: p.value for p in model.metadata_props})


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
