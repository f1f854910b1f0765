"""Convolutions of a network on an NVIDIA GPU, each in one kernel with what follows it: normalisation, bias, sum, ReLU.

PyTorch runs them one after the other, and each goes through the whole memory of its result: in a ResNet-18 at 960x544
that takes half as long as the convolutions themselves. cuDNN computes relu(convolution(x) + bias + other) in the time
of the convolution. The network is run once and what it calls is written down (torch.fx); where a ReLU follows a
convolution, with a normalisation of fixed numbers and a sum between them or not, one call takes their place. What
follows from the network's shape alone (Python's branches, sizes) is fixed thereby, as it is in a CUDA graph.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx.experimental.proxy_tensor import make_fx

_aten = torch.ops.aten
_CONVOLUTION = (_aten.convolution.default, _aten._convolution.default)  # the second: as TorchScript traced it
_RELU = (_aten.relu.default, _aten.relu_.default)
_SUM = (_aten.add.Tensor, _aten.add_.Tensor)
_NORM = (_aten.native_batch_norm.default, _aten.cudnn_batch_norm.default)
_KINDS = (torch.float16, torch.bfloat16, torch.float32)
_COLOURS = 3
_refused: set[tuple[Any, ...]] = set()  # shapes that cuDNN has no such kernel for


class Fusion:
    """Makes the fused form of one network, for one batch size after the other; weights that it changes are shared."""

    def __init__(self, module: Callable[..., Any]) -> None:
        self._module = module
        self._changed: dict[tuple[Any, ...], tuple[Any, tuple[Any, Any]]] = {}

    def of(self, inputs: Sequence[Any]) -> Any | None:
        """The network for inputs of these shapes, on their device, to be called like it; None where it stays as it is:
        nothing in it can be fused, or running it cannot be written down.

        The inputs whose numbers are in its set `roomy` must be of the kind that `roomy` makes.
        """
        try:
            traced = make_fx(lambda *tensors: tuple(self._module(*tensors)))(*inputs)
        except (RuntimeError, TypeError, ValueError, AssertionError, AttributeError, KeyError):
            return None  # it runs as it is, or the same error comes then, where it is told
        graph = traced.graph
        traced.roomy = set()
        graph.eliminate_dead_code(_has_effect)
        matches = 0
        for node in list(graph.nodes):
            if (match := _match(traced, node)) is not None:
                self._replace(traced, match)
                matches += 1
        graph.eliminate_dead_code(_has_effect)
        traced.recompile()
        return traced if matches else None

    def _replace(self, traced: Any, match: _Match) -> None:
        """One call instead of a match's nodes, at the place of its last."""
        weight, bias = self._weights(match.convolution)
        other, last = match.other, match.nodes[0]
        if other is not None and (before := _convolution(traced, other)) is not None:
            # A convolution that is only added: its bias goes into the sum, its normalisation into its weight.
            its_weight, its_bias = self._weights(before)
            bias = (bias.double() + its_bias.double()).to(bias.dtype)
            arguments = (before.source, its_weight, None, *before.node.args[3:])
            other = _instead(traced, before.nodes, before.node, before.node.target, arguments)
        source, weight = self._with_room(traced, match.convolution.source, weight)
        geometry = match.convolution.node.args[3:6]  # stride, padding, dilation
        arguments = (source, weight, bias, other, *geometry)
        _instead(traced, match.nodes, last, torch.ops.millrace.convolution_relu.default, arguments)

    def _with_room(self, traced: Any, source: Any, weight: Any) -> tuple[Any, Any]:
        """A picture that comes in, and the weight for it, as four channels, of which one is nothing."""
        if source.op != "placeholder" or weight.shape[1] != _COLOURS or weight.dtype == torch.float32:
            return source, weight
        count, _, height, width = source.meta["tensor_meta"].shape
        shape, step = (count, _COLOURS + 1, height, width), (_COLOURS + 1)
        with traced.graph.inserting_after(source):
            arguments = (source, shape, (step * width * height, 1, step * width, step))
            wider = traced.graph.call_function(_aten.as_strided.default, arguments)
        traced.roomy.add(traced.graph.find_nodes(op="placeholder").index(source))
        more = torch.nn.functional.pad(weight, (0, 0, 0, 0, 0, 1))
        return wider, more.contiguous(memory_format=torch.channels_last)

    def _weights(self, convolution: _Convolution) -> tuple[Any, Any]:
        """A convolution's weight and bias, a normalisation that follows it in them; computed in float64."""
        key = (*map(id, convolution.constants), convolution.epsilon)
        if key not in self._changed:
            folded = _folded(*convolution.constants, epsilon=convolution.epsilon)
            self._changed[key] = (convolution.constants, folded)  # kept, or another might get their numbers
        return self._changed[key][1]


