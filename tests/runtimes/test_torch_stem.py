"""The first layers in one kernel, compiled for the processor, against PyTorch; on a GPU: tests/gpu."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs millrace[torch]")

from millrace.core.errors import ConfigError  # noqa: E402
from millrace.runtimes import torch_kernels, torch_stem  # noqa: E402
from millrace.runtimes.torch_fused import Fusion, roomy  # noqa: E402
from millrace.runtimes.torch_stem import _MEMORY, _THREADS, Stem, by_kernel, layout, packed, stem  # noqa: E402

functional = torch.nn.functional
RUN = """
extern "C" int memory_of_a_block() { return SHARED; }
extern "C" void run(const int* grid, int threads, const Half* in, const Half* weights, const Half* bias, Half* out,
                    const Stem* stem) {
    launch(grid, threads, [=] { stem_float16(in, weights, bias, out, *stem); });
}
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    if shutil.which("g++") is None:
        pytest.skip("no g++ to compile the kernel with")
    folder = tmp_path_factory.mktemp("stem")
    header = Path(__file__).parents[1] / "host_warps.h"
    source = files("millrace.runtimes").joinpath("stem.cu").read_text()
    (folder / "stem.cpp").write_text(f'#include "{header}"\n{source}{RUN}')
    command = ["g++", "-O2", "-std=c++17", "-ffp-contract=off", "-shared", "-fPIC", "-w", "stem.cpp", "-o", "stem.so"]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    if made.returncode and "_Float16" in made.stderr:
        pytest.skip("this g++ has no float16")
    assert made.returncode == 0, made.stderr
    return Played(ctypes.CDLL(str(folder / "stem.so")))


class Played:
    """See millrace.cuda.kernel.Kernel."""

    def __init__(self, library):
        self.library, self.launches = library, []

    def launch(self, stream, grid, block, arguments):
        *places, facts = arguments
        assert block == (_THREADS, 1, 1)
        self.launches.append((grid[2], facts.channels, facts.height, facts.width))
        places = [ctypes.c_void_p(each.value) for each in places]
        self.library.run((ctypes.c_int * 3)(*grid), block[0], *places, ctypes.byref(facts))


def pictures(count, height, width):
    x = roomy(torch.empty((count, 3, height, width), dtype=torch.float16))
    return x.copy_(torch.rand(x.shape, generator=torch.Generator().manual_seed(7)))


def layers(channels):
    torch.manual_seed(5)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, channels, 7, 2, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2, 1))
    return net.half().to(memory_format=torch.channels_last).eval()


def whole(x):
    """All four channels."""
    count, _, height, width = x.shape
    return x.as_strided((count, 4, height, width), (4 * width * height, 1, 4 * width, 4))


def addresses(*tensors):
    return [ctypes.c_uint64(each.data_ptr()) for each in tensors]


@torch.inference_mode()
@pytest.mark.parametrize(
    ("count", "height", "width", "channels", "processors"),
    [(2, 37, 66, 64, 1), (1, 40, 36, 128, 1), (1, 67, 34, 64, 999), (1, 8, 8, 64, 1)],
)
def test_the_kernel_gives_what_the_layers_give(kernel, count, height, width, channels, processors):
    x, net = pictures(count, height, width), layers(channels)
    conv = net[0]
    float32 = functional.conv2d(x.float(), conv.weight.float(), conv.bias.float(), 2, 3)
    want = functional.max_pool2d(float32.relu().half(), 3, 2, 1)
    weight, bias = packed(functional.pad(conv.weight, (0, 0, 0, 0, 0, 1))), conv.bias
    facts, grid = layout(x, channels, processors)
    out = torch.full((count, facts.rows, facts.columns, channels), -7.0, dtype=torch.float16)
    assert kernel.library.memory_of_a_block() == _MEMORY
    assert ctypes.sizeof(Stem) == 32 and (processors == 1 or grid[1] > 1)
    kernel.launch(None, grid, (_THREADS, 1, 1), [*addresses(x, weight, bias, out), facts])
    got = out.permute(0, 3, 1, 2)
    assert got.shape == want.shape
    assert (got.float() - want.float()).abs().max() <= 1e-3 * want.float().abs().max()
    assert (got != want).float().mean() < 0.05  # sums of another order, rounded to half precision


@torch.inference_mode()
def test_what_is_no_number_reaches_one_column_more(kernel):
    """To the right of even columns: as PyTorch has it if the second pixel from there is none, too."""
    x, net = pictures(1, 32, 64), layers(64)
    more = x.clone()
    x[0, 1, 9, [20, 53]] = torch.nan
    more[0, 1, 9, [20, 22, 53]] = torch.nan
    facts, grid = layout(x, 64, 1)
    out = torch.empty((1, facts.rows, facts.columns, 64), dtype=torch.float16)
    weight = packed(functional.pad(net[0].weight, (0, 0, 0, 0, 0, 1)))
    kernel.launch(None, grid, (_THREADS, 1, 1), [*addresses(x, weight, net[0].bias, out), facts])
    assert torch.equal(out.permute(0, 3, 1, 2).isnan(), net(more).isnan())


