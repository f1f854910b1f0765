"""Caffe (prototxt and caffemodel) → ONNX."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from . import caffe_numpy
from .base import Conversion
from .caffe_layers import LAYERS
from .caffemodel import Array, Layer, Net, files, read_net
from .graph import Graph


def convert(path: str | os.PathLike[str], kind: str = "caffe") -> Conversion:
    """Convert the net whose prototxt or caffemodel this is; the other file lies beside it.

    The number of pictures is left free where the net allows it. Raises ValueError naming file and layer.
    """
    prototxt, caffemodel = files(path)
    net = read_net(prototxt, caffemodel)
    try:
        model = to_onnx(net)
    except ValueError as error:
        raise ValueError(f"{prototxt}: {error}") from error

    def reference(inputs: dict[str, Array]) -> dict[str, Array]:
        blobs = caffe_numpy.evaluate(net, inputs)
        return {_output(net, name): blobs[name] for name in net.outputs}

    return Conversion(model, reference, "the plain NumPy evaluation of the Caffe net", source=str(caffemodel))


def to_onnx(net: Net) -> Any:
    """The net as an ONNX model (onnx.ModelProto). Raises ValueError naming the layer that cannot be converted."""
    unknown = {layer.type: layer.name for layer in net.layers if layer.type not in LAYERS}
    if unknown:
        named = ", ".join(f"{kind} (layer {name!r})" for kind, name in unknown.items())
        raise ValueError(f"these layers are not known to the converter: {named}")
    graph = Graph(net.name or "caffe")
    names = {name: name for name in net.inputs}
    shapes = {name: (1, *shape[1:]) for name, shape in net.inputs.items()}
    rooms: dict[str, tuple[int, ...]] = {}
    values: dict[str, Array] = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    for layer in net.layers:
        made = _emit(graph, layer, names, values)
        for top, value in zip(layer.tops, _shaped(layer, values), strict=False):
            values[top], rooms[top] = value, value.shape
        names.update(zip(layer.tops, made, strict=True))
    for name in net.outputs:
        graph.add("Identity", [names[name]], [_output(net, name)])
    free = not any(layer.type == "DetectionOutput" for layer in net.layers)
    outputs = {name: _free(rooms[name], free) for name in net.outputs}
    if not free:
        outputs |= {layer.tops[0]: (1, 1, "found", 7) for layer in net.layers if layer.type == "DetectionOutput"}
    inputs = {name: _free(shape, free) for name, shape in shapes.items()}
    return graph.model(inputs, {_output(net, name): outputs[name] for name in net.outputs}, {})


def _output(net: Net, name: str) -> str:
    """The name of an output: its own, but for that of a net whose layers write in place from the first to the last."""
    return f"{name}_out" if name in net.inputs else name


def _free(shape: tuple[int, ...], free: bool) -> tuple[Any, ...]:
    return ("batch" if free and shape and shape[0] == 1 else shape[0], *shape[1:])


def _emit(graph: Graph, layer: Layer, names: dict[str, str], values: dict[str, Array]) -> list[str]:
    shapes = [values[bottom].shape for bottom in layer.bottoms]
    try:
        return LAYERS[layer.type](graph, layer, [names[bottom] for bottom in layer.bottoms], shapes)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        missing = "has no weights in the caffemodel" if isinstance(error, IndexError) else str(error)
        raise ValueError(f"layer {layer.name!r} ({layer.type}): {missing}") from error


def _shaped(layer: Layer, values: dict[str, Array]) -> list[Array]:
    """What the layer gives for a picture of zeros: its shape is what matters."""
    with np.errstate(all="ignore"):
        return caffe_numpy.compute(layer, [values[bottom] for bottom in layer.bottoms])
