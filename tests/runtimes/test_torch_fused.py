"""Fused convolutions give what the network gives; on a GPU: tests/gpu/test_torch_fused.py."""

from __future__ import annotations

import random

import pytest

torch = pytest.importorskip("torch", reason="needs millrace[torch]")

from made_on_cpu import NoMeeting, moves  # noqa: E402

from millrace.runtimes.torch_constants import Constants  # noqa: E402
from millrace.runtimes.torch_convolution import convolution_relu as FUSED  # noqa: E402, N812
from millrace.runtimes.torch_fused import Fusion, roomy  # noqa: E402
from millrace.runtimes.torch_program import quiet  # noqa: E402


def filled(module):
    """With numbers in its normalisations that are not those of a new one."""
    generator = torch.Generator().manual_seed(1)
    for each in module.modules():
        if isinstance(each, torch.nn.BatchNorm2d):
            each.running_mean.normal_(generator=generator)
            each.running_var.uniform_(0.5, 2, generator=generator)
            each.weight.data.normal_(generator=generator)
            each.bias.data.normal_(generator=generator)
    return module.eval()


class Block(torch.nn.Module):
    def __init__(self, into, out, stride):
        super().__init__()
        conv, norm = torch.nn.Conv2d, torch.nn.BatchNorm2d
        self.first, self.second = conv(into, out, 3, stride, 1, bias=False), conv(out, out, 3, 1, 1, bias=False)
        self.norms = torch.nn.ModuleList([norm(out), norm(out)])
        self.relu = torch.nn.ReLU(inplace=True)
        self.shorter = torch.nn.Sequential(conv(into, out, 1, stride), norm(out)) if stride > 1 else torch.nn.Identity()

    def forward(self, x):
        y = self.norms[1](self.second(self.relu(self.norms[0](self.first(x)))))
        y += self.shorter(x)
        return self.relu(y)


class Residual(torch.nn.Module):
    """A small network of ResNet's kind: 7 convolutions with a ReLU, one without."""

    def __init__(self):
        super().__init__()
        stem = (torch.nn.Conv2d(3, 8, 7, 2, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2, 1))
        self.body = torch.nn.Sequential(*stem, Block(8, 8, 1), Block(8, 16, 2), Block(16, 16, 1))

    def forward(self, pictures):
        return (self.body(pictures),)


def targets(graph):
    return [node.target for node in graph.graph.nodes]


def pictures(count=2, kind=torch.float32):
    return torch.rand((count, 3, 32, 48), generator=torch.Generator().manual_seed(3)).to(kind)


@torch.inference_mode()
def test_a_residual_network_is_one_call_for_each_convolution_with_a_relu():
    net, x = filled(Residual()), pictures()
    fused = Fusion(net).of([x])
    kinds = targets(fused)
    assert kinds.count(FUSED) == 7
    assert not {"relu", "relu_", "add_", "native_batch_norm"} & {
        str(each).split(".")[-2] for each in kinds if "." in str(each)
    }
    want = net(x)[0]
    assert torch.allclose(fused(x)[0], want, rtol=1e-5, atol=1e-5 * float(want.abs().max()))


@torch.inference_mode()
def test_batch_sizes_share_the_weights_that_were_changed():
    fusion = Fusion(filled(Residual()))
    one, two = fusion.of([pictures(1)]), fusion.of([pictures(2)])
    shared = {value.data_ptr() for value in one.buffers()} & {value.data_ptr() for value in two.buffers()}
    assert len(shared) >= 13  # 7 weights and 6 biases; a bias that took in another's is made anew


class Twice(torch.nn.Module):
    """One convolution, used twice."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return (self.conv(self.conv(x).relu()).relu(),)


@torch.inference_mode()
def test_a_convolution_that_is_used_twice():
    net, x = Twice(), pictures()
    fused = Fusion(net).of([x])
    assert targets(fused).count(FUSED) == 2
    assert torch.allclose(fused(x)[0], net(x)[0], rtol=1e-5, atol=1e-6)
    assert len(list(fused.buffers())) == 2


class Case(torch.nn.Module):
    """A convolution, and what a function makes of it."""

    def __init__(self, then, **settings):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 3, padding=1, **settings)
        self.norm = torch.nn.BatchNorm2d(3)
        self.register_buffer("scale", torch.tensor([1.5, 2.0, 3.0])[:, None, None])
        self.register_buffer("columns", torch.arange(48.0))
        self.then = then

    def forward(self, x):
        return (self.then(self, x),)


def read_twice(net, x):
    y = net.conv(x)
    return y.relu() + y


def written_over(net, x):
    x = x * 1
    y = net.conv(x)
    x.mul_(2)
    return y.relu() + x


def into_what_others_read(net, x):
    z = x * 1
    view = z[:, :1]
    z += net.conv(x)
    return z.relu() * view


def training(net, x):
    return torch.nn.functional.batch_norm(net.conv(x), None, None, training=True).relu()


def frozen(net, x):
    """As detectors' backbones have it, whose normalisations are not trained on."""
    scale = net.norm.weight.reshape(1, -1, 1, 1) * (net.norm.running_var.reshape(1, -1, 1, 1) + 1e-5).rsqrt()
    return (
        net.conv(x) * scale + (net.norm.bias.reshape(1, -1, 1, 1) - net.norm.running_mean.reshape(1, -1, 1, 1) * scale)
    ).relu()


