"""Small models made in code, whose answers are known: for tests that need a model and no weights."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Known = Sequence[tuple[float, float, float, float, float, int]]  # x1 y1 x2 y2 in input pixels, score, class

FAMILIES = (
    "detectnet_v2", "detr", "detr_raw", "end2end", "fastestdet", "nanodet", "ssd", "ssd_final", "ssd_rows",
    "yolov5", "yolov8", "yolox",
)  # fmt: skip


def encode(family: str, boxes: Known, width: int = 64, height: int = 64, classes: int = 80) -> dict[str, NDArray[Any]]:
    """The outputs that a model of that family would give for one picture that shows just these boxes.

    Names, shapes and dtypes are those of the family's usual exports. The classes of `ssd` have one more, the last,
    that means "nothing".
    """
    encoders = {
        "detectnet_v2": _detectnet, "detr": _detr, "detr_raw": _detr_raw, "end2end": _end2end,
        "fastestdet": _fastestdet, "nanodet": _nanodet, "ssd": _ssd, "ssd_final": _ssd_final,
        "ssd_rows": _ssd_rows, "yolov5": _yolov5, "yolov8": _yolov8, "yolox": _yolox,
    }  # fmt: skip
    rows = np.array([b[:4] for b in boxes], np.float32).reshape(-1, 4)
    scores = np.array([b[4] for b in boxes], np.float32)
    kinds = np.array([b[5] for b in boxes], np.int64)
    return encoders[family](rows, scores, kinds, width, height, classes)


def make_detector(
    path: str | os.PathLike[str],
    boxes: Known = (),
    family: str = "yolox",
    width: int = 64,
    height: int = 64,
    classes: int = 80,
    batch: int | None = 1,
    nhwc: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> str:
    """Write an ONNX detector that finds the same boxes in every picture; returns its path. Needs onnx.

    `batch` None leaves the number of pictures open.
    """
    from onnx import TensorProto, helper

    outputs = encode(family, boxes, width, height, classes)
    shape = (batch or "N", height, width, 3) if nhwc else (batch or "N", 3, height, width)
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)]
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["means"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["means", "zero"], ["nothing"]),
    ]
    constants = [_constant("zero", np.zeros(1, np.float32))]
    if family == "detr":
        inputs.append(helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, [batch or "N", 2]))
    for name, value in outputs.items():
        _answer(name, value, nodes, constants)
    infos = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(v.dtype), [batch or "N", *v.shape[1:]] if v.ndim > 1 else [None]
        )
        for name, v in outputs.items()
    ]
    return _save(path, nodes, inputs, infos, constants, metadata)


def make_level_model(path: str | os.PathLike[str], width: int = 32, height: int = 32) -> str:
    """Write an ONNX model that finds one box of 8 x 8 that lies further right the brighter the picture is.

    So every picture has an answer of its own: for tests of order. Its outputs are end-to-end rows [N, 1, 6], class 0,
    score 0.9; it wants RGB of 0..1, and x1 is 16 times the mean of red, in pixels. Returns the path.
    """
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Split", ["images", "parts"], ["first", "rest"], axis=1),
        helper.make_node("ReduceMean", ["first"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("Mul", ["means", "which"], ["moved"]),
        helper.make_node("Add", ["moved", "row"], ["flat"]),
        helper.make_node("Unsqueeze", ["flat", "axis"], ["output0"]),
    ]
    constants = [
        _constant("which", np.array([[16, 0, 16, 0, 0, 0]], np.float32)),
        _constant("row", np.array([[0, 4, 8, 12, 0.9, 0]], np.float32)),
        _constant("axis", np.array([1], np.int64)),
        _constant("parts", np.array([1, 2], np.int64)),
    ]
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, height, width])]
    outputs = [helper.make_tensor_value_info("output0", TensorProto.FLOAT, ["N", 1, 6])]
    return _save(path, nodes, inputs, outputs, constants, None)


def make_shade_model(
    path: str | os.PathLike[str],
    heads: Mapping[str, Sequence[float]],
    width: int = 16,
    height: int = 16,
    logits: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> str:
    """Write an ONNX classifier that says how bright a picture is: for tests that must know what a crop showed.

    Each head has a class for each of its grey levels (0..1), the one nearest to the mean of the picture is the answer;
    outputs are [N, C] probabilities, or their logarithms. It wants RGB of 0..1, any number of pictures.
    """
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("ReduceMean", ["images"], ["means"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["means", "axis"], ["column"]),
    ]
    constants = [_constant("axis", np.array([1], np.int64)), _constant("steep", np.array(-400, np.float32))]
    outputs = []
    for name, levels in heads.items():
        constants.append(_constant(f"{name}/levels", np.array([levels], np.float32)))
        nodes += [
            helper.make_node("Sub", ["column", f"{name}/levels"], [f"{name}/far"]),
            helper.make_node("Mul", [f"{name}/far", f"{name}/far"], [f"{name}/square"]),
            helper.make_node("Mul", [f"{name}/square", "steep"], [f"{name}/score"]),
            helper.make_node("Identity" if logits else "Softmax", [f"{name}/score"], [name]),
        ]
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", len(levels)]))
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, height, width])]
    return _save(path, nodes, inputs, outputs, constants, metadata)


def make_vector_model(path: str | os.PathLike[str], size: int = 16, cells: int = 4) -> str:
    """Write an ONNX model whose vector is the mean colour of each of cells x cells parts of the picture, less 0.5.

    So pictures that look alike have vectors that lie near. It wants RGB of 0..1, any number of pictures.
    """
    from onnx import TensorProto, helper

    step = size // cells
    nodes = [
        helper.make_node("AveragePool", ["images"], ["parts"], kernel_shape=[step, step], strides=[step, step]),
        helper.make_node("Sub", ["parts", "half"], ["centred"]),
        helper.make_node("Flatten", ["centred"], ["features"]),
    ]
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, size, size])]
    outputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 3 * cells * cells])]
    return _save(path, nodes, inputs, outputs, [_constant("half", np.array(0.5, np.float32))], None)


def _answer(name: str, value: NDArray[Any], nodes: list[Any], constants: list[Any]) -> None:
    """One output: the constant plus nothing of the picture, so that it has as many pictures as the input."""
    from onnx import helper

    constants += [
        _constant(f"{name}/value", value),
        _constant(f"{name}/shape", np.array([-1] + [1] * (value.ndim - 1), np.int64)),
    ]
    kind = helper.np_dtype_to_tensor_dtype(value.dtype)
    nodes += [
        helper.make_node("Reshape", ["nothing", f"{name}/shape"], [f"{name}/flat"]),
        helper.make_node("Cast", [f"{name}/flat"], [f"{name}/cast"], to=kind),
        helper.make_node("Add", [f"{name}/value", f"{name}/cast"], [name]),
    ]


def _constant(name: str, value: NDArray[Any]) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(value, name)


def _save(
    path: str | os.PathLike[str],
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    constants: Sequence[Any],
    metadata: Mapping[str, str] | None,
) -> str:
    import onnx
    from onnx import helper

    graph = helper.make_graph(nodes, "made", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model)
    onnx.save(model, os.fspath(path))
    return os.fspath(path)


def _centres(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([(rows[:, :2] + rows[:, 2:]) / 2, rows[:, 2:] - rows[:, :2]], axis=1)


def _cells(width: int, height: int) -> int:
    return sum((width // s) * (height // s) for s in (8, 16, 32))


def _yolox(rows: Any, scores: Any, kinds: Any, width: int, height: int, classes: int) -> dict[str, NDArray[Any]]:
    output = np.zeros((1, _cells(width, height), 5 + classes), np.float32)
    for (cx, cy, w, h), score, kind in zip(_centres(rows), scores, kinds, strict=True):
        column, row = int(cx // 8), int(cy // 8)
        cell = output[0, row * (width // 8) + column]
        cell[:5] = cx / 8 - column, cy / 8 - row, math.log(w / 8), math.log(h / 8), 0.99
        cell[5 + kind] = score / 0.99
    return {"output": output}


def _yolov5(rows: Any, scores: Any, kinds: Any, width: int, height: int, classes: int) -> dict[str, NDArray[Any]]:
    output = np.zeros((1, 3 * _cells(width, height), 5 + classes), np.float32)
    for n, (centre, score, kind) in enumerate(zip(_centres(rows), scores, kinds, strict=True)):
        output[0, 7 * n, :5] = *centre, 0.99
        output[0, 7 * n, 5 + kind] = score / 0.99
    return {"output0": output}


def _yolov8(rows: Any, scores: Any, kinds: Any, width: int, height: int, classes: int) -> dict[str, NDArray[Any]]:
    output = np.zeros((1, 4 + classes, _cells(width, height)), np.float32)
    for n, (centre, score, kind) in enumerate(zip(_centres(rows), scores, kinds, strict=True)):
        output[0, :4, 5 * n] = centre
        output[0, 4 + kind, 5 * n] = score
    return {"output0": output}


def _end2end(rows: Any, scores: Any, kinds: Any, width: int, height: int, classes: int) -> dict[str, NDArray[Any]]:
    output = np.zeros((1, 300, 6), np.float32)
    output[0, : len(rows)] = np.concatenate([rows, scores[:, None], kinds[:, None]], axis=1)
    return {"output0": output}


def _ssd(rows: Any, scores: Any, kinds: Any, width: int, height: int, classes: int) -> dict[str, NDArray[Any]]:
    boxes = np.full((1, 100, 4), 0.5, np.float32)
    values = np.zeros((1, 100, classes + 1), np.float32)
    values[..., -1] = 1.0
    for n, (box, score, kind) in enumerate(zip(rows / (width, height, width, height), scores, kinds, strict=True)):
        boxes[0, 3 * n] = box
        values[0, 3 * n, kind], values[0, 3 * n, -1] = score, 1 - score
    return {"boxes": boxes, "scores": values}


def _ssd_final(rows: Any, scores: Any, kinds: Any, width: int, height: int, classes: int) -> dict[str, NDArray[Any]]:
    boxes, values, names = (np.zeros(s, np.float32) for s in ((1, 100, 4), (1, 100), (1, 100)))
    count = len(rows)
    boxes[0, :count] = (rows / (width, height, width, height))[:, [1, 0, 3, 2]]
    values[0, :count], names[0, :count] = scores, kinds
    return {
        "detection_boxes": boxes,
        "detection_classes": names,
        "detection_scores": values,
        "num_detections": np.array([count], np.float32),
    }


def _ssd_rows(rows: Any, scores: Any, kinds: Any, width: int, height: int, classes: int) -> dict[str, NDArray[Any]]:
    output = np.zeros((1, 1, 50, 7), np.float32)
    output[0, 0, len(rows), 0] = -1
    for n, (box, score, kind) in enumerate(zip(rows / (width, height, width, height), scores, kinds, strict=True)):
        output[0, 0, n] = 0, kind, score, *box
    return {"detection_out": output}


def _detr(rows: Any, scores: Any, kinds: Any, width: int, height: int, classes: int) -> dict[str, NDArray[Any]]:
    labels, boxes = np.zeros((1, 30), np.int64), np.zeros((1, 30, 4), np.float32)
    values = np.zeros((1, 30), np.float32)
    count = len(rows)
    labels[0, :count], boxes[0, :count], values[0, :count] = kinds, rows, scores
    return {"labels": labels, "boxes": boxes, "scores": values}


def _detr_raw(rows: Any, scores: Any, kinds: Any, width: int, height: int, classes: int) -> dict[str, NDArray[Any]]:
    logits = np.full((1, 30, classes), -9.0, np.float32)
    boxes = np.full((1, 30, 4), 0.5, np.float32)
    boxes[0, : len(rows)] = _centres(rows) / (width, height, width, height)
    for n, (score, kind) in enumerate(zip(scores, kinds, strict=True)):
        logits[0, n, kind] = math.log(score / (1 - score))
    return {"pred_logits": logits, "pred_boxes": boxes}


def _detectnet(rows: Any, scores: Any, kinds: Any, width: int, height: int, classes: int) -> dict[str, NDArray[Any]]:
    wide, high = width // 16, height // 16
    coverage = np.zeros((1, classes, high, wide), np.float32)
    boxes = np.zeros((1, classes, 4, high, wide), np.float32)
    for (x1, y1, x2, y2), score, kind in zip(rows, scores, kinds, strict=True):
        column, row = int((x1 + x2) // 32), int((y1 + y2) // 32)
        x, y = column * 16 + 0.5, row * 16 + 0.5
        coverage[0, kind, row, column] = score
        boxes[0, kind, :, row, column] = (x - x1) / 35, (y - y1) / 35, (x2 - x) / 35, (y2 - y) / 35
    return {"output_bbox/BiasAdd": boxes.reshape(1, -1, high, wide), "output_cov/Sigmoid": coverage}


def _nanodet(rows: Any, scores: Any, kinds: Any, width: int, height: int, classes: int) -> dict[str, NDArray[Any]]:
    outputs = {}
    for stride in (8, 16, 32):
        cells = (width // stride) * (height // stride)
        outputs[f"cls_pred_stride_{stride}"] = np.zeros((1, cells, classes), np.float32)
        outputs[f"dis_pred_stride_{stride}"] = np.zeros((1, cells, 32), np.float32)
    for (x1, y1, x2, y2), score, kind in zip(rows, scores, kinds, strict=True):
        column, row = int((x1 + x2) // 16), int((y1 + y2) // 16)
        x, y, cell = column * 8 + 3.5, row * 8 + 3.5, row * (width // 8) + column
        outputs["cls_pred_stride_8"][0, cell, kind] = score
        bins = np.full((4, 8), -40.0, np.float32)
        for side, distance in zip(bins, ((x - x1) / 8, (y - y1) / 8, (x2 - x) / 8, (y2 - y) / 8), strict=True):
            whole = int(distance)
            side[whole] = math.log(1 - (distance - whole))
            if distance > whole:
                side[whole + 1] = math.log(distance - whole)
        outputs["dis_pred_stride_8"][0, cell] = bins.ravel()
    return outputs


def _fastestdet(rows: Any, scores: Any, kinds: Any, width: int, height: int, classes: int) -> dict[str, NDArray[Any]]:
    wide, high = width // 16, height // 16
    output = np.zeros((1, 5 + classes, high, wide), np.float32)
    for (cx, cy, w, h), score, kind in zip(_centres(rows), scores, kinds, strict=True):
        column, row = int(cx // 16), int(cy // 16)
        cell = output[0, :, row, column]
        cell[0], cell[5 + kind] = 1.0, score**2.5
        cell[1], cell[2] = math.atanh(cx / 16 - column), math.atanh(cy / 16 - row)
        cell[3], cell[4] = -math.log(width / w - 1), -math.log(height / h - 1)
    return {"head": output}
