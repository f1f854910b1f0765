"""What each Caffe layer computes, in plain NumPy: the meaning that the converter is checked against.

Written from the definitions in Caffe's documentation (https://caffe.berkeleyvision.org/tutorial/layers.html) and, for
SSD, the paper (Liu et al., arXiv 1512.02325); clear rather than fast. Arrays are float32, NCHW.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .caffe_shapes import axis_of, concat_axis, kernel, pool_size, reshape_dims, slice_points
from .caffe_ssd_numpy import SSD_LAYERS
from .caffemodel import Array, Layer, Net

Compute = Callable[[Layer, list[Array]], list[Array]]


def evaluate(net: Net, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """All blobs of the net by name, in-place layers under their last value. Raises ValueError naming the layer."""
    blobs: dict[str, Array] = dict(inputs)
    for layer in net.layers:
        values = compute(layer, [blobs[name] for name in layer.bottoms])
        blobs.update(zip(layer.tops, values, strict=False))
    return blobs


def compute(layer: Layer, values: list[Array]) -> list[Array]:
    """What one layer gives. Raises ValueError naming the layer."""
    function = LAYERS.get(layer.type)
    if function is None:
        raise ValueError(f"layer {layer.name!r}: the type {layer.type!r} is not known to the converter")
    try:
        return [np.ascontiguousarray(value, np.float32) for value in function(layer, values)]
    except (IndexError, ValueError, TypeError) as error:
        raise ValueError(f"layer {layer.name!r} ({layer.type}): {error}") from error


def _windows(x: Array, k: tuple[int, int], s: tuple[int, int], d: tuple[int, int], size: tuple[int, int]) -> Array:
    """[n, c, out h, out w, kernel h, kernel w], a view of the padded input."""
    n, c = x.shape[:2]
    sn, sc, sh, sw = x.strides
    strides = (sn, sc, sh * s[0], sw * s[1], sh * d[0], sw * d[1])
    return np.lib.stride_tricks.as_strided(x, (n, c, *size, *k), strides, writeable=False)


def _convolution(layer: Layer, values: list[Array]) -> list[Array]:
    p = layer.parameters("convolution_param")
    k, s, pad, d = kernel(p)
    weight = layer.blobs[0]
    groups = _groups(layer)
    outputs = []
    for x in values:
        size = tuple((x.shape[2 + a] + 2 * pad[a] - d[a] * (k[a] - 1) - 1) // s[a] + 1 for a in (0, 1))
        padded = np.pad(x, ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1])))
        windows = _windows(padded, k, s, d, (size[0], size[1]))
        parts = [
            np.tensordot(part, w, axes=((1, 4, 5), (1, 2, 3)))
            for part, w in zip(np.split(windows, groups, 1), np.split(weight, groups), strict=True)
        ]
        out = np.moveaxis(np.concatenate(parts, -1), -1, 1)
        outputs.append(out + layer.blobs[1].reshape(1, -1, 1, 1) if p.one("bias_term", True) else out)
    return outputs


def _groups(layer: Layer) -> int:
    p = layer.parameters("convolution_param")
    default = p.one("num_output", 1) if "Depthwise" in layer.type else 1
    return int(p.one("group", default))


def _deconvolution(layer: Layer, values: list[Array]) -> list[Array]:
    p = layer.parameters("convolution_param")
    k, s, pad, d = kernel(p)
    groups = _groups(layer)
    weight = layer.blobs[0]  # [in, out / groups, kh, kw]
    outputs = []
    for x in values:
        n, _, h, w = x.shape
        full = [(size - 1) * s[a] + d[a] * (k[a] - 1) + 1 for a, size in enumerate((h, w))]
        out = np.zeros((n, weight.shape[1] * groups, *full), np.float32)
        for i in range(k[0]):
            for j in range(k[1]):
                parts = [
                    np.einsum("nchw,co->nohw", part, one[:, :, i, j])
                    for part, one in zip(np.split(x, groups, 1), np.split(weight, groups), strict=True)
                ]
                rows = slice(i * d[0], i * d[0] + (h - 1) * s[0] + 1, s[0])
                columns = slice(j * d[1], j * d[1] + (w - 1) * s[1] + 1, s[1])
                out[:, :, rows, columns] += np.concatenate(parts, 1)
        out = out[:, :, pad[0] : full[0] - pad[0], pad[1] : full[1] - pad[1]]
        outputs.append(out + layer.blobs[1].reshape(1, -1, 1, 1) if p.one("bias_term", True) else out)
    return outputs


def _pooling(layer: Layer, values: list[Array]) -> list[Array]:
    (x,) = values
    p = layer.parameters("pooling_param")
    average = str(p.one("pool", "MAX")) in ("AVE", "1")
    if p.one("global_pooling", False):
        return [(x.mean((2, 3), keepdims=True) if average else x.max((2, 3), keepdims=True))]
    k, s, pad, _ = kernel(p)
    size = pool_size(p, x.shape[2:])
    out = np.zeros((*x.shape[:2], *size), np.float32)
    for i in range(size[0]):
        for j in range(size[1]):
            start = (i * s[0] - pad[0], j * s[1] - pad[1])
            # The divisor of an average counts the padding, but nothing beyond it.
            end = [min(start[a] + k[a], x.shape[2 + a] + pad[a]) for a in (0, 1)]
            cells = (end[0] - start[0]) * (end[1] - start[1])
            window = x[:, :, max(start[0], 0) : min(end[0], x.shape[2]), max(start[1], 0) : min(end[1], x.shape[3])]
            out[:, :, i, j] = window.sum((2, 3)) / cells if average else window.max((2, 3))
    return [out]


def _inner_product(layer: Layer, values: list[Array]) -> list[Array]:
    (x,) = values
    p = layer.parameters("inner_product_param")
    axis = axis_of(p.one("axis", 1), x.ndim)
    weight = layer.blobs[0].reshape(layer.blobs[0].shape[-2:])
    flat = x.reshape(int(np.prod(x.shape[:axis])), -1)
    out = flat @ (weight if p.one("transpose", False) else weight.T)
    out = out + layer.blobs[1].reshape(-1) if p.one("bias_term", True) else out
    return [out.reshape(*x.shape[:axis], -1)]


def _batch_norm(layer: Layer, values: list[Array]) -> list[Array]:
    (x,) = values
    mean, variance, factor = (blob.reshape(-1) for blob in layer.blobs[:3])
    scale = 0.0 if factor[0] == 0 else 1.0 / factor[0]
    shape = (1, -1, *[1] * (x.ndim - 2))
    eps = layer.parameters("batch_norm_param").one("eps", 1e-5)
    return [(x - (mean * scale).reshape(shape)) / np.sqrt((variance * scale).reshape(shape) + eps)]


def _scale(layer: Layer, values: list[Array]) -> list[Array]:
    p = layer.parameters("scale_param")
    factor = values[1] if len(values) == 2 else layer.blobs[0]
    axis = axis_of(p.one("axis", 1), values[0].ndim)
    shape = (*factor.shape, *[1] * (values[0].ndim - axis - factor.ndim))
    out = values[0] * factor.reshape(shape)
    return [out + layer.blobs[-1].reshape(shape) if p.one("bias_term", False) else out]


def _bias(layer: Layer, values: list[Array]) -> list[Array]:
    p = layer.parameters("bias_param")
    term = values[1] if len(values) == 2 else layer.blobs[0]
    axis = axis_of(p.one("axis", 1), values[0].ndim)
    return [values[0] + term.reshape(*term.shape, *[1] * (values[0].ndim - axis - term.ndim))]


def _eltwise(layer: Layer, values: list[Array]) -> list[Array]:
    p = layer.parameters("eltwise_param")
    operation = str(p.one("operation", "SUM"))
    if operation in ("PROD", "0"):
        return [np.prod(np.stack(values), 0)]
    if operation in ("MAX", "2"):
        return [np.max(np.stack(values), 0)]
    factors = p.all("coeff") or [1.0] * len(values)
    return [np.sum([f * v for f, v in zip(factors, values, strict=True)], axis=0)]


def _lrn(layer: Layer, values: list[Array]) -> list[Array]:
    (x,) = values
    p = layer.parameters("lrn_param")
    size, alpha, beta, k = (p.one(*pair) for pair in (("local_size", 5), ("alpha", 1.0), ("beta", 0.75), ("k", 1.0)))
    squares = x * x
    half = size // 2
    if str(p.one("norm_region", "ACROSS_CHANNELS")) in ("WITHIN_CHANNEL", "1"):
        padded = np.pad(squares, ((0, 0), (0, 0), (half, half), (half, half)))
        windows = _windows(padded, (size, size), (1, 1), (1, 1), (x.shape[2], x.shape[3]))
        return [x / (1.0 + alpha * windows.mean((4, 5))) ** beta]
    padded = np.pad(squares, ((0, 0), (half, half), (0, 0), (0, 0)))
    total = sum(padded[:, i : i + x.shape[1]] for i in range(size))
    return [x / (k + alpha / size * total) ** beta]


def _softmax(layer: Layer, values: list[Array]) -> list[Array]:
    axis = layer.parameters("softmax_param").one("axis", 1)
    grown = np.exp(values[0] - values[0].max(axis, keepdims=True))
    return [grown / grown.sum(axis, keepdims=True)]


def _slice(layer: Layer, values: list[Array]) -> list[Array]:
    axis, points = slice_points(layer, values[0].shape)
    return list(np.split(values[0], points, axis))


def _crop(layer: Layer, values: list[Array]) -> list[Array]:
    p = layer.parameters("crop_param")
    axis = axis_of(p.one("axis", 2), values[0].ndim)
    offsets = p.all("offset") or [0]
    cut: list[Any] = [slice(None)] * values[0].ndim
    for n, dim in enumerate(range(axis, values[0].ndim)):
        offset = offsets[min(n, len(offsets) - 1)]
        cut[dim] = slice(offset, offset + values[1].shape[dim])
    return [values[0][tuple(cut)]]


def _normalize(layer: Layer, values: list[Array]) -> list[Array]:
    p = layer.parameters("norm_param")
    axes = (1, 2, 3) if p.one("across_spatial", True) else (1,)
    norm = np.sqrt((values[0] ** 2).sum(axes, keepdims=True) + p.one("eps", 1e-10))
    return [values[0] / norm * layer.blobs[0].reshape(1, -1, 1, 1)]


def _reduction(layer: Layer, values: list[Array]) -> list[Array]:
    p = layer.parameters("reduction_param")
    axis = axis_of(p.one("axis", 0), values[0].ndim)
    flat = values[0].reshape(*values[0].shape[:axis], -1)
    kind = str(p.one("operation", "SUM"))
    found = {"SUM": flat, "ASUM": np.abs(flat), "SUMSQ": flat**2, "MEAN": flat}[kind]
    return [(found.mean(-1) if kind == "MEAN" else found.sum(-1)) * p.one("coeff", 1.0)]


def _shuffle(layer: Layer, values: list[Array]) -> list[Array]:
    n, c, h, w = values[0].shape
    groups = layer.parameters("shuffle_channel_param").one("group", 1)
    return [values[0].reshape(n, groups, c // groups, h, w).swapaxes(1, 2).reshape(n, c, h, w)]


def _relu(layer: Layer, x: Array) -> Any:
    return np.where(x > 0, x, x * layer.parameters("relu_param").one("negative_slope", 0.0))


def _prelu(layer: Layer, x: Array) -> Any:
    return np.where(x > 0, x, x * layer.blobs[0].reshape(1, -1, *[1] * (x.ndim - 2)))


def _power(layer: Layer, x: Array) -> Any:
    p = layer.parameters("power_param")
    return (p.one("shift", 0.0) + p.one("scale", 1.0) * x) ** p.one("power", 1.0)


def _exp_log(layer: Layer, x: Array) -> Any:
    p = layer.parameters("exp_param", "log_param")
    inner = p.one("shift", 0.0) + p.one("scale", 1.0) * x
    base = p.one("base", -1.0)
    by = 1.0 if base == -1 else np.log(base)
    return np.exp(inner * by) if layer.type == "Exp" else np.log(inner) / by


def _elu(layer: Layer, x: Array) -> Any:
    return np.where(x > 0, x, layer.parameters("elu_param").one("alpha", 1.0) * (np.exp(np.minimum(x, 0)) - 1))


def _clip(layer: Layer, x: Array) -> Any:
    p = layer.parameters("clip_param")
    return np.clip(x, p.one("min", 0.0), p.one("max", 6.0))


def _each(function: Callable[[Layer, Array], Any]) -> Compute:
    """A function of single numbers, as a layer."""
    return lambda layer, values: [function(layer, values[0])]


def _tile(layer: Layer, values: list[Array]) -> list[Array]:
    p = layer.parameters("tile_param")
    counts = [1] * values[0].ndim
    counts[axis_of(p.one("axis", 1), values[0].ndim)] = p.one("tiles", 1)
    return [np.tile(values[0], counts)]


LAYERS: dict[str, Compute] = {
    "Convolution": _convolution, "ConvolutionDepthwise": _convolution, "DepthwiseConvolution": _convolution,
    "Deconvolution": _deconvolution, "Pooling": _pooling, "InnerProduct": _inner_product, "BatchNorm": _batch_norm,
    "Scale": _scale, "Bias": _bias, "Eltwise": _eltwise, "LRN": _lrn, "Softmax": _softmax, "Slice": _slice,
    "Crop": _crop, "Normalize": _normalize, "Reduction": _reduction, "ShuffleChannel": _shuffle, "Tile": _tile,
    "Concat": lambda layer, values: [np.concatenate(values, concat_axis(layer))],
    "Reshape": lambda layer, values: [values[0].reshape(reshape_dims(layer, values[0].shape))],
    "Flatten": lambda layer, values: [values[0].reshape(reshape_dims(layer, values[0].shape))],
    "Permute": lambda layer, values: [values[0].transpose(layer.parameters("permute_param").all("order"))],
    "Split": lambda layer, values: [values[0]] * len(layer.tops),
    "Dropout": lambda layer, values: values, "Input": lambda layer, values: values,
    "ReLU": _each(_relu), "PReLU": _each(_prelu), "Power": _each(_power), "Exp": _each(_exp_log),
    "Log": _each(_exp_log), "ELU": _each(_elu), "Clip": _each(_clip), "ReLU6": _each(_clip),
    "Sigmoid": _each(lambda layer, x: 1 / (1 + np.exp(-x))), "TanH": _each(lambda layer, x: np.tanh(x)),
    "AbsVal": _each(lambda layer, x: np.abs(x)),
    "BNLL": _each(lambda layer, x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))),
    "Swish": _each(lambda layer, x: x / (1 + np.exp(-x * layer.parameters("swish_param").one("beta", 1.0)))),
    "Threshold": _each(lambda layer, x: x > layer.parameters("threshold_param").one("threshold", 0.0)),
    **SSD_LAYERS,
}  # fmt: skip