def roomy(pictures: Any) -> Any:
    """Memory for pictures [N, 3, H, W] in which each pixel has room for a fourth number, which is 0.

    cuDNN takes half precision in fours: it would copy three channels into such memory at every call.
    """
    count, colours, height, width = pictures.shape
    wider = torch.zeros((count, colours + 1, height, width), dtype=pictures.dtype, device=pictures.device)
    return wider.contiguous(memory_format=torch.channels_last)[:, :colours]


@dataclass(frozen=True, slots=True)
class _Convolution:
    """A convolution, with the normalisation after it if there is one; `nodes` from the last to the first."""

    node: Any
    nodes: list[Any]
    constants: list[Any]  # weight, bias or None; of the normalisation: weight, bias, mean, variance
    epsilon: float

    @property
    def source(self) -> Any:
        return self.node.args[0]


@dataclass(frozen=True, slots=True)
class _Match:
    """What one call can do: a convolution, the other operand of a sum or None; `nodes` from the last to the first."""

    convolution: _Convolution
    other: Any
    nodes: list[Any]


def _match(traced: Any, node: Any) -> _Match | None:
    """What ends in this node."""
    if node.target not in _RELU:
        return None
    summed, other = node.args[0], None
    convolution = _convolution(traced, summed)
    nodes = [node]
    if convolution is None and summed.target in _SUM and len(summed.users) == 1 and not summed.kwargs:
        in_place = summed.target is _aten.add_.Tensor  # it may only write over what nobody else reads
        for one, other in (summed.args, summed.args[::-1])[: 1 if in_place else 2]:
            convolution = _convolution(traced, one)
            if convolution is not None and other is not one and _alike(one, other):
                nodes.append(summed)
                break
            convolution = None
    if convolution is None or _written_between(traced, convolution.node, node, nodes):
        return None
    return _Match(convolution, other, nodes + convolution.nodes)


def _convolution(traced: Any, node: Any) -> _Convolution | None:
    """The convolution whose result, perhaps normalised, this node is, if nobody else reads it."""
    if not isinstance(node, torch.fx.Node) or len(node.users) != 1:
        return None
    nodes, norm, epsilon = [node], [], 0.0
    if node.target is operator.getitem and node.args[1] == 0 and node.args[0].target in _NORM:
        before = node.args[0]
        training, epsilon = before.args[5], before.args[7]
        norm = [_value(traced, value) for value in before.args[1:5]]
        nodes += [*before.users, before, before.args[0]][1:] if len(before.users) == 1 else []
        if training or len(nodes) == 1 or norm[2] is None or norm[3] is None:
            return None
        node = before.args[0]
    if node.target not in _CONVOLUTION or len(node.users) != 1:
        return None
    weight, bias, transposed, groups = node.args[1], node.args[2], node.args[6], node.args[8]
    values = [_value(traced, weight), _value(traced, bias)]
    fixed = values[0] is not None and (bias is None or values[1] is not None)
    if not fixed or transposed or groups != 1 or values[0].dim() != 4 or values[0].dtype not in _KINDS:
        return None
    return _Convolution(node, nodes, values + norm, epsilon)


def _value(traced: Any, node: Any) -> Any:
    """The tensor that a node is, where it is one of the network's own; else None."""
    return getattr(traced, node.target, None) if getattr(node, "op", "") == "get_attr" else None


