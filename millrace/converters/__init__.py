"""Models of other frameworks → ONNX: one file for each framework, and the table of them."""

from __future__ import annotations

import hashlib
import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .._version import __version__
from ..core.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:  # it needs NumPy, and a path that is not converted shall not
    from .base import Conversion

__all__ = ["CONVERTERS", "Kind", "convert", "runnable"]


class Kind(NamedTuple):
    """A converter: `module` of this folder has convert(path, **options) -> Conversion."""

    module: str
    extra: str  # of pip, that installs what it needs


CONVERTERS = {  # by the format's name, see runtimes/files.py
    "caffe": Kind("caffe", "convert"),
    "torchscript": Kind("torch", "torch,convert"),
    "export": Kind("torch", "torch,convert"),
    "weights": Kind("torch", "torch,convert"),
    "tflite": Kind("tensorflow", "tensorflow"),
    "savedmodel": Kind("tensorflow", "tensorflow"),
    "frozen": Kind("tensorflow", "tensorflow"),
}
_WHY_NOT = {
    "onnx": "is an ONNX model already",
    "openvino": "cannot be converted: OpenVINO reads other formats and writes its own; it runs as it is, with the"
    " runtime openvino",
    "paddle": "cannot be converted here (paddle2onnx does it); it runs as it is, with the runtime openvino",
    "aoti": "is compiled: convert the program that it was made from",
    "engine": "is a TensorRT engine, from which no model can be made: convert what it was built from",
    "remote": "is a model on a server: convert the file that the server has",
}


def runnable(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """A Caffe model as ONNX, from the cache or converted now; any other path as it is.

    What is converted is kept by its content in `converted` of the user's cache (XDG_CACHE_HOME). Raises ValueError.
    """
    if Path(path).suffix.lower() not in (".caffemodel", ".prototxt"):
        return path
    digest = hashlib.sha256(__version__.encode())
    try:
        from .caffemodel import files

        for file in files(path):
            digest.update(file.read_bytes())
        kept = _cache() / f"{Path(path).stem}-{digest.hexdigest()[:16]}.onnx"
        if not kept.is_file():
            model = convert(path, "caffe").model
            kept.parent.mkdir(parents=True, exist_ok=True)
            trial = kept.with_suffix(f".{os.getpid()}")
            trial.write_bytes(model.SerializeToString())
            trial.replace(kept)
    except OSError as error:
        raise ValueError(f"{path} cannot be read or converted: {error}") from error
    return kept


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millrace" / "converted"


def convert(path: str | os.PathLike[str], kind: str, **options: Any) -> Conversion:
    """Convert a model of a format. Raises ValueError naming file and layer, MissingExtraError without a library."""
    if kind not in CONVERTERS:
        raise ConfigError(f"{path} {_WHY_NOT[kind]}")
    found = CONVERTERS[kind]
    try:
        module = import_module(f".{found.module}", __package__)
        made: Conversion = module.convert(path, kind=kind, **options)
    except ModuleNotFoundError as error:
        if str(error.name).startswith("millrace"):
            raise
        raise MissingExtraError(f"converting {path}", str(error.name), found.extra) from None
    return made
