"""Outputs that are small leave a network in one copy."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs millrace[torch]")

from millrace.runtimes.torch_leaving import Leaving  # noqa: E402

KINDS = [torch.float32, torch.int32, torch.uint8, torch.int64, torch.bool, torch.float16, torch.bfloat16]


def filled(found, leaves, count, size=4):
    """What a call of `count` pictures gives after a graph wrote its outputs; how many copies it took."""
    leaving = Leaving(found, leaves, size)
    for out, value in zip(leaving.tensors, found, strict=True):
        out.copy_(value)
    copies, kept = [each.clone() for each in leaving.copied(count)], leaving.kept(count)
    for out in leaving.tensors:
        out.zero_()  # by the next call
    for out, value in zip(kept, found[leaves:], strict=True):
        assert torch.equal(out, value[:count] if value.dim() and len(value) == size else value)
    return leaving, leaving.arrays(copies, count), len(copies)


@pytest.mark.parametrize("count", [1, 3, 4])
def test_small_outputs_lie_together(count):
    generator = torch.Generator().manual_seed(1)
    shapes = [(5, 3), (7,), (1, 1, 3), (), (11,), (2, 2), (3,)]
    found = [torch.randint(0, 2, (4, *s), generator=generator).to(kind) for kind, s in zip(KINDS, shapes, strict=True)]
    found += [torch.rand((4, 20_000), generator=generator), torch.rand((4, 3, 8), generator=generator)]
    _, arrays, copies = filled(found, 8, count)
    assert (len(arrays), copies) == (8, 2)  # the last but one is large, the last stays
    for array, out in zip(arrays, found, strict=False):
        wanted = out.float() if out.dtype in (torch.float16, torch.bfloat16) else out
        assert array.dtype == wanted.numpy().dtype
        assert np.array_equal(array, wanted[:count])


def test_one_alone_is_copied_as_far_as_it_was_asked_for():
    leaving, (array,), copies = filled([torch.rand(4, 9), torch.rand(4, 9)], 1, 3)
    assert (array.shape, copies) == ((3, 9), 1)
    assert leaving.copied(3)[0].shape == (3, 9)
    assert [out.shape for out in leaving.tensors] == [(4, 9)] * 2


def test_they_are_written_in_any_strides():
    found = [torch.rand(2, 3, 5, 7).contiguous(memory_format=torch.channels_last), torch.rand(2, 8, 4).transpose(1, 2)]
    _, arrays, copies = filled(found, 2, 2, 2)
    assert copies == 1
    for array, out in zip(arrays, found, strict=True):
        assert array.flags.c_contiguous
        assert np.array_equal(array, out)


@pytest.mark.parametrize("leaves", [1, 5])
def test_what_is_not_of_pictures_is_never_cut(leaves):
    """Such as the rows that a network for one picture finds."""
    found = [torch.rand(100, 6), torch.rand(1, 8), torch.rand(()), torch.rand(3, 30_000), torch.rand(1, 30_000)]
    _, arrays, _ = filled(found, leaves, 1, 1)
    assert len(arrays) == leaves
    assert all(np.array_equal(array, out) for array, out in zip(arrays, found, strict=False))
    found = [torch.rand(7, 6), torch.rand(4, 5), torch.rand(3, 50_000)]
    _, arrays, _ = filled(found, 3, 2, 4)
    assert [array.shape for array in arrays] == [(7, 6), (2, 5), (3, 50_000)]
