"""A YOLOX model that gives the best rows only, boxes decoded: less to carry from the GPU and less to parse.

    python benchmarks/best_rows.py yolox_nano_384x640_dynbatch.onnx best.onnx --rows 128 --suppress

The output [N, rows, 85] is what YOLOv5 heads give (cx cy w h of input pixels, objectness, class scores), the rows
with the highest objectness * best class score first. With --suppress it is [N, rows, 6] (x1 y1 x2 y2 score class)
after non-maximum suppression within a class; removed rows have score 0. A model card is written beside it. Runs on
CPU and GPU alike.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from millrace.models.labels import known_names

STRIDES = (8, 16, 32)
CARD = """\
parser: {parser}
input: {{colour: BGR, scale: 1.0, fit: letterbox-top-left, pad: 114}}
labels: {labels}
"""
IOU = 0.45
ROUNDS = 8  # of suppression; exact where no chain of boxes that remove one another is longer


def best_rows(source: str, target: str, rows: int = 128, suppress: bool = False) -> None:
    """Write `target` and its card."""
    model = onnx.load(source)
    graph = model.graph
    height, width = (d.dim_value for d in graph.input[0].type.tensor_type.shape.dim[2:4])
    (output,) = graph.output
    columns = output.type.tensor_type.shape.dim[2].dim_value
    points, steps = _grid(width, height)
    constants = {
        "grid": points[None],
        "stride": steps[None],
        "rows": np.array([rows]),
        "same": np.array([1, 1, columns]),
    }
    parts = {"xy": (0, 2), "wh": (2, 4), "scores": (4, columns), "object": (4, 5), "class": (5, columns)}
    for name, (first, last) in parts.items():
        constants |= {f"{name}_from": np.array([first]), f"{name}_to": np.array([last])}
    constants |= {"last": np.array([2])}
    graph.initializer.extend(numpy_helper.from_array(value, f"best_{name}") for name, value in constants.items())

    def node(kind: str, inputs: list[str], out: str | list[str], **attributes: object) -> None:
        outs = [out] if isinstance(out, str) else out
        graph.node.append(helper.make_node(kind, inputs, outs, name=f"best_{outs[0]}", **attributes))

    node("Cast", [output.name], "best_all", to=TensorProto.FLOAT)  # positions need more than half precision
    for name in parts:
        node("Slice", ["best_all", f"best_{name}_from", f"best_{name}_to", "best_last"], f"best_{name}")
    node("Add", ["best_xy", "best_grid"], "best_cells")
    node("Mul", ["best_cells", "best_stride"], "best_centres")
    node("Exp", ["best_wh"], "best_exp")
    node("Mul", ["best_exp", "best_stride"], "best_sizes")
    node("ReduceMax", ["best_class"], "best_top", axes=[2], keepdims=1)
    node("Mul", ["best_object", "best_top"], "best_score")
    node("TopK", ["best_score", "best_rows"], ["best_values", "best_where"], axis=1)
    node("Expand", ["best_where", "best_same"], "best_index")
    node("Concat", ["best_centres", "best_sizes", "best_scores"], "best_decoded", axis=2)
    node("GatherElements", ["best_decoded", "best_index"], "best_output", axis=1)
    columns_in = columns
    name, columns = ("best_output", columns) if not suppress else (_suppress(graph, rows, columns), 6)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", rows, columns]))
    onnx.checker.check_model(model)
    onnx.save(model, target)
    card = CARD.format(parser="end2end" if suppress else "yolov5", labels=list(known_names(columns_in - 5).values()))
    Path(target).with_suffix(".yaml").write_text(card)


class _Nodes:
    """Appends nodes and constants to a graph; names of its own get a prefix."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.made: set[str] = set()

    def node(self, kind: str, inputs: list[str], out: str, **attributes: object) -> str:
        names = [f"nms_{name}" if name in self.made else name for name in inputs]
        self.graph.node.append(helper.make_node(kind, names, [f"nms_{out}"], **attributes))
        self.made.add(out)
        return out

    def constant(self, name: str, value: np.ndarray) -> None:
        self.graph.initializer.append(numpy_helper.from_array(value, f"nms_{name}"))
        self.made.add(name)


