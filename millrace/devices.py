"""The one table that says which implementation a device uses. Modules are imported when asked for.

What a GPU cannot decode or encode the CPU does: here, so that no element knows of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

from .core.caps import Caps
from .core.errors import ConfigError, MissingExtraError
from .decoders.base import Decoder
from .decoders.fallback import Fallback, Moved
from .decoders.renewed import Renewed
from .encoders.base import Encoder, Unavailable
from .media import Decoding


class Device(NamedTuple):
    """`module:function` of each part. The functions' signatures stand beside them."""

    decoder: str  # open_decoder(caps, device, **options) -> decoders.base.Decoder
    encoder: str  # open_encoder(caps, device, **options) -> encoders.base.Encoder
    imaging: str  # open_imaging(device) -> imaging.base.Imaging
    runtime: str  # the name of the runtime (see runtimes/) that is taken where several can run a model
    upload: str | None = None  # open_upload(device) -> what brings a picture of the CPU there
    turn: str | None = None  # open_turn(device, degrees) -> what turns a picture there
    prepare: str | None = None  # open_prepare(device) -> what makes a picture ready for the encoder there


TABLE = {
    "cpu": Device(
        "decoders.libav:open_decoder",
        "encoders.libav:open_encoder",
        "imaging.cpu:open_imaging",
        "onnx",
    ),
    "cuda": Device(
        "decoders.nvdec:open_decoder",
        "encoders.nvenc:open_encoder",
        "imaging.cuda:open_imaging",
        "torch",
        "imaging.cuda_upload:open_upload",
        "imaging.cuda_upload:open_turn",
        "imaging.cuda_upload:open_prepare",
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


def named(device: str) -> str:
    """`auto` → cuda:0 where a GPU of NVIDIA and its packages are there, else cpu; any other name stays as it is."""
    if device != "auto":
        return device
    from .cuda.context import count

    try:
        return "cuda:0" if count() else "cpu"
    except MissingExtraError:
        return "cpu"


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
    with _on(device):
        return runtimes.load(path, device, runtime, TABLE[kind(device)].runtime, **options)


def open_decoder(caps: Caps, device: str, say: Callable[[str], None], **options: Any) -> Decoder:
    """The device's decoder of a stream. What it cannot decode the CPU does, and its pictures are brought to the device.

    `say` hears of that, once. Raises ConfigError where the device cannot be used at all, ValueError where the CPU
    cannot decode the stream either.
    """
    if TABLE[kind(device)].upload is None:
        decoder: Decoder = part(device, "decoder")(caps, device, **options)
        return decoder

    def on_cpu() -> Decoder:
        own = {name: value for name, value in options.items() if name != "low_latency"}  # a GPU's
        return Moved(part("cpu", "decoder")(caps, "cpu", **own), part(device, "upload")(device))

    def tell(reason: str) -> None:
        say(f"{reason}: the cpu decodes it, and its pictures are brought to {device}")

    def make() -> Decoder:
        try:
            with _on(device):
                first: Decoder = part(device, "decoder")(caps, device, **options)
                if degrees := (caps.get("decoding") or Decoding()).turn:  # the CPU's decoder does that itself
                    first = Moved(first, part(device, "turn")(device, degrees))
        except ConfigError:
            raise
        except ValueError as error:
            tell(str(error))
            return on_cpu()
        return Fallback(first, on_cpu, tell)

    return Renewed(make, caps["codec"], caps.get("extradata"))


def open_encoder(caps: Caps, device: str, say: Callable[[str], None], **options: Any) -> Encoder:
    """The device's encoder for a stream of frames; the CPU's where it has none: only what is encoded is copied there.

    `say` hears of that. Raises ValueError for settings that are not allowed.
    """
    encoder: Encoder
    if TABLE[kind(device)].prepare is None:
        encoder = part(device, "encoder")(caps, device, **options)
        return encoder
    try:
        with _on(device):
            encoder = part(device, "encoder")(caps, device, prepare=part(device, "prepare")(device), **options)
    except Unavailable as error:
        say(f"{error}: the cpu encodes, pictures are copied from {device} as they are encoded")
        encoder = part("cpu", "encoder")(caps, "cpu", **options)
    return encoder


@contextmanager
def _on(device: str) -> Iterator[None]:
    """Where packages for a GPU are missing, and the GPU is too, that is what is said: ConfigError."""
    try:
        yield
    except MissingExtraError:
        if kind(device) == "cuda":
            from .cuda.context import need_driver

            need_driver(device)
        raise


def part(device: str, role: str) -> Any:
    """The function that makes `role` (decoder, encoder, imaging, …) for a device."""
    module, _, function = getattr(TABLE[kind(device)], role).partition(":")
    return getattr(import_module(f".{module}", __package__), function)
