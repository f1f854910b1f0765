"""Work that several threads do at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable


def together(work: Callable[[int], object], count: int = 3, seconds: float = 60.0) -> None:
    """Call `work(number)` in so many threads, and wait for all."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    assert not any(thread.is_alive() for thread in threads)
