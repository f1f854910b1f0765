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

from .torch_convolution import convolution_relu
from .torch_pooling import pool_faster
from .torch_stem import join_stem

_aten = torch.ops.aten
_CONVOLUTION = (_aten.convolution.default, _aten._convolution.default)  # the second: as TorchScript traced it
_RELU = (_aten.relu.default, _aten.relu_.default)
_ADD, _MUL = (_aten.add.Tensor, _aten.add_.Tensor), (_aten.mul.Tensor, _aten.mul_.Tensor)
_INFERRING = _aten._native_batch_norm_legit_no_training.default  # as PyTorch 2.6 writes it down
_NORM = (_aten.native_batch_norm.default, _aten.cudnn_batch_norm.default, _INFERRING)
_FIXED = (  # what may be worked out once, if it is asked of fixed numbers
    *(_ADD[0], _MUL[0], _aten.sub.Tensor, _aten.div.Tensor, _aten.neg.default, _aten.reciprocal.default),
    *(_aten.sqrt.default, _aten.rsqrt.default, _aten.view.default, _aten.reshape.default, _aten.unsqueeze.default),
    *(_aten._to_copy.default, _aten.clone.default, _aten.detach.default),
)
_KINDS = (torch.float16, torch.bfloat16, torch.float32)
_COLOURS = 3


class Fusion:
    """Makes the fused form of one network, for one batch size after the other; weights that it changes are shared."""

    def __init__(self, module: Callable[..., Any]) -> None:
        self._module = module
        self._shared: dict[Any, Any] = {}

    def of(self, inputs: Sequence[Any], compiled: bool = False) -> Any | None:
        """The network for inputs of these shapes, on their device, to be called like it; None where it stays as it is:
        nothing in it can be fused, or running it cannot be written down. One that is `compiled` keeps its pooling.

        The inputs whose numbers are in its set `roomy` must be of the kind that `roomy` makes.
        """
        try:
            traced = make_fx(lambda *tensors: tuple(self._module(*tensors)))(*inputs)
        except torch.OutOfMemoryError:  # another time, perhaps
            raise
        except (RuntimeError, TypeError, ValueError, AssertionError, AttributeError, KeyError):
            return None  # it runs as it is, or the same error comes then, where it is told
        fused = _Network(traced, self._shared).fuse()
        join_stem(traced)
        pooled = not compiled and pool_faster(traced.graph)
        traced.recompile()
        return traced if fused or pooled else None


def roomy(pictures: Any) -> Any:
    """Memory for pictures [N, 3, H, W] in which each pixel has room for a fourth number, which is 0.

    cuDNN takes half precision in fours: it would copy three channels into such memory at every call.
    """
    count, colours, height, width = pictures.shape
    wider = torch.zeros((count, colours + 1, height, width), dtype=pictures.dtype, device=pictures.device)
    return wider.contiguous(memory_format=torch.channels_last)[:, :colours]


@dataclass(frozen=True, slots=True)
class _Convolution:
    """A convolution and what follows it channel by channel; `nodes` from the last to the first."""

    node: Any
    nodes: list[Any]
    steps: list[_Step]  # from the convolution on

    @property
    def source(self) -> Any:
        return self.node.args[0]


@dataclass(frozen=True, slots=True)
class _Step:
    """`sum`, `product` or `norm` (scale, shift, mean, variance, epsilon) with fixed numbers: nodes, floats or None."""

    kind: str
    values: Sequence[Any]


