"""How busy GPUs are, asked of a management library that the test plays."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from millrace.cuda import context
from millrace.cuda.context import bus_ids
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


@pytest.fixture(autouse=True)
def no_cuda(monkeypatch):
    """Where the test says nothing else, also on a machine that has some."""
    monkeypatch.setattr(context, "bus_ids", lambda: [])


@pytest.mark.parametrize(
    ("places", "shown"), [(["0000:C1:00.0", "0000:41:00.0"], [2, 1]), (["0000:41:00.0"], [1]), ([], [0, 1, 2])]
)
def test_gpus_are_counted_as_cuda_does(monkeypatch, places, shown):
    """Which CUDA_VISIBLE_DEVICES=2,1 or 1 had it do; [] where there is no CUDA to be asked."""
    library, bus = played(gpus=3), ["0000:01:00.0", "0000:41:00.0", "0000:C1:00.0"]
    library.nvmlDeviceGetHandleByPciBusId = bus.index
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setattr(context, "bus_ids", lambda: places)
    nvml = open_nvml()
    assert isinstance(nvml, Nvml)
    assert [(each.number, each.name) for each in nvml.gpus()] == [
        (number, f"NVIDIA Test {index}") for number, index in enumerate(shown)
    ]
    assert [each.gpu for each in nvml.usage()] == [40 + index for index in shown]


def test_places_on_the_bus(monkeypatch):
    played = SimpleNamespace(
        cuInit=lambda flags: (0,), cuDeviceGetCount=lambda: (0, 2), cuDeviceGet=lambda number: (0, number),
        cuDeviceGetPCIBusId=lambda length, device: (0, f"0000:{device}1:00.0\0".encode().ljust(length)),
    )  # fmt: skip
    monkeypatch.setattr(context, "need_driver", lambda device: None)
    monkeypatch.setattr(context, "driver", lambda: played)
    assert bus_ids() == ["0000:01:00.0", "0000:11:00.0"]
    monkeypatch.setattr(played, "cuDeviceGetCount", lambda: (100,))
    assert bus_ids() == []


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
