"""What NMS removes does not leave the device; what readers find in the rest is what they find in all, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from crowds import HOW, KINDS, SIZE, as_cells, check, crowd

torch = pytest.importorskip("torch", reason="needs millrace[torch]")

from host_torch import play_kernels  # noqa: E402

from millrace.media import ASKED, CELL_CLASSES, CELL_NUMBERS, LEFT_OUT, Cells, TensorInfo  # noqa: E402
from millrace.parsers import get  # noqa: E402
from millrace.parsers.base import ParserSettings  # noqa: E402
from millrace.parsers.cells import asked_of_cells, cells_of  # noqa: E402
from millrace.parsers.common import grid  # noqa: E402
from millrace.runtimes import torch_masks, torch_nms  # noqa: E402
from millrace.runtimes.torch_best import BestCells, best_only  # noqa: E402
from millrace.runtimes.torch_nms import KeptCells, kept_only  # noqa: E402
from millrace.runtimes.torch_program import InOrder, Program  # noqa: E402

CELLS = 1344  # of an input of SIZE


class Same(torch.nn.Module):
    def forward(self, *tensors):
        return tensors


@pytest.fixture(params=["step by step", "kernel"])
def suppress(request, monkeypatch, tmp_path):
    """Both forms of the operation; the kernel is compiled as C++, and runs as a block of one thread."""
    if request.param == "step by step":
        return torch_nms.step_by_step
    play_kernels(monkeypatch, tmp_path)
    monkeypatch.setattr(torch_nms, "_THREADS", 1)
    return torch_nms.by_kernel


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", HOW)
def test_what_stays_is_enough(suppress, kind, how):
    check(suppress, kind, how)


def test_the_kernel_says_the_same_step_by_step(suppress):
    """But for the last bits of exp."""
    random = np.random.default_rng(8)
    numbers = np.stack([as_cells(crowd(random, 400, how), "corners", random)[0] for how in HOW])
    scores = random.choice(np.linspace(0, 1, 50), (5, 400, 1))
    cells = np.concatenate([numbers, random.choice([0.5, 1.0], (5, 400, 1)), scores], 2).astype(np.float32)
    cells[0, :7, [0, 1, 2, 3, 4, 5, 5]] = np.nan, np.inf, -np.inf, 1e30, np.nan, np.nan, np.inf
    classes = torch.from_numpy(random.integers(0, 4, (5, 400)).astype(np.int32))
    asked = torch.tensor([[0.1, 0.45, 0], [0.4, 0.0, 0], [0.1, 0.9, 1], [0.2, 0.5, 0], [0.1, np.inf, 0]]).float()
    facts = (torch.from_numpy(cells), classes, torch.zeros((0, 3)), asked, 1, 5, True)
    for mine, theirs in zip(suppress(*facts), torch_nms.step_by_step(*facts), strict=True):
        assert mine.numpy().tobytes() == theirs.numpy().tobytes()


def test_what_is_no_number_stays_and_removes_nothing(suppress):
    cells = torch.tensor([[10.0, 10, 20, 20, 0.9]] * 6)[None]
    cells[0, 1, 4] = cells[0, 2, 2] = torch.nan
    cells[0, 3, 2] = torch.inf
    asked = torch.tensor([[0.5, 0.45, 0]])
    facts = (cells, torch.zeros((1, 6), dtype=torch.int32), torch.zeros((0, 3)), asked, 1, 4, False)
    order, _, fates = suppress(*facts)
    assert order[0].tolist() == [1, 0, 2, 3, 4, 5]
    assert [n for n, fate in zip(order[0].tolist(), fates[0].tolist(), strict=True) if fate != 2] == [1, 0, 2, 3]


def test_who_is_beyond_two_is_not_removed_by_those_who_are_not(suppress):
    """Else readers that take boxes which end before pixel 2 for fractions would be misled."""
    cells = torch.tensor([[0, 0, 1.9, 1.9, 0.9], [0, 0, 2.1, 2.1, 0.8], [0, 0, 2.1, 2.1, 0.7], [0, 0, 1.9, 1.9, 0.6]])
    facts = (torch.zeros((1, 4), dtype=torch.int32), torch.zeros((0, 3)), torch.tensor([[0.5, 0.45, 0]]), 1, 4, False)
    assert suppress(cells[None], *facts)[2][0].tolist() == [0, 1, 1, 2]


# The parsers, with what leaves the device.

FORMS = {
    "yolov5": (9, {}, "yolov5"), "yolox": (9, {"cells": CELLS}, "yolox"), "yolov8": (7, {}, "yolov8"),
    "yolov8 in columns": (7, {"columns": True}, "yolov8"), "one class": (5, {"columns": True}, "yolov8"),
    "yolo_pose": (5 + 9, {"columns": True, "points": 3}, "yolo_pose"),
    "yolo_pose, corners": (5 + 9, {"corners": True, "points": 3}, "yolo_pose"),
    "yolo_seg": (4 + 3 + 6, {"columns": True, "prototypes": 6}, "yolo_seg"),
    "yolo_obb": (4 + 3 + 1, {"columns": True}, "yolo_obb"),
}  # fmt: skip
SETTINGS = [
    {}, {"class_agnostic": True}, {"iou": 0.2}, {"iou": 0.0}, {"iou": 1.0}, {"classes": frozenset([1])},
    {"classes": frozenset([1]), "class_agnostic": True}, {"drop": frozenset([0]), "top_k": 5},
    {"thresholds": {1: 0.8}}, {"thresholds": {1: 0.8}, "class_agnostic": True}, {"cluster": "none"},
    {"cluster": "nms", "class_top_k": 2}, {"rules": {0: {"iou": 0.9}}}, {"rules": {1: {"confidence": 0.9}}},
    {"rules": {1: {"confidence": 0.9}}, "class_agnostic": True}, {"confidence_after": 0.6}, {"top_k": 7},
]  # fmt: skip


def outputs_of(form, seed, sure=170):
    """Two pictures' outputs in which `sure` cells of each are sure, many for the same thing."""
    numbers, extras, parser = FORMS[form]
    random = np.random.default_rng(seed)
    rows = random.uniform(0, 0.2, (2, CELLS, numbers)).astype(np.float32)
    points, steps = grid(SIZE, SIZE, (8, 16, 32))
    for picture in rows:
        boxes = crowd(random, CELLS, random.choice(["clusters", "whole pixels"]))
        x1, y1, x2, y2 = boxes.T
        centres = np.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], 1)
        picture[:, :4] = boxes if "corners" in extras else centres
        if parser == "yolox":
            picture[:, :2] = centres[:, :2] / steps - points
            picture[:, 2:4] = np.log(np.maximum(centres[:, 2:], 0.1) / steps)
        first = 5 if parser in ("yolov5", "yolox") else 4
        classes = 1 if "pose" in parser else 3 if parser in ("yolo_seg", "yolo_obb") else numbers - first
        chosen = random.permutation(CELLS)[:sure]
        picture[chosen, first + random.integers(0, classes, sure)] = random.choice([0.5, 0.75, 0.8, 1.0], sure)
        if first == 5:
            picture[:, 4] = random.choice([0.7, 0.9, 1.0], CELLS)
    head = rows.swapaxes(1, 2) if "columns" in extras else rows
    outputs = {"head": np.ascontiguousarray(head)}
    if "prototypes" in extras:
        outputs["prototypes"] = random.normal(0, 1, (2, 6, 64, 64)).astype(np.float32)
    told = {key: value for key, value in extras.items() if key not in ("columns", "prototypes")}
    return outputs, parser, told


