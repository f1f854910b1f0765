"""The one table that says which implementation a device uses. Modules are imported when asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

from .core.errors import ConfigError


class Device(NamedTuple):
    """`module:function` of each part. The functions' signatures stand beside them."""

    decoder: str  # open_decoder(caps, device, **options) -> decoders.base.Decoder
    encoder: str  # open_encoder(caps, device, **options) -> encoders.base.Encoder
    imaging: str  # open_imaging(device) -> imaging.base.Imaging
    runtime: str  # load(path, device, **options) -> runtimes.base.Runtime


TABLE = {
    "cpu": Device(
        "decoders.libav:open_decoder",
        "encoders.libav:open_encoder",
        "imaging.cpu:open_imaging",
        "runtimes.onnx:load",
    ),
    "cuda": Device(
        "decoders.nvdec:open_decoder",
        "encoders.libav:open_encoder",
        "imaging.cuda:open_imaging",
        "runtimes.torch:load",
    ),
}


def kind(device: str) -> str:
    """`cuda:1` → `cuda`. Raises ConfigError for a device that the table does not know."""
    name = device.partition(":")[0]
    if name not in TABLE:
        raise ConfigError(f"device {device!r} is not known; there are: {', '.join(TABLE)} (cuda:N for the Nth GPU)")
    return name


def part(device: str, role: str) -> Any:
    """The function that makes `role` (decoder, encoder, imaging, runtime) for a device."""
    module, _, function = getattr(TABLE[kind(device)], role).partition(":")
    return getattr(import_module(f".{module}", __package__), function)
