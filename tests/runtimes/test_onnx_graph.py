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
    "conv, pads by size": (node("Conv", ["w"], auto_pad="SAME_LOWER", strides=[2, 2]),
                           {"w": RNG.normal(size=(4, 6, 3, 4))}),
    "transposed conv": (node("ConvTranspose", ["w", "b"], strides=[2, 2], pads=[0, 1, 1, 1], output_padding=[1, 0]),
                        {"w": RNG.normal(size=(6, 5, 3, 3)), "b": RNG.normal(size=5)}),
    "average pool, uneven pads": (node("AveragePool", [], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]), {}),
    "average pool, pads that count": (node("AveragePool", [], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 1, 1, 1],
                                           count_include_pad=1), {}),
    "resize linear, from the corner": (node("Resize", ["", "s"], mode="linear",
                                            coordinate_transformation_mode="asymmetric"),
                                       {"s": np.array([1, 1, 2.5, 3], F32)}),
    "resize nearest, odd factors": (node("Resize", ["", "", "z"], mode="nearest", nearest_mode="ceil"),
                                    {"z": np.array([2, 6, 13, 5])}),
    "resize of the last axes but one": (node("Resize", ["", "s"], mode="linear"), {"s": np.array([1, 1.5, 2, 1], F32)}),
    "resize cubic": (node("Resize", ["", "s"], mode="cubic"), {"s": np.array([1, 1, 2, 2], F32)}),
    "space to depth": (helper.make_node("SpaceToDepth", ["p"], ["y"], blocksize=2),
                       {"p": RNG.normal(size=(1, 3, 4, 6))}),
    "depth to space": (helper.make_node("DepthToSpace", ["p"], ["y"], blocksize=2),
                       {"p": RNG.normal(size=(1, 8, 4, 6))}),
    "depth to space, columns first": (helper.make_node("DepthToSpace", ["p"], ["y"], blocksize=2, mode="CRD"),
                                      {"p": RNG.normal(size=(1, 8, 4, 6))}),
    "instance norm": (node("InstanceNormalization", ["s", "b"]), {"s": RNG.random(6), "b": RNG.random(6)}),
    "lp norm": (node("LpNormalization", [], axis=1), {}),
    "lrn": (node("LRN", [], size=3, alpha=0.1), {}),
    "pad, mirrored": (node("Pad", ["p"], mode="reflect"), {"p": np.array([0, 0, 1, 2, 0, 0, 0, 1])}),
    "pad with a number": (node("Pad", ["p", "v"]), {"p": np.array([0, 1, 0, 0, 0, 0, 0, 2]), "v": np.array(3.0, F32)}),
    "slice backwards": (node("Slice", ["a", "b", "c", "d"]), {"a": np.array([-1]), "b": np.array([-(2**40)]),
                                                             "c": np.array([3]), "d": np.array([-2])}),
    "gather from the end": (node("Gather", ["i"], axis=-1), {"i": np.array([-1, 0])}),
    "gather nd": (node("GatherND", ["i"], batch_dims=1), {"i": RNG.integers(0, 6, (2, 3, 1))}),
    "scatter nd": (node("ScatterND", ["i", "u"]),
                   {"i": np.array([[0, 1], [1, 5]]), "u": RNG.normal(size=(2, 8, 9))}),
    "scatter elements": (node("ScatterElements", ["i", "u"], axis=1),
                         {"i": np.array([[[[2]]]]), "u": np.array([[[[5.0]]]])}),
    "mean of squares": (node("ReduceL2", [], axes=[1, 2]), {}),
    "product": (node("ReduceProd", [], axes=[-1], keepdims=0), {}),
    "sums up to each": (node("CumSum", ["i"], exclusive=1, reverse=1), {"i": np.array(2)}),
    "softplus": (node("Softplus", []), {}), "erf": (node("Erf", []), {}), "elu": (node("Elu", [], alpha=0.5), {}),
    "round": (node("Round", []), {}), "mean": (node("Mean", ["w"]), {"w": RNG.normal(size=(6, 1, 1))}),
    "most of three": (node("Max", ["w", "v"]), {"w": RNG.normal(size=(6, 1, 1)), "v": np.array(0.2, F32)}),
    "prelu": (node("PRelu", ["w"]), {"w": RNG.random((6, 1, 1))}),
    "einsum": (node("Einsum", ["w"], equation="nchw,dc->ndhw"), {"w": RNG.normal(size=(4, 6))}),
    "log softmax": (node("LogSoftmax", [], axis=2), {}),
    "tile": (node("Tile", ["r"]), {"r": np.array([1, 2, 1, 1])}),
    "flatten at the end": (node("Flatten", [], axis=-1), {}),
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


