"""What surrounds the graphs of the PyTorch runtime, with the GPU and the graphs played by the CPU (tests/gpu: real)."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
from together import together

torch = pytest.importorskip("torch", reason="needs millrace[torch]")

import host_torch  # noqa: E402
from host_torch import Double, Played  # noqa: E402

import millrace  # noqa: E402
from millrace.elements._model import LoadedModel  # noqa: E402
from millrace.elements.infer import Infer  # noqa: E402
from millrace.media import ASKED, CELL_CLASSES, CELL_NUMBERS, LEFT_OUT, Cells, TensorInfo  # noqa: E402
from millrace.runtimes import torch as torch_runtime  # noqa: E402
from millrace.runtimes import torch_cuda, torch_kernels  # noqa: E402
from millrace.runtimes.torch import TorchThreads  # noqa: E402
from millrace.runtimes.torch_best import BestCells  # noqa: E402
from millrace.runtimes.torch_constants import Constants  # noqa: E402
from millrace.runtimes.torch_network import alone  # noqa: E402
from millrace.runtimes.torch_nms import KeptCells  # noqa: E402
from millrace.runtimes.torch_program import Program  # noqa: E402

host_gpu, make = host_torch.host_gpu, host_torch.make


def pictures(count, value=1.0):
    return {"images": np.full((count, 3), value, np.float32)}


def test_elements_that_share_a_network_get_their_own_answers(make):
    runtime, wrong = make(), []

    def ask(number):
        for value in range(number * 100, number * 100 + 40):
            out = runtime.run(pictures(2, value))["out"]
            if not (out == 2 * value).all():
                wrong.append((value, out.tolist()))

    together(ask)
    assert not wrong


def test_a_network_of_a_fixed_batch_is_recorded_for_that(make):
    runtime = make(batch=6)
    assert runtime.run(pictures(6))["out"].shape == (6, 3)
    assert runtime.sizes == [6]


def test_others_are_recorded_for_powers_of_two(make):
    runtime = make()
    for count in (1, 3, 4, 5):
        assert runtime.run(pictures(count))["out"].shape == (count, 3)
    assert runtime.sizes == [1, 4, 8]


def test_a_network_that_is_being_compiled_beside_its_use_is_closed_at_once(make, monkeypatch):
    compiling, plain = threading.Event(), Played.record

    def record(self, size, compiled=False, breakable=None):
        while compiled:
            with breakable.part():
                compiling.set()
                time.sleep(0.001)
        return plain(self, size)

    monkeypatch.setattr(Played, "record", record)
    for end in ("close", "cancel"):
        runtime = make(compiled="background")
        assert (runtime.run(pictures(3))["out"] == 2).all()
        assert compiling.wait(20)
        thread = runtime._compiler._thread
        getattr(runtime, end)()
        thread.join(20)
        assert not thread.is_alive()
        compiling.clear()
        if end == "cancel":  # it goes on as it is, until it is closed
            assert (runtime.run(pictures(5))["out"] == 2).all()
        runtime.close()
        assert runtime._networks[-1].module is None


def test_no_call_waits_for_ever_when_there_is_no_memory_for_an_answer(make, monkeypatch):
    class Full:
        def numpy(self):
            raise MemoryError("no memory for an array")

    runtime = make()
    with monkeypatch.context() as patch:
        patch.setattr(torch_cuda, "_to_host", lambda torch, values: Full())
        with pytest.raises(MemoryError):
            runtime.submit(pictures(1)).result(20)
    assert (runtime.submit(pictures(1)).result(20)["out"] == 2).all()


def test_what_goes_wrong_with_an_answer_is_told_and_the_next_call_works(make):
    runtime = make()
    (network,) = runtime._networks
    leaves, network.leaves = network.leaves, [*network.leaves, "more"]
    with pytest.raises(ValueError, match="zip"):
        runtime.submit(pictures(1)).result(20)
    network.leaves = leaves
    assert (runtime.submit(pictures(1)).result(20)["out"] == 2).all()


def test_a_closed_networks_weights_go_at_once_and_the_collector_may_find_the_rest(make):
    runtime = make()
    runtime.run(pictures(1))
    module = runtime._networks[0].module
    weights, network = list(module.parameters()), weakref.ref(module)
    with alone():
        pass  # another network was recorded since
    given_back = []
    runtime._torch = SimpleNamespace(cuda=SimpleNamespace(empty_cache=lambda: given_back.append(weights[0].numel())))
    runtime.close()
    assert given_back == [0]
    del module
    gc.collect()
    assert network() is None


class Rectified(torch.nn.Module):
    """A convolution and a ReLU."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 1)

    def forward(self, pictures):
        return (self.conv(pictures).relu(),)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's, about itself, when it compiles
