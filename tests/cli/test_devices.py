"""`millrace devices` with GPUs that the test plays, and without."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from millrace.cli import devices
from millrace.cli.app import app
from millrace.core import ConfigError
from millrace.cuda import context, limits
from millrace.cuda.limits import Limit
from millrace.cuda.nvml import Gpu, Nvml, Usage
from millrace.encoders import nvenc


def said() -> list[str]:
    result = CliRunner().invoke(app, ["devices"])
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


class Played(Nvml):
    driver, cuda = "580.95.05", "13.0"

    def __init__(self): ...

    def gpus(self):
        return [Gpu(0, "NVIDIA H200", 140 << 30, "9.0")]

    def usage(self):
        return [Usage(0, 5 << 30, 140 << 30, 12, 99, None)]

    def close(self): ...


@pytest.fixture
def played(monkeypatch):
    monkeypatch.setattr(devices, "open_nvml", Played)
    monkeypatch.setattr(context, "gpu", lambda device: SimpleNamespace(ordinal=0, name=device))
    monkeypatch.setattr(limits, "library", lambda: object())
    known = {("h264", 8): 4096, ("hevc", 8): 8192, ("hevc", 10): 8192}

    def limit(gpu, codec, chroma="4:2:0", depth=8):
        most = known.get((codec, depth))
        return Limit(7, (48, most), (16, most), most * most // 256) if most else None

    monkeypatch.setattr(limits, "limit", limit)
    monkeypatch.setattr(nvenc, "engines", lambda device, codec: 0)


def test_a_gpu(played):
    lines = [line for line in said() if line.startswith("cuda:0")]
    assert lines == [
        "cuda:0   NVIDIA H200, 140.0 GiB (5.0 used), compute capability 9.0, driver 580.95.05, CUDA up to 13.0",
        "cuda:0   busy: kernels 12 %, decoder 99 %, encoder – %",
        "cuda:0   decode with 7 engines (NVDEC): h264 to 4096x4096 (8 bits), hevc to 8192x8192 (8, 10 bits)",
        "cuda:0   encode nothing: it has no NVENC; `encode` copies pictures down and encodes them on the CPU",
    ]


def test_a_gpu_with_an_encoder(played, monkeypatch):
    monkeypatch.setattr(nvenc, "engines", lambda device, codec: {"h264": 3, "hevc": 3}.get(codec, 0))
    assert "cuda:0   encode with 3 engines (NVENC): h264, hevc" in said()


def test_a_container_without_the_drivers_video_part(played, monkeypatch):
    monkeypatch.setattr(limits, "library", lambda: None)

    def engines(device, codec):
        raise ConfigError("encoding on a GPU needs PyNvVideoCodec")

    monkeypatch.setattr(nvenc, "engines", engines)
    lines = "\n".join(said())
    assert "libnvcuvid is not there (in a container, give it the capability `video`)" in lines
    assert "encode not known: encoding on a GPU needs PyNvVideoCodec" in lines


def test_without_a_gpu_it_says_what_it_would_use(monkeypatch):
    monkeypatch.setattr(devices, "open_nvml", lambda: "NVML Shared Library Not Found")
    monkeypatch.setattr(devices, "_names", lambda: iter(()))
    lines = said()
    assert "cuda     no NVIDIA GPU found (NVML Shared Library Not Found)" in lines
    assert any("--device cuda:0 uses NVDEC" in line for line in lines)


def test_missing_packages_are_named_with_one_command(monkeypatch):
    monkeypatch.setattr(devices, "open_nvml", lambda: "nvidia-ml-py is not installed")
    monkeypatch.setattr(devices, "_names", lambda: iter(["NVIDIA T4, 15360 MiB, driver 550.54"]))
    monkeypatch.setattr(devices, "_is_installed", lambda module: module in ("torch", "onnx"))
    lines = said()
    assert "cuda:0   NVIDIA T4, 15360 MiB, driver 550.54" in lines
    (missing,) = [line for line in lines if "not installed" in line]
    assert all(name in missing for name in ("cuda-bindings", "nvidia-cuda-nvrtc", "PyNvVideoCodec", "nvidia-ml-py"))
    assert "torch" not in missing
    assert lines[-1] == "cuda     to use the GPU: pip install 'millrace[cuda]'"


def test_every_package_of_the_extra_is_looked_for():
    import tomllib
    from pathlib import Path

    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text())
    extra = {re.split("[><=]", each)[0] for each in project["project"]["optional-dependencies"]["cuda"]}
    assert {package for package, _ in devices.CUDA.values()} == extra


def test_the_table_shows_gpus_that_the_run_uses(monkeypatch):
    from millrace.cli.live import Gpus
    from millrace.cuda import nvml

    monkeypatch.setattr(nvml, "open_nvml", Played)
    monkeypatch.setattr(context, "_gpus", {})
    gpus, run = Gpus(), object()
    assert gpus.lines(run) == []
    monkeypatch.setattr(context, "_gpus", {0: object()})
    assert gpus.lines(run) == ["cuda:0 12 % busy, decoder 99 %, 5.0 of 140.0 GiB"]
    gpus.close()
    monkeypatch.delitem(sys.modules, "millrace.cuda.context")
    assert Gpus().lines(run) == []


def test_the_table_shows_gpus_that_the_runs_processes_use(monkeypatch):
    from millrace.cli.live import Gpus
    from millrace.config.plan import Plan
    from millrace.cuda import nvml
    from millrace.fleet import Fleet

    monkeypatch.setattr(nvml, "open_nvml", Played)
    monkeypatch.setattr(context, "_gpus", {})
    fleet, gpus = Fleet(Plan([], [], device="cuda:0,cuda:1"), keep_open=True), Gpus()
    assert gpus.lines(fleet) == []
    for process in fleet.processes:
        process.connection = object()  # it runs
    assert gpus.lines(fleet) == ["cuda:0 12 % busy, decoder 99 %, 5.0 of 140.0 GiB"]  # the only one that was played
    gpus.close()
