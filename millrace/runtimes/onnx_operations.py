"""ONNX's operators on elements, shapes and places as PyTorch operations; with those of onnx_layers.py, all we know.

Each takes the node's attributes (`opset`, the version, and `num_outputs` are always there) and its inputs; inputs that
shape the computation come as lists of numbers (NUMBERS). Definitions: https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812

from .onnx_layers import LAYERS
from .onnx_recordable import NUMBERS as SIZES

Attributes = Mapping[str, Any]
Operation = Callable[..., Any]

NUMBERS = {**SIZES, "NonMaxSuppression": (2, 3, 4)}  # inputs that are numbers for the CPU
OPEN = ("NonMaxSuppression", "NonZero")  # how much they give depends on the data


def _same(a: Any, b: Any) -> tuple[Any, Any]:
    """Two numbers or tensors in one floating precision: that of the one with more dimensions."""
    if a.is_floating_point() and b.is_floating_point() and a.dtype != b.dtype:
        return (a, b.to(a.dtype)) if a.dim() >= b.dim() and a.numel() >= b.numel() else (a.to(b.dtype), b)
    return a, b


def _binary(function: Operation) -> Operation:
    return lambda attributes, a, b: function(*_same(a, b))


def _any_number(function: Operation) -> Operation:
    return lambda attributes, *values: reduce(lambda a, b: function(*_same(a, b)), values)


def _unary(function: Operation) -> Operation:
    return lambda attributes, x: function(x)


def _divide(a: Any, b: Any) -> Any:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _matmul(attributes: Attributes, a: Any, b: Any) -> Any:
    return torch.matmul(*_same(a, b))


def _gemm(attributes: Attributes, a: Any, b: Any, c: Any = None) -> Any:
    a = a.T if attributes.get("transA", 0) else a
    b = b.T if attributes.get("transB", 0) else b
    product = attributes.get("alpha", 1.0) * (a.to(b.dtype) @ b)
    return product if c is None else product + attributes.get("beta", 1.0) * c


def _softmax(function: Operation) -> Operation:
    def run(attributes: Attributes, x: Any) -> Any:
        if attributes["opset"] >= 13:
            return function(x, attributes.get("axis", -1))
        axis = attributes.get("axis", 1) % x.dim()  # then all from the axis on are one row
        return function(x.flatten(axis), -1).reshape(x.shape)

    return run


def _gelu(attributes: Attributes, x: Any) -> Any:
    return F.gelu(x, approximate=attributes.get("approximate", b"none").decode())


def _prelu(attributes: Attributes, x: Any, slope: Any) -> Any:
    return torch.where(x < 0, x * slope.to(x.dtype), x)


def _clip(attributes: Attributes, x: Any, low: Any = None, high: Any = None) -> Any:
    low, high = attributes.get("min", low), attributes.get("max", high)
    return torch.clamp(x, *(b[0] if isinstance(b, list) else b for b in (low, high)))


def _cast(attributes: Attributes, x: Any) -> Any:
    return x.to(_dtype(attributes["to"]))


def _dtype(number: int) -> Any:
    if number == onnx.TensorProto.BFLOAT16:
        return torch.bfloat16
    return getattr(torch, np.dtype(onnx.helper.tensor_dtype_to_np_dtype(number)).name)


def _modulo(attributes: Attributes, a: Any, b: Any) -> Any:
    return (torch.fmod if attributes.get("fmod", 0) else torch.remainder)(*_same(a, b))


def _where(attributes: Attributes, condition: Any, a: Any, b: Any) -> Any:
    return torch.where(condition, *_same(a, b))


def _einsum(attributes: Attributes, *values: Any) -> Any:
    return torch.einsum(attributes["equation"].decode(), *values)


def _shape(attributes: Attributes, x: Any) -> Any:
    return torch.tensor(list(x.shape)[attributes.get("start", 0) : attributes.get("end")], dtype=torch.int64)


def _range(attributes: Attributes, start: Any, limit: Any, step: Any) -> Any:
    values = [each[0] if isinstance(each, list) else each for each in (start, limit, step)]
    whole = all(isinstance(value, int) for value in values)
    return torch.arange(*values, dtype=torch.int64 if whole else torch.float32)


def _constant_of_shape(attributes: Attributes, shape: Any) -> Any:
    value = attributes.get("value")
    first = np.zeros(1, np.float32) if value is None else onnx.numpy_helper.to_array(value)
    return torch.from_numpy(np.array(first)).reshape(()).expand(shape or []).clone()


def _slice(
    attributes: Attributes, x: Any, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None
) -> Any:  # fmt: skip
    starts, ends = starts or attributes.get("starts", []), ends or attributes.get("ends", [])
    axes = axes or attributes.get("axes")
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis, step = axes[index] if axes else index, steps[index] if steps else 1
        if step < 0:
            rows = list(range(x.shape[axis]))[start : None if end < -x.shape[axis] else end : step]
            x = x.index_select(axis, torch.tensor(rows, device=x.device, dtype=torch.int64))
            continue
        where = [slice(None)] * x.dim()
        where[axis] = slice(start, min(end, 2**31), step)
        x = x[tuple(where)]
    return x


def _reshape(attributes: Attributes, x: Any, shape: Any) -> Any:
    keeps = not attributes.get("allowzero", 0)
    return x.reshape([x.shape[i] if n == 0 and keeps else n for i, n in enumerate(shape or [])])


def _split(attributes: Attributes, x: Any, sizes: Any = None) -> Any:
    """Into the sizes given; the step has set `num_outputs` for equal parts."""
    axis = attributes.get("axis", 0)
    sizes = sizes or attributes.get("split")
    if sizes is None:
        return torch.split(x, -(-x.shape[axis] // attributes["num_outputs"]), axis)
    return torch.split(x, list(sizes), axis)


def _transpose(attributes: Attributes, x: Any) -> Any:
    return x.permute(attributes.get("perm") or list(reversed(range(x.dim()))))


def _flatten(attributes: Attributes, x: Any) -> Any:
    axis = attributes.get("axis", 1)
    rows = 1
    for size in x.shape[:axis]:
        rows *= size
    return x.reshape(rows, -1)


def _concat(attributes: Attributes, *values: Any) -> Any:
    return torch.cat(values, attributes["axis"])


def _gather(attributes: Attributes, x: Any, indices: Any) -> Any:
    axis = attributes.get("axis", 0) % x.dim()
    flat = indices.reshape(-1).to(x.device).long()
    picked = torch.index_select(x, axis, torch.where(flat < 0, flat + x.shape[axis], flat))
    return picked.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


def _gather_elements(attributes: Attributes, x: Any, indices: Any) -> Any:
    axis = attributes.get("axis", 0)
    return torch.gather(x, axis, torch.where(indices < 0, indices + x.shape[axis], indices))


def _gather_nd(attributes: Attributes, x: Any, indices: Any) -> Any:
    shared = attributes.get("batch_dims", 0)
    head, indices = indices.shape[:shared], indices.long()
    rows = x.reshape(-1, *x.shape[shared:]) if shared else x[None]
    wanted = indices.reshape(rows.shape[0], -1, indices.shape[-1])
    first = torch.arange(rows.shape[0], device=x.device)[:, None].expand(wanted.shape[:2])
    picked = rows[(first, *wanted.unbind(-1))]
    return picked.reshape(*head, *indices.shape[shared:-1], *picked.shape[2:])


def _scatter_nd(attributes: Attributes, x: Any, indices: Any, updates: Any) -> Any:
    add = {b"none": False, b"add": True}.get(attributes.get("reduction", b"none"))
    if add is None:
        raise ValueError("ScatterND that reduces otherwise than by adding is not known to the PyTorch runtime")
    return x.clone().index_put_(tuple(indices.long().unbind(-1)), updates.to(x.dtype), accumulate=add)


def _scatter_elements(attributes: Attributes, x: Any, indices: Any, updates: Any) -> Any:
    if attributes.get("reduction", b"none") != b"none":
        raise ValueError("ScatterElements that reduces is not known to the PyTorch runtime")
    return x.scatter(attributes.get("axis", 0), indices.long(), updates.to(x.dtype))


def _reduce(function: Operation) -> Operation:
    def run(attributes: Attributes, x: Any, axes: Any = None) -> Any:
        axes = axes or attributes.get("axes")
        if axes is None and attributes.get("noop_with_empty_axes", 0):
            return x
        axes = axes or list(range(x.dim()))
        return function(x, dim=tuple(axes), keepdim=bool(attributes.get("keepdims", 1)))

    return run


def _product(x: Any, dim: tuple[int, ...], keepdim: bool) -> Any:
    for axis in sorted((each % x.dim() for each in dim), reverse=True):
        x = x.prod(axis, keepdim=keepdim)
    return x


def _best(function: Operation) -> Operation:
    return lambda a, x: function(x, a.get("axis", 0), keepdim=bool(a.get("keepdims", 1)))


def _top_k(attributes: Attributes, x: Any, k: Any = None) -> Any:
    axis, largest = attributes.get("axis", -1), bool(attributes.get("largest", 1))
    count = int(k[0]) if k else attributes["k"]
    return torch.topk(x, count, dim=axis, largest=largest, sorted=bool(attributes.get("sorted", 1)))


def _expand(attributes: Attributes, x: Any, shape: Any) -> Any:
    return x.expand(torch.broadcast_shapes(x.shape, tuple(shape or ())))


def _tile(attributes: Attributes, x: Any, repeats: Any) -> Any:
    return x.repeat(repeats)


def _pad(attributes: Attributes, x: Any, pads: Any = None, value: Any = None, axes: Any = None) -> Any:
    pads = pads or attributes["pads"]
    half = len(pads) // 2
    sides = {(axes[n] if axes else n) % x.dim(): (pads[n], pads[half + n]) for n in range(half)}
    mode = attributes.get("mode", b"constant").decode()
    last = min((axis for axis, both in sides.items() if both != (0, 0)), default=x.dim())
    flat = [pad for axis in reversed(range(last, x.dim())) for pad in sides.get(axis, (0, 0))]
    if not flat:
        return x
    if mode == "constant":
        value = attributes.get("value", 0.0) if value is None else value
        return F.pad(x, flat, value=value[0] if isinstance(value, list) else value)
    return F.pad(x, flat, mode={"edge": "replicate", "wrap": "circular"}.get(mode, mode))


def _unsqueeze(attributes: Attributes, x: Any, axes: Any = None) -> Any:
    axes = axes or attributes["axes"]
    whole = x.dim() + len(axes)
    for axis in sorted(axis % whole for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _squeeze(attributes: Attributes, x: Any, axes: Any = None) -> Any:
    axes = axes or attributes.get("axes")
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def _cumulate(attributes: Attributes, x: Any, axis: Any) -> Any:
    (at,) = axis if isinstance(axis, list) else (axis,)
    turned = x.flip(at) if attributes.get("reverse", 0) else x
    out = turned.cumsum(at)
    out = out - turned if attributes.get("exclusive", 0) else out
    return out.flip(at) if attributes.get("reverse", 0) else out


def _triangle(attributes: Attributes, x: Any, diagonal: Any = None) -> Any:
    (at,) = diagonal if isinstance(diagonal, list) else (diagonal or 0,)
    return (torch.triu if attributes.get("upper", 1) else torch.tril)(x, at)


def _one_hot(attributes: Attributes, indices: Any, depth: Any, values: Any) -> Any:
    (count,) = depth if isinstance(depth, list) else (depth,)
    axis = attributes.get("axis", -1)
    hot = F.one_hot(indices.long() % int(count), int(count)).to(values.dtype)
    hot = values[0] + hot * (values[1] - values[0])
    return hot if axis == -1 else hot.movedim(-1, axis)


_ELEMENTS: dict[str, Operation] = {
    "Add": _binary(torch.add), "Sub": _binary(torch.sub), "Mul": _binary(torch.mul), "Div": _binary(_divide),
    "Pow": lambda a, x, y: torch.pow(x, y.to(x.dtype)), "Mod": _modulo,
    "Max": _any_number(torch.maximum), "Min": _any_number(torch.minimum), "Sum": _any_number(torch.add),
    "Mean": lambda a, *xs: reduce(torch.add, xs) / len(xs),
    "Greater": _binary(torch.gt), "Less": _binary(torch.lt), "Equal": _binary(torch.eq),
    "GreaterOrEqual": _binary(torch.ge), "LessOrEqual": _binary(torch.le),
    "And": _binary(torch.logical_and), "Or": _binary(torch.logical_or), "Xor": _binary(torch.logical_xor),
    "Not": _unary(torch.logical_not), "IsNaN": _unary(torch.isnan), "Where": _where,
    "Relu": _unary(F.relu), "Sigmoid": _unary(torch.sigmoid), "Silu": _unary(F.silu), "Tanh": _unary(torch.tanh),
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)), "PRelu": _prelu,
    "Elu": lambda a, x: F.elu(x, a.get("alpha", 1.0)), "Selu": _unary(F.selu),
    "HardSigmoid": lambda a, x: torch.clamp(x * a.get("alpha", 0.2) + a.get("beta", 0.5), 0, 1),
    "HardSwish": _unary(F.hardswish), "Mish": _unary(F.mish), "Gelu": _gelu, "Softplus": _unary(F.softplus),
    "Softsign": _unary(F.softsign), "Softmax": _softmax(torch.softmax), "LogSoftmax": _softmax(torch.log_softmax),
    "Exp": _unary(torch.exp), "Log": _unary(torch.log), "Sqrt": _unary(torch.sqrt), "Neg": _unary(torch.neg),
    "Abs": _unary(torch.abs), "Floor": _unary(torch.floor), "Ceil": _unary(torch.ceil), "Round": _unary(torch.round),
    "Sign": _unary(torch.sign), "Reciprocal": _unary(torch.reciprocal), "Erf": _unary(torch.erf),
    "Sin": _unary(torch.sin), "Cos": _unary(torch.cos), "Clip": _clip, "Cast": _cast,
    "Identity": lambda a, x: x, "Dropout": lambda a, x, *r: x,
}  # fmt: skip
_SHAPES: dict[str, Operation] = {
    "Shape": _shape, "Size": lambda a, x: torch.tensor(x.numel()), "Range": _range,
    "ConstantOfShape": _constant_of_shape, "Reshape": _reshape, "Flatten": _flatten, "Transpose": _transpose,
    "Concat": _concat, "Split": _split, "Slice": _slice, "Expand": _expand, "Tile": _tile, "Pad": _pad,
    "Unsqueeze": _unsqueeze, "Squeeze": _squeeze, "Gather": _gather, "GatherElements": _gather_elements,
    "GatherND": _gather_nd, "ScatterND": _scatter_nd, "ScatterElements": _scatter_elements,
    "NonZero": lambda a, x: torch.nonzero(x).T, "OneHot": _one_hot, "Trilu": _triangle,
}  # fmt: skip
_SUMS: dict[str, Operation] = {
    "MatMul": _matmul, "Gemm": _gemm, "Einsum": _einsum, "TopK": _top_k, "CumSum": _cumulate,
    "ArgMax": _best(torch.argmax), "ArgMin": _best(torch.argmin),
    "ReduceMax": _reduce(torch.amax), "ReduceMin": _reduce(torch.amin), "ReduceMean": _reduce(torch.mean),
    "ReduceSum": _reduce(torch.sum), "ReduceProd": _reduce(_product),
    "ReduceL1": _reduce(lambda x, **how: x.abs().sum(**how)),
    "ReduceL2": _reduce(lambda x, **how: x.square().sum(**how).sqrt()),
    "ReduceSumSquare": _reduce(lambda x, **how: x.square().sum(**how)), "ReduceLogSumExp": _reduce(torch.logsumexp),
}  # fmt: skip
OPERATIONS: dict[str, Operation] = {**_ELEMENTS, **_SHAPES, **_SUMS, **LAYERS}