@pytest.fixture
def device(kernel, monkeypatch, caplog):
    """One, played: its kernel, what stands in the `log`, whether a graph is recorded, and what it is `capable` of."""
    how = SimpleNamespace(kernel=kernel, capturing=False, capable=(8, 0), compiled=0, log=caplog)

    def module(gpu, source, memory):
        how.compiled += 1
        assert "stem_float16" in source and memory == {"stem_float16": _MEMORY}
        return {"stem_float16": kernel}

    monkeypatch.setattr(torch_kernels, "Module", module)
    monkeypatch.setattr(torch_kernels, "gpu", lambda name: None)
    monkeypatch.setattr(torch_stem._kernels, "_modules", {})
    monkeypatch.setattr(torch_stem._kernels, "_right", set())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=0))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(multi_processor_count=1))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: how.capable)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: how.capturing)
    kernel.launches.clear()
    return how


def given(height, width, channels=64):
    net = layers(channels)
    return whole(pictures(1, height, width)), packed(functional.pad(net[0].weight, (0, 0, 0, 0, 0, 1))), net[0].bias


@torch.inference_mode()
def test_it_is_not_tried_where_the_user_says_so(device, monkeypatch):
    monkeypatch.setenv("MILLRACE_PLAIN_KERNELS", "1")
    inputs = given(33, 42)
    assert torch.equal(by_kernel(*inputs), torch_stem.step_by_step(*inputs))
    assert not device.kernel.launches and not device.log.messages


@torch.inference_mode()
def test_a_gpu_is_tried_once_for_each_kind_of_pictures_and_then_used(device):
    inputs = given(33, 42)
    for _ in range(2):
        out = by_kernel(*inputs)
        assert torch.allclose(out, torch_stem.step_by_step(*inputs), rtol=2e-3, atol=2e-3)
    assert device.kernel.launches == [(2, 64, 33, 42), (1, 64, 33, 42), (1, 64, 33, 42)]
    by_kernel(*given(35, 42))
    assert device.kernel.launches[3:] == [(2, 64, 35, 42), (1, 64, 35, 42)]
    assert device.compiled == 1 and not device.log.messages


def test_pictures_are_of_one_kind_where_the_borders_lie_alike():
    sizes = ((544, 960), (1080, 1920), (544, 1020), (560, 960), (100, 224), (100, 44))
    kinds = [torch_stem.kind_of(torch.empty((1, 4, *size)), torch.empty((64, 7, 8, 4))) for size in sizes]
    assert kinds == [(64, 160, 120), (64, 168, 120), *[(64, 160, 120)] * 2, (64, 100, 164), (64, 100, 44)]
    assert torch_stem.kind_of(torch.empty((1, 4, 544, 960)), torch.empty((128, 7, 8, 4))) == (128, 160, 120)


@torch.inference_mode()
@pytest.mark.parametrize("wrong", ["one number", "nothing", "NaN"])
def test_one_that_gives_other_numbers_is_never_used_again_and_told_once(device, monkeypatch, wrong):
    inputs, launch = given(33, 42), device.kernel.launch

    def otherwise(stream, grid, block, arguments):
        facts, out = arguments[4], arguments[3].value
        count = grid[2] * facts.rows * facts.columns * facts.channels
        there = np.ctypeslib.as_array((ctypes.c_uint16 * count).from_address(out)).view(np.float16)
        there[:] = 0
        if wrong != "nothing":
            launch(stream, grid, block, arguments)
            there[count // 2] = np.nan if wrong == "NaN" else there[count // 2] + 0.05

    monkeypatch.setattr(device.kernel, "launch", otherwise)
    want = torch_stem.step_by_step(*inputs)
    assert torch.equal(by_kernel(*inputs), want) and torch.equal(by_kernel(*inputs), want)
    other = given(35, 44)
    assert torch.equal(by_kernel(*other), torch_stem.step_by_step(*other))
    (said,) = device.log.messages
    assert said.startswith("cpu: our kernels in stem.cu are not used (when they were tried they gave other numbers")


@torch.inference_mode()
def test_one_that_is_wrong_for_one_kind_is_not_used_for_those_for_which_it_was_right(device, monkeypatch):
    """What is wrong there may be wrong here, too, seldom."""
    inputs, agree = given(33, 42), torch_stem._agree
    by_kernel(*inputs)
    monkeypatch.setattr(torch_stem._kernels, "_agree", lambda *given: agree(*given) and given[3] != 35)
    by_kernel(*given(35, 42))
    del device.kernel.launches[:]
    assert torch.equal(by_kernel(*inputs), torch_stem.step_by_step(*inputs))
    assert not device.kernel.launches and len(device.log.messages) == 1


@torch.inference_mode()
def test_nothing_is_said_where_a_gpu_is_too_old_for_it(device):
    device.capable = (7, 5)
    inputs = given(33, 42)
    for _ in range(2):
        assert torch.equal(by_kernel(*inputs), torch_stem.step_by_step(*inputs))
    assert not device.compiled and not device.log.messages and not device.kernel.launches


@torch.inference_mode()
@pytest.mark.parametrize("error", [ConfigError("does not compile"), RuntimeError("no room for so much memory")])
def test_where_it_cannot_be_had_that_is_said_once(device, monkeypatch, error):
    asked = []

    def module(*given):
        asked.append(given)
        raise error

    monkeypatch.setattr(torch_kernels, "Module", module)
    inputs = given(33, 42)
    for _ in range(2):
        assert torch.equal(by_kernel(*inputs), torch_stem.step_by_step(*inputs))
    assert len(asked) == 1 and not device.kernel.launches
    (said,) = device.log.messages
    assert said.startswith("cpu: our kernels in stem.cu are not used (") and str(error) in said


@torch.inference_mode()
def test_it_is_not_tried_while_a_graph_is_recorded_nor_given_up_for_want_of_memory(device, monkeypatch):
    inputs, agree = given(33, 42), torch_stem._agree
    device.capturing = True
    assert torch.equal(by_kernel(*inputs), torch_stem.step_by_step(*inputs))
    assert not device.kernel.launches
    device.capturing = False

    def full(*given):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch_stem._kernels, "_agree", full)
    with pytest.raises(torch.OutOfMemoryError):
        by_kernel(*inputs)
    monkeypatch.setattr(torch_stem._kernels, "_agree", agree)
    device.capturing = True
    assert torch.equal(by_kernel(*inputs), torch_stem.step_by_step(*inputs))  # it is compiled, and not tried
    device.capturing = False
    by_kernel(*inputs)
    device.capturing = True
    by_kernel(*inputs)
    assert torch.equal(by_kernel(*(other := given(35, 42))), torch_stem.step_by_step(*other))  # of another kind
    assert [count for count, *_ in device.kernel.launches] == [2, 1, 1]
    assert device.compiled == 1 and not device.log.messages


