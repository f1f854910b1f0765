"""One GPU: its primary context, its streams and its events, over the driver API.

Three rules that every user of this module keeps:

* No work on the NULL stream: it waits for everybody, and everybody for it.
* Nobody waits on the CPU for the GPU, but the one thread that turns finished work into results.
* Who reads memory that another stream wrote waits for the writer's event on its own stream; who reads memory that
  will be used again tells its owner the event after which it may be (`memory.py`).
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import os
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from ..core.errors import ConfigError, MissingExtraError
from .calls import Calls

Priority = Literal["high", "middle", "low"]  # decoding, preparing pictures, networks

_OBJECTS = 20_000  # more than the pictures of a batch have; none of them is garbage that needs a collector
_MPS = "CUDA_MPS_PIPE_DIRECTORY"  # set where several processes share a GPU by NVIDIA's server for that
_FULL = "its memory is full or, under MPS, its queues are: set CUDA_DEVICE_MAX_CONNECTIONS=2, or run fewer processes"
_gpus: dict[int, Gpu] = {}
_lock = threading.Lock()
_thread = threading.local()  # its `gpu`: the one that the thread used last


def gpu(device: str) -> Gpu:
    """The GPU of a device's name (`cuda`, `cuda:1`), opened at the first call; raises ConfigError without one."""
    number = device.partition(":")[2] or "0"
    if not number.isdigit():
        raise ConfigError(f"device {device!r} is not known: use cuda or cuda:N")
    with _lock:
        ordinal = int(number)
        if ordinal not in _gpus:
            _gpus[ordinal] = Gpu(ordinal)
        return _gpus[ordinal]


def opened() -> list[int]:
    """The GPUs that this process has opened, by number."""
    return sorted(_gpus)


def need_driver(device: str) -> None:
    """Raises ConfigError on a machine without NVIDIA's driver, whichever packages are installed."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(name)
    except OSError:
        raise ConfigError(
            f"device {device}: no NVIDIA GPU can be used here, for its driver ({name}) is not on this machine; use "
            "`cpu`, and see: millrace devices"
        ) from None


def count() -> int:
    """How many GPUs this process sees; 0 where there is no driver. Raises MissingExtraError without cuda-bindings."""
    try:
        need_driver("cuda")
    except ConfigError:
        return 0
    try:
        check(driver().cuInit(0))
        return int(check(driver().cuDeviceGetCount()))
    except RuntimeError:
        return 0


def bus_ids() -> list[str]:
    """Where on the PCI bus the GPUs are that this process sees, cuda:0 first; raises what `count` and `check` do."""
    places = []
    for number in range(count()):
        place = check(driver().cuDeviceGetPCIBusId(32, check(driver().cuDeviceGet(number))))
        places.append(place.split(b"\0")[0].decode())
    return places


def driver() -> Any:
    """The module cuda.bindings.driver."""
    try:
        from cuda.bindings import driver as module
    except ImportError:
        raise MissingExtraError("device cuda", "cuda-bindings", "cuda") from None
    return module


def check(result: tuple[Any, ...]) -> Any:
    """What a call of the driver returned; raises RuntimeError with the driver's words when it failed."""
    code = result[0]
    if int(code):
        raise RuntimeError(f"CUDA: {getattr(code, 'name', code)}")
    return None if len(result) == 1 else result[1] if len(result) == 2 else result[1:]


def out_of_memory(error: BaseException) -> bool:
    """Whether the driver failed, or a library that called it, because the GPU's memory is used up."""
    return "OUT_OF_MEMORY" in str(error).upper()


def succeed(code: int) -> None:
    """Raises RuntimeError with the driver's word for a code of `Calls` that is not 0."""
    if code:
        raise RuntimeError(f"CUDA: {getattr(driver().CUresult(code), 'name', code)}")