def shaped(*more):
    """Nodes that build a grid of the input's own size: [n, 6, 8, 9] + 0 … 8, and what `more` makes of `grid`."""
    return [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "last"], ["width"], axis=0),
        helper.make_node("Range", ["nought", "width", "one"], ["steps"]),
        helper.make_node("Cast", ["steps"], ["columns"], to=TensorProto.FLOAT),
        helper.make_node("ConstantOfShape", ["shape"], ["halves"],
                         value=numpy_helper.from_array(np.array([0.5], F32))),
        helper.make_node("Add", ["halves", "columns"], ["grid"]),
        *more,
    ]  # fmt: skip


SIZES = {"last": np.array(3), "nought": np.array(0), "one": np.array(1)}


def test_what_follows_from_fixed_shapes_is_computed_once(tmp_path):
    nodes = shaped(helper.make_node("Mul", ["x", "grid"], ["y"]))
    got, want = both(tmp_path / "m.onnx", nodes, [2, 6, 8, 9], SIZES)
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert len(Graph(build(tmp_path / "m.onnx", nodes, [2, 6, 8, 9], SIZES), torch.float32).steps) == 1


def test_what_follows_from_a_free_batch_is_computed_at_each_call(tmp_path):
    """The shape, sizes cut from it, a reshape by them and a grid: as exporters write anchors."""
    nodes = shaped(
        helper.make_node("Mul", ["x", "grid"], ["product"]),
        helper.make_node("Slice", ["shape", "nought1", "one1"], ["batch"]),
        helper.make_node("Concat", ["batch", "rest"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["product", "wanted"], ["y"]),
    )
    constants = {**SIZES, "nought1": np.array([0]), "one1": np.array([1]), "rest": np.array([48, -1])}
    model = build(tmp_path / "m.onnx", nodes, ["n", 6, 8, 9], constants)
    graph, runtime = Graph(model, torch.float32), ort.load(tmp_path / "m.onnx")
    for count in (1, 3, 2):
        x = RNG.normal(size=(count, 6, 8, 9)).astype(F32)
        with torch.inference_mode():
            (got,) = graph(torch.from_numpy(x))
        np.testing.assert_allclose(got.numpy(), runtime.run({"x": x})["y"], rtol=1e-6)
    runtime.close()


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_lstm(tmp_path, direction):
    ways = 2 if direction == "bidirectional" else 1
    weights = {
        "w": RNG.normal(size=(ways, 20, 4)),
        "r": RNG.normal(size=(ways, 20, 5)),
        "b": RNG.normal(size=(ways, 40)),
    }
    one = helper.make_node("LSTM", ["x", "w", "r", "b"], ["y"], hidden_size=5, direction=direction)
    got, want = both(
        tmp_path / "m.onnx", [one], [7, 2, 4], {name: value.astype(F32) for name, value in weights.items()}
    )
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_bytes_and_back(tmp_path):
    """Dynamic quantisation, a convolution of whole numbers, and the pair that INT8 models are made of."""
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["levels", "scale", "zero"]),
        helper.make_node("ConvInteger", ["levels", "w", "zero"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["numbers", "scale"], ["real"]),
        helper.make_node("QuantizeLinear", ["real", "s", "z"], ["bytes"]),
        helper.make_node("DequantizeLinear", ["bytes", "s", "z"], ["y"]),
    ]
    constants = {"w": RNG.integers(-127, 127, (4, 6, 3, 3), np.int8), "s": np.array(9.0, F32),
                 "z": np.array(128, np.uint8)}  # fmt: skip
    got, want = both(tmp_path / "m.onnx", nodes, [1, 6, 8, 9], constants)
    assert np.abs(got - want).max() <= 9.0 and (got == want).mean() > 0.99  # a number half between two levels


