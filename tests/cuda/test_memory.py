"""Surfaces where the GPU's memory runs out: who needs one waits for those of others, a while."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest
from host_gpu import host_gpu  # noqa: F401

from millrace.cuda import memory
from millrace.imaging.cuda_launch import Launcher, Table


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


@pytest.fixture
def sizes(monkeypatch):
    """`surfaces` of a GPU that has room for 8 slabs of any size; `sizes.held` says how many it gave."""
    monkeypatch.setattr(memory, "_pools", {})
    held = set()

    def allocate(size):
        if len(held) == 8:
            return (Code(2),)
        address = next(address for address in range(1 << 20, 1 << 30, 1 << 20) if address not in held)
        held.add(address)
        return 0, address

    driver = SimpleNamespace(cuMemAlloc=allocate, cuMemFree=lambda slab: held.remove(slab) or (0,))
    gpu = SimpleNamespace(name="cuda:0", ordinal=0, driver=driver)

    def of(size):
        return memory.surfaces(gpu, size)

    of.held = held
    return of


def test_sizes_that_nobody_uses_give_their_memory_to_others(sizes):
    kept = sizes(1000).take(STREAM)
    for size in range(2000, 2100):  # a folder of photos
        sizes(size).take(STREAM)
    assert len(sizes.held) <= 8
    assert sizes(1000).count == 32 and kept.pointer == 1 << 20  # what is lent stays
    assert sizes(2000).take(STREAM) is not None  # one that gave its memory back begins anew


def test_only_so_many_sizes_are_held(sizes, monkeypatch):
    monkeypatch.setattr(memory, "_SIZES", 3)
    for size in range(2000, 2050):
        sizes(size).take(STREAM)
        assert len(sizes.held) <= 3


def test_memory_is_given_back_after_its_last_reader(sizes):
    waited = []
    surface = sizes(1000).take(STREAM)
    surface.used(SimpleNamespace(stream=1, serial=1, synchronize=lambda: waited.append(1)))
    assert not sizes(1000).give_up()
    del surface
    assert sizes(1000).give_up() and waited == [1] and not sizes.held


def test_large_surfaces_come_in_small_slabs(sizes):
    sizes(30_000_000).take(STREAM)
    assert sizes(30_000_000).count == 4


def test_of_the_readers_on_one_stream_the_last_is_kept():
    surface = pool(1).take(STREAM)
    for serial in (1, 2, 5, 4):
        for stream in "ab":
            surface.used(SimpleNamespace(stream=stream, serial=serial))
    assert [(event.stream, event.serial) for event in surface.uses] == [("a", 5), ("b", 5)]


def test_a_surface_that_was_lent_and_not_written_keeps_its_readers():
    surfaces = pool(1)
    reader = SimpleNamespace(stream=1, serial=1)
    waits = []
    surfaces.take(STREAM).used(reader)
    for _ in range(3 * surfaces.count):  # each is dropped unwritten, as where an error comes between
        surfaces.take(SimpleNamespace(wait=waits.extend))
    assert waits == [reader] * 3


def test_tables_are_freed_with_their_launcher(host_gpu):  # noqa: F811
    launcher, before = Launcher(host_gpu), len(host_gpu.driver.held)
    table = launcher.table()
    table.begin(100)
    table.begin(1 << 20)  # grows
    assert len(host_gpu.driver.held) == before + 2
    del launcher, table
    assert len(host_gpu.driver.held) == before


def test_a_table_that_cannot_grow_holds_nothing(host_gpu, monkeypatch):  # noqa: F811
    table = Table(host_gpu)
    table.begin(100)
    monkeypatch.setattr(host_gpu.driver, "cuMemAlloc", lambda size: (Code(2),))
    with pytest.raises(RuntimeError, match="OUT_OF_MEMORY"):
        table.begin(1 << 20)
    assert not host_gpu.driver.held
    monkeypatch.undo()
    assert len(table.begin(1 << 20)) == 1 << 20
