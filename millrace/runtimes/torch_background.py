"""A network is compiled beside its use, in a thread that is broken off when the network is closed."""

from __future__ import annotations

import atexit
import ctypes
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from ..core.errors import said

PATIENCE = 2.0  # seconds that `Compiler.stop` waits for its thread


class BrokenOff(BaseException):
    """No Exception, so that nothing takes it for an error and goes on."""


class Breakable:
    """`with breakable.part():` is what another thread may break off: there BrokenOff is raised.

    Python raises it between two steps of its own; what a library does in one step, and waiting, comes to its end, and
    so does an import, which would leave half a module and its lock.
    """

    def __init__(self) -> None:
        self.broken = False
        self._lock = threading.Lock()
        self._thread: int | None = None  # that is in the part
        self._raised = False

    @contextmanager
    def part(self) -> Iterator[None]:
        """Raises BrokenOff also where it was broken off before."""
        with self._lock:
            if self.broken:
                raise BrokenOff
            self._thread = threading.get_ident()
        try:
            yield
        finally:
            with self._lock:  # from here on it is not raised any more
                if self._raised and self._thread is not None:
                    _raise_in(self._thread, None)
                self._thread = None
        if self.broken:
            raise BrokenOff

    def break_off(self) -> None:
        """May be called again: what is importing now is not broken off."""
        with self._lock:
            self.broken = True
            if self._thread is not None and not self._raised and not _imports(self._thread):
                self._raised = True
                _raise_in(self._thread, BrokenOff)


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Have an error raised in a thread, soon; None: take back one that has not been raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), error and ctypes.py_object(error))


def _imports(thread: int) -> bool:
    frame = sys._current_frames().get(thread)
    while frame is not None and "importlib" not in frame.f_code.co_filename:
        frame = frame.f_back
    return frame is not None


class Recorder(Protocol):
    """What is compiled: torch_cuda.TorchRuntime."""

    report: Callable[[str], None]

    @property
    def sizes(self) -> Sequence[int]: ...
    def record(self, size: int, compiled: bool, breakable: Breakable) -> Any: ...
    def replace(self, size: int, pair: list[Any]) -> bool: ...


class Compiler:
    """Has the graphs of a network replaced by compiled ones, a size after the other."""

    def __init__(self, network: Recorder) -> None:
        self._network = network
        self._stop = threading.Event()
        self._breakable = Breakable()
        self._lock = threading.Lock()
        self._ended = False
        self._free: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._main, name="millrace-compile", daemon=True)
        self._thread.start()
        atexit.register(self._end, PATIENCE)  # a thread that is at work in PyTorch when the interpreter goes crashes it

    def break_off(self) -> None:
        """By any thread, which does not wait: nothing more is compiled, and what is being compiled ends soon."""
        self._stop.set()
        threading.Thread(target=self._end, args=(math.inf,), name="millrace-compile-end", daemon=True).start()

    def stop(self, free: Callable[[], None]) -> None:
        """Break off, then call `free`; what cannot be broken off within PATIENCE is left, and calls it at its end."""
        atexit.unregister(self._end)
        self._end(PATIENCE)
        with self._lock:
            if not self._ended:
                self._free = free
                return
        free()

    def _end(self, patience: float) -> None:
        """Again and again, for what is importing at the moment is not broken off."""
        self._stop.set()
        late = time.monotonic() + patience
        while self._thread.is_alive() and time.monotonic() < late:
            self._breakable.break_off()
            self._thread.join(0.05)

    def _main(self) -> None:
        try:
            self._compile()
        except BrokenOff:
            pass
        finally:
            with self._lock:
                self._ended = True
                free = self._free
            if free is not None:
                free()

    def _compile(self) -> None:
        network, done = self._network, set[int]()
        while not self._stop.wait(0.2):
            for size in [size for size in network.sizes if size not in done]:
                done.add(size)
                try:
                    pair = [network.record(size, True, self._breakable) for _ in range(2)]
                    while not network.replace(size, pair):
                        if self._stop.wait(0.01):
                            return
                except Exception as error:  # noqa: BLE001  # whatever the compiler raises: the network runs on as it is
                    if self._stop.is_set():  # it may make an error of its own of what broke it off
                        return
                    told = f"the network is not compiled for {size} pictures, it runs as it is: {said(error)}"
                    return network.report(told)
                if self._stop.is_set():
                    return
