"""OpenVINO on Intel and ARM CPUs, Intel GPUs and NPUs: several asynchronous requests in flight over one model.

Besides its own .xml it reads ONNX, TFLite, Paddle, and TensorFlow's SavedModel and frozen graphs, each without the
framework that wrote it. Properties: https://docs.openvino.ai/ (Inference Devices and Modes).
"""

from __future__ import annotations

import os
import queue
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

# Importing openvino would start a thread that reports its use to its makers; without this module it does not.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
import openvino as ov  # noqa: E402

from ..media import TensorInfo  # noqa: E402
from .base import choose, refuse, usable_cores  # noqa: E402
from .pool import PooledRuntime, check_feed  # noqa: E402

PRECISIONS = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "auto": ""}
HINTS = ("throughput", "latency")


@lru_cache(maxsize=1)
def core() -> Any:
    """OpenVINO, once for the process and until its end.

    Its CPU plugin gives the thread that opens it another stack for signals, and frees it with the last part of a Core.
    Where that happens in another thread (a model is swapped, garbage collected), signals find freed memory: Ctrl+C is a
    segmentation fault.
    """
    return ov.Core()


def load(
    path: str | os.PathLike[str],
    device: str = "cpu",
    parallel: int | None = None,
    threads: int = 1,
    hint: str = "throughput",
    precision: str = "float32",
    cache: str | os.PathLike[str] | None = None,
    properties: Mapping[str, Any] | None = None,
    **options: Any,
) -> OpenVinoRuntime:
    """Load a model for `device`: cpu, gpu, gpu:1, npu.

    Throughput: `parallel` requests run at once, each on `threads` threads (default on a CPU: as many as cores /
    threads; elsewhere what the device asks for). Latency: one at a time, on all cores. `precision` is float32,
    bfloat16, float16, or auto, which lets the device choose: it may then differ from float32 in the third digit.
    `cache`: a folder where compiled models are kept, which makes the next start on a GPU or NPU quick. `properties`
    go to OpenVINO as they are. Raises ValueError for a file that it cannot run, a device that is not there, options
    that do not exist.
    """
    refuse("openvino", options, ("parallel", "threads", "hint", "precision", "cache", "properties"))
    choose("hint", hint, HINTS)
    choose("precision", precision, PRECISIONS)
    if not Path(path).exists():
        raise ValueError(f"there is no file {path}")
    name = _device(device)
    try:
        model = core().read_model(os.fspath(path))
    except RuntimeError as error:
        raise ValueError(f"{path} is not a model that OpenVINO can read: {_reason(error)}") from error
    wanted = _properties(name, parallel, threads, hint, PRECISIONS[precision])
    wanted |= ({} if cache is None else {"CACHE_DIR": os.fspath(cache)}) | dict(properties or {})
    try:
        compiled = core().compile_model(model, name, wanted)
    except RuntimeError as error:
        raise ValueError(f"{path} cannot be run by OpenVINO on {device}: {_reason(error)}") from error
    return OpenVinoRuntime(compiled, _metadata(model), device, parallel if hint == "throughput" else 1)


class OpenVinoRuntime(PooledRuntime):
    """A compiled model and `parallel` requests; a thread that waits for one has let go of the GIL."""

    def __init__(
        self, compiled: Any, metadata: Mapping[str, str], device: str = "cpu", parallel: int | None = None
    ) -> None:
        optimal = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        inputs, outputs = [_info(port) for port in compiled.inputs], [_info(port) for port in compiled.outputs]
        super().__init__("openvino", inputs, outputs, parallel or optimal, device, metadata)
        self._fixed: dict[int, tuple[list[int], str]] = {}  # written where the caller finds them; others are copied
        for number, info in enumerate(self.outputs):
            shape = [size for size in info.shape if size is not None]
            if len(shape) == len(info.shape) and info.dtype != "bool":
                self._fixed[number] = (shape, info.dtype)
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(self.parallel):
            self._idle.put(compiled.create_infer_request())

    def call(self, feed: dict[str, Any]) -> dict[str, Any]:
        check_feed(self.inputs, feed)
        request = self._idle.get()
        try:
            # Without names an input may have none; by number it always has one. The arrays are read where they lie.
            arrays = {number: np.ascontiguousarray(feed[info.name]) for number, info in enumerate(self.inputs)}
            own = {number: np.empty(*facts) for number, facts in self._fixed.items()}
            for number, array in own.items():
                request.set_output_tensor(number, ov.Tensor(array, shared_memory=True))
            request.start_async(arrays, share_inputs=True)
            request.wait()
            return {
                info.name: own[number] if number in own else np.array(request.get_output_tensor(number).data)
                for number, info in enumerate(self.outputs)
            }
        except RuntimeError as error:
            raise ValueError(f"the model refused its input: {_reason(error)}") from error
        finally:
            self._idle.put(request)


def _device(device: str) -> str:
    """`gpu:1` → `GPU.1`, when it is there."""
    kind, _, number = device.partition(":")
    name = kind.upper() + (f".{number}" if number else "")
    there = [found.lower().replace(".", ":") for found in core().available_devices]
    if not any(found.partition(":")[0] == kind if not number else found == device for found in there):
        raise ValueError(f"OpenVINO finds no device {device!r} here; it finds: {', '.join(there)}")
    return name


def _properties(device: str, parallel: int | None, threads: int, hint: str, precision: str) -> dict[str, Any]:
    wanted: dict[str, Any] = {"PERFORMANCE_HINT": hint.upper()}
    if precision:
        wanted["INFERENCE_PRECISION_HINT"] = precision
    if not device.startswith("CPU"):
        if parallel:
            wanted["PERFORMANCE_HINT_NUM_REQUESTS"] = parallel
        return wanted
    # Threads that were pinned would meet those of the next model on the same core.
    wanted["ENABLE_CPU_PINNING"] = False
    if hint == "throughput":
        streams = parallel or max(1, usable_cores() // threads)
        wanted |= {"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": streams * threads}
    return wanted


def _info(port: Any) -> TensorInfo:
    names = port.get_names()
    own = port.node.get_friendly_name().partition("/sink_port")[0]  # that of the file, where a tensor has several
    name = own if own in names or not names else min(names)
    shape = tuple(None if dim.is_dynamic else dim.get_length() for dim in port.get_partial_shape())
    kind = port.get_element_type()
    return TensorInfo(name, shape, "bool" if kind == ov.Type.boolean else np.dtype(kind.to_dtype()).name)


def _metadata(model: Any) -> dict[str, str]:
    """What the exporter wrote: ONNX metadata lies under `framework`, that of newer .xml under `model_info`."""
    found: dict[str, str] = {}
    info = model.get_rt_info()
    for section in ("framework", "model_info"):
        values = info[section] if section in info else None  # noqa: SIM401  # it has no get()
        if isinstance(values, Mapping):
            found |= {str(key): str(getattr(value, "value", value)) for key, value in values.items()}
    return found


def _reason(error: Exception) -> str:
    """The sentence in OpenVINO's message, without the places in its source."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Exception from")]
    return " ".join(lines)[:300] or type(error).__name__
