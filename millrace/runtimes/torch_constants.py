"""What a network makes on the CPU while it runs on a GPU (numbers, lists, small tables), kept there.

A CUDA graph cannot be recorded over a copy from the CPU: `torch.tensor([1, 2], device="cuda")`, `table.to(x.device)`
and `shapes[0, 1] = 20` in a `forward` all are such copies. Their values cannot depend on the pictures (to read those on
the CPU would need a wait, which no graph records either), so they are the same at every call: the runs before the
recording keep them on the GPU, the recorded run takes copies from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Number
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_MAKERS = (torch.tensor, torch.as_tensor)
_MOVERS = (torch.Tensor.to, torch.Tensor.cuda)


class Constants(TorchFunctionMode):  # type: ignore[misc]
    """Entered around every run of a network that is to be recorded: those before the recording, and the recorded one.

    Whoever keeps the recorded graph keeps this, too: the graph reads what is kept here.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[tuple[Any, ...], Any] = {}

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if function is torch.Tensor.__setitem__:
            target, where, value = args
            if isinstance(value, Number) and not _on_cpu(target):  # PyTorch makes a tensor of it on the CPU
                value = torch.full((), value, dtype=target.dtype, device=target.device)
            return function(target, where, value)
        if function is torch.Tensor.copy_ and not _on_cpu(args[0]):
            other, *rest = args[1:] or (named.pop("other"),)
            other = self._there(other, args[0].device) if _on_cpu(other) else other
            return function(args[0], other, *rest, **named)
        if function in _MAKERS:
            device, values = _device(named.get("device")), args[0] if args else named.get("data")
            if device is not None and (_on_cpu(values) or not isinstance(values, torch.Tensor)):
                return self._there(function(*args, **{**named, "device": "cpu"}), device)
        if function in _MOVERS and _on_cpu(args[0]):
            first = named.get("device", named.get("tensor", args[1] if len(args) > 1 else None))
            device = _device("cuda" if first is None and function is torch.Tensor.cuda else first)
            if device is not None:
                return function(self._there(args[0], device), *args[1:], **named)  # its type may change as well
        return function(*args, **named)

    def _there(self, value: Any, device: Any) -> Any:
        """The values of a tensor on the CPU, in a new one on the device."""
        content = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        key = (device, value.dtype, tuple(value.shape), content)
        if key not in self._kept:
            self._kept[key] = value.to(device)
        return self._kept[key].clone()


def _on_cpu(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.device.type == "cpu"


def _device(named: Any) -> Any:
    """The device that an argument names; None for the CPU, and for one that is something else (a type of numbers)."""
    if isinstance(named, torch.Tensor):
        device = named.device
    elif isinstance(named, (str, int, torch.device)):
        device = torch.device(named)
    else:
        return None
    return None if device.type == "cpu" else device
