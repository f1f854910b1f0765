"""Kernels of our own are tried on a GPU before they are used there; the GPU is played (tests/gpu: real)."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest
from host_gpu import HostModule

torch = pytest.importorskip("torch", reason="needs millrace[torch]")

from torch.overrides import TorchFunctionMode  # noqa: E402

from millrace.core.errors import ConfigError  # noqa: E402
from millrace.media import Cells, TensorInfo  # noqa: E402
from millrace.runtimes import torch_kernels, torch_masks, torch_nms, torch_pooling  # noqa: E402
from millrace.runtimes.torch_best import BestCells  # noqa: E402
from millrace.runtimes.torch_nms import KeptCells, kept_only  # noqa: E402

if shutil.which("g++") is None:
    pytest.skip("g++ is not installed: kernels are compiled for the CPU with it", allow_module_level=True)

DEVICE = torch.device("cpu")
OURS = {"nms.cu": torch_nms._kernels, "masks.cu": torch_masks.kernels, "pooling.cu": torch_pooling._kernels}
LIES = [
    ("nms.cu", "its_fate == GOES && mine == MAY_STAY", "false"),
    ("nms.cu", "if (mine == GOES ||", "if ("),
    ("nms.cu", "!together &&", ""),
    ("nms.cu", "classes[first + order[first + i]]", "classes[first + i]"),
    ("nms.cu", "least * (1 - NEAR) > limit", "least * (1 - NEAR) > 1.1f * limit"),
    ("nms.cu", "limit > HUGE_SIDE", "false"),
    ("nms.cu", "if (!(off < CLOSE * HUGE_SIDE)) return MAY_STAY;", ""),
    ("nms.cu", "j < count &&", "j < 500 &&"),
    ("nms.cu", "j = i + 1 + threadIdx.x", "j = i + 2 + threadIdx.x"),
    ("nms.cu", "(long long)blockIdx.x * count", "0"),
    ("masks.cu", "row < count", "row < count - 1"),
    ("masks.cu", "pixels[here] * pixel", "pixels[here]"),
    ("masks.cu", "value += prototype", "value += 42"),
    ("masks.cu", "at >= size", "at >= size - 1"),
    ("pooling.cu", "b > a || b != b", "b > a"),
    ("pooling.cu", "y > x || y != y", "y > x"),
    ("pooling.cu", "column >= pool.columns", "column >= pool.columns - 1"),
    ("pooling.cu", "right = min(left + pool.window[1], pool.width)", "right = min(left + pool.window[1], 100)"),
]


@pytest.fixture
def played(monkeypatch, tmp_path):
    """What stands in for the compiler may be changed; kernels forget what was tried."""
    HostModule.folder = tmp_path
    how = SimpleNamespace(compiler=HostModule, tried=[], capturing=False)

    def compiled(gpu, source, memory):
        assert not memory
        how.tried.append(source)
        return how.compiler(gpu, source)

    monkeypatch.setattr(torch_kernels, "Module", compiled)
    monkeypatch.setattr(torch_kernels, "gpu", lambda device: None)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=0))
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: how.capturing)
    monkeypatch.setattr(torch_nms, "_THREADS", 1)
    empty = torch.empty  # with what it holds by chance, and that may be what the test before found there
    monkeypatch.setattr(torch, "empty", lambda *facts, **more: empty(*facts, **more).fill_(77))
    for kernels in OURS.values():
        monkeypatch.setattr(kernels, "_modules", {})
        monkeypatch.setattr(kernels, "_right", set())
    return how


@pytest.mark.parametrize("file", OURS)
def test_those_that_are_right_are_used_and_tried_once(played, caplog, file):
    assert isinstance(OURS[file].on(DEVICE), HostModule)
    assert OURS[file].on(DEVICE) is OURS[file].needed(DEVICE)
    assert len(played.tried) == 1
    assert not caplog.records


@pytest.mark.parametrize("file", OURS)
def test_none_is_tried_where_the_user_says_so(played, caplog, monkeypatch, file):
    monkeypatch.setenv("MILLRACE_PLAIN_KERNELS", "1")
    assert OURS[file].on(DEVICE) is None
    assert not played.tried and not caplog.records


@pytest.mark.parametrize(("file", "part", "lie"), LIES, ids=str)
def test_those_that_are_wrong_are_not_and_that_is_said_once(played, caplog, file, part, lie):
    def lying(gpu, source):
        assert part in source
        return HostModule(gpu, source.replace(part, lie))

    played.compiler = lying
    for _ in range(2):
        assert OURS[file].on(DEVICE) is None
    assert len(played.tried) == 1
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(f"cpu: our kernels in {file} are not used (when they were tried they gave")
    with pytest.raises(RuntimeError, match=f"the kernels in {file} cannot be used on cpu"):
        OURS[file].needed(DEVICE)


@pytest.mark.parametrize(
    "error", [ConfigError("no NVRTC"), RuntimeError("launch failed"), ValueError("what?")], ids=str
)
@pytest.mark.parametrize("file", OURS)
def test_nor_are_those_that_fail(played, caplog, file, error):
    class Failing(HostModule):
        def __getitem__(self, name):
            raise error

    played.compiler = Failing
    for _ in range(2):
        assert OURS[file].on(DEVICE) is None
    (record,) = caplog.records
    assert str(error) in record.getMessage()


def test_while_a_graph_is_recorded_nothing_is_tried(played):
    played.capturing = True
    assert OURS["nms.cu"].on(DEVICE) is None
    with pytest.raises(RuntimeError, match="cannot be used"):
        torch_nms.by_kernel(*torch_nms.made_up(1), 1, 5, True)
    assert not played.tried
    played.capturing = False
    assert OURS["nms.cu"].on(DEVICE) is not None
    played.capturing = True
    assert OURS["nms.cu"].on(DEVICE) is not None


FULL = [torch.OutOfMemoryError("CUDA out of memory")]
FULL += map(RuntimeError, ["CUDA: CUDA_ERROR_OUT_OF_MEMORY", "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"])


@pytest.mark.parametrize("error", FULL, ids=str)
def test_without_memory_they_are_tried_another_time(played, caplog, error):
    def full(gpu, source):
        raise error

    played.compiler = full
    with pytest.raises(torch.OutOfMemoryError, match=str(error)):
        OURS["masks.cu"].on(DEVICE)
    assert not caplog.records
    played.compiler = HostModule
    assert OURS["masks.cu"].on(DEVICE) is not None


@pytest.mark.parametrize("file", OURS)
def test_nobody_who_watches_pytorch_sees_them_tried(played, file):
    """They are tried in the middle of a network that is about to be recorded, whose constants are kept."""
    seen = []

    class Watches(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            seen.append(function)
            return function(*args, **(kwargs or {}))

    with Watches():
        assert OURS[file].on(DEVICE) is not None
        assert not seen
        torch.zeros(1).to(DEVICE)
    assert seen


@pytest.mark.parametrize(
    ("lies", "masks", "kept"),
    [("", True, True), ("masks.cu", False, True), ("masks.cu", True, False), ("nms.cu", True, False)],
)
def test_without_its_kernels_nms_stays_on_the_cpu(played, lies, masks, kept):
    part, lie = {"": ("", ""), "masks.cu": ("sum +=", "sum -="), "nms.cu": ("mine == GOES", "true")}[lies]
    played.compiler = lambda gpu, source: HostModule(gpu, source.replace(part, lie) if part else source)
    more = {"prototypes": "prototypes", "size": (64, 64)} if masks else {}
    best = BestCells(torch.nn.Identity(), 0, Cells("head", 1, 4, 6, boxes="corners", **more), 400)
    infos = [TensorInfo("head", (None, 900, 14), "float32"), TensorInfo("prototypes", (None, 8, 16, 16), "float32")]
    assert kept_only(BestCells(torch.nn.Identity(), 0, best.cells, 320), infos, DEVICE).count == 320
    assert not played.tried  # they are not needed
    made = kept_only(best, infos, DEVICE)
    assert (type(made) is KeptCells) == kept
    assert kept or made is best


def test_a_networks_pooling_is_then_pytorchs(played, monkeypatch):
    played.compiler = lambda gpu, source: HostModule(gpu, source.replace("y < bottom", "y < bottom - 1"))
    monkeypatch.setattr(torch_pooling, "fits", lambda x: True)

    class There(torch.Tensor):
        is_cuda = True

    x = torch.rand(1, 8, 9, 9).contiguous(memory_format=torch.channels_last)
    got = torch_pooling.max_pool(x.as_subclass(There), (3, 3), (2, 2), (1, 1))
    assert torch.equal(got.as_subclass(torch.Tensor), torch.nn.functional.max_pool2d(x, 3, 2, 1))
    assert len(played.tried) == 1


@torch.inference_mode()
@pytest.mark.parametrize("kind", range(3))
def test_last_bits_do_not_matter_to_what_is_tried(kind):
    """Another machine's sums and products may differ in them."""
    cells, classes, places, asked = torch_nms.made_up(kind)
    wanted = torch_nms.step_by_step(cells, classes, places, asked, kind, 5, True)[2]
    assert all((wanted == fate).sum() > 15 for fate in range(3))
    for seed in range(3):
        torch.manual_seed(seed)
        moved = cells.clone()
        moved[..., :4] *= 1 + 1e-5 * (torch.rand(cells[..., :4].shape) - 0.5)
        limits = asked * torch.tensor([1, 1 + 1e-3 * (seed - 1), 1])
        assert torch.equal(torch_nms.step_by_step(moved, classes, places, limits, kind, 5, True)[2], wanted)