@torch.inference_mode()
def test_what_lies_otherwise_is_not_for_the_kernel(device):
    x, weight, bias = given(33, 42)
    other = [(x.contiguous(), weight, bias), (x, weight.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2), bias)]
    for inputs in other:
        assert torch.equal(by_kernel(*inputs), torch_stem.step_by_step(*inputs))
    assert not device.kernel.launches


class Layers(torch.nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = torch.nn.Sequential(*layers)

    def forward(self, x):
        return (self.layers(x),)


def targets(graph):
    return [node.target for node in graph.graph.nodes]


@torch.inference_mode()
@pytest.mark.parametrize("compiled", [False, True])
def test_the_first_layers_of_a_network_are_one_call(compiled):
    net, x = Layers(*layers(64), torch.nn.Conv2d(64, 8, 1).half()), pictures(2, 40, 64)
    fused = Fusion(net).of([x], compiled)
    assert targets(fused).count(stem) == 1 and fused.roomy == {0}
    assert not any("pool" in str(each) for each in targets(fused))
    want = net(x)[0].float()
    assert (fused(x)[0].float() - want).abs().max() <= 2e-3 * want.abs().max()


OTHERS = {
    "another pooling": [*layers(64)[:2], torch.nn.MaxPool2d(2, 2)],
    "few channels": layers(32),
    "another window": [torch.nn.Conv2d(3, 64, 5, 2, 2).half(), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2, 1)],
    "single precision": layers(64).float(),
    "not of pictures": [torch.nn.Identity(), torch.nn.Conv2d(3, 3, 1).half(), torch.nn.ReLU(), *layers(64)],
}


@torch.inference_mode()
@pytest.mark.parametrize("name", OTHERS)
def test_others_are_not(name):
    net, x = Layers(*OTHERS[name]), pictures(1, 40, 64)
    fused = Fusion(net).of([x.float() if "single" in name else x])
    assert fused is not None and stem not in targets(fused)


@torch.inference_mode()
def test_one_whose_convolution_others_read_is_not():
    class Both(Layers):
        def forward(self, x):
            y = self.layers[:2](x)
            return self.layers[2](y), y

    net, x = Both(*layers(64)), pictures(1, 40, 64)
    assert stem not in targets(Fusion(net).of([x]))
    odd = pictures(1, 40, 63)
    assert stem not in targets(Fusion(Layers(*layers(64))).of([odd]))


@torch.inference_mode()
@pytest.mark.parametrize("channels_last", [True, False])
def test_the_compiler_knows_what_it_makes(channels_last):
    x, weight, bias = whole(pictures(2, 41, 64)), packed(torch.zeros(64, 4, 7, 7).half()), torch.zeros(64).half()
    x = x if channels_last else x.contiguous()
    with torch._subclasses.FakeTensorMode() as fake:
        there = stem(*(fake.from_tensor(each) for each in (x, weight, bias)))
    real = stem(x, weight, bias)
    assert there.shape == real.shape and there.stride() == real.stride() and there.dtype == real.dtype
