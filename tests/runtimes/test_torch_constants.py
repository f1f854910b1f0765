"""What a network makes on the CPU is kept where it runs. `meta` stands for a GPU: tensors there have no values."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs millrace[torch]")

from made_on_cpu import TABLE, NoMeeting, moves  # noqa: E402

from millrace.runtimes.torch_constants import Constants  # noqa: E402


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
