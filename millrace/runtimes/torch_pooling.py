"""Max pooling in half or single precision on an NVIDIA GPU, where channels lie together.

PyTorch's kernel also gives where each maximum was, in 8 bytes a number, and networks that run do not ask for that.
Ours reads what it needs and writes the maxima (pooling.cu): the same numbers, what is no number included. PyTorch's
compiler makes as good a one itself, so networks that it compiles keep their own.
"""

from __future__ import annotations

import ctypes
import operator
from collections.abc import Sequence
from typing import Any

import torch

from ..cuda.context import Stream
from ..cuda.kernel import Kernel, Module
from .torch_kernels import Kernels, present_stream, same

_POOLS = (torch.ops.aten.max_pool2d_with_indices.default, torch.ops.aten.max_pool2d.default)
_KINDS = {torch.float16: "max_pool_float16", torch.float32: "max_pool_float32"}
_PIECE = 16  # bytes of channels that a thread reads
_BLOCK = 256
_MOST = 65535  # rows, or pictures, of one launch


class Pool(ctypes.Structure):
    """struct Pool of pooling.cu."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("pieces", "height", "width", "rows", "columns")),
        *((name, ctypes.c_int * 2) for name in ("window", "step", "border")),
    ]


def pool_faster(graph: Any) -> bool:
    """Put our max pooling in the place of PyTorch's in a network that was written down; whether there was any."""
    return any([_replaced(graph, node) for node in list(graph.nodes) if node.target in _POOLS])


def _replaced(graph: Any, node: Any) -> bool:
    values = [node]
    if node.target is _POOLS[0]:
        values = list(node.users)
        if any(user.target is not operator.getitem or user.args[1] != 0 for user in values):
            return False
    x, window, *rest = node.args
    defaults: list[Any] = [[], [0, 0], [1, 1], False]
    step, border, apart, upwards = rest + defaults[len(rest) :]
    written = getattr(x, "meta", {}).get("tensor_meta")
    kinds = written is not None and written.dtype in _KINDS and len(written.shape) == 4
    if node.kwargs or not kinds or set(apart) != {1} or upwards:
        return False
    with graph.inserting_before(node):
        new = graph.call_function(max_pool, (x, _pair(window), _pair(step or window), _pair(border)))
    for value in values:
        new.meta = dict(value.meta)
        value.replace_all_uses_with(new)
        graph.erase_node(value)
    if values != [node]:
        graph.erase_node(node)
    return True


def _pair(values: Sequence[int]) -> tuple[int, int]:
    """Down and across, where one number may stand for both."""
    return values[0], values[-1]


def max_pool(x: Any, window: tuple[int, int], step: tuple[int, int], border: tuple[int, int]) -> Any:
    """max_pool2d of [N, C, H, W], on PyTorch's current stream; where our kernel does not fit, PyTorch's own."""
    kernels = _kernels.on(x.device) if x.is_cuda and fits(x) else None
    if kernels is None:
        return torch.nn.functional.max_pool2d(x, window, step, border)
    return by_kernel(kernels[_KINDS[x.dtype]], present_stream(x.device), x, window, step, border)


def fits(x: Any) -> bool:
    """Whether these numbers lie as our kernel reads them."""
    size = x.element_size()
    return bool(
        x.dtype in _KINDS
        and x.is_contiguous(memory_format=torch.channels_last)
        and x.shape[1] * size % _PIECE == 0 == x.data_ptr() % _PIECE
        and 0 < x.shape[0] <= _MOST
        and x.numel()
        and x.shape[2] < _MOST // 2
    )


def by_kernel(
    kernel: Kernel, stream: Stream, x: Any, window: Sequence[int], step: Sequence[int], border: Sequence[int]
) -> Any:
    """Queue it; the result is there when the stream has come so far."""
    pool = pool_of(x, window, step, border)
    shape = (x.shape[0], x.shape[1], pool.rows, pool.columns)
    out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    grid = (-(-pool.columns * pool.pieces // _BLOCK), pool.rows, x.shape[0])
    kernel.launch(stream, grid, (_BLOCK, 1, 1), [ctypes.c_uint64(x.data_ptr()), ctypes.c_uint64(out.data_ptr()), pool])
    return out


def pool_of(x: Any, window: Sequence[int], step: Sequence[int], border: Sequence[int]) -> Pool:
    """What the kernel needs to know, the size of the result (rounded down) in it."""
    height, width = x.shape[2:]
    rows, columns = ((n + 2 * b - w) // s + 1 for n, b, w, s in zip((height, width), border, window, step, strict=True))
    pair = ctypes.c_int * 2
    pieces = x.shape[1] * x.element_size() // _PIECE
    return Pool(pieces, height, width, rows, columns, pair(*window), pair(*step), pair(*border))


def _agree(kernels: Module, device: Any) -> bool:
    """Whether they find the maxima that PyTorch finds, NaN and infinite numbers among them."""
    made_up = torch.arange(2 * 24 * 13 * 211).mul(7919).remainder(1009).sub(504).reshape(2, 24, 13, 211).float()
    for number, special in ((77, torch.nan), (78, torch.inf), (79, -torch.inf)):
        made_up[made_up == number] = special
    results = []
    for dtype, name in _KINDS.items():
        x = made_up.to(device, dtype).contiguous(memory_format=torch.channels_last)
        for window, step, border in (((3, 3), (2, 2), (1, 1)), ((2, 5), (1, 2), (0, 2)), ((5, 5), (1, 1), (2, 2))):
            mine = by_kernel(kernels[name], present_stream(device), x, window, step, border)
            results.append((mine, torch.nn.functional.max_pool2d(x, window, step, border).cpu()))
    return same(*zip(*results, strict=True))


_kernels = Kernels("pooling.cu", _agree)
