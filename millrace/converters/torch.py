"""PyTorch → ONNX: a network is run once on zeros, and the operations that it makes are written down."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch

from ..media import TensorInfo
from .base import Conversion
from .graph import OPSET


def convert(
    path: str | os.PathLike[str],
    kind: str,
    module: Any,
    inputs: Sequence[TensorInfo],
    outputs: Sequence[TensorInfo],
    metadata: dict[str, str] | None = None,
) -> Conversion:
    """Convert a network that takes `inputs` in order and gives a tuple of `outputs` in order.

    What the network decides by its numbers (how many boxes are left, say) is fixed at what the zeros gave: `check`
    finds that out. Raises ValueError naming the operation that ONNX does not have.
    """
    free = bool(inputs) and all(info.shape[:1] == (None,) for info in inputs)
    zeros = tuple(
        torch.zeros([1 if dim is None else dim for dim in info.shape], dtype=getattr(torch, info.dtype))
        for info in inputs
    )
    names = [[info.name for info in infos] for infos in (inputs, outputs)]
    axes = {name: {0: "batch"} for name in (*names[0], *names[1])} if free else {}
    out = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the tracer, about what `check` checks
            traced = torch.jit.trace(module, zeros, check_trace=False)
            torch.onnx.export(
                traced, zeros, out, opset_version=OPSET, dynamo=False, input_names=names[0], output_names=names[1],
                dynamic_axes=axes,
            )  # fmt: skip
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ValueError(f"{path} cannot be converted: {lines[0][:300]}") from error
    model = onnx.load_from_string(out.getvalue())
    onnx.helper.set_model_props(model, dict(metadata or {}))

    def reference(feed: dict[str, Any]) -> dict[str, Any]:
        with torch.inference_mode():
            values = module(*(torch.from_numpy(np.ascontiguousarray(feed[name])) for name in names[0]))
        return {name: value.numpy() for name, value in zip(names[1], values, strict=True)}

    return Conversion(model, reference, f"PyTorch {torch.__version__}", str(path), metadata or {})
