"""The first layers of networks of ResNet's kind in one kernel (stem.cu): convolution, ReLU and max pooling of pictures.

relu(convolution of 7x7 at step 2 + bias) is four times as large as the picture it comes from; cuDNN writes it and the
pooling reads it again. Here it stays in the processor. The same products of half precision are summed in float32, in
another order than cuDNN's, and rounded once. Each GPU tries it on random pictures before it uses it.

NaN and infinite numbers of a picture also reach (as NaN) the convolution's next column to the right, where they are
multiplied by a weight of 0 (see stem.cu). That is left so: bytes of pictures make no such numbers, and a picture in
which there is one gives NaN around it anyway.

It is registered with PyTorch, so that its compiler takes it as it is.
"""

from __future__ import annotations

import ctypes
import operator
from typing import Any

import torch

from ..cuda.kernel import Module
from .torch_convolution import convolution_relu
from .torch_kernels import Kernels, present_stream
from .torch_pooling import max_pool

_POOL = torch.ops.aten.max_pool2d_with_indices.default
_NAME = "stem_float16"
_THREADS, _MEMORY = 256, 94_944  # of a block: THREADS and SHARED of stem.cu
_GROUP, _INNER, _ROWS = 64, 15, 4  # channels and columns of a block, rows of a step
_LEAST = 2  # steps of a block: each begins with a part of one more
_MOST = 65535  # pictures of one launch
_TRIED = 160, 120  # lines and columns that are tried, and what is left over at the borders

_library = torch.library.Library("millrace_stem", "DEF")
_library.define("stem(Tensor pictures, Tensor weight, Tensor bias) -> Tensor")


class Stem(ctypes.Structure):
    """struct Stem of stem.cu."""

    _fields_ = [
        (name, ctypes.c_int)
        for name in ("height", "width", "middle_rows", "middle_columns", "rows", "columns", "channels", "steps")
    ]


def join_stem(traced: Any) -> None:
    """One call in the place of a first convolution with its ReLU and the pooling after it, in a network whose
    convolutions are fused."""
    graph = traced.graph
    for node in graph.find_nodes(op="call_function", target=convolution_relu):
        source, weight, _, other, *how = node.args
        users = list(node.users)
        pool = users[0]
        if other is not None or [list(each) for each in how] != [[2, 2], [3, 3], [1, 1]] or len(users) > 1:
            continue
        if pool.target is not _POOL or pool.args[1:] != ([3, 3], [2, 2], [1, 1]) or pool.kwargs:
            continue
        results = list(pool.users)
        held = getattr(traced, weight.target)
        if any(each.target is not operator.getitem or each.args[1] != 0 for each in results) or not _fits(source, held):
            continue
        name = f"stem{sum(1 for _ in traced.buffers())}"
        traced.register_buffer(name, packed(held), persistent=False)
        with graph.inserting_before(pool):
            new = graph.call_function(stem, (source, graph.get_attr(name), node.args[2]))
        for each in results:
            new.meta = dict(each.meta)
            each.replace_all_uses_with(new)
            graph.erase_node(each)
        graph.erase_node(pool)
        graph.erase_node(node)


def _fits(source: Any, weight: Any) -> bool:
    """Whether a convolution reads pictures with room for a fourth channel, and its size is the kernel's."""
    if source.target is not torch.ops.aten.as_strided.default or weight.dtype is not torch.float16:
        return False
    (_, channels, height, width), _ = source.args[1:]
    return (
        channels == 4 and width % 2 == 0 and min(height, width) > 6
        and tuple(weight.shape[1:]) == (4, 7, 7) and weight.shape[0] % _GROUP == 0
    )  # fmt: skip


def packed(weight: Any) -> Any:
    """Weights [K, 4, 7, 7] as [K, 7, 8, 4], with a tap of nothing before the seven of each line."""
    return torch.nn.functional.pad(weight, (1, 0)).permute(0, 2, 3, 1).contiguous()


def step_by_step(pictures: Any, weight: Any, bias: Any) -> Any:
    """max_pool2d(relu(conv2d(pictures, weight) + bias)) of [N, 4, H, W], packed weights and [K]."""
    plain = weight[:, :, 1:].permute(0, 3, 1, 2)
    out = max_pool(convolution_relu(pictures, plain, bias, None, [2, 2], [3, 3], [1, 1]), (3, 3), (2, 2), (1, 1))
    return out.contiguous(memory_format=torch.channels_last)  # however the pictures lie: the compiler was told so