def inferring(net, x):
    """The normalisation as PyTorch 2.6 writes it down."""
    norm = net.norm
    facts = norm.weight, norm.bias, norm.running_mean, norm.running_var, 0.1, norm.eps
    return torch.ops.aten._native_batch_norm_legit_no_training(net.conv(x), *facts)[0].relu()


NOT_FUSED = {
    "read twice": read_twice,
    "its input written over": written_over,
    "added in place to what others read": into_what_others_read,
    "normalised by its own numbers": training,
    "a sum of other shapes": lambda net, x: (net.conv(x) + x[:, :1]).relu(),
    "a sum with a factor": lambda net, x: torch.add(net.conv(x), x, alpha=2).relu(),
    "a sum with as many numbers as columns": lambda net, x: (net.conv(x) + net.columns).relu(),
    "a product with what comes in": lambda net, x: (net.conv(x) * x.mean()).relu(),
    "a type that changes": lambda net, x: (net.conv(x) * net.scale.double()).relu(),
    "twice itself": lambda net, x: (lambda y: (y + y).relu())(net.conv(x)),
    "weights that are computed": lambda net, x: torch.nn.functional.conv2d(x, net.conv.weight * x.mean(), None).relu(),
    "no relu": lambda net, x: net.conv(x).sigmoid(),
    "no convolution": lambda net, x: x.relu(),
}
FUSED_CASES = {
    "a relu": lambda net, x: net.conv(x).relu(),
    "a normalisation": lambda net, x: net.norm(net.conv(x)).relu_(),
    "a normalisation of another name": inferring,
    "a sum": lambda net, x: (net.conv(x) + x).relu(),
    "a sum the other way round": lambda net, x: torch.relu(x + net.norm(net.conv(x))),
    "a sum in place": lambda net, x: net.conv(x).add_(x).relu_(),
    "a number added": lambda net, x: (net.conv(x) + 1).relu(),
    "fixed numbers": lambda net, x: (2 * net.norm(net.conv(x) * net.scale) + (net.scale - 1).sqrt().neg()).relu(),
    "a normalisation in fixed numbers": frozen,
    "fixed numbers in place": lambda net, x: net.conv(x).mul_(net.scale).add_(0.5).relu_(),
    "weights that follow from others": lambda net, x: torch.nn.functional.conv2d(x, net.conv.weight * 2, None).relu(),
    "two convolutions": lambda net, x: (net.conv(x) + net.norm(net.conv(x * 2))).relu(),
}


@torch.inference_mode()
@pytest.mark.parametrize("name", NOT_FUSED)
def test_what_is_not_the_same_stays_as_it_is(name):
    assert Fusion(filled(Case(NOT_FUSED[name]))).of([pictures()]) is None


@torch.inference_mode()
@pytest.mark.parametrize("settings", [{"groups": 3}, {"dtype": torch.float64}])
def test_convolutions_that_pytorch_does_better_or_cudnn_not_at_all_stay(settings):
    net = Case(FUSED_CASES["a relu"], **settings)
    assert Fusion(net).of([pictures(kind=settings.get("dtype", torch.float32))]) is None


@torch.inference_mode()
@pytest.mark.parametrize("name", FUSED_CASES)
def test_what_is_fused_gives_the_same(name):
    net, x = filled(Case(FUSED_CASES[name])), pictures()
    fused = Fusion(net).of([x])
    assert targets(fused).count(FUSED) == 1
    assert torch.allclose(fused(x)[0], net(x)[0], rtol=1e-5, atol=1e-5)