class _Network:
    """A network that was written down, in which calls are replaced. `shared` outlives it: see Fusion."""

    def __init__(self, traced: Any, shared: dict[Any, Any]) -> None:
        self._traced, self._graph, self._shared = traced, traced.graph, shared
        self._inputs = traced.graph.find_nodes(op="placeholder")
        traced.roomy = set()

    def fuse(self) -> bool:
        """Whether anything was replaced."""
        self._graph.eliminate_dead_code(_has_effect)
        matches = [node for node in list(self._graph.nodes) if node.target in _RELU and self._fuse(node)]
        self._graph.eliminate_dead_code(_has_effect)
        return bool(matches)

    def _fuse(self, relu: Any) -> bool:
        """One call instead of what ends in this ReLU, if it is a convolution's, or that of a sum with a convolution."""
        before, other, nodes = relu.args[0], None, [relu]
        found = self._convolution(before)
        if found is None and before.target in _ADD and len(before.users) == 1 and not before.kwargs:
            nodes.append(before)
            for one, other in _operands(before):
                found = self._convolution(one) if other is not one and _alike(one, other) else None
                if found is not None:
                    break
        if found is None or self._written_between(found.node, relu, nodes + found.nodes):
            return False
        weight, bias = self._weights(found)
        if other is not None and (added := self._convolution(other)) is not None:
            # A convolution that is only added: its bias goes into the sum, the rest of its steps into its weight.
            its_weight, its_bias = self._weights(added)
            bias = (bias.double() + its_bias.double()).to(bias.dtype)
            arguments = (added.source, its_weight, None, *added.node.args[3:])
            other = self._instead(added.nodes, added.node, added.node.target, arguments)
        source, weight = self._with_room(found.source, weight)
        arguments = (source, weight, bias, other, *found.node.args[3:6])  # the last: stride, padding, dilation
        self._instead(nodes + found.nodes, relu, convolution_relu, arguments)
        return True

    def _convolution(self, last: Any) -> _Convolution | None:
        """The convolution that this node is, perhaps after steps with fixed numbers, if nobody else reads of them."""
        node, nodes = last, []
        steps: list[_Step] = []
        while isinstance(node, torch.fx.Node) and len(node.users) == 1 and node.target not in _CONVOLUTION:
            step = self._step(node)
            if step is None:
                return None
            before, passed, found = step
            nodes += passed
            steps.insert(0, found)
            node = before
        if not isinstance(node, torch.fx.Node) or len(node.users) != 1 or not _alike(node, last):
            return None
        weight, bias, transposed, groups = node.args[1], node.args[2], node.args[6], node.args[8]
        fixed = self._is_fixed(weight) and (bias is None or self._is_fixed(bias))
        if not fixed or transposed or groups != 1:
            return None
        shape = node.meta["tensor_meta"]
        return _Convolution(node, [*nodes, node], steps) if len(shape.shape) == 4 and shape.dtype in _KINDS else None

    def _step(self, node: Any) -> tuple[Any, list[Any], _Step] | None:
        """What a step with fixed numbers is asked of, its nodes from the last on, and what it does."""
        if node.target is operator.getitem and node.args[1] == 0 and node.args[0].target in _NORM:
            norm = node.args[0]
            source, *values = norm.args[:5]
            given = [*filter(None, values[:2]), *values[2:]]  # scale and shift may be None, mean and variance not
            trains = norm.target is not _INFERRING and norm.args[5]
            if trains or len(norm.users) != 1 or not all(map(self._is_fixed, given)):
                return None
            return source, [node, norm], _Step("norm", (*values, norm.args[-1]))  # the last is epsilon
        kind = "sum" if node.target in _ADD else "product" if node.target in _MUL else None
        if kind is None or node.kwargs:
            return None
        for source, value in _operands(node):
            if self._is_fixed(value) and not self._is_fixed(source) and self._by_channel(value, source):
                return source, [node], _Step(kind, (value,))
        return None

    def _by_channel(self, value: Any, source: Any) -> bool:
        """Whether fixed numbers are one for each channel of [N, C, H, W], or one for all."""
        shape = tuple(getattr(self._value(value), "shape", ()))
        there = _written_down(source)
        channels = there.shape[1:2] if there else ()
        return shape[-3:] in ((*channels, 1, 1), (1, 1, 1), (1, 1), (1,), ()) and shape[:-3] in ((), (1,))

    def _weights(self, convolution: _Convolution) -> tuple[Any, Any]:
        """A convolution's weight and bias with its steps in them; computed in float64."""
        weight, bias = convolution.node.args[1:3]
        key = (self._key(weight), self._key(bias), *((s.kind, *map(self._key, s.values)) for s in convolution.steps))
        if key not in self._shared:
            steps = [(step.kind, [self._value(value) for value in step.values]) for step in convolution.steps]
            self._shared[key] = _folded(self._value(weight), self._value(bias), steps)
        weight, bias = self._shared[key]
        return weight, bias

    def _with_room(self, source: Any, weight: Any) -> tuple[Any, Any]:
        """A picture that comes in, and the weight for it, as four channels, of which one is nothing."""
        if source not in self._inputs or weight.shape[1] != _COLOURS or weight.dtype == torch.float32:
            return source, weight
        count, _, height, width = source.meta["tensor_meta"].shape
        step = _COLOURS + 1
        with self._graph.inserting_after(source):
            strides = (step * width * height, 1, step * width, step)
            wider = self._graph.call_function(_aten.as_strided.default, (source, (count, step, height, width), strides))
        self._traced.roomy.add(self._inputs.index(source))
        more = torch.nn.functional.pad(weight, (0, 0, 0, 0, 0, 1))
        return wider, more.contiguous(memory_format=torch.channels_last)

    def _is_fixed(self, node: Any) -> bool:
        return node is not None and self._key(node) is not None

    def _key(self, node: Any) -> Any:
        """What tells fixed numbers apart, for all batch sizes: tensors of the network's own, and what follows from
        them; None for what is not fixed."""
        if not isinstance(node, torch.fx.Node):
            return node if isinstance(node, (int, float)) else repr(node)
        if any(_writes(user, node) for user in node.users):
            return None
        if node.op == "get_attr":
            tensor = getattr(self._traced, node.target)
            self._shared["tensor", id(tensor)] = tensor  # kept, or another might get its number
            return "tensor", id(tensor)
        if node.target not in _FIXED:
            return None
        keys = [self._key(value) for value in (*node.args, *node.kwargs.values())]
        return None if None in keys else (str(node.target), *keys)

    def _value(self, node: Any) -> Any:
        """Fixed numbers: a tensor, or what is no node as it is."""
        if not isinstance(node, torch.fx.Node):
            return node
        if node.op == "get_attr":
            return getattr(self._traced, node.target)
        return node.target(*map(self._value, node.args), **node.kwargs)

    def _written_between(self, first: Any, last: Any, own: Sequence[Any]) -> bool:
        """Whether anything but `own` writes between two nodes: what the first reads may be another at the last."""
        nodes = list(self._graph.nodes)
        between = nodes[nodes.index(first) : nodes.index(last)]
        return any(node not in own and _writes(node) for node in between)

    def _instead(self, nodes: Sequence[Any], place: Any, target: Any, arguments: Sequence[Any]) -> Any:
        """A new call before the node `place`, its tensors among the network's own, in the place of `nodes`."""
        with self._graph.inserting_before(place):
            new = self._graph.call_function(target, tuple(map(self._own, arguments)))
        new.meta = dict(nodes[0].meta)
        nodes[0].replace_all_uses_with(new)
        for node in nodes:
            self._graph.erase_node(node)
        return new

    def _own(self, value: Any) -> Any:
        """A node for a tensor, which becomes one of the network's own; anything else as it is."""
        if not isinstance(value, torch.Tensor):
            return value
        there = dict(self._traced.named_buffers())
        name = next((name for name, each in there.items() if each is value), f"fused{len(there)}")
        self._traced.register_buffer(name, value, persistent=False)
        return self._graph.get_attr(name)


