"""What runs inside a CUDA graph never looks at values on the host, nor makes shapes of them.

A graph that is recorded would refuse it, on a GPU. Here such operations are found by what PyTorch calls: on the CPU
with our kernels played, and on its device without numbers ("meta"), which stands for a GPU, to see that nothing of the
CPU is mixed with what is there.
"""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest
from host_gpu import HostModule

torch = pytest.importorskip("torch", reason="needs millrace[torch]")

from torch.fx.experimental.proxy_tensor import make_fx  # noqa: E402
from torch.overrides import TorchFunctionMode  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from millrace.media import Cells  # noqa: E402
from millrace.runtimes import torch_kernels, torch_masks, torch_nms, torch_pooling  # noqa: E402
from millrace.runtimes.torch_best import BestCells  # noqa: E402
from millrace.runtimes.torch_fused import Fusion  # noqa: E402
from millrace.runtimes.torch_leaving import Leaving  # noqa: E402
from millrace.runtimes.torch_nms import KeptCells  # noqa: E402

aten = torch.ops.aten
WAITS = {  # operations that wait for the GPU there, though PyTorch has no tag that says so
    aten.nonzero.default: "as many rows as there are",
    aten.masked_select.default: "as many numbers as there are",
    aten.masked_scatter.default: "counts what it takes",
    aten.where.default: "nonzero, by another name",
    aten.repeat_interleave.Tensor: "sums what it repeats, unless it is told the sum",
    aten._unique2.default: "as many as there are",
    aten.unique_dim.default: "as many as there are",
    aten.unique_consecutive.default: "as many as there are",
    aten.bincount.default: "the largest says how many",
    aten.histc.default: "looks for least and most",
    aten._local_scalar_dense.default: "item(), int(), bool(), an `if`",
    aten.equal.default: "answers on the host",
    aten.is_nonzero.default: "answers on the host",
    aten._linalg_check_errors.default: "raises errors on the host",
    aten.multinomial.default: "checks its numbers",
}
BY_BOOLEANS = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default)
TAGS = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)
T = torch.Tensor
TO_HOST = {T.cpu, T.numpy, T.tolist, T.item, T.__bool__, T.__int__, T.__float__, T.__index__, T.__array__, T.nonzero}
FROM_HOST = {torch.tensor, torch.as_tensor, torch.from_numpy, T.new_tensor, T.cuda, T.pin_memory}
MADE_ON_HOST = {torch.zeros, torch.ones, torch.full, torch.empty, torch.arange, torch.linspace, torch.rand, torch.randn}


class Watched(TorchDispatchMode):
    """What PyTorch does; raises for what a graph does not record. Our operations are those of a GPU."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen.add(function)
        ours = OURS.get(function)
        if ours is not None:
            with self:
                return ours()(*args, **(kwargs or {}))
        named = kwargs or {}
        waits = WAITS.get(function)
        if function in BY_BOOLEANS:
            waits = (
                "nonzero, of a mask" if any(each is not None and each.dtype == torch.bool for each in args[1]) else None
            )
        elif waits is None:
            waits = next((str(tag) for tag in TAGS if tag in function.tags), None)
        if function is aten.repeat_interleave.Tensor and named.get("output_size") is not None:
            waits = None
        given = {
            each.device for each in torch.utils._pytree.tree_leaves((args, named)) if isinstance(each, torch.Tensor)
        }
        if len(given | ({named["device"]} if named.get("device") else set())) > 1:
            waits = "numbers of two devices"
        assert waits is None, f"{function}: {waits}"
        return function(*args, **(kwargs or {}))


class Called(TorchFunctionMode):
    """The same of what is called in Python: on a CPU these do nothing that could be seen."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        device = (kwargs or {}).get("device")
        assert function not in TO_HOST, f"{function} brings numbers to the host"
        assert function not in FROM_HOST, f"{function} brings numbers from the host"
        assert function not in MADE_ON_HOST or device is not None, f"{function} makes numbers on the host"
        if function is T.to:
            assert not any(isinstance(each, (str, torch.device)) for each in (*args[1:], device)), "a copy to a device"
        return function(*args, **(kwargs or {}))


