"""Rewrites of an ONNX graph that change nothing but the order of sums: the same network in fewer passes over memory.

One is known so far. YOLOX, YOLOv5 (before version 6) and their kin begin with a "focus": every second row and column of
the picture become channels, then a k x k convolution. That is one 2k x 2k convolution of stride 2 on the picture
itself, whose weights are the same numbers in another order: output y, tap k', phase d read row 2(y + k' - p) + d, which
is tap 2k' + d of a kernel that is padded by 2p.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .quantise import need_onnx

Phases = tuple[str, list[tuple[int, int]]]  # the tensor that is read, and (row, column) of each group of channels


def unfocus(model: Path, path: Path) -> bool:
    """Write `model` to `path` with its focus folded into the convolution after it; False: there is none to fold.

    Raises MissingExtraError without onnx.
    """
    onnx = need_onnx("rewriting graphs")
    graph = onnx.load(str(model))
    if not any(_fold(graph.graph, node) for node in list(graph.graph.node) if node.op_type == "Conv"):
        return False
    _drop_unused(graph.graph)
    onnx.save(graph, str(path))
    return True


def _fold(graph: Any, conv: Any) -> bool:
    """Fold what stands before one convolution, where that is a focus."""
    from onnx import numpy_helper

    made_by = {output: node for node in graph.node for output in node.output}
    facts = _attributes(conv)
    weights = _constant(graph, conv.input[1])
    phases = _phases(graph, made_by, made_by.get(conv.input[0]))
    plain = facts.get("group", 1) == 1 and set(facts.get("strides", [1])) == set(facts.get("dilations", [1])) == {1}
    if weights is None or phases is None or not plain or facts.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        return False
    source, order = phases
    out, channels, high, wide = weights.shape
    each = channels // len(order)
    kernel = np.zeros((out, each, 2 * high, 2 * wide), weights.dtype)
    for number, (row, column) in enumerate(order):
        kernel[:, :, row::2, column::2] = weights[:, number * each : (number + 1) * each]
    name = f"{conv.input[1]}/unfocused"
    graph.initializer.append(numpy_helper.from_array(kernel, name))
    conv.input[0], conv.input[1] = source, name
    _set(conv, kernel_shape=[2 * high, 2 * wide], strides=[2, 2], dilations=[1, 1],
         pads=[2 * pad for pad in facts.get("pads", [0, 0, 0, 0])])  # fmt: skip
    return True


def _phases(graph: Any, made_by: Mapping[str, Any], node: Any) -> Phases | None:
    """What a node gathers, if it is a focus: slices of every second row and column, or SpaceToDepth."""
    if node is None:
        return None
    facts = _attributes(node)
    if node.op_type == "SpaceToDepth" and facts.get("blocksize") == 2:
        return node.input[0], [(0, 0), (0, 1), (1, 0), (1, 1)]
    if node.op_type != "Concat" or facts.get("axis") not in (1, -3) or len(node.input) != 4:
        return None
    found = [_sliced(graph, made_by, name) for name in node.input]
    sources = {each[0] for each in found if each is not None}
    order = [each[1] for each in found if each is not None]
    return (sources.pop(), order) if len(sources) == 1 and len(set(order)) == 4 else None


def _sliced(graph: Any, made_by: Mapping[str, Any], name: str) -> tuple[str, tuple[int, int]] | None:
    """The tensor behind slices of step 2, and the row and column at which they begin."""
    begins: dict[int, int] = {}
    while (node := made_by.get(name)) is not None and node.op_type == "Slice" and len(begins) < 2:
        starts, ends, axes, steps = (
            _constant(graph, node.input[n]) if len(node.input) > n and node.input[n] else None for n in (1, 2, 3, 4)
        )
        if starts is None or ends is None or axes is None or steps is None or set(steps.tolist()) != {2}:
            return None
        if min(ends.tolist()) < 1 << 30:  # not to the end
            return None
        begins.update(zip(axes.tolist(), starts.tolist(), strict=True))
        name = node.input[0]
    whole = set(begins) == {2, 3} and set(begins.values()) <= {0, 1}
    return (name, (begins[2], begins[3])) if whole else None


def _constant(graph: Any, name: str) -> Any:
    from onnx import numpy_helper

    for each in graph.initializer:
        if each.name == name:
            return numpy_helper.to_array(each)
    for node in graph.node:
        if node.op_type == "Constant" and node.output[0] == name:
            return next((numpy_helper.to_array(a.t) for a in node.attribute if a.name == "value"), None)
    return None


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def _set(node: Any, **values: Any) -> None:
    from onnx import helper

    kept = [each for each in node.attribute if each.name not in (*values, "auto_pad")]
    del node.attribute[:]
    node.attribute.extend([*kept, *(helper.make_attribute(name, value) for name, value in values.items())])


def _drop_unused(graph: Any) -> None:
    """Nodes and weights that lead to no output any more."""
    wanted = {output.name for output in graph.output}
    keep = []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            wanted.update(node.input)
            keep.append(node)
    del graph.node[:]
    graph.node.extend(reversed(keep))
    weights = [each for each in graph.initializer if each.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(weights)
