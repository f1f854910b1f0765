"""ONNX Runtime: several calls in flight over one session, on the providers that the installed package has."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from ..media import TensorInfo
from .base import choose, refuse, usable_cores
from .pool import PooledRuntime, lies_on_gpu, wait_for

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
PROVIDERS = {  # ours → ONNX Runtime's, and the package that has it
    "cpu": ("CPUExecutionProvider", "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "tensorrt": ("TensorrtExecutionProvider", "onnxruntime-gpu"),
    "openvino": ("OpenVINOExecutionProvider", "onnxruntime-openvino"),
}
_DEFAULT = {"cpu": "cpu", "cuda": "cuda", "gpu": "openvino", "npu": "openvino"}
_LEVELS = {
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
_KNOWN = ("parallel", "threads", "provider", "provider_options", "custom_ops", "optimization")


def load(
    path: str | os.PathLike[str],
    device: str = "cpu",
    parallel: int | None = None,
    threads: int = 1,
    provider: str | None = None,
    provider_options: Mapping[str, Any] | None = None,
    custom_ops: str | Sequence[str] = (),
    optimization: str = "all",
    **options: str,
) -> OnnxRuntime:
    """Load an .onnx file. `parallel` calls run at once (default: the cores we may use), each on `threads` threads.

    On few cores several calls of one thread each give more pictures a second than one call on all cores, because
    no thread waits for another at the end of a layer. `provider`: cpu, cuda, tensorrt, openvino (default: that of the
    device); `provider_options` are its own. `custom_ops`: libraries with operators of the user's. `optimization` of
    the graph: none, basic, extended, all. Other options are session configuration entries ("session.…").
    Raises ValueError for a provider that the installed package lacks and for a file that is not a model it can run.
    """
    refuse("onnx", [key for key in options if "." not in key], _KNOWN)
    choose("optimization", optimization, _LEVELS)
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}")
    config = ort.SessionOptions()
    config.graph_optimization_level = _LEVELS[optimization]
    config.intra_op_num_threads = threads
    config.inter_op_num_threads = 1
    config.log_severity_level = 4  # what fails is raised; the rest is of no use to who runs a pipeline
    for key, value in {"session.intra_op.allow_spinning": "0", **options}.items():
        config.add_session_config_entry(key, str(value))
    _register(config, [custom_ops] if isinstance(custom_ops, str) else custom_ops)
    providers = _providers(device, provider, provider_options or {}, threads)
    try:
        session = ort.InferenceSession(os.fspath(path), config, providers=providers)
    except _ERRORS as error:
        raise ValueError(f"{path} is not a model that ONNX Runtime can run: {_reason(error)}") from error
    if session.get_providers()[0] != providers[0][0]:
        raise ValueError(f"{path}: ONNX Runtime could not start its {providers[0][0]}; a driver or library is missing")
    return OnnxRuntime(session, parallel or (usable_cores() if device == "cpu" else 2), device)


class OnnxRuntime(PooledRuntime):
    """One session, shared by a pool of `parallel` threads: ONNX Runtime lets go of the GIL while it runs."""

    def __init__(self, session: ort.InferenceSession, parallel: int, device: str = "cpu") -> None:
        inputs, outputs = [_info(node) for node in session.get_inputs()], [_info(o) for o in session.get_outputs()]
        super().__init__("onnx", inputs, outputs, parallel, device, session.get_modelmeta().custom_metadata_map)
        self.batches = self.on_gpu = device.startswith("cuda")
        self._names = [info.name for info in outputs]
        self._session = session

    def call(self, feed: dict[str, Any]) -> dict[str, Any]:
        try:
            if any(map(lies_on_gpu, feed.values())):
                values = self._from_gpu(feed)
            else:
                values = self._session.run(self._names, feed)
        except _ERRORS as error:
            raise ValueError(f"the model refused its input: {_reason(error)}") from error
        return dict(zip(self._names, values, strict=True))

    def _from_gpu(self, feed: dict[str, Any]) -> list[Any]:
        """Pictures that lie on the GPU are read where they are."""
        binding = self._session.io_binding()
        number = int(self.device.partition(":")[2] or 0)
        for name, value in feed.items():
            if not lies_on_gpu(value):
                binding.bind_cpu_input(name, value)
                continue
            wait_for(value)
            found = value.__cuda_array_interface__
            binding.bind_input(name, "cuda", number, found["typestr"], list(found["shape"]), found["data"][0])
        for name in self._names:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding)
        values: list[Any] = binding.copy_outputs_to_cpu()
        return values


def _register(config: ort.SessionOptions, libraries: Sequence[str]) -> None:
    for library in libraries:
        try:
            config.register_custom_ops_library(library)
        except _ERRORS as error:
            raise ValueError(f"custom_ops: {library} cannot be loaded: {_reason(error)}") from error


def _providers(
    device: str, provider: str | None, options: Mapping[str, Any], threads: int
) -> list[tuple[str, dict[str, Any]]]:
    """The wanted provider with its options first, then those that take over what it cannot run."""
    kind, _, number = device.partition(":")
    wanted = choose("provider", provider or _DEFAULT[kind], PROVIDERS)
    name, package = PROVIDERS[wanted]
    if (wanted in ("cuda", "tensorrt")) != (kind == "cuda"):
        raise ValueError(f"the provider {wanted!r} does not run on the device {device!r}")
    if name not in ort.get_available_providers():
        have = ", ".join(ours for ours, (theirs, _) in PROVIDERS.items() if theirs in ort.get_available_providers())
        raise ValueError(
            f"the installed ONNX Runtime has no {name}, it has: {have}; install {package} in the place of onnxruntime"
        )
    first: dict[str, Any] = {}
    if str(options.get("enable_cuda_graph", "0")).lower() not in ("0", "false"):
        raise ValueError(
            "provider_options: enable_cuda_graph would replay the first call, for pictures lie elsewhere each time; "
            "the torch runtime records graphs"
        )
    if kind == "cuda":
        first["device_id"] = number or "0"
    elif wanted == "openvino":
        first |= {"device_type": kind.upper() + (f".{number}" if number else ""), "num_of_threads": str(threads)}
    chain = [(name, first | {key: str(value) for key, value in options.items()})]
    if wanted == "tensorrt":
        chain.append((PROVIDERS["cuda"][0], {"device_id": number or "0"}))
    return chain if wanted == "cpu" else [*chain, (PROVIDERS["cpu"][0], {})]


def _info(node: Any) -> TensorInfo:
    shape = tuple(d if isinstance(d, int) and d >= 0 else None for d in node.shape or ())
    return TensorInfo(node.name, shape, _DTYPES.get(node.type, node.type))


def _reason(error: Exception) -> str:
    """The sentence in ONNX Runtime's message, without its error code."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rpartition(" : ")[2][:300]


ort.set_default_logger_severity(4)