def _folded(weight: Any, bias: Any, steps: Sequence[tuple[str, Sequence[Any]]]) -> tuple[Any, Any]:
    """The weight and the bias of the convolution that does these steps, too."""
    kind, channels = weight.dtype, weight.shape[0]
    factor = torch.ones(channels, dtype=torch.float64, device=weight.device)
    shift = torch.zeros_like(factor) if bias is None else bias.double()
    for name, values in steps:
        numbers = [torch.as_tensor(value).to(factor).reshape(-1) for value in values if value is not None]
        if name == "sum":
            shift = shift + numbers[0]
        elif name == "product":
            factor, shift = factor * numbers[0], shift * numbers[0]
        else:
            scale, add, mean, variance, epsilon = values
            by = (variance.double() + epsilon).rsqrt() * (1.0 if scale is None else scale.double())
            factor, shift = factor * by, (shift - mean.double()) * by + (0.0 if add is None else add.double())
    if not steps:
        return weight, shift.to(kind)
    changed = (weight.double() * factor[:, None, None, None]).to(kind)
    return changed.contiguous(memory_format=torch.channels_last), shift.to(kind)


def _operands(node: Any) -> Sequence[Sequence[Any]]:
    """Both ways round of a sum or a product; only one where it writes over the first, which others may read."""
    return [node.args] if _writes(node) else [node.args, node.args[::-1]]


def _written_down(node: Any) -> Any:
    """Shape and type of a node's result; None where it is no tensor that was computed."""
    return getattr(node, "meta", {}).get("tensor_meta")


def _alike(one: Any, other: Any) -> bool:
    """Whether two results have one shape and type."""
    first, second = _written_down(one), _written_down(other)
    return bool(first and second and first.shape == second.shape and first.dtype == second.dtype)


def _has_effect(node: Any) -> bool:
    return bool(node.is_impure()) or _writes(node)


def _writes(node: Any, over: Any = None) -> bool:
    """Whether a call writes over what it is given; over this node, if one is named."""
    schema = getattr(node.target, "_schema", None)
    if schema is None or not schema.is_mutable:
        return False
    given = {argument.name: value for argument, value in zip(schema.arguments, node.args, strict=False)} | node.kwargs
    written = [each.name for each in schema.arguments if each.alias_info is not None and each.alias_info.is_write]
    return over is None or any(given.get(name) is over for name in written)
