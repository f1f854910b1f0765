"""What the ways of using ONNX Runtime share: its tensors, its providers, its errors as one sentence."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from functools import cache
from typing import Any

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from ..media import TensorInfo
from .base import choose

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
ERRORS = tuple(
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
_OURS = {  # options of providers that the runtime sets
    "enable_cuda_graph": "the option `graphs` says what is recorded",
    "user_compute_stream": "the runtime works on a stream of its own",
}
Chain = list[tuple[str, dict[str, Any]]]


def choose_provider(device: str, provider: str | None) -> str:
    """Our name of the provider for a device. Raises ValueError where it does not fit or is not installed."""
    kind = device.partition(":")[0]
    wanted = choose("provider", provider or _DEFAULT[kind], PROVIDERS)
    name, package = PROVIDERS[wanted]
    if (wanted in ("cuda", "tensorrt")) != (kind == "cuda"):
        raise ValueError(f"the provider {wanted!r} does not run on the device {device!r}")
    if name not in ort.get_available_providers():
        have = ", ".join(ours for ours, (theirs, _) in PROVIDERS.items() if theirs in ort.get_available_providers())
        raise ValueError(
            f"the installed ONNX Runtime has no {name}, it has: {have}; install {package} in the place of onnxruntime"
        )
    return wanted


def chain_of(wanted: str, device: str, options: Mapping[str, Any], threads: int = 1) -> Chain:
    """The wanted provider with its options first, then those that take over what it cannot run."""
    kind, _, number = device.partition(":")
    first: dict[str, Any] = {}
    if kind == "cuda":
        first["device_id"] = number or "0"
    elif wanted == "openvino":
        first |= {"device_type": kind.upper() + (f".{number}" if number else ""), "num_of_threads": str(threads)}
    chain: Chain = [(PROVIDERS[wanted][0], first | {key: str(value) for key, value in options.items()})]
    if wanted == "tensorrt":
        chain.append((PROVIDERS["cuda"][0], {"device_id": number or "0"}))
    return chain if wanted == "cpu" else [*chain, (PROVIDERS["cpu"][0], {})]


def refuse_ours(options: Mapping[str, Any]) -> None:
    """Raises ValueError for options of providers that are the runtime's own affair."""
    for name, instead in _OURS.items():
        if name in options:
            raise ValueError(f"provider_options: {name} cannot be set: {instead}")


@cache
def find_libraries() -> None:
    """Load CUDA's libraries from where pip has put them; which it lacks, ONNX Runtime says on stdout."""
    if hasattr(ort, "preload_dlls"):  # since 1.21
        with redirect_stdout(sys.stderr):
            ort.preload_dlls()


def open_session(
    path: str | os.PathLike[str], config: ort.SessionOptions, chain: Chain, content: bytes | None = None
) -> ort.InferenceSession:
    """A session for a file, or for what was made of it (`content`). Raises ValueError that names the file."""
    try:
        model = os.fspath(path) if content is None else content
        # Without enable_fallback=0 a provider that fails would be told of on stdout, and the CPU would take its place.
        session = ort.InferenceSession(model, config, providers=chain, enable_fallback=0)
    except (*ERRORS, RuntimeError) as error:
        raise ValueError(f"{path} is not a model that ONNX Runtime can run: {reason(error)}") from error
    if session.get_providers()[0] != chain[0][0]:
        raise ValueError(f"{path}: ONNX Runtime could not start its {chain[0][0]}; a driver or library is missing")
    return session


def infos(nodes: Sequence[Any]) -> list[TensorInfo]:
    """The inputs or outputs of a session; sizes that it leaves open are None."""
    return [_info(node) for node in nodes]


def _info(node: Any) -> TensorInfo:
    shape = tuple(d if isinstance(d, int) and d >= 0 else None for d in node.shape or ())
    return TensorInfo(node.name, shape, _DTYPES.get(node.type, node.type))


def reason(error: Exception) -> str:
    """The sentence in ONNX Runtime's message, without its error code."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rpartition(" : ")[2][:300]


ort.set_default_logger_severity(4)
