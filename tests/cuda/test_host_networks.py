"""Networks and pictures in a GPU's memory, played by the CPU: who gets an array that he can read, and what of it."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from drawn import picture
from host_gpu import download, host_gpu, upload  # noqa: F401

from millrace.core import Context
from millrace.cuda import memory
from millrace.elements.infer import Infer
from millrace.elements.preprocess import Preprocess
from millrace.imaging import cuda
from millrace.imaging.cpu import open_imaging
from millrace.media import Batch, Frame, InputSpec
from millrace.runtimes.onnx import OnnxRuntime
from millrace.runtimes.pool import PooledRuntime, wait_for
from millrace.testing.models import make_detector

BOXES = [(8.0, 12.0, 24.0, 44.0, 0.9, 2), (36.0, 20.0, 56.0, 50.0, 0.7, 0)]


class Imaging:
    """The CPU's, for pictures of the GPU played: its tensors lie there."""

    def __init__(self, gpu):
        self.gpu, self.asked = gpu, []

    def to_tensor(self, images, spec, out=None, boxes=None):
        self.asked.append(len(images))
        rows, places = open_imaging("cpu").to_tensor([download(image) for image in images], spec, boxes=boxes)
        array = there(self.gpu, rows)
        if out is None:
            return array, places
        self.gpu.driver.cuMemcpyDtoDAsync(out.pointer, array.pointer, rows.nbytes, None)
        return out, places

    def upload(self, image):
        return image if image.memory != "cpu" else upload(self.gpu, image)


def there(gpu, rows):
    array = memory.empty(gpu.copies, rows.shape, rows.dtype)
    gpu.driver.cuMemcpyHtoDAsync(array.pointer, np.ascontiguousarray(rows).ctypes.data, rows.nbytes, None)
    array.ready = gpu.copies.record()
    return array


@pytest.fixture
def gpu(host_gpu, monkeypatch):  # noqa: F811
    host_gpu.imaging = Imaging(host_gpu)
    monkeypatch.setattr(cuda, "open_imaging", lambda device: host_gpu.imaging)
    return host_gpu


def frames(gpu, count):
    out = []
    for index in range(count):
        image = picture("NV12", 128, 96)
        out.append(Frame("a", index, index * 40_000_000, image if gpu is None else upload(gpu, image)))
    return out


def found(element, given):
    element.open(Context("infer"))
    try:
        out = [*element.process(Batch(given)), *element.end_stream("a")]
    finally:
        element.close()
    return [[(each.class_id, each.box.tolist()) for each in frame.objects] for item in out for frame in item.frames]


@pytest.mark.parametrize("batch", [None, 1, 4])
def test_a_network_of_the_cpu_reads_pictures_of_a_gpu(gpu, tmp_path, batch):
    model = str(make_detector(tmp_path / "m.onnx", BOXES, "yolov8", classes=5, batch=batch))
    wanted = found(Infer(model=model), frames(None, 3))
    assert found(Infer(model=model), frames(gpu, 3)) == wanted and len(wanted[2]) == 2
    assert set(gpu.imaging.asked) == {batch or 1}  # one of a fixed batch is filled up where its pictures are made


@pytest.mark.parametrize("where", ["cuda:0", "cuda:1"])
def test_pictures_are_written_into_memory_that_the_runtime_lends(gpu, tmp_path, monkeypatch, where):
    """Where it lies on their GPU."""
    lends, given, run = [], [], PooledRuntime.run

    def lend(self, name, count):
        lends.append(memory.empty(gpu.copies, (count, 3, 64, 64), "float32"))
        return lends[-1]

    def seen(self, inputs):
        given.append(inputs()["images"])
        return run(self, {"images": given[-1]})

    monkeypatch.setattr(OnnxRuntime, "lend", lend, raising=False)
    monkeypatch.setattr(OnnxRuntime, "run", seen)
    model = str(make_detector(tmp_path / "m.onnx", BOXES, "yolov8", classes=5, batch=1))
    element = Infer(model=model)
    monkeypatch.setattr(PooledRuntime, "device", property(lambda self: where, lambda self, value: None), raising=False)
    assert found(element, frames(gpu, 2))[1]
    assert all(any(each is array for each in lends) for array in given) == (where == gpu.name)
    assert len(given) == 2 and len(lends) == (2 if where == gpu.name else 0)


