"""Which of the model files that an nvinfer file names can be used here, and a sentence on each of the others."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..deepstream import Section

_ENGINE_NAME = re.compile(r"_b\d+_(gpu|dla)\d+_\w+\.engine$")
_TENSORRT = "an engine is for TensorRT on the GPU it was built for"
_ENCRYPTED = "an encrypted model (.etlt, .tlt) can be opened by NVIDIA's tools alone: export it as ONNX"
_UFF = "UFF was TensorRT's own copy of a TensorFlow graph, and nothing reads it any more: convert the graph to ONNX"
_DARKNET = "Darknet's weights need a C++ function that makes the network: export them as ONNX"
_KEYS = ("onnx-file", "model-engine-file", "model-file", "proto-file", "uff-file", "tlt-encoded-model")


def choose_model(section: Section) -> tuple[str | None, str]:
    """The model of an nvinfer file, as an absolute path, or None and why there is none that can be used.

    The ONNX counts before all others, then Caffe's pair, then an ONNX that lies beside one of the others, and last
    TensorRT's engine. Notes and reasons go to the section.
    """
    paths = {key: path for key in _KEYS if (path := section.path(key, None)) is not None}
    section.ignore(_ENCRYPTED, "tlt-encoded-model", "tlt-model-key")
    section.ignore(_UFF, "uff-file")
    section.ignore("a model's file says itself what its input is", "uff-input-blob-name", "uff-input-order")
    chosen, why = _choose(section, paths)
    if chosen != paths.get("model-engine-file"):
        section.ignore(_TENSORRT + f"; {chosen.name if chosen else 'nothing else'} is taken", "model-engine-file")
    return (None, why) if chosen is None else (os.fspath(chosen), "")


def _choose(section: Section, paths: dict[str, Path]) -> tuple[Path | None, str]:
    if "onnx-file" in paths:
        section.ignore("onnx-file counts", "model-file", "proto-file")
        return paths["onnx-file"], ""
    weights = paths.get("model-file")
    if weights is not None and weights.suffix == ".caffemodel":
        if "proto-file" in paths:
            section.note("proto-file", "the network of model-file")
        return weights, ""
    if weights is not None and weights.suffix == ".onnx":
        return weights, ""
    for path in paths.values():
        beside = _onnx_beside(path)
        if beside is not None:
            return beside, ""
    if weights is not None:
        section.ignore(_DARKNET, "model-file", "proto-file")
        return None, _DARKNET
    engine = paths.get("model-engine-file")
    if engine is not None:
        return engine, ""
    if "tlt-encoded-model" in paths:
        return None, _ENCRYPTED
    if "uff-file" in paths:
        return None, _UFF
    return None, "it names no model: onnx-file is missing"


def _onnx_beside(path: Path) -> Path | None:
    """`net.onnx` beside `net.onnx_b1_gpu0_fp16.engine`, `net.etlt`, `net.uff`."""
    name = _ENGINE_NAME.sub("", path.name)
    if not name:
        return None
    names = [name] if name.endswith(".onnx") else []
    names += [Path(name).with_suffix(".onnx").name, f"{name}.onnx"]
    return next((path.with_name(name) for name in names if os.path.isfile(path.with_name(name))), None)