class Gpu:
    """A GPU of this process. Make it with `gpu(device)` before torch or a decoder touch CUDA."""

    def __init__(self, ordinal: int) -> None:
        self.ordinal = ordinal
        self.name = f"cuda:{ordinal}"
        self.driver = driver()
        self.free_events: deque[Any] = deque()
        self.free_streams: defaultdict[int, deque[Any]] = defaultdict(deque)  # by priority
        self._local = threading.local()
        # With the usual 8 queues, streams share some. MPS has 96 or so for all its processes.
        os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "8" if _MPS in os.environ else "32")
        try:
            check(self.driver.cuInit(0))
            count = check(self.driver.cuDeviceGetCount())
        except RuntimeError as error:
            raise ConfigError(f"device {self.name}: no NVIDIA GPU can be used here ({error})") from None
        if ordinal >= count:
            raise ConfigError(f"device {self.name} does not exist: there are {count} GPUs (cuda:0 is the first)")
        device = check(self.driver.cuDeviceGet(ordinal))
        # Waiting threads sleep instead of spinning. The flag must be set before the context is in use elsewhere.
        self.driver.cuDevicePrimaryCtxSetFlags(device, self.driver.CUctx_flags.CU_CTX_SCHED_BLOCKING_SYNC)
        try:
            self.context = check(self.driver.cuDevicePrimaryCtxRetain(device))
        except RuntimeError as error:
            raise ConfigError(f"device {self.name} takes no further process ({error}): {_FULL}") from None
        self.calls = Calls()
        self._collect_less()
        self.use()
        least, greatest = check(self.driver.cuCtxGetStreamPriorityRange())
        self._priorities = {"high": greatest, "middle": (least + greatest) // 2, "low": least}
        self.copies = Stream(self, least)  # for copies that nobody is in a hurry for
        self.copying = threading.Lock()  # any thread may use that stream
        self._keep_freed_memory(device)

    def _keep_freed_memory(self, device: Any) -> None:
        """Let the stream-ordered allocator keep what is freed: else it asks the driver anew for every batch."""
        pool = check(self.driver.cuDeviceGetDefaultMemPool(device))
        attribute = self.driver.CUmemPool_attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
        check(self.driver.cuMemPoolSetAttribute(pool, attribute, self.driver.cuuint64_t(2**63)))

    def _collect_less(self) -> None:
        """Python looks for garbage whenever 700 objects more than before are alive: a batch brings thousands.

        Left so, it walked over all that is under way again and again, 35 of the 220 µs that a frame cost the host.
        """
        first, *others = gc.get_threshold()
        if 0 < first < _OBJECTS:  # 0: switched off
            gc.set_threshold(_OBJECTS, *others)

    def use(self, again: bool = False) -> None:
        """Make the GPU's context that of the calling thread; every thread must, and anew after it used another GPU.

        `again`: another library may have put its own in the place. Events made then would not fit our streams.
        """
        if again or getattr(_thread, "gpu", None) is not self:
            check(self.driver.cuCtxSetCurrent(self.context))
            # A graph that another thread records (ONNX Runtime does it for the whole process) must not forbid this one
            # to allocate memory, which would end the recording, too.
            mode = self.driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
            check(self.driver.cuThreadExchangeStreamCaptureMode(mode))
            _thread.gpu = self

    @contextmanager
    def visited(self) -> Iterator[None]:
        """`use`, where things are dropped: that may be in a thread of another GPU, which is back there afterwards."""
        home: Gpu | None = getattr(_thread, "gpu", None)
        self.use()
        try:
            yield
        finally:
            if home is not None:
                home.use()

    def stream(self, priority: Priority) -> Stream:
        """A stream of the caller's own, which never synchronises with the NULL stream."""
        self.use()
        return Stream(self, self._priorities[priority])

    def thread_stream(self) -> Stream:
        """The calling thread's own stream of high priority: what a decoding worker uses for all its streams."""
        stream: Stream | None = getattr(self._local, "stream", None)
        if stream is None:
            stream = self._local.stream = self.stream("high")
        return stream


class Stream:
    """A queue of work on a GPU. Used by one thread at a time. Its handle goes back to the GPU's pool with it.

    Not destroyed: libraries keep memory for each handle that they have seen, and what was queued may still run.
    """

    __slots__ = ("_number", "_priority", "_record", "_serial", "_wait", "_waited", "gpu", "handle", "native")
    _numbers = itertools.count()

    def __init__(self, gpu: Gpu, priority: int) -> None:
        self.gpu = gpu
        try:
            self.native = gpu.free_streams[priority].popleft()
        except IndexError:
            flags = gpu.driver.CUstream_flags.CU_STREAM_NON_BLOCKING
            self.native = check(gpu.driver.cuStreamCreateWithPriority(flags, priority))
        self.handle = int(self.native)
        self._priority = priority
        self._number = next(self._numbers)
        self._record = gpu.calls.cuEventRecord
        self._wait = gpu.calls.cuStreamWaitEvent
        self._serial = 0
        self._waited: dict[int, int] = {}  # by others' numbers: the serial of the last event that work here waits for

    def record(self) -> Event:
        """An event that happens when the work queued so far is done."""
        self._serial += 1
        event = Event(self, self._serial)
        succeed(self._record(event.handle, self.handle))
        return event

    def wait(self, events: Iterable[Event]) -> None:
        """Let the work queued from now on wait for all events, without waiting here.

        Events of one stream happen in their order, so only the last of each stream is waited for, and none before
        one that was waited for earlier; those that are known to have happened are passed over.
        """
        last: dict[Stream, Event] = {}
        for event in events:
            stream = event.stream
            if event.happened or stream is self or event.serial <= self._waited.get(stream._number, 0):
                continue
            if stream not in last or event.serial > last[stream].serial:
                last[stream] = event
        for stream, event in last.items():
            succeed(self._wait(self.handle, event.handle, 0))
            self._waited[stream._number] = event.serial

    def synchronize(self) -> None:
        """Wait here until all queued work is done (start-up and tests only)."""
        check(self.gpu.driver.cuStreamSynchronize(self.native))

    def __del__(self) -> None:
        if hasattr(self, "_number"):
            self.gpu.free_streams[self._priority].append(self.native)


class Event:
    """A moment in a stream; `happened` once somebody knows that. Its handle goes back to the GPU's pool with it."""

    __slots__ = ("handle", "happened", "serial", "stream")

    def __init__(self, stream: Stream, serial: int) -> None:
        try:
            self.handle: int = stream.gpu.free_events.popleft()
        except IndexError:
            driver = stream.gpu.driver
            kind = driver.CUevent_flags
            flags = kind.CU_EVENT_DISABLE_TIMING | kind.CU_EVENT_BLOCKING_SYNC
            self.handle = int(check(driver.cuEventCreate(flags)))
        self.stream = stream
        self.serial = serial  # its number among those of the stream
        self.happened = False

    def synchronize(self) -> None:
        """Wait here, with the GIL released, until it has happened."""
        if self.happened:
            return
        gpu = self.stream.gpu
        if gpu.calls.cuEventQuery(self.handle):  # the call below would put the thread to sleep even if it had
            check(gpu.driver.cuEventSynchronize(self.handle))
        self.happened = True

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            self.stream.gpu.free_events.append(self.handle)
