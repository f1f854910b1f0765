"""relu(convolution(x) + bias + other) as one operation of PyTorch's: in one kernel of cuDNN's, or step by step.

It is registered with PyTorch, so that its compiler takes it as it is.
"""

from __future__ import annotations

from typing import Any

import torch

_refused: set[tuple[Any, ...]] = set()  # shapes that cuDNN has no such kernel for

_library = torch.library.Library("millrace", "DEF")
_library.define(
    "convolution_relu(Tensor x, Tensor weight, Tensor bias, Tensor? other, SymInt[] stride, SymInt[] padding,"
    " SymInt[] dilation) -> Tensor"
)


def step_by_step(x: Any, weight: Any, bias: Any, other: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """relu(convolution(x, weight) + bias + other) of [N, C, H, W], [K, C, R, S], [K] and [N, K, P, Q]."""
    result = torch.nn.functional.conv2d(x, weight, bias, stride, padding, dilation)
    return (result if other is None else result.add_(other)).relu_()


def by_cudnn(x: Any, weight: Any, bias: Any, other: Any, stride: Any, padding: Any, dilation: Any) -> Any:
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
    return step_by_step(x, weight, bias, other, stride, padding, dilation)


_library.impl("convolution_relu", by_cudnn, "CUDA")
_library.impl("convolution_relu", step_by_step, "CPU")
torch.library.register_fake("millrace::convolution_relu", step_by_step, lib=_library)
convolution_relu = torch.ops.millrace.convolution_relu.default
