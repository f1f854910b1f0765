"""An event loop in a thread of its own, for servers that a pipeline feeds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

WAITING = 64  # calls that may wait: a thread that feeds a server must not run away from it


class Loop:
    """Runs coroutines for other threads."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._room = threading.Semaphore(WAITING)
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], seconds: float = 10.0) -> T:
        """Run it there and wait for its answer."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def soon(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Call it there soon, in the order of these calls; waits while very many are to be made still."""
        self._room.acquire()
        self._loop.call_soon_threadsafe(self._call, call, arguments)

    def _call(self, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._room.release()
        call(*arguments)

    def close(self) -> None:
        """End what still runs there, and the thread."""
        if self._loop.is_closed():
            return
        self.run(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


async def _cancel_others() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
