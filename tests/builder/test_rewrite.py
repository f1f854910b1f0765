"""Rewritten graphs give the same numbers."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from millrace.builder.rewrite import unfocus
from millrace.engines import Engine


def make(path, gather="slices", order=((0, 0), (1, 0), (0, 1), (1, 1)), kernel=3, pads=(1, 1, 1, 1), **conv):
    """A focus (as slices, one slice of both axes, or SpaceToDepth), a convolution and a Relu."""
    random = np.random.default_rng(4)
    weights = random.normal(0, 0.3, (5, 12 // conv.get("group", 1), kernel, kernel)).astype(np.float32)
    constants = {"w": weights, "b": random.normal(0, 1, 5).astype(np.float32)}
    nodes, parts = [], []
    for number, (row, column) in enumerate(order if gather != "depth" else ()):
        end = np.array([2**63 - 1])
        if gather == "slices":
            for name, begin, axis, source in (("r", row, 2, "images"), ("c", column, 3, f"r{number}")):
                constants |= {f"{name}s{number}": np.array([begin]), f"{name}a{number}": np.array([axis])}
                inputs = [source, f"{name}s{number}", "end", f"{name}a{number}", "step"]
                nodes.append(helper.make_node("Slice", inputs, [f"{name}{number}"]))
            constants |= {"end": end, "step": np.array([2])}
            parts.append(f"c{number}")
        else:
            constants |= {f"s{number}": np.array([row, column]), "end": np.repeat(end, 2), "axes": np.array([2, 3])}
            constants["step"] = np.array([2, 2])
            nodes.append(helper.make_node("Slice", ["images", f"s{number}", "end", "axes", "step"], [f"p{number}"]))
            parts.append(f"p{number}")
    if gather == "depth":
        nodes.append(helper.make_node("SpaceToDepth", ["images"], ["focus"], blocksize=2))
    else:
        nodes.append(helper.make_node("Concat", parts, ["focus"], axis=1))
    nodes.append(helper.make_node("Conv", ["focus", "w", "b"], ["conv"], pads=list(pads), **conv))
    nodes.append(helper.make_node("Relu", ["conv"], ["out"]))
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 16, 24])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path


def answer(model):
    picture = np.random.default_rng(1).random((1, 3, 16, 24), np.float32)
    with closing(Engine("onnx", {"parallel": 1}).load(model)) as runtime:
        return runtime.run({"images": picture})["out"]


@pytest.mark.parametrize("gather", ["slices", "both", "depth"])
@pytest.mark.parametrize(("kernel", "pads"), [(3, (1, 1, 1, 1)), (1, (0, 0, 0, 0)), (3, (0, 1, 1, 0))])
def test_a_focus_is_folded_and_the_numbers_stay(tmp_path, gather, kernel, pads):
    model = make(tmp_path / "m.onnx", gather, kernel=kernel, pads=pads)
    assert unfocus(model, tmp_path / "n.onnx")
    np.testing.assert_allclose(answer(tmp_path / "n.onnx"), answer(model), atol=2e-6)
    graph = onnx.load(str(tmp_path / "n.onnx")).graph
    assert [node.op_type for node in graph.node] == ["Conv", "Relu"] and len(graph.initializer) == 2


def test_another_order_of_the_phases(tmp_path):
    model = make(tmp_path / "m.onnx", order=((1, 1), (0, 0), (1, 0), (0, 1)))
    assert unfocus(model, tmp_path / "n.onnx")
    np.testing.assert_allclose(answer(tmp_path / "n.onnx"), answer(model), atol=2e-6)


@pytest.mark.parametrize(
    "other",
    [
        {"strides": [2, 2]},
        {"dilations": [2, 2]},
        {"order": ((0, 0), (0, 0), (0, 1), (1, 1))},
    ],
)
def test_what_is_no_focus_is_left_alone(tmp_path, other):
    model = make(tmp_path / "m.onnx", **other)
    assert not unfocus(model, tmp_path / "n.onnx")
    assert not (tmp_path / "n.onnx").exists()


def test_yolox_keeps_its_answers(corpus, tmp_path):
    model = corpus / "models/detect/yolox_nano_416.onnx"
    assert unfocus(model, tmp_path / "n.onnx")
    picture = {"images": np.random.default_rng(1).random((1, 3, 416, 416), np.float32) * 255}
    answers = []
    for path in (model, tmp_path / "n.onnx"):
        with closing(Engine("onnx", {"parallel": 1}).load(path)) as runtime:
            answers.append(runtime.run(picture)["output"])
    np.testing.assert_allclose(*answers, atol=1e-3)
