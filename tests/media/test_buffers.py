from __future__ import annotations

import gc
import threading

import numpy as np

from millrace.media import buffers
from millrace.media.buffers import copy, empty


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def test_memory_is_used_again_once_nobody_refers_to_it():
    first = empty((3, 300, 301), np.float32)
    where = address(first)
    view = first[1:, ::2]
    del first
    other = empty((3, 300, 301), np.float32)
    assert address(other) != where  # a view still looks at it
    view[...] = 7
    other[...] = 9
    assert (view == 7).all()
    del view
    assert address(empty((3, 300, 301), np.float32)) == where


def test_arrays_are_as_numpy_makes_them():
    for shape, kind in (((5,), "uint8"), ((2, 400, 400), "float16"), ((0, 7), "int64"), ((70_000,), "uint16")):
        array = empty(shape, kind)
        assert array.shape == shape and array.dtype == kind and array.flags.c_contiguous and array.flags.writeable


def test_copies_are_contiguous_and_apart():
    wide = np.arange(400 * 500, dtype=np.uint32).reshape(400, 500)[:, :450]
    twin = copy(wide)
    assert np.array_equal(twin, wide) and twin.flags.c_contiguous and not np.shares_memory(twin, wide)


def test_what_is_kept_is_bounded():
    many = [empty((buffers.SMALLEST * 4,), np.uint8) for _ in range(buffers.KEPT * 3)]
    del many
    for size in range(buffers.SIZES * 2):
        empty((buffers.SMALLEST + size,), np.uint8)
    gc.collect()
    assert len(buffers._free) <= buffers.SIZES
    assert all(len(free) <= buffers.KEPT for free in buffers._free.values())


def test_threads_never_share_memory():
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(200):
            mine = empty((80_000,), np.uint8)
            mine[:] = number
            if not (mine == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong and not any(thread.is_alive() for thread in threads)