@pytest.mark.parametrize(("module", "fused"), [(Rectified, True), (Double, False)])
def test_each_batch_size_has_its_fused_form_and_what_cannot_be_fused_is_one_for_all(make, module, fused):
    """Compiled or not; nothing is compiled before the first call, which there is none here."""
    runtime = make(module=module())
    made = {}
    with torch.inference_mode():
        for size in (1, 2, 1, 2):
            for compiled in (False, True):
                program = runtime._networks[0].program([torch.rand(size, 3, 4, 4)], Constants(), size, compiled)
                assert made.setdefault((size, compiled), program) is program
    for compiled in (False, True):
        assert (made[1, compiled] is made[2, compiled]) == (not fused)
        assert hasattr(made[1, compiled], "_orig_mod") == compiled
    assert isinstance(made[1, False], torch.fx.GraphModule) == fused


def test_the_network_runs_once_before_it_is_written_down(make, monkeypatch):
    """What it makes on the CPU is kept by that run."""
    order, module = [], Double()
    runtime = make(module=module)
    monkeypatch.setattr(module, "forward", lambda x: order.append(type(x)) or (x,))
    monkeypatch.setattr(runtime._networks[0]._fusion, "of", lambda inputs, compiled: order.append("written down"))
    runtime._networks[0].program([torch.rand(1, 3)], Constants(), 1, False)
    assert order == [torch.Tensor, "written down"]


@pytest.mark.parametrize("numbered", [True, False])
def test_graphs_give_the_best_cells_and_their_numbers(make, numbered):
    """`outputs` describes the network's own; what calls give has the cells' numbers besides, where they are wanted."""
    infos = [TensorInfo("head", (None, 200, 9), "float32")]
    module = BestCells(torch.nn.Sequential(), 0, Cells("head", 1, 5, 9, 4, numbered), 50)
    module.module.forward = lambda head: (head,)
    runtime = make(module=module, infos=infos)
    for count in (3, 1, 2, 3):  # the graphs of a size in turn
        head = np.random.default_rng(count).random((count, 200, 9), np.float32)
        got = runtime.run({"head": head})
        order = np.argsort(-head[..., 4] * head[..., 5:].max(axis=2), axis=1, kind="stable")
        numbers = np.sort(order[:, :50], axis=1)
        assert list(got) == ["head", CELL_CLASSES, *([CELL_NUMBERS] if numbered else []), LEFT_OUT]
        rows = np.take_along_axis(head, numbers[..., None], axis=1)
        assert np.array_equal(got["head"], np.concatenate([rows[..., :5], rows[..., 5:].max(axis=2, keepdims=True)], 2))
        assert np.array_equal(got[CELL_CLASSES], rows[..., 5:].argmax(axis=2))
        assert np.array_equal(got.get(CELL_NUMBERS, numbers), numbers)
        assert got[LEFT_OUT].shape == (count,)
    assert runtime.outputs == infos


@pytest.fixture
def keeps(make):
    """A runtime whose graphs leave out what NMS removes, and give 20 of the 50 best cells."""
    infos = [TensorInfo("head", (None, 200, 9), "float32")]
    best = BestCells(torch.nn.Sequential(), 0, Cells("head", 1, 4, 9, boxes="corners"), 50)
    best.module.forward = lambda head: (head,)
    runtime = make(module=KeptCells(best, ["head"], 20), infos=infos)
    assert (runtime.inputs, runtime.outputs, runtime.asks) == (infos, infos, True)
    return runtime


