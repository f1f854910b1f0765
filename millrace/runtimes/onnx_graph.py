"""An ONNX graph as PyTorch operations: enough of the operator set for convolutional detectors and classifiers.

ONNX operators: https://onnx.ai/onnx/operators/. Weights of convolutions and matrix products are kept in the chosen
precision; every other number takes the precision of what it meets. `x * sigmoid(x)` is run as one operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import numpy_helper

from ..media import TensorInfo

Attributes = Mapping[str, Any]
Operation = Callable[..., Any]
_HEAVY = {"Conv", "ConvTranspose", "Gemm", "MatMul"}  # their weights are kept in the model's precision
_SHAPES = {"Reshape": (1,), "Slice": (1, 2, 3, 4), "Resize": (1, 2, 3), "Clip": (1, 2), "Unsqueeze": (1,),
           "Squeeze": (1,), "Pad": (1, 2), "Split": (1,), "ReduceSum": (1,), "ReduceMean": (1,), "ReduceMax": (1,),
           "Expand": (1,), "Tile": (1,), "TopK": (1,)}  # fmt: skip  # inputs that are numbers for the CPU


class Graph(torch.nn.Module):  # type: ignore[misc]
    """The model: call it with its inputs in order; returns a tuple of its outputs in order.

    Raises ValueError when the file needs an operator that is not here, or a shape that depends on the data.
    """

    def __init__(self, model: onnx.ModelProto, dtype: torch.dtype) -> None:
        super().__init__()
        graph = model.graph
        self.constants: dict[str, Any] = {}  # NumPy arrays
        for tensor in graph.initializer:
            self.constants[tensor.name] = numpy_helper.to_array(tensor)
        nodes = _without_constants(graph.node, self.constants)
        missing = sorted({node.op_type for node in nodes} - _OPERATIONS.keys())
        if missing:
            raise ValueError(f"operators {', '.join(missing)} are not known to the PyTorch runtime")
        self.input_names = [i.name for i in graph.input if i.name not in self.constants]
        self.output_names = [o.name for o in graph.output]
        self.dtype = dtype
        self.steps = [self._step(node) for node in _with_silu(nodes, self.output_names)]

    def _step(self, node: Any) -> tuple[Operation, Attributes, list[Any], list[str]]:
        """(function, attributes, inputs, names of outputs); an input is a name, or a value known beforehand."""
        numbers = _SHAPES.get(node.op_type, ())
        inputs = [
            self._input(name, index in numbers, node.op_type in _HEAVY) for index, name in enumerate(node.input)
        ]  # fmt: skip
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        attributes.setdefault("num_outputs", len(node.output))
        return _OPERATIONS[node.op_type], attributes, inputs, list(node.output)

    def _input(self, name: str, number: bool, heavy: bool) -> Any:
        if not name:
            return None
        if name not in self.constants:
            if number:
                raise ValueError(f"{name} is a shape that depends on the data: the PyTorch runtime needs fixed ones")
            return name
        value = self.constants[name]
        if number:
            return _Number(value)
        buffer = f"weight_{len(self._buffers)}"
        tensor = torch.from_numpy(np.array(value))
        if tensor.is_floating_point() and (heavy or self.dtype == torch.float32):
            tensor = tensor.to(self.dtype)
        self.register_buffer(buffer, tensor)
        return _Weight(buffer)

    def forward(self, *inputs: Any) -> tuple[Any, ...]:
        values: dict[str, Any] = dict(zip(self.input_names, inputs, strict=True))
        buffers = self._buffers
        for function, attributes, names, outputs in self.steps:
            arguments = [
                values[n] if isinstance(n, str) else buffers[n.name] if isinstance(n, _Weight) else n and n.value
                for n in names
            ]  # fmt: skip
            result = function(attributes, *arguments)
            if len(outputs) == 1:
                values[outputs[0]] = result
            else:
                values.update(zip(outputs, result, strict=False))
        return tuple(values[name] for name in self.output_names)


class _Weight:
    """The name of a buffer of the module."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class _Number:
    """Numbers that shape the computation: a list, or None."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value.tolist() if value.size else None


def tensor_infos(values: Any, without: Mapping[str, Any], dtypes: Mapping[str, str]) -> list[TensorInfo]:
    """Inputs or outputs of a graph; `dtypes` replaces some of the file's."""
    infos = []
    for value in values:
        if value.name in without:
            continue
        kind = value.type.tensor_type
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)).name
        shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim)
        infos.append(TensorInfo(value.name, shape, dtypes.get(dtype, dtype)))
    return infos


def _without_constants(nodes: Sequence[Any], constants: dict[str, Any]) -> list[Any]:
    """The nodes that compute; Constant nodes become constants, Identity and Cast nodes of constants too."""
    rest = []
    for node in nodes:
        if node.op_type == "Constant":
            value = onnx.helper.get_attribute_value(node.attribute[0])
            is_tensor = isinstance(value, onnx.TensorProto)
            constants[node.output[0]] = numpy_helper.to_array(value) if is_tensor else np.asarray(value)
        elif node.op_type == "Identity" and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
        elif node.op_type == "Cast" and node.input[0] in constants:
            to = onnx.helper.tensor_dtype_to_np_dtype(onnx.helper.get_attribute_value(node.attribute[0]))
            constants[node.output[0]] = constants[node.input[0]].astype(to)
        else:
            rest.append(node)
    return rest