def kept_of(outputs, parser, extras, candidates=400, most=120):
    infos = [TensorInfo(name, (None, *value.shape[1:]), "float32") for name, value in outputs.items()]
    cells = cells_of(parser, infos, extras, None, (SIZE, SIZE))
    best = best_only(Program(Same(), infos, infos), lambda *_: cells, candidates)
    return KeptCells(best, list(outputs), most) if cells.boxes else best


def given(module, outputs, asked):
    """What a call of the runtime gives."""
    tensors = [torch.from_numpy(value) for value in outputs.values()]
    leaves = module.leaves if isinstance(module, KeptCells) else (*outputs, *module.further)
    larger = getattr(module, "larger", ())
    values = [value.numpy() for value in module(*tensors, *([torch.from_numpy(asked)] if larger else []))]
    results = dict(zip(leaves, values, strict=False))
    many = bool(larger) and torch_nms.few_left(results, asked)
    if many:
        results |= zip(larger, values[len(leaves) :], strict=True)
    return {name: value for name, value in results.items() if name not in (LEFT_OUT, ASKED)}, many


def same(one, other):
    assert [len(each) for each in one] == [len(each) for each in other]
    for mine, theirs in zip(one, other, strict=True):
        for column in ("boxes", "scores", "classes", "keypoints", "angles"):
            a, b = getattr(mine, column), getattr(theirs, column)
            assert (a is None) == (b is None)
            assert a is None or (a.dtype, a.tobytes()) == (b.dtype, b.tobytes()), column
        assert (mine.masks is None) == (theirs.masks is None)
        for a, b in zip(mine.masks or (), theirs.masks or (), strict=True):
            assert a.shape == b.shape
            assert a.size == 0 or np.abs(a - b).max() < 1e-5


