"""Memory that the PyTorch runtime lends, with the GPU and the graphs played by the CPU (tests/gpu: real)."""

from __future__ import annotations

import ctypes
import gc
import time
import weakref

import numpy as np
import pytest
from together import together

torch = pytest.importorskip("torch", reason="needs millrace[torch]")

import host_torch  # noqa: E402

from millrace.media import TensorInfo  # noqa: E402

host_gpu, make = host_torch.host_gpu, host_torch.make


def written(array, value):
    """Lent memory, filled. On a GPU `to_tensor` does it."""
    there = (ctypes.c_char * 4096).from_address(array.pointer)
    np.ndarray(array.shape, array.dtype, there, strides=array.strides)[:] = value
    return array


def lender(make):
    return make(infos=[TensorInfo("images", (None, 3, 4, 5), "float32")])


def test_pictures_are_written_where_the_network_reads_them(make):
    """The two graphs of a size in turn; whoever writes a picture waits for the network that read the last."""
    runtime, places = lender(make), []
    assert runtime.lend("images", 2).strides == (240, 4, 60, 12)
    for value in range(4):
        array = runtime.lend("images", 2)
        places.append(array.pointer)
        assert array.shape == (2, 3, 4, 5) and array.dtype == np.float32
        waits = [*array.owner.uses]
        assert len(waits) == (value > 1)
        array.owner.written(runtime._stream.record())
        assert (runtime.run({"images": written(array, value)})["images"] == 2 * value).all()
        assert array.owner.uses[-1] not in waits
    assert places[0] != places[1] and places[:2] == places[2:]


def test_what_is_lent_is_nobody_elses_until_it_is_given_back(make):
    runtime = lender(make)
    array = written(runtime.lend("images", 2), 5)
    assert runtime.lend("images", 2) is None
    for value in (1, 2, 3):
        other = {"images": np.full((2, 3, 4, 5), value, np.float32)}
        assert (runtime.run(other)["images"] == 2 * value).all()
    assert (runtime.run({"images": array})["images"] == 10).all()
    del array
    assert runtime.lend("images", 2) is not None  # and dropped
    assert runtime.lend("images", 2) is not None


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_threads_that_are_lent_memory_get_their_own_answers(make):
    """One is lent it at a time, the others bring their own: nobody writes over what another has prepared."""
    runtime, wrong, lent = lender(make), [], []

    def ask(number):
        def pictures():
            array = runtime.lend("images", 2)
            lent.append(array is not None)
            made = np.empty((2, 3, 4, 5), np.float32) if array is None else array
            time.sleep(0.001)
            if array is not None:
                return {"images": written(array, value)}
            made[:] = value
            return {"images": made}

        for value in range(number * 100, number * 100 + 40):
            out = runtime.submit(pictures).result(20)["images"]
            if not (out == 2 * value).all():
                wrong.append((value, out.tolist()))

    together(ask)
    assert not wrong and any(lent) and not all(lent)


def test_a_part_of_what_was_lent_gets_its_own_answer(make, monkeypatch):
    """Of a batch that is not full, and of one from which pictures were left out."""
    runtime, as_tensor = lender(make), torch.as_tensor
    monkeypatch.setattr(torch, "as_tensor", lambda value, device: as_tensor(np.asarray(value)))
    runtime.run({"images": np.full((4, 3, 4, 5), 9, np.float32)})
    for part in (slice(0, 3), slice(0, 2), slice(1, 3), slice(2, 3)):
        array = written(runtime.lend("images", 3), np.float32([1, 2, 3]).reshape(3, 1, 1, 1))
        out = runtime.run({"images": array[part]})["images"]
        assert out[:, 0, 0, 0].tolist() == [2, 4, 6][part]
        del array
        until(lambda: runtime._lease() is None)  # its call may hold it a moment longer


def test_what_was_lent_is_free_again_when_preparing_failed(make):
    """Though somebody keeps the error, and before anybody looks for garbage."""
    runtime, held = lender(make), []

    def prepare():
        array = written(runtime.lend("images", 2), 1)
        picture = np.empty(3)
        held.append(weakref.ref(picture))
        raise ValueError(f"pictures of {array.shape} and {picture.shape}")

    gc.disable()
    try:
        future = runtime.submit(prepare)
        with pytest.raises(ValueError, match="pictures of"):
            future.result(20)
        assert held[0]() is None
        array = runtime.lend("images", 2)
        assert array is not None
    finally:
        gc.enable()
    assert future.exception().__traceback__ is not None  # it says where
    assert (runtime.run({"images": written(array, 3)})["images"] == 6).all()


def test_graphs_are_not_replaced_while_they_are_lent_nor_dropped_before_the_gpu_is_done(make):
    runtime = lender(make)
    runtime.run({"images": written(runtime.lend("images", 2), 4)})
    runtime.run({"images": written(runtime.lend("images", 2), 4)})
    old, new = runtime._captured[2], [runtime.record(2), runtime.record(2)]
    array = written(runtime.lend("images", 2), 5)
    assert not runtime.replace(2, new) and runtime._captured[2] is old
    call = runtime.submit({"images": array})
    del array
    assert runtime.replace(2, new) and runtime._captured[2] is new
    assert all(event.happened for each in old for event in (*each.uses, each.taken))
    assert (call.result(20)["images"] == 10).all()
    assert (runtime.run({"images": written(runtime.lend("images", 2), 6)})["images"] == 12).all()


def test_a_compiled_network_takes_over_when_what_was_lent_is_given_back(make):
    runtime = make(infos=[TensorInfo("images", (None, 3, 4, 5), "float32")], compiled="background")
    array = written(runtime.lend("images", 2), 5)
    old = runtime._captured[2]
    time.sleep(0.5)  # the compiler is there by now, most likely: it looks every 0.2 s
    assert runtime._captured[2] is old
    assert (runtime.run({"images": array})["images"] == 10).all()
    del array
    until(lambda: runtime._captured[2] is not old)
    assert (runtime.run({"images": written(runtime.lend("images", 2), 6)})["images"] == 12).all()
    kept = runtime.lend("images", 4)  # closing does not wait for who holds it
    time.sleep(0.3)
    runtime.close()
    assert kept is not None


def test_a_network_that_cannot_be_recorded_lends_nothing_and_says_why_when_called(make, monkeypatch):
    runtime = lender(make)

    def record(size, compiled=False):
        raise ValueError("the network cannot be recorded")

    monkeypatch.setattr(runtime, "record", record)
    assert runtime.lend("images", 2) is None
    with pytest.raises(ValueError, match="cannot be recorded"):
        runtime.run({"images": np.zeros((2, 3, 4, 5), np.float32)})
