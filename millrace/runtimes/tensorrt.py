"""TensorRT on NVIDIA GPUs: engines, run as they are or built from ONNX and kept.

Written against the Python API of TensorRT 10 and 11 (https://docs.nvidia.com/deeplearning/tensorrt/latest/). Its calls
are tested with a stand-in for the library; it has not been run with the real one.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorrt as trt

from ..media import TensorInfo
from .base import choose, refuse
from .pool import PooledRuntime, check_feed
from .tensorrt_build import PRECISIONS, Wish, build
from .tensorrt_memory import Slot, open_slots

_BUILD = ("precision", "batch", "optimum", "workspace", "cache", "calibration", "calibration_cache")
_KNOWN = ("parallel", *_BUILD)


def load(
    path: str | os.PathLike[str],
    device: str = "cuda:0",
    parallel: int | None = None,
    precision: str = "float16",
    batch: int = 16,
    cache: str | os.PathLike[str] | None = None,
    **options: Any,
) -> TensorRtRuntime:
    """Load an engine (.engine, .plan), or build one from an .onnx file and keep it in `cache`.

    `parallel` calls (default 2) are under way, each with a context of its own. For building: `precision` is float32,
    float16, bfloat16 or int8; `batch` the most pictures of a call, `optimum` (default: the same) the number to be
    fastest with; `workspace` GiB that the builder may use (default 4). int8 wants `calibration`, a list of inputs
    (name → array) or a .npz file of them (name → [n, …]), or `calibration_cache`, a file that is written and used
    again.
    An engine is kept by model, GPU, TensorRT version and wishes, so that a second start only reads it.
    Raises ValueError for a file that cannot be run or built, with TensorRT's own reasons.
    """
    refuse("tensorrt", [key for key in options if key not in _BUILD], _KNOWN)
    choose("precision", precision, PRECISIONS)
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    logger = _Logger()
    slots = open_slots(device, parallel or 2)  # before TensorRT touches CUDA: it makes the GPU's context
    if path.suffix.lower() == ".onnx":
        wish = Wish(precision=precision, batch=batch, gpu=slots[0].gpu_name, **options)
        plan = build(path, wish, Path(cache) if cache else _cache(), logger, slots[0])
    else:
        plan = path.read_bytes()
    engine = trt.Runtime(logger).deserialize_cuda_engine(plan)
    if engine is None:
        raise ValueError(
            f"{path} is not an engine for this GPU and TensorRT {trt.__version__}: {logger.last()}; engines run where"
            " they were built, so build it here from its .onnx"
        )
    return TensorRtRuntime(engine, slots, device)


class TensorRtRuntime(PooledRuntime):
    """An engine and `parallel` contexts, each with a stream and memory of its own; threads wait outside the GIL."""

    def __init__(self, engine: Any, slots: list[Slot], device: str) -> None:
        names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
        takes = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        inputs = [_info(engine, name) for name in takes]
        outputs = [_info(engine, name) for name in names if name not in takes]
        super().__init__("tensorrt", inputs, outputs, len(slots), device)
        self.batches = all(info.shape[:1] == (None,) for info in inputs)
        self.most = min((int(engine.get_tensor_profile_shape(name, 0)[2][0]) for name in takes), default=1)
        self.on_gpu = True
        self._engine = engine
        self._idle: queue.SimpleQueue[tuple[Any, Slot]] = queue.SimpleQueue()
        for slot in slots:
            self._idle.put((engine.create_execution_context(), slot))

    def call(self, feed: dict[str, Any]) -> dict[str, Any]:
        check_feed(self.inputs, feed)
        count = next(iter(feed.values())).shape[0]
        if not self.batches or count <= self.most:
            return self._execute(feed)
        parts = [
            self._execute({name: value[at : at + self.most] for name, value in feed.items()})
            for at in range(0, count, self.most)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _execute(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        context, slot = self._idle.get()
        try:
            slot.begin()
            for name, value in feed.items():
                if not context.set_input_shape(name, tuple(value.shape)):
                    raise ValueError(f"the engine refused its input {name} of shape {list(value.shape)}")
                context.set_tensor_address(name, slot.upload(name, value))
            for info in self.outputs:
                shape = tuple(context.get_tensor_shape(info.name))
                if any(dim < 0 for dim in shape):
                    raise ValueError(f"output {info.name} has a size that depends on the data, which is not supported")
                context.set_tensor_address(info.name, slot.room(info.name, shape, info.dtype))
            if not context.execute_async_v3(slot.stream):
                raise ValueError("TensorRT could not run the engine")
            return slot.finish([info.name for info in self.outputs])
        finally:
            self._idle.put((context, slot))


class _Logger(trt.ILogger):  # type: ignore[misc]
    """Keeps TensorRT's complaints, to be told when something fails."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self._told: list[str] = []

    def log(self, severity: Any, message: str) -> None:
        if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
            self._told.append(message)

    def last(self) -> str:
        return self._told[-1] if self._told else "it gave no reason"


def _info(engine: Any, name: str) -> TensorInfo:
    shape = tuple(None if dim < 0 else int(dim) for dim in engine.get_tensor_shape(name))
    return TensorInfo(name, shape, np.dtype(trt.nptype(engine.get_tensor_dtype(name))).name)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millrace" / "engines"
