"""TFLite: results, quantised tensors as real numbers, batches, calls in flight, clean errors."""

from __future__ import annotations

import threading

import numpy as np
import pytest

schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs millrace[tflite]")
flatbuffers = pytest.importorskip("flatbuffers")

from millrace.runtimes import load, onnx  # noqa: E402

SHAPE = (1, 4, 4, 3)


def tensor(name, shape, kind, buffer, scale=None, zero=0, free=False):
    made = schema.TensorT()
    made.name, made.shape, made.type, made.buffer = name, list(shape), kind, buffer
    if free:
        made.shapeSignature = [-1, *shape[1:]]
    if scale is not None:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [scale], [zero]
    return made


def make_model(path, kind="FLOAT32", scale=None, zero=0, free=False):
    """y = x + 1 as one ADD: in float32, or in quantised steps of `scale`."""
    types = schema.TensorType
    number = getattr(types, kind)
    one = np.float32(1.0) if scale is None else np.array(round(1.0 / scale) + zero)
    dtype = {"FLOAT32": np.float32, "INT8": np.int8, "UINT8": np.uint8}[kind]
    graph = schema.SubGraphT()
    graph.tensors = [
        tensor("x", SHAPE, number, 0, scale, zero, free), tensor("one", (1,), number, 1, scale, zero),
        tensor("y", SHAPE, number, 0, scale, zero, free),
    ]  # fmt: skip
    graph.inputs, graph.outputs = [0], [2]
    add = schema.OperatorT()
    add.opcodeIndex, add.inputs, add.outputs = 0, [0, 1], [2]
    add.builtinOptionsType, add.builtinOptions = schema.BuiltinOptions.AddOptions, schema.AddOptionsT()
    graph.operators = [add]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ADD
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    empty, data = schema.BufferT(), schema.BufferT()
    data.data = list(np.array([one]).astype(dtype).tobytes())
    model.buffers = [empty, data]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return path


def numbers(count=1):
    return np.random.default_rng(2).uniform(-1, 1, (count, *SHAPE[1:])).astype(np.float32)


def test_results_and_free_batch(tmp_path):
    runtime = load(make_model(tmp_path / "m.tflite", free=True))
    try:
        assert [str(info) for info in runtime.inputs + runtime.outputs] == [
            "x float32[?, 4, 4, 3]",
            "y float32[?, 4, 4, 3]",
        ]
        for count in (1, 3, 2):
            x = numbers(count)
            assert np.array_equal(runtime.run({"x": x})["y"], x + 1)
    finally:
        runtime.close()


@pytest.mark.parametrize(("kind", "scale", "zero"), [("INT8", 0.02, -3)])
def test_quantised_tensors_are_real_numbers(tmp_path, kind, scale, zero):
    runtime = load(make_model(tmp_path / "m.tflite", kind, scale, zero))
    try:
        assert runtime.inputs[0].dtype == runtime.outputs[0].dtype == "float32"
        x = numbers()
        assert np.abs(runtime.run({"x": x})["y"] - (x + 1)).max() <= 1.01 * scale
        assert runtime.run({"x": np.full(SHAPE, 9.0, np.float32)})["y"].max() <= 127 * scale + 3 * scale  # it saturates
    finally:
        runtime.close()


def test_pictures_of_uint8_are_pixels(tmp_path):
    runtime = load(make_model(tmp_path / "m.tflite", "UINT8", 1 / 64, 128))
    try:
        assert (runtime.inputs[0].dtype, runtime.outputs[0].dtype) == ("uint8", "float32")
        pixels = np.full(SHAPE, 96, np.uint8)  # which stands for -0.5
        assert runtime.run({"x": pixels})["y"].mean() == pytest.approx(0.5, abs=0.01)
    finally:
        runtime.close()


def test_calls_run_side_by_side_and_results_are_their_own(tmp_path):
    runtime = load(make_model(tmp_path / "m.tflite"), parallel=2)
    meet = threading.Barrier(2, timeout=10)

    def make(value):
        meet.wait()
        return {"x": np.full(SHAPE, value, np.float32)}

    try:
        futures = [runtime.submit(lambda value=value: make(value)) for value in (1.0, 2.0)]
        assert [f.result(timeout=10)["y"].mean() for f in futures] == [2.0, 3.0]
        kept = runtime.run({"x": np.zeros(SHAPE, np.float32)})["y"]
        runtime.run({"x": np.ones(SHAPE, np.float32)})
        assert kept.max() == 1.0
    finally:
        runtime.close()


def test_wrong_input_is_a_plain_error(tmp_path):
    runtime = load(make_model(tmp_path / "m.tflite"))
    try:
        with pytest.raises(ValueError, match=r"it takes x float32\[1, 4, 4, 3\], and got x float32\[1, 5, 4, 3\]"):
            runtime.run({"x": np.zeros((1, 5, 4, 3), np.float32)})
    finally:
        runtime.close()


@pytest.mark.parametrize("content", [b"", b"not a model at all", None])
def test_a_bad_file_is_named(tmp_path, content):
    path = tmp_path / "bad.tflite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.tflite"):
        load(path)
    with pytest.raises(ValueError, match="no option 'thread'"):
        load(path, thread=2)


def test_movenet_gives_what_its_onnx_twin_gives(corpus):
    """An int8 network against its twin with float activations: keypoints within two pixels of 192 (1.8 seen)."""
    ours = load(corpus / "models/tf_tflite/movenet_singlepose_lightning_int8.tflite")
    twin = onnx.load(corpus / "models/pose/movenet_singlepose_lightning_192.onnx")
    import cv2

    picture = cv2.cvtColor(cv2.imread(str(corpus / "golden/one_f300.png")), cv2.COLOR_BGR2RGB)
    side = max(picture.shape[:2])
    square = np.zeros((side, side, 3), np.uint8)
    square[: picture.shape[0], : picture.shape[1]] = picture
    feed = {ours.inputs[0].name: cv2.resize(square, (192, 192))[None]}
    try:
        (got,) = ours.run(feed).values()
        (want,) = twin.run({twin.inputs[0].name: next(iter(feed.values()))}).values()
        sure = want[0, 0, :, 2] > 0.4
        assert sure.sum() > 5
        assert np.abs(got - want)[0, 0, sure, :2].max() * 192 < 2.0
        assert np.abs(got - want)[0, 0, sure, 2].max() < 0.2
    finally:
        ours.close()
        twin.close()
