"""Which format a model is in: by its suffix, where that tells, else by what is inside."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import NamedTuple

from ..core.errors import ConfigError


class Format(NamedTuple):
    """A format of model files: what it is called, and the runtimes that run it, first choice first."""

    what: str
    runtimes: tuple[str, ...]
    suffixes: tuple[str, ...] = ()
    instead: str = ""  # what to do with one that no runtime runs as it is


CONVERT = "is converted first: millrace convert"
FORMATS = {
    "onnx": Format("an ONNX model", ("onnx", "openvino", "torch", "tensorrt"), (".onnx",)),
    "openvino": Format("an OpenVINO model", ("openvino",), (".xml",)),
    "torchscript": Format("a TorchScript model", ("torch",), (".torchscript", ".ts")),
    "export": Format("an exported PyTorch program", ("torch",)),
    "aoti": Format("a compiled PyTorch package", ("torch",)),
    "weights": Format("PyTorch weights", ("torch",), (".pth",)),
    "tflite": Format("a TFLite model", ("tflite", "openvino"), (".tflite", ".lite")),
    "savedmodel": Format("a TensorFlow SavedModel", ("openvino",)),
    "frozen": Format("a frozen TensorFlow graph", ("openvino",), (".pb",)),
    "paddle": Format("a Paddle model", ("openvino",), (".pdmodel",)),
    "caffe": Format("a Caffe model", (), (".caffemodel", ".prototxt"), CONVERT),
    "engine": Format("a TensorRT engine", ("tensorrt",), (".engine", ".plan", ".trt")),
    "remote": Format("a model on a server", ("triton",)),
}
SCHEMES = ("triton", "grpc", "grpcs", "http", "https")
_BY_SUFFIX = {suffix: name for name, kind in FORMATS.items() for suffix in kind.suffixes}


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Whether a model is named by the address of a server: triton://host:8001/model, http://host:8000/v2/models/m."""
    scheme, found, _ = os.fspath(path).partition("://")
    return bool(found) and scheme.lower() in SCHEMES


def format_of(path: str | os.PathLike[str]) -> str:
    """The format, a key of FORMATS. Raises ConfigError for what is of no known one."""
    if is_remote(path):
        return "remote"
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    if suffix in (".pt", ".pt2"):
        return _torch_format(path)
    if path.is_dir() and any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
        return "savedmodel"
    known = ", ".join(_BY_SUFFIX)
    what = "a folder without a saved_model.pb" if path.is_dir() else f"a file of an unknown kind ({suffix or 'none'})"
    raise ConfigError(
        f"{path} is {what}; models are {known}, .pt, .pt2, the folder of a SavedModel, or {SCHEMES[0]}://host:8001/model"
    )


def _torch_format(path: Path) -> str:
    """What a .pt or .pt2 holds: all are ZIP archives, told apart by the files in them."""
    if not zipfile.is_zipfile(path):
        return "weights"  # older than the archives, or broken: torch will say
    with zipfile.ZipFile(path) as archive:
        names = [name.partition("/")[2] or name for name in archive.namelist()]
    if any(name.startswith("data/aotinductor/") for name in names):
        return "aoti"
    if any(name.startswith(("models/", "serialized_exported_program")) for name in names):
        return "export"
    return "torchscript" if any(name == "constants.pkl" for name in names) else "weights"
