"""Where a network cannot be recorded with NMS in it, it is recorded without; graphs and GPU are played by the CPU."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from host_gpu import host_gpu  # noqa: F401

torch = pytest.importorskip("torch", reason="needs millrace[torch]")

from millrace.media import ASKED, CELL_CLASSES, LEFT_OUT, Cells, TensorInfo  # noqa: E402
from millrace.runtimes import torch_cuda, torch_nms  # noqa: E402
from millrace.runtimes.torch_best import BestCells  # noqa: E402
from millrace.runtimes.torch_leaving import Leaving  # noqa: E402
from millrace.runtimes.torch_nms import KeptCells  # noqa: E402

INFOS = [TensorInfo("head", (None, 200, 9), "float32")]
KEPT, BEST = 20, 50


class Graph:
    """torch.cuda.CUDAGraph: what runs between begin and end is not run again; `recording` tells that it does."""

    recording: str | None = None
    fails_at_end = False
    pools: list[object] = []

    def capture_begin(self, pool, capture_error_mode):
        self.pools.append(pool)
        Graph.recording = threading.current_thread().name

    def capture_end(self):
        Graph.recording, ended = None, Graph.recording is not None
        if not ended or self.fails_at_end:
            raise RuntimeError("operation failed due to a previous error during capture\nmore")

    def pool(self):
        return 7

    def replay(self): ...


@pytest.fixture
def make(host_gpu, monkeypatch):  # noqa: F811
    stream = SimpleNamespace(synchronize=lambda: None)
    monkeypatch.setattr(host_gpu, "name", "cpu", raising=False)
    monkeypatch.setattr(torch.cuda, "ExternalStream", lambda handle, device: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())  # where there is a GPU, it is looked at
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch_cuda, "_to_host", lambda torch, values: values.clone())
    monkeypatch.setattr(Graph, "pools", [])
    monkeypatch.setattr(Graph, "recording", None)
    made = []

    def runtime(listens=True, **settings):
        best = BestCells(torch.nn.Sequential(), 0, Cells("head", 1, 4, 9, boxes="corners"), BEST)
        best.module.forward = lambda head: (head,)
        module = KeptCells(best, ["head"], KEPT)
        made.append(torch_cuda.TorchRuntime(module, INFOS, INFOS, {}, host_gpu, **settings))
        made[-1].said = []
        if listens:
            made[-1].report = made[-1].said.append
        return made[-1]

    yield runtime
    for each in made:
        each.close()


def pictures(count):
    return {
        "head": np.random.default_rng(count).random((count, 200, 9), np.float32),
        ASKED: np.array([[0.9, 0.45, 0]] * count, np.float32),
    }


def rows_of(runtime, count):
    """How many rows a call gives: graphs give what the recorded run wrote, of no picture."""
    got = runtime.run(pictures(count))
    assert (ASKED in got) == (got["head"].shape[1] == KEPT)
    assert set(got) == {"head", CELL_CLASSES, LEFT_OUT} | ({ASKED} if ASKED in got else set())
    return got["head"].shape[1]


def failing(monkeypatch, error, when=lambda cells: True):
    """Its own part of the network raises; `when` says where."""
    suppress = torch_nms.step_by_step

    def fails(cells, *facts):
        if when(cells):
            raise error
        return suppress(cells, *facts)

    monkeypatch.setattr(torch_nms, "suppress", fails)


def test_what_can_be_recorded_is(make):
    runtime = make()
    assert [rows_of(runtime, count) for count in (1, 3, 1)] == [KEPT] * 3
    assert not runtime.said
    assert Graph.pools == [None, 7, 7, 7]


@pytest.mark.parametrize("when", ["in the runs before", "while it is recorded"])
@pytest.mark.parametrize("kind", [ValueError, RuntimeError, NotImplementedError])
def test_one_that_cannot_is_recorded_without_nms_and_says_so_once(make, monkeypatch, when, kind):
    failing(
        monkeypatch, kind("not permitted\nwhen capturing"), lambda cells: bool(Graph.recording) == ("while" in when)
    )
    runtime = make()
    assert [rows_of(runtime, count) for count in (1, 3, 1)] == [BEST] * 3
    assert runtime.asks  # whoever feeds it need not know
    (said,) = runtime.said
    assert said.startswith("1 pictures: NMS stays on the CPU")
    assert "not permitted" in said and "\n" not in said
    assert Graph.recording is None


@pytest.mark.parametrize("part", ["capture_begin", "capture_end"])
def test_also_where_its_beginning_or_end_fails(make, monkeypatch, part):
    """And the memory of that graph is not recorded into again: PyTorch may take it for one that still is."""
    runtime = make()
    assert rows_of(runtime, 1) == KEPT
    simpler = iter([True])
    usual = getattr(Graph, part)

    def fails(graph, **how):
        usual(graph, **how)
        if next(simpler, False):
            raise RuntimeError("operation failed due to a previous error during capture")

    monkeypatch.setattr(Graph, part, fails)
    assert [rows_of(runtime, count) for count in (3, 1, 3)] == [
        BEST,
        KEPT,
        BEST,
    ]  # what was recorded before is not lost
    assert len(runtime.said) == 1
    assert Graph.pools == [None, 7, 7, None, 7]


def test_ctrl_c_ends_the_recording(make, monkeypatch):
    failing(monkeypatch, KeyboardInterrupt(), lambda cells: bool(Graph.recording))
    runtime = make()
    with pytest.raises(KeyboardInterrupt):
        runtime.warm([2])
    assert Graph.recording is None and not runtime.said


def test_what_is_under_way_keeps_its_form(make, monkeypatch):
    runtime = make()
    first = runtime.submit(pictures(1))
    failing(monkeypatch, ValueError("no"))
    calls = [runtime.submit(pictures(count)) for count in (2, 1, 2, 1)]
    shapes = [call.result(20)["head"].shape for call in (first, *calls)]
    assert shapes == [(1, KEPT, 5), (2, BEST, 5), (1, KEPT, 5), (2, BEST, 5), (1, KEPT, 5)]


def test_without_memory_a_larger_graph_does_or_one_without_nms(make, monkeypatch):
    runtime = make()
    assert rows_of(runtime, 4) == KEPT
    failing(monkeypatch, torch.OutOfMemoryError("CUDA out of memory"))
    assert rows_of(runtime, 2) == KEPT
    assert not runtime.said
    assert rows_of(runtime, 8) == BEST
    assert "CUDA out of memory" in runtime.said[0]


def test_memory_for_what_calls_keep_is_found_when_a_graph_is_recorded(make, monkeypatch):
    held, kept = [], Leaving.kept

    def keep(leaving, count):
        if leaving._leaves < len(leaving.tensors):
            held.append(count)
            if len(held) == 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
        return kept(leaving, count)

    monkeypatch.setattr(Leaving, "kept", keep)
    assert rows_of(make(), 4) == BEST
    assert held == [4, 4, 4]


def test_one_that_cannot_be_recorded_at_all_says_why(make, monkeypatch):
    runtime = make()
    monkeypatch.setattr(BestCells, "choose", lambda *_: 1 / 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            runtime.warm([2])
    assert not runtime.said


def test_before_anybody_listens_it_is_logged(make, monkeypatch, caplog):
    failing(monkeypatch, ValueError("no"))
    runtime = make(listens=False)
    assert rows_of(runtime, 1) == BEST
    assert "NMS stays on the CPU" in caplog.text
