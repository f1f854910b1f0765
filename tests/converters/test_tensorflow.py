"""TensorFlow → ONNX: SavedModel, frozen graph with quantised constants, TFLite; where TensorFlow is installed."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    tf = pytest.importorskip("tensorflow", reason="needs millrace[tensorflow]")
    pytest.importorskip("tf2onnx", reason="needs millrace[tensorflow]")

from millrace import converters
from millrace.cli import convert as command
from millrace.core import ConfigError
from millrace.runtimes import load

pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's own
WEIGHTS = np.random.default_rng(1).normal(0, 0.3, (3, 3, 3, 4)).astype(np.float32)


@pytest.fixture(autouse=True)
def no_thread_leaks():
    """TensorFlow keeps threads for the life of the process."""


@pytest.fixture
def saved(tmp_path):
    module = tf.Module()
    weights = tf.constant(WEIGHTS)

    @tf.function(input_signature=[tf.TensorSpec([None, 16, 16, 3], tf.float32, name="images")])
    def run(images):
        return {"out": tf.nn.relu(tf.nn.conv2d(images, weights, 2, "SAME"))}

    module.run = run
    tf.saved_model.save(module, str(tmp_path / "net"), signatures={"serving_default": run})
    return tmp_path / "net"


def check(path, output, **options):
    command.convert(path, output, 1e-4, **options)
    runtime = load(output)
    try:
        (info,) = runtime.inputs
        x = np.random.default_rng(2).normal(size=(2 if info.shape[0] is None else 1, 16, 16, 3)).astype(np.float32)
        want = tf.nn.relu(tf.nn.conv2d(x, WEIGHTS, 2, "SAME")).numpy()
        (got,) = runtime.run({info.name: x}).values()
        return float(np.abs(got - want).max())
    finally:
        runtime.close()


def test_a_savedmodel(saved, tmp_path):
    assert check(saved, tmp_path / "out.onnx") < 1e-5


def test_a_savedmodel_runs_without_tensorflow(saved):
    pytest.importorskip("openvino")
    runtime = load(saved)
    try:
        x = np.random.default_rng(2).normal(size=(1, 16, 16, 3)).astype(np.float32)
        (got,) = runtime.run({runtime.inputs[0].name: x}).values()
        assert np.abs(got - tf.nn.relu(tf.nn.conv2d(x, WEIGHTS, 2, "SAME")).numpy()).max() < 1e-5
    finally:
        runtime.close()


def test_tflite(saved, tmp_path):
    lite = tmp_path / "net.tflite"
    lite.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(saved)).convert())
    assert check(lite, tmp_path / "out.onnx") < 1e-5


def test_a_frozen_graph_with_quantised_constants(tmp_path):
    low, high = float(WEIGHTS.min()), float(WEIGHTS.max())
    stored = np.rint((WEIGHTS - low) / (high - low) * 255).astype(np.uint8)
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.float32, [None, 16, 16, 3], name="images")
        quantised = tf.bitcast(tf.constant(stored), tf.quint8)
        weights = tf.raw_ops.Dequantize(input=quantised, min_range=low, max_range=high, mode="MIN_FIRST")
        tf.nn.relu(tf.nn.conv2d(images, weights, 2, "SAME"), name="out")
    definition = graph.as_graph_def()
    for node in definition.node:  # what a file has: a constant of quint8
        if node.op == "Bitcast":
            source = next(n for n in definition.node if n.name == node.input[0])
            tensor = source.attr["value"].tensor
            tensor.dtype = tf.quint8.as_datatype_enum
            source.attr["dtype"].type = tf.quint8.as_datatype_enum
            node.op = "Identity"
            node.attr.clear()
            node.attr["T"].type = tf.quint8.as_datatype_enum
    for node in definition.node:
        if node.op == "Dequantize":
            identity = next(n for n in definition.node if n.name == node.input[0])
            node.input[0] = identity.input[0]
    kept = [
        node for node in definition.node if node.op != "Identity" or node.attr["T"].type != tf.quint8.as_datatype_enum
    ]
    plain = tf.compat.v1.GraphDef()
    plain.node.extend(kept)
    path = tmp_path / "net.pb"
    path.write_bytes(plain.SerializeToString())
    assert check(path, tmp_path / "out.onnx") < 0.05  # the steps of eight bits


def test_what_is_wrong_is_named(tmp_path):
    bad = tmp_path / "bad.pb"
    bad.write_bytes(b"not a graph")
    with pytest.raises(ConfigError, match=r"bad\.pb is not a frozen TensorFlow graph"):
        command.convert(bad, None, 1e-3)
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(b"not a model")
    with pytest.raises(ConfigError, match=r"bad\.tflite is not a TFLite model"):
        command.convert(bad, None, 1e-3)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "saved_model.pb").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is not a SavedModel"):
        converters.convert(tmp_path / "empty", "savedmodel")
