"""Pinned memory: used again when the last array over it is dropped, freed with the pool."""

from __future__ import annotations

import numpy as np
from host_gpu import HostGpu

from millrace.cuda.pinned import Pinned


def test_a_block_is_used_again_when_nobody_looks_at_it():
    gpu = HostGpu()
    pool = Pinned(gpu)
    block = pool.take(100_000)
    first, rows = block.pointer, np.asarray(block)[:8].view(np.float32).reshape(2, 1)
    del block
    rows[:] = 3
    other = pool.take(100_000)
    assert other.pointer != first
    del rows
    assert pool.take(131_072).pointer == first  # sizes are rounded up
    assert pool.take(131_073).pointer not in (first, other.pointer)
    del other, pool
    assert not gpu.driver.held