def by_kernel(pictures: Any, weight: Any, bias: Any) -> Any:
    """The same in one kernel; step by step where this GPU cannot have it, or where it was found to be wrong."""
    module = _kernels.on(pictures.device, *kind_of(pictures, weight)) if fits(pictures, weight) else None
    return step_by_step(pictures, weight, bias) if module is None else _launched(module, pictures, weight, bias)


def fits(pictures: Any, weight: Any) -> bool:
    """Whether both lie as the kernel reads them. They do, unless a compiler laid them out anew."""
    return bool(
        pictures.is_contiguous(memory_format=torch.channels_last)
        and weight.is_contiguous()
        and not pictures.data_ptr() % 16 and not weight.data_ptr() % 16
        and 0 < pictures.shape[0] <= _MOST
    )  # fmt: skip


def kind_of(pictures: Any, weight: Any) -> tuple[int, int, int]:
    """For what the kernel is tried: channels, lines and columns.

    Pictures that differ by whole steps and strips are of one kind: the borders lie in the same places of blocks.
    """
    (height, width), (down, across) = pictures.shape[2:], (4 * _ROWS, 4 * _INNER)  # pixels of a step and of a strip
    return weight.shape[0], min(height, _TRIED[0] + height % down), min(width, _TRIED[1] + width % across)


def _launched(module: Module, pictures: Any, weight: Any, bias: Any) -> Any:
    """Queue it on PyTorch's current stream."""
    processors = torch.cuda.get_device_properties(pictures.device).multi_processor_count
    facts, grid = layout(pictures, weight.shape[0], processors)
    out = _empty(pictures, facts)
    tensors = [ctypes.c_uint64(each.data_ptr()) for each in (pictures, weight, bias, out)]
    module[_NAME].launch(present_stream(pictures.device), grid, (_THREADS, 1, 1), [*tensors, facts])
    return out


def _empty(pictures: Any, facts: Stem) -> Any:
    shape = (pictures.shape[0], facts.channels, facts.rows, facts.columns)
    return torch.empty(shape, dtype=pictures.dtype, device=pictures.device, memory_format=torch.channels_last)


def _fake(pictures: Any, weight: Any, bias: Any) -> Any:
    return _empty(pictures, layout(pictures, weight.shape[0], 1)[0])


def layout(pictures: Any, channels: int, processors: int) -> tuple[Stem, tuple[int, int, int]]:
    """What the kernel needs to know, and its blocks: few steps each where there would be too few for the processors."""
    count, _, height, width = pictures.shape
    middle = [(size - 1) // 2 + 1 for size in (height, width)]
    rows, columns = ((size - 1) // 2 + 1 for size in middle)
    strips, groups, steps = -(-columns // _INNER), channels // _GROUP, -(-rows // _ROWS)
    parts = max(1, min(-(-4 * processors // (strips * groups * count)), steps // _LEAST))
    each = -(-steps // parts)
    return Stem(height, width, *middle, rows, columns, channels, each), (strips, -(-steps // each) * groups, count)


def _agree(module: Module, device: Any, channels: int, height: int, width: int) -> bool:
    """Whether the kernel gives what PyTorch's own layers give in float64, on random numbers.

    Allowed is 2**-10 of (1 + the number). Rounding to float16 takes half of the number's part. Products of halves are
    exact in float32; 197 are summed, of magnitudes that come to less than 20 here: even if each addition is cut off at
    2**-23, not rounded, as tensor cores do (Fasi et al. 2021, "Numerical behavior of NVIDIA tensor cores"), the sum
    is wrong by less than 0.0005, half of the other part. A product that is missing or wrong makes 0.05 on average.
    """
    generator = torch.Generator(device).manual_seed(1)

    def numbers(*shape: int) -> Any:
        return torch.randn(shape, generator=generator, device=device)

    pictures = numbers(2, 4, height, width).half().contiguous(memory_format=torch.channels_last)
    weight, bias = (numbers(channels, 4, 7, 7) / 12).half(), numbers(channels).half()
    got = _launched(module, pictures, packed(weight), bias).double()
    layer = torch.nn.functional.conv2d(pictures.double(), weight.double(), bias.double(), 2, 3)
    want = torch.nn.functional.max_pool2d(layer.relu(), 3, 2, 1)
    return bool(((got - want).abs() <= 2**-10 * (1 + want)).all())


_kernels = Kernels("stem.cu", _agree, memory={_NAME: _MEMORY}, since=(8, 0))
_library.impl("stem", by_kernel, "CUDA")
_library.impl("stem", step_by_step, "CPU")
torch.library.register_fake("millrace_stem::stem", _fake, lib=_library)
stem = torch.ops.millrace_stem.stem.default
