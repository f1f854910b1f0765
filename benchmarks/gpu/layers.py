"""What a network's layers take on the GPU, as PyTorch has them and as our runtime joins them; no decoding, no host.

    python benchmarks/gpu/layers.py --compiled --out results.jsonl

The networks are those of the whole application (nets.py, random weights, half precision) as CUDA graphs, replayed in
turn; the first layers alone; what the ways differ by in what they give. Prints one line of JSON for each figure:
microseconds a picture, and the rate as a multiple of that of the first way.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from common import BATCH, DEVICE, Out, guarded
from nets import Classifier, Detector

from millrace.cuda.context import gpu
from millrace.media import TensorInfo
from millrace.runtimes import torch_fused
from millrace.runtimes.torch_cuda import TorchRuntime
from millrace.runtimes.torch_pooling import max_pool
from millrace.runtimes.torch_stem import packed, stem

HEIGHT, WIDTH = 544, 960
ROUNDS, REPLAYS = 5, 10  # of each graph, in turn; in a row
WAYS = {  # what is left out of what the runtime joins
    "as it is": ("fuse", "pool_faster", "join_stem"),
    "fused": ("pool_faster", "join_stem"),
    "fused, pooling": ("join_stem",),
    "fused, pooling, stem": (),
}


class Whole(torch.nn.Module):  # type: ignore[misc]
    """A network, or of the detector only its maps, as runtimes want it: a tuple of outputs."""

    def __init__(self, net: Any, maps: bool = False) -> None:
        super().__init__()
        self.call = net.maps if maps else net
        self.net = net

    def forward(self, pictures: Any) -> tuple[Any]:
        return (self.call(pictures),)


@contextmanager
def without(names: tuple[str, ...]) -> Iterator[None]:
    """These steps of Fusion.of do nothing."""
    steps: Any = torch_fused  # whose names are other functions for a while
    kept = steps.pool_faster, steps.join_stem, steps.Fusion.of
    if "pool_faster" in names:
        steps.pool_faster = lambda graph: False
    if "join_stem" in names:
        steps.join_stem = lambda traced: None
    if "fuse" in names:
        steps.Fusion.of = lambda self, inputs, compiled=False: None
    try:
        yield
    finally:
        steps.pool_faster, steps.join_stem, steps.Fusion.of = kept


def runtime(net: Any, size: tuple[int, int], maps: bool = False) -> TorchRuntime:
    inputs = [TensorInfo("images", (None, 3, *size), "float16")]
    module = Whole(copy.deepcopy(net), maps)  # closing takes its weights
    return TorchRuntime(module, inputs, [TensorInfo("out", (None,), "float32")], {}, gpu(DEVICE))


def clock(calls: Mapping[str, Callable[[], Any]], pictures: int) -> dict[str, float]:
    """Microseconds a picture of each call, in turn; medians."""
    took: dict[str, list[float]] = {name: [] for name in calls}
    before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream), torch.inference_mode():
        for call in calls.values():
            call()
        for _ in range(ROUNDS):
            for name, call in calls.items():
                before.record(stream)
                for _ in range(REPLAYS):
                    call()
                after.record(stream)
                after.synchronize()
                took[name].append(before.elapsed_time(after) * 1000 / REPLAYS / pictures)
    return {name: statistics.median(each) for name, each in took.items()}


def told(out: Out, what: str, took: Mapping[str, float], **more: Any) -> None:
    first = next(iter(took.values()))
    for name, us in took.items():
        figures = {"us_a_picture": round(us, 2), "fps": round(1e6 / us), "of_the_first": round(first / us, 2)}
        out(what, way=name, **more, **figures)


def networks(out: Out, name: str, net: Any, size: tuple[int, int], batch: int, compiled: bool) -> None:
    made, graphs = [], {}
    for way, lacks in WAYS.items():
        made.append(runtime(net, size))
        with without(lacks):
            for each in (False, True) if compiled else (False,):
                graphs[way + ", compiled" * each] = made[-1].record(batch, each)
    calls: dict[str, Callable[[], Any]] = {way: captured.graph.replay for way, captured in graphs.items()}
    slot, flat = graphs["fused"].inputs[0], torch.rand((batch, 3, *size), device=DEVICE).half()
    calls["the copy into its input, where pictures are not prepared there"] = lambda: slot.copy_(flat)
    told(out, name, clock(calls, batch), batch=batch)
    for closing in made:
        closing.close()


def differences(out: Out, net: Any, compiled: bool) -> None:
    """Of the detector's maps for the same random pictures, from those of the network as it is."""
    pictures = torch.rand((8, 3, HEIGHT, WIDTH), device=DEVICE).half()
    found = {}
    for way, lacks in WAYS.items():
        made = runtime(net, (HEIGHT, WIDTH), maps=True)
        with without(lacks), torch.inference_mode():
            for each in (False, True) if compiled else (False,):
                captured = made.record(8, each)
                captured.inputs[0].copy_(pictures)
                torch.cuda.synchronize()
                captured.graph.replay()
                torch.cuda.synchronize()
                found[way + ", compiled" * each] = captured.outputs.tensors[0].float().clone()
        made.close()
    want = found.pop("as it is")
    for way, maps in found.items():
        difference = (maps - want).abs()
        largest, mean = float(difference.max()), float(difference.mean())
        out("differences of maps", way=way, largest=largest, mean=mean, mean_of_maps=float(want.abs().mean()))


