"""PyTorch on an NVIDIA GPU: a network recorded as CUDA graphs and replayed.

One stream of low priority, two CUDA graphs for each batch size that was used (1, 2, 4, 8, …; a batch runs on the
next one up; where sizes were given to `warm`, on one of those up to four times as large; where `sizes` were given, on
the next of those, whatever is left empty). A call copies its pictures in, unless they were written there (`lend`), and
replays; the results leave for pinned memory on a stream of their own while the next call runs. Nothing waits but one
thread, which turns events into results, in order. Graphs are recorded on another stream, so that a compiled network can
be recorded, and take over, while the one before runs.
"""

from __future__ import annotations

import gc
import logging
import queue
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext, suppress
from traceback import clear_frames
from typing import Any

from ..core.errors import said
from ..cuda.context import Event, Gpu
from ..cuda.memory import DeviceArray, add_reader
from ..media import ASKED, TensorInfo
from .base import Inputs, Tensors
from .graph_sizes import UNRECORDED, GraphSizes
from .pool import lies_on_gpu
from .torch_background import Breakable, Compiler
from .torch_constants import Constants
from .torch_fused import roomy
from .torch_leaving import Leaving
from .torch_lent import Lease, lease_of, lent
from .torch_network import Network, alone, once, recording
from .torch_nms import all_asked, few_left

_log = logging.getLogger("millrace.runtimes")
_SIMPLER = (
    "{} pictures: NMS stays on the CPU, for the network cannot be recorded with it ({}); the results are the same, and "
    "more is copied"
)


