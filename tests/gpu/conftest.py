"""Tests that need an NVIDIA GPU: skipped without one, unless FAIL_WITHOUT_CUDA=1 says that one must be there."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress

import pytest

from millrace.core.errors import ConfigError

DEVICE = "cuda:0"


@pytest.fixture(scope="session")
def device() -> str:
    from millrace.cuda.context import gpu

    try:
        gpu(DEVICE)
    except ConfigError as error:
        if os.environ.get("FAIL_WITHOUT_CUDA") == "1":
            pytest.fail(f"FAIL_WITHOUT_CUDA=1, but {error}")
        pytest.skip(str(error))
    return DEVICE


@pytest.fixture
def torch(device: str):  # type: ignore[no-untyped-def]
    import torch as module

    return module


@pytest.fixture(scope="session")
def compiler(device: str) -> None:
    """PyTorch's compiler at work once: it keeps threads. In this process only: its helpers' timer comes and goes."""
    import torch
    from torch._inductor import config

    config.compile_threads = 1
    with suppress(ImportError):
        from tqdm import tqdm

        tqdm.monitor_interval = 0  # a thread that the compiler's progress bars start
    with warnings.catch_warnings():  # PyTorch's own, about PyTorch
        warnings.simplefilter("ignore")
        torch.compile(lambda x: x * 2 + 1)(torch.ones(8, device=device))
    torch.cuda.synchronize()