def recorded(call: Callable[[], Any]) -> Callable[[], None]:
    """A call as a graph of its own."""
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream), torch.inference_mode():
        for _ in range(3):
            call()
        stream.synchronize()
        with torch.cuda.graph(graph, stream=stream):
            call()
    replay: Callable[[], None] = graph.replay
    return replay


def first_layers(out: Out) -> None:
    """A ResNet's, of a batch: by cuDNN, then PyTorch's pooling or ours; in one kernel."""
    x = torch.rand((BATCH, 4, HEIGHT, WIDTH), device=DEVICE).half().contiguous(memory_format=torch.channels_last)
    weight = packed((torch.randn((64, 4, 7, 7), device=DEVICE) / 12).half())
    bias = torch.randn(64, device=DEVICE).half() / 10
    plain = weight[:, :, 1:].permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
        layer = torch.cudnn_convolution_relu(x, plain, bias, (2, 2), (3, 3), (1, 1), 1)
        pool = ((3, 3), (2, 2), (1, 1))
        calls = {
            "convolution and ReLU by cuDNN": lambda: torch.cudnn_convolution_relu(
                x, plain, bias, (2, 2), (3, 3), (1, 1), 1
            ),
            "pooling by PyTorch": lambda: torch.nn.functional.max_pool2d(layer, *pool),
            "pooling by ours": lambda: max_pool(layer, *pool),
            "all in one kernel": lambda: stem(x, weight, bias),
        }
        torch.cuda.synchronize()
        told(out, "first layers", clock({name: recorded(call) for name, call in calls.items()}, BATCH), batch=BATCH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiled", action="store_true", help="also with torch.compile (a minute or two)")
    parser.add_argument("--out")
    arguments = parser.parse_args()
    out = Out(arguments.out)
    torch.manual_seed(1)
    out("machine", gpu=torch.cuda.get_device_name(0), torch=torch.__version__)
    detector, classifier = Detector().half().eval(), Classifier().half().eval()
    guarded(out, first_layers)
    for batch in (BATCH, 16, 8):
        guarded(out, networks, "detector", detector, (HEIGHT, WIDTH), batch, arguments.compiled)
    guarded(out, networks, "classifier", classifier, (224, 224), 16, arguments.compiled)
    guarded(out, differences, detector, arguments.compiled)


if __name__ == "__main__":
    main()
