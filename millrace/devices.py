"""The one table that says which implementation a device uses. Modules are imported when asked for."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, NamedTuple

from .core.errors import ConfigError


class Device(NamedTuple):
    """`module:function` of each part. The functions' signatures stand beside them."""

    decoder: str  # open_decoder(caps, device, **options) -> decoders.base.Decoder
    encoder: str  # open_encoder(caps, device, **options) -> encoders.base.Encoder
    imaging: str  # open_imaging(device) -> imaging.base.Imaging
    runtime: str  # the name of the runtime (see runtimes/) that is taken where several can run a model


TABLE = {
    "cpu": Device(
        "decoders.libav:open_decoder",
        "encoders.libav:open_encoder",
        "imaging.cpu:open_imaging",
        "onnx",
    ),
    "cuda": Device(
        "decoders.nvdec:open_decoder",
        "encoders.libav:open_encoder",
        "imaging.cuda:open_imaging",
        "torch",
    ),
    "gpu": Device(  # of Intel; pictures stay on the CPU
        "decoders.libav:open_decoder",
        "encoders.libav:open_encoder",
        "imaging.cpu:open_imaging",
        "openvino",
    ),
    "npu": Device(
        "decoders.libav:open_decoder",
        "encoders.libav:open_encoder",
        "imaging.cpu:open_imaging",
        "openvino",
    ),
}


def kind(device: str) -> str:
    """`cuda:1` → `cuda`. Raises ConfigError for a device that the table does not know."""
    name = device.partition(":")[0]
    if name not in TABLE:
        raise ConfigError(f"device {device!r} is not known; there are: {', '.join(TABLE)} (cuda:N for the Nth GPU)")
    return name


def one(device: str) -> None:
    """Raise ConfigError for a device that is not known, and for several."""
    kind(device)
    if "," in device or device.endswith(":all"):
        raise ConfigError(
            f"device {device!r} names several: each needs a process of its own. `millrace run` and Flow.run() begin "
            "those; what hands frames to this program (a loop over a flow, a Pipeline) takes one device"
        )


def every(device: str) -> list[str]:
    """`cuda:all` → cuda:0, cuda:1 and so on: all GPUs that are there. Raises ConfigError where there is none."""
    name = device.partition(":")[0]
    if kind(name) != "cuda":
        raise ConfigError(f"device {device!r}: only cuda:all can be asked for")
    from .cuda.context import count

    found = count()
    if not found:
        raise ConfigError("device 'cuda:all': no NVIDIA GPU was found; see: millrace devices")
    return [f"{name}:{number}" for number in range(found)]


def load_runtime(path: str | os.PathLike[str], device: str, runtime: str = "auto", **options: Any) -> Any:
    """The model, loaded (runtimes.base.Runtime): by the runtime named, or by the one that the device prefers for it."""
    from . import converters, runtimes

    path = converters.runnable(path)
    return runtimes.load(path, device, runtime, TABLE[kind(device)].runtime, **options)


def part(device: str, role: str) -> Any:
    """The function that makes `role` (decoder, encoder, imaging) for a device."""
    module, _, function = getattr(TABLE[kind(device)], role).partition(":")
    return getattr(import_module(f".{module}", __package__), function)
