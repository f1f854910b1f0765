"""A network to measure with: the work of a ResNet-18, and boxes that are known."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels and stride, two blocks of two convolutions each


def make_resnet(
    path: str | os.PathLike[str], boxes: int = 20, width: int = 960, height: int = 544, seed: int = 0
) -> str:
    """Write an ONNX detector: ResNet-18's convolutions with random weights, then the same boxes for every picture.

    Its output is end-to-end rows [N, boxes, 6] of x1 y1 x2 y2 score class; what the convolutions give is added with
    weight 0, so they are computed and change nothing. It wants RGB of 0..1. Returns the path.
    """
    from onnx import TensorProto, helper, numpy_helper

    rng, nodes, constants = np.random.default_rng(seed), [], []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def conv(name: str, given: str, have: int, want: int, size: int, stride: int, relu: bool = True) -> str:
        weights = rng.normal(0, (2 / (have * size * size)) ** 0.5, (want, have, size, size)).astype(np.float32)
        inputs = [given, constant(f"{name}/w", weights), constant(f"{name}/b", np.zeros(want, np.float32))]
        pads = [size // 2] * 4
        nodes.append(helper.make_node("Conv", inputs, [name], kernel_shape=[size] * 2, strides=[stride] * 2, pads=pads))
        if relu:
            nodes.append(helper.make_node("Relu", [name], [f"{name}/relu"]))
        return f"{name}/relu" if relu else name

    last = conv("stem", "images", 3, 64, 7, 2)
    nodes.append(helper.make_node("MaxPool", [last], ["pooled"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4))
    last, have = "pooled", 64
    for stage, (want, first) in enumerate(STAGES):
        for block in range(2):
            name, stride = f"s{stage}b{block}", first if block == 0 else 1
            inner = conv(f"{name}/2", conv(f"{name}/1", last, have, want, 3, stride), want, want, 3, 1, relu=False)
            short = conv(f"{name}/short", last, have, want, 1, stride, relu=False) if have != want else last
            nodes.append(helper.make_node("Add", [inner, short], [f"{name}/sum"]))
            nodes.append(helper.make_node("Relu", [f"{name}/sum"], [name]))
            last, have = name, want
    head = conv("head", last, have, 1, 1, 1, relu=False)
    nodes += [
        helper.make_node("GlobalAveragePool", [head], ["mean"]),
        helper.make_node("Mul", ["mean", constant("nothing", np.float32(0))], ["zero"]),
        helper.make_node("Reshape", ["zero", constant("shape", np.array([-1, 1, 1], np.int64))], ["zeros"]),
        helper.make_node("Add", ["zeros", constant("rows", _rows(boxes, width, height))], ["output"]),
    ]
    graph = helper.make_graph(
        nodes, "resnet18",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, height, width])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", boxes, 6])],
        constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with open(path, "wb") as file:
        file.write(model.SerializeToString())
    return os.fspath(path)


def _rows(boxes: int, width: int, height: int) -> Any:
    """[1, boxes, 6]: a grid of boxes that do not touch."""
    columns = int(np.ceil(np.sqrt(boxes)))
    rows = np.zeros((1, boxes, 6), np.float32)
    for number in range(boxes):
        x, y = (number % columns + 0.25) * width / columns, (number // columns + 0.25) * height / columns
        rows[0, number] = (x, y, x + width / columns / 2, y + height / columns / 2, 0.9, number % 3)
    return rows