def test_an_array_whose_numbers_do_not_follow_each_other_is_read_as_it_is(gpu):
    rows = np.arange(48, dtype=np.float16).reshape(2, 2, 3, 4)
    all_of_it = there(gpu, rows)
    array = memory.DeviceArray(gpu, all_of_it.pointer, (2, 3, 2, 3), "f2", (48, 2, 24, 8), all_of_it.owner)
    want = rows[..., :3].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(array.numpy(), want)
    np.testing.assert_array_equal(array[1:].copy().numpy(), want[1:])
    assert array.copy().strides == array.strides


def test_pictures_of_both_kinds_in_one_batch(gpu, tmp_path, monkeypatch):
    monkeypatch.setattr(OnnxRuntime, "batches", True, raising=False)
    model = str(make_detector(tmp_path / "m.onnx", BOXES, "yolov8", classes=5, batch=4))
    mixed = [*frames(None, 1), *frames(gpu, 1), *frames(None, 1)]
    for index, frame in enumerate(mixed):
        frame.index = index
    assert found(Infer(model=model), mixed) == found(Infer(model=model), frames(None, 3))
    assert gpu.imaging.asked == [4]


def test_threads_of_a_runtime_make_their_inputs_one_after_the_other(gpu, monkeypatch):
    """Two would take one table of rows for their launches."""
    inside, most = [], []

    class Slow(dict):
        def __missing__(self, name):
            return SimpleNamespace(launch=self.launch)

        def launch(self, *arguments):
            inside.append(1)
            time.sleep(0.002)
            most.append(len(inside))
            inside.pop()

    monkeypatch.setattr(cuda, "Module", lambda gpu, source: Slow())
    monkeypatch.setattr(cuda, "_modules", {})
    imaging, image = cuda.CudaImaging(gpu), upload(gpu, picture("NV12", 128, 96))
    threads = [
        threading.Thread(target=lambda: [imaging.to_tensor([image], InputSpec(32, 32)) for _ in range(10)])
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == [1] * 30


def test_prepared_tensors_are_the_same(gpu):
    settings = {"input": {"width": 32, "height": 32}, "regions": [[0, 0, 0.5, 1], [0.5, 0, 1, 1]]}
    made = []
    for where in (None, gpu):
        element = Preprocess(**settings)
        element.open(Context("preprocess"))
        (frame,) = frames(where, 1)
        element.process_frame(frame)
        element.close()
        made.append([each.tensor for each in frame.extras["prepared"]])
    assert len(made[0]) == 2
    np.testing.assert_array_equal(made[0], made[1])


def test_part_of_an_array_is_where_it_lies(gpu):
    rows = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    array = there(gpu, rows)
    part = array[1:3]
    assert part.pointer == array.pointer + 24 and part.owner is array.owner and part.ready is array.ready
    np.testing.assert_array_equal(part.numpy(), rows[1:3])
    np.testing.assert_array_equal(array[-1:].numpy(), rows[-1:])
    assert array[3:1].shape == (0, 3, 2)
    for wrong in (0, slice(0, 4, 2)):
        with pytest.raises(TypeError, match=r"only parts \[first:last\]"):
            array[wrong]


@pytest.mark.parametrize("on_gpu", [False, True])
def test_a_pooled_runtime_gets_what_it_can_read(gpu, on_gpu):
    class Same(PooledRuntime):
        def call(self, feed):
            return feed

    runtime = Same("same", [], [], 1)
    runtime.on_gpu = on_gpu
    try:
        (given,) = runtime.run({"x": there(gpu, np.ones((2, 2), np.float32))}).values()
    finally:
        runtime.close()
    assert isinstance(given, memory.DeviceArray if on_gpu else np.ndarray)


def test_an_array_is_waited_for_in_the_context_of_its_gpu():
    done = []
    owner = SimpleNamespace(use=lambda: done.append("context"))
    event = SimpleNamespace(stream=SimpleNamespace(gpu=owner), synchronize=lambda: done.append("waited"))
    wait_for(SimpleNamespace(ready=event))
    wait_for(SimpleNamespace(ready=None))
    wait_for(np.zeros(1))
    assert done == ["context", "waited"]