def apart(seed, things):
    """Heads of two pictures with 200 cells, of which four times `things` are sure, four for each thing."""
    random = np.random.default_rng(seed)
    head = np.zeros((2, 200, 9), np.float32)
    sure = np.arange(4 * things)
    head[:, sure, :4] = np.array([0, 0, 10, 10])[None, None] + 20.0 * (sure % things)[None, :, None]
    head[:, sure, 4] = random.uniform(0.5, 1, (2, len(sure)))
    return {"head": head, ASKED: np.array([[0.3, 0.45, 0]] * 2, np.float32)}


def test_graphs_give_what_nms_does_not_remove(keeps):
    for things in (3, 10, 3, 12):
        got = keeps.run(apart(things, things))
        assert list(got) == ["head", CELL_CLASSES, LEFT_OUT, ASKED]
        assert got["head"].shape == (2, 20, 5)
        for picture, whole in zip(got["head"], apart(things, things)["head"], strict=True):
            best = whole[: 4 * things, 4].reshape(4, things).max(axis=0)
            assert set(best) <= set(picture[:, 4])


def test_all_candidates_leave_where_nms_may_keep_more(keeps, monkeypatch):
    """Also when other calls are already made, whose graphs would write over them."""
    few = torch_cuda.few_left
    monkeypatch.setattr(torch_cuda, "few_left", lambda *facts: time.sleep(0.02) or few(*facts))
    keeps.run(apart(0, 1))
    feeds = [apart(seed, things) for seed, things in enumerate((21, 40, 4, 30, 21, 35))]
    calls = [keeps.submit(feed) for feed in feeds]
    for call, feed in zip(calls, feeds, strict=True):
        got, things = call.result(), np.count_nonzero(feed["head"][0, :, 4]) // 4
        assert got["head"].shape == (2, 50 if things > 20 else 20, 5)
        assert got[CELL_CLASSES].shape == got["head"].shape[:2]
        surest = np.sort(feed["head"][1, :, 4])[-50:]
        assert things < 21 or np.array_equal(np.sort(got["head"][1, :, 4]), surest)


def test_what_is_asked_holds_for_its_call(keeps):
    """Also where the graph was told something else before, for as many pictures or for fewer."""
    feed = apart(5, 12)
    for overlap, floor, count in ((0.45, 0.3, 2), (0.45, 0.3, 2), (0.45, 2.0, 1), (0.45, 0.3, 2), (np.inf, 0.3, 2)) * 2:
        asked = np.array([[floor, overlap, 0]] * count, np.float32)
        got = keeps.run({"head": feed["head"][:count], ASKED: asked})
        assert got["head"].shape == (count, 50 if overlap > 1 else 20, 5)
        sure = {score for score in got["head"][0, :, 4].tolist() if score > 0}
        best = set(feed["head"][0, :48, 4].reshape(4, 12).max(axis=0).tolist())
        assert (best <= sure) == (floor < 1)
        assert got[ASKED] is asked


def test_who_asks_for_nothing_gets_all_candidates(keeps):
    feed = apart(3, 4)
    asked = feed.pop(ASKED)
    got = keeps.run(feed)
    assert got["head"].shape == (2, 50, 5)
    assert keeps.run({**feed, ASKED: asked})["head"].shape == (2, 20, 5)
    assert np.array_equal(np.sort(got["head"][..., 4]), np.sort(feed["head"][..., 4:].max(axis=2))[:, -50:])


def test_a_call_that_fails_holds_up_no_other(keeps, monkeypatch):
    monkeypatch.setattr(torch_cuda, "few_left", lambda *facts: 1 / 0)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            keeps.submit(apart(0, 2)).result(timeout=20)


CLIP = "videos/road_640x352_vfr.mp4"
MODELS = [
    "detect/yolox_nano_384x640_dynbatch.onnx",
    "agpl_interop_only/yolov8n_int8.onnx",
    "segment/instseg_yolov8seg_layout_640.onnx",
]


