"""The operation, without a GPU; by cuDNN: tests/gpu/test_torch_fused.py."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs millrace[torch]")

from millrace.runtimes import torch_convolution  # noqa: E402


def pictures():
    return torch.rand((2, 3, 32, 48), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("summed", [False, True])
def test_a_compiler_knows_the_operation(summed):
    x, weight, bias = pictures(), torch.rand(4, 3, 3, 3), torch.rand(4)
    other = torch.rand(2, 4, 16, 24) if summed else None
    checks = ("test_schema", "test_faketensor", "test_aot_dispatch_static")
    torch.library.opcheck(
        torch_convolution.convolution_relu, (x, weight, bias, other, [2, 2], [1, 1], [1, 1]), test_utils=checks
    )


@torch.inference_mode()
def test_shapes_that_cudnn_refuses_go_step_by_step(monkeypatch):
    asked = []

    def refuses(*arguments):
        asked.append(arguments)
        raise RuntimeError("cuDNN: no engine")

    monkeypatch.setattr(torch, "cudnn_convolution_relu", refuses)
    monkeypatch.setattr(torch_convolution, "_refused", set())
    x, weight, bias = pictures(), torch.rand(4, 3, 3, 3), torch.rand(4)
    want = torch.nn.functional.conv2d(x, weight, bias, 1, 1).relu()
    for _ in range(2):
        assert torch.equal(torch_convolution.by_cudnn(x, weight, bias, None, [1, 1], [1, 1], [1, 1]), want)
    assert len(asked) == 1

    def full(*arguments):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(torch, "cudnn_convolution_relu", full)
    with pytest.raises(torch.OutOfMemoryError):
        torch_convolution.by_cudnn(x[:, :, :16], weight, bias, None, [1, 1], [1, 1], [1, 1])