def test_suppression_gives_the_rows_of_onnx_runtime(tmp_path):
    corners = RNG.random((2, 60, 2)) * 50
    boxes = np.concatenate([corners, corners + 10 + RNG.random((2, 60, 2)) * 20], 2).astype(F32)
    nodes = [
        helper.make_node("NonMaxSuppression", ["boxes", "x", "most", "overlap", "least"], ["rows"]),
        helper.make_node("Cast", ["rows"], ["y"], to=TensorProto.FLOAT),
    ]
    constants = {"boxes": boxes, "most": np.array([9]), "overlap": np.array([0.3], F32), "least": np.array([0.1], F32)}
    got, want = both(tmp_path / "m.onnx", nodes, [2, 3, 60], constants)
    np.testing.assert_array_equal(got, want)
    assert Graph(build(tmp_path / "m.onnx", nodes, [2, 3, 60], constants), torch.float32).open


def test_a_sampled_grid_and_an_old_softmax(tmp_path):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 6, 7])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    grid = numpy_helper.from_array((RNG.random((1, 4, 5, 2)) * 2.4 - 1.2).astype(F32), "g")
    value = RNG.normal(size=(1, 3, 6, 7)).astype(F32)
    for version, one in ((16, helper.make_node("GridSample", ["x", "g"], ["y"], align_corners=1)),
                         (11, helper.make_node("Softmax", ["x"], ["y"], axis=1))):  # fmt: skip
        parts = helper.make_graph([one], "g", [x], [y], [grid] if version == 16 else [])
        model = helper.make_model(parts, opset_imports=[helper.make_opsetid("", version)], ir_version=8)
        onnx.save(model, str(tmp_path / "m.onnx"))
        runtime = ort.load(tmp_path / "m.onnx")
        with torch.inference_mode():
            (got,) = Graph(model, torch.float32)(torch.from_numpy(value))
        np.testing.assert_allclose(got.numpy(), runtime.run({"x": value})["y"], rtol=1e-4, atol=1e-6)
        runtime.close()


def test_street_runs_with_one_and_with_three_pictures():
    from millrace.models import model_file

    path = model_file("street")
    graph, runtime = Graph(onnx.load(str(path)), torch.float32), ort.load(path)
    for count in (1, 3):
        x = np.random.default_rng(count).random((count, *runtime.inputs[0].shape[1:]), F32)
        with torch.inference_mode():
            got = graph(torch.from_numpy(x))
        for result, expected in zip(got, runtime.run({runtime.inputs[0].name: x}).values(), strict=True):
            np.testing.assert_allclose(result.numpy(), expected, rtol=1e-3, atol=1e-3)
    runtime.close()


# What is compared of those whose other outputs are places of the best, rows in order of nearly equal scores, or
# numbers rounded to bytes on the way: a difference in the last bit chooses another.
LOOSE = {
    "detect/deimv2_atto_coco_320.onnx": ("scores", 1e-3),
    "detect/detectnet_v2_style_yoloxnano_384x640.onnx": ("output_cov/Sigmoid", 1e-3),
    "agpl_interop_only/yolov8n_int8.onnx": ("output0", 2e-2),
    "segment/instseg_yolov8seg_layout_640.onnx": ("output1", 1e-3),
}
FREE = {"ppocr_v3_det": (64, 96), "ppocr_cls": (48, 192), "ppocr_en_number_rec": (32, 320)}


def test_every_model_of_the_test_data(data):
    root = data / "models"
    picture = np.random.default_rng(1).random((700, 900, 3), F32)
    torch.set_num_threads(1)
    for path in sorted(root.rglob("*.onnx")):
        graph, runtime = Graph(onnx.load(str(path)), torch.float32), ort.load(path)
        shape = [size or 1 for size in runtime.inputs[0].shape]
        if path.stem in FREE:
            shape = [1, 3, *FREE[path.stem]]
        last = shape[-1] == 3
        height, width = shape[1:3] if last else shape[2:]
        part = picture[:height, :width][None] * 255
        feed = {runtime.inputs[0].name: (part if last else part.transpose(0, 3, 1, 2)).astype(runtime.inputs[0].dtype)}
        feed |= {info.name: np.array([[640, 480]]) for info in runtime.inputs[1:]}
        with torch.inference_mode():
            got = graph(*(torch.from_numpy(np.ascontiguousarray(feed[name])) for name in graph.input_names))
        want = runtime.run(feed)
        runtime.close()
        only, limit = LOOSE.get(f"{path.parent.name}/{path.name}", (None, 1e-4))
        for result, (name, expected) in zip(got, want.items(), strict=True):
            assert result.shape == expected.shape, path
            if only in (None, name):
                apart = np.linalg.norm(result.numpy().astype(np.float64) - expected)
                assert apart <= limit * np.linalg.norm(expected.astype(np.float64)), (path, name)
