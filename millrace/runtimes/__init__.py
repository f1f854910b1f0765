"""Tensors → tensors: one file per way of running a model, and the table of which runs which files."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, NamedTuple

from ..core.errors import ConfigError, MissingExtraError, did_you_mean
from .base import Runtime, counted
from .files import FORMATS, format_of

__all__ = ["RUNTIMES", "Kind", "choose_runtime", "load"]


class Kind(NamedTuple):
    """A way of running models."""

    module: str  # in this folder; has load(path, device, **options) -> base.Runtime
    extra: str  # of pip, that installs what it needs
    devices: tuple[str, ...]  # kinds of devices (see devices.py) that it can use
    takes_size: bool = False  # its files may not say how big a picture is: load() wants `size` (height, width)


RUNTIMES = {
    "onnx": Kind("onnx", "", ("cpu", "cuda", "gpu", "npu")),
    "openvino": Kind("openvino", "openvino", ("cpu", "gpu", "npu")),
    "torch": Kind("torch", "torch", ("cpu", "cuda"), takes_size=True),
    "tensorrt": Kind("tensorrt", "tensorrt", ("cuda",)),
    "tflite": Kind("tflite", "tflite", ("cpu",)),
    "triton": Kind("triton", "triton", ("cpu", "cuda", "gpu", "npu")),  # the server knows what it runs on
}


def choose_runtime(path: str | os.PathLike[str], device: str, runtime: str = "auto", prefer: str = "onnx") -> str:
    """The name of the runtime for a model on a device.

    `auto` takes `prefer` where it can run the file, else the first that can and knows the device. Raises ConfigError
    for a file that is of no known kind, and for a runtime that cannot run it or does not know the device.
    """
    kind = format_of(path)
    able = FORMATS[kind].runtimes
    unit = device.partition(":")[0]
    if runtime == "auto":
        for name in (prefer, *able):
            if name in able and unit in RUNTIMES[name].devices:
                return name
        if not able:
            raise ConfigError(f"{path} is {FORMATS[kind].what}, which {FORMATS[kind].instead}")
        raise ConfigError(f"{path} is {FORMATS[kind].what}: no runtime for it knows the device {device!r}")
    if runtime not in RUNTIMES:
        hint = did_you_mean(runtime, RUNTIMES)
        raise ConfigError(f"runtime {runtime!r} is not known.{hint} There are: auto, {', '.join(RUNTIMES)}")
    if runtime not in able:
        can = f"runs on: {', '.join(able)}" if able else FORMATS[kind].instead
        raise ConfigError(f"{path} is {FORMATS[kind].what}, which {can}; not on {runtime!r}")
    if unit not in RUNTIMES[runtime].devices:
        knows = ", ".join(RUNTIMES[runtime].devices)
        raise ConfigError(f"the {runtime} runtime does not know the device {device!r}: it knows {knows}")
    return runtime


def load(
    path: str | os.PathLike[str],
    device: str = "cpu",
    runtime: str = "auto",
    prefer: str = "onnx",
    size: tuple[int, int] | None = None,
    **options: Any,
) -> Runtime:
    """Load a model with the runtime that fits; `options` are that runtime's own, see its `load`.

    `size` is the (height, width) of pictures, for files that do not say it. Raises ValueError, MissingExtraError where
    a library is not installed.
    """
    for option in ("parallel", "threads"):
        counted(option, options.get(option))
    name = choose_runtime(path, device, runtime, prefer)
    kind = RUNTIMES[name]
    if size is not None and kind.takes_size:
        options.setdefault("size", size)
    try:
        module = import_module(f".{kind.module}", __package__)
    except ModuleNotFoundError as error:
        if not kind.extra or str(error.name).startswith("millrace"):
            raise
        raise MissingExtraError(f"running {path}", str(error.name), kind.extra) from None
    loaded: Runtime = module.load(path, device, **options)
    return loaded
