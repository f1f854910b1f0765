"""Each Caffe layer as ONNX nodes (https://onnx.ai/onnx/operators/); the same meaning as in caffe_numpy.py.

A function gets the graph, the layer, and the names and shapes (for one picture) of what it reads; it returns the names
of what it gives. The first dimension is left free wherever the layer allows it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .caffe_shapes import axis_of, concat_axis, kernel, pool_size, reshape_dims, slice_points
from .caffe_ssd import detection_output, prior_box
from .caffemodel import Layer
from .graph import Graph

Shapes = Sequence[tuple[int, ...]]
Emit = Callable[[Graph, Layer, Sequence[str], Shapes], list[str]]


def _filters(graph: Graph, layer: Layer) -> list[str]:
    p = layer.parameters("convolution_param")
    bias = [graph.constant(layer.blobs[1].reshape(-1))] if p.one("bias_term", True) else []
    return [graph.constant(layer.blobs[0]), *bias]


def _convolution(graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Shapes) -> list[str]:
    p = layer.parameters("convolution_param")
    k, s, pad, d = kernel(p)
    group = int(p.one("group", p.one("num_output", 1) if "Depthwise" in layer.type else 1))
    op = "ConvTranspose" if layer.type == "Deconvolution" else "Conv"
    filters = _filters(graph, layer)
    return [
        graph.one(op, x, *filters, kernel_shape=k, strides=s, pads=[*pad, *pad], dilations=d, group=group)
        for x in inputs
    ]


def _pooling(graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Shapes) -> list[str]:
    p = layer.parameters("pooling_param")
    method = str(p.one("pool", "MAX"))
    if method not in ("MAX", "AVE", "0", "1"):
        raise ValueError(f"{method} pooling cannot be converted")
    average = method in ("AVE", "1")
    if p.one("global_pooling", False):
        return [graph.one("GlobalAveragePool" if average else "GlobalMaxPool", inputs[0])]
    k, s, pad, _ = kernel(p)
    size = shapes[0][2:]
    out = pool_size(p, size)
    more = [max(0, (out[a] - 1) * s[a] + k[a] - size[a] - 2 * pad[a]) for a in (0, 1)]  # beyond the padding
    x = inputs[0]
    if not average:
        return [graph.one("MaxPool", x, kernel_shape=k, strides=s, pads=[*pad, pad[0] + more[0], pad[1] + more[1]])]
    if any(pad):  # the divisor counts the padding, but nothing beyond it
        x = graph.one("Pad", x, graph.numbers(0, 0, *pad, 0, 0, *pad))
    return [graph.one("AveragePool", x, kernel_shape=k, strides=s, pads=[0, 0, *more], count_include_pad=0)]


def _inner_product(graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Shapes) -> list[str]:
    p = layer.parameters("inner_product_param")
    axis = axis_of(p.one("axis", 1), len(shapes[0]))
    if axis != 1:
        raise ValueError(f"InnerProduct along axis {axis} cannot be converted, only along axis 1")
    weight = graph.constant(layer.blobs[0].reshape(layer.blobs[0].shape[-2:]))
    bias = [graph.constant(layer.blobs[1].reshape(-1))] if p.one("bias_term", True) else []
    flat = graph.one("Flatten", inputs[0], axis=1)
    return [graph.one("Gemm", flat, weight, *bias, transB=0 if p.one("transpose", False) else 1)]


def _batch_norm(graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Shapes) -> list[str]:
    mean, variance, factor = (blob.reshape(-1) for blob in layer.blobs[:3])
    scale = 0.0 if factor[0] == 0 else 1.0 / factor[0]
    ones = np.ones_like(mean)
    arrays = [graph.constant(a) for a in (ones, 0 * ones, mean * scale, variance * scale)]
    return [
        graph.one(
            "BatchNormalization",
            inputs[0],
            *arrays,
            epsilon=float(layer.parameters("batch_norm_param").one("eps", 1e-5)),
        )
    ]


def _along(
    graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Shapes, key: str, op: str
) -> tuple[str, tuple[int, ...]]:
    """The input times or plus what is learnt, or a second input, that lies along some of its axes."""
    p = layer.parameters(key)
    axis = axis_of(p.one("axis", 1), len(shapes[0]))
    own = shapes[1] if len(inputs) == 2 else layer.blobs[0].shape
    missing = len(shapes[0]) - axis - len(own)
    shape = (*own, *[1] * missing)
    if len(inputs) == 1:
        other = graph.constant(layer.blobs[0].reshape(shape))
    elif missing:
        other = graph.one("Unsqueeze", inputs[1], graph.numbers(*range(len(own), len(own) + missing)))
    else:
        other = inputs[1]
    return graph.one(op, inputs[0], other), shape


def _scale(graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Shapes) -> list[str]:
    scaled, shape = _along(graph, layer, inputs, shapes, "scale_param", "Mul")
    if not layer.parameters("scale_param").one("bias_term", False):
        return [scaled]
    return [graph.one("Add", scaled, graph.constant(layer.blobs[-1].reshape(shape)))]


def _bias(graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Shapes) -> list[str]:
    return [_along(graph, layer, inputs, shapes, "bias_param", "Add")[0]]


def _eltwise(graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Shapes) -> list[str]:
    p = layer.parameters("eltwise_param")
    operation = str(p.one("operation", "SUM"))
    if operation in ("MAX", "2"):
        return [graph.one("Max", *inputs)]
    terms = list(inputs)
    if operation in ("SUM", "1") and p.all("coeff"):
        terms = [graph.one("Mul", x, graph.constant(float(f))) for x, f in zip(inputs, p.all("coeff"), strict=True)]
    total = terms[0]
    for term in terms[1:]:
        total = graph.one("Mul" if operation in ("PROD", "0") else "Add", total, term)
    return [total]


def _lrn(graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Shapes) -> list[str]:
    p = layer.parameters("lrn_param")
    size, alpha, beta, k = (p.one(*pair) for pair in (("local_size", 5), ("alpha", 1.0), ("beta", 0.75), ("k", 1.0)))
    if str(p.one("norm_region", "ACROSS_CHANNELS")) not in ("WITHIN_CHANNEL", "1"):
        return [graph.one("LRN", inputs[0], size=size, alpha=float(alpha), beta=float(beta), bias=float(k))]
    square = graph.one("Mul", inputs[0], inputs[0])
    half = size // 2
    mean = graph.one("AveragePool", square, kernel_shape=[size] * 2, pads=[half] * 4, count_include_pad=1)
    base = graph.one("Add", graph.one("Mul", mean, graph.constant(alpha)), graph.constant(1.0))
    return [graph.one("Div", inputs[0], graph.one("Pow", base, graph.constant(beta)))]


def _concat(graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Shapes) -> list[str]:
    return [graph.one("Concat", *inputs, axis=concat_axis(layer))]


def _slice(graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Shapes) -> list[str]:
    axis, points = slice_points(layer, shapes[0])
    sizes = np.diff([0, *points, shapes[0][axis]])
    return graph.add("Split", [inputs[0], graph.numbers(*sizes)], len(layer.tops), axis=axis)


def _crop(graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Shapes) -> list[str]:
    p = layer.parameters("crop_param")
    axes = range(axis_of(p.one("axis", 2), len(shapes[0])), len(shapes[0]))
    offsets = p.all("offset") or [0]
    starts = [offsets[min(n, len(offsets) - 1)] for n in range(len(axes))]
    ends = [start + shapes[1][axis] for start, axis in zip(starts, axes, strict=True)]
    return [graph.one("Slice", inputs[0], graph.numbers(*starts), graph.numbers(*ends), graph.numbers(*axes))]


def _reshape(graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Shapes) -> list[str]:
    dims = reshape_dims(layer, shapes[0])
    # The first dimension goes on as it comes where it is the number of pictures: 0 says so to ONNX.
    first = [0] if dims and dims[0] == shapes[0][0] else list(dims[:1])
    return [graph.one("Reshape", inputs[0], graph.numbers(*first, *dims[1:]))]


def _normalize(graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Shapes) -> list[str]:
    p = layer.parameters("norm_param")
    axes = [1, 2, 3] if p.one("across_spatial", True) else [1]
    squares = graph.one("ReduceSumSquare", inputs[0], axes=axes, keepdims=1)
    norm = graph.one("Sqrt", graph.one("Add", squares, graph.constant(p.one("eps", 1e-10))))
    return [graph.one("Mul", graph.one("Div", inputs[0], norm), graph.constant(layer.blobs[0].reshape(1, -1, 1, 1)))]


def _reduction(graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Shapes) -> list[str]:
    p = layer.parameters("reduction_param")
    axes = list(range(axis_of(p.one("axis", 0), len(shapes[0])), len(shapes[0])))
    kind = str(p.one("operation", "SUM"))
    op = {"SUM": "ReduceSum", "ASUM": "ReduceL1", "SUMSQ": "ReduceSumSquare", "MEAN": "ReduceMean"}[kind]
    if op == "ReduceSum":
        total = graph.one(op, inputs[0], graph.numbers(*axes), keepdims=0)
    else:
        total = graph.one(op, inputs[0], axes=axes, keepdims=0)
    return [graph.one("Mul", total, graph.constant(p.one("coeff", 1.0)))]


def _shuffle(graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Shapes) -> list[str]:
    _, c, h, w = shapes[0]
    groups = layer.parameters("shuffle_channel_param").one("group", 1)
    apart = graph.one("Reshape", inputs[0], graph.numbers(0, groups, c // groups, h, w))
    return [graph.one("Reshape", graph.one("Transpose", apart, perm=[0, 2, 1, 3, 4]), graph.numbers(0, c, h, w))]


def _tile(graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Shapes) -> list[str]:
    p = layer.parameters("tile_param")
    counts = [1] * len(shapes[0])
    counts[axis_of(p.one("axis", 1), len(shapes[0]))] = p.one("tiles", 1)
    return [graph.one("Tile", inputs[0], graph.numbers(*counts))]


def _relu(graph: Graph, layer: Layer, x: str) -> str:
    slope = layer.parameters("relu_param").one("negative_slope", 0.0)
    return graph.one("LeakyRelu", x, alpha=float(slope)) if slope else graph.one("Relu", x)


def _linear(graph: Graph, x: str, scale: float, shift: float) -> str:
    x = x if scale == 1 else graph.one("Mul", x, graph.constant(scale))
    return x if shift == 0 else graph.one("Add", x, graph.constant(shift))


def _power(graph: Graph, layer: Layer, x: str) -> str:
    p = layer.parameters("power_param")
    inner = _linear(graph, x, p.one("scale", 1.0), p.one("shift", 0.0))
    power = p.one("power", 1.0)
    return graph.one("Identity", inner) if power == 1 else graph.one("Pow", inner, graph.constant(power))


def _exp_log(graph: Graph, layer: Layer, x: str) -> str:
    p = layer.parameters("exp_param", "log_param")
    base = p.one("base", -1.0)
    by = 1.0 if base == -1 else float(np.log(base))
    inner = _linear(graph, x, p.one("scale", 1.0), p.one("shift", 0.0))
    if layer.type == "Exp":
        return graph.one("Exp", _linear(graph, inner, by, 0.0))
    return graph.one("Mul", graph.one("Log", inner), graph.constant(1.0 / by))


def _clip(graph: Graph, layer: Layer, x: str) -> str:
    p = layer.parameters("clip_param")
    return graph.one("Clip", x, graph.constant(p.one("min", 0.0)), graph.constant(p.one("max", 6.0)))


def _threshold(graph: Graph, layer: Layer, x: str) -> str:
    limit = graph.constant(layer.parameters("threshold_param").one("threshold", 0.0))
    return graph.one("Cast", graph.one("Greater", x, limit), to=1)


def _swish(graph: Graph, layer: Layer, x: str) -> str:
    inner = _linear(graph, x, layer.parameters("swish_param").one("beta", 1.0), 0.0)
    return graph.one("Mul", x, graph.one("Sigmoid", inner))


def _each(function: Callable[[Graph, Layer, str], str]) -> Emit:
    return lambda graph, layer, inputs, shapes: [function(graph, layer, inputs[0])]


def _plain(op: str) -> Emit:
    """An ONNX operator without parameters."""
    return lambda graph, layer, inputs, shapes: [graph.one(op, inputs[0])]


def _softmax(graph: Graph, layer: Layer, x: str) -> str:
    return graph.one("Softmax", x, axis=layer.parameters("softmax_param").one("axis", 1))


def _prelu(graph: Graph, layer: Layer, inputs: Sequence[str], shapes: Shapes) -> list[str]:
    slope: Any = layer.blobs[0].reshape(-1, *[1] * (len(shapes[0]) - 2))
    return [graph.one("PRelu", inputs[0], graph.constant(slope))]


LAYERS: dict[str, Emit] = {
    "Convolution": _convolution, "ConvolutionDepthwise": _convolution, "DepthwiseConvolution": _convolution,
    "Deconvolution": _convolution, "Pooling": _pooling, "InnerProduct": _inner_product, "BatchNorm": _batch_norm,
    "Scale": _scale, "Bias": _bias, "Eltwise": _eltwise, "LRN": _lrn, "Softmax": _each(_softmax), "Slice": _slice,
    "Crop": _crop, "Normalize": _normalize, "Reduction": _reduction, "ShuffleChannel": _shuffle, "Tile": _tile,
    "Concat": _concat, "Reshape": _reshape, "Flatten": _reshape, "PReLU": _prelu, "PriorBox": prior_box,
    "PriorBoxClustered": prior_box, "DetectionOutput": detection_output,
    "Permute": lambda graph, layer, inputs, shapes: [
        graph.one("Transpose", inputs[0], perm=layer.parameters("permute_param").all("order"))
    ],
    "Split": lambda graph, layer, inputs, shapes: [inputs[0]] * len(layer.tops),
    "Dropout": lambda graph, layer, inputs, shapes: [inputs[0]],
    "ReLU": _each(_relu), "Power": _each(_power), "Exp": _each(_exp_log), "Log": _each(_exp_log),
    "ELU": _each(lambda g, layer, x: g.one("Elu", x, alpha=float(layer.parameters("elu_param").one("alpha", 1.0)))),
    "Clip": _each(_clip), "ReLU6": _each(_clip), "Threshold": _each(_threshold), "Swish": _each(_swish),
    "Sigmoid": _plain("Sigmoid"), "TanH": _plain("Tanh"), "AbsVal": _plain("Abs"), "BNLL": _plain("Softplus"),
}  # fmt: skip
