"""Whether an ONNX network may be recorded as a CUDA graph, which does at every call what was done when it was recorded.

The rule: every size follows from the shapes of the inputs and from constants. It is proved operator by operator; one
that is in neither table below (NonZero, NonMaxSuppression, Loop, sequences, strings, random numbers, operators of other
domains, …) is taken for one that may do otherwise. Definitions: https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.errors import MissingExtraError
from ..media import TensorInfo

NUMBERS: dict[str, tuple[int, ...]] = {  # operators with inputs that are sizes, axes and the like: those inputs
    "Reshape": (1,), "Slice": (1, 2, 3, 4), "Resize": (1, 2, 3), "Upsample": (1,), "Clip": (1, 2), "Unsqueeze": (1,),
    "Squeeze": (1,), "Pad": (1, 2, 3), "Split": (1,), "Expand": (1,), "Tile": (1,), "TopK": (1,), "CumSum": (1,),
    "ConstantOfShape": (0,), "Range": (0, 1, 2), "Trilu": (1,), "OneHot": (1,), "AffineGrid": (1,),
    **dict.fromkeys(("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
                     "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"), (1,)),
}  # fmt: skip
_NAMES = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization BitShift
    BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil Celu Concat Constant Conv ConvInteger
    ConvTranspose Cos Cosh DeformConv DepthToSpace DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum Elu
    Equal Erf Exp EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool
    GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HardSigmoid HardSwish Hardmax Identity
    InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax
    LpNormalization LpPool MatMul MatMulInteger Max MaxPool MaxRoiPool Mean MeanVarianceNormalization Min Mish Mod
    Mul Neg Not Or PRelu Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization RNN Reciprocal Relu
    ReverseSequence RoiAlign RotaryEmbedding Round Scatter ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign
    Sin Sinh Size Softmax Softplus Softsign SpaceToDepth Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Transpose Where
    Xor
"""
_FIXED = frozenset(_NAMES.split())  # what they give is as large as the shapes of their inputs and their attributes say
_MICROSOFT = {  # the same, of ONNX Runtime's own domain: its tools put them in the place of those above
    "BiasGelu", "DequantizeLinear", "FastGelu", "FusedConv", "FusedMatMul", "Gelu", "QuickGelu", "QuantizeLinear",
    "SkipLayerNormalization",
}  # fmt: skip


class Unrecorded(Exception):
    """A network cannot be recorded, for this reason."""


def prove_recordable(path: str | os.PathLike[str]) -> None:
    """Raises Unrecorded where a size in a file's network may depend on the pictures, or that cannot be found out."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
        from onnx.inliner import inline_local_functions
    except ImportError as error:
        raise Unrecorded(str(MissingExtraError("finding out whether it can", str(error.name), "convert"))) from None
    try:
        model = onnx.load(os.fspath(path), load_external_data=False)
        model = inline_local_functions(model) if model.functions else model
    except (DecodeError, RuntimeError, ValueError, onnx.checker.ValidationError) as error:
        raise Unrecorded(f"what is in it cannot be read: {str(error).partition(chr(10))[0][:200]}") from error
    _walk(model.graph, set())


def _walk(graph: Any, known: set[str]) -> set[str]:
    """The values in a graph that follow from shapes and constants; `known`: those outside it. Raises Unrecorded."""
    known = known | {each.name for each in graph.initializer}
    known.update(each.values.name for each in graph.sparse_initializer)
    for node in graph.node:
        inputs = [name for name in node.input if name]
        if node.domain not in ("", "ai.onnx"):
            fixed = node.domain == "com.microsoft" and node.op_type in _MICROSOFT
        elif node.op_type == "If":
            fixed = inputs[0] in known
        else:
            numbers = [node.input[at] for at in NUMBERS.get(node.op_type, ()) if at < len(node.input)]
            fixed = node.op_type in _FIXED or (node.op_type in NUMBERS and known.issuperset(filter(None, numbers)))
        if not fixed:
            name = f" ({node.name})" if node.name else ""
            raise Unrecorded(f"how much the operator {node.op_type}{name} gives may depend on the pictures")
        branches = [_walk(each.g, known) for each in node.attribute if node.op_type == "If"]
        if branches:
            ends = [{out.name for out in each.g.output} for each in node.attribute]
            follows = all(end <= branch for end, branch in zip(ends, branches, strict=True))
        else:
            follows = node.op_type in ("Shape", "Size") or known.issuperset(inputs)
        if follows:
            known.update(node.output)
    return known


def random_inputs(infos: Sequence[TensorInfo], shapes: Sequence[Sequence[int]]) -> list[Any]:
    """Noise: real numbers from 0 to 1, bytes from 0 to 255; other whole numbers, which may be indices: 0 and 1."""
    rng = np.random.default_rng(1)
    return [_random(rng, np.dtype(info.dtype), tuple(shape)) for info, shape in zip(infos, shapes, strict=True)]


def _random(rng: np.random.Generator, dtype: Any, shape: tuple[int, ...]) -> Any:
    if dtype.kind == "f":
        return rng.random(shape, np.float32).astype(dtype, copy=False)
    return rng.integers(0, 256 if dtype == np.uint8 else 2, shape).astype(dtype)


def compare(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises Unrecorded where more than 1 % of an output's numbers are off by more than 1 % (of the median, if larger).

    Kernels that sum in any order change last bits, and with these an index here and there.
    """
    for name, want in wanted.items():
        if found[name].shape != want.shape or not _alike(found[name], want):
            raise Unrecorded(f"its output {name} was another when it was replayed for other pictures")


def _alike(found: Any, want: Any) -> bool:
    if not want.size:
        return True
    if want.dtype.kind == "f":
        found, want = found.astype(np.float32), want.astype(np.float32)
        sizes = np.abs(want[np.isfinite(want)])
        same = np.isclose(found, want, 1e-2, 1e-2 * np.median(sizes) if sizes.size else 0, equal_nan=True)
    else:
        same = found == want
    return bool(same.mean() >= 0.99)
