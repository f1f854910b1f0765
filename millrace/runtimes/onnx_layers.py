"""ONNX's layers as PyTorch operations: convolution, pooling, resizing, normalisation, recurrence, suppression.

Each takes the node's attributes and its inputs; inputs that shape the computation come as lists of numbers.
Definitions: https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

Attributes = Mapping[str, Any]
Operation = Callable[..., Any]


def _pads(attributes: Attributes, x: Any, kernel: Sequence[int]) -> tuple[list[int], list[int]]:
    """How many rows, columns … are added before and after; computed where `auto_pad` leaves it to the size."""
    count = len(kernel)
    auto = attributes.get("auto_pad", b"NOTSET")
    if auto in (b"NOTSET", b"VALID"):
        pads = list(attributes.get("pads", [0] * 2 * count)) if auto == b"NOTSET" else [0] * 2 * count
        return pads[:count], pads[count:]
    before, after = [], []
    strides, dilations = attributes.get("strides", [1] * count), attributes.get("dilations", [1] * count)
    for size, side, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
        missing = max(0, (-(-size // stride) - 1) * stride + (side - 1) * dilation + 1 - size)
        small, large = missing // 2, missing - missing // 2
        before.append(small if auto == b"SAME_UPPER" else large)
        after.append(large if auto == b"SAME_UPPER" else small)
    return before, after


def _padded(x: Any, before: Sequence[int], after: Sequence[int], value: float = 0.0) -> tuple[Any, list[int]]:
    """The tensor and the pads that the operation itself shall add: those that are not even are added here."""
    if list(before) == list(after):
        return x, list(before)
    both = [pad for axis in reversed(range(len(before))) for pad in (before[axis], after[axis])]
    return F.pad(x, both, value=value), [0] * len(before)


def conv(attributes: Attributes, x: Any, weight: Any, bias: Any = None) -> Any:
    x = x.to(weight.dtype)
    x, pads = _padded(x, *_pads(attributes, x, weight.shape[2:]))
    dims = weight.dim() - 2
    return torch.ops.aten.convolution(
        x, weight, bias, attributes.get("strides", [1] * dims), pads, attributes.get("dilations", [1] * dims),
        False, [0] * dims, attributes.get("group", 1),
    )  # fmt: skip


def conv_transpose(attributes: Attributes, x: Any, weight: Any, bias: Any = None) -> Any:
    if "output_shape" in attributes or attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        raise ValueError("ConvTranspose with output_shape or auto_pad SAME is not known to the PyTorch runtime")
    dims = weight.dim() - 2
    before, after = _pads(attributes, x, weight.shape[2:])
    even = [min(a, b) for a, b in zip(before, after, strict=True)]
    out = torch.ops.aten.convolution(
        x.to(weight.dtype), weight, bias, attributes.get("strides", [1] * dims), even,
        attributes.get("dilations", [1] * dims), True, attributes.get("output_padding", [0] * dims),
        attributes.get("group", 1),
    )  # fmt: skip
    for axis, (a, b, both) in enumerate(zip(before, after, even, strict=True), 2):
        out = out.narrow(axis, a - both, out.shape[axis] - (a - both) - (b - both))
    return out


def max_pool(attributes: Attributes, x: Any) -> Any:
    kernel = attributes["kernel_shape"]
    x, pads = _padded(x, *_pads(attributes, x, kernel), value=float("-inf"))
    strides, dilations = attributes.get("strides", [1] * len(kernel)), attributes.get("dilations", [1] * len(kernel))
    run = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(kernel) - 1]
    return run(x, kernel, strides, pads, dilations, ceil_mode=bool(attributes.get("ceil_mode", 0)))


def average_pool(attributes: Attributes, x: Any) -> Any:
    kernel = attributes["kernel_shape"]
    strides, up = attributes.get("strides", [1] * len(kernel)), bool(attributes.get("ceil_mode", 0))
    run = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(kernel) - 1]
    before, after = _pads(attributes, x, kernel)
    count = bool(attributes.get("count_include_pad", 0))
    if before == after:
        return run(x, kernel, strides, before, up, count)
    padded, _ = _padded(x, before, after)
    out = run(padded, kernel, strides, 0, up)
    if count:
        return out
    there, _ = _padded(torch.ones_like(x[:1, :1]), before, after)
    return out / run(there, kernel, strides, 0, up)


def resize(attributes: Attributes, x: Any, roi: Any = None, scales: Any = None, sizes: Any = None) -> Any:
    """Resize of opset 10 and later."""
    axes = attributes.get("axes", range(x.dim()))
    if sizes is None:
        factors = dict(zip(axes, scales, strict=True))
        lengths = {axis: math.floor(x.shape[axis] * factor) for axis, factor in factors.items()}
    else:
        lengths = dict(zip(axes, sizes, strict=True))
        factors = {axis: length / x.shape[axis] for axis, length in lengths.items()}
    mode = attributes.get("mode", b"nearest").decode()
    how = attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    if how == "tf_crop_and_resize" or attributes.get("antialias", 0):
        raise ValueError(f"Resize by {how}, antialias is not known to the PyTorch runtime")
    changed = [axis for axis in lengths if lengths[axis] != x.shape[axis]]
    picture = x.dim() == 4 and set(changed) <= {2, 3}
    aligned = how == "align_corners"
    if mode == "linear" and picture and (aligned or how in ("half_pixel", "pytorch_half_pixel")):
        return F.interpolate(x, size=[lengths.get(a, x.shape[a]) for a in (2, 3)], mode="bilinear",
                             align_corners=aligned)  # fmt: skip
    if mode == "cubic":
        if not picture or not (aligned or how in ("half_pixel", "pytorch_half_pixel")):
            raise ValueError(f"Resize by cubic, {how} is not known to the PyTorch runtime")
        return F.interpolate(x, size=[lengths.get(a, x.shape[a]) for a in (2, 3)], mode="bicubic",
                             align_corners=aligned)  # fmt: skip
    rounding = attributes.get("nearest_mode", b"round_prefer_floor").decode()
    for axis in changed:
        where = _places(how, x.shape[axis], lengths[axis], factors[axis], x.device)
        x = _pick(x, axis, where, rounding) if mode == "nearest" else _between(x, axis, where)
    return x


def upsample(attributes: Attributes, x: Any, scales: Any = None) -> Any:
    """Resize before opset 10: by factors, from the upper left corner."""
    how = {"coordinate_transformation_mode": b"asymmetric", "nearest_mode": b"floor"}
    scales = scales if scales is not None else attributes["scales"]
    return resize({"mode": attributes.get("mode", b"nearest"), **how}, x, None, scales)


def _places(how: str, length: int, new: int, factor: float, device: Any) -> Any:
    """Where each new element lies in terms of the old ones."""
    at = torch.arange(new, dtype=torch.float32, device=device)
    if how == "align_corners":
        return at * ((length - 1) / (new - 1) if new > 1 else 0.0)
    if how == "asymmetric":
        return at / factor
    if how == "pytorch_half_pixel" and new == 1:
        return torch.zeros_like(at)
    if how == "tf_half_pixel_for_nn":
        return (at + 0.5) / factor
    return (at + 0.5) / factor - 0.5


def _pick(x: Any, axis: int, where: Any, rounding: str) -> Any:
    nearest = {
        "floor": torch.floor,
        "ceil": torch.ceil,
        "round_prefer_floor": lambda at: torch.ceil(at - 0.5),
        "round_prefer_ceil": lambda at: torch.floor(at + 0.5),
    }[rounding]
    return x.index_select(axis, nearest(where).clamp(0, x.shape[axis] - 1).long())


def _between(x: Any, axis: int, where: Any) -> Any:
    where = where.clamp(0, x.shape[axis] - 1)
    low = where.floor().long()
    share = (where - low).to(x.dtype).reshape([-1] + [1] * (x.dim() - 1 - axis))
    high = (low + 1).clamp(max=x.shape[axis] - 1)
    return torch.lerp(x.index_select(axis, low), x.index_select(axis, high), share)


def grid_sample(attributes: Attributes, x: Any, grid: Any) -> Any:
    mode = attributes.get("mode", b"linear").decode()
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    padding = attributes.get("padding_mode", b"zeros").decode()
    return F.grid_sample(x, grid.to(x.dtype), mode, padding, bool(attributes.get("align_corners", 0)))


def space_to_depth(attributes: Attributes, x: Any) -> Any:
    block = attributes["blocksize"]
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(n, c * block * block, h // block, w // block)


def depth_to_space(attributes: Attributes, x: Any) -> Any:
    block = attributes["blocksize"]
    n, c, h, w = x.shape
    if attributes.get("mode", b"DCR") == b"CRD":
        return F.pixel_shuffle(x, block)
    x = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(n, c // block**2, h * block, w * block)


def batch_norm(attributes: Attributes, x: Any, scale: Any, bias: Any, mean: Any, var: Any) -> Any:
    return F.batch_norm(x, mean.to(x.dtype), var.to(x.dtype), scale.to(x.dtype), bias.to(x.dtype),
                        eps=attributes.get("epsilon", 1e-5))  # fmt: skip


def instance_norm(attributes: Attributes, x: Any, scale: Any, bias: Any) -> Any:
    return F.instance_norm(x, weight=scale.to(x.dtype), bias=bias.to(x.dtype), eps=attributes.get("epsilon", 1e-5))


def layer_norm(attributes: Attributes, x: Any, scale: Any, bias: Any = None) -> Any:
    shape = x.shape[attributes.get("axis", -1) % x.dim() :]
    bias = bias if bias is None else bias.to(x.dtype).expand(shape)
    return F.layer_norm(x, shape, scale.to(x.dtype).expand(shape), bias, attributes.get("epsilon", 1e-5))


def lp_norm(attributes: Attributes, x: Any) -> Any:
    power, axis = attributes.get("p", 2), attributes.get("axis", -1)
    return x / x.norm(power, axis, keepdim=True)


def lrn(attributes: Attributes, x: Any) -> Any:
    numbers = (attributes.get("alpha", 1e-4), attributes.get("beta", 0.75), attributes.get("bias", 1.0))
    return F.local_response_norm(x, attributes["size"], *numbers)


def lstm(
    attributes: Attributes, x: Any, weights: Any, recurrent: Any, bias: Any = None, lengths: Any = None,
    hidden: Any = None, cell: Any = None, peepholes: Any = None,
) -> Any:  # fmt: skip
    """x [time, batch, size] → all outputs [time, directions, batch, hidden], the last ones, the last cells."""
    activations = attributes.get("activations", [])
    usual = all(each == usual for each, usual in zip(activations, [b"Sigmoid", b"Tanh", b"Tanh"] * 2, strict=False))
    direction = attributes.get("direction", b"forward").decode()
    if not usual or lengths is not None or peepholes is not None or attributes.get("layout", 0):
        raise ValueError("LSTM with lengths, peepholes, layout 1 or other activations is not known")
    count, size, batch = weights.shape[0], attributes["hidden_size"], x.shape[1]
    dtype = weights.dtype
    hidden = x.new_zeros(count, batch, size, dtype=dtype) if hidden is None else hidden.to(dtype)
    cell = x.new_zeros(count, batch, size, dtype=dtype) if cell is None else cell.to(dtype)
    flat = []
    for number in range(count):
        flat += [_gates(weights[number], size), _gates(recurrent[number].to(dtype), size)]
        if bias is not None:
            both = bias[number].to(dtype)
            flat += [_gates(both[: 4 * size], size), _gates(both[4 * size :], size)]
    x = x.to(dtype).flip(0) if direction == "reverse" else x.to(dtype)
    out, hidden, cell = torch._VF.lstm(
        x, (hidden, cell), flat, bias is not None, 1, 0.0, False, direction == "bidirectional", False
    )
    out = out.reshape(*out.shape[:2], count, size).permute(0, 2, 1, 3)
    return out.flip(0) if direction == "reverse" else out, hidden, cell


def _gates(rows: Any, size: int) -> Any:
    """ONNX has input, output, forget, cell; PyTorch input, forget, cell, output."""
    i, o, f, c = rows.split(size)
    return torch.cat((i, f, c, o))


def quantize(attributes: Attributes, x: Any, scale: Any, zero: Any = None) -> Any:
    dtype = zero.dtype if zero is not None else torch.uint8
    limits = torch.iinfo(dtype)
    scale, zero = (_along(attributes, x, each) for each in (scale, zero))
    levels = torch.round(x.float() / scale) + (0 if zero is None else zero.float())
    return levels.clamp(limits.min, limits.max).to(dtype)


def dequantize(attributes: Attributes, x: Any, scale: Any, zero: Any = None) -> Any:
    scale, zero = (_along(attributes, x, each) for each in (scale, zero))
    return (x.float() - (0 if zero is None else zero.float())) * scale


def _along(attributes: Attributes, x: Any, values: Any) -> Any:
    """One value for all, or one for each element along the axis."""
    if values is None or values.dim() == 0 or values.numel() == 1:
        return values
    axis = attributes.get("axis", 1) % x.dim()
    return values.reshape([-1 if each == axis else 1 for each in range(x.dim())])


def dynamic_quantize(attributes: Attributes, x: Any) -> Any:
    """To uint8 over the range that this tensor has: levels, scale, zero."""
    x = x.float()
    low, high = x.amin().clamp(max=0.0), x.amax().clamp(min=0.0)
    scale = (high - low) / 255
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    zero = torch.round(-low / scale).clamp(0, 255)
    return torch.round(x / scale).add(zero).clamp(0, 255).to(torch.uint8), scale, zero.to(torch.uint8)


def conv_integer(attributes: Attributes, x: Any, weight: Any, x_zero: Any = None, w_zero: Any = None) -> Any:
    """In float32, whose sums of products of bytes are whole up to 2^24 and right to 1e-7 of their size beyond."""
    x = x.float() - (0 if x_zero is None else x_zero.float())
    weight = weight.float()
    if w_zero is not None:
        weight = weight - w_zero.float().reshape([-1] + [1] * (weight.dim() - 1))
    return torch.round(conv(attributes, x, weight)).to(torch.int32)


def non_max_suppression(
    attributes: Attributes, boxes: Any, scores: Any, most: Any = None, overlap: Any = None, least: Any = None
) -> Any:
    """boxes [N, A, 4], scores [N, C, A] → rows of picture, class, anchor; the surest of each class first."""
    if attributes.get("center_point_box", 0):
        half = boxes[..., 2:] / 2
        boxes = torch.cat((boxes[..., :2] - half, boxes[..., :2] + half), -1)
    else:  # either diagonal, y first: overlaps do not mind which axis is which
        first, second = boxes[..., :2], boxes[..., 2:]
        boxes = torch.cat((torch.minimum(first, second), torch.maximum(first, second)), -1)
    limit = int(most[0] if isinstance(most, list) else most or 0)
    share = float(overlap[0] if isinstance(overlap, list) else overlap or 0.0)
    floor = least[0] if isinstance(least, list) else least
    rows = [
        (picture, number, anchor)
        for picture in range(boxes.shape[0])
        for number in range(scores.shape[1])
        for anchor in _kept(boxes[picture].float(), scores[picture, number].float(), limit, share, floor)
    ]
    return torch.tensor(rows, dtype=torch.int64, device=boxes.device).reshape(-1, 3)


def _kept(boxes: Any, scores: Any, most: int, overlap: float, floor: float | None) -> list[int]:
    order = torch.argsort(scores, descending=True, stable=True)
    order = order if floor is None else order[scores[order] > floor]
    area = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    kept: list[int] = []
    while len(order) and len(kept) < most:
        best, order = order[0], order[1:]
        kept.append(int(best))
        sides = torch.minimum(boxes[best, 2:], boxes[order, 2:]) - torch.maximum(boxes[best, :2], boxes[order, :2])
        common = sides.clamp(min=0).prod(-1)
        whole = area[best] + area[order] - common
        order = order[~((common > overlap * whole) & (whole > 0))]
    return kept


LAYERS: dict[str, Operation] = {
    "Conv": conv, "ConvTranspose": conv_transpose, "MaxPool": max_pool, "AveragePool": average_pool,
    "GlobalAveragePool": lambda a, x: x.mean(tuple(range(2, x.dim())), keepdim=True),
    "GlobalMaxPool": lambda a, x: x.amax(tuple(range(2, x.dim())), keepdim=True),
    "Resize": resize, "Upsample": upsample, "GridSample": grid_sample,
    "SpaceToDepth": space_to_depth, "DepthToSpace": depth_to_space,
    "BatchNormalization": batch_norm, "InstanceNormalization": instance_norm, "LayerNormalization": layer_norm,
    "LpNormalization": lp_norm, "LRN": lrn, "LSTM": lstm,
    "QuantizeLinear": quantize, "DequantizeLinear": dequantize, "DynamicQuantizeLinear": dynamic_quantize,
    "ConvInteger": conv_integer, "NonMaxSuppression": non_max_suppression,
}  # fmt: skip
