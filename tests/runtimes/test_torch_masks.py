"""Masks are cut from their prototypes where the network runs, as parsers cut them."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs millrace[torch]")

from host_torch import play_kernels  # noqa: E402

from millrace.media import ASKED, MASK_WINDOWS, MASKS, Cells, TensorInfo  # noqa: E402
from millrace.parsers.masks import from_prototypes, from_windows  # noqa: E402
from millrace.runtimes import torch_masks  # noqa: E402
from millrace.runtimes.torch_best import BestCells  # noqa: E402
from millrace.runtimes.torch_nms import KeptCells, few_left  # noqa: E402

SIZE, PLACES = (320, 192), (80, 48)


def cells(normalised=None):
    facts = {"boxes": "corners", "prototypes": "prototypes", "size": SIZE, "normalised": normalised}
    return Cells("head", 1, 4, 6, **facts)


@pytest.fixture(params=["step by step", "kernel"])
def logits(request, monkeypatch, tmp_path):
    """Both forms of the operation; the kernel is compiled as C++."""
    if request.param == "step by step":
        return torch_masks.step_by_step
    play_kernels(monkeypatch, tmp_path)
    return torch_masks.by_kernel


@pytest.mark.parametrize("how", ["rows", "channels last", "every other"])
def test_products_at_single_places(logits, how):
    generator = torch.Generator().manual_seed(2)
    prototypes = torch.randn((3, 5, 6, 14), generator=generator)
    prototypes = prototypes[..., ::2] if how == "every other" else prototypes
    if how == "channels last":
        prototypes = prototypes.contiguous(memory_format=torch.channels_last)
    rows = torch.randn((3, 4, 11), generator=generator)
    pixels = torch.randint(0, prototypes[0, 0].numel(), (3, 700), generator=generator)
    whose = torch.randint(0, 5, (3, 700), generator=generator)  # 4: nobody's
    got = logits(prototypes, rows, pixels, whose, 6)
    flat, wanted = prototypes.flatten(2).numpy(), np.zeros((3, 700))
    for n in range(3):
        there = np.flatnonzero(whose[n] < 4)
        factors, values = rows[n, whose[n, there], 6:].numpy(), flat[n][:, pixels[n, there]].T
        wanted[n, there] = (factors.astype(np.float64) * values).sum(axis=1)
    assert got.dtype == torch.float32
    assert np.allclose(got, wanted, rtol=0, atol=2e-6)


def boxes_of(seed, count=200):
    """Boxes in and about the picture, some empty, some on the borders of places."""
    random = np.random.default_rng(seed)
    corner = random.uniform(-40, 300, (count, 2))
    boxes = np.concatenate([corner, corner + random.uniform(0, 120, (count, 2))], 1)
    boxes[::3] = np.round(boxes[::3] / 4) * 4
    boxes[::7, 2:] = boxes[::7, :2]
    return boxes.astype(np.float32)


@pytest.mark.parametrize("fractions", [False, True])
def test_windows_are_those_of_the_parser(fractions):
    boxes = boxes_of(4)
    given = boxes / np.array(SIZE * 2, np.float32) if fractions else boxes
    pixels = given * np.array(SIZE * 2, np.float32) if fractions else boxes
    wanted = torch.arange(200)[None] % 5 != 0
    small = torch.tensor([[fractions]])
    got = torch_masks.windows(torch.from_numpy(given)[None], wanted, small, cells(), PLACES)[0].int().tolist()
    per, empty = 0.25, 0
    for n, box in enumerate(pixels):
        x1, y1 = (max(0, int(v * per) - 1) for v in box[:2])
        x2, y2 = (
            min(most, max(v + 1, math.ceil(b * per) + 1)) for most, v, b in zip(PLACES, (x1, y1), box[2:], strict=True)
        )
        shown = x1 < x2 and y1 < y2 and n % 5 != 0
        assert got[n] == ([x1, y1, x2, y2] if shown else [0] * 4)
        empty += n % 5 != 0 and not shown
    assert 0 < empty < 100


def test_what_is_taken_for_fractions():
    boxes = torch.tensor([[[0, 0, 1.5, 1.5], [0, 0, 90, 90]], [[0, 0, 3, 3], [0, 0, 1, 1]]])
    counts = torch.tensor([[True, False], [True, True]])
    assert torch_masks.small_boxes(boxes, counts, cells()).tolist() == [[True], [False]]
    assert torch_masks.small_boxes(boxes, counts, cells(False)).tolist() == [[False], [False]]
    assert torch_masks.small_boxes(boxes, counts, cells(True)).tolist() == [[True], [True]]


class Given(torch.nn.Module):
    def forward(self, *tensors):
        return tensors


def network(most=30):
    infos = [TensorInfo("prototypes", (None, 8, 48, 80), "float32"), TensorInfo("head", (None, 200, 14), "float32")]
    best = BestCells(Given(), 1, cells(), 120)
    return KeptCells(best, [info.name for info in infos], most)


def outputs_of(seed, sure):
    random = np.random.default_rng(seed)
    head = random.normal(0, 1, (2, 200, 14)).astype(np.float32)
    head[..., :4], head[..., 4:6] = boxes_of(seed), 0.1
    head[:, :sure, 4 + seed % 2] = random.uniform(0.5, 1, (2, sure))
    return random.normal(0, 1, (2, 8, 48, 80)).astype(np.float32), head


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_masks_are_those_of_prototypes(dtype):
    prototypes, head = (torch.from_numpy(value).to(dtype) for value in outputs_of(1, 12))
    asked = torch.tensor([[0.3, torch.inf, 0]] * 2)
    module = network()
    values = dict(zip(module.leaves, module(prototypes, head, asked), strict=False))
    assert next(iter(values)) == "head"
    assert module.larger == ("head", "cell classes", "prototypes")
    assert values[MASKS].shape == (2, torch_masks.ROOM * 48 * 80)
    assert (values[MASK_WINDOWS].dtype, values[MASK_WINDOWS].shape) == (torch.int32, (2, 31, 4))
    shown = 0
    for n in range(2):
        rows = values["head"][n].numpy()
        sure = np.flatnonzero(rows[:, 4] > 0.3)
        boxes = rows[sure, :4]
        products, windows = values[MASKS][n].numpy(), values[MASK_WINDOWS][n].numpy()
        got = from_windows(products, windows, sure, boxes, SIZE)
        whole = prototypes[n].float().numpy()
        for mask, row, box in zip(got, rows[sure], boxes, strict=True):
            wanted = from_prototypes(whole, row[5:], box, SIZE)
            assert mask.shape == wanted.shape
            assert np.abs(mask - wanted).max() < 1e-5
            assert np.array_equal(mask > 0.5, wanted > 0.5) or np.abs(wanted - 0.5).min() < 1e-5
            shown += mask.size > 1
    assert shown > 12


@pytest.mark.parametrize("room", [0.05, 2])
def test_where_masks_have_no_room_prototypes_leave(room, monkeypatch):
    monkeypatch.setattr(torch_masks, "ROOM", room)
    asked = np.array([[0.3, np.inf, 0]] * 2, np.float32)
    prototypes, head = map(torch.from_numpy, outputs_of(2, 12))
    module = network()
    values = [value.numpy() for value in module(prototypes, head, torch.from_numpy(asked))]
    results = dict(zip(module.leaves, values, strict=False))
    few = few_left(results, asked)
    assert few == (room < 1)
    assert (MASKS in results, MASK_WINDOWS in results, ASKED in results) == (not few, not few, True)
    larger = dict(zip(module.larger, values[len(module.leaves) :], strict=True))
    assert np.array_equal(larger["prototypes"], prototypes)
    assert larger["head"].shape == (2, 120, 13)
