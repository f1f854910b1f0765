"""What networks make on the CPU while they run elsewhere, and a watch over it. `meta` stands for a GPU."""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode

TABLE = torch.arange(6.0).reshape(2, 3)


class NoMeeting(TorchDispatchMode):
    """Refuses operations that bring the CPU and the device together."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        given = [each for each in args if isinstance(each, torch.Tensor)]
        kinds = {each.device.type for each in [*given, *([made] if isinstance(made, torch.Tensor) else [])]}
        assert len(kinds) < 2, f"{function} of {kinds}"
        return made


def moves(x):
    """One of each way in which numbers get to the device of x."""
    shapes = torch.empty((2, 2), device=x.device, dtype=torch.long)
    shapes[0, 0] = 3
    shapes[:, 1] = 2.0
    copied = torch.zeros(2, 3, device=x.device)
    copied.copy_(TABLE)
    copied.copy_(other=TABLE, non_blocking=True)
    return [
        shapes, copied, torch.tensor([1, 2.0], device=x.device), torch.as_tensor(TABLE, device=x.device),
        TABLE.to(x.device, torch.float16), TABLE.to(device=x.device), TABLE.to(x), TABLE.to(tensor=x),
        torch.tensor(data=[3], device=x.device), torch.as_tensor(data=TABLE, device=x.device),
        TABLE.to(x.device, copy=True),
        torch.tensor(True, device=x.device), torch.as_tensor(x, device=x.device), x.to("cpu", copy=True).to(x.device)
        if x.device.type == "cpu" else x,
    ]  # fmt: skip
