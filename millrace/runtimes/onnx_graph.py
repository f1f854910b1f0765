"""An ONNX graph as a PyTorch module: the operators that vision networks use (onnx_operations.py), step by step.

What depends on constants and fixed shapes alone is computed when the graph is read. What follows from a free shape (how
many pictures there are) is computed on the CPU at each call and, on a GPU, sent there once for each shape, so that
calls can be recorded. Weights of convolutions and matrix products are kept in the chosen precision; every other number
takes the precision of what it meets. `x * sigmoid(x)` is run as one operation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import EncodeError
from onnx import numpy_helper

from ..media import TensorInfo
from .onnx_operations import NUMBERS, OPEN, OPERATIONS, Attributes, Operation

_HEAVY = {"Conv", "ConvTranspose", "Gemm", "MatMul"}  # their weights are kept in the model's precision


@dataclass(frozen=True, slots=True)
class _Step:
    """One node: `inputs` are names, or what is known beforehand; `on_cpu`: it follows from shapes alone."""

    function: Operation
    attributes: Attributes
    inputs: list[Any]
    outputs: list[str]
    on_cpu: bool


class Graph(torch.nn.Module):  # type: ignore[misc]
    """The model: call it with its inputs in order; returns a tuple of its outputs in order.

    `open`: how many rows it gives depends on the data, so it cannot be recorded. Raises ValueError when the file needs
    an operator that is not here, or a shape that depends on the data.
    """

    def __init__(self, model: onnx.ModelProto, dtype: torch.dtype) -> None:
        super().__init__()
        graph = model.graph
        missing = sorted({node.op_type for node in graph.node} - OPERATIONS.keys() - {"Constant"})
        if missing:
            raise ValueError(f"operators {', '.join(missing)} are not known to the PyTorch runtime")
        self.constants: dict[str, Any] = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        self.input_names = [each.name for each in graph.input if each.name not in self.constants]
        self.output_names = [each.name for each in graph.output]
        self.open = any(node.op_type in OPEN for node in graph.node)
        self.dtype = dtype
        self._opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 1)
        self._on_cpu: set[str] = set()  # values that follow from shapes
        self._sent: dict[tuple[Any, ...], Any] = {}  # such values on the GPU, by the shapes of the inputs
        nodes = self._folded(graph.node, _fixed_shapes(model))
        self.steps = [self._step(node) for node in _with_silu(nodes, self.output_names)]
        kept = [name for name in self.output_names if name in self.constants]
        self._fixed = {name: self._input(name, False, False, False) for name in kept}

    def _folded(self, nodes: Sequence[Any], shapes: Mapping[str, Sequence[int]]) -> list[Any]:
        """The nodes that have something to compute; the others' results are among `constants` afterwards."""
        rest = []
        for node in nodes:
            if node.op_type == "Constant":
                self.constants[node.output[0]] = _constant(node.attribute[0])
            elif node.op_type == "Shape" and node.input[0] in shapes:
                facts = self._attributes(node)
                sizes = list(shapes[node.input[0]])[facts.get("start", 0) : facts.get("end")]
                self.constants[node.output[0]] = np.array(sizes, np.int64)
            elif node.input and all(name in self.constants for name in node.input if name):
                self._fold(node)
            else:
                rest.append(node)
        return rest

    def _fold(self, node: Any) -> None:
        numbers = NUMBERS.get(node.op_type, ())
        values = [self.constants[name] if name else None for name in node.input]
        arguments = [
            value if value is None else _numbers(value) if index in numbers else torch.from_numpy(np.array(value))
            for index, value in enumerate(values)
        ]
        result = OPERATIONS[node.op_type](self._attributes(node), *arguments)
        self.constants.update((name, value.numpy()) for name, value in _named(node.output, result))

    def _attributes(self, node: Any) -> dict[str, Any]:
        found = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        return {"num_outputs": len(node.output), "opset": self._opset, **found}

    def _step(self, node: Any) -> _Step:
        numbers = NUMBERS.get(node.op_type, ())
        computed = [name for name in node.input if name and name not in self.constants]
        on_cpu = node.op_type in ("Shape", "Size") or all(name in self._on_cpu for name in computed)
        inputs = [
            self._input(name, index in numbers, node.op_type in _HEAVY, on_cpu) for index, name in enumerate(node.input)
        ]
        if on_cpu:
            self._on_cpu.update(node.output)
        return _Step(OPERATIONS[node.op_type], self._attributes(node), inputs, list(node.output), on_cpu)

    def _input(self, name: str, number: bool, heavy: bool, on_cpu: bool) -> Any:
        if not name:
            return None
        if name not in self.constants:
            if number and name not in self._on_cpu:
                raise ValueError(f"{name} is a shape that depends on the data: the PyTorch runtime needs fixed ones")
            return _Later(name) if number else name
        value = self.constants[name]
        if number:
            return _Known(_numbers(value))
        tensor = torch.from_numpy(np.array(value))
        if on_cpu:
            return _Known(tensor)
        buffer = f"weight_{len(self._buffers)}"
        if tensor.is_floating_point() and (heavy or self.dtype == torch.float32):
            tensor = tensor.to(self.dtype)
        self.register_buffer(buffer, tensor)
        return _Weight(buffer)

    def forward(self, *inputs: Any) -> tuple[Any, ...]:
        values: dict[str, Any] = dict(zip(self.input_names, inputs, strict=True))
        shapes = tuple(tuple(each.shape) for each in inputs) if self._on_cpu else ()
        device = inputs[0].device
        for step in self.steps:
            arguments = [self._value(given, values, step.on_cpu, shapes, device) for given in step.inputs]
            result = step.function(step.attributes, *arguments)
            values.update(_named(step.outputs, result))
        values.update((name, self._value(given, values, False, shapes, device)) for name, given in self._fixed.items())
        return tuple(values[name] for name in self.output_names)

    def _value(self, given: Any, values: Mapping[str, Any], on_cpu: bool, shapes: Any, device: Any) -> Any:
        if isinstance(given, str):
            if on_cpu or given not in self._on_cpu or device.type == "cpu":
                return values[given]
            key = (given, shapes)
            if key not in self._sent:
                self._sent[key] = values[given].to(device)
            return self._sent[key]
        if isinstance(given, _Weight):
            return self._buffers[given.name]
        if isinstance(given, _Later):
            return _numbers(values[given.name])
        return given and given.value


class _Weight:
    """The name of a buffer of the module."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class _Later:
    """The name of a value whose numbers shape the computation."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class _Known:
    """A value that stays on the CPU: numbers that shape the computation, or a tensor among such."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _named(names: Sequence[str], result: Any) -> list[tuple[str, Any]]:
    """An operation's results with their names; a node may want fewer than there are."""
    return list(zip(names, result if isinstance(result, tuple | list) else (result,), strict=False))


def _numbers(value: Any) -> Any:
    """An array or a tensor as numbers; None: it is empty."""
    return value.tolist() if np.prod(value.shape) else None


def _constant(attribute: Any) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)


def _fixed_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """The shapes of all values whose every size is known."""
    try:
        known = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except (EncodeError, ValueError, RuntimeError, onnx.shape_inference.InferenceError):  # too large, or contradictory
        known = model.graph
    found = {}
    for value in (*known.input, *known.value_info):
        kind = value.type.tensor_type
        sizes = [each.dim_value if each.HasField("dim_value") else 0 for each in kind.shape.dim]
        if kind.HasField("shape") and all(size > 0 for size in sizes):
            found[value.name] = tuple(sizes)
    return found


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
