"""What a Caffe layer's parameters say about sizes; shared by the converter and the plain evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .caffemodel import Layer
from .prototext import Message

Pair = tuple[int, int]


def kernel(p: Message) -> tuple[Pair, Pair, Pair, Pair]:
    """(kernel, stride, pad, dilation), each (height, width). Raises ValueError without a kernel."""
    size = _pair(p, "kernel", "kernel_size", 0)
    if 0 in size:
        raise ValueError("no kernel_size")
    return size, _pair(p, "stride", "stride", 1), _pair(p, "pad", "pad", 0), _pair(p, "", "dilation", 1)


def _pair(p: Message, apart: str, together: str, default: int) -> Pair:
    if apart and (f"{apart}_h" in p or f"{apart}_w" in p):
        return int(p.one(f"{apart}_h", default)), int(p.one(f"{apart}_w", default))
    values = p.all(together) or [default]
    return int(values[0]), int(values[-1])


def pool_size(p: Message, size: Sequence[int]) -> Pair:
    """Height and width that pooling gives: rounded up, but no window starts in the padding at the end."""
    k, s, pad, _ = kernel(p)
    down = str(p.one("round_mode", "CEIL")) in ("FLOOR", "1") or not p.one("ceil_mode", True)
    out = []
    for a in (0, 1):
        room = size[a] + 2 * pad[a] - k[a]
        count = (room // s[a] if down else -(-room // s[a])) + 1
        if pad[a] and (count - 1) * s[a] >= size[a] + pad[a]:
            count -= 1
        out.append(count)
    return out[0], out[1]


def axis_of(axis: int, dims: int) -> int:
    """Counted from the front."""
    return axis + dims if axis < 0 else axis


def concat_axis(layer: Layer) -> int:
    """The axis that Concat joins along; older files call it concat_dim."""
    p = layer.parameters("concat_param")
    return int(p.one("axis", p.one("concat_dim", 1)))


def reshape_dims(layer: Layer, shape: Sequence[int]) -> tuple[int, ...]:
    """The dimensions after Reshape or Flatten, all of them known."""
    if layer.type == "Flatten":
        p = layer.parameters("flatten_param")
        start, end = axis_of(p.one("axis", 1), len(shape)), axis_of(p.one("end_axis", -1), len(shape))
        return (*shape[:start], int(np.prod(shape[start : end + 1])), *shape[end + 1 :])
    p = layer.parameters("reshape_param")
    start = p.one("axis", 0)
    start = start + len(shape) + 1 if start < 0 else start
    count = p.one("num_axes", -1)
    end = len(shape) if count < 0 else start + count
    wanted = [int(dim) for dim in p.message("shape").all("dim")]
    dims = [shape[start + n] if dim == 0 else dim for n, dim in enumerate(wanted)]
    if -1 in dims:
        rest = int(np.prod([dim for dim in dims if dim != -1])) or 1
        dims[dims.index(-1)] = int(np.prod(shape[start:end])) // rest
    return (*shape[:start], *dims, *shape[end:])


def slice_points(layer: Layer, shape: Sequence[int]) -> tuple[int, list[int]]:
    """(axis, where to cut)."""
    p = layer.parameters("slice_param")
    axis = axis_of(p.one("axis", p.one("slice_dim", 1)), len(shape))
    points = [int(point) for point in p.all("slice_point")]
    part = shape[axis] // len(layer.tops)
    return axis, points or [part * n for n in range(1, len(layer.tops))]
