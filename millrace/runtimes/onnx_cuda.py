"""ONNX Runtime on an NVIDIA GPU: a session on a stream of ours, recorded as CUDA graphs and replayed.

One stream of low priority, two CUDA graphs for each batch size that was used (1, 2, 4, 8, …; a batch runs on the next
one up, what is left empty keeps old pictures; where `sizes` were given, on the next of those). ONNX Runtime tells
graphs apart by the run option gpu_graph_id, and keeps them for the thread that recorded them: one thread makes all
calls. A call copies its pictures to where the graph reads them; its results leave in one copy for pinned memory, on a
stream of their own, while the next call runs. Another thread waits for them.

Facts: https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html, ONNX Runtime's
onnxruntime_run_options_config_keys.h, and its pull request 28686: since then a replay returns when it is queued, before
it waited. Measured on an H200: docs/benchmarks.md, "Networks on a GPU".
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort

from ..cuda.context import Event, Gpu, Stream, check, gpu
from ..cuda.memory import Memory
from ..cuda.pinned import Pinned
from ..media import TensorInfo
from .base import Inputs, Tensors
from .graph_sizes import UNRECORDED, GraphSizes, asked_sizes, warmed
from .onnx_float16 import as_float16
from .onnx_memory import Place, address, bring, lay_out, leave
from .onnx_recordable import Unrecorded, compare, prove_recordable, random_inputs
from .onnx_session import ERRORS, chain_of, find_libraries, infos, open_session, reason
from .pool import check_feed, lies_on_gpu

_FULL = ("allocate memory", "OUT_OF_MEMORY", "out of memory")
_recording = threading.Lock()  # ONNX Runtime records for the whole process: one graph at a time, and nothing beside it
Open = Callable[[Stream, bool], ort.InferenceSession]


def load_cuda(
    path: str | os.PathLike[str],
    device: str,
    config: ort.SessionOptions,
    provider_options: Mapping[str, Any],
    parallel: int = 2,
    precision: str | None = None,
    graphs: bool | Sequence[int] | None = None,
    tuned: bool = True,
) -> OnnxCudaRuntime:
    """See onnx.load. Raises ValueError for a file that cannot be run, ConfigError where there is no GPU."""
    owner = gpu(device)  # before ONNX Runtime touches CUDA: it sets how waiting threads wait
    content = as_float16(path) if precision == "float16" else None
    find_libraries()
    options = {
        "use_tf32": "0",  # float32 means float32: the short products of "TF32" would move boxes
        "cudnn_conv_algo_search": "EXHAUSTIVE" if tuned else "HEURISTIC",
    } | dict(provider_options)

    def opened(stream: Stream, recorded: bool) -> ort.InferenceSession:
        ours = {"user_compute_stream": stream.handle, "enable_cuda_graph": int(recorded)}
        with _recording:  # it waits for the whole GPU
            session = open_session(path, config, chain_of("cuda", device, options | ours), content)
        if recorded:
            prove_recordable(path)
        return session

    made: OnnxCudaRuntime = warmed(OnnxCudaRuntime(opened, owner, parallel, graphs, asked_sizes(graphs)))
    return made


class OnnxCudaRuntime:
    """See runtimes.base.Runtime. `opened` makes a session on a stream, one that records graphs or one that does not.

    `graphs`: None records the network where it can be. Several threads may call it; the first call of each batch size
    records its graphs. Inputs may be on the GPU (anything with the CUDA array interface, and `ready` if it has a
    writer's event) or on the CPU. Outputs are NumPy arrays over pinned memory of the call's own.
    """

    batches = True

    def __init__(
        self, opened: Open, owner: Gpu, parallel: int = 2, graphs: object = None, sizes: Sequence[int] = ()
    ) -> None:
        self.parallel = parallel
        self.device = owner.name
        self.report: Callable[[str], None] = lambda message: None
        self._gpu, self._opened = owner, opened
        self._stream, self._copies = owner.stream("low"), owner.stream("middle")
        self._pinned = Pinned(owner)
        self._must = bool(graphs)
        self._untold = ""  # why it is not recorded
        self._session, self._records = self._open(graphs is not False)
        self.inputs, self.outputs = infos(self._session.get_inputs()), infos(self._session.get_outputs())
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self._sizes = GraphSizes(self.inputs, sizes)
        self._slots: dict[int, list[_Slot]] = {}
        self._instead: dict[int, int] = {}  # a larger size for one whose graphs found no memory
        self._ids = itertools.count(1)  # 0 is ONNX Runtime's own
        self._caller = ThreadPoolExecutor(1, thread_name_prefix="millrace-onnx")
        self._waiter = ThreadPoolExecutor(1, thread_name_prefix="millrace-onnx-wait")

    def run(self, inputs: Inputs) -> dict[str, Any]:
        return self.submit(inputs).result()

    def submit(self, inputs: Inputs, done: Callable[[], None] | None = None) -> Future[dict[str, Any]]:
        future: Future[dict[str, Any]] = Future()
        if done is not None:
            future.add_done_callback(lambda _: done())
        try:
            feed = inputs() if callable(inputs) else inputs
            check_feed(self.inputs, feed)
            self._caller.submit(self._call, feed, future)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:  # RuntimeError is CUDA's, a decoder's
            future.set_exception(error)
        return future

    def warm(self, sizes: Sequence[int]) -> None:
        """Record the graphs of these batch sizes now, not at their first call; of `sizes` where those were given."""
        self._caller.submit(lambda: [self._slot(size) for size in self._sizes.warm(sizes)]).result()

    @property
    def sizes(self) -> list[int]:
        """The batch sizes that have graphs."""
        return list(self._slots)

    def close(self) -> None:
        """Wait for the calls under way and free the graphs. May be called twice."""
        self._caller.shutdown()
        self._waiter.shutdown()
        self._slots.clear()
        self._session = None

    def _open(self, recorded: bool) -> tuple[Any, bool]:
        """A session, and whether it records graphs."""
        if recorded:
            try:
                return self._opened_to_record(), True
            except Unrecorded as error:
                self._forgo(error)
        return self._opened(self._stream, False), False

    def _opened_to_record(self) -> Any:
        try:
            session = self._opened(self._stream, True)
        except ValueError as error:
            if "graph capture" in str(error):
                raise Unrecorded(str(error).partition("can run: ")[2]) from error
            raise
        for info in infos(session.get_inputs()):
            if None in info.shape[1:]:
                raise Unrecorded(f"only the batch may be free, not more as in {info}")
        return session

    def _forgo(self, error: Unrecorded) -> None:
        """Go on without graphs, where that is allowed. Raises ValueError where it is not."""
        if self._must:
            raise ValueError(UNRECORDED.format(error)) from error
        self._untold = str(error)

    # in the thread that makes all calls

    def _call(self, feed: Tensors, future: Future[dict[str, Any]]) -> None:
        """Queue everything that the call needs on our streams, and have it waited for."""
        try:
            self._gpu.use()
            values = [feed[info.name] for info in self.inputs]
            count = self._count(values)
            slot = self._slot(count)
            if self._untold:
                self.report(f"the network cannot be recorded as a CUDA graph ({self._untold}): it runs as it is")
                self._untold = ""
            self._stream.wait(v.ready for v in values if getattr(v, "ready", None) is not None)
            results, event, kept = self._plainly(values) if slot is None else self._replay(slot, values, count)
            self._waiter.submit(_finish, _Call(event, values, results, kept, future))
        except ERRORS as error:
            future.set_exception(ValueError(f"the model refused its input: {reason(error)}"))
        except Exception as error:  # noqa: BLE001 whatever it is, it is this call's own
            future.set_exception(error)

    def _count(self, values: Sequence[Any]) -> int:
        """The pictures of a call."""
        free = zip(self.inputs, values, strict=True)
        counts = {int(value.shape[0]) for info, value in free if info.shape[:1] == (None,)}
        if len(counts) > 1:
            raise ValueError(f"the model refused its input: its inputs are for {sorted(counts)} pictures")
        return counts.pop() if counts else self._sizes.fixed or 1

    def _replay(self, slot: _Slot, values: Sequence[Any], count: int) -> tuple[dict[str, Any], Event, Any]:
        kept = [
            bring(self._gpu, self._stream, pointer, info, value)
            for pointer, info, value in zip(slot.inputs, self.inputs, values, strict=True)
        ]
        self._tell_read(values)
        if slot.taken is not None:
            self._stream.wait((slot.taken,))
        self._session.run_with_iobinding(slot.binding, slot.options)
        self._copies.wait((self._stream.record(),))
        start, places = slot.memory.pointer, [place.part(count) for place in slot.places]
        sources = [start + place.start for place in places]
        results, slot.taken = leave(self._copies, self._pinned, places, sources, slot.size)
        return results, slot.taken, kept

    def _plainly(self, values: Sequence[Any]) -> tuple[dict[str, Any], Event, Any]:
        """Without a graph: pictures are read where they lie, and the session says where its outputs are."""
        binding = self._session.io_binding()
        for info, value in zip(self.inputs, values, strict=True):
            if lies_on_gpu(value):
                self._bind_input(binding, info, value.shape, address(info, value))
            else:
                binding.bind_cpu_input(info.name, np.ascontiguousarray(value))
        outputs = self._run_unrecorded(binding)
        self._tell_read(values)
        results, event = self._leave(outputs)
        return results, event, (binding, outputs)

    def _leave(self, outputs: Sequence[Any]) -> tuple[dict[str, Any], Event]:
        """Queue the copies of a session's own outputs to the CPU."""
        self._copies.wait((self._stream.record(),))
        places, size = lay_out(self.outputs, [out.shape() for out in outputs])
        return leave(self._copies, self._pinned, places, [out.data_ptr() for out in outputs], size)

    def _bind_input(self, binding: Any, info: TensorInfo, shape: Sequence[int], pointer: int) -> None:
        binding.bind_input(info.name, "cuda", self._gpu.ordinal, np.dtype(info.dtype), list(shape), pointer)

    def _run_unrecorded(self, binding: Any) -> Any:
        """Run with these inputs, no graph; gives the outputs, on the GPU in memory of the session's."""
        for info in self.outputs:
            binding.bind_output(info.name, "cuda", self._gpu.ordinal)
        self._session.run_with_iobinding(binding, _run_options(-1, waits=not self._records))
        return binding.get_outputs()

    def _tell_read(self, values: Sequence[Any]) -> None:
        read = self._stream.record()
        for value in values:
            if hasattr(value, "used"):
                value.used(read)

    # recording

    def _slot(self, count: int) -> _Slot | None:
        """A graph for so many pictures, two in turn. None where the network runs without.

        Raises ValueError where it should not.
        """
        if self._records:
            size = self._sizes.fixed or self._sizes.of(count)
            size = self._instead.get(size, size)
            try:
                pair = self._slots.get(size) or self._recorded(size, count)
            except Unrecorded as error:
                self._forgo(error)
            else:
                pair.reverse()
                return pair[0]
            self._copies.synchronize()  # results of calls before may be leaving the memory of their graphs
            self._slots.clear()
            self._session, self._records = None, False
        if self._session is None:  # only now: the error held what was to be recorded, and its memory
            self._session = self._opened(self._stream, False)
        return None

    def _recorded(self, size: int, count: int) -> list[_Slot]:
        """The two graphs of a size, recorded now; where there is no memory for them, those of a larger one."""
        self._gpu.use()
        try:
            with _recording:
                self._slots[size] = self._record(size)
        except (*ERRORS, RuntimeError) as error:
            if not any(each in str(error) for each in _FULL):
                raise
            larger = [each for each in self._slots if each >= count]
            if not larger:
                raise ValueError(f"{self.device} has no memory to record {size} pictures: {reason(error)}") from error
            self._instead[size] = min(larger)
            size = self._instead[size]
        return self._slots[size]

    def _record(self, size: int) -> list[_Slot]:
        """Run once without a graph (libraries choose their kernels, outputs show their shapes), then record.

        That is over zeros: the replay of noise shows whether anything else was fixed by them.
        """
        shapes = [tuple(size if n == 0 and d is None else d or 0 for n, d in enumerate(i.shape)) for i in self.inputs]
        places, room = lay_out(self.inputs, shapes)
        source = Memory(self._stream, room)
        zeros = np.zeros(room, np.uint8)
        check(self._gpu.driver.cuMemcpyHtoDAsync(source.pointer, zeros.ctypes.data, room, self._stream.native))
        self._stream.synchronize()
        inputs = [source.pointer + place.start for place in places]

        def binding() -> Any:
            made = self._session.io_binding()
            for info, shape, pointer in zip(self.inputs, shapes, inputs, strict=True):
                self._bind_input(made, info, shape, pointer)
            return made

        slots = []
        try:
            made = [out.shape() for out in self._run_unrecorded(binding())]
            self._stream.synchronize()
            for info, shape in zip(self.outputs, made, strict=True):
                said = zip(info.shape, (size, *shape[1:]), strict=False)
                if list(shape) != [found if fixed is None else fixed for fixed, found in said]:
                    raise Unrecorded(f"its output {info} has the shape {list(shape)} for {size} pictures")
            for _ in range(2):
                places, room = lay_out(self.outputs, made)
                slot = _Slot(source, inputs, Memory(self._stream, room), places, room, binding(), next(self._ids))
                slot.bind_outputs(self._gpu.ordinal)
                self._session.run_with_iobinding(slot.binding, slot.options)
                slots.append(slot)
            self._stream.synchronize()
            self._check(slots, random_inputs(self.inputs, shapes), size, binding())
        except (*ERRORS, RuntimeError) as error:
            with suppress(RuntimeError):  # or the stream would be of no use to anybody
                check(self._gpu.driver.cuStreamEndCapture(self._stream.native))
            if any(each in str(error) for each in _FULL):
                raise
            raise Unrecorded(reason(error)) from error
        return slots

    def _check(self, slots: Sequence[_Slot], noise: Sequence[Any], size: int, binding: Any) -> None:
        """Raises Unrecorded where graphs give other results than the network; `binding` reads what they read."""
        replayed = []
        for slot in slots:
            replayed.append(_copied(*self._replay(slot, noise, size)[:2]))
            slot.taken = None
        outputs = self._run_unrecorded(binding)  # after the replays: they write where the session keeps these
        wanted = _copied(*self._leave(outputs))
        for results in replayed:
            compare(results, wanted)


def _copied(results: dict[str, Any], event: Event) -> dict[str, Any]:
    """Results, in memory that is not pinned."""
    event.synchronize()
    return {name: value.copy() for name, value in results.items()}


class _Slot:
    """A graph of ONNX Runtime's, the memory that it reads and writes, and the event after which it may write again."""

    def __init__(
        self, source: Memory, inputs: list[int], memory: Memory, places: list[Place], size: int, binding: Any, id: int
    ) -> None:
        self.source, self.inputs, self.memory, self.places, self.size = source, inputs, memory, places, size
        self.binding, self.options = binding, _run_options(id)
        self.taken: Event | None = None

    def bind_outputs(self, ordinal: int) -> None:
        for info, shape, start in self.places:
            pointer = self.memory.pointer + start
            self.binding.bind_output(info.name, "cuda", ordinal, np.dtype(info.dtype), list(shape), pointer)


def _run_options(graph: int, waits: bool = False) -> Any:
    """For the graph of this number; -1: none. The call returns when all is queued, or, where it `waits`, done.

    Only calls that wait give back the pinned memory from which kernels copy small tables, and only after them may the
    CPU's nodes write anew what the GPU reads of theirs (CudaStream::CleanUpOnRunEnd in ONNX Runtime's
    cuda_stream_handle.cc). Where graphs are recorded that memory must stay: they read it at every replay.
    """
    options = ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(graph))
    options.add_run_config_entry("disable_synchronize_execution_providers", str(int(not waits)))
    return options


class _Call(NamedTuple):
    """A call under way; holds what the GPU still reads."""

    event: Event
    inputs: Sequence[Any]
    results: dict[str, Any]
    kept: Any
    future: Future[dict[str, Any]]


def _finish(call: _Call) -> None:
    try:
        call.event.stream.gpu.use()
        call.event.synchronize()
        for value in call.inputs:  # and so have the events that this call waited for
            if getattr(value, "ready", None) is not None:
                value.ready.happened = True
        call.future.set_result(call.results)
    except Exception as error:  # noqa: BLE001 whatever it is, later calls must not hang for it
        call.future.set_exception(error)
