"""ONNX Runtime: several calls in flight over one session, on the providers that the installed package has.

On CUDA a session works on a stream of ours and replays CUDA graphs (onnx_cuda).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort

from .base import Runtime, choose, refuse, usable_cores
from .graph_sizes import asked_sizes
from .onnx_memory import address
from .onnx_session import ERRORS, chain_of, choose_provider, infos, open_session, reason, refuse_ours
from .pool import PooledRuntime, check_feed, lies_on_gpu, wait_for

_LEVELS = {
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
_ON_CUDA = ("precision", "graphs", "tuned")
_KNOWN = ("parallel", "threads", "provider", "provider_options", "custom_ops", "optimization", *_ON_CUDA)


def load(
    path: str | os.PathLike[str],
    device: str = "cpu",
    parallel: int | None = None,
    threads: int = 1,
    provider: str | None = None,
    provider_options: Mapping[str, Any] | None = None,
    custom_ops: str | Sequence[str] = (),
    optimization: str = "all",
    **options: Any,
) -> Runtime:
    """Load an .onnx file. `parallel` calls run at once (default: the cores we may use), each on `threads` threads.

    On few cores several calls of one thread each give more pictures a second than one call on all cores, because
    no thread waits for another at the end of a layer. `provider`: cpu, cuda, tensorrt, openvino (default: that of the
    device); `provider_options` are its own. `custom_ops`: libraries with operators of the user's. `optimization` of
    the graph: none, basic, extended, all.

    With the CUDA provider, as for the torch runtime: `precision` (float32, or float16 for weights, activations and
    inputs of a float32 model; default: as the file has it); `graphs`: CUDA graphs are recorded for batches of 1, 2, 4,
    8, … when each first comes, `[4, 16]` for these when it is loaded, `false` for none; without the option a model
    that cannot be recorded (onnx_recordable) runs as it is, and says so; `tuned` (true) lets cuDNN try its kernels,
    ten seconds for a batch size of some networks.

    Other options are session configuration entries ("session.…").
    Raises ValueError for a provider that the installed package lacks and for a file that is not a model it can run.
    """
    refuse("onnx", [key for key in options if "." not in key and key not in _ON_CUDA], _KNOWN)
    on_cuda = {key: options.pop(key) for key in _ON_CUDA if key in options}
    choose("optimization", optimization, _LEVELS)
    given = dict(provider_options or {})
    refuse_ours(given)
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
    wanted = choose_provider(device, provider)
    _check(wanted, **on_cuda)
    if wanted == "cuda":
        from .onnx_cuda import load_cuda

        return load_cuda(path, device, config, given, parallel or 2, **on_cuda)
    session = open_session(path, config, chain_of(wanted, device, given, threads))
    return OnnxRuntime(session, parallel or (usable_cores() if device == "cpu" else 2), device)


class OnnxRuntime(PooledRuntime):
    """One session, shared by a pool of `parallel` threads: ONNX Runtime lets go of the GIL while it runs."""

    def __init__(self, session: ort.InferenceSession, parallel: int, device: str = "cpu") -> None:
        inputs, outputs = infos(session.get_inputs()), infos(session.get_outputs())
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
        except ERRORS as error:
            raise ValueError(f"the model refused its input: {reason(error)}") from error
        return dict(zip(self._names, values, strict=True))

    def _from_gpu(self, feed: dict[str, Any]) -> list[Any]:
        """Pictures that lie on the GPU are read where they are (by TensorRT's provider)."""
        binding = self._session.io_binding()
        number = int(self.device.partition(":")[2] or 0)
        check_feed(self.inputs, feed)
        for info in self.inputs:
            value = feed[info.name]
            if not lies_on_gpu(value):
                binding.bind_cpu_input(info.name, value)
                continue
            wait_for(value)
            binding.bind_input(info.name, "cuda", number, info.dtype, list(value.shape), address(info, value))
        for name in self._names:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding)
        values: list[Any] = binding.copy_outputs_to_cpu()
        return values


def _check(
    provider: str, precision: str | None = None, graphs: bool | Sequence[int] | None = None, tuned: object = True
) -> None:
    choose("precision", precision or "float32", ("float32", "float16") if provider == "cuda" else ("float32",))
    asked_sizes(graphs)
    if not isinstance(tuned, bool):
        raise ValueError(f"tuned={tuned!r} is not allowed: true or false")


def _register(config: ort.SessionOptions, libraries: Sequence[str]) -> None:
    for library in libraries:
        try:
            config.register_custom_ops_library(library)
        except ERRORS as error:
            raise ValueError(f"custom_ops: {library} cannot be loaded: {reason(error)}") from error
