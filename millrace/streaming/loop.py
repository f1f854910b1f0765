"""An event loop in a thread of its own, for servers that a pipeline feeds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from ..core.errors import Cancelled

T = TypeVar("T")

WAITING = 64  # calls that may wait: a thread that feeds a server must not run away from it


class Loop:
    """Runs coroutines for other threads, of which any may close it."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._room = threading.Semaphore(WAITING)
        self._lock = threading.Lock()
        self._closed = False  # nothing is taken any more
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], seconds: float = 10.0) -> T:
        """Run it there and wait for its answer. Raises Cancelled where the loop is closed before or meanwhile."""
        with self._lock:
            if self._closed:
                work.close()
                raise Cancelled
            answer = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return answer.result(seconds)
        except CancelledError:
            raise Cancelled from None

    def soon(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Call it there soon, in the order of these calls; waits while very many are to be made still.

        Once the loop is closed nothing is called: what it feeds has ended.
        """
        self._room.acquire()
        with self._lock:
            if not self._closed:
                self._loop.call_soon_threadsafe(self._call, call, arguments)
                return
        self._room.release()

    def _call(self, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._room.release()
        call(*arguments)

    def close(self) -> None:
        """End what still runs there, and the thread."""
        with self._lock:
            if self._closed:
                return
            self._closed = True  # what was taken before is still called
            ended = asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop)
        ended.result(10.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


async def _cancel_others() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
