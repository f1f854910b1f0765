"""One loaded model for all who want the same: two `infer` elements of the same file and options share one session.

A session is shared by (file, its size and time, device, runtime, options); the last user's `close` ends it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from ..runtimes.base import Inputs, Runtime


class _Slot:
    """A runtime, how many use it, and the lock under which it is loaded."""

    def __init__(self) -> None:
        self.loading = threading.Lock()
        self.runtime: Runtime | None = None
        self.users = 0


_slots: dict[Hashable, _Slot] = {}
_lock = threading.Lock()


def shared(key: Hashable, load: Callable[[], Runtime]) -> Runtime:
    """The runtime of this key, loaded by `load` where nobody has it open. Raises what `load` raises."""
    with _lock:
        slot = _slots.setdefault(key, _Slot())
        slot.users += 1
    try:
        with slot.loading:  # others who want the same wait for it; a failed load is tried by each of them
            if slot.runtime is None:
                slot.runtime = load()
            return Shared(key, slot)
    except BaseException:
        _leave(key, slot)
        raise


def key_of(path: str, device: str, runtime: str, options: Mapping[str, Any]) -> Hashable:
    """What tells one session from another; a file that is replaced is another one."""
    try:
        facts = os.stat(path)
        state = (os.path.realpath(path), facts.st_ino, facts.st_size, facts.st_mtime_ns)
    except OSError:
        return object()  # an address, or gone: nobody shares it
    return (*state, device, runtime, repr(sorted(options.items())))


def open_sessions() -> int:
    """How many are open, for tests and benchmarks."""
    with _lock:
        return len(_slots)


def _leave(key: Hashable, slot: _Slot) -> None:
    with _lock:
        slot.users -= 1
        if slot.users:
            return
        if _slots.get(key) is slot:
            del _slots[key]
    if slot.runtime is not None:
        slot.runtime.close()


class Shared:
    """One user's share of a runtime (see runtimes.base.Runtime)."""

    def __init__(self, key: Hashable, slot: _Slot) -> None:
        assert slot.runtime is not None
        self._key, self._slot, self._closed = key, slot, False
        self._runtime = slot.runtime
        self.inputs, self.outputs, self.metadata = (
            self._runtime.inputs, self._runtime.outputs, self._runtime.metadata,
        )  # fmt: skip
        self.parallel, self.batches, self.device = (
            self._runtime.parallel, self._runtime.batches, self._runtime.device,
        )  # fmt: skip

    @property
    def asks(self) -> bool:
        """Whether it wants to be told what is ASKED of cells."""
        return getattr(self._runtime, "asks", False)

    @property
    def report(self) -> Callable[[str], None]:
        """Whom the runtime tells of trouble: of several users the last who said so."""
        return self._runtime.report

    @report.setter
    def report(self, told: Callable[[str], None]) -> None:
        self._runtime.report = told

    def run(self, inputs: Inputs) -> dict[str, Any]:
        return self._runtime.run(inputs)

    def submit(self, inputs: Inputs, done: Callable[[], None] | None = None) -> Future[dict[str, Any]]:
        return self._runtime.submit(inputs, done)

    @property
    def sizes(self) -> Sequence[int]:
        """The batch sizes that it is ready for, where the runtime makes itself ready for each."""
        return getattr(self._runtime, "sizes", ())

    def warm(self, sizes: Sequence[int]) -> None:
        """Make ready for calls of these batch sizes, where the runtime needs to."""
        if hasattr(self._runtime, "warm"):
            self._runtime.warm(sizes)

    def lend(self, name: str, count: int) -> Any:
        """Memory to write pictures for a call into; None where the runtime lends none."""
        lend = getattr(self._runtime, "lend", None)
        return None if lend is None else lend(name, count)

    def cancel(self) -> None:
        """For runtimes that wait: for a server, for a compiler. One that others use is left alone."""
        if self._slot.users == 1 and hasattr(self._runtime, "cancel"):
            self._runtime.cancel()

    def close(self) -> None:
        """Give the share back; the last one ends the session. May be called twice."""
        if not self._closed:
            self._closed = True
            _leave(self._key, self._slot)
