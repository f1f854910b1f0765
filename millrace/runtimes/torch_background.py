"""A network is compiled beside its use, and runs compiled when that is done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..core.errors import said


class Recorded(Protocol):
    """What TorchRuntime offers to it."""

    report: Callable[[str], None]

    @property
    def sizes(self) -> Sequence[int]: ...

    def record(self, size: int, compiled: bool = False) -> Any: ...

    def replace(self, size: int, pair: list[Any]) -> None: ...


class Compiler:
    """Compiles a network beside its use, and has its graphs replaced by those of what was made."""

    def __init__(self, runtime: Recorded) -> None:
        self._runtime = runtime
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="millrace-compile", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        done = set()
        while not self._stop.wait(0.2):
            for size in [size for size in self._runtime.sizes if size not in done]:
                done.add(size)
                try:
                    self._runtime.replace(size, [self._runtime.record(size, compiled=True) for _ in range(2)])
                except Exception as error:  # noqa: BLE001  # whatever the compiler raises: the network runs on as it is
                    self._runtime.report(
                        f"the network is not compiled for {size} pictures, it runs as it is: {said(error)}"
                    )
                    return
                if self._stop.is_set():
                    return
