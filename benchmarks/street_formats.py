"""The demonstration detector in the other formats: the same weights as TorchScript, .pt2, SavedModel and TFLite.

    python benchmarks/street_formats.py torch OUT         with PyTorch
    python benchmarks/street_formats.py tensorflow OUT    then, with TensorFlow (in an environment of its own)

PyTorch's files come from the network of training/model.py with the weights of street.onnx; TensorFlow's from the same
operations written in TensorFlow. Both from the ONNX file's numbers, so all must give the same results.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

ROOT = Path(__file__).parents[1]
STREET = ROOT / "millrace" / "models" / "street.onnx"
SIZE = (384, 640)
sys.path.insert(0, str(ROOT))


def detector() -> Any:
    """training.model.Detector with the weights of street.onnx: its convolutions have the batch norms folded in."""
    import torch

    from training.model import Detector

    model = onnx.load(STREET)
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    found = {
        module_path(node.name): [arrays[name] for name in node.input[1:]]
        for node in model.graph.node
        if node.op_type == "Conv"
    }
    widths = [found[name][0].shape[0] for name in ("stem.0.0", "stem.1.0", "s8.0.0", "s16.0.0", "s32.0.0")]
    net = Detector(4, tuple(widths), head=found["towers.0.0"][0].shape[0]).eval()
    net.export = True
    modules = dict(net.named_modules())
    assert found.keys() == {name for name, module in modules.items() if isinstance(module, torch.nn.Conv2d)}
    with torch.no_grad():
        for name, (weight, bias) in found.items():
            modules[name].weight.copy_(torch.from_numpy(weight.copy()))
            if modules[name].bias is not None:
                modules[name].bias.copy_(torch.from_numpy(bias.copy()))
            else:  # the norm after it, which then only adds the bias
                norm = modules[name.rpartition(".")[0]][1]
                norm.weight.fill_(float(np.sqrt(1 + norm.eps)))
                norm.bias.copy_(torch.from_numpy(bias.copy()))
    return net


def module_path(node: str) -> str:
    """/s8/s8.1/body/body.0/Conv → s8.1.body.0: a step that repeats the one before goes further down in it."""
    path: list[str] = []
    for step in node.strip("/").split("/")[:-1]:
        if path and step.startswith(path[-1] + "."):
            path[-1] = step
        else:
            path.append(step)
    return ".".join(path)


def write_torch(out: Path) -> None:
    import torch

    net = detector()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(net, torch.zeros(1, 3, *SIZE), check_trace=False)
        torch.jit.save(traced, str(out / "street.pt"), _extra_files={"config.txt": '{"imgsz": [384, 640]}'})
        free = ({0: torch.export.Dim("batch", min=1, max=64)},)
        program = torch.export.export(net, (torch.zeros(2, 3, *SIZE),), dynamic_shapes=free)
        torch.export.save(program, str(out / "street.pt2"))
        torch.save(net.state_dict(), out / "street.pth")
        torch.onnx.export(
            traced, (torch.zeros(1, 3, *SIZE),), str(out / "street_one.onnx"), opset_version=17, dynamo=False,
            input_names=["images"], output_names=["output0"],
        )  # fmt: skip  # for one picture: without the arithmetic of free shapes, for TensorFlow


def write_tensorflow(out: Path) -> None:
    import tensorflow as tf

    model = onnx.load(out / "street_one.onnx")

    def run(images: Any) -> dict[str, Any]:
        return {"output0": evaluate(tf, model, images)}

    module = tf.Module()
    served = tf.function(run, input_signature=[tf.TensorSpec([1, 3, *SIZE], tf.float32, name="images")])
    module.run = served
    folder = out / "street_savedmodel"
    tf.saved_model.save(module, str(folder), signatures={"serving_default": served})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    (out / "street.tflite").write_bytes(converter.convert())


def evaluate(tf: Any, model: Any, images: Any) -> Any:
    """The operations of street.onnx, one after the other. Convolutions run in NHWC, which TensorFlow wants on CPUs."""
    values: dict[str, Any] = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    values["images"] = images
    for node in model.graph.node:
        a = {x.name: onnx.helper.get_attribute_value(x) for x in node.attribute}
        x = [values[name] if name else None for name in node.input]
        if node.op_type != "Shape" and all(value is None or isinstance(value, np.ndarray) for value in x):
            with tf.init_scope():  # numbers known beforehand stay numbers
                values[node.output[0]] = np.asarray(operation(tf, node.op_type, a, x))
        else:
            values[node.output[0]] = operation(tf, node.op_type, a, x)
    return values[model.graph.output[0].name]


def operation(tf: Any, kind: str, a: dict[str, Any], x: list[Any]) -> Any:
    last, first = (0, 2, 3, 1), (0, 3, 1, 2)
    match kind:
        case "Constant":
            return numpy_helper.to_array(a["value"]) if "value" in a else np.asarray(next(iter(a.values())))
        case "Conv":
            pads = a.get("pads", [0] * 4)
            y = tf.pad(tf.transpose(x[0], last), [[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]])
            y = tf.nn.conv2d(y, np.transpose(x[1], (2, 3, 1, 0)), a.get("strides", [1, 1]), "VALID") + x[2]
            return tf.transpose(y, first)
        case "MaxPool":
            y = tf.nn.max_pool2d(tf.transpose(x[0], last), a["kernel_shape"], a["strides"], "SAME")
            return tf.transpose(y, first)
        case "Resize":
            y = tf.transpose(x[0], last)
            given = x[2] if x[2] is not None and x[2].size else x[3] / np.array(x[0].shape)
            scale = [int(s) for s in given[2:]]
            return tf.transpose(tf.repeat(tf.repeat(y, scale[0], 1), scale[1], 2), first)
        case "Concat":
            return tf.concat(x, a["axis"])
        case "Reshape":
            shape = [tf.shape(x[0])[n] if d == 0 else int(d) for n, d in enumerate(np.asarray(x[1]))]
            return tf.reshape(x[0], shape)
        case "Slice":
            cut: list[Any] = [slice(None)] * len(x[0].shape)
            for start, end, axis in zip(np.ravel(x[1]), np.ravel(x[2]), np.ravel(x[3]), strict=True):
                cut[int(axis)] = slice(int(start), None if end > 1 << 30 else int(end))
            return x[0][tuple(cut)]
        case "Shape":
            return np.array(x[0].shape, np.int64)
        case "Cast":
            return np.asarray(x[0]).astype(onnx.helper.tensor_dtype_to_np_dtype(a["to"]))
        case "Expand":
            return tf.broadcast_to(x[0], np.broadcast_shapes(tuple(x[0].shape), tuple(np.asarray(x[1]))))
        case "Unsqueeze":
            return tf.expand_dims(x[0], int(np.ravel(x[1])[0]))
    plain = {
        "Relu": lambda: tf.nn.relu(x[0]), "Softplus": lambda: tf.math.softplus(x[0]),
        "Sigmoid": lambda: tf.sigmoid(x[0]),
        "Add": lambda: x[0] + x[1], "Sub": lambda: x[0] - x[1], "Mul": lambda: x[0] * x[1], "Div": lambda: x[0] / x[1],
        "Identity": lambda: x[0], "Transpose": lambda: tf.transpose(x[0], a["perm"]),
    }  # fmt: skip
    if kind not in plain:
        raise NotImplementedError(kind)
    return plain[kind]()


if __name__ == "__main__":
    target = Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    (write_torch if sys.argv[1] == "torch" else write_tensorflow)(target)