class TorchRuntime:
    """See runtimes.base.Runtime. `module` takes the inputs in order and returns a tuple of the outputs in order.

    Several threads may call it (elements that share a model); the first call of each batch size captures its graph (a
    second or so).
    Inputs may be on the GPU (anything with the CUDA array interface, and `ready` if it has a writer's event) or
    on the CPU. Outputs are NumPy arrays over pinned memory of the call's own.
    """

    batches = True

    def __init__(
        self,
        module: Any,
        inputs: Sequence[TensorInfo],
        outputs: Sequence[TensorInfo],
        metadata: Mapping[str, str],
        gpu: Gpu,
        parallel: int = 2,
        compiled: bool | str = False,
        tuned: bool = True,
        sizes: Sequence[int] = (),
    ) -> None:
        import torch

        self.inputs, self.outputs = list(inputs), list(outputs)
        self.metadata = metadata
        self.parallel = parallel
        self.device = gpu.name
        self.report: Callable[[str], None] = _log.warning  # until somebody listens
        self._torch = torch
        self._gpu = gpu
        self._tuned = tuned
        self._stream = gpu.stream("low")
        self._torch_stream = torch.cuda.ExternalStream(self._stream.handle, device=gpu.name)
        with torch.cuda.stream(self._torch_stream):
            module = module.to(gpu.name).to(memory_format=torch.channels_last)
        self._stream.synchronize()
        self._networks = [Network(module, inputs, outputs)]  # the last is recorded; graphs of the others are replayed
        self.asks = self._networks[0].asks
        self._compiled = compiled is True
        self._copies = gpu.stream("middle")  # results leave while the next batch is inferred
        self._torch_copies = torch.cuda.ExternalStream(self._copies.handle, device=gpu.name)
        self._late = gpu.stream("middle")  # the waiter's, for results that seldom leave
        self._torch_late = torch.cuda.ExternalStream(self._late.handle, device=gpu.name)
        self._recordings = gpu.stream("low")
        self._recorder = torch.cuda.ExternalStream(self._recordings.handle, device=gpu.name)
        self._captured: dict[int, list[_Captured]] = {}
        self._instead: dict[int, int] = {}  # a larger size for one whose graph found no memory
        self._submitting = threading.Lock()  # a stream and its graphs are used by one thread at a time
        self._sizes = GraphSizes(self.inputs, sizes)
        self._lease: Callable[[], Lease | None] = lambda: None  # the one that was given last, while it is held
        self._pool: Any = None  # of memory, shared by the graphs: they never run at the same time
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._waiter = threading.Thread(target=self._wait, name="millrace-torch", daemon=True)
        self._waiter.start()
        self._compiler = Compiler(self) if compiled == "background" else None

    def run(self, inputs: Inputs) -> dict[str, Any]:
        return self.submit(inputs).result()

    def submit(self, inputs: Inputs, done: Callable[[], None] | None = None) -> Future[dict[str, Any]]:
        future: Future[dict[str, Any]] = Future()
        if done is not None:
            future.add_done_callback(lambda _: done())
        try:
            feed = inputs() if callable(inputs) else inputs
            with self._submitting:
                self._calls.put(self._enqueue(feed, future))
        except (KeyError, RuntimeError, TypeError, ValueError) as error:  # RuntimeError is CUDA's, torch's, a decoder's
            # Else what was lent to the function, and its pictures, would live as long as somebody remembers the error.
            clear_frames(error.__traceback__)
            future.set_exception(error.with_traceback(error.__traceback__ and error.__traceback__.tb_next))
        return future

    def _enqueue(self, feed: Tensors, future: Future[dict[str, Any]]) -> _Call:
        """Queue everything that the call needs on our stream; nothing here waits for the GPU."""
        self._gpu.use()
        values = [feed[info.name] for info in self.inputs]
        count = int(values[0].shape[0])
        if self.asks:
            values.append(feed[ASKED] if ASKED in feed else all_asked(count))
        lease = lease_of(values, self._lease())
        captured: _Captured = self._capture(count) if lease is None else lease.captured
        torch = self._torch
        stream = self._stream
        with torch.cuda.stream(self._torch_stream), torch.inference_mode():
            stream.wait(v.ready for v in values if getattr(v, "ready", None) is not None)
            stream.wait(captured.uses)
            for slot, value in zip(captured.inputs, values[: len(self.inputs)], strict=False):
                if lease is not None and getattr(value, "owner", None) is lease:
                    continue  # it is the slot
                there = torch.as_tensor(value, device=self.device if lies_on_gpu(value) else None)
                slot[:count].copy_(there, non_blocking=True)  # else one of the CPU waits for all before it
            if captured.network.asks and captured.asked != (asked := values[-1].tobytes()):  # it seldom changes
                captured.inputs[-1][:count].copy_(torch.as_tensor(values[-1]), non_blocking=True)
                captured.asked = asked
            read = stream.record()
            for value in values:
                if hasattr(value, "used"):
                    value.used(read)
            if captured.taken is not None:
                stream.wait((captured.taken,))
            captured.graph.replay()
            computed = stream.record()
            add_reader(captured.uses, computed)
            if lease is not None:
                self._lease = lambda: None
        with torch.cuda.stream(self._torch_copies), torch.inference_mode():
            self._copies.wait((computed,))
            results = [_to_host(torch, out) for out in captured.outputs.copied(count)]
            rest = captured.outputs.kept(count)
            captured.taken = self._copies.record()
        return _Call(captured, values, results, rest, future)

    def lend(self, name: str, count: int) -> DeviceArray | None:
        """Where the network reads the first `count` pictures of an input, to be filled for one call and given to it.

        Write there after the events `owner.uses`, as `to_tensor` does; once the call is submitted it may be another's.
        One is lent at a time: None while somebody holds one, and where the network cannot be recorded.
        """
        self._gpu.use()
        index = [info.name for info in self.inputs].index(name)
        with self._submitting:
            if self._lease() is not None:
                return None
            try:
                lease = Lease(self._capture(count))
            except (RuntimeError, ValueError):  # the call meets it, too, and says so
                return None
            self._lease = weakref.ref(lease)
            return lent(self._gpu, lease, index, self.inputs[index], count)

    def warm(self, sizes: Sequence[int]) -> None:
        """Capture the graphs of these batch sizes now, not at their first call; of `sizes` where those were given."""
        self._gpu.use()
        with self._submitting:
            for size in self._sizes.warm(sizes):
                self._capture(size)

    def cancel(self) -> None:
        """By any thread: who has this network closes it soon. A call may be waiting for what is being compiled."""
        compiler = self._compiler
        if compiler is not None:
            compiler.break_off()

    def close(self) -> None:
        """Wait for the calls under way and free the graphs. May be called twice.

        What is being compiled is broken off; where that takes more than a moment, all is freed when it has ended.
        """
        if self._waiter.is_alive():
            self._calls.put(None)
            self._waiter.join()
            if self._compiler is not None:
                self._compiler.stop(self._free)
            else:
                self._free()

    def _free(self) -> None:
        self._captured.clear()
        for network in self._networks:
            network.release()
        self._compiler = None
        if recording.acquire(timeout=1.0):  # PyTorch gives nothing back while a graph is recorded
            try:
                gc.unfreeze()  # what is garbage now may be found
                self._torch.cuda.empty_cache()  # decoders may want it
            finally:
                recording.release()

    def _capture(self, count: int) -> _Captured:
        """A graph for so many pictures: the next of the two of its size, recorded where they are not there yet."""
        size = self._sizes.of(count)
        size = self._instead.get(size, size)
        if size not in self._captured:
            try:
                self._captured[size] = [self.record(size, self._compiled) for _ in range(2)]
            except self._torch.OutOfMemoryError:  # one that is too large does as well
                larger = [each for each in self._captured if each >= count]
                if not larger:
                    raise
                self._instead[size] = min(larger)
                size = self._instead[size]
        pair = self._captured[size]
        pair.reverse()
        lease = self._lease()
        if lease is not None and lease.captured is pair[0]:  # somebody writes its pictures
            pair.reverse()
        return pair[0]

    @property
    def sizes(self) -> list[int]:
        """The batch sizes that have graphs."""
        return list(self._captured)

    def replace(self, size: int, pair: list[_Captured]) -> bool:
        """Replay these graphs from the next call of this size on, by any thread; False while one of the old is lent.

        The GPU is waited for, which may be at work on the old: PyTorch gives their memory to whoever asks next.
        """
        with self._submitting:
            old, lease = self._captured.get(size, []), self._lease()
            if lease is not None and lease.captured in old:
                return False
            self._captured[size] = pair
        for each in old:
            for event in (*each.uses, *filter(None, [each.taken])):
                event.synchronize()
        return True

    def record(self, size: int, compiled: bool = False, breakable: Breakable | None = None) -> _Captured:
        """A graph of the network for so many pictures; of its simpler form where it cannot be recorded as it is.

        Its first run compiles it where it is to be `compiled`, and may be broken off.
        """
        network = self._networks[-1]
        simpler = network.simpler()
        if simpler is None:
            return self._record(network, size, compiled, breakable)
        try:
            return self._record(network, size, compiled, breakable)
        except self._torch.OutOfMemoryError as error:
            if any(each >= size for each in self.sizes):  # that one does as well
                raise
            reason = said(error)
        except Exception as error:  # noqa: BLE001  # whatever it is: the simpler form meets it as well, or runs
            reason = said(error.__cause__ or error)
        captured = self._record(simpler, size, compiled, breakable)
        self._networks.append(simpler)
        self.report(_SIMPLER.format(size, reason.partition("\n")[0]))
        return captured

    def _record(self, network: Network, size: int, compiled: bool, breakable: Breakable | None) -> _Captured:
        """Run the network a few times (libraries choose their kernels), then record one run as a graph."""
        torch = self._torch
        self._gpu.use()
        # float32 means float32: the short products of "TF32" would move boxes. cuDNN tries its kernels when `tuned`.
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=self._tuned, allow_tf32=False)
        constants = Constants()
        with alone(), torch.cuda.stream(self._recorder), torch.inference_mode(), exact:
            inputs = [self._input(info, size) for info in network.slots]
            program = network.program(inputs, constants, size, compiled)
            wider = getattr(program, "roomy", ())
            inputs = [roomy(slot) if place in wider else slot for place, slot in enumerate(inputs)]
            with breakable.part() if breakable is not None else nullcontext():
                for _ in range(3):
                    found = once(program, inputs, constants)
            outputs = Leaving(found, len(network.leaves), size)
            self._recorder.synchronize()
            graph = torch.cuda.CUDAGraph()
            try:
                # Others go on allocating and decoding meanwhile: only this thread's calls are recorded or refused.
                graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
                for kept, out in zip(outputs.tensors, once(program, inputs, constants), strict=True):
                    kept.copy_(out)
                graph.capture_end()
            except BaseException as error:  # Ctrl-C, too: while one is recorded, PyTorch gives no memory back
                with suppress(RuntimeError):
                    graph.capture_end()
                self._pool = None  # PyTorch may take it for one that is still recorded into
                if isinstance(error, torch.OutOfMemoryError) or not isinstance(error, Exception):
                    raise
                raise ValueError(UNRECORDED.format(str(error).partition("\n")[0])) from error
            self._pool = graph.pool()
            with torch.cuda.stream(self._torch_copies):  # memory for what calls will keep is found now or not at all
                held = [outputs.kept(size) for _ in range(self.parallel + 1 if network.larger else 0)]
            del held
        return _Captured(network, inputs, outputs, graph, constants)

    def _input(self, info: TensorInfo, size: int) -> Any:
        torch = self._torch
        shape = [size, *(info.shape[1:])]
        if None in shape:
            raise ValueError(f"{info}: only the batch may be free in a model for the PyTorch runtime")
        tensor = torch.zeros(shape, dtype=getattr(torch, info.dtype), device=self.device)
        return tensor.to(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor

    def _wait(self) -> None:
        self._gpu.use()
        while (call := self._calls.get()) is not None:
            try:
                call.event.synchronize()
                for value in call.inputs:  # and so have the events that this call waited for
                    if getattr(value, "ready", None) is not None:
                        value.ready.happened = True
                outputs = call.outputs.arrays(call.results, int(call.inputs[0].shape[0]))
                results = dict(zip(call.network.leaves, outputs, strict=True))
                if call.network.asks and few_left(results, call.inputs[-1]):
                    results |= self._rest(call)
                call.future.set_result(results)
            except Exception as error:  # noqa: BLE001 whatever it is, later calls must not hang for it
                call.future.set_exception(error)
            call = value = None  # or they would keep a batch alive until the next one is done

    def _rest(self, call: _Call) -> dict[str, Any]:
        """The outputs of a call that seldom leave."""
        with self._torch.cuda.stream(self._torch_late), self._torch.inference_mode():
            copies = [_to_host(self._torch, out) for out in call.rest]
            self._late.record().synchronize()
        return {name: out.numpy() for name, out in zip(call.network.larger, copies, strict=True)}


class _Captured:
    """A CUDA graph, the tensors that it reads and writes, and the events after which they may be written again."""

    __slots__ = ("asked", "constants", "graph", "inputs", "network", "outputs", "taken", "uses")

    def __init__(self, network: Network, inputs: list[Any], outputs: Leaving, graph: Any, constants: Constants) -> None:
        self.network, self.inputs, self.outputs, self.graph, self.constants = (
            network, inputs, outputs, graph, constants,
        )  # fmt: skip
        self.asked = b""  # what its last input holds, where that is asked for
        self.taken: Event | None = None
        self.uses: list[Event] = []  # the events after which its inputs may be written again


class _Call:
    """A call under way; holds its inputs and results until the GPU is done with them."""

    __slots__ = ("event", "future", "inputs", "network", "outputs", "rest", "results")

    def __init__(
        self, captured: _Captured, inputs: Any, results: list[Any], rest: list[Any], future: Future[dict[str, Any]]
    ) -> None:
        self.event: Any = captured.taken
        self.network, self.outputs = captured.network, captured.outputs
        self.inputs, self.results, self.rest, self.future = inputs, results, rest, future


def _to_host(torch: Any, values: Any) -> Any:
    """A copy on its way into pinned memory, which torch keeps and uses again."""
    host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    return host.copy_(values, non_blocking=True)