OURS = {
    torch_nms.suppress: lambda: torch_nms.by_kernel,
    torch_masks.mask_logits: lambda: torch_masks.by_kernel,
}


@pytest.fixture
def played(monkeypatch, tmp_path):
    """The kernels of a GPU; the forms of operations that are for CPUs cannot be had."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed: kernels are compiled for the CPU with it")
    HostModule.folder = tmp_path
    launched = []
    launch = HostModule.__getitem__
    monkeypatch.setattr(HostModule, "__getitem__", lambda self, name: launched.append(name) or launch(self, name))
    monkeypatch.setattr(torch_kernels.Kernels, "on", lambda self, device: HostModule(None, self.source))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=0))
    monkeypatch.setattr(torch_nms, "_THREADS", 1)
    return launched


class Given(torch.nn.Module):
    def forward(self, *tensors):
        return tensors


COUNT, HIGH = 3, 336  # pictures, and cells of a 128x128 input
MORE = {"prototypes": "prototypes", "size": (128, 128)}
NETWORKS = {
    "centres": Cells("head", 1, 4, 9, boxes="centres"),
    "corners, in columns": Cells("head", 2, 4, 9, boxes="corners"),
    "objectness, numbered": Cells("head", 1, 5, 9, 4, True, "centres"),
    "grid": Cells("head", 1, 5, 9, 4, True, "grid", ((8, 16, 16), (16, 8, 8), (32, 4, 4))),
    "masks": Cells("head", 2, 4, 7, boxes="centres", **MORE),
    "masks of fractions": Cells("head", 1, 4, 7, boxes="corners", normalised=True, **MORE),
    "masks of pixels": Cells("head", 1, 4, 7, boxes="corners", normalised=False, **MORE),
    "at an angle": Cells("head", 2, 4, 8),
}


def network(name):
    cells = NETWORKS[name]
    best = BestCells(Given(), 0, cells, 100)
    names = ["head", "prototypes"] if cells.prototypes else ["head"]
    return KeptCells(best, names, 40) if cells.boxes else best


def inputs_of(module, device="cpu"):
    cells = (module.best if isinstance(module, KeptCells) else module).cells
    random = torch.rand if device == "cpu" else torch.empty
    numbers = [random((COUNT, HIGH, 9) if cells.axis == 1 else (COUNT, 9, HIGH), device=device)]
    if cells.prototypes:
        numbers.append(random((COUNT, 2, 32, 32), device=device))
    asked = torch.full((COUNT, 3), 0.5, device=device)
    return [*numbers, asked] if isinstance(module, KeptCells) else numbers


def watched(call, *inputs):
    with torch.no_grad(), Called(), Watched() as mode:  # in inference mode parts of operations are not seen
        call(*inputs)
    assert mode.seen
    return mode.seen


@pytest.mark.parametrize("written_down", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_with_their_best_cells_only(played, name, written_down):
    module = network(name)
    inputs = inputs_of(module)
    call = module
    if written_down:
        with torch.inference_mode():
            call = make_fx(lambda *tensors: tuple(module(*tensors)))(*inputs)
    seen = watched(call, *inputs)
    if isinstance(module, KeptCells):
        masks = module.best.cells.prototypes is not None
        assert (torch_nms.suppress in seen, torch_masks.mask_logits in seen) == (True, masks)
        assert played == ["suppress", *(["mask_logits"] if masks else [])]
    else:
        assert not played


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_of_the_cpus_is_mixed_with_what_is_on_the_gpu(name):
    module = network(name)
    inputs, found = inputs_of(module, "meta"), []
    module.to("meta")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.OURS", {})
        watched(lambda: found.extend(module(*inputs)))
    names = (*module.leaves, *module.larger) if isinstance(module, KeptCells) else ("head", *module.further)
    assert len(found) == len(names)
    for each in found:
        assert each.device.type == "meta" and each.shape[0] == COUNT
    module = network(name)
    shapes = [each.shape for each in module(*inputs_of(module))]
    assert shapes == [each.shape for each in found]


def test_what_leaves_is_written_without_a_wait():
    found = [torch.rand(4, 5, 3), torch.rand(4, 7).int(), torch.rand(4, 9).half(), torch.rand(4, 20_000)]
    leaving = Leaving(found, 3, 4)
    watched(lambda: [kept.copy_(out) for kept, out in zip(leaving.tensors, found, strict=True)])
    watched(lambda: (leaving.copied(2), leaving.kept(2)))


def test_pooling(played):
    x = torch.rand(2, 16, 9, 9).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        fused = Fusion(lambda x: (torch.nn.functional.max_pool2d(x, 3, 2, 1).neg(),)).of([x])
    assert any(node.target is torch_pooling.max_pool for node in fused.graph.nodes)
    watched(fused, x)  # it is not on a GPU: PyTorch's own
    kernel = torch_pooling._kernels.on(x.device)["max_pool_float32"]
    watched(lambda: torch_pooling.by_kernel(kernel, None, x, (3, 3), (2, 2), (1, 1)).neg().abs())


@pytest.mark.parametrize("operation", ["suppress", "mask_logits"])
def test_a_gpu_never_has_what_is_done_step_by_step(operation):
    """That looks at values on the host. Without a kernel the operation fails, and NMS stays on the CPU."""
    file = torch_nms if operation == "suppress" else torch_masks
    where = torch._C._dispatch_dump(f"millrace::{operation}")
    keys = {line.split(":")[0] for line in where.splitlines() if line.split(":")[0] in ("CPU", "CUDA")}
    assert keys == {"CPU", "CUDA"}
    given = torch_nms.made_up(1) if operation == "suppress" else (torch.rand(1, 2, 3, 3), torch.rand(1, 4, 8))
    more = (1, 5, True) if operation == "suppress" else (*[torch.zeros((1, 5), dtype=torch.int64)] * 2, 6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_kernels.Kernels, "on", lambda self, device: None)
        patch.setattr(file, "step_by_step", None)
        with pytest.raises(RuntimeError, match="cannot be used"):
            file.by_kernel(*given, *more)


def changed(x):
    x[x > 0.5] = 0


CULPRITS = {
    "nonzero": lambda x: x.nonzero(),
    "where": lambda x: torch.where(x > 0.5),
    "a mask": lambda x: x[x > 0.5],
    "a mask that is written": changed,
    "masked_select": lambda x: x.masked_select(x > 0.5),
    "item": lambda x: x[0, 0].item(),
    "int": lambda x: int(x[0, 0]),
    "an if": lambda x: 1 if x.sum() > 3 else 2,
    "unique": lambda x: x.unique(),
    "repeat_interleave": lambda x: x.repeat_interleave(torch.ones_like(x[0]).long(), dim=1),
    "bincount": lambda x: x.long().flatten().bincount(),
    "cpu": lambda x: x.cpu(),
    "numpy": lambda x: x.numpy(),
    "to a device": lambda x: x.to("cpu"),
    "a number of the host": lambda x: x + torch.tensor([1.0, 2, 3]),
    "a table of the host": lambda x: x + torch.arange(3),
    "equal": lambda x: torch.equal(x, x),
}


def test_a_mix_is_found():
    for culprit in (lambda x: x + torch.ones(3), lambda x: x.new_ones(3, device="cpu")):
        with pytest.raises(AssertionError, match=r"two devices|on the host"):
            watched(culprit, torch.rand((3, 3), device="meta"))


@pytest.mark.parametrize("culprit", CULPRITS)
def test_what_waits_is_found(culprit):
    with pytest.raises(AssertionError, match=r"host|device|aten"):
        watched(CULPRITS[culprit], torch.rand(3, 3))


def test_the_form_for_cpus_is_found(played, monkeypatch):
    monkeypatch.setattr(torch_nms, "by_kernel", torch_nms.step_by_step)
    module = network("centres")
    with pytest.raises(AssertionError, match=r"item|_local_scalar_dense|host"):
        watched(module, *inputs_of(module))
