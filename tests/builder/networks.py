"""Small networks with weights, for tests that quantise and measure."""

from __future__ import annotations

import numpy as np


def make_classifier(path, size=16, classes=4, harm=False, seed=3, opset=13, attributes=False):
    """Write a network of two convolutions and a softmax (or sigmoid) of [1, classes]; returns the path.

    `harm`: the weights of its second convolution span five orders of magnitude within a channel, so INT8 ruins it.
    """
    from onnx import TensorProto, checker, helper, numpy_helper, save

    random = np.random.default_rng(seed)
    first = random.normal(0, 0.4, (8, 3, 3, 3)).astype(np.float32)
    second = random.normal(0, 0.4, (classes, 8, 3, 3)).astype(np.float32)
    if harm:
        second[:, 0, 0, 0] = 3e4
        first[0] = 0.0
    nodes = [
        helper.make_node("Conv", ["images", "w1"], ["c1"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "relu"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "second", pads=[1, 1, 1, 1]),
        helper.make_node("ReduceMean", ["c2"], ["m"], "mean", axes=[2, 3], keepdims=0),
        helper.make_node("Sigmoid" if attributes else "Softmax", ["m"], ["scores"], "last"),
    ]
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, size, size])]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, classes])]
    weights = [numpy_helper.from_array(first, "w1"), numpy_helper.from_array(second, "w2")]
    graph = helper.make_graph(nodes, "classifier", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    checker.check_model(model)
    save(model, str(path))
    return path


def pictures(count=24, size=16, seed=5):
    """Inputs [1, 3, size, size] of 0..1."""
    random = np.random.default_rng(seed)
    return [random.random((1, 3, size, size), np.float32) for _ in range(count)]


def make_cancelling(path, size=16, layers=12):
    """A network whose first layer adds 1000 times the first colour to the second, and whose second takes it off again.

    In BF16 little is left of the second colour between the two; the layers after them only average. Output: [1, 4].
    """
    from onnx import TensorProto, helper, numpy_helper, save

    first = np.zeros((2, 3, 1, 1), np.float32)
    first[:, 0], first[1, 1] = 1000.0, 1.0
    second = np.array([[-1.0, 1.0], [0.0, 0.001]], np.float32).reshape(2, 2, 1, 1)
    weights = [first, second, *(np.full((2, 2, 3, 3), 1 / 18, np.float32) for _ in range(layers - 2))]
    weights[-1] = np.random.default_rng(1).normal(0, 0.5, (4, 2, 3, 3)).astype(np.float32)
    nodes, name = [], "images"
    for number, each in enumerate(weights):
        pad = [each.shape[-1] // 2] * 4
        nodes.append(helper.make_node("Conv", [name, f"w{number}"], [f"c{number}"], f"conv{number}", pads=pad))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"], f"relu{number}"))
        name = f"r{number}"
    nodes.append(helper.make_node("ReduceMean", [name], ["values"], "mean", axes=[2, 3], keepdims=0))
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, size, size])]
    outputs = [helper.make_tensor_value_info("values", TensorProto.FLOAT, [1, 4])]
    initial = [numpy_helper.from_array(each, f"w{number}") for number, each in enumerate(weights)]
    graph = helper.make_graph(nodes, "cancelling", inputs, outputs, initial)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path
