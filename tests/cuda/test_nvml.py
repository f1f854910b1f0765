"""How busy GPUs are, asked of a management library that the test plays."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from millrace.cuda.nvml import Nvml, open_nvml, said


def played(gpus: int = 2, decoder: bool = True, driver: bool = True) -> ModuleType:
    library = ModuleType("pynvml")

    class NVMLError(Exception):
        pass

    def decode(handle):
        if not decoder:
            raise NVMLError("Not Supported")
        return [90 + handle, 1000]

    def init():
        if not driver:
            raise NVMLError("Driver Not Loaded")

    library.NVMLError = NVMLError
    library.closed = 0
    library.nvmlInit = init
    library.nvmlShutdown = lambda: setattr(library, "closed", library.closed + 1)
    library.nvmlDeviceGetCount = lambda: gpus
    library.nvmlDeviceGetHandleByIndex = lambda number: number
    library.nvmlSystemGetDriverVersion = lambda: b"580.95.05"
    library.nvmlSystemGetCudaDriverVersion = lambda: 13010
    library.nvmlDeviceGetName = lambda handle: f"NVIDIA Test {handle}"
    library.nvmlDeviceGetMemoryInfo = lambda handle: SimpleNamespace(total=80 << 30, used=(3 + handle) << 29)
    library.nvmlDeviceGetCudaComputeCapability = lambda handle: (9, 0)
    library.nvmlDeviceGetUtilizationRates = lambda handle: SimpleNamespace(gpu=40 + handle, memory=10)
    library.nvmlDeviceGetDecoderUtilization = decode
    library.nvmlDeviceGetEncoderUtilization = lambda handle: [0, 1000]
    return library


def test_what_is_there(monkeypatch):
    library = played()
    monkeypatch.setitem(sys.modules, "pynvml", library)
    nvml = open_nvml()
    assert isinstance(nvml, Nvml)
    assert (nvml.driver, nvml.cuda) == ("580.95.05", "13.1")
    assert nvml.gpus()[1] == (1, "NVIDIA Test 1", 80 << 30, "9.0")
    text = "cuda:0 40 % busy, decoder 90 %, encoder 0 %, 1.5 of 80.0 GiB; cuda:1 41 % busy, decoder 91 %"
    assert said(nvml.usage()).startswith(text)
    nvml.close()
    assert library.closed == 1


def test_an_engine_that_is_not_there_is_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", played(gpus=1, decoder=False))
    nvml = open_nvml()
    assert isinstance(nvml, Nvml)
    assert said(nvml.usage()) == "cuda:0 40 % busy, encoder 0 %, 1.5 of 80.0 GiB"


def test_memory_that_is_the_processors_is_left_out(monkeypatch):
    library = played(gpus=1)

    def no(handle):
        raise library.NVMLError("Not Supported")

    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setattr(library, "nvmlDeviceGetMemoryInfo", no)
    nvml = open_nvml()
    assert isinstance(nvml, Nvml)
    assert said(nvml.usage()) == "cuda:0 40 % busy, decoder 90 %, encoder 0 %"
    assert nvml.gpus() == [(0, "NVIDIA Test 0", 0, "9.0")]


@pytest.mark.parametrize("there", [True, False])
def test_without_it_the_reason_is_said(monkeypatch, there):
    monkeypatch.setitem(sys.modules, "pynvml", played(driver=False) if there else None)
    assert open_nvml() == ("Driver Not Loaded" if there else "nvidia-ml-py is not installed")
