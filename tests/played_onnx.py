"""ONNX Runtime's CUDA provider, played by its CPU provider over the memory of a GPU that is played, too (host_gpu).

It heeds what the real one demands of graphs: they are recorded for one thread, read and write the memory that was
bound then, and are told apart by gpu_graph_id. It shows nothing of streams.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from host_gpu import HostGpu
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from millrace.runtimes import onnx_cuda, onnx_session

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
Real = ort.InferenceSession


class Binding:
    """See onnxruntime.IOBinding; "cuda" is the CPU's memory."""

    def __init__(self, session: Session) -> None:
        self.session, self.real = session, session.real.io_binding()
        self.inputs: dict[str, int] = {}
        self.outputs: dict[str, int | None] = {}

    def bind_input(self, name: str, device: str, number: int, kind: Any, shape: list[int], pointer: int) -> None:
        assert (device, number) == ("cuda", 0)
        self.inputs[name] = pointer
        self.real.bind_input(name, "cpu", 0, kind, shape, pointer)

    def bind_cpu_input(self, name: str, value: Any) -> None:
        self.inputs[name] = value.ctypes.data
        self.real.bind_cpu_input(name, value)

    def bind_output(self, name: str, device: str, number: int, kind: Any = None, shape: Any = None, at: Any = None):
        assert (device, number) == ("cuda", 0)
        self.outputs[name] = at
        self.real.bind_output(name, "cpu", 0, kind, shape, at)

    def get_outputs(self) -> Any:
        return self.real.get_outputs()


class Session:
    """See onnxruntime.InferenceSession."""

    def __init__(self, world: World, model: Any, config: Any, providers: Any) -> None:
        self.world = world
        self.options = dict(providers[0][1])
        self.names = [name for name, _ in providers]
        self.records = self.options["enable_cuda_graph"] == "1"
        assert int(self.options["user_compute_stream"]) == 1  # the handle of a stream that is played
        self.real = Real(model, config, providers=[CPU])
        self.graphs: dict[int, tuple[Binding, int]] = {}  # by id: what was bound, and the thread
        self.runs: list[int] = []
        world.sessions.append(self)
        if self.records and world.refuses:
            raise Fail(f"[ONNXRuntimeError] : 1 : FAIL : {world.refuses}")

    def get_providers(self) -> list[str]:
        return self.names

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def io_binding(self) -> Binding:
        return Binding(self)

    def run_with_iobinding(self, binding: Binding, options: Any) -> None:
        assert binding.session is self
        kept = options.get_run_config_entry("disable_synchronize_execution_providers")
        assert kept == str(int(self.records)), "what a graph reads is given back, or never is"
        graph = int(options.get_run_config_entry("gpu_graph_id"))
        self.runs.append(graph)
        if graph != -1:
            assert self.records
            assert graph != 0
            assert None not in binding.outputs.values(), "a graph writes where its outputs were"
            if graph in self.graphs:
                recorded, thread = self.graphs[graph]
                assert thread == threading.get_ident(), "ONNX Runtime would record it again"
                assert recorded is binding
                if self.world.stuck:
                    return
            elif (problem := self.world.fails_to_record(binding)) is not None:
                raise Fail(f"[ONNXRuntimeError] : 1 : FAIL : {problem}")
            self.graphs[graph] = binding, threading.get_ident()
        self.real.run_with_iobinding(binding.real)


class World:
    """What sessions were made, and what they refuse."""

    def __init__(self) -> None:
        self.gpu = HostGpu()
        self.sessions: list[Session] = []
        self.refuses = ""  # reason for which sessions that record cannot be made
        self.problem: Any = lambda binding: None
        self.stuck = False  # graphs give what they gave when they were recorded

    def fails_to_record(self, binding: Binding) -> str | None:
        return self.problem(binding)

    @property
    def session(self) -> Session:
        return self.sessions[-1]


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()

    def made(model: Any, config: Any, providers: Any, enable_fallback: int) -> Any:
        assert not enable_fallback
        if providers[0][0] == CPU:
            return Real(model, config, providers=providers)
        return Session(world, model, config, providers)

    monkeypatch.setattr(onnx_session.ort, "InferenceSession", made)
    monkeypatch.setattr(onnx_session.ort, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnx_cuda, "gpu", lambda device: world.gpu)
    return world


def put(gpu: Any, array: Any) -> Any:
    """The same array in the GPU's memory."""
    from millrace.cuda.memory import empty

    there = empty(gpu.copies, array.shape, array.dtype)
    packed = np.ascontiguousarray(array)
    gpu.driver.cuMemcpyHtoDAsync(there.pointer, packed.ctypes.data, packed.nbytes, gpu.copies.native)
    there.ready = gpu.copies.record()
    return there