class Random(torch.nn.Module):
    """Any of the steps, of any of the results so far."""

    def __init__(self, seed):
        super().__init__()
        self.seed = seed
        self.convs = torch.nn.ModuleList(torch.nn.Conv2d(3, 3, 3, padding=1, bias=n % 2 == 0) for n in range(6))
        self.norms = torch.nn.ModuleList(torch.nn.BatchNorm2d(3) for _ in range(3))

    def forward(self, x):
        chance = random.Random(self.seed)
        steps = [
            lambda a, b: chance.choice(self.convs)(a),
            lambda a, b: chance.choice(self.norms)(a),
            lambda a, b: a.relu(),
            lambda a, b: a.relu_(),
            lambda a, b: a + b,
            lambda a, b: a.add_(b),
            lambda a, b: a[:, :1] * b,
        ]
        values = [x * 1]
        for _ in range(14):
            # the last result mostly, else nothing follows anything
            one, two = (values[-1] if chance.random() < 0.7 else chance.choice(values) for _ in range(2))
            values.append(chance.choices(steps, (4, 2, 3, 2, 2, 2, 1))[0](one, two))
        return (sum(values),)


@torch.inference_mode()
def test_any_network_gives_the_same_fused():
    x, count = pictures(1), 0
    for seed in range(150):
        net = filled(Random(seed))
        fused = Fusion(net).of([x])
        if fused is not None:
            count += 1
            want = net(x)[0]
            assert torch.allclose(fused(x)[0], want, rtol=1e-4, atol=1e-5 * float(want.abs().max())), seed
    assert count > 30


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["script", "export"])
def test_networks_from_files_of_pytorchs(kind):
    net, x = filled(Residual()), pictures()
    with quiet(), torch.no_grad():
        free = ({0: torch.export.Dim("n", min=1, max=8)},)
        made = (
            torch.jit.trace(net, x)
            if kind == "script"
            else torch.export.export(net, (x,), dynamic_shapes=free).module()
        )
    fused = Fusion(made).of([x])
    assert targets(fused).count(FUSED) == 7
    assert torch.allclose(fused(x)[0], net(x)[0], rtol=1e-5, atol=1e-4)


@torch.inference_mode()
def test_half_precision_pictures_have_room_for_a_fourth_channel():
    net, x = filled(Residual()).half().to(memory_format=torch.channels_last), pictures(kind=torch.float16)
    fused = Fusion(net).of([x])
    assert fused.roomy == {0}
    slot = roomy(x)
    assert slot.shape == x.shape and slot.stride(3) == 4
    slot.copy_(x)
    want = net(x)[0].float()
    assert torch.allclose(fused(slot)[0].float(), want, rtol=0.02, atol=0.02 * float(want.abs().max()))
    assert Fusion(filled(Residual())).of([pictures()]).roomy == set()


class Mover(torch.nn.Module):
    """Makes numbers on the CPU, too."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return (self.conv(x).relu(), *moves(x[0, 0, 0]))


@torch.inference_mode()
def test_what_a_network_makes_on_the_cpu_is_kept_on_the_device():
    """As long as the network has run once before. `meta` stands for a GPU."""
    net, x, constants = Mover().to("meta"), torch.zeros(1, 3, 8, 8, device="meta"), Constants()
    with constants:
        net(x)
        fused = Fusion(net).of([x])
    assert targets(fused).count(FUSED) == 1
    with NoMeeting(), constants:
        assert {each.device.type for each in fused(x)} == {"meta"}


@torch.inference_mode()
def test_a_network_that_cannot_be_written_down_stays_as_it_is():
    def looks(net, x):
        return net.conv(x).relu() if float(x.mean()) > 0 else x

    with pytest.raises(RuntimeError):
        torch.fx.experimental.proxy_tensor.make_fx(Case(looks))(pictures())
    assert Fusion(Case(looks)).of([pictures()]) is None


REAL = {"ultraface_rfb_320": 19, "FastestDet": 39, "osnet_x0_25_msmt17": 40, "ppocr_v3_det": 15}


@pytest.mark.parametrize(("name", "count"), REAL.items())
def test_real_networks_give_the_same_fused(corpus, name, count):
    onnx = pytest.importorskip("onnx")
    from millrace.runtimes import onnx_graph

    (path,) = corpus.glob(f"models/**/{name}.onnx")
    model = onnx.load(path)
    net = onnx_graph.Graph(model, torch.float32).eval()
    (info,) = onnx_graph.tensor_infos(model.graph.input, net.constants, {})
    x = torch.rand([1 if size is None else size for size in info.shape])
    with torch.inference_mode():
        fused = Fusion(net).of([x])
        assert targets(fused).count(FUSED) == count
        for got, want in zip(fused(x), net(x), strict=True):
            assert torch.allclose(got, want, rtol=1e-4, atol=1e-4 * float(want.abs().max()))


def test_where_memory_is_full_nothing_is_settled():
    """Else a batch for which there was room later would stay as it is for good."""

    class Full(Residual):
        def forward(self, pictures):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        Fusion(Full()).of([torch.rand(1, 3, 64, 64)])