def _with_silu(nodes: Sequence[Any], outputs: Sequence[str]) -> list[Any]:
    """Sigmoid followed by a product with its own input, used nowhere else, becomes Silu."""
    readers: dict[str, list[Any]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    gone: set[str] = set()
    merged: list[Any] = []
    for node in nodes:
        if node.op_type == "Sigmoid" and node.output[0] not in outputs:
            (gate,) = node.output
            users = readers.get(gate, [])
            if len(users) == 1 and users[0].op_type == "Mul" and set(users[0].input) == {gate, node.input[0]}:
                gone.add(gate)
                continue
        if node.op_type == "Mul" and set(node.input) & gone:
            (gate,) = set(node.input) & gone
            (value,) = set(node.input) - {gate}
            node = onnx.helper.make_node("Silu", [value], list(node.output))
        merged.append(node)
    return merged


def _same(a: Any, b: Any) -> tuple[Any, Any]:
    """Two numbers or tensors in one floating precision: that of the one with more dimensions."""
    if a.is_floating_point() and b.is_floating_point() and a.dtype != b.dtype:
        return (a, b.to(a.dtype)) if a.dim() >= b.dim() and a.numel() >= b.numel() else (a.to(b.dtype), b)
    return a, b


def _binary(function: Operation) -> Operation:
    return lambda attributes, a, b: function(*_same(a, b))


def _pads(attributes: Attributes, kernel: Sequence[int]) -> tuple[list[int], bool]:
    """[h, w, …] where begin and end are equal; (all of them in torch's order, False) otherwise."""
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise ValueError("auto_pad SAME is not known to the PyTorch runtime")
    pads = list(attributes.get("pads", [0] * 2 * len(kernel)))
    half = len(pads) // 2
    if pads[:half] == pads[half:]:
        return pads[:half], True
    return [p for axis in reversed(range(half)) for p in (pads[axis], pads[half + axis])], False


def _conv(attributes: Attributes, x: Any, weight: Any, bias: Any = None) -> Any:
    pads, even = _pads(attributes, weight.shape[2:])
    if not even:
        x, pads = F.pad(x, pads), [0] * (weight.dim() - 2)
    dims = weight.dim() - 2
    return torch.ops.aten.convolution(
        x, weight, bias, attributes.get("strides", [1] * dims), pads, attributes.get("dilations", [1] * dims),
        False, [0] * dims, attributes.get("group", 1),
    )  # fmt: skip


def _max_pool(attributes: Attributes, x: Any) -> Any:
    kernel = attributes["kernel_shape"]
    pads, even = _pads(attributes, kernel)
    if not even:
        x, pads = F.pad(x, pads, value=float("-inf")), [0] * len(kernel)
    return F.max_pool2d(x, kernel, attributes.get("strides"), pads, ceil_mode=bool(attributes.get("ceil_mode", 0)))


def _average_pool(attributes: Attributes, x: Any) -> Any:
    kernel = attributes["kernel_shape"]
    pads, even = _pads(attributes, kernel)
    if not even:
        raise ValueError("AveragePool with uneven pads is not known to the PyTorch runtime")
    count = bool(attributes.get("count_include_pad", 0))
    return F.avg_pool2d(x, kernel, attributes.get("strides"), pads, bool(attributes.get("ceil_mode", 0)), count)


def _resize(attributes: Attributes, x: Any, roi: Any = None, scales: Any = None, sizes: Any = None) -> Any:
    if sizes is None:
        sizes = [round(n * s) for n, s in zip(x.shape, scales, strict=True)]
    mode = attributes.get("mode", b"nearest").decode()
    how = attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    if mode == "nearest" and all(b % a == 0 for a, b in zip(x.shape, sizes, strict=True)):
        return F.interpolate(x, size=sizes[2:], mode="nearest")  # whole factors: every rounding rule agrees
    if mode == "linear" and how in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        return F.interpolate(x, size=sizes[2:], mode="bilinear", align_corners=how == "align_corners")
    raise ValueError(f"Resize by {mode}, {how} is not known to the PyTorch runtime")


def _slice(attributes: Attributes, x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    for index, start in enumerate(starts):
        axis = axes[index] if axes else index
        step = steps[index] if steps else 1
        if step < 1:
            raise ValueError("Slice backwards is not known to the PyTorch runtime")
        where = [slice(None)] * x.dim()
        where[axis] = slice(start, min(ends[index], 2**31), step)
        x = x[tuple(where)]
    return x


def _reshape(attributes: Attributes, x: Any, shape: Any) -> Any:
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(shape)])


def _split(attributes: Attributes, x: Any, sizes: Any = None) -> Any:
    """Into the sizes given; the step has set `num_outputs` for equal parts."""
    axis = attributes.get("axis", 0)
    sizes = sizes or attributes.get("split")
    if sizes is None:
        return torch.chunk(x, attributes["num_outputs"], axis)
    return torch.split(x, list(sizes), axis)


