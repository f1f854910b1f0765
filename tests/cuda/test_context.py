"""How a process opens a GPU, with a driver that only answers."""

from __future__ import annotations

import os
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from millrace.core import ConfigError
from millrace.cuda import context
from millrace.cuda.context import Gpu
from millrace.cuda.memory import Memory


class Code(int):
    name = "CUDA_ERROR_OUT_OF_MEMORY"


class Full:
    """One GPU that gives no context."""

    CUctx_flags = SimpleNamespace(CU_CTX_SCHED_BLOCKING_SYNC=4)

    def __getattr__(self, name: str) -> Any:
        return {
            "cuInit": lambda flags: (0,),
            "cuDeviceGetCount": lambda: (0, 1),
            "cuDeviceGet": lambda ordinal: (0, ordinal),
            "cuDevicePrimaryCtxSetFlags": lambda device, flags: (0,),
            "cuDevicePrimaryCtxRetain": lambda device: (Code(2), None),
        }[name]


@pytest.mark.parametrize(("shared", "queues"), [(False, "32"), (True, "8")])
def test_a_gpu_that_takes_no_further_process_says_why(monkeypatch: pytest.MonkeyPatch, shared: bool, queues: str):
    """Under MPS, which has so many queues for all, each process asks for fewer; what the user has set stays."""
    monkeypatch.setattr(context, "driver", Full)
    monkeypatch.setenv("CUDA_DEVICE_MAX_CONNECTIONS", "x")  # so that it is put back
    monkeypatch.delenv("CUDA_DEVICE_MAX_CONNECTIONS")
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", "/tmp/mps")
    if not shared:
        monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY")
    with pytest.raises(ConfigError, match=r"cuda:0 takes no further process .*OUT_OF_MEMORY.*CUDA_DEVICE_MAX_CONN"):
        Gpu(0)
    assert os.environ["CUDA_DEVICE_MAX_CONNECTIONS"] == queues
    monkeypatch.setenv("CUDA_DEVICE_MAX_CONNECTIONS", "4")
    with pytest.raises(ConfigError):
        Gpu(0)
    assert os.environ["CUDA_DEVICE_MAX_CONNECTIONS"] == "4"


def opened(told: list[Any], number: int) -> Gpu:
    """One that says what it is asked to make current."""
    owner = Gpu.__new__(Gpu)
    owner._local, owner.context = threading.local(), number
    owner.driver = SimpleNamespace(
        CUstreamCaptureMode=SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL="own"),
        cuCtxSetCurrent=lambda context: (told.append(context), (0,))[1],
        cuThreadExchangeStreamCaptureMode=lambda mode: (told.append(mode), (0, "global"))[1],
    )
    return owner


def test_a_thread_is_not_disturbed_by_graphs_that_others_record():
    """It may allocate memory meanwhile: said once a thread, and again with the context."""
    told: list[Any] = []
    owner = opened(told, 5)
    for again in (False, False, True):
        owner.use(again)
    assert told == [5, "own", 5, "own"]


def test_a_thread_that_uses_several_gpus_is_in_the_context_of_the_one_that_it_uses():
    """Else streams, memory and kernels of the first would be made on the second."""
    told: list[Any] = []
    first, second = opened(told, 5), opened(told, 6)
    for owner in (first, second, second, first, first):
        owner.use()
    assert [each for each in told if each != "own"] == [5, 6, 5]
    thread = threading.Thread(target=first.use)
    thread.start()
    thread.join(10)
    first.use()
    assert [each for each in told if each != "own"] == [5, 6, 5, 5]


def test_what_is_dropped_in_a_thread_of_another_gpu_leaves_it_there():
    told: list[Any] = []
    first, second = opened(told, 5), opened(told, 6)
    second.calls = SimpleNamespace(cuMemFreeAsync=lambda pointer, stream: told.append(("freed", pointer)))
    memory = Memory.__new__(Memory)
    memory._stream = SimpleNamespace(gpu=second, handle=1, wait=lambda events: None)
    memory.pointer, memory.uses = 77, []
    first.use()
    del memory
    assert [each for each in told if each != "own"] == [5, 6, ("freed", 77), 5]
