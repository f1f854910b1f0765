"""INT8 and FP16 versions of an ONNX model, made with ONNX Runtime's own tools. Needs the extra `build` (onnx).

Quantisation after training: the ranges of activations are taken from calibration pictures, weights per channel, and
quantise-dequantise pairs are put around convolutions and products (activations uint8, weights int8, symmetric).
"""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import MissingExtraError
from ..metrics.agreement import Outputs, errors
from .wishes import Method

OPSET = 17  # per-channel scales need 13; newer ones gain nothing here
WEIGHED = ("Conv", "ConvTranspose", "Gemm", "MatMul")  # what has weights and most of the work

Calls = Sequence[Mapping[str, Any]]


def need_onnx(what: str) -> Any:
    """The module onnx. Raises MissingExtraError."""
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError(what, "onnx", "build") from error
    return onnx


@contextmanager
def quietly() -> Iterator[None]:
    """ONNX Runtime's tools print how they get on, and warn by the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(level)


class Quantiser:
    """One model, its calibration pictures, and the ranges that they gave. `folder` takes the files that it writes."""

    def __init__(self, model: Path, folder: Path, calls: Calls, saturates: bool = False) -> None:
        """`saturates`: the processor adds products of int8 in 16 bits, so weights keep 7 bits (no VNNI).

        Raises MissingExtraError without onnx, ValueError for a model that cannot be brought to opset 17.
        """
        onnx = need_onnx("INT8")
        from onnx import version_converter

        self.folder, self.calls, self.saturates = folder, calls, saturates
        self.prepared = folder / "prepared.onnx"
        with _errors():
            graph = onnx.load(str(model))
            version = next((each.version for each in graph.opset_import if each.domain in ("", "ai.onnx")), 0)
            if version < OPSET:
                graph = version_converter.convert_version(graph, OPSET)
            onnx.save(graph, str(self.prepared))
            self._prepare()
        self.graph = onnx.load(str(self.prepared))
        self.nodes = [node.name for node in self.graph.graph.node if node.op_type in WEIGHED]
        self._ranges: dict[Method, Any] = {}

    def _prepare(self) -> None:
        """Shapes inferred, constants folded, nodes named."""
        from onnxruntime.quantization.shape_inference import quant_pre_process

        with quietly():
            quant_pre_process(str(self.prepared), str(self.prepared), skip_symbolic_shape=True)

    def write(self, name: str, method: Method, exclude: Sequence[str] = (), everything: bool = False) -> Path:
        """A quantised model file, without the nodes `exclude`; `everything`: with operators that have no weights.

        Raises ValueError when the tools fail on this model.
        """
        path = self.folder / name
        nodes = [node for node in self.nodes if node not in set(exclude)]
        with quietly(), _errors():
            self._quantise(path, method, None if everything else nodes, exclude)
        return path

    def ranges(self, method: Method) -> Any:
        """The ranges of activations, computed once for each method."""
        if method not in self._ranges:
            from onnxruntime.quantization import CalibrationMethod
            from onnxruntime.quantization.calibrate import create_calibrator

            kinds = {"entropy": "Entropy", "percentile": "Percentile", "minmax": "MinMax"}
            calibrator = create_calibrator(
                str(self.prepared), None, str(self.folder / "augmented.onnx"),
                getattr(CalibrationMethod, kinds[method]), extra_options={},
            )  # fmt: skip
            calibrator.collect_data(_Reader(self.calls))
            self._ranges[method] = calibrator.compute_data()
            (self.folder / "augmented.onnx").unlink(missing_ok=True)
        return self._ranges[method]

    def _quantise(self, path: Path, method: Method, nodes: Sequence[str] | None, exclude: Sequence[str]) -> None:
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
        from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

        onnx = need_onnx("INT8")
        graph = onnx.ModelProto()
        graph.CopyFrom(self.graph)
        kinds = list({*QDQRegistry, *QLinearOpsRegistry}) if nodes is None else list(WEIGHED)
        quantizer = QDQQuantizer(
            graph, True, self.saturates, QuantType.QInt8, QuantType.QUInt8, self.ranges(method),
            nodes or [], list(exclude), kinds, {"WeightSymmetric": True},
        )  # fmt: skip
        quantizer.quantize_model()
        quantizer.model.save_model_to_file(str(path), False)

    def by_error(
        self,
        run: Callable[[Path, Calls], Sequence[Outputs]],
        method: Method,
        calls: Calls,
        reference: Sequence[Outputs],
    ) -> list[str]:
        """The nodes, those first that harm most: the mean error of the outputs when this node alone is quantised."""
        harm = {}
        for node in self.nodes:
            rest = [name for name in self.nodes if name != node]
            try:
                outputs = run(self.write("alone.onnx", method, rest), calls)
                harm[node] = errors(reference, outputs)[1]
            except ValueError:
                harm[node] = math.inf
        (self.folder / "alone.onnx").unlink(missing_ok=True)
        return sorted(self.nodes, key=lambda node: -harm[node])

    def clean(self) -> None:
        self.prepared.unlink(missing_ok=True)


class _Reader:
    """The calibration pictures, as ONNX Runtime's calibrators read them."""

    def __init__(self, calls: Calls) -> None:
        self._calls = iter(calls)

    def get_next(self) -> dict[str, Any] | None:
        call = next(self._calls, None)
        return dict(call) if call is not None else None


def to_half(model: Path, path: Path) -> None:
    """Write the model with weights and arithmetic in FP16; inputs and outputs stay as they are. Raises ValueError."""
    onnx = need_onnx("FP16")
    with quietly(), _errors():
        from onnxruntime.transformers.float16 import convert_float_to_float16

        onnx.save(convert_float_to_float16(onnx.load(str(model)), keep_io_types=True), str(path))


@contextmanager
def _errors() -> Iterator[None]:
    """What the tools raise, which is of every kind, as one ValueError."""
    from google.protobuf.message import Error as ProtobufError

    try:
        yield
    except MissingExtraError:
        raise
    except (
        RuntimeError, ValueError, TypeError, LookupError, AttributeError, ImportError, OSError, ProtobufError,
        need_onnx("INT8").checker.ValidationError,
    ) as error:  # fmt: skip
        raise ValueError(f"the conversion failed: {_line(error)}") from error


def _line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:200]


def spread(calls: Calls, count: int) -> list[Mapping[str, Any]]:
    """So many of the calls, evenly spread."""
    if len(calls) <= count:
        return list(calls)
    return [calls[int(at)] for at in np.linspace(0, len(calls) - 1, count)]
