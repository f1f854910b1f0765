"""Of a detector's 8400 cells the best leave the GPU, and the objects are those that the CPU finds in all."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest

if os.environ.get("FAIL_WITHOUT_CUDA") != "1":
    pytest.importorskip("torch", reason="torch is an extra")

import torch

from millrace.elements._model import load_model

SIZE, CELLS, CLASSES = 640, 8400, 80


class Heads(torch.nn.Module):
    """A cell is as sure of a class as the red of one of its pixels times the class's weight: exact on every machine."""

    def __init__(self, objectness: bool):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.objectness = objectness
        sides = torch.rand((4, CELLS), generator=generator)
        sides = sides if objectness else 20 + 600 * sides
        self.boxes = torch.nn.Parameter(sides[None])
        self.weights = torch.nn.Parameter(torch.rand((1, CLASSES, 1), generator=generator))

    def forward(self, images):
        levels = torch.cat([images[:, 0, ::step, ::step].flatten(1) for step in (8, 16, 32)], 1)[:, None]
        boxes = self.boxes.expand(images.shape[0], -1, -1)
        if not self.objectness:
            return torch.cat([boxes, levels * self.weights], 1)  # YOLOv8's [N, 84, 8400]
        return torch.cat([boxes, levels, levels * self.weights], 1).transpose(1, 2)  # YOLOX's [N, 8400, 85]


def network(folder, objectness=False):
    free = ({0: torch.export.Dim("batch", min=1, max=64)},)
    with warnings.catch_warnings():  # PyTorch's own, about PyTorch
        warnings.simplefilter("ignore")
        exported = torch.export.export(Heads(objectness), (torch.zeros(2, 3, SIZE, SIZE),), dynamic_shapes=free)
        torch.export.save(exported, str(folder / "net.pt2"))
    return str(folder / "net.pt2")


def pictures(count):
    """Noise, of which a few hundred cells are sure."""
    return np.random.default_rng(count).random((count, 3, SIZE, SIZE), np.float32) ** 8


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
            kept = options.get("candidates", 1024)
            assert outputs[name].shape == ((count, kept, 85) if objectness else (count, 84, kept))
            assert whole[name].shape == ((count, CELLS, 85) if objectness else (count, 84, CELLS))
            found, wanted = there.read(outputs, count), here.read(whole, count)
            assert all(len(each) > 20 for each in wanted)
            for mine, theirs in zip(found, wanted, strict=True):
                for column in ("boxes", "scores", "classes"):
                    assert np.array_equal(getattr(mine, column), getattr(theirs, column))
    finally:
        there.runtime.close()
        here.runtime.close()


def test_all_where_that_is_asked_for(device, tmp_path):
    path = network(tmp_path)
    for tensors, options in ((None, {"candidates": False}), (True, {}), (None, {"graphs": False})):
        loaded = load_model(path, device, "yolov8", tensors=tensors, **options)
        try:
            (got,) = loaded.runtime.run(loaded.feed(pictures(2), 2)).values()
            assert got.shape == (2, 84, CELLS)
        finally:
            loaded.runtime.close()