@pytest.mark.parametrize("model", MODELS)
def test_the_objects_are_those_of_all_cells(make, host_gpu, corpus, monkeypatch, model):
    """What `infer` finds in a clip, of all cells and of the best: the GPU is played, the rest is what runs with one."""
    pytest.importorskip("onnx", reason="needs millrace[convert]")
    from_onnx, sizes = torch_runtime._onnx, []
    monkeypatch.setattr(torch_runtime, "_onnx", lambda path, precision, device: from_onnx(path, precision, "cpu"))
    monkeypatch.setattr(torch_runtime, "_gpu", lambda device: host_gpu)
    monkeypatch.setattr(torch_kernels.Kernels, "on", lambda self, device: self)
    monkeypatch.setattr(torch_cuda, "TorchRuntime", Played)
    monkeypatch.setattr("millrace.engines.load.load_runtime", lambda path, device, runtime, **options: (
        torch_runtime.load(path, device, precision="float32", **options)
    ))  # fmt: skip
    read = LoadedModel.read
    monkeypatch.setattr(LoadedModel, "read", lambda self, outputs, count: (
        sizes.append(max(outputs[self.runtime.outputs[0].name].shape[1:])) or read(self, outputs, count)
    ))  # fmt: skip

    def objects(**options):
        infer = Infer(model=str(corpus / "models" / model), device="cuda:0", confidence=0.15, options=options)
        flow = millrace.open(str(corpus / CLIP)).add(infer)
        return [[facts(each) for each in frame.objects] for frame in islice(flow, 0, 16, 8)]

    def facts(found):
        return found.box.tolist(), found.confidence, found.label, found.mask is None or found.mask.tobytes()

    whole = objects(candidates=False)
    everything = set(sizes)
    sizes.clear()
    assert objects(candidates=400) == whole
    assert any(whole)
    assert min(everything) > 5000
    assert set(sizes) == {320}


def test_kernels_are_tried_once_whether_the_gpu_is_numbered_or_not(monkeypatch, tmp_path):
    """`cuda` and `cuda:0` are one; networks ask for kernels by the second."""
    (tmp_path / "net.onnx").write_bytes(b"played")
    asked, owner = [], SimpleNamespace(name="cuda:0")
    program = Program(Double(), [TensorInfo("images", (None, 3), "float32")], [], {})
    for name, instead in {
        "_gpu": lambda device: owner, "_onnx": lambda *_: program, "_recorded": lambda *_: None,
        "kept_only": lambda best, outputs, device: asked.append(str(device)),
    }.items():  # fmt: skip
        monkeypatch.setattr(torch_runtime, name, instead)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(synchronize=lambda: None))
    torch_runtime.load(tmp_path / "net.onnx", "cuda")
    assert asked == ["cuda:0"]


def test_each_thread_that_calls_a_network_without_graphs_tells_the_driver_whose_recordings_concern_it(monkeypatch):
    used, owner = [], SimpleNamespace(use=lambda: used.append(threading.current_thread().name))
    monkeypatch.setattr("millrace.cuda.context.gpu", lambda device: owner)
    tensor = TensorInfo("images", (None, 3), "float32")
    runtime = TorchThreads(Program(Double(), [tensor], [TensorInfo("out", (None, 3), "float32")]), "cpu", 1)
    runtime.on_gpu = True
    try:
        for _ in range(3):
            runtime.submit(pictures(1)).result(20)
    finally:
        runtime.close()
    assert len(used) == 1 and used[0].startswith("millrace-torch")


def test_a_compiler_without_memory_is_not_disturbed_by_a_new_size(make, monkeypatch):
    """Calls add sizes while another thread looks whether one of them is large enough."""
    runtime = make()

    class Size(int):
        def __ge__(self, other):
            runtime._captured[64] = []
            return int(self) >= other

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(runtime._networks[-1], "simpler", lambda: runtime._networks[-1])
    monkeypatch.setattr(Played, "_record", full)
    runtime._captured = {Size(1): [], Size(2): []}
    with pytest.raises(torch.OutOfMemoryError):
        runtime.record(4)


def test_without_graphs_pictures_are_waited_for():
    tensor = TensorInfo("images", (None, 3), "float32")
    runtime = TorchThreads(Program(Double(), [tensor], [TensorInfo("out", (None, 3), "float32")]), "cpu", 1)
    waited = []
    try:
        event = SimpleNamespace(
            stream=SimpleNamespace(gpu=SimpleNamespace(use=lambda: None)), synchronize=lambda: waited.append(1)
        )
        array = np.ones((1, 3), np.float32).view(Written)
        array.ready = event
        assert (runtime.run({"images": array})["out"] == 2).all()
    finally:
        runtime.close()
    assert waited == [1]


class Written(np.ndarray):
    """An array with the event after which it may be read."""
