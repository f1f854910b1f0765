"""ONNX graphs as PyTorch operations against ONNX Runtime, on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.runtimes import onnx as ort

torch = pytest.importorskip("torch", reason="torch is an extra")
onnx = pytest.importorskip("onnx", reason="onnx is an extra")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from millrace.runtimes.onnx_graph import Graph  # noqa: E402


def build(path, nodes, shape, constants=()):
    """A model from `x` to `y`; saved, and loaded again."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    initial = [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], initial), opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    )
    onnx.save(model, str(path))
    return model


def both(path, nodes, shape, constants=()):
    model = build(path, nodes, shape, constants)
    x = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    with torch.inference_mode():
        (got,) = Graph(model, torch.float32)(torch.from_numpy(x))
    runtime = ort.load(path)
    want = runtime.run({"x": x})["y"]
    runtime.close()
    return got.numpy(), want


def node(kind, inputs, **attributes):
    return helper.make_node(kind, ["x", *inputs], ["y"], **attributes)


F32, I64 = np.float32, np.int64
RNG = np.random.default_rng(3)
CASES = {
    "conv, uneven pads": (node("Conv", ["w"], pads=[0, 1, 1, 0], strides=[2, 2]), {"w": RNG.normal(size=(4, 6, 3, 3))}),
    "conv, groups": (node("Conv", ["w", "b"], group=3, pads=[1, 1, 1, 1]),
                     {"w": RNG.normal(size=(6, 2, 3, 3)), "b": RNG.normal(size=6)}),
    "max pool": (node("MaxPool", [], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), {}),
    "max pool, uneven pads": (node("MaxPool", [], kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 1]), {}),
    "average pool": (node("AveragePool", [], kernel_shape=[2, 2], strides=[2, 2]), {}),
    "resize nearest": (node("Resize", ["", "s"], mode="nearest"), {"s": np.array([1, 1, 2, 2], F32)}),
    "resize linear": (node("Resize", ["", "s"], mode="linear"), {"s": np.array([1, 1, 2, 3], F32)}),
    "slice with steps": (node("Slice", ["a", "b", "c", "d"]),
                         {"a": np.array([1, 0]), "b": np.array([2**40, 7]), "c": np.array([2, 3]),
                          "d": np.array([2, 3])}),
    "reshape with 0 and -1": (node("Reshape", ["s"]), {"s": np.array([0, 2, -1])}),
    "transpose": (node("Transpose", [], perm=[0, 2, 3, 1]), {}),
    "clip": (node("Clip", ["a", "b"]), {"a": np.array(-0.5, F32), "b": np.array(0.5, F32)}),
    "softmax": (node("Softmax", [], axis=1), {}),
    "gather": (node("Gather", ["i"], axis=1), {"i": np.array([[4, 0], [2, 2]])}),
    "reduce max": (node("ReduceMax", [], axes=[1], keepdims=0), {}),
    "mean of planes": (node("GlobalAveragePool", []), {}),
    "times a column": (node("Mul", ["w"]), {"w": RNG.normal(size=(6, 1, 1))}),
    "expand": (node("Expand", ["s"]), {"s": np.array([3, 1, 1, 1, 9])}),
    "gather elements": (node("GatherElements", ["i"], axis=3), {"i": RNG.integers(0, 9, (2, 6, 8, 4))}),
    "leaky": (node("LeakyRelu", [], alpha=0.2), {}),
    "batch norm": (node("BatchNormalization", ["s", "b", "m", "v"]),
                   {"s": RNG.random(6), "b": RNG.random(6), "m": RNG.random(6), "v": RNG.random(6) + 0.1}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_operator_gives_what_onnx_runtime_gives(tmp_path, name):
    one, constants = CASES[name]
    typed = {k: v.astype(F32 if v.dtype == np.float64 else v.dtype) for k, v in constants.items()}
    got, want = both(tmp_path / "m.onnx", [one], [2, 6, 8, 9], typed)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_the_largest_rows_and_where_they_were(tmp_path):
    nodes = [
        helper.make_node("TopK", ["x", "k"], ["values", "where"], axis=1),
        helper.make_node("Cast", ["where"], ["places"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["values", "places"], ["y"], axis=1),
    ]
    got, want = both(tmp_path / "m.onnx", nodes, [2, 6, 4], {"k": np.array([3])})
    np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize("kind", ["Greater", "Less", "Equal"])
def test_comparisons(tmp_path, kind):
    nodes = [
        helper.make_node(kind, ["x", "limit"], ["truth"]),
        helper.make_node("Cast", ["truth"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ArgMax", ["x"], ["where"], axis=1, keepdims=1),
        helper.make_node("Cast", ["where"], ["places"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["numbers", "places"], ["y"], axis=1),
    ]
    got, want = both(tmp_path / "m.onnx", nodes, [2, 6, 4], {"limit": np.array([[[0.1]]], F32)})
    np.testing.assert_array_equal(got, want)


def test_x_times_its_sigmoid_becomes_one_step(tmp_path):
    nodes = [helper.make_node("Sigmoid", ["x"], ["s"]), helper.make_node("Mul", ["s", "x"], ["y"])]
    model = build(tmp_path / "m.onnx", nodes, [1, 4])
    assert len(Graph(model, torch.float32).steps) == 1
    got, want = both(tmp_path / "m.onnx", nodes, [1, 4])
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_a_sigmoid_that_others_read_stays(tmp_path):
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["s"]),
        helper.make_node("Mul", ["s", "x"], ["m"]),
        helper.make_node("Add", ["m", "s"], ["y"]),
    ]
    got, want = both(tmp_path / "m.onnx", nodes, [2, 4])
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_half_precision_keeps_weights_in_half_and_results_too(tmp_path):
    constants = {"w": RNG.normal(size=(4, 6, 3, 3)).astype(F32), "c": np.array([2.0], F32)}
    nodes = [helper.make_node("Conv", ["x", "w"], ["k"]), helper.make_node("Mul", ["k", "c"], ["y"])]
    graph = Graph(build(tmp_path / "m.onnx", nodes, [1, 6, 8, 8], constants), torch.bfloat16)
    with torch.inference_mode():
        (out,) = graph(torch.zeros(1, 6, 8, 8, dtype=torch.bfloat16))
    assert out.dtype == torch.bfloat16


def test_what_is_not_known_is_named(tmp_path):
    model = build(tmp_path / "m.onnx", [node("Hardmax", [])], [1, 4])
    with pytest.raises(ValueError, match="operators Hardmax are not known to the PyTorch runtime"):
        Graph(model, torch.float32)


def test_a_shape_that_depends_on_the_data_is_refused(tmp_path):
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Reshape", ["x", "r"], ["y"])]
    with pytest.raises(ValueError, match="r is a shape that depends on the data"):
        Graph(build(tmp_path / "m.onnx", nodes, [1, 4]), torch.float32)


@pytest.mark.parametrize("name", ["detect/yolox_nano_416.onnx", "detect/nanodet_m_416.onnx"])
def test_real_detectors(data, name):
    path = data / "models" / name
    graph, runtime = Graph(onnx.load(str(path)), torch.float32), ort.load(path)
    shape = [n or 1 for n in runtime.inputs[0].shape]
    x = np.random.default_rng(1).random(shape, np.float32) * 255
    with torch.inference_mode():
        got = graph(torch.from_numpy(x))
    want = runtime.run({runtime.inputs[0].name: x})
    runtime.close()
    for result, expected in zip(got, want.values(), strict=True):
        assert np.linalg.norm(result.numpy() - expected) <= 1e-4 * np.linalg.norm(expected)
