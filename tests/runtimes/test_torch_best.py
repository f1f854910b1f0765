"""Of outputs with one candidate a cell only the best cells leave the device (the graphs are played: tests/gpu)."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs millrace[torch]")

from millrace.elements._model import CellsRead, load_model  # noqa: E402
from millrace.media import CELL_CLASSES, LEFT_OUT, Cells, TensorInfo  # noqa: E402
from millrace.runtimes import torch as torch_runtime  # noqa: E402
from millrace.runtimes import torch_kernels  # noqa: E402
from millrace.runtimes.torch_best import BestCells, best_only  # noqa: E402
from millrace.runtimes.torch_nms import KeptCells  # noqa: E402
from millrace.runtimes.torch_program import InOrder, Program  # noqa: E402

CELLS = 1344  # of a 256x256 input
DATA = Path(os.environ.get("MILLRACE_TEST_DATA", "/nowhere"))


class Heads(torch.nn.Module):
    """Gives what it is given, and twice that."""

    def forward(self, head):
        return {"other": head * 2, "head": head}


def program(*shape):
    infos = [TensorInfo(name, (None, *shape), "float32") for name in ("other", "head")]
    return Program(Heads(), [TensorInfo("images", (None, 3, 256, 256), "float32")], infos)


def reading(cells):
    return lambda inputs, outputs, metadata: cells


def surest(scores, count):
    """By a sort, the earlier of equals first."""
    return np.sort(np.argsort(-scores, axis=1, kind="stable")[:, :count], axis=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("axis", "objectness"), [(1, None), (2, None), (1, 4), (2, 4)])
def test_the_best_cells_in_their_order(dtype, axis, objectness):
    generator = torch.Generator().manual_seed(3)
    head = torch.rand((2, 500, 9), generator=generator).to(dtype)
    head[..., 5:] *= torch.arange(1, 501)[torch.randperm(500, generator=generator)][:, None] / 500
    scores = head[..., 5:].float().numpy().max(axis=2)
    if objectness is not None:
        scores = head[..., 4].float().numpy() * scores
    whole = head if axis == 1 else head.movedim(1, 2).contiguous()
    module = best_only(program(*whole.shape[1:]), reading(Cells("head", axis, 5, 9, objectness, True)), 40)
    other, got, classes, numbers, left_out = module(whole)
    assert torch.equal(other, whole * 2)
    assert (got.dtype, classes.dtype, numbers.dtype, left_out.dtype) == (
        torch.float32, torch.int32, torch.int32, torch.float32,
    )  # fmt: skip
    cells = head.float().take_along_dim(numbers.long().unsqueeze(2), 1).numpy()
    got = got if axis == 1 else got.movedim(1, 2)
    assert np.array_equal(got[..., :5], cells[..., :5])
    assert np.array_equal(got[..., 5], cells[..., 5:].max(axis=2))
    assert np.array_equal(classes, cells[..., 5:].argmax(axis=2))
    assert (numbers.diff(dim=1) > 0).all()
    kept, wanted = (np.take_along_axis(scores, rows, 1) for rows in (numbers.long().numpy(), surest(scores, 40)))
    assert np.array_equal(np.sort(kept), np.sort(wanted))
    assert np.array_equal(left_out.numpy(), np.sort(scores, axis=1)[:, -41])
    if dtype == torch.float32:  # no ties
        assert np.array_equal(numbers.numpy(), surest(scores, 40))


def test_of_equal_classes_the_first_counts_and_what_is_behind_them_leaves():
    head = torch.rand((2, 60, 9))
    head[..., 4:7] = torch.tensor([[0.75, 0.25, 0.75], [0.25, 0.75, 0.75]]).repeat(30, 1)
    _, got, classes, _ = best_only(program(60, 9), reading(Cells("head", 1, 4, 7)), 59)(head)
    places = [(head[0, :, 0] == cell[0]).nonzero().item() for cell in got[0]]
    assert classes[0].tolist() == [place % 2 for place in places]
    assert torch.equal(got[0], head[0, places][:, [0, 1, 2, 3, 6, 7, 8]])


def test_of_one_class_nothing_is_told():
    module = best_only(program(60, 9), reading(Cells("head", 1, 4, 5)), 20)
    assert module.further == (LEFT_OUT,)
    head = torch.rand((1, 60, 9))
    _, got, left_out = module(head)
    order = head[0, :, 4].argsort(descending=True)
    assert torch.equal(got[0], head[0, order[:20].sort().values])
    assert left_out.item() == head[0, order[20], 4]


def test_neither_objectness_nor_classes_alone_make_a_cell_sure():
    head = torch.full((1, 60, 9), 0.5)
    head[0, :20, 4:] = -50.0  # their product is large
    head[0, 20:40, 4], head[0, 20:40, 5:] = 0.2, 40.0
    head[0, 50:, 4:] = 1e30  # and so is this
    module = best_only(program(60, 9), reading(Cells("head", 1, 5, 9, 4, True)), 20)
    assert module(head)[3][0].tolist() == list(range(40, 60))


def test_what_is_no_number_is_seen():
    head = torch.rand((1, 500, 9))
    head[0, 77, 6] = float("nan")
    assert 77 in best_only(program(500, 9), reading(Cells("head", 1, 5, 9, 4, True)), 40)(head)[3]


def test_when_nothing_is_left_out():
    cells = Cells("head", 1, 5, 9, 4, True)
    for reads, most in ((None, 40), (reading(None), 40), (reading(cells), 0), (reading(cells), 500)):
        assert type(best_only(program(500, 9), reads, most)) is InOrder
    assert best_only(program(500, 9), reading(cells), 499).count == 499
    assert best_only(program(500, 9), reading(cells), 3).count == 10  # the larger dimension still counts the cells
    assert best_only(program(500, 9), reading(Cells("head", 1, 5, 9)), 40).further == (CELL_CLASSES, LEFT_OUT)


@pytest.mark.parametrize("value", [True, -1, 2.5, "many"])
def test_the_option_is_a_number(value, tmp_path):
    path = tmp_path / "net.pt2"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"candidates=.* a whole number from 1 on; 0 or false: all"):
        torch_runtime.load(path, candidates=value)


def test_what_is_loaded_for_a_gpu_knows_what_is_read(monkeypatch, tmp_path):
    made, waited, path = [], [], tmp_path / "net.pt2"
    torch.export.save(torch.export.export(torch.nn.Identity(), (torch.zeros(1, 3, 256, 256),)), str(path))

    class Runtime:
        def __init__(self, module, *rest):
            made.append(module)
            assert len(waited) == len(made)  # for what made the network, before it is used on another stream

        def warm(self, sizes):
            pass

    heads = program(9, CELLS)
    monkeypatch.setattr("millrace.runtimes.torch_cuda.TorchRuntime", Runtime)
    monkeypatch.setattr(torch_runtime, "_gpu", lambda device: SimpleNamespace(name=device))
    monkeypatch.setattr(torch_kernels.Kernels, "on", lambda self, device: self)
    monkeypatch.setattr(torch_runtime, "read", lambda *args, **more: heads)
    stream = SimpleNamespace(synchronize=lambda: waited.append(True))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    reads = CellsRead("yolov8", None, ["head", "other"], None, {})
    for options in ({}, {"candidates": 50}, {"candidates": 0}, {"candidates": False}):
        torch_runtime.load(path, "cuda:0", reads=reads, **options)
    torch_runtime.load(path, "cuda:0")
    assert [type(module) for module in made] == [KeptCells, BestCells, InOrder, InOrder, InOrder]
    assert (made[0].best.count, made[0].count, made[1].count) == (1024, 320, 50)
    assert (made[1].place, made[1].cells) == (1, Cells("head", 2, 4, 9, boxes="centres"))


MODELS = [
    "detect/yolox_nano_416.onnx",
    "detect/yolox_nano_384x640_dynbatch.onnx",
    "agpl_interop_only/yolov8n_int8.onnx",
]


@pytest.mark.parametrize("model", MODELS)
def test_real_models_say_the_same(model):
    if not DATA.is_dir():
        pytest.skip("needs MILLRACE_TEST_DATA")
    pytest.importorskip("onnx", reason="needs millrace[convert]")
    path = DATA / "models" / model
    loaded = load_model(str(path))
    network = torch_runtime._onnx(path, "float32", "cpu")
    reads = CellsRead(None, None, None, None, {})
    whole, fewer = InOrder(network), best_only(network, reads, 256)
    assert type(fewer) is BestCells
    names = [info.name for info in network.outputs]
    found = 0
    try:
        for name in ("car_f204.png", "people_f205.png", "retail_f120.jpg"):
            picture = cv2.resize(cv2.imread(str(DATA / "golden" / name)), (loaded.spec.width, loaded.spec.height))
            tensor = torch.from_numpy((picture[None] * loaded.spec.scale).astype(np.float32))
            tensor = tensor if loaded.spec.layout == "NHWC" else tensor.permute(0, 3, 1, 2)
            with torch.inference_mode():
                one = {name: value.numpy() for name, value in zip(names, whole(tensor), strict=True)}
                few = fewer(tensor)
            other = {n: value.numpy() for n, value in zip((*names, *fewer.further), few, strict=True)}
            mine, theirs = (loaded.read(outputs, 1)[0] for outputs in (one, other))
            for column in ("boxes", "scores", "classes"):
                assert np.array_equal(getattr(mine, column), getattr(theirs, column))
            found += len(mine)
    finally:
        loaded.runtime.close()
    assert found > 0
