"""An ONNX graph in the making: nodes that are given names, and constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8  # of the same time as the operators: older runtimes read it


class Graph:
    """Call `add` for each step in order; `model` gives the finished ONNX model."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._count = 0

    def add(self, op: str, inputs: Sequence[str], outputs: int | Sequence[str] = 1, **attributes: Any) -> list[str]:
        """A node; `outputs` are names, or how many. Returns the names of its outputs."""
        self._count += 1
        names = [f"{op.lower()}_{self._count}_{n}" for n in range(outputs)] if isinstance(outputs, int) else outputs
        self._nodes.append(helper.make_node(op, list(inputs), list(names), name=f"{op}_{self._count}", **attributes))
        return list(names)

    def one(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node of one output: its name."""
        return self.add(op, inputs, **attributes)[0]

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """The name of a constant."""
        self._count += 1
        name = f"constant_{self._count}"
        self._constants[name] = numpy_helper.from_array(
            np.ascontiguousarray(value, dtype).reshape(np.shape(value)), name
        )
        return name

    def numbers(self, *values: int) -> str:
        """The name of a constant of whole numbers: a shape, axes."""
        return self.constant(np.array(values), np.int64)

    def model(
        self,
        inputs: Mapping[str, Sequence[Any]],
        outputs: Mapping[str, Sequence[Any]],
        facts: Mapping[str, str],
    ) -> Any:
        """The model (onnx.ModelProto) of float inputs and outputs by shape, checked; `facts` go into its metadata."""
        ins, outs = (
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in values.items()]
            for values in (inputs, outputs)
        )
        graph = helper.make_graph(self._nodes, self._name, ins, outs, list(self._constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        helper.set_model_props(model, dict(facts))
        model.producer_name = "millrace"
        onnx.checker.check_model(model)
        return model
