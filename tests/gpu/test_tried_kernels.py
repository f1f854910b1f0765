"""Our kernels agree with PyTorch on this GPU; a network does without those that do not, or that cannot be recorded."""

from __future__ import annotations

import os

import numpy as np
import pytest

if os.environ.get("FAIL_WITHOUT_CUDA") != "1":
    pytest.importorskip("torch", reason="torch is an extra")

import torch
from heads import KEPT, network, pictures, same

from millrace.cuda.context import count, gpu
from millrace.cuda.kernel import Module
from millrace.cuda.memory import empty
from millrace.elements._model import load_model
from millrace.runtimes import torch_kernels, torch_masks, torch_nms, torch_pooling, torch_stem

OURS = {
    "nms.cu": torch_nms._kernels, "masks.cu": torch_masks.kernels, "pooling.cu": torch_pooling._kernels,
    "stem.cu": torch_stem._kernels,
}  # fmt: skip
KINDS = {"stem.cu": (128, 99, 62)}  # of work, where there are several
LIES = {
    "nms.cu": ("if (mine == GOES ||", "if ("), "masks.cu": ("sum +=", "sum -="), "pooling.cu": ("b > a", "b < a"),
    "stem.cu": ("rectified(sum[0] + one,", "rectified(sum[0],"),
}  # fmt: skip
CHOSEN = 1024


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """Nothing was tried before."""
    for kernels in OURS.values():
        monkeypatch.setattr(kernels, "_modules", {})
        monkeypatch.setattr(kernels, "_right", set())


@pytest.mark.parametrize("file", OURS)
def test_they_agree(device, caplog, file):
    gpu(device)
    assert OURS[file].on(torch.device(device), *KINDS.get(file, ())) is not None
    assert not caplog.records


def test_a_thread_may_use_two_gpus(device, caplog):
    """By turns; each module, stream and launch is then on the right one."""
    if count() < 2:
        pytest.skip("there is one GPU")
    for file in OURS:
        for name in ("cuda:0", "cuda:1"):
            gpu(name).use()
            assert OURS[file].on(torch.device(name), *KINDS.get(file, ())) is not None
            stream = gpu(name).stream("low")
            array = empty(stream, (64,), np.uint8)
            array.ready = stream.record()
            assert array.numpy().shape == (64,)
    assert not caplog.records


@pytest.mark.parametrize("file", OURS)
def test_one_that_lies_is_found_out(device, monkeypatch, caplog, file):
    part, lie = LIES[file]
    monkeypatch.setattr(
        torch_kernels, "Module", lambda gpu, source, memory: Module(gpu, source.replace(part, lie), memory)
    )
    for _ in range(2):
        assert OURS[file].on(torch.device(device), *KINDS.get(file, ())) is None
    assert len(caplog.records) == 1


@pytest.mark.parametrize("threads", [1, 32, 512, 1024])
@pytest.mark.parametrize("kind", range(3))
def test_any_number_of_threads_says_the_same(device, monkeypatch, kind, threads):
    monkeypatch.setattr(torch_nms, "_THREADS", threads)
    tensors = torch_nms.made_up(kind)
    got = torch_nms.suppress(*(each.to(device) for each in tensors), kind, 5, True)
    assert torch_kernels.same(got, torch_nms.step_by_step(*tensors, kind, 5, True))


def rows_of(path, device, before=lambda runtime: None):
    """How many rows leave, of calls of several sizes; they say what a CPU finds in all."""
    there, here = load_model(path, device, "yolov8", tensors=None), load_model(path, "cpu", "yolov8", runtime="torch")
    said, rows = [], []
    there.runtime.report = said.append
    try:
        for count in (2, 3, 1, 2):
            outputs = there.runtime.run(there.feed(pictures(count), count))
            rows.append(outputs[there.runtime.outputs[0].name].shape[2])
            same(there.read(outputs, count), here.read(here.runtime.run(here.feed(pictures(count), count)), count))
    finally:
        there.runtime.close()
        here.runtime.close()
    return rows, said


def test_a_network_without_its_kernel(device, tmp_path, monkeypatch):
    part, lie = LIES["nms.cu"]
    monkeypatch.setattr(
        torch_kernels, "Module", lambda gpu, source, memory: Module(gpu, source.replace(part, lie), memory)
    )
    assert rows_of(network(tmp_path), device) == ([CHOSEN] * 4, [])


@pytest.mark.parametrize("when", ["before", "while recording", "waiting while recording", "later"])
def test_a_network_that_cannot_be_recorded_with_it(device, tmp_path, monkeypatch, when):
    """What runs is PyTorch's recording that failed, and the next one after it."""
    launched, calls = torch_nms._launched, []

    def fails(module, cells, *facts):
        recording = torch.cuda.is_current_stream_capturing()
        calls.append(len(cells))
        if when == "before" or (recording and (when != "later" or len(cells) > 2)):
            if "waiting" in when:
                np.asarray(cells.sum().item())  # PyTorch refuses it, and the recording is lost
            raise ValueError("it cannot be")
        return launched(module, cells, *facts)

    there = torch_nms._kernels.on(torch.device(device))
    assert there is not None
    monkeypatch.setattr(torch_nms, "_launched", fails)
    rows, said = rows_of(network(tmp_path), device)
    assert calls
    assert rows == ([KEPT, CHOSEN, CHOSEN, KEPT] if when == "later" else [CHOSEN] * 4)
    assert len(said) == 1
    assert "NMS stays on the CPU" in said[0]
