"""`millrace devices`: what this machine can decode, infer and encode with."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import typer

CODECS = ("h264", "hevc", "av1", "vp9", "mpeg4", "mjpeg")
ENCODERS = ("libx264", "libx265", "libsvtav1", "mpeg4", "mjpeg", "h264_nvenc", "hevc_nvenc", "av1_nvenc")
CUDA = {"cuda.bindings": "cuda", "PyNvVideoCodec": "cuda", "torch": "torch"}  # module → the extra that installs it


def devices() -> None:
    """Print one line for each thing that was found."""
    for line in [*_cpu(), *_cuda()]:
        typer.echo(line)


def _cpu() -> Iterator[str]:
    import av
    import onnxruntime

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield f"cpu      {usable} cores to use of {os.cpu_count()}"
    yield f"onnx     ONNX Runtime {onnxruntime.__version__}: {', '.join(onnxruntime.get_available_providers())}"
    libav = ".".join(str(part) for part in av.library_versions["libavcodec"])
    yield f"libav    PyAV {av.__version__}, libavcodec {libav}"
    yield f"decode   {', '.join(name for name in CODECS if _has(name, 'r')) or 'nothing'}"
    there = [name for name in ENCODERS if _has(name, "w") and (not name.endswith("_nvenc") or any(_gpus()))]
    yield f"encode   {', '.join(there) or 'nothing'}"


def _has(name: str, mode: str) -> bool:
    import av

    try:
        av.Codec(name, mode)
    except ValueError:  # av.codec.UnknownCodecError is one
        return False
    return True


def _cuda() -> Iterator[str]:
    gpus = list(_gpus())
    yield from (f"cuda:{number}   {text}" for number, text in enumerate(gpus))
    if not gpus:
        yield "cuda     no NVIDIA GPU found (nvidia-smi gives none)"
    for module, extra in CUDA.items():
        if not _is_installed(module):
            yield f"cuda     {module} is not installed: pip install 'millrace[{extra}]'"
        else:
            yield f"cuda     {module} {_version(module)}"


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package that it is in
        return False


def _gpus() -> Iterator[str]:
    if shutil.which("nvidia-smi") is None:
        return
    ask = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(ask, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return
    for line in answer.splitlines():
        name, memory, driver = (part.strip() for part in line.split(","))
        yield f"{name}, {memory}, driver {driver}"


def _version(module: str) -> str:
    for package in (module, module.replace(".", "-")):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return ""