def _suppress(graph: onnx.GraphProto, rows: int, columns: int) -> str:
    """Greedy suppression of best_output's rows, which come best first, as rounds of a product of matrices.

    A row stays unless one before it that stays removes it. Starting from "all stay", every round settles at least
    one more link of each chain of boxes, so the rounds end at the greedy answer.
    """
    add = _Nodes(graph)
    for name, value in {"half": 0.5, "zero": 0.0, "one": 1.0, "iou": IOU}.items():
        add.constant(name, np.array([value], np.float32))
    add.constant("before", np.triu(np.ones((1, rows, rows), np.float32), 1))  # row j stands before column i
    _boxes(add, columns)
    _overlaps(add)
    add.node("Mul", ["x1_t", "zero"], "nothing")  # [N, 1, rows]
    keep = add.node("Add", ["nothing", "one"], "keep")
    for turn in range(ROUNDS):
        add.node("MatMul", [keep, "removes"], f"votes{turn}")  # how many that stay remove each
        add.node("Greater", [f"votes{turn}", "half"], f"gone{turn}")
        add.node("Cast", [f"gone{turn}"], f"gone{turn}_f", to=TensorProto.FLOAT)
        keep = add.node("Sub", ["one", f"gone{turn}_f"], f"keep{turn}")
    add.node("Transpose", [keep], "stays", perm=[0, 2, 1])
    add.node("Mul", ["best_values", "stays"], "score")
    add.node("Concat", ["x1", "y1", "x2", "y2", "score", "class"], "output", axis=2)
    return "nms_output"


def _boxes(add: _Nodes, columns: int) -> None:
    """x1 y1 x2 y2, area and class of each row, as columns [N, rows, 1] and as rows [N, 1, rows] (`_t`)."""
    add.constant("axis", np.array([2]))
    for name, first, last in (("cx", 0, 1), ("cy", 1, 2), ("w", 2, 3), ("h", 3, 4), ("classes", 5, columns)):
        add.constant(f"{name}_from", np.array([first]))
        add.constant(f"{name}_to", np.array([last]))
        add.node("Slice", ["best_output", f"{name}_from", f"{name}_to", "axis"], name)
    add.node("ArgMax", ["classes"], "where", axis=2, keepdims=1)
    add.node("Cast", ["where"], "class", to=TensorProto.FLOAT)
    for centre, size, low, high in (("cx", "w", "x1", "x2"), ("cy", "h", "y1", "y2")):
        add.node("Mul", [size, "half"], f"{size}_half")
        add.node("Sub", [centre, f"{size}_half"], low)
        add.node("Add", [centre, f"{size}_half"], high)
    add.node("Mul", ["w", "h"], "area")
    for name in ("x1", "y1", "x2", "y2", "area", "class"):
        add.node("Transpose", [name], f"{name}_t", perm=[0, 2, 1])


def _overlaps(add: _Nodes) -> None:
    """`removes` [N, rows, rows]: 1 where row j is of i's class, comes before it and overlaps it by more than IOU."""
    for low, high, side in (("x1", "x2", "wide"), ("y1", "y2", "high")):
        add.node("Min", [high, f"{high}_t"], f"{side}_to")
        add.node("Max", [low, f"{low}_t"], f"{side}_from")
        add.node("Sub", [f"{side}_to", f"{side}_from"], f"{side}_raw")
        add.node("Max", [f"{side}_raw", "zero"], side)
    add.node("Mul", ["wide", "high"], "both")
    add.node("Add", ["area", "area_t"], "sum")
    add.node("Sub", ["sum", "both"], "union")
    add.node("Mul", ["union", "iou"], "limit")
    add.node("Greater", ["both", "limit"], "above")
    add.node("Equal", ["class", "class_t"], "alike")
    add.node("Cast", ["above"], "above_f", to=TensorProto.FLOAT)
    add.node("Cast", ["alike"], "alike_f", to=TensorProto.FLOAT)
    add.node("Mul", ["above_f", "alike_f"], "pairs")
    add.node("Mul", ["pairs", "before"], "removes")


def _grid(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of each cell [cells, 2], and its stride [cells, 1], in YOLOX's order."""
    points, steps = [], []
    for stride in STRIDES:
        x, y = np.meshgrid(np.arange(width // stride), np.arange(height // stride))
        points.append(np.stack([x, y], axis=2).reshape(-1, 2))
        steps.append(np.full((points[-1].shape[0], 1), stride))
    return np.concatenate(points).astype(np.float32), np.concatenate(steps).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--suppress", action="store_true")
    arguments = parser.parse_args()
    best_rows(arguments.source, arguments.target, arguments.rows, arguments.suppress)


if __name__ == "__main__":
    main()