def _gemm(attributes: Attributes, a: Any, b: Any, c: Any = None) -> Any:
    a = a.T if attributes.get("transA", 0) else a
    b = b.T if attributes.get("transB", 0) else b
    product = attributes.get("alpha", 1.0) * (a @ b)
    return product if c is None else product + attributes.get("beta", 1.0) * c


def _clip(attributes: Attributes, x: Any, low: Any = None, high: Any = None) -> Any:
    low, high = attributes.get("min", low), attributes.get("max", high)
    return torch.clamp(x, *(b[0] if isinstance(b, list) else b for b in (low, high)))


def _cast(attributes: Attributes, x: Any) -> Any:
    return x.to(getattr(torch, np.dtype(onnx.helper.tensor_dtype_to_np_dtype(attributes["to"])).name))


def _gather(attributes: Attributes, x: Any, indices: Any) -> Any:
    axis = attributes.get("axis", 0)
    picked = torch.index_select(x, axis, indices.reshape(-1).to(x.device))
    return picked.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]] if axis >= 0 else picked.shape)


def _batch_norm(attributes: Attributes, x: Any, scale: Any, bias: Any, mean: Any, var: Any) -> Any:
    return F.batch_norm(x, mean.to(x.dtype), var.to(x.dtype), scale.to(x.dtype), bias.to(x.dtype),
                        eps=attributes.get("epsilon", 1e-5))  # fmt: skip


def _reduce(function: Operation) -> Operation:
    def run(attributes: Attributes, x: Any, axes: Any = None) -> Any:
        axes = axes or attributes.get("axes") or list(range(x.dim()))
        return function(x, dim=tuple(axes), keepdim=bool(attributes.get("keepdims", 1)))

    return run


def _top_k(attributes: Attributes, x: Any, k: Any) -> Any:
    axis, largest = attributes.get("axis", -1), bool(attributes.get("largest", 1))
    return torch.topk(x, int(k[0]), dim=axis, largest=largest, sorted=bool(attributes.get("sorted", 1)))


def _expand(attributes: Attributes, x: Any, shape: Any) -> Any:
    return x.expand(torch.broadcast_shapes(x.shape, tuple(shape)))


def _unsqueeze(attributes: Attributes, x: Any, axes: Any = None) -> Any:
    for axis in sorted(axes or attributes["axes"]):
        x = x.unsqueeze(axis)
    return x


def _squeeze(attributes: Attributes, x: Any, axes: Any = None) -> Any:
    axes = axes or attributes.get("axes")
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


_OPERATIONS: dict[str, Operation] = {
    "Add": _binary(torch.add), "Sub": _binary(torch.sub), "Mul": _binary(torch.mul), "Div": _binary(torch.div),
    "Pow": _binary(torch.pow), "Max": _binary(torch.maximum), "Min": _binary(torch.minimum),
    "Relu": lambda a, x: F.relu(x), "Sigmoid": lambda a, x: torch.sigmoid(x), "Silu": lambda a, x: F.silu(x),
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)), "Tanh": lambda a, x: torch.tanh(x),
    "HardSigmoid": lambda a, x: torch.clamp(x * a.get("alpha", 0.2) + a.get("beta", 0.5), 0, 1),
    "HardSwish": lambda a, x: F.hardswish(x), "Exp": lambda a, x: torch.exp(x), "Sqrt": lambda a, x: torch.sqrt(x),
    "Log": lambda a, x: torch.log(x), "Neg": lambda a, x: -x, "Identity": lambda a, x: x, "Dropout": lambda a, x, *r: x,
    "Softmax": lambda a, x: torch.softmax(x, a.get("axis", -1)),
    "Concat": lambda a, *xs: torch.cat(xs, a["axis"]), "Transpose": lambda a, x: x.permute(a["perm"]),
    "Flatten": lambda a, x: x.flatten(a.get("axis", 1)) if a.get("axis", 1) else x.reshape(1, -1),
    "MatMul": lambda a, x, y: x @ y, "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True),
    "Conv": _conv, "Gemm": _gemm, "MaxPool": _max_pool, "AveragePool": _average_pool, "Resize": _resize,
    "BatchNormalization": _batch_norm, "Slice": _slice, "Reshape": _reshape, "Split": _split, "Clip": _clip,
    "Cast": _cast, "Gather": _gather, "TopK": _top_k, "Expand": _expand,
    "Greater": _binary(torch.gt), "Less": _binary(torch.lt), "Equal": _binary(torch.eq),
    "ArgMax": lambda a, x: torch.argmax(x, a.get("axis", 0), keepdim=bool(a.get("keepdims", 1))),
    "GatherElements": lambda a, x, i: torch.gather(x, a.get("axis", 0), i),
    "Unsqueeze": _unsqueeze, "Squeeze": _squeeze,
    "ReduceMax": _reduce(torch.amax), "ReduceMean": _reduce(torch.mean), "ReduceSum": _reduce(torch.sum),
}  # fmt: skip
