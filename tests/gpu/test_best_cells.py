"""Of a detector's 8400 cells those that NMS may keep leave the GPU; the objects are those that a CPU finds in all."""

from __future__ import annotations

import os

import pytest
from crowds import HOW, KINDS, check

if os.environ.get("FAIL_WITHOUT_CUDA") != "1":
    pytest.importorskip("torch", reason="torch is an extra")

from heads import CELLS, KEPT, network, pictures, same

from millrace.elements._model import load_model


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's, about itself, when it compiles
@pytest.mark.parametrize("options", [{}, {"graphs": [4]}, {"compiled": True}, {"candidates": 2000}], ids=str)
@pytest.mark.parametrize("objectness", [False, True], ids=["yolov8", "yolox"])
def test_the_objects_of_all_cells(compiler, device, tmp_path, objectness, options):
    path, parser = network(tmp_path, objectness), "yolox" if objectness else "yolov8"
    there = load_model(path, device, parser, tensors=None, **options)
    here = load_model(path, "cpu", parser, runtime="torch")
    try:
        for count in (1, 3, 4, 3):
            outputs = there.runtime.run(there.feed(pictures(count), count))
            whole = here.runtime.run(here.feed(pictures(count), count))
            name = there.runtime.outputs[0].name
            assert outputs[name].shape == ((count, KEPT, 6) if objectness else (count, 5, KEPT))
            assert whole[name].shape == ((count, CELLS, 85) if objectness else (count, 84, CELLS))
            same(there.read(outputs, count), here.read(whole, count))
    finally:
        there.runtime.close()
        here.runtime.close()


def test_settings_may_change_from_call_to_call(device, tmp_path):
    """Where more may stay than 320, and where NMS is none that the GPU can do, all candidates are read."""
    path = network(tmp_path)
    there, here = load_model(path, device, "yolov8", tensors=None), load_model(path, "cpu", "yolov8", runtime="torch")
    heights = []
    try:
        for settings in ({"iou": 0.05}, {"iou": 0.5}, {"iou": 0.95}, {"classes": [3, 5]}, {"iou": 0.05}):
            for loaded in (there, here):
                loaded.reader.configure(**settings)
            outputs = there.runtime.run(there.feed(pictures(4), 4))
            whole = here.runtime.run(here.feed(pictures(4), 4))
            heights.append(outputs[there.runtime.outputs[0].name].shape[2])
            same(there.read(outputs, 4), here.read(whole, 4), 1)
    finally:
        there.runtime.close()
        here.runtime.close()
    assert heights == [KEPT, KEPT, 1024, KEPT, KEPT]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", HOW)
def test_what_stays_is_enough(device, kind, how):
    from millrace.runtimes.torch_nms import suppress

    check(suppress, kind, how, 1500, device)


def test_all_where_that_is_asked_for(device, tmp_path):
    path = network(tmp_path)
    for tensors, options in ((None, {"candidates": False}), (True, {}), (None, {"graphs": False})):
        loaded = load_model(path, device, "yolov8", tensors=tensors, **options)
        try:
            (got,) = loaded.runtime.run(loaded.feed(pictures(2), 2)).values()
            assert got.shape == (2, 84, CELLS)
        finally:
            loaded.runtime.close()
