"""Surfaces where the GPU's memory runs out: who needs one waits for those of others, a while."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from millrace.cuda import memory


class Code(int):
    name = "CUDA_ERROR_OUT_OF_MEMORY"


def pool(slabs):
    driver = SimpleNamespace(cuMemAlloc=lambda size: (0, 4096) if next(left) > 0 else (Code(2),))
    left = iter(range(slabs, -100, -1))
    return memory.Surfaces(SimpleNamespace(name="cuda:0", driver=driver), 3_000_000)


STREAM = SimpleNamespace(wait=lambda events: None)


def test_it_grows_while_there_is_memory():
    surfaces = pool(2)
    held = [surfaces.take(STREAM) for _ in range(64)]
    assert surfaces.count == len(held) == 64


def test_a_full_gpu_is_waited_for():
    surfaces = pool(1)
    held = [surfaces.take(STREAM) for _ in range(32)]
    giver = threading.Thread(target=lambda: (time.sleep(0.1), held.pop()))
    giver.start()
    assert surfaces.take(STREAM) is not None
    giver.join(5)


def test_one_that_stays_full_is_an_error(monkeypatch):
    monkeypatch.setattr(memory, "_PATIENCE", 0.05)
    surfaces = pool(1)
    held = [surfaces.take(STREAM) for _ in range(32)]
    with pytest.raises(RuntimeError, match=r"cuda:0 has no memory left for 32 more surfaces of 3.0 MB, and all 32 are"):
        surfaces.take(STREAM)
    assert len(held) == 32


def test_without_any_nobody_waits():
    started = time.monotonic()
    with pytest.raises(RuntimeError, match="no memory left"):
        pool(0).take(STREAM)
    assert time.monotonic() - started < memory._PATIENCE
