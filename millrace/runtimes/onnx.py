"""ONNX Runtime on the CPU: several single-threaded calls in flight over one session."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from ..media import TensorInfo
from .base import Inputs

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(uint16)": "uint16",
    "tensor(int16)": "int16",
    "tensor(uint32)": "uint32",
    "tensor(int32)": "int32",
    "tensor(uint64)": "uint64",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}
_ERRORS = tuple(
    getattr(ort_errors, name)
    for name in (
        "EPFail", "EngineError", "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel",
        "NoSuchFile", "NotImplemented", "RuntimeException",
    )
    if hasattr(ort_errors, name)
)  # fmt: skip


def load(
    path: str | os.PathLike[str],
    device: str = "cpu",
    parallel: int | None = None,
    threads: int = 1,
    **options: str,
) -> OnnxRuntime:
    """Load an .onnx file. `parallel` calls run at once (default: the cores we may use), each on `threads` threads.

    On few cores several calls of one thread each give more pictures a second than one call on all cores, because
    no thread waits for another at the end of a layer. `options` are ONNX Runtime session configuration entries.
    Raises ValueError for a device that is not the CPU and for a file that is not a model it can run.
    """
    if device != "cpu":
        raise ValueError(f"ONNX Runtime is used on the CPU only, not on {device!r}")
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}")
    config = ort.SessionOptions()
    config.intra_op_num_threads = threads
    config.inter_op_num_threads = 1
    config.log_severity_level = 4  # what fails is raised; the rest is of no use to who runs a pipeline
    for key, value in {"session.intra_op.allow_spinning": "0", **options}.items():
        config.add_session_config_entry(key, value)
    try:
        session = ort.InferenceSession(os.fspath(path), config, providers=["CPUExecutionProvider"])
    except _ERRORS as error:
        raise ValueError(f"{path} is not a model that ONNX Runtime can run: {_reason(error)}") from error
    return OnnxRuntime(session, parallel or usable_cores())


def usable_cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


class OnnxRuntime:
    """One session, shared by a pool of `parallel` threads: ONNX Runtime lets go of the GIL while it runs."""

    device = "cpu"
    batches = False

    def __init__(self, session: ort.InferenceSession, parallel: int) -> None:
        self.parallel = parallel
        self.inputs = [_info(node) for node in session.get_inputs()]
        self.outputs = [_info(node) for node in session.get_outputs()]
        self.metadata: Mapping[str, str] = dict(session.get_modelmeta().custom_metadata_map)
        self._names = [info.name for info in self.outputs]
        self._session = session
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="millrace-onnx")

    def run(self, inputs: Inputs) -> dict[str, Any]:
        feed = dict(inputs() if callable(inputs) else inputs)
        try:
            values = self._session.run(self._names, feed)
        except _ERRORS as error:
            raise ValueError(f"the model refused its input: {_reason(error)}") from error
        return dict(zip(self._names, values, strict=True))

    def submit(self, inputs: Inputs, done: Callable[[], None] | None = None) -> Future[dict[str, Any]]:
        future = self._pool.submit(self.run, inputs)
        if done is not None:
            future.add_done_callback(lambda _: done())
        return future

    def close(self) -> None:
        """Wait for the calls that run, drop those that do not yet, end the threads. May be called twice."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _info(node: Any) -> TensorInfo:
    shape = tuple(d if isinstance(d, int) and d >= 0 else None for d in node.shape or ())
    return TensorInfo(node.name, shape, _DTYPES.get(node.type, node.type))


def _reason(error: Exception) -> str:
    """The sentence in ONNX Runtime's message, without its error code."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rpartition(" : ")[2][:300]


ort.set_default_logger_severity(4)
