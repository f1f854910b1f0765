"""What a network makes on the CPU is kept where it runs. `meta` stands for a GPU: tensors there have no values."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs millrace[torch]")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from millrace.runtimes.torch_constants import Constants  # noqa: E402

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


def test_the_second_run_brings_nothing_from_the_cpu():
    constants, x = Constants(), torch.zeros(3, device="meta")
    with constants:
        first = moves(x)
    with NoMeeting(), constants:
        second = moves(x)
    plain = moves(torch.zeros(3))
    for a, b, c in zip(first, second, plain, strict=True):
        assert (a.device, a.dtype, a.shape) == (b.device, b.dtype, b.shape) == (x.device, c.dtype, c.shape)
        assert a is not b or a is x  # a network may change them


def test_without_it_they_are_brought():
    with pytest.raises(AssertionError, match="copy"), NoMeeting():
        torch.zeros(2, 3, device="meta").copy_(TABLE)


def test_what_stays_on_the_cpu_is_left_alone():
    with Constants() as constants:
        values = torch.tensor([1.0, 2.0], dtype=torch.float64)
        values[0] = 4
        again = values.to(torch.float32)
    assert again.tolist() == [4.0, 2.0]
    assert not constants._kept
