"""Masks are cut from their prototypes on the GPU, and are those that the CPU cuts."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest

if os.environ.get("FAIL_WITHOUT_CUDA") != "1":
    pytest.importorskip("torch", reason="torch is an extra")

import torch

from millrace.elements._model import load_model
from millrace.media import MASKS

SIZE, CELLS, CLASSES, COEFFICIENTS = 640, 8400, 3, 8


class Segments(torch.nn.Module):
    """YOLOv8-seg's tensors of a picture's red, by products alone: exact on every machine."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(6)
        middle = 40 + 560 * torch.rand((2, 1, 12), generator=generator).repeat(1, 700, 1).flatten(1)
        near = 6 * torch.randn((4, CELLS), generator=generator)
        self.boxes = torch.nn.Parameter((torch.cat([middle, torch.full((2, CELLS), 90.0)]) + near)[None])
        self.weights = torch.nn.Parameter(torch.rand((1, CLASSES, CELLS), generator=generator))
        self.coefficients = torch.nn.Parameter(torch.randn((1, COEFFICIENTS, CELLS), generator=generator))
        self.tones = torch.nn.Parameter(torch.randn((1, COEFFICIENTS, 160, 160), generator=generator))

    def forward(self, images):
        levels = torch.cat([images[:, 0, ::step, ::step].flatten(1) for step in (8, 16, 32)], 1)[:, None]
        still = [each.expand(images.shape[0], -1, -1) for each in (self.boxes, self.coefficients)]
        return torch.cat([still[0], levels * self.weights, still[1]], 1), (images[:, :1, ::4, ::4] + 1) * self.tones


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's, about itself, when it compiles
@pytest.mark.parametrize("options", [{}, {"compiled": True}], ids=str)
def test_the_masks_of_prototypes(compiler, device, tmp_path, options):
    free, path = ({0: torch.export.Dim("batch", min=1, max=64)},), str(tmp_path / "net.pt2")
    with warnings.catch_warnings():  # PyTorch's own, about PyTorch
        warnings.simplefilter("ignore")
        exported = torch.export.export(Segments(), (torch.zeros(2, 3, SIZE, SIZE),), dynamic_shapes=free)
        torch.export.save(exported, path)
    there = load_model(path, device, "yolo_seg", tensors=None, **options)
    here = load_model(path, "cpu", "yolo_seg", runtime="torch")
    given = []
    try:
        for count, overlap in ((1, 0.45), (3, 0.2), (4, 0.45), (2, 0.95), (3, 0.45)):
            pictures = np.random.default_rng(count).random((count, 3, SIZE, SIZE), np.float32) ** 16
            for loaded in (there, here):
                loaded.reader.configure(confidence=0.4, iou=overlap)
            outputs = there.runtime.run(there.feed(pictures, count))
            given.append(MASKS in outputs)
            assert given[-1] != (there.runtime.outputs[1].name in outputs)
            whole = here.runtime.run(here.feed(pictures, count))
            same(there.read(outputs, count), here.read(whole, count))
    finally:
        there.runtime.close()
        here.runtime.close()
    assert given == [True, True, True, False, True]  # the other time they have no room


@pytest.mark.parametrize("how", ["rows", "channels last", "every other"])
def test_products_at_single_places(device, how):
    from millrace.runtimes.torch_masks import mask_logits

    generator = torch.Generator().manual_seed(2)
    prototypes = torch.randn((3, 32, 160, 160), generator=generator)
    prototypes = prototypes[..., ::2] if how == "every other" else prototypes
    if how == "channels last":
        prototypes = prototypes.contiguous(memory_format=torch.channels_last)
    rows = torch.randn((3, 40, 37), generator=generator)
    pixels = torch.randint(0, prototypes[0, 0].numel(), (3, 5000), generator=generator)
    whose = torch.randint(0, 41, (3, 5000), generator=generator)
    wanted = mask_logits(prototypes, rows, pixels, whose, 5)
    there = prototypes.to(device)  # in the same strides
    got = mask_logits(there, *(each.to(device) for each in (rows, pixels, whose)), 5)
    assert torch.allclose(got.cpu(), wanted, rtol=0, atol=1e-4)


def same(found, wanted):
    for mine, theirs in zip(found, wanted, strict=True):
        assert len(theirs) > 5
        for column in ("boxes", "scores", "classes"):
            assert np.array_equal(getattr(mine, column), getattr(theirs, column))
        for a, b in zip(mine.masks, theirs.masks, strict=True):
            assert a.shape == b.shape
            assert np.abs(a - b).max() < 1e-5
            assert (np.abs(b - 0.5) < 1e-5)[(a > 0.5) != (b > 0.5)].all()
