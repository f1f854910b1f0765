"""TensorFlow (SavedModel, frozen graph) and TFLite → ONNX, by tf2onnx; TensorFlow itself judges the result.

tf2onnx runs in a process of its own: what TensorFlow reserves and starts ends with it. Frozen graphs with quantised
weights (Dequantize of a constant) are given plain ones first, which tf2onnx does not do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from google.protobuf.message import DecodeError

from .base import Conversion
from .graph import OPSET

Reference = Callable[[dict[str, Any]], dict[str, Any]]


def convert(
    path: str | os.PathLike[str], kind: str, shapes: Mapping[str, Sequence[int | None]] | None = None
) -> Conversion:
    """Convert a SavedModel's folder, a frozen graph (.pb) or a .tflite file.

    `shapes` of inputs by name, where a frozen graph does not say them.
    Raises ValueError naming the operation that cannot be converted.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if kind == "savedmodel":
            arguments = ["--saved-model", os.fspath(path), "--signature_def", "serving_default", "--tag", "serve"]
            reference = _saved(path)
        elif kind == "tflite":
            arguments = ["--tflite", os.fspath(path)]
            reference = _lite(path)
        else:
            graph = _frozen(path)
            plain = folder / "plain.pb"
            plain.write_bytes(graph.SerializeToString())
            inputs, outputs = _ends(graph)
            for number, name in enumerate(inputs):
                shape = (shapes or {}).get(name.partition(":")[0])
                inputs[number] += "" if shape is None else str([dim or -1 for dim in shape]).replace(" ", "")
            arguments = ["--graphdef", str(plain), "--inputs", ",".join(inputs), "--outputs", ",".join(outputs)]
            reference = _session(graph, outputs)
        model = _run(path, arguments, folder / "model.onnx")
    return Conversion(model, reference, f"TensorFlow {tf.__version__}", str(path))


def _run(path: Any, arguments: list[str], out: Path) -> Any:
    command = [sys.executable, "-m", "tf2onnx.convert", *arguments, "--opset", str(OPSET), "--output", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not out.is_file():
        lines = [line for line in done.stderr.splitlines() if "rror" in line or "nsupported" in line]
        reason = (lines or done.stderr.strip().splitlines() or ["tf2onnx gave no reason"])[-1]
        raise ValueError(f"{path} cannot be converted: {reason.strip()[-300:]}")
    return onnx.load(out)


def _saved(path: Any) -> Reference:
    try:
        loaded = tf.saved_model.load(os.fspath(path))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is not a SavedModel that TensorFlow can read: {error}") from error
    signatures = loaded.signatures
    if "serving_default" not in signatures:
        raise ValueError(f"{path} has no signature serving_default; it has: {', '.join(signatures) or 'none'}")
    function = signatures["serving_default"]

    def reference(feed: dict[str, Any]) -> dict[str, Any]:
        assert loaded is not None  # a SavedModel's functions do not keep it alive
        values = function(**{name.partition(":")[0]: tf.constant(value) for name, value in feed.items()})
        return {name: value.numpy() for name, value in values.items()}

    return reference


def _lite(path: Any) -> Reference:
    try:
        interpreter = tf.lite.Interpreter(model_path=os.fspath(path))
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path} is not a TFLite model: {error}") from error

    def reference(feed: dict[str, Any]) -> dict[str, Any]:
        for detail in interpreter.get_input_details():
            value = feed[detail["name"]]
            interpreter.resize_tensor_input(detail["index"], value.shape)
        interpreter.allocate_tensors()
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], feed[detail["name"]].astype(detail["dtype"]))
        interpreter.invoke()
        return {d["name"]: interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()}

    return reference


def _frozen(path: Any) -> Any:
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(Path(path).read_bytes())
    except (DecodeError, OSError) as error:
        raise ValueError(f"{path} is not a frozen TensorFlow graph: {error}") from error
    if not graph.node:
        raise ValueError(f"{path} is not a frozen TensorFlow graph: it has no nodes")
    constants = {node.name: node for node in graph.node if node.op == "Const"}
    for node in graph.node:
        if node.op == "Dequantize" and all(name in constants for name in node.input):
            parts = [tf.make_ndarray(constants[name].attr["value"].tensor) for name in node.input]
            mode = node.attr["mode"].s.decode() or "MIN_COMBINED"
            value = _dequantised(path, node.name, mode, *parts)
            del node.input[:]
            node.op = "Const"
            node.attr.clear()
            node.attr["dtype"].type = tf.float32.as_datatype_enum
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, tf.float32))
    return graph


def _dequantised(path: Any, name: str, mode: str, stored: Any, low: Any, high: Any) -> Any:
    """The numbers that a quantised constant stands for; where its range is one number that one, not 0 / 0."""
    if mode not in ("MIN_FIRST", "MIN_COMBINED") or stored.dtype.itemsize != 1:
        raise ValueError(f"{path} cannot be converted: {name} is quantised as {mode} of {stored.dtype}")
    steps = stored.view(np.uint8).astype(np.float32)
    return np.float32(low) + steps * np.float32((high - low) / 255)


def _evaluate(graph: Any, names: Sequence[str], feed: dict[str, Any] | None = None) -> list[Any]:
    with tf.Graph().as_default() as own:
        tf.import_graph_def(graph, name="")
        with tf.compat.v1.Session(graph=own) as session:
            values: list[Any] = session.run(list(names), feed or {})
            return values


def _ends(graph: Any) -> tuple[list[str], list[str]]:
    """The placeholders, and what nothing else reads."""
    read = {name.lstrip("^").partition(":")[0] for node in graph.node for name in node.input}
    inputs = [f"{node.name}:0" for node in graph.node if node.op == "Placeholder"]
    outputs = [f"{node.name}:0" for node in graph.node if node.name not in read and node.op not in ("Const", "NoOp")]
    return inputs, outputs


def _session(graph: Any, outputs: Sequence[str]) -> Reference:
    def reference(feed: dict[str, Any]) -> dict[str, Any]:
        values = _evaluate(graph, outputs, feed)
        return {name: np.asarray(value) for name, value in zip(outputs, values, strict=True)}

    return reference
