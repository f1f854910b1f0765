"""TFLite files on the CPU (LiteRT): an interpreter for each call in flight.

Quantised tensors are given and taken as real numbers, real = (stored - zero point) * scale
(https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec), but for pictures of uint8,
which take the pixels as they are.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, load_delegate

from ..media import TensorInfo
from .base import refuse, usable_cores
from .pool import PooledRuntime, check_feed


def load(
    path: str | os.PathLike[str],
    device: str = "cpu",
    parallel: int | None = None,
    threads: int = 1,
    delegate: str | None = None,
    delegate_options: Mapping[str, str] | None = None,
    **options: Any,
) -> TfLiteRuntime:
    """Load a .tflite file. `parallel` calls run at the same time (default: the cores / `threads`).

    `delegate`: a library that runs the model on another chip (Edge TPU, Hexagon), with options of its own.
    Raises ValueError for a file that is not a model and for operators that the library does not have.
    """
    refuse("tflite", options, ("parallel", "threads", "delegate", "delegate_options"))
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}")
    parallel = parallel or max(1, usable_cores() // threads)
    try:
        delegates = [load_delegate(delegate, dict(delegate_options or {}))] if delegate else None
        interpreters = [
            Interpreter(model_path=os.fspath(path), num_threads=threads, experimental_delegates=delegates)
            for _ in range(parallel)
        ]
        for interpreter in interpreters:
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError, OSError) as error:
        raise ValueError(f"{path} is not a model that TFLite can run: {str(error).strip()[:300]}") from error
    return TfLiteRuntime(interpreters, device)


class TfLiteRuntime(PooledRuntime):
    """The same model in several interpreters: `invoke` lets go of the GIL, and one interpreter runs one call."""

    def __init__(self, interpreters: Sequence[Any], device: str = "cpu") -> None:
        self._ins, self._outs = interpreters[0].get_input_details(), interpreters[0].get_output_details()
        inputs, outputs = [_info(d, takes=True) for d in self._ins], [_info(d, takes=False) for d in self._outs]
        super().__init__("tflite", inputs, outputs, len(interpreters), device)
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for interpreter in interpreters:
            self._idle.put(interpreter)

    def call(self, feed: dict[str, Any]) -> dict[str, Any]:
        check_feed(self.inputs, feed)
        interpreter = self._idle.get()
        try:
            self._fit(interpreter, feed)
            for info, detail in zip(self.inputs, self._ins, strict=True):
                interpreter.set_tensor(detail["index"], _stored(feed[info.name], detail))
            interpreter.invoke()
            return {
                info.name: _real(interpreter.get_tensor(detail["index"]), detail)
                for info, detail in zip(self.outputs, self._outs, strict=True)
            }
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"the model refused its input: {str(error).strip()[:300]}") from error
        finally:
            self._idle.put(interpreter)

    def _fit(self, interpreter: Any, feed: Mapping[str, Any]) -> None:
        """Make room for this number of pictures, where it is not the last one's."""
        now = {detail["index"]: detail["shape"] for detail in interpreter.get_input_details()}
        changed = False
        for info, detail in zip(self.inputs, self._ins, strict=True):
            shape = feed[info.name].shape
            if tuple(now[detail["index"]]) != shape:
                interpreter.resize_tensor_input(detail["index"], list(shape), strict=True)
                changed = True
        if changed:
            interpreter.allocate_tensors()


def _info(detail: Mapping[str, Any], takes: bool) -> TensorInfo:
    signature = detail.get("shape_signature", detail["shape"])
    shape = tuple(None if dim < 0 else int(dim) for dim in signature)
    dtype = np.dtype(detail["dtype"]).name
    if _scale(detail) and not (takes and dtype == "uint8"):
        dtype = "float32"
    return TensorInfo(detail["name"], shape, dtype)


def _scale(detail: Mapping[str, Any]) -> float:
    """The step between two stored numbers; 0: they are the numbers themselves."""
    return float(detail["quantization"][0])


def _stored(value: Any, detail: Mapping[str, Any]) -> Any:
    dtype = np.dtype(detail["dtype"])
    if value.dtype == dtype or not _scale(detail):
        return value
    limits = np.iinfo(dtype)
    steps = np.rint(value / _scale(detail)) + detail["quantization"][1]
    return np.clip(steps, limits.min, limits.max).astype(dtype)


def _real(value: Any, detail: Mapping[str, Any]) -> Any:
    """An array of our own: the interpreter's is a copy already."""
    if not _scale(detail):
        return value
    return (value.astype(np.float32) - detail["quantization"][1]) * np.float32(_scale(detail))
