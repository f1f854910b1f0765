"""A float32 ONNX model in 16 bits, by ONNX Runtime's own converter."""

from __future__ import annotations

import logging
import os

from ..core.errors import MissingExtraError


def as_float16(path: str | os.PathLike[str]) -> bytes:
    """The model of a file with weights, arithmetic and inputs in float16; its outputs stay float32.

    What has no kernel for float16 (NonMaxSuppression, TopK, …) stays float32, between casts. A model that is float16
    already is left as it is. Raises ValueError where it cannot be converted, MissingExtraError without onnx.
    """
    try:
        import onnx
        from google.protobuf.message import Error as ProtobufError
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise MissingExtraError("precision: float16 of the onnx runtime", str(error.name), "convert") from None
    try:
        model = onnx.load(os.fspath(path))
        wide = onnx.TensorProto.FLOAT
        outputs = [each.name for each in model.graph.output if each.type.tensor_type.elem_type == wide]
        logging.getLogger("onnxruntime.transformers.float16").setLevel(logging.ERROR)  # it tells of each tiny weight
        content: bytes = convert_float_to_float16(model, keep_io_types=outputs).SerializeToString()
    except (
        RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError, OSError, ProtobufError,
        onnx.checker.ValidationError, onnx.shape_inference.InferenceError,
    ) as error:  # fmt: skip
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f"{path} cannot be made float16: {lines[0][:200]}; leave out `precision`") from error
    return content