def _alike(one: Any, other: Any) -> bool:
    """Whether two results have one shape and type."""
    first, second = (getattr(node, "meta", {}).get("tensor_meta") for node in (one, other))
    return bool(first and second and first.shape == second.shape and first.dtype == second.dtype)


def _written_between(traced: Any, first: Any, last: Any, own: Sequence[Any]) -> bool:
    """Whether anything but `own` writes between two nodes: what the first reads may be another at the last."""
    nodes = list(traced.graph.nodes)
    between = nodes[nodes.index(first) : nodes.index(last)]
    return any(node not in own and _writes(node) for node in between)


def _has_effect(node: Any) -> bool:
    return bool(node.is_impure()) or _writes(node)


def _writes(node: Any) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


def _folded(
    weight: Any,
    bias: Any,
    scale: Any = None,
    shift: Any = None,
    mean: Any = None,
    variance: Any = None,
    *,
    epsilon: float,
) -> tuple[Any, Any]:
    kind, channels = weight.dtype, weight.shape[0]
    exact = torch.zeros(channels, dtype=torch.float64, device=weight.device) if bias is None else bias.double()
    if mean is None:
        return weight, exact.to(kind)
    factor = (variance.double() + epsilon).rsqrt() * (1.0 if scale is None else scale.double())
    exact = (exact - mean.double()) * factor + (0.0 if shift is None else shift.double())
    changed = (weight.double() * factor[:, None, None, None]).to(kind)
    return changed.contiguous(memory_format=torch.channels_last), exact.to(kind)


def _instead(traced: Any, nodes: Sequence[Any], place: Any, target: Any, arguments: Sequence[Any]) -> Any:
    """A new call before the node `place`, its tensors among the network's own, in the place of `nodes`."""
    graph = traced.graph
    with graph.inserting_before(place):
        new = graph.call_function(target, tuple(_own(traced, value) for value in arguments))
    new.meta = dict(nodes[0].meta)
    nodes[0].replace_all_uses_with(new)
    for node in nodes:
        graph.erase_node(node)
    return new


def _own(traced: Any, value: Any) -> Any:
    """A node for a tensor, which becomes one of the network's own; anything else as it is."""
    if not isinstance(value, torch.Tensor):
        return value
    name = f"fused{sum(each.startswith('fused') for each, _ in traced.named_buffers())}"
    traced.register_buffer(name, value, persistent=False)
    return traced.graph.get_attr(name)


# The operation, as one that PyTorch knows: its compiler takes it as it is.

_library = torch.library.Library("millrace", "DEF")
_library.define(
    "convolution_relu(Tensor x, Tensor weight, Tensor bias, Tensor? other, SymInt[] stride, SymInt[] padding,"
    " SymInt[] dilation) -> Tensor"
)


def _step_by_step(x: Any, weight: Any, bias: Any, other: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """relu(convolution(x, weight) + bias + other) of [N, C, H, W], [K, C, R, S], [K] and [N, K, P, Q]."""
    result = torch.nn.functional.conv2d(x, weight, bias, stride, padding, dilation)
    return (result if other is None else result.add_(other)).relu_()


def _by_cudnn(x: Any, weight: Any, bias: Any, other: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """The same in one kernel; step by step where cuDNN has none for these shapes."""
    key = (x.shape, x.dtype, weight.shape, other is None, *stride, *padding, *dilation)
    if key not in _refused:
        how = (stride, padding, dilation, 1)
        try:
            if other is None:
                return torch.cudnn_convolution_relu(x, weight, bias, *how)
            return torch.cudnn_convolution_add_relu(x, weight, other, 1.0, bias, *how)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            _refused.add(key)
    return _step_by_step(x, weight, bias, other, stride, padding, dilation)


_library.impl("convolution_relu", _by_cudnn, "CUDA")
_library.impl("convolution_relu", _step_by_step, "CPU")
torch.library.register_fake("millrace::convolution_relu", _step_by_step, lib=_library)
