"""How tensors lie in one block, and which copies bring them to the CPU."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from host_gpu import HostGpu

from millrace.cuda.memory import empty
from millrace.cuda.pinned import Pinned
from millrace.media import TensorInfo
from millrace.runtimes.onnx_memory import address, lay_out, leave

BOXES, NUMBER = TensorInfo("boxes", (None, 3), "float32"), TensorInfo("number", (2,), "int64")


def test_tensors_begin_where_libraries_want_them():
    places, size = lay_out([BOXES, NUMBER, BOXES], [(50, 3), (2,), (0, 3)])
    assert [(place.start, place.nbytes) for place in places] == [(0, 600), (768, 16), (1024, 0)]
    assert size == 1024
    assert [place.part(2).shape for place in places] == [(2, 3), (2,), (0, 3)]


def test_what_lies_apart_leaves_in_copies_of_its_own_and_nothing_is_not_copied():
    gpu = HostGpu()
    stream = gpu.stream("low")
    places, size = lay_out([BOXES, NUMBER, BOXES], [(1, 3), (2,), (0, 3)])
    boxes, number = empty(stream, (1, 3), "float32"), empty(stream, (2,), "int64")
    for there, value in ((boxes, np.ones((1, 3), np.float32)), (number, np.array([5, 6]))):
        gpu.driver.cuMemcpyDtoDAsync(there.pointer, value.ctypes.data, value.nbytes)
    found, event = leave(stream, Pinned(gpu), places[:2], [boxes.pointer, number.pointer], size)
    assert found["boxes"].tolist() == [[1, 1, 1]]
    assert found["number"].tolist() == [5, 6]
    assert event.stream is stream
    assert gpu.driver.copied == 28
    found, _ = leave(stream, Pinned(gpu), places[2:], [0], size)
    assert found["boxes"].shape == (0, 3)
    assert gpu.driver.copied == 28


@pytest.mark.parametrize("strides", [None, (12, 4)])
def test_an_array_without_gaps_has_an_address(strides):
    array = SimpleNamespace(__cuda_array_interface__={"shape": (2, 3), "strides": strides, "data": (77, False)})
    assert address(BOXES, array) == 77


def test_an_array_with_gaps_is_refused():
    array = SimpleNamespace(__cuda_array_interface__={"shape": (2, 3), "strides": (16, 4), "data": (77, False)})
    with pytest.raises(ValueError, match=r"boxes float32\[\?, 3\] lies on the GPU with gaps"):
        address(BOXES, array)
