"""A YOLOX model that gives the best rows only, boxes decoded: less to carry from the GPU and less to parse.

    python benchmarks/best_rows.py yolox_nano_384x640_dynbatch.onnx best.onnx --rows 128

The output [N, rows, 85] is what YOLOv5 heads give (cx cy w h of input pixels, objectness, class scores), the rows
with the highest objectness * best class score first. A model card is written beside it. Runs on CPU and GPU alike.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STRIDES = (8, 16, 32)
CARD = """\
parser: yolov5
input: {colour: BGR, scale: 1.0, fit: letterbox-top-left, pad: 114}
"""


def best_rows(source: str, target: str, rows: int = 128) -> None:
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
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("best_output", TensorProto.FLOAT, ["N", rows, columns]))
    onnx.checker.check_model(model)
    onnx.save(model, target)
    Path(target).with_suffix(".yaml").write_text(CARD)


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
    arguments = parser.parse_args()
    best_rows(arguments.source, arguments.target, arguments.rows)


if __name__ == "__main__":
    main()
