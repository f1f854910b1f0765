"""ONNX Runtime's CUDA provider as we drive it, step by step, against the PyTorch runtime on the same ONNX file.

    python benchmarks/gpu/onnx_runtime.py --out results.jsonl --model yolox_nano_384x640_dynbatch.onnx

Prints one line of JSON for each figure, and for each network a table of ratios of one run. Batches of 32 that lie on
the GPU, results in pinned memory each time, at most three calls under way. Most of the time goes to cuDNN's search for
kernels: on an H200 8 to 12 s for each session of yolox-nano. `--every` adds the steps without graphs, with NHWC and
without the search.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import Any

import onnxruntime
from common import BATCH, DEVICE, Out, guarded
from parts import network_alone

from millrace.runtimes import onnx, torch

WITHOUT = {"graphs": False}
GRAPHS = {"graphs": [BATCH]}
HALF = {"precision": "float16"}
NHWC = {"provider_options": {"prefer_nhwc": 1}}
STEPS: list[tuple[str, Any, dict[str, Any], bool]] = [  # True: run without --every, too
    ("onnx float32", onnx, WITHOUT, False),
    ("onnx float32, NHWC", onnx, WITHOUT | NHWC, False),
    ("onnx float32, graphs", onnx, GRAPHS, True),
    ("onnx float32, graphs, not tuned", onnx, GRAPHS | {"tuned": False}, False),
    ("onnx float16", onnx, HALF | WITHOUT, False),
    ("onnx float16, NHWC", onnx, HALF | WITHOUT | NHWC, False),
    ("onnx float16, graphs", onnx, HALF | GRAPHS, True),
    ("onnx float16, NHWC, graphs", onnx, HALF | GRAPHS | NHWC, False),
    ("torch float32, graphs", torch, {"precision": "float32"} | GRAPHS, True),
    ("torch float16, graphs", torch, HALF | GRAPHS, True),
]


def resnet(path: Path) -> Path:
    """A detector on a whole ResNet-18 at 960x544 (nets.body), random weights, written as ONNX."""
    import torch as library
    from nets import body, fold

    library.manual_seed(0)
    net = library.nn.Sequential(fold(body()), library.nn.Conv2d(512, 15, 1)).eval()
    with warnings.catch_warnings():  # of the exporter's, about itself
        warnings.simplefilter("ignore")
        library.onnx.export(
            net, (library.zeros(1, 3, 544, 960),), str(path), input_names=["images"], output_names=["heads"],
            dynamic_axes={"images": {0: "n"}, "heads": {0: "n"}}, opset_version=17, dynamo=False,
        )  # fmt: skip
    return path


def step(out: Out, net: str, path: Path, name: str, kind: Any, options: dict[str, Any], rounds: int) -> float:
    runtime = kind.load(path, DEVICE, **options)
    try:
        return network_alone(out, f"{net}, {name}", runtime, rounds)
    finally:
        runtime.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--out")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--every", action="store_true", help="all steps (more than two minutes)")
    arguments = parser.parse_args()
    out = Out(arguments.out)
    out("machine", onnxruntime=onnxruntime.__version__, providers=onnxruntime.get_available_providers())
    with tempfile.TemporaryDirectory() as folder:
        nets = {"yolox-nano 640x384": Path(arguments.model), "resnet-18 960x544": resnet(Path(folder) / "resnet.onnx")}
        for net, path in nets.items():
            rates = {}
            for name, kind, options, always in STEPS:
                if always or arguments.every:
                    rates[name] = guarded(out, step, net, path, name, kind, options, arguments.rounds) or 0.0
            first, *_, last = (rate or float("inf") for rate in rates.values())  # inf: it failed
            for name, rate in rates.items():
                out("ratio", net=net, step=name, of_first=round(rate / first, 2), of_last=round(rate / last, 2))


if __name__ == "__main__":
    main()
