"""`millrace devices`: what this machine can decode, infer and encode with, and what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import typer

from ..core.errors import MillraceError
from ..cuda.nvml import Nvml, Usage, gib, open_nvml
from ..runtimes.base import usable_cores

CODECS = ("h264", "hevc", "av1", "vp9", "mpeg4", "mjpeg")
ENCODERS = ("libx264", "libx265", "libsvtav1", "mpeg4", "mjpeg")
ENGINES = {"h264": (8,), "hevc": (8, 10), "av1": (8, 10), "vp9": (8, 10), "mpeg4": (8,), "mjpeg": (8,)}  # codec → bits
CUDA = {  # module → package, and what it is for
    "cuda.bindings": ("cuda-bindings", "driver, kernels"),
    "cuda.bindings.nvrtc": ("nvidia-cuda-nvrtc", "compiles kernels"),
    "PyNvVideoCodec": ("PyNvVideoCodec", "decoding, encoding"),
    "torch": ("torch", "networks"),
    "onnx": ("onnx", "reads networks"),
    "pynvml": ("nvidia-ml-py", "how busy GPUs are"),
}


def devices() -> None:
    """Print one line for each thing that was found, and one for what is missing."""
    for line in [*_cpu(), *_cuda()]:
        typer.echo(line)


def _cpu() -> Iterator[str]:
    import av
    import onnxruntime

    yield f"cpu      {usable_cores()} cores to use of {os.cpu_count()}"
    yield f"onnx     ONNX Runtime {onnxruntime.__version__}: {', '.join(onnxruntime.get_available_providers())}"
    libav = ".".join(str(part) for part in av.library_versions["libavcodec"])
    yield f"libav    PyAV {av.__version__}, libavcodec {libav}"
    yield f"decode   {', '.join(name for name in CODECS if _has(name, 'r')) or 'nothing'}"
    yield f"encode   {', '.join(name for name in ENCODERS if _has(name, 'w')) or 'nothing'}"


def _has(name: str, mode: str) -> bool:
    import av

    try:
        av.Codec(name, mode)
    except ValueError:  # av.codec.UnknownCodecError is one
        return False
    return True


def _cuda() -> Iterator[str]:
    nvml = open_nvml()
    if isinstance(nvml, Nvml):
        try:
            yield from _gpus(nvml)
        finally:
            nvml.close()
        there = True
    else:
        names = list(_names())
        yield from (f"cuda:{number}   {text}" for number, text in enumerate(names))
        there = bool(names)
        if not there:
            yield f"cuda     no NVIDIA GPU found ({nvml})"
            yield "cuda     with one, --device cuda:0 uses NVDEC, kernels for pictures, torch, and NVENC where it is"
    yield from _packages(there)


def _gpus(nvml: Nvml) -> Iterator[str]:
    usage = nvml.usage()
    for gpu in nvml.gpus():
        device = f"cuda:{gpu.number}"
        used = f"{gib(gpu.memory)} GiB ({gib(usage[gpu.number].used)} used)" if gpu.memory else "the processor's memory"
        yield (
            f"{device}   {gpu.name}, {used}, "
            f"compute capability {gpu.compute}, driver {nvml.driver}, CUDA up to {nvml.cuda}"
        )
        yield f"{device}   {_busy(usage[gpu.number])}"
        yield f"{device}   decode {_decoders(device)}"
        yield f"{device}   encode {_encoders(device)}"


def _busy(usage: Usage) -> str:
    shares = (("kernels", usage.gpu), ("decoder", usage.decoder), ("encoder", usage.encoder))
    return "busy: " + ", ".join(f"{name} {'–' if share is None else share} %" for name, share in shares)


def _decoders(device: str) -> str:
    """NVDEC's engines and what each codec may be."""
    from ..cuda.context import gpu
    from ..cuda.limits import library, limit

    if library() is None:
        return "nothing: the driver's libnvcuvid is not there (in a container, give it the capability `video`)"
    try:
        opened = gpu(device)
    except MillraceError as error:
        return f"not known: {error}"
    engines, parts = 0, []
    for codec, depths in ENGINES.items():
        found = {bits: known for bits in depths if (known := limit(opened, codec, depth=bits)) is not None}
        if found:
            most = max(found.values(), key=lambda each: each.width[1])
            engines = max(engines, most.engines)
            parts.append(f"{codec} to {most.width[1]}x{most.height[1]} ({', '.join(map(str, found))} bits)")
    return f"with {engines} engines (NVDEC): {', '.join(parts)}" if parts else "nothing: it has no NVDEC"


def _encoders(device: str) -> str:
    from ..encoders import nvenc

    try:
        counts = {codec: nvenc.engines(device, codec) for codec in nvenc.CODECS}
    except (MillraceError, ValueError) as error:
        return f"not known: {error}"
    there = [codec for codec, count in counts.items() if count]
    if not there:
        return "nothing: it has no NVENC; `encode` copies pictures down and encodes them on the CPU"
    return f"with {max(counts.values())} engines (NVENC): {', '.join(there)}"


def _packages(there: bool) -> Iterator[str]:
    missing = []
    for module, (package, purpose) in CUDA.items():
        if _is_installed(module):
            yield f"cuda     {package} {_version(package)} ({purpose})"
        else:
            missing.append(f"{package} ({purpose})")
    if missing:
        yield f"cuda     not installed: {', '.join(missing)}"
        yield f"cuda     {'to use the GPU' if there else 'where there is an NVIDIA GPU'}: pip install 'millrace[cuda]'"


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package that it is in
        return False


def _names() -> Iterator[str]:
    """What nvidia-smi says, where the library for Python is not there."""
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


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"