@pytest.mark.parametrize("form", FORMS)
def test_parsers_find_the_same_to_the_bit(form, monkeypatch):
    monkeypatch.setattr(torch_masks, "ROOM", 12)  # for large boxes on small prototypes
    outputs, parser, extras = outputs_of(form, seed=len(form))
    module = kept_of(outputs, parser, extras)
    found, fewer = 0, 0
    for more in SETTINGS:
        settings = ParserSettings(SIZE, SIZE, **{"confidence": 0.3, "extras": extras, **more})
        asked = np.tile(np.array(asked_of_cells(settings), np.float32), (2, 1))
        rest, many = given(module, outputs, asked)
        whole = get(parser)(outputs, 2, settings)
        same(whole, get(parser)(rest, 2, settings))
        found, fewer = found + sum(map(len, whole)), fewer + (not many)
    assert found > 100
    assert fewer >= 8


def test_only_the_best_class_of_a_kept_cell_leaves():
    outputs, parser, extras = outputs_of("yolov8 in columns", 3)
    rest, _ = given(kept_of(outputs, parser, extras), outputs, np.array([[0.3, 0.45, 0]] * 2, np.float32))
    assert {name: (value.dtype.name, value.shape) for name, value in rest.items()} == {
        "head": ("float32", (2, 5, 120)), CELL_CLASSES: ("int32", (2, 120)),
    }  # fmt: skip
    outputs, parser, extras = outputs_of("yolox", 3)
    rest, _ = given(kept_of(outputs, parser, extras), outputs, np.array([[0.3, 0.45, 0]] * 2, np.float32))
    assert {name: (value.dtype.name, value.shape) for name, value in rest.items()} == {
        "head": ("float32", (2, 120, 6)), CELL_CLASSES: ("int32", (2, 120)), CELL_NUMBERS: ("int32", (2, 120)),
    }  # fmt: skip


def test_where_more_stay_than_leave_all_candidates_do():
    outputs, parser, extras = outputs_of("yolov8", 5, sure=300)
    module = kept_of(outputs, parser, extras, most=10)
    settings = ParserSettings(SIZE, SIZE, confidence=0.3, extras=extras)
    rest, many = given(module, outputs, np.array([[0.3, 0.45, 0]] * 2, np.float32))
    assert many
    assert rest["head"].shape == (2, 400, 5)
    whole = get(parser)(outputs, 2, settings)
    assert min(map(len, whole)) > 10
    same(whole, get(parser)(rest, 2, settings))


def test_of_which_networks_something_is_left_out():
    infos = [TensorInfo("head", (None, 5000, 9), "float32")]
    program = Program(Same(), infos, infos)

    def made(boxes, candidates=1024, grids=()):
        cells = Cells("head", 1, 4, 9, boxes=boxes, grids=grids)
        return kept_only(best_only(program, lambda *_: cells, candidates), infos)

    assert type(made("centres")) is KeptCells
    assert made("centres").larger == ("head", CELL_CLASSES)
    assert made("centres").count == 320
    assert type(made(None)) is BestCells
    assert type(made("centres", 300)) is BestCells  # they are few already
    assert type(made("centres", 0)) is InOrder
    assert type(made("grid", grids=((8, 100, 50),))) is KeptCells
    assert type(made("grid", grids=((8, 100, 49),))) is BestCells  # a GPU would read beyond them
