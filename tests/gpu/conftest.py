"""Tests that need an NVIDIA GPU: skipped without one, unless FAIL_WITHOUT_CUDA=1 says that one must be there."""

from __future__ import annotations

import os

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
