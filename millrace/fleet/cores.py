"""The cores that a process stays on.

Threads that share Python's lock hand it to each other some thousand times a second. Between two cores that costs
several times what it costs on one, most of all in virtual machines, where to wake another core is the host's matter.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..core.errors import ConfigError


def cores_of(count: int, number: int = 0) -> set[int]:
    """`count` cores for the `number`th process, of those that this one may use; from the first again when they run out.

    Raises ConfigError where the system has no such thing, and for more cores than there are.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise ConfigError("cores: this system cannot keep a process on some of its cores; leave it out")
    usable = sorted(os.sched_getaffinity(0))
    if not 1 <= count <= len(usable):
        raise ConfigError(f"cores: {count} is not possible, this process may use {len(usable)}")
    return {usable[(number * count + index) % len(usable)] for index in range(count)}


@contextmanager
def on_cores(count: int | None, number: int = 0) -> Iterator[None]:
    """Keep this thread, and the threads and processes that it begins, on the cores that `cores_of` names.

    None: on all that it has. Errors as `cores_of`.
    """
    if count is None:
        yield
        return
    own, before = cores_of(count, number), os.sched_getaffinity(0)
    os.sched_setaffinity(0, own)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
