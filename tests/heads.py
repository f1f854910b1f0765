"""A detector of 8400 cells whose numbers are exact on every machine. Import it where torch is there."""

from __future__ import annotations

import warnings

import numpy as np
import torch

SIZE, CELLS, CLASSES, KEPT = 640, 8400, 80, 320


class Heads(torch.nn.Module):
    """A cell is as sure of a class as the red of one of its pixels times a weight of both: exact on every machine."""

    def __init__(self, objectness: bool):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.objectness = objectness
        sides = torch.rand((4, CELLS), generator=generator)
        sides = sides if objectness else 20 + 600 * sides
        self.boxes = torch.nn.Parameter(sides[None])
        weights = torch.rand((1, CLASSES, CELLS), generator=generator)
        weights[:, 4:] *= 0.5  # few classes are many cells'
        self.weights = torch.nn.Parameter(weights)

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
    return np.random.default_rng(count).random((count, 3, SIZE, SIZE), np.float32) ** 24


def same(found, wanted, least=20):
    assert all(len(each) >= least for each in wanted)
    for mine, theirs in zip(found, wanted, strict=True):
        for column in ("boxes", "scores", "classes"):
            assert np.array_equal(getattr(mine, column), getattr(theirs, column))
